// The two pictures: the network, each kept weight a line, and the race of accuracies.
import { layersOf } from "./network.js";
import { FEATURES } from "./signals.js";

/** How each arm is drawn; colours are CSS variables, because dark pages need lighter ones. */
export const ARMS = {
  dense: { name: "whole network", dash: [8, 4] },
  ticket: { name: "ticket", dash: [] },
  reinitialised: { name: "redrawn", dash: [2, 3] },
  shuffled: { name: "permuted mask", dash: [8, 3, 2, 3] },
  signs: { name: "only signs", dash: [12, 3] },
  "fine-tuned": { name: "trained on", dash: [4, 2] },
};
const WIDTHS = [0.5, 1, 1.8, 3];
const OPACITIES = [0.3, 0.55, 0.8, 1];

/** Fit a canvas to its place on the page and the screen's pixels; colours are looked up by name. */
function prepare(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const scale = Math.min(globalThis.devicePixelRatio || 1, 2);
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  context.font = `13px ${style.fontFamily}`;
  return { context, width, height, color: (name) => style.getPropertyValue(`--${name}`).trim() };
}

/** The weights, and one signal on its way through them to the ten classes. */
export function drawNetwork(canvas, network, weights, biases, signal, label) {
  const { context, width, height, color } = prepare(canvas);
  const layers = layersOf(network);
  const columns = [FEATURES, ...layers.map((layer) => layer.outputs)];
  const [left, right] = [0.17 * width, 0.86 * width];
  const x = (column) => left + ((right - left) * column) / layers.length;
  const y = (column, i) => 18 + ((height - 30) * (i + 0.5)) / columns[column];
  layers.forEach((layer, l) => {
    const largest = weights[l].reduce((most, w) => Math.max(most, Math.abs(w)), 0) || 1;
    // Eight groups, from the smallest to the largest, so that many lines are drawn at once.
    const paths = WIDTHS.map(() => [new Path2D(), new Path2D()]);
    weights[l].forEach((w, k) => {
      if (!w) return;
      const path = paths[Math.min(3, Math.floor((4 * Math.abs(w)) / largest))][Number(w < 0)];
      path.moveTo(x(l), y(l, k % layer.inputs));
      path.lineTo(x(l + 1), y(l + 1, Math.floor(k / layer.inputs)));
    });
    paths.forEach((pair, size) => {
      context.lineWidth = WIDTHS[size];
      context.globalAlpha = OPACITIES[size];
      pair.forEach((path, negative) => {
        context.strokeStyle = color(negative ? "negative" : "positive");
        context.setLineDash(negative ? [5, 3] : []);
        context.stroke(path);
      });
    });
  });
  context.globalAlpha = 1;
  context.setLineDash([]);
  context.fillStyle = color("ink");
  columns.forEach((units, column) => {
    for (let i = 0; i < units; i++) {
      context.beginPath();
      context.arc(x(column), y(column, i), column === layers.length ? 4 : 2, 0, 7);
      context.fill();
    }
  });
  context.strokeStyle = color("ink");
  context.lineWidth = 1.5;
  context.beginPath();
  signal.forEach((value, i) => context.lineTo(0.08 * width + 0.016 * width * value, y(0, i)));
  context.stroke();
  const shares = classify(layers, weights, biases, signal);
  const best = shares.indexOf(Math.max(...shares));
  shares.forEach((share, c) => {
    context.fillStyle = color(c === label ? "positive" : "quiet");
    context.fillRect(right + 22, y(layers.length, c) - 6, share * (width - right - 26), 12);
    context.fillStyle = color("ink");
    context.fillText(c, right + 9, y(layers.length, c) + 5);
  });
  for (const [text, place] of [["signal", 0.02 * width], ["answer", right - 4]])
    context.fillText(text, place, 13);
  return best;
}

/** The shares that the network gives the classes for one signal. */
export function classify(layers, weights, biases, signal) {
  let values = signal;
  layers.forEach(({ inputs, outputs }, l) => {
    values = Array.from({ length: outputs }, (_, i) => {
      let sum = biases?.[l][i] ?? 0;
      for (let j = 0; j < inputs; j++) sum += weights[l][i * inputs + j] * values[j];
      return l < layers.length - 1 ? Math.max(sum, 0) : sum;
    });
  });
  const largest = Math.max(...values);
  const shares = values.map((value) => Math.exp(value - largest));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}

/** Accuracy on validation data over the epochs: [[arm, {curve: [[epoch, accuracy], ...]}], ...]. */
export function drawRace(canvas, raced, epochs) {
  const { context, width, height, color } = prepare(canvas);
  const [left, right, top, bottom] = [44, width - 12, 12, height - 34];
  const x = (epoch) => left + ((right - left) * epoch) / epochs;
  const y = (accuracy) => bottom - ((bottom - top) * accuracy) / 0.8;
  context.lineWidth = 1;
  for (let percent = 0; percent <= 80; percent += 20) {
    context.strokeStyle = color("grid");
    context.beginPath();
    context.moveTo(left, y(percent / 100));
    context.lineTo(right, y(percent / 100));
    context.stroke();
    context.fillStyle = color("ink");
    context.textAlign = "right";
    context.fillText(`${percent} %`, left - 6, y(percent / 100) + 4);
  }
  context.textAlign = "center";
  for (let epoch = 0; epoch <= epochs; epoch += 5) context.fillText(epoch, x(epoch), bottom + 16);
  context.fillText("epochs: times that it saw all training signals", (left + right) / 2, bottom + 31);
  for (const [arm, { curve }] of raced) {
    context.strokeStyle = color(arm);
    context.setLineDash(ARMS[arm].dash);
    context.lineWidth = 2.5;
    context.beginPath();
    for (const [epoch, accuracy] of curve) context.lineTo(x(epoch), y(accuracy));
    context.stroke();
  }
}
