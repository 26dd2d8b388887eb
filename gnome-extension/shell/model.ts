/**
 * The root: holds everything that is known, turns requests of the views into calls, and tells the views when there is
 * something new to draw. Views ask nothing of a bus.
 */
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

import { toClose } from '../../core/src/desktop/holder-groups.js';
import { briefIn, namingOf, sayOnDesktop } from '../../core/src/desktop/naming.js';
import { type News, newsOf } from '../../core/src/desktop/news.js';
import {
  type Asked,
  type Known,
  NOTHING_KNOWN,
  type Picture,
  pictureOf,
} from '../../core/src/desktop/picture.js';
import {
  type HoldersPublished,
  holdersFrom,
  machinesFrom,
  type OperationPublished,
  type Published,
  publishedFrom,
} from '../../core/src/desktop/published.js';
import { type Naming, translated } from '../../core/src/recognise.js';
import { say, sentence, type Translate } from '../../core/src/words.js';
import { type CallFault, NO_LIMIT } from '../shared/bus/call.js';
import { Helper } from '../shared/bus/helper.js';
import { lookOf } from './apps.js';
import { settled } from './requests.js';

/** Hears of everything new. */
export interface View {
  update(picture: Picture): void;
}

const LATER_SECONDS = 3;

export class Model {
  readonly translate: Translate;
  picture: Picture;

  private readonly helper: Helper;
  private readonly cancellable = new Gio.Cancellable();
  private readonly views = new Set<View>();
  private readonly tellNews: (news: News) => void;
  private known: Known = { ...NOTHING_KNOWN, me: GLib.get_user_name() };
  /** What was published last; kept while the helper is away, so that its return is not news. */
  private before: Published | null = null;
  /** Cards whose holders are being asked for: true where they have to be asked again. */
  private readonly looking = new Map<string, boolean>();
  /** Operations that were seen published since the oldest request was made. */
  private readonly seen = new Set<string>();
  private menus = 0;
  /** The one look that follows when an app has ended. */
  private later = 0;

  constructor(translate: Translate, tellNews: (news: News) => void) {
    this.translate = translate;
    this.tellNews = tellNews;
    this.picture = pictureOf(this.known, translate, lookOf);
    this.helper = new Helper(
      { changed: (link, properties, why) => this.heard(link, properties, why) },
      {
        noBus: () => say(sentence('desk.no-bus'), translate),
        endsAtOnce: () => say(sentence('desk.ends-at-once'), translate),
      },
    );
  }

  destroy(): void {
    this.views.clear();
    if (this.later !== 0) GLib.source_remove(this.later);
    this.later = 0;
    this.cancellable.cancel();
    this.helper.destroy();
  }

  add(view: View): void {
    this.views.add(view);
    view.update(this.picture);
  }

  remove(view: View): void {
    this.views.delete(view);
  }

  /** A menu that shows holders and VMs is open from now on. */
  menuOpened(): void {
    this.menus += 1;
    if (this.known.link !== 'live') this.helper.retry();
    this.look();
  }

  /** The machine slept: nobody told what changed meanwhile. */
  woke(): void {
    this.look();
  }

  menuClosed(): void {
    this.menus -= 1;
    // What was refused has been read.
    this.change({ asked: this.known.asked.filter((one) => one.refused === '') });
  }

  retry(): void {
    this.helper.retry();
  }

  /** Apps came or went, so that other ones may hold a card; one that goes lets go of it a little later. */
  appsChanged(): void {
    this.look();
    if (this.later !== 0 || Object.keys(this.known.holders).length === 0) return;
    this.later = GLib.timeout_add_seconds(GLib.PRIORITY_DEFAULT, LATER_SECONDS, () => {
      this.later = 0;
      this.look();
      return GLib.SOURCE_REMOVE;
    });
  }

  /** Has everything looked at anew: that a card fell asleep or woke up is nothing that the helper is told. */
  private look(): void {
    if (this.known.link !== 'live') return;
    if (this.menus > 0) this.askMachines();
    const ask = (): void => this.askAllHolders();
    this.helper.call('Watch', new GLib.Variant('(a{sv})', [{}])).then(ask, ask);
  }

  private askAllHolders(): void {
    for (const card of this.known.published?.cards ?? [])
      if (card.role === 'dgpu' && card.state === 'host' && (!card.asleep || this.menus > 0))
        this.askHolders(card.id);
  }

  closeHolder(card: string, group: string, ids: readonly string[], force: boolean): void {
    this.ask({ what: 'close', card, group, force, operation: '', vm: '', refused: '' }, () =>
      this.endHolders(card, ids, force),
    );
  }

