/** KDE's own libraries read the action for Plasma's launchers. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kickerActions } from '../../build/kickeractions.mjs';
import { RUN_ON_DGPU } from '../../core/src/launch/labels.js';
import { REPO } from '../rig/repo.js';
import { kdeReads, validate } from './support.js';

const APPS = [
  '/usr/share/applications/org.kde.kate.desktop',
  '/home/tester/.local/share/applications/My "Game" & 100% ünï.desktop',
];
const PATH = '/work/gpu-handoff.desktop';

let work: string;

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'kickeractions-'));
  mkdirSync(join(work, 'without'));
  for (const folder of ['.', 'without'])
    writeFileSync(join(work, folder, 'gpu-handoff.desktop'), await kickerActions(REPO));
  writeFileSync(join(work, 'programs'), '/run/gpu-handoff-offer\n/usr/bin/gpu-handoff\n');
  writeFileSync(join(work, 'without/programs'), '/usr/bin/gpu-handoff\n');
});

afterAll(() => rmSync(work, { recursive: true }));

describe('KDE', () => {
  test.each([
    ['C', RUN_ON_DGPU['']],
    ['de_DE', RUN_ON_DGPU.de],
    ['zh_CN', RUN_ON_DGPU.zh_CN],
  ])('in %s, offers “%s” and starts the launcher with the app’s file', async (language, label) => {
    const [entry] = await kdeReads(
      work,
      language,
      [PATH],
      APPS.map((app) => [app]),
    );
    expect(entry?.valid).toBe(true);
    expect(entry?.actions).toEqual([
      {
        id: 'run-on-dgpu',
        name: label,
        icon: 'video-display',
        exec: '/usr/bin/gpu-handoff launch --file %f',
        launches: APPS.map((app) => ['/usr/bin/gpu-handoff', 'launch', '--file', app]),
      },
    ]);
  });

  test('offers nothing while the link is missing', async () => {
    const [entry] = await kdeReads(join(work, 'without'), 'C', [PATH], []);
    expect(entry).toEqual({ valid: false });
  });
});

describe('desktop-file-validate', () => {
  test('finds nothing', async () => {
    expect((await validate(work, [PATH])).get(PATH)).toEqual([]);
  });
});
