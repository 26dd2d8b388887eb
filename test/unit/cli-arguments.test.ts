import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { treeOf } from '../../cli/src/completion/tree.js';
import { buildProgram } from '../../cli/src/program.js';
import { widthOf } from '../../cli/src/render/width.js';
import { FAILURES } from '../../core/src/errors.js';
import { simulatedMachine } from '../../core/src/linux/simulated/machine.js';
import { editModel } from '../../core/src/linux/simulated/model.js';
import { command, workstation } from './support-cli.js';

describe('a wrong command line ends with 2 and one sentence', () => {
  test.each([
    [['nonsense'], 'Unknown command'],
    [['help', 'nonsense'], 'Unknown command'],
    [['statu'], 'Did you mean status'],
    [['hand-off'], 'Missing required argument'],
    [['hand-off', 'a', 'b'], 'Too many arguments'],
    [['status', '--wrong'], 'Unknown option'],
    [['take-back', '--dryrun'], 'Did you mean --dry-run'],
    [['completion', 'csh'], 'choose one of bash, zsh, fish'],
  ])('%j', async (words, says) => {
    const ran = await command(words);
    expect(ran.status).toBe(2);
    expect(ran.out).toBe('');
    expect(ran.err).toMatch(/^gpu-handoff: [A-Z][^\n]*\.\n$/);
    expect(ran.err).toContain(says);
  });
});

describe('help', () => {
  const COMMANDS = [
    'status',
    'holders',
    'vms',
    'hand-off',
    'take-back',
    'end-holders',
    'watch',
    'doctor',
    'cancel',
    'completion',
  ];

  test.each(COMMANDS)('of %s shows examples', async (name) => {
    const ran = await command([name, '--help']);
    expect(ran.status).toBe(0);
    expect(ran.out).toContain(`Usage: gpu-handoff ${name}`);
    expect(ran.out).toContain('Examples:');
  });

  test('names every command', async () => {
    const { out, status } = await command(['--help']);
    expect(status).toBe(0);
    for (const name of COMMANDS) expect(out).toContain(`\n  ${name}`);
    expect(out).not.toContain('__complete');
  });

  test('names every exit status that a command ends with', async () => {
    const { out } = await command(['--help']);
    const said = out.slice(out.indexOf('Exit status:'));
    // With a helper of another version there is nothing that a script could do.
    for (const [name, status] of Object.entries(FAILURES))
      if (name !== 'UnknownMethod') expect(said).toMatch(new RegExp(`\\b${status} [a-z]`));
  });

  // `run --help` is the wrapper's.
  const EVERY = ['', ...buildProgram({}).command.commands.map((one) => one.name())];

  test.each(EVERY)('“gpu-handoff help %s” fits 80 columns', async (name) => {
    const { out, status } = await command(['help', ...(name === '' ? [] : [name])]);
    expect([status, out]).toEqual([0, expect.stringContaining('Usage: gpu-handoff')]);
    expect(out.split('\n').filter((line) => widthOf(line) > 80)).toEqual([]);
  });

  test('the version is said', async () => {
    expect(await command(['--version'])).toMatchObject({ status: 0, err: '' });
  });
});

describe('what cannot be done says so by its status', () => {
  test('no helper: 10 for what only the helper can do', async () => {
    for (const words of [['hand-off', 'win11'], ['take-back'], ['end-holders'], ['cancel']]) {
      const ran = await command(words);
      expect([words, ran.status]).toEqual([words, 10]);
      expect(ran.err).toContain('The helper did not answer');
    }
  });

  test('no such card: 5', async () => {
    const ran = await command(['holders', 'Voodoo', '--simulate', workstation('laptop')]);
    expect(ran.status).toBe(5);
  });

  test('libvirt does not answer: 15', async () => {
    const dir = workstation('laptop');
    editModel(dir, 'faults', (faults) => {
      faults.virsh = { list: 'no connection', connect: 'no connection' };
    });
    expect((await command(['vms', '--simulate', dir])).status).toBe(15);
  });
});

describe('without the helper', () => {
  test('status is the default, and needs nobody', async () => {
    const dir = workstation('laptop');
    const ran = await command(['--simulate', dir]);
    expect(ran.status).toBe(0);
    expect(ran.out).toContain('GeForce RTX 4070 Max-Q / Mobile: In use');
    expect(ran.out).toContain('Used by 1 app or service: Blender.');
  });

  test('processes that could not be looked into make nobody free', async () => {
    const dir = workstation('desktop-amd');
    editModel(dir, 'faults', (faults) => {
      faults.unseen = 7;
    });
    const ran = await command(['holders', '--simulate', dir]);
    expect(ran.status).toBe(0);
    expect(ran.out).toContain('Cannot tell');
    expect(ran.out).toContain('7 processes could not be looked into');
  });

  test('a look that was cut short makes nobody free', async () => {
    const dir = workstation('desktop-amd');
    editModel(dir, 'faults', (faults) => {
      faults.passIncomplete = true;
    });
    expect((await command(['holders', '--simulate', dir])).out).toContain('Cannot tell');
    expect((await command(['status', '--simulate', dir])).out).toContain('cut short');
  });

  test('the doctor says what is missing, and what to do', async () => {
    const ran = await command(['doctor', '--simulate', workstation('no-iommu')]);
    expect(ran.status).toBe(1);
    expect(ran.out).toContain('IOMMU: It is off');
    expect(ran.out).toContain('intel_iommu=on');
    const fine = await command(['doctor', '--simulate', workstation('laptop')]);
    expect([fine.status, fine.out]).toEqual([0, expect.stringContaining('Everything is in order.')]);
  });
});

describe('docs/commands.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/commands.md'), 'utf8');

  test('says what every exit status means', () => {
    for (const [name, status] of Object.entries(FAILURES))
      expect(page).toMatch(new RegExp(`^\\| ${status} +\\| \`${name}\``, 'm'));
  });

  test('names every command and option', () => {
    const { commands, options } = treeOf(buildProgram({}).command);
    for (const { name } of commands) if (name !== 'help') expect(page).toContain(`| \`${name}`);
    const all = [...options, ...commands.flatMap((command) => command.options)];
    for (const { long } of all) if (long !== '--version') expect(page).toContain(`\`${long}\``);
  });

  test('names a schema for every kind of document', () => {
    for (const name of [
      'status',
      'holders',
      'vms',
      'result',
      'preview',
      'watch',
      'doctor',
      'cancel',
      'error',
    ])
      expect(page).toContain(`(schema/${name}.json)`);
  });
});

test('without rights a card that is kept for VMs is not called detached', async () => {
  const dir = workstation('desktop-amd');
  const machine = simulatedMachine(dir, { delays: 0 });
  const [vm] = await machine.eyes.virtualMachines();
  await machine.hands.perform({ do: 'start-vm', uuid: vm?.uuid ?? '' }, 60_000);
  expect((await command(['status', '--simulate', dir])).out).toContain('In win11');
  // Its process is gone, and libvirt has not given the card back.
  editModel(dir, 'machines', (guests) => {
    for (const guest of guests) Object.assign(guest, { running: false, pid: null });
  });
  expect((await command(['status', '--simulate', dir])).out).toContain('Detached');
  editModel(dir, 'faults', (faults) => {
    faults.unseen = 3;
  });
  const { out } = await command(['status', '--simulate', dir]);
  expect(out).toContain('Not known');
  expect(out).toContain('Whether a VM has it could not be seen');
});
