// “Run on dGPU” for every app in Plasma's launchers: the file of plasma/kickeractions, in all languages.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** The labels of the launch entries' own action, by locale; the empty one is English. */
async function labels(root) {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'core/src/launch/labels.ts')],
    bundle: true,
    format: 'esm',
    write: false,
    logLevel: 'warning',
  });
  const code = Buffer.from(outputFiles[0].contents).toString('base64');
  return (await import(`data:text/javascript;base64,${code}`)).RUN_ON_DGPU;
}

/** A value as the Desktop Entry Specification has it. */
function escaped(text) {
  return text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/^ /, '\\s');
}

/** The text of gpu-handoff.desktop. `root` is the repository. */
export async function kickerActions(root) {
  const template = readFileSync(join(root, 'kde-plasmoid/kickeractions/gpu-handoff.desktop.in'), 'utf8');
  const names = Object.entries(await labels(root))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([locale, label]) => `Name${locale === '' ? '' : `[${locale}]`}=${escaped(label)}`);
  return template.replace('@NAMES@', () => names.join('\n'));
}
