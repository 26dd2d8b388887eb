import type { CommandOptions, GuestProcess, Shell } from './agent.js';

/** How a program keeps hold of a device file; see holders/rig-hold.c. */
export type HoldMode = 'fd' | 'map' | 'loop' | 'namespace' | 'inflight' | 'dmabuf' | 'crowd';

/** A program that holds what it was told to. */
export interface Holder {
  /** Of who holds; with `namespace` the process inside, as init's namespace numbers it. */
  readonly pid: number;
  readonly process: GuestProcess;
  /** Ends it, and resolves when it is gone. */
  release(): Promise<void>;
}

/**
 * Starts a holder and resolves when it holds. `args`: paths for `fd`; one path for `map`, `namespace`,
 * `inflight` and `dmabuf`; path and period in microseconds for `loop`; processes and files for `crowd`.
 */
export async function hold(
  shell: Shell,
  mode: HoldMode,
  args: readonly (string | number)[],
  options: CommandOptions & { readonly comm?: string } = {},
): Promise<Holder> {
  const { comm, ...rest } = options;
  const name = comm === undefined ? [] : ['--name', comm];
  const process = await shell.spawn(['/usr/bin/rig-hold', ...name, mode, ...args.map(String)], rest);
  const match = await process.waitFor(/^ready (\d+)$/m);
  return {
    pid: Number(match[1]),
    process,
    release: async () => {
      await process.kill();
    },
  };
}
