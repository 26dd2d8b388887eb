/**
 * Every sentence that a user can read, once. The helper sends the key and its values beside the English
 * text, so a desktop can say the same sentence in the user's language.
 */

/** `{name}` stands for a value. A pair is singular and plural, chosen by the value `count`. */
export const WORDS = {
  // Why a card has its role
  'role.configured': 'the configuration says so',
  'role.monitor': 'it drives a monitor ({connectors})',
  'role.monitors': 'it drives monitors ({connectors})',
  'role.monitor-dark': 'a monitor is plugged into it ({connectors})',
  'role.monitors-dark': 'monitors are plugged into it ({connectors})',
  'role.boot': 'it is the display the machine booted with',
  'role.integrated': 'it sits on the processor’s own bus',
  'role.only-one-left': 'it is the card that is left for the monitors',
  'role.management': 'it only serves the server’s remote management',
  'role.other': 'another card serves the monitors ({card})',

  // Why a card cannot be handed off
  'refuse.one-card':
    'This machine has only one graphics card ({card}), and without it the monitors would have none: add a second card, or turn on the processor’s own graphics in the firmware set-up.',
  'refuse.no-iommu':
    'The IOMMU is off, so no VM can be given a card: turn on VT-d or AMD-Vi in the firmware set-up and add intel_iommu=on to the kernel command line where it is an Intel processor.',
  'refuse.second-nvidia':
    'A second NVIDIA card ({other}) is in use by the host, and {card} can only leave by unloading the driver that both share: give both to the same VM, or keep {other} on vfio-pci.',
  'refuse.drives-monitor':
    '{card} drives a monitor ({connectors}): plug it into the other card, or hide this card from the desktop.',
  'refuse.drives-monitors':
    '{card} drives monitors ({connectors}): plug them into the other card, or hide this card from the desktop.',
  'refuse.group-strangers':
    '{card} shares IOMMU group {group} with devices that would have to leave with it ({strangers}): use another slot, or a firmware setting that separates them (ACS).',
  'refuse.is-igpu': '{card} serves the monitors and stays with the host: choose another card.',
  'refuse.stuck': '{card} is stuck until the next reboot: {why}',

  // Why a VM cannot have it
  'refuse.no-such-vm': 'There is no VM named “{vm}” on this machine: “gpu-handoff vms” lists them.',
  'refuse.vm-without-cards':
    'The VM “{vm}” has no graphics card of this machine among its devices: add one as a PCI host device in virt-manager.',
  'refuse.group-not-whole':
    'The VM “{vm}” takes {card} but not {missing}, which has to go with it: add that function as a PCI host device too.',
  'refuse.not-managed':
    'The VM “{vm}” has {card} with managed="no", so libvirt would not take it from its driver: set managed="yes".',
  'refuse.vm-running': 'The VM “{vm}” is running already.',
  'refuse.other-vm': '{card} is in use by the VM “{owner}”: shut that VM down first.',
  'refuse.foreign-guest':
    '{card} is in use by a program that is no VM of libvirt’s ({holder}): end that program first.',
  'refuse.beside-guest':
    'The VM “{vm}” has {other}, and loading NVIDIA’s driver for {card} beside it could crash the machine when that VM ends: shut that VM down first.',
  'refuse.held': '{card} is held by {holders}: close what holds it, or run “gpu-handoff end-holders”.',
  'refuse.held-kernel':
    '{card} is in use ({modules}), but no process could be found that has it open: either something in the kernel holds it, or a program opens it for moments only. Stop what uses it, or see “gpu-handoff holders”.',
  'refuse.could-not-look':
    'What holds {card} could not be seen completely, so it was left alone: {why} Try again, or see “gpu-handoff holders”.',
  'refuse.not-in-vm': '{card} is at the host already; there is nothing to take back.',
  'refuse.libvirt-absent':
    'libvirt did not answer ({why}): check that libvirtd or virtqemud is installed and running.',

  // Errors of calls
  'error.busy': 'Another operation is running ({what}): wait until it is done, or cancel it.',
  'error.not-authorized': 'You are not authorized to {power}.',
  'error.authority-absent': 'The authorization service (polkit) did not answer, so the answer is no: {why}',
  'error.no-such-card': 'There is no graphics card “{card}”: “gpu-handoff status” lists them.',
  'error.which-card': 'There are several cards for VMs ({cards}): say which one.',
  'error.no-dgpu': 'This machine has no card that could be handed off: “gpu-handoff doctor” says why.',
  'error.no-such-operation': 'There is no running operation “{operation}”.',
  'error.not-cancellable': 'The operation is past the point where it can be cancelled ({step}).',
  'error.essential-holder':
    '{holder} belongs to the session itself, and ending it would log its user out: name it and force it, if that is meant.',
  'error.nothing-to-end': 'Nobody holds {card}; there is nothing to end.',
  'error.no-such-holder': 'What “{holder}” names does not hold the card any more.',
  'error.invalid-argument': 'The argument {argument} is not valid: {why}',
  'error.unknown-method': 'There is no method {method} in {interface}.',
  'error.root-only': 'Only libvirt’s hook, which runs as root, may call {method}.',
  'error.too-many-clients': 'Too many programs are watching already: close some of them.',
  'error.internal': 'The helper failed on an unexpected fault, and nothing more was done: {why}',
  'error.helper-absent':
    'The helper did not answer on the system bus ({why}): check that the package is installed and see “journalctl -u gpu-handoff”.',
  'error.config': 'The configuration {file} has a fault in line {line}: {why}',

  // What went wrong while doing
  'fail.step': 'The step “{step}” failed: {why}',
  'fail.services':
    'It could not be learnt from systemd which of the services {units} run ({why}), so nothing was touched: try again.',
  'fail.time-limit': 'it took longer than {seconds} s',
  'fail.module-busy': 'the module {module} is in use',
  'fail.in-passing':
    '{card} was in use when the module {module} was to be unloaded, but nobody could be found who has it open: a program may open it for moments only. Try again, or see “gpu-handoff holders”.',
  'fail.command': '{command} failed: {why}',
  'fail.write': 'writing {path} failed: {why}',
  'fail.cancelled': 'It was cancelled; everything is as it was.',
  'fail.cancelled-asked':
    'It was cancelled, but the VM “{vm}” was asked to shut down already and may still do so.',
  'fail.cancelled-ending': 'It was cancelled; what was ended by then stays ended.',
  'fail.guest-not-seen': 'The VM “{vm}” did not take the card within {seconds} s.',
  'fail.guest-gave-back': 'libvirt gave the card back before the VM “{vm}” had started.',
  'fail.guest-start': 'libvirt could not start the VM “{vm}”: {why}',
  'fail.guest-stays':
    'The VM “{vm}” did not shut down within {seconds} s: shut it down inside the guest, or force it off.',
  'fail.host-not-seen': '{card} did not come back to its driver {driver} within {seconds} s.',
  'fail.no-driver': 'No driver of the host took {card} within {seconds} s: see that its driver is installed.',
  'fail.came-back': '{holder} ended, but {again} holds {card} now.',
  'fail.would-not-end': '{holder} did not end, even when forced.',
  'fail.refused-to-close': '{holder} did not close within {seconds} s: save your work there, or force it.',
  'fail.return': 'The card could not be brought back completely: {why}',
  'fail.and-return': '{reason} Besides, the card could not be brought back completely: {why}',
  'stuck.child': '{what} does not return (it hangs inside the kernel since {seconds} s): reboot needed.',
  'stuck.cause': 'the step “{what}” hangs inside the kernel.',
  'fail.helper-restarted': 'The helper was restarted in the middle, and {card} was brought back to the host.',

  // Steps
  'step.preflight': 'Check that the card can leave',
  'step.power': 'Keep {card} awake',
  'step.claim': 'Reserve {card} for the VM',
  'step.block': 'Keep the driver from loading again',
  'step.mask': 'Close the device nodes to new users',
  'step.look': 'Look again who holds {card}',
  'step.stop': 'Stop {units}',
  'step.unload': 'Unload {module}',
  'step.start-vm': 'Start the VM “{vm}”',
  'step.guest-has': 'See that the VM “{vm}” has {card}',
  'step.shutdown-vm': 'Ask the VM “{vm}” to shut down',
  'step.destroy-vm': 'Force the VM “{vm}” off',
  'step.guest-gone': 'Wait until the VM “{vm}” gives {card} back',
  'step.unbind': 'Take {card} from {driver}',
  'step.unclaim': 'Lift the reservation of {card}',
  'step.unblock': 'Let the driver load again',
  'step.probe': 'Give {functions} back to its driver',
  'step.load': 'Load {modules}',
  'step.unmask': 'Open the device nodes again',
  'step.start': 'Start {units}',
  'step.unpower': 'Let {card} sleep again',
  'step.host-has': 'See that {card} works at the host',
  'step.end-process': 'End {holder}',
  'step.end-service': 'Stop the service {holder}',

  // Operations
  // Before the VM was looked at, and so before its cards are known
  'operation.hand-off-begin': 'handing the graphics card to the VM “{vm}”',
  'operation.hand-off': 'handing {card} to the VM “{vm}”',
  'operation.take-back': 'taking {card} back from the VM “{vm}”',
  'operation.take-back-detached': 'bringing {card} back to the host',
  'operation.end-holders': 'ending what holds {card}',
  'operation.recover': 'mending what an interrupted operation left',

  // States, as one glance and as one line
  'state.host': 'At home',
  'state.host.line': 'Ready for Linux apps ({driver}).',
  'state.asleep': 'Asleep',
  'state.asleep.line': 'Switched off to save power; wakes when an app uses it.',
  'state.held': 'In use',
  'state.held.line': ['Used by {count} app or service.', 'Used by {count} apps or services.'],
  'state.vm': 'In {vm}',
  'state.vm.line': 'The VM “{vm}” has it; taking it back shuts the VM down.',
  'state.detached': 'Detached',
  'state.detached.line': 'Neither the host nor a VM uses it; take it back to use it here.',
  'state.switching': 'Changing',
  'state.switching.line': 'Changing hands: {what}.',
  'state.stuck': 'Stuck',
  'state.stuck.line': 'Needs a reboot: {why}',
  'state.unavailable': 'Not available',
  'state.unavailable.line': '{why}',

  // Holders
  'holder.kernel': 'the kernel ({module}, use count {count})',
  'holder.and-more': ['{names} and {count} more', '{names} and {count} more'],
  'holder.named': '{name} (process {pid}, {user})',
  'holder.service': '{unit} (service)',
  'holders.none': 'Nobody holds {card}.',
  'holders.unknown': [
    'Nobody seen, but {count} process could not be looked into: ask as root, or through the helper.',
    'Nobody seen, but {count} processes could not be looked into: ask as root, or through the helper.',
  ],
  'holders.partly': [
    '{count} process could not be looked into.',
    '{count} processes could not be looked into.',
  ],
  'holders.cut-short': 'The look at the processes was cut short, so there may be more.',

  // switcheroo-control, and which way launch entries take
  'switcheroo.absent':
    'Apps are started through the wrapper, since there is no switcheroo-control on this machine.',
  'switcheroo.startable': 'Apps are started through the wrapper, since switcheroo-control does not run.',
  'switcheroo.unanswered':
    'Apps are started through the wrapper, since switcheroo-control did not answer: {why}',
  'switcheroo.other-owner':
    'Apps are started through the wrapper, since {owner} answers in the place of switcheroo-control and shows cards by rules of its own.',
  'switcheroo.plasma':
    'Apps are started through the wrapper, since Plasma asks switcheroo-control only once and would go on sending apps to a card that a VM has.',
  'switcheroo.desktop':
    'Apps are started through the wrapper, since this desktop is not known to ask switcheroo-control at each launch.',
  'switcheroo.one-card':
    'Apps are started through the wrapper, since switcheroo-control sees no second card at the moment.',
  'switcheroo.other-card':
    'Apps are started through the wrapper, since switcheroo-control would send them to {gpu}, which is not the card for them.',
  'switcheroo.no-egl':
    'Apps are started through the wrapper, since this switcheroo-control is patched wrongly: with its empty list of EGL drivers, apps on {gpu} have none at all.',
  'switcheroo.short':
    'Apps are started through the wrapper, since with what switcheroo-control sets they would not reach {gpu} by {what}.',
  'switcheroo.whole':
    'Apps are started on {gpu} by the desktop, since switcheroo-control sets all that they need for it.',

  // Launch entries
  'entry.no-group': 'The file has no [Desktop Entry] group, so it starts no app: choose another entry.',
  'entry.byte-order-mark':
    'The file begins with a byte order mark, so no desktop can read it: save it as UTF-8 without one.',
  'entry.no-application': 'The file is not of Type=Application, so it starts no app: choose another entry.',
  'entry.hidden': 'The file says that the app was removed (Hidden=true): delete that line to get it back.',
  'entry.no-exec': 'The file names no command (Exec is missing or empty): complete it, or reinstall the app.',
  'entry.dbus-only':
    'The app starts over D-Bus alone and names no command (Exec), so it cannot be started on another card.',
  'entry.bad-exec':
    'The app’s command (Exec) cannot be read, because its quotes are not closed: correct the file, or reinstall the app.',
  'entry.shell-exec':
    'The app’s command (Exec) begins with “{word}”, which only a shell understands: put the command into a script, and name that in the file.',
  'entry.steam-game':
    'Steam itself starts this game, not its entry: set “gpu-handoff-run %command%” as the game’s launch option in Steam.',
  'entry.steam-client':
    'Steam keeps the card in use for as long as it runs there: choose “Never on the dGPU” for Steam itself (in a terminal: “never”), and set “gpu-handoff-run %command%” as the launch option of the games that need the card.',
  'entry.single-instance':
    'If the app runs already, it only opens another window where it is, on the card it has: close it first.',
  'entry.substitutes-user':
    'The app starts as another user, with a new environment, so it may run on the iGPU all the same.',

  // Powers, as the end of “You are not authorized to …”
  'power.hand-off': 'hand a graphics card to a VM',
  'power.take-back': 'take a graphics card back from a VM',
  'power.force-off': 'force a VM off to get its graphics card back',
  'power.end-own': 'end your processes that hold a graphics card',
  'power.end-others': 'end other users’ processes that hold a graphics card',
  'power.stop-services': 'stop services that hold a graphics card',
  'power.cancel': 'cancel an operation that somebody else started',

  // The wrapper gpu-handoff-run: why an app does not run on the card, and what comes of it
  'run.kept': 'The dGPU ({card}) is kept for a VM',
  'run.no-driver': 'No driver that apps could use has the dGPU ({card})',
  'run.no-access': 'This user may not open the dGPU ({card}) now',
  'run.gone': 'There is no graphics card at {card}',
  'run.no-dgpu': 'This machine has no dGPU for apps',
  'run.instead': '{why}, so this runs on the iGPU: “gpu-handoff status” says more.',
  'run.required': '{why}, so nothing was started: “gpu-handoff status” says more.',
  'run.unknown-option': 'The option {option} is not known: see “{name} --help”.',
  'run.no-command': 'No command was given: see “{name} --help”.',
  'run.no-address': '--card needs a PCI address such as 0000:01:00.0: “gpu-handoff status” lists the cards.',
  'run.not-found': 'There is no command {command}: check its spelling and the PATH.',
  'run.not-executable':
    'The command {command} cannot be executed: it is a directory, or its permissions forbid it.',
  'run.unprintable': 'with a name that cannot be printed',
  'run.wrapper-absent': 'The wrapper gpu-handoff-run was not found: install the package again.',

  // Desktops: what can be done (the words of menus and buttons)
  'do.hand-off': 'Hand Off to {vm}',
  'do.take-back': 'Take Back from {vm}',
  'do.bring-back': 'Bring Back to the Host',
  'do.close': 'Close',
  'do.close-named': 'Close {name}',
  'do.stop': 'Stop',
  'do.stop-named': 'Stop {name}',
  'do.force': 'Force',
  'do.force-named': 'End {name} by force',
  'do.close-all': 'Close and Hand Off',
  'do.force-all': 'Force and Hand Off',
  'do.force-off': 'Force {vm} Off',
  'do.cancel': 'Cancel',
  'do.not-now': 'Not Now',
  'do.try-again': 'Try Again',
  'do.dismiss': 'Dismiss',
  'do.settings': 'GPU Handoff Settings',
  'do.doctor': 'Check the Set-Up',
  'do.show': 'Show',
  'do.run': 'Run on dGPU',
  'do.run-on': 'Run on {card}',

  // Desktops: what is shown
  'desk.title': 'Graphics',
  'desk.cards': ['{count} graphics card', '{count} graphics cards'],
  'desk.named': '{name}: {what}',
  'desk.asking': 'One moment',
  'desk.asking.line': 'Asking the helper about the graphics cards.',
  'desk.absent': 'Helper missing',
  'desk.absent.line':
    'The package gpu-handoff is not installed, and without its helper nothing can be shown or handed over: install it, and this works at once.',
  'desk.lost': 'No answer',
  'desk.lost.line': 'The helper does not answer: {why}',
  'desk.no-bus': 'the system bus is gone.',
  'desk.ends-at-once': 'it ends as soon as it was started; “journalctl -u gpu-handoff” says why.',
  'desk.no-second': 'One card only',
  'desk.no-second.line': 'This machine has no second graphics card that could change hands.',
  'desk.used-by': 'Used By',
  'desk.looking': 'Looking who uses it.',
  'desk.not-seen': 'Who uses it could not be seen: {why}',
  'desk.held-by': '{card} is held by {holders}.',
  'desk.closed-first': 'These are closed first: {names}.',
  'desk.stays-first':
    'Part of the session: {names}. The session lets go of the card only at log-out; hide the card from the desktop, so that the next one does not take it again.',
  'desk.no-vm': 'No VM has this card among its devices: add it as a PCI host device in virt-manager.',
  'desk.no-vms': 'Which VMs there are could not be seen: {why}',
  'desk.closing': 'Closing.',
  'desk.forcing': 'Ending it by force.',
  'desk.step.waiting': 'waiting',
  'desk.step.running': 'running',
  'desk.step.done': 'done',
  'desk.step.failed': 'failed',
  'desk.step.undone': 'undone',
  'desk.elapsed': '{seconds} s',
  'desk.failed.hand-off': 'The hand-off failed',
  'desk.failed.take-back': 'Taking it back failed',
  'desk.failed.end-holders': 'Not everything could be closed',
  'desk.failed.recover': 'Mending failed',
  'desk.failed.cancel': 'It could not be cancelled',

  // Desktops: how a holder is marked, and why it is likely there
  'mark.service': 'service',
  'mark.user-service': 'background service',
  'mark.background': 'in the background',
  'mark.session': 'part of the session',
  'mark.container': 'container',
  'mark.vm': 'VM',
  'mark.kernel': 'part of the kernel',
  'mark.of-user': 'of {user}',
  'mark.processes': ['{count} process', '{count} processes'],
  'mark.stops-by-itself': 'a hand-off restarts it',
  'mark.lets-go': 'lets go for a hand-off',
  'holds.computes': 'computes on it',
  'holds.draws': 'draws with it',
  'holds.displays': 'drives its monitors',
  'holds.sound': 'plays sound through its monitors',
  'holds.shows': 'shows pictures that it made',
  'holds.driver': 'asks its driver',
  'holds.serves': 'serves its driver',
  'holds.guest': 'keeps it for a guest',
  'size.mebibytes': '{whole} MiB',
  'size.gibibytes': '{whole}.{tenth} GiB',

  // Desktops: launching
  'run.choice': 'Graphics Card',
  'run.always': 'Always on the dGPU',
  'run.offer': 'Offer It in Menus',
  'run.never': 'Never on the dGPU',
  'run.untouched': 'As the App Wants',
  'run.no-service': 'The package gpu-handoff is not installed.',
  'run.running': 'It is running already and would only open a window there: close it first.',
  'run.failed': '{app} was not started',
  'run.elsewhere': '{app} runs on the other graphics card',
  'run.not-kept': 'The choice for {app} was not kept',

  // Desktops: news
  'news.done': '{card} is in {vm}',
  'news.done.line': 'It comes back when the VM shuts down.',
  'news.back': '{card} is back',
  'news.back.line': 'Apps of this machine can use it again.',
  'news.failed.hand-off': '{vm} did not get {card}',
  'news.failed.take-back': '{card} did not come back',
  'news.held': '{vm} waits for {card}',

  // Launch entries: why one is changed
  'entry.choice': 'The choice for the app is “{choice}”.',
  'entry.source-changed': 'The app’s own entry has changed.',
  'entry.way-changed': 'Entries now take the way “{way}” to the dGPU.',
  'entry.written-differently': 'This version writes the entry differently.',
  'entry.undone': 'No choice is made for the app any more.',
  'entry.away': 'The app is not installed; the choice is kept for its return.',
  'entry.no-wrapper':
    'The wrapper {wrapper} is not installed, and an entry that begins with it would not start; the choice is kept.',
  'entry.keep': 'The user’s own entry is kept before its place is taken.',
  'entry.left-over': 'An interrupted change left the user’s own entry under two names.',
  'entry.superseded':
    'What was kept for the app has been replaced or removed by the user or by another program.',
  'entry.edited-aside': 'The entry was edited by hand, so it is kept among the earlier files.',

  // Launch entries: what the user has to know
  'entry.edited':
    'The entry {path} was edited by hand and is left alone: “gpu-handoff apps undo {id}” gives back what was there before.',
  'entry.stale':
    'The entry {path} was edited by hand, so it does not follow the app’s own entry, which has changed: “gpu-handoff apps undo {id}” gives back what was there before.',
  'entry.unreadable': 'The entry {path} cannot be read: check where it leads and its permissions.',
  'entry.outside':
    'The entry {path} lies in a folder that leads out of your own applications, so it is left alone.',
  'entry.changed-meanwhile':
    'The entry {path} was changed by another program at the same moment: sync again.',
  'apps.folder-foreign':
    'The folder {path} belongs to another user, so no entry is written there: make it your own.',
  'apps.no-home': 'The variable HOME names no folder, so there is no place for entries: set it.',
  'apps.choices-broken':
    'The file of choices {path} cannot be read ({why}), so every entry stays as it is: mend or delete it, or make a choice, and it is moved aside.',
  'apps.choices-aside': 'The unreadable file of choices is now {path}.',
  'apps.choices-newer':
    'The file of choices {path} was written by a newer version: update the package, or delete the file.',
  'apps.not-written': '{path} could not be written: {why}.',
  'apps.no-entry': 'No entry can be made for “{app}”: {why}',
  'apps.locked': 'Another program has been syncing the entries for {seconds} s: try again when it is done.',
  'error.no-such-app': 'There is no app “{app}”: “gpu-handoff apps” lists them.',
  'error.session-absent':
    'The per-user service did not answer on the session bus ({why}): check that the package is installed and that you are logged in.',
  'error.session-internal':
    'The per-user service failed on an unexpected fault, and nothing more was done: {why}',
  'error.choice': 'choose one of offer, always, never, untouched',
  'start.no-exec': 'The entry {path} has no command that can be run: {why}',
  'start.no-program': 'The program {program} of the app “{app}” is not installed.',
  'start.no-action': 'The app “{app}” has no action “{action}”.',
  'start.no-terminal': 'The app “{app}” runs in a terminal, and none is installed.',
  'start.not-absolute': 'a file is given as an absolute path or as a URI',
  'start.on-igpu': 'The dGPU is not at hand, so “{app}” runs on the iGPU: {why}',
  'start.no-dgpu': 'this machine has none.',
  'start.away': '{card} is with the driver {driver}.',
  'start.no-driver': 'no driver has {card}.',
  'start.no-access': 'this user may not open {card} now.',
  'start.exec-missing': 'it has no Exec line.',
  'start.exec-malformed': 'its quotes do not end.',
  'start.exec-not-utf8': 'it is not written in UTF-8.',
  'start.away-app': 'The app “{app}” is not installed, so it cannot be started.',
  'start.failed': '“{app}” could not be started: {why}',

  // Preferences of the desktops
  'prefs.behaviour': 'Behaviour',
  'prefs.apps': 'Apps',
  'prefs.machines': 'Virtual Machines',
  // A tab’s title, which has little room
  'prefs.machines.short': 'VMs',
  'prefs.health': 'Health',
  'prefs.cards': 'Graphics Cards',
  'prefs.top-bar': 'Top Bar and Quick Settings',
  'prefs.indicator': 'Icon in the top bar',
  'prefs.indicator.always': 'Always',
  'prefs.indicator.when-needed': 'When it has something to say',
  'prefs.indicator.never': 'Never',
  'prefs.indicator-text': 'A word beside the icon',
  'prefs.indicator-text.line': 'Says the state in a word or two.',
  'prefs.tile': 'Tile in Quick Settings',
  'prefs.menus': 'Menus of Apps',
  'prefs.app-menu': '“Run on dGPU” in the menus of apps',
  'prefs.hide-stock-entry': 'Hide the desktop’s own entry',
  'prefs.hide-stock-entry.line': 'Where it would say the same.',
  'prefs.notifications': 'Notifications',
  'prefs.notify-done': 'A card went to a VM',
  'prefs.notify-failed': 'A hand-off or the way back failed',
  'prefs.notify-back': 'A card is back',
  'prefs.notify-held': 'Something holds a card that a VM waits for',
  'prefs.search': 'Search apps',
  'prefs.choice-for': 'Graphics card for {app}',
  'prefs.no-match': 'No app found',
  'prefs.no-match.line': 'Try other words.',
  'prefs.no-service': 'Per-user service missing',
  'prefs.no-service.line':
    'The package gpu-handoff is not installed, and without its per-user service no choice can be kept: install it, and this page fills at once.',
  'prefs.asking': 'Asking the per-user service about the apps.',
  'prefs.lost': 'The per-user service does not answer: {why}',
  'prefs.entry.edited': 'Entry edited by hand, and left alone',
  'prefs.entry.stale': 'Entry not up to date',
  'prefs.no-machines': 'No virtual machines',
  'prefs.no-machines.line': 'Make one in virt-manager, and add the graphics card to it as a PCI host device.',
  'prefs.no-machines-seen': 'Virtual machines cannot be seen',
  'prefs.machine.running': 'Running',
  'prefs.machine.off': 'Off',
  'prefs.machine.has': 'Has {cards}',
  'prefs.machine.gets': 'Gets {cards} when it is started',
  'prefs.machine.no-card': 'No graphics card of this machine is among its devices',
  'prefs.role.igpu': 'Stays with the host: {why}',
  'prefs.role.dgpu': 'For apps and VMs: {why}',
  'prefs.role.ignored': 'Left alone: {why}',
  'prefs.parts': 'Parts',
  'prefs.helper': 'Helper',
  'prefs.service': 'Per-user service',
  'prefs.version': 'Version {version}',
  'prefs.versions-differ': 'The parts have different versions',
  'prefs.versions-differ.line': 'Log out and in again, so that the newer ones are started.',
  'prefs.card-fine': 'Can be handed to a VM.',
  'prefs.card-stays': 'Serves the monitors.',
  'prefs.configuration': 'Configuration, line {line}',
  'prefs.way': 'How apps reach the dGPU',
  'prefs.more': 'More checks',
  'prefs.more.line': 'In a terminal, “gpu-handoff doctor” looks at everything.',
  'prefs.copy': 'Copy the command',
  'prefs.copied': 'Copied',
  'prefs.fine': 'Fine',
  'prefs.wrong': 'To be mended',
  'prefs.not-known': 'Cannot tell',
  'special.single-instance': 'Runs once',
  'special.dbus-activated': 'Started over D-Bus',
  'special.flatpak': 'Flatpak',
  'special.snap': 'Snap',
  'special.appimage': 'AppImage',
  'special.steam-client': 'Steam',
  'special.steam-game': 'Steam game',
  'special.terminal': 'In a terminal',
  'special.prefers-dgpu': 'Asks for the dGPU itself',
  'special.substitutes-user': 'Runs as another user',
} as const;

