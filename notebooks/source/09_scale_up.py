# %% [markdown]
# # Scale up: graphics cards, clusters, CIFAR-10, your own model
#
# Everything so far fitted a laptop. Some of the questions that are left do not: do tickets exist in networks that matter? In *your*
# network? In this last notebook the same functions leave the laptop. You will run one experiment on a cluster and kill a worker
# in the middle of it; see what the papers' experiments cost, up to GPT-3; start the papers' CIFAR-10 recipes with one
# line; find a ticket in a small transformer; and carry a sparse network out to a program that has never heard of `lthlab`.
#
# **After this notebook you can**
# - send `run_experiment` to a graphics card, to several, or to a cluster, and say what a crash costs;
# - train many tiny networks in one step, and tell when that pays;
# - estimate what an experiment costs before you start it;
# - start the papers' CIFAR-10 experiments, and read their recipes;
# - look for tickets in a model of your own, and say what of it cannot be pruned;
# - hand a ticket to any PyTorch program.
#
# **You need** notebooks 03 and 04; 01 for the costs.
#
# **Time**: 40 minutes to read, about three and a half minutes to run on two cores.

# %%
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import torch
import torchvision
from matplotlib.ticker import PercentFormatter
from torch import nn

import lthlab
from lthlab import (
    Recipe,
    Speed,
    build_model,
    default_device,
    find_ticket,
    load_dataset,
    plots,
    recipe_for,
    run_experiment,
)

torch.set_num_threads(1)
plots.use_style()
named = "LTHLAB_DEVICE" in os.environ
os.environ.setdefault("LTHLAB_DEVICE", "cpu")  # up to section 3: processes share a processor better than one card
aside = tempfile.TemporaryDirectory()  # for everything that this notebook writes
scratch = Path(aside.name)

# %% [markdown]
# ## 1. One call
#
# This is the experiment that we will carry around: for each of four seeds, one dense training and three levels of two
# arms. Here it runs on your processor's cores, one training per core (`n_jobs=-1`).

# %%
EXPERIMENT = {
    "model": "mlp-100-100-100",
    "dataset": "mnist1d",
    "recipe": replace(recipe_for("mlp-100-100-100", "mnist1d"), duration="2ep"),
    "arms": ["dense", "ticket", "reinitialised"],
    "seeds": range(4),
    "levels": 3,
    "progress": False,
}
began = time.perf_counter()
here = run_experiment(**EXPERIMENT, folder=scratch / "here")
seconds_here = time.perf_counter() - began
final = here.query("split == 'test'")
print(f"{len(final)} trainings in {seconds_here:.0f} s on {joblib.cpu_count()} cores")
final.pivot_table(index="level", columns="arm", values="value").round(3)

# %% [markdown]
# *Test accuracy, mean over four seeds (the dense network is level 0). Short trainings: what matters here is not the result
# but that it will be the same wherever it is computed.*
#
# The files in `folder` are what makes the rest of this notebook possible. Every finished training is one of them, written whole
# or not at all; a run that starts again takes what is there and computes what is missing.

# %%
finished = sorted(path.relative_to(scratch) for path in (scratch / "here").rglob("*.safetensors"))
print(len(finished), "files, such as", *finished[:3], sep="\n  ")

# %% [markdown]
# ## 2. A cluster
#
# `joblib`, which spreads the trainings over your cores, can hand them to other machines just as well. The library that it hands
# them to is [Dask](https://distributed.dask.org): a *scheduler* that knows what is to be done, and *workers* that do it. Start a
# cluster of two workers on your own machine; it is a real one, with processes that talk over the network, only that the network
# ends in your machine. (If the next line finds no `distributed`: `pip install distributed`, or go on at section 4.)

# %%
from distributed import Client, LocalCluster

cluster = LocalCluster(
    n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=logging.CRITICAL
)
client = Client(cluster)
workers = client.run(os.getpid)
print("scheduler in process", os.getpid(), "- workers in processes", *workers.values())

# %% [markdown]
# The call is the same. The line around it says where.

# %%
with joblib.parallel_config(backend="dask"):
    there = run_experiment(**EXPERIMENT, folder=scratch / "there")
print("the same table, bit for bit:", there.equals(here))

# %% [markdown]
# ## 3. Kill a worker
#
# Long runs on many machines fail: somebody needs the node, a disk is full, the power goes. Let us see what that costs. A
# thread of this notebook waits until eight trainings are finished and then kills one of the two workers, as hard as
# an operating system can (`SIGKILL`; on Windows `TerminateProcess`): no goodbye, no clean-up.
#
# > **Predict.** Will the call fail? Will the table be complete? Which of the finished trainings are lost?


# %%
def kill_a_worker(folder, victim, done):
    """Wait for eight finished trainings, note them, kill the process."""
    while len(found := [*folder.rglob("seed-*.safetensors")]) < 8:
        time.sleep(0.02)
    done.update({path: path.stat().st_ino for path in found})  # a file that is written again gets another number
    psutil.Process(victim).kill()


