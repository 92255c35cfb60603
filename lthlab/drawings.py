"""Drawings that explain, and the board of the case: each returns its text alternative.

A cell ends in `plots.show(drawings.imp_cycle())`. With `ax`, a drawing goes into axes that exist.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from lthlab._common import make_generator, unknown_name
from lthlab.masks import Masks, count_kept
from lthlab.plots import arm_color, look
from lthlab.statistics import Interval, paired

_INK, _FAINT = "#404040", "#d8d8d8"
_POSITIVE, _NEGATIVE = arm_color("ticket"), arm_color("reinitialised")


def _canvas(ax: Axes | None, width: float, height: float, **limits: tuple[float, float]) -> Axes:
    """Axes without a frame; a figure of their own has a size in inches."""
    ax = ax or plt.subplots(figsize=(width, height))[1]
    ax.set(**limits)
    ax.set_axis_off()
    return ax


def network(
    masks: Masks,
    ax: Axes | None = None,
    weights: dict[str, torch.Tensor] | None = None,
    most: int = 12,
) -> str:
    """A fully connected network: kept weights are dark lines, pruned ones faint.

    With `weights` (by the masks' names) the lines are as wide as the weights are large, positive
    ones solid, negative ones dashed. Of a layer with more than `most` neurons that many are drawn,
    evenly spaced. Raises ValueError for masks that are not (outputs, inputs).
    """
    shapes = {name: tuple(mask.shape) for name, mask in masks.items()}
    if any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(
            f"A drawing of a network needs masks of fully connected layers, (outputs, inputs); "
            f"got {shapes}. Choose some: {{name: masks[name]}}."
        )
    matrices = list(shapes.values())
    sizes = [matrices[0][1], *(outputs for outputs, _ in matrices)]
    shown = [np.linspace(0, size - 1, min(size, most)).round().astype(int) for size in sizes]
    heights = [np.linspace(1, 0, len(neurons) + 2)[1:-1] for neurons in shown]
    ax = _canvas(ax, 5, 3, xlim=(-0.1, len(masks) + 0.1), ylim=(0, 1))
    for i, (name, mask) in enumerate(masks.items()):
        some = np.ix_(shown[i + 1], shown[i])
        kept = mask.cpu().numpy()[some]
        value = weights[name].detach().cpu().numpy()[some] if weights else np.zeros(kept.shape)
        width = 0.6 + 2.2 * np.abs(value) / np.abs(value).max() if weights else 1 + value
        for part, color, style in (
            (~kept, _FAINT, "-"),
            (kept & (value >= 0), _POSITIVE if weights else _INK, "-"),
            (kept & (value < 0), _NEGATIVE, (0, (3, 1.5))),
        ):
            ends = [
                ((i, heights[i][into]), (i + 1, heights[i + 1][out]))
                for out, into in np.argwhere(part)
            ]
            options = {"colors": color, "linestyles": style}
            ax.add_collection(LineCollection(ends, linewidths=width[part], **options))
    for i, neurons in enumerate(heights):
        dots = {"s": 50, "facecolor": "white", "edgecolor": _INK, "zorder": 3}
        ax.scatter([i] * len(neurons), neurons, **dots)
    sample = f"Of a layer at most {most} neurons are drawn." if max(sizes) > most else ""
    ax.text(len(masks) / 2, 0, sample, ha="center", va="top", size=10)
    signs = "Positive weights are solid, negative ones dashed." if weights else ""
    kept, total = count_kept(masks), sum(mask.numel() for mask in masks.values())
    return " ".join(
        filter(
            None,
            (
                f"A network of {'-'.join(map(str, sizes))} neurons: {kept:,} of {total:,} weights",
                "are kept and drawn as dark lines, the pruned ones are faint.",
                signs,
                sample,
            ),
        )
    )


def imp_cycle(ax: Axes | None = None) -> str:
    """Iterative magnitude pruning, one level: train, prune, rewind, and train again."""
    ax = _canvas(ax, 5.4, 4.6, xlim=(0, 1), ylim=(0, 1))
    generator, sizes = make_generator(4, "drawing"), ((5, 4), (3, 5))
    first = {str(i): torch.randn(size, generator=generator) for i, size in enumerate(sizes)}
    trained = {i: 0.6 * w + torch.randn(w.shape, generator=generator) for i, w in first.items()}
    every = {i: torch.ones_like(w, dtype=torch.bool) for i, w in first.items()}
    cut = torch.cat([w.abs().flatten() for w in trained.values()]).quantile(0.2)
    masks = {i: w.abs() > cut for i, w in trained.items()}
    for left, bottom, title, shown, weights in (
        (0, 0.56, "first values", every, first),
        (0.6, 0.56, "trained values", every, trained),
        (0.6, 0, "the smallest 20 % pruned", masks, trained),
        (0, 0, "the ticket: first values", masks, first),
    ):
        inset = ax.inset_axes((left, bottom, 0.4, 0.38))
        network(shown, inset, weights)
        inset.set_title(title, size=11, pad=2)
    for start, end, word, where in (
        ((0.42, 0.74), (0.58, 0.74), "1. train", (0.5, 0.78)),
        ((0.8, 0.55), (0.8, 0.45), "2. prune", (0.9, 0.5)),
        ((0.58, 0.19), (0.42, 0.19), "3. rewind", (0.5, 0.23)),
        ((0.2, 0.45), (0.2, 0.55), "again", (0.1, 0.5)),
    ):
        arrow = {"arrowstyle": "-|>", "color": _INK, "linewidth": 2, "mutation_scale": 18}
        ax.annotate("", end, start, arrowprops=arrow)
        ax.text(*where, word, ha="center", va="center", size=11, weight="bold")
    kept, total = count_kept(masks), count_kept(every)
    return (
        f"A cycle of four networks: one with its first values is trained (1), the smallest of its "
        f"trained weights are pruned (2), {kept} of {total} stay, and these go back to their first "
        f"values (3). The cycle begins again with the smaller network. Lines are weights: wide is "
        f"large, solid is positive, dashed negative, faint pruned."
    )


# What an arm keeps of the ticket: mask, values, signs, scale. A value of the weights that stay is
# its "own" at the rewind step, "permuted" within the layer, "new", of "one size", or, where others
# survive, "others'".
KEEPS = {
    "dense": ("all", "own", "own", "own"),
    "ticket": ("own", "own", "own", "own"),
    "reinitialised": ("own", "new", "new", "new"),
    "reinitialised to scale": ("own", "new", "new", "own"),
    "permuted": ("own", "permuted", "permuted", "own"),
    "permuted sizes": ("own", "permuted", "own", "own"),
    "signs": ("own", "one size", "own", "one size"),
    "shuffled": ("permuted", "others'", "others'", "others'"),
    "random": ("new", "others'", "others'", "others'"),
}
_ICONS = {
    "own": ("o", _INK),
    "all": ("s", _INK),
    "permuted": (r"$\rightleftarrows$", arm_color("permuted")),
    "new": ("*", "white"),
    "one size": ("$=$", _INK),
    "others'": ("o", "white"),
}


def arms(names: list[str], ax: Axes | None = None) -> str:
    """Which arm keeps what of the ticket: its mask, its values, their signs, their scale.

    The arms of `KEEPS`; raises ValueError for others.
    """
    for name in names:
        if name not in KEEPS:
            raise unknown_name("arm", name, KEEPS)
    parts, last = ("mask", "values", "signs", "scale"), len(names)
    ax = _canvas(ax, 5.6, 0.6 + 0.52 * last, xlim=(-2.3, 3.5), ylim=(last - 0.4, -0.9))
    for column, part in enumerate(parts):
        ax.text(column, -0.65, part, ha="center", va="center", size=11, weight="bold")
    for row, name in enumerate(names):
        color, dashes = look(name)
        line = {"color": color, "linestyle": (0, dashes or (1, 0)), "linewidth": 3}
        ax.plot([-2.3, -1.95], [row, row], **line)
        ax.text(-1.85, row, name.replace(" to ", "\nto "), va="center", size=11)
        for column, how in enumerate(KEEPS[name]):
            marker, fill = _ICONS[how]
            icon = {"s": 130, "facecolor": fill, "edgecolor": fill if fill != "white" else _INK}
            ax.scatter(column, row - 0.14, marker=marker, **icon)
            ax.text(column, row + 0.32, how, ha="center", va="center", size=9)
    rows = (
        f"{name}: " + ", ".join(map(" ".join, zip(parts, KEEPS[name], strict=True)))
        for name in names
    )
    return f"What each arm keeps of the ticket. {'; '.join(rows)}."


# The detective board.

# Setting: reference tables (the first that has both arms counts), level, what it is called.
_CASE, _COUNTER = "mnist1d", "fashion-mini"
_SETTINGS = {
    _CASE: (("mnist1d", "race-mnist1d"), 8, "o", arm_color("ticket")),
    _COUNTER: (("fashion-mini", "race-fashion-mini"), 15, "s", arm_color("shuffled")),
    "resnet1d-4": (("rewinding",), 9, "D", arm_color("magnitude")),
    "language model": (("words",), 6, "^", arm_color("SNIP")),
}
SUSPECTS = (
    *("the mask", "the values", "their signs", "their scale"),
    *("layer densities", "longer training", "luck"),
)
# From which notebook on: suspect, the arm with it, the arm without it, and in which settings. Arms
# that are numbers are rewind steps of the ticket.
EVIDENCE = (
    (2, "longer training", "dense, trained as long", "dense", (_CASE, _COUNTER)),
    (3, "luck", "ticket", "reinitialised", (_CASE, _COUNTER)),
    (3, "the values", "ticket", "reinitialised", (_CASE, _COUNTER)),
    (4, "the mask", "reinitialised", "shuffled", (_CASE, _COUNTER)),
    (4, "the values", "ticket", "permuted sizes", (_CASE, _COUNTER)),
    (4, "their signs", "permuted sizes", "permuted", (_CASE, _COUNTER)),
    (4, "their scale", "reinitialised to scale", "reinitialised", (_CASE, _COUNTER)),
    (4, "layer densities", "random", "uniform random", (_CASE, _COUNTER)),
    (5, "rewinding", 96, 0, ("resnet1d-4",)),
    (5, "longer training", "learning-rate rewinding", "ticket", (_CASE, _COUNTER)),
    (10, "mask, language", "reinitialised", "shuffled", ("language model",)),
    (10, "values, language", "ticket", "reinitialised", ("language model",)),
)


def effect(arm: object, against: object, setting: str) -> tuple[float, Interval]:
    """The density of a setting, and the test accuracy of `arm` minus that of `against` there."""
    tables, level, *_ = _SETTINGS[setting]
    by = "arm" if isinstance(arm, str) else "rewind_step"
    for name in tables:
        table = pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))
        if {arm, against} <= {*table[by]}:
            break
    tickets = table["level"] == level
    density = table[tickets & (table["arm"] == "ticket")]["density"].iloc[0]
    kind = table["arm"] == ("dense" if by == "arm" else "ticket")
    table = table[tickets | kind if by == "arm" else tickets & kind]
    return density, paired(
        table.query("split == 'test' and metric == 'accuracy'"), arm, against, by
    )


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
    each suspect by the last experiment that tested it (`EVIDENCE`), judged by `verdict`.
    """
    latest = dict.fromkeys(SUSPECTS)
    latest |= {suspect: rest for since, suspect, *rest in EVIDENCE if since <= notebook}
    if ax is None:
        height = 2 + 0.62 * len(latest)
        size = (0.36, 1.2 / height, 0.36, 1 - 2 / height)
        ax = plt.figure(figsize=(5.6, height)).add_axes(size)
    beside, sentences, legend = {"transform": ax.get_yaxis_transform()}, [], {}
    for row, (suspect, evidence) in enumerate(latest.items()):
        *pair, settings = evidence or ((),)
        pair = [arm if isinstance(arm, str) else f"ticket of step {arm}" for arm in pair]
        name, box, said = suspect, {}, [f"{suspect} ({' minus '.join(pair)})"]
        for line, setting in enumerate(settings):
            *_, marker, color = _SETTINGS[setting]
            density, gap = effect(*evidence[:2], setting)
            result, y = verdict(suspect, gap), row + 0.4 * (line - (len(settings) - 1) / 2)
            mean, low, high = (100 * value for value in (gap.mean, gap.low, gap.high))
            legend[f"{setting}, {100 * density:.1f} % of the weights kept"] = marker, color
            dot = {"marker": marker, "facecolor": color if result == "charged" else "white"}
            if result == "struck off":
                dot["marker"] = "X"
            ax.hlines(y, low, high, color=color, linewidth=2)
            ax.scatter(mean, y, s=70, edgecolor=color, linewidth=1.5, zorder=3, **dot)
            interval = f"{mean:+.1f} [{low:.1f}, {high:.1f}]".replace("-", "\N{MINUS SIGN}")
            ax.text(1.04, y, interval, va="center", size=10, **beside)
            said.append(f"{setting} {gap.points()}, {result}")
            if not line and result == "charged":
                box = {"color": "white", "bbox": {"facecolor": _INK, "pad": 2}}
            elif not line and result == "struck off":
                name = "\u0336".join(f"{suspect} ")  # each letter struck through
        ax.text(-0.95, row - 0.2, name, va="center", size=11, weight="bold", **box, **beside)
        under = "\n\N{MINUS SIGN} ".join(pair) or "open"
        ax.text(-0.95, row + 0.02, under, va="top", size=9, **beside)
        sentences.append(", ".join(said) if evidence else f"{suspect}: open")
    for where, (marker, color) in legend.items():
        ax.scatter([], [], marker=marker, color=color, label=where)
    if legend:
        ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1), fontsize=10)
    ax.axvspan(-1, 1, color="0.9", zorder=0)
    ax.set(xlim=(-2, 17), ylim=(len(latest) - 0.4, -0.6), yticks=[])
    ax.set_xlabel("points of test accuracy", size=11)
    rule = (
        "95 % interval wholly above 1 point: charged, filled.\n"
        "Wholly below (luck: above 0): struck off, cross."
    )
    below = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    ax.annotate(rule, (-0.95, 0), (0, -45), size=9, **below)
    return (
        f"The detective board after notebook {notebook:02d}: what each suspect is worth in points "
        f"of test accuracy. {'. '.join('; '.join(part) for part in (sentences, legend) if part)}."
    )
