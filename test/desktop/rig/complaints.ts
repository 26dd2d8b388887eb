/** What the shell of a tree complains about without any extension: there is no login manager, no hardware, no network. */
const KNOWN: readonly RegExp[] = [
  /There is no colord server available/,
  /accountsservice-WARNING/,
  /Failed to init X11 display|Xwayland/,
  // The shell about its own menus, when one opens while another closes.
  /Can't update stage views actor \S+ \[(St\w+|Gjs_ui_\w+)\] is on/,
  // The shell about its own icon in the overview's results, which go (at once, without animations) with an app's start.
  /Object \.?Gjs_ui_(?:appDisplay_AppIcon|dash_DashIcon) \S+ has been already disposed(?![\s\S]*\/extensions\/)/,
  // mutter about a window whose program was killed.
  /surface_state_changed: assertion/,
  // gjs about the descriptions of Clutter's and libadwaita's own properties.
  /Gjs-WARNING \*\*: \S+ Type GITypeInfo of property/,
];

/** A message begins so; what follows it, a stack, belongs to it. */
const BEGINNING = /^(\([^)]+\): \S.*?-(WARNING|CRITICAL|ERROR|Message|DEBUG|INFO) |\S.*-Message: |\*\* )/;

const GRAVE = /-(WARNING|CRITICAL|ERROR) \*\*|\b(JS ERROR|Error:|TypeError|Unhandled promise)/;

/**
 * What a shell's log complains about that it would not without extensions: warnings and errors of any part of it, and
 * whatever names a file of ours in a stack.
 */
export function complaintsIn(log: string): string[] {
  const messages: string[] = [];
  for (const line of log.split('\n')) {
    if (BEGINNING.test(line) || messages.length === 0) messages.push(line);
    else messages[messages.length - 1] += `\n${line}`;
  }
  return messages
    .map((message) => message.trimEnd())
    .filter(
      (message) =>
        (GRAVE.test(message) && isNew(message)) || /gnome-shell\/extensions\/\S+:\d+/.test(message),
    );
}

function isNew(message: string): boolean {
  return !KNOWN.some((pattern) => pattern.test(message)) && !/^GNOME Shell-Message: /.test(message);
}
