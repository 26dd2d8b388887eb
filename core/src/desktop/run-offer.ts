/** “Run on dGPU” for one app: on which cards it can be run now, and why not. Pure. */
import { printable, say, sentence, type Translate } from '../words.js';
import type { Picture } from './picture.js';

/** What is known of the app; `special` and `problem` are empty while the per-user service has not answered. */
export interface AppAsked {
  /** It has a process already. */
  readonly running: boolean;
  readonly special: readonly string[];
  readonly problem: string;
}

export interface RunOffer {
  /** PCI address; empty where no card is known. */
  readonly card: string;
  readonly label: string;
  /** Why it cannot be chosen, or empty. */
  readonly reason: string;
}

function reasonFor(app: AppAsked, hasService: boolean, translate?: Translate): string {
  if (!hasService) return say(sentence('run.no-service'), translate);
  if (app.problem !== '') return app.problem;
  const single = app.special.indexOf('single-instance') >= 0 || app.special.indexOf('dbus-activated') >= 0;
  return app.running && single ? say(sentence('run.running'), translate) : '';
}

/** One offer for each dGPU; none where the machine has no dGPU at all. */
export function offersToRun(
  picture: Picture,
  app: AppAsked,
  hasService: boolean,
  translate?: Translate,
): RunOffer[] {
  const general = reasonFor(app, hasService, translate);
  const run = say(sentence('do.run'), translate);
  if (picture.notice !== null && !picture.quiet)
    return [{ card: '', label: run, reason: general === '' ? picture.notice.line : general }];
  return picture.sections.map(({ card, name, presentation }) => ({
    card,
    label:
      picture.sections.length === 1
        ? run
        : say(sentence('do.run-on', { card: printable(name, 40) }), translate),
    reason: general !== '' ? general : presentation.actions.indexOf('launch') < 0 ? presentation.line : '',
  }));
}
