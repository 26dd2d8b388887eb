// An app with a window, for tests: `app.js ID`.
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import Gtk from 'gi://Gtk?version=4.0';

const [id, ...words] = ARGV;
GLib.set_prgname(id);
const service = words.includes('--gapplication-service');
const flags = service ? Gio.ApplicationFlags.IS_SERVICE : Gio.ApplicationFlags.DEFAULT_FLAGS;
const app = new Gtk.Application({ application_id: id, flags });
app.connect('activate', () => {
  const window = app.active_window ?? new Gtk.ApplicationWindow({ application: app, title: id });
  window.present();
});
app.run([]);
