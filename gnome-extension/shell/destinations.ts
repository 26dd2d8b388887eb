/** To which VMs the card can go: one row each; who is in the way is named before anything is closed. */
import Clutter from 'gi://Clutter';
import GObject from 'gi://GObject';
import St from 'gi://St';
import { PopupImageMenuItem } from 'resource:///org/gnome/shell/ui/popupMenu.js';

import type { Destination } from '../../core/src/desktop/picture.js';
import { say, sentence, type Translate } from '../../core/src/words.js';
import { refuseKeys, stayReachable } from './refused-item.js';
import { arrange, nameButton, paragraph, reveal, row, setText, wordButton, wrap } from './widgets.js';

export interface DestinationActs {
  handOff(vm: string): void;
  closeAndHandOff(vm: string): void;
}

class DestinationItem extends PopupImageMenuItem {
  static {
    GObject.registerClass(DestinationItem);
  }

  constructor() {
    super('', 'computer-symbolic');
    this.x_expand = true;
    wrap(this.label);
    refuseKeys(this);
  }

  override syncSensitive(): boolean {
    return stayReachable(this, super.syncSensitive(), this.get_children());
  }
}

class DestinationRow extends St.BoxLayout {
  static {
    GObject.registerClass(DestinationRow);
  }

  private readonly translate: Translate;
  private readonly item: DestinationItem;
  private readonly reason: St.Label;
  private readonly question: St.BoxLayout;
  private readonly first: St.Label;
  private readonly buttons: St.BoxLayout;
  private readonly yes: St.Button;
  private readonly no: St.Button;
  private destination: Destination | null = null;

  constructor(translate: Translate, acts: DestinationActs) {
    super({ orientation: Clutter.Orientation.VERTICAL, x_expand: true });
    this.translate = translate;
    this.item = new DestinationItem();
    this.item.connect('activate', () => this.chosen(acts));
    this.item.connect('key-focus-in', () => reveal(this));
    this.reason = paragraph('gpu-handoff-detail gpu-handoff-reason');
    this.first = paragraph('gpu-handoff-detail');
    this.yes = wordButton('', () => {
      this.ask(false);
      if (this.destination !== null) acts.closeAndHandOff(this.destination.vm);
    });
    this.no = wordButton('flat', () => this.ask(false));
    this.buttons = row('gpu-handoff-buttons');
    this.buttons.add_child(this.no);
    this.buttons.add_child(this.yes);
    this.question = new St.BoxLayout({
      style_class: 'gpu-handoff-block',
      orientation: Clutter.Orientation.VERTICAL,
      x_expand: true,
      visible: false,
    });
    this.question.add_child(this.first);
    this.question.add_child(this.buttons);
    this.add_child(this.item);
    this.add_child(this.reason);
    this.add_child(this.question);
  }

  show_destination(destination: Destination): void {
    const asksNow = destination.asks && this.destination?.asks !== true;
    this.destination = destination;
    const { label, reason, first, stays } = destination;
    this.item.label.text = label;
    this.item.setSensitive(reason === '');
    this.item.accessible_name = reason === '' ? label : `${label}. ${reason}`;
    setText(this.reason, reason);
    setText(this.first, [stays, first].filter(Boolean).join(' '));
    const notNow = say(sentence('do.not-now'), this.translate);
    nameButton(this.yes, stays === '' ? destination.firstLabel : '', destination.firstLabel);
    nameButton(this.no, notNow, notNow);
    arrange(this.buttons);
    if (first === '' && stays === '') this.ask(false);
    else if (asksNow) this.ask(true);
  }

  private chosen(acts: DestinationActs): void {
    const { destination } = this;
    if (destination === null) return;
    if (destination.first === '' && destination.stays === '') acts.handOff(destination.vm);
    else this.ask(!this.question.visible);
  }

  private ask(asking: boolean): void {
    if (this.question.visible === asking) return;
    this.question.visible = asking;
    if (!asking) this.item.grab_key_focus();
    else if (this.yes.visible) this.yes.grab_key_focus();
    else this.no.grab_key_focus();
  }
}

export class Destinations extends St.BoxLayout {
  static {
    GObject.registerClass(Destinations);
  }

  private readonly translate: Translate;
  private readonly acts: DestinationActs;

  constructor(translate: Translate, acts: DestinationActs) {
    super({ orientation: Clutter.Orientation.VERTICAL, x_expand: true });
    this.translate = translate;
    this.acts = acts;
  }

  show_destinations(destinations: readonly Destination[]): void {
    const children = this.get_children() as DestinationRow[];
    destinations.forEach((destination, index) => {
      let view = children[index];
      if (view === undefined) {
        view = new DestinationRow(this.translate, this.acts);
        this.add_child(view);
      }
      view.show_destination(destination);
    });
    for (const left of children.slice(destinations.length)) left.destroy();
    this.visible = destinations.length > 0;
  }
}
