/** The kernel modules that the simulated workstation knows, and which PCI drivers they bring. */

export interface ModuleSpec {
  readonly name: string;
  readonly needs: readonly string[];
  /** PCI drivers by the names that sysfs gives them. */
  readonly drivers: readonly string[];
}

function module(name: string, needs: readonly string[], ...drivers: string[]): ModuleSpec {
  return { name, needs, drivers };
}

export const MODULES: readonly ModuleSpec[] = [
  module('drm', []),
  module('i915', ['drm'], 'i915'),
  module('amdgpu', ['drm'], 'amdgpu'),
  module('nvidia', [], 'nvidia'),
  module('nvidia_modeset', ['nvidia']),
  module('nvidia_uvm', ['nvidia']),
  module('nvidia_drm', ['nvidia_modeset', 'drm']),
  module('snd', []),
  module('snd_hda_intel', ['snd'], 'snd_hda_intel'),
  module('vfio', []),
  module('vfio_pci_core', ['vfio']),
  module('vfio_pci', ['vfio_pci_core'], 'vfio-pci'),
  module('xhci_pci', [], 'xhci_hcd'),
  module('i2c_nvidia_gpu', [], 'nvidia-gpu'),
  module('nvme', [], 'nvme'),
  module('r8169', [], 'r8169'),
];

/** The module's entry, or undefined. Hyphens and underscores are the same to kmod. */
export function moduleNamed(name: string): ModuleSpec | undefined {
  const wanted = name.replace(/-/g, '_');
  return MODULES.find((m) => m.name === wanted);
}

/** The module that brings a PCI driver, or null for a driver that is built in. */
export function moduleOfDriver(driver: string): string | null {
  return MODULES.find((m) => m.drivers.includes(driver))?.name ?? null;
}

/** Drivers that make DRM nodes when they are bound; NVIDIA's come from a module of their own. */
export const DRM_DRIVERS: readonly string[] = ['i915', 'amdgpu'];
