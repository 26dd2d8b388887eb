/** The oldest and the newest GNOME that the extension supports, by the Debian suite that has it. */
export const SUITES = { 48: 'trixie', 51: 'sid' } as const;

/** A major version of GNOME Shell that there is a tree of. */
export type GnomeVersion = keyof typeof SUITES;

export const VERSIONS: readonly GnomeVersion[] = [48, 51];

/** The version that the running test is about; see vitest.config.ts. */
export function versionUnderTest(): GnomeVersion {
  const version = VERSIONS.find((one) => `${one}` === process.env.GNOME);
  if (version === undefined) throw new Error('GNOME names no version that there is a tree of');
  return version;
}
