/** Launch entries: .desktop files as bytes, rewritten so that an app runs on the dGPU, and brought back. */

import type { Sentence } from '../words.js';
import type { Bytes } from './bytes.js';

export type { Bytes } from './bytes.js';
export { readEntry } from './entry-facts.js';
export { isAsWritten, provenanceOf, undoEntry } from './provenance.js';
export { rewriteEntry } from './rewrite.js';

/** What the user wants for an app. */
export type Choice = 'offer' | 'always' | 'never' | 'untouched';

/** How an entry asks for the dGPU: through the wrapper in Exec, or by keys that make a desktop ask switcheroo-control. */
export type Way = 'wrapper' | 'switcheroo';

/** What is special about an app when it is to run on another card. */
export type Special =
  | 'single-instance'
  | 'dbus-activated'
  | 'flatpak'
  | 'snap'
  | 'appimage'
  | 'steam-client'
  | 'steam-game'
  | 'terminal'
  | 'prefers-dgpu'
  | 'substitutes-user';

/** What a .desktop file tells about an app. */
export interface EntryFacts {
  readonly name: string;
  readonly icon: string;
  /** Neither NoDisplay nor Hidden. */
  readonly shown: boolean;
  readonly special: readonly Special[];
  /** Why no entry can be made of it. */
  readonly problem: Sentence | null;
  readonly warnings: readonly Sentence[];
}

/** SHA-256 of bytes, as lower-case hex. */
export type Digest = (bytes: Bytes) => string;

export interface Rewriting {
  readonly source: Bytes;
  readonly sourcePath: string;
  readonly choice: Exclude<Choice, 'untouched'>;
  readonly way: Way;
  /** Absolute path of the wrapper. */
  readonly wrapper: string;
  readonly digest: Digest;
}

export type Rewritten =
  | { readonly ok: true; readonly bytes: Bytes }
  | { readonly ok: false; readonly why: Sentence };

/** Where an override of ours came from. */
export interface Provenance {
  readonly sourcePath: string;
  readonly sourceDigest: string;
  readonly choice: Exclude<Choice, 'untouched'>;
  readonly way: Way;
  readonly version: string;
}
