import { describe, expect, test } from 'vitest';
import type { HardwareFacts, ModuleFacts, PassResult, ProcessUse } from '../../core/src/facts.js';
import {
  countsSayFree,
  type HolderReport,
  holderQuestion,
  holderRefusal,
  inTheWay,
  nameHolder,
  nameHolders,
  nvidiaStack,
  ownerOf,
  reportHolders,
} from '../../core/src/holders.js';
import { say } from '../../core/src/words.js';
import {
  amd,
  card,
  idleStack,
  intelIgpu,
  laptop,
  lit,
  machine,
  module,
  nvidia,
  passOf,
  people,
  processUse,
  sound,
} from './support-facts.js';

const DGPU = '0000:01:00.0';
const SERVICES = ['nvidia-powerd.service', 'nvidia-persistenced.service'];
const HEX64 = '0123456789abcdef'.repeat(4);
const MANAGER = '/user.slice/user-1000.slice/user@1000.service';

describe('to what a process belongs', () => {
  test.each([
    // Applications of the desktops
    [`${MANAGER}/app.slice/app-gnome-org.blender.Blender-4242.scope`, 'app', 'org.blender.Blender'],
    [`${MANAGER}/app.slice/app-gnome-google\\x2dchrome-4242.scope`, 'app', 'google-chrome'],
    [`${MANAGER}/app.slice/app-gnome-ger\\xc3\\xa4t-4242.scope`, 'app', 'gerät'],
    [`${MANAGER}/app.slice/app-org.kde.konsole-0a1b2c3d4e5f.scope`, 'app', 'org.kde.konsole'],
    [`${MANAGER}/app.slice/app-flatpak-com.valvesoftware.Steam-4242.scope`, 'app', 'com.valvesoftware.Steam'],
    [
      `${MANAGER}/app.slice/app-org.kde.kdeconnect.daemon@autostart.service`,
      'app',
      'org.kde.kdeconnect.daemon',
    ],
    [`${MANAGER}/app.slice/app-gnome-gnome\\x2dkeyring@autostart.service`, 'app', 'gnome-keyring'],
    [`${MANAGER}/app.slice/app-org.kde.spectacle.service`, 'app', 'org.kde.spectacle'],
    [`${MANAGER}/app.slice/dbus-:1.2-org.gnome.Nautilus@0.service`, 'app', 'org.gnome.Nautilus'],
    [`${MANAGER}/app.slice/snap.firefox.firefox-d2a1e2d1-77aa.scope`, 'app', 'firefox'],
    [`${MANAGER}/app.slice/app-gnome-steam-99.scope/game/inner.scope`, 'app', 'steam'],
    // Other things of a user
    [`${MANAGER}/session.slice/wireplumber.service`, 'user-service', 'wireplumber.service'],
    [
      `${MANAGER}/session.slice/org.gnome.Shell@wayland.service`,
      'user-service',
      'org.gnome.Shell@wayland.service',
    ],
    [`${MANAGER}/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1-2-3.scope`, 'process', 'comm'],
    [`${MANAGER}/init.scope`, 'process', 'comm'],
    ['/user.slice/user-1000.slice/session-2.scope', 'session', 'comm'],
    ['/user.slice/user-1000.slice/session-c1.scope', 'session', 'comm'],
    // Services of the system
    ['/system.slice/nvidia-persistenced.service', 'service', 'nvidia-persistenced.service'],
    ['/system.slice/system-getty.slice/getty@tty1.service', 'service', 'getty@tty1.service'],
    ['/system.slice/snap.docker.dockerd.service', 'service', 'snap.docker.dockerd.service'],
    ['/system.slice/app-of-the-company.service', 'service', 'app-of-the-company.service'],
    ['/system.slice/ollama.service/runner', 'service', 'ollama.service'],
    // Containers and guests
    [`/system.slice/docker-${HEX64}.scope`, 'container', '0123456789ab'],
    [`/machine.slice/libpod-${HEX64}.scope/container`, 'container', '0123456789ab'],
    [`${MANAGER}/user.slice/libpod-${HEX64}.scope/container`, 'container', '0123456789ab'],
    [`/kubepods.slice/kubepods-pod1.slice/cri-containerd-${HEX64}.scope`, 'container', '0123456789ab'],
    ['/machine.slice/machine-arch\\x2dbuild.scope/payload', 'container', 'arch-build'],
    ['/lxc.payload.media/system.slice/jellyfin.service', 'container', 'media'],
    ['/machine.slice/machine-qemu\\x2d1\\x2dwin11.scope/libvirt/emulator', 'vm', 'win11'],
    ['/machine.slice/machine-qemu\\x2d12\\x2dwin\\x2d11\\x2dgames.scope', 'vm', 'win-11-games'],
    // Nothing better is known
    ['/init.scope', 'process', 'comm'],
    ['/', 'process', 'comm'],
    ['', 'process', 'comm'],
    ['/some/other/manager', 'process', 'comm'],
  ])('%s is %s %s', (cgroup, kind, name) => {
    expect(ownerOf(cgroup, 'comm')).toMatchObject({ kind, name });
  });

  test.each([
    [`/system.slice/docker-${HEX64}.scope/system.slice/sshd.service`, 'container'],
    [`${MANAGER}/app.slice/evil.scope/system.slice/sshd.service`, 'process'],
    [`${MANAGER}/app.slice/evil.service/system.slice/sshd.service`, 'user-service'],
    ['/user.slice/user-1000.slice/session-2.scope/system.slice/sshd.service', 'session'],
    ['/lxc.payload.x/system.slice/sshd.service', 'container'],
  ])('groups that others made below theirs, as %s, are no services of the system', (cgroup, kind) => {
    expect(ownerOf(cgroup, 'comm').kind).toBe(kind);
    expect(ownerOf(cgroup, 'comm').unit ?? '').not.toMatch(/sshd/);
  });

  test('a unit is named so that systemd finds it', () => {
    expect(ownerOf('/system.slice/system-foo.slice/foo@a\\x2db.service', 'x').unit).toBe(
      'foo@a\\x2db.service',
    );
    expect(ownerOf(`${MANAGER}/app.slice/app-gnome-google\\x2dchrome-7.scope`, 'x').unit).toBe(
      'app-gnome-google\\x2dchrome-7.scope',
    );
  });
});