folder, done = scratch / "killed", {}
victim = next(iter(workers.values()))
thread = threading.Thread(target=kill_a_worker, args=(folder, victim, done), daemon=True)
thread.start()
with joblib.parallel_config(backend="dask"):
    survived = run_experiment(**EXPERIMENT, folder=folder)
thread.join()
untouched = sum(path.stat().st_ino == number for path, number in done.items())
print(f"process {victim} was killed when {len(done)} of {len(final)} trainings were finished")
print(f"of those, {untouched} are still the same files; the table is the same: {survived.equals(here)}")
print("workers now:", *client.run(os.getpid).values())

# %%
client.close()
cluster.close()

# %% [markdown]
# A killed worker costs the training that it was in the middle of. The scheduler gives its work to another worker, and the finished
# levels are found in `folder`.
#
# On a real cluster only the first lines change. For **SLURM** (`pip install dask-jobqueue`):
#
# ```python
# from dask_jobqueue import SLURMCluster
# cluster = SLURMCluster(cores=8, processes=8, memory="32GB", walltime="04:00:00", queue="short")
# cluster.scale(jobs=2)                          # two jobs of eight workers with one thread each
# client = Client(cluster)
# client.wait_for_workers(8)                     # as long as the queue takes
# with joblib.parallel_config(backend="dask"):
#     table = run_experiment("lenet-300-100", "fashion-mnist", levels=12, seeds=range(10), folder="/shared/tickets")
# ```
#
# For **graphics cards**, one worker with one thread for each: `SLURMCluster(cores=1, processes=1, job_cpu=4, memory="16GB",
# job_extra_directives=["--gres=gpu:1"])`, or, on one machine with Linux, `LocalCUDACluster()` (`pip install dask-cuda`). For **Kubernetes**
# (`pip install dask-kubernetes`, and its operator in the cluster):
#
# ```python
# from dask_kubernetes.operator import KubeCluster
# cluster = KubeCluster(name="tickets", image="your/image-with-lthlab", n_workers=10)
# client = Client(cluster)                       # and so on as above, with the shared folder mounted in every pod
# ```
#
# Four things to know. `folder` must be on a disk that all workers *and the program that calls* see under the same path. All of
# them need the same kind of device and the same PyTorch, because these are part of a run's name: with cards, start the call from a small job that
# has one, too. `walltime` must hold at least one training. And Dask gives up on a task whose workers died four times; the same call then goes on from `folder`.
#
# *Only the local cluster is run by this notebook and by the tests of this project; those three are written after the documentation of
# their libraries.*

# %% [markdown]
# ## 4. A graphics card
#
# There is nothing to change: `load_dataset` puts the data on an NVIDIA card if there is one, and networks follow their data. The environment
# variable `LTHLAB_DEVICE` names another device (`cpu`, `cuda:1`, `mps`), before the data are loaded. Several processes share one
# card: `n_jobs=2` or 3 is enough. What a card can do beyond that are options, because each
# changes results by rounding:
#
# | option | what it does | who gains |
# |---|---|---|
# | `Speed(channels_last=True)` | colours of a pixel side by side in memory | convolutions on tensor cores |
# | `Speed(bfloat16=True)` | products in 16 bits; weights stay in 32 | large networks |
# | `Speed(compile="default")` | `torch.compile` fuses small operations | nearly everything, after a wait |
# | `Speed(compile="reduce-overhead")` | the same, replayed as a CUDA graph | tiny networks, whose launches cost more than their work |
#
# They go to `train`, `find_ticket` and `run_experiment` as `speed=...`. Masks and zeros stay exact under all of them. Measure two that do
# not need a compiler, here and now, in turns:


# %%
def few(data, examples=10):
    """The same training pictures, and so few others that measuring accuracy costs no time."""
    return replace(data, validation=lthlab.Split(data.validation.x[:examples], data.validation.y[:examples]),
                   test=lthlab.Split(data.test.x[:examples], data.test.y[:examples]))  # fmt: skip


if not named:
    del os.environ["LTHLAB_DEVICE"]
device = default_device()
pictures = load_dataset("fashion-mini")
steps = Recipe("sgd", 0.05, 0.9, batch_size=128, duration="4it")
network = build_model("resnet-8", pictures)
ways = {"plain": Speed(), "channels_last": Speed(channels_last=True), "bfloat16": Speed(bfloat16=True)}
times = {name: [] for name in ways}
for turn in range(5):
    for name, speed in ways.items():
        took = lthlab.train(network, few(pictures), steps, evaluate_every=0, speed=speed).seconds
        if turn:  # the first one warms up
            times[name].append(took)
medians = {name: np.median(values) for name, values in times.items()}
print(f"resnet-8, 28 x 28 pictures, batches of 128, on {device}:")
for name, median in medians.items():
    print(f"  {name:14} {medians['plain'] / median:.2f} times as fast as plain")

