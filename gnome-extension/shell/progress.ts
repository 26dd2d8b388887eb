/** The running operation, step by step. Its Cancel stands under the list, where it is always in sight. */
import Clutter from 'gi://Clutter';
import GLib from 'gi://GLib';
import GObject from 'gi://GObject';
import St from 'gi://St';
import { Spinner } from 'resource:///org/gnome/shell/ui/animation.js';

import type { Progress, StepPicture } from '../../core/src/desktop/picture.js';
import { say, sentence, type Translate } from '../../core/src/words.js';
import { column, paragraph, reveal, row, setText, themed } from './widgets.js';

const ICON = 16;
/** Of what is not at its turn; its words are to be read all the same, in every style. */
const DIMMED = 190;

const SHAPES: Readonly<Record<string, string>> = {
  waiting: 'content-loading-symbolic',
  done: 'object-select-symbolic',
  failed: 'dialog-error-symbolic',
  undone: 'edit-undo-symbolic',
};

/** One step: a mark, its title, and what went wrong. */
class Step extends St.BoxLayout {
  static {
    GObject.registerClass(Step);
  }

  private readonly mark: St.Bin;
  private readonly heading: St.Label;
  private readonly sentence: St.Label;
  private shape = '';

  constructor() {
    super({ style_class: 'gpu-handoff-step', x_expand: true });
    this.mark = new St.Bin({ style_class: 'gpu-handoff-step-mark', y_align: Clutter.ActorAlign.START });
    this.heading = paragraph('gpu-handoff-step-title');
    this.sentence = paragraph('gpu-handoff-detail');
    const texts = column('');
    texts.add_child(this.heading);
    texts.add_child(this.sentence);
    this.add_child(this.mark);
    this.add_child(texts);
  }

  show_step(step: StepPicture): void {
    this.heading.text = step.title;
    this.accessible_name = `${step.title}: ${step.word}`;
    setText(this.sentence, step.sentence);
    this.opacity = step.state === 'waiting' || step.state === 'undone' ? DIMMED : 255;
    if (this.shape === step.state) return;
    this.shape = step.state;
    this.mark.child?.destroy();
    if (step.state === 'running') {
      const spinner = new Spinner(ICON, { animate: false, hideOnStop: false });
      this.mark.child = spinner;
      // It turns only where it is on the stage already.
      spinner.play();
    } else this.mark.child = themed(SHAPES[step.state] ?? SHAPES.waiting ?? '', ICON);
  }
}

export class ProgressView extends St.BoxLayout {
  static {
    GObject.registerClass(ProgressView);
  }

  private readonly translate: Translate;
  private readonly heading: St.Label;
  private readonly elapsed: St.Label;
  private readonly steps: St.BoxLayout;
  private started = 0;
  private running = -1;
  /** Counts the seconds, only while somebody sees them. */
  private tick = 0;

  constructor(translate: Translate) {
    super({
      style_class: 'gpu-handoff-block',
      orientation: Clutter.Orientation.VERTICAL,
      x_expand: true,
      visible: false,
    });
    this.translate = translate;
    this.heading = paragraph('gpu-handoff-heading');
    this.elapsed = new St.Label({ style_class: 'gpu-handoff-detail', y_align: Clutter.ActorAlign.CENTER });
    this.steps = column('gpu-handoff-steps');
    const head = row('gpu-handoff-head');
    head.add_child(this.heading);
    head.add_child(this.elapsed);
    this.add_child(head);
    this.add_child(this.steps);
    this.connect('notify::mapped', () => this.syncTick());
    this.connect('destroy', () => this.stopTick());
  }

  show_progress(progress: Progress | null): void {
    this.visible = progress !== null;
    this.started = progress?.started ?? 0;
    this.syncTick();
    if (progress === null) {
      this.steps.destroy_all_children();
      return;
    }
    this.heading.text = progress.title;
    const children = this.steps.get_children() as Step[];
    progress.steps.forEach((step, index) => {
      let view = children[index];
      if (view === undefined) {
        view = new Step();
        this.steps.add_child(view);
      }
      view.show_step(step);
    });
    for (const left of children.slice(progress.steps.length)) left.destroy();
    const running = progress.steps.findIndex((step) => step.state === 'running');
    const view = running < 0 ? undefined : children[running];
    if (view !== undefined && running !== this.running) reveal(view);
    this.running = running;
  }

  private syncTick(): void {
    const needed = this.mapped && this.started > 0;
    if (!needed) this.stopTick();
    else if (this.tick === 0) {
      this.sayElapsed();
      this.tick = GLib.timeout_add_seconds(GLib.PRIORITY_DEFAULT, 1, () => {
        this.sayElapsed();
        return GLib.SOURCE_CONTINUE;
      });
    }
  }

  private sayElapsed(): void {
    const seconds = Math.max(0, Math.round((Date.now() - this.started) / 1000));
    this.elapsed.text = say(sentence('desk.elapsed', { seconds }), this.translate);
  }

  private stopTick(): void {
    if (this.tick !== 0) GLib.source_remove(this.tick);
    this.tick = 0;
  }
}
