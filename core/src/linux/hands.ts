import { reasonOf } from '../errors.js';
import { type Act, ActError, type Hands } from '../machine.js';
import { type Run, runChild } from './child.js';
import { blockModules, loadModules, unblockModules, unloadModule } from './hands-modules.js';
import { maskNodes, unmaskNodes } from './hands-nodes.js';
import { startServices, stopServices } from './hands-services.js';
import { signalProcess } from './hands-signal.js';
import { probe, setOverride, setPower, unbind } from './hands-sysfs.js';
import { actOnVm } from './hands-vm.js';
import type { Tools } from './tools.js';

/** The hands of a real machine, whose files begin at `root`. */
export function realHands(root = '/', run: Run = runChild): Hands {
  return {
    async perform(act, limitMs) {
      const until = performance.now() + limitMs;
      const left = () => Math.max(1, Math.round(until - performance.now()));
      try {
        await perform({ root, run, left }, act);
      } catch (fault) {
        // A full /run, a read-only /dev: no kind of its own.
        throw fault instanceof ActError ? fault : new ActError('failed', reasonOf(fault));
      }
    },
  };
}

async function perform(tools: Tools, act: Act): Promise<void> {
  switch (act.do) {
    case 'set-power':
      return setPower(tools, act.addresses, act.control);
    case 'set-override':
      return setOverride(tools, act.addresses, act.driver);
    case 'block-modules':
      return blockModules(tools, act.modules);
    case 'unblock-modules':
      return unblockModules(tools);
    case 'mask-nodes':
      return maskNodes(tools, act.nodes);
    case 'unmask-nodes':
      return unmaskNodes(tools, act.nodes);
    case 'stop-services':
      return stopServices(tools, act.units);
    case 'start-services':
      return startServices(tools, act.units);
    case 'unload-module':
      return unloadModule(tools, act.module);
    case 'load-modules':
      return loadModules(tools, act.modules);
    case 'unbind':
      return unbind(tools, act.address, act.driver);
    case 'probe':
      return probe(tools, act.addresses);
    case 'start-vm':
      return actOnVm(tools, 'start', act.uuid);
    case 'shutdown-vm':
      return actOnVm(tools, 'shutdown', act.uuid);
    case 'destroy-vm':
      return actOnVm(tools, 'destroy', act.uuid);
    case 'signal-process':
      return signalProcess(tools, act.pid, act.startTicks, act.signal);
  }
}
