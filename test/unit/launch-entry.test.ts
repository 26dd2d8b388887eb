import { describe, expect, test } from 'vitest';
import {
  isAsWritten,
  provenanceOf,
  type Rewriting,
  readEntry,
  undoEntry,
} from '../../core/src/launch/entry.js';
import { RUN_ON_DGPU } from '../../core/src/launch/labels.js';
import { digest, entry, made, PATH, WAYS, WRAPPER, withoutOurKeys } from './support-launch.js';

const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** The value of the last line of a key in a group, or undefined. */
function value(bytes: string, key: string, group = 'Desktop Entry'): string | undefined {
  let here = '';
  let found: string | undefined;
  for (const line of bytes.split('\n')) {
    if (line.startsWith('[')) here = line.slice(1, line.indexOf(']'));
    if (here === group && line.startsWith(`${key}=`)) found = line.slice(key.length + 1);
  }
  return found;
}

describe('always, through the wrapper', () => {
  test('puts the wrapper before the command of the app and of each action, listed or not', () => {
    const source = entry(
      'Actions=new;',
      '',
      '[Desktop Action new]',
      'Exec=tool -n',
      '',
      '[Desktop Action old]',
      'Exec=a',
    );
    expect(withoutOurKeys(made(source))).toBe(source.replace(/^Exec=/gm, `Exec=${WRAPPER} `));
  });

  test('leaves a group that is no action of the app alone', () => {
    const source = entry('', '[X-Other]', 'Exec=tool', 'DBusActivatable=true');
    expect(made(source)).toContain('[X-Other]\nExec=tool\nDBusActivatable=true\n');
  });

  test('takes shortcut groups, which came before actions, for actions', () => {
    const source = entry('', '[New Shortcut Group]', 'Exec=tool -n');
    expect(value(made(source), 'Exec', 'New Shortcut Group')).toBe(`${WRAPPER} tool -n`);
  });

  test('stands before env, so that what env sets reaches the app', () => {
    const source = entry().replace('tool', 'env BAMF_DESKTOP_FILE_HINT=/x.desktop /snap/bin/tool');
    expect(value(made(source), 'Exec')).toBe(
      `${WRAPPER} env BAMF_DESKTOP_FILE_HINT=/x.desktop /snap/bin/tool %U`,
    );
  });

  test('stands behind variables, which KDE gives to a shell as the first words', () => {
    const source = entry().replace('tool', 'A=1 B=2 tool');
    expect(value(made(source), 'Exec')).toBe(`A=1 B=2 ${WRAPPER} tool %U`);
  });

  test.each([
    ['in double quotes', 'WINEPREFIX="/home/a b/.wine" A=1 tool'],
    ['in single quotes', "WINEPREFIX='/home/a b/.wine' A=1 tool"],
    ['with an escaped space', 'WINEPREFIX=/home/a\\\\ b/.wine A=1 tool'],
    ['quoted in the middle', 'A=x"y z"\'w\' A=1 tool'],
  ])('stands behind variables %s', (_how, exec) => {
    const source = entry().replace('tool', exec);
    expect(value(made(source), 'Exec')).toBe(`${exec.replace(/tool$/, '')}${WRAPPER} tool %U`);
  });

  test('keeps the space around keys and values', () => {
    const source = '[Desktop Entry]\nType=Application\n  Exec \t=  tool  a  \n';
    expect(withoutOurKeys(made(source))).toBe(source.replace('tool', `${WRAPPER} tool`));
  });

  test('also in commands for one locale, which KDE reads', () => {
    expect(made(entry('Exec[de]=tool -d'))).toContain(`\nExec[de]=${WRAPPER} tool -d\n`);
  });

  test.each([
    ['/opt/my tools/run', '"/opt/my tools/run"'],
    ['/opt/100%/run', '/opt/100%%/run'],
    ['/opt/"a"$b`c\\d/run', '"/opt/\\\\"a\\\\"\\\\$b\\\\`c\\\\\\\\d/run"'],
    ['/opt/ü/run', utf8('"/opt/ü/run"')],
  ])('a wrapper at %s is written so that it is one word', (wrapper, written) => {
    expect(value(made(entry(), { wrapper }), 'Exec')).toBe(`${written} tool %U`);
  });

  test('a command that goes through the wrapper already stays as it is', () => {
    const source = entry().replace('tool', `${WRAPPER} --require tool`);
    expect(withoutOurKeys(made(source))).toBe(source);
    const short = entry().replace('tool', 'gpu-handoff-run tool');
    expect(withoutOurKeys(made(short))).toBe(short);
  });

  test('an action without a command that could be started stays as it is', () => {
    const source = entry('[Desktop Action a]', 'Exec=', '[Desktop Action b]', 'Exec=tool "a');
    expect(made(source)).toContain('[Desktop Action a]\nExec=\n[Desktop Action b]\nExec=tool "a\n');
  });

  test('turns activation over D-Bus off, which would ignore the command', () => {
    expect(value(made(entry('DBusActivatable=true')), 'DBusActivatable')).toBe('false');
    expect(value(made(entry('DBusActivatable=1')), 'DBusActivatable')).toBe('false');
    expect(made(entry())).not.toContain('DBusActivatable');
  });

  test('leaves the choice of the card to the wrapper, which knows whether it is away', () => {
    const made1 = made(entry('PrefersNonDefaultGPU=true', 'X-KDE-RunOnDiscreteGpu=TRUE'));
    expect(value(made1, 'PrefersNonDefaultGPU')).toBe('false');
    expect(value(made1, 'X-KDE-RunOnDiscreteGpu')).toBe('false');
    expect(made(entry())).not.toContain('PrefersNonDefaultGPU');
  });

  test('keeps TryExec, comments, order, keys that nobody knows, and bytes that are no text', () => {
    const source = `# \xff comment\n${entry('TryExec=tool', 'X-Foo=\xfe\xff', 'Name[de]=\xe4', '# end')}`;
    expect(withoutOurKeys(made(source))).toBe(source.replace('Exec=tool %U', `Exec=${WRAPPER} tool %U`));
  });
});

