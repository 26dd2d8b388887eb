/**
 * libvirt's QEMU driver, as far as a hand-off meets it: the order of its hooks, what it does with managed
 * host devices before a guest starts and after it ended, and the words in which it fails.
 */
import type { Address, VirtualMachine } from '../../facts.js';
import { ActError } from '../../machine.js';
import { type FunctionSpec, functionAt, isBridge, requireFunction } from './hardware.js';
import { mayHang, overrideBySysfs, probeBySysfs, unbindBySysfs } from './kernel.js';
import { loadModule } from './kmod.js';
import { alarm, editModel, type GuestModel, readModel } from './model.js';
import { newProcess } from './services.js';
import { driverOf } from './sysfs.js';
import { faultsOf, Hang, SimulatedCrash, specOf, type World } from './world.js';

/**
 * What libvirt tells its hook: the arguments of /etc/libvirt/hooks/qemu, with the domain instead of its XML.
 */
export type Hook = (
  operation: string,
  suboperation: string,
  extra: string,
  domain: VirtualMachine,
) => Promise<void>;

/** What the steps of a start take on a quick machine, in milliseconds. */
const DETACH_MS = 600;
const GIVE_BACK_MS = 400;
const START_MS = 600;
const SHUTDOWN_MS = 3000;
/** How long a caller waits for libvirt while a hook runs. */
const HOOK_PATIENCE_MS = 5000;
/** How long one that wants to change a domain waits for another that does. */
const LOCK_PATIENCE_MS = 30_000;
const LOCK_LOOK_MS = 50;

function domainOf(guest: GuestModel): VirtualMachine {
  const { uuid, name, devices, running } = guest;
  return { uuid, name, devices, running };
}

function words(fault: unknown): string {
  return fault instanceof Error ? (fault.message.split('\n')[0] ?? '') : String(fault);
}

function slowStart(limitMs: number): ActError {
  return new ActError('time', `virsh start took longer than ${Math.round(limitMs / 1000)} s`);
}

/** One libvirt for one directory; every machine over the same directory in this process shares it. */
export class SimulatedLibvirt {
  /** What stands in /etc/libvirt/hooks; null for none. */
  hook: Hook | null = null;
  /** After a crash: the bus starts the helper anew when the next hook asks for it. */
  activate: (() => Promise<void>) | null = null;
  private hooksRunning: Promise<void>[] = [];
  private readonly ending = new Map<string, Promise<void>>();

  /** All domains. Waits while a hook runs, as libvirt does: a hook that asks libvirt waits for itself. */
  async list(world: World): Promise<VirtualMachine[]> {
    this.mayFail(world, 'list');
    if (this.hooksRunning.length > 0) {
      const done = Promise.all(this.hooksRunning).then(() => true);
      const patience = world.clock.sleep(HOOK_PATIENCE_MS).then(() => false);
      if (!(await Promise.race([done, patience]))) {
        alarm(world.dir, 'libvirt was asked while it waited for a hook');
        throw new ActError('time', `libvirt did not answer within ${HOOK_PATIENCE_MS / 1000} s`);
      }
    }
    return readModel(world.dir, 'machines').map(domainOf);
  }

  /** `virsh start`. Given up after `limitMs`, though libvirt itself goes on. */
  async start(world: World, uuid: string, limitMs: number): Promise<void> {
    const { startMs } = this.find(world, uuid);
    const whole = this.startWhole(world, uuid, limitMs);
    if ((startMs ?? 0) <= limitMs) return whole;
    whole.catch((fault) => world.log.line('warning', `libvirt could not start ${uuid}: ${words(fault)}`));
    const tooLong = world.clock.sleep(limitMs).then(() => {
      throw slowStart(limitMs);
    });
    await Promise.race([whole, tooLong]);
  }

  /** The guest when nobody else changes it: libvirt keeps a domain locked while it waits for its hook. */
  private async locked(world: World, uuid: string): Promise<GuestModel> {
    const end = world.clock.now() + LOCK_PATIENCE_MS;
    for (;;) {
      const guest = this.find(world, uuid);
      if (guest.changing !== 'starting' && guest.changing !== 'stopping') return guest;
      if (world.clock.now() >= end)
        throw new ActError('failed', 'Timed out during operation: cannot acquire state change lock');
      await world.clock.sleep(LOCK_LOOK_MS);
    }
  }

