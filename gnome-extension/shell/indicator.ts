/** The icon in the top bar, with a word beside it where the user wants one. */

import Clutter from 'gi://Clutter';
import type Gio from 'gi://Gio';
import GObject from 'gi://GObject';
import St from 'gi://St';
import { SystemIndicator } from 'resource:///org/gnome/shell/ui/quickSettings.js';

import type { Picture } from '../../core/src/desktop/picture.js';
import type { Icons } from './icons.js';
import type { Model, View } from './model.js';

export class Indicator extends SystemIndicator implements View {
  static {
    GObject.registerClass(Indicator);
  }

  private readonly icons: Icons;
  private readonly settings: Gio.Settings;
  private readonly icon: St.Icon;
  private readonly word: St.Label;
  private readonly settingsId: number;

  constructor(model: Model, icons: Icons, settings: Gio.Settings) {
    super();
    this.icons = icons;
    this.settings = settings;
    this.add_style_class_name('gpu-handoff-indicator');
    this.word = new St.Label({ y_align: Clutter.ActorAlign.CENTER, visible: false });
    this.icon = this._addIndicator();
    this.add_child(this.word);
    this.settingsId = settings.connect('changed', () => this.update(model.picture));
    this.connect('destroy', () => {
      settings.disconnect(this.settingsId);
      model.remove(this);
    });
    model.add(this);
  }

  update(picture: Picture): void {
    const when = this.settings.get_string('indicator');
    const shown = when === 'always' || (when === 'when-needed' && !picture.quiet);
    this.icon.gicon = this.icons.of(picture.glance);
    this.icon.accessible_name = picture.spoken;
    this.word.text = picture.label;
    this.word.visible = shown && this.settings.get_boolean('indicator-text');
    this.icon.visible = shown;
    this._syncIndicatorsVisible();
  }
}
