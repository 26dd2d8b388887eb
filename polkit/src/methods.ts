/** The methods of the contract: who may, and what the engine is then asked. */
import type { Power } from '../../core/src/contract.js';
import type { Engine } from '../../core/src/engine/engine.js';
import { failure } from '../../core/src/errors.js';
import type { VirtualMachine } from '../../core/src/facts.js';
import { holdersLine } from '../../core/src/present.js';
import type { Authority } from './authority.js';
import type { Clients } from './clients.js';
import type { Call, Methods } from './door.js';
import { encodeHolders, encodeIntention, encodeMachines } from './encode.js';
import { flag } from './values.js';

export interface Household {
  readonly engine: Engine;
  readonly authority: Authority;
  readonly clients: Clients;
  readonly parseDomain: (xml: string) => VirtualMachine;
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

export function methodsOf(house: Household): Methods {
  const { engine, authority, clients } = house;
  const machines = shared(() => engine.virtualMachines());
  const holders = shared((card) => engine.holders(card));
  const preflight = shared((vm) => engine.preflight(vm));

  async function allow(call: Call, power: Power, details: Record<string, string>): Promise<number> {
    const uid = await clients.userOf(call.caller);
    const options = call.body[call.body.length - 1];
    await authority.require(call.caller, power, details, flag(options, 'interactive'));
    return uid;
  }

  return {
    async ListVirtualMachines() {
      return [encodeMachines(await machines(''))];
    },

    async GetHolders(call) {
      const [card] = call.body as [string];
      const uid = await clients.userOf(call.caller);
      const report = await holders(card);
      return [encodeHolders(report, holdersLine(engine.card(card).name, report), uid)];
    },

    async Preflight(call) {
      const [vm] = call.body as [string];
      const uid = await clients.userOf(call.caller);
      return [encodeIntention(await preflight(vm), uid)];
    },

    async HandOff(call) {
      const [vm] = call.body as [string];
      engine.refuseWhenBusy();
      const names = await engine.nameOf(vm);
      const uid = await allow(call, 'hand-off', { vm: names.vm, card: names.cards });
      return [await engine.handOff(vm, uid)];
    },

    async TakeBack(call) {
      const [card, options] = call.body as [string, unknown];
      const force = flag(options, 'force');
      engine.refuseWhenBusy();
      const view = engine.published().cards.find((one) => one.card.id === card);
      const details = { card: engine.card(card).name, vm: view?.vm?.name ?? '–' };
      const uid = await allow(call, force ? 'force-off' : 'take-back', details);
      return [await engine.takeBack(card, { force }, uid)];
    },

    async EndHolders(call) {
      const [card, ids, options] = call.body as [string, string[], unknown];
      engine.refuseWhenBusy();
      const asker = await clients.userOf(call.caller);
      const granted = await engine.powersToEnd(card, ids, asker);
      for (const power of granted) await allow(call, power, { card: engine.card(card).name });
      return [await engine.endHolders(card, ids, { force: flag(options, 'force'), granted }, asker)];
    },

    async Cancel(call) {
      const [operation] = call.body as [string];
      const uid = await clients.userOf(call.caller);
      if (engine.ownerOf(operation) !== uid) await allow(call, 'cancel', {});
      engine.cancel(operation);
      return [];
    },

    async Watch(call) {
      await clients.userOf(call.caller);
      if (!clients.watch(call.caller)) throw failure('Busy', 'error.too-many-clients');
      await engine.refresh();
      return [];
    },

    async Hook(call) {
      const [operation, suboperation, extra, domain] = call.body as [string, string, string, string];
      if ((await clients.userOf(call.caller)) !== 0)
        throw failure('NotAuthorized', 'error.root-only', { method: 'Hook' });
      await engine.hook({ operation, suboperation, extra, vm: house.parseDomain(domain) });
      return [];
    },
  };
}
