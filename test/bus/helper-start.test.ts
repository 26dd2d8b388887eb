/** How the helper starts: with the compiled code that an earlier life of it left, if that is any good. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BUILT } from './support-build.js';

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'gpu-handoff-cache-'));
});
afterEach(() => {
  rmSync(cache, { recursive: true, force: true });
});

/** A life of the helper that only says what its command line is. */
async function life(directory: string | null = cache): Promise<string> {
  const { CACHE_DIRECTORY: _, ...rest } = process.env;
  const env = directory === null ? rest : { ...rest, CACHE_DIRECTORY: directory };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [BUILT.start, '--help'], { env });
  expect(stderr).toBe('');
  return stdout;
}

const files = (): string[] => readdirSync(cache);

/** The one file in the cache. */
function code(): { readonly path: string; readonly inode: number } {
  const [name, ...more] = files();
  expect(more).toEqual([]);
  expect(name).toMatch(/^helper-[0-9a-f]{32}-v\d+\.\d+\.\d+-\w+\.v8$/);
  const path = join(cache, name ?? '');
  return { path, inode: statSync(path).ino };
}

describe('the helper’s start', () => {
  it('leaves compiled code behind, which only root can read', async () => {
    expect(await life()).toMatch(/^Usage: gpu-handoff-helper/);
    expect(statSync(code().path).mode & 0o777).toBe(0o600);
  });

  it('takes what is there', async () => {
    await life();
    const { inode } = code();
    await life();
    expect(code().inode).toBe(inode);
  });

  it.each([
    ['half of it is there', (whole: Buffer) => whole.subarray(0, whole.length / 2)],
    ['nothing is there', () => Buffer.alloc(0)],
    ['its first bytes are spoilt', (whole: Buffer) => Buffer.from(whole).fill(7, 0, 64)],
    // V8 would run into them.
    ['bytes in its middle are spoilt', (whole: Buffer) => Buffer.from(whole).fill(7, 100_000, 100_064)],
    ['bytes at its end are spoilt', (whole: Buffer) => Buffer.from(whole).fill(7, whole.length - 2000)],
  ])('does without it where %s, and replaces it', async (_what, spoil) => {
    await life();
    const { path } = code();
    const whole = readFileSync(path);
    const spoilt = spoil(whole);
    writeFileSync(path, spoilt);
    expect(await life()).toMatch(/^Usage: /);
    const now = readFileSync(code().path);
    expect(now.equals(spoilt)).toBe(false);
    expect(now.length).toBeGreaterThan(0.9 * whole.length);
  });

  it('removes what belongs to another version, and nothing else', async () => {
    writeFileSync(join(cache, 'helper-0123-v18.0.0-x64.v8'), 'old');
    writeFileSync(join(cache, 'not-ours'), '');
    await life();
    expect(files()).toHaveLength(2);
    expect(files()).toContain('not-ours');
  });

  it.each([
    ['no directory is given', null],
    ['the directory cannot be written', '/proc/self'],
  ])('does without it where %s', async (_what, directory) => {
    expect(await life(directory)).toMatch(/^Usage: /);
  });
});
