import { describe, expect, test } from 'vitest';
import { HandoffError } from '../../core/src/errors.js';
import { parseDomain } from '../../core/src/linux/domain-xml.js';

const UUID = '4dea22b3-1d52-d8f3-2516-782e98ab3fa0';

function domain(devices: string, name = 'win11', around = ''): string {
  return `<domain type='kvm' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>${name}</name>
  <uuid>${UUID}</uuid>
  ${around}
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    ${devices}
  </devices>
</domain>
`;
}

function hostdev(address: string, more = "managed='yes'"): string {
  return `<hostdev mode='subsystem' type='pci' ${more}>
    <driver name='vfio'/><source><address ${address}/></source>
    <alias name='hostdev0'/><address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/>
  </hostdev>`;
}

const FIRST = "domain='0x0000' bus='0x01' slot='0x00' function='0x0'";

function faultOf(xml: string): HandoffError {
  try {
    parseDomain(xml);
  } catch (fault) {
    if (fault instanceof HandoffError) return fault;
    throw fault;
  }
  throw new Error('it was taken');
}

describe('host devices', () => {
  test('as libvirt writes them', () => {
    expect(parseDomain(domain(hostdev(FIRST)))).toEqual({
      uuid: UUID,
      name: 'win11',
      devices: [{ address: '0000:01:00.0', managed: true }],
      running: null,
    });
  });

  test.each([
    ["bus='1' slot='0' function='1'", '0000:01:00.1'],
    ["domain='0' bus='10' slot='31' function='7'", '0000:0a:1f.7'],
    ["domain='0x0001' bus='0XC1' slot='0x1F' function='0x0'", '0001:c1:1f.0'],
    ["bus='010' slot='00'", '0000:08:00.0'],
    ["domain='0x0000' bus='&#x31;'", '0000:01:00.0'],
  ])('the address %s is %s', (written, address) => {
    expect(parseDomain(domain(hostdev(written))).devices).toEqual([{ address, managed: true }]);
  });

  test.each(["managed='no'", ''])('managed is off with “%s”', (managed) => {
    expect(parseDomain(domain(hostdev(FIRST, managed))).devices[0]?.managed).toBe(false);
  });

  test('a network interface that is a host device', () => {
    const xml = `<interface type='hostdev' managed='yes'>
      <source><address type='pci' domain='0x0000' bus='0x07' slot='0x10' function='0x0'/></source></interface>`;
    expect(parseDomain(domain(xml)).devices).toEqual([{ address: '0000:07:10.0', managed: true }]);
  });

  test('not USB devices, mediated devices, or other interfaces', () => {
    const xml = `<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/></source></hostdev>
      <hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='${UUID}'/></source></hostdev>
      <interface type='network'><source network='default'/></interface>`;
    expect(parseDomain(domain(xml)).devices).toEqual([]);
  });

  test('not what stands elsewhere or in another namespace', () => {
    const xml = domain(
      `<app:hostdev xmlns:app='urn:x' type='pci'>${hostdev(FIRST)}</app:hostdev>`,
      'win11',
      `<metadata><devices>${hostdev(FIRST)}</devices></metadata><!-- ${hostdev(FIRST)} -->`,
    );
    expect(parseDomain(xml).devices).toEqual([]);
  });

  test('all of several lists, each device once', () => {
    const xml = domain(`${hostdev(FIRST)}${hostdev(FIRST)}</devices><devices>${hostdev("bus='2'")}`);
    expect(parseDomain(xml).devices.map((device) => device.address)).toEqual([
      '0000:01:00.0',
      '0000:02:00.0',
    ]);
  });

  test.each([
    "bus='0x100'",
    "slot='32'",
    "function='8'",
    "bus='-1'",
    "bus='1e1'",
    "bus='0x'",
    "bus='08'",
    "domain='0x10000'",
    "bus='../..'",
  ])('the address %s is refused', (written) => {
    expect(faultOf(domain(hostdev(written))).message).toMatch(/no valid (domain|bus|slot|function)$/);
  });

  test('one without an address is refused', () => {
    expect(faultOf(domain("<hostdev type='pci'><source/></hostdev>")).message).toContain('no source address');
  });
});

describe('name and UUID', () => {
  test('entities in the name', () => {
    expect(parseDomain(domain('', 'a&amp;lt;b&#10;&quot;c&apos;&unknown;')).name).toBe(
      'a&lt;b\n"c\'&unknown;',
    );
  });

  test('a name with a newline or with attributes stays as it is', () => {
    expect(parseDomain(domain('', 'two\nlines')).name).toBe('two\nlines');
    expect(parseDomain(domain('').replace('<name>', "<name x='1'>")).name).toBe('win11');
  });

  test.each([UUID.toUpperCase(), UUID.replace(/-/g, ''), `\n ${UUID} `])('the UUID “%s”', (uuid) => {
    expect(parseDomain(domain('').replace(UUID, uuid)).uuid).toBe(UUID);
  });

  test.each([
    [domain('').replace(UUID, '../../etc'), 'no valid UUID'],
    [domain('').replace(/<uuid>.*<\/uuid>/, ''), 'no valid UUID'],
    [domain('', ''), 'no name'],
  ])('without them it is no domain', (xml, why) => {
    expect(faultOf(xml).message).toContain(why);
  });
});

describe('what is no domain', () => {
  test.each([
    '',
    'text',
    '<domain>',
    '<a></b>',
    "<domain a='1' a='2'/>",
    '<domain/><domain/>',
    '<network/>',
    '<__proto__/>',
  ])('%s', (xml) => {
    const fault = faultOf(xml);
    expect(fault.failure).toBe('InvalidArgument');
    expect(fault.message).not.toContain('\n');
  });

  test('a billion laughs', () => {
    const laughs = Array.from({ length: 9 }, (_, n) => `<!ENTITY l${n + 1} "${`&l${n};`.repeat(10)}">`).join(
      '',
    );
    const xml = `<!DOCTYPE domain [<!ENTITY l0 "lol">${laughs}]>${domain('', '&l9;')}`;
    expect(faultOf(xml).message).toContain('document type');
  });

  test('more than 4 MiB', () => {
    expect(faultOf(domain('', 'x'.repeat(4 * 1024 * 1024))).message).toContain('4 MiB');
  });

  test('elements in elements without end', () => {
    expect(faultOf(domain('<a>'.repeat(5000) + '</a>'.repeat(5000))).failure).toBe('InvalidArgument');
  });

  test('a long command line with many entities is a domain', () => {
    const args = "<qemu:arg value='&quot;a&quot;&amp;&lt;'/>".repeat(3000);
    const xml = domain(hostdev(FIRST), 'win11', `<qemu:commandline>${args}</qemu:commandline>`);
    expect(parseDomain(xml).devices).toHaveLength(1);
  });
});
