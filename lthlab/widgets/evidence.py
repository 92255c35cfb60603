"""Evidence by play: draw some of ten seeds, and watch the interval and the verdict move."""

from itertools import combinations

import numpy as np
from scipy import stats

from lthlab.widgets.panel import Panel, menu, percent, slider
from lthlab.widgets.reference import reference

# One clear, one that ten seeds just decide, one undecided, one where pairs decide.
COMPARISONS = [
    ("mnist1d", "ticket", "reinitialised", 8),
    ("mnist1d", "ticket", "permuted sizes", 8),
    ("mnist1d", "ticket", "dense", 8),
    ("fashion-mini", "ticket", "reinitialised", 7),
]
SIZES, DRAWS = range(3, 11), 20


def evidence() -> Panel:
    """Compare two arms over a few of the reference runs' seeds, in pairs or not.

    Test accuracy at the end, differences in percentage points with 95 % t-intervals; `counts` in
    the panel's data holds, for all choices of so many seeds, how many intervals lie above zero, on
    both sides of it, and below.
    """
    draw, names, pairs = np.random.default_rng(0), [], []
    for dataset, arm, against, level in COMPARISONS:
        rows = reference(dataset).query("split == 'test' and metric == 'accuracy'")
        rows = rows[rows["step"] == rows["step"].max()]
        rows = rows[(rows["level"] == level) | (rows["arm"] == "dense")]
        pairs.append(100 * rows.pivot(index="seed", columns="arm", values="value")[[arm, against]])
        kept = percent(rows["density"].min())
        names.append(f"{dataset}, {kept} of the weights: {arm} minus {against}")
    data = {
        "values": [pair.round(2).to_numpy().T.tolist() for pair in pairs],
        "sizes": [*SIZES],
        "draws": [[sorted(draw.permutation(10)[:n].tolist()) for _ in range(DRAWS)] for n in SIZES],
        "t": stats.t.ppf(0.975, np.arange(1, 19)).round(4).tolist(),  # by degrees of freedom
        "counts": [[_count(pair.to_numpy(), n) for n in SIZES] for pair in pairs],
        "note": "Ten reference runs; test accuracy after the last step. In pairs: the difference is"
        " taken for each seed. Not in pairs: the means of the two arms are compared.",
    }
    controls = [
        menu("comparison", "compare", names, 1),
        slider("size", "seeds drawn", SIZES, 2),
        slider("draw", "draw", range(1, DRAWS + 1)),
        menu("pairs", "how", ["in pairs", "not in pairs"]),
    ]
    above, open_, below = data["counts"][1][2][0]
    sentence = (
        f"{names[1]}: of all {above + open_ + below} ways to draw five of ten seeds, {above} give "
        f"an interval above zero, {below} one below, and {open_} cannot tell."
    )

    def still(ax):
        first, second = data["values"][1]
        ax.plot(np.subtract(first, second), "o")
        ax.axhline(0, color="0.5")
        ax.set(xlabel="seed", ylabel="difference in points")

    return Panel("evidence", "How much do five seeds tell?", controls, data, sentence, still)


def _count(pair: np.ndarray, n: int) -> list[list[int]]:
    """Of all choices of n seeds: intervals above zero, around it and below; paired and not."""
    chosen = pair[np.array([*combinations(range(len(pair)), n)])]  # (choices, n, 2)
    difference = chosen[..., 0] - chosen[..., 1]
    errors = {
        n - 1: difference.std(axis=1, ddof=1) / np.sqrt(n),
        2 * n - 2: np.sqrt(chosen.var(axis=1, ddof=1).sum(axis=1) / n),
    }
    counts = []
    for freedom, error in errors.items():
        half = stats.t.ppf(0.975, freedom) * error
        above, below = difference.mean(axis=1) > half, difference.mean(axis=1) < -half
        counts.append([int(above.sum()), int((~above & ~below).sum()), int(below.sum())])
    return counts
