/**
 * Menu entries that say why they cannot be chosen. The keyboard reaches them then, too: a screen reader says only what it
 * comes by.
 */
import Clutter from 'gi://Clutter';
import type { PopupBaseMenuItem } from 'resource:///org/gnome/shell/ui/popupMenu.js';

/** The keys that choose an entry. */
const CHOOSING: ReadonlySet<number> = new Set([Clutter.KEY_space, Clutter.KEY_Return, Clutter.KEY_KP_Enter]);

/** Of what cannot be chosen. */
const DIMMED = 160;

/** The keys that choose an entry do nothing while `item` cannot be chosen. */
export function refuseKeys(item: PopupBaseMenuItem): void {
  item.connect('key-press-event', (_item, event: Clutter.Event) =>
    !item.sensitive && CHOOSING.has(event.get_key_symbol()) ? Clutter.EVENT_STOP : Clutter.EVENT_PROPAGATE,
  );
}

/** For `syncSensitive` of such an entry: only `dimmed` looks as if it could not be chosen. Returns `sensitive`. */
export function stayReachable(
  item: PopupBaseMenuItem,
  sensitive: boolean,
  dimmed: readonly Clutter.Actor[],
): boolean {
  item.can_focus = true;
  // The shell dims all of it, and a reason is there to be read.
  item.remove_style_pseudo_class('insensitive');
  for (const actor of dimmed) actor.opacity = sensitive ? 255 : DIMMED;
  return sensitive;
}
