import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SESSION_RESTRICTIONS } from '../../core/src/launch/environment.js';
import {
  judgeSwitcheroo,
  type SwitcherooFacts,
  type SwitcherooGpu,
  type SwitcherooJudgement,
} from '../../core/src/switcheroo.js';
import { say } from '../../core/src/words.js';

const GNOME = { XDG_CURRENT_DESKTOP: 'GNOME' };
/** As the guide sets up a session on a Mesa card beside an NVIDIA one. */
const LIMITS = {
  ...GNOME,
  VK_LOADER_DRIVERS_DISABLE: '*nvidia*',
  __EGL_VENDOR_LIBRARY_FILENAMES: '/usr/share/glvnd/egl_vendor.d/50_mesa.json',
  __GLX_VENDOR_LIBRARY_NAME: 'mesa',
};
const VENDORS = '/usr/share/glvnd/egl_vendor.d/10_nvidia.json:/usr/share/glvnd/egl_vendor.d/50_mesa.json';
const STOCK_NVIDIA = {
  __GLX_VENDOR_LIBRARY_NAME: 'nvidia',
  __NV_PRIME_RENDER_OFFLOAD: '1',
  __VK_LAYER_NV_optimus: 'NVIDIA_only',
};
const LIFTED = {
  __EGL_VENDOR_LIBRARY_FILENAMES: VENDORS,
  VK_LOADER_DRIVERS_SELECT: '*',
  VK_LOADER_DRIVERS_DISABLE: '',
};
const INTEL: SwitcherooGpu = {
  name: 'Intel UHD 770',
  environment: { DRI_PRIME: 'pci-0000_00_02_0' },
  isDefault: true,
  discrete: null,
};

function nvidia(more: Readonly<Record<string, string>> = {}, discrete: boolean | null = null): SwitcherooGpu {
  return {
    name: 'NVIDIA Corporation AD104 [GeForce RTX 4070]',
    environment: { ...STOCK_NVIDIA, ...more },
    isDefault: false,
    discrete,
  };
}

function radeon(more: Readonly<Record<string, string>> = {}, discrete: boolean | null = null): SwitcherooGpu {
  return {
    name: 'Advanced Micro Devices, Inc. [AMD/ATI] Navi 31 [Radeon RX 7900 XT]',
    environment: { DRI_PRIME: 'pci-0000_03_00_0', ...more },
    isDefault: false,
    discrete,
  };
}

function facts(gpus: readonly SwitcherooGpu[], more: Partial<SwitcherooFacts> = {}): SwitcherooFacts {
  return { owner: 'switcheroo', ownerName: 'switcheroo-control', gpus, failure: '', ...more };
}

const brief = ({ kind, way, undoes }: SwitcherooJudgement): unknown => ({ kind, way, ...undoes });
const ALL = { vulkan: true, egl: true, glx: true };

