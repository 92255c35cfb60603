// The front end of all knobs: it draws a panel's data and answers its controls, with or without a
// kernel. Python (lthlab/widgets) makes the data; a notebook's page holds them beside a still
// picture, which is replaced here. The live lab alone talks to a kernel, as an anywidget.

const STYLE = `
.lthlab-knob {
  --keep: 100%; --soft: #eef4f9; --grid: #d9d9d9; --edge: #767676; --accent: #0b5a94;
  font: 15px/1.45 system-ui, sans-serif; max-width: 1000px; margin: 0.5em 0; container-type: inline-size;
  &[data-dark] { --keep: 55%; --soft: #1d2730; --grid: #44484d; --edge: #9a9ea3; --accent: #7cc4f5; color-scheme: dark; }
  * { box-sizing: border-box; }
  .title { font-weight: 600; font-size: 1.1em; }
  .controls { display: flex; flex-wrap: wrap; gap: 0 1.6em; margin: 0.3em 0; }
  .controls label { display: grid; grid-template: "name shown" "input input" / 1fr auto; flex: 1 1 240px; max-width: 480px; padding: 0.2em 0; }
  .controls :is(input, select) { grid-area: input; width: 100%; min-height: 36px; margin: 0; font: inherit; accent-color: var(--accent); touch-action: manipulation; }
  output { font-variant-numeric: tabular-nums; font-weight: 600; }
  :is(button, select) { font: inherit; color: inherit; background: transparent; border: 1px solid var(--edge); border-radius: 6px; padding: 0.2em 0.9em; min-height: 36px; }
  option { color: CanvasText; background: Canvas; }
  button { cursor: pointer; min-width: 5em; align-self: end; margin: 0.2em 0.6em 0.2em 0; }
  button[disabled] { opacity: 0.55; cursor: default; }
  :is(button, select, input):focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
  .said { margin: 0.4em 0; padding: 0.45em 0.8em; background: var(--soft); border-left: 4px solid var(--accent); }
  .lthlab-error { margin: 0.4em 0; padding: 0.45em 0.8em; border: 2px solid #c62828; white-space: pre-wrap; }
  .pictures { display: flex; flex-wrap: wrap; gap: 0.8em 1.2em; }
  .pictures figure { margin: 0; min-width: 0; }
  figcaption, .note, .keys { font-size: 0.87em; }
  svg { display: block; max-width: 100%; overflow: visible; }
  svg text { fill: currentColor; font: 12.5px system-ui, sans-serif; }
  canvas { display: block; width: 100%; max-width: 260px; aspect-ratio: 1; margin: 0 auto; image-rendering: pixelated; border: 1px solid var(--grid); }
  .grid { stroke: var(--grid); }
  .line { fill: none; stroke: color-mix(in oklab, var(--c) var(--keep), white); stroke-width: 2.4; stroke-linejoin: round; }
  .area { fill: color-mix(in oklab, var(--c) var(--keep), white); }
  .keys { display: flex; flex-wrap: wrap; gap: 0.1em 1.2em; width: 100%; }
  .keys span { display: flex; align-items: center; gap: 0.4em; }
  .strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); gap: 0.6em; width: 100%; font-size: 0.87em; }
  .strip canvas { width: 72px; margin: 0; }
  .strip .text { font: 1.25em ui-monospace, monospace; }
  .words { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5em, 1fr)); gap: 0.3em 0.8em; font-size: 1.1em; margin: 0.6em 0; padding: 0; list-style: none; }
  .words li { margin: 0; overflow-wrap: anywhere; }
  table { border-collapse: collapse; margin: 0.6em 0; font-size: 1.05em; font-variant-numeric: tabular-nums; }
  :is(th, td) { text-align: left; padding: 0.25em 1.4em 0.25em 0; border-bottom: 1px solid var(--grid); }
  progress { width: 100%; max-width: 480px; accent-color: var(--accent); }
}`;
const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DASHES = [[], [4, 1.5], [1, 1], [3, 1, 1, 1], [6, 2, 1, 2], [2, 2]];
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

