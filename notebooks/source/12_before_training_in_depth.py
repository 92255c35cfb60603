# %% [markdown]
# # Before training, in depth
#
# Notebook 06 asked whether the ticket can be seen before training, and left much out:
# other moments and other densities, how the scores work and how they fail, methods that
# look *while* they train, what all of it costs, and what the masks know. All of that is
# here. You can read the sections in any order, with one exception: section 8 tests a
# guess with the paths of section 4.
#
# As in notebook 06 "the signals" are `mnist1d` and "the pictures" are `fashion-mini`.
# The finishing line is level 12 on the signals and level 15 on the pictures.
#
# **After this notebook you can**
# - say what a comparison of early and late pruning holds fixed: the steps in all, or the steps after pruning (section 1);
# - write SynFlow, and explain layer collapse and its cure (sections 2 and 3);
# - name four ways to spread chance over the layers, and what each of them knows (section 4);
# - tell pruning before, early in, throughout and after training apart (sections 5 and 6);
# - compare methods by accuracy *and* by all the computing they took (section 7);
# - write an arm that shuffles a mask in a way of your own (section 8).
#
# **You need** notebook 06.
#
# **Time**: {time}

# %%
import inspect
import tempfile
import time
import warnings
from copy import deepcopy
from dataclasses import replace
from importlib.resources import files
from itertools import islice

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.ticker import PercentFormatter
from torch.utils.flop_counter import FlopCounterMode

import lthlab
from lthlab import build_model, load_dataset, plots, prune_at_init, run_experiment
from lthlab.arms import before_training, pruned_at
from lthlab.layerwise import erk_densities, random_masks, smart_ratio_densities
from lthlab.recipes import level_sizes
from lthlab.widgets import bets

# %%
torch.set_num_threads(1)  # one core here; repeated trainings use the others
plots.use_style()
NAME, LEVEL = "mlp-100-100-100", 12
FINISH = {"mnist1d": LEVEL, "fashion-mini": 15}  # levels of IMP
dataset, pictures = load_dataset("mnist1d"), load_dataset("fashion-mini")
recipe = lthlab.recipe_for(NAME, dataset)
model = build_model(NAME, dataset, seed=0)  # untrained
batch = lthlab.draw_batch(dataset.train, samples=100, seed=0)
full = lthlab.full_masks(model)
sizes = [*islice(level_sizes(full, recipe), LEVEL + 1)]  # by level and layer
DENSITY = sum(sizes[LEVEL].values()) / sum(sizes[0].values())
folder = tempfile.mkdtemp()  # give a folder of your own to keep the results


def at_the_end(table):
    """Validation accuracy after the last step."""
    rows = table.query("split == 'validation' and metric == 'accuracy'")
    return rows[rows["step"] == rows["step"].max()]


# %%
def read_reference(study):
    """For both data sets: accuracies at the end, ten seeds, run once and kept."""
    path = files("lthlab") / "assets/reference"
    tables = {name: pd.read_csv(path / f"{study}-{name}.csv") for name in FINISH}
    return {name: at_the_end(table) for name, table in tables.items()}


def at_finish(tables, name):
    """The rows at the finishing line, and those of the dense network."""
    return tables[name][tables[name]["level"].isin([0, FINISH[name]])]


pruned_at_t, reference = read_reference("prune-at"), read_reference("race")
kept = {name: at_finish(reference, name)["density"].min() for name in FINISH}


def percent_axis(ax):
    ax.yaxis.set_major_formatter(PercentFormatter(1))


def points_axis(ax):
    ax.yaxis.set_major_formatter(lambda gap, _: f"{100 * gap:g}")


# %% [markdown]
# ## 1. Prune at step t, in two ways
#
# Notebook 06 stopped the dense training at some moment, kept the largest weights and trained these once more in full.
# There is another way to go on, and it asks another question. The experiment follows Frankle et al. (2021, section 6).
#
# - **T steps in all.** The training ends when it would have ended anyway. All networks cost the same number of steps, but
#   pruning late leaves no time to recover: pruned at the end, a network is used as it stands.
# - **T steps after pruning.** The [recipe](glossary.md#recipe) starts over from the weights of step *t*. All networks have
#   a whole training to recover, but late pruning has also trained longer in all, at the end for twice the steps.

# %%
whole = pruned_at_t["mnist1d"].query("arm == 'dense'")["value"].mean()
bets.curve(
    "12-moment",
    f"T steps in all, on the signals, {DENSITY:.1%} of the weights (with all of them "
    f"{whole:.0%} are right; guessing gives 10 %). Draw the accuracy at the end "
    "against the moment of pruning",
    x=[0, 5, 20, 50, 100],
    low=0,
    high=85,
    xlabel="share of the training that is over when we prune (%)",
    ylabel="validation accuracy (%)",
)

# %% [markdown]
# Live, with two [seeds](glossary.md#seed) that the reference results do not have:

# %%
FORMS = ["T steps in all", "T steps after pruning"]
SHARES = [0, 0.05, 0.2, 0.5, 1]  # of the training that is over when we prune
for share in SHARES:
    for again, ending in enumerate(["", ", again"]):
        arm = f"pruned at {share:.0%}{ending}"
        lthlab.arm(arm, needs=("dense",))(pruned_at(share, again=bool(again)))
states = [round(share * recipe.steps(dataset)) for share in SHARES]
once = {"levels": LEVEL, "control_levels": [LEVEL], "evaluate_every": 0}
arms = [arm for arm in lthlab.ARMS if arm.startswith("pruned at")]
options = {"seeds": [10, 11], "states": states} | once
live = at_the_end(run_experiment(NAME, "mnist1d", arms=arms, **options))
print(f"{len(live)} trainings")


# %%
def by_share(rows):
    """Of the arms "pruned at ...": the share of training at pruning, and the form."""
    rows = rows[rows["arm"].str.startswith("pruned at")]
    share = rows["arm"].str.extract(r"(\d+)%")[0].astype(int) / 100
    form = rows["arm"].str.endswith("again").map(lambda again: FORMS[again])
    kept = rows["density"].map("{:.1%}".format)
    return rows.assign(share=share, form=form, kept=kept).sort_values("level")


def draw_shares(ax, rows):
    """Accuracy at the end by the share of training at pruning, a line per density."""
    look = {"hue": "kept", "style": "kept", "markers": True, "palette": "viridis"}
    look |= {"errorbar": plots.band, "err_kws": {"alpha": 0.15}}
    sns.lineplot(rows, x="share", y="value", ax=ax, **look)
    ax.set_xscale("symlog", linthresh=0.01, linscale=0.4)
    ticks = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    ax.set_xlim(-0.003, 1.25)
    ax.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks])
    ax.minorticks_off()
    percent_axis(ax)
    ax.set(xlabel="% of the training over when we prune", ylabel="validation accuracy")
    ax.legend(title="weights kept")


# %%
figure, axes = plt.subplots(2, 2, figsize=(13, 9))
for row, (name, rows) in zip(axes, pruned_at_t.items()):
    dense = rows[rows["arm"] == "dense"]["value"].mean()
    for ax, form in zip(row, FORMS):
        draw_shares(ax, by_share(rows).query("form == @form"))
        ax.axhline(dense, color=plots.arm_color("dense"), linestyle="--")
        ax.set_title(f"{name}: {form}")
