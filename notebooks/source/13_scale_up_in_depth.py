# %% [markdown]
# # Scale up, in depth
#
# What notebook 09 left out: what a graphics card changes, how to train many small networks at once, what experiments cost
# on your machine and on others, the paper's LeNet at full length, the papers' CIFAR-10 recipes, and other people's models.
# The sections can be read in any order.
#
# **After this notebook you can**
# - choose among the options of a graphics card, and measure what they bring (section 1);
# - train many tiny networks in one step, and tell when that pays (section 2);
# - estimate what an experiment costs on a machine, and how far such an estimate can be off (section 3);
# - say what the paper's setting shows at full length (section 4);
# - start the papers' CIFAR-10 experiments, and read their recipes (section 5);
# - bring a network and data from elsewhere, and read what stands in the way (section 6).
#
# **You need** notebook 09; 01 for the costs.
#
# **Time**: {time}

# %%
import tempfile
import time
from dataclasses import asdict, replace
from functools import partial
from importlib.resources import files
from itertools import islice
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torchvision
from matplotlib.ticker import PercentFormatter
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import lthlab
from lthlab import build_model, find_ticket, load_dataset, plots, run_experiment, train
from lthlab.recipes import Recipe, count_levels, count_steps, level_sizes, recipe_for
from lthlab.widgets import bets

# %%
torch.set_num_threads(1)
plots.use_style()
aside = tempfile.TemporaryDirectory()  # for everything that this notebook writes
scratch = Path(aside.name)


def few(data, examples=10):
    """The same training data, and so few others that measuring costs no time."""
    validation, test = (
        lthlab.Split(split.x[:examples], split.y[:examples])
        for split in (data.validation, data.test)
    )
    return replace(data, validation=validation, test=test)


pictures, signals = load_dataset("fashion-mini"), load_dataset("mnist1d")

# %% [markdown]
# ## 1. A graphics card
#
# You need to change nothing: `load_dataset` puts the data on an NVIDIA card if there is
# one, and networks follow their data. If you want another device, name it in the
# environment variable `LTHLAB_DEVICE` (`cpu`, `cuda:1`, `mps`) before the data are
# loaded. Several processes can share one card; `n_jobs=2` or 3 is enough. Everything
# else that a card can do is an option, because it changes the results a little, by
# rounding:
#
# | option | what it does | who gains |
# |---|---|---|
# | `channels_last=True` | puts the colours of a pixel side by side in memory | convolutions on tensor cores (a card's units for multiplying matrices) |
# | `bfloat16=True` | multiplies in 16 bits; weights stay in 32 | large networks |
# | `compile="default"` | `torch.compile` fuses small operations | nearly everything, after a wait |
# | `compile="reduce-overhead"` | the same, recorded once and replayed (a CUDA graph) | tiny networks: starting an operation takes longer than the operation |
#
# Write for example `step=lthlab.fast.TorchOptions(bfloat16=True)`, in `train`,
# `find_ticket` or `run_experiment`. Masks and zeros stay exact under all of these
# options. Two of them need no compiler. Measure them here and now, in turns:

# %%
bets.pick(
    "13-options",
    "On the machine that ran this page, four steps of resnet-8 are fastest",
    ["plain", "channels_last", "bfloat16"],
)


# %%
def compare(contenders, turns=4):
    """Median seconds of each function in a dict; they take turns, one warms up."""
    times = {name: [] for name in contenders}
    for _ in range(1 + turns):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return {name: np.median(values[1:]) for name, values in times.items()}


# %%
steps = Recipe("sgd", 0.05, 0.9, batch_size=128, duration="4it")
ways = {"plain": {}, "channels_last": {"channels_last": True}}
ways["bfloat16"] = {"bfloat16": True}


def four_steps(options):
    """Four steps, for each way with a network of its own: options may stay with it."""
    network, data = build_model("resnet-8", pictures), few(pictures)
    step = lthlab.fast.TorchOptions(**options)
    return lambda: train(network, data, steps, evaluate_every=0, step=step)


medians = compare({name: four_steps(options) for name, options in ways.items()})
print(f"resnet-8, 28 x 28 pictures, batches of 128, on {pictures.device}:")
for name, median in medians.items():
    print(f"  {name:14} {medians['plain'] / median:.2f} times as fast as plain")
bets.reveal("13-options", min(medians, key=medians.get))