describe('which switcheroo-control this is', () => {
  test('2.6 as it comes leaves an NVIDIA card without Vulkan and EGL', () => {
    const judged = judgeSwitcheroo(facts([INTEL, nvidia()]), LIMITS);
    expect(brief(judged)).toEqual({
      kind: 'unpatched',
      way: 'wrapper',
      vulkan: false,
      egl: false,
      glx: true,
    });
    expect(say(judged.reason)).toMatch(/would not reach .*RTX 4070.* by Vulkan, EGL\.$/);
  });

  test('patched, it sets all that an app needs', () => {
    const judged = judgeSwitcheroo(facts([nvidia(LIFTED), INTEL]), LIMITS);
    expect(brief(judged)).toEqual({ kind: 'patched', way: 'switcheroo', ...ALL });
    expect(judged.settled).toBe(true);
  });

  test('3.0 frees Vulkan, and EGL stays out of reach', () => {
    const gpu = nvidia({ VK_LOADER_DRIVERS_SELECT: '*nvidia*' }, true);
    const judged = judgeSwitcheroo(facts([gpu, { ...INTEL, discrete: false }]), LIMITS);
    expect(brief(judged)).toEqual({ kind: 'third', way: 'wrapper', vulkan: true, egl: false, glx: true });
  });

  test('3.0 is enough where the session restricts nothing but Vulkan', () => {
    const gpu = nvidia({ VK_LOADER_DRIVERS_SELECT: '*nvidia*' }, true);
    const session = { ...GNOME, VK_LOADER_DRIVERS_DISABLE: 'nvidia_icd*' };
    expect(brief(judgeSwitcheroo(facts([gpu, INTEL]), session))).toEqual({
      kind: 'third',
      way: 'switcheroo',
      ...ALL,
    });
  });

  test('a patch that empties the list of EGL vendors is a wrong one, and is told', () => {
    const gpu = nvidia({ ...LIFTED, __EGL_VENDOR_LIBRARY_FILENAMES: '' });
    const judged = judgeSwitcheroo(facts([gpu, INTEL]), LIMITS);
    expect(brief(judged)).toEqual({ kind: 'wrongly-patched', way: 'wrapper', ...ALL, egl: false });
    expect(say(judged.reason)).toContain('patched wrongly');
    // Worse than none, so it is wrong in a session without limits, too.
    expect(judgeSwitcheroo(facts([gpu, INTEL]), GNOME).way).toBe('wrapper');
  });

  test('a patch that names a file which is not there is a wrong one', () => {
    const missingFiles = ['/usr/share/glvnd/egl_vendor.d/10_nvidia.json'];
    const judged = judgeSwitcheroo(facts([nvidia(LIFTED), INTEL], { missingFiles }), LIMITS);
    expect(brief(judged)).toMatchObject({ kind: 'wrongly-patched', way: 'wrapper', egl: false });
  });

  test.each([
    ['absent', facts([], { owner: 'absent', ownerName: '' }), 'absent', true],
    ['only startable', facts([], { owner: 'absent', startable: true }), 'absent', false],
    ['silent', facts([], { failure: 'no answer within 3 s' }), 'unknown', false],
    [
      'another program',
      facts([nvidia(LIFTED), INTEL], { owner: 'other', ownerName: 'cardwired' }),
      'other-owner',
      true,
    ],
  ] as const)('where it is %s, entries start the wrapper', (_, given, kind, settled) => {
    const judged = judgeSwitcheroo(given, GNOME);
    expect(judged).toMatchObject({ kind, way: 'wrapper', settled });
    expect(say(judged.reason)).not.toMatch(/[{}]/);
  });

  test('a name that another program chose is printed safely', () => {
    const given = facts([], { owner: 'other', ownerName: 'evil\u001b[2J' });
    expect(say(judgeSwitcheroo(given, GNOME).reason)).toContain('evil\\u001b[2J');
  });

  test('while a VM has the card nothing is settled, and 3.0 is known all the same', () => {
    expect(judgeSwitcheroo(facts([INTEL]), LIMITS)).toMatchObject({ kind: 'unknown', settled: false });
    expect(judgeSwitcheroo(facts([{ ...INTEL, discrete: false }]), LIMITS)).toMatchObject({
      kind: 'third',
      settled: false,
    });
  });
});

describe('which way entries take', () => {
  test('a session without limits needs no patch', () => {
    for (const gpu of [nvidia(), radeon()])
      expect(judgeSwitcheroo(facts([INTEL, gpu]), GNOME)).toMatchObject({
        kind: 'unpatched',
        way: 'switcheroo',
      });
  });

  test('an AMD card beside an Intel one: only the Vulkan driver was kept away', () => {
    const session = { ...LIMITS, VK_LOADER_DRIVERS_DISABLE: '*radeon*' };
    expect(brief(judgeSwitcheroo(facts([INTEL, radeon()]), session))).toEqual({
      kind: 'unpatched',
      way: 'wrapper',
      vulkan: false,
      egl: true,
      glx: true,
    });
    const lifted = radeon({ ...LIFTED, __GLX_VENDOR_LIBRARY_NAME: 'mesa' });
    expect(brief(judgeSwitcheroo(facts([INTEL, lifted]), session))).toEqual({
      kind: 'patched',
      way: 'switcheroo',
      ...ALL,
    });
  });

  test('an Arc card whose maker the name tells is reached where only NVIDIA’s driver is disabled', () => {
    const arc = { ...radeon(), name: 'Intel Corporation DG2 [Arc A770]' };
    expect(judgeSwitcheroo(facts([INTEL, arc]), LIMITS).undoes).toEqual(ALL);
    const other = { ...arc, name: 'Unknown Graphics Controller' };
    expect(
      judgeSwitcheroo(facts([INTEL, other]), { VK_LOADER_DRIVERS_DISABLE: '*intel*' }).undoes.vulkan,
    ).toBe(false);
  });

  test('Plasma asks once per login, so there it is the wrapper', () => {
    const judged = judgeSwitcheroo(facts([nvidia(LIFTED), INTEL]), { ...LIMITS, XDG_CURRENT_DESKTOP: 'KDE' });
    expect(judged).toMatchObject({ kind: 'patched', way: 'wrapper', settled: true });
    expect(say(judged.reason)).toContain('Plasma');
  });

  test('a desktop that is not known to ask gets the wrapper; one that is not known yet settles nothing', () => {
    const given = facts([nvidia(LIFTED), INTEL]);
    expect(judgeSwitcheroo(given, { XDG_CURRENT_DESKTOP: 'XFCE' })).toMatchObject({
      way: 'wrapper',
      settled: true,
    });
    expect(judgeSwitcheroo(given, {})).toMatchObject({ way: 'wrapper', settled: false });
    expect(judgeSwitcheroo(given, { XDG_CURRENT_DESKTOP: 'ubuntu:GNOME' }).way).toBe('switcheroo');
  });

  test('a machine that booted with its dGPU would send apps to the other card', () => {
    const swapped = [
      { ...nvidia(LIFTED), isDefault: true },
      { ...INTEL, isDefault: false },
    ];
    const cards = [{ id: '0000:01:00.0', vendor: 'NVIDIA' }];
    const judged = judgeSwitcheroo(facts(swapped), GNOME, cards);
    expect(judged.way).toBe('wrapper');
    expect(say(judged.reason)).toContain('Intel UHD 770');
    expect(judgeSwitcheroo(facts([INTEL, nvidia(LIFTED)]), GNOME, cards).way).toBe('switcheroo');
    const amd = [{ id: '0000:03:00.0', vendor: 'AMD' }];
    expect(judgeSwitcheroo(facts([INTEL, radeon()]), GNOME, amd).way).toBe('switcheroo');
    expect(judgeSwitcheroo(facts([INTEL, radeon()]), GNOME, cards).way).toBe('wrapper');
  });

  test('desktops disagree about the other card of three, so both have to be right', () => {
    const gpus = [radeon({}, false), nvidia(LIFTED, true), INTEL];
    const session = { ...LIMITS, VK_LOADER_DRIVERS_DISABLE: '*nvidia*,*radeon*' };
    expect(judgeSwitcheroo(facts(gpus), session).undoes.vulkan).toBe(false);
  });
});

