// The page: what the buttons do, what the sentence says, and what stands in the address.
import {
  count, density, fullMasks, initialWeights, layersOf, onlySigns, prune, RECIPE, redrawnWeights,
  shuffleMasks,
} from "./network.js";
import { makeWorker, NETWORKS } from "./api.js";
import { ARMS, drawNetwork, drawRace } from "./drawing.js";

const PACES = {
  slow: { steps: 4, wait: 60 },
  medium: { steps: 20, wait: 20 },
  fast: { steps: 80, wait: 0 },
};
const LEVELS = 10;
const MARGIN = 0.02 + 1e-9; // how far below the whole network a ticket may end and still match it
const ASKED = 6; // the level of the question: about 30 % of the weights
const DONE = "It is trained to the end. Press Prune 20 % to go on, or Rewind to begin again.";
const GUESSES = {
  ticket: "the ticket: these weights at their own first values",
  control: "the control: these weights at new random values",
  neither: "both about the same",
};
const dark = matchMedia("(prefers-color-scheme: dark)");
const quiet = matchMedia("(prefers-reduced-motion: reduce)");

const menu = (name, label, options) =>
  `<label>${label} <select name="${name}"><option>${options.join("<option>")}</select></label>`;

const PAGE = `
<p>This network learns to tell ten kinds of signal apart; a signal is a curve of 40 numbers. Every line
is a <strong>weight</strong>: a number that is random at first and that training adjusts. Does it need
them all? Train it, remove the smallest weights (<strong>prune</strong>), and put the others back to
their first random values (<strong>rewind</strong>): that small network is a <strong>ticket</strong>.
Train it. If it ends as good as the whole network, it is a <strong>winning ticket</strong>. Then prune
again: each round is a <strong>level</strong>.</p>
<fieldset class="guess"><legend>Your guess first</legend>
<p>Keep only 30 % of the weights and train again. Which ends nearer to the whole network?</p>
<div class="choices">${Object.entries(GUESSES)
  .map(([key, text]) => `<label><input type="radio" name="guess" value="${key}"> ${text}</label>`)
  .join("")}</div>
<div class="row"><button class="first" data-do="find">Find a ticket for me</button>
<span class="small progress"></span></div></fieldset>
<div class="pictures">
<figure class="network"><canvas role="img"></canvas><figcaption>
<span class="key" style="border-top: 3px solid var(--positive)"></span> weight above zero
<span class="key" style="border-top: 3px dashed var(--negative)"></span> below zero; the thicker, the
larger. Left: one signal. Right: how sure the network is of each class; green is the right one.
<button data-do="another">Another signal</button></figcaption></figure>
<div class="buttons">
<div class="row" role="group" aria-label="Train"><button data-do="train">Train</button>
<button data-do="step">Step</button><button data-do="pause">Pause</button></div>
<div class="row" role="group" aria-label="Find"><button data-do="prune">Prune 20 %</button>
<button data-do="rewind">Rewind</button></div>
<div class="row" role="group" aria-label="Question"><button data-do="redraw">Redraw the values</button>
<button data-do="permute">Permute the mask</button><button data-do="signs">Keep only signs</button></div>
<div class="row back"><label for="tp-level">Look back at level</label>
<input type="range" id="tp-level" min="0" max="0" value="0"><output for="tp-level"></output></div>
</div>
<div class="words"><p class="said" role="status" aria-live="polite"></p><p class="answer"></p></div>
<figure class="race"><canvas role="img"></canvas><figcaption>
<div class="race-title"></div><ul class="legend"></ul></figcaption></figure>
</div>
<div class="row"><label>Seed (draws the random values)
<input type="number" name="seed" min="0" max="999" step="1"></label>
${menu("network", "Network (neurons in its two hidden layers)", NETWORKS)}
${menu("speed", "Speed", Object.keys(PACES))}
<button data-do="restart">Start over</button></div>
<table><caption>Test signals named right, in %, level by level</caption><thead><tr>
${["level", "weights left", "whole", "ticket", "redrawn", "permuted", "match?"]
  .map((name) => `<th scope="col">${name}</th>`)
  .join("")}</tr></thead>
<tbody></tbody></table>
<p class="small">One seed, one run of each network, 2,000 test signals: another seed moves an accuracy by
a point or two. So we say that a ticket matches when it ends at most 2 points below the whole network.
The course repeats this over seeds and says how sure one can be. Redrawn: the ticket's lines with new
random values. Permuted: as many lines in each layer, in other places. The curves are measured on
2,000 other signals, the validation signals.</p>`;