describe('always, through switcheroo-control', () => {
  const how = { way: 'switcheroo' } as const;

  test('asks the desktop for the dGPU and leaves the command as it is', () => {
    const bytes = made(entry(), how);
    expect(value(bytes, 'PrefersNonDefaultGPU')).toBe('true');
    expect(value(bytes, 'Exec')).toBe('tool %U');
  });

  test('sets KDE’s own spelling, which is deprecated, only where the source has it', () => {
    expect(made(entry(), how)).not.toContain('X-KDE-RunOnDiscreteGpu');
    expect(value(made(entry('X-KDE-RunOnDiscreteGpu=false'), how), 'X-KDE-RunOnDiscreteGpu')).toBe('true');
  });

  test('puts the wrapper before the commands of actions, at which no desktop looks for a preference', () => {
    const source = entry('Actions=n;', '[Desktop Action n]', 'Exec=tool -n');
    expect(value(made(source, how), 'Exec', 'Desktop Action n')).toBe(`${WRAPPER} tool -n`);
  });

  test('turns activation over D-Bus off, which would lose the environment', () => {
    expect(value(made(entry('DBusActivatable=true'), how), 'DBusActivatable')).toBe('false');
  });
});

describe('offer', () => {
  const how = { choice: 'offer' } as const;
  const GROUP = 'Desktop Action gpu-handoff-run';

  test('adds an action that starts the app through the wrapper, and leaves the rest', () => {
    const source = entry('Actions=new;', '', '[Desktop Action new]', 'Exec=tool -n');
    const bytes = made(source, how);
    expect(value(bytes, 'Actions')).toBe('new;gpu-handoff-run;');
    expect(value(bytes, 'Exec', GROUP)).toBe(`${WRAPPER} tool %U`);
    const rest = withoutOurKeys(bytes).replace('gpu-handoff-run;', '');
    expect(rest.slice(0, rest.indexOf(`\n[${GROUP}]`))).toBe(source);
  });

  test('in every language of the project', () => {
    const bytes = made(entry(), how);
    for (const [locale, label] of Object.entries(RUN_ON_DGPU))
      expect(value(bytes, locale === '' ? 'Name' : `Name[${locale}]`, GROUP)).toBe(utf8(label));
  });

  test.each([
    ['Actions=', 'gpu-handoff-run;'],
    ['Actions=a', 'a;gpu-handoff-run;'],
    ['Actions=a;b', 'a;b;gpu-handoff-run;'],
    ['Actions=a; ', 'a;gpu-handoff-run;'],
    ['Actions=a\\;', 'a\\;;gpu-handoff-run;'],
    ['Actions=a\\\\;', 'a\\\\;gpu-handoff-run;'],
    ['Actions=a;\nActions=b;', 'b;gpu-handoff-run;'],
    ['Comment=none', 'gpu-handoff-run;'],
  ])('puts it at the end of the list: %j', (line, expected) => {
    expect(value(made(entry(line), how), 'Actions')).toBe(expected);
  });

  test('takes another name where the user has an action of that name', () => {
    const own = entry('Actions=gpu-handoff-run;', `[${GROUP}]`, 'Name=Own', 'Exec=own');
    const bytes = made(own, how);
    expect(value(bytes, 'Actions')).toBe('gpu-handoff-run;gpu-handoff-run-2;');
    expect(value(bytes, 'Exec', GROUP)).toBe('own');
    expect(value(bytes, 'Exec', `${GROUP}-2`)).toBe(`${WRAPPER} tool %U`);
  });

  test('or lists one of that name, be there a group for it or not', () => {
    expect(value(made(entry('Actions=gpu-handoff-run'), how), 'Actions')).toBe(
      'gpu-handoff-run;gpu-handoff-run-2;',
    );
  });

  test('turns activation over D-Bus off, over which the action would go', () => {
    expect(value(made(entry('DBusActivatable=true'), how), 'DBusActivatable')).toBe('false');
  });

  test('is the same whichever way there is, but for what it says about itself', () => {
    const [one, other] = [made(entry(), how), made(entry(), { ...how, way: 'switcheroo' })];
    expect(withoutOurKeys(one)).toBe(withoutOurKeys(other));
  });
});

