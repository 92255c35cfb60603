# %% [markdown]
# # Tickets before training: can you beat the lottery?
#
# Iterative magnitude pruning finds tickets, but only in retrospect: to learn which small network would have been enough
# you train the large one, many times. If you could *see* the ticket in the untrained network, all of that would be saved.
# This is the open problem of the field. First you ask *when* a network can be pruned: before its training, early in it, or
# after it. Then you meet the best-known attempts to prune early, race them against each other and against IMP, draw what each
# one costs, question them, and enter a method of your own.
#
# **After this notebook you can**
# - say what changes when the same network is pruned earlier or later in its training, and what such a comparison holds fixed;
# - write the scores SNIP, GraSP and SynFlow yourself and say what question each asks of an untrained network;
# - explain layer collapse, and why SynFlow prunes in a hundred small steps;
# - tell pruning *before*, *early in*, *throughout* and *after* training apart (SNIP, Early-Bird, gradual pruning and RigL,
#   magnitude after training);
# - name four ways to spread chance over the layers, and say what each of them knows;
# - compare methods by accuracy *and* by what finding the mask cost;
# - test whether a method chooses weights or only layer densities;
# - enter a score of your own into the race with one line.
#
# **You need** notebooks 03 and 04.
#
# **Time**: 50 minutes to read, about four minutes to run on two cores.

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
from IPython.display import display
from matplotlib.ticker import PercentFormatter
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import lthlab
from lthlab import build_model, load_dataset, plots, prune_at_init, run_experiment
from lthlab.arms import before_training, pruned_at
from lthlab.recipes import level_sizes
from lthlab.spreads import erk_densities, random_masks, smart_ratio_densities

DATASETS = ["mnist1d", "fashion-mini"]
torch.set_num_threads(1)  # one core here; the repeats below use the others
plots.use_style()

# %% [markdown]
# ## 1. Prune at step t
#
# J. Frankle's article *Do Neural Networks Really Need to Be So Big?* has a comparison with somebody who learns calculus.
# While you learn, you need all of your head; once you know it, much can be forgotten. If networks are like that,
# **far more can be pruned after learning than before or while learning**. One might believe so. Can we see it?
#
# We take the network and the signals of notebook 04, where a ticket's values matter most. Level 12 of IMP is our finishing
# line: the ticket there has cost thirteen trainings.

# %%
NAME = "mlp-100-100-100"
dataset = load_dataset("mnist1d")
recipe = lthlab.recipe_for(NAME, dataset)
model = build_model(NAME, dataset, seed=0)  # untrained
full = lthlab.full_masks(model)
LEVEL = 12
sizes = [*islice(level_sizes(full, recipe), LEVEL + 1)]  # by level and layer
DENSITY = sum(sizes[LEVEL].values()) / sum(sizes[0].values())
count = lthlab.count_kept(full)
print(f"{count:,} weights; at level {LEVEL}, {DENSITY:.1%} of them are left")
print(f"a training takes T = {recipe.steps(dataset):,} steps")

# %% [markdown]
# The experiment follows Frankle et al. (2021, section 6). Stop the dense training at step *t*. Keep the largest weights of
# the whole network, all at once, and go on with them. Only *t* changes; the density and the score stay. There are two ways to
# go on, and they ask different questions:
#
# - **T steps in all.** The training ends when it would have ended anyway. All networks cost the same number of steps, but
#   pruning late leaves no time to recover: at *t = T* the pruned network is used as it stands.
# - **T steps after pruning.** The recipe starts over from the weights of step *t*, with its learning rates. All networks have
#   a whole training to recover. But late pruning also had more training in all: *t + T* steps, at the end twice as many as at
#   the beginning. When it wins, that may be the reason.
#
# At *t = 0* both are the same, the "magnitude at init" of the race in section 5. At *t = T* the second is its "magnitude
# after training".
#
# > **Predict.** Draw accuracy against *t*, one curve for each form. Where does each have its peak? Is a tenth of the training
# > enough to know what can go?
#
# The experiment, live, with two seeds that the reference results below do not have:

# %%
FORMS = ["T steps in all", "T steps after pruning"]
SHARES = [0, 0.05, 0.2, 0.5, 1]  # of the training that is over when we prune
for share in SHARES:
    for again, ending in enumerate(["", ", again"]):
        arm = f"pruned at {share:.0%}{ending}"
        lthlab.arm(arm, needs=("dense",))(pruned_at(share, again=bool(again)))
states = [round(share * recipe.steps(dataset)) for share in SHARES]
ending = {"levels": LEVEL, "control_levels": [LEVEL], "evaluate_every": 0}
arms = [arm for arm in lthlab.ARMS if arm.startswith("pruned at")]
began = time.perf_counter()
options = {"seeds": [10, 11], "states": states} | ending
table = run_experiment(NAME, "mnist1d", arms=arms, **options)
print(f"{len(arms)} arms, two seeds each, in {time.perf_counter() - began:.0f} s")

# %%


def at_the_end(table):
    """Validation accuracy after the last step."""
    rows = table.query("split == 'validation' and metric == 'accuracy'")
    return rows[rows["step"] == rows["step"].max()]


def read_reference(name):
    """Accuracy at the end of the reference runs of one study."""
    file = files("lthlab").joinpath(f"assets/reference/{name}.csv")
    return at_the_end(pd.read_csv(file))


def by_share(rows):
    """Of the arms "pruned at ...": the share of training at pruning, and the form."""
    rows = rows[rows["arm"].str.startswith("pruned at")]
    share = rows["arm"].str.extract(r"(\d+)%")[0].astype(int) / 100
    form = rows["arm"].str.endswith("again").map(lambda again: FORMS[again])
    return rows.assign(share=share, form=form)


prune_at = {name: read_reference(f"prune-at-{name}") for name in DATASETS}
live = by_share(at_the_end(table))

# %%


def draw_shares(ax, rows, legend):
    """Accuracy at the end by the share of training at pruning, a line per density."""
    rows = rows.sort_values("level").assign(kept=rows["density"].map("{:.1%}".format))
    look = {"hue": "kept", "style": "kept", "markers": True, "palette": "viridis"}
    look |= {"errorbar": plots.band, "err_kws": {"alpha": 0.15}, "legend": legend}
    sns.lineplot(rows, x="share", y="value", ax=ax, **look)
    ax.set_xscale("symlog", linthresh=0.01, linscale=0.4)
    ticks = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    ax.set_xlim(-0.003, 1.25)
    ax.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(xlabel="share of the training that is over when we prune")
    ax.set(ylabel="validation accuracy at the end")
    if legend:
        ax.legend(title="weights kept")


