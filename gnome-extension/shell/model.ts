/**
 * The root: holds everything that is known, turns requests of the views into calls, and tells the views when there is
 * something new to draw. Views ask nothing of a bus.
 */
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

import { type HolderGroup, notToClose, toClose } from '../../core/src/desktop/holder-groups.js';
import { briefIn, namingOf, sayOnDesktop } from '../../core/src/desktop/naming.js';
import { type News, newsOf } from '../../core/src/desktop/news.js';
import {
  type Asked,
  goesOn,
  type Known,
  NOTHING_KNOWN,
  type Picture,
  pictureOf,
  type Section,
  wereGone,
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

const NOTHING_ASKED = { group: '', force: false, operation: '', vm: '', closes: [], refused: '' } as const;

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
  /** Requests that look who is in their way before they go on. */
  private readonly goingOn = new WeakSet<Asked>();
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
    this.change({ asked: this.known.asked.filter((one) => one.refused === ''), question: null });
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
    this.ask({ ...NOTHING_ASKED, what: 'close', card, group, force }, () =>
      this.endHolders(card, ids, force),
    );
  }

  handOff(card: string, vm: string): void {
    this.handOffClosing(card, vm, [], false);
  }

  /**
   * Begins a hand-off and, only where it is refused because of them, closes those in its way who have been shown to the
   * user: who may not hand the card off loses no app. By force, only those who would not close.
   */
  closeAndHandOff(card: string, vm: string, force: boolean): void {
    const steps = this.known.published?.operation?.steps ?? [];
    const unwilling = (group: HolderGroup): boolean =>
      steps.some(({ id, state }) => state === 'failed' && group.ids.includes(id));
    const groups = toClose(this.section(card)?.holders ?? []).filter((group) => !force || unwilling(group));
    this.handOffClosing(
      card,
      vm,
      groups.map((group) => group.key),
      force,
    );
  }

  /**
   * From a notification, perhaps hours later: closes those whom it named and hands the card off. Where somebody else is
   * in the way by now that becomes a question to the user, who is to be shown the menu where the answer is true.
   */
  async closeNamedAndHandOff(card: string, vm: string, named: readonly string[]): Promise<boolean> {
    await this.lookAt(card);
    if (this.cancellable.is_cancelled()) return false;
    const others = toClose(this.section(card)?.holders ?? []).filter(({ name }) => !named.includes(name));
    if (others.length === 0) this.closeAndHandOff(card, vm, false);
    else this.change({ question: { card, vm } });
    return others.length > 0;
  }

  private handOffClosing(card: string, vm: string, closes: readonly string[], force: boolean): void {
    const options = { interactive: new GLib.Variant('b', true) };
    this.ask({ ...NOTHING_ASKED, what: 'hand-off', card, vm, closes, force }, () =>
      this.begin('HandOff', new GLib.Variant('(sa{sv})', [vm, options])),
    );
  }

  takeBack(card: string, force: boolean): void {
    const options = {
      interactive: new GLib.Variant('b', true),
      ...(force ? { force: new GLib.Variant('b', true) } : {}),
    };
    this.ask({ ...NOTHING_ASKED, what: 'take-back', card, force }, () =>
      this.begin('TakeBack', new GLib.Variant('(sa{sv})', [card, options])),
    );
  }

  cancel(card: string, operation: string): void {
    const options = { interactive: new GLib.Variant('b', true) };
    this.ask({ ...NOTHING_ASKED, what: 'cancel', card }, () =>
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
    const refuse = (fault: CallFault): void => {
      const told = translated(fault.message, this.translate, this.naming(asked.card));
      const refused = briefIn(told, this.known.published?.cards ?? []);
      note({ ...asked, refused });
      // Whoever refused the user has said so in a dialog.
      if (!fault.dbusName.endsWith('.NotAuthorized')) this.tellUnseen(asked, refused);
    };
    this.change({ asked: [...others, asked], question: null });
    call().then(
      (operation) => {
        if (asked.what === 'cancel') this.drop(asked);
        else note({ ...asked, operation });
        // Its end may have been published before the answer came.
        const { published } = this.known;
        if (published !== null) this.follow(published, published.operation);
      },
      (fault: CallFault) => {
        if (asked.what === 'close' && fault.dbusName.endsWith('.NoSuchHolder')) this.gone(asked);
        else if (asked.closes.length > 0 && fault.dbusName.endsWith('.Held'))
          this.goOn(asked, () => refuse(fault));
        else refuse(fault);
      },
    );
  }

  /** All whom a request would have closed had gone by themselves. */
  private gone(asked: Asked): void {
    if (!this.known.asked.includes(asked)) return;
    this.drop(asked);
    this.askHolders(asked.card);
    if (asked.vm !== '') this.handOff(asked.card, asked.vm);
  }

  /**
   * A hand-off was refused because the card is held. Those in its way are closed where the user agreed to that for each
   * of them; else nobody is, since it would be refused again, and the refusal is told by `refuse`.
   */
  private async goOn(asked: Asked, refuse: () => void): Promise<void> {
    const { card, vm, force, closes } = asked;
    if (this.goingOn.has(asked)) return;
    this.goingOn.add(asked);
    await this.lookAt(card);
    if (this.cancellable.is_cancelled() || !this.known.asked.includes(asked)) return;
    const holders = this.section(card)?.holders ?? [];
    const groups = toClose(holders);
    const agreed = groups.every((group) => closes.includes(group.key)) && notToClose(holders).length === 0;
    if (!agreed || this.known.holders[card] === undefined) {
      refuse();
      return;
    }
    const { operation } = asked;
    if (operation !== '') this.change({ dismissed: [...this.known.dismissed, operation] });
    const ids = groups.flatMap((group) => group.ids);
    if (ids.length === 0) this.handOff(card, vm);
    else
      this.ask({ ...NOTHING_ASKED, what: 'close', card, vm, force }, () => this.endHolders(card, ids, force));
  }

  private section(card: string): Section | undefined {
    return this.picture.sections.find((one) => one.card === card);
  }

  private naming(card: string): Naming {
    return namingOf(this.section(card)?.holders ?? [], lookOf);
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
      named: [],
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
        question: null,
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
    const { operation } = published;
    // Told only where the request does not go on from there.
    const goes = operation !== null && this.known.asked.some((asked) => goesOn(operation, asked));
    for (const news of this.newsSince(before, published))
      if (news.kind !== 'held' || !goes) this.tellNews(news);
    // A guest that ends by itself has no request here that would end with it.
    const moved = published.cards.some(
      ({ id, state }) => before?.cards.find((one) => one.id === id)?.state !== state,
    );
    if ((began || moved) && this.menus > 0) this.askMachines();
    this.askAllHolders();
  }

  private newsSince(before: Published | null, now: Published): News[] {
    return newsOf(before, now, this.translate, (card) => this.naming(card));
  }

  /** Requests whose operation has ended, and what follows them. */
  private follow(published: Published, before: OperationPublished | null): void {
    const { operation } = published;
    const failed = operation?.kind === 'end-holders' && operation.state === 'failed' && !wereGone(operation);
    if (failed && !(before?.id === operation.id && before.state === 'failed'))
      for (const asked of this.known.asked)
        if (asked.operation === operation.id)
          this.tellUnseen(
            asked,
            sayOnDesktop(operation.sentence, published.cards, this.naming(asked.card), this.translate),
          );
    if (this.known.asked.length === 0) this.seen.clear();
    if (operation !== null) {
      this.seen.add(operation.id);
      this.followRefusal(published, operation);
    }
    const { keep, ended } = settled(this.known.asked, operation, this.seen);
    if (keep.length !== this.known.asked.length) this.change({ asked: keep });
    for (const asked of ended)
      if (asked.vm !== '' && asked.what === 'close') this.handOff(asked.card, asked.vm);
    if (ended.length > 0 && this.menus > 0) this.askMachines();
  }

  /** Requests that go on although their operation failed. */
  private followRefusal(published: Published, operation: OperationPublished): void {
    for (const asked of this.known.asked) {
      if (asked.operation !== operation.id) continue;
      if (wereGone(operation)) this.gone(asked);
      else if (goesOn(operation, asked))
        this.goOn(asked, () => {
          this.drop(asked);
          for (const news of this.newsSince({ ...published, operation: null }, published))
            this.tellNews(news);
        });
    }
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
