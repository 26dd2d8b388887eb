/** What `gpu-handoff vms` looks like: those that have a graphics card among their devices first. */
import type { MachineDocument, MachinesDocument } from '../documents.js';
import type { Paper, Style, SymbolName } from './paper.js';

function about(machine: MachineDocument): string {
  if (machine.cards.length === 0) return 'no graphics card';
  const names = machine.cards.map((card) => card.name).join(', ');
  return machine.cards.some((card) => card.has) ? `has ${names}` : `for ${names}`;
}

function markOf(machine: MachineDocument): readonly [SymbolName, Style] {
  if (machine.cards.some((card) => card.has)) return ['vm', 'cyan'];
  if (machine.running === true) return ['host', 'green'];
  return ['asleep', 'dim'];
}

function line(paper: Paper, machine: MachineDocument): string {
  const [symbol, style] = markOf(machine);
  const state = machine.running === null ? '' : machine.running ? 'running, ' : 'off, ';
  return paper.sides(
    machine.name,
    state + about(machine),
    `${paper.style(style, paper.symbol(symbol))} `,
    (text) => (machine.cards.length > 0 ? paper.bold(text) : text),
    (text) => (machine.cards.length > 0 ? text : paper.dim(text)),
  );
}

export function renderMachines(paper: Paper, list: MachinesDocument): string {
  if (list.machines.length === 0) return `${paper.wrap('libvirt knows no VM on this machine.', 0)}\n`;
  const order = [...list.machines].sort((a, b) => Number(b.cards.length > 0) - Number(a.cards.length > 0));
  return `${order.map((machine) => line(paper, machine)).join('\n')}\n`;
}
