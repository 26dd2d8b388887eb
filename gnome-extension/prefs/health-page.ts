/** The page Health: what helper and per-user service find wrong, each with what to do about it. */
import Adw from 'gi://Adw';
import Gdk from 'gi://Gdk';
import Gtk from 'gi://Gtk';
import type { WordKey } from '../../core/src/words.js';
import { type Finding, type Health, healthOf } from './model.js';
import { nameFor, plainRow, type Room, RowGroup, word } from './widgets.js';

const LOOKS: Readonly<Record<Health, { icon: string; style: string; name: WordKey }>> = {
  fine: { icon: 'object-select-symbolic', style: 'success', name: 'prefs.fine' },
  wrong: { icon: 'dialog-warning-symbolic', style: 'warning', name: 'prefs.wrong' },
  'not-known': { icon: 'dialog-question-symbolic', style: 'dim-label', name: 'prefs.not-known' },
};

const DOCTOR = 'gpu-handoff doctor';

export class HealthPage {
  readonly page: Adw.PreferencesPage;
  readonly #room: Room;
  readonly #parts: RowGroup;
  readonly #cards: RowGroup;
  readonly #configuration = new RowGroup();
  readonly #launching = new RowGroup();

  constructor(room: Room) {
    const { translate } = room;
    this.#room = room;
    this.page = new Adw.PreferencesPage({
      name: 'health',
      title: word(translate, 'prefs.health'),
      icon_name: 'dialog-information-symbolic',
    });
    this.#parts = new RowGroup(word(translate, 'prefs.parts'));
    this.#cards = new RowGroup(word(translate, 'prefs.cards'));
    for (const { group } of [this.#parts, this.#cards, this.#configuration, this.#launching])
      this.page.add(group);
    this.page.add(this.#more());
    this.update();
  }

  /** Helper or per-user service has changed. */
  update(): void {
    const { helper, service, translate, tell } = this.#room;
    const health = healthOf(helper.presence, service.presence, translate, tell);
    const make = (finding: Finding): Gtk.Widget => this.#row(finding);
    this.#parts.show(health.parts, make);
    this.#cards.show(health.cards, make);
    this.#configuration.show(health.configuration, make);
    this.#launching.show(health.launching, make);
  }

  #row({ health, title, line }: Finding): Gtk.Widget {
    const row = plainRow(title, line);
    row.subtitle_selectable = true;
    const { icon, style, name } = LOOKS[health];
    const said = word(this.#room.translate, name);
    const image = new Gtk.Image({ icon_name: icon, css_classes: [style], tooltip_text: said });
    nameFor(image, said);
    row.add_prefix(image);
    return row;
  }

  #more(): Adw.PreferencesGroup {
    const { translate, window, helper, service } = this.#room;
    const group = new Adw.PreferencesGroup();
    const row = plainRow(word(translate, 'prefs.more'), word(translate, 'prefs.more.line'));
    const copy = new Gtk.Button({
      icon_name: 'edit-copy-symbolic',
      tooltip_text: word(translate, 'prefs.copy'),
      valign: Gtk.Align.CENTER,
      css_classes: ['flat'],
    });
    nameFor(copy, word(translate, 'prefs.copy'));
    copy.connect('clicked', () => {
      window.get_clipboard().set_content(Gdk.ContentProvider.new_for_value(DOCTOR));
      window.add_toast(new Adw.Toast({ title: word(translate, 'prefs.copied'), timeout: 2 }));
    });
    row.add_suffix(copy);
    group.add(row);

    const again = new Adw.ButtonRow({ title: word(translate, 'do.try-again') });
    again.connect('activated', () => {
      helper.ask();
      service.ask();
    });
    group.add(again);

    return group;
  }
}
