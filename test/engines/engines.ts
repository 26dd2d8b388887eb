import { fileURLToPath } from 'node:url';
import { openSandbox, type RunResult } from '../bus/rig/sandbox.js';

/** What each engine answered to the same calls: JSON text, one line per call. */
export interface Answers {
  readonly node: string;
  readonly gjs: string;
  readonly qml: string;
}

const HERE = fileURLToPath(new URL('.', import.meta.url));

/**
 * Runs calls against a module in Node, in gjs and in Qt's QML engine.
 * @param module path of an ES module without imports
 * @param calls path of a JSON file: see `calls.mjs`
 * @throws Error when an engine cannot load the module, or says anything beside its answer
 */
export async function askEngines(module: string, calls: string): Promise<Answers> {
  const sandbox = await openSandbox({
    binds: [
      { from: HERE, to: '/smoke/engines' },
      { from: module, to: '/smoke/core/core.mjs' },
      { from: calls, to: '/smoke/calls.json' },
    ],
  });
  try {
    const user = 'tester';
    const timeoutMs = 15_000;
    const [node, gjs, qml] = await Promise.all([
      sandbox.run(['node', '/smoke/engines/node-smoke.mjs'], { user, timeoutMs }),
      sandbox.run(['gjs', '-m', '/smoke/engines/gjs-smoke.js'], { user, timeoutMs }),
      sandbox.run(['/usr/lib/qt6/bin/qmltestrunner', '-input', '/smoke/engines/tst_smoke.qml', '-silent'], {
        user,
        timeoutMs,
        env: {
          QT_QPA_PLATFORM: 'offscreen',
          QML_XHR_ALLOW_FILE_READ: '1',
          QML_XHR_ALLOW_FILE_WRITE: '1',
          QT_FORCE_STDERR_LOGGING: '1',
        },
      }),
    ]);
    mustBeQuiet('node', node);
    mustBeQuiet('gjs', gjs);
    mustBeQuiet('qmltestrunner', qml);
    return {
      node: node.stdout,
      gjs: await sandbox.get('/tmp/gjs.json'),
      qml: await sandbox.get('/tmp/qml.json'),
    };
  } finally {
    await sandbox.stop();
  }
}

function mustBeQuiet(engine: string, result: RunResult): void {
  // QML's warnings are faults of the module: what V4 does not know, it may only mention.
  if (result.code !== 0 || result.stderr !== '' || /^QWARN/m.test(result.stdout)) {
    throw new Error(`${engine} ended with ${result.code}:\n${result.stdout}${result.stderr}`);
  }
}