const inPercent = (share) => (100 * share).toFixed(1);
const percent = (share) => `${inPercent(share)}\u00a0%`;
const points = (share) => `${Math.abs(100 * share).toFixed(1)} points`;
const number = (n) => n.toLocaleString("en");

const root = document.getElementById("ticket-playground");
root.classList.add("ticket-playground");
root.innerHTML = PAGE;
const $ = (selector) => root.querySelector(selector);
const [picture, race] = root.querySelectorAll("canvas");
const slider = $("#tp-level");
const settings = { seed: 0, network: "mlp-32-32", speed: "fast" };
let test = null; // the test signals, once they are drawn
let worker = null;
let job = 0; // events of trainings that were given up bear an older number
let running = null; // "train" or "search" while a job is not at its end
let paused = false;
let looking = null; // the level that the reader looks back at while a search goes on
let example = 0;
let levels; // what is known of each level: density, masks, weights, results by arm
let latest; // the network that trains, which is in the picture unless the reader looks back
let shown; // the network in the picture: level, arm, masks, weights, biases, step

const total = () => shown.masks.reduce((sum, mask) => sum + mask.length, 0);
const sizeOf = (masks) => masks.reduce((sum, mask) => sum + count(mask), 0);
const lines = () => `${number(sizeOf(shown.masks))} of ${number(total())} weights`;
const masked = (weights, masks) =>
  weights.map((layer, l) => layer.map((w, k) => (masks[l][k] ? w : 0)));
const send = (action, more) => worker?.postMessage({ do: action, ...more });
const setPace = () => send("pace", { pace: PACES[settings.speed] });
const initial = () => initialWeights(settings.network, settings.seed);

function say(text, error = false) {
  $(".said").classList.toggle("error", error);
  $(".said").textContent = text;
}

function fail(reason) {
  stop();
  say(`This did not work: ${reason}. Load the page again.`, true);
}

const isBusy = () => Boolean(running) && !paused;

// What is known of a level.

function newLevel(masks) {
  const share = density(masks);
  levels.push({ share, left: percent(share), masks, results: {} });
  slider.max = levels.length - 1;
}

/** Whether the ticket of a level matches, and what its control shows, in words. */
function verdict(level) {
  const dense = levels[0].results.dense?.test;
  const { ticket, reinitialised } = levels[level].results;
  if (ticket?.test === undefined) return "";
  const text = `Level ${level}, ${levels[level].left} of the weights left: the ticket names ${percent(ticket.test)} of the test signals right, the whole network ${percent(dense)}. ${
    matches(level)
      ? "They match (we allow 2 points): on this seed it is a winning ticket."
      : `That is ${points(dense - ticket.test)} lower, more than the 2 we allow: this ticket no longer matches.`
  }`;
  if (reinitialised?.test === undefined) return text;
  const behind = ticket.test - reinitialised.test;
  const control =
    Math.abs(behind) <= MARGIN
      ? `do about as well (${percent(reinitialised.test)}): ${
          level < ASKED && matches(level)
            ? "with so many weights left, the first values hardly matter yet, so prune further"
            : "here the first values hardly matter"
        }`
      : behind > 0
        ? `end ${points(behind)} below the ticket: the first values matter`
        : `end ${points(behind)} above the ticket: its first values were no help`;
  return `${text} The same lines with redrawn values ${control}.`;
}

const matches = (level) =>
  levels[level].results.ticket.test >= levels[0].results.dense.test - MARGIN;

// Drawing.

let asked = false;
function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    drawAll();
  });
}

