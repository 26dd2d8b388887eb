import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Running } from './rig/sandbox.js';
import { type Caller, type HelperBus, refusal, startHelperBus, withoutHolders } from './support-helper.js';

const CARD = '0000:01:00.0';
const CARD_NAME = 'GeForce RTX 4070 Max-Q / Mobile';
const INTERACTIVE = { interactive: true } as const;

/** An agent that only says what it is told: pkttyagent, once it waits for a password, hears nothing. */
const AGENT = `
import os, sys
import dbus, dbus.mainloop.glib, dbus.service
from gi.repository import GLib

IFACE = 'org.freedesktop.PolicyKit1.AuthenticationAgent'

class Agent(dbus.service.Object):
    @dbus.service.method(IFACE, in_signature='sssa{ss}saa{sv}', async_callbacks=('done', 'failed'))
    def BeginAuthentication(self, action, message, icon, details, cookie, identities, done, failed):
        print('begin', action)

    @dbus.service.method(IFACE, in_signature='s')
    def CancelAuthentication(self, cookie):
        print('cancel')

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus()
agent = Agent(bus, '/agent')
pid = int(sys.argv[1])
start = int(open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[19])
subject = ('unix-process', {
    'pid': dbus.UInt32(pid), 'start-time': dbus.UInt64(start), 'uid': dbus.Int32(os.getuid()),
})
polkit = bus.get_object('org.freedesktop.PolicyKit1', '/org/freedesktop/PolicyKit1/Authority')
AUTHORITY = 'org.freedesktop.PolicyKit1.Authority'
polkit.RegisterAuthenticationAgent(subject, 'C', '/agent', dbus_interface=AUTHORITY)
print('registered')
GLib.MainLoop().run()
`;

