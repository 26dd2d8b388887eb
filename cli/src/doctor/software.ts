/** What has to be installed and running: the helper, polkit, libvirt and its hook, the configuration. */
import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs';
import { polkitAction } from '../../../core/src/contract.js';
import { HandoffError } from '../../../core/src/errors.js';
import { CONFIG_FILE, type LoadedConfig } from '../../../core/src/linux/config-file.js';
import { ManagerClient } from '../bus/client.js';
import type { CheckDocument } from '../documents.js';
import { VERSION } from '../version.js';
import { cannotTell, missing, ok } from './check.js';

const HOOK_DIRECTORY = '/etc/libvirt/hooks/qemu.d';
const HOOK = `${HOOK_DIRECTORY}/gpu-handoff`;
const POLICY = '/usr/share/polkit-1/actions/io.github.gpuhandoff.policy';
const POLKIT = 'org.freedesktop.PolicyKit1';
const LIBVIRT_SOCKETS = ['/run/libvirt/virtqemud-sock', '/run/libvirt/libvirt-sock'];
const REINSTALL = 'Install the package of GPU Handoff again.';

/** A program in a place where only root installs. */
function hasProgram(name: string): boolean {
  return ['/usr/bin', '/usr/sbin', '/run/current-system/sw/bin'].some((path) =>
    existsSync(`${path}/${name}`),
  );
}

/** The helper answers, or could be started, or why not. */
async function helperChecks(bus: string | null): Promise<CheckDocument[]> {
  const title = 'Helper';
  let client: ManagerClient;
  try {
    client = await ManagerClient.connect(bus);
  } catch (fault) {
    const why = fault instanceof HandoffError ? (fault.sentence.values.why ?? fault.message) : String(fault);
    return [
      missing(
        'bus',
        'System bus',
        `It does not answer: ${why}.`,
        'Start dbus, or run this on the host itself.',
      ),
      cannotTell('helper', title, 'Without the bus it cannot be asked.'),
    ];
  }
  try {
    return [ok('bus', 'System bus', 'It answers.'), await helperCheck(client), await polkitCheck(client)];
  } finally {
    client.close();
  }
}

async function helperCheck(client: ManagerClient): Promise<CheckDocument> {
  const title = 'Helper';
  if (!(await client.isAvailable())) return missing('helper', title, 'It is not installed.', REINSTALL);
  try {
    const { version } = await client.state();
    if (version === VERSION) return ok('helper', title, `It answers (version ${version}).`);
    return {
      id: 'helper',
      title,
      result: 'differs',
      sentence: `It has version ${version}, and this command has version ${VERSION}.`,
      advice: 'Restart it with “systemctl restart gpu-handoff” after an update.',
    };
  } catch (fault) {
    const sentence = fault instanceof Error ? fault.message : String(fault);
    return missing('helper', title, sentence, 'See “journalctl -u gpu-handoff”.');
  }
}

async function polkitCheck(client: ManagerClient): Promise<CheckDocument> {
  const title = 'Authorization (polkit)';
  if (!existsSync(POLICY))
    return missing(
      'polkit',
      title,
      `The actions ${polkitAction('hand-off')} … are not installed.`,
      REINSTALL,
    );
  if (await client.isAvailable(POLKIT)) return ok('polkit', title, 'It is there, and knows the actions.');
  return missing(
    'polkit',
    title,
    'It is not there, so nobody but root is allowed anything.',
    'Install polkit.',
  );
}

function libvirtCheck(): CheckDocument {
  const title = 'libvirt';
  if (!hasProgram('virsh'))
    return missing('libvirt', title, 'virsh is not installed.', 'Install libvirt and its clients.');
  if (LIBVIRT_SOCKETS.some((path) => existsSync(path)))
    return ok('libvirt', title, 'It is installed, and listens.');
  return missing(
    'libvirt',
    title,
    'Nothing listens for qemu:///system.',
    'Start it: “systemctl enable --now virtqemud.socket”, or libvirtd.socket on older systems.',
  );
}

function hookCheck(): CheckDocument {
  const title = 'Hook of libvirt';
  try {
    accessSync(HOOK, constants.X_OK);
  } catch {
    // A directory that only root reads tells nothing.
    if (isClosed(HOOK_DIRECTORY))
      return cannotTell('hook', title, `${HOOK_DIRECTORY} cannot be read.`, 'Ask as root.');
    const advice = `${REINSTALL} Then let libvirt look again: “systemctl reload virtqemud” (or libvirtd).`;
    return missing('hook', title, `${HOOK} is not there, or not executable.`, advice);
  }
  return ok('hook', title, 'It is installed. libvirt uses it since it was last started or reloaded.');
}

function isClosed(directory: string): boolean {
  try {
    readdirSync(directory);
    return false;
  } catch (fault) {
    return (fault as NodeJS.ErrnoException).code === 'EACCES';
  }
}

function configChecks({ faults }: LoadedConfig): CheckDocument[] {
  const title = 'Configuration';
  if (faults.length > 0)
    return faults.map((fault, i) => {
      const where = fault.line > 0 ? `, line ${fault.line}` : '';
      return missing(
        `config:${i}`,
        title,
        `${CONFIG_FILE}${where}: ${fault.why}.`,
        'Correct that line; until then its default holds.',
      );
    });
  const there = statSync(CONFIG_FILE, { throwIfNoEntry: false }) !== undefined;
  return [
    ok('config', title, there ? `${CONFIG_FILE} has no fault.` : 'There is no file, so the defaults hold.'),
  ];
}

export async function softwareChecks(bus: string | null, loaded: LoadedConfig): Promise<CheckDocument[]> {
  return [...(await helperChecks(bus)), libvirtCheck(), hookCheck(), ...configChecks(loaded)];
}
