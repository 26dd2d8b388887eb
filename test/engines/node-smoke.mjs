// Node runs the calls; its answer is what the other engines are compared with.
import { readFileSync } from 'node:fs';
import * as Core from '../core/core.mjs';
import { runCalls } from './calls.mjs';

const calls = JSON.parse(readFileSync('/smoke/calls.json', 'utf8'));
process.stdout.write(runCalls((name, args) => Reflect.get(Core, name)(...args), calls));