describe('never', () => {
  const how = { choice: 'never' } as const;

  test('takes the wish for the dGPU back and changes nothing else', () => {
    const source = entry('PrefersNonDefaultGPU=true', 'X-KDE-RunOnDiscreteGpu=true', 'DBusActivatable=true');
    expect(withoutOurKeys(made(source, how))).toBe(
      source.replace('GPU=true', 'GPU=false').replace('Gpu=true', 'Gpu=false'),
    );
  });

  test('says so where the source says nothing', () => {
    expect(value(made(entry(), how), 'PrefersNonDefaultGPU')).toBe('false');
  });
});

describe('line ends', () => {
  test('CR and LF are what the added lines end with where the header does', () => {
    const source = entry('Actions=a;').replace(/\n/g, '\r\n');
    for (const how of WAYS) expect(made(source, how).replace(/\r\n/g, '')).not.toMatch(/[\r\n]/);
  });

  test('a file without a line end at its end gets none', () => {
    for (const how of WAYS) expect(made(entry().trimEnd(), how)).not.toMatch(/\n$/);
  });

  test('a carriage return alone ends no line', () => {
    const source = entry('Comment=a\rExec=b');
    expect(made(source)).toContain('Comment=a\rExec=b\n');
  });

  test.each([
    ['commands', 'Exec=a "b c" d'],
    ['neither keys nor groups', 'x'],
    ['groups that do not end', '[x'],
    ['groups', '[Desktop Action x]'],
    ['keys of ours', 'X-GpuHandoff-Own=1'],
    ['comments', '# x'],
  ])('100 000 lines that are %s take a time that grows with them, not with their square', (_what, line) => {
    const long = (count: number): string => entry('Actions=a;', ...Array.from({ length: count }, () => line));
    const seconds = (source: string): number => {
      // Of this process: other programs on a busy machine take none of it.
      const start = process.cpuUsage();
      readEntry(source, 'de');
      for (const how of WAYS) undoEntry(made(source, how));
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1e6;
    };
    seconds(long(1000));
    const [short, full] = [seconds(long(10_000)), seconds(long(100_000))];
    // Ten times as long: ten times the time, and room for a busy machine; a square would be a hundred.
    expect(full).toBeLessThan(Math.max(short * 40, 2));
  });
});

describe('where it came from', () => {
  test('stands in the override', () => {
    for (const how of WAYS)
      expect(provenanceOf(made(entry(), how))).toEqual({
        sourcePath: PATH,
        sourceDigest: digest(entry()),
        version: '1',
        ...how,
      });
  });

  test.each(['/a b/ü.desktop', '/a\\b/\n\t.desktop', ' /x ', '/日本/x;y=z.desktop'])(
    'whatever the path: %j',
    (sourcePath) => {
      expect(provenanceOf(made(entry(), { sourcePath }))?.sourcePath).toBe(sourcePath);
    },
  );

  test('a file without it is not ours', () => {
    expect(provenanceOf(entry())).toBeNull();
    expect(provenanceOf(entry('X-GpuHandoff-Version=1'))).toBeNull();
    expect(provenanceOf('')).toBeNull();
    expect(undoEntry(entry())).toBeNull();
    expect(isAsWritten(entry(), digest)).toBe(false);
  });

  test('nor is one that says something twice', () => {
    expect(provenanceOf(made(entry()).replace(/^(X-GpuHandoff-Choice=)/m, '$1never\n$1'))).toBeNull();
  });

  test('nor is one whose keys stand in another group', () => {
    expect(provenanceOf(made(entry()).replace('[Desktop Entry]', '[Other]'))).toBeNull();
  });

  test('every change of a byte shows that it was edited', () => {
    const bytes = made(entry('Comment=x'), { choice: 'offer' });
    expect(isAsWritten(bytes, digest)).toBe(true);
    const unseen = Array.from(bytes, (_, at) => at).filter((at) =>
      isAsWritten(`${bytes.slice(0, at)}~${bytes.slice(at + 1)}`, digest),
    );
    expect(unseen).toEqual([]);
    expect(isAsWritten(`${bytes}\n`, digest)).toBe(false);
  });

  test('an edited one is still ours', () => {
    const edited = made(entry()).replace('Name=Tool', 'Name=Mine');
    expect(provenanceOf(edited)?.choice).toBe('always');
    expect(isAsWritten(edited, digest)).toBe(false);
  });
});