# %% tags=["article-08"]
figure, axes = plt.subplots(2, 2, figsize=(13, 9))
for row, (name, rows) in zip(axes, prune_at.items()):
    dense = rows[rows["arm"] == "dense"]["value"].mean()
    for ax, form in zip(row, FORMS):
        shown = by_share(rows).query("form == @form")
        draw_shares(ax, shown, legend=form == FORMS[0])
        ax.axhline(dense, color=plots.arm_color("dense"), linestyle="--")
        ax.set_title(f"{name}: {form}")
for ax, form in zip(axes[0], FORMS):
    means = live[live["form"] == form].groupby("share")["value"].mean()
    look = {"color": "white", "edgecolor": "black", "marker": "D", "zorder": 5}
    ax.scatter(means.index, means, **look)
figure.tight_layout()
plt.show()

# %% [markdown]
# *Validation accuracy at the end of training by the share of the dense training that was over at pruning; up to 1 % the axis is
# linear, beyond it logarithmic. Lines and bands: mean and 95 % interval over ten seeds (n = 10), made by `python
# benchmarks/reference.py prune-at-mnist1d` and `prune-at-fashion-mini`. Dashed: dense, mean of the same seeds. White
# diamonds: mean of your two seeds, at the density of level 12. Held fixed: network, data, density, score, recipe. In the left
# panels the steps in all are the same, in the right ones the steps after pruning. Mind the scales: each panel has its own.*
#
# Now in numbers, paired by seed: pruned at *t* minus pruned at the end.

# %%
FINISH = {"mnist1d": LEVEL, "fashion-mini": 15}  # 15: the 3.6 % of notebook 03
columns = {}
for name, level in FINISH.items():
    rows = by_share(prune_at[name])
    rows = rows[rows["level"] == level]
    shares = sorted(set(rows["share"]))[:-1]
    for form in FORMS:
        here = rows[rows["form"] == form]
        gaps = {
            f"pruned at {share:.0%} minus at 100%": lthlab.paired(
                here, share, 1.0, by="share"
            )
            for share in shares
        }
        gaps = {what: gap.points().split(", n")[0] for what, gap in gaps.items()}
        columns[f"{name}, {rows['density'].min():.1%}", form] = gaps
pd.DataFrame(columns)

# %% [markdown]
# *Mean and 95 % interval, n = 10, in points.* Read one column at a time.
#
# - **T steps in all.** Pruned at the end and used as it stands, the network is far worse than pruned at any time before. On the
#   signals the best moment is on the way, when the weights have learnt something and there is still time to recover. On the
#   pictures the earlier moments lie close together.
# - **T steps after pruning.** Given a whole new training, late pruning does better than pruning before the first step, on both
#   data sets. So more can indeed be pruned after learning. But these networks also had twice the steps in all.
# - And "far more"? On the signals yes, by many points. On the pictures the gap is small.
# - Two things change with *t* besides the weights. The signals' learning rate falls along a cosine, so in the left panel late
#   pruning leaves small steps as well as few; on the pictures the rate is constant. And in the right panel the optimiser
#   starts afresh, in the left one it goes on.
#
# How early is early enough? The article goes on: what can be pruned after training could have been pruned before it, or early
# in it. For each density, the first of our *t* from which on pruning is not worse than at the end by more than a point:

# %% tags=["article-09"]
rows = []
for name, table in prune_at.items():
    race = read_reference(f"race-{name}").query("arm == 'ticket'")
    for level, here in by_share(table).query("form == @FORMS[1]").groupby("level"):
        here = pd.concat([here, race[race["level"] == level].assign(share=-1.0)])
        gap = {
            share: lthlab.paired(here, share, 1.0, by="share")
            for share in sorted(set(here["share"]) - {1.0})
        }
        worse = [share for share in gap if share >= 0 and gap[share].low <= -0.01]
        first = min(
            (share for share in gap if share > max(worse, default=-1)), default=1
        )
        row = name, here["density"].median(), f"{first:.0%}", gap[0.1].points()
        rows.append((*row, gap[-1.0].points()))
columns = ["data", "weights kept", "not worse by a point from"]
columns += ["pruned at 10% minus at 100%", "ticket minus pruned at 100%"]
early_enough = pd.DataFrame(rows, columns=columns).style.hide(axis="index")
early_enough.format({"weights kept": "{:.1%}"})

# %% [markdown]
# *n = 10, paired, in points; pruned at 10 % and at 100 % have T steps after pruning. The ticket has T steps, too, from its
# initial values.*
#
# The answer has two halves.
#
# - Pruned by the magnitudes of the time, a network does not have to wait for the end: some way before it, waiting longer no
#   longer pays. But on the signals a tenth of the training is not enough, at any of these densities.
# - In hindsight it could have been pruned *before* training. The ticket is as small, starts from the same initial values, and
#   trains only once from there; the last column compares it with the network that was pruned after training. So the small
#   network was there from the beginning. It took all the trainings of IMP to know which one it was.
#
# To see it at the beginning is what all methods of this notebook try.
#
# ### The task
#
# A method that prunes *before* training gets the untrained network and at most one batch of examples, and must name the
# weights to keep.

# %%
batch = lthlab.draw_batch(dataset.train, samples=100, seed=0)
x, y = batch
print(f"a batch of {len(y)} examples")

# %% [markdown]
# ## 2. Four questions to an untrained network
#
# **How large is the weight?** The question of magnitude pruning, asked early: of an untrained network, without a look at
# data or loss.
#
# **How much does the loss depend on the connection?** Put a switch *c* on every connection, 1 for on, and ask how fast the
# loss changes as one turns it. By the chain rule the answer is the weight times its gradient, and its size counts, up or down. This is **SNIP** (Lee et al.
# 2019), and it is five lines. (Every score takes a seed, too, for those that leave something to chance; this one does not.)


# %%
def my_snip(model, batch, *, seed=0):
    x, y = batch
    weights = lthlab.prunable_weights(model)
    loss = F.cross_entropy(model(x), y)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    return {name: (w * g).abs() for (name, w), g in zip(weights.items(), gradients)}


mine, theirs = my_snip(model, batch), lthlab.snip(model, batch)
same = all(torch.allclose(mine[name], theirs[name]) for name in mine)
print("the same as lthlab.snip:", same)

# %% [markdown]
# Do not believe a formula; turn one switch and look.

# %%
name, row, column = "fc2.weight", 3, 5
small = 0.01
turned = deepcopy(model)
with torch.no_grad():
    turned.fc2.weight[row, column] *= 1 - small  # the switch at 0.99
    change = F.cross_entropy(model(x), y) - F.cross_entropy(turned(x), y)
