/** The helper crashes, goes and comes in every state; the extension goes and comes. Nobody complains, nothing is left. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JOURNAL_VERSION } from '../../core/src/journal.js';
import { addProcess, removeProcess, setFaults, setGuest } from '../../core/src/linux/simulated/edit.js';
import { type Caller, withoutHolders } from '../bus/support-helper.js';
import { type GnomeSession, startGnome } from './rig/gnome.js';
import { MAY_SLEEP, sleep } from './rig/sleep.js';
import { button, glance, openTile, words } from './support.js';

const DGPU = '0000:01:00.0';

describe('the helper', () => {
  let shell: GnomeSession;
  beforeEach(async () => {
    shell = await startGnome();
    await glance(shell, 'held');
  });
  afterEach(async () => {
    const complaints = shell.complaints();
    await shell.stop();
    expect(complaints).toEqual([]);
  });

  /** Hands the card to the VM, from elsewhere. */
  async function handOff(): Promise<Caller> {
    const tester = await shell.helperBus.as('tester');
    await tester.call('EndHolders', DGPU, []);
    await shell.waitFor('nobody in the way', async () => (await tester.operation()).state === 'done');
    await tester.call('HandOff', 'win11');
    return tester;
  }

  /** Crash, and the same state again; then away, and back. */
  async function survive(shape: string): Promise<void> {
    await shell.killHelper();
    await glance(shell, shape);
    await shell.removeHelper();
    await glance(shell, 'unavailable');
    await shell.see({ name: words('desk.absent'), style: 'quick-toggle-subtitle' });
    expect(await shell.find({ style: 'gpu-handoff-holder' })).toEqual([]);
    await shell.installHelper();
    await glance(shell, shape);
  }

  it('may crash and go while the card is at home', async () => {
    await openTile(shell);
    await shell.see({ name: 'blender', role: 'label' });
    await survive('held');
    await shell.see({ name: 'blender', role: 'label' });
  });

  it('may crash and go while a VM has the card', async () => {
    await handOff();
    await glance(shell, 'vm');
    await openTile(shell);
    await survive('vm');
    await shell.see(button('do.take-back', { vm: 'win11' }));
  });

  it('may crash in the middle of a hand-off, which is then undone', async () => {
    await openTile(shell);
    const waits = [
      { act: 'unload-module', module: 'nvidia_modeset' } as const,
      { act: 'load-modules' } as const,
    ];
    setFaults(shell.helperBus.dir, { waits });
    const tester = await handOff();
    await glance(shell, 'switching');
    // In the middle of an act the simulated kernel would be torn, which a real one never is.
    await shell.waitFor('the step that waits', async () =>
      (await tester.operation()).steps.some(
        (step) => /nvidia_modeset/.test(step.id) && step.state === 'running',
      ),
    );
    await shell.killHelper();
    // Who looks on is told that it is being undone, not only when it is.
    await shell.see({ style: 'gpu-handoff-step-title', nth: 1 });
    await shell.screenshot('life-undoing');
    setFaults(shell.helperBus.dir, {});
    await shell.see(button('do.hand-off', { vm: 'win11' }));
    await shell.screenshot('life-after-crash');
  });

  it('is left alone when it ends again and again, until the user asks', async () => {
    await openTile(shell);
    for (let i = 0; i < 3; i++) {
      await glance(shell, 'held');
      await shell.killHelper();
    }
    await shell.see({ name: words('desk.lost'), style: 'quick-toggle-subtitle' });
    await shell.settled();
    await shell.screenshot('life-lost');
    await shell.click(button('do.try-again'));
    await glance(shell, 'held');
  });
});

/** Where the simulated helper keeps its notes. */
const NOTES = 'run/gpu-handoff';

describe('a helper that comes back', () => {
  it.each(['stuck', 'detached'])('shows a card that is %s', async (shape) => {
    const shell = await startGnome({ helper: { prepare: withoutHolders } });
    const { dir } = shell.helperBus;
    try {
      await openTile(shell);
      await shell.click(button('do.hand-off', { vm: 'win11' }));
      await glance(shell, 'vm');
      // What a write that never returns leaves, or a VM that was lost while nobody looked.
      if (shape === 'stuck') {
        const bootId = readFileSync(join(dir, 'proc/sys/kernel/random/boot_id'), 'utf8').trim();
        const note = { version: JOURNAL_VERSION, bootId, card: DGPU, what: 'vfio-pci/unbind' };
        writeFileSync(join(dir, NOTES, `stuck-${DGPU.replace(/[:.]/g, '-')}.json`), JSON.stringify(note));
      } else {
        shell.helperBus.guests((guests) => {
          for (const guest of guests) Object.assign(guest, { running: false, pid: null });
        });
        rmSync(join(dir, NOTES), { recursive: true });
      }
      await shell.killHelper();
      await glance(shell, shape);
      await shell.settled();
      await shell.screenshot(`life-${shape}`);
      expect(shell.complaints()).toEqual([]);
    } finally {
      await shell.stop();
    }
  });
});

