/** Opening and closing the connection to the helper around a command. */
import { HandoffError } from '../../core/src/errors.js';
import { ManagerClient } from './bus/client.js';
import type { Context } from './context.js';
import { UsageError } from './failure.js';

/** Runs a piece of work with a connection, which is closed afterwards. */
export async function withHelper<T>(
  context: Context,
  work: (client: ManagerClient) => Promise<T>,
): Promise<T> {
  const { bus, simulate } = context.options;
  // The simulated workstation may have a helper on a bus of its own; this machine's is never meant.
  if (simulate !== null && bus === null)
    throw new UsageError('A simulated workstation can only be read: give --bus for the helper that runs it.');
  const client = await ManagerClient.connect(bus);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

/** The same, but null where the helper cannot be had, so that the command can look by itself. */
export async function withHelperOrNull<T>(
  context: Context,
  work: (client: ManagerClient) => Promise<T>,
): Promise<T | null> {
  if (context.options.simulate !== null) return null;
  try {
    return await withHelper(context, work);
  } catch (fault) {
    if (fault instanceof HandoffError && fault.failure === 'HelperAbsent') return null;
    throw fault;
  }
}
