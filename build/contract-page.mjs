// The contract as a page for those who write clients.
import { join } from 'node:path';
import { build } from 'esbuild';

/** Returns the text of docs/dbus.md, made from core/src/contract.ts and core/src/errors.ts. */
export async function contractPage(root) {
  const result = await build({
    stdin: {
      contents:
        "export * from './contract.js'; export * from './errors.js'; export { WORDS } from './words.js';",
      resolveDir: join(root, 'core/src'),
      loader: 'ts',
    },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
  });
  const source = Buffer.from(result.outputFiles[0].contents).toString('base64');
  const core = await import(`data:text/javascript;base64,${source}`);
  const { MANAGER, METHODS, PROPERTIES, POWERS, FAILURES, ERROR_PREFIX, WORDS, polkitAction } = core;
  const types = (list) => list.map((one) => `\`${one.name}\` ${one.type}`).join(', ') || '–';
  const lines = [
    '# The D-Bus interface',
    '',
    'Made from `core/src/contract.ts` by `npm run docs`; a test compares it with the code, and another the code with the live',
    'service.',
    '',
    `Bus: ${MANAGER.bus}. Name: \`${MANAGER.name}\`. Object: \`${MANAGER.path}\`. Interface: \`${MANAGER.interface}\`.`,
    'The helper is started by the first call and leaves when nobody has used it for a while and no guest has a card.',
    '',
    '## Methods',
    '',
  ];
  for (const [name, spec] of Object.entries(METHODS))
    lines.push(`### ${name}`, '', `In: ${types(spec.in)}. Out: ${types(spec.out)}.`, '', spec.doc, '');
  lines.push('## Properties', '', 'All are for reading, and each change is signalled with its value.', '');
  for (const [name, spec] of Object.entries(PROPERTIES))
    lines.push(`- **${name}** (${spec.type}): ${spec.doc}`);
  lines.push('', '## Powers', '', '| polkit action | who has it may |', '|---|---|');
  for (const power of POWERS) lines.push(`| \`${polkitAction(power)}\` | ${WORDS[`power.${power}`]} |`);
  lines.push(
    '',
    '## Errors',
    '',
    `Names begin with \`${ERROR_PREFIX}\`; the message is one sentence. The command ends with the status beside them.`,
    '',
    '| name | exit status |',
    '|---|---|',
    ...Object.entries(FAILURES).map(([name, status]) => `| \`${name}\` | ${status} |`),
  );
  return `${lines.join('\n')}\n`;
}
