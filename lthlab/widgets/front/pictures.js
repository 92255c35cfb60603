// What knobs are drawn with. panel.py joins the files of this folder into one module.

const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DASHES = [[], [4, 1.5], [1, 1], [3, 1, 1, 1], [6, 2, 1, 2], [2, 2]];
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

const escaped = (text) =>
  String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
const unpack = (text) => Array.from(text, (sign) => DIGITS.indexOf(sign));
const percent = (value) => `${value.toFixed(1)}\u00a0%`;
const short = (value) =>
  value >= 1e12 || (value > 0 && value < 1e-3)
    ? value.toExponential(2).replace("e+", "e")
    : value.toLocaleString("en", { maximumSignificantDigits: 3 });

// Pictures: each function returns HTML; what a canvas shows is painted once it is in its place.

function ticks([low, high], count = 5) {
  const rough = Math.abs(high - low) / count;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((f) => f * ten >= rough * 0.999) * ten;
  const first = Math.ceil(Math.min(low, high) / step - 1e-9);
  const last = Math.floor(Math.max(low, high) / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => +((first + i) * step).toPrecision(9));
}

/** Points [x, y, low, high] as lines with bands; `dots` [x, y, color]; `bars` [height, name]. */
function chart({ width, height = 260, title, x, y, lines = [], dots = [], bars, color }) {
  const [left, right, top] = [46, width - 12, title ? 26 : 10];
  const crowded = bars && 7 * bars.map(([, name]) => name).join("  ").length > right - left;
  const bottom = height - (crowded ? 96 : 38);
  const place = (axis, from, to) => {
    const f = axis.log ? Math.log : Number;
    const [a, b] = axis.range.map(f);
    return (value) => +(from + ((to - from) * (f(value) - a)) / (b - a)).toFixed(1);
  };
  const [px, py] = [place(x, left, right), place(y, bottom, top)];
  const text = (words, at, down, anchor = "middle", more = "") =>
    `<text x="${at}" y="${down}" text-anchor="${anchor}" ${more}>${escaped(words)}</text>`;
  let out = title ? text(title, (left + right) / 2, 15, "middle", 'style="font-weight: 600"') : "";
  for (const value of y.ticks ?? ticks(y.range, 4)) {
    out += `<path class="grid" d="M${left} ${py(value)}H${right}"/>`;
    out += text(y.show ? y.show(value) : value, left - 6, py(value) + 4, "end");
  }
  for (const value of bars ? [] : (x.ticks ?? ticks(x.range, width < 330 ? 3 : 6)))
    out += text(x.show ? x.show(value) : value, px(value), bottom + 17);
  out += text(x.label ?? "", (left + right) / 2, height - 4);
  (bars ?? []).forEach(([tall, name], i) => {
    const [at, wide] = [px(i + 0.12), px(0.76) - px(0)];
    out += `<rect class="area" style="--c: ${color}" x="${at}" width="${wide}" y="${py(tall)}" height="${(bottom - py(tall)).toFixed(1)}"/>`;
    const [middle, down] = [at + wide / 2, bottom + 15];
    out += crowded
      ? text(name, middle + 4, bottom + 8, "end", `transform="rotate(-60 ${middle + 4} ${bottom + 8})" style="font-size: 10px"`)
      : text(name, middle, down);
  });
  for (const { points, color, dash = [], steps, opacity = 0.18 } of lines) {
    const style = `style="--c: ${color}; stroke-dasharray: ${dash.map((d) => 2.4 * d)}"`;
    const path = (rows, i) => rows.map((row) => `${px(row[0])} ${py(row[i])}`).join("L");
    if (points.length && points[0].length > 2)
      out += `<path class="area" ${style} opacity="${opacity}" d="M${path(points, 2)}L${path([...points].reverse(), 3)}Z"/>`;
    if (points.length) out += `<path class="line" ${style} d="M${path(points, 1)}"/>`;
    if (steps) for (const row of points) out += `<circle class="area" ${style} r="3" cx="${px(row[0])}" cy="${py(row[1])}"/>`;
  }
  for (const [at, high, color, name] of dots) {
    out += `<circle class="area" style="--c: ${color}" r="6" cx="${px(at)}" cy="${py(high)}"/>`;
    if (name) out += text(name, px(at) + 9, py(high) + 4, "start");
  }
  return `<figure><svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-hidden="true">${out}</svg></figure>`;
}

const keys = (looks) =>
  `<div class="keys">${looks
    .map(({ name, color, dash = [] }) =>
      `<span><svg width="38" height="8" aria-hidden="true"><path class="line" d="M0 4H38" style="--c: ${color}; stroke-dasharray: ${dash.map((d) => 2.4 * d)}"/></svg>${escaped(name)}</span>`)
    .join("")}</div>`;

/** A canvas of `columns` cells a row; `values` from 0 to 1, through a list of colours. */
function cells(values, columns, colors, paint) {
  paint.push((canvas) => {
    canvas.width = columns;
    canvas.height = values.length / columns;
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    values.forEach((value, i) => {
      const place = Math.min(Math.max(value, 0), 1) * (colors.length - 1);
      const [one, next] = [colors[Math.floor(place)], colors[Math.ceil(place)]];
      for (let c = 0; c < 3; c++)
        image.data[4 * i + c] = one[c] + (next[c] - one[c]) * (place % 1);
      image.data[4 * i + 3] = 255;
    });
    context.putImageData(image, 0, 0);
  });
  return '<canvas aria-hidden="true"></canvas>';
}

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