# %% [markdown]
# On a processor these say something about your processor only. `python benchmarks/gpu.py` measures all options on a card: images per
# second, share of the card's peak, kernel launches per step.
#
# ## 5. Many networks in one step
#
# The networks of this course are tiny, and a tiny network on a fast machine mostly waits for Python to say what is next. If you train
# ten seeds anyway, why not say it once for all ten? Give every parameter one more axis, for the seed, and let each operation run
# over all of them (`torch.func`; PyTorch calls it *model ensembling*).
#
# > **Predict.** A residual network with about two thousand weights: how many times as fast is it to train 2, 4 or 16 of them together? And an MLP
# > with fully connected layers only?

# %%
signals = load_dataset("mnist1d")
rows = []
for name in ("resnet1d-4", "mlp-100-100-100"):
    for networks in (2, 4, 8, 16):
        gain = lthlab.stacking_gain(build_model(name, signals), signals, recipe_for(name, "mnist1d"), networks, steps=8)
        rows.append((name, networks, gain))
gains = pd.DataFrame(rows, columns=["network", "seeds in one step", "gain"])

fig, ax = plt.subplots()
for (name, part), color, marker in zip(gains.groupby("network"), ["tab:gray", plots.ARM_COLORS["ticket"]], "so"):
    ax.plot(part["seeds in one step"], part["gain"], marker=marker, color=color, label=name)
ax.axhline(1, color="0.6", linestyle=":")
ax.set(xlabel="seeds in one step", ylabel="times as fast as one by one", ylim=(0, None))
ax.set_xscale("log", base=2)
ax.xaxis.set_major_formatter("{x:.0f}")
ax.legend()
plt.show()

# %% [markdown]
# *Measured here, one core or one card, medians of three turns; time of one training times the number of seeds, divided by the time of all in one step.
# Above the dotted line stacking pays.*
#
# The residual network gains: it calls dozens of small operations per step. The MLP gains little or loses: `lthlab` already trains it
# with a handful of calls written by hand (notebook 07), sparse ones on their kept weights alone, and stacking has to go the long
# way through autograd. So measure before you choose, or let `run_experiment(..., stack="auto")` do that: it stacks eight seeds where that is at least a tenth faster.

# %%
short = replace(recipe_for("resnet1d-4", "mnist1d"), duration="1ep", lr=0.05)
setting = {"arms": ["dense", "ticket"], "seeds": range(4), "levels": 1, "n_jobs": 1, "progress": False}
took, tables = {}, {}
for stack in (1, 4):
    began = time.perf_counter()
    tables[stack] = run_experiment("resnet1d-4", signals, short, stack=stack, **setting)
    took[stack] = time.perf_counter() - began
key = ["arm", "seed", "level"]
one, four = (tables[stack].query("split == 'test'").set_index(key)["value"] for stack in (1, 4))
apart = 100 * (one - four).abs()
print(f"four seeds in one step: {took[1] / took[4]:.2f} times as fast, reading and measuring included")
print(
    f"test accuracies of {len(apart)} trainings: {(apart == 0).sum()} the same, the others apart by at most {apart.max():.1f} points"
)

# %% [markdown]
# The differences are rounding: sums are taken in another order, and a difference in the seventh digit can grow from step to step, the
# faster the higher the learning rate (0.05 here, an eighth of the usual). Both are equally right, but they are not the
# same bits. That is why stacking is part of what names a run's folder.

# %% [markdown]
# ## 6. What will it cost?
#
# Before you move to a larger machine, estimate. The cost of an experiment is a product: **FLOPs of one step x steps x levels x
# arms x seeds**. Only the first factor needs a computer, and `lthlab.training_flops` counts it without training anything. Time is
# FLOPs divided by what your machine achieves. Is that one number? Measure a few networks:

# %%
rows = []
for name, data in (("mlp-100-100-100", signals), ("resnet1d-8", signals), ("lenet-300-100", pictures),
                   ("resnet-8", pictures), ("resnet-20", pictures), ("conv-2", pictures)):  # fmt: skip
    model = build_model(name, data)
    recipe = Recipe("sgd", 0.01, batch_size=60, duration="4it")
    seconds = min(lthlab.train(model, few(data), recipe, evaluate_every=0).seconds for _ in range(3)) / 4
    flops = lthlab.training_flops(model, data, recipe).total / 4
    rows.append((name, lthlab.parameters(model).total, flops, seconds, flops / seconds))
measured = pd.DataFrame(rows, columns=["network", "parameters", "FLOPs per step", "seconds per step", "FLOP/s"])
measured.style.format(
    {"parameters": "{:,}", "FLOPs per step": "{:.1e}", "seconds per step": "{:.1e}", "FLOP/s": "{:.1e}"}
)

# %%
fig, ax = plt.subplots()
ax.plot("FLOPs per step", "seconds per step", "o", data=measured, color=plots.ARM_COLORS["dense"])
best = measured["FLOP/s"].max()
line = np.array([measured["FLOPs per step"].min(), measured["FLOPs per step"].max()])
ax.plot(line, line / best, ":", color="0.5", label="the highest rate measured")
for row in measured.itertuples():
    place = (-42, 6) if row.network == "resnet-20" else (6, -12)
    ax.annotate(row.network, (row[3], row[4]), textcoords="offset points", xytext=place, fontsize=9)