export type WordKey = keyof typeof WORDS;

/** A sentence before it is said: its key in WORDS and the values for its places. */
export interface Sentence {
  readonly key: WordKey;
  readonly values: Readonly<Record<string, string>>;
}

/** The names of the places in a text: `'card' | 'vm'` of `{card} is in {vm}`. */
type PlacesIn<Text extends string> = Text extends `${string}{${infer Place}}${infer Rest}`
  ? Place | PlacesIn<Rest>
  : never;

type TextOf<Words> = Words extends readonly [infer One, infer Many] ? One | Many : Words;

/** The values that a sentence needs: one for each of its places. */
export type ValuesOf<Key extends WordKey> = Readonly<
  Record<PlacesIn<TextOf<(typeof WORDS)[Key]> & string>, string | number>
>;

/** Arguments for those values: none where the sentence has no places. */
export type ValueArguments<Key extends WordKey> = [keyof ValuesOf<Key>] extends [never]
  ? []
  : [values: ValuesOf<Key>];

/** Gives the translation of an English text; `count` is given where the text has a plural. */
export type Translate = (text: string, plural?: string, count?: number) => string;

const english: Translate = (text, plural, count) =>
  plural !== undefined && count !== undefined && count !== 1 ? plural : text;

/** A sentence from its key; numbers become text. */
export function sentence<Key extends WordKey>(key: Key, ...values: ValueArguments<Key>): Sentence {
  const texts: Record<string, string> = {};
  // Not taken apart in the list of parameters: Qt's engine leaves such a parameter empty, silently.
  const given: Readonly<Record<string, string | number>> = values[0] ?? {};
  for (const name of Object.keys(given)) texts[name] = String(given[name]);
  return { key, values: texts };
}

