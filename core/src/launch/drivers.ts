/**
 * What makes apps reach a card, by the driver that has it: the only place where this is written. The launch
 * environment (environment.ts) and the wrapper (wrapper.ts) are both made from it.
 *
 * Sources: libglvnd's src/GLX/libglxmapping.c and src/EGL/icd_enumeration.md; Mesa's docs/envvars.rst,
 * src/loader/loader.c and src/vulkan/device-select-layer; the Vulkan loader's docs/LoaderInterfaceArchitecture.md;
 * NVIDIA's README, chapter “PRIME Render Offload”; libva's va/va.c and va/drm/va_drm_utils.c; switcheroo-control 3.0,
 * whose choice of Vulkan drivers this is.
 */

/** A variable that is only set where one of these files exists, because naming a missing one breaks the app. */
export interface Conditional {
  readonly name: string;
  /** The value; empty: the path of the file that was found. */
  readonly value: string;
  /** Absolute paths; the first that exists counts. */
  readonly files: readonly string[];
}

export interface Recipe {
  /** In values, `{tag}` is the card's address as udev's ID_PATH_TAG has it, `{vendor}` and `{device}` its ids in hex. */
  readonly set: Readonly<Record<string, string>>;
  /** Set only where no other card of the machine has the same ids, since they name the card. */
  readonly setUnlessTwin: Readonly<Record<string, string>>;
  readonly setWhere: readonly Conditional[];
  /** Taken out where nothing above sets them. */
  readonly unset: readonly string[];
}

/**
 * By which variables a session, or a file of its user's, can keep apps off a card or lead them to another one. For
 * every driver these are taken out, unless they are set to something else. Left alone is what chooses how to draw and not
 * where (GSK_RENDERER, GALLIUM_DRIVER), what names layers or folders to search, and NVIDIA's name of a provider
 * (__NV_PRIME_RENDER_OFFLOAD_PROVIDER), which only X with several such cards needs.
 */
const LEADS_ELSEWHERE: readonly string[] = [
  // Vulkan's loader: which manifests are read at all. SELECT outweighs DISABLE; VK_DRIVER_FILES, of old
  // VK_ICD_FILENAMES, names the only ones to look at. Newer loaders filter devices as well.
  'VK_LOADER_DRIVERS_SELECT',
  'VK_LOADER_DRIVERS_DISABLE',
  'VK_DRIVER_FILES',
  'VK_ICD_FILENAMES',
  'VK_LOADER_DEVICE_ID_FILTER',
  'VK_LOADER_VENDOR_ID_FILTER',
  'VK_LOADER_DRIVER_ID_FILTER',
  'VK_LOADER_DEVICE_SELECT',
  // libglvnd. An empty list of files means no EGL at all, so they are never set to nothing. The variable with the
  // number of an X screen outweighs __GLX_VENDOR_LIBRARY_NAME.
  '__EGL_VENDOR_LIBRARY_FILENAMES',
  '__EGL_VENDOR_LIBRARY_DIRS',
  '__GLX_VENDOR_LIBRARY_NAME',
  '__GLX_FORCE_VENDOR_LIBRARY_0',
  // Mesa. NODEVICE_SELECT switches the layer off that understands DRI_PRIME for Vulkan.
  'DRI_PRIME',
  'MESA_VK_DEVICE_SELECT',
  'MESA_VK_DEVICE_SELECT_FORCE_DEFAULT_DEVICE',
  'NODEVICE_SELECT',
  'MESA_LOADER_DRIVER_OVERRIDE',
  'LIBGL_ALWAYS_SOFTWARE',
  'GBM_BACKEND',
  // NVIDIA's offloading: NVIDIA_only or non_NVIDIA_only, and the layer's switch.
  '__NV_PRIME_RENDER_OFFLOAD',
  '__VK_LAYER_NV_optimus',
  'DISABLE_LAYER_NV_OPTIMUS_1',
  // Video decoding: the libraries choose by the device, if nobody chooses for them.
  'LIBVA_DRIVER_NAME',
  'VDPAU_DRIVER',
  // OpenCL, whose loader would otherwise read the system's list.
  'OCL_ICD_VENDORS',
  'OCL_ICD_FILENAMES',
];