function drawAll() {
  const theme = document.body.dataset.theme;
  root.toggleAttribute("data-dark", theme === "dark" || (theme !== "light" && dark.matches));
  const signal = test ? test.x.subarray(40 * example, 40 * (example + 1)) : new Float32Array(40);
  const label = test ? test.y[example] : -1;
  const weights = masked(shown.weights, shown.masks);
  const best = drawNetwork(picture, settings.network, weights, shown.biases, signal, label);
  const what = ARMS[shown.arm]?.name ?? "pruned network";
  const answer = test ? ` It takes a signal of class ${label} for a ${best}.` : "";
  picture.setAttribute(
    "aria-label",
    `A network drawn as lines from 40 inputs over two hidden layers to 10 classes: ${what}, level ${shown.level}, ${lines()}, after ${shown.step} steps.${answer}`,
  );
  const { left, results } = levels[shown.level];
  const raced = Object.entries({ dense: levels[0].results.dense, ...results }).filter(([, r]) => r);
  drawRace(race, raced, RECIPE.epochs);
  const title = `The race at level ${shown.level}, ${left} of the weights: validation signals named right`;
  $(".race-title").textContent = title;
  const now = ([arm, { curve }]) => `${ARMS[arm].name} ${curve.length ? percent(curve.at(-1)[1]) : ""}`;
  $(".legend").innerHTML = raced
    .map((entry) => `<li><svg width="34" height="8"><line x2="34" y1="4" y2="4" stroke="var(--${entry[0]})" stroke-width="3" stroke-dasharray="${ARMS[entry[0]].dash}"/></svg> ${ARMS[entry[0]].name}</li>`)
    .join("");
  race.setAttribute("aria-label", `${title}: ${raced.map(now).join(", ") || "nothing is trained yet"}.`);
  slider.value = shown.level;
  const where = `${shown.level}, ${left} left`;
  slider.nextElementSibling.textContent = where;
  slider.setAttribute("aria-valuetext", where);
  drawTable();
  for (const button of root.querySelectorAll("button[data-do]")) {
    const free = ["another", "restart", "pause"].includes(button.dataset.do);
    button.setAttribute("aria-disabled", isBusy() && !free);
  }
  $('[data-do="pause"]').textContent = paused ? "Go on" : "Pause";
  $('[data-do="pause"]').setAttribute("aria-disabled", !running);
}

function drawTable() {
  const cell = (result) => (result?.test === undefined ? "" : inPercent(result.test));
  $("tbody").innerHTML = levels
    .map(({ share, results }, level) => {
      const verdict = results.ticket?.test === undefined ? "" : matches(level) ? "yes" : "no";
      const cells = [inPercent(share), cell(levels[0].results.dense),
        cell(results.ticket), cell(results.reinitialised), cell(results.shuffled), verdict];
      const looked = level === shown.level ? ' class="looked-at"' : "";
      return `<tr${looked}><th scope="row">${level}</th><td>${cells.join("</td><td>")}</td></tr>`;
    })
    .join("");
}

// The address.

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const seed = Number(given.get("seed") ?? settings.seed);
  if (Number.isInteger(seed) && seed >= 0 && seed < 1000) settings.seed = seed;
  if (NETWORKS.includes(given.get("network"))) settings.network = given.get("network");
  if (given.get("speed") in PACES) settings.speed = given.get("speed");
  const level = Number(given.get("level") ?? 0);
  return Number.isInteger(level) && level > 0 && level <= LEVELS ? level : 0;
}

function writeAddress() {
  const address = `#${new URLSearchParams({ ...settings, level: shown.level })}`;
  if (location.hash !== address) history.replaceState(null, "", address);
}

// Beginning, and what the worker tells.

function stop() {
  job++;
  running = null;
  paused = false;
  looking = null;
  $(".progress").textContent = "";
  send("stop");
}

function begin() {
  stop();
  for (const name of ["seed", "network", "speed"]) $(`[name="${name}"]`).value = settings[name];
  levels = [];
  newLevel(fullMasks(settings.network));
  show("dense", levels[0].masks, initial());
  $(".answer").textContent = "";
}

function restart() {
  begin();
  say(`Here is a network of ${number(total())} weights, all random: it knows nothing yet. Press Train, or guess and let us find a ticket.`);
}

function show(arm, masks, weights, level = levels.length - 1) {
  shown = { arm, masks, weights: masked(weights, masks), level, step: 0 };
  shown.waiting = true; // the worker has not heard of it yet
  writeAddress();
  draw();
}

const trainedAt = (level) => ({
  ...levels[level], level, arm: level ? "ticket" : "dense", trained: true,
});

