/** Everything that the extension puts on the desktop, made together and taken away together. */
import type Gio from 'gi://Gio';
import Shell from 'gi://Shell';
import type { Extension } from 'resource:///org/gnome/shell/extensions/extension.js';
import * as Main from 'resource:///org/gnome/shell/ui/main.js';
import type { QuickSettingsItem, SystemIndicator } from 'resource:///org/gnome/shell/ui/quickSettings.js';
import { Session } from '../shared/bus/session.js';
import { translatorOf } from '../shared/translate.js';
import { AppMenus } from './app-menu.js';
import { Icons } from './icons.js';
import { Indicator } from './indicator.js';
import { Model } from './model.js';
import { Notifications } from './notifications.js';
import { Sleep } from './sleep.js';
import { Tile } from './tile.js';

export class Desk {
  private readonly settings: Gio.Settings;
  private readonly tileId: number;
  private readonly appsId: number;
  private readonly menuId: number;
  private readonly notifications: Notifications;
  private readonly model: Model;
  private readonly sleep: Sleep;
  private readonly session: Session;
  private readonly indicator: Indicator;
  private readonly tile: Tile;
  private readonly appMenus: AppMenus;

  constructor(extension: Extension) {
    const translate = translatorOf(extension);
    const icons = new Icons(extension.dir);
    this.settings = extension.getSettings();
    this.notifications = new Notifications(this.settings, icons, translate, {
      show: () => this.showMenu(),
      closeAndHandOff: ({ card, vm, named }) =>
        void this.model.closeNamedAndHandOff(card, vm, named).then((asks) => {
          if (asks) this.showMenu();
        }),
    });
    // Who has the menu open sees it there.
    this.model = new Model(translate, (news) => {
      if (!this.tile.menu.isOpen) this.notifications.tell(news);
    });
    this.sleep = new Sleep(() => this.model.woke());
    this.session = new Session();
    this.indicator = new Indicator(this.model, icons, this.settings);
    this.tile = new Tile(this.model, icons, (page) => {
      if (page !== '') this.settings.set_string('page', page);
      extension.openPreferences();
    });
    // The published types know neither subclasses of items nor indicators that are no buttons.
    this.indicator.quickSettingsItems.push(this.tile as QuickSettingsItem);
    const quickSettings: { addExternalIndicator(indicator: SystemIndicator): void } = Main.panel.statusArea
      .quickSettings as never;
    quickSettings.addExternalIndicator(this.indicator);
    this.appMenus = new AppMenus(this.model, this.session, this.settings, this.notifications);
    this.tileId = this.settings.connect('changed::tile', () => this.syncTile());
    this.syncTile();
    this.menuId = Main.panel.statusArea.quickSettings.menu.connect('open-state-changed', (_menu, open) => {
      if (!open) this.syncTile();
      return undefined;
    });
    // An app that came or went may hold a card, or hold it no more.
    this.appsId = Shell.AppSystem.get_default().connect('app-state-changed', () => {
      this.model.appsChanged();
    });
  }

  destroy(): void {
    Shell.AppSystem.get_default().disconnect(this.appsId);
    this.settings.disconnect(this.tileId);
    Main.panel.statusArea.quickSettings.menu.disconnect(this.menuId);
    this.appMenus.destroy();
    this.tile.menu.close();
    this.tile.menu.destroy();
    this.tile.destroy();
    this.indicator.destroy();
    this.session.destroy();
    this.sleep.destroy();
    this.model.destroy();
    this.notifications.destroy();
  }

  private syncTile(): void {
    this.tile.visible = this.settings.get_boolean('tile');
  }

  /** Whoever switched the tile off has no other place for what a notification is about: it is there until closed. */
  private showMenu(): void {
    this.tile.visible = true;
    Main.panel.statusArea.quickSettings.menu.open();
    // Lays it out now: how tall its menu may be depends on where it stands.
    this.tile.get_allocation_box();
    this.tile.menu.open();
    // And its list before the VMs are known: how tall that is depends on its width.
    this.tile.menu.actor.get_allocation_box();
  }
}
