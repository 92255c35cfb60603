// The front end of all knobs: it draws a panel's data and answers its controls, with or without a
// kernel. Python (lthlab/widgets) makes the data; a notebook's page holds them beside a still
// picture, which is replaced here. The live lab alone talks to a kernel, as an anywidget.

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
function start(host, data, send) {
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
  for (const part of host.querySelectorAll("input, select, button"))
    part.dataset.lmSuppressShortcuts = "true"; // its keys are not JupyterLab's
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

/** Start every panel on the page that is not yet live. */
function startAll() {
  for (const host of document.querySelectorAll(".lthlab-knob:not([data-live])"))
    start(host, JSON.parse(host.querySelector("script").textContent));
}

if (typeof document !== "undefined") {
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", startAll) : startAll();
}
