"""Make the reference results in lthlab/assets/reference/ again: python benchmarks/reference.py [NAME ...]

Each study is one `run_experiment`; finished levels are kept in .reference/, so that an interrupted
run goes on where it stopped. Beside each table NAME.csv stands its provenance NAME.json.
"""

import argparse
import datetime
import itertools
import json
import platform
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from joblib import Parallel, delayed
from torch import nn
from tqdm import tqdm

from lthlab import (
    ARMS,
    count_kept,
    density,
    full_masks,
    initialize_,
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
from lthlab.data import load_dataset
from lthlab.models import ResNet
from lthlab.run import Run
from lthlab.sparse import sparse_below

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".reference"
FOLDER = ROOT / "lthlab" / "assets" / "reference"
EARLY = ["5it", "10it", "20it", "40it", "70it", "100it"]
CONTROLS = ["dense", "ticket", "reinitialised", "shuffled", "random", "signs"]
RETRAINING = ["learning-rate rewinding", "fine-tuning"]
BEFORE = ["magnitude at init", "SNIP", "GraSP", "SynFlow"]  # masks found before training
CHECKS = [f"{arm}, {check}" for arm in BEFORE for check in ("shuffled", "reinitialised", "inverted")]
RACE = ["dense", "ticket", "random", "ERK", *BEFORE, "magnitude after training", "Early-Bird", "RigL", "SET"]

STUDIES = {
    "fashion-mini": {
        "model": "lenet-300-100",
        "dataset": "fashion-mini",
        "arms": [*CONTROLS, *RETRAINING],
        "seeds": range(10),
        "levels": 22,
        "control_levels": [5, 7, 10, 15, 18, 20, 22],
        "evaluate_at": EARLY,
    },
    "mnist1d": {
        "model": "mlp-100-100-100",
        "dataset": "mnist1d",
        "arms": [*CONTROLS, *RETRAINING],
        "seeds": range(10),
        "levels": 16,
        "control_levels": [4, 8, 12, 14, 16],
        "evaluate_at": EARLY,
    },
    "rewinding": {
        "model": "resnet1d-4",
        "dataset": "mnist1d",
        "arms": ["dense", "ticket"],
        "arms_at": {96: RETRAINING},
        "seeds": range(10),
        "levels": 12,
        "rewind_to": [0, 12, 24, 48, 96, 192],
    },
    # The paper's own length, on all 60,000 images, with its five trials (Frankle & Carbin 2019, section 2).
    "fashion-mnist": {
        "model": "lenet-300-100",
        "dataset": "fashion-mnist",
        "arms": ["dense", "ticket", "reinitialised"],
        "seeds": range(5),
        "levels": 20,
        "control_levels": [3, 7, 12, 15, 18, 20],
        "evaluate_every": "1000it",
        "evaluate_at": ["100it", "200it", "500it"],
    },
    **{
        f"race-{dataset}": {
            "model": model,
            "dataset": dataset,
            "arms": [*RACE, "shuffled", "reinitialised", *CHECKS],
            "seeds": range(10),
            "levels": levels[-1],
            "control_levels": levels,
            "evaluate_every": 0,
        }
        for dataset, model, levels in (
            ("mnist1d", "mlp-100-100-100", [4, 8, 12, 16, 20]),
            ("fashion-mini", "lenet-300-100", [5, 10, 15, 20, 24]),
        )
    },
}


def resnet2d_4(dataset, seed):
    """The small residual network of mnist1d for images, as narrow."""
    return initialize_(ResNet(dataset.input_shape[0], 1, 4, len(dataset.classes), conv=nn.Conv2d), seed)


# The settings in which notebook 05 looked for a gain by rewinding, with seeds of their own: the one chosen here
# is measured again with others. Each: network, data, learning rates, rewind steps, levels.
SEARCH = [
    ("resnet1d-4", "mnist1d", [0.1, 0.4, 0.8], [0, 24, 96], 14),
    ("resnet1d-8", "mnist1d", [0.1, 0.4, 0.8], [0, 24, 96], 14),
    ("mlp-100-100-100", "mnist1d", [0.1, 0.4], [0, 24, 96], 14),
    (resnet2d_4, "fashion-mini", [0.4], [0, 96], 9),
]
STABILITY_LEVEL = 9  # of the tickets whose stability is measured


def search(n_jobs: int) -> None:
    """Accuracy of tickets by rewind step, out of 480 steps, for every setting of SEARCH."""
    tables = []
    for model, dataset, rates, steps, levels in SEARCH:
        base = recipe_for(model if isinstance(model, str) else "resnet1d-4", dataset)
        for lr, k in itertools.product(rates, steps):
            table = run_experiment(
                model, dataset, replace(base, lr=lr, duration="480it"), arms=["dense", "ticket"],
                seeds=range(100, 104), levels=levels, rewind_to=k, evaluate_every=0, folder=CACHE, n_jobs=n_jobs,
            )  # fmt: skip
            final = table.query("split == 'validation' and metric == 'accuracy' and step == 480")
            tables.append(final.drop(columns=["split", "metric", "step"]).assign(lr=lr))
            print(final["model"].iloc[0], dataset, lr, k, final.groupby("level")["value"].mean().round(3).tolist())
    table = pd.concat(tables).round({"density": 5, "value": 4})
    table.to_csv(FOLDER / "rewinding-search.csv", index=False)


def stability(n_jobs: int) -> None:
    """Accuracy along the line between two copies by rewind step, dense and as tickets of the study "rewinding"."""
    study = dict(STUDIES["rewinding"])
    study["recipe"] = recipe_for(study["model"], study["dataset"])
    runs = [Run(study["model"], study["dataset"], study["recipe"], k, "1ep", (), CACHE) for k in study["rewind_to"]]
    tasks = [(run, seed, level) for run in runs for seed in study["seeds"] for level in (0, STABILITY_LEVEL)]
    work = Parallel(n_jobs=n_jobs, return_as="generator")
    lines = tqdm(work(delayed(line_between_copies)(*task) for task in tasks), total=len(tasks))
    pd.concat(lines).round(4).to_csv(FOLDER / "stability.csv", index=False)
    write_provenance("stability", study)


def line_between_copies(run: Run, seed: int, level: int) -> pd.DataFrame:
    """Two copies of one network, dense (level 0) or a ticket, trained from the rewind step with orders of their own."""
    torch.set_num_threads(1)
    masks = run.masks("ticket" if level else "dense", seed, level)
    orders = (1_000 + 2 * seed, 1_001 + 2 * seed)
    copies = train_copies(run.build(seed), run.data, run.recipe, run.start(seed), orders, masks)
    line = interpolate(*copies, run.data)
    return line[line["metric"] == "accuracy"].assign(
        network="ticket" if level else "dense", rewind_step=run.rewind_step, seed=seed, density=density(masks)
    )


def overlaps(n_jobs: int) -> None:
    """How much of the ticket of the studies "race-..." other masks already hold, by method and training step."""
    studies = [("race-mnist1d", 12), ("race-fashion-mini", 15)]
    tasks = [(name, level, seed) for name, level in studies for seed in STUDIES[name]["seeds"]]
    found = Parallel(n_jobs=n_jobs)(delayed(overlaps_with_ticket)(*task) for task in tqdm(tasks))
    pd.concat(found).round(4).to_csv(FOLDER / "overlaps.csv", index=False)


def overlaps_with_ticket(name: str, level: int, seed: int) -> pd.DataFrame:
    """Of one seed: masks of the ticket's layer densities by magnitude at steps of training, and those found before."""
    torch.set_num_threads(1)
    model, dataset = STUDIES[name]["model"], STUDIES[name]["dataset"]
    run = Run(model, dataset, recipe_for(model, dataset), 0, 0, (), CACHE, sparse_below())
    masks, total, rows = run.masks("ticket", seed, level), run.recipe.steps(run.data), []
    chance = sum(float(mask.float().mean()) * int(mask.sum()) for mask in masks.values()) / count_kept(masks)
    steps = sorted({round(total * share) for share in (0, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1)})
    model, fractions = run.build(seed), {layer: 1 - kept for layer, kept in layer_densities(masks).items()}
    history = train(model, run.data, run.recipe, seed=seed, snapshots=steps, evaluate_every=0)
    for step in steps:
        model.load_state_dict(history.snapshots[step].model)
        rows.append(("magnitude", step, overlap(prune(magnitude(model), full_masks(model), fractions), masks)))
    rows += [(arm, 0, overlap(ARMS[arm](run, seed, level).masks, masks)) for arm in (*BEFORE, "ERK", "random")]
    table = pd.DataFrame(rows, columns=["arm", "step", "overlap"])
    return table.assign(dataset=run.data.name, seed=seed, chance=chance, density=density(masks))


def make(name: str, n_jobs: int) -> None:
    """Run one study of STUDIES and write its table, for every step that it rewinds to."""
    study = {"rewind_to": [0], "recipe": recipe_for(STUDIES[name]["model"], STUDIES[name]["dataset"])} | STUDIES[name]
    more = study.pop("arms_at", {})
    runs = [study | {"rewind_to": k, "arms": study["arms"] + more.get(k, [])} for k in study["rewind_to"]]
    table = pd.concat([run_experiment(**run, folder=CACHE, n_jobs=n_jobs) for run in runs])
    # What notebooks draw, in a file that stays small: races for the controls, ends for all, losses at the end only.
    ends = table["step"] == table.groupby(["arm", "rewind_step", "seed", "level"])["step"].transform("max")
    races = table["arm"].isin(CONTROLS) & (len(study["rewind_to"]) == 1) & (not name.startswith("race-"))
    table = table[((table["metric"] == "accuracy") & (races | ends)) | ((table["split"] == "validation") & ends)]
    table = table.drop(columns=["dataset", "model"]).round({"density": 5, "value": 4})
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.to_csv(FOLDER / f"{name}.csv", index=False)
    write_provenance(name, study)


def write_provenance(name: str, study: dict) -> None:
    """How a table was made, beside it."""
    data = load_dataset(study["dataset"])
    provenance = {
        "command": f"python benchmarks/reference.py {name}",
        "date": datetime.date.today().isoformat(),
        "model": study["model"],
        "dataset": repr(data),
        "arms": study["arms"],
        "seeds": list(study["seeds"]),
        "rewind_to": study["rewind_to"],
        "sparse_below": sparse_below(),  # for fully connected networks
        "recipe": asdict(study["recipe"]) | {"steps": study["recipe"].steps(data)},
        "versions": {package: version(package) for package in ("torch", "numpy", "lthlab", "mnist1d")}
        | {"python": platform.python_version(), "machine": platform.machine()},
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(provenance, indent=2, default=str) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[*STUDIES], help=f"of {', '.join(STUDIES)}; default all")
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.names:
        special = {"rewinding-search": search, "stability": stability, "overlaps": overlaps}
        special[name](options.jobs) if name in special else make(name, options.jobs)
