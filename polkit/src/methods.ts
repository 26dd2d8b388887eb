/** The methods of the contract: who may, and what the engine is then asked. */
import type { MethodName, Power } from '../../core/src/contract.js';
import { choose, powerToEnd } from '../../core/src/engine/end-holders.js';
import type { Engine } from '../../core/src/engine/engine.js';
import { failure } from '../../core/src/errors.js';
import type { Address, VirtualMachine } from '../../core/src/facts.js';
import { Variant } from '../../core/src/linux/bus/dbus.js';
import type { MethodsOf } from '../../core/src/linux/bus/door.js';
import { holdersLine } from '../../core/src/present.js';
import { printable } from '../../core/src/words.js';
import type { Authority } from './authority.js';
import type { Clients } from './clients.js';
import { encodeHolders, encodeIntention, encodeMachines } from './encode.js';
import type { UserCall } from './limits.js';

export interface Household {
  readonly engine: Engine;
  readonly authority: Authority;
  readonly clients: Clients;
  readonly parseDomain: (xml: string) => VirtualMachine;
}

/** One option of a call's `a{sv}`; a wrong type counts as not given. */
function flag(options: unknown, name: string): boolean {
  if (typeof options !== 'object' || options === null || !Object.hasOwn(options, name)) return false;
  const value = (options as Record<string, unknown>)[name];
  return value instanceof Variant && value.signature === 'b' && value.value === true;
}

/** Several callers who ask the same at the same time get one answer: a pass over /proc is not to be multiplied. */
function shared<T>(make: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const pending = new Map<string, Promise<T>>();
  return (key) => {
    const running = pending.get(key);
    if (running !== undefined) return running;
    const made = make(key).finally(() => pending.delete(key));
    pending.set(key, made);
    return made;
  };
}

export function methodsOf(house: Household): MethodsOf<MethodName, UserCall> {
  const { engine, authority, clients } = house;
  const machines = shared(() => engine.virtualMachines());
  const holders = shared((card) => engine.holders(card));
  const preflight = shared((vm) => engine.preflight(vm));
  const refresh = shared(() => engine.refresh());

  async function allow(call: UserCall, power: Power, details: Record<string, string>): Promise<void> {
    const options = call.body[call.body.length - 1];
    await authority.require(call.caller, power, details, flag(options, 'interactive'));
  }

  /** A VM by name or UUID, from the one list that all who ask at the same time share. */
  async function find(wanted: string): Promise<VirtualMachine & { readonly cards: readonly Address[] }> {
    const all = await machines('');
    const found = all.find((vm) => vm.uuid === wanted) ?? all.find((vm) => vm.name === wanted);
    if (found === undefined) throw failure('NoSuchVm', 'refuse.no-such-vm', { vm: printable(wanted) });
    return found;
  }

  return {
    async ListVirtualMachines() {
      return [encodeMachines(await machines(''))];
    },

    async GetHolders({ body, uid }) {
      const [card] = body as [string];
      const report = await holders(card);
      return [encodeHolders(report, holdersLine(engine.card(card).name, report), uid)];
    },

    async Preflight({ body, uid }) {
      const [vm] = body as [string];
      return [encodeIntention(await preflight((await find(vm)).uuid), uid)];
    },

    async HandOff(call) {
      const [wanted] = call.body as [string];
      engine.refuseWhenBusy();
      const vm = await find(wanted);
      const name = printable(vm.name);
      // Not worth a question: the dialog could not even say what is handed over.
      if (vm.cards.length === 0) throw failure('Refused', 'refuse.vm-without-cards', { vm: name });
      const card = vm.cards.map((id) => engine.card(id).name).join(', ');
      await allow(call, 'hand-off', { vm: name, card });
      return [await engine.handOff(wanted, call.uid)];
    },

    async TakeBack(call) {
      const [card, options] = call.body as [string, unknown];
      const force = flag(options, 'force');
      engine.refuseWhenBusy();
      const view = engine.published().cards.find((one) => one.card.id === card);
      const details = { card: engine.card(card).name, vm: printable(view?.vm?.name ?? '–') };
      await allow(call, force ? 'force-off' : 'take-back', details);
      return [await engine.takeBack(card, { force }, call.uid)];
    },

    async EndHolders(call) {
      const [card, ids, options] = call.body as [string, string[], unknown];
      const { uid } = call;
      engine.refuseWhenBusy();
      const powers = new Set(choose(await holders(card), ids).map((holder) => powerToEnd(holder, uid)));
      // Only who may end something may take the slot, be it to hear that there is nothing to end.
      const granted: Power[] = powers.size > 0 ? [...powers] : ['end-own'];
      for (const power of granted) await allow(call, power, { card: engine.card(card).name });
      return [await engine.endHolders(card, ids, { force: flag(options, 'force'), granted }, uid)];
    },

    async Cancel(call) {
      const [operation] = call.body as [string];
      if (engine.ownerOf(operation) !== call.uid) await allow(call, 'cancel', {});
      engine.cancel(operation);
      return [];
    },

    async Watch({ caller, uid }) {
      if (!clients.watch(caller, uid)) throw failure('Busy', 'error.too-many-clients');
      await refresh('');
      return [];
    },

    async Hook({ body, uid }) {
      const [operation, suboperation, extra, domain] = body as [string, string, string, string];
      if (uid !== 0) throw failure('NotAuthorized', 'error.root-only', { method: 'Hook' });
      await engine.hook({ operation, suboperation, extra, vm: house.parseDomain(domain) });
      return [];
    },
  };
}