print(f"by turning the switch: {abs(change) / small:.2e}")
print(f"by SNIP:               {mine[name][row, column]:.2e}")

# %% [markdown]
# **What does the gradient need?** SNIP protects the loss of an untrained network, which is poor anyway. **GraSP** (Wang et
# al. 2020) protects its ability to learn: it drops first the weights whose removal makes the *gradient* larger. To first
# order that takes *H g*, the matrix of second derivatives times the gradient, and one never has to write the matrix down: *H g* is the derivative
# of half the gradient's squared length. One backward pass through the backward pass; the score is the weight times *H g* (`lthlab.grasp`).
#
# **Does any signal get through?** **SynFlow** (Tanaka et al. 2020) looks at no data at all. Make all weights positive, send
# ones in, and let *R* be the sum of what comes out: the sum, over all paths from input to output, of the product of the
# weights along the path. A weight's score is its share of the flow:


# %%
def my_synflow(model, batch, *, seed=0):
    positive = deepcopy(model).double()
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
    weights = lthlab.prunable_weights(positive)
    flow = positive(torch.ones_like(batch[0][:1]).double()).sum()
    gradients = torch.autograd.grad(flow, list(weights.values()))
    return {name: (w * g).detach() for (name, w), g in zip(weights.items(), gradients)}


flows = {name: float(score.sum()) for name, score in my_synflow(model, batch).items()}
pd.Series(flows, name="sum of the scores").to_frame()

# %% [markdown]
# The sums agree: what flows into a layer flows out of it, as water in pipes does. (The paper calls it a conservation law;
# the tests of `lthlab.synflow` hold it to it.)
#
# ## 3. Layer collapse
#
# All four scores are compared across layers: the lowest go, wherever they are. So a layer may lose its last weight, and
# then nothing passes the network any more. That is **layer collapse**.
#
# > **Predict.** Six layers, and fewer and fewer weights. Which of the four methods loses a whole layer first? Which holds
# > out longest?

# %%
deep = build_model("mlp-100-100-100-100-100", dataset, seed=0)
methods = {
    "magnitude at init": (lthlab.magnitude, 1),
    "SNIP": (lthlab.snip, 1),
    "GraSP": (lthlab.grasp, 1),
    "SynFlow, one step": (lthlab.synflow, 1),
    "SynFlow, 100 steps": (lthlab.synflow, 100),
}
rows = []
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Layer collapse")  # here we look ourselves
    for kept in (0.1, 0.03, 0.01, 0.003, 0.001):
        for method, (score, steps) in methods.items():
            masks = prune_at_init(deep, score, batch, kept, steps)
            rows.append((method, kept, min(int(mask.sum()) for mask in masks.values())))
fewest = pd.DataFrame(rows, columns=["method", "density", "weights"])
fewest = fewest.pivot(index="method", columns="density", values="weights")
fewest.loc[[*methods], ::-1].rename(columns="{:.1%}".format)

# %% [markdown]
# *Weights left in the emptiest layer of a network with six layers, by method and density of the whole; one seed.* Zero is a dead network.
#
# The last two rows hold the lesson. The score is the same; only the number of steps differs. After a layer has become
# thin, the whole flow squeezes through its few weights, so their scores rise: SynFlow *rescues* a thin layer, if it is asked
# again. Asked once, it cannot know.
#
# `prune_at_init` does the asking; here it is whole:

# %%
print(inspect.getsource(lthlab.prune_at_init))

# %% [markdown]
# ## 4. What the masks look like
#
# Back to three hidden layers, and the finishing line.