# %% [markdown]
# Measured on a processor, these numbers say nothing about a card. On a card `python
# benchmarks/gpu.py` measures all options: images per second, share of the card's peak
# speed, and operations started per step.
#
# ## 2. Many networks in one step
#
# The networks of this course are tiny, and on a fast machine a tiny network mostly
# waits for Python to say what comes next. If you train ten seeds anyway, why not say it
# once for all ten? Give every parameter one more axis, for the seed, and let each
# operation run over all of them (`torch.func` does this; PyTorch calls it *model
# ensembling*). We call it *stacking*.

# %%
bets.number(
    "13-stack",
    "A residual network with about two thousand weights: how many times as fast is it "
    "to train 16 of them in one step, against one after the other",
    low=0.2,
    high=16,
)


# %%
quick = few(signals)


def one_by_one(models, recipe):
    for seed, model in enumerate(models):
        options = {"seed": seed, "evaluate_every": 0, "step": "fast"}
        train(model, quick, recipe, **options)


def in_one_step(models, recipe):
    options = {"seeds": range(len(models)), "evaluate_every": 0}
    lthlab.fast.train_stacked(models, quick, recipe, **options)


def gain(name, number):
    """How many times as fast a number of networks trains in one step as one by one."""
    recipe = replace(recipe_for(name, "mnist1d"), duration="10it", lr=0.01)
    models = [build_model(name, signals, seed) for seed in range(number)]
    ways = {"alone": one_by_one, "stacked": in_one_step}
    took = compare({key: partial(way, models, recipe) for key, way in ways.items()})
    return took["alone"] / took["stacked"]


# %%
fig, ax = plt.subplots()
numbers, gains, blue = (2, 4, 8, 16), {}, plots.arm_color("ticket")
for name, look, color in ("resnet1d-4", "s-", blue), ("mlp-100-100-100", "o-", "0.5"):
    gains[name] = [gain(name, number) for number in numbers]
    ax.plot(numbers, gains[name], look, color=color, label=name)
ax.axhline(1, color="0.6", linestyle=":")
ax.set(xlabel="seeds in one step", ylabel="times as fast as one by one", ylim=(0, None))
ax.set_xscale("log", base=2)
ax.xaxis.set_major_formatter("{x:.0f}")
ax.legend()
found = (f"{n}: {', '.join(f'{g:.1f}' for g in line)}" for n, line in gains.items())
plots.show(
    "Times as fast as one by one, for 2, 4, 8 and 16 networks in one step. "
    + "; ".join(found)
)
bets.reveal("13-stack", gains["resnet1d-4"][-1])

# %% [markdown]
# *Measured here, one core or one card, medians of four turns: the time of the trainings
# one after the other, divided by the time of all in one step. Above the dotted line
# stacking pays.*
#
# The residual network gains: it calls dozens of small operations per step. The MLP
# gains little or loses. `lthlab` already trains it with a handful of calls written by
# hand (notebook 07), while stacking has to leave the gradients to PyTorch. So measure
# before you choose. `run_experiment` does not stack. In a script of your own you can
# use `lthlab.fast.train_stacked`, which takes a seed for each network, and masks if you
# like:

# %%
short = replace(recipe_for("resnet1d-4", "mnist1d"), duration="1ep", lr=0.05)
alone, stacked = (
    [build_model("resnet1d-4", signals, seed) for seed in range(8)] for _ in range(2)
)
one = [train(model, signals, short, seed=seed) for seed, model in enumerate(alone)]
eight = lthlab.fast.train_stacked(stacked, signals, short, seeds=range(8))
took, took_stacked = (sum(h.seconds for h in found) for found in (one, eight))
print(f"eight seeds in one step: {took / took_stacked:.2f} times as fast")
apart = [100 * abs(a.value() - b.value()) for a, b in zip(one, eight)]
print(f"validation accuracies of {len(apart)} trainings: {apart.count(0)} the same,")
print(f"the others apart by at most {max(apart):.1f} points")

# %% [markdown]
# The differences come from rounding. Sums are taken in another order, and a difference
# in the seventh digit can grow from step to step. The higher the learning rate, the
# faster it grows (0.05 here, an eighth of the usual). Both results are equally right,
# but they are not the same to the last bit. The compiled step of notebook 07 and the
# options of section 1 round in their own ways, too. That is why the *kind of step* is
# part of the name of a run's folder.

