"""Ticket race and rewind dial: the reference runs of the package, to play with."""

from importlib.resources import files

import ipywidgets
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from lthlab import plots
from lthlab.stability import error_barrier
from lthlab.widgets.panel import Panel, Stage, choice, new_axes, percent, slider, training_axes


def reference(name: str) -> pd.DataFrame:
    """A table of reference results that comes with the package."""
    return pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))


def ticket_race(dataset: str = "mnist1d") -> Panel:
    """Play or scrub through the reference runs' training: dense, ticket, controls, 95 % bands."""
    rows = reference(dataset).query("split == 'validation' and metric == 'accuracy'")
    arms = ["dense", "ticket", "reinitialised", "shuffled"]
    density = rows.query("arm == 'shuffled'").groupby("level")["density"].first()
    tables = _summary(rows.query("arm in @arms").groupby(["arm", "level", "step"])["value"])
    steps, seeds = sorted(rows["step"].unique()), rows["seed"].nunique()

    ax = training_axes()
    ax.set_xlim(0, steps[-1])
    looks = {arm: dict(zip(("color", "dashes"), plots.look(arm), strict=True)) for arm in arms}
    for arm in arms:
        ax.plot([], [], label=arm, **looks[arm])
    ax.legend(loc="lower right", frameon=False)
    stage = Stage(ax)

    def draw(step, level):
        moving, now = [], []
        for arm in arms:
            shown = [table[arm, level if arm != "dense" else 0].loc[:step] for table in tables]
            moving += _line(ax, *shown, marker="o", markevery=[-1], **looks[arm])
            now.append(f"{arm} {shown[0].iloc[-1]:.1%}")
        where = f"Step {step}, {percent(density[level])} of the weights kept, {seeds} seeds"
        return f"{where}: {', '.join(now)}.", stage.show(moving)

    step = slider(steps, "training step")
    play = ipywidgets.Play(min=0, max=len(steps) - 1, interval=400, description="play the race")
    ipywidgets.jslink((play, "value"), (step, "index"))
    kept = [(percent(density[level]), level) for level in density.index]
    controls = {"step": step, "level": choice(kept, "weights kept", start=len(kept) // 2)}
    return Panel(f"Ticket race on {dataset}", controls, draw, [play], step=steps[-1])


def rewind_dial() -> Panel:
    """Turn the rewind step k: the path between two copies, its barrier, the ticket's accuracy."""
    lines, tickets = reference("stability"), reference("rewinding")
    tickets = tickets.query(
        "arm == 'ticket' and level == 9 and split == 'validation' and metric == 'accuracy' "
        "and step == step.max()"
    )
    by = ["network", "rewind_step"]
    columns = lines.groupby([*by, "seed"])[["alpha", "metric", "value"]]
    errors = lines.assign(error=1 - lines["value"]).groupby([*by, "alpha"])["error"]
    paths, barriers = _summary(errors), _summary(columns.apply(error_barrier).groupby(by))
    worth, steps = _summary(tickets.groupby("rewind_step")["value"]), barriers[0]["dense"].index
    colors = {network: plots.arm_color(network) for network in ("dense", "ticket")}

    places = ((left, 0.16, 0.25, 0.73) for left in (0.08, 0.405, 0.73))
    axes = path, height, quality = new_axes((11.5, 3.9), *places)
    path.set(title="between two copies", xlabel="from the first copy to the second", ylabel="error")
    path.set(xlim=(0, 1), ylim=(0, 1))
    for network, color in colors.items():
        table = (means[network] for means in barriers)
        _line(height, *table, color, marker="o", label=network)
    _line(quality, *worth, colors["ticket"], marker="o")
    height.set(title="error barrier", xlabel="step k", ylim=(0, None))
    height.legend(frameon=False)
    quality.set(title="accuracy of the ticket", xlabel="step k rewound to")
    for ax in axes:
        ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())  # fixed, whatever moves
    stage = Stage(path)

    def draw(k):
        moving = [quality.scatter(k, worth[0][k], s=170, color=colors["ticket"])]
        for network, color in colors.items():
            moving += _line(path, *(table[network, k] for table in paths), color)
            moving.append(height.scatter(k, barriers[0][network, k], s=170, color=color))
        dense, ticket = (f"{100 * barriers[0][network, k]:.1f}" for network in colors)
        return (
            f"k = {k}: barrier {dense} points between dense copies, {ticket} between tickets; "
            f"the ticket rewound to k reaches {worth[0][k]:.1%} (means of ten seeds)."
        ), stage.show(moving)

    return Panel("Rewind dial", {"k": slider(steps, "rewind to step k")}, draw)


def _summary(groups) -> tuple[pd.Series, pd.Series]:
    """The mean of each group, and its 95 % band."""
    return groups.mean(), groups.apply(lambda values: plots.band(values.to_numpy()))


def _line(ax: Axes, means: pd.Series, bands: pd.Series, color: str, **options) -> list[Artist]:
    band = ax.fill_between(means.index, *zip(*bands, strict=True), color=color, alpha=0.15)
    return [band, *ax.plot(means, color=color, **options)]
