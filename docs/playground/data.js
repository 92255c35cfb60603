// The signals of mnist1d as `docs/build_playground.py` writes them: two characters for each value.
import { FEATURES } from "./network.js";

export function decode(signals) {
  if (!signals?.splits) throw new Error("The signals (signals.js) did not load.");
  const { low, step, splits } = signals;
  // The characters from # to ~ without the backslash are the digits 0 to 90.
  const digit = (code) => code - (code < 92 ? 35 : 36);
  const decoded = {};
  for (const [name, { x, y }] of Object.entries(splits)) {
    if (x.length !== 2 * FEATURES * y.length) throw new Error(`The signals for ${name} are cut off.`);
    const values = new Float32Array(x.length / 2);
    for (let i = 0; i < values.length; i++)
      values[i] = low + step * (91 * digit(x.charCodeAt(2 * i)) + digit(x.charCodeAt(2 * i + 1)));
    decoded[name] = { x: values, y: Uint8Array.from(y, Number) };
  }
  return decoded;
}
