// What GLib makes of .desktop files. usage: gjs -m glib-reader.js describe|launch JOBS.json ANSWERS.json
// describe: a list of paths. launch: a list of { path, action, files }, each really started.
import Gio from 'gi://Gio';
import GioUnix from 'gi://GioUnix';
import GLib from 'gi://GLib';

const [mode, jobsPath, answersPath] = ARGV;
const text = (path) => new TextDecoder().decode(GLib.file_get_contents(path)[1]);

function open(path) {
  try {
    return GioUnix.DesktopAppInfo.new_from_filename(path);
  } catch {
    return null;
  }
}

function describe(path) {
  const app = open(path);
  if (app === null) return { valid: false };
  return {
    valid: true,
    name: app.get_name(),
    displayName: app.get_display_name(),
    genericName: app.get_generic_name(),
    description: app.get_description(),
    icon: app.get_icon()?.to_string() ?? null,
    categories: app.get_categories(),
    keywords: app.get_keywords(),
    types: app.get_supported_types(),
    noDisplay: app.get_nodisplay(),
    hidden: app.get_is_hidden(),
    shown: app.should_show(),
    shownIn: ['GNOME', 'KDE', 'XFCE', 'Unity'].map((desktop) => app.get_show_in(desktop)),
    windowClass: app.get_startup_wm_class(),
    uris: app.supports_uris(),
    files: app.supports_files(),
    tryExec: app.get_string('TryExec'),
    path: app.get_string('Path'),
    terminal: app.get_boolean('Terminal'),
    startupNotify: app.get_boolean('StartupNotify'),
    implements: app.get_locale_string('Implements'),
    dbusActivatable: app.get_boolean('DBusActivatable'),
    prefersDgpu: app.get_boolean('PrefersNonDefaultGPU'),
    executable: app.get_executable(),
    commandline: app.get_commandline(),
    actions: app.list_actions().map((id) => ({ id, name: app.get_action_name(id) })),
  };
}

const RECORDS = '/tmp/records';

/** Starts an app; gives a function that tells the words of its processes, or null while one has not written them. */
function launch({ path, action, files }, number) {
  const app = open(path);
  if (app === null) return () => ({ error: 'not valid' });
  const folder = `${RECORDS}/${number}`;
  GLib.mkdir_with_parents(folder, 0o755);
  const context = new Gio.AppLaunchContext();
  context.setenv('RECORD', folder);
  const records = [];
  context.connect('launched', (_context, _app, data) => {
    records.push(`${folder}/${data.lookup_value('pid', null).deepUnpack()}`);
  });
  try {
    if (action !== null) app.launch_action(action, context);
    else if (
      !app.launch(
        files.map((file) => Gio.File.new_for_path(file)),
        context,
      )
    )
      return () => ({ error: 'launch() said false' });
  } catch (error) {
    return () => ({ error: error.message });
  }
  return () => {
    if (!records.every((record) => GLib.file_test(record, GLib.FileTest.EXISTS))) return null;
    const started = records.map((record) => text(record).split('\0').slice(0, -1));
    // In the order of the words: of several processes any may be the first.
    return {
      started: started
        .map((words) => JSON.stringify(words))
        .sort()
        .map((words) => JSON.parse(words)),
    };
  };
}

/** Starts everything, a few at a time, and waits for all of them. */
function launchAll(jobs) {
  const AT_ONCE = 16;
  const LIMIT = 60e6;
  const answers = jobs.map(() => null);
  let waiting = [];
  const settle = (atMost) => {
    const limit = GLib.get_monotonic_time() + LIMIT;
    for (;;) {
      waiting = waiting.filter(({ number, answer }) => {
        answers[number] = answer();
        return answers[number] === null;
      });
      if (waiting.length <= atMost) return;
      if (GLib.get_monotonic_time() > limit) throw new Error(`nothing recorded by job ${waiting[0].number}`);
      GLib.usleep(500);
    }
  };
  jobs.forEach((job, number) => {
    waiting.push({ number, answer: launch(job, number) });
    settle(AT_ONCE);
  });
  settle(0);
  return answers;
}

const jobs = JSON.parse(text(jobsPath));
const answers = mode === 'launch' ? launchAll(jobs) : jobs.map(describe);
GLib.file_set_contents(answersPath, JSON.stringify(answers));
