// Looked through by the driver's `eval`, inside the shell: what is on the stage, as a screen reader is told it.
// Looks only; nothing here changes anything.
import Atk from 'gi://Atk';
import Clutter from 'gi://Clutter';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import St from 'gi://St';
import System from 'system';

const STATES = {
  checked: Atk.StateType.CHECKED,
  expandable: Atk.StateType.EXPANDABLE,
  expanded: Atk.StateType.EXPANDED,
  focused: Atk.StateType.FOCUSED,
  pressed: Atk.StateType.PRESSED,
  selected: Atk.StateType.SELECTED,
};

function labelOf(accessible) {
  const relation = accessible.ref_relation_set().get_relation_by_type(Atk.RelationType.LABELLED_BY);
  return (relation?.get_target() ?? []).map((target) => nameOf(target)).join(' ');
}

/** The name that a screen reader says: its own, or its label's. (Atk.Action has methods of these names, too.) */
function nameOf(accessible) {
  return Atk.Object.prototype.get_name.call(accessible) || labelOf(accessible) || '';
}

function describe(actor) {
  const accessible = actor.get_accessible();
  const text = actor instanceof St.Label || actor instanceof Clutter.Text ? actor.get_text() : '';
  const name = accessible === null ? '' : nameOf(accessible) || text || '';
  const states = accessible?.ref_state_set();
  const [x, y] = actor.get_transformed_position();
  const [width, height] = actor.get_transformed_size();
  return {
    name,
    role: accessible === null ? '' : Atk.role_get_name(accessible.get_role()),
    description: (accessible && Atk.Object.prototype.get_description.call(accessible)) ?? '',
    text: text ?? '',
    cut: actor instanceof St.Label && actor.clutter_text.get_layout().is_ellipsized(),
    states: Object.keys(STATES).filter((key) => states?.contains_state(STATES[key])),
    reactive: actor.reactive,
    // What cannot be used is said by `sensitive` in the shell's pop-up menus, by `reactive` elsewhere.
    usable: actor.reactive && actor.sensitive !== false,
    focusable: actor.can_focus === true,
    style: actor.style_class ?? '',
    pseudo: actor.get_style_pseudo_class?.() ?? '',
    icon: actor.gicon?.to_string?.() ?? actor.icon_name ?? '',
    type: actor.constructor.name,
    x,
    y,
    width,
    height,
  };
}

function shown(actor) {
  return actor.visible && actor.mapped && actor.get_paint_opacity() > 0;
}

function* walk(actor) {
  if (!shown(actor)) return;
  yield actor;
  for (const child of actor.get_children()) yield* walk(child);
}

function fits(value, wanted) {
  return wanted.pattern === undefined ? value === wanted.text : new RegExp(wanted.pattern, 'u').test(value);
}

function hasStyle(actor, style) {
  return (actor.style_class ?? '').split(' ').includes(style);
}

function isWithin(actor, style) {
  for (let parent = actor.get_parent(); parent !== null; parent = parent.get_parent())
    if (hasStyle(parent, style)) return true;
  return false;
}

function matching(query) {
  const found = [];
  for (const actor of walk(global.stage)) {
    if (query.style !== undefined && !hasStyle(actor, query.style)) continue;
    if (query.type !== undefined && actor.constructor.name !== query.type) continue;
    if (query.within !== undefined && !isWithin(actor, query.within)) continue;
    if (query.usable === true && !(actor.reactive && actor.sensitive !== false)) continue;
    if (query.role === undefined && query.name === undefined) {
      found.push(actor);
      continue;
    }
    const accessible = actor.get_accessible();
    if (accessible === null) continue;
    if (query.role !== undefined && Atk.role_get_name(accessible.get_role()) !== query.role) continue;
    if (query.name !== undefined && !fits(describe(actor).name, query.name)) continue;
    found.push(actor);
  }
  return found;
}

/** The part of an actor that can be seen: what its parents clip away is left out. */
function visibleBox(actor) {
  const [x, y] = actor.get_transformed_position();
  const [width, height] = actor.get_transformed_size();
  // The stage itself has no sensible transformed box.
  let [left, top] = [Math.max(0, x), Math.max(0, y)];
  let [right, bottom] = [Math.min(global.stage.width, x + width), Math.min(global.stage.height, y + height)];
  for (let parent = actor.get_parent(); parent !== null; parent = parent.get_parent()) {
    if (!(parent instanceof St.ScrollView)) continue;
    const [px, py] = parent.get_transformed_position();
    const [pw, ph] = parent.get_transformed_size();
    [left, top] = [Math.max(left, px), Math.max(top, py)];
    [right, bottom] = [Math.min(right, px + pw), Math.min(bottom, py + ph)];
  }
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** Everything on the stage that fits, in its order. */
export function find(query) {
  return matching(query).map(describe);
}

/** Where to press for the one that fits, and whether a press there reaches it. */
export function target(query) {
  const actors = matching(query).filter((actor) => actor.get_transformed_size().every((side) => side > 0));
  const actor = actors[query.nth ?? 0];
  if (actor === undefined) return null;
  const box = visibleBox(actor);
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const hit =
    box.width > 0 && box.height > 0 ? global.stage.get_actor_at_pos(Clutter.PickMode.REACTIVE, x, y) : null;
  const reached =
    hit !== null && hit !== global.stage && (actor === hit || actor.contains(hit) || hit.contains(actor));
  return { ...describe(actor), x, y, reached };
}

/** A tree of what is shown, to be read by people. */
export function outline() {
  const lines = [];
  const add = (actor, depth) => {
    if (!shown(actor)) return;
    const { type, name, role, states, usable, x, y, width, height } = describe(actor);
    const box = [x, y, width, height].map(Math.round).join(' ');
    lines.push(
      `${' '.repeat(depth)}${type} “${name}” ${role} ${states.join()}${usable ? ' usable' : ''} [${box}]`,
    );
    for (const child of actor.get_children()) add(child, depth + 1);
  };
  add(global.stage, 0);
  return lines.join('\n');
}

export function pointer() {
  const [x, y] = global.get_pointer();
  return { x, y };
}

/** The name of what has the keyboard. */
export function focus() {
  const actor = global.stage.get_key_focus();
  return actor === null || actor === global.stage ? null : describe(actor);
}

function actorsBelow(actor) {
  return actor.get_children().reduce((sum, child) => sum + actorsBelow(child), 1);
}

/** What there is in the shell after a collection of garbage: actors, main loop sources, bytes of JavaScript. */
export function leftovers() {
  for (let i = 0; i < 3; i++) System.gc();
  const path = '/tmp/memory.md';
  System.dumpMemoryInfo(path);
  const [, bytes] = Gio.File.new_for_path(path).load_contents(null);
  // Every dump is added to the file.
  const json = new TextDecoder().decode(bytes).split('```').at(-2);
  const { gcBytes, mallocBytes } = JSON.parse(json.replace('json', ''));
  const context = GLib.MainContext.default();
  const probe = GLib.idle_add(GLib.PRIORITY_DEFAULT_IDLE, () => GLib.SOURCE_REMOVE);
  let sources = 0;
  for (let id = 1; id < probe; id++) if (context.find_source_by_id(id) !== null) sources++;
  return { actors: actorsBelow(global.stage), sources, heap: gcBytes + mallocBytes };
}
