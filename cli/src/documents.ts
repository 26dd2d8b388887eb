/**
 * What the command knows, as the plain values that `--json` prints; docs/schema/ has a schema for each. The text that
 * people read is made from the same values, so the two cannot say different things.
 */
import type { FailureName } from '../../core/src/errors.js';

/** Raised when a document changes so that a program reading it could break. */
export const DOCUMENT_VERSION = 1;

export interface CodedSentence {
  readonly code: string;
  readonly sentence: string;
}

export interface VmName {
  readonly uuid: string;
  readonly name: string;
}

export interface HolderDocument {
  /** `PID:STARTTICKS`, which names one process for as long as the machine runs. */
  readonly id: string;
  readonly pid: number;
  readonly uid: number;
  readonly user: string | null;
  /** For people: the app or service, its process and user. */
  readonly name: string;
  readonly process: string;
  readonly ownerKind: string;
  readonly ownerName: string;
  readonly unit: string | null;
  /** Null where it belongs to another user and was not shown. */
  readonly command: readonly string[] | null;
  readonly nodes: readonly string[];
  readonly mapped: boolean;
  /** When the process was started, ISO 8601. */
  readonly since: string;
  readonly gpuMemoryBytes: number | null;
  readonly essential: boolean;
  readonly stopsByItself: boolean;
}

export type Verdict = 'free' | 'held' | 'unknown';

export interface HoldersDocument {
  readonly verdict: Verdict;
  readonly complete: boolean;
  readonly unseen: number;
  /** What there is to say beside the list; may be empty. */
  readonly sentence: string;
  readonly holders: readonly HolderDocument[];
  readonly kernel: readonly { readonly module: string; readonly count: number }[];
}

export interface HoldersSummary {
  readonly verdict: Verdict;
  /** The apps and services that stand in the way of a hand-off, by short name, each once. */
  readonly names: readonly string[];
  /** The services that a hand-off stops by itself. */
  readonly stopByThemselves: readonly string[];
  /** Modules with uses that no process explains. */
  readonly kernel: readonly string[];
  /** What there is to say beside the names; may be empty. */
  readonly sentence: string;
}

export interface CardDocument {
  readonly address: string;
  readonly name: string;
  readonly vendor: string;
  /** `igpu`, `dgpu`, `ignored`. */
  readonly role: string;
  readonly reason: string;
  /** `host`, `vm`, `detached`, `switching`, `stuck`; `unknown` where it could not be seen. */
  readonly state: string;
  readonly asleep: boolean;
  readonly external: boolean;
  readonly driver: string | null;
  readonly nodes: readonly string[];
  readonly iommuGroup: string | null;
  readonly vm: VmName | null;
  readonly why: string | null;
  readonly obstacles: readonly CodedSentence[];
}

/** A card as `status` shows it. */
export interface ShownCardDocument extends CardDocument {
  /** A word or two for its state. */
  readonly label: string;
  readonly line: string;
  /** Null where nobody looked: the card cannot be held by apps, or the look took too long. */
  readonly holders: HoldersSummary | null;
}

export interface StepDocument {
  readonly id: string;
  readonly title: string;
  /** `waiting`, `running`, `done`, `failed`, `undone`. */
  readonly state: string;
  readonly sentence: string | null;
}

export interface OperationDocument {
  readonly id: string;
  readonly kind: string;
  readonly title: string;
  readonly cards: readonly string[];
  readonly vm: VmName | null;
  /** `running`, `done`, `failed`, `cancelled`. */
  readonly state: string;
  readonly cancellable: boolean;
  readonly steps: readonly StepDocument[];
  /** The name of the failure, as in the table of exit statuses. */
  readonly error: string | null;
  readonly sentence: string | null;
  readonly user: string;
}

export interface FaultDocument {
  readonly line: number;
  readonly sentence: string;
}

/** Where what is shown was learnt. */
export type Source = 'helper' | 'own-look';

export interface StatusDocument {
  readonly version: number;
  readonly source: Source;
  readonly helper: { readonly running: boolean; readonly version: string | null };
  readonly cards: readonly ShownCardDocument[];
  readonly operation: OperationDocument | null;
  readonly faults: readonly FaultDocument[];
  /** What could not be seen, in sentences. */
  readonly notes: readonly string[];
}

