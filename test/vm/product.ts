/** The product inside the proving machine: installed as a user installs it, and looked at from outside. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type BootOptions,
  type CommandResult,
  DGPU,
  DGPU_SOUND,
  ensureImage,
  type GuestProcess,
  type HoldMode,
  Machine,
} from './rig/index.js';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));

/** In polkit's JavaScript (ES5). alice may do everything, as an administrator would have set it up; nobody else is named. */
const RULE = `polkit.addRule(function (action, subject) {
  if (action.id.indexOf('io.github.gpuhandoff.') === 0 && subject.user === 'alice') return polkit.Result.YES;
});
`;

function builtPackage(): string {
  const name = readdirSync(DIST).filter((file) => /^gpu-handoff_.*_all\.deb$/.test(file))[0];
  if (name === undefined) throw new Error('there is no package in dist/: run "npm run package" first');
  return join(DIST, name);
}

/** A machine with the package installed by dpkg and alice authorized by a rule. */
export async function workstation(name: string, options: BootOptions = {}): Promise<Machine> {
  const key = createHash('sha256').update(readFileSync(builtPackage())).update(RULE).digest('hex');
  const prepared = { key: key.slice(0, 16), prepare: install };
  return await Machine.boot(await ensureImage(), { name, prepared, ...options });
}

/** Installs the package by dpkg and authorizes alice by a rule. */
export async function install(machine: Machine): Promise<void> {
  await machine.put('/root/gpu-handoff.deb', readFileSync(builtPackage()));
  await machine.check('dpkg -i /root/gpu-handoff.deb', { timeoutMs: 240_000 });
  await machine.put('/etc/polkit-1/rules.d/50-gpu-handoff.rules', RULE);
  // What was installed is on the disk, also after a power cut.
  await machine.check('sync');
}

/** The command as an ordinary user runs it; alice where no other is named. */
export async function gpuHandoff(
  machine: Machine,
  args: readonly string[],
  user = 'alice',
): Promise<CommandResult> {
  return await machine.run(['gpu-handoff', ...args], { user, timeoutMs: 240_000 });
}

/** What a script prints that looks at where the card is: one line a fact, the same whenever all is at home. */
const LOOK = `
for f in ${DGPU} ${DGPU_SOUND}; do
  d=/sys/bus/pci/devices/$f
  [ -e $d ] || continue
  echo "driver of $f: $(basename "$(readlink $d/driver)") override $(cat $d/driver_override) power $(cat $d/power/control)"
done
echo "modules: $(cut -d' ' -f1 /proc/modules | grep ^nvidia | sort | xargs)"
for u in nvidia-persistenced nvidia-powerd; do echo "$u: $(systemctl is-active $u)"; done
for n in /sys/bus/pci/devices/${DGPU}/drm/*; do
  case $n in */card*|*/renderD*) stat -c '%A %G' /dev/dri/$(basename $n) ;; esac
done | sort
stat -c '%A %G' /dev/nvidia0 /dev/nvidiactl /dev/nvidia-uvm 2>/dev/null
stat -c '%A %G %n' /dev/snd/controlC* | sed 's/[0-9]*$//' | sort
ls /run/gpu-handoff /run/modprobe.d 2>/dev/null | grep -v ':$' | grep . | sed 's/^/left behind: /'
true`;

/** Where everything of the card is, in words; equal texts mean that nothing differs and nothing was left behind. */
export async function picture(machine: Machine): Promise<string> {
  await machine.check('udevadm settle');
  return await machine.check(LOOK);
}

/** Facts that must hold when a guest has the card: on vfio-pci, QEMU has its group open, no module loaded. */
export async function guestHasCard(
  machine: Machine,
): Promise<{ driver: string; opened: boolean; modules: string }> {
  const group = (await machine.check(`basename $(readlink /sys/bus/pci/devices/${DGPU}/iommu_group)`)).trim();
  const driver = (await machine.check(`basename "$(readlink /sys/bus/pci/devices/${DGPU}/driver)"`)).trim();
  const look = `for p in $(pgrep -x qemu-system-x86 || true); do readlink /proc/$p/fd/* 2>/dev/null; done`;
  const opened = (await machine.run(look)).stdout.split('\n').includes(`/dev/vfio/${group}`);
  const modules = (await machine.check(`cut -d' ' -f1 /proc/modules | grep ^nvidia | xargs; true`)).trim();
  return { driver, opened, modules };
}

/** The state that the helper publishes of the first dGPU. */
export async function publishedState(machine: Machine): Promise<string> {
  const result = await gpuHandoff(machine, ['status', '--json']);
  const status = JSON.parse(result.stdout) as { cards: { address: string; state: string }[] };
  return status.cards.find((card) => card.address === DGPU)?.state ?? 'missing';
}

/** The helper's log of this boot. */
export async function helperLog(machine: Machine): Promise<string> {
  // It writes what it says seconds later, several lines at once.
  const command =
    'sleep 6; journalctl -u gpu-handoff -t gpu-handoff -o short-precise --no-hostname --no-pager';
  return (await machine.run(command)).stdout;
}

/** A program of a user that holds the card, in a scope of its own as a desktop starts its apps. */
export interface App {
  readonly pid: number;
  readonly process: GuestProcess;
  /** Ends it and waits until it is gone. */
  release(): Promise<void>;
}

let scopes = 0;

/** Starts an app that holds nodes; `unit` is the name of its scope. */
export async function app(
  machine: Machine,
  mode: HoldMode,
  args: readonly (string | number)[],
  options: { readonly user?: string; readonly comm?: string; readonly unit?: string } = {},
): Promise<App> {
  scopes += 1;
  const unit = options.unit ?? `rig-app-${scopes}.scope`;
  const name = options.comm === undefined ? [] : ['--name', options.comm];
  const program = ['/usr/bin/rig-hold', ...name, mode, ...args.map(String)];
  const scope = ['--quiet', '--scope', '--collect', `--unit=${unit}`, `--uid=${options.user ?? 'root'}`];
  const process = await machine.spawn(['systemd-run', ...scope, ...program]);
  const match = await process.waitFor(/^ready (\d+)$/m);
  return {
    pid: Number(match[1]),
    process,
    release: async () => {
      await machine.run(['systemctl', 'stop', unit]);
      await process.exited;
    },
  };
}
