/** What stands in the way of a hand-off, and what can be done about it: with the pointer, and with the keyboard alone. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addProcess, removeProcess, setFaults } from '../../core/src/linux/simulated/edit.js';
import { editModel, readModel } from '../../core/src/linux/simulated/model.js';
import type { PublishedOperation } from '../bus/support-helper.js';
import { type GnomeOptions, type GnomeSession, OURS, type Seen, startGnome } from './rig/gnome.js';
import { button, glance, openQuickSettings, openTile, words } from './support.js';

const DGPU = '0000:01:00.0';

/** The user may end what is his own, and not hand a card off. */
const NO_HAND_OFF = `polkit.addRule(function (action, subject) {
  if (action.id === 'io.github.gpuhandoff.hand-off') return polkit.Result.NO;
  if (action.id.indexOf('io.github.gpuhandoff.') === 0 && subject.user === 'tester') return polkit.Result.YES;
});
`;

function bottom(one: Seen | undefined): number {
  if (one === undefined) throw new Error('it is not on the screen');
  return one.y + one.height;
}

/** Blender does not end when it is asked to. */
function stubborn(dir: string): void {
  editModel(dir, 'processes', (processes) => {
    for (const one of processes) if (one.comm === 'blender') one.onTerm = 'ignores';
  });
}

