import { describe, expect, test } from 'vitest';
import { complaintOf, findProgram, runChild } from '../../core/src/linux/child.js';
import { startTicks } from '../../core/src/linux/start-time.js';
import { ActError } from '../../core/src/machine.js';

async function faultOf(work: Promise<unknown>): Promise<ActError> {
  const fault = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (fault instanceof ActError) return fault;
  throw new Error(`no ActError: ${String(fault)}`);
}

const shell = (script: string, limitMs = 5000) => ({ program: 'sh', args: ['-c', script], limitMs });

describe('a child', () => {
  test('gets its input and gives its output and status', async () => {
    const result = await runChild({ ...shell('cat; echo no >&2; exit 3'), input: 'text' });
    expect(result).toEqual({ status: 3, stdout: 'text', stderr: 'no\n' });
  });

  test('gets nothing of our environment, and speaks English', async () => {
    process.env.HANDOFF_SECRET = 'x';
    const { stdout } = await runChild({ program: 'env', args: [], limitMs: 5000 });
    delete process.env.HANDOFF_SECRET;
    expect(stdout.split('\n').map((line) => line.split('=')[0])).toEqual([
      'LC_ALL',
      'PATH',
      'SYSTEMD_COLORS',
      '',
    ]);
    expect(stdout).toContain('LC_ALL=C\n');
  });

  test('has its arguments word by word', async () => {
    const { stdout } = await runChild({
      program: 'printf',
      args: ['%s|', '$HOME', 'a b', '*'],
      limitMs: 5000,
    });
    expect(stdout).toBe('$HOME|a b|*|');
  });

  test('need not read its input', async () => {
    expect((await runChild({ ...shell('exit 0'), input: 'x'.repeat(1_000_000) })).status).toBe(0);
  });

  test('that a signal ends has no status', async () => {
    expect((await runChild(shell('kill -9 $$'))).status).toBeNull();
  });

  test('whose own child keeps its output open ends all the same', async () => {
    expect((await runChild(shell('sleep 3 & echo done'))).stdout).toBe('done\n');
  });
});

describe('what goes wrong', () => {
  test('a program that is not installed', async () => {
    expect(await faultOf(runChild({ program: 'no-such-program', args: [], limitMs: 100 }))).toMatchObject({
      fault: 'gone',
      message: 'the program no-such-program is not installed',
    });
  });

  test.each(['../bin/sh', '/bin/sh', '', '-x y'])('“%s” is no name of a program', (name) => {
    expect(findProgram(name)).toBeNull();
  });

  test('it takes too long, and goes with all that it started', async () => {
    const begin = performance.now();
    const fault = await faultOf(runChild(shell('sleep 60 & echo $! > /dev/null; wait', 200)));
    expect(fault).toMatchObject({ fault: 'time', message: 'it took longer than 1 s' });
    expect(performance.now() - begin).toBeLessThan(5000);
  });

  test('it ignores every polite signal', async () => {
    expect((await faultOf(runChild(shell("trap '' TERM INT HUP; while :; do :; done", 200)))).fault).toBe(
      'time',
    );
  });

  test('it writes without end', async () => {
    const fault = await faultOf(runChild({ program: 'yes', args: [], limitMs: 10_000, most: 1000 }));
    expect(fault.fault).toBe('failed');
  });

  test('it hangs in the kernel: it is left behind', async () => {
    let left = 0;
    const begin = performance.now();
    const work = runChild(shell('exec sleep 60', 100), {
      kill: (pid) => {
        left = pid;
      },
      stateOf: () => 'D',
    });
    expect(await faultOf(work)).toMatchObject({
      fault: 'stuck',
      message: 'sh does not return (it hangs inside the kernel since 1 s): reboot needed.',
    });
    expect(performance.now() - begin).toBeLessThan(10_000);
    expect(startTicks(left)).not.toBeNull();
    process.kill(left, 'SIGKILL');
  });
});

describe('what a program complained of', () => {
  test.each([
    [
      'error: Failed to start domain\nerror: internal error: no\n',
      'Failed to start domain; internal error: no',
    ],
    ['rmmod: ERROR: Module nvidia is in use\n', 'Module nvidia is in use'],
    ['', 'exit status 7'],
  ])('%j', (stderr, said) => {
    expect(complaintOf({ status: 7, stdout: '', stderr })).toBe(said);
  });
});