mine = by_share(live)
for ax, form in zip(axes[0], FORMS):
    means = mine[mine["form"] == form].groupby("share")["value"].mean()
    look = {"color": "white", "edgecolor": "black", "marker": "D", "zorder": 5}
    ax.scatter(means.index, means, **look)
figure.tight_layout()
plots.show(
    "Accuracy against the moment of pruning, a line per density. With T steps in all "
    "every line falls steeply at the very end; on mnist1d the sparse ones peak on the "
    "way. With T steps after pruning the lines rise and then level off."
)
ours = by_share(at_finish(pruned_at_t, "mnist1d")).query("form == @FORMS[0]")
means = 100 * ours.groupby("share")["value"].mean()
bets.reveal("12-moment", [means[share] for share in SHARES])

# %% [markdown]
# *Validation accuracy at the end of training; up to 1 % the axis is linear, from there logarithmic. Mean and 95 % interval,
# n = 10, made by `python benchmarks/reference.py prune-at-mnist1d` and
# `prune-at-fashion-mini`. Dashed: dense. White diamonds, on the signals: mean of your
# two seeds at level 12. Held fixed: network, data, density, score, recipe. Each panel
# has a scale of its own.*
#
# - **T steps in all.** The very end is the worst moment: the network is pruned and used
#   as it stands. The sparser it is, the more that costs. On the signals the best moment
#   is on the way, when the weights have learnt something and there is time to recover.
# - **T steps after pruning.** Late pruning does better than pruning before the first
#   step, on both data sets: on the signals by many points, on the pictures by about
#   one. (That is on validation data. On the test images the pictures' effect is
#   smaller, and most of its intervals hold zero: see the [table of
#   claims](README.md).)
# - Two things change with *t* besides the weights. The signals' [learning rate falls along a
#   cosine](glossary.md#cosine-schedule), so on the left late pruning leaves small steps as well as few; on the pictures
#   the rate is constant. And on the right the [optimiser](glossary.md#optimiser) starts afresh.
#
# Take pruning at the end as the measure. From which moment on does earlier pruning lose
# less than a point against it?

# %%
rows = []
for name, table in pruned_at_t.items():
    for _, here in by_share(table).query("form == @FORMS[1]").groupby("level"):
        gap = {
            share: lthlab.paired(here, share, 1.0, by="share")
            for share in sorted(set(here["share"]) - {1.0})
        }
        worse = [share for share in gap if gap[share].low <= -0.01]
        later = [share for share in gap if share > max(worse, default=-1)]
        rows.append((name, here["kept"].iloc[0], f"{min(later, default=1):.0%}"))
columns = ["data", "weights kept", "loses less than a point from"]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# *n = 10, paired, T steps after pruning; the whole interval must lie above minus one
# point.* Some way before the end, waiting longer gains less than a point. On the
# pictures that moment comes later, the sparser the network is; on the signals it is
# late at all three densities.
#
# ## 2. Two more scores
#
# Magnitude needs no explanation, and SNIP you wrote in notebook 06. Two are left.
#
# **GraSP** (Wang et al. 2020) protects the network's ability to learn. A longer
# gradient *g* means that the loss falls faster. So GraSP drops first the weights whose
# removal makes the gradient longer. What a removal changes can be estimated: by the
# weight times one entry of *H g*, where the matrix *H* holds all second derivatives of
# the loss. Nobody has to write down this huge matrix: *H g* is itself a gradient, that
# of half the squared length of *g*. So `lthlab.grasp` differentiates twice, and its
# score is the weight times *H g*.
#
# **SynFlow** (Tanaka et al. 2020) looks at no data at all. Make all weights positive
# and send in ones. Along a path from input to output the weights are multiplied, and
# what comes out in the end, *R*, is the sum over all paths. The score of a weight is
# the part of *R* that flows through it. This part grows in proportion to the weight,
# and the rest of *R* does not depend on it, so a gradient tells you the part. How?
# Write the line.


# %%
def share_of_flow(weight, gradient):
    """What of the flow R passes through each weight; `gradient` is that of R."""
    return ...  # your line


def my_synflow(model, batch, *, seed=0):
    positive = deepcopy(model).double()
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
    weights = lthlab.prunable_weights(positive)
    flow = positive(torch.ones_like(batch[0][:1]).double()).sum()
    gradients = torch.autograd.grad(flow, list(weights.values()))
    pairs = zip(weights.items(), gradients)
    return {name: share_of_flow(w.detach(), g) for (name, w), g in pairs}


# %%
mine, right = my_synflow(model, batch), lthlab.synflow(model, batch)
if any(score is ... for score in mine.values()):
    print("Not written yet: your line goes where the three dots are.")
elif all(torch.allclose(mine[name], right[name].double()) for name in right):
    print("Right: these are the scores of lthlab.synflow.")
else:
    print("Not yet: how much of R goes when the weight shrinks to zero?")
sums = {name: float(score.double().sum()) for name, score in right.items()}
pd.Series(sums, name="sum of lthlab's scores").round(2).to_frame()

# %% [markdown]
# <details><summary>The line</summary>
#
# `return weight * gradient`
# </details>
#
# The sums agree from layer to layer: what flows into a layer flows out of it, like
# water in pipes. (The paper calls this a conservation law.)
#
# ## 3. Layer collapse
#
# All four methods compare their scores across layers: the lowest scores go, in whatever
# layer they are. So a layer may lose its last weight, and then no signal gets through.
# That is **layer collapse**.

# %%
bets.pick(
    "12-collapse",
    "A network of six layers is pruned to one weight in a hundred. Which of these "
    "methods empties a whole layer",
    ["magnitude at init", "SNIP", "GraSP", "SynFlow in one step"],
)

# %%
deep = build_model("mlp-100-100-100-100-100", dataset, seed=0)
METHODS = {
    "magnitude at init": (lthlab.magnitude, 1),
    "SNIP": (lthlab.snip, 1),
    "GraSP": (lthlab.grasp, 1),
    "SynFlow in one step": (lthlab.synflow, 1),
    "SynFlow in 100 steps": (lthlab.synflow, 100),
}
rows = []
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Layer collapse")  # here we look ourselves
    for share in (0.1, 0.03, 0.01, 0.003, 0.001):
        for method, (score, steps) in METHODS.items():
            masks = prune_at_init(deep, score, batch, share, steps)
            left = min(int(mask.sum()) for mask in masks.values())
            rows.append((method, share, left))
fewest = pd.DataFrame(rows, columns=["method", "density", "weights"])
fewest = fewest.pivot(index="method", columns="density", values="weights")
(dead,) = fewest.index[fewest[0.01] == 0]
bets.reveal("12-collapse", dead)

# %%
fewest.loc[[*METHODS], ::-1].rename(columns="{:.1%}".format)