# %% [markdown]
# ## 3. What will it cost?
#
# Before you move to a larger machine, estimate. The cost of an experiment is a product:
# **FLOPs of one step x steps x levels x arms x seeds**. Only the first factor needs a
# computer, and `lthlab.cost.training_flops` counts it without training anything. Time
# is FLOPs divided by the rate of your machine, in FLOPs per second (FLOP/s). Is this
# rate one number for all networks? Measure a few:

# %%
of_signals = [(name, signals) for name in ("mlp-100-100-100", "resnet1d-8")]
names = ("lenet-300-100", "resnet-8", "resnet-20", "conv-2")
recipe, rows = Recipe("sgd", 0.01, batch_size=60, duration="4it"), []
for name, data in (*of_signals, *((name, pictures) for name in names)):
    model, options = build_model(name, data), {"evaluate_every": 0, "step": "fast"}
    took = [train(model, few(data), recipe, **options).seconds for _ in range(3)]
    seconds = min(took) / 4
    flops = lthlab.cost.training_flops(model, data, recipe).total / 4
    count = sum(p.numel() for p in model.parameters())
    rows.append((name, f"{count:,}", flops, seconds, flops / seconds))
columns = ["network", "parameters", "FLOPs per step", "seconds per step", "FLOP/s"]
measured = pd.DataFrame(rows, columns=columns)
rates = measured["FLOP/s"]
print(f"The highest rate is {rates.max() / rates.min():.0f} times the lowest.")
measured.style.format(dict.fromkeys(columns[2:], "{:.1e}"))

# %%
fig, ax = plt.subplots()
flops, seconds = measured["FLOPs per step"], measured["seconds per step"]
ax.plot(flops, seconds, "o", color=plots.arm_color("dense"))
best = measured["FLOP/s"].max()
line = np.array([flops.min(), flops.max()])
ax.plot(line, line / best, ":", color="0.5", label="the highest rate measured")
for name, *place in zip(measured["network"], flops, seconds):
    below = name in ("lenet-300-100", "resnet-20")  # two dots are neighbours each time
    beside = {"textcoords": "offset points", "fontsize": 9}
    beside |= {"ha": "left" if below else "right"}
    ax.annotate(name, place, xytext=(6, -10) if below else (-4, 5), **beside)
ax.margins(x=0.36, y=0.12)
ax.set(xscale="log", xlabel="FLOPs per training step (batch of 60)")
ax.set(yscale="log", ylabel="seconds per step")
ax.legend()
plots.show(
    "Seconds per step against FLOPs per step for six networks, both logarithmic: the "
    "larger networks lie near the dotted line of the highest rate, the small above."
)

# %% [markdown]
# *Measured here, one core or one card, the fastest of three short runs for each network.*
#
# No, it is not: networks above the line spend time on something other than arithmetic.
# The larger networks of the picture lie near the line, the tiny ones can lie far above
# it. If you take the highest rate, an estimate from FLOPs alone is too low, for tiny
# networks by up to the factor that is printed above the table. Even that is enough to
# know whether an experiment takes a coffee break, a night or a lifetime.
#
# Now make the bill for the papers' experiments, and for what they would be with larger
# networks. The lengths are the papers'; how far to prune is our choice. Only tickets
# are counted, no controls. Each level trains the whole network
# once, as programs with masks do.


# %%
def language_model(parameters, tokens):
    """FLOPs of a transformer: 6 per parameter and token (Kaplan et al. 2020)."""
    return 6 * parameters * tokens


def prunings(density, rate=0.2):
    """How many times to prune by `rate` until at most `density` is left."""
    return int(np.ceil(np.log(density) / np.log(1 - rate)))


def step_flops(model, shape, batch):
    """FLOPs of one step, counted on the device `meta`, where nothing is computed."""
    model = model.to("meta")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(batch, *shape, device="meta")).sum().backward()
    return counter.get_total_flops()


# %%
class Shape:  # what build_model needs to know of a data set
    classes, device = range(10), torch.device("cpu")

    def __init__(self, *shape):
        self.input_shape = shape


mnist, cifar = Shape(1, 28, 28), Shape(3, 32, 32)

# %%
rows = []
names = ("lenet-300-100", "conv-2", "conv-6", "resnet-20")
for name, data in zip(names, (mnist, cifar, cifar, cifar)):
    recipe, model = recipe_for(name, "cifar10"), build_model(name, data)
    levels = count_levels(lthlab.full_masks(model), recipe, density=0.02)
    flops = step_flops(model, data.input_shape, recipe.batch_size)
    flops *= count_steps(recipe.duration, 1)
    rows.append((f"{name}, IMP to 2 %, 5 seeds", flops, 1 + levels, 5))
