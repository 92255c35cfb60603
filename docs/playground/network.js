// A fully connected network of lthlab (`models.MLP`), its training and its masks. What a step costs
// goes with the weights that are kept: the pruned ones are in no loop.
import { Generator, seedFor } from "./random.js";
import { CLASSES, FEATURES } from "./signals.js";
import { accumulate, allocate, B, block, products, rectify, release, ROW } from "./kernels.js";

export const RECIPE = { lr: 0.1, momentum: 0.9, batch: B, epochs: 20 }; // recipe_for("mlp-...")
const RATES = { hidden: 0.2, output: 0.1 };
const REDRAWN = 1_000_000; // lthlab builds the reinitialised network with this seed more

/** The layers of "mlp-32-32": fc1, fc2, out. */
export function layersOf(network) {
  const hidden = network.split("-").slice(1).map(Number);
  const sizes = [FEATURES, ...hidden, CLASSES];
  return sizes.slice(1).map((outputs, i) => ({
    inputs: sizes[i],
    outputs,
    size: sizes[i] * outputs,
    rate: i < hidden.length ? RATES.hidden : RATES.output,
  }));
}

/** The initial weights, one Float32Array for each layer; all biases begin at 0. */
export function initialWeights(network, seed) {
  const layers = layersOf(network);
  const generator = new Generator(seedFor(seed, "initialisation"));
  // torch draws values of its own when it makes a layer; lthlab puts Glorot's in their place.
  for (const { size, outputs } of layers) generator.skip(size + outputs);
  return layers.map(({ size, inputs, outputs }) =>
    generator.normal(size, Math.sqrt(2 / (inputs + outputs))),
  );
}

export const redrawnWeights = (network, seed) => initialWeights(network, REDRAWN + seed);

/** Of each initial value only its sign is left; all sizes in a layer are the same. */
export function onlySigns(weights) {
  return weights.map((layer) => {
    const mean = layer.reduce((sum, w) => sum + w, 0) / layer.length;
    const squares = layer.reduce((sum, w) => sum + (w - mean) ** 2, 0);
    const std = Math.sqrt(squares / (layer.length - 1));
    return layer.map((w) => Math.sign(w) * std);
  });
}

export const fullMasks = (network) =>
  layersOf(network).map(({ size }) => new Uint8Array(size).fill(1));

export const count = (mask) => mask.reduce((sum, kept) => sum + kept, 0);

export function density(masks) {
  const total = masks.reduce((sum, mask) => sum + mask.length, 0);
  return masks.reduce((sum, mask) => sum + count(mask), 0) / total;
}

/** Drop the smallest of the kept weights of each layer: among equal ones those that come first. */
export function prune(weights, masks, network) {
  return layersOf(network).map(({ rate }, i) => {
    const kept = [];
    masks[i].forEach((keep, k) => keep && kept.push(k));
    const size = (k) => Math.abs(weights[i][k]);
    kept.sort((a, b) => size(a) - size(b) || a - b);
    const mask = masks[i].slice();
    for (const k of kept.slice(0, roundHalfToEven(rate * kept.length))) mask[k] = 0;
    return mask;
  });
}

function roundHalfToEven(x) {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low % 2) : Math.round(x);
}

/** As many kept weights in each layer, in other places. */
export function shuffleMasks(masks, seed) {
  const generator = new Generator(seedFor(seed, "mask shuffle"));
  return masks.map((mask) => Uint8Array.from(generator.permutation(mask.length), (k) => mask[k]));
}

/** Training from some weights, under masks, in the order of examples that belongs to the seed.
 *
 * There is one at a time: a new one takes the memory of the one before. */
export class Training {
  constructor(data, network, seed, masks, weights) {
    release();
    Object.assign(this, { data, seed, masks, step: 0 });
    this.perEpoch = Math.floor(data.train.y.length / B);
    this.steps = this.perEpoch * RECIPE.epochs;
    this.layers = layersOf(network).map((layer, i) => new Layer(layer, masks[i], weights[i]));
    this.input = allocate(Float32Array, FEATURES * B);
    this.labels = new Uint8Array(B);
  }

  /** One step of SGD with momentum; returns the loss of the batch before it. */
  advance() {
    const loss = this.differentiate(this.step);
    const lr = (RECIPE.lr * (1 + Math.cos((Math.PI * this.step) / this.steps))) / 2;
    for (const layer of this.layers) layer.update(lr, RECIPE.momentum);
    this.step++;
    return loss;
  }

  /** The loss of a step's batch; the gradients are left in the layers. */
  differentiate(step) {
    const [epoch, batch] = [Math.floor(step / this.perEpoch), step % this.perEpoch];
    if (epoch !== this.epoch) {
      this.epoch = epoch;
      const generator = new Generator(seedFor(this.seed, "data order", epoch));
      this.order = generator.permutation(this.data.train.y.length);
    }
    this.look(this.data.train, this.order, batch * B);
    const loss = crossEntropy(this.forward(), this.labels, this.layers.at(-1).gradient);
    for (let i = this.layers.length - 1; i >= 0; i--) {
      const below = this.layers[i - 1];
      this.layers[i].backward(below ? below.output : this.input, below?.gradient);
    }
    return loss;
  }

  /** The fraction of a split whose class is named right. */
  accuracy(split) {
    let right = 0;
    for (let first = 0; first < split.y.length; first += B) {
      this.look(split, null, first);
      const logits = this.forward();
      for (let b = 0; b < B; b++) {
        let best = 0;
        for (let c = 1; c < CLASSES; c++) if (logits[c * B + b] > logits[best * B + b]) best = c;
        right += best === this.labels[b];
      }
    }
    return right / split.y.length;
  }

  /** The weights as they are now, 0 where they are pruned. */
  weights() {
    return this.layers.map((layer) => layer.dense(layer.weight));
  }