describe('a dialog', () => {
  let helper: HelperBus;
  let alice: Caller;
  beforeAll(async () => {
    helper = await startHelperBus({ prepare: withoutHolders });
    alice = await helper.as('alice');
    await alice.hear();
  });
  afterAll(() => helper?.stop());

  const agentFor = (caller: Caller, password: string): Promise<Running> =>
    helper.bus.agent({ user: 'tester', subject: { busName: caller.name }, password });

  async function pidOf(caller: Caller): Promise<string> {
    const found = await helper.bus.run([
      ...['busctl', '--system', 'call', 'org.freedesktop.DBus', '/org/freedesktop/DBus'],
      ...['org.freedesktop.DBus', 'GetConnectionUnixProcessID', 's', caller.name],
    ]);
    return found.stdout.trim().replace('u ', '');
  }

  /** An agent that shows its question and leaves the answer to the test. */
  async function silentAgentFor(caller: Caller): Promise<Running> {
    const agent = helper.bus.terminal(
      ['pkttyagent', '--notify-fd', '@NOTIFY@', '--process', await pidOf(caller)],
      {
        user: 'tester',
        notify: true,
      },
    );
    await agent.waitFor(/^READY$/m);
    return agent;
  }

  async function home(): Promise<void> {
    const id = (await alice.call('TakeBack', CARD)) as string;
    expect(await alice.over(id)).toMatchObject({ state: 'done' });
  }

  it('names the VM and the card, and with the right password the hand-off begins', async () => {
    const tester = await helper.as('tester');
    const agent = await agentFor(tester, 'tester');
    const id = (await tester.call('HandOff', 'win11', INTERACTIVE)) as string;
    expect(agent.stdout).toContain(
      `Authentication is required to hand ${CARD_NAME} to the virtual machine “win11”`,
    );
    expect(await alice.over(id)).toMatchObject({ state: 'done', 'vm-name': 'win11', user: 'ada' });
    await agent.kill();
    await home();
  });

  it('names them also where the VM is forced off', async () => {
    await alice.over((await alice.call('HandOff', 'win11')) as string);
    const tester = await helper.as('tester');
    const agent = await agentFor(tester, 'tester');
    const id = (await tester.call('TakeBack', CARD, { force: true, ...INTERACTIVE })) as string;
    expect(agent.stdout).toContain(
      `Authentication is required to force the virtual machine “win11” off and take ${CARD_NAME} back`,
    );
    expect(await alice.over(id)).toMatchObject({ state: 'done' });
    await agent.kill();
  });

  it('with a wrong password is a no', async () => {
    const tester = await helper.as('tester');
    const agent = await agentFor(tester, 'wrong');
    const before = await alice.operation();
    const fault = await refusal(tester.call('HandOff', 'win11', INTERACTIVE));
    expect(fault.error).toBe('io.github.gpuhandoff.Error.NotAuthorized');
    expect(fault.message).toBe('You are not authorized to hand a graphics card to a VM.');
    expect(await alice.operation()).toEqual(before);
    await agent.kill();
  });

  it('is not shown without the option', async () => {
    const tester = await helper.as('tester');
    const agent = await agentFor(tester, 'tester');
    expect((await refusal(tester.call('HandOff', 'win11'))).error).toMatch(/NotAuthorized$/);
    expect(agent.stdout).not.toContain('Authentication is required');
    await agent.kill();
  });

  it('takes no slot: others work while it is open', async () => {
    const tester = await helper.as('tester');
    const agent = await silentAgentFor(tester);
    const asked = tester.call('HandOff', 'win11', INTERACTIVE).catch(() => {});
    await agent.waitFor(/Password: /);
    const id = (await alice.call('HandOff', 'win11')) as string;
    expect(await alice.over(id)).toMatchObject({ state: 'done' });
    await home();
    // The answer comes at last, and counts.
    agent.write('tester\n');
    const late = (await asked) as string;
    expect(await alice.over(late)).toMatchObject({ state: 'done', user: 'ada' });
    await home();
    await agent.kill();
  });

  it('answered while another operation runs is told so', async () => {
    const tester = await helper.as('tester');
    const agent = await silentAgentFor(tester);
    const asked = refusal(tester.call('HandOff', 'win11', INTERACTIVE));
    await agent.waitFor(/Password: /);
    // The guest does not obey, so taking back goes on until it is cancelled.
    await alice.over((await alice.call('HandOff', 'win11')) as string);
    helper.guests((guests) => {
      for (const guest of guests) guest.onShutdown = 'ignores';
    });
    const id = (await alice.call('TakeBack', CARD)) as string;
    agent.write('tester\n');
    expect((await asked).error).toBe('io.github.gpuhandoff.Error.Busy');
    await alice.call('Cancel', id);
    expect(await alice.over(id)).toMatchObject({ state: 'cancelled' });
    helper.guests((guests) => {
      for (const guest of guests) guest.onShutdown = 'obeys';
    });
    await home();
    await agent.kill();
  });

  it('is closed when its caller leaves', async () => {
    const tester = await helper.as('tester');
    const agent = helper.bus.spawn(['python3', '-u', '-c', AGENT, `${await pidOf(tester)}`], {
      user: 'tester',
    });
    await agent.waitFor(/^registered$/m);
    tester.call('HandOff', 'win11', INTERACTIVE).catch(() => {});
    await agent.waitFor(/^begin io.github.gpuhandoff.hand-off$/m);
    expect(agent.stdout).not.toContain('cancel');
    // This polkitd notices by itself, older ones do not.
    const rule = "interface='org.freedesktop.PolicyKit1.Authority',member='CancelCheckAuthorization'";
    const monitor = helper.bus.spawn(['dbus-monitor', '--system', rule]);
    await monitor.waitFor(/NameAcquired|NameLost/);
    tester.leave();
    await agent.waitFor(/^cancel$/m);
    await monitor.waitFor(/member=CancelCheckAuthorization\n +string "gpu-handoff-/);
    await Promise.all([agent.kill(), monitor.kill()]);
  });
});