resnet50 = step_flops(torchvision.models.resnet50(), (3, 224, 224), 1)
resnet50 *= 1_281_167 * 90  # pictures of ImageNet, epochs
bert = language_model(85e6, 1e6 * 256 * (0.9 * 128 + 0.1 * 512))  # most sequences: 128
gpt3 = language_model(175e9, 300e9)
rows += [
    ("ResNet-50 on ImageNet, IMP to 30 %, 3 seeds", resnet50, 1 + prunings(0.3), 3),
    ("BERT base, pre-training, IMP to 30 %", bert, 1 + prunings(0.3), 1),
    ("GPT-3, one training", gpt3, 1, 1),
    ("GPT-3, IMP to 10 %", gpt3, 1 + prunings(0.1), 1),
]

# %%
columns = ["experiment", "FLOPs of one training", "trainings per seed", "seeds"]
bill = pd.DataFrame(rows, columns=columns)
bill["FLOPs"] = bill[columns[1]] * bill[columns[2]] * bill[columns[3]]

# An H100 has 989 TFLOP/s in bfloat16 (dense, data sheet); a well-tuned large model
# reaches 40 % of that.
GPU, DAY = 0.4 * 989e12, 86_400
bill["this machine (days)"] = bill["FLOPs"] / best / DAY
bill["one such GPU (days)"] = days = bill["FLOPs"] / GPU / DAY
power = lthlab.cost.Assumptions(watts=700, overhead=1.1)
bill["tonnes CO2e on GPUs"] = power.co2e_grams(days * DAY) / 1e6
numbers = bill.columns.drop(["experiment", "trainings per seed", "seeds"])
bill.style.format(dict.fromkeys(numbers, "{:.2g}")).hide(axis="index")

# %% [markdown]
# *Lengths: `recipe_for` (Frankle & Carbin 2019); 90 epochs of ImageNet (Frankle et al.
# 2020); one million steps of 256 sequences, most of 128 tokens, at the end of 512
# (Devlin et al. 2019); 300 billion tokens (Brown et al. 2020). The first four are
# pruned at their recipe's rates, the others by 20 % of what is left each time. As far
# as we know, nobody has pruned BERT or GPT-3 this way from their first step: those rows
# are extrapolation. CO2e, the climate effect as carbon dioxide: 700 W per GPU, overhead
# 1.1, 480 g per kWh. For small networks the GPU's days are too optimistic: LeNet's
# would leave less than a microsecond for a step, and starting a single operation on a
# card takes longer than that.*
#
# The bill shows two things. First, IMP multiplies a bill by the number of levels. For
# GPT-3 that is the difference between very expensive and out of the question. **The
# search is one reason why tickets are not in daily use.** Hardware that gains little
# from scattered zeros (notebook 07) is another; that large networks have no known
# tickets at their first values (notebook 05) is a third. Second, the first rows are
# cheap: *how* and *why* tickets work can be studied on small networks. Whether they
# work the same way in large ones is a question that small networks cannot answer.
#
# Does each level really cost a whole training? If the cost of a training were
# proportional to its density, a search would be a geometric sum: never more than five
# dense trainings. For fully connected layers on a processor a whole search ends in
# between. Measure one:

# %%
lenet, recipe = build_model("lenet-300-100", pictures), Recipe("adam", 1.2e-3)
once, sixty = replace(recipe, duration="1it"), replace(recipe, duration="60it")
find_ticket(lenet, few(pictures), once, levels=4)  # compiles
search = find_ticket(lenet, few(pictures), sixty, levels=24)
seconds = np.array([level.history.seconds for level in search.levels])
cost, levels = np.cumsum(seconds) / seconds[:3].mean(), np.arange(25)
in_proportion = np.cumsum(0.8**levels)

# %%
dense, green, ticket = (
    plots.arm_color(arm) for arm in ("dense", "magnitude", "ticket")
)
fig, ax = plt.subplots()
ax.plot(
    levels, levels + 1, color=dense, label="each level costs a dense training (masks)"
)
ax.plot(levels, cost, ".-", color=green, label="measured: LeNet")
ax.plot(levels, in_proportion, "--", color=ticket, label="each level costs its density")
ax.axhline(1 / (1 - 0.8), color="0.6", linestyle=":")
ax.set(xlabel="times pruned by 20 %", ylabel="cost of the search in dense trainings")
ax.set(ylim=(0, None))
ax.legend()
plots.show(
    "Cost of a search against the times pruned: the measured line begins close to one "
    "dense training per level, bends away from it, and ends between that line and the "
    "sum of the densities."
)
print(f"20 trainings cost {cost[19]:.1f} dense ones here, 25 cost {cost[-1]:.1f};")
print(f"in proportion to density 25 would cost {in_proportion[-1]:.1f},")
print(f"and any number of them no more than {1 / 0.2:.0f}")