/** The laptop with these modules instead of the usual ones. */
const withModules = (...modules: ModuleFacts[]): HardwareFacts => laptop({ modules });
const free = (facts: HardwareFacts): boolean => countsSayFree(card(facts, DGPU), facts);

describe('use counts', () => {
  test('a stack that only uses itself, and a sound module that nobody uses, prove that nobody holds it', () => {
    expect(free(withModules(...idleStack(), module('snd_hda_intel', 0)))).toBe(true);
  });

  test.each(['nvidia', 'nvidia_modeset', 'nvidia_drm', 'nvidia_uvm'])(
    'one use more of %s proves nothing',
    (name) => {
      const modules = idleStack().map((m) =>
        m.name === name ? { ...m, useCount: (m.useCount ?? 0) + 1 } : m,
      );
      expect(free(withModules(...modules, module('snd_hda_intel', 0)))).toBe(false);
    },
  );

  test('counts are compared with who holds them, not with fixed numbers', () => {
    const odd = [
      module('nvidia', 3, 'nvidia_modeset', 'nvidia_uvm', 'nvidia_peermem'),
      module('nvidia_peermem', 0),
      ...idleStack().slice(1),
      module('snd_hda_intel', 0),
    ];
    expect(free(withModules(...odd))).toBe(true);
  });

  test('a sound module that is used, perhaps elsewhere, proves nothing', () => {
    expect(free(withModules(...idleStack(), module('snd_hda_intel', 3)))).toBe(false);
  });

  test('a built-in module has no count and proves nothing', () => {
    expect(free(withModules(...idleStack(), module('snd_hda_intel', null)))).toBe(false);
  });

  test('a driver whose module is not known proves nothing', () => {
    expect(free(withModules(...idleStack()))).toBe(false);
    expect(free(withModules(module('snd_hda_intel', 0)))).toBe(false);
  });

  test('a use count that is lower than the number of holders is a moment between two reads: nobody', () => {
    expect(
      free(withModules(...idleStack().map((m) => ({ ...m, useCount: 0 })), module('snd_hda_intel', 0))),
    ).toBe(true);
  });

  test('a card that is gone to vfio-pci, sound and all, is held by none of the host', () => {
    const facts = machine([intelIgpu(), nvidia(DGPU, { driver: 'vfio-pci', nodes: [] })]);
    expect(free(facts)).toBe(true);
  });

  test('NVIDIA’s modules unload users first', () => {
    expect(nvidiaStack(laptop())).toEqual(['nvidia_drm', 'nvidia_modeset', 'nvidia_uvm', 'nvidia']);
    const facts = withModules(
      ...idleStack().map((m) =>
        m.name === 'nvidia' ? { ...m, holders: [...m.holders, 'nvidia_peermem'] } : m,
      ),
      module('nvidia_peermem', 0),
    );
    expect(nvidiaStack(facts).indexOf('nvidia_peermem')).toBeLessThan(nvidiaStack(facts).indexOf('nvidia'));
    expect(nvidiaStack(withModules())).toEqual([]);
  });

  test('modules that hold each other in a circle end the looking', () => {
    const facts = withModules(module('nvidia', 2, 'a'), module('a', 1, 'nvidia'));
    expect(nvidiaStack(facts)).toEqual(expect.arrayContaining(['a', 'nvidia']));
  });
});

