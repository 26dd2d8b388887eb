/** The page Apps: every app with its choice, searched by name. Thousands of apps make as many rows as fit the window. */
import Adw from 'gi://Adw';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import Gtk from 'gi://Gtk';
import { say, sentence } from '../../core/src/words.js';
import { AppItem, AppRowView } from './app-row.js';
import {
  type AppRow,
  appRow,
  CHOICES,
  type Choice,
  type Dict,
  dictsOf,
  inOrder,
  matches,
  textOf,
} from './model.js';
import { reasonOf } from './service.js';
import { askingPage, missingPage, nameFor, type Room, widget, word } from './widgets.js';

/** Makes what stands below a page’s header fill the window, so that the list scrolls and not the page around it. */
function fillPage(page: Adw.PreferencesPage): void {
  const inner = page.get_first_child();
  if (inner instanceof Gtk.ScrolledWindow) inner.vscrollbar_policy = Gtk.PolicyType.NEVER;
}

export class AppsPage {
  readonly page: Adw.PreferencesPage;
  readonly #room: Room;
  readonly #stack = new Gtk.Stack({ vexpand: true });
  readonly #search: Gtk.SearchEntry;
  readonly #filter: Gtk.CustomFilter;
  readonly #store = new Gio.ListStore({ item_type: AppItem.$gtype });
  readonly #shown: Gtk.FilterListModel;
  readonly #views = new Map<Gtk.ListItem, AppRowView>();
  /** Which apps come first, kept while the window is open. */
  readonly #ranks = new Map<string, number>();
  /** Choices on their way to the service. */
  readonly #pending = new Set<string>();
  #asked = false;
  #again = false;
  #revision: unknown = null;
  #status = '';
  #words = '';

  constructor(room: Room) {
    const { translate } = room;
    this.#room = room;
    this.page = new Adw.PreferencesPage({
      name: 'apps',
      title: word(translate, 'prefs.apps'),
      icon_name: 'view-app-grid-symbolic',
    });
    fillPage(this.page);
    this.#search = new Gtk.SearchEntry({ placeholder_text: word(translate, 'prefs.search') });
    nameFor(this.#search, word(translate, 'prefs.search'));
    this.#filter = Gtk.CustomFilter.new((item) => matches((item as AppItem).row, this.#words));
    this.#shown = new Gtk.FilterListModel({ model: this.#store, filter: this.#filter });
    this.#search.connect('search-changed', () => {
      this.#words = this.#search.text;
      this.#filter.changed(Gtk.FilterChange.DIFFERENT);
      this.#showList();
    });