# %% [markdown]
# *Measured on this machine, 60 steps per level, one search, so single levels can be
# off; the mean of the first three levels counts as one dense training. On a graphics
# card `lthlab` trains with masks, and the measured line lies near the uppermost.*

# %% [markdown]
# ## 4. The paper's LeNet, at full length
#
# We have paid one row of that bill, LeNet's, though on other pictures. The reference
# run `fashion-mnist` is the paper's recipe at full length, on Fashion-MNIST in place of
# MNIST: 55,000 pictures to train on and 5,000 for validation (`python
# benchmarks/reference.py fashion-mnist` makes it again).

# %%
bets.pick(
    "13-full",
    "At full length, compared with the dense network, the ticket with 3.6 % of the "
    "weights ends",
    ["above it", "not to be told apart", "below it"],
)

# %%
folder = files("lthlab") / "assets/reference"
full = pd.read_csv(folder / "fashion-mnist.csv")
story = pd.read_json(folder / "fashion-mnist.json", typ="series")
steps, size = story["recipe"]["steps"], story["recipe"]["batch_size"]
ends = full.query("split == 'test' and metric == 'accuracy'")
print(f"{len(ends)} trainings of {steps:,} steps, batches of {size}")
print(f"{len(story['seeds'])} seeds: {story['dataset']}")

whole = ends.query("arm == 'dense'")  # where both lines begin
two = ["ticket", "reinitialised"]
begins = [whole.assign(arm=arm) for arm in two]
sparse = pd.concat([ends.query("arm in @two"), *begins])
ax = plots.accuracy_by_density(sparse.sort_values("density", ascending=False))
dense, color = lthlab.interval(whole["value"]), plots.arm_color("dense")
ax.axhspan(dense.low, dense.high, color=color, alpha=0.2, linewidth=0)
ax.axhline(dense.mean, color=color, linestyle="--", linewidth=1, label="dense")
ax.set(ylabel="test accuracy")
ax.legend()
plots.show(
    "Test accuracy against the weights kept: the ticket stays near the grey dense band "
    "down to a tenth and then falls below it; reinitialised lies below the ticket from "
    "a fifth on."
)

# %%
fig, ax = plt.subplots()
levels = sorted(ends.query("arm == 'reinitialised'")["level"].unique())
here = [ends[ends["level"].isin([0, level])] for level in levels]
kept = [rows.query("arm == 'ticket'")["density"].mean() for rows in here]
for other, look, shift in (("dense", "o-", 1.02), ("reinitialised", "s--", 0.98)):
    gaps = [lthlab.paired(rows, "ticket", other) for rows in here]
    mean = [100 * gap.mean for gap in gaps]
    half = [100 * (gap.high - gap.mean) for gap in gaps]
    x, color = [k * shift for k in kept], plots.arm_color(other)
    ax.errorbar(x, mean, yerr=half, fmt=look, color=color, label=f"minus {other}")
ax.axhline(0, color="0.4", linewidth=1)
plots.density_axis(ax, kept)
ax.set(ylabel="ticket minus another arm, points")
ax.legend()
plots.show(
    "Ticket minus dense and minus reinitialised, by weights kept: against dense it "
    "falls from about zero to more than a point below; against reinitialised it lies "
    "above zero from a fifth of the weights on."
)

# %%
rows = here[np.abs(np.array(kept) - 0.036).argmin()]
gap = lthlab.paired(rows, "ticket", "dense")
told = (
    "above it"
    if gap.low > 0
    else "below it"
    if gap.high < 0
    else "not to be told apart"
)
print(f"ticket minus dense at 3.6 %, in points: {gap.points()}")
bets.reveal("13-full", told)

