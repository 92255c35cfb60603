"""Ticket race and rewind dial: the reference runs of the package, to play with."""

from importlib.resources import files

import pandas as pd

from lthlab import plots
from lthlab.stability import error_barrier
from lthlab.statistics import interval
from lthlab.widgets.panel import Panel, looks, menu, percent, slider

ARMS = ("dense", "ticket", "reinitialised", "shuffled")


def reference(name: str) -> pd.DataFrame:
    """A table of reference results that comes with the package."""
    return pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))


def ticket_race(dataset: str = "mnist1d") -> Panel:
    """Play or scrub through the reference runs' training: dense, ticket, controls, 95 % bands."""
    rows = reference(dataset).query(
        "split == 'validation' and metric == 'accuracy' and arm in @ARMS"
    )
    density = rows.query("arm == 'shuffled'").groupby("level")["density"].first()
    rows = rows.query("level in @density.index or arm == 'dense'")
    steps, seeds = sorted(rows["step"].unique().tolist()), rows["seed"].nunique()
    curves = _summary(rows.groupby(["arm", "level", "step"])["value"])
    kept, middle = [percent(d) for d in density], len(density) // 2
    shown = rows.query("arm == 'dense' or level == @density.index[@middle]")
    ends = shown[shown["step"] == steps[-1]].groupby("arm")["value"].mean()
    data = {
        "looks": looks(*ARMS),
        "steps": steps,
        "seeds": seeds,
        "play": "step",
        "dense": curves["dense", 0].tolist(),
        "curves": {arm: [curves[arm, n].tolist() for n in density.index] for arm in ARMS[1:]},
        "note": f"Bands: 95 % intervals over {seeds} seeds. The arms share seeds, recipe and length"
        " of training; dense keeps all weights.",
    }

    def still(ax):
        plots.lines(shown, x="step", ax=ax)
        ax.set(xlabel="training step", ylabel="validation accuracy")

    return Panel(
        "race",
        f"Ticket race on {dataset}",
        [
            slider("step", "training step", steps),
            menu("level", "weights kept", kept, middle),
        ],
        data,
        f"Validation accuracy over {steps[-1]} steps of training with {kept[middle]} of the "
        f"weights, means of {seeds} seeds; at the end "
        + ", ".join(f"{arm} {ends[arm]:.1%}" for arm in ARMS)
        + ".",
        still,
    )


def rewind_dial() -> Panel:
    """Turn the rewind step k: the path between two copies, its barrier, the ticket's accuracy."""
    lines, tickets = reference("stability"), reference("rewinding")
    tickets = tickets.query(
        "arm == 'ticket' and level == 9 and split == 'validation' and metric == 'accuracy' "
        "and step == step.max()"
    )
    by = ["network", "rewind_step"]
    pairs = lines.groupby([*by, "seed", "pair"])[["alpha", "metric", "value"]]
    barriers = pairs.apply(error_barrier).groupby([*by, "seed"]).mean().rename("value")
    errors = 1 - lines.groupby([*by, "seed", "alpha"])["value"].mean()
    paths = _summary(errors.groupby([*by, "alpha"]))
    heights = _summary(barriers.groupby(by))
    worth, networks = _summary(tickets.groupby("rewind_step")["value"]), ("dense", "ticket")
    steps, alphas = (sorted(lines[name].unique().tolist()) for name in ("rewind_step", "alpha"))
    seeds = lines["seed"].nunique()
    data = {
        "looks": looks(*networks),
        "steps": steps,
        "alphas": alphas,
        "paths": {n: [paths[n, k].tolist() for k in steps] for n in networks},
        "barriers": {n: heights[n].tolist() for n in networks},
        "worth": worth.tolist(),
        "note": f"Means of {seeds} seeds, {lines['pair'].nunique()} pairs of copies each, with "
        "95 % bands; only the order of the examples differs between two copies.",
    }

    def still(ax):
        plots.lines(barriers.reset_index(), x="rewind_step", by="network", ax=ax)
        ax.set(xlabel="step k at which the copies part", ylabel="error barrier")

    first, last = ({n: heights[n].iloc[end][0] for n in networks} for end in (0, -1))
    ends = [f"{n} {first[n]:.1f} at k = 0, {last[n]:.1f} at k = {steps[-1]}" for n in networks]
    return Panel(
        "dial",
        "Rewind dial",
        [slider("k", "rewind to step k", steps)],
        data,
        f"Error barrier between two copies by the step k at which they part, means of {seeds} "
        f"seeds, in points: {'; '.join(ends)}.",
        still,
    )


def _summary(groups) -> pd.Series:
    """The mean of each group with its 95 % band, in percent."""

    def rounded(values) -> tuple[float, ...]:
        found = interval(values)
        return tuple(round(100 * value, 3) for value in (found.mean, found.low, found.high))

    return groups.apply(rounded)
