import { describe, expect, test } from 'vitest';
import { readEntry } from '../../core/src/launch/entry.js';
import { say } from '../../core/src/words.js';
import { entry } from './support-launch.js';

const exec = (command: string, ...lines: string[]): string => entry(...lines).replace('tool %U', command);

describe('the name', () => {
  const source = entry(
    'Name[de]=B\xc3\xbcro',
    'Name[de_AT]=Kanzlei',
    'Name[sr@latin]=Alat',
    'Name[pt_BR]=Ferramenta',
  );

  test.each([
    ['C', 'Tool'],
    ['', 'Tool'],
    ['de', 'Büro'],
    ['de_DE.UTF-8', 'Büro'],
    ['de_AT.UTF-8', 'Kanzlei'],
    ['sr_RS@latin', 'Alat'],
    ['sr_RS', 'Tool'],
    ['pt_BR', 'Ferramenta'],
    ['pt_PT', 'Tool'],
    ['../../x', 'Tool'],
  ])('in the words of %j', (locale, name) => {
    expect(readEntry(source, locale).name).toBe(name);
  });

  test('with bytes that are no UTF-8', () => {
    expect(readEntry('[Desktop Entry]\nName=B\xfcro \xf0\x9f\x98\x80 \xed\xa0\x80\n', 'C').name).toBe(
      'B\ufffdro 😀 \ufffd\ufffd\ufffd',
    );
  });

  test('with its escapes read', () => {
    expect(readEntry('[Desktop Entry]\nName=a\\sb\\\\c\\td\\q\n', 'C').name).toBe('a b\\c\td\\q');
  });

  test('is empty where there is none, as is the icon', () => {
    expect(readEntry('', 'C')).toMatchObject({ name: '', icon: '' });
  });

  test('the last of two lines counts, in the group where it first began or again', () => {
    expect(
      readEntry(`${entry('Icon=a')}[X]\nIcon=b\n[Desktop Entry]\nName=Other\nIcon=c\n`, 'C'),
    ).toMatchObject({
      name: 'Other',
      icon: 'c',
    });
  });
});

describe('whether it is shown', () => {
  test.each([
    ['Comment=x', true],
    ['NoDisplay=true', false],
    ['NoDisplay=false', true],
    ['Hidden=true', false],
  ])('%s', (line, shown) => {
    expect(readEntry(entry(line), 'C').shown).toBe(shown);
  });
});

describe('what is special', () => {
  test.each([
    ['nothing', entry(), []],
    ['one window', entry('SingleMainWindow=true'), ['single-instance']],
    ['one window, as GNOME said it', entry('X-GNOME-SingleWindow=true'), ['single-instance']],
    ['D-Bus', entry('DBusActivatable=true'), ['dbus-activated']],
    [
      'flatpak',
      exec('/usr/bin/flatpak run --branch=stable org.x.Y @@u %U @@', 'X-Flatpak=org.x.Y'),
      ['flatpak'],
    ],
    ['flatpak without its key', exec('flatpak run org.x.Y'), ['flatpak']],
    ['a manager of flatpaks', exec('flatpak-manager run'), []],
    ['snap', exec('env BAMF_DESKTOP_FILE_HINT=/var/lib/snapd/x /snap/bin/code %F'), ['snap']],
    ['snap by its path', exec('/snap/bin/code'), ['snap']],
    ['AppImage', exec('"/home/a b/Krita 5.AppImage" %F'), ['appimage']],
    ['AppImage by its key', exec('krita', 'X-AppImage-Version=5'), ['appimage']],
    ['Steam', exec('/usr/bin/steam %U', 'PrefersNonDefaultGPU=true'), ['steam-client', 'prefers-dgpu']],
    ['Steam of flatpak', exec('flatpak run com.valvesoftware.Steam'), ['flatpak', 'steam-client']],
    ['a game of Steam', exec('steam steam://rungameid/620'), ['steam-game']],
    [
      'a game of Steam’s flatpak',
      exec('flatpak run com.valvesoftware.Steam steam://rungameid/620'),
      ['flatpak', 'steam-game'],
    ],
    ['a terminal', entry('Terminal=true'), ['terminal']],
    ['KDE’s preference', entry('X-KDE-RunOnDiscreteGpu=true'), ['prefers-dgpu']],
    ['another user', entry('X-KDE-SubstituteUID=true'), ['substitutes-user']],
    ['another user by pkexec', exec('env A=1 /usr/bin/pkexec tool'), ['substitutes-user']],
    ['Steam of snap', exec('env BAMF_DESKTOP_FILE_HINT=/x /snap/bin/steam %U'), ['snap', 'steam-client']],
    ['a program behind env’s options', exec('/usr/bin/env -u FOO -i A=1 /snap/bin/code'), ['snap']],
    [
      'what stands in an action',
      entry('[Desktop Action x]', 'Exec=steam steam://rungameid/1', 'Terminal=true'),
      [],
    ],
  ])('%s', (_what, source, special) => {
    expect(readEntry(source, 'C').special).toEqual(special);
  });
});

describe('warnings', () => {
  const said = (source: string): string =>
    readEntry(source, 'C')
      .warnings.map((one) => say(one))
      .join(' ');

  test('a game of Steam’s is told its launch option', () => {
    expect(said(exec('steam steam://rungameid/620'))).toContain('gpu-handoff-run %command%');
  });

  test('an app that runs already keeps its card', () => {
    expect(said(entry('SingleMainWindow=true'))).toContain('close it first');
    expect(said(entry('DBusActivatable=true'))).toContain('close it first');
  });

  test('an app that starts as another user loses the environment', () => {
    expect(said(entry('X-KDE-SubstituteUID=true'))).toContain('another user');
  });

  test('Steam itself keeps the card in use', () => {
    expect(said(exec('steam %U'))).toContain('never');
  });

  test('an ordinary app has none', () => {
    expect(said(entry('Terminal=true'))).toBe('');
  });
});
