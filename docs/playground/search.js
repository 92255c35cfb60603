// Iterative magnitude pruning with its controls, as `lthlab.levels` and `lthlab.controls` have it.
import {
  density, fullMasks, initialWeights, prune, redrawnWeights, shuffleMasks,
} from "./network.js";

/** Where the training of an arm begins, given the masks of the ticket at its level. */
export function startOf(arm, network, seed, masks) {
  if (arm === "reinitialised") return { masks, weights: redrawnWeights(network, seed) };
  const weights = initialWeights(network, seed);
  return { masks: arm === "shuffled" ? shuffleMasks(masks, seed) : masks, weights };
}

/** The whole search, one training after the other: yields what each begins with, then takes its end.
 *
 * `yield {level, arm, start}` hands out a training and is resumed with {weights, test}.
 */
export function* search(network, seed, levels) {
  let masks = fullMasks(network);
  let trained = null;
  for (let level = 0; level <= levels; level++) {
    if (level) masks = prune(trained, masks, network);
    const row = { level, density: density(masks) };
    for (const arm of level ? ["ticket", "reinitialised", "shuffled"] : ["dense"]) {
      const end = yield { level, arm, density: row.density, start: startOf(arm, network, seed, masks) };
      if (arm === "dense" || arm === "ticket") trained = end.weights;
      row[arm] = end.test;
    }
  }
}
