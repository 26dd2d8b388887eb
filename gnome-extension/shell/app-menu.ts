/**
 * “Run on dGPU” in the menu of every app, beside the shell's own entry. The shell makes one menu for each icon and
 * keeps it, so ours are added when a menu opens and taken away when the extension ends.
 */
import Clutter from 'gi://Clutter';
import type Gio from 'gi://Gio';
import GObject from 'gi://GObject';
import Shell from 'gi://Shell';
import St from 'gi://St';
import { InjectionManager } from 'resource:///org/gnome/shell/extensions/extension.js';
import { AppMenu } from 'resource:///org/gnome/shell/ui/appMenu.js';
import * as Main from 'resource:///org/gnome/shell/ui/main.js';
import {
  Ornament,
  PopupBaseMenuItem,
  PopupMenuItem,
  PopupSubMenuMenuItem,
} from 'resource:///org/gnome/shell/ui/popupMenu.js';

import { offersToRun, type RunOffer } from '../../core/src/desktop/run-offer.js';
import { translated } from '../../core/src/recognise.js';
import { say, sentence, type WordKey } from '../../core/src/words.js';
import type { CallFault } from '../shared/bus/call.js';
import type { Choice, Session } from '../shared/bus/session.js';
import type { Model } from './model.js';
import type { Notifications } from './notifications.js';
import { refuseKeys, stayReachable } from './refused-item.js';
import { setText } from './widgets.js';

const CHOICES: readonly (readonly [Choice, WordKey])[] = [
  ['untouched', 'run.untouched'],
  ['always', 'run.always'],
  ['offer', 'run.offer'],
  ['never', 'run.never'],
];

/** The id of the action that our own launch entries carry. */
const OWN_ACTION = 'gpu-handoff-run';

/** A menu entry with the reason beneath where it cannot be chosen. */
class RunItem extends PopupBaseMenuItem {
  static {
    GObject.registerClass(RunItem);
  }

  offer: RunOffer | null = null;
  private readonly heading = new St.Label();
  private readonly reason = new St.Label({ style_class: 'gpu-handoff-app-reason', visible: false });

  constructor() {
    super();
    const texts = new St.BoxLayout({ orientation: Clutter.Orientation.VERTICAL, x_expand: true });
    texts.add_child(this.heading);
    texts.add_child(this.reason);
    this.add_child(texts);
    this.reason.clutter_text.line_wrap = true;
    refuseKeys(this);
  }

  override syncSensitive(): boolean {
    return stayReachable(this, super.syncSensitive(), [this.heading]);
  }

  show_offer(offer: RunOffer): void {
    this.offer = offer;
    this.heading.text = offer.label;
    setText(this.reason, offer.reason);
    this.setSensitive(offer.reason === '');
    this.accessible_name = offer.reason === '' ? offer.label : `${offer.label}. ${offer.reason}`;
  }
}

/** What is asked of an app's .desktop file; the published types leave its class out. */
interface DesktopInfo {
  get_boolean(key: string): boolean;
  list_actions(): string[];
}

function infoOf(app: Shell.App): DesktopInfo | null {
  return app.get_app_info() as unknown as DesktopInfo | null;
}

/** The published types have no type for it. */
function stockItem(menu: AppMenu): PopupMenuItem {
  return menu._onGpuMenuItem as unknown as PopupMenuItem;
}

/** What was added to one menu. */
interface Added {
  readonly items: RunItem[];
  readonly choice: PopupSubMenuMenuItem;
  readonly choices: ReadonlyMap<Choice, PopupMenuItem>;
  readonly destroyId: number;
}

export class AppMenus {
  private readonly model: Model;
  private readonly session: Session;
  private readonly settings: Gio.Settings;
  private readonly notifications: Notifications;
  private readonly injections = new InjectionManager();
  private readonly menus = new Map<AppMenu, Added>();

  constructor(model: Model, session: Session, settings: Gio.Settings, notifications: Notifications) {
    this.model = model;
    this.session = session;
    this.settings = settings;
    this.notifications = notifications;
    const opening = (menu: AppMenu): void => this.opening(menu);
    // Its arguments and its result are of another kind in every second version of the shell.
    this.injections.overrideMethod(
      AppMenu.prototype,
      'open',
      (original) =>
        function (this: AppMenu, ...args: Parameters<AppMenu['open']>): ReturnType<AppMenu['open']> {
          opening(this);
          return original.call(this, ...args);
        },
    );
    // The shell looks again when the app starts or ends, and shows its own entry anew.
    const drawAgain = (menu: AppMenu): void => {
      if (menu.isOpen && menu._app !== null && this.menus.has(menu)) this.draw(menu, menu._app);
    };
    this.injections.overrideMethod(
      AppMenu.prototype,
      '_updateGpuItem',
      (original) =>
        function (this: AppMenu): void {
          original.call(this);
          drawAgain(this);
        },
    );
  }

  destroy(): void {
    this.injections.clear();
    for (const menu of [...this.menus.keys()]) this.clear(menu);
  }

