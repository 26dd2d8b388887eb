/** The way of the card to a VM and back, as a person goes it with the pointer. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { setFaults } from '../../core/src/linux/simulated/edit.js';
import { readModel } from '../../core/src/linux/simulated/model.js';
import { type GnomeSession, startGnome } from './rig/gnome.js';
import { button, glance, openTile } from './support.js';

describe('the way of the card', () => {
  let shell: GnomeSession;
  beforeAll(async () => {
    shell = await startGnome();
  });
  afterAll(() => shell?.stop());
  afterEach(() => {
    expect(shell.complaints()).toEqual([]);
  });

  const running = (comm: string): boolean =>
    readModel(shell.helperBus.dir, 'processes').some((one) => one.comm === comm && one.until === undefined);

  it('shows the card, its state and who uses it', async () => {
    await glance(shell, 'held');
    await openTile(shell);
    await shell.see({ name: 'blender', role: 'label' });
    await shell.see(button('do.stop-named', { name: 'nvidia-powerd' }));
    await shell.screenshot('use-1-held');
  });

  it('closes a holder', async () => {
    await shell.click(button('do.close-named', { name: 'blender' }));
    await shell.seeNo({ name: 'blender', role: 'label' });
    expect(running('blender')).toBe(false);
  });

  it('hands the card to the VM, step by step', async () => {
    setFaults(shell.helperBus.dir, { waits: { act: 'unload-module', module: 'nvidia_modeset' } });
    await shell.click(button('do.hand-off', { vm: 'win11' }));
    await glance(shell, 'switching');
    await shell.see(button('do.cancel'));
    await shell.see({ style: 'gpu-handoff-step-title', nth: 2 });
    await shell.screenshot('use-2-progress');
    setFaults(shell.helperBus.dir, {});
    await glance(shell, 'vm');
    await shell.see(button('do.take-back', { vm: 'win11' }));
    await shell.screenshot('use-3-vm');
    expect(readModel(shell.helperBus.dir, 'machines').find((one) => one.name === 'win11')?.running).toBe(
      true,
    );
  });

  it('takes it back', async () => {
    await shell.click(button('do.take-back', { vm: 'win11' }));
    await shell.see(button('do.hand-off', { vm: 'win11' }));
    await shell.screenshot('use-4-back');
  });
});
