// Builds the Debian package from dist/ and the data files: dist/gpu-handoff_VERSION_all.deb. Needs dpkg-deb.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { installTranslations, translatedPolicy } from '../build/po-install.mjs';
import { stageGnomeExtension } from './gnome.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const stage = join(root, 'dist/deb');
const result = join(root, `dist/gpu-handoff_${version}_all.deb`);

/** Copies a file or folder of the repository to a path of the installed system. */
function install(from, to, mode = 0o644) {
  const target = join(stage, to);
  mkdirSync(dirname(target), { recursive: true });
  cpSync(join(root, from), target, { recursive: true });
  if (statSync(target).isFile()) chmodSync(target, mode);
}

function write(to, content, mode = 0o644) {
  const target = join(stage, to);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
  chmodSync(target, mode);
}

function sizeOf(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

rmSync(stage, { recursive: true, force: true });
install('dist/helper', 'usr/lib/gpu-handoff/helper');
install('dist/cli', 'usr/lib/gpu-handoff/cli');
install('dist/session', 'usr/lib/gpu-handoff/session');
write(
  'usr/lib/gpu-handoff/package.json',
  `${JSON.stringify({ name: 'gpu-handoff', version, type: 'module' })}\n`,
);
chmodSync(join(stage, 'usr/lib/gpu-handoff/cli/main.js'), 0o755);
mkdirSync(join(stage, 'usr/bin'), { recursive: true });
install('wrapper/gpu-handoff', 'usr/bin/gpu-handoff', 0o755);
install('dist/wrapper/gpu-handoff-run', 'usr/bin/gpu-handoff-run', 0o755);
symlinkSync('gpu-handoff-run', join(stage, 'usr/bin/nvidia-run'));

install('polkit/data/gpu-handoff-helper', 'usr/libexec/gpu-handoff-helper', 0o755);
install('polkit/data/gpu-handoff.service', 'usr/lib/systemd/system/gpu-handoff.service');
write('usr/share/polkit-1/actions/io.github.gpuhandoff.policy', translatedPolicy(root));
installTranslations(root, join(stage, 'usr/share/locale'));
const name = 'io.github.gpuhandoff.Manager1';
install(`polkit/data/${name}.conf`, `usr/share/dbus-1/system.d/${name}.conf`);
install(`polkit/data/${name}.service`, `usr/share/dbus-1/system-services/${name}.service`);
install('polkit/hook/gpu-handoff', 'etc/libvirt/hooks/qemu.d/gpu-handoff', 0o755);

const session = 'io.github.gpuhandoff.Session1.service';
install('cli/data/gpu-handoff-session', 'usr/libexec/gpu-handoff-session', 0o755);
install('cli/data/gpu-handoff-release', 'usr/lib/gpu-handoff/release', 0o755);
install(`cli/data/${session}`, `usr/share/dbus-1/services/${session}`);
const userUnits = 'usr/lib/systemd/user';
for (const unit of ['gpu-handoff-session.service', 'gpu-handoff-apps.service', 'gpu-handoff-apps.path'])
  install(`cli/data/${unit}`, `${userUnits}/${unit}`);
// At each login, for every user; who does not want it masks the unit. Which desktop it is, is only known when that begins.
for (const [target, unit] of [
  ['default.target', 'gpu-handoff-apps.path'],
  ['default.target', 'gpu-handoff-apps.service'],
  ['graphical-session.target', 'gpu-handoff-apps.service'],
]) {
  mkdirSync(join(stage, userUnits, `${target}.wants`), { recursive: true });
  symlinkSync(`../${unit}`, join(stage, userUnits, `${target}.wants`, unit));
}

install('dist/kickeractions/gpu-handoff.desktop', 'usr/share/plasma/kickeractions/gpu-handoff.desktop');
install('kde-plasmoid/kickeractions/gpu-handoff-offer', 'usr/libexec/gpu-handoff-offer', 0o755);
const offer = '72-gpu-handoff-offer.rules';
install(`kde-plasmoid/kickeractions/${offer}`, `usr/lib/udev/rules.d/${offer}`);
for (const file of ['README.md', 'lift-session-limits.patch'])
  install(`packaging/switcheroo-control/${file}`, `usr/share/gpu-handoff/switcheroo-control/${file}`);

stageGnomeExtension(join(root, 'dist'), stage);

const command = join(root, 'dist/cli/main.js');
for (const [shell, path] of [
  ['bash', 'usr/share/bash-completion/completions/gpu-handoff'],
  ['zsh', 'usr/share/zsh/vendor-completions/_gpu-handoff'],
  ['fish', 'usr/share/fish/vendor_completions.d/gpu-handoff.fish'],
])
  write(path, execFileSync(process.execPath, [command, 'completion', shell]));

install('LICENSE', 'usr/share/doc/gpu-handoff/copyright');
write(
  'usr/share/doc/gpu-handoff/changelog.gz',
  gzipSync(readFileSync(join(root, 'CHANGELOG.md')), { level: 9 }),
);

for (const script of ['postinst', 'prerm', 'postrm'])
  install(`packaging/debian/${script}`, `DEBIAN/${script}`, 0o755);
install('packaging/debian/conffiles', 'DEBIAN/conffiles');
const control = readFileSync(join(root, 'packaging/debian/control.in'), 'utf8')
  .replace('@VERSION@', version)
  .replace('@SIZE@', String(Math.ceil(sizeOf(stage) / 1024)));
write('DEBIAN/control', control);

execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', stage, result], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
rmSync(stage, { recursive: true, force: true });
process.stdout.write(`${result}\n`);