ax.set(xscale="log", yscale="log", xlabel="FLOPs per training step (batch of 60)", ylabel="seconds per step")
ax.legend()
plt.show()

# %% [markdown]
# *Measured here, one core or one card, the fastest of three short runs for each network.*
#
# Not one number: points above the line waste time on something else than arithmetic. The rate differs from network to network, so
# an estimate from FLOPs alone is good to a factor of a few. That is enough to know whether an experiment takes a coffee break, a
# night or a lifetime.
#
# Now the papers' experiments, and what they would be for larger networks. Lengths and rates are the papers'; how far to prune is our
# choice; tickets only, without controls; each level trains the whole network once, as implementations with masks do.


# %%
def language_model(parameters, tokens):
    """FLOPs of training a transformer: 6 for each parameter (without embeddings) and token (Kaplan et al. 2020)."""
    return 6 * parameters * tokens


def prunings(density, rate=0.2):
    """How many times to prune by `rate` until at most `density` is left."""
    return int(np.ceil(np.log(density) / np.log(1 - rate)))


def step_flops(model, shape, batch):
    """FLOPs of one training step, counted on PyTorch's `meta` device: shapes without numbers, so nothing is computed."""
    from torch.utils.flop_counter import FlopCounterMode

    model = model.to("meta")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(batch, *shape, device="meta")).sum().backward()
    return counter.get_total_flops()


class Shape:  # what build_model needs to know of a data set
    classes, device = range(10), torch.device("cpu")

    def __init__(self, *shape):
        self.input_shape = shape


mnist, cifar = Shape(1, 28, 28), Shape(3, 32, 32)
rows = []
for name, data in (("lenet-300-100", mnist), ("conv-2", cifar), ("conv-6", cifar), ("resnet-20", cifar)):
    recipe, model = recipe_for(name, "cifar10"), build_model(name, data)
    levels = lthlab.count_levels(lthlab.full_masks(model), recipe, density=0.02)
    one_step = step_flops(model, data.input_shape, recipe.batch_size)
    rows.append((f"{name}, IMP to 2 %, 5 seeds", one_step * lthlab.count_steps(recipe.duration, 1), 1 + levels, 5))
resnet50 = step_flops(torchvision.models.resnet50(), (3, 224, 224), 1) * 1_281_167 * 90  # ImageNet, 90 epochs
rows.append(("ResNet-50 on ImageNet, IMP to 30 %, 3 seeds", resnet50, 1 + prunings(0.3), 3))
bert = language_model(85e6, 1e6 * 256 * (0.9 * 128 + 0.1 * 512))  # 256 sequences a step, mostly of 128 tokens
rows.append(("BERT base, pre-training, IMP to 30 %", bert, 1 + prunings(0.3), 1))
rows.append(("GPT-3, one training", language_model(175e9, 300e9), 1, 1))
rows.append(("GPT-3, IMP to 10 %", language_model(175e9, 300e9), 1 + prunings(0.1), 1))
bill = pd.DataFrame(rows, columns=["experiment", "FLOPs of one training", "trainings per seed", "seeds"])
bill["FLOPs"] = bill["FLOPs of one training"] * bill["trainings per seed"] * bill["seeds"]

GPU = 0.4 * 989e12  # FLOP/s: 40 % of an H100's 989 TFLOP/s in bfloat16 (dense, data sheet): a well-tuned large model
DAY = 86_400
bill["this machine (days)"] = bill["FLOPs"] / best / DAY
bill["one such GPU (days)"] = bill["FLOPs"] / GPU / DAY
power = lthlab.Assumptions(watts=700, overhead=1.1)
bill["tonnes CO2e on GPUs"] = [power.co2e_grams(days * DAY) / 1e6 for days in bill["one such GPU (days)"]]
numbers = bill.select_dtypes("number").columns.drop(["trainings per seed", "seeds"])
bill.style.format({column: "{:.2g}" for column in numbers}).hide(axis="index")

# %% [markdown]
# *Lengths: `recipe_for` (Frankle & Carbin 2019), 90 epochs of ImageNet (Frankle et al. 2020), one million steps of 256 sequences of
# 128, at the end 512 tokens (Devlin et al. 2019), 300 billion tokens (Brown et al. 2020). The first four are pruned at their recipe's rates,
# the others by 20 % of what is left each time; nobody has pruned BERT or GPT-3 this way from their first step: those rows are extrapolation. CO2e: 700 W
# per GPU, overhead 1.1, 480 g per kWh. The GPU's days are too optimistic for small networks: those of LeNet leave less than a microsecond for a
# step, and starting a single operation on a card takes longer than that.*
#
# Two things to see. First, IMP multiplies a bill by the number of levels, and for GPT-3 that is the difference between
# very expensive and out of the question. **The search is one reason why tickets are not in daily use.** Hardware that gains little from scattered zeros
# (notebook 07) is another; that large networks have no known tickets at their first values (notebook 05) is a third. Second, the first rows
# are cheap: *how* and *why* tickets work can be studied on small networks. Whether they work the same way in large ones cannot.
#
# If a training cost in proportion to its density, a search would be a geometric sum. For fully connected layers on a processor notebook 07 comes
# close to that. Measure a search here:

# %%
recipe = Recipe("adam", 1.2e-3, duration="60it")
find_ticket(
    build_model("lenet-300-100", pictures), few(pictures), replace(recipe, duration="1it"), levels=4
)  # compiles
search = find_ticket(build_model("lenet-300-100", pictures), few(pictures), recipe, levels=24)
seconds = np.array([level.history.seconds for level in search.levels])
levels = np.arange(25)
fig, ax = plt.subplots()
ax.plot(levels, levels + 1, color=plots.ARM_COLORS["dense"], label="each level costs a dense training (masks)")
ax.plot(
    levels, np.cumsum(seconds) / seconds[:3].mean(), ".-", color=plots.ARM_COLORS["magnitude"], label="measured: LeNet"
)
ax.plot(levels, np.cumsum(0.8**levels), "--", color=plots.ARM_COLORS["ticket"], label="each level costs its density")
ax.axhline(1 / (1 - 0.8), color="0.6", linestyle=":")
ax.set(xlabel="times pruned by 20 %", ylabel="cost of the search in dense trainings", ylim=(0, None))
ax.legend()
plt.show()
measured_cost = seconds.sum() / seconds[:3].mean()
print(
    f"25 trainings cost {measured_cost:.1f} dense ones here, {np.sum(0.8**levels):.1f} in proportion to density (never above {1 / 0.2:.0f})"
)

# %% [markdown]
# *Measured on this machine, 60 steps per level, one search; the mean of the first three levels counts as one dense training. On a graphics
# card `lthlab` trains with masks, and the measured line lies near the uppermost.*

# %% [markdown]
# ## 7. The paper's LeNet, at full length
#
# One row of that bill was paid. The reference run `fashion-mnist` is the paper's recipe, uncut, on all 60,000 pictures of
# Fashion-MNIST in place of MNIST (`python benchmarks/reference.py fashion-mnist` makes it again).

# %%
full = pd.read_csv(files("lthlab") / "assets/reference/fashion-mnist.csv")
story = pd.read_json(files("lthlab") / "assets/reference/fashion-mnist.json", typ="series")
steps, size = story["recipe"]["steps"], story["recipe"]["batch_size"]
ends = full.query("split == 'test' and metric == 'accuracy'")
print(f"{len(ends)} trainings of {steps:,} steps, batches of {size}, {len(story['seeds'])} seeds: {story['dataset']}")

sparse = pd.concat(
    [
        ends.query("arm != 'dense'"),
        *(ends.query("arm == 'dense'").assign(arm=arm) for arm in ("ticket", "reinitialised")),
    ]
)
ax = plots.accuracy_by_density(sparse.sort_values("density", ascending=False))
dense = lthlab.interval(ends.query("arm == 'dense'")["value"])
ax.axhspan(dense.low, dense.high, color=plots.ARM_COLORS["dense"], alpha=0.2, linewidth=0)
ax.axhline(dense.mean, color=plots.ARM_COLORS["dense"], linestyle="--", linewidth=1, label="dense")
ax.set(ylabel="test accuracy")
ax.legend()
plt.show()

# %%
for level in sorted(ends.query("arm == 'reinitialised'")["level"].unique()):
    rows = ends[(ends["level"] == level) | (ends["arm"] == "dense")]
    kept = rows.query("arm == 'ticket'")["density"].mean()
    print(
        f"{kept:6.1%} of the weights: ticket minus dense {lthlab.paired(rows, 'ticket', 'dense').points()},   "
        f"minus reinitialised {lthlab.paired(rows, 'ticket', 'reinitialised').points()}"
    )

# %% [markdown]
# *Test accuracy at the end of training in points, paired over seeds, 95 % intervals; grey: the dense network. Network, data order and
# recipe are those of each seed. The test set was looked at once per training.*
#
# At a fifth of the weights it is the paper's picture: the ticket is as good as the dense network, and with new values the same
# wiring is not. But look at the sparse end, and compare with notebook 03: there, on a seventh of the pictures and with a short training, tickets
# of a few percent of the weights were *better* than the dense network; here they are worse. Two things differ, the amount of data and the
# length, so this does not say which of them does it. It does say that "matching at 3.6 %" belongs to a setting, not to a network.

# %%
race = full.query("split == 'validation' and metric == 'accuracy' and level in [0, 12] and step <= 20000").copy()
race["steps"] = race["step"]
ax = plots.lines(race, x="steps")
ax.set(xlabel="training steps", ylabel="validation accuracy", ylim=(0.8, 0.92))
ax.yaxis.set_major_formatter(PercentFormatter(1))
plt.show()

