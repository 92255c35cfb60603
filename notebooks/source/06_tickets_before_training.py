# %% [markdown]
# # Tickets before training: can you beat the lottery?
#
# Iterative magnitude pruning finds tickets, but only in retrospect: to learn which small network would have been enough
# you train the large one, many times. If you could *see* the ticket in the untrained network, all of that would be saved.
# This is the open problem of the field. Here you meet the best-known attempts, race them against each other and against IMP,
# draw what each one costs, question them, and enter a method of your own.
#
# **After this notebook you can**
# - write the scores SNIP, GraSP and SynFlow yourself and say what question each asks of an untrained network;
# - explain layer collapse, and why SynFlow prunes in a hundred small steps;
# - tell pruning *before*, *early in* and *throughout* training apart (SNIP, Early-Bird, RigL);
# - compare methods by accuracy *and* by what finding the mask cost;
# - test whether a method chooses weights or only layer densities;
# - enter a score of your own into the race with one line.
#
# **You need** notebooks 03 and 04.
#
# **Time**: 40 minutes to read, about three minutes to run on two cores.

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
from lthlab.arms import before_training
from lthlab.recipes import level_sizes

torch.set_num_threads(1)  # one core here; the repeats below use the others
plots.use_style()

# %% [markdown]
# ## 1. The task
#
# The network and the signals of notebook 04, where a ticket's values matter most. Level 12 of IMP is our finishing line: the
# ticket there has cost thirteen trainings. A method that prunes *before* training gets the untrained network and at most one batch of
# examples, and must name the weights to keep.

# %%
NAME = "mlp-100-100-100"
dataset = load_dataset("mnist1d")
recipe = lthlab.recipe_for(NAME, dataset)
model = build_model(NAME, dataset, seed=0)  # untrained
full = lthlab.full_masks(model)
LEVEL = 12
sizes = [*islice(level_sizes(full, recipe), LEVEL + 1)]  # by level and layer
DENSITY = sum(sizes[LEVEL].values()) / sum(sizes[0].values())
batch = lthlab.draw_batch(dataset.train, samples=100, seed=0)
x, y = batch
count = lthlab.count_kept(full)
print(f"{count:,} weights; at level {LEVEL}, {DENSITY:.1%} of them are left")
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
masks_of["ERK"] = lthlab.dynamic.erk_masks(model, DENSITY)
figure, ax = plt.subplots(figsize=(11, 4))
plots.layer_bars(masks_of, ax)
for text in ax.texts:
    text.set(fontsize=7, rotation=90)
    text.set_position((0, 3))
ax.set_ylim(0, ax.get_ylim()[1] * 1.12)
plt.show()

# %% [markdown]
# *Share of the weights kept in each layer, at the same density of the whole; one seed.* **ERK** (Erdős-Rényi-Kernel, Mocanu
# et al. 2018, Evci et al. 2020) picks weights by chance, but not the layer densities: a layer keeps the more, the smaller it is. It is the
# chance that every method has to beat.
#
# A kept weight is worth something only if a path from an input to an output runs through it. SynFlow's score counts
# paths; so ask it which weights have any:

# %%
rows = []
for method, masks in masks_of.items():
    pruned = lthlab.apply_masks_(deepcopy(model), masks)
    alive = {name: score > 0 for name, score in lthlab.synflow(pruned, batch).items()}
    on_path = lthlab.count_kept(alive) / lthlab.count_kept(masks)
    hidden = [mask for name, mask in alive.items() if name != "out.weight"]
    rows.append((method, on_path, sum(int(mask.any(1).sum()) for mask in hidden)))
columns = ["method", "kept weights on a path", "hidden neurons in use"]
alive_table = pd.DataFrame(rows, columns=columns)
alive_table.style.format({"kept weights on a path": "{:.0%}"}).hide(axis="index")