# %% [markdown]
# *First picture: test accuracy, the grey band is the dense network's. Second picture:
# differences in points, paired by seed: network and data order are the same. 95 %
# intervals, n = 5, test accuracy at the end of training. The test set was looked at
# once per training.*
#
# At a fifth of the weights it is the paper's picture: the ticket is as good as the
# dense network, and with new values the same wiring is not. But look at the sparse end,
# and compare with notebook 03. There, on a seventh of the pictures and with a short
# training, tickets with a few percent of the weights were *better* than the dense
# network. Here they are worse. Two things differ, the amount of data and the length, so
# we cannot say which of the two is the reason. But "matching at 3.6 %" belongs to a
# setting, not to a network.
#
# And the suspects of [notebook 04](04_random_reinit_controls.ipynb), on trial at full
# length? Each control gives up what its name says:

# %%
others = ["reinitialised", "reinitialised to scale", "signs", "permuted"]
for level in (7, 15):
    rows = ends[ends["level"].isin([0, level])]
    kept = rows.query("level > 0")["density"].min()
    print(f"{kept:.1%} of the weights: ticket minus")
    for other in (*others, "permuted sizes", "shuffled", "random"):
        print(f"    {other:22s} {lthlab.paired(rows, 'ticket', other).points()}")

# %% [markdown]
# As in notebook 04, the mask and its signs are what counts: with the signs and one size a
# layer, or with the sizes permuted, no difference is seen at either density. New values
# cost some tenths of a point; as many weights in other places cost more at the sparse
# end, a point. The first sizes themselves are worth nothing that five seeds can show.

# %%
race = full.query("split == 'validation' and metric == 'accuracy'")
race = race[race["arm"].isin(["dense", *two])]
race = race.query("level in [0, 12] and step <= 20000")
ax = plots.lines(race.rename(columns={"step": "steps"}), x="steps")
ax.set(xlabel="training steps", ylabel="validation accuracy", ylim=(0.8, 0.92))
ax.yaxis.set_major_formatter(PercentFormatter(1))
plots.show(
    "Validation accuracy over the first 20,000 steps: the ticket is ahead of the dense "
    "network and the reinitialised one for a while; later they lie close together."
)

# %% [markdown]
# *The first 20,000 of all steps; the two sparse networks are those of level 12. Mean
# and 95 % band over seeds, validation pictures.* The ticket is ahead for some thousand steps in the middle, not at
# the very start and not in the end.

# %% [markdown]
# ## 5. CIFAR-10, with one line
#
# CIFAR-10 holds small colour photographs of ten kinds of things. The papers'
# experiments on it start with one line. They need the files or a network connection,
# and a graphics card or much patience:
#
# ```python
# table = run_experiment("resnet-20", "cifar10", rewind_to="1000it", levels=12, seeds=range(5), folder="tickets")
# ```
#
# The recipe comes along: optimiser, length, schedule, augmentation, pruning rates.

# %%
names = ["conv-2", "conv-4", "conv-6", "resnet-20", "resnet-20 low", "resnet-20 warmup"]
rows = ["optimizer", "lr", "momentum", "weight_decay", "batch_size", "duration"]
rows += ["warmup", "augmentation", "fractions"]
recipes = {name: asdict(recipe_for(name, "cifar10")) for name in names}
pd.DataFrame(recipes).loc[rows]

# %% [markdown]
# *Frankle & Carbin 2019, Figure 2, section 4 and appendices H and I.
# Their resnet-20 is called Resnet-18. `20000it` means 20,000 steps; `warmup` counts
# steps, too. `weight_decay` pulls all weights a little towards zero at each step.*
#
# Why are there three recipes for one network? At a learning rate of 0.1 the paper found
# no tickets at the initial values. At 0.01 it did, but there all networks end lower. It
# also found them at 0.03 with a slow start of 20,000 steps. Later, rewinding to an
# early step made 0.1 work (notebook 05; `rewind_to` in the line above).

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8))
dashes = {"resnet-20": "-", "resnet-20 low": "--", "resnet-20 warmup": ":"}
for name, dash in dashes.items():
    recipe = recipe_for(name, "cifar10")
    total = count_steps(recipe.duration, 1)
    rates = [recipe.lr_at(step, total) for step in range(total)]
    left.plot(rates, dash, color=plots.arm_color("dense"), label=name)
left.set(xlabel="training step", ylabel="learning rate", yscale="log", ylim=(1e-5, 1))
left.legend()
for name, marker in zip(("conv-2", "conv-4", "conv-6"), "os^"):
    masks = lthlab.full_masks(build_model(name, cifar))
    sizes = pd.DataFrame(islice(level_sizes(masks, recipe_for(name, "cifar10")), 21))
    for kind, dash in (("conv", "-"), ("fc", ":")):
        kept = sizes.filter(regex=f"^{kind}").sum(axis=1)
        look = {"marker": marker, "markevery": 5, "color": "0.3"}
        right.plot(kept / kept[0], dash, **look, label=f"{name}, {kind}")
