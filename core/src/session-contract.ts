/**
 * The D-Bus contract of the per-user service, written once: the service, the clients, the introspection XML and
 * docs/dbus.md all come from this table, and a test compares them with the live service.
 *
 * Inputs are only `s a{sv}` (Plasma's D-Bus module cannot send structs); outputs may be arrays of `a{sv}`.
 */
import { interfaceXml, type MethodSpec, type PropertySpec } from './contract.js';

export const SESSION = {
  bus: 'session',
  name: 'io.github.gpuhandoff.Session1',
  path: '/io/github/gpuhandoff/Session1',
  interface: 'io.github.gpuhandoff.Session1',
} as const;

export const SESSION_METHODS = {
  ListApps: {
    in: [{ name: 'options', type: 'a{sv}' }],
    out: [{ name: 'apps', type: 'aa{sv}' }],
    doc: 'Every app with an entry in the menus, and every app with a choice: id s, name s, icon s, choice s (offer, always, never, untouched), shown b (stands in the menus), special as (single-instance, dbus-activated, flatpak, snap, appimage, steam-client, steam-game, terminal, prefers-dgpu, substitutes-user), problem s (why no entry can be made of it), warning s, state s (empty, in-place, edited, stale). Options: locale s, in which the names are wanted; stay b, which keeps the service running, and telling of changes, for as long as the caller stays on the bus.',
  },
  SetChoice: {
    in: [
      { name: 'id', type: 's' },
      { name: 'choice', type: 's' },
      { name: 'options', type: 'a{sv}' },
    ],
    out: [{ name: 'result', type: 'a{sv}' }],
    doc: 'Keeps a choice for an app and makes its entry follow at once. Result: state s (empty, in-place, edited, stale), sentence s (what kept the entry from following), warning s, failed b (a file could not be written).',
  },
  Launch: {
    in: [
      { name: 'id', type: 's' },
      { name: 'options', type: 'a{sv}' },
    ],
    out: [{ name: 'result', type: 'a{sv}' }],
    doc: 'Starts an app now, whatever its choice is. Options: on s (dgpu, the default, or igpu), card s (PCI address of one of several dGPUs), action s (one of the entry’s own actions), files as (paths or URIs), activation-token s. Result: pid u, on s (the GPU on which it really runs), warning s.',
  },
  Sync: {
    in: [{ name: 'options', type: 'a{sv}' }],
    out: [{ name: 'report', type: 'a{sv}' }],
    doc: 'Makes all entries follow the choices and the apps that are installed. Report: changes aa{sv} (id s, what s: written, removed or restored, sentence s), problems aa{sv} (id s, sentence s), notes as (sentences beside single apps), failed b (something could not be written).',
  },
  Undo: {
    in: [{ name: 'options', type: 'a{sv}' }],
    out: [{ name: 'report', type: 'a{sv}' }],
    doc: 'Gives back what was there before, and forgets the choice. Options: all b, or id s. The report is that of Sync: changes aa{sv} (id s, what s, sentence s), problems aa{sv} (id s, sentence s), notes as, failed b.',
  },
} as const satisfies Record<string, MethodSpec>;

export type SessionMethodName = keyof typeof SESSION_METHODS;

export const SESSION_PROPERTIES = {
  Version: { type: 's', doc: 'Version of the service.' },
  Way: {
    type: 's',
    doc: 'How an entry makes its app run on the dGPU: wrapper (its command begins with the wrapper) or switcheroo (it asks the desktop for the dGPU).',
  },
  WayReason: { type: 's', doc: 'Why that way is in use, in one sentence.' },
  Revision: { type: 'u', doc: 'Goes up when ListApps would answer differently.' },
} as const satisfies Record<string, PropertySpec>;

export type SessionPropertyName = keyof typeof SESSION_PROPERTIES;

/** The introspection XML of the interface, as the service answers it. */
export function sessionIntrospectionXml(): string {
  return interfaceXml(SESSION.interface, SESSION_METHODS, SESSION_PROPERTIES);
}
