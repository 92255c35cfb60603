"""Make the reference results in lthlab/assets/reference/ again: python benchmarks/reference.py [NAME ...]

Each study is one `run_experiment`; finished levels are kept in .reference/, so that an interrupted
run goes on where it stopped. Beside each table NAME.csv stands its provenance NAME.json.
"""

import argparse
import datetime
import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from lthlab import recipe_for, run_experiment
from lthlab.data import load_dataset

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "lthlab" / "assets" / "reference"
EARLY = ["5it", "10it", "20it", "40it", "70it", "100it"]
CONTROLS = ["dense", "ticket", "reinitialised", "shuffled", "random", "signs"]

STUDIES = {
    "fashion-mini": {
        "model": "lenet-300-100",
        "dataset": "fashion-mini",
        "arms": CONTROLS,
        "seeds": range(10),
        "levels": 22,
        "control_levels": [5, 10, 15, 18, 20, 22],
        "evaluate_at": EARLY,
    },
    "mnist1d": {
        "model": "mlp-100-100-100",
        "dataset": "mnist1d",
        "arms": [*CONTROLS, "learning-rate rewinding", "fine-tuning"],
        "seeds": range(10),
        "levels": 16,
        "control_levels": [4, 8, 12, 14, 16],
        "evaluate_at": EARLY,
    },
}


def make(name: str, n_jobs: int) -> None:
    study = dict(STUDIES[name])
    recipe = study.pop("recipe", None) or recipe_for(study["model"], study["dataset"])
    table = run_experiment(**study, recipe=recipe, folder=ROOT / ".reference", n_jobs=n_jobs)
    # Accuracy at every look, losses at the end only: what notebooks draw, in a file that stays small.
    ends = table["step"] == table.groupby(["arm", "seed", "level"])["step"].transform("max")
    table = table[(table["metric"] == "accuracy") | ((table["split"] == "validation") & ends)]
    table = table.drop(columns=["dataset", "model"]).round({"density": 5, "value": 4})
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.to_csv(FOLDER / f"{name}.csv", index=False)
    data = load_dataset(study["dataset"])
    provenance = {
        "command": f"python benchmarks/reference.py {name}",
        "date": datetime.date.today().isoformat(),
        "model": study["model"],
        "dataset": repr(data),
        "arms": study["arms"],
        "seeds": list(study["seeds"]),
        "recipe": asdict(recipe) | {"steps": recipe.steps(data)},
        "versions": {package: version(package) for package in ("torch", "numpy", "lthlab", "mnist1d")}
        | {"python": platform.python_version(), "machine": platform.machine()},
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(provenance, indent=2, default=str) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[*STUDIES], help=f"of {', '.join(STUDIES)}; default all")
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args()
    for name in options.names:
        make(name, options.jobs)
