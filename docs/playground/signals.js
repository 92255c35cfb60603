// The data: signals of mnist1d (Greydanus & Kobak 2024), drawn as its package draws them with NumPy,
// and split as `lthlab.data` splits them. MNIST1D, the templates of the ten classes and the settings,
// is written in here from the package when the page is built.
import { Generator, seedFor } from "./random.js";

export const FEATURES = 40;
export const CLASSES = 10;
const BELL = Array.from({ length: 17 }, (_, i) => Math.exp(-((i - 8) ** 2) / 8));
const TOTAL = BELL.reduce((sum, weight) => sum + weight);
BELL.forEach((weight, i) => (BELL[i] = weight / TOTAL));
const COUNTS = { all: 12_000, test: 2_000, validation: 2_000 };

/** The draws of numpy.random's older functions. */
class NumpyRandom extends Generator {
  uniform() {
    const [high, low] = [this.random() >>> 5, this.random() >>> 6];
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /** A whole number from 0 to the largest. */
  upTo(largest) {
    const bits = 2 ** Math.ceil(Math.log2(largest + 1)) - 1;
    let value;
    do value = this.random() & bits;
    while (value > largest);
    return value;
  }

  normal() {
    if (this.spare !== undefined) {
      const spare = this.spare;
      this.spare = undefined;
      return spare;
    }
    let x, y, square;
    do {
      x = 2 * this.uniform() - 1;
      y = 2 * this.uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const factor = Math.sqrt((-2 * Math.log(square)) / square);
    this.spare = factor * x;
    return factor * y;
  }

  normals(n, scale) {
    return Array.from({ length: n }, () => scale * this.normal());
  }
}

/** n numbers from 0 to 1. */
const linear = (n) => Array.from({ length: n }, (_, i) => (i < n - 1 ? i * (1 / (n - 1)) : 1));

/** A signal at n points that are equally far from each other. */
function resample(values, n) {
  const [known, wanted] = [linear(values.length), linear(n)];
  let i = 0;
  return wanted.map((x) => {
    while (known[i + 1] <= x) i++;
    if (known[i] === x) return values[i];
    return ((values[i + 1] - values[i]) / (known[i + 1] - known[i])) * (x - known[i]) + values[i];
  });
}

/** A Gaussian filter of width 2, eight values to each side; the ends are mirrored. */
function smooth(values) {
  const ends = [values.slice(0, 8).reverse(), values.slice(-8).reverse()];
  const mirrored = [...ends[0], ...values, ...ends[1]];
  return values.map((_, i) => {
    let sum = 0;
    for (let j = 0; j < 17; j++) sum += BELL[j] * mirrored[i + j];
    return sum;
  });
}

/** One signal: a template, padded, stretched, shifted, with noise, tilted and sampled again. */
function draw(template, random, settings) {
  const [low, high] = settings.padding;
  const padding = low + Math.floor(random.uniform() * (high - low + 1));
  const padded = [...template.map((value) => value + 1e-8), ...Array(padding).fill(0)];
  const length = settings.template_len + high;
  const scale = 1 + settings.scale_coeff * (random.uniform() - 0.5);
  const whole = resample(padded, length).map((value) => value * scale);
  const shift = random.upTo(settings.max_translation - 1);
  const shifted = [...whole.slice(length - shift), ...whole.slice(0, length - shift)];
  const correlated = smooth(random.normals(length, settings.corr_noise_scale));
  const noise = random.normals(length, settings.iid_noise_scale);
  const tilt = settings.shear_scale * (random.uniform() - 0.5);
  const steps = linear(length);
  const noisy = shifted.map(
    (value, i) => (value === 0 ? correlated[i] : value) + noise[i] - tilt * (steps[i] - 0.5),
  );
  return resample(noisy, FEATURES);
}

function meanAndStd(values) {
  let [sum, squares] = [0, 0];
  for (const value of values) sum += value;
  const mean = sum / values.length;
  for (const value of values) squares += (value - mean) ** 2;
  return [mean, Math.sqrt(squares / values.length)];
}

/** The three splits, normalised: {train: {x, y}, validation, test}. */
export function makeSignals() {
  const random = new NumpyRandom(MNIST1D.seed);
  const each = COUNTS.all / CLASSES;
  const drawn = [];
  for (const template of MNIST1D.templates)
    for (let i = 0; i < each; i++) drawn.push(draw(template, random, MNIST1D));
  const order = Int32Array.from(drawn.keys());
  for (let i = order.length - 1; i > 0; i--) swap(order, i, random.upTo(i));
  const [mean, std] = meanAndStd(drawn.flat());
  const rows = Array.from(order, (n) => Float32Array.from(drawn[n], (x) => (x - mean) / std));
  const label = (example) => Math.floor(order[example] / each);

  // Validation: of every class the first examples in an order of lthlab's own.
  const known = COUNTS.all - COUNTS.test;
  const taken = Array(CLASSES).fill(0);
  const byTurn = [...new Generator(seedFor(0, "validation split")).permutation(known)]
    .map((example) => ({ example, turn: taken[label(example)]++ }))
    .sort((a, b) => a.turn - b.turn || a.example - b.example);
  const validation = byTurn.slice(0, COUNTS.validation).map(({ example }) => example);
  const held = new Set(validation);
  const all = [...rows.keys()];
  const train = all.filter((example) => example < known && !held.has(example));

  const flat = (examples) => {
    const x = new Float32Array(examples.length * FEATURES);
    examples.forEach((example, i) => x.set(rows[example], i * FEATURES));
    return x;
  };
  const [middle, width] = meanAndStd(flat(train)).map(Math.fround);
  const split = (examples) => ({
    x: flat(examples).map((x) => Math.fround(x - middle) / width),
    y: Uint8Array.from(examples, label),
  });
  return { train: split(train), validation: split(validation), test: split(all.slice(known)) };
}

function swap(array, i, j) {
  const value = array[i];
  array[i] = array[j];
  array[j] = value;
}
