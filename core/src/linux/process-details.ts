import { readTexts, type TakePiece } from './process-child.js';
import type { Hold, Search } from './process-holds.js';
import { lockedMemory } from './process-stuck.js';

/**
 * The path in the unified hierarchy; on a hybrid system whose unified one is unused, that in systemd's own
 * (cgroups(7)). Empty where there is neither.
 */
export function cgroupPath(text: string): string {
  let unified = '';
  let systemd = '';
  for (const line of text.split('\n')) {
    const [id, controllers, ...path] = line.split(':');
    if (id === '0' && controllers === '') unified = path.join(':');
    else if (controllers === 'name=systemd') systemd = path.join(':');
  }
  return (unified === '' || unified === '/') && systemd !== '' ? systemd : unified;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** Regions in the machine's own memory, as amdgpu, i915, xe and nouveau name them. */
const HOST_REGION = /^(?:cpu|gtt|system|smem|shmem|memory|stolen-system)/;

/**
 * Bytes of the card's memory by the texts of DRM fdinfo files (Documentation/gpu/drm-usage-stats.rst), or
 * null where the driver does not tell. Descriptors of one client repeat its numbers. Per region what is
 * resident counts, else the older `drm-memory-`, else the total; the machine's own memory counts only where
 * no other is named.
 */
export function gpuMemory(texts: readonly string[]): number | null {
  const clients = new Map<string, Map<string, Map<string, number>>>();
  for (const [i, text] of texts.entries()) {
    const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)?.[1] ?? '';
    const id = field('drm-client-id');
    const regions = new Map<string, Map<string, number>>();
    for (const match of text.matchAll(/^drm-(memory|total|resident)-([^:\s]+):\s*(\d+) ?(\w*)$/gm)) {
      const [, kind, region, amount, unit] = match;
      if (kind === undefined || region === undefined) continue;
      const kinds = regions.get(region) ?? new Map<string, number>();
      kinds.set(kind, Number(amount) * (UNITS[unit ?? ''] ?? 1));
      regions.set(region, kinds);
    }
    if (regions.size > 0) clients.set(id === '' ? `#${i}` : `${field('drm-pdev')} ${id}`, regions);
  }
  if (clients.size === 0) return null;
  let own = 0;
  let host = 0;
  let ownNamed = false;
  for (const regions of clients.values()) {
    for (const [region, kinds] of regions) {
      const bytes = kinds.get('resident') ?? kinds.get('memory') ?? kinds.get('total') ?? 0;
      if (HOST_REGION.test(region)) host += bytes;
      else {
        own += bytes;
        ownNamed = true;
      }
    }
  }
  return ownNamed ? own : host;
}

/** An argument vector is kept up to this many bytes; a process may have megabytes of it. */
const ARGV_LIMIT = 32 * 1024;
const TEXT_LIMIT = 64 * 1024;
/** DRM's character major (include/drm/drm_file.h): only these descriptors tell of memory. */
const DRM = /^226:/;

/** What is told of a process besides its holds. */
export interface Details {
  readonly argv: readonly string[];
  readonly cgroup: string;
  readonly gpuMemoryBytes: number | null;
}

/**
 * Command lines, cgroups and memory of processes, through a child: the command line waits for the process's
 * memory map and DRM's fdinfo for locks of its driver, and it is on a card that hangs that one wants to know
 * who holds it. What cannot be read in time is left out.
 */
export async function readDetails(
  search: Search,
  pids: readonly number[],
  holdsOf: (pid: number) => readonly Hold[],
): Promise<ReadonlyMap<number, Details>> {
  const cgroups = new Map<string, string>();
  const infos = new Map<string, string>();
  const argvs = new Map<string, { args: string[]; bytes: number }>();
  for (const pid of pids) {
    cgroups.set(`${search.proc}/${pid}/cgroup`, '');
    for (const hold of holdsOf(pid))
      if (DRM.test(hold.number)) for (const path of hold.fdinfo) infos.set(path, '');
    if (!lockedMemory.has(search.proc, pid))
      argvs.set(`${search.proc}/${pid}/cmdline`, { args: [], bytes: 0 });
  }
  let begun = '';
  const take: TakePiece = (path, piece, last) => {
    const argv = argvs.get(path);
    if (argv === undefined) {
      const texts = infos.has(path) ? infos : cgroups;
      const text = texts.get(path) ?? '';
      if (text.length < TEXT_LIMIT) texts.set(path, text + piece.toString('utf8'));
      return;
    }
    const room = ARGV_LIMIT - argv.bytes;
    argv.bytes += piece.length;
    if (room > 0) begun += piece.toString('utf8', 0, Math.min(room, piece.length));
    if (!last) return;
    if (room > 0) argv.args.push(begun);
    begun = '';
  };
  // Command lines last: they are what does not come back, and nothing after that is read.
  await readTexts([...cgroups.keys(), ...infos.keys(), ...argvs.keys()], search.patience, take);
  const details = new Map<number, Details>();
  for (const pid of pids) {
    const texts = holdsOf(pid).flatMap((hold) => hold.fdinfo.map((path) => infos.get(path) ?? ''));
    details.set(pid, {
      argv: argvs.get(`${search.proc}/${pid}/cmdline`)?.args ?? [],
      cgroup: cgroupPath(cgroups.get(`${search.proc}/${pid}/cgroup`) ?? ''),
      gpuMemoryBytes: gpuMemory(texts),
    });
  }
  return details;
}