const escaped = (text) =>
  String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
const unpack = (text) => Array.from(text, (sign) => DIGITS.indexOf(sign));
const percent = (value) => `${value.toFixed(1)} %`;
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
const share = (value) => `${value} %`;
const each = (width, columns) => Math.floor((width - 20 * (columns - 1)) / columns);

// The knobs. `at` says by name which option each control is at, `shown` what it is called; `width`
// is that of the page's column. Each returns a sentence and HTML: pictures, or something to read.

const KNOBS = {
  race({ looks, curves, dense, steps, seeds }, at, shown, width) {
    const lines = looks.map((look) => {
      const rows = look.name === "dense" ? dense : curves[look.name][at.level];
      const points = rows.slice(0, at.step + 1).map((row, i) => [steps[i], ...row]);
      return { ...look, points };
    });
    const now = lines.map(({ name, points }) => [name, points.at(-1)[1]]);
    const x = { range: [0, steps.at(-1)], label: "training step" };
    const y = { range: [0, 100], show: share };
    const dots = lines.map(({ points, color }) => [...points.at(-1).slice(0, 2), color]);
    return {
      say: `Step ${shown.step}, ${shown.level} of the weights kept, means of ${seeds} seeds: ${now.map(([name, value]) => `${name} ${percent(value)}`).join(", ")}.`,
      pictures: chart({ width, height: 320, x, y, lines, dots, title: "validation accuracy" }) + keys(looks),
    };
  },

  dial({ looks, paths, barriers, worth, steps, alphas }, at, shown, width) {
    const k = steps[at.k];
    const wide = width > 760 ? each(width, 3) : width;
    const x = { range: [steps[0], steps.at(-1)], label: "step k" };
    const along = (rows, xs) => rows.map((row, i) => [xs[i], ...row]);
    const ends = (rows) => [Math.min(...rows.flat()), Math.max(...rows.flat())];
    const [low, high] = ends(worth);
    const across = (rows) => looks.map((look) => ({ ...look, points: along(...rows(look.name)) }));
    const on = (rows, name) => [k, rows[at.k][0], looks.find((look) => look.name === name).color];
    const ticket = looks.filter(({ name }) => name === "ticket");
    const height = Math.max(...looks.map(({ name }) => ends(barriers[name])[1]));
    const pictures = [
      chart({
        width: wide, title: "error between two copies", y: { range: [0, 100], show: share },
        x: { range: [0, 1], label: "from one copy to the other" },
        lines: across((name) => [paths[name][at.k], alphas]),
      }),
      chart({
        width: wide, title: "error barrier (points)", x, y: { range: [Math.min(0, ...looks.map(({ name }) => ends(barriers[name])[0])), height] },
        lines: across((name) => [barriers[name], steps]), dots: looks.map(({ name }) => on(barriers[name], name)),
      }),
      chart({
        width: wide, title: "accuracy of the ticket", x: { ...x, label: "step k rewound to" },
        y: { range: [Math.floor(low), Math.ceil(high)], show: share },
        lines: ticket.map((look) => ({ ...look, points: along(worth, steps), steps: true })), dots: [on(worth, "ticket")],
      }),
    ];
    return {
      say: `k = ${k}: barrier ${barriers.dense[at.k][0].toFixed(1)} points between dense copies, ${barriers.ticket[at.k][0].toFixed(1)} between tickets; the ticket rewound to k reaches ${percent(worth[at.k][0])}.`,
      pictures: pictures.join("") + keys(looks),
    };
  },

  explorer({ densities, scopes, layers, found, pool, classes, whole, looks, image }, at, shown, width, paint) {
    const one = found[at.method][at.scope];
    const { mask, columns, kept, values } = one.layers[at.layer];
    const [name, color] = [shown.layer, looks[at.method].color];
    const accuracy = one.accuracy[at.density];
    const wide = width > 900 ? each(width, 4) : width > 520 ? each(width, 2) : width;
    const figure = (title, picture) =>
      `<figure style="width: ${wide}px"><figcaption style="text-align: center; font-weight: 600">${escaped(title)}</figcaption>${picture}</figure>`;
    const pixels = image && at.layer === 0;
    const seen = pixels
      ? cells(unpack(one.pixels[at.density]).map((value) => value / 61), image, VIRIDIS, paint)
      : cells(unpack(mask).map((survived) => Number(survived > at.density)), columns, [[222, 222, 222], rgb(color)], paint);
    const part = layers[at.layer].whole ? `mask of ${name}` : `part of the mask of ${name}`;
    const [left, all] = [at.density, 0].map((i) => unpack(values[i]).map((high, j, { length }) => [j, high / 61, length]));
    const reach = layers[at.layer].reach;
    const edge = (j, length) => reach * ((2 * j) / length - 1);
    const area = (rows, color) => ({
      color, opacity: 0.75, points: rows.flatMap(([j, high, length]) => [[edge(j, length), high, 0, high], [edge(j + 1, length), high, 0, high]]),
    });
    const percents = { range: [0, 100], show: share };
    const bars = layers.map((layer, i) => [one.layers[i].kept[at.density], layer.name]);
    const curves = scopes.map((_, i) => ({
      name: `scope ${scopes[i]}`, color, dash: i ? [4, 2] : [],
      points: densities.map((density, j) => [density, found[at.method][i].accuracy[j]]),
    }));
    const x = { range: [1, densities.at(-1)], log: true, ticks: [1, 0.1, 0.01], show: (value) => `${100 * value} %`, label: "weights kept" };
    const flips = one.flips[at.density].map(([place, is]) => {
      const { x, text, rows, was } = pool[place];
      const picture = text
        ? `<div class="text">${escaped(text)}</div>`
        : rows ? cells(unpack(x).map((value) => value / 61), rows, [[255, 255, 255], [0, 0, 0]], paint)
        : `<svg width="80" height="56" aria-hidden="true"><path class="line" style="--c: #555; stroke-width: 1.2" d="M${unpack(x).map((value, i, { length }) => `${(80 * i) / length} ${54 - 0.85 * value}`).join("L")}"/></svg>`;
      return `<div>${picture}${escaped(classes[was])}: ${escaped(classes[is])}?</div>`;
    });
    return {
      say: `${shown.method}, scope ${shown.scope}: ${shown.density} of the weights kept, ${kept[at.density]} % of ${name}; accuracy ${percent(accuracy)} (${percent(whole)} dense); ${one.wrong[at.density]} right answers became wrong.`,
      pictures: [
        figure(pixels ? "connections kept per pixel" : part, seen),
        chart({
          width: wide, title: "values: kept, pruned (grey)", y: { range: [0, 1], ticks: [] },
          x: { range: [-reach, reach], label: "value" }, lines: [area(all, "#9a9a9a"), area(left, color)],
        }),
        chart({ width: wide, title: "weights kept by layer", y: percents, x: { range: [0, bars.length] }, bars, color }),
        chart({ width: wide, title: "accuracy, not retrained", y: percents, x, lines: curves, dots: [[densities[at.density], accuracy, color]] }),
        keys(curves), flips.length ? `<div class="strip">${flips.join("")}</div>` : "",
      ].join(""),
    };
  },

  cost({ chips, grids, overhead, parameters, tokens, kept }, at, shown) {
    const [peak, watts, dollars, reached, kind] = chips[shown.chip];
    const flops = 6 * parameters[at.parameters] * kept[at.kept] * tokens[at.tokens];
    const hours = flops / (peak * reached) / 3600;
    const kwh = (hours * watts * overhead) / 1000;
    const rows = {
      FLOPs: flops, "hours on one chip": hours, "years on one chip": hours / 8766,
      "dollars of rent": hours * dollars, kWh: kwh, "kg of CO2e": (kwh * grids[shown.grid]) / 1000,
    };
    const bill = Object.entries(rows).map(([name, value]) => [short(value), name]);
    const table = bill.map(([value, name]) => `<tr><th scope="row">${name}</th><td>${value}</td></tr>`);
    return {
      say: `${shown.parameters} parameters, ${shown.kept} of them kept, ${shown.tokens} tokens or images, on ${shown.chip}, ${watts} W (${kind}), electricity of ${shown.grid}: ${bill.map((pair) => pair.join(" ")).join(", ")}.`,
      html: `<table>${table.join("")}</table>`,
    };
  },

  words({ losses, written, listed }, at, shown) {
    const [words, loss] = [written[at.method][at.density], losses[at.method]];
    const real = words.filter((word) => listed.includes(word));
    const items = words.map((word) => `<li>${listed.includes(word) ? `<b>${escaped(word)}</b>` : escaped(word)}</li>`);
    return {
      say: `${shown.method}, ${shown.density} of the weights kept: ${loss[at.density].toFixed(2)} nats a letter (${loss[0].toFixed(2)} dense); ${real.length} of ${words.length} words are in the list, in bold.`,
      html: `<ul class="words">${items.join("")}</ul>`,
    };
  },

  lab({ runs, said, total, done, running, error }, at, shown, width) {
    const lines = runs.map(({ label, color, points }, i) => ({ name: `${i + 1}: ${label}`, color, dash: DASHES[i % DASHES.length], points }));
    const seen = lines.filter(({ points }) => points.length);
    const dots = seen.map(({ points, color, name }) => [...points.at(-1), color, name.split(":")[0]]);
    const ends = seen.map(({ name, points }) => `${name} ${percent(points.at(-1)[1])} after ${points.at(-1)[0]} steps`);
    if (error) throw new Error(error);
    return {
      say: `${said} ${ends.length ? `${ends.join("; ")}.` : ""}`,
      pictures: chart({
        width, height: 320, title: "validation accuracy", lines: seen, dots,
        x: { range: [0, Math.max(total, ...seen.map(({ points }) => points.at(-1)[0]))], label: "training step" }, y: { range: [0, 100], show: share },
      }) + keys(lines) + (running ? `<progress value="${done}" aria-hidden="true"></progress>` : ""),
    };
  },
};