export interface CardHoldersDocument extends HoldersDocument {
  readonly card: { readonly address: string; readonly name: string };
}

export interface HoldersListDocument {
  readonly version: number;
  readonly source: Source;
  readonly cards: readonly CardHoldersDocument[];
}

export interface MachineDocument {
  readonly uuid: string;
  readonly name: string;
  /** Null where that is not known. */
  readonly running: boolean | null;
  /** Graphics cards of this machine among its devices. */
  readonly cards: readonly { readonly address: string; readonly name: string; readonly has: boolean }[];
}

export interface MachinesDocument {
  readonly version: number;
  readonly source: Source;
  readonly machines: readonly MachineDocument[];
}

export interface RefusalDocument extends CodedSentence {
  readonly error: FailureName;
  readonly status: number;
}

export interface PreviewDocument {
  readonly version: number;
  readonly kind: 'hand-off' | 'take-back' | 'end-holders';
  readonly ok: boolean;
  readonly vm: VmName | null;
  readonly cards: readonly { readonly address: string; readonly name: string }[];
  readonly refusals: readonly RefusalDocument[];
  readonly steps: readonly { readonly id: string; readonly title: string }[];
  /** What cannot be told before it is done, in sentences. */
  readonly notes: readonly string[];
}

export interface ResultDocument {
  readonly version: number;
  readonly ok: boolean;
  readonly operation: OperationDocument;
}

export interface ErrorDocument {
  readonly version: number;
  readonly error: { readonly name: FailureName; readonly status: number; readonly sentence: string };
}

export interface WatchDocument {
  readonly version: number;
  /** ISO 8601. */
  readonly time: string;
  readonly source: Source;
  readonly cards: readonly ShownCardDocument[];
  readonly operation: OperationDocument | null;
}

export type CheckResult = 'ok' | 'missing' | 'differs' | 'cannot-tell';

export interface CheckDocument {
  readonly id: string;
  readonly title: string;
  readonly result: CheckResult;
  readonly sentence: string;
  /** What to do; null where nothing is to be done. */
  readonly advice: string | null;
}

export interface DoctorDocument {
  readonly version: number;
  readonly groups: readonly {
    readonly id: string;
    readonly title: string;
    readonly checks: readonly CheckDocument[];
  }[];
}

export interface AppDocument {
  readonly id: string;
  readonly name: string;
  readonly icon: string;
  /** `offer`, `always`, `never`, `untouched`. */
  readonly choice: string;
  /** Stands in the menus. */
  readonly shown: boolean;
  readonly special: readonly string[];
  /** Why no entry can be made of it. */
  readonly problem: string | null;
  readonly warning: string | null;
  /** `in-place`, `edited`, `stale`; null where there is no entry of ours. */
  readonly entry: string | null;
}

export interface AppsDocument {
  readonly version: number;
  readonly source: 'session' | 'own-look';
  /** How entries lead to the dGPU (`wrapper`, `switcheroo`), and why so. */
  readonly way: { readonly name: string; readonly reason: string };
  /** Why the choices could not be read. */
  readonly fault: string | null;
  readonly apps: readonly AppDocument[];
}

export interface ChoiceDocument {
  readonly version: number;
  readonly id: string;
  readonly choice: string;
  readonly entry: string | null;
  /** What kept the entry from following. */
  readonly sentence: string | null;
  readonly warning: string | null;
  /** A file could not be written. */
  readonly failed: boolean;
}

export interface EntriesDocument {
  readonly version: number;
  readonly changes: readonly {
    readonly id: string;
    /** `written`, `removed`, `restored`. */
    readonly what: string;
    readonly sentence: string;
  }[];
  readonly problems: readonly { readonly id: string; readonly sentence: string }[];
  /** What there is to say beside single apps. */
  readonly notes: readonly string[];
  /** Something could not be written. */
  readonly failed: boolean;
}

export interface LaunchDocument {
  readonly version: number;
  /** Of the app, or the path of its entry where it is in no folder of apps. */
  readonly id: string;
  readonly pid: number;
  /** Where it really runs. */
  readonly on: 'dgpu' | 'igpu';
  readonly warning: string | null;
}
