import Adw from 'gi://Adw';
import { ExtensionPreferences } from 'resource:///org/gnome/Shell/Extensions/js/extensions/prefs.js';

export default class ExamplePreferences extends ExtensionPreferences {
  fillPreferencesWindow(window) {
    const page = new Adw.PreferencesPage({ title: 'Page', icon_name: 'face-smile-symbolic' });
    const group = new Adw.PreferencesGroup({ title: 'Group' });
    group.add(new Adw.SwitchRow({ title: 'A switch of the rig' }));
    page.add(group);
    window.add(page);
  }
}
