/** What went wrong, in a sentence, and what can be done about it. */
import Clutter from 'gi://Clutter';
import GObject from 'gi://GObject';
import St from 'gi://St';

import type { Offer, Trouble } from '../../core/src/desktop/picture.js';
import { say, sentence, type Translate } from '../../core/src/words.js';
import { arrange, nameButton, paragraph, row, setText, themed, wordButton } from './widgets.js';

/** Those that end something that would rather go on. */
const HARSH: readonly Offer['act'][] = ['force-off', 'force-and-hand-off'];

export class TroubleView extends St.BoxLayout {
  static {
    GObject.registerClass(TroubleView);
  }

  private readonly translate: Translate;
  private readonly heading: St.Label;
  private readonly sentence: St.Label;
  private readonly buttons: St.BoxLayout;
  private readonly take: (offer: Offer) => void;
  private readonly dismiss: (operation: string) => void;
  private shown = '';

  constructor(translate: Translate, take: (offer: Offer) => void, dismiss: (operation: string) => void) {
    super({
      style_class: 'gpu-handoff-block',
      orientation: Clutter.Orientation.VERTICAL,
      x_expand: true,
      visible: false,
    });
    this.translate = translate;
    this.take = take;
    this.dismiss = dismiss;
    const head = row('gpu-handoff-head');
    head.add_child(themed('dialog-warning-symbolic', 16));
    this.heading = paragraph('gpu-handoff-heading');
    head.add_child(this.heading);
    this.sentence = paragraph('');
    this.buttons = row('gpu-handoff-buttons');
    this.add_child(head);
    this.add_child(this.sentence);
    this.add_child(this.buttons);
  }

  show_trouble(trouble: Trouble | null): void {
    this.visible = trouble !== null;
    if (trouble === null) {
      this.shown = '';
      this.buttons.destroy_all_children();
      return;
    }
    setText(this.heading, trouble.title);
    setText(this.sentence, trouble.sentence);
    this.accessible_name = `${trouble.title}. ${trouble.sentence}`;
    // Buttons keep the keyboard's focus while they stay the same.
    const now = JSON.stringify([trouble.operation, trouble.offers]);
    if (now === this.shown) return;
    this.shown = now;
    this.buttons.destroy_all_children();
    const dismiss = say(sentence('do.dismiss'), this.translate);
    this.addButton(dismiss, 'flat', () => this.dismiss(trouble.operation));
    for (const offer of trouble.offers)
      this.addButton(offer.label, HARSH.includes(offer.act) ? 'gpu-handoff-harsh' : '', () => {
        this.dismiss(trouble.operation);
        this.take(offer);
      });
    arrange(this.buttons);
  }

  private addButton(label: string, styleClass: string, pressed: () => void): void {
    const button = wordButton(styleClass, pressed);
    nameButton(button, label, label);
    this.buttons.add_child(button);
  }
}