# %% [markdown]
# *The first 20,000 of the steps, at level 12 for the two sparse networks; mean and 95 % band over seeds, validation pictures.* Tickets
# learn faster here, too.
#
# ## 8. CIFAR-10, with one line
#
# With a network connection or the files at hand, the papers' experiments on CIFAR-10 start like this (on a graphics card, or with much
# patience):
#
# ```python
# table = run_experiment("resnet-20", "cifar10", rewind_to="1000it", levels=12, seeds=range(5), folder="tickets")
# ```
#
# The recipe comes along: optimiser, length, schedule, augmentation, pruning rates.

# %%
names = ["conv-2", "conv-4", "conv-6", "resnet-20", "resnet-20 low", "resnet-20 warmup"]
columns = [
    "optimizer",
    "lr",
    "momentum",
    "weight_decay",
    "batch_size",
    "duration",
    "warmup",
    "augmentation",
    "fractions",
]
pd.DataFrame([asdict(recipe_for(name, "cifar10")) for name in names], index=names)[columns]

# %% [markdown]
# *Frankle & Carbin 2019, Figure 2, section 4 and appendices H and I. Their resnet-20 is called Resnet-18. `warmup` counts steps.*
#
# Why three recipes for one network? At a learning rate of 0.1 the paper found no tickets at the initial values. At 0.01, and at 0.03 with
# a slow start of 20,000 steps, it did, though at 0.01 all networks end lower. Rewinding to an early step (notebook 05, `rewind_to` in the line above) later
# made 0.1 work.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8))
dashes = {"resnet-20": "-", "resnet-20 low": "--", "resnet-20 warmup": ":"}
for name, dash in dashes.items():
    recipe = recipe_for(name, "cifar10")
    total = lthlab.count_steps(recipe.duration, 1)
    left.plot([recipe.lr_at(step, total) for step in range(total)], dash, color=plots.ARM_COLORS["dense"], label=name)
left.set(xlabel="training step", ylabel="learning rate", yscale="log", ylim=(1e-5, 1))
left.legend()
for name, marker in zip(("conv-2", "conv-4", "conv-6"), "os^"):
    masks = lthlab.full_masks(build_model(name, cifar))
    sizes = [kept for _, kept in zip(range(21), lthlab.level_sizes(masks, recipe_for(name, "cifar10")))]
    for kind, dash in (("conv", "-"), ("fc", ":")):
        kept = [sum(n for layer, n in level.items() if layer.startswith(kind)) for level in sizes]
        right.plot([n / kept[0] for n in kept], dash, marker=marker, markevery=5, color="0.3", label=f"{name}, {kind}")
right.set(xlabel="times pruned", ylabel="weights kept", yscale="log")
right.yaxis.set_major_formatter(PercentFormatter(1))
right.legend()
plt.show()

# %% [markdown]
# *Left: the learning rates. Right: what is left of the convolutions and of the fully connected layers (without the last one), by level;
# convolutions use each weight at every place of a picture, and the paper prunes them more gently.*
#
# Augmentation happens on the device, for a whole batch at once. The same seed moves the same picture in the same way at every level:

# %%
from lthlab.batches import draw_moves, shift_and_flip

boot = pictures.train.x[pictures.train.y == 9][:1].expand(8, -1, -1, -1)
moves = draw_moves(pictures, seed=0, epoch=0)[:8]
fig, axes = plt.subplots(1, 8, figsize=(11, 1.9))
for ax, picture, (down, right, mirrored) in zip(axes, pictures.pictures(shift_and_flip(boot, moves)), moves.tolist()):
    ax.imshow(picture[0], cmap="gray_r")
    ax.set_title(f"down {down}, right {right}" + (",\nmirrored" if mirrored else "\n"), fontsize=8)
    ax.set_axis_off()
plt.show()

# %% [markdown]
# No CIFAR-10 on this machine? Then see at least that the path works. CIFAR-10's binary format is as simple as a format can be: one byte
# for the class, then 3 x 32 x 32 bytes for the pixels. So here are 8,000 pictures of Fashion-MNIST, framed to 32 x 32 and printed in
# colour, in files that look like CIFAR-10's. `lthlab` holds 5,000 training pictures back for validation, as the paper does, so
# few are left to train on.

# %%
cifar_folder = scratch / "data" / "cifar-10-batches-bin"
cifar_folder.mkdir(parents=True)
raw = (pictures.pictures(pictures.train.x) * 255).round().byte().numpy()
framed = np.pad(raw, ((0, 0), (0, 0), (2, 2), (2, 2))) * np.array([1.0, 0.8, 0.5])[:, None, None]
records = np.concatenate([pictures.train.y[:, None].cpu().numpy(), framed.reshape(len(raw), -1)], axis=1).astype(
    np.uint8
)
for number, part in enumerate(np.array_split(records, 6)):
    part.tofile(cifar_folder / (f"data_batch_{number + 1}.bin" if number < 5 else "test_batch.bin"))
standin = load_dataset("cifar10", root=scratch / "data")
print(standin)