describe('a card in use', () => {
  let shell: GnomeSession;
  const start = async (helper: GnomeOptions['helper'] = {}): Promise<void> => {
    shell = await startGnome({ helper });
    await glance(shell, 'held');
    await openTile(shell);
    await shell.see({ name: 'blender', role: 'label' });
  };
  const processOf = (comm: string): number | undefined =>
    readModel(shell.helperBus.dir, 'processes').find((one) => one.comm === comm && one.until === undefined)
      ?.pid;
  // What is written now is noticed; what it says comes about later, and is not.
  const soon = (): number => Date.now() + 500;
  const past = (moment: number): Promise<true> =>
    shell.waitFor('that moment', async () => Date.now() > moment);
  afterEach(async () => {
    const complaints = shell.complaints();
    await shell.stop();
    expect(complaints).toEqual([]);
  });

  describe('by an app that closes when it is asked', () => {
    beforeEach(() => start());

    it('is handed off after who is in the way was named and closed', async () => {
      await shell.click(button('do.hand-off', { vm: 'win11' }));
      await shell.see({ name: /blender/, role: 'label', within: 'gpu-handoff-block' });
      await shell.settled();
      await shell.screenshot('holders-ask');
      await shell.click(button('do.close-all'));
      await glance(shell, 'vm');
    });

    it('is handed off where the app that was named has gone meanwhile', async () => {
      await shell.click(button('do.hand-off', { vm: 'win11' }));
      await shell.see(button('do.close-all'));
      const until = soon();
      editModel(shell.helperBus.dir, 'processes', (processes) => {
        for (const one of processes) if (one.comm === 'blender') one.until = until;
      });
      await past(until);
      await shell.click(button('do.close-all'));
      await glance(shell, 'vm');
    });

    it('is not handed off by closing another app than the one that was named', async () => {
      await shell.click(button('do.hand-off', { vm: 'win11' }));
      await shell.see(button('do.close-all'));
      const from = soon();
      addProcess(shell.helperBus.dir, { comm: 'ffmpeg', uid: 1000, opens: [{ card: DGPU }], from });
      await past(from);
      await shell.click(button('do.close-all'));
      await shell.see({ name: /ffmpeg/, role: 'label', within: 'gpu-handoff-block' });
      await shell.settled();
      await shell.screenshot('holders-another');
      expect([processOf('blender'), processOf('ffmpeg')]).not.toContain(undefined);
    });

    it('is handed off and taken back with the keyboard alone', async () => {
      const reach = (name: string): Promise<true> =>
        shell.waitFor(`the focus on ${name}`, async () => {
          if ((await shell.focus())?.name === name) return true;
          await shell.key('Tab');
          return false;
        });
      await shell.key('Down');
      await reach(words('do.close-named', { name: 'blender' }));
      await shell.key('space');
      await shell.seeNo({ name: 'blender', role: 'label' });
      await reach(words('do.hand-off', { vm: 'win11' }));
      await shell.screenshot('holders-focus');
      await shell.key('Return');
      await glance(shell, 'vm');
      await reach(words('do.take-back', { vm: 'win11' }));
      await shell.key('Return');
      await shell.see(button('do.hand-off', { vm: 'win11' }));
    });

    it('stays as it is at a key that means nothing there', async () => {
      await shell.key('Down');
      await shell.key('x');
      await shell.settled();
      await shell.see(button('do.hand-off', { vm: 'win11' }));
      expect(processOf('blender')).toBeDefined();
    });

    it('tells of the end where the menu is closed meanwhile', async () => {
      setFaults(shell.helperBus.dir, { waits: { act: 'start-vm' } });
      await shell.click(button('do.close-named', { name: 'blender' }));
      await shell.seeNo({ name: 'blender', role: 'label' });
      await shell.click(button('do.hand-off', { vm: 'win11' }));
      await shell.closeEverything();
      setFaults(shell.helperBus.dir, {});
      await shell.see({ style: 'notification-banner' });
      await shell.screenshot('holders-told');
      await glance(shell, 'vm');
    });

    it('stays here where the hand-off is cancelled', async () => {
      setFaults(shell.helperBus.dir, { waits: { act: 'block-modules' } });
      await shell.click(button('do.close-named', { name: 'blender' }));
      await shell.seeNo({ name: 'blender', role: 'label' });
      await shell.click(button('do.hand-off', { vm: 'win11' }));
      await shell.click(button('do.cancel'));
      setFaults(shell.helperBus.dir, { slow: 1000 });
      await shell.see(button('do.hand-off', { vm: 'win11' }));
      expect((await (await shell.helperBus.as('tester')).operation()).state).toBe('cancelled');
    });

    it('says what failed and what to do, and forgets it when that was read', async () => {
      setFaults(shell.helperBus.dir, { virsh: { start: 'no room for the VM' } });
      await shell.click(button('do.close-named', { name: 'blender' }));
      await shell.seeNo({ name: 'blender', role: 'label' });
      await shell.click(button('do.hand-off', { vm: 'win11' }));
      await shell.see({ name: words('desk.failed.hand-off'), role: 'label' });
      await shell.see({ name: /no room for the VM/, role: 'label' });
      await shell.settled();
      await shell.screenshot('holders-failed');
      await shell.click(button('do.dismiss'));
      await shell.seeNo({ name: words('desk.failed.hand-off') });
    });
  });

  it('by thirty asks where it can be read, however long the list is', async () => {
    shell = await startGnome({ helper: { scenario: 'many-holders' } });
    await glance(shell, 'held');
    await openTile(shell);
    await shell.click(button('do.hand-off', { vm: 'win11' }));
    await shell.see(button('do.close-all'));
    await shell.settled();
    await shell.screenshot('holders-ask-of-many');
    const list = await shell.see({ style: 'gpu-handoff-scroll' });
    const asked = await shell.see(button('do.close-all'));
    expect(asked.y).toBeGreaterThan(list.y);
    expect(asked.y + asked.height).toBeLessThan(list.y + list.height);
  });

  it('by an app that will not close says so in its row, and can be freed by force', async () => {
    await start({ prepare: stubborn });
    await shell.click(button('do.close-named', { name: 'blender' }));
    await shell.see(button('do.force-named', { name: 'blender' }), 45_000);
    await shell.settled();
    await shell.screenshot('holders-refused');
    await shell.click(button('do.force-named', { name: 'blender' }));
    await shell.seeNo({ name: 'blender', role: 'label' });
  });

  it('keeps its app where the hand-off is not allowed', async () => {
    await start({ rules: NO_HAND_OFF });
    await shell.click(button('do.hand-off', { vm: 'win11' }));
    await shell.click(button('do.close-all'));
    await shell.see({ name: words('desk.failed.hand-off'), role: 'label' });
    await shell.settled();
    await shell.screenshot('holders-not-allowed');
    expect(processOf('blender')).toBeDefined();
    await shell.see(button('do.close-named', { name: 'blender' }));
  });

  it('shows who is being closed before a hand-off, which can go on by force', async () => {
    await start({ prepare: stubborn });
    await shell.click(button('do.hand-off', { vm: 'win11' }));
    await shell.click(button('do.close-all'));
    await shell.see({ style: 'gpu-handoff-step-title', name: /blender/ });
    await shell.screenshot('holders-closing');
    await shell.see(button('do.force-all'), 45_000);
    await shell.click(button('do.force-all'));
    await glance(shell, 'vm');
  });
});