# %% [markdown]
# *Of 300 hidden neurons; one seed.* Methods differ in how they spend the same number of weights: on few neurons, well
# connected, or spread thin over many.
#
# ## 5. The race
#
# Beside the methods that look before training run some that look later (section 6 explains them): **Early-Bird** looks a few epochs in,
# **RigL** and **SET** move a sparse mask about while they train, and **magnitude after training** is the old way: train the dense network, prune
# it in one go, and train the rest once more from the trained values.
#
# > **Predict.** Order these by accuracy at the finishing line: the ticket of IMP, ERK (chance), SNIP, GraSP, SynFlow, RigL.
# > Will any of them reach the dense network?
#
# Three seeds live. The ticket needs all levels, the others only their own training.

# %%
arms = ["dense", "ticket", "ERK", "SNIP", "GraSP", "SynFlow", "RigL"]
RACE = {"levels": LEVEL, "control_levels": [4, 8, LEVEL], "evaluate_every": 0}
folder = tempfile.mkdtemp()  # give a folder of your own to keep the results
began = time.perf_counter()
table = run_experiment(
    NAME, "mnist1d", arms=arms, seeds=range(3), folder=folder, **RACE
)
trainings = (table["split"] == "test").sum()  # each measures its test accuracy once
print(f"{trainings} trainings in {time.perf_counter() - began:.0f} s")

# %%


def at_the_end(table):
    """Validation accuracy after the last step."""
    rows = table.query("split == 'validation' and metric == 'accuracy'")
    return rows[rows["step"] == rows["step"].max()]


def read_reference(name):
    """Accuracy at the end of the reference runs of the race on one data set."""
    file = files("lthlab").joinpath(f"assets/reference/race-{name}.csv")
    return at_the_end(pd.read_csv(file))


reference = {name: read_reference(name) for name in ("mnist1d", "fashion-mini")}
BEFORE = ["SynFlow", "SNIP", "GraSP", "magnitude at init"]
LATER = ["magnitude after training", "Early-Bird", "RigL", "SET"]
PANELS = {
    "before training": ["ticket", *BEFORE, "ERK"],
    "while or after training": ["ticket", *LATER, "ERK"],
}
LIMITS = {"mnist1d": (0.05, 0.85), "fashion-mini": (0.55, 0.9)}

# %%


def draw_race(name, live=None):
    """The reference by density, in two panels; `live` as diamonds."""
    rows, figure = reference[name], plt.figure(figsize=(13, 5))
    levels = set(rows.query("arm == 'ERK'")["level"])
    dense = lthlab.interval(rows.query("arm == 'dense'")["value"])
    for ax, (title, arms) in zip(figure.subplots(1, 2, sharey=True), PANELS.items()):
        shown = rows[rows["arm"].isin(arms) & rows["level"].isin(levels)]
        plots.accuracy_by_density(shown, ax=ax, hue_order=arms, style_order=arms)
        color = plots.arm_color("dense")
        ax.axhline(dense.mean, color=color, linestyle="--", label="dense")
        if live is not None:
            here = live[live["arm"].isin(arms) & live["level"].isin(levels)]
            means = here.groupby(["arm", "density"])["value"].mean().reset_index()
            colors = [plots.arm_color(arm) for arm in means["arm"]]
            diamond = {"marker": "D", "s": 60, "edgecolor": "black", "zorder": 5}
            ax.scatter(means["density"], means["value"], color=colors, **diamond)
        ax.set(title=f"{name}: masks found {title}", ylim=LIMITS[name])
        ax.legend(fontsize=10)
    figure.tight_layout()
    plt.show()


live = at_the_end(table)
draw_race("mnist1d", live)

# %% [markdown]
# *Validation accuracy at the end of training. Lines and bands: mean and 95 % interval over ten seeds (n = 10), made by
# `python benchmarks/reference.py race-mnist1d`; diamonds: mean of your three. Every arm trains by the same recipe, with these
# exceptions: magnitude after training goes on from trained values, so its weights see twice the steps; Early-Bird has only the steps
# that are left; RigL and SET move their masks every hundred steps, as in the paper, but in a training this short that is eleven times.*

