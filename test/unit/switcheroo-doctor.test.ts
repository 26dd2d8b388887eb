import { expect, test } from 'vitest';
import { switcherooCheck } from '../../cli/src/doctor/launching.js';
import type { SwitcherooFacts, SwitcherooGpu } from '../../core/src/switcheroo.js';

const SESSION = { XDG_CURRENT_DESKTOP: 'GNOME', VK_LOADER_DRIVERS_DISABLE: '*nvidia*' };

function facts(
  more: Partial<SwitcherooFacts>,
  environment: Readonly<Record<string, string>> = {},
): SwitcherooFacts {
  const gpu = (name: string, isDefault: boolean, own: SwitcherooGpu['environment']): SwitcherooGpu => ({
    ...{ name, isDefault, environment: own, discrete: null },
  });
  const stock = { __GLX_VENDOR_LIBRARY_NAME: 'nvidia', __NV_PRIME_RENDER_OFFLOAD: '1' };
  return {
    ...{ owner: 'switcheroo', ownerName: 'switcheroo-control', failure: '' },
    gpus: [gpu('Intel', true, {}), gpu('GeForce', false, { ...stock, ...environment })],
    ...more,
  };
}

// What the real daemons answer is tested on a bus.
test.each([
  [
    'that does not answer',
    facts({ failure: 'no answer within 3 s', gpus: [] }),
    'cannot-tell',
    /no answer within 3 s/,
  ],
  [
    'that sees no second card',
    facts({ gpus: facts({}).gpus.slice(0, 1) }),
    'cannot-tell',
    /^It runs, but sees only one/,
  ],
  [
    'with an empty list of EGL vendors',
    facts({}, { __EGL_VENDOR_LIBRARY_FILENAMES: '', VK_LOADER_DRIVERS_SELECT: '*' }),
    'differs',
    /^It runs, patched so that apps still do not reach the card\..*patched wrongly/,
  ],
  ['as it comes', facts({}), 'differs', /^It runs \(version 2\.6 or older\)\..*by Vulkan\.$/],
] as const)('a switcheroo-control %s', (_, found, result, sentence) => {
  const check = switcherooCheck(found, SESSION, []);
  expect(check).toMatchObject({ id: 'switcheroo', result });
  expect(check.sentence).toMatch(sentence);
  expect(check.advice).toMatch(/\.$/);
});

test('2.6 as it comes is no fault where the session keeps no app off the card', () => {
  expect(switcherooCheck(facts({}), { XDG_CURRENT_DESKTOP: 'GNOME' }, [])).toMatchObject({
    result: 'ok',
    advice: null,
  });
});
