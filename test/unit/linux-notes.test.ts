import { readdirSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { directoryNotes } from '../../core/src/linux/notes.js';
import type { Log } from '../../core/src/machine.js';
import { Tree } from './support-tree.js';

const HELD = 'held-4dea22b3-1d52-d8f3-2516-782e98ab3fa0';

test('what was written is read', () => {
  const tree = new Tree();
  const notes = directoryNotes(tree.path('run/gpu-handoff'));
  notes.write('journal', { step: 1 });
  notes.write('journal', { step: 2 });
  notes.write(HELD, [null]);
  expect([...directoryNotes(tree.path('run/gpu-handoff')).readAll()]).toEqual([
    [HELD, [null]],
    ['journal', { step: 2 }],
  ]);
});

test('no directory: no notes', () => {
  expect(directoryNotes('/nonexistent').readAll().size).toBe(0);
});

test('removing twice', () => {
  const tree = new Tree();
  const notes = directoryNotes(tree.path('notes'));
  notes.write('journal', 1);
  notes.remove('journal');
  notes.remove('journal');
  expect(notes.readAll().size).toBe(0);
});

test('only root reads them', () => {
  const tree = new Tree();
  const notes = directoryNotes(tree.path('notes'));
  tree.directory('notes');
  notes.write('journal', 1);
  expect(statSync(tree.path('notes')).mode & 0o777).toBe(0o700);
  expect(statSync(tree.path('notes/journal.json')).mode & 0o777).toBe(0o600);
});

test('a half-written note is left out, removed, and logged', () => {
  const tree = new Tree();
  const lines: string[] = [];
  const log: Log = { line: (level, text) => lines.push(`${level} ${text}`) };
  tree.file('notes/journal.json', '{"step":');
  tree.file('notes/stuck.json', '{"a":1}');
  tree.file('notes/.journal.json.new', '{');
  tree.directory('notes/directory.json');
  expect([...directoryNotes(tree.path('notes'), log).readAll().keys()]).toEqual(['stuck']);
  expect(readdirSync(tree.path('notes'))).toEqual(['stuck.json']);
  expect(lines).toHaveLength(2);
  expect(lines.join()).toMatch(/warning The note journal could not be read and was removed: /);
});

test('a note that is a link to another file is not followed', () => {
  const tree = new Tree();
  tree.file('elsewhere', '{"a":1}');
  tree.link('notes/journal.json', 'elsewhere');
  expect(directoryNotes(tree.path('notes')).readAll().size).toBe(0);
  expect(statSync(tree.path('elsewhere')).isFile()).toBe(true);
});

test('what is not ours stays', () => {
  const tree = new Tree();
  tree.file('notes/README', 'x');
  tree.file('notes/Upper.json', '{');
  expect(directoryNotes(tree.path('notes')).readAll().size).toBe(0);
  expect(readdirSync(tree.path('notes'))).toEqual(['README', 'Upper.json']);
});

test.each(['../passwd', '', 'a/b', '.hidden', 'A', `a${'b'.repeat(90)}`])('“%s” is no name', (name) => {
  const notes = directoryNotes(new Tree().path('notes'));
  expect(() => notes.write(name, 1)).toThrow('no name');
  expect(() => notes.remove(name)).toThrow('no name');
});
