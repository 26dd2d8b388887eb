/**
 * Carries out what a plan says. New files are first written beside their places and brought to the disk together; then
 * each place changes by one act that is done or not done. A place that is not as the look found it is left alone.
 */
import { renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { reasonOf } from '../../errors.js';
import type { AppPlan, SyncOperation } from '../../launch/sync.js';
import { type Sentence, sentence } from '../../words.js';
import {
  codeOf,
  exists,
  moveOver,
  nameFree,
  putNew,
  remove,
  removeEmpty,
  type Step,
  secondName,
  syncFolder,
  writeBeside,
} from './files.js';
import { type LaunchLook, type SeenFile, seenAt } from './look.js';

/** More new files than this are brought to the disk together. */
const FEW = 8;

export interface CarriedOut {
  /** Paths whose files are not what they were in the look. */
  readonly touched: readonly string[];
  /** What was changed, by the last operation of each app. */
  readonly changes: readonly { readonly id: string; readonly operation: SyncOperation }[];
  readonly problems: readonly { readonly id: string; readonly problem: Sentence }[];
}

/** The part of a file's key that a second name for it does not change. */
function lastingKey(file: SeenFile | null): string {
  if (file === null) return '';
  const [dev, ino, size, mtime] = file.key.split(':');
  return [dev, ino, size, mtime].join(':');
}

class Unexpected extends Error {}

class Carrier {
  private readonly look: LaunchLook;
  private readonly step: Step;
  private readonly seen = new Map<string, SeenFile>();
  private readonly beside = new Map<SyncOperation, string>();
  readonly touched = new Set<string>();

  constructor(look: LaunchLook, step: Step) {
    this.look = look;
    this.step = step;
    for (const files of [look.own, look.originals])
      for (const file of files.values()) this.seen.set(file.path, file);
  }

  /** Writes all new files beside their places. */
  prepare(plans: readonly AppPlan[], fail: (plan: AppPlan, fault: unknown) => void): void {
    const writes = plans.flatMap((plan) =>
      plan.operations.flatMap((operation) => (operation.kind === 'write' ? [{ plan, operation }] : [])),
    );
    const sync = writes.length <= FEW;
    for (const { plan, operation } of writes) {
      try {
        const content = Buffer.from(operation.bytes, 'latin1');
        const mode = (operation.mode & 0o777) | 0o600;
        this.beside.set(operation, writeBeside(operation.path, { content, mode, sync }, this.step));
      } catch (fault) {
        fail(plan, fault);
      }
    }
    // syncfs(2), which Node lacks. Without it, only a power cut at the wrong moment could leave an empty entry.
    if (!sync)
      process
        .getBuiltinModule('child_process')
        .spawnSync('sync', ['--file-system', this.look.folders.own], { stdio: 'ignore' });
  }

  /** Refuses where a file is not the one that was looked at. */
  private check(path: string): void {
    const expected = this.seen.get(path) ?? null;
    if (lastingKey(seenAt(path, '')) !== lastingKey(expected)) throw new Unexpected(path);
  }

  carryOut(operation: SyncOperation): void {
    const { step } = this;
    const { folders } = this.look;
    switch (operation.kind) {
      case 'keep':
        this.check(operation.from);
        this.touched.add(operation.from).add(operation.to);
        secondName(operation.from, operation.to, step);
        this.syncFolderOf(operation.to);
        break;
      case 'write':
        this.write(operation, operation.path);
        break;
      case 'remove':
        this.check(operation.path);
        this.touched.add(operation.path);
        remove(operation.path, step);
        removeEmpty(dirname(operation.path), folders.originals);
        break;
      case 'restore':
        this.check(operation.to);
        this.check(operation.from);
        this.touched.add(operation.from).add(operation.to);
        moveOver(operation.from, operation.to, step);
        removeEmpty(dirname(operation.from), folders.originals);
        break;
      case 'save':
        this.check(operation.path);
        this.touched.add(operation.path);
        this.save(operation.path);
        break;
    }
  }

  private write(operation: SyncOperation, path: string): void {
    const beside = this.beside.get(operation);
    if (beside === undefined) throw new Error('it was not written');
    this.beside.delete(operation);
    try {
      this.check(path);
      this.touched.add(path);
      if (this.seen.has(path)) {
        this.step();
        renameSync(beside, path);
      } else putNew(beside, path, this.step);
    } catch (fault) {
      remove(beside, this.step);
      throw codeOf(fault) === 'EEXIST' ? new Unexpected(path) : fault;
    }
  }

  private save(path: string): void {
    const { own, originals, earlier } = this.look.folders;
    const relative = path.slice((path.startsWith(`${originals}/`) ? originals : own).length + 1);
    const name = join(earlier, relative);
    // An interrupted sync may have saved it already.
    const last = lastingKey(seenAt(path, ''));
    for (let i = 1; exists(i === 1 ? name : `${name}~${i}`); i += 1)
      if (lastingKey(seenAt(i === 1 ? name : `${name}~${i}`, '')) === last) return;
    secondName(path, nameFree(name), this.step);
  }

  private syncFolderOf(path: string): void {
    // Names reach the disk in the order in which they were made, on every journalling filesystem.
    if (this.beside.size <= FEW) syncFolder(dirname(path));
  }

  /** Removes what was written beside for plans that were given up. */
  clear(): void {
    for (const path of this.beside.values()) remove(path, this.step);
    this.beside.clear();
  }
}

/** What went wrong, as one sentence. */
function problemOf(plan: AppPlan, fault: unknown): Sentence {
  if (fault instanceof Unexpected) return sentence('entry.changed-meanwhile', { path: fault.message });
  const path = plan.operations.map((one) => ('path' in one ? one.path : one.to)).pop() ?? plan.id;
  return sentence('apps.not-written', { path, why: reasonOf(fault) });
}

/** `step` is called before each act on the disk; what it throws ends everything there, as a crash would. */
export function carryOut(look: LaunchLook, plans: readonly AppPlan[], step: Step): CarriedOut {
  let crash: { readonly fault: unknown } | null = null;
  const carrier = new Carrier(look, () => {
    if (crash !== null) throw crash.fault;
    try {
      step();
    } catch (fault) {
      crash = { fault };
      throw fault;
    }
  });
  const failed = new Map<AppPlan, unknown>();
  const note = (plan: AppPlan, fault: unknown): void => {
    if (crash !== null) throw crash.fault;
    failed.set(plan, fault);
  };
  const changes: { id: string; operation: SyncOperation }[] = [];
  carrier.prepare(plans, note);
  for (const plan of plans) {
    if (failed.has(plan)) continue;
    try {
      for (const operation of plan.operations) carrier.carryOut(operation);
    } catch (fault) {
      note(plan, fault);
      continue;
    }
    const last = plan.operations[plan.operations.length - 1];
    if (last !== undefined) changes.push({ id: plan.id, operation: last });
  }
  carrier.clear();
  if (carrier.touched.size > 0) syncFolder(look.folders.own);
  const problems = [...failed].map(([plan, fault]) => ({ id: plan.id, problem: problemOf(plan, fault) }));
  return { touched: [...carrier.touched], changes, problems };
}
