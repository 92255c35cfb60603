"""Make the results in lthlab/assets/reference/ again: python benchmarks/reference.py [NAME ...]

Each study is one `run_experiment`; finished levels are kept in .reference/, so that an interrupted
run goes on where it stopped. Beside each table NAME.csv stands its provenance NAME.json.
"""

import argparse
import datetime
import itertools
import json
import platform
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from joblib import Parallel, delayed
from torch import nn
from tqdm import tqdm

from lthlab import (
    ARMS,
    build_model,
    count_kept,
    density,
    full_masks,
    interpolate,
    layer_densities,
    load_dataset,
    magnitude,
    overlap,
    prune,
    recipe_for,
    run_experiment,
    train,
    train_copies,
)
from lthlab.fast import SPARSE_BELOW
from lthlab.folder import Folder, identity
from lthlab.levels import Past, Setting
from lthlab.models import ResNet

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".reference"
FOLDER = ROOT / "lthlab" / "assets" / "reference"
EARLY = ["5it", "10it", "20it", "40it", "70it", "100it"]
CONTROLS = ["dense", "ticket", "reinitialised", "shuffled", "random", "signs"]
RETRAINING = ["learning-rate rewinding", "fine-tuning"]
BEFORE = ["magnitude at init", "SNIP", "GraSP", "SynFlow"]  # masks found before training
CHECKS = [
    f"{arm}, {check}" for arm in BEFORE for check in ("shuffled", "reinitialised", "inverted")
]
RACE = [
    "dense",
    "ticket",
    "random",
    "ERK",
    *BEFORE,
    "magnitude after training",
    "Early-Bird",
    "RigL",
    "SET",
]

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
    # The paper's own length, on all 60,000 images, with its five trials (Frankle & Carbin 2019,
    # section 2).
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
    return ResNet(dataset.input_shape[0], 1, 4, len(dataset.classes), conv=nn.Conv2d)


# The settings in which notebook 05 looked for a gain by rewinding, with seeds of their own: the one
# chosen here is measured again with others. Each: network, data, learning rates, rewind steps,
# levels.
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


def find_tickets(name: str, k: int, level: int, n_jobs: int) -> None:
    """Make sure that the tickets of a study are in .reference/: what is there is not run again."""
    study = STUDIES[name]
    model, dataset = study["model"], study["dataset"]
    options = {"rewind_to": k, "arms": ["ticket"], "seeds": study["seeds"], "levels": level}
    options |= {"folder": CACHE, "n_jobs": n_jobs} | watched(study)
    run_experiment(model, dataset, recipe_for(model, dataset), **options)


def finished_levels(name: str, k: int = 0) -> tuple[Setting, Folder]:
    """The setting of a study, rewound to step `k`, and its finished levels in .reference/."""
    study = STUDIES[name]
    data = load_dataset(study["dataset"])
    build, recipe = partial(build_model, study["model"], data), recipe_for(study["model"], data)
    setting = Setting(build, data, recipe, rewind_to=k, test=True, **watched(study))
    return setting, Folder(CACHE / f"experiment-{identity(setting, '')}")


def watched(study: dict) -> dict:
    return {key: study[key] for key in ("evaluate_every", "evaluate_at") if key in study}


def stability(n_jobs: int) -> None:
    """Accuracy along the line between two copies by rewind step, of the study "rewinding".

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
    """Two copies of one network, trained from the rewind step with orders of their own.

    Level 0 is the dense network, any other a ticket.
    """
    torch.set_num_threads(1)
    setting, finished = finished_levels("rewinding", k)
    arm = "ticket" if level else "dense"
    masks = finished[arm, seed, level].masks
    start = finished["dense", seed, 0].history.states[k]
    orders = (1_000 + 2 * seed, 1_001 + 2 * seed)
    model = setting.build(seed)
    copies = train_copies(model, setting.data, setting.recipe, start, orders, masks)
    line = interpolate(*copies, setting.data)
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
    study = {
        "rewind_to": [0],
        "recipe": recipe_for(STUDIES[name]["model"], STUDIES[name]["dataset"]),
    } | STUDIES[name]
    more = study.pop("arms_at", {})
    runs = [
        study | {"rewind_to": k, "arms": study["arms"] + more.get(k, [])}
        for k in study["rewind_to"]
    ]
    table = pd.concat([run_experiment(**run, folder=CACHE, n_jobs=n_jobs) for run in runs])
    # What notebooks draw, in a file that stays small: races for the controls, ends for all, losses
    # at the end only.
    last = table.groupby(["arm", "rewind_step", "seed", "level"])["step"].transform("max")
    ends, several = table["step"] == last, len(study["rewind_to"]) > 1 or name.startswith("race-")
    races = table["arm"].isin(CONTROLS) & (not several)
    accuracy, validation = table["metric"] == "accuracy", table["split"] == "validation"
    kept = (accuracy & (races | ends)) | (validation & ends)
    table = table[kept & (table["split"] != "train")]
    table = table.drop(columns=["dataset", "model", "epoch"]).round({"density": 5, "value": 4})
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
        "step": "fast",
        "sparse_below": SPARSE_BELOW,  # for fully connected networks
        "recipe": asdict(study["recipe"]) | {"steps": study["recipe"].steps(data)},
        "versions": {
            package: version(package) for package in ("torch", "numpy", "lthlab", "mnist1d")
        }
        | {"python": platform.python_version(), "machine": platform.machine()},
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(provenance, indent=2, default=str) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=[*STUDIES], help=f"of {', '.join(STUDIES)}; default all"
    )
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.names:
        special = {"rewinding-search": search, "stability": stability, "overlaps": overlaps}
        special[name](options.jobs) if name in special else make(name, options.jobs)
