/** One app in the list: its icon, its name, what is special about it, and the choice. */
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GObject from 'gi://GObject';
import Gtk from 'gi://Gtk';
import Pango from 'gi://Pango';
import { say, sentence, type Translate } from '../../core/src/words.js';
import { type AppRow, CHOICES, type Choice } from './model.js';
import { nameFor } from './widgets.js';

/** An entry of the list’s model. It tells when its row is another one. */
export class AppItem extends GObject.Object {
  static {
    GObject.registerClass({ GTypeName: 'GpuHandoffAppItem', Signals: { changed: {} } }, AppItem);
  }

  row: AppRow;
  /** Whether a choice is on its way. */
  pending = false;

  constructor(row: AppRow) {
    super();
    this.row = row;
  }

  /** Shows a row that was read anew, where it is another one. */
  become(row: AppRow): void {
    if (JSON.stringify(row) !== JSON.stringify(this.row)) this.show(row);
  }

  show(row: AppRow, pending = false): void {
    this.row = row;
    this.pending = pending;
    this.emit('changed');
  }
}

const FALLBACK = 'application-x-executable';

function iconOf(name: string): Gio.Icon {
  if (name.startsWith('/')) return Gio.FileIcon.new(Gio.File.new_for_path(name));
  return Gio.ThemedIcon.new_from_names(name === '' ? [FALLBACK] : [name, FALLBACK]);
}

/** The widgets of a row, used again for one app after another while the list is scrolled. */
export class AppRowView {
  readonly widget: Gtk.Box;
  readonly #translate: Translate;
  readonly #image = new Gtk.Image({ pixel_size: 32, accessible_role: Gtk.AccessibleRole.PRESENTATION });
  readonly #name = new Gtk.Label({ xalign: 0, ellipsize: Pango.EllipsizeMode.END });
  readonly #marks = new Gtk.Label({
    xalign: 0,
    wrap: true,
    css_classes: ['caption', 'dim-label'],
  });
  readonly #note = new Gtk.Label({
    xalign: 0,
    wrap: true,
    wrap_mode: Pango.WrapMode.WORD_CHAR,
    css_classes: ['caption'],
  });
  /** Its menu is made when it opens: a drop-down in each of hundreds of rows would cost seconds. */
  readonly #choice = new Gtk.MenuButton({ valign: Gtk.Align.CENTER, always_show_arrow: true });
  readonly #choices: readonly string[];
  #item: AppItem | null = null;
  #listItem: Gtk.ListItem | null = null;
  #changed = 0;

  constructor(
    translate: Translate,
    choices: readonly string[],
    choose: (id: string, choice: Choice) => void,
  ) {
    this.#translate = translate;
    this.#choices = choices;
    this.#choice.set_create_popup_func(() => this.#openMenu(choose));
    const texts = new Gtk.Box({
      orientation: Gtk.Orientation.VERTICAL,
      spacing: 2,
      hexpand: true,
      valign: Gtk.Align.CENTER,
    });
    for (const label of [this.#name, this.#marks, this.#note]) texts.append(label);
    this.widget = new Gtk.Box({ spacing: 12 });
    for (const child of [this.#image, texts, this.#choice]) this.widget.append(child);
  }

  get item(): AppItem | null {
    return this.#item;
  }

  bind(listItem: Gtk.ListItem, item: AppItem): void {
    this.#listItem = listItem;
    this.#item = item;
    this.#changed = item.connect('changed', () => this.#show());
    this.#show();
  }

  unbind(): void {
    if (this.#changed !== 0) this.#item?.disconnect(this.#changed);
    this.#changed = 0;
    this.#item = this.#listItem = null;
  }

  /** Opens the list of choices, as Enter on the row does. */
  open(): void {
    if (this.#choice.sensitive) this.#choice.popup();
  }

  #openMenu(choose: (id: string, choice: Choice) => void): void {
    const row = this.#item?.row;
    if (row === undefined) return;
    const menu = new Gio.Menu();
    this.#choices.forEach((label, index) => {
      menu.append(label, `app.choice::${CHOICES[index]}`);
    });
    const action = Gio.SimpleAction.new_stateful(
      'choice',
      new GLib.VariantType('s'),
      new GLib.Variant('s', row.choice),
    );
    action.connect('activate', (_action, value) => {
      const choice = CHOICES.find((one) => one === value?.unpack());
      if (choice !== undefined && choice !== row.choice) choose(row.id, choice);
    });
    const actions = new Gio.SimpleActionGroup();
    actions.add_action(action);
    this.#choice.insert_action_group('app', actions);
    this.#choice.menu_model = menu;
  }

  #show(): void {
    if (this.#item === null) return;
    const { row, pending } = this.#item;
    this.#image.gicon = iconOf(row.icon);
    this.#name.label = row.name;
    this.#name.tooltip_text = row.name;
    this.#marks.label = row.marks;
    this.#marks.visible = row.marks !== '';
    this.#note.label = row.note;
    this.#note.visible = row.note !== '';
    this.#note.css_classes = ['caption', row.possible ? 'dim-label' : 'warning'];
    const chosen = this.#choices[CHOICES.indexOf(row.choice)] ?? '';
    this.#choice.label = chosen;
    this.#choice.sensitive = !pending && (row.possible || row.choice !== 'untouched');
    const about = say(sentence('prefs.choice-for', { app: row.name }), this.#translate);
    nameFor(this.#choice, say(sentence('desk.named', { name: about, what: chosen }), this.#translate));
    if (this.#listItem !== null) {
      this.#listItem.accessible_label = row.name;
      this.#listItem.accessible_description = [row.marks, row.note].filter((one) => one !== '').join('. ');
    }
  }
}