/** Look at the trained ticket of a level. */
function lookBack(level) {
  shown.level = level;
  if (!levels[level].weights) {
    actions.rewind();
    return say(`The ticket of level ${level}, not trained yet: at its first random values. Press Train.`);
  }
  stop();
  shown = trainedAt(level);
  writeAddress();
  draw();
  const whole = levels[0].results.dense?.test;
  say(`${verdict(level) || `Level 0, the whole network: it names ${percent(whole)} of the test signals right.`} ${next(level)}`);
}

const next = (level) =>
  level + 1 < levels.length ? "Move the slider to compare levels." : "Press Prune 20 % to go on.";

function hear(event) {
  if (event.kind === "loaded") {
    test = event.test;
    root.dataset.ready = "yes";
    return open(wanted);
  }
  if (event.id !== job) return;
  if (event.kind === "searched") return finishSearch();
  const { level, arm, step, weights, biases } = event;
  const live = looking === null;
  if (event.kind === "stepped") {
    Object.assign(latest, { step, weights, biases });
    say(`Step ${step}: after 100 signals its loss (how wrong it was) was ${event.loss.toFixed(3)}, and every weight moved a little. Press Step again, or Train to go to the end.`);
    return draw();
  }
  if (event.kind === "begin") {
    while (levels.length <= level) newLevel(event.masks);
    levels[level].results[arm] = { curve: [] };
    latest = { arm, level, masks: event.masks, weights, step: 0 };
    if (live) shown = latest;
    $(".progress").textContent = `level ${level} of ${LEVELS}: training the ${ARMS[arm].name}`;
    return;
  }
  const result = levels[level].results[arm];
  if (event.accuracy !== undefined) result.curve.push([step / 80, event.accuracy]);
  Object.assign(latest, { step, weights, biases });
  if (event.kind === "end") {
    result.test = event.test;
    if (arm === "ticket" || arm === "dense") Object.assign(levels[level], { weights, biases, step });
    latest.trained = true;
    if (running === "search") sayOfSearch(level, arm);
    else finishTraining(level, arm);
  }
  if (live && (!quiet.matches || event.kind === "end")) draw();
}

function finishTraining(level, arm) {
  running = null;
  const { test } = levels[level].results[arm];
  const right = `It now names ${percent(test)} of the test signals right`;
  const whole = levels[0].results.dense?.test;
  const before = level || whole === undefined ? "" : `; with its first values it was ${percent(whole)}`;
  const { ticket, reinitialised } = levels[level].results;
  const behind = ticket?.test - test; // NaN while the ticket is not trained
  const beside = ticket?.test === undefined ? before : `; the ticket ${percent(ticket.test)}`;
  const on = levels[level].weights
    ? `Press Prune 20 % to go on${level ? " from the ticket" : ""}.`
    : `Press Rewind, then Train, ${level ? "to compare it with the ticket" : "for the whole network with its own first values"}.`;
  const texts = {
    dense: `The whole network is trained. ${right}; guessing would give 10 %. Press Prune 20 % to remove the smallest weights.`,
    ticket: `${verdict(level)} Press ${reinitialised?.test === undefined ? "Redraw the values and Train for the control, or " : ""}Prune 20 % to go on.`,
    reinitialised: `${verdict(level) || `${right}, with redrawn values${before}.`} ${on}`,
    shuffled: `${right}, with the lines in other places${beside}${
      Math.abs(behind) <= MARGIN ? ": here it hardly matters which are kept" : behind > 0 ? ": it matters which are kept" : ""
    }. ${on}`,
    signs: `${right}, though all it had was the sign of each first value${beside}. ${on}`,
    "fine-tuned": `${right}. But it kept what the whole network had learned. To ask whether it can learn alone, press Rewind, then Train.`,
  };
  say(texts[arm]);
}

function sayOfSearch(level, arm) {
  if (arm === "dense")
    say(`The whole network is trained: ${percent(levels[0].results.dense.test)} of the test signals right. Now we prune a fifth, rewind and train again, over and over; watch the curves.`);
  // At full speed a level is gone before its sentence is read: only the first miss is told.
  const lost = level && !matches(level) && (level === 1 || matches(level - 1));
  if (arm === "shuffled" && looking === null && (lost || settings.speed !== "fast"))
    say(verdict(level));
  if (level === ASKED && arm === "shuffled") answerGuess();
}

