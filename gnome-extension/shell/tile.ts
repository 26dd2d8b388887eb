/** The tile in Quick Settings and its menu. What the menu holds is drawn only while it is open. */
import Clutter from 'gi://Clutter';
import GObject from 'gi://GObject';
import St from 'gi://St';
import * as Main from 'resource:///org/gnome/shell/ui/main.js';
import { PopupSeparatorMenuItem } from 'resource:///org/gnome/shell/ui/popupMenu.js';
import { QuickMenuToggle } from 'resource:///org/gnome/shell/ui/quickSettings.js';

import type { Picture, Section } from '../../core/src/desktop/picture.js';
import { say, sentence } from '../../core/src/words.js';
import type { Icons } from './icons.js';
import type { Model, View } from './model.js';
import { SectionView } from './section.js';
import { column, nameButton, paragraph, row, setText, Tall, wordButton } from './widgets.js';

/** What stands between the tile and the edge of the screen beside the list: header, Cancel, settings, margins. */
const BESIDE_THE_LIST = 220;
const SHORTEST_LIST = 160;

export class Tile extends QuickMenuToggle implements View {
  static {
    GObject.registerClass(Tile);
  }

  private readonly model: Model;
  private readonly icons: Icons;
  private readonly openSettings: (page: string) => void;
  private readonly scroll: St.ScrollView;
  private readonly list: St.BoxLayout;
  private readonly nameLine: St.Label;
  private readonly notice: St.BoxLayout;
  private readonly noticeLine: St.Label;
  private readonly noticeRetry: St.Button;
  private readonly cancelRow: St.BoxLayout;
  private readonly cancelButton: St.Button;
  private readonly sections: SectionView[] = [];
  private cards = '';

  constructor(model: Model, icons: Icons, openSettings: (page: string) => void) {
    super({ toggleMode: false });
    this.model = model;
    this.icons = icons;
    this.openSettings = openSettings;
    this.add_style_class_name('gpu-handoff-tile');
    this.connect('clicked', () => this.menu.open());

    this.notice = column('gpu-handoff-block');
    this.noticeLine = paragraph('');
    this.noticeRetry = wordButton('', () => model.retry());
    this.noticeRetry.x_align = Clutter.ActorAlign.END;
    this.notice.add_child(this.noticeLine);
    this.notice.add_child(this.noticeRetry);

    this.list = new Tall('gpu-handoff-content');
    this.nameLine = paragraph('gpu-handoff-heading gpu-handoff-line');
    this.list.add_child(this.nameLine);
    this.list.add_child(this.notice);
    this.scroll = new St.ScrollView({
      style_class: 'gpu-handoff-scroll vfade',
      child: this.list,
      x_expand: true,
      hscrollbar_policy: St.PolicyType.NEVER,
      vscrollbar_policy: St.PolicyType.AUTOMATIC,
      overlay_scrollbars: true,
    });
    this.menu.box.add_child(this.scroll);
    this.cancelRow = row('gpu-handoff-footer');
    this.cancelRow.x_align = Clutter.ActorAlign.END;
    this.cancelButton = wordButton('', () => {
      const running = this.running(model.picture);
      if (running?.progress != null) model.cancel(running.card, running.progress.operation);
    });
    this.cancelRow.add_child(this.cancelButton);
    this.menu.box.add_child(this.cancelRow);
    this.menu.addMenuItem(new PopupSeparatorMenuItem());
    this.menu.addAction(say(sentence('do.settings'), model.translate), () => {
      Main.panel.closeQuickSettings();
      openSettings('');
    });
    this.menu.connect('open-state-changed', (_menu: unknown, open: boolean) => {
      this.openChanged(open);
      return undefined;
    });
    // GNOME 48 takes arrows and Tab only from items that are its own; where the menu is a focus group, the method has gone.
    if (typeof global.focus_manager.navigate_from_event === 'function')
      this.menu.actor.connect('key-press-event', (_actor: Clutter.Actor, event: Clutter.Event) =>
        global.focus_manager.navigate_from_event(event),
      );
    this.connect('destroy', () => this.ended());
    model.add(this);
  }