recipe = replace(recipe_for("resnet-20", "cifar10"), duration="3it", milestones=(1, 2), batch_size=32)
setting = {"levels": 2, "seeds": [0], "evaluate_every": 0, "n_jobs": 1, "progress": False}
table = run_experiment("resnet-20", few(standin, 100), recipe, **setting)
print(len(table.query("split == 'test'")), "trainings of 3 steps; densities", *table["density"].round(3).unique())

# %% [markdown]
# ## 9. Your own model
#
# Anything that is a `torch.nn.Module` will do. Here is a small transformer that reads a signal of `mnist1d` in ten pieces. Nothing in it knows
# of `lthlab`:


# %%
class Transformer(nn.Module):
    def __init__(self, pieces=10, width=32, classes=10):
        super().__init__()
        self.pieces = pieces
        self.embed = nn.Linear(40 // pieces, width)
        self.place = nn.Embedding(pieces, width)
        self.layer = nn.TransformerEncoderLayer(width, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True)
        self.out = nn.Linear(width, classes)

    def forward(self, x):
        words = self.embed(x.unflatten(2, (self.pieces, -1)).squeeze(1))
        places = self.place(torch.arange(self.pieces, device=x.device))
        return self.out(self.layer(words + places).mean(1))


lthlab.list_parameters(Transformer())

# %% [markdown]
# `list_parameters` says what can be pruned and what cannot, and why. The matrices of attention can: `in_proj_weight` holds those of query, key
# and value one above the other. `lthlab` leaves the rest alone: an embedding is a table, not a matrix that multiplies, and biases
# and norms are few. Most papers do the same. A model can also name layers to leave alone, in an attribute: `keep_dense = ("out",)`.
#
# For an experiment, give a function that builds the network. It may ignore the seed: `lthlab` sets PyTorch's generator before it calls.
#
# > **Predict.** Does a transformer of nine thousand weights have winning tickets? How far will the reinitialised one fall
# > behind at a quarter of the weights: 1 point, 5 points, more?


# %%
def build(dataset, seed):
    return Transformer()


recipe = Recipe("adamw", 0.01, weight_decay=0.01, batch_size=100, duration="8ep", schedule="cosine", warmup=40,
                fractions={"all": 0.3}, scope="global")  # fmt: skip
began = time.perf_counter()
attention = run_experiment(build, signals, recipe, arms=["dense", "ticket", "reinitialised"], seeds=range(3), levels=4,
                           control_levels=[4], evaluate_every="1ep", progress=False)  # fmt: skip
print(f"{time.perf_counter() - began:.0f} s")

race = attention.query("level in [0, 4]").assign(epoch=lambda rows: rows["step"] / 80)
ax = plots.race(race)
plt.show()
last = race.query("split == 'test'")
kept = last.query("level == 4")["density"].mean()
for arm in ("dense", "reinitialised"):
    print(
        f"at {kept:.0%} of the weights: ticket minus {arm} {lthlab.paired(last, 'ticket', arm).points()} (points of test accuracy)"
    )

# %% [markdown]
# *Validation accuracy, mean and 95 % interval over three seeds; ticket and reinitialised have the same masks. Eight epochs each: none of the
# three has reached its best, so this compares how fast they learn as well as how far they get. Learning rate and length were
# chosen on other seeds, by the validation accuracy of the dense network and by the time that this cell may take.*
#
# Networks from `torchvision` enter the same way, and so do data: `make_dataset` takes arrays, whether they come from NumPy, from a
# `torchvision` data set or from your files (bytes are pixels; with `tokens=True` whole numbers are tokens for an `nn.Embedding`).

# %%
standard = torchvision.datasets.FakeData(
    400, (3, 32, 32), num_classes=10, transform=torchvision.transforms.PILToTensor()
)
x, y = (np.stack([np.asarray(example[part]) for example in standard]) for part in (0, 1))
own = lthlab.make_dataset("noise", x[:300], y[:300], x[300:], y[300:], classes="abcdefghij", held_out=50)


def shufflenet(dataset, seed):
    return torchvision.models.shufflenet_v2_x0_5(num_classes=10)


tiny_recipe = Recipe("sgd", 0.01, 0.9, batch_size=50, duration="2it", fractions={"all": 0.2}, scope="global")
table = run_experiment(shufflenet, own, tiny_recipe, levels=2, seeds=range(2), evaluate_every=0, progress=False)
print(own)
print(
    (table["split"] == "test").sum(),
    "trainings of ShuffleNet; densities",
    *sorted(table["density"].round(3).unique(), reverse=True),
)

# %% [markdown]
# What stands in the way says so. (The second error is one of `initialize_` and `reinitialize`, which draw new values layer by layer; `run_experiment` takes
# this network, because it calls your function again with another seed.)


# %%
class Recurrent(nn.LSTM):
    """Nothing but a recurrent layer."""


for attempt in (lambda: lthlab.full_masks(Recurrent(4, 3)),
                lambda: lthlab.initialize_(torchvision.models.vit_b_16(image_size=32), seed=0),
                lambda: find_ticket(build_model("lenet-300-100", pictures), pictures, recipe, levels=1, density=0.1)):  # fmt: skip
    try:
        attempt()
    except (TypeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}")

# %% [markdown]
# ## 10. Take the ticket with you
#
# A masked network *is* an ordinary network with zeros in it: here the trained one, ready for use. (The ticket in the strict sense, the same zeros
# with the *first* values, is `lthlab.rewind(ticket.model, ticket.start, ticket.masks)`.) Save its `state_dict` and any PyTorch program can read it. If the file
# should be small, or a sparse kernel will read it, take compressed rows (CSR).

# %%
from safetensors.torch import save_file

ticket = find_ticket(
    build_model("lenet-300-100", pictures), pictures, Recipe("adam", 1.2e-3, duration="100it"), levels=15
)
lthlab.save_weights(ticket.model, scratch / "zeros.safetensors")
save_file(lthlab.csr_state(ticket.model, ticket.masks), scratch / "csr.safetensors")
for name in ("zeros", "csr"):
    print(f"{name}.safetensors: {(scratch / f'{name}.safetensors').stat().st_size / 1e3:,.0f} kB")

# %% [markdown]
# The program that reads them; `sys.modules["lthlab"] = None` makes sure that it could not import `lthlab` if it tried:

# %%
program = """
import sys
sys.modules["lthlab"] = None
import torch
from safetensors.torch import load_file

zeros, csr = (load_file(f"{sys.argv[1]}/{name}.safetensors") for name in ("zeros", "csr"))
parts = [csr[f"fc1.weight.{part}"] for part in ("crow_indices", "col_indices", "values")]
first = torch.sparse_csr_tensor(*parts, csr["fc1.weight.shape"].tolist())
print("the same first layer:", torch.equal(first.to_dense(), zeros["fc1.weight"]))
print(f"zeros in it: {(zeros['fc1.weight'] == 0).float().mean():.1%}")
"""
answer = subprocess.run([sys.executable, "-W", "ignore", "-c", program, scratch], capture_output=True, text=True)
print(answer.stdout + answer.stderr)

# %% [markdown]
# Whoever trains such a network further must set the zeros back after every step, or they fill up. PyTorch's own pruning tools keep a mask beside
# each weight for that. There and back:

# %%
first = ticket.model.fc1
lthlab.to_torch_prune_(ticket.model, ticket.masks)
print(
    "as torch.nn.utils.prune keeps it:", *[name for name, _ in first.named_buffers()], *dict(first.named_parameters())
)
masks = lthlab.from_torch_prune_(ticket.model)
same = all(masks[name].equal(mask) for name, mask in ticket.masks.items())
print("back:", *dict(first.named_parameters()), "- same masks:", same)

# %% [markdown]
# ## 11. Your turn
#
# 1. Kill *both* workers of section 3. What happens, and what is still there when you start the call again?
# 2. Use the bill of section 6 for the experiment that you would like to do most. Which factor would you cut first: steps, levels, arms
#    or seeds?
# 3. Let the transformer rewind to one epoch (`rewind_to="1ep"`). Do its tickets need that?
# 4. Bring a network of your own. Look at `list_parameters` first, then race ticket and reinitialised with five seeds. If you find something, the
#    [table of claims](README.md) has room for it.
#
# <details><summary>Answers</summary>
#
# 1. Dask starts both again (a `LocalCluster` watches its workers and replaces them), and the call goes on; two trainings were lost. On a cluster
#    whose workers do not come back, the call waits for new ones. Either way every finished level is in `folder`.
# 2. Not the seeds: below three there is no interval. Levels are cheap to save when you know which densities matter
#    (`control_levels` for the controls), steps when the effect shows early. Arms that answer no question are dearest.
# 3. Try it with the seeds from 100 on, then decide how many seeds the answer needs.
# 4. We are curious.
# </details>

# %% [markdown]
# ## Take away
#
# - One call, from a laptop to a cluster; where it runs is said around it, not in it. Finished levels are files, so a crash costs
#   only what was in flight.
# - Tiny networks wait for Python, large ones for arithmetic. Stack the first, give the second 16 bits and a compiler, and measure.
# - Cost is a product of five factors, and iterative pruning is one of them: for large networks the search costs more than it can save.
# - In a small transformer, trained briefly, a quarter of the weights learnt faster than all of them, and than the same wiring with new values.
#   Whether that survives a training to the end is open. And in your network?
# - A trained ticket is a network with zeros. It needs nobody's library.
#
# **Sources**: J. Frankle and M. Carbin, *The Lottery Ticket Hypothesis*, ICLR 2019. J. Frankle et al., *Linear Mode Connectivity and
# the Lottery Ticket Hypothesis*, ICML 2020. T. Chen et al., *The Lottery Ticket Hypothesis for Pre-trained BERT Networks*, NeurIPS
# 2020. J. Devlin et al., *BERT*, NAACL 2019. T. Brown et al., *Language Models are Few-Shot Learners*, NeurIPS 2020. J. Kaplan et
# al., *Scaling Laws for Neural Language Models*, arXiv:2001.08361, 2020. M. Rocklin, *Dask*, SciPy 2015.