# %% [markdown]
# *Weights left in the emptiest of six layers, by method and density of the whole
# network; one seed.* Zero is a dead network.
#
# The last two rows hold the lesson. The score is the same; only the number of steps
# differs. Once a layer has become thin, the whole flow squeezes through its few
# weights, so their scores rise. If SynFlow is asked again it *rescues* a thin layer.
# Asked only once, it cannot know that the layer will be thin. `prune_at_init` does the
# asking. In its loop each step keeps the same share of what is left:

# %%
source = inspect.getsource(lthlab.prune_at_init)
print(source[source.index("    for step in") :])

# %% [markdown]
# ## 4. Chance comes in kinds
#
# Back to three hidden layers, and the finishing line. A method has to beat chance, but chance can be spread over the
# layers in many ways, and some of them know more than others:
#
# - **random** has the ticket's layer densities: it knows the ticket. (In this network IMP takes a fixed share of each
#   layer, so these densities stood in the recipe before anything was trained. Where IMP prunes the whole network
#   together, they come out of the trainings.)
# - **uniform random** keeps the same share of every layer. It knows only the density of the whole.
# - **ERK** (Erdős-Rényi-Kernel; Mocanu et al. 2018, Evci et al. 2020) knows the layers' shapes: small layers stay denser.
# - **smart ratio** (Su et al. 2020) knows the layers' order: from the first to the last
#   hidden layer it keeps less and less, and of the output layer 30 %.
#
# None of them looks at a weight, a gradient or an example.

# %%
SCORES = {
    "magnitude at init": (lthlab.magnitude, 1),
    "SNIP": (lthlab.snip, 1),
    "GraSP": (lthlab.grasp, 1),
    "SynFlow": (lthlab.synflow, 100),
}
by_score = {
    method: prune_at_init(model, score, batch, DENSITY, steps)
    for method, (score, steps) in SCORES.items()
}
SPREADS = {  # how much of each layer to keep; which weights, chance decides
    "random": {n: kept / sizes[0][n] for n, kept in sizes[LEVEL].items()},
    "uniform random": dict.fromkeys(full, DENSITY),
    "ERK": erk_densities(full, DENSITY),
    "smart ratio": smart_ratio_densities(full, DENSITY),
}
SHADES = {"random": "0.75", "uniform random": "black"}  # elsewhere as grey as ERK
by_chance = {arm: random_masks(model, SPREADS[arm], seed=0) for arm in SPREADS}

# %%
figure, axes = plt.subplots(1, 2, figsize=(14, 4), sharey=True)
drawn = {"chosen by a score": by_score, "chosen by chance": by_chance}
for ax, (title, masks) in zip(axes, drawn.items()):
    plots.layer_bars(masks, ax)
    for text in ax.texts:
        text.set(fontsize=8, rotation=90)
        text.set_position((0, 3))
    for arm, bars in zip(masks, ax.containers):
        plt.setp(bars, color=SHADES.get(arm, plots.arm_color(arm)))
    ax.legend(ax.containers, masks)
    ax.set(title=title, xlabel="layer", ylabel="weights kept in the layer")
axes[0].set_ylim(0, axes[0].get_ylim()[1] * 1.2)
figure.tight_layout()
plots.show(
    "Share of the weights kept in each of four layers, a bar for each method. Most "
    "methods keep far more of the small output layer than of the others; uniform "
    "random keeps the same share everywhere."
)

# %% [markdown]
# *At the same density of the whole; one seed.*
#
# A kept weight can carry a signal only if a path from an input to an output runs
# through it. SynFlow's score is zero for all others, so ask it which weights are on a
# path:

# %%
rows = []
for method, masks in (by_score | by_chance).items():
    pruned = lthlab.apply_masks_(deepcopy(model), masks)
    alive = {name: score > 0 for name, score in lthlab.synflow(pruned, batch).items()}
    on_path = lthlab.count_kept(alive) / lthlab.count_kept(masks)
    hidden = [mask for name, mask in alive.items() if name != "out.weight"]
    rows.append((method, on_path, sum(int(mask.any(1).sum()) for mask in hidden)))
columns = ["method", "kept weights on a path", "hidden neurons in use"]
alive_table = pd.DataFrame(rows, columns=columns)
alive_table.style.format({"kept weights on a path": "{:.0%}"}).hide(axis="index")

# %% [markdown]
# *Of 300 hidden neurons; one seed.* All have the same number of weights, but they spend
# them in different ways: SynFlow on few neurons with many links each, chance thinly on
# many neurons.
#
# ## 5. The long race
#
# Notebook 06 raced methods that look before training. Some look later:
#
# - **Magnitude after training** is the old way: train the dense network, prune it once,
#   and train again for as long. It trains twice. In section 1 it is the last point of
#   the curves on the right.
# - **Gradual** magnitude pruning (Zhu & Gupta 2017) takes the smallest weights away while the network trains: in twenty
#   prunings between a quarter and three quarters of the steps, many at first and few at the end. It trains once and needs
#   no more than a schedule, so it is the baseline that everyone uses.
# - **Early-Bird** begins with the dense network and draws its mask as soon as the mask
#   no longer changes much. **RigL** and **SET** move a sparse mask about while they
#   train. Section 6 explains all three.

# %%
bets.order(
    "12-later",
    f"On the signals, {DENSITY:.1%} of the weights: order by accuracy, best first",
    ["SNIP", "gradual", "ticket", "Early-Bird"],
)

# %%
BEFORE = ["SynFlow", "SNIP", "GraSP", "magnitude at init"]
CHANCE = ["random", "uniform random", "ERK", "smart ratio"]
LATER = ["magnitude after training", "gradual", "Early-Bird", "RigL", "SET"]
PANELS = {
    "found before training": ["ticket", *BEFORE, "ERK"],
    "found later": ["ticket", *LATER, "ERK"],
    "by chance": ["ticket", *CHANCE],
}


def draw_race(name, low, high):
    """The reference by density, in three panels."""
    rows, figure = reference[name], plt.figure(figsize=(17, 5.4))
    levels = set(rows.query("arm == 'ERK'")["level"])
    dense = rows.query("arm == 'dense'")["value"].mean()
    for ax, (title, arms) in zip(figure.subplots(1, 3, sharey=True), PANELS.items()):
        shown = rows[rows["arm"].isin(arms) & rows["level"].isin(levels)]
        look = {"palette": {arm: SHADES.get(arm, plots.arm_color(arm)) for arm in arms}}
        look |= {"hue_order": arms, "style_order": arms}
        plots.accuracy_by_density(shown, ax=ax, **look)
        ax.axhline(dense, color=plots.arm_color("dense"), linestyle="--", label="dense")
        ax.axvline(kept[name], color="0.6", linestyle=":", zorder=0)
        ax.set(title=f"{name}: masks {title}", ylim=(low, high))
        ax.legend(fontsize=10)
    figure.tight_layout()


# %%
draw_race("mnist1d", 0.05, 0.85)
plots.show(
    "mnist1d, accuracy by weights kept in three panels. Found before training: all "
    "below the ticket and, at 18 % and less, above ERK. Found later: where few "
    "weights are left gradual pruning comes nearest to the ticket. By chance: all "
    "kinds lie low."
)
draw_race("fashion-mini", 0.55, 0.9)
plots.show(
    "fashion-mini, the same three panels. Down to the finishing line all lie within a "
    "few points; then uniform random falls off first, in some seeds Early-Bird, too."
)
means = at_finish(reference, "mnist1d").groupby("arm")["value"].mean()
means = means[["SNIP", "gradual", "ticket", "Early-Bird"]].sort_values(ascending=False)
bets.reveal("12-later", means.index)

