/**
 * `npm start`: on a machine with two graphics cards its state, without changing anything; on any other a tour of the
 * simulated workstation. The tour is the product's own engine over a directory: what is refused, ended, handed off
 * and taken back there is refused, ended, handed off and taken back by the same code on a real machine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_CONFIG } from '../../core/src/config.js';
import { POWERS } from '../../core/src/contract.js';
import { detect } from '../../core/src/detect.js';
import { Engine } from '../../core/src/engine/engine.js';
import { readHardware } from '../../core/src/linux/hardware.js';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import { simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import type { Operation } from '../../core/src/operation.js';
import { say } from '../../core/src/words.js';
import { makeContext } from './context.js';
import type { OperationDocument } from './documents.js';
import { gatherStatus, ownStatus } from './gather.js';
import { progressOn } from './progress.js';
import { outcomeLine } from './render/operation.js';
import { renderStatus } from './render/status.js';

const DGPU = '0000:01:00.0';
const VM = 'win11';
/** The user of the tour, who owns the app that holds the card. */
const UID = 1000;

const context = makeContext({ json: false, bus: null, simulate: null, askPassword: false });
const { out } = context;

function tell(text: string): void {
  out.write(`\n${out.paper.wrap(text, 0)}\n`);
}

function command(words: string): void {
  out.write(`\n${out.paper.bold(`$ gpu-handoff ${words}`)}\n`);
}

function documentOf(operation: Operation): OperationDocument {
  return {
    id: operation.id,
    kind: operation.kind,
    title: say(operation.title),
    cards: operation.cards,
    vm: operation.vm,
    state: operation.state,
    cancellable: operation.cancellable,
    steps: operation.steps.map((step) => ({
      id: step.id,
      title: say(step.title),
      state: step.state,
      sentence: step.sentence === null ? null : say(step.sentence),
    })),
    error: operation.failure,
    sentence: operation.sentence === null ? null : say(operation.sentence),
    user: String(operation.uid),
  };
}

async function tour(dir: string): Promise<void> {
  createWorkstation(dir, 'laptop');
  const machine = simulatedMachine(dir, { attends: true });
  const engine = new Engine(machine, DEFAULT_CONFIG);
  machine.onHook = (operation, suboperation, extra, vm) =>
    engine.hook({ operation, suboperation, extra, vm });
  await engine.start();

  const showStatus = async (): Promise<void> => {
    command('status');
    out.write(renderStatus(out.paper, await ownStatus(dir)));
  };
  const follow = async (begin: () => Promise<string>): Promise<Operation> => {
    const progress = progressOn(out, false);
    let id: string | null = null;
    engine.listen(() => {
      const { operation } = engine.published();
      if (operation !== null && operation.id === id && operation.state === 'running')
        progress.show(documentOf(operation));
    });
    id = await begin();
    const end = await engine.settled(id);
    progress.end(documentOf(end));
    out.write(`${outcomeLine(out.paper, documentOf(end), engine.card(DGPU).name)}\n`);
    return end;
  };

  tell(
    'This machine has not got two graphics cards, so here is a simulated laptop that has. Nothing of this machine is touched.',
  );
  await showStatus();
  tell('An app uses the card. Handing it to a VM is refused before anything is touched:');
  command(`hand-off ${VM}`);
  await follow(() => engine.handOff(VM, UID));
  tell('The app is ended, politely:');
  command('end-holders');
  await follow(() => engine.endHolders(DGPU, [], { force: false, granted: POWERS }, UID));
  tell('Now the card can leave:');
  command(`hand-off ${VM}`);
  await follow(() => engine.handOff(VM, UID));
  await showStatus();
  tell('And back, by asking the guest to shut down:');
  command('take-back');
  await follow(() => engine.takeBack(DGPU, { force: false }, UID));
  await showStatus();
  machine.close();
}

async function main(): Promise<void> {
  if (detect(readHardware(), DEFAULT_CONFIG).length >= 2) {
    command('status');
    out.write(renderStatus(out.paper, await gatherStatus(context)));
    tell(
      'Nothing was changed. “npm run package” builds the package; “gpu-handoff --help” says what it can do.',
    );
    return;
  }
  const dir = mkdtempSync(join(tmpdir(), 'gpu-handoff-tour-'));
  try {
    await tour(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

main().then(
  () => process.exit(0),
  (fault) => {
    process.stderr.write(`${fault instanceof Error ? fault.message : String(fault)}\n`);
    process.exit(1);
  },
);