describe('what is looked for', () => {
  test('device numbers of every function and NVIDIA’s majors, and its buffers', () => {
    const facts = laptop();
    const nodes = card(facts, DGPU).functions.flatMap((fn) => fn.nodes.map((node) => node.number));
    const question = holderQuestion([card(facts, DGPU)], facts);
    expect(question.numbers).toEqual(expect.arrayContaining([...nodes, '195', '511']));
    expect(question.exporters).toEqual(expect.arrayContaining(['nv_dmabuf', 'nvidia-drm']));
  });

  test('not the group of VFIO: a guest is no holder', () => {
    const vfio = { number: '241:0', path: '/dev/vfio/15', kind: 'vfio' as const };
    const facts = machine([intelIgpu(), nvidia(DGPU, { driver: 'vfio-pci', nodes: [vfio] })]);
    expect(holderQuestion([card(facts, DGPU)], facts).numbers).toEqual([]);
  });

  const two = machine([
    amd('0000:13:00.0', { connectors: lit('DP-1') }),
    amd('0000:03:00.0', { deviceName: 'Navi 32 [Radeon RX 7800 XT]' }),
  ]);

  test('not the buffers of a driver that another card has too: they do not say whose they are', () => {
    expect(holderQuestion([card(two, '0000:03:00.0')], two).exporters).toEqual([]);
  });

  test('the buffers of a driver that this card has alone', () => {
    const facts = machine([intelIgpu({ connectors: lit('eDP-1') }), amd('0000:03:00.0')]);
    expect(holderQuestion([card(facts, '0000:03:00.0')], facts).exporters).toEqual(['amdgpu']);
  });
});

function report(
  found: readonly ProcessUse[],
  more: Partial<PassResult> = {},
  facts: HardwareFacts = laptop(),
): HolderReport {
  return reportHolders([card(facts, DGPU)], facts, passOf(found, more), SERVICES, people);
}

const persistenced = processUse({
  pid: 900,
  uid: 0,
  comm: 'nvidia-persiste',
  cgroup: '/system.slice/nvidia-persistenced.service',
});
const refusal = (what: HolderReport): string | null => {
  const sentence = holderRefusal('RTX 4070', what);
  return sentence === null ? null : say(sentence);
};