right.set(xlabel="times pruned", ylabel="weights kept", yscale="log")
right.set_xticks(range(0, 21, 5))
right.yaxis.set_major_formatter(PercentFormatter(1))
right.legend()
plots.show(
    "Left: three learning rates over 30,000 steps, logarithmic: 0.1, 0.01, and 0.03 "
    "after a slow start; all drop twice by ten. Right: what is left of convolutions "
    "and of fully connected layers; the convolutions are pruned more slowly."
)

# %% [markdown]
# *Left: the learning rates. Right: what is left of the convolutions and of the fully
# connected layers (without the last one), by level. Some lines lie
# on top of each other: the convolutions of conv-2 and conv-4, and the fully connected
# layers of all three.* A convolution uses each weight at every place of a picture, and
# the paper prunes convolutions more gently.
#
# *Augmentation* moves and mirrors the training pictures a little, so that the network
# never sees quite the same one twice. It happens on the device, for a whole batch at
# once. The same seed moves the same picture in the same way at every level:

# %%
from lthlab.batches import draw_moves, shift_and_flip

boot = pictures.train.x[pictures.train.y == 9][:1].expand(8, -1, -1, -1)
moves = draw_moves(pictures, seed=0, epoch=0)[:8]
fig, axes = plt.subplots(1, 8, figsize=(11, 1.9))
moved = pictures.pictures(shift_and_flip(boot, moves))
for ax, picture, (down, right, mirrored) in zip(axes, moved, moves.tolist()):
    ax.imshow(picture[0], cmap="gray_r")
    title = f"down {down}, right {right}" + (",\nmirrored" if mirrored else "\n")
    ax.set_title(title, fontsize=8)
    ax.set_axis_off()
plots.show(
    "One picture of a boot eight times, each time moved by a few pixels, some mirrored."
)

# %% [markdown]
# *Negative numbers mean up and left. A mirrored picture is moved first and mirrored
# after that, so there right and left have changed places. Grey is the margin that comes
# into view.*
#
# No CIFAR-10 on this machine? You can still see that the line works. CIFAR-10's binary
# format is as simple as a format can be: one byte for the class, then 3 x 32 x 32 bytes
# for the pixels. So write 8,000 pictures of Fashion-MNIST, framed to 32 x 32 and
# coloured, into files that look like CIFAR-10's. `lthlab` holds 5,000 training pictures
# back for validation, as the paper does, so few are left to train on.

# %%
cifar_folder = scratch / "data" / "cifar-10-batches-bin"
cifar_folder.mkdir(parents=True)
raw = (pictures.pictures(pictures.train.x) * 255).round().byte().numpy()
framed = np.pad(raw, ((0, 0), (0, 0), (2, 2), (2, 2)))
printed = framed * np.array([1.0, 0.8, 0.5])[:, None, None]  # red, green, blue
labels = pictures.train.y[:, None].cpu().numpy()
records = np.concatenate([labels, printed.reshape(len(raw), -1)], axis=1)
files_of_cifar = [f"data_batch_{number}.bin" for number in range(1, 6)]
parts = np.array_split(records.astype(np.uint8), 6)
for name, part in zip([*files_of_cifar, "test_batch.bin"], parts):
    part.tofile(cifar_folder / name)

# %%
standin = load_dataset("cifar10", root=scratch / "data")
print(standin)

short = {"duration": "3it", "milestones": (1, 2), "batch_size": 32}
recipe = replace(recipe_for("resnet-20", "cifar10"), **short)
setting = {"levels": 2, "seeds": [0], "evaluate_every": 0, "progress": False}
table = run_experiment("resnet-20", few(standin, 100), recipe, n_jobs=1, **setting)
densities = table["density"].round(3).unique()
print(len(table.query("split == 'test'")), "trainings of 3 steps")
print("densities", *densities)

# %% [markdown]
# ## 6. Other people's models
#
# Networks from `torchvision` enter as yours did in notebook 09, and so do data: `make_dataset` takes arrays, whether they come
# from NumPy, from a `torchvision` data set or from your files (bytes are pixels; with `tokens=True` whole numbers are tokens
# for an `nn.Embedding`).

