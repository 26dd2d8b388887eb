/** An operation as everybody sees it: one hand-off, take-back or ending of holders, with its steps. */
import type { FailureName } from './errors.js';
import type { Address } from './facts.js';
import type { GuestRef } from './state.js';
import type { Sentence } from './words.js';

export type OperationKind = 'hand-off' | 'take-back' | 'end-holders' | 'recover';
export type StepState = 'waiting' | 'running' | 'done' | 'failed' | 'undone';
export type OperationState = 'running' | 'done' | 'failed' | 'cancelled';

export interface StepView {
  readonly id: string;
  readonly title: Sentence;
  state: StepState;
  /** What went wrong, or what was found. */
  sentence: Sentence | null;
}

/** Mutable while it runs; published as a copy. */
export interface Operation {
  readonly id: string;
  readonly kind: OperationKind;
  title: Sentence;
  cards: readonly Address[];
  vm: GuestRef | null;
  state: OperationState;
  cancellable: boolean;
  steps: StepView[];
  failure: FailureName | null;
  sentence: Sentence | null;
  /** The user who asked, by uid; 0 for libvirt's hook. */
  readonly uid: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  endedAt: number | null;
}
