declare const GPU_HANDOFF_VERSION: string | undefined;

/** The version of the command; the build writes it in. */
export const VERSION = typeof GPU_HANDOFF_VERSION === 'string' ? GPU_HANDOFF_VERSION : 'development';
