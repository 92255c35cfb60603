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

  explorer({ layers, found, pool, classes, dense, looks, image }, at, shown, width, paint) {
    const scopes = found.filter(({ method }) => method === shown.method);
    const one = scopes[at.scope];
    const densities = one.density;
    const { mask, columns, kept, values, reach, part } = one.layers[at.layer];
    const [name, color] = [shown.layer, looks[at.method].color];
    const accuracy = 100 * one.accuracy[at.density];
    const wide = width > 900 ? each(width, 4) : width > 520 ? each(width, 2) : width;
    const figure = (title, picture) =>
      `<figure style="width: ${wide}px"><figcaption style="text-align: center; font-weight: 600">${escaped(title)}</figcaption>${picture}</figure>`;
    const pixels = image && at.layer === 0;
    const seen = pixels
      ? cells(unpack(one.pixels[at.density]).map((value) => value / 61), image, VIRIDIS, paint)
      : cells(unpack(mask).map((survived) => Number(survived > at.density)), columns, [[222, 222, 222], rgb(color)], paint);
    const title = `${part ? "part of the " : ""}mask of ${name}`;
    const [left, all] = [at.density, 0].map((i) => unpack(values[i]).map((high, j, { length }) => [j, high / 61, length]));
    const edge = (j, length) => reach * ((2 * j) / length - 1);
    const area = (rows, color) => ({
      color, opacity: 0.75, points: rows.flatMap(([j, high, length]) => [[edge(j, length), high, 0, high], [edge(j + 1, length), high, 0, high]]),
    });
    const percents = { range: [0, 100], show: share };
    const bars = layers.map((layer, i) => [one.layers[i].kept[at.density], layer]);
    const curves = scopes.map(({ scope, accuracy }, i) => ({
      name: `scope ${scope}`, color, dash: i ? [4, 2] : [],
      points: densities.map((density, j) => [density, 100 * accuracy[j]]),
    }));
    const x = { range: [1, densities.at(-1)], log: true, ticks: [1, 0.1, 0.01], show: (value) => `${100 * value} %`, label: "weights kept" };
    const flips = one.flips[at.density].map(([place, is]) => {
      const { x, text, columns, was } = pool[place];
      const picture = text
        ? `<div class="text">${escaped(text)}</div>`
        : columns ? cells(unpack(x).map((value) => value / 61), columns, [[255, 255, 255], [0, 0, 0]], paint)
        : `<svg width="80" height="56" aria-hidden="true"><path class="line" style="--c: #555; stroke-width: 1.2" d="M${unpack(x).map((value, i, { length }) => `${(80 * i) / length} ${54 - 0.85 * value}`).join("L")}"/></svg>`;
      return `<div>${picture}${escaped(classes[was])}: ${escaped(classes[is])}?</div>`;
    });
    return {
      say: `${shown.method}, scope ${shown.scope}: ${shown.density} of the weights kept, ${kept[at.density]} % of ${name}; accuracy ${percent(accuracy)} (${percent(100 * dense)} dense); ${one.wrong[at.density]} right answers became wrong.`,
      pictures: [
        figure(pixels ? "connections kept per pixel" : title, seen),
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

  evidence({ values, sizes, draws, t, counts }, at, shown, width) {
    const [[arm, against], n] = [values[at.comparison], sizes[at.size]];
    const [seeds, loose] = [draws[at.size][at.draw], at.pairs];
    const mean = (rows) => rows.reduce((sum, row) => sum + row, 0) / rows.length;
    const of = (rows) => rows.reduce((sum, row) => sum + (row - mean(rows)) ** 2, 0) / (n - 1);
    const differences = arm.map((value, i) => value - against[i]);
    const pick = (rows) => seeds.map((seed) => rows[seed]);
    const variance = loose ? of(pick(arm)) + of(pick(against)) : of(pick(differences));
    const half = t[(loose ? 2 * n - 2 : n - 1) - 1] * Math.sqrt(variance / n);
    const middle = mean(pick(differences));
    const [low, high] = [middle - half, middle + half];
    const verdict = low > 0 ? "better" : high < 0 ? "worse" : "cannot tell";
    const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
    const [above, open, below] = counts[at.comparison][at.size][loose];
    const reach = Math.max(...differences.map(Math.abs), Math.abs(low), Math.abs(high)) * 1.1;
    const flat = (...rows) => [[-0.5, ...rows], [9.5, ...rows]];
    const color = { better: "#0173b2", worse: "#c44e00", "cannot tell": "#767676" }[verdict];
    return {
      say: `${shown.comparison}; seeds ${seeds.join(", ")}, ${shown.pairs}: ${signed(middle)} points, 95 % interval ${signed(low)} to ${signed(high)}: ${verdict}. Of all ${above + open + below} ways to draw ${n} of ten seeds, ${above} say better, ${open} cannot tell, ${below} say worse.`,
      pictures: chart({
        width, height: 300, title: "difference in points, by seed",
        x: { range: [-0.5, 9.5], label: "seed", ticks: [...Array(10).keys()] }, y: { range: [-reach, reach] },
        lines: [{ color: "#767676", points: flat(0), dash: [2, 2] }, { color, points: flat(middle, low, high) }],
        dots: differences.map((value, seed) => [seed, value, seeds.includes(seed) ? color : "#b5b5b5"]),
      }) + `<p class="note">Coloured: the seeds drawn, their mean and the 95 % interval. Grey: the other seeds.</p>`,
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
