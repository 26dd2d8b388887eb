/** One holder: who it is, what it does with the card, and the button that ends it, with the result beneath. */
import Clutter from 'gi://Clutter';
import Gio from 'gi://Gio';
import GObject from 'gi://GObject';
import Pango from 'gi://Pango';
import St from 'gi://St';
import { Spinner } from 'resource:///org/gnome/shell/ui/animation.js';

import type { Row } from '../../core/src/desktop/picture.js';
import { say, sentence, type Translate } from '../../core/src/words.js';
import { iconOf } from './apps.js';
import { column, nameButton, paragraph, row, setText, wordButton } from './widgets.js';

const ICON = 24;
const SPINNER = 16;

/** Icons of who has no app. */
const KINDS: Readonly<Record<string, string>> = {
  service: 'application-x-addon-symbolic',
  'user-service': 'application-x-addon-symbolic',
  container: 'package-x-generic-symbolic',
  vm: 'computer-symbolic',
  // The icon that is named after the desktop is a folder.
  session: 'video-display-symbolic',
  kernel: 'applications-engineering-symbolic',
};

function iconFor(holder: Row): Gio.Icon {
  const name = holder.essential ? KINDS.session : KINDS[holder.kind];
  return iconOf(holder.app) ?? new Gio.ThemedIcon({ name: name ?? 'application-x-executable-symbolic' });
}

export class HolderRow extends St.BoxLayout {
  static {
    GObject.registerClass(HolderRow);
  }

  private readonly translate: Translate;
  private readonly icon: St.Icon;
  private readonly holderName: St.Label;
  private readonly line: St.Label;
  private readonly result: St.Label;
  private readonly button: St.Button;
  private readonly spinner: Spinner;
  private holder: Row | null = null;

  constructor(translate: Translate, end: (holder: Row) => void) {
    super({
      style_class: 'gpu-handoff-holder',
      orientation: Clutter.Orientation.VERTICAL,
      x_expand: true,
    });
    this.translate = translate;
    this.icon = new St.Icon({ icon_size: ICON, y_align: Clutter.ActorAlign.CENTER });
    this.holderName = new St.Label({ style_class: 'gpu-handoff-name', x_expand: true });
    this.holderName.clutter_text.ellipsize = Pango.EllipsizeMode.END;
    this.line = paragraph('gpu-handoff-detail');
    this.result = paragraph('gpu-handoff-result');
    this.spinner = new Spinner(SPINNER, { animate: false, hideOnStop: true });
    this.button = wordButton('', () => {
      if (this.holder !== null) end(this.holder);
    });
    const texts = column('gpu-handoff-texts');
    texts.y_align = Clutter.ActorAlign.CENTER;
    texts.add_child(this.holderName);
    texts.add_child(this.line);
    const top = row('gpu-handoff-holder-top');
    top.add_child(this.icon);
    top.add_child(texts);
    top.add_child(this.spinner);
    top.add_child(this.button);
    this.add_child(top);
    this.add_child(this.result);
  }

  show_holder(holder: Row): void {
    const { translate } = this;
    this.holder = holder;
    this.icon.gicon = iconFor(holder);
    this.holderName.text = holder.name;
    setText(this.line, holder.line);
    setText(this.result, holder.refused);
    const { name } = holder;
    const isService = holder.kind === 'service' || holder.kind === 'user-service';
    const key = holder.button === 'force' ? 'do.force-named' : isService ? 'do.stop-named' : 'do.close-named';
    nameButton(this.button, holder.buttonLabel, say(sentence(key, { name }), translate));
    if (holder.button === 'force') this.button.add_style_class_name('gpu-handoff-harsh');
    else this.button.remove_style_class_name('gpu-handoff-harsh');
    if (holder.busy === '') this.spinner.stop();
    else this.spinner.play();
    this.accessible_name = [name, holder.line, holder.busy, holder.refused].filter(Boolean).join(', ');
  }
}
