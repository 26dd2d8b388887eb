/**
 * What switcheroo-control says about the cards, and whether launch entries can leave the work to it. Pure: the facts come from
 * linux/switcheroo.ts.
 */
import { type Sentence, sentence } from './words.js';

/** Exec rewritten, or `PrefersNonDefaultGPU` and `X-KDE-RunOnDiscreteGpu`. */
export type Way = 'wrapper' | 'switcheroo';

export interface SwitcherooGpu {
  readonly name: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly isDefault: boolean;
  /** Told since 3.0; null by older ones. */
  readonly discrete: boolean | null;
}

export interface SwitcherooFacts {
  readonly owner: 'absent' | 'switcheroo' | 'other';
  /** The program that owns the name, as far as that can be seen. */
  readonly ownerName: string;
  readonly gpus: readonly SwitcherooGpu[];
  /** Why it could not be asked; empty where it was. */
  readonly failure: string;
}

/** `third` is 3.0. */
export type SwitcherooKind = 'absent' | 'unpatched' | 'patched' | 'third' | 'other-owner' | 'unknown';

export interface SwitcherooJudgement {
  readonly kind: SwitcherooKind;
  /** Which of the session's restrictions it undoes; true where the session has none of that sort. */
  readonly undoes: { readonly vulkan: boolean; readonly egl: boolean; readonly glx: boolean };
  readonly way: Way;
  readonly reason: Sentence;
}

export function judgeSwitcheroo(
  facts: SwitcherooFacts,
  _sessionEnvironment: Readonly<Record<string, string>>,
): SwitcherooJudgement {
  const undoes = { vulkan: false, egl: false, glx: false };
  return {
    kind: facts.owner === 'absent' ? 'absent' : 'unknown',
    undoes,
    way: 'wrapper',
    reason: sentence('switcheroo.absent'),
  };
}
