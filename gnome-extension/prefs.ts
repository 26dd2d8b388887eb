/** What `gnome-extensions prefs` and the Extensions app open. */
import type Adw from 'gi://Adw';
import { ExtensionPreferences } from 'resource:///org/gnome/Shell/Extensions/js/extensions/prefs.js';
import { fillWindow } from './prefs/window.js';
import { translatorOf } from './shared/translate.js';

export default class GpuHandoffPreferences extends ExtensionPreferences {
  override async fillPreferencesWindow(window: Adw.PreferencesWindow): Promise<void> {
    fillWindow(window, this.getSettings(), translatorOf(this), `${this.path}/icons`);
  }
}
