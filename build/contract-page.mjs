// The contract as a page for those who write clients.
import { join } from 'node:path';
import { build } from 'esbuild';

/** Returns the text of docs/dbus.md, made from core/src/contract.ts, session-contract.ts and errors.ts. */
export async function contractPage(root) {
  const result = await build({
    stdin: {
      contents:
        "export * from './contract.js'; export * from './errors.js'; export * from './session-contract.js'; export { WORDS } from './words.js';",
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
  const { SESSION, SESSION_METHODS, SESSION_PROPERTIES } = core;
  const types = (list) => list.map((one) => `\`${one.name}\` ${one.type}`).join(', ') || '–';
  const lines = [
    '# The D-Bus interface',
    '',
    'Made from `core/src/contract.ts` and `core/src/session-contract.ts` by `npm run docs`; a test compares it with the code, and',
    'others the code with the live services.',
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
    '## The per-user service',
    '',
    `Bus: ${SESSION.bus}. Name: \`${SESSION.name}\`. Object: \`${SESSION.path}\`. Interface: \`${SESSION.interface}\`.`,
    'It is started by the first call and leaves after a minute without one, unless a caller of ListApps asked it to stay. Who',
    'keeps its answers asks anew after `Revision` has changed or the name has left the bus.',
    '',
  );
  for (const [name, spec] of Object.entries(SESSION_METHODS))
    lines.push(`### ${name}`, '', `In: ${types(spec.in)}. Out: ${types(spec.out)}.`, '', spec.doc, '');
  lines.push(
    '### Its properties',
    '',
    'All are for reading; a change of `Revision` is signalled with its value.',
    '',
  );
  for (const [name, spec] of Object.entries(SESSION_PROPERTIES))
    lines.push(`- **${name}** (${spec.type}): ${spec.doc}`);
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
