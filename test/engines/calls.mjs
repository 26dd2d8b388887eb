// Runs the same calls in every engine; plain ES2016, since Qt's reads it too.

/**
 * Calls a module's functions one after another and gives what they return, as JSON with one entry per call.
 * At any depth of an argument, `{"$result": "name"}` stands for what the call with `"as": "name"` returned,
 * `{"$constant": value}` for a function that returns the value, `{"$map": [[key, value], ...]}` for a Map.
 * @param {(name: string, args: unknown[]) => unknown} invoke calls the module's function of that name
 * @param {{call: string, as?: string, args: unknown[]}[]} calls
 * @returns {string}
 */
export function runCalls(invoke, calls) {
  const results = {};
  const fill = (value) => {
    if (value === null || typeof value !== 'object') {
      return value;
    }
    if (Array.isArray(value)) {
      return value.map(fill);
    }
    if (typeof value.$result === 'string') {
      return results[value.$result];
    }
    if ('$constant' in value) {
      return () => value.$constant;
    }
    if (Array.isArray(value.$map)) {
      return new Map(value.$map.map(fill));
    }
    const filled = {};
    for (const key of Object.keys(value)) {
      filled[key] = fill(value[key]);
    }
    return filled;
  };
  const lines = calls.map((step) => {
    const entry = { call: step.call };
    try {
      const result = invoke(step.call, fill(step.args));
      if (step.as !== undefined) {
        results[step.as] = result;
      }
      entry.result = result;
    } catch (error) {
      entry.error = String(error);
    }
    return JSON.stringify(entry);
  });
  return `[\n${lines.join(',\n')}\n]\n`;
}
