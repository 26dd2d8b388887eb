/** GPU Handoff for GNOME Shell: where the strong graphics card is, what runs on it, and who gets it next. */
import { Extension } from 'resource:///org/gnome/shell/extensions/extension.js';

import { Desk } from './shell/desk.js';

export default class GpuHandoffExtension extends Extension {
  private desk: Desk | null = null;

  override enable(): void {
    this.desk = new Desk(this);
  }

  override disable(): void {
    this.desk?.destroy();
    this.desk = null;
  }
}
