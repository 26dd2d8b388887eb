import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../machine.js';
import { onChange } from './changes.js';
import { runChild } from './child.js';
import { shortByForker } from './forker.js';
import { realHands } from './hands.js';
import { nodeMode } from './hands-nodes.js';
import { servicesActive } from './hands-services.js';
import { readHardware } from './hardware.js';
import { type JournalLog, journalLog } from './journal-log.js';
import { virtualMachines } from './libvirt.js';
import { directoryNotes } from './notes.js';
import { passOverProcesses } from './process-pass.js';
import { startedAt, startTicks, userNames } from './start-time.js';

/** Asking systemd about a few units. */
const SERVICES_LIMIT_MS = 10_000;
/** Old-style majors, which NVIDIA's are, have so many minors. */
const MINORS = 256;

export interface RealMachine extends Machine {
  readonly log: JournalLog;
}

/** The machine that this process runs on. Reads as any user; acts and sees all processes as root. */
export function realMachine(): RealMachine {
  const log = journalLog();
  return {
    simulated: false,
    eyes: {
      hardware: () => readHardware(),
      processes: (question) =>
        passOverProcesses({
          numbers: allNumbers(question.numbers),
          exporters: new Set(question.exporters),
          fresh: question.fresh === true,
        }),
      virtualMachines: () => virtualMachines(runChild, log),
      services: (units) => servicesActive(runChild, units, SERVICES_LIMIT_MS),
      nodeMode: (node) => nodeMode('/', node),
      startTicks: (pid) => startTicks(pid),
      userName: userNames(),
      startedAt: (ticks) => startedAt(ticks),
    },
    hands: realHands('/', shortByForker()),
    notes: directoryNotes('/run/gpu-handoff', log),
    clock: { now: () => Date.now(), sleep: (ms) => sleep(ms).then(() => undefined) },
    log,
    onChange: (heard) => onChange(heard),
  };
}

/** Bare majors as all their minors: `195` becomes `195:0` … `195:255`. */
export function allNumbers(numbers: readonly string[]): ReadonlySet<string> {
  const all = new Set<string>();
  for (const number of numbers) {
    if (number.includes(':')) all.add(number);
    else for (let minor = 0; minor < MINORS; minor += 1) all.add(`${number}:${minor}`);
  }
  return all;
}
