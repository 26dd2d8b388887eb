/** What stands in the way of a hand-off, and what can be done about it: with the pointer, and with the keyboard alone. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { setFaults } from '../../core/src/linux/simulated/edit.js';
import { editModel } from '../../core/src/linux/simulated/model.js';
import { type GnomeSession, startGnome } from './rig/gnome.js';
import { button, glance, openTile, words } from './support.js';

/** Blender does not end when it is asked to. */
function stubborn(dir: string): void {
  editModel(dir, 'processes', (processes) => {
    for (const one of processes) if (one.comm === 'blender') one.onTerm = 'ignores';
  });
}

describe('a card in use', () => {
  let shell: GnomeSession;
  const start = async (prepare?: (dir: string) => void): Promise<void> => {
    shell = await startGnome(prepare === undefined ? {} : { helper: { prepare } });
    await glance(shell, 'held');
    await openTile(shell);
    await shell.see({ name: 'blender', role: 'label' });
  };
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
    await start(stubborn);
    await shell.click(button('do.close-named', { name: 'blender' }));
    await shell.see(button('do.force-named', { name: 'blender' }), 45_000);
    await shell.settled();
    await shell.screenshot('holders-refused');
    await shell.click(button('do.force-named', { name: 'blender' }));
    await shell.seeNo({ name: 'blender', role: 'label' });
  });
});
