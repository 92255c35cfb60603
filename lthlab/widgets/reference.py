"""Ticket race and rewind dial: the reference runs of the package, to play with."""

from importlib.resources import files

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lthlab import plots
from lthlab.stability import error_barrier
from lthlab.widgets.panel import Panel, Stage, choice, percent, slider


def reference(name: str) -> pd.DataFrame:
    """A table of reference results that comes with the package."""
    return pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))


def ticket_race(dataset: str = "mnist1d") -> Panel:
    """Play or scrub through the training of the reference runs: dense, ticket and its controls, with 95 % bands."""
    rows = reference(dataset).query("split == 'validation' and metric == 'accuracy'")
    arms = ["dense", "ticket", "reinitialised", "shuffled"]
    levels = sorted(rows.query("arm == 'shuffled'")["level"].unique())
    density = rows.query("arm == 'ticket'").groupby("level")["density"].first()
    grouped = rows[rows["arm"].isin(arms)].groupby(["arm", "level", "step"])["value"]
    means, bands = grouped.mean(), grouped.apply(lambda v: plots.band(v.to_numpy()))
    steps, seeds = sorted(rows["step"].unique()), rows["seed"].nunique()

    figure = Figure(figsize=(8, 4.4))
    ax = figure.add_axes((0.12, 0.15, 0.83, 0.81))
    ax.set(xlim=(0, steps[-1]), ylim=(0, 1), xlabel="training step", ylabel="validation accuracy")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    looks = {arm: {"color": plots.ARM_COLORS[arm], "dashes": plots.ARM_DASHES.get(arm) or (1, 0)} for arm in arms}
    handles = [ax.plot([], [], label=arm, **looks[arm])[0] for arm in arms]
    ax.legend(handles=handles, loc="lower right", frameon=False)
    stage = Stage(figure)

    def draw(step, level):
        moving, now = [], []
        for arm in arms:
            line, band = (table[arm, level if arm != "dense" else 0].loc[:step] for table in (means, bands))
            moving += ax.plot(line.index, line, marker="o", markevery=[-1], **looks[arm])
            moving.append(ax.fill_between(line.index, *zip(*band, strict=True), color=looks[arm]["color"], alpha=0.15))
            now.append(f"{arm} {line.iloc[-1]:.1%}")
        sentence = f"Step {step}, {percent(density[level])} of the weights kept, {seeds} seeds: {', '.join(now)}."
        return sentence, stage.show(moving)

    step = slider(steps, "training step", start=steps[0])
    play = ipywidgets.Play(min=0, max=len(steps) - 1, interval=400, description="play the race")
    ipywidgets.jslink((play, "value"), (step, "index"))
    chosen = choice([(percent(density[level]), level) for level in levels], "weights kept")
    chosen.value = levels[len(levels) // 2]
    return Panel(f"Ticket race on {dataset}", {"step": step, "level": chosen}, draw, [play], still={"step": steps[-1]})


def rewind_dial() -> Panel:
    """Turn the rewind step k: the path between two copies, the barrier on it, and what the ticket is worth."""
    lines, tickets = reference("stability"), reference("rewinding")
    tickets = tickets.query("arm == 'ticket' and split == 'validation' and metric == 'accuracy' and level == 9")
    tickets = tickets[tickets["step"] == tickets["step"].max()].groupby("rewind_step")["value"]
    barrier = lines.groupby(["network", "rewind_step", "seed"])[["alpha", "metric", "value"]].apply(error_barrier)
    barrier, steps = barrier.groupby(["network", "rewind_step"]), sorted(lines["rewind_step"].unique())
    paths = lines.assign(error=1 - lines["value"]).groupby(["network", "rewind_step", "alpha"])["error"]
    colours = {"dense": plots.ARM_COLORS["dense"], "ticket": plots.ARM_COLORS["ticket"]}
    tables = {name: (group.mean(), group.apply(lambda v: plots.band(v.to_numpy()))) for name, group in
              {"path": paths, "barrier": barrier, "ticket": tickets}.items()}  # fmt: skip

    figure = Figure(figsize=(11.5, 3.9))
    path, height, quality = (figure.add_axes((left, 0.16, 0.25, 0.73)) for left in (0.08, 0.405, 0.73))
    path.set(title="between two copies", xlabel="from the first copy to the second", ylabel="error", ylim=(0, 1))
    path.set_xlim(0, 1)
    quality.set(title="accuracy of the ticket", xlabel="step k rewound to")

    def line(ax, means, bands, colour, **options):
        band = ax.fill_between(means.index, *zip(*bands, strict=True), color=colour, alpha=0.15)
        return [band, *ax.plot(means.index, means, color=colour, **options)]

    for network, colour in colours.items():
        line(height, *(table[network] for table in tables["barrier"]), colour, marker="o", label=network)
    line(quality, *tables["ticket"], colours["ticket"], marker="o")
    height.set(title="error barrier", xlabel="step k", ylim=(0, None))
    height.legend(frameon=False)
    for ax in (path, height, quality):
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())  # fixed, whatever moves
    stage = Stage(figure)

    def draw(k):
        moving, means = [], tables["ticket"][0]
        for network, colour in colours.items():
            moving += line(path, *(table[network, k] for table in tables["path"]), colour)
            moving += height.plot([k], [tables["barrier"][0][network, k]], "o", markersize=13, color=colour)
        moving += quality.plot([k], [means[k]], "o", markersize=13, color=colours["ticket"])
        barriers = {network: 100 * tables["barrier"][0][network, k] for network in colours}
        return (
            f"k = {k}: barrier {barriers['dense']:.1f} points between dense copies, {barriers['ticket']:.1f} between "
            f"tickets; the ticket rewound to k reaches {means[k]:.1%} (means of ten seeds)."
        ), stage.show(moving)

    return Panel("Rewind dial", {"k": slider(steps, "rewind to step k", start=steps[0])}, draw)