  /** Prepare, detach, start, started; whatever fails is undone. */
  private async startWhole(world: World, uuid: string, limitMs: number): Promise<void> {
    this.mayFail(world, 'connect');
    const guest = await this.locked(world, uuid);
    if (guest.running)
      throw new ActError('failed', 'Requested operation is not valid: domain is already running');
    this.change(world, uuid, (g) => {
      g.changing = 'starting';
    });
    const domain: VirtualMachine = { ...domainOf(guest), running: null };
    let extra = 'failed';
    const taken: Address[] = [];
    try {
      try {
        await this.callHook('prepare', 'begin', '-', domain);
      } catch (fault) {
        extra = '-';
        throw new ActError('failed', `Hook script execution failed: ${words(fault)}`);
      }
      this.checkDevices(world, guest);
      await world.pace(guest.devices.length > 0 ? DETACH_MS : 0);
      this.detachDevices(world, guest, taken);
      this.checkGroups(world, guest);
      await this.callHook('start', 'begin', '-', domain);
      if (guest.startMs === undefined) await world.pace(START_MS);
      else await world.clock.sleep(guest.startMs);
      const refusal = faultsOf(world).virsh?.start;
      if (refusal !== undefined) throw new ActError('failed', refusal);
      const { pid, startTicks } = newProcess(world);
      this.change(world, uuid, (g) => {
        Object.assign(g, { running: true, pid, startTicks, offAt: null });
      });
      try {
        await this.callHook('started', 'begin', '-', domain);
      } catch (fault) {
        this.change(world, uuid, (g) => {
          Object.assign(g, { running: false, pid: null });
        });
        throw new ActError('failed', `Hook script execution failed: ${words(fault)}`);
      }
    } catch (fault) {
      // A thread of libvirt that hangs in the kernel never comes to its cleaning up, nor does the domain.
      if (fault instanceof Hang) {
        await world.clock.sleep(limitMs);
        throw slowStart(limitMs);
      }
      await this.callHookUnheard(world, 'stopped', 'end', extra, domain);
      await this.giveBack(world, taken);
      await this.callHookUnheard(world, 'release', 'end', 'failed', domain);
      this.settled(world, uuid);
      throw fault;
    }
    this.settled(world, uuid);
  }

  /** `virsh shutdown`: asks the guest and returns; it goes down later, if it obeys. Done where it is off. */
  async shutdown(world: World, uuid: string): Promise<void> {
    this.mayFail(world, 'shutdown');
    const guest = this.find(world, uuid);
    if (!guest.running || guest.onShutdown === 'ignores' || (guest.offAt ?? null) !== null) return;
    const wait = guest.shutdownMs ?? SHUTDOWN_MS;
    this.change(world, uuid, (g) => {
      g.offAt = world.clock.now() + wait;
    });
    this.endLater(world, uuid, wait);
  }

  /**
   * Takes up what a process that is gone left behind: guests that were going down when it ended, and those
   * that it was starting.
   */
  adopt(world: World): void {
    for (const guest of readModel(world.dir, 'machines')) {
      if (guest.running && typeof guest.offAt === 'number')
        this.endLater(world, guest.uuid, guest.offAt - world.clock.now());
      else if ((guest.changing ?? null) !== null) this.settled(world, guest.uuid);
    }
  }

  private endLater(world: World, uuid: string, ms: number): void {
    void world.clock
      .sleep(Math.max(0, ms))
      .then(() => this.end(world, uuid, 'shutdown'))
      .catch((fault) => world.log.line('error', `libvirt could not end ${uuid}: ${words(fault)}`));
  }

  /** `virsh destroy`: returns after the devices were given back. Done where it is off. */
  async destroy(world: World, uuid: string): Promise<void> {
    this.mayFail(world, 'destroy');
    this.find(world, uuid);
    await this.end(world, uuid, 'destroyed');
  }

  /**
   * A guest is gone: `shutdown`, `destroyed`, `crashed` or `failed`. Resolves when its devices were given
   * back. The results of these hooks are ignored.
   */
  async end(world: World, uuid: string, how: string): Promise<void> {
    const before = this.ending.get(uuid);
    if (before !== undefined) return before;
    const now = this.endWhole(world, uuid, how).finally(() => this.ending.delete(uuid));
    this.ending.set(uuid, now);
    return now;
  }

  /** libvirt's daemon is restarted: it asks its hook about each running guest, and kills those it refuses. */
  async restart(world: World): Promise<void> {
    for (const guest of readModel(world.dir, 'machines').filter((g) => g.running)) {
      try {
        await this.callHook('reconnect', 'begin', '-', { ...domainOf(guest), running: null });
      } catch (fault) {
        world.log.line('warning', `the hook refused at reconnect: ${words(fault)}`);
        await this.end(world, guest.uuid, 'failed');
      }
    }
  }

  private async endWhole(world: World, uuid: string, how: string): Promise<void> {
    const guest = this.find(world, uuid);
    if (!guest.running) return;
    this.change(world, uuid, (g) => {
      Object.assign(g, { running: false, pid: null, offAt: null, changing: 'stopping' });
    });
    const domain: VirtualMachine = { ...domainOf(guest), running: null };
    await this.callHookUnheard(world, 'stopped', 'end', how, domain);
    const managed = guest.devices.filter((d) => d.managed).map((d) => d.address);
    try {
      await this.giveBack(world, managed);
    } finally {
      await this.callHookUnheard(world, 'release', 'end', how, domain);
      this.settled(world, uuid);
    }
  }

  private find(world: World, uuid: string): GuestModel {
    const guest = readModel(world.dir, 'machines').find((g) => g.uuid === uuid);
    if (guest === undefined)
      throw new ActError('gone', `Domain not found: no domain with matching uuid '${uuid}'`);
    return guest;
  }

  private change(world: World, uuid: string, edit: (guest: GuestModel) => void): void {
    editModel(world.dir, 'machines', (guests) => {
      for (const guest of guests) if (guest.uuid === uuid) edit(guest);
    });
  }

