/**
 * Bundles dbus-next without what this project does not use: its proxies and its service classes (and with them
 * xml2js), connections through a child process (event-stream), file descriptors (usocket), the look for a session bus
 * through X11 (x11), and the polyfills for a Node without BigInt (jsbi, long). What remains is the wire format and the
 * connection.
 *
 * Whoever serves on the bus answers every call with a method handler of its own; what no handler takes is answered
 * as an unknown method.
 *
 * Commander comes through here as well, since it is written for require() like dbus-next.
 */

/** Stand-ins by the name that is required. Each throws when it is used, but is no fault while it is not. */
const STAND_INS = {
  xml2js: `
    const no = () => { throw new Error('Proxies and XML by introspection are not part of this bundle'); };
    exports.Builder = class { buildObject() { no(); } };
    exports.Parser = class { parseString() { no(); } };
  `,
  'event-stream': `throw new Error('unixexec: addresses are not part of this bundle');`,
  x11: `module.exports = null;`,
  jsbi: `exports.BigInt = () => { throw new Error('Node has BigInt'); };`,
  // Takes the abstract addresses, too, which the library hands to usocket; Node 20 connects to them by itself.
  usocket: `
    exports.USocket = function (options) {
      return process.getBuiltinModule('net').createConnection({ path: options.path });
    };
  `,
  'safe-buffer': `module.exports = process.getBuiltinModule('buffer');`,
  long: `
    module.exports = class Long {
      constructor(low, high, unsigned) {
        this.low = low | 0;
        this.high = high | 0;
        this.unsigned = unsigned === true;
      }
      static fromString(text) {
        const bits = BigInt.asUintN(64, BigInt(text));
        return new Long(Number(bits & 0xffffffffn), Number(bits >> 32n), true);
      }
      toString() {
        const bits = (BigInt(this.high >>> 0) << 32n) | BigInt(this.low >>> 0);
        return (this.unsigned ? bits : BigInt.asIntN(64, bits)).toString();
      }
    };
  `,
  // Loading the whole of it takes longer than everything else together.
  assert: `
    module.exports = (value, message) => { if (!value) throw new Error(message ?? 'assertion failed'); };
    module.exports.strictEqual = (a, b, message) => module.exports(a === b, message);
  `,
  // Only for an authentication by cookie; a local bus authenticates by the socket's credentials.
  crypto: `
    const crypto = () => process.getBuiltinModule('crypto');
    exports.createHash = (name) => crypto().createHash(name);
    exports.randomBytes = (count) => crypto().randomBytes(count);
  `,
  // Commander starts subcommands that are programs of their own with it; dbus-next only for unixexec: addresses.
  child_process: `exports.spawn = (...how) => process.getBuiltinModule('child_process').spawn(...how);`,
};

/** The library's own files that are left out, by what is required. */
const LEFT_OUT = {
  './service/handlers': `module.exports = () => false;`,
  './service/object': `module.exports = class {};`,
  './lib/service/interface': `module.exports = {};`,
  './client/proxy-object': `module.exports = class {};`,
};

const BUILTINS = ['events', 'fs', 'net', 'os', 'path', 'process'];
const LIBRARIES = /[\\/]node_modules[\\/](commander|dbus-next|@nornagon[\\/]put)[\\/]/;

/** The esbuild plugin. It acts only on what these libraries require. */
export function slimDbusNext() {
  return {
    name: 'slim-dbus-next',
    setup(build) {
      const names = [...Object.keys(STAND_INS), ...BUILTINS].join('|');
      build.onResolve({ filter: new RegExp(`^(node:)?(${names})$`) }, ({ path, importer }) =>
        LIBRARIES.test(importer)
          ? { path: path.replace(/^node:/, ''), namespace: 'slim-dbus-next', sideEffects: false }
          : undefined,
      );
      build.onResolve({ filter: /^\.\/(lib\/)?(service|client)\// }, ({ path, importer }) =>
        LIBRARIES.test(importer) && path in LEFT_OUT
          ? { path, namespace: 'slim-dbus-next', sideEffects: false }
          : undefined,
      );
      build.onLoad({ filter: /.*/, namespace: 'slim-dbus-next' }, ({ path }) => ({
        // An ES module has no require(); this way the bundle needs none.
        contents:
          STAND_INS[path] ?? LEFT_OUT[path] ?? `module.exports = process.getBuiltinModule('${path}');`,
        loader: 'js',
      }));
    },
  };
}