# %%
draw_race("fashion-mini")

# %% [markdown]
# *LeNet-300-100 on `fashion-mini`, as above, n = 10; `python benchmarks/reference.py race-fashion-mini`. The axis begins at
# 55 %; GraSP and the band of Early-Bird go below it.* That band is wide because in some seeds no mask settles before the very end, and a
# network pruned at the last moment has no steps left to recover.

# %%
FINISH = {"mnist1d": LEVEL, "fashion-mini": 15}  # 15: the 3.6 % of notebook 03


def gaps(arms, against):
    """Paired differences at the finishing line, in points, for both data sets."""
    columns = {}
    for name, level in FINISH.items():
        rows = reference[name][reference[name]["level"].isin([0, level])]
        found = [lthlab.paired(rows, arm, against).points() for arm in arms]
        columns[f"{name}, {rows['density'].min():.1%}"] = found
    return pd.DataFrame(columns, index=[f"{arm} minus {against}" for arm in arms])


SHOWN = ["SNIP", "GraSP", "SynFlow", "RigL", "Early-Bird", "magnitude after training"]
display(gaps(["magnitude at init", *SHOWN, "ticket"], "ERK"))
gaps(["ERK", "SET", *SHOWN, "dense"], "ticket")

# %% [markdown]
# *Mean and 95 % interval, n = 10, paired by seed, in points. (These are many intervals; of twenty at 95 %, one is expected
# to miss the truth.)*
#
# Read four things from it, at these two densities.
#
# - The ticket is ahead of every other *sparse* network, on both.
# - On the signals every method beats chance by far. None that looks before training comes near the ticket; the trained network, pruned
#   once, lies between.
# - On the pictures chance, with ERK's densities, is as good as the best that was found before training, and better than SNIP and GraSP. What is gained there
#   is gained by looking later.
# - Magnitude at initialisation beats chance on the signals, though it looks at nothing but the dice that were thrown.
#
# And the order is not the same everywhere. At the sparse end of both, SynFlow and RigL come out ahead of pruning once after training:

# %%
rows = []
for name, levels in (("mnist1d", [LEVEL, 16, 20]), ("fashion-mini", [15, 20, 24])):
    for level in levels:
        here = reference[name][reference[name]["level"] == level]
        row = {"data": name, "density": f"{here['density'].median():.1%}"}
        for arm in ("SynFlow", "SNIP", "RigL"):
            row[arm] = lthlab.paired(here, arm, "magnitude after training").points()
        rows.append(row)
caption = "minus magnitude after training, points, n = 10"
pd.DataFrame(rows).style.hide(axis="index").set_caption(caption)

# %% [markdown]
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
# *The largest distance of each mask from the five before it, drawn every 40 steps; one seed.* The bird is not that early here. One
# reason is the ruler: we divide what moved by the number of *kept* weights; the paper prunes 30 to 70 % of whole channels and divides by
# all of them. By that ruler a mask that keeps 8 % could never be far from another.
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
first = lthlab.dynamic.erk_masks(lenet, 0.036)
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
# yet it moved them from the edge, where the pictures are empty, to the middle. (It won no accuracy by it here: see the second table of section 5. SET, which grows
# by chance, does as well on the pictures; on the signals, which are hard, the gradient is worth a lot.)
#
# ## 7. The second axis
#
# Papers draw accuracy by density. But the ticket cost thirteen trainings, SNIP one batch. Draw what matters to whoever
# pays: accuracy against **all** the computing it took, finding the mask included. FLOPs first, counted by torch's own
# counter and without the products with pruned weights (theoretical, notebook 07 says what machines make of it).


