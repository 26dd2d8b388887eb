import { writeFileSync } from 'node:fs';
import { it } from 'vitest';
import { startGnome } from './gnome.js';
import { VERSIONS } from './tree.js';

for (const version of VERSIONS)
  it(`x ${version}`, async () => {
    let t = Date.now();
    const say = (w: string) => {
      console.log(version, w, Date.now() - t);
      t = Date.now();
    };
    const s = await startGnome({ version, extension: null });
    say('start');
    try {
      await s.screenshot('try');
      say('shot');
      writeFileSync(`/tmp/team/e-outline-${version}.txt`, await s.outline());
      say('outline');
  await s.click({ name: 'System' });
      say('click');
      await new Promise((r) => setTimeout(r, 500));
      await s.screenshot('try2');
      writeFileSync(`/tmp/team/e-outline2-${version}.txt`, await s.outline());
    } finally {
      await s.stop();
      say('stop');
    }
  });
