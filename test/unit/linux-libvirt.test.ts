import { expect, test } from 'vitest';
import type { Run } from '../../core/src/linux/child.js';
import { virtualMachines } from '../../core/src/linux/libvirt.js';
import { ActError } from '../../core/src/machine.js';

const A = 'aaaaaaaa-0000-4000-8000-000000000001';
const B = 'bbbbbbbb-0000-4000-8000-000000000002';
const C = 'cccccccc-0000-4000-8000-000000000003';

function xml(uuid: string, name: string, bus = ''): string {
  const device = `<hostdev type='pci' managed='yes'><source><address bus='${bus}'/></source></hostdev>`;
  return `<domain><name>${name}</name><uuid>${uuid}</uuid><devices>${bus === '' ? '' : device}</devices></domain>\n`;
}

/** virsh as a table from its arguments to its output; an error is its error output. */
function virsh(answers: Readonly<Record<string, string | Error>>): { run: Run; asked: string[] } {
  const asked: string[] = [];
  const run: Run = async ({ program, args }) => {
    expect([program, ...args.slice(0, 3)]).toEqual(['virsh', '-q', '-c', 'qemu:///system']);
    const question = args.slice(3).join(' ');
    asked.push(question);
    const answer = answers[question] ?? new Error(`error: unexpected ${question}`);
    return typeof answer === 'string'
      ? { status: 0, stdout: answer, stderr: '' }
      : { status: 1, stdout: '', stderr: answer.message };
  };
  return { run, asked };
}

test('what runs is asked for as it runs, the rest as defined', async () => {
  const { run, asked } = virsh({
    'list --all --uuid': `${A}\n${B}\n\n`,
    'list --uuid': `${B}\n\n`,
    [`dumpxml --inactive ${A}`]: xml(A, 'zeta', '1'),
    [`dumpxml ${B}`]: xml(B, 'alpha', '2'),
  });
  expect(await virtualMachines(run)).toEqual([
    { uuid: B, name: 'alpha', running: true, devices: [{ address: '0000:02:00.0', managed: true }] },
    { uuid: A, name: 'zeta', running: false, devices: [{ address: '0000:01:00.0', managed: true }] },
  ]);
  expect(asked).toHaveLength(4);
});

test('no domains', async () => {
  const { run } = virsh({ 'list --all --uuid': '\n', 'list --uuid': '\n' });
  expect(await virtualMachines(run)).toEqual([]);
});

test('one that started between the questions is among them', async () => {
  const { run } = virsh({ 'list --all --uuid': '', 'list --uuid': A, [`dumpxml ${A}`]: xml(A, 'fresh') });
  expect(await virtualMachines(run)).toMatchObject([{ name: 'fresh', running: true }]);
});

test('one that goes away or cannot be read is left out and logged', async () => {
  const { run } = virsh({
    'list --all --uuid': `${A}\n${B}\n${C}\n`,
    'list --uuid': '',
    [`dumpxml --inactive ${A}`]: new Error(`error: failed to get domain '${A}'`),
    [`dumpxml --inactive ${B}`]: '<domain/>',
    [`dumpxml --inactive ${C}`]: xml(C, 'good'),
  });
  const lines: string[] = [];
  const machines = await virtualMachines(run, { line: (_level, text) => lines.push(text) });
  expect(machines.map((machine) => machine.name)).toEqual(['good']);
  expect(lines).toHaveLength(2);
});

test('at most four are asked for at once', async () => {
  let now = 0;
  let most = 0;
  const uuids = Array.from({ length: 12 }, (_, n) => `aaaaaaaa-0000-4000-8000-0000000000${10 + n}`);
  const run: Run = async ({ args }) => {
    const question = args.slice(3).join(' ');
    if (question.startsWith('list')) return { status: 0, stdout: uuids.join('\n'), stderr: '' };
    now += 1;
    most = Math.max(most, now);
    await new Promise((resolve) => setTimeout(resolve, 5));
    now -= 1;
    return { status: 0, stdout: xml(args.at(-1) ?? '', 'x'), stderr: '' };
  };
  expect(await virtualMachines(run)).toHaveLength(12);
  expect(most).toBe(4);
});

test('libvirt is not there', async () => {
  const { run } = virsh({
    'list --all --uuid': new Error(
      "error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/run/libvirt/virtqemud-sock': No such file or directory",
    ),
  });
  await expect(virtualMachines(run)).rejects.toMatchObject({
    fault: 'gone',
    message: expect.stringMatching(/^failed to connect to the hypervisor; Failed to connect socket/),
  });
});

test.each(['gone', 'time'] as const)('virsh fails by “%s”', async (fault) => {
  const run: Run = () => Promise.reject(new ActError(fault, 'why'));
  await expect(virtualMachines(run)).rejects.toMatchObject({ fault, message: 'why' });
});

test('a domain that does not answer is no reason to call the rest complete', async () => {
  const run: Run = async ({ args }) => {
    if (args[3] === 'list') return { status: 0, stdout: A, stderr: '' };
    throw new ActError('time', 'it took longer than 10 s');
  };
  await expect(virtualMachines(run)).rejects.toMatchObject({ fault: 'time' });
});