describe('what nobody tells the helper', () => {
  const ended = async (shell: GnomeSession): Promise<void> => {
    const complaints = shell.complaints();
    await shell.stop();
    expect(complaints).toEqual([]);
  };

  it('is seen when the machine has slept', async () => {
    const shell = await startGnome({ helper: { files: MAY_SLEEP } });
    const { dir } = shell.helperBus;
    const ffmpeg = { comm: 'ffmpeg', uid: 1000, opens: [{ card: DGPU }] };
    try {
      await openTile(shell);
      await shell.see({ name: 'blender', role: 'label' });
      await sleep(shell.helperBus, () => {
        withoutHolders(dir);
        addProcess(dir, { ...ffmpeg, pid: 7100 });
      });
      await shell.see({ name: 'ffmpeg', role: 'label' });
      expect(await shell.find({ name: 'blender', role: 'label' })).toEqual([]);
      removeProcess(dir, 7100);
      await (await shell.helperBus.as('tester')).call('HandOff', 'win11');
      await shell.see(button('do.take-back', { vm: 'win11' }));
      await sleep(shell.helperBus, () => {
        setGuest(dir, 'win11', { request: 'destroy' });
        addProcess(dir, ffmpeg);
      });
      await glance(shell, 'held');
      await shell.see({ name: 'ffmpeg', role: 'label' });
      await shell.see(button('do.hand-off', { vm: 'win11' }));
    } finally {
      await ended(shell);
    }
  });

  it('is seen when an app comes, and with it a card wakes up', async () => {
    const entry = '[Desktop Entry]\nType=Application\nName=App\nExec=app\n';
    const files = { '.local/share/applications/rig.App.desktop': entry };
    const shell = await startGnome({ helper: { scenario: 'desktop-amd' }, files });
    try {
      await glance(shell, 'asleep');
      // What is written now is noticed; what it says comes about later, and is not.
      const from = Date.now() + 500;
      addProcess(shell.helperBus.dir, { comm: 'ffmpeg', uid: 1000, opens: [{ card: '0000:03:00.0' }], from });
      await shell.waitFor('that moment', async () => Date.now() > from);
      const argv = ['gjs', '-m', '/gpu-handoff/rig/app.js', 'rig.App'];
      shell.room.spawn(argv, { env: { WAYLAND_DISPLAY: 'wayland-0' } });
      await glance(shell, 'held');
    } finally {
      await ended(shell);
    }
  });
});

describe('the extension', () => {
  it('leaves nothing behind after a hundred lives', async () => {
    const shell = await startGnome();
    try {
      const connections = async (): Promise<number> => {
        const { stdout } = await shell.helperBus.bus.run(['busctl', 'list', '--unique', '--no-legend']);
        return stdout.split('\n').filter((line) => line.includes('gnome-shell')).length;
      };
      const lives = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) {
          await shell.enable(true);
          await shell.enable(false);
        }
      };
      // What is made once and kept, such as modules, is there after the first.
      await lives(10);
      const before = { ...(await shell.leftovers()), connections: await connections() };
      await lives(100);
      const after = { ...(await shell.leftovers()), connections: await connections() };
      expect(after.actors).toBe(before.actors);
      expect(after.connections).toBe(before.connections);
      // Some of the shell's own come and go, and more of them where it has much to do.
      let { sources } = after;
      await shell.waitFor(
        () => `no more than ${before.sources} sources and a few, of ${sources}`,
        async () => {
          sources = (await shell.leftovers()).sources;
          return sources <= before.sources + 5;
        },
      );
      expect((after.heap - before.heap) / 100).toBeLessThan(20_000);
      await shell.enable(true);
      await glance(shell, 'held');
      expect(shell.complaints()).toEqual([]);
    } finally {
      await shell.stop();
    }
  });
});
