/** What the real loaders (libglvnd, the Vulkan loader) read in a session with limits, and beyond them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judgeSwitcheroo, type SwitcherooGpu } from '../../core/src/switcheroo.js';
import type { Running } from './rig/sandbox.js';
import { type Bus, startBus } from './rig/session.js';
import { startSwitcheroo } from './rig/switcheroo.js';
import { ensureSwitcheroos } from './rig/switcheroo-build.js';

const NAME = 'net.hadess.SwitcherooControl';
const VENDORS = '/usr/share/glvnd/egl_vendor.d';
const LIMITS = {
  VK_LOADER_DRIVERS_DISABLE: '*nvidia*',
  __EGL_VENDOR_LIBRARY_FILENAMES: `${VENDORS}/50_mesa.json`,
  __GLX_VENDOR_LIBRARY_NAME: 'mesa',
};
const CARDS = [
  { slot: '00:02.0', vendor: 'Intel Corporation', model: 'UHD 770', driver: 'i915', bootVga: true },
  { slot: '01:00.0', vendor: 'NVIDIA', model: 'AD104', driver: 'nvidia', bootVga: false },
];

/** Makes both loaders look for their drivers. */
const PROBE = `import ctypes
ctypes.CDLL('libEGL.so.1').eglQueryString(None, 0x3055)
ctypes.CDLL('libvulkan.so.1').vkEnumerateInstanceExtensionProperties(None, ctypes.byref(ctypes.c_uint32()), None)
`;
const TALKATIVE = { XDG_DATA_DIRS: '/opt', VK_LOADER_DEBUG: 'all' };

const manifest = (name: string): string =>
  JSON.stringify({
    file_format_version: '1.0.0',
    ICD: { library_path: `/opt/${name}.so`, api_version: '1.3.0' },
  });

let bus: Bus;

beforeAll(async () => {
  const { patched } = await ensureSwitcheroos();
  bus = await startBus({
    polkit: false,
    binds: [{ from: patched, to: '/opt/patched' }],
    files: {
      [`${VENDORS}/10_nvidia.json`]: JSON.stringify({
        file_format_version: '1.0.0',
        ICD: { library_path: 'libEGL_nvidia.so.0' },
      }),
      '/opt/vulkan/icd.d/nvidia_icd.json': manifest('nvidia'),
      '/opt/vulkan/icd.d/intel_icd.x86_64.json': manifest('intel'),
      '/opt/probe.py': PROBE,
    },
  });
}, 600_000);

afterAll(() => bus?.stop());

/** Whose drivers an app looks for. */
async function reached(
  session: Readonly<Record<string, string>>,
  through: readonly string[] = [],
): Promise<{ egl: string[]; vulkan: string[] }> {
  // From there on it is the app: its libraries alone are told of.
  const app = ['sh', '-c', 'LD_DEBUG=files exec python3 /opt/probe.py'];
  const ran = await bus.run([...through, ...app], { user: 'alice', env: { ...session, ...TALKATIVE } });
  expect(ran.code).toBe(0);
  const found = (pattern: RegExp): string[] =>
    [...new Set([...ran.stderr.matchAll(pattern)].map((match) => match[1] ?? ''))].sort();
  const ignored = found(/Driver "(\w+?)_icd[^"]*" ignored/g);
  return {
    egl: found(/file=libEGL_(\w+)\.so/g),
    vulkan: found(/ICD drivers named \/opt\/(\w+)\.so/g).filter((name) => !ignored.includes(name)),
  };
}

describe('an app that switcherooctl starts in a session with limits', () => {
  const onCard = ['switcherooctl', 'launch', '--gpu', '1'];

  async function withDaemon<T>(program: string, act: () => Promise<T>): Promise<T> {
    const running: Running = await startSwitcheroo(bus, CARDS, program);
    try {
      return await act();
    } finally {
      await running.kill();
      await bus.waitForNoName(NAME);
    }
  }

  it('has only the other card’s drivers with 2.6 as it comes', async () => {
    await withDaemon('/usr/libexec/switcheroo-control', async () => {
      expect(await reached(LIMITS)).toEqual({ egl: ['mesa'], vulkan: ['intel'] });
      expect(await reached(LIMITS, onCard)).toEqual({ egl: ['mesa'], vulkan: ['intel'] });
    });
  });

  it('has what an app without limits has, with the patch', async () => {
    await withDaemon('/opt/patched/usr/libexec/switcheroo-control', async () => {
      const free = await reached({});
      expect(free).toEqual({ egl: ['mesa', 'nvidia'], vulkan: ['intel', 'nvidia'] });
      expect(await reached(LIMITS, onCard)).toEqual(free);
      expect(await reached({ ...LIMITS, VK_LOADER_DRIVERS_SELECT: '*intel*' }, onCard)).toEqual(free);
    });
  });
});

describe('the rules that cards are judged by', () => {
  const GPU: SwitcherooGpu = {
    name: 'AD104',
    environment: { __GLX_VENDOR_LIBRARY_NAME: 'nvidia' },
    isDefault: false,
    discrete: null,
  };
  const judged = (session: Readonly<Record<string, string>>): { egl: boolean; vulkan: boolean } =>
    judgeSwitcheroo({ owner: 'switcheroo', ownerName: '', gpus: [GPU], failure: '' }, session).undoes;

  it.each([
    {},
    { __EGL_VENDOR_LIBRARY_FILENAMES: '' },
    { __EGL_VENDOR_LIBRARY_FILENAMES: `${VENDORS}/10_nvidia.json` },
    { __EGL_VENDOR_LIBRARY_FILENAMES: `${VENDORS}/10_nvidia.json`, __EGL_VENDOR_LIBRARY_DIRS: '/opt' },
    { __EGL_VENDOR_LIBRARY_DIRS: '/opt' },
    { __EGL_VENDOR_LIBRARY_DIRS: '' },
    { VK_LOADER_DRIVERS_DISABLE: '' },
    { VK_LOADER_DRIVERS_DISABLE: '*' },
    { VK_LOADER_DRIVERS_DISABLE: 'NVIDIA_icd*' },
    { VK_LOADER_DRIVERS_DISABLE: 'icd*' },
    { VK_LOADER_DRIVERS_DISABLE: 'nvidia' },
    { VK_LOADER_DRIVERS_DISABLE: 'nvi*json' },
    { VK_LOADER_DRIVERS_DISABLE: '*IA_icd.json' },
    { VK_LOADER_DRIVERS_DISABLE: 'radeon*, *nvidia*' },
    { VK_LOADER_DRIVERS_DISABLE: '*', VK_LOADER_DRIVERS_SELECT: '*' },
    { VK_LOADER_DRIVERS_DISABLE: '*', VK_LOADER_DRIVERS_SELECT: '' },
    { VK_LOADER_DRIVERS_SELECT: '*intel*' },
    { VK_LOADER_DRIVERS_SELECT: '*intel*,*NVIDIA*' },
    { VK_DRIVER_FILES: '/opt/vulkan/icd.d/intel_icd.x86_64.json' },
    { VK_ICD_FILENAMES: '/opt/vulkan/icd.d/nvidia_icd.json' },
    { VK_ICD_FILENAMES: '/opt/vulkan/icd.d/nvidia_icd.json', VK_LOADER_DRIVERS_DISABLE: '*nvidia*' },
  ])('are the loaders’ own: %j', async (session) => {
    const { egl, vulkan } = await reached(session);
    expect(judged(session)).toMatchObject({ egl: egl.includes('nvidia'), vulkan: vulkan.includes('nvidia') });
  });
});