// A panel: its controls, its sentence, its pictures.

const control = ({ name, label, options, start = 0, menu }) => {
  const list = options.map((option, i) => `<option value="${i}"${i === start ? " selected" : ""}>${escaped(option)}</option>`);
  const input = menu
    ? `<select name="${name}">${list.join("")}</select>`
    : `<input type="range" name="${name}" min="0" max="${options.length - 1}" step="1" value="${start}"><output></output>`;
  return `<label><span>${escaped(label)}</span>${input}</label>`;
};

function isDark(host) {
  const parts = getComputedStyle(host.parentElement ?? document.body).color.match(/[\d.]+/g);
  return parts.slice(0, 3).reduce((sum, part) => sum + Number(part), 0) > 382;
}

/** Show a panel's data in `host`; `send` tells a kernel what to do. Returns what takes new data. */
export function start(host, data, send) {
  host.dataset.live = "";
  const say = (words) => `<p class="said" role="status" aria-live="polite">${words}</p>`;
  host.innerHTML = `<style>${STYLE}</style><div role="group" aria-label="${escaped(data.title)}">
<div class="title">${escaped(data.title)}</div><div class="controls">${data.controls.map(control).join("")}</div>
${say("")}<div class="shown"></div>${data.note ? `<p class="note">${escaped(data.note)}</p>` : ""}</div>`;
  const find = (what) => host.querySelector(what);
  const inputs = [...host.querySelectorAll("input, select")];
  let width = 0;

  const buttons = send ? addRun(host, send, () => at) : [];
  let at = {};

  function draw() {
    const began = performance.now();
    try {
      host.toggleAttribute("data-dark", isDark(host));
      const shown = {};
      at = {};
      buttons.forEach((button, i) => (button.disabled = Boolean(i) !== data.running));
      inputs.forEach((input, i) => {
        at[input.name] = Number(input.value);
        const option = (shown[input.name] = data.controls[i].options[at[input.name]]);
        if (input.type === "range") {
          input.nextElementSibling.textContent = option;
          input.setAttribute("aria-valuetext", option);
        }
      });
      const paint = [];
      const found = KNOBS[data.kind](data, at, shown, width, paint);
      const name = escaped(found.say);
      find(".shown").innerHTML = found.pictures
        ? `<div class="pictures" role="img" aria-label="${name}">${found.pictures}</div>`
        : found.html;
      host.querySelectorAll("canvas").forEach((canvas, i) => paint[i](canvas));
      find(".said").textContent = found.say;
    } catch (error) {
      find(".said").textContent = "Something went wrong here; the line below says what.";
      find(".shown").innerHTML = `<p class="lthlab-error" role="alert">${escaped(error)}</p>`;
    }
    host.dataset.ms = performance.now() - began;
  }

  inputs.forEach((input) => input.addEventListener("input", draw));
  if (data.play) addPlay(host, inputs.find(({ name }) => name === data.play));
  const fit = () => {
    const wide = Math.floor(find(".shown").getBoundingClientRect().width);
    if (wide > 0 && wide !== width) {
      width = wide;
      draw();
    }
  };
  new ResizeObserver(fit).observe(find(".shown"));
  fit();
  const themed = () => setTimeout(draw, 50);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themed);
  for (const place of [document.documentElement, document.body])
    new MutationObserver(themed).observe(place, { attributes: true });
  return (fresh) => {
    Object.assign(data, fresh);
    draw();
  };
}