/** Of libglvnd's vendors for EGL, Mesa alone: NVIDIA's would open its own card first. */
const MESA_EGL: Conditional = {
  name: '__EGL_VENDOR_LIBRARY_FILENAMES',
  value: '',
  files: [
    '/usr/share/glvnd/egl_vendor.d/50_mesa.json',
    '/etc/glvnd/egl_vendor.d/50_mesa.json',
    '/run/opengl-driver/share/glvnd/egl_vendor.d/50_mesa.json',
  ],
};

/**
 * The driver for VA-API over NVIDIA's decoder is a package of its own, and libva never takes it by itself in a
 * session on another card. It opens the card itself, whatever device libva was given.
 */
const NVIDIA_VAAPI: Conditional = {
  name: 'LIBVA_DRIVER_NAME',
  value: 'nvidia',
  files: [
    '/usr/lib/x86_64-linux-gnu/dri/nvidia_drv_video.so',
    '/usr/lib64/dri/nvidia_drv_video.so',
    '/usr/lib/dri/nvidia_drv_video.so',
    '/usr/lib/aarch64-linux-gnu/dri/nvidia_drv_video.so',
    '/run/opengl-driver/lib/dri/nvidia_drv_video.so',
  ],
};

/** `!` leaves this device alone to Vulkan apps, as NVIDIA_only does; older Mesa reads past it. */
const THIS_DEVICE = { MESA_VK_DEVICE_SELECT: '{vendor}:{device}!' };

/**
 * DRI_PRIME by address chooses for OpenGL, for Vulkan and among equal cards. Without Vulkan's `!`, which older Mesa
 * would take for a part of the address when it chooses for OpenGL.
 */
function mesa(set: Readonly<Record<string, string>>, unset: readonly string[] = []): Recipe {
  return {
    set: Object.assign({ DRI_PRIME: '{tag}', __GLX_VENDOR_LIBRARY_NAME: 'mesa' }, set),
    setUnlessTwin: THIS_DEVICE,
    setWhere: [MESA_EGL],
    unset: LEADS_ELSEWHERE.concat(unset),
  };
}

const INTEL = mesa({ VK_LOADER_DRIVERS_SELECT: '*intel*' }, ['ZE_AFFINITY_MASK', 'ONEAPI_DEVICE_SELECTOR']);

/** By the kernel's driver. With any other (vfio-pci, none) no app can run on the card. */
export const RECIPES: Readonly<Record<string, Recipe>> = {
  nvidia: {
    set: {
      __GLX_VENDOR_LIBRARY_NAME: 'nvidia',
      __NV_PRIME_RENDER_OFFLOAD: '1',
      __VK_LAYER_NV_optimus: 'NVIDIA_only',
      // The manifest is nvidia_icd.json or nvidia_icd.x86_64.json.
      VK_LOADER_DRIVERS_SELECT: '*nvidia*',
    },
    setUnlessTwin: THIS_DEVICE,
    setWhere: [NVIDIA_VAAPI],
    unset: LEADS_ELSEWHERE.concat(['CUDA_VISIBLE_DEVICES']),
  },
  amdgpu: mesa(
    // RADV's and AMD's own.
    { VK_LOADER_DRIVERS_SELECT: '*radeon*,amd_*', VDPAU_DRIVER: 'radeonsi' },
    ['ROCR_VISIBLE_DEVICES', 'HIP_VISIBLE_DEVICES', 'GPU_DEVICE_ORDINAL'],
  ),
  // No Vulkan driver is chosen: there is none for this kernel driver.
  radeon: mesa({}),
  i915: INTEL,
  xe: INTEL,
  // No Vulkan driver is chosen: Mesa before 24.1 has none for it, and the app would be left without any.
  nouveau: mesa({ VDPAU_DRIVER: 'nouveau' }),
};

/** Every file whose existence a recipe asks for. */
export const LOOKED_FOR: readonly string[] = MESA_EGL.files.concat(NVIDIA_VAAPI.files);
