/** The command of an entry with its field codes filled in: the words that a program is started with. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ownerOf } from '../../core/src/holders.js';
import { isAppId, scopeName } from '../../core/src/launch/app-id.js';
import { toUtf8 } from '../../core/src/launch/bytes.js';
import { commandsOf, fileUri, pathOfUri } from '../../core/src/launch/exec.js';

interface Asked {
  readonly files?: readonly string[];
  readonly action?: string;
  readonly extra?: string;
  readonly locale?: string;
}

function ask(exec: string, { files = [], action, extra = '', locale = '' }: Asked = {}) {
  const source = toUtf8(
    `[Desktop Entry]\nType=Application\nName=An app\nName[de]=Eine App\nIcon=the-icon\nExec=${exec}\n${extra}`,
  );
  return commandsOf({ source, path: '/usr/share/a.desktop', action: action ?? null, files, locale });
}

function words(exec: string, asked: Asked = {}): readonly (readonly string[])[] {
  const result = ask(exec, asked);
  if (!result.ok) throw new Error(result.why);
  return result.start.commands;
}

describe('the words of a command', () => {
  test.each<[string, string, Asked, readonly (readonly string[])[]]>([
    ['none without files', 'app --open %f', {}, [['app', '--open']]],
    ['one file', 'app %f', { files: ['/a b'] }, [['app', '/a b']]],
    ['many files', 'app %F x', { files: ['/a', '/b c'] }, [['app', '/a', '/b c', 'x']]],
    [
      'one process for each file where it takes one',
      'app %f',
      { files: ['/a', '/b'] },
      [
        ['app', '/a'],
        ['app', '/b'],
      ],
    ],
    ['a path as a URI', 'app %u', { files: ['/ä b'] }, [['app', 'file:///%C3%A4%20b']]],
    ['URIs as they are', 'app %U', { files: ['https://x/?a&b'] }, [['app', 'https://x/?a&b']]],
    ['a URI of this machine as a path', 'app %f', { files: ['file:///a%20b'] }, [['app', '/a b']]],
    ['no URI of another machine as a path', 'app %F', { files: ['smb://x/y', '/z'] }, [['app', '/z']]],
    ['a file at the end where no place is named', 'app -x', { files: ['/a'] }, [['app', '-x', '/a']]],
    ['a code within a word', 'app --file=%f', { files: ['/a b'] }, [['app', '--file=/a b']]],
    ['a code within quotes', 'app "--file=%f"', { files: ['/a b'] }, [['app', '--file=/a b']]],
    ['the icon as two words', 'app %i', {}, [['app', '--icon', 'the-icon']]],
    ['the name in the user’s language', 'app %c', { locale: 'de_AT.UTF-8' }, [['app', 'Eine App']]],
    ['where the entry is', 'app %k', {}, [['app', '/usr/share/a.desktop']]],
    ['per cent', 'app 100%% %%f', {}, [['app', '100%', '%f']]],
    ['codes that there were once', 'app %d %D %n %N %v %m x', {}, [['app', 'x']]],
    ['empty words', 'app "" \'\'', {}, [['app', '', '']]],
    [
      'quotes and escapes',
      'app "a \\\\"b\\\\" \\\\$c \\\\`d\\\\` \\\\\\\\e"',
      {},
      [['app', 'a "b" $c `d` \\e']],
    ],
    ['what a shell would expand', 'app "$HOME" ~ *', {}, [['app', '$HOME', '~', '*']]],
    [
      'an action',
      'app',
      { action: 'new', extra: 'Actions=new;\n[Desktop Action new]\nExec=app --new %u\n', files: ['/a'] },
      [['app', '--new', 'file:///a']],
    ],
  ])('%s', (_what, exec, asked, expected) => {
    expect(words(exec, asked)).toEqual(expected);
  });

  test.each([
    ['no Exec', '', {}, 'missing'],
    ['quotes that do not end', 'app "x', {}, 'malformed'],
    [
      'an action that is not listed',
      'app',
      { action: 'new', extra: '[Desktop Action new]\nExec=x\n' },
      'action',
    ],
    ['an action without a group', 'app', { action: 'new', extra: 'Actions=new;\n' }, 'action'],
    [
      'an action without a command',
      'app',
      { action: 'new', extra: 'Actions=new;\n[Desktop Action new]\nName=x\n' },
      'missing',
    ],
  ])('there are none with %s', (_what, exec, asked, why) => {
    expect(ask(exec, asked)).toEqual({ ok: false, why });
  });

  test('there are none in a command that is not UTF-8', () => {
    const source = '[Desktop Entry]\nType=Application\nExec=app \xff\n';
    expect(commandsOf({ source, path: '', action: null, files: [], locale: '' })).toEqual({
      ok: false,
      why: 'not-utf8',
    });
  });

  const NAME = fc.string({ unit: 'grapheme' }).filter((name) => !name.includes('\0'));

  test('a file is one word, whatever it is called', () => {
    fc.assert(
      fc.property(fc.array(NAME, { minLength: 1 }), (names) => {
        const files = names.map((name) => `/${name}`);
        expect(words('app %F end', { files })).toEqual([['app', ...files, 'end']]);
      }),
    );
  });

  test('a path comes back from its URI', () => {
    fc.assert(
      fc.property(NAME, (name) => {
        expect(pathOfUri(fileUri(`/${name}`))).toBe(`/${name}`);
      }),
    );
  });
});

describe('ids', () => {
  test.each([
    '../x.desktop',
    '/x.desktop',
    'a/b.desktop',
    'x',
    '.desktop',
    'a\n.desktop',
    'a\0.desktop',
    `${'ä'.repeat(130)}.desktop`,
  ])('%j is none', (id) => expect(isAppId(id)).toBe(false));

  test.each([
    'x.desktop',
    'org.gimp.GIMP.desktop',
    '..desktop',
    'a b ä.desktop',
    `${'x'.repeat(247)}.desktop`,
  ])('%j is one', (id) => expect(isAppId(id)).toBe(true));
});

describe('the scope of an app', () => {
  test.each([
    ['org.gimp.GIMP.desktop', 'app-gpuhandoff-org.gimp.GIMP-7.scope'],
    ['my-app.desktop', 'app-gpuhandoff-my\\x2dapp-7.scope'],
    ['ä b.desktop', 'app-gpuhandoff-\\xc3\\xa4\\x20b-7.scope'],
  ])('of %s is named as systemd wants it', (id, scope) => {
    expect(scopeName(toUtf8(id), 7)).toBe(scope);
  });

  test('is never too long, and cut at a whole escape', () => {
    const scope = scopeName(toUtf8(`${'-'.repeat(240)}.desktop`), 4_000_000);
    expect(scope.length).toBeLessThanOrEqual(255);
    expect(scope).toMatch(/^app-gpuhandoff-(\\x2d)+-4000000\.scope$/);
  });

  test('tells the app’s name to who asks what holds a card', () => {
    const cgroup = `/user.slice/user-1000.slice/user@1000.service/app.slice/${scopeName('org.gimp.GIMP.desktop', 7)}`;
    expect(ownerOf(cgroup, 'gimp')).toMatchObject({ kind: 'app', name: 'org.gimp.GIMP' });
  });
});
