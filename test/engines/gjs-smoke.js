// GNOME Shell's engine runs the calls.
import GLib from 'gi://GLib';
import * as Core from '../core/core.mjs';
import { runCalls } from './calls.mjs';

const [, bytes] = GLib.file_get_contents('/smoke/calls.json');
const calls = JSON.parse(new TextDecoder().decode(bytes));
const answer = runCalls((name, args) => Reflect.get(Core, name)(...args), calls);
GLib.file_set_contents('/tmp/gjs.json', new TextEncoder().encode(answer));