/** The text of a sentence. Places without a value stay as they are written, so that a fault is seen. */
export function say(what: Sentence, translate: Translate = english): string {
  const template: string | readonly [string, string] = WORDS[what.key];
  const text =
    typeof template === 'string'
      ? translate(template)
      : translate(template[0], template[1], Number(what.values.count ?? '1'));
  const given = Object.keys(what.values);
  return text.replace(/\{([a-z]+)\}/g, (place, name: string) =>
    given.indexOf(name) < 0 ? place : (what.values[name] ?? place),
  );
}

/**
 * Control characters, halves of characters, line separators, the marks that turn the direction of writing, and what
 * is invisible by design. Joiners stay: Persian and families of emoji are written with them.
 */
function isUnprintable(code: number): boolean {
  return (
    code < 0x20 ||
    (code >= 0x7f && code < 0xa0) ||
    code === 0x61c ||
    code === 0x200b ||
    code === 0x200e ||
    code === 0x200f ||
    (code >= 0x2028 && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) ||
    (code >= 0xd800 && code <= 0xdfff) ||
    code === 0xfeff ||
    (code >= 0xfff9 && code <= 0xfffb) ||
    (code >= 0xe0000 && code <= 0xe007f)
  );
}

function shownAs(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (character === '\n') return '\\n';
  if (!isUnprintable(code)) return character;
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/**
 * A name that someone else chose, made safe to print: control characters are shown, not sent to a terminal. At most
 * `longest` UTF-16 units; what is cut ends in an ellipsis, and never within a character.
 */
export function printable(name: string, longest = 80): string {
  let shown = '';
  let cut = '';
  for (const character of name) {
    shown += shownAs(character);
    if (shown.length < longest) cut = shown;
    if (shown.length > longest) return `${cut}…`;
  }
  return shown;
}