function finishSearch() {
  running = null;
  const winners = [...levels.keys()].filter((level) => level && matches(level));
  const found = winners.length
    ? `the smallest winning ticket that it saw has ${levels[winners.at(-1)].left} of the weights (level ${winners.at(-1)})`
    : "no ticket matched the whole network on this seed";
  const last = levels.length - 1;
  if (last < LEVELS) return lookBack(last); // what an address asked for
  lookBack(winners.at(-1) ?? last);
  say(`The search is over: ${found}. Move the slider to look back at a level, or see whether it holds for another seed.`);
}

function answerGuess() {
  const guess = $('[name="guess"]:checked')?.value;
  const dense = levels[0].results.dense.test;
  const { ticket, reinitialised, shuffled } = levels[ASKED].results;
  const gap = ticket.test - reinitialised.test;
  const seen = gap > MARGIN ? "ticket" : gap < -MARGIN ? "control" : "neither";
  const yours = guess ? `You guessed “${GUESSES[guess]}”. ` : "";
  const right = guess ? (guess === seen ? "That is what happened. " : "It came out otherwise. ") : "";
  $(".answer").textContent = `${yours}${right}With ${levels[ASKED].left} of the weights: whole network ${percent(dense)}, ticket ${percent(ticket.test)}, redrawn values ${percent(reinitialised.test)}, permuted mask ${percent(shuffled.test)}. ${
    matches(ASKED)
      ? "The ticket matches the whole network here."
      : `The ticket is ${points(dense - ticket.test)} below the whole network here, so it is no winning ticket any more: the table shows up to which level it matched.`
  }`;
}

// The buttons.

/** Hand the network in the picture to the worker, unless it has it already. */
function handOver() {
  if (!shown.waiting) return;
  shown.waiting = false;
  latest = shown;
  if (shown.arm === "pruned") shown.arm = "fine-tuned";
  const { level, arm, masks, weights } = shown;
  levels[level].results[arm] = { ...levels[level].results[arm], curve: [] };
  setPace();
  send("begin", { ...settings, id: ++job, masks, weights, about: { level, arm } });
}

function startSearch(levels) {
  begin();
  running = "search";
  $(".said").scrollIntoView({ block: "nearest" });
  setPace();
  send("search", { ...settings, id: ++job, levels });
  draw();
}

/** Give up what runs; what there is to say of it. */
function end() {
  const ended = running === "search" ? "The search ends here. " : "";
  stop();
  return ended;
}

/** Another start for the ticket of this level. */
function startAs(arm, weights, text, masks = levels[shown.level].masks) {
  const ended = end();
  show(arm, masks, weights, shown.level);
  say(ended + text);
}