describe('the verdict', () => {
  test('nobody found by a whole pass: free', () => {
    expect(report([])).toMatchObject({ verdict: 'free', complete: true, passMade: true, unseen: 0 });
    expect(refusal(report([]))).toBeNull();
  });

  test('somebody found: held', () => {
    expect(report([processUse()]).verdict).toBe('held');
  });

  test('processes that could not be looked into: never free', () => {
    const what = report([], { unseen: [{ pid: 7, uid: 1001, comm: 'x' }] });
    expect(what).toMatchObject({ verdict: 'unknown', unseen: 1 });
    expect(refusal(what)).toBe(
      'What holds RTX 4070 could not be seen completely, so it was left alone: 1 process could not be looked into. Try again, or see “gpu-handoff holders”.',
    );
  });

  test('a pass that was cut short: never free', () => {
    const what = report([], { complete: false });
    expect(what.verdict).toBe('unknown');
    expect(refusal(what)).toMatch(/could not be seen completely.*cut short/);
  });

  test('only services that stop by themselves: held, but not in the way', () => {
    const what = report([persistenced]);
    expect(what.verdict).toBe('held');
    expect(what.holders[0]?.stopsByItself).toBe(true);
    expect(inTheWay(what)).toEqual([]);
    expect(refusal(what)).toBeNull();
  });

  test('services alone excuse nobody who was not seen', () => {
    expect(refusal(report([persistenced], { complete: false }))).toMatch(/cut short/);
    expect(refusal(report([persistenced], { unseen: [{ pid: 7, uid: 1, comm: 'x' }] }))).toMatch(
      /looked into/,
    );
  });

  test('another service, or a user’s service of the same name, does not stop by itself', () => {
    const other = processUse({ cgroup: '/system.slice/ollama.service' });
    const fake = processUse({ cgroup: `${MANAGER}/app.slice/nvidia-persistenced.service` });
    expect(report([other, fake]).holders.map((holder) => holder.stopsByItself)).toEqual([false, false]);
  });

  const soundServer = (more: Partial<ProcessUse> = {}) =>
    processUse({
      comm: 'wireplumber',
      cgroup: `${MANAGER}/session.slice/wireplumber.service`,
      uses: [{ number: '116:01', via: 'fd', fds: [9] }],
      ...more,
    });

  test('a sound server lets go by itself', () => {
    const what = report([soundServer()]);
    expect(what.holders[0]?.stopsByItself).toBe(true);
    expect(refusal(what)).toBeNull();
  });

  test.each<[string, Partial<ProcessUse>]>([
    ['that may open everything', { uid: 0 }],
    ['that has other nodes open, too', { uses: [{ number: '195:0', via: 'fd', fds: [9] }] }],
    ['that has only its trade in common with one', { comm: 'mpv' }],
  ])('one %s does not', (_, more) => {
    expect(report([soundServer(more)]).holders[0]?.stopsByItself).toBe(false);
  });

  const inKernel = (name: string) =>
    laptop({
      modules: [
        ...idleStack().map((m) => (m.name === name ? { ...m, useCount: (m.useCount ?? 0) + 2 } : m)),
        module('snd_hda_intel', 0),
      ],
    });

  test('uses that no process explains are the kernel’s: held', () => {
    const what = report([], {}, inKernel('nvidia'));
    expect(what.verdict).toBe('held');
    expect(what.kernel).toEqual([{ module: 'nvidia', count: 2 }]);
    expect(refusal(what)).toBe(
      'RTX 4070 is in use (nvidia: 2), but no process could be found that has it open: either something in the kernel holds it, or a program opens it for moments only. Stop what uses it, or see “gpu-handoff holders”.',
    );
  });

  test('uses that somebody who was not seen may explain are not laid on the kernel, but it is not free', () => {
    for (const more of [{ complete: false }, { unseen: [{ pid: 7, uid: 1, comm: 'x' }] }])
      expect(report([], more, inKernel('nvidia'))).toMatchObject({ verdict: 'unknown', kernel: [] });
  });

  test('uses that a process may explain are not laid on the kernel', () => {
    expect(report([processUse()], {}, inKernel('nvidia')).kernel).toEqual([]);
  });

  test('uses of the shared sound module accuse nobody', () => {
    const facts = laptop({ modules: [...idleStack(), module('snd_hda_intel', 2)] });
    expect(report([], {}, facts)).toMatchObject({ verdict: 'free', kernel: [] });
  });

  const amdLaptop = (count: number) =>
    machine([intelIgpu({ connectors: lit('eDP-1') }), amd(DGPU), sound('0000:01:00.1')], {
      modules: [module('amdgpu', count), module('snd_hda_intel', 0)],
    });

  test('uses of amdgpu where only this card has it, and no process explains them: the kernel’s', () => {
    expect(report([], {}, amdLaptop(1))).toMatchObject({
      verdict: 'held',
      kernel: [{ module: 'amdgpu', count: 1 }],
    });
    expect(report([], {}, amdLaptop(0)).verdict).toBe('free');
  });

  test('uses of amdgpu where the monitors’ card has it too accuse nobody', () => {
    const facts = machine([amd('0000:13:00.0', { connectors: lit('DP-1') }), amd(DGPU)], {
      modules: [module('amdgpu', 40)],
    });
    expect(report([], {}, facts)).toMatchObject({ verdict: 'free', kernel: [] });
  });
});

