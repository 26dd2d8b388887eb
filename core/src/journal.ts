/**
 * What the engine writes down under /run before each step, so that a successor can finish or undo. Two kinds of
 * note: `journal`, while an operation runs, and `held-UUID`, while a guest has cards. Both hold for one boot.
 */
import type { Memory } from './plan.js';
import type { GuestRef } from './state.js';

export const JOURNAL_VERSION = 1;
export const JOURNAL = 'journal';

export interface JournalNote {
  readonly version: number;
  readonly bootId: string;
  readonly operation: string;
  readonly kind: 'hand-off' | 'take-back';
  /** Null only for a take-back of cards that no known VM had. */
  readonly vm: GuestRef | null;
  readonly memory: Memory;
  /** Ids of the hand-off's steps that were begun, in order. */
  readonly started: readonly string[];
}

export interface HeldNote {
  readonly version: number;
  readonly bootId: string;
  readonly vm: GuestRef;
  readonly memory: Memory;
}

/** Cards that hang in the kernel until the next boot. */
export interface StuckNote {
  readonly version: number;
  readonly bootId: string;
  readonly card: string;
  readonly what: string;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}

export function heldName(uuid: string): string {
  return `held-${uuid}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isList(value: unknown, fits: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(fits);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

/** A record in which these names have texts. */
function hasTexts(...names: string[]): (value: unknown) => boolean {
  return (value) => isRecord(value) && names.every((name) => isText(value[name]));
}

function isMemory(value: unknown): value is Memory {
  if (!isRecord(value) || typeof value.assumed !== 'boolean') return false;
  return (
    ['functions', 'autoPower', 'modules', 'services'].every((name) => isList(value[name], isText)) &&
    isList(value.cards, hasTexts('id', 'name')) &&
    isList(value.home, hasTexts('address', 'driver')) &&
    isList(value.nodes, hasTexts('number', 'path', 'kind'))
  );
}

function isCurrent(value: unknown, bootId: string): value is Record<string, unknown> {
  return isRecord(value) && value.version === JOURNAL_VERSION && value.bootId === bootId;
}

function isGuestRef(value: unknown): value is GuestRef {
  return isRecord(value) && isUuid(value.uuid) && typeof value.name === 'string';
}

/** A journal of this boot and this version, or null: anything else says nothing about the machine as it is. */
export function asJournal(value: unknown, bootId: string): JournalNote | null {
  if (!isCurrent(value, bootId) || !isMemory(value.memory)) return null;
  if (value.kind !== 'hand-off' && value.kind !== 'take-back') return null;
  if (!isGuestRef(value.vm) && !(value.vm === null && value.kind === 'take-back')) return null;
  if (!isList(value.started, isText) || !isText(value.operation)) return null;
  return value as unknown as JournalNote;
}

export function asHeld(value: unknown, bootId: string): HeldNote | null {
  if (!isCurrent(value, bootId) || !isMemory(value.memory) || !isGuestRef(value.vm)) return null;
  return value as unknown as HeldNote;
}

export function asStuck(value: unknown, bootId: string): StuckNote | null {
  if (!isCurrent(value, bootId) || typeof value.card !== 'string' || typeof value.what !== 'string')
    return null;
  return value as unknown as StuckNote;
}