let skipped = false; // whether the question was already put once
const actions = {
  find() {
    if (!$('[name="guess"]:checked') && !skipped) {
      skipped = true;
      const first = "choose an answer, or press again without one";
      $(".progress").textContent = first;
      say(`Your guess first: ${first}.`);
      return $('[name="guess"]').focus();
    }
    startSearch(LEVELS);
    say("The search has begun: first the whole network is trained.");
  },
  train() {
    if (shown.trained) return say(DONE);
    handOver();
    running = "train";
    paused = false;
    send("go");
    say(`Training: 20 times over all 8,000 training signals. ${settings.speed === "fast" ? "Another speed lets you watch." : "Watch its curve, or press Pause."}`);
  },
  step() {
    if (shown.trained) return say(DONE);
    handOver();
    running = "train";
    paused = true;
    send("step");
  },
  pause() {
    if (!running) return say("Nothing is training. Press Train.");
    paused = !paused;
    send(paused ? "pause" : "go");
    const step = running === "search" ? "" : ", or Step to take one step at a time";
    say(paused ? `Paused. Press Go on${step}.` : "It goes on training.");
  },
  prune() {
    if (shown.arm !== "dense" && shown.arm !== "ticket") {
      if (!shown.trained || !levels[shown.level].weights)
        return say("What you see is not the ticket, so we do not prune it. Press Rewind first, then Train.");
      shown = trainedAt(shown.level); // the ticket beside which a control was looked at
    }
    if (!shown.trained)
      return say("Train it to the end first: only training shows which weights stay small.");
    const masks = prune(shown.weights, shown.masks, settings.network);
    const { weights, level } = shown;
    const ended = end();
    if (levels.length === level + 1) newLevel(masks); // one that is known would be the same
    show("pruned", masks, weights, level + 1);
    say(`${ended}Pruned: the weights nearest to zero are gone. ${lines()} are left, with the values that training gave them. (Which ones are left is called the mask.) Press Rewind to put them back to their first random values.`);
  },
  rewind() {
    const { level } = shown;
    startAs(level ? "ticket" : "dense", initial(),
      level
        ? `Rewound: ${number(sizeOf(levels[level].masks))} weights, each back at the random value it began with. This is the ticket. Press Train: can it learn alone?`
        : "Rewound: the whole network is back at its first random values. Press Train.");
  },
  redraw() {
    const { level } = shown;
    startAs("reinitialised", redrawnWeights(settings.network, settings.seed),
      level
        ? "Redrawn: the same lines as the ticket, with new random values. This is the control. Press Train: if it falls behind the ticket, the first values mattered."
        : "Redrawn: all lines are still there, with other random values. Press Train.");
  },
  permute() {
    const { level } = shown;
    if (!level) return say("There is no mask to permute: no weight is pruned yet. Press Train, then Prune 20 %.");
    startAs("shuffled", initial(),
      "Permuted: as many lines in each layer as the ticket has, but in other places. Press Train: if it falls behind, it matters which weights are kept.",
      shuffleMasks(levels[level].masks, settings.seed));
  },
  signs() {
    startAs("signs", onlySigns(initial()),
      "Only signs: each first value is now plus or minus the same size. Press Train: are the signs enough?");
  },
  another() {
    example = (example + 1) % test.y.length;
    draw();
    say(`Another test signal, of class ${test.y[example]}. The bars show what the network takes it for.`);
  },
  restart,
};

root.addEventListener("click", ({ target }) => {
  const name = target.closest("button[data-do]")?.dataset.do;
  if (!name) return;
  if (!test) return say("The signals are still being drawn. One moment, please.");
  if (isBusy() && !["pause", "another", "restart"].includes(name))
    return say("A training is running. Press Pause first, or wait for its end.");
  if (running === "search" && name === "step")
    return say("A search takes no single steps. Press Go on.");
  if (running === "search" && name === "train") return actions.pause();
  actions[name]();
  draw();
});
root.addEventListener("change", ({ target }) => {
  if (target.name === "seed") {
    const seed = Number(target.value);
    if (!Number.isInteger(seed) || seed < 0 || seed > 999 || target.value === "") {
      target.value = settings.seed;
      return say("A seed is a whole number from 0 to 999. It chooses the first random values.");
    }
    settings.seed = seed;
  } else if (target.name === "network") settings.network = target.value;
  else if (target.name === "speed") {
    settings.speed = target.value;
    setPace();
    writeAddress();
    return say(`The speed is now ${target.value}.`);
  } else return;
  begin();
  say(`Seed ${settings.seed}, network ${settings.network}: a new network of ${number(total())} random weights. Press Train.`);
});
slider.addEventListener("input", () => {
  const level = Number(slider.value);
  if (running === "search") {
    looking = level < levels.length - 1 ? level : null;
    shown = looking === null ? latest : trainedAt(level);
    draw();
    const go = paused ? "The search is paused: press Go on." : "The search goes on.";
    if (looking === null) return say(`Where the search is now. ${go}`);
    return say(`Looking back. ${verdict(level)} ${go} Move the slider to its end to see where it is.`);
  }
  lookBack(level);
});
addEventListener("hashchange", () => {
  if (location.hash.includes("=") && test) open(readAddress());
});
addEventListener("resize", draw);
dark.addEventListener("change", draw);
new MutationObserver(draw).observe(document.body, { attributeFilter: ["data-theme"] });

/** The state that the address asks for. */
function open(level) {
  if (!level) return restart();
  startSearch(level);
  send("pace", { pace: PACES.fast });
  say(`This address shows level ${level} of seed ${settings.seed}. First it has to be found.`);
}

const wanted = readAddress();
begin();
say("The signals are being drawn.");
$(".progress").textContent = "drawing the signals first, one moment";
worker = makeWorker(hear, fail);
send("load");
