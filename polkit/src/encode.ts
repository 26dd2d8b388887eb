/** The engine's plain values in the form that the contract gives them. */
import type { PropertyName } from '../../core/src/contract.js';
import type { Published } from '../../core/src/engine/engine.js';
import type { Intention } from '../../core/src/engine/hand-off.js';
import { FAILURES } from '../../core/src/errors.js';
import type { Address, VirtualMachine } from '../../core/src/facts.js';
import { type Holder, type HolderReport, nameHolder } from '../../core/src/holders.js';
import { as, type Boxes, b, d, dicts, s, u, type Value } from '../../core/src/linux/bus/dbus.js';
import type { Operation } from '../../core/src/operation.js';
import type { CardView } from '../../core/src/state.js';
import { type Sentence, say } from '../../core/src/words.js';

export type Properties = Record<PropertyName, Value>;

function text(sentence: Sentence | null): Value {
  return s(sentence === null ? '' : say(sentence));
}

/** A sentence with its key and values, so that a desktop can say it in the user's language. */
function worded(sentence: Sentence | null): Boxes {
  if (sentence === null) return { sentence: s('') };
  const dict: Boxes = { sentence: s(say(sentence)), key: s(sentence.key) };
  for (const [name, value] of Object.entries(sentence.values)) dict[`value-${name}`] = s(value);
  return dict;
}

export function encodeCard(view: CardView): Boxes {
  const { card } = view;
  const nodes = card.functions.flatMap((fn) => fn.nodes.map((node) => node.path));
  return {
    id: s(card.id),
    name: s(card.name),
    vendor: s(card.vendor),
    role: s(card.role),
    reason: text(card.reason),
    state: s(view.state),
    asleep: b(view.asleep),
    external: b(card.main.external),
    driver: s(card.main.driver ?? ''),
    nodes: as(nodes),
    group: s(card.main.iommuGroup === null ? '' : String(card.main.iommuGroup)),
    'vm-uuid': s(view.vm?.uuid ?? ''),
    'vm-name': s(view.vm?.name ?? ''),
    why: text(view.why),
    obstacles: dicts(card.obstacles.map((one) => ({ code: s(one.code), ...worded(one.sentence) }))),
  };
}

export function encodeOperation(
  operation: Operation | null,
  userName: (uid: number) => string | null,
): Boxes {
  if (operation === null) return {};
  return {
    id: s(operation.id),
    kind: s(operation.kind),
    title: text(operation.title),
    cards: as(operation.cards),
    'vm-uuid': s(operation.vm?.uuid ?? ''),
    'vm-name': s(operation.vm?.name ?? ''),
    state: s(operation.state),
    cancellable: b(operation.cancellable),
    steps: dicts(
      operation.steps.map((step) => ({
        id: s(step.id),
        title: text(step.title),
        state: s(step.state),
        ...worded(step.sentence),
      })),
    ),
    error: s(operation.failure ?? ''),
    ...worded(operation.sentence),
    user: s(userName(operation.uid) ?? String(operation.uid)),
    started: d(operation.startedAt),
    ended: d(operation.endedAt ?? 0),
  };
}

export function encodeGuests(guests: Published['guests']): Boxes[] {
  return guests.map(({ vm, cards }) => ({ uuid: s(vm.uuid), name: s(vm.name), cards: as(cards) }));
}

export function encodeMachines(
  machines: readonly (VirtualMachine & { readonly cards: readonly Address[] })[],
): Boxes[] {
  return machines.map((vm) => ({
    uuid: s(vm.uuid),
    name: s(vm.name),
    running: b(vm.running === true),
    cards: as(vm.cards),
  }));
}

/** One holder for a caller of user `uid`: whose command line it is decides whether it is shown. */
function encodeHolder(holder: Holder, uid: number): Boxes {
  const shown = uid === 0 || holder.uid === uid;
  return {
    id: s(holder.id),
    pid: u(holder.pid),
    uid: u(holder.uid),
    user: s(holder.user ?? ''),
    name: s(nameHolder(holder)),
    process: s(holder.process),
    'owner-kind': s(holder.owner.kind),
    'owner-name': s(holder.owner.name),
    unit: s(holder.owner.unit ?? ''),
    nodes: as(holder.nodes),
    mapped: b(holder.mapped),
    since: d(holder.since),
    essential: b(holder.essential),
    'stops-by-itself': b(holder.stopsByItself),
    ...(shown ? { command: as(holder.argv) } : {}),
    ...(holder.gpuMemoryBytes === null ? {} : { 'gpu-memory': d(holder.gpuMemoryBytes) }),
  };
}

export function encodeHolders(report: HolderReport, line: string, uid: number): Boxes {
  return {
    verdict: s(report.verdict),
    complete: b(report.complete),
    'pass-made': b(report.passMade),
    unseen: u(report.unseen),
    sentence: s(line),
    holders: dicts(report.holders.map((holder) => encodeHolder(holder, uid))),
    kernel: dicts(report.kernel.map((one) => ({ module: s(one.module), count: u(one.count) }))),
  };
}

export function encodeIntention(intention: Intention, uid: number): Boxes {
  return {
    ok: b(intention.refusals.length === 0),
    'vm-uuid': s(intention.vm.uuid),
    'vm-name': s(intention.vm.name),
    cards: as(intention.cards),
    refusals: dicts(
      intention.refusals.map((one) => ({
        code: s(one.code),
        error: s(one.failure),
        exit: u(FAILURES[one.failure]),
        ...worded(one.sentence),
      })),
    ),
    steps: dicts((intention.plan?.steps ?? []).map((step) => ({ id: s(step.id), title: text(step.title) }))),
    holders: dicts(intention.holders.holders.map((holder) => encodeHolder(holder, uid))),
  };
}