  handOff(card: string, vm: string): void {
    const options = { interactive: new GLib.Variant('b', true) };
    this.ask({ what: 'hand-off', card, group: '', force: false, operation: '', vm, refused: '' }, () =>
      this.begin('HandOff', new GLib.Variant('(sa{sv})', [vm, options])),
    );
  }

  /** Ends who is in the way of a hand-off, and then begins it. */
  closeAndHandOff(card: string, vm: string, force: boolean): void {
    const section = this.picture.sections.find((one) => one.card === card);
    const ids = toClose(section?.holders ?? []).flatMap((group) => group.ids);
    if (ids.length === 0) this.handOff(card, vm);
    else
      this.ask({ what: 'close', card, group: '', force, operation: '', vm, refused: '' }, () =>
        this.endHolders(card, ids, force),
      );
  }

  /** By name of the card alone, from a notification: what holds it may have changed since. */
  async closeAllAndHandOff(card: string, vm: string): Promise<void> {
    await this.lookAt(card);
    this.closeAndHandOff(card, vm, false);
  }

  takeBack(card: string, force: boolean): void {
    const options = {
      interactive: new GLib.Variant('b', true),
      ...(force ? { force: new GLib.Variant('b', true) } : {}),
    };
    this.ask({ what: 'take-back', card, group: '', force, operation: '', vm: '', refused: '' }, () =>
      this.begin('TakeBack', new GLib.Variant('(sa{sv})', [card, options])),
    );
  }

  cancel(card: string, operation: string): void {
    const options = { interactive: new GLib.Variant('b', true) };
    this.ask({ what: 'cancel', card, group: '', force: false, operation: '', vm: '', refused: '' }, () =>
      this.begin('Cancel', new GLib.Variant('(sa{sv})', [operation, options])),
    );
  }

  /** The user has read a failure. */
  dismiss(card: string, operation: string): void {
    const dismissed = operation === '' ? [] : [operation];
    this.change({
      dismissed: [...this.known.dismissed, ...dismissed],
      asked: this.known.asked.filter((one) => one.card !== card || one.refused === ''),
    });
  }

  private endHolders(card: string, ids: readonly string[], force: boolean): Promise<string> {
    const options = {
      interactive: new GLib.Variant('b', true),
      ...(force ? { force: new GLib.Variant('b', true) } : {}),
    };
    return this.begin('EndHolders', new GLib.Variant('(sasa{sv})', [card, [...ids], options]));
  }

  private async begin(member: string, body: GLib.Variant): Promise<string> {
    const [operation] = await this.helper.call(member, body, { limit: NO_LIMIT });
    return typeof operation === 'string' ? operation : '';
  }

  /** Notes a request, makes its call, and notes the operation or the refusal. */
  private ask(asked: Asked, call: () => Promise<string>): void {
    const others = this.known.asked.filter((one) => one.card !== asked.card || one.group !== asked.group);
    const note = (now: Asked): void => {
      if (this.cancellable.is_cancelled()) return;
      this.change({ asked: this.known.asked.map((one) => (one === asked ? now : one)) });
    };
    this.change({ asked: [...others, asked] });
    call().then(
      (operation) => {
        if (asked.what === 'cancel') this.drop(asked);
        else note({ ...asked, operation });
      },
      (fault: CallFault) => {
        const told = translated(fault.message, this.translate, this.naming(asked.card));
        const refused = briefIn(told, this.known.published?.cards ?? []);
        note({ ...asked, refused });
        // Whoever refused the user has said so in a dialog.
        if (!fault.dbusName.endsWith('.NotAuthorized')) this.tellUnseen(asked, refused);
      },
    );
  }

  private naming(card: string): Naming {
    const section = this.picture.sections.find((one) => one.card === card);
    return namingOf(section?.holders ?? [], lookOf);
  }

  /** What became of a request is news only where its menu has been closed meanwhile. */
  private tellUnseen(asked: Asked, body: string): void {
    if (this.menus > 0 || asked.what === 'cancel' || this.cancellable.is_cancelled()) return;
    const { translate } = this;
    const key = asked.what === 'close' ? 'desk.failed.end-holders' : (`desk.failed.${asked.what}` as const);
    this.tellNews({
      kind: 'failed',
      title: say({ key, values: {} }, translate),
      body,
      act: 'show',
      actLabel: say(sentence('do.show'), translate),
      card: asked.card,
      vm: asked.vm,
    });
  }

  private drop(asked: Asked): void {
    if (!this.cancellable.is_cancelled())
      this.change({ asked: this.known.asked.filter((one) => one !== asked) });
  }

