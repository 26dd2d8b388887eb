/** What `gpu-handoff vms` looks like: those that have a graphics card among their devices first. */
import type { MachineDocument, MachinesDocument } from '../documents.js';
import type { Paper, Style, SymbolName } from './paper.js';

function about(machine: MachineDocument): string | null {
  if (machine.cards.length === 0) return null;
  const names = machine.cards.map((card) => card.name).join(', ');
  return `${machine.cards.some((card) => card.has) ? 'Has' : 'Can have'} ${names}.`;
}

function stateOf({ running }: MachineDocument): string {
  if (running === null) return 'not known';
  return running ? 'running' : 'off';
}

function markOf(machine: MachineDocument): readonly [SymbolName, Style] {
  if (machine.cards.some((card) => card.has)) return ['vm', 'cyan'];
  if (machine.running === true) return ['host', 'green'];
  return ['asleep', 'dim'];
}

function machineBlock(paper: Paper, machine: MachineDocument): string {
  const [symbol, style] = markOf(machine);
  const lead = `${paper.style(style, paper.symbol(symbol))} `;
  const cards = about(machine);
  const name = (text: string): string => (cards === null ? text : paper.bold(text));
  const state = (text: string): string => paper.style(style, text);
  const line = paper.sides(machine.name, stateOf(machine), lead, name, state);
  return cards === null ? line : `${line}\n${paper.wrap(cards, 2, '  ', 'dim')}`;
}

export function renderMachines(paper: Paper, list: MachinesDocument): string {
  if (list.machines.length === 0) return `${paper.wrap('libvirt knows no VM on this machine.', 0)}\n`;
  const order = [...list.machines].sort((a, b) => Number(b.cards.length > 0) - Number(a.cards.length > 0));
  return `${order.map((machine) => machineBlock(paper, machine)).join('\n')}\n`;
}