# %%
methods = {
    "magnitude at init": (lthlab.magnitude, 1),
    "SNIP": (lthlab.snip, 1),
    "GraSP": (lthlab.grasp, 1),
    "SynFlow": (lthlab.synflow, 100),
}
masks_of = {
    method: prune_at_init(model, score, batch, DENSITY, steps)
    for method, (score, steps) in methods.items()
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
drawn = {"chosen by a score": masks_of, "chosen by chance": by_chance}
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
plt.show()

# %% [markdown]
# *Share of the weights kept in each layer, at the same density of the whole; one seed. The weights of the methods on the right
# are chosen by chance within each layer.*
#
# A method has to beat chance. But chance can be spread over the layers in many ways, and some of them know more than others:
#
# - **random** has the ticket's layer densities: it knows the ticket. (In this network IMP takes a fixed share of each layer, so
#   these densities stood in the recipe before anything was trained. Where IMP prunes the whole network together, as in the
#   residual networks of notebook 05, they come out of the trainings.)
# - **uniform random** keeps the same share of every layer. It knows only the density of the whole.
# - **ERK** (Erdős-Rényi-Kernel; Mocanu et al. 2018, Evci et al. 2020) knows the layers' shapes: small layers stay denser.
# - **smart ratio** (Su et al. 2020) knows the layers' order: the first stays densest, and the output keeps 30 %, or what is
#   left for it.
#
# None of them looks at a weight, a gradient or an example.
#
# A kept weight is worth something only if a path from an input to an output runs through it. SynFlow's score counts
# paths; so ask it which weights have any:

# %%
rows = []
for method, masks in (masks_of | by_chance).items():
    pruned = lthlab.apply_masks_(deepcopy(model), masks)
    alive = {name: score > 0 for name, score in lthlab.synflow(pruned, batch).items()}
    on_path = lthlab.count_kept(alive) / lthlab.count_kept(masks)
    hidden = [mask for name, mask in alive.items() if name != "out.weight"]
    rows.append((method, on_path, sum(int(mask.any(1).sum()) for mask in hidden)))
columns = ["method", "kept weights on a path", "hidden neurons in use"]
alive_table = pd.DataFrame(rows, columns=columns)
alive_table.style.format({"kept weights on a path": "{:.0%}"}).hide(axis="index")

# %% [markdown]
# *Of 300 hidden neurons; one seed, density of level 12.* Methods differ in how they spend the same number of weights: on few
# neurons, well connected, or spread thin over many.
#
# ## 5. The race
#
# Beside the methods that look before training run some that look later:
#
# - **Magnitude after training** is the old way, and the end of section 1's curve: train the dense network, prune the whole
#   network once, to the same density as all others, and train again for as long. It differs from SNIP in *when* it prunes and
#   by *what score*. And it trains twice.
# - **Gradual** magnitude pruning (Zhu & Gupta 2017) takes the smallest weights away while the network trains: in twenty
#   prunings between a quarter and three quarters of the steps, many at first and few at the end. It trains once and needs no
#   more than a schedule, so it is the baseline that everyone uses.
# - **Early-Bird** looks a few epochs in, and **RigL** and **SET** move a sparse mask about while they train (section 6 explains
#   these three).
#
# > **Predict.** Order these by accuracy at the finishing line: the ticket of IMP, ERK and uniform random (chance), SNIP, GraSP,
# > SynFlow, gradual, RigL. Will any of them reach the dense network?
#
# Three seeds live, which the reference does not have. The ticket needs all levels, the others only their own training.

# %%
arms = ["dense", "ticket", "ERK", "uniform random"]
arms += ["SNIP", "GraSP", "SynFlow", "gradual", "RigL"]
RACE = {"levels": LEVEL, "control_levels": [4, 8, LEVEL], "evaluate_every": 0}
SEEDS = range(10, 13)
folder = tempfile.mkdtemp()  # give a folder of your own to keep the results
began = time.perf_counter()
table = run_experiment(NAME, "mnist1d", arms=arms, seeds=SEEDS, folder=folder, **RACE)
trainings = (table["split"] == "test").sum()  # each measures its test accuracy once
print(f"{trainings} trainings in {time.perf_counter() - began:.0f} s")

# %%
reference = {name: read_reference(f"race-{name}") for name in DATASETS}
BEFORE = ["SynFlow", "SNIP", "GraSP", "magnitude at init"]
CHANCE = ["random", "uniform random", "ERK", "smart ratio"]
LATER = ["magnitude after training", "gradual", "Early-Bird", "RigL", "SET"]
PANELS = {
    "found before training": ["ticket", *BEFORE, "ERK"],
    "found later": ["ticket", *LATER, "ERK"],
    "by chance": ["ticket", *CHANCE],
}
LIMITS = {"mnist1d": (0.05, 0.85), "fashion-mini": (0.55, 0.9)}

# %%


def draw_race(name, live=None):
    """The reference by density, in three panels; `live` as diamonds."""
    rows, figure = reference[name], plt.figure(figsize=(17, 5.4))
    levels = set(rows.query("arm == 'ERK'")["level"])
    dense = lthlab.interval(rows.query("arm == 'dense'")["value"])
    for ax, (title, arms) in zip(figure.subplots(1, 3, sharey=True), PANELS.items()):
        shown = rows[rows["arm"].isin(arms) & rows["level"].isin(levels)]
        look = {"palette": {arm: SHADES.get(arm, plots.arm_color(arm)) for arm in arms}}
        look |= {"hue_order": arms, "style_order": arms}
        plots.accuracy_by_density(shown, ax=ax, **look)
        color = plots.arm_color("dense")
        ax.axhline(dense.mean, color=color, linestyle="--", label="dense")
        if live is not None:
            here = live[live["arm"].isin(arms) & live["level"].isin(levels)]
            means = here.groupby(["arm", "density"])["value"].mean().reset_index()
            colors = [look["palette"][arm] for arm in means["arm"]]
            diamond = {"marker": "D", "s": 60, "edgecolor": "black", "zorder": 5}
            ax.scatter(means["density"], means["value"], color=colors, **diamond)
        ax.set(title=f"{name}: masks {title}", ylim=LIMITS[name])
        ax.legend(fontsize=10)
    figure.tight_layout()
    plt.show()


# %% tags=["article-12"]
live = at_the_end(table)
draw_race("mnist1d", live)

# %% [markdown]
# *Validation accuracy at the end of training, by the share of weights kept (logarithmic). Lines and bands: mean and 95 % interval
# over ten seeds (n = 10), made by `python benchmarks/reference.py race-mnist1d`; diamonds: mean of your three. Ticket and ERK stand
# in every panel that they help to read. Held fixed: network, data, number of weights kept, recipe; with these exceptions. Magnitude
# after training goes on from trained values, so its weights see twice the steps. Gradual begins with the whole network.
# Early-Bird has only the steps that are left. RigL and SET move their masks every hundred steps, as in the paper, but in a
# training this short that is eleven times.*

# %%
draw_race("fashion-mini")

# %% [markdown]
# *LeNet-300-100 on `fashion-mini`, as above, n = 10; `python benchmarks/reference.py race-fashion-mini`. The axis begins at
# 55 %; some lines and bands go below it.* The band of Early-Bird is wide because in some seeds no mask settles before the very
# end. Section 1 has shown what becomes of a network that is pruned at the last moment.


# %%
def gaps(arms, against):
    """Paired differences at the finishing line, in points, for both data sets."""
    columns = {}
    for name, level in FINISH.items():
        rows = reference[name][reference[name]["level"].isin([0, level])]
        found = [lthlab.paired(rows, arm, against).points() for arm in arms]
        columns[f"{name}, {rows['density'].min():.1%}"] = found
    return pd.DataFrame(columns, index=[f"{arm} minus {against}" for arm in arms])


display(gaps([*BEFORE, *LATER, "ticket"], "ERK"))
gaps([*CHANCE, *BEFORE, *LATER, "dense"], "ticket")

# %% [markdown]
# *Mean and 95 % interval, n = 10, paired by seed, in points. (These are many intervals; of twenty at 95 %, one is expected
# to miss the truth.)*
#
# That is a lot of numbers. Sort the arms by where their interval lies: above zero, below it, or on both sides.


# %%
def sort_arms(arms, against):
    """At the finishing line: which arms are above another, which below?"""
    for name, level in FINISH.items():
        rows = reference[name][reference[name]["level"].isin([0, level])]
        found = {"above": [], "not told apart from": [], "below": []}
        for arm in arms:
            gap = lthlab.paired(rows, arm, against)
            told = "above" if gap.low > 0 else "below" if gap.high < 0 else None
            found[told or "not told apart from"].append(arm)
        print(f"{name}, {rows['density'].min():.1%} of the weights")
        for where, names in found.items():
            print(f"    {where} {against}: {', '.join(names) or 'none'}")


sort_arms([*CHANCE, *BEFORE, *LATER, "dense"], "ticket")
for arm in CHANCE[1:]:
    sort_arms(BEFORE, arm)

# %% [markdown]
# Read four things from it, at these two densities.
#
# - No sparse network is above the ticket. All that looked before training, and all chance, is below it, on both.
# - Nearest to it are two arms that prune by trained weights: magnitude after training and gradual pruning. One of them
#   trains twice, the other once. On the signals they are below the ticket, too; on the pictures the second table
#   has the gap.
# - On the **signals** every method that looks before training is above chance of every kind, even magnitude at initialisation,
#   which looks at nothing but the dice that were thrown. None of them comes near the ticket.
# - On the **pictures** it depends on the chance. Uniform random, which knows only the density, is below SNIP. ERK, which knows
#   the layers' shapes, is above SNIP and GraSP, and none of the four is above ERK by as much as a point.
#
# So "better than random" is a sentence about the random, too, and about how sparse one goes. SNIP against all four kinds, and
# GraSP against SNIP, at every density of the race:

# %%
rows = []
for name, table in reference.items():
    for level in sorted(set(table.query("arm == 'ERK'")["level"])):
        here = table[table["level"] == level]
        row = {"data": name, "density": f"{here['density'].median():.1%}"}
        for arm, against in [("SNIP", arm) for arm in CHANCE] + [("GraSP", "SNIP")]:
            gap = lthlab.paired(here, arm, against).points()
            row[f"{arm} minus {against}"] = gap.removesuffix(", n = 10")
        rows.append(row)
pd.DataFrame(rows).style.hide(axis="index").set_caption("points, n = 10")

# %% [markdown]
# *Mean and 95 % interval, n = 10, paired, in points of validation accuracy.*
#
# - *SNIP beats random pruning.* On the signals it beats all four kinds at every density. On the pictures it beats uniform random
#   from 3.6 % down, but ERK at no density.
# - *GraSP and SNIP.* In GraSP's paper (Wang et al. 2020, table 2), for VGG-19 on CIFAR-10, SNIP is ahead at 5 % (93.43 to 93.04)
#   and GraSP at 2 % (92.19 to 92.05). The signals here show the same turn: SNIP ahead where many weights are left, GraSP where
#   few are. On the pictures SNIP is ahead at every density.
#
# And pruning once, after training? How far are others above or below it, on the way to the sparse end?

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
# On the signals the order turns over. At the last density even SNIP and SynFlow, which never saw a trained weight, are far above
# a network that was pruned after its training. Gradual pruning has the same score and takes small steps: it holds out, so the
# score alone is not to blame. On the pictures there is no such turn for SNIP, which stays below.
#
# ## 6. While training
#
# **Early-Bird** (You et al. 2020) trains the dense network and draws the magnitude mask again and again. As soon as the
# masks stop changing, it stops training the large network and goes on with the small one.

# %%
rows = []
for kept in (0.42, 0.18, DENSITY):
    options = {"every": 40, "step": "fast"}
    found = lthlab.dynamic.early_bird(model, dataset, recipe, kept, **options)
    rows.append(found.distances.assign(density=f"{kept:.0%}"))
    drawn = found.start.step / recipe.steps(dataset)
    print(f"density {kept:.1%}: drawn after {drawn:.0%} of the training")
figure, ax = plt.subplots()
curves = pd.concat(rows, ignore_index=True)
look = {"hue": "density", "style": "density", "palette": "viridis"}
sns.lineplot(curves, x="step", y="distance", ax=ax, **look)
line = {"color": plots.arm_color("dense"), "linestyle": ":"}
ax.axhline(0.1, **line, label="settled below this")
ax.set(xlabel="training step", ylabel="share of the mask that moved", ylim=(0, None))
ax.yaxis.set_major_formatter(PercentFormatter(1))
ax.legend(title="weights kept")
plt.show()

# %% [markdown]
# *The largest distance of each mask from the five before it, in percent of the weights kept, drawn every 40 steps; mnist1d, one
# seed.* The masks settle about half-way through the training: **here the bird is not early**, and "drawn early in training" is
# not tested by it. One reason is the ruler: we divide what moved by the number of *kept* weights; the paper prunes 30 to 70 % of
# whole channels and divides by all of them. By that ruler a mask that keeps 8 % could never be far from another.
#
# **RigL** (Evci et al. 2020) never owns a dense network. It begins with a random mask and, every hundred steps, lets each
# layer drop its smallest weights and grow as many new ones where the gradient is largest. The gradient of a *missing* weight
# is well defined: it says how much the loss would fall if the weight came into being. The move, in full (`growth` is the size of
# these gradients):

# %%
print(inspect.getsource(lthlab.dynamic.drop_and_grow))

# %% [markdown]
# Where do its connections go? On pictures one can see it. `move_masks` says what is to be done at which steps, `train` does it
# there, with the training paused, and the masks that it ended with are part of its history.

# %%
pictures = load_dataset("fashion-mini")
lenet = build_model("lenet-300-100", pictures, seed=0)
lenet_recipe = lthlab.recipe_for("lenet-300-100", pictures)
first = random_masks(lenet, erk_densities(lthlab.full_masks(lenet), 0.036))
options = {"during": lthlab.dynamic.move_masks(pictures, lenet_recipe), "step": "fast"}
history = lthlab.train(lenet, pictures, lenet_recipe, first, **options)
last = history.masks

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
most = int(last["fc1.weight"].sum(0).max())
drawn = {"at the start: chance": first, "at the end of RigL": last}
for ax, (title, masks) in zip(axes, drawn.items()):
    plots.input_picture(masks["fc1.weight"], pictures, ax)
    ax.collections[0].set_clim(0, most)  # the same colours in both
    ax.set_title(title)
figure.tight_layout()
plt.show()
print(f"{lthlab.density(last):.1%} of the weights, all the time")
print(f"{lthlab.overlap(first, last):.0%} of the first mask is still there")

# %% [markdown]
# *Connections that each pixel keeps in the first layer; one seed.* The network never had more than its few weights, and
# yet it moved them from the edge, where the pictures are empty, to the middle. Did it win accuracy by it? And is the gradient
# better than growing by chance, as SET does? Both, at every density of the race:

# %%
rows = []
for name, table in reference.items():
    for level in sorted(set(table.query("arm == 'ERK'")["level"])):
        here = table[table["level"] == level]
        row = {"data": name, "density": f"{here['density'].median():.1%}"}
        for against in ("ERK", "SET"):
            row[f"RigL minus {against}"] = lthlab.paired(here, "RigL", against).points()
        rows.append(row)
pd.DataFrame(rows).style.hide(axis="index")

# %% [markdown]
# *Mean and 95 % interval, n = 10, paired, in points.* On the signals moving by the gradient is worth a lot from 18 % down.
# On the pictures no gain of a whole point shows above half a percent.
#
# ## 7. The second axis
#
# Papers draw accuracy by density. But the ticket cost thirteen trainings, SNIP one batch. Draw what matters to whoever
# pays: accuracy against **all** the computing it took, finding the mask included. FLOPs first, counted by torch's own
# counter and without the products with pruned weights (theoretical, notebook 07 says what machines make of it).


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
    drops = lthlab.dynamic.prune_gradually(dataset, recipe, kept)

    def drop_and_note(now):
        drops[now.step](now)
        stretches.append((now.step, now.masks))

    options = {"during": dict.fromkeys(drops, drop_and_note), "step": "fast"}
    lthlab.train(model, dataset, recipe, evaluate_every=0, **options)
    ends, flops = (
        [step for step, _ in stretches[1:]] + [steps],
        training_of(name, dataset),
    )
    shares = [(end - step) / steps for (step, _), end in zip(stretches, ends)]
    return sum(share * flops(masks) for share, (_, masks) in zip(shares, stretches))


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
    after = prune_at_init(trained, lthlab.magnitude, batch, at)
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
    # At a move the gradients of *all* weights are needed: one dense product per layer,
    # as many FLOPs as forward.
    product = lthlab.cost.inference_flops(model, dataset).total * recipe.batch_size
    moves = len(lthlab.dynamic.move_masks(dataset, recipe))
    bill |= {"RigL": (moves * product, erk), "ERK": (0, erk)}
    batch = lthlab.draw_batch(dataset.train, 100, seed=0)
    for method, (score, rounds) in methods.items():
        with FlopCounterMode(display=False) as counter:  # sees second derivatives, too
            masks = prune_at_init(model, score, batch, at, rounds)
        bill[method] = counter.get_total_flops(), training(masks)
    bill = pd.DataFrame(bill, index=["finding", "training"]).T / training(full)
    return bill.assign(total=bill["finding"] + bill["training"], level=level)


bill = make_bill(NAME, dataset, LEVEL)
bill.drop(columns="level").style.format("{:.4f}")

# %% [markdown]
# *FLOPs in units of one dense training, mnist1d at level 12, seed 0.* All methods keep the same number of weights, yet the
# training after it does not cost the same: a weight of the first layer is cheaper than others, because nobody asks for the
# gradient of the input, and methods put more or fewer weights there. Gradual pruning finds its mask while it trains; all of it
# is booked as training. (SET costs what ERK costs.)

# %%
figure, axes = plt.subplots(1, 2, figsize=(13, 5))
settings = ("mnist1d", NAME, dataset), ("fashion-mini", "lenet-300-100", pictures)
for ax, (name, network, data) in zip(axes, settings):
    rows = reference[name]
    levels = sorted(rows.query("arm == 'ERK'")["level"].unique())
    bills = pd.concat([make_bill(network, data, level) for level in levels])
    bills = bills.rename_axis("arm").reset_index()
    bills.loc[bills["arm"] == "dense", "level"] = 0
    means = rows.groupby(["arm", "level"])["value"].mean().reset_index()
    points = bills.drop_duplicates(["arm", "level"]).merge(means, on=["arm", "level"])
    for arm, line in points.groupby("arm", sort=False):
        marker = (
            {"marker": "*", "markersize": 14} if arm == "dense" else {"marker": "o"}
        )
        color, dashes = plots.look(arm)
        look = {"color": color, "dashes": dashes or (1, 0), "label": arm}
        ax.plot(line["total"], line["value"], **marker, **look)
    best = points.sort_values("total")
    best = best[best["value"] == best["value"].cummax()]
    look = {"color": "black", "linewidth": 5, "alpha": 0.12, "label": "Pareto front"}
    ax.step(best["total"], best["value"], where="post", **look)
    ax.set(xscale="log", xlabel="all FLOPs, in dense trainings", ylim=LIMITS[name])
    ax.set(ylabel="validation accuracy", title=name)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
axes[1].legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()
plt.show()

# %% [markdown]
# *Each point is one density; accuracies: mean of ten seeds; FLOPs: of seed 0, without products with pruned weights, logarithmic.
# On the Pareto front no other point is both cheaper and better; it is drawn through means, and neighbours on it may be closer
# than their intervals.*
#
# > **Which method would you use** if you train once? If the network will answer a billion questions after training, so that
# > only the last density counts? If you have a tenth of a dense training to spend?
#
# FLOPs are theory. Now in seconds, on your machine, one seed to level 12:

# %%
one = {"seeds": [0], "levels": LEVEL, "control_levels": [LEVEL], "evaluate_every": 0}
one |= {"n_jobs": 1, "progress": False}
run_experiment(NAME, "mnist1d", arms=["dense", "ERK"], **one)  # compiles, warms up
seconds = {}
for arm in bill.index:
    began = time.perf_counter()
    run_experiment(NAME, "mnist1d", arms=[arm], **one)
    seconds[arm] = time.perf_counter() - began
measured = pd.DataFrame({"seconds": seconds})
measured["in dense trainings"] = measured["seconds"] / measured.loc["dense", "seconds"]
measured["by FLOPs"] = bill["total"]
measured.style.format("{:.2f}")

# %% [markdown]
# *One run each, reading and writing of files included; a single run is easily off by a fifth.* Where the two last columns disagree, machines
# speak: a masked step with many weights left costs as much as a dense one, so the first trainings of IMP save nothing; and a step of so
# small a network has little to multiply, so that saving nine tenths of it saves far less than nine tenths of the time (notebook 07).
#
# ## 8. Weights, or only layer densities?
#
# Frankle et al. (2021) put three simple questions to these methods. (Su et al. 2020 shuffled, too, and asked whether the data
# matter.) Take the mask that a method found and
#
# - **shuffle** it within each layer: the same layer densities, other weights;
# - **reinitialise** the values under it: the same mask, other values;
# - **invert** the scores: keep what the method would have thrown away first.
#
# A method that knows which *weights* to keep must lose by the first and the third; one that knows their *values*, by the second. In their
# experiments, on ResNets and VGGs, the first two hurt *nothing*: all that these methods had found was how to divide the weights among the
# layers.
#
# > **Predict.** And here, in a small fully connected network?

# %%
CHECKS = ["shuffled", "reinitialised", "inverted"]
rows = []
for name, level in FINISH.items():
    here = reference[name][reference[name]["level"] == level]
    for method in ["ticket", *methods]:
        for check in CHECKS if method != "ticket" else CHECKS[:2]:
            arm = check if method == "ticket" else f"{method}, {check}"
            gap = lthlab.paired(here, arm, method)
            rows.append((name, method, check, gap.points()))
checks = pd.DataFrame(rows, columns=["data", "method", "check", "effect"])
checks = checks.pivot(index=["data", "method"], columns="check", values="effect")
checks[CHECKS].fillna("")

# %%


def draw_check(ax, rows, method, check):
    """What a check changes for one method, by density, with its 95 % interval."""
    arm, points = check if method == "ticket" else f"{method}, {check}", []
    for _, here in rows[rows["arm"].isin([arm, method])].groupby("level"):
        if here["arm"].nunique() == 2:
            gap = lthlab.paired(here, arm, method)
            points.append((here["density"].iloc[0], gap.mean, gap.low, gap.high))
    (kept, mean, low, high), (color, dashes) = zip(*points), plots.look(method)
    ax.plot(kept, mean, marker="o", color=color, dashes=dashes or (1, 0), label=method)
    ax.fill_between(kept, low, high, color=color, alpha=0.15)
    plots.density_axis(ax, kept)


figure, axes = plt.subplots(2, 2, figsize=(13, 8), sharex="col")
for row, check in enumerate(CHECKS[:2]):
    for ax, (name, rows) in zip(axes[row], reference.items()):
        for method in ["ticket", *methods]:
            draw_check(ax, rows, method, check)
        ax.axhline(0, color=plots.arm_color("dense"), linewidth=1)
        ax.yaxis.set_major_formatter(lambda gap, _: f"{100 * gap:g}")
        ax.set(ylabel=f"{check} minus as found, points")
        if not row:
            ax.set(xlabel="", title=name)
axes[0, 0].legend(fontsize=9)
figure.tight_layout()
plt.show()

# %% [markdown]
# *What shuffling (top) and reinitialising (bottom) change, paired, mean and 95 % interval, n = 10.*
#
# - On the **pictures**, down to about one percent, it is as the papers say: for none of the four methods does an interval show a
#   loss by shuffling. For the ticket it does, from ten percent down, as it should. GraSP does better shuffled, and better upside
#   down. (SynFlow inverted is dead everywhere: it empties its layers.)
# - But shuffling costs dearly where chance itself does badly: on the **signals** at 18 % and less. On the pictures at half a
#   percent it costs all of them something except SNIP. So the answer depends on the task *and* the density, and every paper, and
#   this notebook, can only speak of what it tried.
# - **SynFlow** at the sparse end loses little by new values and far more by shuffling: it knows connections, not values, and it
#   never claimed more. **Magnitude** on the signals loses as much by either: a mask of large values is worth something only on
#   those values.
#
# What does shuffling destroy on the signals? Guesses are cheap, and so are tests. First guess: it tears the *paths* of section 4.

# %%
rows = []
for method, masks in masks_of.items():
    both = {"as found": masks, "shuffled": lthlab.shuffle_masks(masks, seed=0)}
    for label, tested in both.items():
        flow = lthlab.synflow(lthlab.apply_masks_(deepcopy(model), tested), batch)
        on_path = sum(int((score > 0).sum()) for score in flow.values())
        rows.append((method, label, on_path / lthlab.count_kept(tested)))
paths = pd.DataFrame(rows, columns=["method", "mask", "kept weights on a path"])
paths = paths.pivot(index="method", columns="mask", values="kept weights on a path")
paths.loc[[*masks_of]].style.format("{:.0%}")

# %% [markdown]
# *One seed, mnist1d at level 12.* Wrong: nearly all weights are on paths before and after. Second guess: the methods choose *neurons*, giving
# some many links and others none. Then a shuffle that leaves every neuron its number of links should cost nothing. An arm is a
# function of the *past*, that is of what is known when a level begins, and says where the training starts: with which masks, and from which values.
# It takes a few lines; here are two. (Finished trainings are kept in `folder` under the arm's name: if you change one of these functions, give its
# arm a new name, or the run another `version="..."`, or you will see the old result.)

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


def change_masks(start, change, seed):
    """A start with every mask changed; the values stay."""
    draw, masks = np.random.default_rng(seed), {}
    for name, mask in start.masks.items():
        masks[name] = torch.from_numpy(change(mask.numpy(), draw))
    return replace(start, masks=masks)


find_by_snip = before_training(lthlab.snip)  # the function of the arm SNIP


@lthlab.arm("SNIP, inputs kept")
def inputs_kept(past):
    return change_masks(find_by_snip(past), keep_inputs, past.seed)


@lthlab.arm("SNIP, inputs and outputs kept")
def inputs_and_outputs_kept(past):
    return change_masks(find_by_snip(past), keep_inputs_and_outputs, past.seed)


# %%
arms = ["SNIP", "SNIP, shuffled", "SNIP, inputs kept", "SNIP, inputs and outputs kept"]
options = RACE | {"control_levels": [LEVEL], "folder": folder}
tested = run_experiment(NAME, "mnist1d", arms=arms, seeds=range(10, 15), **options)
tested = at_the_end(tested)
for arm in arms[1:]:
    print(f"{arm:30s} minus SNIP: {lthlab.paired(tested, arm, 'SNIP').points()}")

# %% [markdown]
# *Mean and 95 % interval, n = 5, paired, in points; live.* Keeping the inputs brings back a part of the loss, keeping inputs and
# outputs most of it. So here, too, little is left for the single weight. What SNIP chooses, beyond layers, is mostly which
# *inputs and neurons* to spend its weights on.
#
# ## 9. How early is the ticket there?
#
# One can also ask training itself. Stop the dense network at step *t*, draw the magnitude mask with the ticket's layer
# densities, and count how much of the final ticket it already holds.

# %%
overlaps = pd.read_csv(files("lthlab").joinpath("assets/reference/overlaps.csv"))
figure, axes = plt.subplots(1, 2, figsize=(13, 4.6), sharey=True)
for ax, (name, rows) in zip(axes, overlaps.groupby("dataset", sort=False)):
    early = rows.query("arm == 'magnitude' and step > 0")
    early = early.assign(arm="magnitude of the weights at this step")
    early["share"] = early["step"] / early["step"].max()
    look = {"markers": True, "palette": [plots.arm_color("magnitude")]}
    plots.lines(early, x="share", y="overlap", ax=ax, **look)
    for arm in [*methods, "ERK"]:
        value = rows[rows["arm"] == arm]["overlap"].mean()
        color, dashes = plots.look(arm)
        look = {"color": color, "dashes": dashes or (1, 0), "linewidth": 1.4}
        ax.axhline(value, **look, label=arm)
    look = {"color": "black", "linewidth": 1, "linestyle": ":"}
    ax.axhline(rows["chance"].mean(), **look, label="chance, ticket's layer densities")
    ax.set(xscale="log", xlabel="share of the training done", ylim=(0, 1))
    ax.set(ylabel="share of the ticket already in the mask")
    ax.set(title=f"{name}, {rows['density'].iloc[0]:.1%} of the weights")
    ax.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
axes[0].legend(fontsize=9)
axes[1].get_legend().remove()
figure.tight_layout()
plt.show()

# %% [markdown]
# *Mean and 95 % interval, n = 10; `python benchmarks/reference.py overlaps`. Methods before training choose their own layer
# densities; the curve and the line of chance have the ticket's (so "magnitude at init" and the curve's beginning differ a little).*

# %%
for name, rows in overlaps.groupby("dataset", sort=False):
    early = rows.query("arm == 'magnitude'").rename(columns={"overlap": "value"})
    total = early["step"].max()
    print(name)
    for share in (0, 0.05, 0.2, 0.5, 1):
        values = early[early["step"] == round(total * share)]["value"]
        line = f"    after {share:4.0%}: {lthlab.interval(values).percent(0)}"
        if share:
            more = lthlab.paired(early, round(total * share), 0, by="step")
            line += f"; minus the share before training: {more.points()}"
        print(line)

# %% [markdown]
# Two surprises, if you look twice. The untrained network's *magnitudes* already hold a third of the ticket, several times what
# chance gives: large values start with a lead that training never quite takes away. And training adds only a few points to that
# in its first fifth, and then gives some of them back: on the pictures the mask ends farther from the ticket than it began. One
# dense training does not end at the ticket: pruning little by little, with rewinding, finds *another* mask than pruning once.
#
# Is likeness to the ticket what makes a mask good? The magnitudes before training against SNIP, at the finishing line:

# %%
for name, level in FINISH.items():
    share = overlaps[(overlaps["dataset"] == name) & (overlaps["step"] == 0)]
    share = share.rename(columns={"overlap": "value"})
    here = reference[name][reference[name]["level"] == level]
    print(f"{name}: magnitude at init minus SNIP, in points")
    for what, rows in {"share of the ticket": share, "accuracy": here}.items():
        gap = lthlab.paired(rows, "magnitude at init", "SNIP")
        print(f"    {what:20s} {gap.points()}")

# %% [markdown]
# On both data sets the magnitudes hold more of the ticket than SNIP's mask does. On the pictures they train better, too. On the
# signals they train worse. So likeness to the ticket does not decide.
#
# ## 10. Your turn
#
# A score is a function of the untrained network, one batch and a seed. Change the line with the arrow; anything goes that gives one
# number per weight. Low numbers go first.


# %%
def my_score(model, batch, *, seed=0):
    scores = {}
    for name, weight in lthlab.prunable_weights(model).items():
        size = weight.detach().abs()
        scores[name] = size / size.mean()  # <- size, relative to the layer's mean
    return scores


# %%
# This line enters it into the race.
lthlab.arm("my score", color="#5c2985")(before_training(my_score))
mine = run_experiment(NAME, "mnist1d", arms=["my score"], seeds=SEEDS, **RACE)
mine = at_the_end(mine)
figure, ax = plt.subplots(figsize=(8.5, 5))
others, levels = PANELS["found before training"], RACE["control_levels"]
shown = reference["mnist1d"].query("arm in @others and level in @levels")
plots.accuracy_by_density(shown, ax=ax)
plots.accuracy_by_density(mine, ax=ax, linewidth=3)
ax.set(title="mnist1d", ylim=(0.4, 0.85))
plt.show()

together = pd.concat([mine, live])
for level in levels:
    rows = together[together["level"] == level]
    print(f"{rows['density'].iloc[0]:.1%} of the weights: my score")
    for arm in ("ERK", "SNIP", "ticket"):
        print(f"    minus {arm:6s} {lthlab.paired(rows, 'my score', arm).points()}")

# %% [markdown]
# *Validation accuracy at the end, by the share of weights kept. Your score is the thick line, mean of three seeds; the others:
# mean and 95 % interval of the reference, n = 10. Below: paired with your own runs of section 5, the same three seeds. Three
# seeds make wide intervals: before you write a paper, take ten, and seeds that you have not looked at.*
#
# Whatever goes wrong in a score is said in one sentence. Try it: forget the `return`, or sum over a dimension.


# %%
def broken_score(model, batch, *, seed=0):
    return {name: w.abs().sum(0) for name, w in lthlab.prunable_weights(model).items()}


try:
    prune_at_init(model, broken_score, batch, 0.1)
except ValueError as error:
    print(error)

# %% [markdown]
# ## 11. Claims and verdicts
#
# What the papers say, and what our runs say, computed from the reference files, for each data set at the density nearest to the
# paper's; all claims of the course, at all densities, stand behind [README.md](README.md).

# %%
file = files("lthlab").joinpath("assets/reference/claims.csv")
claims = pd.read_csv(file, dtype={"notebook": str}).query(
    "notebook == '06' and on_page"
)
claims["effect"] = [
    f"{row.effect:+.1f} [{row.low:+.1f}, {row.high:+.1f}]"
    for row in claims.itertuples()
]
claims["density"] = claims["density"].map("{:.1%}".format)
columns = ["claim", "paper", "paper_value", "setting", "density", "effect", "verdict"]
left = {"text-align": "left", "white-space": "normal"}
claims[columns].style.hide(axis="index").set_properties(**left)

# %% [markdown]
# *Effects in points of test accuracy, with 95 % intervals over seeds and test images. A verdict speaks of its own row alone.*

# %% [markdown]
# ## Take away
#
# - When is the time to prune? At the finishing lines of both data sets, pruning by magnitude before training costs accuracy
#   against pruning after it, if the network then trains again (and so trains twice). If it does not, the very end is the worst
#   moment of all.
# - SNIP asks what the loss feels, GraSP what the gradient needs, SynFlow whether signals get through; magnitude at
#   initialisation asks neither data nor loss.
# - Compared across layers, scores can empty a layer. SynFlow's cure is to ask again after each small step.
# - Chance comes in kinds, and some know more than others. Say which one a method has beaten.
# - At the two finishing lines no sparse network was above the ticket, and none that was found before training came up to it. At
#   equal *cost*, the picture turns: the ticket is the most expensive point on it. Gradual pruning comes nearer to it than
#   they do, with one training.
# - A method must beat its own shuffled mask before one may say that it knows about weights. Here the answer changed with the
#   task and the density, and what looked like knowledge about weights was mostly a choice of neurons.
# - A third of the ticket can be seen in the untrained network's magnitudes, and one training changes that by a few points.
#
# **Sources**: J. Frankle, *Do Neural Networks Really Need to Be So Big?* (the article whose statements this course tests).
#
# **Papers**: Lee et al. 2019 (SNIP), arXiv 1810.02340. Wang et al. 2020 (GraSP), 2002.07376. Tanaka et al. 2020 (SynFlow),
# 2006.05467. Evci et al. 2020 (RigL), 1911.11134. Mocanu et al. 2018 (SET), 1707.04780. You et al. 2020 (Early-Bird),
# 1909.11957. Zhu & Gupta 2017 (gradual pruning), 1710.01878. Frankle et al. 2021 (*Why are we missing the mark?*), 2009.08576.
# Su et al. 2020 (*Sanity-checking pruning methods*), 2009.11094.
#
# **Next**: 07, where sparse becomes fast.