# %% [markdown]
# *Validation accuracy at the end, by the share of weights kept. Mean and 95 % interval, n = 10 (`python
# benchmarks/reference.py race-mnist1d`, `race-fashion-mini`); dotted: the finishing line. Held fixed: network, data, number
# of weights kept, recipe, with these exceptions. Magnitude after training sees twice the steps. Gradual begins with the
# whole network. Early-Bird has only the steps that are left. RigL and SET move their
# masks every hundred steps, as in the paper, but in trainings this short that is only
# about ten times. Where Early-Bird's band is wide, no mask settled before the very end
# in some seeds.*
#
# At the finishing line, each method against the ticket:

# %%
figure, axes = plt.subplots(1, 2, figsize=(13, 5), sharey=True)
ORDER = [*CHANCE, *BEFORE, *LATER, "dense"]
for ax, name in zip(axes, FINISH):
    rows = at_finish(reference, name)
    gaps = {arm: lthlab.paired(rows, arm, "ticket") for arm in ORDER}
    for place, (arm, gap) in enumerate(gaps.items()):
        error = [[100 * (gap.mean - gap.low)], [100 * (gap.high - gap.mean)]]
        look = {"color": SHADES.get(arm, plots.arm_color(arm)), "fmt": "o"}
        ax.errorbar(100 * gap.mean, place, xerr=error, **look)
    ax.axvline(0, color=plots.arm_color("ticket"), linestyle=":")
    ax.set_yticks(range(len(ORDER)), ORDER)
    ax.set(xlabel="minus ticket, points", title=f"{name}, {kept[name]:.1%}")
    below = [arm for arm in ORDER if gaps[arm].high < 0]
    print(f"{name}: {len(below)} of {len(ORDER)} below; not below:", end=" ")
    print(*(arm for arm in ORDER if arm not in below), sep=", ")
axes[0].invert_yaxis()
figure.tight_layout()
plots.show(
    "Each method minus the ticket with its interval. On mnist1d chance lies lowest, "
    "then the methods before training; magnitude after training and gradual lie "
    "nearest, and dense above zero. On fashion-mini all lie within five points."
)

# %% [markdown]
# *Mean and 95 % interval, n = 10, paired by seed. These are many intervals; of twenty at 95 %, one is expected to miss the
# truth. The scales differ.*
#
# - No sparse network is above the ticket. On both data sets all methods that look
#   before training are below it, and all kinds of chance.
# - Of the sparse networks magnitude after training and gradual pruning come nearest to
#   it. Both prune by trained weights. On the signals they are below the ticket, too.
#
# "Better than random" always depends on the kind of random, and on how many weights are
# left. Compare SNIP with the four kinds of chance, and GraSP with SNIP:


# %%
def draw_gaps(ax, name, pairs):
    """Differences of pairs of arms by density, each with a marker of its own."""
    rows = reference[name]
    levels = sorted(set(rows.query("arm == 'ERK'")["level"]))
    here = [rows[rows["level"] == level] for level in levels]
    for number, (arm, other) in enumerate(pairs):
        gaps = [lthlab.paired(part, arm, other) for part in here]
        x = [part["density"].median() * 1.03 ** (number - 2) for part in here]
        mean = [100 * gap.mean for gap in gaps]
        half = [100 * (gap.high - gap.mean) for gap in gaps]
        look = {
            "marker": "osv^D"[number],
            "linestyle": ("-", "--", ":", "-.", "-")[number],
        }
        ax.errorbar(x, mean, yerr=half, label=f"{arm} minus {other}", **look)
    ax.axhline(0, color="0.4", linewidth=1)
    plots.density_axis(ax, x)
    ax.set_yscale("symlog", linthresh=2)
    ticks = [-30, -10, -5, -2, 0, 2, 5, 10, 30]
    ax.set_yticks(ticks, ticks)
    ax.minorticks_off()
    ax.set(title=name, ylabel="points (logarithmic beyond 2)")


# %%
figure, axes = plt.subplots(1, 2, figsize=(13, 4.6))
for ax, name in zip(axes, FINISH):
    draw_gaps(ax, name, [*(("SNIP", arm) for arm in CHANCE), ("GraSP", "SNIP")])
axes[0].legend(fontsize=9)
figure.tight_layout()
plots.show(
    "SNIP minus four kinds of chance, and GraSP minus SNIP, by density. On mnist1d "
    "SNIP is above all kinds everywhere. On fashion-mini it is below ERK and far above "
    "uniform random at the sparse end; GraSP is below SNIP throughout."
)

# %% [markdown]
# *Mean and 95 % interval, n = 10, paired; the points of one density are set side by side.*
#
# - *SNIP beats random pruning.* On the signals it beats all four kinds at every density
#   (at the highest one it beats *random* by so little that the test signals do not show
#   it; at the lowest no signal gets through any of the four, so there they are one).
#   On the pictures it beats uniform random from the finishing line down, but ERK at
#   no density.
# - *GraSP beats SNIP where few weights are left.* In GraSP's paper (Wang et al. 2020,
#   table 2), for VGG-19 on CIFAR-10 (a large network on small colour photographs),
#   SNIP is ahead at 5 % of the weights (93.43 to 93.04) and GraSP at 2 % (92.19 to
#   92.05). The signals show the same turn. On the pictures SNIP is ahead everywhere.
#
# And how do the others compare with pruning once, after training, on the way to the
# sparse end?

# %%
rows = []
for name, levels in (("mnist1d", [LEVEL, 16, 20]), ("fashion-mini", [15, 20, 24])):
    for level in levels:
        here = reference[name][reference[name]["level"] == level]
        row = {"data": name, "density": f"{here['density'].median():.1%}"}
        for arm in ("gradual", "SNIP", "SynFlow", "RigL"):
            gap = lthlab.paired(here, arm, "magnitude after training").points()
            row[arm] = gap.removesuffix(", n = 10")
        rows.append(row)
caption = "minus magnitude after training, points, n = 10"
pd.DataFrame(rows).style.hide(axis="index").set_caption(caption)

# %% [markdown]
# *Mean and 95 % interval, n = 10, paired; magnitude after training trains twice, the others once.*
#
# On the signals the order turns over. At the last density even SNIP and SynFlow, which
# never saw a trained weight, are far above a network that was pruned once after its
# training. Gradual pruning uses the same score, magnitude, but in small steps. It holds
# out, so the score alone is not to blame. On the pictures there is no such turn: SNIP
# stays below pruning after training, and SynFlow is never above it.
#
# ## 6. While training
#
# **Early-Bird** (You et al. 2020) trains the dense network and draws the magnitude mask
# again and again. It compares each mask with the five before it. If less than a tenth
# of the mask has moved, the mask counts as settled: the method stops training the large
# network and goes on with the small one.

