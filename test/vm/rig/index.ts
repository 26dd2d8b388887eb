/** The proving machine, for tests: `import { ensureImage, Machine } from './rig/index.js'`. */
export { CommandError, type CommandOptions, type CommandResult, GuestProcess, Shell } from './agent.js';
export { Guest, type GuestBehaviour, type GuestSpec, guestXml } from './guests.js';
export { type Card, type CardKind, DGPU, DGPU_SOUND, type HardwareOptions, IGPU } from './hardware.js';
export { type Holder, type HoldMode, hold } from './holders.js';
export { ensureImage, type Image } from './image.js';
export { type BootOptions, Machine, Session } from './machine.js';
export { until } from './process.js';
