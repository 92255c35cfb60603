"""The detective board: which suspect makes a ticket win, by the reference results alone.

assets/board.csv says from which notebook on which comparison of two arms tests which suspect, in
which settings; a rule (`verdict`) judges it, not a hand. Drawn as `drawings.board`.
"""

import functools
from importlib.resources import files

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from lthlab.statistics import Interval, paired

_ASSETS = files("lthlab").joinpath("assets")


@functools.cache
def effect(name: str, level: int, arm: str, against: str) -> tuple[float, Interval]:
    """The density of an arm at a level, and there its test accuracy minus that of `against`.

    `name` is a reference table; "ticket from step 96" is the ticket rewound to that step. Where an
    arm's values were drawn several times, each seed counts with the mean of its draws.
    """
    table = pd.read_csv(_ASSETS / f"reference/{name}.csv")
    late = table["rewind_step"] > 0
    table.loc[late, "arm"] += " from step " + table["rewind_step"].astype(str)
    table = table.query("split == 'test' and metric == 'accuracy' and level in (0, @level)")
    table["arm"] = table["arm"].str.replace(r", draw \d+$", "", regex=True)
    means = table.groupby(["arm", "seed"])[["value", "density"]].mean().reset_index()
    return means[means["arm"] == arm]["density"].min(), paired(means, arm, against)


def verdict(suspect: str, found: Interval, margin: float = 0.01) -> str:
    """What an interval says of a suspect: "charged", "struck off" or "undecided".

    Charged: with it an arm is better by more than `margin`, struck off: by less than that, with the
    whole 95 % interval. Luck is struck off where the interval of the whole difference is above 0.
    """
    if suspect == "luck":
        return "struck off" if found.low > 0 else "undecided"
    if found.low > margin:
        return "charged"
    return "struck off" if found.high < margin else "undecided"


def board(notebook: int, ax: Axes | None = None) -> str:
    """The detective board: what the experiments up to a notebook (0 to 11) say of each suspect.

    Points of test accuracy, mean and 95 % interval over paired seeds, from the reference tables;
    each suspect by the last experiment that tested it (assets/board.csv), judged by `verdict`.
    """
    known = pd.read_csv(_ASSETS / "board.csv").query("notebook <= @notebook")
    suspects, labels, said, settings = known.groupby("suspect", sort=False), [], [], {}
    ax = ax or plt.subplots(figsize=(2.4, 0.8 + 0.7 * len(suspects)))[1]
    marks = {"charged": "!", "struck off": "✕", "undecided": "?"}
    for y, (suspect, tests) in enumerate(suspects):
        tests = tests.dropna()
        again = "new test: " * (tests["notebook"].nunique() > 1)
        tests = tests[tests["notebook"] == tests["notebook"].max()]
        said += [f"{suspect}: open"] * tests.empty
        name, label = suspect.replace(" ", "\\ ").join(("$\\bf{", "}$")), "open"
        for line, row in enumerate(tests.itertuples()):
            density, gap = effect(row.table, row.level, row.arm, row.against)
            result, at = verdict(suspect, gap), y - 0.2 + 0.4 * line
            where = f"{row.setting}, {100 * density:.1f} % of the weights kept, n = {gap.n}"
            whole = ", all weights kept" if density == 1 else ""
            label = f"{again}{row.arm}\n\N{MINUS SIGN} {row.against}{whole}"
            ax.plot([100 * gap.low, 100 * gap.high], [at, at], color=row.color)
            dot = ax.scatter(100 * gap.mean, at, s=50, color=row.color, marker=row.marker, zorder=3)
            settings[where] = dot
            short = f"{gap.points().split(', n')[0]} {marks[result]}"
            ax.text(17.5, at, short, va="center")
            if line == 0 and result == "charged":
                ax.axhspan(y - 0.48, y + 0.48, -1.15, 2.05, color="0.85", clip_on=False, zorder=0)
            if line == 0 and result == "struck off":
                name = "\u0336".join(f"{suspect} ")  # each letter struck through
            pair = f"{row.arm} minus {row.against}{whole}"
            said.append(f"{suspect} ({pair}) on {row.setting}: {gap.points()}, {result}")
        labels.append(f"{name}\n{label}")
    ax.set_yticks(range(len(labels)), labels, size=9)
    ax.set(xlim=(-2, 17), ylim=(len(labels) - 0.5, -0.5))
    ax.grid(False, axis="y")
    ax.set_xlabel(
        "points of test accuracy\n! charged, shaded: 95 % interval above 1 point\n"
        "✕ struck off: below 1 point (luck: above 0)\n? undecided"
    )
    # Rows of whole networks say so themselves.
    settings = {k: v for k, v in settings.items() if "100.0 %" not in k} or settings
    ax.legend(settings.values(), settings, loc="lower center", bbox_to_anchor=(0.5, 1))
    return (
        f"The detective board after notebook {notebook:02d}: points of test accuracy that each "
        f"suspect is worth. {'; '.join([*said, *settings])}."
    )