# %%
bets.number(
    "12-bird",
    f"On the signals, at {DENSITY:.1%} of the weights: after how many percent of the "
    "training has the mask settled",
    low=0,
    high=100,
)

# %%
rows = []
for share in (0.42, 0.18, DENSITY):
    options = {"every": 40, "step": "fast"}
    found = lthlab.dynamic.early_bird(model, dataset, recipe, share, **options)
    rows.append(found.distances.assign(density=f"{share:.0%}"))
    drawn = found.start.step / recipe.steps(dataset)
    print(f"density {share:.1%}: drawn after {drawn:.0%} of the training")
figure, ax = plt.subplots()
curves = pd.concat(rows, ignore_index=True)
look = {"hue": "density", "style": "density", "palette": "viridis"}
sns.lineplot(curves, x="step", y="distance", ax=ax, **look)
line = {"color": plots.arm_color("dense"), "linestyle": ":"}
ax.axhline(0.1, **line, label="settled below this")
ax.set(xlabel="training step", ylabel="share of the mask that moved", ylim=(0, None))
percent_axis(ax)
ax.legend(title="weights kept")
plots.show(
    "Share of the mask that moved, against the training step, for three densities: all "
    "three rise at first, then fall, and go below ten percent about half-way."
)
bets.reveal("12-bird", 100 * drawn)

# %% [markdown]
# *The largest distance of each mask from the five before it, in percent of the weights
# kept, drawn every 40 steps; mnist1d, one seed. The lines rise at first because the
# first masks have fewer than five before them; these cannot count as settled.* The
# masks settle about half-way through the training. So **here the bird is not early**,
# and on the signals our runs do not test whether a mask can be drawn early.
# One reason is how we
# measure: we divide what moved by the number of *kept* weights. The paper removes whole
# channels, 30 to 70 % of them, and divides by the number of all channels.
#
# **RigL** (Evci et al. 2020) never has a dense network. It begins with a random mask
# and, every hundred steps, lets each
# layer drop its smallest weights and grow as many new ones where the gradient is largest. The gradient of a *missing*
# weight is well defined: it says how much the loss would fall if the weight came into being. **SET** (Mocanu et al. 2018)
# grows by chance. Where do the connections go? On pictures one can see it:

# %%
lenet = build_model("lenet-300-100", pictures, seed=0)
lenet_recipe = lthlab.recipe_for("lenet-300-100", pictures)
first = random_masks(lenet, erk_densities(lthlab.full_masks(lenet), 0.036))
options = {"during": lthlab.dynamic.move_masks(pictures, lenet_recipe), "step": "fast"}
last = lthlab.train(lenet, pictures, lenet_recipe, first, **options).masks

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
most = int(last["fc1.weight"].sum(0).max())
drawn = {"at the start: chance": first, "at the end of RigL": last}
for ax, (title, masks) in zip(axes, drawn.items()):
    plots.input_picture(masks["fc1.weight"], pictures, ax)
    ax.collections[0].set_clim(0, most)  # the same colours in both
    ax.set_title(title)
figure.tight_layout()
plots.show(
    "How many connections each pixel keeps in the first layer: at the start evenly "
    "scattered, at the end of RigL fewer at the edge and more in the middle."
)
print(f"{lthlab.density(last):.1%} of the weights, all the time")
print(f"{lthlab.overlap(first, last):.0%} of the first mask is still there")

# %% [markdown]
# *One seed.* The network never had more than its few weights, and yet a good part of
# them moved. In the first layer fewer begin at the edge, where the pictures are mostly
# empty, and more in the middle. Does that gain accuracy? And is growing by the gradient
# better than growing by chance?

# %%
figure, axes = plt.subplots(1, 2, figsize=(13, 4.2))
for ax, name in zip(axes, FINISH):
    draw_gaps(ax, name, [("RigL", "ERK"), ("RigL", "SET")])
axes[0].legend()
figure.tight_layout()
plots.show(
    "RigL minus a fixed random mask and minus SET, by density. On mnist1d both rise to "
    "tens of points where few weights are left; on fashion-mini both stay near zero "
    "until the last density."
)

# %% [markdown]
# *Mean and 95 % interval, n = 10, paired.* On the signals moving by the gradient is worth a lot from 18 %
# down. On the pictures no gain of a whole point shows above half a percent.
#
# ## 7. The second axis: what it costs
#
# Papers draw accuracy against density. But on the signals the ticket cost thirteen
# trainings, and SNIP one training and one batch. So draw what matters to whoever pays:
# accuracy against **all** the computing it took, finding the mask included. Begin with
# [FLOPs](glossary.md#flop). PyTorch's own counter counts them; products with pruned
# weights are left out. That is theory: notebook 07 says what machines make of it.

# %%
bets.order(
    "12-bill",
    "All FLOPs, finding the mask included: order from cheap to dear",
    ["gradual", "ticket", "SNIP", "dense"],
)


# %%
def training_of(name, dataset):
    """A function: the FLOPs of one whole training of this network with given masks."""
    model, recipe = build_model(name, dataset, 0), lthlab.recipe_for(name, dataset)

    def flops(masks):
        return lthlab.cost.training_flops(model, dataset, recipe, masks).nonzero

    return flops


# %%
def bill_of_gradual(name, dataset, kept):
    """Gradual pruning, each stretch of the training with the masks that it had."""
    model, recipe = build_model(name, dataset, 0), lthlab.recipe_for(name, dataset)
    steps, stretches = recipe.steps(dataset), [(0, lthlab.full_masks(model))]
    drops = lthlab.dynamic.prune_gradually(dataset, recipe, kept)  # by step

    def drop_and_note(now):
        drops[now.step](now)
        stretches.append((now.step, now.masks))

    options = {"during": dict.fromkeys(drops, drop_and_note), "step": "fast"}
    lthlab.train(model, dataset, recipe, evaluate_every=0, **options)
    starts = [step for step, _ in stretches]
    lengths = np.diff([*starts, steps]) / steps
    flops = training_of(name, dataset)
    return sum(part * flops(masks) for part, (_, masks) in zip(lengths, stretches))


