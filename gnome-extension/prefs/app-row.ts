/** One app in the list: its icon, its name, what is special about it, and the choice. */
import Gio from 'gi://Gio';
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
    ellipsize: Pango.EllipsizeMode.END,
    css_classes: ['caption', 'dim-label'],
  });
  readonly #note = new Gtk.Label({
    xalign: 0,
    wrap: true,
    wrap_mode: Pango.WrapMode.WORD_CHAR,
    css_classes: ['caption'],
  });
  readonly #choice: Gtk.DropDown;
  #item: AppItem | null = null;
  #listItem: Gtk.ListItem | null = null;
  #changed = 0;
  #showing = false;

  constructor(
    translate: Translate,
    choices: readonly string[],
    choose: (id: string, choice: Choice) => void,
  ) {
    this.#translate = translate;
    this.#choice = new Gtk.DropDown({ model: Gtk.StringList.new([...choices]), valign: Gtk.Align.CENTER });
    this.#choice.connect('notify::selected', () => {
      const choice = CHOICES[this.#choice.selected];
      if (!this.#showing && this.#item !== null && choice !== undefined) choose(this.#item.row.id, choice);
    });
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
    if (this.#choice.sensitive) this.#choice.activate();
  }

  #show(): void {
    if (this.#item === null) return;
    const { row, pending } = this.#item;
    this.#showing = true;
    this.#image.gicon = iconOf(row.icon);
    this.#name.label = row.name;
    this.#name.tooltip_text = row.name;
    this.#marks.label = row.marks;
    this.#marks.tooltip_text = row.marks;
    this.#marks.visible = row.marks !== '';
    this.#note.label = row.note;
    this.#note.visible = row.note !== '';
    this.#note.css_classes = ['caption', row.possible ? 'dim-label' : 'warning'];
    this.#choice.selected = CHOICES.indexOf(row.choice);
    this.#choice.sensitive = !pending && (row.possible || row.choice !== 'untouched');
    nameFor(this.#choice, say(sentence('prefs.choice-for', { app: row.name }), this.#translate));
    if (this.#listItem !== null) {
      this.#listItem.accessible_label = row.name;
      this.#listItem.accessible_description = [row.marks, row.note].filter((one) => one !== '').join('. ');
    }
    this.#showing = false;
  }
}