# %%
as_tensor = torchvision.transforms.PILToTensor()
fake = torchvision.datasets.FakeData(400, (3, 32, 32), 10, transform=as_tensor)
x, y = (np.stack([np.asarray(example[part]) for example in fake]) for part in (0, 1))
letters = "abcdefghij"
own = lthlab.make_dataset("noise", x[:300], y[:300], x[300:], y[300:], letters, 50)


def shufflenet(dataset, seed):
    return torchvision.models.shufflenet_v2_x0_5(num_classes=10)


pruning = {"fractions": {"all": 0.2}, "scope": "global"}
tiny_recipe = Recipe("sgd", 0.01, 0.9, batch_size=50, duration="2it", **pruning)
setting = {"levels": 2, "seeds": range(2), "evaluate_every": 0, "progress": False}
table = run_experiment(shufflenet, own, tiny_recipe, **setting)
print(own)
print((table["split"] == "test").sum(), "trainings of ShuffleNet")
print("densities", *sorted(table["density"].round(3).unique(), reverse=True))

# %% [markdown]
# If something stands in the way, a sentence or two say what it is. Make four mistakes:
#
# 1. a network with nothing to prune;
# 2. a recipe with a rate of its own for the output layer, and a network whose output
#    layer has another name than the recipe expects;
# 3. a control that needs new initial values, and a function that always gives the same
#    ones;
# 4. two answers to one question: how many levels, and down to which density.


# %%
class Recurrent(nn.LSTM):
    """Nothing but a recurrent layer."""


def always_the_same(dataset, seed):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(40, 10))


by_layer = Recipe(batch_size=50, duration="2it")
once = replace(by_layer, **pruning)
lenet = build_model("lenet-300-100", pictures)
single = build_model(always_the_same, signals)
setting = {"levels": 1, "seeds": [0], "n_jobs": 1, "progress": False}
for attempt in (
    lambda: lthlab.full_masks(Recurrent(4, 3)),
    lambda: find_ticket(single, signals, by_layer, levels=1),
    lambda: run_experiment(always_the_same, signals, once, **setting),
    lambda: find_ticket(lenet, pictures, once, levels=1, density=0.1),
):
    try:
        attempt()
    except (TypeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}")

# %% [markdown]
# ## 7. Your turn
#
# 1. Kill *both* workers of notebook 09's section 3. What happens, and what is still there when you start the call again?
# 2. Use the bill of section 3 for the experiment that you would like to do most. Which factor would you cut first: steps,
#    levels, arms or seeds?
# 3. Let notebook 09's transformer rewind to one epoch (`rewind_to="1ep"`). Do its tickets need that?
#
# <details><summary>Answers</summary>
#
# 1. Dask starts both again (a `LocalCluster` watches its workers and replaces them), and the call goes on; two trainings were
#    lost. On a cluster whose workers do not come back, the call waits for new ones. Either way every finished level is in
#    `folder`.
# 2. Not the seeds: with fewer than three an interval says next to nothing. You can save
#    levels if you know which densities matter (`control_levels` for the controls), and
#    steps if the effect shows early. Drop arms that answer no question first.
# 3. Try it with the seeds from 100 on, then decide how many seeds the answer needs.
# </details>
#
# [The exercise sheet](exercises/13_scale_up_in_depth.py) has tasks with checks.
#
# ## Take away
#
# - Tiny networks wait for Python, large ones for arithmetic. Stack the first, give the second 16 bits and a compiler, and
#   measure.
# - An estimate from FLOPs can be far too low for tiny networks, and comes nearer for
#   large ones. Still it is enough to tell a coffee break from a lifetime.
# - At the paper's length, on all of Fashion-MNIST, a ticket with a fifth of the weights
#   is as good as the dense network. One with 3.6 % is not.
# - The papers' recipes come with one line. If something stands in the way of your own
#   model, a sentence or two tell you what.
#
# **Sources**: J. Frankle and M. Carbin, *The Lottery Ticket Hypothesis*, ICLR 2019. J. Frankle et al., *Linear Mode Connectivity
# and the Lottery Ticket Hypothesis*, ICML 2020. J. Devlin et al., *BERT*, NAACL 2019. T. Brown et al., *Language Models are
# Few-Shot Learners*, NeurIPS 2020. J. Kaplan et al., *Scaling Laws for Neural Language Models*, arXiv:2001.08361, 2020.
#
# **Next question**: what is done to language models? [Notebook 10](10_language_models.ipynb).
