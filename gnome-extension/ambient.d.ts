/** The modules of gjs and of the shell, and what the published types leave out or have otherwise than it is. */
import '@girs/gjs';
import '@girs/gjs/dom';
import '@girs/glib-2.0/ambient';
import '@girs/gobject-2.0/ambient';
import '@girs/gio-2.0/ambient';
import '@girs/gdk-4.0/ambient';
import '@girs/gtk-4.0/ambient';
import '@girs/adw-1/ambient';
import '@girs/pango-1.0/ambient';
import '@girs/clutter-16/ambient';
import '@girs/atk-1.0/ambient';
import '@girs/meta-16/ambient';
import '@girs/shell-16/ambient';
import '@girs/st-16/ambient';
import '@girs/gnome-shell/ambient';
import '@girs/gnome-shell/extensions/ambient';
import '@girs/gnome-shell/extensions/global';