  biases() {
    return this.layers.map((layer) => Float32Array.from(layer.bias));
  }

  look(split, order, first) {
    const { x, y } = split;
    const { input, labels } = this;
    for (let b = 0; b < B; b++) {
      const example = order ? order[first + b] : first + b;
      labels[b] = y[example];
      for (let j = 0, from = example * FEATURES; j < FEATURES; j++) input[j * B + b] = x[from + j];
    }
  }

  forward() {
    let signal = this.input;
    for (const layer of this.layers) {
      layer.forward(signal, layer !== this.layers.at(-1));
      signal = layer.output;
    }
    return signal;
  }
}

/** The mean cross-entropy of a batch; its gradient by the logits is left in `gradient`. */
function crossEntropy(logits, labels, gradient) {
  let loss = 0;
  for (let b = 0; b < B; b++) {
    let largest = logits[b];
    for (let n = b + B; n < CLASSES * B; n += B) if (logits[n] > largest) largest = logits[n];
    let sum = 0;
    for (let n = b; n < CLASSES * B; n += B) {
      const share = Math.exp(logits[n] - largest);
      gradient[n] = share;
      sum += share;
    }
    const right = labels[b] * B + b;
    for (let n = b; n < CLASSES * B; n += B) gradient[n] /= sum * B;
    gradient[right] -= 1 / B;
    loss += Math.log(sum) + largest - logits[right];
  }
  return loss / B;
}

/** The kept weights of a layer, row by row (CSR), and again ordered by input for the way back. */
class Layer {
  constructor({ inputs, outputs }, mask, weights) {
    const place = []; // of each kept weight in the whole matrix
    mask.forEach((keep, k) => keep && place.push(k));
    const byInput = [...place.keys()].sort((a, b) => (place[a] % inputs) - (place[b] % inputs));
    const integers = (values) => {
      const array = allocate(Int32Array, values.length);
      array.set(values);
      return array;
    };
    const floats = (length) => allocate(Float32Array, length);
    Object.assign(this, {
      inputs, outputs, place, byInput,
      rows: starts(place.map((k) => Math.floor(k / inputs)), outputs),
      inputRows: starts(byInput.map((n) => place[n] % inputs), inputs),
      // Where the rows of the other side's numbers begin, in bytes.
      columns: integers(place.map((k) => ROW * (k % inputs))),
      outputsOf: integers(byInput.map((n) => ROW * Math.floor(place[n] / inputs))),
      every: integers([...Array(outputs).keys()].map((i) => ROW * i)),
      ones: floats(B).fill(1),
      weight: floats(place.length),
      weightGradient: floats(place.length),
      weightMomentum: new Float32Array(place.length),
      turned: floats(place.length), // the weights in the order by input
      bias: new Float32Array(outputs),
      biasGradient: floats(outputs),
      biasMomentum: new Float32Array(outputs),
      output: floats(outputs * B),
      gradient: floats(outputs * B), // of the output
    });
    this.weight.set(place.map((k) => weights[k]));
  }

  forward(input, rectified) {
    const { output, bias, rows } = this;
    for (let i = 0; i < this.outputs; i++) {
      output.fill(bias[i], i * B, (i + 1) * B);
      addRows(output, i, input, this.columns, this.weight, rows);
    }
    if (rectified) rectify(output.byteOffset, output.length / 4);
  }

  /** Gradients of this layer from that of its output; and of its input, unless it is the first. */
  backward(input, inputGradient) {
    const { gradient, weight, weightGradient, turned, byInput, columns, rows } = this;
    const [from, ones] = [gradient.byteOffset, this.ones.byteOffset];
    products(this.biasGradient.byteOffset, ones, from, this.every.byteOffset, this.outputs);
    for (let i = 0; i < this.outputs; i++) {
      const to = weightGradient.byteOffset + 4 * rows[i];
      const offsets = columns.byteOffset + 4 * rows[i];
      products(to, from + ROW * i, input.byteOffset, offsets, rows[i + 1] - rows[i]);
    }
    if (!inputGradient) return;
    for (let n = 0; n < turned.length; n++) turned[n] = weight[byInput[n]];
    inputGradient.fill(0);
    for (let j = 0; j < this.inputs; j++)
      addRows(inputGradient, j, gradient, this.outputsOf, turned, this.inputRows);
    block(inputGradient.byteOffset, input.byteOffset, input.length / 4);
  }

  update(lr, momentum) {
    descend(this.weight, this.weightGradient, this.weightMomentum, lr, momentum);
    descend(this.bias, this.biasGradient, this.biasMomentum, lr, momentum);
  }

  /** Numbers of the kept weights, each in its place in the whole matrix. */
  dense(values) {
    const all = new Float32Array(this.inputs * this.outputs);
    this.place.forEach((k, n) => (all[k] = values[n]));
    return all;
  }
}

/** Row i of the target += the weighted rows of the source that row i of a CSR matrix names. */
function addRows(target, i, source, offsets, weights, rows) {
  accumulate(
    target.byteOffset + ROW * i,
    source.byteOffset,
    offsets.byteOffset + 4 * rows[i],
    weights.byteOffset + 4 * rows[i],
    rows[i + 1] - rows[i],
  );
}

function descend(value, gradient, memory, lr, momentum) {
  for (let n = 0; n < value.length; n++) {
    memory[n] = momentum * memory[n] + gradient[n];
    value[n] -= lr * memory[n];
  }
}

/** Where each of so many groups begins in a sorted list of group numbers, and where the last ends. */
function starts(groups, number) {
  const ends = new Int32Array(number + 1);
  for (const group of groups) ends[group + 1]++;
  for (let i = 0; i < number; i++) ends[i + 1] += ends[i];
  return ends;
}
