/** Launch entries for tests: made with Node's digest, for one wrapper. */

import { createHash } from 'node:crypto';
import { type Rewriting, rewriteEntry } from '../../core/src/launch/entry.js';

export const WRAPPER = '/usr/bin/gpu-handoff-run';
export const PATH = '/usr/share/applications/app.desktop';

export const digest = (bytes: string): string => createHash('sha256').update(bytes, 'latin1').digest('hex');

/** Every choice with every way. */
export const WAYS = (['always', 'offer', 'never'] as const).flatMap((choice) =>
  (['wrapper', 'switcheroo'] as const).map((way) => ({ choice, way })),
);

/** What was made of a source. @throws Error with the key of the sentence where nothing is made */
export function made(source: string, how: Partial<Rewriting> = {}): string {
  const rewritten = rewriteEntry({
    ...{ source, sourcePath: PATH, choice: 'always', way: 'wrapper', wrapper: WRAPPER, digest },
    ...how,
  });
  if (!rewritten.ok) throw new Error(rewritten.why.key);
  return rewritten.bytes;
}

/** Lines without those that tell where an override came from. */
export const withoutOurKeys = (bytes: string): string => bytes.replace(/^X-GpuHandoff-.*\r?\n?/gm, '');

/** An entry that starts `tool`, with more lines in its own group. */
export const entry = (...lines: string[]): string =>
  `${['[Desktop Entry]', 'Type=Application', 'Name=Tool', 'Exec=tool %U', ...lines].join('\n')}\n`;
