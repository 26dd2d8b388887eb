/** The desktops' own libraries, what compiles a reader of KDE's, and the validator of the specification's authors. */
export const ORACLES = ['gjs', 'desktop-file-utils', 'libkf6kio-dev', 'g++'];

/** Packages that are only unpacked, for their .desktop files: many files for few bytes, of every desktop. */
export const CORPUS = [
  // GNOME and GTK
  ...['abiword', 'audacious', 'baobab', 'bleachbit', 'bluefish', 'blueman', 'cambalache', 'cheese', 'd-feet'],
  ...['dconf-editor', 'deluge-gtk', 'eog', 'epiphany-browser', 'evince', 'evolution', 'file-roller', 'gedit'],
  ...['ghex', 'gitg', 'glade', 'gnome-calculator', 'gnome-characters', 'gnome-chess', 'gnome-clocks'],
  ...['gnome-console', 'gnome-control-center', 'gnome-disk-utility', 'gnome-maps', 'gnome-mines'],
  ...[
    'gnome-shell-extension-prefs',
    'gnome-software',
    'gnome-sudoku',
    'gnome-system-monitor',
    'gnome-terminal',
  ],
  ...[
    'gnome-text-editor',
    'gnome-tweaks',
    'gnome-weather',
    'gparted',
    'guake',
    'hexchat',
    'meld',
    'nautilus',
  ],
  ...['nm-connection-editor', 'pavucontrol', 'pidgin', 'quodlibet', 'remmina', 'rhythmbox', 'seahorse'],
  ...[
    'shotwell',
    'shutter',
    'simple-scan',
    'system-config-printer',
    'terminator',
    'tilix',
    'timeshift',
    'totem',
  ],
  ...['virt-manager', 'zathura'],
  // KDE and Qt
  ...['bluedevil', 'bovo', 'calligra', 'dolphin', 'filelight', 'flameshot', 'gcompris-qt', 'gwenview'],
  ...['kaddressbook', 'kcalc', 'kcharselect', 'kde-cli-tools', 'kdeconnect', 'kfind', 'khelpcenter'],
  ...['kinfocenter', 'kmines', 'kontact', 'korganizer', 'kwrite', 'marble', 'okular', 'plasma-desktop'],
  ...[
    'plasma-discover',
    'plasma-systemmonitor',
    'plasma-workspace',
    'qjackctl',
    'qpdfview',
    'systemsettings',
  ],
  ...['yakuake'],
  // Other desktops
  ...['lximage-qt', 'lxqt-config', 'lxqt-panel', 'lxqt-session', 'lxterminal', 'mate-control-center'],
  ...['mate-panel', 'mate-utils', 'mousepad', 'pcmanfm', 'pcmanfm-qt', 'qterminal', 'thunar', 'xfce4-panel'],
  ...['xfce4-session', 'xfce4-settings'],
  // Terminals, games, and what is older than any desktop
  ...[
    'ace-of-penguins',
    'btop',
    'dosbox',
    'fcitx5',
    'foot',
    'freeciv-client-gtk3',
    'gv',
    'hplip-gui',
    'htop',
  ],
  ...['hugin', 'im-config', 'libreoffice-impress', 'libreoffice-math', 'mc', 'mednaffe', 'mpv', 'ranger'],
  ...['rxvt-unicode', 'sgt-puzzles', 'vim-gui-common', 'xterm'],
];
