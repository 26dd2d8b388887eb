/** How the desktop calls the app that a process belongs to: its name, its icon, and whether it shows a window. */
import type Gio from 'gi://Gio';
import Shell from 'gi://Shell';

import type { AppLook } from '../../core/src/desktop/holder-groups.js';
import type { HolderPublished } from '../../core/src/desktop/published.js';

function appOf(holder: HolderPublished): Shell.App | null {
  if (holder.ownerKind === 'app') {
    const app = Shell.AppSystem.get_default().lookup_app(`${holder.ownerName}.desktop`);
    if (app !== null) return app;
  }
  return Shell.WindowTracker.get_default().get_app_from_pid(holder.pid);
}

/** What is known of the app of these processes; null where they belong to none. */
export const lookOf: AppLook = (holders) => {
  for (const holder of holders) {
    const app = appOf(holder);
    if (app !== null)
      return {
        app: app.get_id().replace(/\.desktop$/, ''),
        name: app.get_name(),
        background: app.get_n_windows() === 0,
      };
  }
  return null;
};

/** The icon of an app by its id; null where it has none. */
export function iconOf(app: string): Gio.Icon | null {
  if (app === '') return null;
  return Shell.AppSystem.get_default().lookup_app(`${app}.desktop`)?.get_icon() ?? null;
}
