/** Small parts from which the menu is made. */
import Clutter from 'gi://Clutter';
import Gio from 'gi://Gio';
import GObject from 'gi://GObject';
import Pango from 'gi://Pango';
import St from 'gi://St';

/** A column of actors. */
export function column(styleClass: string): St.BoxLayout {
  return new St.BoxLayout({
    style_class: styleClass,
    orientation: Clutter.Orientation.VERTICAL,
    x_expand: true,
  });
}

export function row(styleClass: string): St.BoxLayout {
  return new St.BoxLayout({ style_class: styleClass, x_expand: true });
}

/** Text that takes as many lines as it needs. */
export function paragraph(styleClass: string): St.Label {
  const label = new St.Label({ style_class: styleClass, y_align: Clutter.ActorAlign.CENTER });
  wrap(label);
  return label;
}

export function wrap(label: St.Label): void {
  label.x_expand = true;
  label.clutter_text.line_wrap = true;
  label.clutter_text.line_wrap_mode = Pango.WrapMode.WORD_CHAR;
  label.clutter_text.ellipsize = Pango.EllipsizeMode.NONE;
}

/** Shows a text, or nothing at all where it is empty. */
export function setText(label: St.Label, text: string): void {
  label.text = text;
  label.visible = text !== '';
}

/** A button with a word on it; `spoken` says what it acts on. */
export function wordButton(styleClass: string, pressed: () => void): St.Button {
  const button = new St.Button({
    style_class: `button gpu-handoff-button ${styleClass}`,
    // There from the beginning: St gives no style to a text that a button gets while it is shown already.
    label: '',
    can_focus: true,
    y_align: Clutter.ActorAlign.CENTER,
  });
  button.connect('clicked', pressed);
  button.connect('key-focus-in', () => reveal(button));
  return button;
}

export function nameButton(button: St.Button, label: string, spoken: string): void {
  button.label = label;
  button.accessible_name = spoken;
  button.visible = label !== '';
}

/** How many letters stand beside each other on buttons in this narrow menu. */
const LETTERS_IN_LINE = 28;

/** Buttons in one line, or one over the other where their words are long. */
export function arrange(buttons: St.BoxLayout): void {
  const shown = buttons.get_children().filter((child) => child.visible) as St.Button[];
  const letters = shown.reduce((sum, button) => sum + (button.label ?? '').length, 0);
  const stacked = letters > LETTERS_IN_LINE;
  buttons.orientation = stacked ? Clutter.Orientation.VERTICAL : Clutter.Orientation.HORIZONTAL;
  buttons.x_align = stacked ? Clutter.ActorAlign.FILL : Clutter.ActorAlign.END;
  for (const button of shown) button.x_expand = stacked;
}

export function themed(name: string, size: number): St.Icon {
  return new St.Icon({ gicon: new Gio.ThemedIcon({ name }), icon_size: size });
}

/** What lies at the edge of a list fades. */
const MARGIN = 48;

/** Scrolls so that what has the keyboard's focus is seen. */
export function reveal(actor: Clutter.Actor): void {
  let view: Clutter.Actor | null = actor.get_parent();
  let top = actor.allocation.y1;
  while (view !== null && !(view instanceof St.ScrollView)) {
    if (!(view instanceof Tall)) top += view.allocation.y1;
    view = view.get_parent();
  }
  // What was never drawn has no place yet.
  if (view === null || !Number.isFinite(top) || !actor.has_allocation()) return;
  const adjustment = view.vadjustment;
  const bottom = top + actor.height;
  if (top - MARGIN < adjustment.value) adjustment.value = top - MARGIN;
  else if (bottom + MARGIN > adjustment.value + adjustment.page_size)
    adjustment.value = bottom + MARGIN - adjustment.page_size;
}

/**
 * A column that knows its height before it is asked for a width: Quick Settings asks so on GNOME 48 (and while a menu
 * opens on all), and text that wraps would be taken for one line.
 */
export class Tall extends St.BoxLayout {
  static {
    GObject.registerClass(Tall);
  }

  private lastWidth = -1;

  constructor(styleClass: string) {
    super({ style_class: styleClass, orientation: Clutter.Orientation.VERTICAL, x_expand: true });
  }

  override vfunc_allocate(box: Clutter.ActorBox): void {
    this.lastWidth = box.get_width();
    super.vfunc_allocate(box);
  }

  override vfunc_get_preferred_height(forWidth: number): [number, number] {
    return super.vfunc_get_preferred_height(forWidth < 0 ? this.lastWidth : forWidth);
  }
}

/** Takes children away and ends them. */
export function clear(box: St.BoxLayout): void {
  box.destroy_all_children();
}