  private heard(
    link: Known['link'],
    properties: Readonly<Record<string, unknown>> | null,
    why: string,
  ): void {
    if (this.cancellable.is_cancelled()) return;
    const spoken = why === '' ? '' : translated(why, this.translate);
    if (properties === null) {
      this.change({
        link,
        why: spoken,
        published: null,
        holders: {},
        holdersWhy: {},
        machines: null,
        asked: [],
      });
      return;
    }
    const published = publishedFrom(properties);
    const { before } = this;
    this.before = published;
    const began = this.known.published === null;
    const wasAsleep = (id: string): boolean =>
      before?.cards.some((card) => card.id === id && card.asleep) === true;
    // A card that fell asleep is held by others than before, if by anybody.
    const atHome = (id: string): boolean =>
      published.cards.some(
        (card) => card.id === id && card.state === 'host' && (!card.asleep || wasAsleep(id)),
      );
    const holders: Record<string, HoldersPublished> = {};
    for (const [id, report] of Object.entries(this.known.holders)) if (atHome(id)) holders[id] = report;
    this.change({ link, why: '', published, holders });
    this.follow(published, before?.operation ?? null);
    for (const news of newsOf(before, published, this.translate, (card) => this.naming(card)))
      this.tellNews(news);
    // A guest that ends by itself has no request here that would end with it.
    const moved = published.cards.some(
      ({ id, state }) => before?.cards.find((one) => one.id === id)?.state !== state,
    );
    if ((began || moved) && this.menus > 0) this.askMachines();
    this.askAllHolders();
  }

  /** Requests whose operation has ended, and what follows them. */
  private follow(published: Published, before: OperationPublished | null): void {
    const { operation } = published;
    const failed = operation?.kind === 'end-holders' && operation.state === 'failed';
    if (failed && !(before?.id === operation.id && before.state === 'failed'))
      for (const asked of this.known.asked)
        if (asked.operation === operation.id)
          this.tellUnseen(
            asked,
            sayOnDesktop(operation.sentence, published.cards, this.naming(asked.card), this.translate),
          );
    if (this.known.asked.length === 0) this.seen.clear();
    if (operation !== null) this.seen.add(operation.id);
    const { keep, ended } = settled(this.known.asked, operation, this.seen);
    if (keep.length !== this.known.asked.length) this.change({ asked: keep });
    for (const asked of ended)
      if (asked.vm !== '' && asked.what === 'close') this.handOff(asked.card, asked.vm);
    if (ended.length > 0 && this.menus > 0) this.askMachines();
  }

  private askMachines(): void {
    if (this.known.link !== 'live') return;
    this.helper.call('ListVirtualMachines', new GLib.Variant('(a{sv})', [{}])).then(
      ([answer]) => this.change({ machines: machinesFrom(answer), machinesWhy: '' }),
      (fault: CallFault) =>
        this.change({ machines: null, machinesWhy: translated(fault.message, this.translate) }),
    );
  }

  private askHolders(card: string): void {
    if (this.looking.has(card)) {
      this.looking.set(card, true);
      return;
    }
    this.lookAt(card).finally(() => {
      const again = this.looking.get(card) === true;
      this.looking.delete(card);
      if (again && !this.cancellable.is_cancelled()) this.askAllHolders();
    });
    this.looking.set(card, false);
  }

  private async lookAt(card: string): Promise<void> {
    try {
      const question = new GLib.Variant('(sa{sv})', [card, {}]);
      const [answer] = await this.helper.call('GetHolders', question, { start: false });
      this.looked(card, holdersFrom(answer), null);
    } catch (fault) {
      // Where the helper is gone that is published, and it is asked again when it is back.
      this.looked(card, null, translated((fault as CallFault).message, this.translate));
    }
  }

  private looked(card: string, report: HoldersPublished | null, why: string | null): void {
    const isHome = (one: { readonly id: string; readonly state: string }): boolean =>
      one.id === card && one.state === 'host';
    if (this.known.published?.cards.some(isHome) !== true) return;
    const holders = { ...this.known.holders };
    const holdersWhy = { ...this.known.holdersWhy };
    delete holders[card];
    delete holdersWhy[card];
    if (report !== null) holders[card] = report;
    if (why !== null) holdersWhy[card] = why;
    this.change({ holders, holdersWhy });
  }

  private change(part: Partial<Known>): void {
    if (this.cancellable.is_cancelled()) return;
    this.known = { ...this.known, ...part };
    this.picture = pictureOf(this.known, this.translate, lookOf);
    for (const view of [...this.views]) view.update(this.picture);
  }
}
