/** What an app's environment must say so that it runs on a card. */
import type { Card } from '../detect.js';

/** Variables to set and variables to take out; everything else stays as the session has it. */
export interface LaunchEnvironment {
  readonly set: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
}

/** Names of the variables by which a session is kept off a dGPU. */
export const SESSION_RESTRICTIONS: readonly string[] = [
  'VK_LOADER_DRIVERS_DISABLE',
  'VK_LOADER_DRIVERS_SELECT',
  '__EGL_VENDOR_LIBRARY_FILENAMES',
  '__EGL_VENDOR_LIBRARY_DIRS',
  '__GLX_VENDOR_LIBRARY_NAME',
];

/** What an app needs to run on `card`, whose driver has it now; null where no app can run on it. */
export function launchEnvironment(card: Card): LaunchEnvironment | null {
  if (card.main.driver !== 'nvidia') return null;
  return {
    set: {
      __GLX_VENDOR_LIBRARY_NAME: 'nvidia',
      __NV_PRIME_RENDER_OFFLOAD: '1',
      __VK_LAYER_NV_optimus: 'NVIDIA_only',
    },
    unset: SESSION_RESTRICTIONS.filter((name) => name !== '__GLX_VENDOR_LIBRARY_NAME'),
  };
}
