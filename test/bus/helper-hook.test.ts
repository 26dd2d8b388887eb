import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MANAGER } from '../../core/src/contract.js';
import { editModel } from '../../core/src/linux/simulated/model.js';
import { uuidOf } from '../../core/src/linux/simulated/people.js';
import { REPO } from '../rig/repo.js';
import type { RunResult } from './rig/sandbox.js';
import { PLACES } from './rig/session.js';
import { type Caller, type HelperBus, startHelperBus, withoutHolders } from './support-helper.js';

const CARD = '0000:01:00.0';
const HOOK = '/etc/libvirt/hooks/qemu.d/gpu-handoff';
const FILES = {
  [HOOK]: { content: readFileSync(join(REPO, 'polkit/hook/gpu-handoff'), 'utf8'), mode: '755' },
};

/** A domain as libvirt writes it. */
function domain(name: string, functions: readonly number[], more = ''): string {
  const devices = functions.map(
    (fn) => `    <hostdev mode='subsystem' type='pci' managed='yes'>
      <driver name='vfio'/>
      <source>
        <address domain='0x0000' bus='0x01' slot='0x00' function='0x${fn}'/>
      </source>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </hostdev>`,
  );
  return `<domain type='kvm'>
  <name>${name}</name>
  <uuid>${uuidOf('win11')}</uuid>
  <memory unit='KiB'>8388608</memory>
  ${more}
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
${devices.join('\n')}
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/></source></hostdev>
  </devices>
</domain>
`;
}

/** Calls the hook as libvirt does. */
function hook(helper: HelperBus, words: readonly string[], xml: string): Promise<RunResult> {
  return helper.bus.run([HOOK, 'win11', ...words], { stdin: xml });
}

describe('libvirt’s hook', () => {
  let helper: HelperBus;
  let alice: Caller;
  beforeAll(async () => {
    helper = await startHelperBus({
      sys: true,
      files: FILES,
      prepare: (dir) => {
        withoutHolders(dir);
        mkdirSync(join(dir, 'sys/fs/cgroup'), { recursive: true });
      },
    });
    // Without it `busctl status`, by which the hook tells a refusal from an absent helper, fails.
    const mounted = await helper.bus.run(['mount', '-t', 'cgroup2', 'none', '/sys/fs/cgroup']);
    expect(mounted.stderr).toBe('');
    alice = await helper.as('alice');
  });
  afterAll(() => helper?.stop());

  it.each([
    ['has no devices of the host', ['prepare', 'begin', '-'], domain('other', [])],
    ['starts by now', ['started', 'begin', '-'], domain('win11', [0, 1])],
  ])('does not even ask the helper about a guest that %s', async (_what, words, xml) => {
    expect(await hook(helper, words, xml)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await helper.bus.owner(MANAGER.name)).toBeUndefined();
  });

  it.each([
    ['win11', ''],
    ['w'.repeat(200), ''],
    ['it&apos;s &quot;win&quot; $(reboot) `id` \\n', ''],
    ['win11', `<description>${'a'.repeat(3_000)}</description>`],
  ])('frees the card before the guest %.20s starts, and gives it back', async (name, more) => {
    const xml = domain(name, [0, 1], more);
    expect(await hook(helper, ['prepare', 'begin', '-'], xml)).toEqual({ code: 0, stdout: '', stderr: '' });
    // libvirt gets its answer first, and the machine is looked at again then.
    await expect.poll(() => alice.card(CARD)).toMatchObject({ state: 'switching', driver: '' });
    expect(await hook(helper, ['release', 'end', 'failed'], xml)).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
    expect(await alice.card(CARD)).toMatchObject({ state: 'host', driver: 'nvidia' });
  });

  it('keeps a guest from starting while somebody holds the card, and says who in one line', async () => {
    editModel(helper.dir, 'processes', (processes) => {
      processes.push({ pid: 4300, comm: 'player', opens: [{ card: CARD, kind: 'render' }] });
    });
    expect(await hook(helper, ['prepare', 'begin', '-'], domain('win11', [0, 1]))).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'GeForce RTX 4070 Max-Q / Mobile is held by player (process 4300, ada): ' +
        'close what holds it, or run “gpu-handoff end-holders”.\n',
    });
    expect(await alice.card(CARD)).toMatchObject({ state: 'host', driver: 'nvidia' });
    expect(await hook(helper, ['release', 'end', 'failed'], domain('win11', [0, 1]))).toMatchObject({
      code: 0,
    });
    withoutHolders(helper.dir);
    editModel(helper.dir, 'processes', (processes) => processes.splice(0));
  });

  it('fails no guest that runs or has ended, whatever is the matter', async () => {
    const broken = domain('win11', [0, 1]).replace('<uuid>', '<uuid>x');
    for (const words of [
      ['release', 'end', 'shutdown'],
      ['reconnect', 'begin', '-'],
    ])
      expect(await hook(helper, words, broken)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await hook(helper, ['prepare', 'begin', '-'], broken)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'The argument domain is not valid: the domain has no valid UUID\n',
    });
  });
});

describe('libvirt’s hook without a helper', () => {
  it('keeps the card with the host and says where to look', async () => {
    const helper = await startHelperBus({
      prepare: withoutHolders,
      sys: true,
      files: {
        ...FILES,
        [`${PLACES.activation}/${MANAGER.name}.service`]: '[D-BUS Service]\nName=x.y\nExec=/bin/false\n',
      },
    });
    expect(await hook(helper, ['prepare', 'begin', '-'], domain('win11', [0, 1]))).toEqual({
      code: 1,
      stdout: '',
      stderr:
        "GPU Handoff's helper did not answer, so the card was left with the host: " +
        'see "journalctl -u gpu-handoff".\n',
    });
    expect(await hook(helper, ['release', 'end', 'shutdown'], domain('win11', [0, 1]))).toMatchObject({
      code: 0,
    });
    expect(await hook(helper, ['prepare', 'begin', '-'], domain('other', []))).toMatchObject({ code: 0 });
    await helper.stop();
  });
});