  private settled(world: World, uuid: string): void {
    this.change(world, uuid, (g) => {
      g.changing = null;
    });
  }

  private mayFail(world: World, what: 'connect' | 'list' | 'shutdown' | 'destroy'): void {
    const fault = faultsOf(world).virsh;
    const text = fault?.connect ?? fault?.[what];
    if (text !== undefined) throw new ActError('failed', text);
  }

  private async callHook(
    operation: string,
    suboperation: string,
    extra: string,
    domain: VirtualMachine,
  ): Promise<void> {
    const activate = this.activate;
    this.activate = null;
    if (this.hook === null && activate !== null) await activate();
    if (this.hook === null) return;
    let over = (): void => {};
    const waiting = new Promise<void>((resolve) => {
      over = resolve;
    });
    this.hooksRunning.push(waiting);
    try {
      await this.hook(operation, suboperation, extra, domain);
    } finally {
      this.hooksRunning = this.hooksRunning.filter((one) => one !== waiting);
      over();
    }
  }

  private async callHookUnheard(
    world: World,
    operation: string,
    suboperation: string,
    extra: string,
    domain: VirtualMachine,
  ): Promise<void> {
    try {
      await this.callHook(operation, suboperation, extra, domain);
    } catch (fault) {
      if (fault instanceof SimulatedCrash) return;
      world.log.line('warning', `libvirt ignores what its hook said at ${operation}: ${words(fault)}`);
    }
  }

  /** libvirt notices only after `prepare` that another guest has a device. */
  private checkDevices(world: World, guest: GuestModel): void {
    const spec = specOf(world);
    if (guest.devices.length > 0 && !spec.iommu)
      throw new ActError(
        'failed',
        'unsupported configuration: host doesn’t support passthrough of host PCI devices',
      );
    for (const { address } of guest.devices) {
      if (functionAt(spec, address) === undefined)
        throw new ActError(
          'failed',
          `Device ${address} not found: could not access /sys/bus/pci/devices/${address}/config`,
        );
      const owner = readModel(world.dir, 'machines').find(
        (g) => g.uuid !== guest.uuid && g.running && g.devices.some((d) => d.address === address),
      );
      if (owner !== undefined)
        throw new ActError(
          'failed',
          `Requested operation is not valid: PCI device ${address} is in use by driver QEMU, ` +
            `domain ${owner.name}`,
        );
    }
  }

  private detachDevices(world: World, guest: GuestModel, taken: Address[]): void {
    if (guest.devices.length > 0) loadModule(world, 'vfio_pci');
    for (const { address, managed } of guest.devices) {
      const fn = requireFunction(specOf(world), address);
      if (!managed && driverOf(world.dir, fn) !== 'vfio-pci')
        throw new ActError(
          'failed',
          `Unmanaged PCI device ${address} must be manually detached from the host`,
        );
      if (!managed) continue;
      taken.push(address);
      this.toVfio(world, fn);
    }
  }

  private toVfio(world: World, fn: FunctionSpec): void {
    overrideBySysfs(world, fn, 'vfio-pci');
    if (driverOf(world.dir, fn) === 'vfio-pci') return;
    unbindBySysfs(world, fn);
    mayHang(world, 'sys/bus/pci/drivers/vfio-pci/bind', fn.address);
    probeBySysfs(world, fn);
    if (driverOf(world.dir, fn) !== 'vfio-pci')
      throw new ActError('failed', `Failed to bind PCI device '${fn.address}' to vfio-pci`);
  }

  /**
   * VFIO gives a group to a guest only when no function of it (bridges aside) is left with a host's driver.
   */
  private checkGroups(world: World, guest: GuestModel): void {
    const spec = specOf(world);
    for (const { address } of guest.devices) {
      const { group } = requireFunction(spec, address);
      const other = spec.functions.find((fn) => {
        const driver = driverOf(world.dir, fn);
        return fn.group === group && !isBridge(fn) && driver !== null && driver !== 'vfio-pci';
      });
      if (other !== undefined)
        throw new ActError(
          'failed',
          `internal error: QEMU unexpectedly closed the monitor (vm='${guest.name}'): vfio ${address}: ` +
            `group ${group} is not viable: Please ensure all devices within the iommu_group are bound to ` +
            'their vfio bus driver.',
        );
    }
  }

  /** Managed devices go back: off vfio-pci, the override cleared, whatever driver is loaded may take them. */
  private async giveBack(world: World, addresses: readonly Address[]): Promise<void> {
    if (addresses.length === 0) return;
    await world.pace(GIVE_BACK_MS);
    for (const address of addresses) {
      const fn = requireFunction(specOf(world), address);
      try {
        if (driverOf(world.dir, fn) === 'vfio-pci') unbindBySysfs(world, fn);
        overrideBySysfs(world, fn, '');
        probeBySysfs(world, fn);
      } catch (fault) {
        if (!(fault instanceof Hang)) throw fault;
        world.log.line('error', `libvirt hangs giving ${address} back: ${fault.message}`);
        return;
      }
    }
  }
}
