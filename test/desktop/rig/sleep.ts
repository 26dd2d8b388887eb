/** A machine that is put to sleep: everything inside stops at once, and the login manager tells before and after. */
import { readFileSync } from 'node:fs';
import dbus from 'dbus-next';
import { connect, PLACES } from '../../bus/rig/session.js';
import type { HelperBus } from '../../bus/support-helper.js';

const LOGIN = 'org.freedesktop.login1';

/** What a session has to be started with (`helper: { files: MAY_SLEEP }`): root may speak as the login manager. */
export const MAY_SLEEP = {
  [`${PLACES.busPolicies}/${LOGIN}.conf`]: `<busconfig><policy user="root"><allow own="${LOGIN}"/></policy></busconfig>\n`,
};

/** Everything on that bus sleeps while something happens. */
export async function sleep({ bus }: HelperBus, meanwhile: () => void): Promise<void> {
  const login = await connect(bus.address);
  await login.requestName(LOGIN, dbus.NameFlag.DO_NOT_QUEUE);
  const tell = (before: boolean): void => {
    const [path, iface] = ['/org/freedesktop/login1', `${LOGIN}.Manager`];
    login.send(dbus.Message.newSignal(path, iface, 'PrepareForSleep', 'b', [before]));
  };
  tell(true);
  await bus.run(['sh', '-c', 'kill -STOP -1']);
  while (doors().some((pid) => stat(pid)?.state !== 'T'))
    await new Promise((resolve) => setTimeout(resolve, 5));
  meanwhile();
  for (const pid of doors()) process.kill(pid, 'SIGCONT');
  await bus.run(['sh', '-c', 'kill -CONT -1']);
  tell(false);
  login.disconnect();
  await bus.waitForNoName(LOGIN);
}

/** The processes by which programs are started inside: each stops, outside, when its program has stopped. */
function doors(): number[] {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8');
  const pids = children.split(' ').filter(Boolean).map(Number);
  return pids.filter((pid) => stat(pid)?.name === 'nsenter');
}

/** The name and the state of a process; null where it is gone. */
function stat(pid: number): { readonly name: string; readonly state: string } | null {
  try {
    const [, name = '', state = ''] = /\((.*)\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    return { name, state };
  } catch {
    return null;
  }
}
