"""Put a class's results together: python course/pool.py FOLDER

FOLDER holds one file a student, as class_lab.ipynb writes it. What fits is pooled: forest.png and
pooled.csv (the claim's row); what does not is named, with the reason, and left out.
"""

import hashlib
import json
import math
import sys
from collections import Counter
from pathlib import Path

import pandas as pd

import lthlab
from lthlab.statistics import interval

HERE = Path(__file__).parent
CLAIM = json.loads((HERE / "class_claim.json").read_text())
PREDICTIONS = ("above", "include", "below")
SAID = {"above": "lies above", "include": "includes", "below": "lies below"}
KEYS = {"student", "seed", "prediction", "values", "claim", "code", "versions", "seal"}


def code() -> str:
    """What identifies the package that computes: a digest of its sources."""
    digest = hashlib.sha256()
    package = Path(lthlab.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_text().encode())  # text: line ends differ between systems
    return digest.hexdigest()[:16]


def describe(student: str, seed: int, prediction: str, values: dict[str, float]) -> dict:
    """A student's result with its provenance."""
    import torch

    versions = {"lthlab": lthlab.__version__, "torch": torch.__version__}
    return {
        "student": student,
        "seed": seed,
        "prediction": prediction,
        "values": values,
        "claim": CLAIM["claim"],
        "code": code(),
        "versions": versions,
    }


def sealed(result: dict) -> dict:
    """The result with a digest of its own content, which shows damage (it is no signature)."""
    content = json.dumps({k: v for k, v in result.items() if k != "seal"}, sort_keys=True)
    return result | {"seal": hashlib.sha256(content.encode()).hexdigest()[:16]}


def problem(result: object, expected: str) -> str:
    """Why a file's content cannot be pooled, or ""."""
    if not isinstance(result, dict) or set(result) != KEYS:
        return "is not a file that class_lab.ipynb wrote"
    if sealed(result) != result:
        return "was changed after it was written"
    if result["claim"] != CLAIM["claim"]:
        return f"answers another question: {result['claim']}"
    if result["code"] != expected:
        return f"was computed by other code ({result['code']}, not {expected})"
    first, last = CLAIM["seeds"]
    seed, values = result["seed"], result["values"]
    if type(seed) is not int or not first <= seed <= last:
        return f"has the seed {seed}, which is not from {first} to {last}"
    student = result["student"]
    if not isinstance(student, str) or not 0 < len(student) <= 60 or not student.isprintable():
        return "has no student's name of 1 to 60 letters"
    if result["prediction"] not in PREDICTIONS:
        return f"predicts {result['prediction']!r}, not one of {', '.join(PREDICTIONS)}"
    if not isinstance(values, dict) or set(values) != set(CLAIM["arms"]):
        return f"has other arms than {' and '.join(CLAIM['arms'])}"
    for value in values.values():
        if not isinstance(value, float) or not math.isfinite(value) or not 0 <= value <= 1:
            return f"has {value!r} where an accuracy from 0 to 1 should be"
    return ""


def read(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The results that fit (one row a seed), and {file: why it was left out}.

    They must come from one code: the one that most files name.
    """
    given, left_out, results, seeds = {}, {}, [], {}
    for path in sorted(folder.glob("*")):
        if path.name in ("forest.png", "pooled.csv") or path.is_dir():
            continue
        try:
            given[path.name] = json.loads(path.read_text())
        except (OSError, ValueError, RecursionError):
            left_out[path.name] = "cannot be read as JSON"
    codes = Counter(str(r["code"]) for r in given.values() if isinstance(r, dict) and "code" in r)
    expected = codes.most_common(1)[0][0] if codes else ""
    for name, result in given.items():
        why = problem(result, expected)
        if not why and result["seed"] in seeds:
            why = f"has the seed {result['seed']} of {seeds[result['seed']]} once more"
        if why:
            left_out[name] = why
            continue
        seeds[result["seed"]] = name
        arm, against = (result["values"][name] for name in CLAIM["arms"])
        row = {key: result[key] for key in ("student", "seed", "prediction", "code")}
        results.append(row | {"value": arm - against})
    columns = ["student", "seed", "prediction", "code", "value"]
    return pd.DataFrame(results, columns=columns), dict(sorted(left_out.items()))


def verdict(low: float, high: float) -> str:
    """Which of the predictions came true."""
    return "above" if low > 0 else "below" if high < 0 else "include"


def forest(results: pd.DataFrame, path: Path) -> None:
    """A point for each student's seed, and the mean of all with its interval below."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = results.sort_values("value").reset_index(drop=True)
    pooled = interval(rows["value"])
    figure, axes = plt.subplots(figsize=(7, 1.5 + 0.22 * len(rows)), layout="constrained")
    axes.plot(100 * rows["value"], rows.index + 1, "o", color="#0072b2")
    error = [[100 * (pooled.mean - pooled.low)], [100 * (pooled.high - pooled.mean)]]
    axes.errorbar(100 * pooled.mean, -0.5, xerr=error, fmt="D", color="#d55e00", capsize=4)
    axes.axvline(0, color="grey", linewidth=1)
    axes.set_yticks([-0.5, *(rows.index + 1)], ["all", *rows["student"]], parse_math=False)
    axes.set_xlabel(f"{' - '.join(CLAIM['arms'])} (points)")
    axes.set_title(f"{pooled.points()}: mean and 95 % interval over seeds", fontsize=10)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(folder: Path) -> None:
    """Pool a folder; print what was found and what was left out."""
    results, left_out = read(folder)
    for name, why in left_out.items():
        print(f"left out: {name} {why}")
    if len(results) < 3:
        raise SystemExit(f"{len(results)} usable files: an interval needs at least three seeds")
    pooled = interval(results["value"])
    found = verdict(pooled.low, pooled.high)
    row = {"claim": CLAIM["claim"], "n": pooled.n, "mean": pooled.mean, "low": pooled.low}
    row |= {"high": pooled.high, "verdict": found, "code": results["code"].iloc[0]}
    pd.DataFrame([row]).to_csv(folder / "pooled.csv", index=False)
    forest(results, folder / "forest.png")
    print(f"{CLAIM['question']}\n{pooled.points()}: the interval {SAID[found]} zero")
    for prediction, count in Counter(results["prediction"]).most_common():
        print(f"  {count} predicted {prediction!r}")
    print(f"written: {folder}/forest.png and {folder}/pooled.csv")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        raise SystemExit("name the folder with the students' files: make pool DIR=folder")
    main(Path(sys.argv[1]))
