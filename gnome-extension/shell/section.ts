/** One card in the menu: what is with it, what runs, what went wrong, where it can go, and who uses it. */
import Clutter from 'gi://Clutter';
import GObject from 'gi://GObject';
import St from 'gi://St';
import { PopupImageMenuItem } from 'resource:///org/gnome/shell/ui/popupMenu.js';

import type { Offer, Row, Section } from '../../core/src/desktop/picture.js';
import { say, sentence, type Translate } from '../../core/src/words.js';
import { Destinations } from './destinations.js';
import { HolderRow } from './holder-row.js';
import type { Icons } from './icons.js';
import { ProgressView } from './progress.js';
import { TroubleView } from './trouble.js';
import { column, paragraph, reveal, row, setText } from './widgets.js';

/** What a section asks of the root. */
export interface SectionActs {
  closeHolder(card: string, holder: Row): void;
  handOff(card: string, vm: string): void;
  closeAndHandOff(card: string, vm: string, force: boolean): void;
  takeBack(card: string, force: boolean): void;
  dismiss(card: string, operation: string): void;
  doctor(): void;
}

function actItem(icon: string, act: () => void): PopupImageMenuItem {
  const item = new PopupImageMenuItem('', icon);
  item.connect('activate', act);
  item.connect('key-focus-in', () => reveal(item));
  return item;
}

function setItem(item: PopupImageMenuItem, label: string): void {
  item.label.text = label;
  item.visible = label !== '';
}

export class SectionView extends St.BoxLayout {
  static {
    GObject.registerClass(SectionView);
  }

  private readonly translate: Translate;
  private readonly icons: Icons;
  private readonly acts: SectionActs;
  private readonly card: string;
  private readonly head: St.BoxLayout;
  private readonly headIcon: St.Icon;
  private readonly headName: St.Label;
  private readonly headLabel: St.Label;
  private readonly line: St.Label;
  private readonly progress: ProgressView;
  private readonly trouble: TroubleView;
  private readonly holdersHeading: St.Label;
  private readonly holdersLine: St.Label;
  private readonly holders: St.BoxLayout;
  private readonly rows = new Map<string, HolderRow>();
  private readonly destinations: Destinations;
  private readonly destinationsLine: St.Label;
  private readonly back: PopupImageMenuItem;
  private readonly doctor: PopupImageMenuItem;

  constructor(card: string, translate: Translate, icons: Icons, acts: SectionActs) {
    super({
      style_class: 'gpu-handoff-section',
      orientation: Clutter.Orientation.VERTICAL,
      x_expand: true,
    });
    this.card = card;
    this.translate = translate;
    this.icons = icons;
    this.acts = acts;
    this.head = row('gpu-handoff-card');
    this.headIcon = new St.Icon({ icon_size: 24, y_align: Clutter.ActorAlign.CENTER });
    this.headName = new St.Label({ style_class: 'gpu-handoff-heading', x_expand: true });
    this.headLabel = new St.Label({ style_class: 'gpu-handoff-detail' });
    const names = column('gpu-handoff-texts');
    names.add_child(this.headName);
    names.add_child(this.headLabel);
    this.head.add_child(this.headIcon);
    this.head.add_child(names);
    this.line = paragraph('gpu-handoff-line');
    this.progress = new ProgressView(translate);
    this.trouble = new TroubleView(
      translate,
      (offer) => this.take(offer),
      (operation) => acts.dismiss(card, operation),
    );
    this.holdersHeading = new St.Label({
      style_class: 'gpu-handoff-heading gpu-handoff-holders-heading',
      text: say(sentence('desk.used-by'), translate),
    });
    this.holdersLine = paragraph('gpu-handoff-line');
    this.holders = column('gpu-handoff-holders');
    this.destinations = new Destinations(translate, {
      handOff: (vm) => acts.handOff(card, vm),
      closeAndHandOff: (vm) => acts.closeAndHandOff(card, vm, false),
    });
    this.destinationsLine = paragraph('gpu-handoff-line');
    this.back = actItem('go-home-symbolic', () => acts.takeBack(card, false));
    this.doctor = actItem('preferences-system-symbolic', () => acts.doctor());
    for (const part of [
      this.head,
      this.line,
      this.progress,
      this.trouble,
      // Before the list, which can be long.
      this.destinations,
      this.destinationsLine,
      this.back,
      this.doctor,
      this.holdersHeading,
      this.holdersLine,
      this.holders,
    ])
      this.add_child(part);
  }

  /** `alone`: the only card, whose name and state stand over the menu already. */
  show_section(section: Section, alone: boolean): void {
    const { presentation } = section;
    this.showHolders(section);
    this.accessible_name = `${section.name}: ${presentation.label}`;
    this.head.visible = !alone;
    this.headIcon.gicon = this.icons.of(presentation.glance);
    this.headName.text = section.name;
    this.headLabel.text = presentation.label;
    setText(this.line, section.line);
    this.progress.show_progress(section.progress);
    this.trouble.show_trouble(section.trouble);
    this.destinations.show_destinations(section.destinations);
    setText(this.destinationsLine, section.destinationsLine);
    setItem(this.back, section.back);
    setItem(this.doctor, section.doctor);
  }

  private showHolders(section: Section): void {
    const holders = section.holders ?? [];
    this.holdersHeading.visible = holders.length > 0;
    setText(this.holdersLine, section.holdersLine);
    const gone = new Set(this.rows.keys());
    holders.forEach((holder, index) => {
      let view = this.rows.get(holder.key);
      if (view === undefined) {
        view = new HolderRow(this.translate, (one) => this.acts.closeHolder(this.card, one));
        this.rows.set(holder.key, view);
        this.holders.add_child(view);
      }
      gone.delete(holder.key);
      view.show_holder(holder);
      this.holders.set_child_at_index(view, index);
    });
    for (const key of gone) {
      this.rows.get(key)?.destroy();
      this.rows.delete(key);
    }
    this.holders.visible = holders.length > 0;
  }

  private take(offer: Offer): void {
    const { acts, card } = this;
    switch (offer.act) {
      case 'hand-off':
        acts.handOff(card, offer.vm);
        break;
      case 'close-and-hand-off':
        acts.closeAndHandOff(card, offer.vm, false);
        break;
      case 'force-and-hand-off':
        acts.closeAndHandOff(card, offer.vm, true);
        break;
      case 'take-back':
        acts.takeBack(card, false);
        break;
      case 'force-off':
        acts.takeBack(card, true);
        break;
      default:
        acts.doctor();
    }
  }
}
