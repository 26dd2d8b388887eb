// The hands and eyes inside a session: takes requests as lines of JSON on standard input and answers each with a line.
// Acts only as a user can, by mutter's remote desktop; `eval` is for looking alone.
import Atspi from 'gi://Atspi';
import GdkPixbuf from 'gi://GdkPixbuf';
import Gio from 'gi://Gio';
import GioUnix from 'gi://GioUnix';
import GLib from 'gi://GLib';

const bus = Gio.DBus.session;
const REMOTE = 'org.gnome.Mutter.RemoteDesktop';

function call(name, path, iface, member, args = null, timeoutMs = 60_000) {
  return new Promise((resolve, reject) => {
    bus.call(
      name,
      path,
      iface,
      member,
      args,
      null,
      Gio.DBusCallFlags.NONE,
      timeoutMs,
      null,
      (source, result) => {
        try {
          resolve(source.call_finish(result).recursiveUnpack());
        } catch (error) {
          reject(error);
        }
      },
    );
  });
}

let remote = null;

async function session() {
  if (remote !== null) return remote;
  const [path] = await call(REMOTE, '/org/gnome/Mutter/RemoteDesktop', REMOTE, 'CreateSession');
  remote = path;
  await call(REMOTE, path, `${REMOTE}.Session`, 'Start');
  return remote;
}

async function notify(member, signature, values) {
  await call(REMOTE, await session(), `${REMOTE}.Session`, member, new GLib.Variant(signature, values));
}

async function shellEval(code) {
  const shell = ['org.gnome.Shell', '/org/gnome/Shell', 'org.gnome.Shell'];
  const [ok, text] = await call(...shell, 'Eval', new GLib.Variant('(s)', [code]));
  if (!ok) throw new Error(text);
  return text;
}

const A11Y_STATES = {
  checked: Atspi.StateType.CHECKED,
  expanded: Atspi.StateType.EXPANDED,
  focused: Atspi.StateType.FOCUSED,
  sensitive: Atspi.StateType.SENSITIVE,
  showing: Atspi.StateType.SHOWING,
};

function labelOf(accessible) {
  const labels = accessible
    .get_relation_set()
    .filter((relation) => relation.get_relation_type() === Atspi.RelationType.LABELLED_BY);
  return labels.map((relation) => relation.get_target(0)?.get_name() ?? '').join(' ');
}

/** What a screen reader is told of an application, depth first; places are relative to its window. */
/** Milliseconds: a program that draws by software on a busy machine answers late, not never. */
Atspi.set_timeout(10_000, 20_000);

function accessiblesOf(name) {
  const desktop = Atspi.get_desktop(0);
  desktop.clear_cache_single();
  const found = [];
  const walk = (accessible, depth) => {
    if (accessible === null) return;
    accessible.clear_cache_single();
    const states = accessible.get_state_set();
    const box = accessible.get_component_iface()?.get_extents(Atspi.CoordType.WINDOW);
    found.push({
      name: accessible.get_name() || labelOf(accessible),
      description: accessible.get_description(),
      // GTK called its switches check boxes before it had a role of their own for them.
      role: accessible.get_role_name().replace('switch', 'check box'),
      states: Object.keys(A11Y_STATES).filter((key) => states.contains(A11Y_STATES[key])),
      depth,
      x: box?.x ?? 0,
      y: box?.y ?? 0,
      width: box?.width ?? 0,
      height: box?.height ?? 0,
    });
    for (let i = 0; i < accessible.get_child_count(); i++) {
      try {
        walk(accessible.get_child_at_index(i), depth + 1);
      } catch (error) {
        // A row that was scrolled away, or a page that was left, while it was asked.
        if (!/does not exist|No such interface|is null/.test(error.message)) throw error;
      }
    }
  };
  for (let i = 0; i < desktop.get_child_count(); i++) {
    const application = desktop.get_child_at_index(i);
    if (name === undefined) found.push({ name: application?.get_name() });
    else if (application?.get_name() === name) walk(application, 0);
  }
  return found;
}