    const noMatch = new Adw.StatusPage({
      icon_name: 'system-search-symbolic',
      title: word(translate, 'prefs.no-match'),
      description: word(translate, 'prefs.no-match.line'),
    });
    this.#stack.add_named(this.#list(), 'list');
    this.#stack.add_named(widget(noMatch), 'no-match');
    const box = new Gtk.Box({ orientation: Gtk.Orientation.VERTICAL, spacing: 12 });
    box.append(this.#search);
    box.append(this.#stack);
    const group = new Adw.PreferencesGroup({ vexpand: true });
    group.add(box);
    this.page.add(group);
    // The service leaves when idle, and then tells nothing.
    this.page.connect('map', () => this.#ask());
    this.update();
  }

  /** The per-user service has changed. */
  update(): void {
    const { state, properties } = this.#room.service.presence;
    const revision = state === 'here' ? properties.Revision : null;
    if (revision !== this.#revision) {
      this.#revision = revision;
      if (revision === null) this.#store.remove_all();
      else this.#ask();
    }
    this.#showList();
  }

  #list(): Gtk.Widget {
    const choices = CHOICES.map((choice) => word(this.#room.translate, `run.${choice}`));
    const factory = new Gtk.SignalListItemFactory();
    factory.connect('setup', (_factory, object) => {
      const item = object as Gtk.ListItem;
      const view = new AppRowView(this.#room.translate, choices, (id, choice) => this.#choose(id, choice));
      item.child = view.widget;
      this.#views.set(item, view);
    });
    factory.connect('bind', (_factory, object) => {
      const item = object as Gtk.ListItem;
      this.#views.get(item)?.bind(item, item.item as AppItem);
    });
    factory.connect('unbind', (_factory, object) => this.#views.get(object as Gtk.ListItem)?.unbind());
    factory.connect('teardown', (_factory, object) => this.#views.delete(object as Gtk.ListItem));
    const list = new Gtk.ListView({
      model: new Gtk.NoSelection({ model: this.#shown }),
      factory,
      show_separators: true,
      tab_behavior: Gtk.ListTabBehavior.ALL,
      css_classes: ['rich-list'],
    });
    nameFor(list, word(this.#room.translate, 'prefs.apps'));
    list.connect('activate', (_list, position) => {
      const item = this.#shown.get_item(position);
      for (const view of this.#views.values()) if (view.item === item) view.open();
    });
    return new Gtk.ScrolledWindow({
      child: list,
      vexpand: true,
      min_content_height: 240,
      hscrollbar_policy: Gtk.PolicyType.NEVER,
      css_classes: ['card'],
      overflow: Gtk.Overflow.HIDDEN,
    });
  }

  #showList(): void {
    const { translate, tell, service } = this.#room;
    const { state, why } = service.presence;
    const filled = this.#store.get_n_items() > 0;
    this.#search.visible = filled;
    if (filled) {
      this.#stack.visible_child_name = this.#shown.get_n_items() === 0 ? 'no-match' : 'list';
      return;
    }
    const wanted = state === 'here' ? 'asking' : `${state} ${why}`;
    if (wanted !== this.#status) {
      this.#status = wanted;
      const earlier = this.#stack.get_child_by_name('status');
      if (earlier !== null) this.#stack.remove(earlier);
      const again = (): void => service.ask();
      const page =
        state === 'here' || state === 'asking'
          ? askingPage(this.#room, word(translate, 'prefs.asking'))
          : state === 'absent'
            ? missingPage(
                this.#room,
                word(translate, 'prefs.no-service'),
                word(translate, 'prefs.no-service.line'),
                again,
              )
            : missingPage(
                this.#room,
                word(translate, 'desk.lost'),
                say(sentence('prefs.lost', { why: tell(why) }), translate),
                again,
              );
      this.#stack.add_named(page, 'status');
    }
    this.#stack.visible_child_name = 'status';
  }

  #ask(): void {
    if (this.#room.service.presence.state !== 'here') return;
    this.#again = this.#asked;
    if (this.#asked) return;
    this.#asked = true;
    const locale = GLib.get_language_names()[0] ?? '';
    const options = { locale: new GLib.Variant('s', locale) };
    const answered = (): void => {
      this.#asked = false;
      this.#showList();
      if (this.#again) this.#ask();
    };
    this.#room.service.call('ListApps', '(a{sv})', [options]).then(
      ([apps]) => {
        this.#fill(dictsOf(apps));
        answered();
      },
      (error: unknown) => {
        this.#tell(this.#room.tell(reasonOf(error)));
        answered();
      },
    );
  }

  /** Shows the answer with as little movement as it allows: rows that stay keep their place and the focus. */
  #fill(apps: readonly Dict[]): void {
    const { translate, tell } = this.#room;
    const rows = inOrder(
      apps.map((app) => appRow(app, translate, tell)),
      this.#ranks,
    );
    const now = this.#items();
    const same = now.length === rows.length && now.every((item, index) => item.row.id === rows[index]?.id);
    if (same)
      rows.forEach((row, index) => {
        if (!this.#pending.has(row.id)) now[index]?.become(row);
      });
    else
      this.#store.splice(
        0,
        now.length,
        rows.map((row) => new AppItem(row)),
      );
  }

  #items(): AppItem[] {
    return Array.from({ length: this.#store.get_n_items() }, (_, at) => this.#store.get_item(at) as AppItem);
  }

  #choose(id: string, choice: Choice): void {
    const item = this.#items().find(({ row }) => row.id === id);
    if (item === undefined || this.#pending.has(id)) return;
    const before: AppRow = item.row;
    this.#pending.add(id);
    item.show({ ...before, choice }, true);
    this.#room.service.call('SetChoice', '(ssa{sv})', [id, choice, {}]).then(
      ([result]) => {
        this.#pending.delete(id);
        item.show({ ...before, choice });
        const [answer] = dictsOf([result]);
        const said = answer === undefined ? '' : textOf(answer, 'sentence');
        // What else has changed by it comes with the next revision.
        if (said !== '') this.#tell(this.#room.tell(said));
      },
      (error: unknown) => {
        this.#pending.delete(id);
        item.show(before);
        this.#tell(this.#room.tell(reasonOf(error)));
      },
    );
  }

  /** Says what went wrong, over the page. */
  #tell(text: string): void {
    this.#room.window.add_toast(new Adw.Toast({ title: text, use_markup: false, timeout: 8 }));
  }
}