describe('one holder', () => {
  test('is told with its nodes by path, where one is known', () => {
    const facts = laptop();
    const render = card(facts, DGPU).main.nodes.find((node) => node.kind === 'render');
    const use = processUse({
      uses: [
        { number: render?.number ?? '', via: 'fd', fds: [3] },
        { number: '195:255', via: 'fd', fds: [4] },
        { number: '511:0', via: 'fd', fds: [5] },
        { number: render?.number ?? '', via: 'map', fds: [] },
        { number: '', via: 'dmabuf', fds: [6] },
      ],
    });
    const [holder] = report([use], {}, facts).holders;
    expect(holder?.nodes).toEqual([render?.path, '/dev/nvidiactl', '511:0', 'dma-buf'].sort());
    expect(holder?.mapped).toBe(true);
  });

  test('is told with who, since when, and an id that names one process for good', () => {
    const [holder] = report([processUse({ startTicks: 500, gpuMemoryBytes: 4096 })]).holders;
    expect(holder).toMatchObject({
      id: '4242:500',
      user: 'ada',
      process: 'blender',
      mapped: false,
      since: people.startedAt(500),
      gpuMemoryBytes: 4096,
    });
    expect(report([processUse({ uid: 4321 })]).holders[0]?.user).toBeNull();
  });

  test.each([
    ['gnome-shell', 1000],
    ['kwin_wayland', 1000],
    ['Xorg', 0],
    ['Xwayland', 1000],
    ['sddm', 0],
    ['gdm', 0],
    ['plasmashell', 1000],
    ['systemd', 1000],
    ['systemd-logind', 0],
    ['sway', 1000],
    ['Hyprland', 1000],
    ['cosmic-comp', 1000],
    ['lightdm', 0],
    ['cinnamon', 1000],
  ])('%s belongs to the session: ending it logs somebody out', (comm, uid) => {
    expect(report([processUse({ comm, uid })]).holders[0]?.essential).toBe(true);
  });

  test('process 1 is essential under any name; an app is not', () => {
    expect(report([processUse({ pid: 1, comm: 'init' })]).holders[0]?.essential).toBe(true);
    expect(report([processUse({ comm: 'gnome-shell-cal' })]).holders[0]?.essential).toBe(false);
  });
});

describe('names for people', () => {
  const named = (use: Partial<ProcessUse>): string => {
    const [holder] = report([processUse(use)]).holders;
    return holder === undefined ? '' : nameHolder(holder);
  };

  test('an app by its id, with process and user', () => {
    expect(named({ cgroup: `${MANAGER}/app.slice/app-gnome-org.blender.Blender-1.scope` })).toBe(
      'org.blender.Blender (process 4242, ada)',
    );
  });

  test('a service by its unit', () => {
    expect(named({ cgroup: '/system.slice/ollama.service' })).toBe('ollama.service (service)');
  });

  test('anything else by the process’s own name', () => {
    expect(named({ cgroup: '/user.slice/user-1000.slice/session-2.scope' })).toBe(
      'blender (process 4242, ada)',
    );
    expect(named({ cgroup: `${MANAGER}/session.slice/wireplumber.service`, comm: 'wireplumber' })).toBe(
      'wireplumber (process 4242, ada)',
    );
  });

  test('a user without a name by number', () => {
    expect(named({ uid: 4321 })).toBe('blender (process 4242, 4321)');
  });

  test('names that others chose are shown, not sent to a terminal', () => {
    expect(named({ comm: 'x\u001b[31m\n' })).toBe('x\\u001b[31m\\n (process 4242, ada)');
    expect(named({ cgroup: `${MANAGER}/app.slice/app-gnome-evil\\x0a\\x1b[2J-1.scope` })).not.toMatch(
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
      /[\u0000-\u001f]/,
    );
  });

  const crowd = (n: number): ProcessUse[] =>
    Array.from({ length: n }, (_, i) => processUse({ pid: i + 10, comm: `app${i + 1}` }));

  test.each([
    [1, 'app1 (process 10, ada)'],
    [3, 'app1 (process 10, ada), app2 (process 11, ada), app3 (process 12, ada)'],
    [4, 'app1 (process 10, ada), app2 (process 11, ada), app3 (process 12, ada) and 1 more'],
    [27, 'app1 (process 10, ada), app2 (process 11, ada), app3 (process 12, ada) and 24 more'],
  ])('of %i holders three are named', (n, text) => {
    expect(nameHolders(report(crowd(n)).holders)).toBe(text);
  });

  test('the refusal names who is in the way and what to do, and not the services that stop by themselves', () => {
    expect(refusal(report([persistenced, processUse()]))).toBe(
      'RTX 4070 is held by blender (process 4242, ada): close what holds it, or run “gpu-handoff end-holders”.',
    );
  });
});