const REQUESTS = {
  ready() {},
  /** Settings of GNOME, as `gsettings set` takes them. */
  settings({ values }) {
    for (const [schema, key, text] of values) {
      const settings = new Gio.Settings({ schema_id: schema });
      const type = settings.settings_schema.get_key(key).get_value_type();
      settings.set_value(key, GLib.Variant.parse(type, text, null, null));
    }
    Gio.Settings.sync();
  },
  eval({ code }) {
    return shellEval(code);
  },
  /** Puts the pointer somewhere, as a mouse does: by moves that are relative to where it is. */
  move({ dx, dy }) {
    return notify('NotifyPointerMotionRelative', '(dd)', [dx, dy]);
  },
  button({ button, pressed }) {
    return notify('NotifyPointerButton', '(ib)', [button, pressed]);
  },
  /** Turns the wheel; `steps` downwards. */
  wheel({ steps }) {
    return notify('NotifyPointerAxisDiscrete', '(ui)', [0, steps]);
  },
  key({ keysym, pressed }) {
    return notify('NotifyKeyboardKeysym', '(ub)', [keysym, pressed]);
  },
  async screenshot({ path }) {
    const shot = 'org.gnome.Shell.Screenshot';
    const where = [shot, '/org/gnome/Shell/Screenshot', shot];
    const [ok, used] = await call(...where, 'Screenshot', new GLib.Variant('(bbs)', [false, false, path]));
    if (!ok) throw new Error('the shell took no screenshot');
    const pixbuf = GdkPixbuf.Pixbuf.new_from_file(used);
    const [pixels, stride, channels] = [pixbuf.get_pixels(), pixbuf.rowstride, pixbuf.n_channels];
    const colours = new Set();
    for (let y = 0; y < pixbuf.height; y += 7) {
      for (let x = 0; x < pixbuf.width; x += 7) {
        const at = y * stride + x * channels;
        colours.add((pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2]);
      }
    }
    return { width: pixbuf.width, height: pixbuf.height, colours: colours.size };
  },
  /** The one monitor's scale, as the settings' display panel sets it. */
  async scale({ scale }) {
    const config = 'org.gnome.Mutter.DisplayConfig';
    const where = [config, '/org/gnome/Mutter/DisplayConfig', config];
    const [serial, monitors] = await call(...where, 'GetCurrentState');
    const [[[connector], modes]] = monitors;
    const mode = (modes.find(([, , , , , , more]) => more['is-current']) ?? modes[0])[0];
    const layout = [[0, 0, scale, 0, true, [[connector, mode, {}]]]];
    const args = new GLib.Variant('(uua(iiduba(ssa{sv}))a{sv})', [serial, 1, layout, {}]);
    await call(...where, 'ApplyMonitorsConfig', args);
  },
  accessibles({ application }) {
    return accessiblesOf(application);
  },
  /** Switches an extension on or off, as the Extensions app does. */
  async enable({ uuid, enabled }) {
    const name = 'org.gnome.Shell.Extensions';
    const member = enabled ? 'EnableExtension' : 'DisableExtension';
    const [done] = await call(
      'org.gnome.Shell',
      '/org/gnome/Shell',
      name,
      member,
      new GLib.Variant('(s)', [uuid]),
    );
    if (!done) throw new Error(`the shell does not know ${uuid}`);
  },
  async owned({ name }) {
    const daemon = 'org.freedesktop.DBus';
    const where = [daemon, '/org/freedesktop/DBus', daemon];
    const [owned] = await call(...where, 'NameHasOwner', new GLib.Variant('(s)', [name]));
    return owned;
  },
};

const input = new Gio.DataInputStream({ base_stream: GioUnix.InputStream.new(0, false) });
const loop = new GLib.MainLoop(null, false);

async function answer(line) {
  const { id, request, ...args } = JSON.parse(line);
  try {
    const value = (await REQUESTS[request](args)) ?? null;
    print(JSON.stringify({ id, value }));
  } catch (error) {
    print(JSON.stringify({ id, error: `${error.message ?? error}` }));
  }
}

function listen() {
  input.read_line_async(GLib.PRIORITY_DEFAULT, null, (stream, result) => {
    const [line] = stream.read_line_finish_utf8(result);
    if (line === null) {
      loop.quit();
      return;
    }
    void answer(line);
    listen();
  });
}

listen();
loop.run();
