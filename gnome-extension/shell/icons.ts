/** The extension's own icons: one shape for each state. */
import Gio from 'gi://Gio';

import type { Glance } from '../../core/src/present.js';

export class Icons {
  private readonly folder: Gio.File;
  private readonly made = new Map<Glance, Gio.Icon>();

  /** `root` is the folder of the extension. */
  constructor(root: Gio.File) {
    this.folder = root.get_child('icons');
  }

  of(glance: Glance): Gio.Icon {
    const known = this.made.get(glance);
    if (known !== undefined) return known;
    const icon = new Gio.FileIcon({ file: this.folder.get_child(`gpu-handoff-${glance}-symbolic.svg`) });
    this.made.set(glance, icon);
    return icon;
  }
}