# %%
def bill_while_training(name, dataset, level, at):
    """FLOPs of finding the mask and training with it, if finding it takes training."""
    model, recipe = build_model(name, dataset, 0), lthlab.recipe_for(name, dataset)
    training, levels, masks = training_of(name, dataset), [], lthlab.full_masks(model)
    for _ in range(level + 1):  # of IMP; only the number of weights in a layer counts
        levels.append(training(masks))
        masks = lthlab.prune(lthlab.magnitude(model), masks, recipe.rates(masks))
    trained = build_model(name, dataset, 0)
    lthlab.train(trained, dataset, recipe, evaluate_every=0, step="fast")
    after = prune_at_init(trained, lthlab.magnitude, None, at)
    with warnings.catch_warnings():  # the very sparse ones settle at the end or never
        warnings.filterwarnings("ignore", "No mask of density")
        options = {"every": recipe.steps(dataset) // 40, "step": "fast"}
        bird = lthlab.dynamic.early_bird(model, dataset, recipe, at, **options)
    drawn = bird.start.step / recipe.steps(dataset)
    return {
        "dense": (0, levels[0]),
        "ticket": (sum(levels[:-1]), levels[-1]),
        "magnitude after training": (levels[0], training(after)),
        "gradual": (0, bill_of_gradual(name, dataset, at)),
        "Early-Bird": (drawn * levels[0], (1 - drawn) * training(bird.masks)),
    }


# %%
def make_bill(name, dataset, level):
    """FLOPs of finding the mask and of training with it, in dense trainings."""
    model, recipe = build_model(name, dataset, 0), lthlab.recipe_for(name, dataset)
    full, training = lthlab.full_masks(model), training_of(name, dataset)
    left = [*islice(level_sizes(full, recipe), level + 1)]
    at = sum(left[-1].values()) / sum(left[0].values())
    bill = bill_while_training(name, dataset, level, at)
    erk = training(random_masks(model, erk_densities(full, at)))
    # At a move the gradients of *all* weights are needed: one dense product per layer.
    product = lthlab.cost.inference_flops(model, dataset).total * recipe.batch_size
    moves = len(lthlab.dynamic.move_masks(dataset, recipe))
    bill |= {"RigL": (moves * product, erk), "ERK": (0, erk)}
    batch = lthlab.draw_batch(dataset.train, 100, seed=0)
    for method, (score, rounds) in SCORES.items():
        with FlopCounterMode(display=False) as counter:  # sees second derivatives, too
            masks = prune_at_init(model, score, batch, at, rounds)
        bill[method] = counter.get_total_flops(), training(masks)
    bill = pd.DataFrame(bill, index=["finding", "training"]).T / training(full)
    return bill.assign(total=bill["finding"] + bill["training"], level=level)


# %%
bill = make_bill(NAME, dataset, LEVEL)
cheap_first = bill["total"][["gradual", "ticket", "SNIP", "dense"]].sort_values()
print("in dense trainings:", cheap_first.round(3).to_dict())
bets.reveal("12-bill", cheap_first.index)

# %% [markdown]
# *FLOPs in units of one dense training, mnist1d at level 12, seed 0.* Gradual pruning
# finds its mask while it trains, so all of it counts as training. Now draw most methods
# of the race at all its densities, with the accuracy that they got for their money:


# %%
def draw_bill(ax, name, network, data):
    """Accuracy by all FLOPs, a line for each method, and the Pareto front."""
    rows = reference[name]
    levels = sorted(rows.query("arm == 'ERK'")["level"].unique())
    bills = pd.concat([make_bill(network, data, level) for level in levels])
    bills = bills.rename_axis("arm").reset_index()
    bills.loc[bills["arm"] == "dense", "level"] = 0
    means = rows.groupby(["arm", "level"])["value"].mean().reset_index()
    points = bills.drop_duplicates(["arm", "level"]).merge(means, on=["arm", "level"])
    for number, (arm, line) in enumerate(points.groupby("arm", sort=False)):
        color, dashes = plots.look(arm)
        look = {"color": color, "dashes": dashes or (1, 0), "label": arm}
        ax.plot(line["total"], line["value"], marker="*osv^D<>phX"[number], **look)
    best = points.sort_values("total")
    best = best[best["value"] == best["value"].cummax()]
    look = {"color": "black", "linewidth": 5, "alpha": 0.12, "label": "Pareto front"}
    ax.step(best["total"], best["value"], where="post", **look)
    ax.set(xscale="log", xlabel="all FLOPs, in dense trainings", title=name)
    ax.set_ylabel("validation accuracy")
    percent_axis(ax)


# %%
figure, axes = plt.subplots(1, 2, figsize=(13, 5))
draw_bill(axes[0], "mnist1d", NAME, dataset)
draw_bill(axes[1], "fashion-mini", "lenet-300-100", pictures)
axes[1].set_ylim(0.55, 0.9)
axes[1].legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()
plots.show(
    "Accuracy against all FLOPs. The ticket lies far to the right, above one dense "
    "training. Methods before training and RigL lie far to the left. Gradual pruning "
    "lies in between; its best points are on the front that nothing cheaper beats."
)

# %% [markdown]
# *Each point is one density; accuracies: mean of ten seeds; FLOPs: of seed 0, without products with pruned weights,
# logarithmic. A point is on the Pareto front if no other is both cheaper and better.
# The front is drawn through means, so neighbours on it may differ by less than their
# intervals.*
#
# Which method would you use if you train only once? Which if the network will answer a
# billion questions later, so that only its final density counts? And which if you have
# a tenth of a dense training to spend?
#
# FLOPs are theory. Now measure seconds on your machine, one seed to level 12:

# %%
one = {"seeds": [0], "levels": LEVEL, "control_levels": [LEVEL], "evaluate_every": 0}
one |= {"n_jobs": 1, "progress": False}
run_experiment(NAME, "mnist1d", arms=["dense", "ERK"], **one)  # compiles, warms up
seconds = {}
for arm in ("dense", "ticket", "gradual", "RigL", "SNIP", "SynFlow", "ERK"):
    began = time.perf_counter()
    run_experiment(NAME, "mnist1d", arms=[arm], **one)
    seconds[arm] = time.perf_counter() - began
measured = pd.DataFrame({"seconds": seconds})
measured["in dense trainings"] = measured["seconds"] / measured.loc["dense", "seconds"]
measured["by FLOPs"] = bill["total"]
measured.style.format("{:.2f}")

# %% [markdown]
# *One run each, reading and writing of files included; a single run is easily off by a
# fifth.* Where the last two columns disagree, theory and machine differ. A masked step
# with many weights left takes as long as a dense one, so the first trainings of IMP
# save nothing. And in a step of so small a network most of the time does not go into
# multiplying (notebook 07).
#
# ## 8. What do the masks know?
#
# Notebook 06 shuffled the masks and redrew the values at the finishing line. Frankle et al. (2021) also **inverted** the
# scores: keep what the method would have thrown away first. The picture shows the two
# checks of notebook 06 at other densities. The lines under it invert the scores at the
# finishing line.


# %%
def effect(name, method, check, level):
    """What a check changes for one method at one level."""
    arm = check if method == "ticket" else f"{method}, {check}"
    rows = reference[name][reference[name]["level"] == level]
    return rows["density"].min(), lthlab.paired(rows, arm, method)


def draw_check(ax, name, method, check):
    """The effect of a check by density, with its 95 % interval."""
    rows = reference[name].query("arm == 'shuffled'")
    found = [effect(name, method, check, level) for level in sorted(set(rows["level"]))]
    kept = [density for density, _ in found]
    (color, dashes), gaps = plots.look(method), [gap for _, gap in found]
    look = {"marker": "o", "color": color, "dashes": dashes or (1, 0), "label": method}
    ax.plot(kept, [gap.mean for gap in gaps], **look)
    band = [gap.low for gap in gaps], [gap.high for gap in gaps]
    ax.fill_between(kept, *band, color=color, alpha=0.15)
    plots.density_axis(ax, kept)


# %%
figure, axes = plt.subplots(2, 2, figsize=(13, 8), sharex="col")
for row, check in zip(axes, ("shuffled", "reinitialised")):
    for ax, name in zip(row, FINISH):
        for method in ["ticket", *SCORES]:
            draw_check(ax, name, method, check)
        ax.axhline(0, color=plots.arm_color("dense"), linewidth=1)
        points_axis(ax)
        ax.set(ylabel=f"{check} minus as found, points", title=name)
axes[0, 0].legend(fontsize=9)
figure.tight_layout()
plots.show(
    "What shuffling (top) and new values (bottom) change, by density. On mnist1d "
    "shuffling costs every method many points at the sparse end. On fashion-mini it "
    "costs only the ticket, down to about one percent."
)
for name, level in FINISH.items():
    for method in SCORES:
        gap = effect(name, method, "inverted", level)[1]
        print(f"{name}: {method:18s} inverted minus as found {gap.points()}")

# %% [markdown]
# *Paired, mean and 95 % interval, n = 10.*
#
# - On the **pictures**, down to about one percent, it is as the papers say: none of the four methods loses by shuffling.
#   GraSP does better shuffled, and at the finishing line better inverted, too; SNIP, too,
#   does better shuffled with few weights. (SynFlow
#   inverted is dead on both data sets: it empties layers.)
# - Shuffling costs dearly where chance itself does badly: on the **signals** at 18 % and less. On the pictures at half a
#   percent it costs all of them something except SNIP. So the answer depends on the task *and* the density.
# - **SynFlow** at the sparse end loses little with new values and far more when
#   shuffled. It knows which connections belong together, not which values they have.
#   **Magnitude** on the signals loses about as much either way: a mask of large values
#   is worth something only with those values.
#
# What does shuffling destroy on the signals? A guess is cheap, and here a test is
# cheap, too. First guess: it cuts the *paths* of section 4.

# %%
rows = []
for method, masks in by_score.items():
    both = {"as found": masks, "shuffled": lthlab.shuffle_masks(masks, seed=0)}
    for label, tested in both.items():
        flow = lthlab.synflow(lthlab.apply_masks_(deepcopy(model), tested), batch)
        on_path = sum(int((score > 0).sum()) for score in flow.values())
        rows.append((method, label, on_path / lthlab.count_kept(tested)))
paths = pd.DataFrame(rows, columns=["method", "mask", "kept weights on a path"])
paths = paths.pivot(index="method", columns="mask", values="kept weights on a path")
paths.loc[[*by_score]].style.format("{:.0%}")

# %% [markdown]
# *One seed, mnist1d at level 12.* That guess was wrong: nearly all weights are on paths
# before and after shuffling. Second guess: the methods choose *neurons*. They give some
# of them many links, and others none. If that is all they do, a shuffle that leaves
# every neuron its number of links should cost nothing.

# %%
bets.number(
    "12-inputs",
    "A shuffle that leaves every neuron its number of inputs and outputs: how many "
    "points does it cost SNIP on the signals, where a plain shuffle costs about ten",
    low=0,
    high=12,
)


# %%
def keep_inputs(mask, draw):
    """Shuffle each row: every neuron keeps its number of inputs."""
    return draw.permuted(mask, axis=1)


def keep_inputs_and_outputs(mask, draw):
    """Swap the ends of two links, many times: nobody's number of links changes."""
    mask, (rows, columns) = mask.copy(), mask.nonzero()
    for i, j in draw.integers(len(rows), size=(10 * len(rows), 2)):
        if not mask[rows[i], columns[j]] and not mask[rows[j], columns[i]]:
            mask[rows[i], columns[i]] = mask[rows[j], columns[j]] = False
            columns[i], columns[j] = columns[j], columns[i]
            mask[rows[i], columns[i]] = mask[rows[j], columns[j]] = True
    return mask


# %% [markdown]
# An [arm](glossary.md#arm) is a function of the *past*, that is of what is known when a level begins, and says where the
# training starts: with which masks, and from which values. It takes a few lines. (Finished trainings are kept in `folder`
# under the arm's name: if you change one of these functions, give its arm a new name.)

# %%
find_by_snip = before_training(lthlab.snip)  # the function of the arm SNIP


def change_masks(start, change, seed):
    """A start with every mask changed; the values stay."""
    draw, masks = np.random.default_rng(seed), {}
    for name, mask in start.masks.items():
        masks[name] = torch.from_numpy(change(mask.numpy(), draw))
    return replace(start, masks=masks)


@lthlab.arm("SNIP, inputs kept")
def inputs_kept(past):
    return change_masks(find_by_snip(past), keep_inputs, past.seed)


@lthlab.arm("SNIP, inputs and outputs kept")
def inputs_and_outputs_kept(past):
    return change_masks(find_by_snip(past), keep_inputs_and_outputs, past.seed)


# %%
arms = ["SNIP", "SNIP, shuffled", "SNIP, inputs kept", "SNIP, inputs and outputs kept"]
tested = run_experiment(
    NAME, "mnist1d", arms=arms, seeds=range(10, 15), folder=folder, **once
)
for arm in arms[1:]:
    gap = lthlab.paired(at_the_end(tested), arm, "SNIP")
    print(f"{arm:30s} minus SNIP: {gap.points()}")
bets.reveal("12-inputs", -100 * gap.mean)

# %% [markdown]
# *Mean and 95 % interval, n = 5, paired, in points; live.* If every neuron keeps its
# number of inputs, a part of the loss is gone; if it keeps its outputs, too, on average
# more of it. So here SNIP chooses, beyond layers, to a large part which *inputs and
# neurons* to spend its weights on. It is not the whole story: even this shuffle still
# costs SNIP some points.
#
# ## 9. How early is the ticket there?
#
# You can also put the question to training itself. Stop the dense network at step *t*.
# Draw the magnitude mask, with as many weights in each layer as the ticket has. What
# share of the ticket's weights does it already hold?

# %%
bets.number(
    "12-overlap",
    "On the signals: what percentage of the ticket's weights is already in the "
    "magnitude mask of the untrained network (chance would give about 10)",
    low=0,
    high=100,
)

# %%
overlaps = pd.read_csv(files("lthlab").joinpath("assets/reference/overlaps.csv"))


def draw_overlaps(ax, name, rows):
    early = rows.query("arm == 'magnitude' and step > 0")
    early = early.assign(arm="magnitude of the weights at this step")
    early["share"] = early["step"] / early["step"].max()
    look = {"markers": True, "palette": [plots.arm_color("magnitude")]}
    plots.lines(early, x="share", y="overlap", ax=ax, **look)
    for arm in [*SCORES, "ERK"]:
        color, dashes = plots.look(arm)
        look = {"color": color, "dashes": dashes or (1, 0), "linewidth": 1.4}
        ax.axhline(rows[rows["arm"] == arm]["overlap"].mean(), **look, label=arm)
    look = {"color": "black", "linewidth": 1, "linestyle": ":"}
    ax.axhline(rows["chance"].mean(), **look, label="chance, ticket's layer densities")
    ax.set(xscale="log", xlabel="share of the training done", ylim=(0, 0.6))
    ax.set(ylabel="share of the ticket already in the mask")
    ax.set(title=f"{name}, {rows['density'].iloc[0]:.1%} of the weights")
    ax.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    percent_axis(ax)


# %%
figure, axes = plt.subplots(1, 2, figsize=(13, 4.6), sharey=True)
for ax, (name, rows) in zip(axes, overlaps.groupby("dataset", sort=False)):
    draw_overlaps(ax, name, rows)
axes[0].legend(fontsize=9, ncols=2, loc="upper left")
axes[1].get_legend().remove()
figure.tight_layout()
plots.show(
    "Share of the ticket in the magnitude mask, against the share of the training "
    "done: between a third and two fifths at first, a few points more a fifth of the "
    "way in, then less. The masks of SNIP, GraSP and SynFlow hold less; chance lowest."
)
magnitude = overlaps.query("arm == 'magnitude'").rename(columns={"overlap": "value"})
for name, rows in magnitude.groupby("dataset", sort=False):
    for share in (0.2, 1):
        more = lthlab.paired(rows, round(rows["step"].max() * share), 0, by="step")
        print(f"{name}: after {share:4.0%} minus before training {more.points()}")
untrained = magnitude.query("dataset == 'mnist1d' and step == 0")["value"]
bets.reveal("12-overlap", 100 * untrained.mean())

# %% [markdown]
# *Mean and 95 % interval, n = 10; `python benchmarks/reference.py overlaps`. Methods before training choose their own layer
# densities; the curve and the line of chance have the ticket's (so "magnitude at init"
# and the curve's beginning differ).*
#
# There are two surprises here. First, the untrained network's *magnitudes* already hold
# about a third of the ticket, several times what chance gives. Large values start with
# a lead that training never quite takes away. Second, training adds only a few points
# to that in its first fifth, and then loses some again. On the pictures it loses more
# than it gained, and the mask ends farther from the ticket than it began. So one dense
# training does not lead to the ticket: pruning little by little, with rewinding, finds
# *another* mask than pruning once.
#
# Is a mask good because it is like the ticket? Compare magnitude before training with
# SNIP, at the finishing line:

# %%
for name in FINISH:
    share = overlaps[(overlaps["dataset"] == name) & (overlaps["step"] == 0)]
    share = share.rename(columns={"overlap": "value"})
    print(f"{name}: magnitude at init minus SNIP, in points")
    both = {"share of the ticket": share, "accuracy": at_finish(reference, name)}
    for what, rows in both.items():
        gap = lthlab.paired(rows, "magnitude at init", "SNIP")
        print(f"    {what:20s} {gap.points()}")

# %% [markdown]
# On both data sets the magnitudes hold more of the ticket than SNIP's mask does. On the pictures they also train better
# than SNIP's mask; on the signals they train worse. So likeness to the ticket does not decide.
#
# ## 10. Claims and verdicts
#
# The picture sets what the papers say against what our runs say, for each data set at
# the density nearest to the paper's. Each row is one claim: a circle if our runs show
# it, a cross if they do not. [The whole table](README.md) has more settings.

# %%
file = files("lthlab").joinpath("assets/reference/claims.csv")
claims = pd.read_csv(file, dtype={"notebook": str})
claims = claims.query("notebook in ('06', '12') and on_page")
claims["data"] = claims["setting"].str.extract(r" on ([\w-]+)")[0]
claims["seen"] = claims["verdict"].str.startswith("seen")
titles = claims["claim"].drop_duplicates().tolist()
claims["place"] = claims["claim"].map(titles.index)

# %%
figure, axes = plt.subplots(1, 2, figsize=(12, 9.5), sharey=True)
for ax, name in zip(axes, FINISH):
    here = claims[claims["data"] == name]
    for seen, marker, label in (
        (True, "o", "seen"),
        (False, "x", "not seen, or opposite"),
    ):
        row = here[here["seen"] == seen]
        error = [row["effect"] - row["low"], row["high"] - row["effect"]]
        ax.errorbar(row["effect"], row["place"], xerr=error, fmt=marker, label=label)
    ax.axvline(0, color="0.4", linewidth=1)
    ax.set(xscale="symlog", xlabel="effect in points", title=name)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
axes[0].set_yticks(range(len(titles)), [title[:80] for title in titles], fontsize=9)
axes[0].invert_yaxis()
axes[1].legend(loc="upper left", bbox_to_anchor=(0, -0.08), ncols=2)
figure.tight_layout()
plots.show(
    f"The effects of {len(titles)} claims with intervals, on mnist1d and fashion-mini: "
    f"{claims['seen'].sum()} of {len(claims)} were seen (circles), the others not."
)

# %% [markdown]
# *Points of test accuracy, 95 % intervals over seeds and test images; logarithmic
# beyond one point. A verdict holds for its own row only. "Better" counts as seen when
# the whole interval lies above 0, "as good as" when it lies above -1.*
#
# ## 11. Your turn
#
# 1. Section 3 empties a layer with SynFlow in one step. How many steps does it take to be safe at one in a thousand?
# 2. Shuffle SNIP's mask so that every neuron keeps its *outputs* but not its inputs (`axis=0`). Which of the two matters
#    more?
# 3. Let RigL grow by chance in every second move. Write down first what you expect.
#    (RigL and SET differ only in `grow` of `lthlab.dynamic.move_masks`.)
#
# <details><summary>Answers</summary>
#
# 1. Try 2, 5, 10, 20 in `prune_at_init(deep, lthlab.synflow, batch, 0.001, steps)`, and look at the emptiest layer.
# 2. Enter it as a third arm in section 8, with the same five seeds, and compare it with "inputs kept", paired.
# 3. One prediction that can fail is that it lies between SET and RigL. Take ten seeds.
# </details>
#
# [The exercise sheet](exercises/12_before_training_in_depth.py) has tasks with checks.
#
# ## Take away
#
# - At the finishing lines of both data sets, a network that is pruned by magnitude
#   before training ends below one that is pruned after it and trains again. Without
#   training again, the very end is the worst moment of all.
# - Compared across layers, scores can empty a layer. SynFlow's cure is to ask again after each small step.
# - Chance comes in kinds, and some know more than others. Say which one a method has beaten.
# - Count *cost*, and the ranking changes: no sparse network is seen above the ticket at
#   the finishing lines, but it is by far the dearest. With one training gradual pruning comes nearer to it than
#   any method that looks before training.
# - What looked like SNIP's knowledge about weights was, on the signals, to a large part
#   a choice of neurons.
# - About a third of the ticket can be seen in the untrained network's magnitudes. One
#   training changes that by a few points.
#
# **Papers**: Lee et al. 2019 (SNIP), arXiv 1810.02340. Wang et al. 2020 (GraSP), 2002.07376. Tanaka et al. 2020 (SynFlow),
# 2006.05467. Evci et al. 2020 (RigL), 1911.11134. Mocanu et al. 2018 (SET), 1707.04780. You et al. 2020 (Early-Bird),
# 1909.11957. Zhu & Gupta 2017 (gradual pruning), 1710.01878. Frankle et al. 2021 (*Why are we missing the mark?*), 2009.08576.
# Su et al. 2020 (*Sanity-checking pruning methods*), 2009.11094.
#
# **Next question**: does a sparse network run faster? [Notebook 07](07_making_sparsity_fast.ipynb).
