import Gio from 'gi://Gio';
import { Extension } from 'resource:///org/gnome/shell/extensions/extension.js';
import * as Main from 'resource:///org/gnome/shell/ui/main.js';
import { QuickToggle, SystemIndicator } from 'resource:///org/gnome/shell/ui/quickSettings.js';

/** Two tiles: one that can be seen on the session bus while it is on, one that goes wrong. */
export default class Example extends Extension {
  enable() {
    this.indicator = new SystemIndicator();
    const works = new QuickToggle({
      title: 'Rig works',
      iconName: 'face-smile-symbolic',
      toggleMode: true,
    });
    works.connect('notify::checked', () => {
      if (works.checked)
        this.name = Gio.bus_own_name(Gio.BusType.SESSION, 'test.rig.Example', 0, null, null, null);
      else this.release();
    });
    const fails = new QuickToggle({ title: 'Rig fails', iconName: 'face-sad-symbolic' });
    fails.connect('clicked', () => {
      throw new Error('planted');
    });
    this.indicator.quickSettingsItems.push(works, fails);
    Main.panel.statusArea.quickSettings.addExternalIndicator(this.indicator);
  }

  disable() {
    this.release();
    for (const item of this.indicator.quickSettingsItems) item.destroy();
    this.indicator.destroy();
    this.indicator = null;
  }

  release() {
    if (this.name) Gio.bus_unown_name(this.name);
    this.name = 0;
  }
}
