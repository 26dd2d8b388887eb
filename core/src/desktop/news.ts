/**
 * What is worth a notification, from what was published before and now. Pure. Nothing is news that was so when the
 * desktop began to look, and nothing is said twice.
 */

import type { Naming } from '../recognise.js';
import { printable, say, sentence, type Translate } from '../words.js';
import { briefIn, sayOnDesktop } from './naming.js';
import type { OperationPublished, Published } from './published.js';

/** Kinds that a user can switch off one by one. */
export type NewsKind = 'done' | 'failed' | 'back' | 'held';

export interface News {
  readonly kind: NewsKind;
  readonly title: string;
  readonly body: string;
  /** What its button does, or empty: both show the card's section first. */
  readonly act: '' | 'show' | 'close-and-hand-off';
  readonly actLabel: string;
  readonly card: string;
  readonly vm: string;
  /** Whom it names, as rows do: nobody else may be closed by its button. */
  readonly named: readonly string[];
}

function ended(before: Published, now: Published): OperationPublished | null {
  const { operation } = now;
  if (operation === null || operation.state === 'running') return null;
  const was = before.operation;
  // It began and ended since, or it was seen running.
  return was === null || was.id !== operation.id || was.state === 'running' ? operation : null;
}

function nameOf(now: Published, card: string): string {
  return printable(briefIn(now.cards.filter((one) => one.id === card)[0]?.name ?? card, now.cards), 60);
}

function ofFailure(
  operation: OperationPublished,
  now: Published,
  translate?: Translate,
  naming?: (card: string) => Naming,
): News | null {
  if (operation.kind === 'end-holders') return null;
  const card = operation.cards[0] ?? '';
  const name = card === '' ? say(sentence('desk.title'), translate) : nameOf(now, card);
  const vm = printable(operation.vmName, 40);
  const show = { act: 'show', actLabel: say(sentence('do.show'), translate) } as const;
  const named: string[] = [];
  const call = naming?.(card);
  const noting: Naming | undefined =
    call &&
    ((holder) => {
      const called = call(holder);
      named.push(called);
      return called;
    });
  const body = sayOnDesktop(operation.sentence, now.cards, noting, translate);
  if (operation.kind === 'hand-off' && operation.error === 'Held')
    return Object.assign(
      { kind: 'held' as const, title: say(sentence('news.held', { vm, card: name }), translate), body },
      operation.vmUuid === ''
        ? show
        : { act: 'close-and-hand-off' as const, actLabel: say(sentence('do.close-all'), translate) },
      { card, vm: operation.vmUuid, named },
    );
  const title =
    operation.kind === 'hand-off'
      ? say(sentence('news.failed.hand-off', { vm, card: name }), translate)
      : say(sentence('news.failed.take-back', { card: name }), translate);
  return Object.assign({ kind: 'failed' as const, title, body }, show, {
    card,
    vm: operation.vmUuid,
    named,
  });
}

/** `before` is null where nothing was known: then nothing is news. `naming` tells how who holds a card is called. */
export function newsOf(
  before: Published | null,
  now: Published,
  translate?: Translate,
  naming?: (card: string) => Naming,
): News[] {
  if (before === null) return [];
  const news: News[] = [];
  const operation = ended(before, now);
  if (operation?.state === 'failed') {
    const failed = ofFailure(operation, now, translate, naming);
    if (failed !== null) news.push(failed);
  }
  for (const card of now.cards) {
    if (card.role !== 'dgpu') continue;
    const was = before.cards.filter((one) => one.id === card.id)[0];
    if (was === undefined || was.state === card.state) continue;
    const plain = { act: '' as const, actLabel: '', card: card.id, vm: card.vmUuid, named: [] };
    const name = nameOf(now, card.id);
    if (card.state === 'vm' && was.state !== 'unknown') {
      // A VM that could not be shut down has it still; that is told as a failure.
      if (operation?.kind === 'take-back' || wasThere(was.state, before, card.id)) continue;
      news.push(
        Object.assign(
          {
            kind: 'done' as const,
            title: say(sentence('news.done', { card: name, vm: printable(card.vmName, 40) }), translate),
            body: say(sentence('news.done.line'), translate),
          },
          plain,
        ),
      );
    } else if (card.state === 'host' && comesBack(was.state, before, card.id)) {
      news.push(
        Object.assign(
          {
            kind: 'back' as const,
            title: say(sentence('news.back', { card: name }), translate),
            body: say(sentence('news.back.line'), translate),
          },
          plain,
        ),
      );
    }
  }
  return news;
}

/** In the middle of taking it back: the guest has it as before. */
function wasThere(state: string, before: Published, card: string): boolean {
  return state === 'switching' && kindFor(before, card) === 'take-back';
}

/** From a guest or from nobody; not a hand-off that was undone, which is told as a failure or was cancelled. */
function comesBack(state: string, before: Published, card: string): boolean {
  if (state === 'vm' || state === 'detached') return true;
  return state === 'switching' && kindFor(before, card) === 'take-back';
}

function kindFor(before: Published, card: string): string {
  const { operation } = before;
  return operation !== null && operation.cards.indexOf(card) >= 0 ? operation.kind : '';
}
