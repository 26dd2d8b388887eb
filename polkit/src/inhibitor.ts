/**
 * Keeps the machine from sleeping or shutting down while a card changes hands. logind gives its lock as a file
 * descriptor, which Node cannot receive over D-Bus, so systemd-inhibit holds it until its child's stdin closes.
 */
import { type ChildProcess, spawn } from 'node:child_process';

const PROGRAM = '/usr/bin/systemd-inhibit';
const ARGUMENTS = [
  '--what=sleep:shutdown',
  '--mode=block',
  '--who=GPU Handoff',
  '--why=A graphics card is changing hands',
  '/bin/cat',
];

export class Inhibitor {
  private child: ChildProcess | null = null;
  private readonly complain: (why: string) => void;

  constructor(complain: (why: string) => void) {
    this.complain = complain;
  }

  /** Takes or gives back the lock; asking for what is already so does nothing. */
  hold(wanted: boolean): void {
    if (!wanted) {
      this.child?.stdin?.end();
      this.child = null;
      return;
    }
    if (this.child !== null) return;
    const child = spawn(PROGRAM, ARGUMENTS, { stdio: ['pipe', 'ignore', 'ignore'] });
    // A machine without logind has nothing that could put it to sleep behind our back.
    child.on('error', (fault) => this.complain(fault.message));
    child.stdin?.on('error', () => {});
    this.child = child;
  }
}
