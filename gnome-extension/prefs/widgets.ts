/** Small pieces that the pages of the preferences have in common. */
import Adw from 'gi://Adw';
import Gio from 'gi://Gio';
import Gtk from 'gi://Gtk';
import { say, sentence, type Translate, type WordKey } from '../../core/src/words.js';
import type { Teller } from './model.js';
import type { Service } from './service.js';

/** What every page is made with. */
export interface Room {
  readonly window: Adw.PreferencesWindow;
  /** The folder of our own icons. */
  readonly icons: string;
  readonly translate: Translate;
  readonly tell: Teller;
  readonly helper: Service;
  readonly service: Service;
}

/** A text without places. */
export function word(translate: Translate, key: WordKey): string {
  return say({ key, values: {} }, translate);
}

/** The published types of some of libadwaita’s widgets do not fit those of GTK; at run time they are widgets. */
export function widget(one: Adw.StatusPage | Adw.Spinner): Gtk.Widget {
  return one as unknown as Gtk.Widget;
}

/** What a screen reader calls a control. */
export function nameFor(widget: Gtk.Widget, name: string): void {
  widget.update_property([Gtk.AccessibleProperty.LABEL], [name]);
}

/** A row whose texts are plain: names of apps and machines are no markup. */
export function plainRow(title: string, subtitle: string): Adw.ActionRow {
  const row = new Adw.ActionRow({ use_markup: false, title_lines: 0, subtitle_lines: 0 });
  // Set after use_markup, whatever the order of properties in the constructor is.
  row.title = title;
  row.subtitle = subtitle;
  return row;
}

/** One of our own icons, as a decoration: what it says stands beside it. */
export function ownIcon(room: Room, name: string): Gtk.Image {
  // As a file: the icon theme would not colour what lies in no theme.
  const gicon = Gio.FileIcon.new(Gio.File.new_for_path(`${room.icons}/${name}.svg`));
  return new Gtk.Image({ gicon, accessible_role: Gtk.AccessibleRole.PRESENTATION });
}

/** A page that says what is missing, with a button to try again. */
export function missingPage(room: Room, title: string, line: string, again: () => void): Gtk.Widget {
  const button = new Gtk.Button({
    label: word(room.translate, 'do.try-again'),
    halign: Gtk.Align.CENTER,
    css_classes: ['pill'],
  });
  button.connect('clicked', again);
  const page = new Adw.StatusPage({ icon_name: 'dialog-warning-symbolic', title, child: button });
  // A description is markup; a helper's words are not.
  page.description = escapeMarkup(line);
  return widget(page);
}

/** A page that says that an answer is awaited. */
export function askingPage(room: Room, line: string): Gtk.Widget {
  const spinner = new Adw.Spinner({ width_request: 32, height_request: 32 });
  const page = new Adw.StatusPage({ title: word(room.translate, 'desk.asking'), child: widget(spinner) });
  page.description = escapeMarkup(line);
  return widget(page);
}

export function escapeMarkup(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

/** The page for a helper that does not answer (yet). */
export function helperPage(room: Room): Gtk.Widget {
  const { translate, tell, helper } = room;
  const { state, why } = helper.presence;
  if (state === 'asking') return askingPage(room, word(translate, 'desk.asking.line'));
  const again = (): void => helper.ask();
  return state === 'absent'
    ? missingPage(room, word(translate, 'desk.absent'), word(translate, 'desk.absent.line'), again)
    : missingPage(
        room,
        word(translate, 'desk.lost'),
        say(sentence('desk.lost.line', { why: tell(why) }), translate),
        again,
      );
}

/** A group whose rows are made anew when, and only when, they have to be others: the focus stays otherwise. */
export class RowGroup {
  readonly group: Adw.PreferencesGroup;
  #rows: Gtk.Widget[] = [];
  #shown = '';

  constructor(title = '') {
    this.group = new Adw.PreferencesGroup({ title, visible: false });
  }

  /** Shows the rows that `make` makes of `values`, and nothing at all where there are none. */
  show<Value>(values: readonly Value[], make: (value: Value) => Gtk.Widget): void {
    const now = JSON.stringify(values);
    if (now === this.#shown) return;
    this.#shown = now;
    for (const row of this.#rows) this.group.remove(row);
    this.#rows = values.map(make);
    for (const row of this.#rows) this.group.add(row);
    this.group.visible = this.#rows.length > 0;
  }
}
