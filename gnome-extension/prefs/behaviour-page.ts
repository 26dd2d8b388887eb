/** The page Behaviour: what the extension shows in the shell, and what it tells. */
import Adw from 'gi://Adw';
import Gio from 'gi://Gio';
import Gtk from 'gi://Gtk';
import type { Translate, WordKey } from '../../core/src/words.js';
import { word } from './widgets.js';

const INDICATOR = ['always', 'when-needed', 'never'] as const;

function switchRow(settings: Gio.Settings, key: string, title: string, subtitle = ''): Adw.SwitchRow {
  const row = new Adw.SwitchRow({ title, subtitle });
  settings.bind(key, row, 'active', Gio.SettingsBindFlags.DEFAULT);
  return row;
}

/** Calls `show` now and whenever a setting changes, until the window closes. */
function follow(window: Gtk.Window, settings: Gio.Settings, key: string, show: () => void): void {
  show();
  const id = settings.connect(`changed::${key}`, show);
  window.connect('close-request', () => {
    settings.disconnect(id);
    return false;
  });
}

function indicatorRow(window: Gtk.Window, settings: Gio.Settings, translate: Translate): Adw.ComboRow {
  const labels = INDICATOR.map((name) => word(translate, `prefs.indicator.${name}`));
  const row = new Adw.ComboRow({
    title: word(translate, 'prefs.indicator'),
    model: Gtk.StringList.new(labels),
  });
  follow(window, settings, 'indicator', () => {
    row.selected = (INDICATOR as readonly string[]).indexOf(settings.get_string('indicator'));
  });
  row.connect('notify::selected', () => {
    const name = INDICATOR[row.selected];
    if (name !== undefined && name !== settings.get_string('indicator'))
      settings.set_string('indicator', name);
  });
  return row;
}

export function behaviourPage(
  window: Gtk.Window,
  settings: Gio.Settings,
  translate: Translate,
): Adw.PreferencesPage {
  const text = (key: WordKey): string => word(translate, key);
  const page = new Adw.PreferencesPage({
    name: 'behaviour',
    title: text('prefs.behaviour'),
    icon_name: 'preferences-system-symbolic',
  });

  const topBar = new Adw.PreferencesGroup({ title: text('prefs.top-bar') });
  const label = switchRow(
    settings,
    'indicator-text',
    text('prefs.indicator-text'),
    text('prefs.indicator-text.line'),
  );
  follow(window, settings, 'indicator', () => {
    label.sensitive = settings.get_string('indicator') !== 'never';
  });
  topBar.add(indicatorRow(window, settings, translate));
  topBar.add(label);
  topBar.add(switchRow(settings, 'tile', text('prefs.tile')));
  page.add(topBar);

  const menus = new Adw.PreferencesGroup({ title: text('prefs.menus') });
  const stock = switchRow(
    settings,
    'hide-stock-entry',
    text('prefs.hide-stock-entry'),
    text('prefs.hide-stock-entry.line'),
  );
  follow(window, settings, 'app-menu', () => {
    stock.sensitive = settings.get_boolean('app-menu');
  });
  menus.add(switchRow(settings, 'app-menu', text('prefs.app-menu')));
  menus.add(stock);
  page.add(menus);

  const news = new Adw.PreferencesGroup({ title: text('prefs.notifications') });
  news.add(switchRow(settings, 'notify-done', text('prefs.notify-done')));
  news.add(switchRow(settings, 'notify-failed', text('prefs.notify-failed')));
  news.add(switchRow(settings, 'notify-back', text('prefs.notify-back')));
  news.add(switchRow(settings, 'notify-held', text('prefs.notify-held')));
  page.add(news);
  return page;
}
