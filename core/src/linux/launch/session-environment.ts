/** The environment of an app that a service starts: the session's, not the service's own. */
import type { Environment } from './folders.js';

/** What systemd, the bus and the launcher's shell give to a service alone. */
const OF_SERVICES = [
  'CACHE_DIRECTORY',
  'CONFIGURATION_DIRECTORY',
  'DBUS_STARTER_ADDRESS',
  'DBUS_STARTER_BUS_TYPE',
  'DESKTOP_STARTUP_ID',
  'GIO_LAUNCHED_DESKTOP_FILE',
  'GIO_LAUNCHED_DESKTOP_FILE_PID',
  'INVOCATION_ID',
  'JOURNAL_STREAM',
  'LISTEN_FDNAMES',
  'LISTEN_FDS',
  'LISTEN_PID',
  'LOGS_DIRECTORY',
  'MAINPID',
  'MANAGERPID',
  'MANAGERPIDFDID',
  'MEMORY_PRESSURE_WATCH',
  'MEMORY_PRESSURE_WRITE',
  'NOTIFY_SOCKET',
  'OLDPWD',
  'PIDFILE',
  'PWD',
  'RUNTIME_DIRECTORY',
  'SHLVL',
  'STATE_DIRECTORY',
  'SYSTEMD_EXEC_PID',
  'TRIGGER_PATH',
  'TRIGGER_UNIT',
  'WATCHDOG_PID',
  'WATCHDOG_USEC',
  'XDG_ACTIVATION_TOKEN',
  '_',
];

/** What every process of the user has; systemd gives it to services also where the manager does not list it. */
const OF_EVERYBODY = [
  'DBUS_SESSION_BUS_ADDRESS',
  'HOME',
  'LANG',
  'LOGNAME',
  'PATH',
  'SHELL',
  'USER',
  'XDG_RUNTIME_DIR',
];

/** `NAME=value` as the manager lists them; a line without a name is none. */
function fromList(list: readonly string[]): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const line of list) {
    const equals = line.indexOf('=');
    if (equals > 0) environment[line.slice(0, equals)] = line.slice(equals + 1);
  }
  return environment;
}

/**
 * `manager`: the environment that the user's manager has now, which sessions keep up to date; null where there is no
 * manager, and then it is the one that we were started with.
 */
export function sessionEnvironment(
  manager: readonly string[] | null,
  own: Environment,
): Record<string, string> {
  const environment: Record<string, string> = manager === null ? {} : fromList(manager);
  for (const name of manager === null ? Object.keys(own) : OF_EVERYBODY) {
    const value = own[name];
    if (value !== undefined) environment[name] ??= value;
  }
  for (const name of OF_SERVICES) delete environment[name];
  return environment;
}