# %%
def make_bill(name, dataset, level):
    """FLOPs of finding the mask and of training with it, in dense trainings."""
    model, recipe = build_model(name, dataset, 0), lthlab.recipe_for(name, dataset)
    masks, steps, levels = lthlab.full_masks(model), recipe.steps(dataset), []

    def training(masks):
        return lthlab.cost.training_flops(model, dataset, recipe, masks).nonzero

    for _ in range(level + 1):  # of IMP; only the number of weights in a layer counts
        at = lthlab.density(masks)
        levels.append(training(masks))
        masks = lthlab.prune(lthlab.magnitude(model), masks, recipe.rates(masks))
    erk = training(lthlab.dynamic.erk_masks(model, at))
    # At a move the gradients of *all* weights are needed: one dense product per layer,
    # as many FLOPs as forward.
    product = lthlab.cost.inference_flops(model, dataset).total * recipe.batch_size
    moves = len(lthlab.dynamic.move_masks(dataset, recipe))
    with warnings.catch_warnings():  # the very sparse ones settle at the end or never
        warnings.filterwarnings("ignore", "No mask of density")
        options = {"every": steps // 40, "step": "fast"}
        bird = lthlab.dynamic.early_bird(model, dataset, recipe, at, **options)
    drawn = bird.start.step / steps
    bill = {
        "dense": (0, levels[0]),
        "ticket": (sum(levels[:-1]), levels[-1]),
        "magnitude after training": (levels[0], levels[-1]),
        "Early-Bird": (drawn * levels[0], (1 - drawn) * training(bird.masks)),
        "RigL": (moves * product, erk),
        "ERK": (0, erk),
    }
    batch = lthlab.draw_batch(dataset.train, 100, seed=0)
    for method, (score, rounds) in methods.items():
        with FlopCounterMode(display=False) as counter:  # sees second derivatives, too
            masks = prune_at_init(model, score, batch, at, rounds)
        bill[method] = counter.get_total_flops(), training(masks)
    bill = pd.DataFrame(bill, index=["finding", "training"]).T / levels[0]
    return bill.assign(total=bill["finding"] + bill["training"], level=level)


bill = make_bill(NAME, dataset, LEVEL)
bill.drop(columns="level").style.format("{:.4f}")

# %% [markdown]
# *FLOPs in units of one dense training, mnist1d at level 12, seed 0.* All methods keep the same number of weights, yet the
# training after it does not cost the same: a weight of the first layer is cheaper than others, because nobody asks for the
# gradient of the input, and methods put more or fewer weights there. (SET costs what ERK costs.)

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
# *Each point is one density; accuracies: mean of ten seeds; FLOPs: of seed 0. On the Pareto front no other point is both
# cheaper and better.*
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
# - On the **pictures**, down to about one percent, it is as the papers say: what was found before training loses nothing by shuffling, and the
#   ticket, as it should, does. GraSP does better shuffled, and better upside down. (SynFlow inverted is dead everywhere: it empties its layers.)
# - But shuffling costs dearly where chance itself does badly: on the **signals** at 18 % and less, and on the pictures at
#   half a percent. So the answer depends on the task *and* the density, and every paper, and this notebook, can only speak of what it tried.
# - **SynFlow** at the sparse end loses little by new values and nearly everything by shuffling: it knows connections, not values, and it never
#   claimed more. **Magnitude** loses as much by either: a mask of large values is worth something only on those values.
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
tested = run_experiment(NAME, "mnist1d", arms=arms, seeds=range(5), **options)
tested = at_the_end(tested)
for arm in arms[1:]:
    print(f"{arm:30s} minus SNIP: {lthlab.paired(tested, arm, 'SNIP').points()}")

# %% [markdown]
# *Five seeds, live.* Keeping the inputs brings back a part of the loss, keeping inputs and outputs most of it. So here, too, little is left for the
# single weight. What SNIP chooses, beyond layers, is which *inputs and neurons* to spend its weights on.
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
    early = rows.query("arm == 'magnitude'")
    total = early["step"].max()
    print(name)
    for share in (0, 0.05, 0.5, 1):
        values = early[early["step"] == round(total * share)]["overlap"]
        print(f"    after {share:.0%}: {lthlab.interval(values).percent(0)}")

# %% [markdown]
# Two surprises, if you look twice. The untrained network's *magnitudes* already hold a third of the ticket, several times what
# chance gives: large values start with a lead that training never quite takes away. And training adds little to that, first a few percent more, then
# fewer again. One dense training does not end at the ticket: pruning little by little, with rewinding, finds *another* mask than
# pruning once. Nor is likeness to the ticket what makes a mask good: the magnitudes before training share more of it than SNIP, and SNIP trains
# better.
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
mine = run_experiment(NAME, "mnist1d", arms=["my score"], seeds=range(3), **RACE)
mine = at_the_end(mine)
figure, ax = plt.subplots(figsize=(8.5, 5))
others, levels = PANELS["before training"], RACE["control_levels"]
shown = reference["mnist1d"].query("arm in @others and level in @levels")
plots.accuracy_by_density(shown, ax=ax)
plots.accuracy_by_density(mine, ax=ax, linewidth=3)
ax.set(title="mnist1d", ylim=(0.4, 0.85))
plt.show()

together = pd.concat([mine, reference["mnist1d"].query("seed < 3")])
for level in levels:
    rows = together[together["level"] == level]
    print(f"{rows['density'].iloc[0]:.1%} of the weights: my score")
    for arm in ("ERK", "SNIP", "ticket"):
        print(f"    minus {arm:6s} {lthlab.paired(rows, 'my score', arm).points()}")

# %% [markdown]
# *Your score is the thick line, three seeds; the others from the reference. Below: paired with the same three seeds. Three seeds make wide
# intervals: before you write a paper, take ten, and seeds that you have not looked at.*
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
# What the papers say, and what our runs say, computed from the reference files; all claims of the course stand in
# [README.md](README.md).

# %%
file = files("lthlab").joinpath("assets/reference/claims.csv")
claims = pd.read_csv(file, dtype={"notebook": str}).query("notebook == '06'")
claims["effect"] = [
    f"{row.effect:+.1f} [{row.low:+.1f}, {row.high:+.1f}]"
    for row in claims.itertuples()
]
shown = claims[["claim", "paper", "setting", "effect", "verdict"]].style
left = {"text-align": "left", "white-space": "normal"}
shown.hide(axis="index").set_properties(**left)

# %% [markdown]
# ## Take away
#
# - SNIP asks what the loss feels, GraSP what the gradient needs, SynFlow whether signals pass; magnitude at initialisation asks
#   neither data nor loss.
# - Compared across layers, scores can empty a layer. SynFlow's cure is to ask again after each small step.
# - At equal density, no other sparse network reached the ticket. At equal *cost*, the picture turns: the ticket is the most expensive
#   point on it.
# - A method must beat its own shuffled mask before one may say that it knows about weights. Here the answer changed with the task and the
#   density, and what looked like knowledge about weights was mostly a choice of neurons.
# - A third of the ticket can be seen in the untrained network's magnitudes, and about as much at the end of one training.
#
# **Papers**: Lee et al. 2019 (SNIP), arXiv 1810.02340. Wang et al. 2020 (GraSP), 2002.07376. Tanaka et al. 2020 (SynFlow),
# 2006.05467. Evci et al. 2020 (RigL), 1911.11134. Mocanu et al. 2018 (SET), 1707.04780. You et al. 2020 (Early-Bird),
# 1909.11957. Frankle et al. 2021 (*Why are we missing the mark?*), 2009.08576. Su et al. 2020 (*Sanity-checking pruning
# methods*), 2009.11094.
#
# **Next**: 07, where sparse becomes fast.