describe('what keeps an app off a card', () => {
  const vulkan = (session: Readonly<Record<string, string>>, more = {}): boolean =>
    judgeSwitcheroo(facts([INTEL, nvidia(more)]), session).undoes.vulkan;

  test.each([
    ['*nvidia*', false],
    ['NVIDIA_icd*', false],
    ['*radeon*,nvidia_icd.json', false],
    ['*', false],
    ['*radeon*', true],
    ['nvidia', true],
    ['icd*', true],
    ['*IA_icd.json', false],
    ['', true],
  ])('VK_LOADER_DRIVERS_DISABLE=%s: reached %s', (value, reached) => {
    expect(vulkan({ VK_LOADER_DRIVERS_DISABLE: value })).toBe(reached);
  });

  test('what is selected cannot be disabled', () => {
    expect(vulkan({ VK_LOADER_DRIVERS_DISABLE: '*', VK_LOADER_DRIVERS_SELECT: '*nvidia*' })).toBe(true);
    expect(vulkan({ VK_LOADER_DRIVERS_SELECT: '*radeon*' })).toBe(false);
    expect(vulkan({ VK_LOADER_DRIVERS_SELECT: '*radeon*' }, LIFTED)).toBe(true);
    expect(vulkan({ VK_ICD_FILENAMES: '/usr/share/vulkan/icd.d/radeon_icd.x86_64.json' }, LIFTED)).toBe(
      false,
    );
  });

  test('what switcheroo-control leaves alone stays as the session has it', () => {
    const restricting = { __EGL_VENDOR_LIBRARY_DIRS: '/opt/vendors', __GLX_VENDOR_LIBRARY_NAME: 'mesa' };
    const { undoes } = judgeSwitcheroo(facts([INTEL, nvidia()]), restricting);
    expect(undoes).toEqual({ vulkan: true, egl: false, glx: true });
    expect(
      judgeSwitcheroo(facts([INTEL, radeon()]), { __GLX_VENDOR_LIBRARY_NAME: 'nvidia' }).undoes.glx,
    ).toBe(false);
  });

  test('nothing of any kind in a session makes the patched one fail a way it says to be whole', () => {
    const values = fc.dictionary(fc.constantFrom(...SESSION_RESTRICTIONS), fc.string(), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(values, (session) => {
        const judged = judgeSwitcheroo(facts([INTEL, nvidia(LIFTED)]), { ...session, ...GNOME });
        const { vulkan: v, egl, glx } = judged.undoes;
        expect(judged.way === 'switcheroo').toBe(v && egl && glx);
        // Only a list of manifests has no value that means its absence.
        if ((session.VK_DRIVER_FILES ?? '') === '' && (session.VK_ICD_FILENAMES ?? '') === '')
          expect(judged.way).toBe('switcheroo');
      }),
    );
  });
});
