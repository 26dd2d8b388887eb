// The GNOME extension in the Debian package: for all users, with its schema and translations where the system's are.
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const UUID = 'gpu-handoff@gpuhandoff.github.io';
const SCHEMA = 'org.gnome.shell.extensions.gpu-handoff.gschema.xml';

/** `dist` is the folder of the built parts, `stage` the root of the installed system. */
export function stageGnomeExtension(dist, stage) {
  const folder = join(stage, 'usr/share/gnome-shell/extensions', UUID);
  const schemas = join(stage, 'usr/share/glib-2.0/schemas');
  mkdirSync(folder, { recursive: true });
  mkdirSync(schemas, { recursive: true });
  cpSync(join(dist, 'gnome-extension', UUID), folder, { recursive: true });
  cpSync(join(folder, 'schemas', SCHEMA), join(schemas, SCHEMA));
  // Where these are, an extension looks for nothing else; the schema there would have to be compiled by hand.
  for (const part of ['schemas', 'locale', 'LICENSE'])
    rmSync(join(folder, part), { recursive: true, force: true });
}