describe('undoing', () => {
  test('gives nothing, or bytes that are not the source’s, of a file that was edited', () => {
    const bytes = made(entry('Comment=x'), { choice: 'offer' });
    for (const edited of [
      bytes.replace('Comment=x', ''),
      `${bytes}\n`,
      bytes.replace('Comment=x', 'Comment=y'),
    ]) {
      const back = undoEntry(edited);
      expect(back === null || digest(back) !== digest(entry('Comment=x'))).toBe(true);
    }
  });

  test.each([
    '',
    'x',
    '1',
    '5;',
    '5;3:*',
    '5;3:*:;9:*:',
    '-1;0:*:',
    '99;0:*:',
    '5;0:1:%zz;0:*:',
    '5;7:*:;3:1:',
  ])('gives nothing for a record that makes no sense: %j', (record) => {
    const bytes = made(entry()).replace(/^X-GpuHandoff-Undo=.*$/m, `X-GpuHandoff-Undo=${record}`);
    expect(undoEntry(bytes)).toBeNull();
  });
});

describe('rewriting an override', () => {
  test('starts from its source', () => {
    for (const first of WAYS)
      for (const then of WAYS)
        expect(made(made(entry('Actions=a;'), first), then)).toBe(made(entry('Actions=a;'), then));
  });

  test('of which somebody took our keys for his own starts from what is there, and brings it back', () => {
    const source = made(entry(), { choice: 'offer' }).replace('Name=Tool', 'Name=Mine');
    for (const how of WAYS) {
      const bytes = made(source, how);
      expect(bytes.match(/^X-GpuHandoff-Choice=/gm)).toHaveLength(1);
      expect(undoEntry(bytes)).toBe(source);
    }
  });
});

describe('what no entry is made of', () => {
  const why = (source: string, how: Partial<Rewriting> = {}): string => {
    try {
      return made(source, how) && '';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
  const broken = (line: string): string => `[Desktop Entry]\nType=Application\n${line}\n`;

  test.each([
    ['nothing', '', 'entry.no-group'],
    ['blank lines', '\n\n', 'entry.no-group'],
    ['another group alone', '[X]\nType=Application\nExec=tool\n', 'entry.no-group'],
    ['keys before the group', 'Type=Application\nExec=tool\n[Desktop Entry]\n', 'entry.no-application'],
    ['a group inside the group', '[Desktop Entry][x]\nType=Application\nExec=tool\n', 'entry.no-group'],
    ['a byte order mark', `\xef\xbb\xbf${entry()}`, 'entry.byte-order-mark'],
    ['a link', '[Desktop Entry]\nType=Link\nURL=x\n', 'entry.no-application'],
    ['no type', '[Desktop Entry]\nExec=tool\n', 'entry.no-application'],
    ['an app that was removed', entry('Hidden=true'), 'entry.hidden'],
    ['no command', broken('Name=x'), 'entry.no-exec'],
    ['an empty command', broken('Exec='), 'entry.no-exec'],
    ['a command over D-Bus alone', broken('DBusActivatable=true'), 'entry.dbus-only'],
    ['a word of the shell', broken('Exec=cd /opt/app && ./run'), 'entry.shell-exec'],
    ['a word of the shell behind variables', broken('Exec=A=1 exec tool'), 'entry.shell-exec'],
    ['a variable alone', broken('Exec=A=1'), 'entry.shell-exec'],
    ['a double quote that does not end', broken('Exec=tool "a'), 'entry.bad-exec'],
    ['a single quote that does not end', broken("Exec=tool 'a"), 'entry.bad-exec'],
    ['a backslash at the end', broken('Exec=tool \\\\'), 'entry.bad-exec'],
    ['quotes that only an escape closes', broken('Exec=tool "a\\\\"'), 'entry.bad-exec'],
  ])('%s', (_what, source, key) => {
    expect(why(source)).toBe(key);
    expect(readEntry(source, 'C').problem?.key).toBe(key);
  });

  test('a game that Steam’s running client starts, unless it is never', () => {
    const game = entry().replace('tool %U', 'steam steam://rungameid/620');
    expect(why(game)).toBe('entry.steam-game');
    expect(why(game, { choice: 'offer' })).toBe('entry.steam-game');
    expect(why(game, { choice: 'never' })).toBe('');
    expect(readEntry(game, 'C').problem).toBeNull();
  });

  test.each(['NoDisplay=true', 'OnlyShowIn=KDE;', 'TryExec=/nowhere'])('but of %s it is', (line) => {
    expect(made(entry(line))).toContain(`\n${line}\n`);
  });
});
