"""The studies of the reference results: what each one runs, and the arms that only they need."""

import datetime
import json
import platform
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from lthlab import (
    ARMS,
    Dataset,
    Recipe,
    Split,
    Start,
    State,
    arm,
    build_model,
    find_ticket,
    load_dataset,
    recipe_for,
)
from lthlab.arms import fine_tuning, pruned_at, unpruned
from lthlab.controls import by_change, then_reinitialised
from lthlab.fast import SPARSE_BELOW
from lthlab.folder import Folder, identity
from lthlab.levels import REDRAWN, Setting

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".reference"
FOLDER = ROOT / "lthlab" / "assets" / "reference"
FULL_LENGTH = {"evaluate_every": "500it", "evaluate_at": ["100it", "200it", "300it", "400it"]}
EARLY = ["5it", "10it", "20it", "40it", "70it", "100it"]

VALUES = ["permuted", "permuted sizes", "reinitialised to scale"]
CONTROLS = ["dense", "ticket", "reinitialised", "shuffled", "random", "signs", *VALUES]
REDRAWS = [f"reinitialised, draw {number}" for number in (2, 3)]
RETRAINING = ["learning-rate rewinding", "fine-tuning"]
AS_LONG = ["dense, trained as long", "dense, fine-tuned as long"]
BEFORE = ["magnitude at init", "SNIP", "GraSP", "SynFlow"]  # masks found before training
CHECKS = [
    f"{arm}, {check}" for arm in BEFORE for check in ("shuffled", "reinitialised", "inverted")
]
CHANCE = ["random", "uniform random", "ERK", "smart ratio"]
RACE = [
    *("dense", "ticket", "shuffled", "reinitialised", *CHANCE, *BEFORE),
    *("magnitude after training", "gradual", "Early-Bird", "RigL", "SET"),
]
SHARES = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1]  # of training, after which to prune
CRITERIA = {  # Zhou et al. 2019, figure 3; "large final" is the ticket
    "magnitude increase": lambda first, last: last.abs() - first.abs(),
    "large final, same sign": lambda first, last: last.abs() * (first * last > 0),
    "large init": lambda first, last: first.abs(),
    "movement": lambda first, last: (last - first).abs(),
}
RATES = [1, 0.3, 0.1, 0.03, 0.01]  # of fine-tuning, of the recipe's learning rate


def redrawn(number):
    """The reinitialised control with another draw of its values, so several for each mask."""
    return lambda past: Start(
        past.of("ticket")[past.level].masks, State.of(past.build(number * REDRAWN + past.seed))
    )


def only_classes(name: str, classes: range) -> Dataset:
    """A data set cut down to some of its classes, numbered anew."""
    data = load_dataset(name)

    def cut(split: Split) -> Split:
        chosen = (split.y >= classes.start) & (split.y < classes.stop)
        return Split(split.x[chosen], split.y[chosen] - classes.start)

    parts = {part: cut(getattr(data, part)) for part in ("train", "validation", "test")}
    names = tuple(data.classes[label] for label in classes)
    return replace(data, name=f"{name} {classes.start}-{classes.stop - 1}", classes=names, **parts)


OTHERS = {  # the other optimiser, with a usual rate
    "sgd": {"optimizer": "adam", "lr": 1.2e-3, "momentum": 0.0},
    "adam": {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9},
}


def found_elsewhere(past, data: Dataset, recipe: Recipe) -> Start:
    """The ticket of the same network and level, found on other data or by another recipe."""
    options = {"levels": past.level, "seed": past.seed, "evaluate_every": 0}
    masks = find_ticket(past.build(past.seed), data, recipe, **options).masks
    return Start(masks, past.initial)


def on_other_classes(past):
    name = past.data.name.split()[0]
    return found_elsewhere(past, only_classes(name, range(5)), past.recipe)


def by_other_optimiser(past):
    recipe = replace(past.recipe, **OTHERS[past.recipe.optimizer])
    return found_elsewhere(past, past.data, recipe)


for _name, _function in (
    ("found on other classes", on_other_classes),
    ("found with another optimiser", by_other_optimiser),
):
    arm(_name)(_function)
    arm(f"{_name}, reinitialised")(then_reinitialised(_function))
