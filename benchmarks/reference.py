"""Make the results in lthlab/assets/reference/ again: python benchmarks/reference.py [NAME ...]

Each study is one `run_experiment`, or several; finished levels are kept in .reference/, so that an
interrupted run goes on where it stopped. Beside each table NAME.csv stands its provenance
NAME.json, and in NAME.npz which answers on the test split were right, one bit each.
"""

import argparse
import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import studies
import torch
from joblib import Parallel, delayed
from settings import (
    AS_LONG,
    BEFORE,
    CACHE,
    CONTROLS,
    FOLDER,
    RETRAINING,
    STUDIES,
    data_of,
    declare_retraining,
    finished_levels,
    recipe_of,
    watched,
    write_known,
    write_provenance,
)
from tqdm import tqdm

from lthlab import (
    ARMS,
    count_kept,
    density,
    full_masks,
    interpolate,
    layer_densities,
    magnitude,
    overlap,
    prune,
    recipe_for,
    run_experiment,
    train,
    train_copies,
)
from lthlab.levels import Past

# The settings in which notebook 05 looked for a gain by rewinding, with seeds of their own: the one
# chosen here is measured again with others. Each: network, data, learning rates, rewind steps,
# levels.
SEARCH = [
    ("resnet1d-4", "mnist1d", [0.1, 0.4, 0.8], [0, 24, 96], 14),
    ("resnet1d-8", "mnist1d", [0.1, 0.4, 0.8], [0, 24, 96], 14),
    ("mlp-100-100-100", "mnist1d", [0.1, 0.4], [0, 24, 96], 14),
]
STABILITY_LEVEL = 9  # of the tickets whose stability is measured
PAIRS, POINTS = (
    3,
    30,
)  # of copies for each network, and on the line between two (Frankle et al. 2020)


def search(n_jobs: int) -> None:
    """Accuracy of tickets by rewind step, out of 480 steps, for every setting of SEARCH."""
    tables = []
    for model, dataset, rates, steps, levels in SEARCH:
        base = recipe_for(model, dataset)
        for lr, k in itertools.product(rates, steps):
            table = run_experiment(
                model,
                dataset,
                replace(base, lr=lr, duration="480it"),
                arms=["dense", "ticket"],
                seeds=range(100, 104),
                levels=levels,
                rewind_to=k,
                evaluate_every=0,
                folder=CACHE,
                n_jobs=n_jobs,
            )
            final = table.query("split == 'validation' and metric == 'accuracy' and step == 480")
            tables.append(final.drop(columns=["split", "metric", "step", "epoch"]).assign(lr=lr))
            means = final.groupby("level")["value"].mean().round(3).tolist()
            print(final["model"].iloc[0], dataset, lr, k, means)
    table = pd.concat(tables).round({"density": 5, "value": 4})
    table.to_csv(FOLDER / "rewinding-search.csv", index=False)
    write_known("rewinding-search", what=search.__doc__, seeds=[*range(100, 104)], steps=480)


def find_tickets(name: str, k: int, level: int, n_jobs: int) -> None:
    """Make sure that the tickets of a study are in .reference/: what is there is not run again."""
    study = STUDIES[name]
    model, dataset = study["model"], study["dataset"]
    options = {"rewind_to": k, "arms": ["ticket"], "seeds": study["seeds"], "levels": level}
    options |= {"folder": CACHE, "n_jobs": n_jobs} | watched(study)
    run_experiment(model, dataset, recipe_of(study), **options)


def stability(n_jobs: int) -> None:
    """Accuracy along the lines between pairs of copies by rewind step, of the study "rewinding".

    Of the dense networks, and of their tickets.
    """
    study = dict(STUDIES["rewinding"])
    for k in study["rewind_to"]:
        find_tickets("rewinding", k, STABILITY_LEVEL, n_jobs)
    tasks = [*itertools.product(study["rewind_to"], study["seeds"], (0, STABILITY_LEVEL))]
    work = Parallel(n_jobs=n_jobs, return_as="generator")
    lines = tqdm(work(delayed(line_between_copies)(*task) for task in tasks), total=len(tasks))
    pd.concat(lines).round(4).to_csv(FOLDER / "stability.csv", index=False)
    study["recipe"] = recipe_for(study["model"], study["dataset"])
    write_provenance("stability", study)


def line_between_copies(k: int, seed: int, level: int) -> pd.DataFrame:
    """Pairs of copies of one network, trained from the rewind step with orders of their own.

    Level 0 is the dense network, any other a ticket.
    """
    torch.set_num_threads(1)
    setting, finished = finished_levels("rewinding", k)
    arm = "ticket" if level else "dense"
    masks = finished[arm, seed, level].masks
    start = finished["dense", seed, 0].history.states[k]
    model, lines = setting.build(seed), []
    for pair in range(PAIRS):
        first = 1_000 + 2 * seed + 100 * pair
        orders = (first, first + 1)
        copies = train_copies(model, setting.data, setting.recipe, start, orders, masks)
        lines.append(interpolate(*copies, setting.data, points=POINTS).assign(pair=pair))
    line = pd.concat(lines)
    known = {"network": arm, "rewind_step": k, "seed": seed, "density": density(masks)}
    return line[line["metric"] == "accuracy"].assign(**known)


def overlaps(n_jobs: int) -> None:
    """How much of the ticket of the studies "race-..." other masks already hold."""
    studies = [("race-mnist1d", 12), ("race-fashion-mini", 15)]
    for name, level in studies:
        find_tickets(name, 0, level, n_jobs)
    tasks = [(name, level, seed) for name, level in studies for seed in STUDIES[name]["seeds"]]
    found = Parallel(n_jobs=n_jobs)(delayed(overlaps_with_ticket)(*task) for task in tqdm(tasks))
    pd.concat(found).round(4).to_csv(FOLDER / "overlaps.csv", index=False)
    write_known("overlaps", what=overlaps.__doc__, studies=dict(studies), seeds=[*range(10)])


