import { readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeDebianTree, recipeOf, type TreeRecipe } from '../../rig/debian-tree.js';
import { keptFolder } from '../../rig/kept.js';
import { REPO } from '../../rig/repo.js';
import { CACHE } from './tree.js';

/** The project's own change to switcheroo-control 2.6. */
export const PATCH = join(REPO, 'packaging/switcheroo-control/lift-session-limits.patch');

const SUITE = 'trixie';
const NEXT_SUITE = 'forky';

const PACKAGES = [
  ...[
    'bzip2',
    'gcc',
    'libc6-dev',
    'libgudev-1.0-dev',
    'meson',
    'patch',
    'pkgconf',
    'systemd-dev',
    'xz-utils',
  ],
  // Of its own tests.
  ...['dbus-daemon', 'gir1.2-umockdev-1.0', 'python3-dbus', 'python3-dbusmock', 'python3-gi', 'umockdev'],
];

/** Runs in the tree, in /build, beside the patch. The tests' own output ends in the log. */
const SCRIPT = `set -eu
echo 'deb-src http://deb.debian.org/debian ${SUITE} main' >/etc/apt/sources.list.d/source.list
echo 'deb http://deb.debian.org/debian ${NEXT_SUITE} main' >/etc/apt/sources.list.d/next.list
apt-get -q update
apt-get -q source --download-only switcheroo-control/${SUITE}
apt-get -q download switcheroo-control/${NEXT_SUITE}
mkdir source out out/third
tar -xf switcheroo-control_*.orig.tar.* -C source --strip-components=1
tar -xf switcheroo-control_*.debian.tar.* -C source
dpkg-deb -x switcheroo-control_3*.deb out/third
cd source
while read -r name; do patch -p1 --fuzz=0 <"debian/patches/$name"; done <debian/patches/series
patch -p1 --fuzz=0 <../lift-session-limits.patch >../out/patch.log
cat ../out/patch.log
meson setup --prefix=/usr --libexecdir=libexec -Dgtk_doc=false -Dtests=true ../made
meson compile -C ../made
meson test -C ../made --print-errorlogs --timeout-multiplier=4 >../out/tests.log 2>&1 || { cat ../out/tests.log; exit 1; }
DESTDIR=/build/out/patched meson install -C ../made --no-rebuild
`;

const RECIPE: TreeRecipe = {
  suite: SUITE,
  packages: PACKAGES,
  hooks: [
    'mkdir "$1/build" && cp "$SWITCHEROO_PATCH" "$1/build/"',
    `chroot "$1" env --chdir=/build sh -c '${SCRIPT.replace(/'/g, `'\\''`)}'`,
  ],
  env: { SWITCHEROO_PATCH: PATCH },
};

/** switcheroo-control as others have it; each folder is laid out as `/`. */
export interface Switcheroos {
  /** Debian's 2.6 with the project's patch. */
  readonly patched: string;
  /** 3.0, as Debian's next release has it. */
  readonly third: string;
  /** What `patch` said, and how its own tests ended. */
  readonly logs: { readonly patch: string; readonly tests: string };
}

/**
 * Builds switcheroo-control 2.6 from Debian's source package with the patch, in a tree of its own, and fetches 3.0.
 * Kept until the recipe or the patch changes.
 * @throws Error where the patch does not apply as it is, the build fails, or switcheroo-control's own tests do
 */
export async function ensureSwitcheroos(): Promise<Switcheroos> {
  const recipe = [recipeOf(RECIPE), readFileSync(PATCH, 'utf8')];
  const { dir } = await keptFolder(join(CACHE, 'switcheroo'), recipe, async (half) => {
    const tree = `${half}.tree`;
    const remove = (): void => rmSync(tree, { recursive: true, force: true, maxRetries: 5 });
    remove();
    await makeDebianTree(tree, RECIPE);
    renameSync(join(tree, 'build/out'), half);
    remove();
  });
  const log = (name: string): string => readFileSync(join(dir, `${name}.log`), 'utf8');
  return {
    patched: join(dir, 'patched'),
    third: join(dir, 'third'),
    logs: { patch: log('patch'), tests: log('tests') },
  };
}