  private opening(menu: AppMenu): void {
    const app = menu._app;
    menu._updateGpuItem();
    if (!this.settings.get_boolean('app-menu') || app === null || infoOf(app) === null || this.noDgpu()) {
      this.clear(menu);
      return;
    }
    this.draw(menu, app);
    if (this.session.present && this.session.known(app.get_id()) === null)
      this.session.ask().then(
        () => {
          if (this.menus.has(menu) && menu._app === app) this.draw(menu, app);
        },
        // Launching says what is wrong with the service.
        () => {},
      );
  }

  private noDgpu(): boolean {
    const { notice, quiet } = this.model.picture;
    return notice !== null && quiet;
  }

  private draw(menu: AppMenu, app: Shell.App): void {
    const record = this.session.known(app.get_id());
    const asked = {
      running: app.state !== Shell.AppState.STOPPED,
      special: record?.special ?? [],
      problem: translated(record?.problem ?? '', this.model.translate),
    };
    const offers = offersToRun(this.model.picture, asked, this.session.present, this.model.translate);
    let added = this.menus.get(menu);
    if (added !== undefined && added.items.length !== offers.length) {
      this.clear(menu);
      added = undefined;
    }
    added ??= this.add(menu, offers.length);
    offers.forEach((offer, index) => {
      added.items[index]?.show_offer(offer);
    });
    // There from the beginning: nothing moves under the pointer when the service answers.
    added.choice.visible = this.session.present;
    added.choice.setSensitive(asked.problem === '');
    for (const [choice, item] of added.choices)
      item.setOrnament(record?.choice === choice ? Ornament.DOT : Ornament.NO_DOT);
    this.hideDoubles(menu, app);
  }

  /** What would say the same as ours: the shell's own entry, and the action of our own launch entry. */
  private hideDoubles(menu: AppMenu, app: Shell.App): void {
    const info = infoOf(app);
    const prefers = info?.get_boolean('PrefersNonDefaultGPU') === true;
    // Without the per-user service the shell's own entry is the only one that does something.
    if (!prefers && this.session.present && this.settings.get_boolean('hide-stock-entry'))
      stockItem(menu).hide();
    const own = (info?.list_actions() ?? []).indexOf(OWN_ACTION);
    if (own >= 0) menu._actionSection.box.get_child_at_index(own)?.hide();
  }

  private add(menu: AppMenu, count: number): Added {
    const { translate } = this.model;
    const items = Array.from({ length: count }, () => {
      const item = new RunItem();
      item.connect('activate', () => {
        if (menu._app !== null && item.offer !== null) this.launch(menu, menu._app, item.offer.card);
      });
      return item;
    });
    const choice = new PopupSubMenuMenuItem(say(sentence('run.choice'), translate), false);
    const choices = new Map<Choice, PopupMenuItem>();
    for (const [name, key] of CHOICES) {
      const item = new PopupMenuItem(say({ key, values: {} }, translate));
      item.connect('activate', () => {
        if (menu._app !== null) this.choose(menu._app, name);
      });
      choice.menu.addMenuItem(item);
      choices.set(name, item);
    }
    const position = menu._getMenuItems().indexOf(stockItem(menu));
    [...items, choice].forEach((item, index) => {
      menu.addMenuItem(item, position + 1 + index);
    });
    const destroyId = menu.actor.connect('destroy', () => this.menus.delete(menu));
    const added = { items, choice, choices, destroyId };
    this.menus.set(menu, added);
    return added;
  }

  private clear(menu: AppMenu): void {
    const added = this.menus.get(menu);
    if (added === undefined) return;
    this.menus.delete(menu);
    menu.actor.disconnect(added.destroyId);
    for (const item of added.items) item.destroy();
    added.choice.destroy();
    menu._updateGpuItem();
    for (const child of menu._actionSection.box.get_children()) child.show();
  }

  private launch(menu: AppMenu, app: Shell.App, card: string): void {
    const name = app.get_name();
    const { translate } = this.model;
    const context = global.create_app_launch_context(global.get_current_time(), -1);
    const token = context.get_startup_notify_id(app.get_app_info(), []) ?? '';
    menu._animateLaunch();
    Main.overview.hide();
    // The only card need not be named: the service finds it by itself.
    const named = this.model.picture.sections.length > 1 ? card : '';
    this.session.launch(app.get_id(), named, token).then(
      ({ on, warning }) => {
        const told = translated(warning, translate);
        if (on !== 'dgpu')
          this.notifications.answer(say(sentence('run.elsewhere', { app: name }), translate), told);
        else if (told !== '') this.notifications.answer(name, told);
      },
      (fault: CallFault) => {
        if (token !== '') context.launch_failed(token);
        const title = say(sentence('run.failed', { app: name }), translate);
        this.notifications.answer(title, translated(fault.message, translate));
      },
    );
  }

  private choose(app: Shell.App, choice: Choice): void {
    const { translate } = this.model;
    const name = app.get_name();
    const complain = (why: string): void => {
      const title = say(sentence('run.not-kept', { app: name }), translate);
      if (why !== '') this.notifications.answer(title, translated(why, translate));
    };
    this.session.choose(app.get_id(), choice).then(complain, (fault: CallFault) => complain(fault.message));
  }
}