def overlaps_with_ticket(name: str, level: int, seed: int) -> pd.DataFrame:
    """Of one seed: masks by magnitude at steps of a training, and masks found before training.

    Those by magnitude have the ticket's layer densities.
    """
    torch.set_num_threads(1)
    setting, finished = finished_levels(name)
    data, recipe, model = setting.data, setting.recipe, setting.build(seed)
    masks, total = finished["ticket", seed, level].masks, setting.recipe.steps(setting.data)
    expected = sum(float(mask.float().mean()) * int(mask.sum()) for mask in masks.values())
    shares = (0, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1)
    steps = sorted({round(total * share) for share in shares})
    fractions = {layer: 1 - kept for layer, kept in layer_densities(masks).items()}
    options = {"seed": seed, "evaluate_every": 0, "step": "fast"}
    history, rows = train(model, data, recipe, states=steps, **options), []
    for step in steps:
        history.states[step].restore_(model)
        drawn = prune(magnitude(model), full_masks(model), fractions)
        rows.append(("magnitude", step, overlap(drawn, masks)))
    for name in (*BEFORE, "ERK", "random"):
        past = Past(setting, finished, name, ARMS[name].needs, seed, level)
        rows.append((name, 0, overlap(ARMS[name].function(past).masks, masks)))
    table = pd.DataFrame(rows, columns=["arm", "step", "overlap"])
    chance = expected / count_kept(masks)
    return table.assign(dataset=data.name, seed=seed, chance=chance, density=density(masks))


def make(name: str, n_jobs: int) -> None:
    """Run one study of STUDIES and write its table, for every step that it rewinds to."""
    study = STUDIES[name]
    if "fine-tuning" in [*study["arms"], *sum(study.get("arms_at", {}).values(), [])]:
        declare_retraining(name)
    options = {"seeds": study["seeds"], "folder": CACHE, "n_jobs": n_jobs} | watched(study)
    tables, last = [], study["levels"]
    dataset = study["dataset"] if isinstance(study["dataset"], str) else data_of(study)
    for k in study.get("rewind_to", [0]):
        arms = study["arms"] + study.get("arms_at", {}).get(k, [])
        long = [arm for arm in arms if arm in (*RETRAINING, *AS_LONG)]
        for some, levels in (
            ([arm for arm in arms if arm not in long], last),
            (long, study.get("chains_to", last)),
        ):
            if some:
                controls = [
                    n for n in study.get("control_levels", range(1, last + 1)) if n <= levels
                ]
                what = {"arms": some, "levels": levels, "control_levels": controls, "rewind_to": k}
                recipe = recipe_of(study)
                tables.append(run_experiment(study["model"], dataset, recipe, **what, **options))
    table = pd.concat(tables, ignore_index=True)
    write_table(name, table)
    write_correct(name)
    write_provenance(name, study)


def write_table(name: str, table: pd.DataFrame) -> None:
    """What notebooks draw, in a file that stays small.

    Of all trainings the first and the last values, and those at the lowest validation loss; of the
    controls also the accuracy by step.
    """
    run = ["arm", "rewind_step", "seed", "level"]
    step, accuracy = table["step"], table["metric"] == "accuracy"
    last = table.groupby(run)["step"].transform("max")
    first = table.groupby(run)["step"].transform("min")
    loss = table["value"].where((table["metric"] == "loss") & (table["split"] == "validation"))
    lowest = table.loc[loss.groupby([table[key] for key in run]).idxmin()]
    at_lowest = pd.MultiIndex.from_frame(table[[*run, "step"]]).isin(
        pd.MultiIndex.from_frame(lowest[[*run, "step"]])
    )
    several = table["rewind_step"].nunique() > 1 or name.startswith("race-")
    races = table["arm"].isin(CONTROLS) & (not several)
    ends = (step == last) | at_lowest
    kept = (accuracy & (races | ends | (step == first))) | ((table["split"] != "train") & ends)
    table = table[kept].drop(columns=["dataset", "model", "epoch"]).drop_duplicates()
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.round({"density": 5, "value": 4}).to_csv(FOLDER / f"{name}.csv", index=False)


def write_correct(name: str) -> None:
    """The right answers of each training on the test split, in the order of the table's rows."""
    table = pd.read_csv(FOLDER / f"{name}.csv")
    table, rows = table.query("split == 'test'"), []
    for k, part in table.groupby("rewind_step", sort=False):
        _, finished = finished_levels(name, k)
        keys = part[["arm", "seed", "level"]].itertuples(index=False, name=None)
        rows += [finished[key].correct.numpy() for key in keys]
    np.savez_compressed(
        FOLDER / f"{name}.npz", bits=np.packbits(rows, axis=1), examples=len(rows[0])
    )


if __name__ == "__main__":
    special = {"rewinding-search": search, "stability": stability, "overlaps": overlaps}
    own = (studies.length, studies.width, studies.connectivity, studies.forgetting)
    own += (studies.once, studies.pretraining)
    special |= {"bytes": studies.bytes_on_disk} | {study.__name__: study for study in own}
    special["connectivity-rewinding"] = studies.connectivity_rewinding
    known = [*STUDIES, *special]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(known)}")
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    for name in options.names:
        if name not in known:
            parser.error(f"{name!r} is none of {', '.join(known)}")
    torch.set_num_threads(1)
    for name in options.names or STUDIES:
        special[name](options.jobs) if name in special else make(name, options.jobs)
