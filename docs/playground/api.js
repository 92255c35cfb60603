// What other scripts can use, window.lthlab.search, and what it shares with the page.
export const NETWORKS = ["mlp-16-16", "mlp-32-32", "mlp-64-64"];
/** A worker that computes; made from text, because a page on a disk may not load one from a file. */
export function makeWorker(onEvent, onFailure) {
  const text = `"use strict";\n${computing}\ncomputing().serve(self);`;
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const worker = new Worker(address);
  worker.onmessage = ({ data }) => (data.kind === "error" ? onFailure(data.text) : onEvent(data));
  worker.onerror = (event) => onFailure(event.message);
  return worker;
}

/** Search for a ticket without the page: a Promise of one row for each level from 0. */
async function searchRows({ seed = 0, levels = 10, network = "mlp-32-32" } = {}) {
  for (const [name, value] of Object.entries({ seed, levels }))
    if (!Number.isInteger(value) || value < 0)
      throw new RangeError(`${name} is a whole number, 0 or more; got ${value}.`);
  if (!NETWORKS.includes(network))
    throw new RangeError(`network is one of ${NETWORKS.join(", ")}; got ${network}.`);
  const rows = [];
  let worker;
  try {
    await new Promise((resolve, reject) => {
      const fail = (text) => reject(new Error(text));
      worker = makeWorker(({ kind, level, arm, density, test }) => {
        if (kind === "searched") resolve();
        if (kind !== "end") return;
        rows[level] ??= { level, density, dense: rows[0]?.dense };
        rows[level][arm] = test;
      }, fail);
      worker.postMessage({ do: "load" });
      worker.postMessage({ do: "search", network, seed, levels, quiet: true });
    });
  } finally {
    worker?.terminate();
  }
  const { dense } = rows[0]; // level 0 of every arm is the whole network, as in lthlab
  Object.assign(rows[0], { ticket: dense, reinitialised: dense, shuffled: dense });
  return rows;
}

globalThis.lthlab = { search: searchRows };