  update(picture: Picture): void {
    this.gicon = this.icons.of(picture.glance);
    this.title = picture.title;
    this.subtitle = picture.label;
    this.checked = picture.glance === 'vm' || picture.glance === 'switching';
    if (!this.menu.isOpen) return;
    const { actor } = this.menu;
    const before = global.stage.get_key_focus();
    const hadFocus = before !== null && actor.contains(before);
    this.draw(picture);
    // What had the keyboard may be gone: the menu itself has it then, so that a second Return presses nothing else.
    if (hadFocus && global.stage.get_key_focus() === null) actor.grab_key_focus();
  }

  private ended(): void {
    if (this.menu.isOpen) this.model.menuClosed();
    this.model.remove(this);
  }

  private openChanged(open: boolean): void {
    if (open) {
      this.limitHeight();
      this.draw(this.model.picture);
      this.model.menuOpened();
    } else this.model.menuClosed();
  }

  private limitHeight(): void {
    const { primaryIndex } = Main.layoutManager;
    const area = Main.layoutManager.getWorkAreaForMonitor(primaryIndex);
    const { scaleFactor } = St.ThemeContext.get_for_stage(global.stage);
    const [, y] = this.get_transformed_position();
    const below = (area.y + area.height - y - this.height) / scaleFactor - BESIDE_THE_LIST;
    const height = Math.round(Math.max(SHORTEST_LIST, below));
    this.scroll.style = `max-height: ${height}px;`;
  }

  private draw(picture: Picture): void {
    const alone = picture.sections.length === 1;
    const icon = this.icons.of(picture.glance);
    // What is with it is what people look for; names of cards are long.
    const title = picture.notice?.title ?? (alone ? picture.label : picture.title);
    const name = picture.subtitle;
    // From right to left the shell puts the second line of a header beside the first, where both are cut.
    const mirrored = this.menu.actor.text_direction === Clutter.TextDirection.RTL;
    this.menu.setHeader(icon, title, mirrored ? '' : name);
    setText(this.nameLine, mirrored ? name : '');
    this.notice.visible = picture.notice !== null;
    if (picture.notice !== null) {
      const { line, retry } = picture.notice;
      setText(this.noticeLine, line);
      nameButton(this.noticeRetry, retry, retry);
    }
    this.cancelRow.visible = this.running(picture)?.progress?.cancellable === true;
    const cancel = say(sentence('do.cancel'), this.model.translate);
    nameButton(this.cancelButton, cancel, cancel);
    const cards = picture.sections.map((section) => section.card).join(' ');
    if (cards !== this.cards) this.makeSections(picture);
    this.cards = cards;
    picture.sections.forEach((section, index) => {
      this.sections[index]?.show_section(section, alone);
    });
  }

  /** The card whose operation runs; the helper makes one at a time. */
  private running(picture: Picture): Section | undefined {
    return picture.sections.find((section) => section.progress !== null);
  }

  private makeSections(picture: Picture): void {
    const { model } = this;
    for (const view of this.sections.splice(0)) view.destroy();
    for (const { card } of picture.sections) {
      const view = new SectionView(card, model.translate, this.icons, {
        closeHolder: (of, row) => model.closeHolder(of, row.key, row.ids, row.button === 'force'),
        handOff: (of, vm) => model.handOff(of, vm),
        closeAndHandOff: (of, vm, force) => model.closeAndHandOff(of, vm, force),
        takeBack: (of, force) => model.takeBack(of, force),
        dismiss: (of, operation) => model.dismiss(of, operation),
        doctor: () => {
          Main.panel.closeQuickSettings();
          this.openSettings('health');
        },
      });
      this.sections.push(view);
      this.list.add_child(view);
    }
  }
}