for _number in (2, 3):
    arm(f"reinitialised, draw {_number}", needs=("ticket",))(redrawn(_number))
for _name, _criterion in CRITERIA.items():
    arm(_name, chain=True)(by_change(_criterion))
for _share in SHARES:
    arm(f"pruned at {_share:.0%}", needs=("dense",))(pruned_at(_share))
    arm(f"pruned at {_share:.0%}, again", needs=("dense",))(pruned_at(_share, again=True))
for _rate in RATES:
    arm(f"fine-tuning at {_rate}", chain=True)(fine_tuning(_rate))

STUDIES = {
    # The paper's own length, on all 60,000 images, with its five trials (Frankle & Carbin 2019,
    # section 2).
    "fashion-mnist": {
        "model": "lenet-300-100",
        "dataset": "fashion-mnist",
        "arms": CONTROLS,
        "seeds": range(5),
        "levels": 20,
        "control_levels": [3, 7, 12, 15, 18, 20],
    }
    | FULL_LENGTH,
    "fashion-mini": {
        "model": "lenet-300-100",
        "dataset": "fashion-mini",
        "arms": [*CONTROLS, *REDRAWS, *RETRAINING, *AS_LONG],
        "seeds": range(10),
        "levels": 22,
        "control_levels": [5, 7, 9, 10, 15, 18, 20, 22],
        "chains_to": 15,
        "evaluate_every": "66it",
        "evaluate_at": EARLY,
    },
    "mnist1d": {
        "model": "mlp-100-100-100",
        "dataset": "mnist1d",
        "arms": [*CONTROLS, *REDRAWS, *RETRAINING, *AS_LONG],
        "seeds": range(10),
        "levels": 16,
        "control_levels": [4, 7, 8, 9, 12, 14, 16],
        "evaluate_every": "40it",
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
    # Narrow enough for two cores; LeNet's learning rate, fixed beforehand.
    "conv": {
        "model": "conv-2-8",
        "dataset": "fashion-mini",
        "recipe": replace(recipe_for("conv-2-8", "fashion-mini"), lr=1.2e-3, duration="4ep"),
        "arms": ["dense", "ticket", "reinitialised", "shuffled"],
        "seeds": range(10),
        "levels": 12,
        "control_levels": [4, 8, 12],
        "evaluate_every": "66it",
    },
    **{
        f"race-{dataset}": {
            "model": model,
            "dataset": dataset,
            "arms": [*RACE, *CHECKS],
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
    **{
        f"prune-at-{dataset}": {
            "model": model,
            "dataset": dataset,
            "arms": ["dense", *(name for name in ARMS if name.startswith("pruned at"))],
            "seeds": range(10),
            "levels": levels[-1],
            "control_levels": levels,
            "evaluate_every": 0,
            "states": [round(share * steps) for share in SHARES],
        }
        for dataset, model, levels, steps in (
            ("mnist1d", "mlp-100-100-100", [4, 8, 12], 1600),
            ("fashion-mini", "lenet-300-100", [7, 10, 15], 1330),
        )
    },
    **{
        f"criteria-{dataset}": {
            "model": model,
            "dataset": dataset,
            "arms": ["dense", "ticket", *CRITERIA],
            "seeds": range(10),
            "levels": levels,
            "evaluate_every": 0,
        }
        for dataset, model, levels in (
            ("mnist1d", "mlp-100-100-100", 12),
            ("fashion-mini", "lenet-300-100", 15),
        )
    },
    # Tickets found elsewhere (Morcos et al. 2019): on the other half of the classes, or by another
    # optimiser.
    **{
        f"{study}-{dataset}": {
            "model": model,
            "dataset": partial(only_classes, dataset, range(5, 10)) if half else dataset,
            "recipe": recipe_for(model, dataset),
            "arms": [
                *("dense", "ticket", "reinitialised", "random"),
                *(elsewhere, f"{elsewhere}, reinitialised"),
            ],
            "seeds": range(10),
            "levels": levels[-1],
            "control_levels": levels,
            "evaluate_every": 0,
        }
        for study, elsewhere, half in (
            ("transfer", "found on other classes", True),
            ("optimisers", "found with another optimiser", False),
        )
        for dataset, model, levels in (
            ("mnist1d", "mlp-100-100-100", [4, 8]),
            ("fashion-mini", "lenet-300-100", [7, 12]),
        )
    },
    # Tickets in a transformer, pruned by a third a level; from step 50 only as far as 30 %.
    **{
        name: {
            "model": "gpt-3x64",
            "dataset": "words",
            "arms": ["dense", "ticket", "reinitialised", *others],
            "seeds": range(10),
            "levels": levels[-1],
            "control_levels": levels,
            "rewind_to": [k],
            "evaluate_every": 0,
        }
        for name, others, levels, k in (
            ("words", ["shuffled"], [3, 6], 0),
            ("words-rewinding", [], [3], 50),
        )
    },
    # Which learning rate suits fine-tuning: on validation data, with seeds of their own.
    **{
        f"fine-tuning-{dataset}": {
            "model": model,
            "dataset": dataset,
            "arms": [f"fine-tuning at {rate}" for rate in RATES],
            "seeds": range(100, 104),
            "levels": levels,
            "rewind_to": [k],
            "evaluate_every": 0,
        }
        for dataset, model, levels, k in (
            ("mnist1d", "mlp-100-100-100", 12, 0),
            ("fashion-mini", "lenet-300-100", 15, 0),
            ("rewinding", "resnet1d-4", 9, 96),
        )
    },
}
STUDIES["fine-tuning-rewinding"]["dataset"] = "mnist1d"


def declare_retraining(name: str) -> None:
    """Fine-tuning at the rate that was best on average over the levels of its sweep."""
    table = pd.read_csv(FOLDER / f"fine-tuning-{name}.csv")
    ends = table.query("split == 'validation' and metric == 'accuracy' and level > 0 and step > 0")
    best = ends.groupby("arm")["value"].mean().idxmax()
    tuned = ARMS[best].function
    arm("fine-tuning", chain=True)(tuned)
    arm("dense, fine-tuned as long", chain=True)(unpruned(tuned))
    arm("dense, trained as long", chain=True)(unpruned(ARMS["learning-rate rewinding"].function))


def recipe_of(study: dict):
    return study.get("recipe") or recipe_for(study["model"], study["dataset"])


def data_of(study: dict) -> Dataset:
    made = study["dataset"]
    return load_dataset(made) if isinstance(made, str) else made()


def watched(study: dict) -> dict:
    return {k: study[k] for k in ("evaluate_every", "evaluate_at", "states") if k in study}


def finished_levels(name: str, k: int = 0) -> tuple[Setting, Folder]:
    """The setting of a study, rewound to step `k`, and its finished levels in .reference/."""
    study = STUDIES[name]
    data = data_of(study)
    build = partial(build_model, study["model"], data)
    setting = Setting(build, data, recipe_of(study), rewind_to=k, test=True, **watched(study))
    return setting, Folder(CACHE / f"experiment-{identity(setting, '')}")


def write_provenance(name: str, study: dict) -> None:
    """How the table of a study was made, beside it."""
    data, recipe = data_of(study), recipe_of(study)
    write_known(
        name,
        model=study["model"],
        dataset=repr(data),
        arms=study["arms"],
        arms_at=study.get("arms_at", {}),  # by rewind step, beside these
        seeds=list(study["seeds"]),
        control_levels=study.get("control_levels"),
        rewind_to=study.get("rewind_to", [0]),
        recipe=asdict(recipe) | {"steps": recipe.steps(data)},
    )


def write_known(name: str, **known) -> None:
    """The command, the date and the versions that made a table, and what else is known of it."""
    packages = ("torch", "numpy", "lthlab", "mnist1d")
    provenance = {
        "command": f"python benchmarks/reference.py {name}",
        "date": datetime.date.today().isoformat(),
        **known,
        "step": "fast",
        "sparse_below": SPARSE_BELOW,  # for fully connected networks
        "versions": {package: version(package) for package in packages}
        | {"python": platform.python_version(), "machine": platform.machine()},
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(provenance, indent=2, default=str) + "\n")
