/** Puts the pages into the window that the shell gives, and ends what they started when it closes. */
import type Adw from 'gi://Adw';
import type Gio from 'gi://Gio';
import type { Translate } from '../../core/src/words.js';
import { tellerOf } from '../shared/translate.js';
import { AppsPage } from './apps-page.js';
import { behaviourPage } from './behaviour-page.js';
import { HealthPage } from './health-page.js';
import { MachinesPage } from './machines-page.js';
import { HelperService, UserService } from './service.js';
import { type Room, word } from './widgets.js';

/** `icons` is the folder of our own icons. */
export function fillWindow(
  window: Adw.PreferencesWindow,
  settings: Gio.Settings,
  translate: Translate,
  icons: string,
): void {
  const told: { update(): void }[] = [];
  const changed = (): void => {
    for (const page of told) page.update();
  };
  const words = {
    noBus: (): string => word(translate, 'desk.no-bus'),
    endsAtOnce: (): string => word(translate, 'desk.ends-at-once'),
  };
  const room: Room = {
    window,
    icons,
    translate,
    tell: tellerOf(translate),
    helper: new HelperService(words, changed),
    service: new UserService(changed),
  };
  const apps = new AppsPage(room);
  const machines = new MachinesPage(room);
  const health = new HealthPage(room);
  told.push(apps, machines, health);

  window.set_default_size(720, 760);
  window.add(behaviourPage(window, settings, translate));
  for (const { page } of [apps, machines, health]) window.add(page);
  // The menu asks for a page before it opens the window, which may be open already.
  const showPage = (): void => {
    const page = settings.get_string('page');
    if (page === '') return;
    settings.reset('page');
    if (page === 'health') window.set_visible_page(health.page);
  };
  const pageId = settings.connect('changed::page', showPage);
  showPage();
  window.connect('close-request', () => {
    settings.disconnect(pageId);
    room.helper.stop();
    room.service.stop();
    return false;
  });
}
