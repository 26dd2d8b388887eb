/** Which drivers the real loaders (libglvnd, the Vulkan loader) look for in an app that the wrapper started. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createWorkstation } from '../../core/src/linux/simulated/create.js';
import type { ScenarioName } from '../../core/src/linux/simulated/scenarios.js';
import { writeWrapper } from '../unit/support-wrapper.js';
import { openSandbox, type Sandbox } from './rig/sandbox.js';

const VENDORS = '/usr/share/glvnd/egl_vendor.d';

/** A laptop with an Intel and an NVIDIA card; a desktop with two of AMD's; and a machine with one card. */
const MACHINES = ['laptop', 'desktop-amd', 'one-card'] satisfies ScenarioName[];

/** Makes both loaders look for their drivers. */
const PROBE = `import ctypes
ctypes.CDLL('libEGL.so.1').eglQueryString(None, 0x3055)
ctypes.CDLL('libvulkan.so.1').vkEnumerateInstanceExtensionProperties(None, ctypes.byref(ctypes.c_uint32()), None)
`;

const ICDS = [
  'nvidia_icd.json',
  'intel_icd.x86_64.json',
  'radeon_icd.x86_64.json',
  'amd_icd64.json',
  'lvp_icd.x86_64.json',
];

const manifest = (library: string): string =>
  JSON.stringify({ file_format_version: '1.0.0', ICD: { library_path: library, api_version: '1.3.0' } });

/** What keeps a session off cards, and what leads it to another one, in the ways that the loaders know. */
const SESSIONS: readonly Readonly<Record<string, string>>[] = [
  {},
  {
    VK_LOADER_DRIVERS_DISABLE: '*nvidia*',
    __EGL_VENDOR_LIBRARY_FILENAMES: `${VENDORS}/50_mesa.json`,
    __GLX_VENDOR_LIBRARY_NAME: 'mesa',
  },
  { VK_LOADER_DRIVERS_DISABLE: '*', __EGL_VENDOR_LIBRARY_FILENAMES: '' },
  { VK_LOADER_DRIVERS_SELECT: '*lvp*', __EGL_VENDOR_LIBRARY_DIRS: '/nowhere' },
  {
    VK_DRIVER_FILES: '/opt/vulkan/icd.d/lvp_icd.x86_64.json',
    __EGL_VENDOR_LIBRARY_FILENAMES: '/no/such/file',
  },
  { VK_ICD_FILENAMES: '/opt/vulkan/icd.d/lvp_icd.x86_64.json', VK_LOADER_DRIVERS_DISABLE: '*radeon*' },
];

const place = mkdtempSync(join(tmpdir(), 'handoff-loaders-'));
let sandbox: Sandbox;

beforeAll(async () => {
  for (const name of MACHINES) {
    createWorkstation(join(place, name), name);
    writeWrapper(join(place, `run-${name}`), `/machines/${name}`);
    // The wrapper looks for this file before it names it.
    mkdirSync(join(place, name, VENDORS), { recursive: true });
    writeFileSync(join(place, name, VENDORS, '50_mesa.json'), '');
  }
  sandbox = await openSandbox({ binds: [{ from: place, to: '/machines', writable: true }] });
  await sandbox.put(`${VENDORS}/10_nvidia.json`, manifest('libEGL_nvidia.so.0'));
  for (const name of ICDS) await sandbox.put(`/opt/vulkan/icd.d/${name}`, manifest(`/opt/${name}.so`));
  await sandbox.put('/opt/probe.py', PROBE);
}, 600_000);

afterAll(async () => {
  await sandbox?.stop();
  rmSync(place, { recursive: true, force: true });
});

interface Reached {
  readonly egl: readonly string[];
  readonly vulkan: readonly string[];
}

/** Whose drivers an app looks for, started in a session through a wrapper or directly. */
async function reached(
  session: Readonly<Record<string, string>>,
  through: readonly string[],
): Promise<Reached> {
  const env = { ...session, XDG_DATA_DIRS: '/opt', VK_LOADER_DEBUG: 'all' };
  const app = ['sh', '-c', 'LD_DEBUG=files exec python3 /opt/probe.py'];
  const { code, stderr } = await sandbox.run([...through, ...app], { env });
  expect(code).toBe(0);
  const found = (pattern: RegExp): string[] =>
    [...new Set([...stderr.matchAll(pattern)].map((match) => match[1] ?? ''))].sort();
  const ignored = found(/Driver "([^"]+)" ignored/g);
  return {
    egl: found(/file=libEGL_(\w+)\.so/g),
    vulkan: found(/ICD drivers named \/opt\/([\w.]+)\.so/g).filter((name) => !ignored.includes(name)),
  };
}

test('without the wrapper each of these sessions but the free one misses a driver', async () => {
  const free = await reached({}, []);
  expect(free).toEqual({ egl: ['mesa', 'nvidia'], vulkan: [...ICDS].sort() });
  for (const session of SESSIONS.slice(1)) expect(await reached(session, [])).not.toEqual(free);
});

describe.each(SESSIONS)('in the session %j', (session) => {
  test('an app for the NVIDIA card finds NVIDIA’s EGL, and NVIDIA’s Vulkan alone', async () => {
    expect(await reached(session, ['/machines/run-laptop'])).toEqual({
      egl: ['mesa', 'nvidia'],
      vulkan: ['nvidia_icd.json'],
    });
  });

  test('an app for the AMD card finds Mesa’s EGL and AMD’s Vulkan, and NVIDIA’s driver never', async () => {
    expect(await reached(session, ['/machines/run-desktop-amd'])).toEqual({
      egl: ['mesa'],
      vulkan: ['amd_icd64.json', 'radeon_icd.x86_64.json'],
    });
  });

  test('an app without a dGPU finds what it finds without the wrapper', async () => {
    expect(await reached(session, ['/machines/run-one-card'])).toEqual(await reached(session, []));
  });
});
