const SYSTEM_BUS = 'unix:path=/run/dbus/system_bus_socket';

/** The address of the bus to talk to: the one that was asked for, or the system bus. */
export function addressOf(wanted: string | null): string {
  return wanted ?? process.env.DBUS_SYSTEM_BUS_ADDRESS ?? SYSTEM_BUS;
}
