// What the worker does: it trains in small pieces, tells of each, and can be paused in between.
import { Training } from "./network.js";
import { search } from "./search.js";
import { makeSignals } from "./signals.js";

/** Train to the end; every so many steps yield how far it is. Validation data are looked at once
 * an epoch, test data once, at the end. `pace` may change on the way. */
function* train(training, about, pace, quiet) {
  const { validation, test } = training.data;
  const look = (more) => ({
    ...about,
    step: training.step,
    weights: training.weights(),
    biases: training.biases(),
    ...more,
  });
  if (!quiet && !training.step) yield look({ kind: "progress", accuracy: training.accuracy(validation) });
  while (training.step < training.steps) {
    const loss = training.advance();
    const epochOver = training.step % training.perEpoch === 0;
    if (training.step % pace.steps && !epochOver) continue;
    const accuracy = epochOver && !quiet ? training.accuracy(validation) : undefined;
    yield look({ kind: "progress", loss, accuracy });
  }
  const end = look({ kind: "end", test: training.accuracy(test) });
  yield end;
  return end;
}

function* runSearch(data, { network, seed, levels, quiet }, pace) {
  const trainings = search(network, seed, levels);
  let { value, done } = trainings.next();
  while (!done) {
    const { start, ...about } = value;
    yield { kind: "begin", ...about, ...start };
    const training = new Training(data, network, seed, start.masks, start.weights);
    const end = yield* train(training, about, pace, quiet);
    ({ value, done } = trainings.next(end));
  }
  yield { kind: "searched" };
}

/** Answer messages: load, begin (a training), search, step, go, pause, stop, pace. */
export function serve(scope) {
  const pace = { steps: 80, wait: 0 };
  const channel = new MessageChannel(); // a turn of the event loop, without setTimeout's 4 ms
  let data, training, job, id;
  let running = false;
  let scheduled = false;
  channel.port1.onmessage = turn;

  function schedule() {
    if (!running || scheduled) return;
    scheduled = true;
    pace.wait ? setTimeout(turn, pace.wait) : channel.port2.postMessage(0);
  }

  function turn() {
    scheduled = false;
    if (!running) return;
    attempt(() => {
      const { value, done } = job.next();
      if (done) running = false;
      else scope.postMessage({ ...value, id });
    });
    schedule();
  }

  function go() {
    running = Boolean(job);
    schedule();
  }

  function attempt(action) {
    try {
      action();
    } catch (error) {
      running = false;
      scope.postMessage({ kind: "error", id, text: error.message });
    }
  }

  const actions = {
    load() {
      data = makeSignals();
      scope.postMessage({ kind: "loaded", test: data.test });
    },
    begin(message) {
      const { network, seed, masks, weights, about } = message;
      running = false;
      id = message.id;
      training = new Training(data, network, seed, masks, weights);
      job = train(training, about, pace);
    },
    search(message) {
      running = false;
      id = message.id;
      job = runSearch(data, message, pace);
      go();
    },
    step() {
      const loss = training.advance();
      const [weights, biases] = [training.weights(), training.biases()];
      scope.postMessage({ kind: "stepped", id, step: training.step, loss, weights, biases });
    },
    go,
    pause() {
      running = false;
    },
    stop() {
      running = false;
      job = null;
    },
    pace(message) {
      Object.assign(pace, message.pace);
    },
  };
  scope.onmessage = ({ data: message }) => attempt(() => actions[message.do](message));
}