/** The buttons of the live lab. */
function addRun(host, send, at) {
  return ["Run", "Stop"].map((name) => {
    const button = document.createElement("button");
    button.textContent = name;
    button.addEventListener("click", () => send({ do: name.toLowerCase(), at: at() }));
    host.querySelector(".controls").append(button);
    return button;
  });
}

/** A button that moves a slider by itself; meanwhile the sentence is not read aloud. */
function addPlay(host, input) {
  const button = document.createElement("button");
  const said = host.querySelector(".said");
  let timer;
  const pause = () => {
    clearInterval(timer);
    timer = undefined;
    button.textContent = "Play";
    said.setAttribute("aria-live", "polite");
  };
  const move = (value) => {
    input.value = value;
    input.dispatchEvent(new Event("input"));
  };
  button.addEventListener("click", () => {
    if (timer) return pause();
    if (input.value === input.max) move(0);
    button.textContent = "Pause";
    said.setAttribute("aria-live", "off");
    timer = setInterval(() => {
      if (!host.isConnected) return pause();
      move(Number(input.value) + 1);
      if (input.value === input.max) pause();
    }, 150);
  });
  pause();
  host.querySelector(".controls").append(button);
}

/** What anywidget asks for: the live lab, whose data the kernel changes. */
export default {
  render({ model, el }) {
    const host = document.createElement("div");
    host.className = "lthlab-knob";
    el.append(host);
    const renew = start(host, structuredClone(model.get("data")), (message) => model.send(message));
    const renewed = () => renew(structuredClone(model.get("data")));
    model.on("change:data", renewed);
    return () => model.off("change:data", renewed);
  },
};

/** Start every panel on the page that is not yet live. */
export function startAll() {
  for (const host of document.querySelectorAll(".lthlab-knob:not([data-live])"))
    start(host, JSON.parse(host.querySelector("script").textContent));
}

if (typeof document !== "undefined") {
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", startAll) : startAll();
}
