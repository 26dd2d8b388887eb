/** Tells the few things that are worth it; each kind can be switched off. */
import type Gio from 'gi://Gio';
import * as Main from 'resource:///org/gnome/shell/ui/main.js';
import * as MessageTray from 'resource:///org/gnome/shell/ui/messageTray.js';

import type { News } from '../../core/src/desktop/news.js';
import type { Glance } from '../../core/src/present.js';
import { say, sentence, type Translate } from '../../core/src/words.js';
import type { Icons } from './icons.js';

const GLANCES: Readonly<Record<News['kind'], Glance>> = {
  done: 'vm',
  back: 'host',
  failed: 'stuck',
  held: 'held',
};

export interface NewsActs {
  show(): void;
  /** Closes whom the news named, and nobody else. */
  closeAndHandOff(news: News): void;
}

export class Notifications {
  private readonly settings: Gio.Settings;
  private readonly icons: Icons;
  private readonly translate: Translate;
  private readonly acts: NewsActs;
  /** Made with the first message; the shell ends it with the last. */
  private source: MessageTray.Source | null = null;
  /** Answers may come when nobody is there any more to hear them. */
  private ended = false;

  constructor(settings: Gio.Settings, icons: Icons, translate: Translate, acts: NewsActs) {
    this.settings = settings;
    this.icons = icons;
    this.translate = translate;
    this.acts = acts;
  }

  destroy(): void {
    this.ended = true;
    this.source?.destroy(MessageTray.NotificationDestroyedReason.EXPIRED);
    this.source = null;
  }

  tell(news: News): void {
    if (this.ended || !this.settings.get_boolean(`notify-${news.kind}`)) return;
    const bad = news.kind === 'failed' || news.kind === 'held';
    const notification = this.post(GLANCES[news.kind], news.title, news.body, bad);
    if (news.act === 'show') notification.addAction(news.actLabel, () => this.acts.show());
    if (news.act === 'close-and-hand-off')
      notification.addAction(news.actLabel, () => this.acts.closeAndHandOff(news));
    if (bad) notification.connect('activated', () => this.acts.show());
    this.source?.addNotification(notification);
  }

  /** About what the user asked for a moment ago, so it is always told. */
  answer(title: string, body: string): void {
    if (this.ended) return;
    const notification = this.post('unavailable', title, body, false);
    this.source?.addNotification(notification);
  }

  private post(glance: Glance, title: string, body: string, stays: boolean): MessageTray.Notification {
    this.source ??= this.makeSource();
    return new MessageTray.Notification({
      source: this.source,
      title,
      body,
      gicon: this.icons.of(glance),
      // Good news goes by itself; a failure waits until it was seen.
      isTransient: !stays,
      urgency: stays ? MessageTray.Urgency.HIGH : MessageTray.Urgency.NORMAL,
    });
  }

  private makeSource(): MessageTray.Source {
    const title = say(sentence('desk.title'), this.translate);
    const source = new MessageTray.Source({ title, icon: this.icons.of('host') });
    source.connect('destroy', () => {
      if (this.source === source) this.source = null;
    });
    Main.messageTray.add(source);
    return source;
  }
}
