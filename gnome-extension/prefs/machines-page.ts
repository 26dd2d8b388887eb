/** The page Virtual Machines: which there are, and who has which card. */
import Adw from 'gi://Adw';
import Gtk from 'gi://Gtk';
import { say, sentence } from '../../core/src/words.js';
import { cardRows, type Dict, dictsOf, machineRows } from './model.js';
import { reasonOf } from './service.js';
import { helperPage, missingPage, ownIcon, plainRow, type Room, RowGroup, word } from './widgets.js';

export class MachinesPage {
  readonly page: Adw.PreferencesPage;
  readonly #room: Room;
  readonly #cards: RowGroup;
  readonly #machines: RowGroup;
  readonly #trouble = new RowGroup();
  #asked = false;
  #again = false;
  #known: readonly Dict[] | null = null;
  #failure = '';

  constructor(room: Room) {
    const { translate } = room;
    this.#room = room;
    this.page = new Adw.PreferencesPage({
      name: 'machines',
      title: word(translate, 'prefs.machines.short'),
      icon_name: 'computer-symbolic',
    });
    this.#cards = new RowGroup(word(translate, 'prefs.cards'));
    this.#machines = new RowGroup(word(translate, 'prefs.machines'));
    for (const { group } of [this.#cards, this.#machines, this.#trouble]) this.page.add(group);
    // VMs come and go without a signal of the helper’s.
    this.page.connect('map', () => this.#ask());
    this.update();
  }

  /** The helper’s state has changed. */
  update(): void {
    if (this.#room.helper.presence.state !== 'here') this.#known = null;
    else this.#ask();
    this.#show();
  }

  #ask(): void {
    if (this.#room.helper.presence.state !== 'here' || !this.page.get_mapped()) return;
    this.#again = this.#asked;
    if (this.#asked) return;
    this.#asked = true;
    const answered = (): void => {
      this.#asked = false;
      this.#show();
      if (this.#again) this.#ask();
    };
    this.#room.helper.call('ListVirtualMachines', '(a{sv})', [{}]).then(
      ([machines]) => {
        this.#known = dictsOf(machines);
        this.#failure = '';
        answered();
      },
      (error: unknown) => {
        this.#known = null;
        this.#failure = this.#room.tell(reasonOf(error));
        answered();
      },
    );
  }

  #show(): void {
    const { helper, translate, tell } = this.#room;
    const here = helper.presence.state === 'here';
    const cards = here ? dictsOf(helper.presence.properties.Cards) : [];
    this.#cards.show(cardRows(cards, translate, tell), ({ name, icon, shown, role }) => {
      const row = plainRow(name, [shown, role].filter((one) => one !== '').join('\n'));
      row.add_prefix(ownIcon(this.#room, icon));
      return row;
    });
    const machines = here ? machineRows(this.#known ?? [], cards, translate) : [];
    this.#machines.show(machines, ({ name, state, line }) => {
      const row = plainRow(name, `${state} · ${line}`);
      row.add_prefix(
        new Gtk.Image({ icon_name: 'computer-symbolic', accessible_role: Gtk.AccessibleRole.PRESENTATION }),
      );
      return row;
    });
    const { state, why } = helper.presence;
    const none = here && this.#known !== null && machines.length === 0;
    const trouble = here ? (none ? ['none'] : this.#failure === '' ? [] : [this.#failure]) : [state, why];
    this.#trouble.show(trouble.length === 0 ? [] : [trouble], () => this.#troublePage(here, none));
  }

  #troublePage(here: boolean, none: boolean): Gtk.Widget {
    const { translate } = this.#room;
    if (!here) return helperPage(this.#room);
    if (none)
      return missingPage(
        this.#room,
        word(translate, 'prefs.no-machines'),
        word(translate, 'prefs.no-machines.line'),
        () => this.#ask(),
      );
    const line = say(sentence('desk.no-vms', { why: this.#failure }), translate);
    return missingPage(this.#room, word(translate, 'prefs.no-machines-seen'), line, () => this.#ask());
  }
}
