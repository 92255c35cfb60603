"""What the reference results say of a claim: effects with intervals, in every setting there is."""

import functools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from lthlab import error_barrier

REFERENCE = Path(__file__).parent.parent / "lthlab" / "assets" / "reference"
# Tables of one experiment each; where two have the same arms and setting, the first counts.
EXPERIMENTS = (
    *("mnist1d", "fashion-mini", "fashion-mnist", "rewinding", "conv"),
    *("race-mnist1d", "race-fashion-mini", "prune-at-mnist1d", "prune-at-fashion-mini"),
    *("criteria-mnist1d", "criteria-fashion-mini", "transfer-mnist1d", "transfer-fashion-mini"),
    *("optimisers-mnist1d", "optimisers-fashion-mini", "words"),
)
GOES_ON = {"words": "words-rewinding"}  # the same networks and seeds, rewound to another step
# Of the rewind steps: none, the one that notebook 05 chose on other seeds, the one for words.
PAGE_K = (0, 96, 50)


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper, as a comparison of two arms.

    Of `measure` the arm's value minus that of `against` is the effect, in points; the claim says
    that it lies above -margin: 0 for "better", 1 for "as good as, within a point". `density` is the
    paper's, and picks the row that the page shows: the nearest one of each setting. `k` is the
    rewind step of both arms, None for every one in turn; with `later` the first arm is rewound to
    every step above 0 in turn, and the other to 0. Measures: "accuracy" (test
    split, at the end), "speed" (minus the step of the lowest validation loss, in % of the
    training), "generalisation" (minus the gap between training and test accuracy), "stability"
    (minus the barrier between two copies, validation split), "connectivity" (minus that between a
    level and the next), "under noise" and "shifted" (the accuracy that is lost by it, negative).
    """

    claim: str
    paper: str
    paper_value: str
    notebook: str
    arm: str
    against: str | None
    density: float
    margin: float = 0.0
    measure: str = "accuracy"
    k: int | None = None
    later: bool = False
    note: str = ""


@dataclass(frozen=True, eq=False)
class Study:
    """A reference table with its provenance, and the right answers where they were kept."""

    name: str
    table: pd.DataFrame
    known: dict
    bits: np.ndarray | None

    @property
    def setting(self) -> str:
        data = self.known["dataset"].removeprefix("Dataset(").split(":")[0]
        steps = self.known["recipe"]["steps"]
        return f"{self.known['model']} on {data}, {steps:,} steps"

    def levels(self) -> list[int]:
        """The levels that this study was set to compare at, fixed before it ran."""
        return self.known.get("control_levels") or sorted(set(self.table["level"]) - {0})

    def runs(self, arm: str, k: int, level: int) -> pd.DataFrame:
        """All rows of an arm at a level: for "dense" the one level that it has."""
        if arm == "dense":
            level = 0  # one training, whatever others rewind to; two copies go on from k, though
            k = k if self.name == "stability" else min(self.steps)
        return self.groups.get((arm, k, level), self.table.iloc[:0])

    @functools.cached_property
    def steps(self) -> list[int]:
        """The steps that tickets were rewound to."""
        return sorted(set(self.table["rewind_step"]))

    @functools.cached_property
    def arms(self) -> set[str]:
        return set(self.table["arm"])

    @functools.cached_property
    def groups(self) -> dict[tuple, pd.DataFrame]:
        return dict(iter(self.table.groupby(["arm", "rewind_step", "level"])))

    def draws(self, arm: str) -> list[str]:
        """An arm and its further draws, which are averaged for each seed."""
        more = (f"{arm}, draw {number}" for number in (2, 3))
        return [arm, *(name for name in more if name in self.arms)]

    @functools.cache  # noqa: B019 (studies are kept, too)
    def values(self, arm: str, k: int, level: int, measure: str) -> pd.Series:
        """One number for each seed, in points; empty where it was not measured."""
        found = [MEASURES[measure](self, self.runs(draw, k, level)) for draw in self.draws(arm)]
        return pd.concat(found, axis=1).mean(axis=1)

    @functools.cache  # noqa: B019
    def answers(self, arm: str, k: int, level: int) -> np.ndarray | None:
        """Right answers, the mean over draws: (seeds, examples)."""
        if self.bits is None:
            return None
        found = []
        for draw in self.draws(arm):
            rows = self.runs(draw, k, level)
            rows = rows[rows["split"] == "test"].sort_values("seed")
            found.append(self.bits[rows["bits"].astype(int)])
        return np.mean(found, axis=0)

    def censored(self, arm: str, k: int, level: int) -> int:
        """Trainings whose validation loss was lowest at the last step: it might have fallen on."""
        rows = pd.concat([self.runs(draw, k, level) for draw in self.draws(arm)])
        steps = lowest_loss(rows.assign(seed=rows["arm"] + rows["seed"].astype(str)))
        return int((steps == rows["step"].max()).sum())


def load(name: str) -> Study:
    """The table of one experiment, its provenance, and the right answers where they were kept."""
    path = REFERENCE / f"{name}.csv"
    table, bits = pd.read_csv(path), None
    known = json.loads(path.with_suffix(".json").read_text())
    if name in GOES_ON:
        table = pd.concat([table, pd.read_csv(REFERENCE / f"{GOES_ON[name]}.csv")])
    if path.with_suffix(".npz").exists():
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as packed:
            bits = np.unpackbits(packed["bits"], axis=1)[:, : packed["examples"]]
        test = table["split"] == "test"
        table.loc[test, "bits"] = range(test.sum())
    return Study(name, table, known, bits)


def made(name: str, table: pd.DataFrame, model: str, dataset: str, steps: int, **columns) -> Study:
    """A study from rows of another shape: they get the columns that they lack."""
    usual = {"rewind_step": 0, "split": "test", "metric": "accuracy", "step": steps}
    known = {"model": model, "dataset": dataset, "recipe": {"steps": steps}}
    return Study(name, table.assign(**usual | columns), known, None)


def others() -> Iterator[Study]:
    """The studies that are no single experiment."""
    barriers = {"split": "barrier", "metric": "accuracy"}
    net = "resnet1d-4", "mnist1d", 480
    lines = pd.read_csv(REFERENCE / "stability.csv").assign(metric="accuracy")
    lines = lines.rename(columns={"network": "arm"})
    keys = ["arm", "rewind_step", "seed", "density"]  # several pairs of copies each
    table = lines.groupby([*keys, "pair"])[["alpha", "metric", "value"]].apply(error_barrier)
    table = table.groupby(keys).mean().rename("value").reset_index()
    level = (table["arm"] != "dense").astype(int)
    k = table["rewind_step"]
    yield made("stability", table, *net, level=level, rewind_step=k, **barriers)
    for name in ("connectivity", "connectivity-rewinding"):
        if not (REFERENCE / f"{name}.csv").exists():
            continue
        table = pd.read_csv(REFERENCE / f"{name}.csv").rename(columns={"barrier": "value"})
        for dataset, rows in table.groupby("dataset"):
            named, k = rows.assign(arm="ticket"), rows.get("rewind_step", 0)
            where = NETWORKS.get(dataset, net)
            yield made("connectivity", named, *where, rewind_step=k, **barriers)
    if (REFERENCE / "length.csv").exists():
        table = pd.read_csv(REFERENCE / "length.csv")
        for (dataset, rate, steps), rows in table.groupby(["dataset", "rate", "step"]):
            if rate != 1 or steps not in (1600, 1330):  # those are settings of their own
                where = f"{dataset}, learning rate x {rate:g}"
                yield made("length", rows, rows["model"].iloc[0], where, steps)
    gpt = "gpt-3x64"
    table = pd.read_csv(REFERENCE / "once.csv").query("split == 'test' and metric == 'accuracy'")
    for (scope, steps), rows in table[table["arm"] != "dense"].groupby(["scope", "steps"]):
        level = rows["density"].rank(method="dense", ascending=False).astype(int)
        where = f"words, by {scope.replace(':', ' of ')}, not retrained"
        yield made("once", rows, gpt, where, steps, level=level)
    table = pd.read_csv(REFERENCE / "pretraining.csv").query("split == 'test'")
    rows = table[table["metric"] == "accuracy"]
    yield made("pretraining", rows, f"{gpt}, pretrained,", "words in -ly", 200)
    if (REFERENCE / "width.csv").exists():
        for model, rows in pd.read_csv(REFERENCE / "width.csv").groupby("model"):
            # Edge-popup trains scores, not weights: its weights are those of step 0.
            yield made("width", rows, model, "mnist1d", rows["step"].max())
    if (REFERENCE / "forgetting.csv").exists():
        table = pd.read_csv(REFERENCE / "forgetting.csv").query("measure == 'accuracy'")
        for dataset, rows in table.groupby("dataset"):
            named = rows.assign(arm=np.where(rows["level"] > 0, "ticket", "dense"))
            named = named[named["of"] != "as it is"].assign(split=named["of"])
            clean = rows[rows["of"] == "as it is"].set_index(["seed", "level"])["value"]
            before = clean.reindex(pd.MultiIndex.from_frame(named[["seed", "level"]])).to_numpy()
            named = named.assign(value=named["value"] - before)
            yield made("forgetting", named, *NETWORKS[dataset], split=named["split"])


NETWORKS = {
    "mnist1d": ("mlp-100-100-100", "mnist1d", 1600),
    "fashion-mini": ("lenet-300-100", "fashion-mini", 1330),
}


@functools.cache
def studies() -> list[Study]:
    """All that have been run."""
    there = [name for name in EXPERIMENTS if (REFERENCE / f"{name}.csv").exists()]
    return [*map(load, there), *others()]


def lowest_loss(rows: pd.DataFrame) -> pd.Series:
    """The step of the lowest validation loss for each seed."""
    losses = rows[(rows["split"] == "validation") & (rows["metric"] == "loss")]
    best = losses.loc[losses.groupby("seed")["value"].idxmin()]
    return best.set_index("seed")["step"].astype(float)


def _end(rows: pd.DataFrame, split: str) -> pd.Series:
    there = rows[(rows["split"] == split) & (rows["metric"] == "accuracy")]
    return 100 * there[there["step"] == there["step"].max()].set_index("seed")["value"]


def _speed(study: Study, rows: pd.DataFrame) -> pd.Series:
    if study.table.loc[study.table["metric"] == "loss", "step"].nunique() < 5:
        return pd.Series(dtype=float)  # the loss was measured at the end alone
    return -100 * lowest_loss(rows) / study.known["recipe"]["steps"]


def _split(name: str, sign: int) -> Callable[[Study, pd.DataFrame], pd.Series]:
    def values(study: Study, rows: pd.DataFrame) -> pd.Series:
        return sign * 100 * rows[rows["split"] == name].set_index("seed")["value"]

    return values


MEASURES = {
    "accuracy": lambda study, rows: _end(rows, "test"),
    "generalisation": lambda study, rows: _end(rows, "test") - _end(rows, "train"),
    "speed": _speed,
    "stability": _split("barrier", -1),
    "connectivity": _split("barrier", -1),
    "under noise": _split("noise", 1),
    "shifted": _split("shifted", 1),
}
# Of which study, for those that one study alone has.
OF_STUDY = {"stability": "stability", "connectivity": "connectivity"}
OF_STUDY |= {"under noise": "forgetting", "shifted": "forgetting"}
# What a reader has to know of a whole setting.
OF_SETTING = {"pretraining": "its first values are pretrained ones"}


def effect(differences: np.ndarray, answers: np.ndarray | None) -> tuple[float, float, int]:
    """Mean and standard error of differences over seeds, and the degrees of freedom.

    With `answers` (of one arm minus those of the other: seeds x examples) the variance over test
    examples is added, so that the interval covers other test sets as well as other seeds. What the
    two share is counted twice: rather too wide than too narrow.
    """
    n = len(differences)
    variance = differences.var(ddof=1) / n
    if answers is not None:
        per_example = 100 * answers.mean(axis=0)
        variance += per_example.var(ddof=1) / len(per_example)
    return float(differences.mean()), math.sqrt(variance), n - 1


def verdict(low: float, high: float, margin: float, undecided: bool = False) -> str:
    """What an interval (in points) says of "above -margin", and no more.

    `undecided` where the measure itself cannot say so much.
    """
    if high < -margin:
        return "opposite"
    if low <= -margin or undecided:
        return "not seen"
    if high < 0:
        return f"seen, though lower by {-high:.1f} to {-low:.1f}"
    return "seen"


def rows_of(claim: Claim) -> list[dict]:
    """A claim in every setting that has its arms, at every density; none is chosen by hand."""
    rows, known = [], set()
    for study in studies():
        arms = [arm for arm in (claim.arm, claim.against) if arm]
        if not set(arms) <= study.arms:
            continue
        steps = study.steps if claim.k is None else [claim.k]
        pairs = [(k, 0) for k in steps if k > 0] if claim.later else [(k, k) for k in steps]
        right = OF_STUDY.get(claim.measure, study.name) == study.name
        if not right or not {k for pair in pairs for k in pair} <= set(study.steps):
            continue
        levels = [0] if set(arms) == {"dense"} else study.levels()
        for (k, other), level in ((pair, level) for pair in pairs for level in levels):
            row = _row(claim, study, (k, other), level)
            if row and (key := (row["setting"], row["density"])) not in known:
                rows.append(row)
                known.add(key)
    on_page = {row["setting"] for row in rows if claim.k or row["k"] in PAGE_K}
    for setting in on_page:
        here = [row for row in rows if row["setting"] == setting]
        nearest = min(here, key=lambda row: abs(math.log(row["density"] / claim.density)))
        nearest["on_page"] = True
    return rows


def _row(claim: Claim, study: Study, ks: tuple[int, int], level: int) -> dict | None:
    steps = study.known["recipe"]["steps"]
    first = study.values(claim.arm, ks[0], level, claim.measure)
    second = (
        study.values(claim.against, ks[1], level, claim.measure) if claim.against else 0 * first
    )
    both = pd.concat([first, second], axis=1).dropna()
    if len(both) < 3 or len(both) < max(len(first), len(second)):
        return None
    answers = None
    if claim.measure == "accuracy" and claim.against:
        sides = [study.answers(claim.arm, ks[0], level), study.answers(claim.against, ks[1], level)]
        answers = None if sides[0] is None else sides[0] - sides[1]
    differences = (both[0] - both[1]).to_numpy()
    mean, error, freedom = effect(differences, answers)
    half = stats.t.ppf(0.975, freedom) * error
    low, high = round(mean - half, 2), round(mean + half, 2)  # the verdict is that of the row
    notes, undecided = [*filter(None, (claim.note, OF_SETTING.get(study.name)))], False
    if claim.arm == "Early-Bird":  # its table begins where its mask was drawn
        begun = study.runs(claim.arm, ks[0], level).groupby("seed")["step"].min() / steps
        ends = dict.fromkeys(f"{end:.0%}" for end in (begun.min(), begun.max()))
        notes.append(f"drawn after {' to '.join(ends)} of the training")
    if claim.measure == "speed":
        censored = [study.censored(claim.arm, ks[0], level)]
        censored.append(study.censored(claim.against, ks[1], level))
        undecided = censored[0] > 0
        ours, theirs = (-both.mean() * steps / 100).round()
        share = f", {abs(1 - ours / theirs):.0%} {'fewer' if ours < theirs else 'more'}"
        notes.append(f"{ours:,.0f} against {theirs:,.0f} steps{share * (ours != theirs)}")
        notes.append(f"lowest at the last step, so censored: {censored[0]} and {censored[1]}")
    of = study.runs(claim.arm, ks[0], level)["density"].min()
    kept = (
        of
        if claim.arm != "dense" or not claim.against
        else study.runs(claim.against, ks[1], level)["density"].min()
    )
    several = study.steps != [0]
    where = f", k = {ks[0]}" if several and ks[0] == ks[1] else ""
    where = f", k = {ks[0]} against k = {ks[1]}" if several and ks[0] != ks[1] else where
    bound = -100 * claim.margin + 0.0
    beyond = mean - bound  # 0 / 0 where no seed differs: nothing speaks against the bound
    t = beyond / error if error else math.copysign(math.inf, beyond) if beyond else 0.0
    return {
        "claim": claim.claim,
        "paper": claim.paper,
        "paper_value": claim.paper_value,
        "setting": study.setting + where,
        "density": kept,
        "arm": claim.arm,
        "against": claim.against or "",
        "measure": claim.measure,
        "n": len(both),
        "effect": round(mean, 2),
        "low": low,
        "high": high,
        "verdict": verdict(low, high, -bound, undecided),
        "seen_if_low_above": bound,
        "p": float(2 * stats.t.sf(abs(t), freedom)),
        "notebook": claim.notebook,
        "study": study.name,
        "k": ks[0],
        "test_examples": answers is not None,
        "note": "; ".join(notes),
        "on_page": False,
    }