describe('a notification that a VM waits for the card', () => {
  let shell: GnomeSession;
  /** The hand-off comes from elsewhere, and its operation is what was heard last. */
  let operation: () => Promise<PublishedOperation>;
  const start = async (prepare?: (dir: string) => void): Promise<void> => {
    shell = await startGnome({ helper: prepare === undefined ? {} : { prepare } });
    await glance(shell, 'held');
    const tester = await shell.helperBus.as('tester');
    operation = () => tester.operation();
    await tester.call('HandOff', 'win11');
    // Its buttons come with the pointer.
    await shell.hover({ style: 'notification-banner' });
    await shell.see({ ...CLOSE_ALL, within: 'notification-banner' });
  };
  const CLOSE_ALL = button('do.close-all');
  const isRunning = (comm: string): boolean =>
    readModel(shell.helperBus.dir, 'processes').some((one) => one.comm === comm && one.until === undefined);
  /** Somebody else holds the card now than when it was told. */
  const ffmpegInstead = (): void => {
    const { dir } = shell.helperBus;
    for (const one of readModel(dir, 'processes')) if (one.comm === 'blender') removeProcess(dir, one.pid);
    addProcess(dir, { comm: 'ffmpeg', uid: 1000, opens: [{ card: DGPU }] });
  };
  afterEach(async () => {
    const complaints = shell.complaints();
    await shell.stop();
    expect(complaints).toEqual([]);
  });

  it('closes the app that it named and hands the card off', async () => {
    await start();
    await shell.click(CLOSE_ALL);
    await glance(shell, 'vm');
  });

  it('says nothing more while that app is being closed', async () => {
    await start(stubborn);
    await shell.click(CLOSE_ALL);
    await shell.waitFor('the app being closed', async () => (await operation()).kind === 'end-holders');
    await shell.settled();
    expect(await shell.find({ style: 'notification-banner' })).toEqual([]);
  });

  it('closes nobody whom it did not name, and asks instead', async () => {
    await start();
    ffmpegInstead();
    await shell.click(CLOSE_ALL);
    await shell.see({ name: /ffmpeg/, role: 'label', within: 'gpu-handoff-block' });
    await shell.settled();
    await shell.screenshot('holders-asks-instead');
    expect(isRunning('ffmpeg')).toBe(true);
    expect(await shell.find(CLOSE_ALL)).toHaveLength(1);
    await shell.click(CLOSE_ALL);
    await glance(shell, 'vm');
  });

  it('asks also where there is no tile', async () => {
    await start();
    const schemas = `/home/tester/.local/share/gnome-shell/extensions/${OURS.uuid}/schemas`;
    const schema = 'org.gnome.shell.extensions.gpu-handoff';
    await shell.must(['gsettings', '--schemadir', schemas, 'set', schema, 'tile', 'false']);
    ffmpegInstead();
    await shell.click(CLOSE_ALL);
    await shell.see({ name: /ffmpeg/, role: 'label', within: 'gpu-handoff-block' });
    await shell.settled();
    await shell.screenshot('holders-asks-without-tile');
    const [menu] = await shell.find({ style: 'quick-toggle-menu' });
    const [around] = await shell.find({ style: 'quick-settings' });
    expect(bottom(menu)).toBeLessThan(bottom(around));
    await shell.closeEverything();
    await openQuickSettings(shell);
    expect(await shell.find({ style: 'gpu-handoff-tile' })).toEqual([]);
  });
});
