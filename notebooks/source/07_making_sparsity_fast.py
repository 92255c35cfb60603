# %% [markdown]
# # Making sparsity fast
#
# The article's second challenge: 90 % fewer parameters do not mean 90 % less cost. A
# network with a tenth of its weights needs a tenth of the arithmetic. Does it take a
# tenth of the time? In this notebook you find out on your own machine, see where the
# time goes, and get some of it back.
#
# **After this notebook you can**
# - time small pieces of code so that the result means something (section 1);
# - explain why a [mask](glossary.md#mask) alone makes nothing faster (section 2);
# - write down a sparse matrix as CSR, and say when it pays (sections 3 and 4);
# - say where the time of a training step goes, and what part of it sparsity can save (section 5);
# - compare pruned weights with pruned neurons by accuracy *and* by time (section 6).
#
# **You need** notebooks 02 and 03.
#
# **Time**: {time}

# %%
import copy
import statistics
import time
import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter
from torch import nn

import lthlab
from lthlab import build_model, drawings, full_masks, load_dataset, magnitude, plots
from lthlab.recipes import recipe_for
from lthlab.widgets import bets

torch.set_num_threads(1)  # one core: fewer things that can interfere with a measurement
plots.use_style()
warnings.filterwarnings("ignore", message="Sparse .* tensor support is in beta")

# %% [markdown]
# ## 1. How to time something
#
# Three rules. Run it a few times first (*warm up*: memory is fetched, code is compiled). Let the contenders **take
# turns**, so that a moment when the machine is busy hits all of them. Report the **median**, because one interruption can make a run ten times as
# long, and **ratios** of things measured side by side: microseconds do not travel to other machines.


# %%
def race(contenders, rounds=15, repeat=5):
    """Median microseconds per call of each function in a dict; they take turns."""
    times = {name: [] for name in contenders}
    for turn in range(rounds + 2):
        for name, run in contenders.items():
            began = time.perf_counter()
            for _ in range(repeat):
                run()
            if turn >= 2:  # the first two warm up
                times[name].append((time.perf_counter() - began) / repeat * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


bets.number(
    "07-mask",
    "A mask leaves LeNet a tenth of its weights. What percentage of the dense "
    "network's time does it take",
    low=0,
    high=150,
)


# %% [markdown]
# ## 2. Masks do not make anything faster
#
# LeNet-300-100, with all, a tenth and a hundredth of its [weights](glossary.md#weight), classifies 60 pictures.

# %% tags=["article-13"]
dataset = load_dataset("fashion-mini")
x = dataset.test.x[:60]
model = build_model("lenet-300-100", dataset)
networks, flops = {}, {}
for keep in (1.0, 0.1, 0.01):
    networks[keep] = build_model("lenet-300-100", dataset)
    masks = lthlab.prune(magnitude(model), full_masks(model), 1 - keep)
    lthlab.apply_masks_(networks[keep], masks)
    flops[keep] = lthlab.cost.inference_flops(model, dataset, masks).nonzero
with torch.no_grad():
    times = race({keep: (lambda net=net: net(x)) for keep, net in networks.items()})
both = pd.DataFrame({"FLOPs, relative": flops, "time, relative": times})
both = (both / both.loc[1.0]).rename_axis("weights kept")
bets.reveal("07-mask", 100 * both.loc[0.1, "time, relative"])
both.style.format("{:.2f}").format_index("{:.0%}")

# %% [markdown]
# The arithmetic ([FLOPs](glossary.md#flop)) shrinks, the time does not. A mask sets numbers to zero, and an ordinary, *dense*
# product of matrices multiplies by zero as carefully as by anything else. To be faster, a computation has to *know* where
# the zeros are, in a form that saves more than the knowing costs.

# %% [markdown]
# ## 3. CSR: write down only what is there
#
# **[CSR](glossary.md#csr)** (compressed sparse rows) stores three lists: the kept
# values, row by row; the column of each; and where in these lists each row begins. The
# last *row start* is the place after the end, that is, the number of kept values. A
# matrix small enough to read:

# %%
small = torch.tensor([[5.0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 1, 7], [0, 0, 3, 4]])
plots.show(drawings.csr(small))

# %% [markdown]
# Read it, then write the arrays of another matrix:
#
# $$\begin{pmatrix} 0 & 8 & 0 \\ 0 & 0 & 0 \\ 6 & 0 & 9 \end{pmatrix}$$

# %%
columns = ...  # your line: a list
row_starts = ...  # your line: a list

csr = torch.tensor([[0.0, 8, 0], [0, 0, 0], [6, 0, 9]]).to_sparse_csr()
right = csr.col_indices().tolist(), csr.crow_indices().tolist()
if ... in (columns, row_starts):
    print("Not written yet: your lists go where the three dots are.")
elif columns != right[0]:
    print("Not yet: the columns. Which does the 8 stand in, if you count from 0?")
elif row_starts != right[1]:
    print("Not yet: the starts. The empty row starts where the next one does.")
else:
    print("Right.")

# %% [markdown]
# <details><summary>The lists</summary>
#
# `columns = [1, 0, 2]`, and `row_starts = [0, 1, 1, 3]`: the last number says where a fourth row would begin.
# </details>
#
# For every 4-byte weight CSR also reads a 4-byte index, and then jumps to wherever that index points. **A sparse operation
# is several times as expensive as a dense one.** So sparsity pays only when there are fewer operations by more than that
# factor. Coarser patterns need fewer indices: **blocks** (one index for each small dense block), or a **smaller dense
# matrix**, where whole rows and columns (neurons) are gone, and no index is needed at all.
#
# ## 4. From which density does it pay?
#
# The first layer of LeNet, 300 x 784 weights, for a batch of 64. *CSR, compiled* is the product that `lthlab.train` uses for
# sparse networks: thirty lines of Python, turned into machine code by numba (`lthlab/fast/kernels.py`).
# A small program for one such operation is called a *kernel*.

# %%
from lthlab.fast import kernels
from lthlab.fast.sparse import CSR

ROWS, COLUMNS = 300, 784
weight, inputs = torch.randn(ROWS, COLUMNS), torch.randn(COLUMNS, 64)


def make_formats(keep):
    """The layer in every format of torch, all with as many kept weights."""
    smaller = round(ROWS * keep**0.5), round(COLUMNS * keep**0.5)
    formats = {
        "masked dense": weight,
        "CSR": (weight * (torch.rand(weight.shape) < keep)).to_sparse_csr(),
        "smaller dense": torch.randn(smaller),
    }
    for size in (4, 16):
        blocks = torch.rand(ROWS // size, COLUMNS // size) < keep
        pattern = blocks.repeat_interleave(size, 0).repeat_interleave(size, 1)
        cut = weight[: pattern.shape[0], : pattern.shape[1]]
        formats[f"blocks {size}x{size}"] = (cut * pattern).to_sparse_bsr((size, size))
    return formats


question = "On the machine of this page, torch's CSR beats dense from this density down"
bets.pick("07-pays", question, ["50 %", "30 %", "20 %", "10 %", "5 %", "3 %", "1 %"])


# %%
def make_contenders(keep):
    """The product of the layer with its inputs, in every format."""
    runs = {}
    for name, matrix in make_formats(keep).items():
        short = inputs[: matrix.shape[1]].clone()  # a smaller matrix takes fewer
        runs[name] = lambda matrix=matrix, short=short: matrix @ short
    if kernels.numba:  # without numba there is no compiled product
        csr = CSR(nn.Parameter(weight), torch.rand(weight.shape) < keep)
        arrays = csr.values.detach(), inputs, torch.zeros(ROWS, 64)
        arrays = [tensor.numpy() for tensor in arrays]
        multiply = kernels.compile_for(64)[0]
        runs["CSR, compiled"] = lambda: multiply(*csr.rows, *arrays)
    return runs


rows = []
for keep in (0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.01):
    found = race(make_contenders(keep), rounds=9)
    rows += [(name, keep, found["masked dense"] / took) for name, took in found.items()]
formats = pd.DataFrame(rows, columns=["format", "density", "speed-up"])

# %% tags=["article-14"]
FORMATS = ["masked dense", "CSR", "CSR, compiled", "blocks 4x4", "blocks 16x16"]
FORMATS += ["smaller dense"]
COLORS = dict(zip(FORMATS, sns.color_palette("colorblind")))
figure, ax = plt.subplots(figsize=(8.5, 5))
densities = np.sort(formats["density"].unique())
ax.plot(densities, 1 / densities, "--", color="0.6", label="theoretical: 1 / density")
for marker, name in zip("osv^DP", FORMATS):
    here = formats[formats["format"] == name]
    look = {"marker": marker, "color": COLORS[name], "label": name}
    ax.plot(here["density"], here["speed-up"], **look)
plots.density_axis(ax, densities)
ax.set(yscale="log", ylabel="speed-up over the dense layer")
ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}x")
ax.legend()
plots.show(
    "Speed-up against density. Masked dense stays at one; the sparse formats cross it "
    "between a half and a tenth and stay well below the dashed theoretical line; the "
    "smaller dense matrix runs closest to it."
)
pays = formats[formats["speed-up"] > 1.1].groupby("format")["density"].max()
print("pays from this density down:", pays.map("{:.0%}".format).to_dict())
bets.reveal("07-pays", f"{100 * pays['CSR']:.0f} %")

# %% [markdown]
# *One layer of 784 inputs and 300 neurons, batch 64, forward, one core; medians of runs that took turns. "Smaller dense" is
# a matrix with as many weights as are kept.* The dashed line is what papers call *theoretical speed-up*; *masked dense* is
# what pruning libraries give you. The densities belong to *this* machine.

# %% [markdown] tags=["deep"]
# ### Deep dive: what your machine can do
#
# A computation needs two things: arithmetic, and data to do it on. Your machine delivers both at some greatest rate.
# Measure them: a large product of matrices does almost nothing but arithmetic, a copy does nothing but move data.

# %% tags=["deep"]
big, source = torch.randn(768, 768), torch.randn(32_000_000)
target = torch.empty_like(source)
work = {"product": lambda: big @ big, "copy": lambda: target.copy_(source)}
found = race(work, rounds=7, repeat=1)
PEAK = 2 * 768**3 / found["product"] * 1e6  # floating-point operations per second
BANDWIDTH = 2 * 4 * len(source) / found["copy"] * 1e6  # bytes read and written
print(f"arithmetic: {PEAK / 1e9:.0f} GFLOP/s; memory: {BANDWIDTH / 1e9:.0f} GB/s")
ratio = PEAK / BANDWIDTH
print(f"so {ratio:.0f} operations per byte are needed to keep the arithmetic busy")
source = target = None  # 256 MB that nobody needs any more

# %% [markdown] tags=["deep"]
# A computation that does fewer operations per byte than that waits for memory, whatever its FLOPs. The number of
# operations per byte is its **intensity**, and the picture of what is possible at each intensity is called the
# **roofline**.
#
# Take the first layer of LeNet, 300 x 784 weights, for batches of different size, dense and with 5 % of its weights in
# CSR.

# %% tags=["deep"]
KEEP = 0.05
mask = torch.rand(ROWS, COLUMNS) < KEEP
sparse_weight = (weight * mask).to_sparse_csr()
rows = []
for batch in (1, 8, 64, 512):
    inputs = torch.randn(COLUMNS, batch)
    layers = {"masked dense": weight, "CSR": sparse_weight}
    found = race({k: lambda m=m, i=inputs: m @ i for k, m in layers.items()})
    moved = 4 * batch * (ROWS + COLUMNS)  # inputs and outputs
    for name, kept, size in ("masked dense", weight.numel(), 4), ("CSR", mask.sum(), 8):
        useful = 2 * int(kept) * batch
        intensity = useful / (size * int(kept) + moved)
        rows.append((name, batch, intensity, useful / found[name] * 1e6))
roofline = pd.DataFrame(rows, columns=["layer", "batch", "intensity", "rate"])

# %% tags=["deep"]
figure, ax = plt.subplots(figsize=(8, 4.6))
span = np.geomspace(0.1, 200, 100)
roof = np.minimum(span * BANDWIDTH, PEAK) / 1e9
ax.plot(span, roof, color="0.4", label="roof: this machine at its best")
halo = withStroke(linewidth=2, foreground="white")
beside = {"textcoords": "offset points", "fontsize": 9, "path_effects": [halo]}
for name, points in roofline.groupby("layer"):
    x_y, color = (points["intensity"], points["rate"] / 1e9), COLORS[name]
    ax.plot(*x_y, marker="os"[name == "CSR"], color=color, label=name)
    for batch, *place in zip(points["batch"], *x_y):
        at = (-14, 5) if name == "masked dense" else (-2, -14)
        ax.annotate(str(batch), place, xytext=at, color=color, **beside)
ax.set(xscale="log", xlabel="intensity: operations per byte")
ax.set(yscale="log", ylabel="operations, in GFLOP/s")
ax.margins(y=0.12)
ax.legend()
plots.show(
    "Operations per second against operations per byte, logarithmic. Dense layers with "
    "large batches reach the flat roof; CSR stays far below it."
)

# %% [markdown] tags=["deep"]
# *Measured here, one core; medians. The numbers beside the points are the batches. For
# CSR only products with kept weights count as operations. A point above the
# sloping roof is no mistake: the small matrices fit into the processor's caches,
# which are faster than the memory that the copy measured. Nor is one a little above the
# flat roof: that roof is one product that was timed, and another can be faster.*
#
# Dense layers with large batches touch the ceiling. CSR stays far below it: for every 4-byte weight it also reads a
# 4-byte index, and then jumps to wherever that index points. A sparse operation is several times as expensive as a
# dense one.

# %% [markdown] tags=["deep"]
# ### Deep dive: batch and width
#
# Does section 4's picture hold for other layers? A square layer of some width, some batch, 5 % of the weights, CSR against dense:


# %% tags=["deep"]
def csr_speedup(width, batch, keep=0.05):
    w, i = torch.randn(width, width), torch.randn(width, batch)
    s = (w * (torch.rand(width, width) < keep)).to_sparse_csr()
    found = race({"dense": lambda: w @ i, "CSR": lambda: s @ i}, rounds=5, repeat=3)
    return found["dense"] / found["CSR"]


widths, batches = (100, 300, 1000, 2000), (1, 16, 64, 256)
grid = [[csr_speedup(width, batch) for batch in batches] for width in widths]
grid = pd.DataFrame(grid, index=widths, columns=batches)
figure, ax = plt.subplots()
look = {"annot": True, "fmt": ".1f", "cmap": "viridis"}
sns.heatmap(grid, ax=ax, **look, cbar_kws={"label": "speed-up of CSR at 5 %"})
ax.set(xlabel="batch", ylabel="width of the layer")
plots.show(
    "Speed-up of CSR at 5 % by width of the layer and batch, as numbers in a grid: it "
    "depends on both, and is smallest for narrow layers."
)

# %% [markdown] tags=["deep"]
# *Medians, one core.* Your turn with the knobs: the next two cells make sliders (they
# move only while Python runs behind the notebook). Each move measures anew.

# %% tags=["deep"]
from ipywidgets import SelectionSlider, interact


def measure_layer(width, batch, density):
    """Say how CSR compares with dense for one layer, and what its FLOPs promise."""
    share = 1 / csr_speedup(width, batch, density)
    print(f"width {width}, batch {batch}, {density:.0%} kept: CSR takes {share:.2f} of")
    print(f"the dense time; by FLOPs it would be {density:.2f}")


knobs = {
    "width": (100, 200, 300, 500, 1000, 2000),
    "batch": (1, 4, 16, 60, 256),
    "density": (0.01, 0.02, 0.05, 0.1, 0.3),
}
# %% tags=["deep"]
sliders = {
    name: SelectionSlider(options=values, value=values[2], continuous_update=False)
    for name, values in knobs.items()
}
interact(measure_layer, **sliders)
measure_layer(500, 60, 0.1)

# %% [markdown]
# ## 5. Where the time of a training step goes
#
# Training does three products per layer where inference does one, and then updates every weight. A sparse training step
# keeps *only the kept weights* as parameters: forward with CSR, gradients only where a weight is kept, and memory of the
# [optimiser](glossary.md#optimiser) only for those. `lthlab.train(..., step="fast")`
# does that in fully connected networks, and so do `find_ticket` and `run_experiment`.
#
# The next cells time the four parts of a step, once masked and dense, once with CSR:
# pick the batch, forward and backward, the optimiser, and the mask (setting pruned
# weights to zero again).

# %%
from lthlab.fast.by_hand import ByHand, chain_of
from lthlab.fast.sparse import Sparse
from lthlab.steps import make_optimizer

recipe = replace(recipe_for("lenet-300-100", dataset), duration="100it")
WAYS = {"masked dense": ByHand, "CSR, compiled": Sparse}
if not kernels.numba:  # without numba there is no compiled step
    WAYS["CSR, compiled"] = ByHand

bets.number(
    "07-step",
    "With 3.6 % of LeNet's weights the theoretical speed-up is 28. How many times as "
    "fast is a whole sparse training step",
    low=0.5,
    high=28,
)


# %%
def parts_of_step(way, keep):
    """Seconds of each part of a training step."""
    net, indices = build_model("lenet-300-100", dataset), torch.arange(60)
    masks = lthlab.prune(lthlab.pruning.random(net), full_masks(net), 1 - keep)
    step = WAYS[way](net, masks, recipe, chain_of(net))
    optimizer = make_optimizer(step.trained.values(), recipe)
    step.load()
    x, y = dataset.train.x[indices], dataset.train.y[indices]
    step(x, y)
    optimizer.step()
    parts = {
        "pick the batch": lambda: (dataset.train.x[indices], dataset.train.y[indices])
    }
    parts |= {"forward and backward": lambda: step(x, y)}
    parts |= {"optimiser": step.updater(optimizer), "mask": step.keep_pruned_at_zero}
    return {name: took / 1e6 for name, took in race(parts, rounds=40).items()}


# %%
measured = {way: parts_of_step(way, 0.036) for way in WAYS}
figure, axes = plt.subplots(1, 2, figsize=(12, 2.2))
said = []
for ax, (name, parts) in zip(axes, measured.items()):
    said.append(f"{name}: {drawings.step_time(parts, ax=ax)}")
    ax.set_title(name)
limit = max(ax.get_xlim()[1] for ax in axes)
for ax in axes:
    ax.set_xlim(0, limit)
figure.tight_layout()
plots.show(" ".join(said))
dense, sparse = (sum(parts.values()) for parts in measured.values())
bets.reveal("07-step", dense / sparse)

# %% [markdown]
# *LeNet-300-100 with 3.6 % of its weights, Adam, batch 60, one core; each part measured alone, medians.* Products and optimiser shrink with the
# weights. Picking the batch does not. What cannot shrink sets the limit, however few
# weights are left.

# %% [markdown] tags=["deep"]
# ### Deep dive: training at every density, and a whole search
#
# `step="fast"` changes over to CSR below a density that is the same everywhere: it was measured once, on two processors,
# and is not measured on yours, so that a result never depends on how fast a machine
# was. The right place on your machine is where the line of CSR crosses one. Is it the
# same?

# %% tags=["deep"]
BELOW = lthlab.fast.SPARSE_BELOW
print(f"fully connected networks train sparse below {BELOW:.0%} density")
few = lthlab.Split(dataset.validation.x[:20], dataset.validation.y[:20])
quiet = replace(dataset, validation=few)  # so that the time is that of training


def choose(way):
    """The step of one way, whatever the density."""

    def make_step(model, masks, recipe, loss):
        return WAYS[way](model, masks, recipe, chain_of(model))

    return make_step


def step_time(keep, way):
    """Microseconds per training step, everything included."""
    net = build_model("lenet-300-100", dataset)
    masks = lthlab.prune(lthlab.pruning.random(net), full_masks(net), 1 - keep)
    options = {"evaluate_every": 0, "step": choose(way)}
    return lthlab.train(net, quiet, recipe, masks, **options).seconds / 100 * 1e6


# %% tags=["deep"]
rows = []
for turn in range(4):
    for keep in (0.8, 0.5, 0.3, 0.2, 0.1, 0.036, 0.01):
        for way in WAYS:
            took = step_time(keep, way)
            if turn:  # the first one warms up
                rows.append((way, keep, took))
steps = pd.DataFrame(rows, columns=["way", "density", "time"])
steps = steps.groupby(["way", "density"])["time"].median().unstack("way")
dense_step = steps["masked dense"].median()

# %% tags=["deep"]
figure, ax = plt.subplots(figsize=(8, 4.4))
for name in steps.columns:
    gain = dense_step / steps[name]
    look = {"marker": "o", "color": COLORS[name], "label": name}
    ax.plot(steps.index, gain, linestyle="-" if "CSR" in name else ":", **look)
ax.plot(
    steps.index, 1 / steps.index, "--", color="0.6", label="theoretical: 1 / density"
)
ax.axvline(BELOW, color="0.3", linestyle=":", zorder=0)
plots.density_axis(ax, steps.index)
ax.set(yscale="log", ylabel="speed-up of a whole training step")
ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}x")
ax.legend()
plots.show(
    "Speed-up of a whole training step against density: masked dense stays at one; CSR "
    "begins below it, crosses it and rises to several times, far below theory. "
    f"A dotted line marks {BELOW:.0%}."
)

# %% [markdown] tags=["deep"]
# *LeNet-300-100, Adam, batch 60, one core, medians of three. The dotted line is where
# `step="fast"` changes over. Here everything counts, also what lies between the parts
# that section 5 measured, so the gain is smaller than there.*

# %% tags=["deep"]
masks = lthlab.prune(magnitude(model), full_masks(model), 0.95)
two_epochs = replace(recipe, duration="2ep")
for way in WAYS:
    net = build_model("lenet-300-100", dataset)
    history = lthlab.train(net, dataset, two_epochs, masks, seed=0, step=choose(way))
    accuracy = f"accuracy {history.value():.2%}"
    print(f"{way:13s} training at 5 %: {accuracy}, {history.seconds:.1f} s")

# %% [markdown] tags=["deep"]
# Same masks, same data order; the two ways differ in rounding alone. And a whole run of iterative magnitude pruning,
# down to 1.5 %: twenty trainings, each of a sparser network.
#
# If a training cost as much as its density says, all twenty would cost five dense ones.

# %% tags=["deep"]
bets.number("07-search", "How many dense trainings do the twenty cost", low=1, high=20)

# %% tags=["deep"]
net = build_model("lenet-300-100", dataset)
ticket = lthlab.find_ticket(net, quiet, two_epochs, levels=19, evaluate_every=0)
seconds = np.array([level.history.seconds for level in ticket.levels])
densities = np.array([level.density for level in ticket.levels])
cost = seconds / seconds[0]
figure, ax = plt.subplots(figsize=(8, 3.4))
labels = [f"{100 * density:.3g} %" for density in densities]
ax.bar(labels, cost, color=COLORS["CSR, compiled"])
ax.plot(labels, densities, "--", color="0.6", label="as if cost were density")
ax.set(xlabel="weights kept at each level", ylabel="cost, in dense trainings")
ax.tick_params(axis="x", rotation=60)
ax.legend()
plots.show(
    "Cost of each of twenty trainings, in dense ones: the first few cost one or more "
    "each, then they fall, but stay above the dashed line of the densities."
)
bets.reveal("07-search", cost.sum())
print(f"if cost were density: {densities.sum():.1f}")
print(f"the last one costs {cost[-1]:.2f}, and its density is {densities[-1]:.3f}")

# %% [markdown] tags=["deep"]
# The search costs fewer dense trainings than it has levels, and more than its densities add up to: a step has a part
# that does not shrink with the weights, such as picking the batch, activations and the loss, and a kept weight costs
# more in CSR.

# %% [markdown] tags=["deep"]
# ### Deep dive: what is dead can go
#
# In a very sparse network some pixels have no weight left, and some neurons neither inputs nor outputs. They can be
# removed **exactly**: the smaller network gives the same outputs up to rounding, with
# dense kernels and no special format. How much is dead?

# %% tags=["deep"]
rows = []
for number in (0, 5, 10, 15, 19):
    level = ticket.levels[number]
    net = lthlab.rewind(ticket.model, ticket.start, level.masks)
    compact = lthlab.fast.compact(net, level.masks)
    layers = [part for part in compact if isinstance(part, nn.Linear)]
    sizes = [layers[0].in_features, *[layer.out_features for layer in layers]]
    with torch.no_grad():
        difference = float((net(x) - compact(x)).abs().max())
        found = race({"whole": lambda n=net: n(x), "compact": lambda n=compact: n(x)})
    gain = f"{found['whole'] / found['compact']:.1f}x"
    sizes = " - ".join(map(str, sizes))
    rows.append((f"{level.density:.1%}", sizes, f"{difference:.0e}", gain))
columns = ["density", "sizes", "largest difference of outputs", "speed-up"]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown] tags=["deep"]
# Even in the sparsest of these tickets most neurons are alive, and no saving is seen.
# The smaller network also has to pick the pixels that it looks at. That takes time even
# where it needs all of them, as in the first row.

# %% [markdown]
# ## 6. Prune whole neurons instead?
#
# If smaller dense matrices are what machines like, why not prune whole neurons at once
# ([structured pruning](glossary.md#structured-pruning))? That depends on what it costs
# in accuracy. Below, both ways start from the same trained network, keep as many
# weights, and retrain for as long. The dense network is trained on for as long, too, so
# that pruning is not praised for what mere training does.


# %%
def prune_neurons(net, keep):
    """A smaller network: of each hidden layer the neurons of largest norm."""
    layers = [part for part in net if isinstance(part, nn.Linear)]
    chosen = [torch.arange(layers[0].in_features)]
    for layer, following in zip(layers, layers[1:]):
        # a norm: the root of the sum of squares, here of the weights in, and out
        norms = layer.weight.norm(dim=1) * following.weight.norm(dim=0)
        best = norms.topk(max(1, round(keep * len(norms)))).indices
        chosen.append(best.sort().values)
    chosen.append(torch.arange(layers[-1].out_features))
    parts = [nn.Flatten()]
    for layer, inner, outer in zip(layers, chosen, chosen[1:]):
        smaller = nn.Linear(len(inner), len(outer))
        smaller.weight.data = layer.weight.data[outer][:, inner]
        smaller.bias.data = layer.bias.data[outer]
        parts += [smaller, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def count_weights(net):
    return sum(p.numel() for p in net.parameters() if p.dim() > 1)


# %%
def in_csr(net):
    """The same network as a function of x, with CSR in place of masked weights."""
    parts = [part for part in net if isinstance(part, nn.Linear)]
    layers = [(p.weight.detach().to_sparse_csr(), p.bias.detach()) for p in parts]
    transposed = x.flatten(1).t().contiguous()

    def run():
        h = transposed
        for number, (weight, bias) in enumerate(layers):
            h = weight @ h + bias[:, None]
            h = h.relu_() if number < len(layers) - 1 else h
        return h

    return run


bets.pick(
    "07-neurons",
    "About a tenth of the weights is left, and retrained. More accurate is the network",
    ["pruned by weights", "pruned by neurons"],
)

# %%
fast = {"step": "fast", "evaluate_every": 0}
eight_epochs, retrain = replace(recipe, duration="8ep"), replace(recipe, duration="4ep")
trained = build_model("lenet-300-100", dataset, seed=0)
dense_accuracy = lthlab.train(trained, dataset, eight_epochs, seed=0, **fast).value()
longer = lthlab.train(copy.deepcopy(trained), dataset, retrain, seed=1, **fast).value()
rows = []
for keep in (0.5, 0.25, 0.1, 0.05, 0.02):
    small, net = prune_neurons(trained, keep), copy.deepcopy(trained)
    share = count_weights(small) / count_weights(trained)
    masks = lthlab.prune(magnitude(net), full_masks(net), 1 - share)
    structured = lthlab.train(small, dataset, retrain, seed=1, **fast).value()
    unstructured = lthlab.train(net, dataset, retrain, masks, seed=1, **fast).value()
    contenders = {"dense": lambda: trained(x), "small": lambda net=small: net(x)}
    with torch.no_grad():
        found = race(contenders | {"CSR": in_csr(net)})
    dense = found["dense"]
    rows += [
        ("neurons (smaller dense)", share, structured, dense / found["small"]),
        ("weights (CSR)", share, unstructured, dense / found["CSR"]),
    ]
trade = pd.DataFrame(rows, columns=["way", "weights", "accuracy", "speed-up"])

# %%
figure, axes = plt.subplots(1, 2, figsize=(12.5, 4.4), sharey=True)
looks = {"neurons (smaller dense)": "s--", "weights (CSR)": "o-"}
for way, points in trade.groupby("way"):
    color = COLORS["CSR" if "CSR" in way else "smaller dense"]
    for ax, column in zip(axes, ("weights", "speed-up")):
        ax.plot(points[column], points["accuracy"], looks[way], color=color, label=way)
for ax in axes:
    ax.axhline(longer, color=plots.arm_color("dense"), linestyle=":", label="dense")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
plots.density_axis(axes[0], trade["weights"])
axes[0].set(ylabel="validation accuracy after retraining")
axes[1].set(xscale="log", xlabel="speed-up of inference, batch 60")
axes[1].set_xticks([0.5, 1, 2, 3, 5, 10], ["0.5x", "1x", "2x", "3x", "5x", "10x"])
axes[1].minorticks_off()
axes[0].legend()
plots.show(
    "Accuracy after retraining, against the weights kept and against the speed-up. For "
    "as many weights, single weights keep more accuracy; at the same speed that "
    "lead is gone, and the smaller dense network is level or ahead."
)
tenth = trade[(trade["weights"] - 0.1).abs() == (trade["weights"] - 0.1).abs().min()]
best = tenth.sort_values("accuracy")["way"].iloc[-1]
bets.reveal("07-neurons", f"pruned by {best.split()[0]}")

# %% [markdown]
# *One seed, so read large differences only. Dotted: dense, trained as long.* Left:
# where few weights are kept, a network that lost single weights is more accurate than
# one of the same size that lost neurons. Where many are kept, the two are close. Right:
# at the same speed that lead is gone. On the machine of this page the smaller dense
# network is level there, or ahead. That is the dilemma of the field in a nutshell:
# **accuracy wants fine patterns, machines want coarse ones.**

# %% [markdown] tags=["deep"]
# ### Deep dive: channels
#
# **Channels** are the neurons of a convolution. Each is computed by a *filter*, a small
# set of weights of its own. Remove a filter, and one channel of the output goes, and
# with it one input channel of every filter in the next layer. The usual choice is the
# filters of smallest norm (Li et al. 2017).
# There are hardly any sparse kernels for convolutions, so here the fine pattern has no fast way at all: it runs masked,
# and dense.


# %% tags=["deep"]
def prune_channels(net, keep):
    """A smaller network: of each convolution the filters of largest L1 norm."""
    smaller = copy.deepcopy(net)
    channels = net[0].in_channels  # that the layer at hand receives
    inner = torch.arange(channels)  # those of them that are left
    for layer, new in zip(net, smaller):
        if not isinstance(layer, (nn.Conv2d, nn.Linear)):
            continue
        norms = layer.weight.abs().flatten(1).sum(1)
        outer = torch.arange(len(norms))
        if isinstance(layer, nn.Conv2d):
            outer = norms.topk(round(keep * len(norms))).indices.sort().values
            new.in_channels, new.out_channels = len(inner), len(outer)
        else:  # each channel arrives as a block of pixels
            pixels = layer.in_features // channels
            inner = (inner[:, None] * pixels + torch.arange(pixels)).flatten()
            new.in_features = len(inner)
        new.weight.data = layer.weight.data[outer][:, inner]
        new.bias.data = layer.bias.data[outer]
        inner, channels = outer, len(norms)
    return smaller


# %% tags=["deep"]
def convolutions(dataset, seed):
    """Two convolutions and an output layer; `build_model` sees to the seed."""
    pairs = [
        [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        for before, after in ((1, 16), (16, 32))
    ]
    return nn.Sequential(*pairs[0], *pairs[1], nn.Flatten(), nn.Linear(32 * 49, 10))


conv_recipe = lthlab.Recipe("adam", 2e-3, batch_size=60, duration="4ep")
shorter = replace(conv_recipe, duration="2ep")
conv_net = build_model(convolutions, dataset, seed=0)
conv_accuracy = lthlab.train(conv_net, dataset, conv_recipe, seed=0).value()
conv_longer = lthlab.train(copy.deepcopy(conv_net), dataset, shorter, seed=1).value()

# %% tags=["deep"]
rows = [("dense", 1.0, conv_accuracy, 1.0)]
rows += [("dense, trained as long", 1.0, conv_longer, 1.0)]
for keep in (0.5, 0.25):
    small, fine = prune_channels(conv_net, keep), copy.deepcopy(conv_net)
    share = count_weights(small) / count_weights(conv_net)
    masks = lthlab.prune(magnitude(fine), full_masks(fine), 1 - share, "global")
    names = [f"{keep:.0%} of the channels", "as many single weights"]
    accuracies = [
        lthlab.train(small, dataset, shorter, seed=1).value(),
        lthlab.train(fine, dataset, shorter, masks, seed=1).value(),
    ]
    contenders = {"dense": conv_net, names[0]: small, names[1]: fine}
    with torch.no_grad():
        found = race({k: lambda net=net: net(x) for k, net in contenders.items()})
    for name, accuracy in zip(names, accuracies):
        rows.append((name, share, accuracy, found["dense"] / found[name]))
columns = ["network", "weights kept", "accuracy", "speed-up"]
shown = {"weights kept": "{:.0%}", "accuracy": "{:.1%}", "speed-up": "{:.1f}x"}
pd.DataFrame(rows, columns=columns).style.format(shown).hide(axis="index")

# %% [markdown] tags=["deep"]
# *A small convolutional network, inference at batch 60; each pruned network was retrained for half as many epochs as
# the dense one had, and so was the dense one in the second row. One seed.* The smaller network is faster with the
# kernels that everybody has; the masked one is as slow as before, whatever it keeps.

# %% [markdown] tags=["deep"]
# ### Deep dive: two of four
#
# A compromise that hardware supports: of every **four** neighbouring weights in a row keep the **two** largest,
# [2:4](glossary.md#24) for short. The index of a weight in its
# group takes two bits, and NVIDIA's cards since 2020 (their *tensor cores*, the parts
# that multiply matrices) skip the other half.

# %% tags=["deep"]
plots.show(drawings.two_of_four())

# %% [markdown] tags=["deep"]
# What it costs in accuracy can be tried anywhere:


# %% tags=["deep"]
def two_of_four(weight):
    """A mask that keeps the two largest of every four neighbours in a row."""
    groups = weight.abs().reshape(len(weight), -1, 4)
    mask = torch.zeros_like(groups, dtype=torch.bool)
    return mask.scatter_(2, groups.topk(2, dim=2).indices, True).view_as(weight)


masks = full_masks(trained)
for name in ("fc1.weight", "fc2.weight"):  # NVIDIA's recipe spares delicate layers, too
    masks[name] = two_of_four(trained.state_dict()[name])
    assert (masks[name].reshape(-1, 4).sum(1) == 2).all()
net = lthlab.apply_masks_(copy.deepcopy(trained), masks)
pruned = lthlab.evaluate(net, dataset.validation)["accuracy"]
again = lthlab.train(net, dataset, retrain, masks, seed=1, **fast).value()
print(f"dense {dense_accuracy:.1%}, trained as long as the retrained one {longer:.1%}")
print(f"2:4, output layer dense: {pruned:.1%}, retrained {again:.1%}")

# %% tags=["deep", "article-15"]
gap = 100 * (again - longer)
print(f"2:4 in both hidden layers: {gap:+.1f} points, one seed,")
print("against dense trained as long")
if torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0):
    from torch.sparse import to_sparse_semi_structured

    square, activations = torch.randn(2, 4096, 4096, device="cuda").half()
    half = square * two_of_four(square)
    packed = to_sparse_semi_structured(half)

    def run(matrix):
        matrix @ activations
        torch.cuda.synchronize()

    found = race({"dense": lambda: run(half), "2:4": lambda: run(packed)})
    gain = found["dense"] / found["2:4"]
    print(f"2:4, 4096 x 4096, half precision: {gain:.2f} times as fast as dense here")
else:
    print("No GPU with 2:4 support here, so there is no time to show:")
    print("a processor has no such instruction.")

# %% [markdown] tags=["deep"]
# ### Deep dive: memory
#
# Sparse weights take less room, but their indices take some, too:

# %% tags=["deep"]
levels = {f"{level.density:.1%}": level.masks for level in ticket.levels[::4]}
memory = {density: lthlab.cost.storage_bytes(kept) for density, kept in levels.items()}
memory = pd.DataFrame(memory).T.rename_axis("density")
(memory.div(memory["dense"], axis=0)).style.format("{:.1%}")

# %% [markdown] tags=["deep"]
# *Bytes in relation to dense. `bitmap`: kept values and one bit per weight, good for files; CSR: a value and an index
# each.*

# %% [markdown]
# ## 7. What to choose when
#
# | you want | and have | take |
# |---|---|---|
# | smaller files | any but the lowest densities | kept values and one bit for each weight |
# | faster inference on a processor | a few percent of the weights | CSR |
# | faster inference anywhere | some accuracy to lose | whole neurons or channels: a smaller dense network |
# | faster inference on a recent NVIDIA GPU | large layers | 2:4 |
# | faster *training* of sparse networks | fully connected layers, a processor | kept weights as the only parameters (section 5) |
# | to study tickets | any network | masks: they save no time, but they work everywhere |
#
# ## 8. Your turn
#
# A training step takes 1 ms, of which 0.7 ms are products. Sparsity cuts the products
# to a tenth. How many times as fast is the step? And if they cost nothing?
#
# <details><summary>Answer</summary>
#
# 0.3 + 0.07 = 0.37 ms, so 2.7 times as fast; and 1 / 0.3 = 3.3 times at best. The part that does not shrink decides.
# </details>
#
# [The exercise sheet](exercises/07_making_sparsity_fast.py) has tasks with checks.

# %% [markdown] tags=["deep"]
# ### Deep dive: more to try
#
# - At which density does CSR pay for *one* picture (batch 1)? Reason with bytes first, then measure with the knobs.
# - Use two threads (`torch.set_num_threads(2)`) and repeat section 4. Who gains?
# - Sort the columns (pixels) of a ticket's first layer by the number of kept weights.
#   Would blocks of 4x4 find something to keep
#   together?
# - Prune the neurons of section 6 in five small steps with retraining between them, as IMP does. Does that help?
#
# <details><summary>Answers</summary>
#
# At batch 1 the dense product waits for memory: it reads every weight and uses it once. CSR reads fewer bytes as soon as 8
# bytes x kept weights are fewer than 4 bytes x all weights, so on paper it pays below one half. In the grid it does so only
# for wide layers: each sparse product also costs a fixed time per call. With two threads dense products gain most: their
# work is easily cut into equal pieces. Some pixels keep more
# weights than others (in notebook 00 some at the top and bottom edge). But even they
# keep a small part of their 300, so a block of 4x4 would hold mostly zeros. Small
# steps often help a little. Compare at the same total number of epochs, and with
# several seeds.
# </details>

# %% [markdown]
# ## Take away
#
# - Masks save nothing; dense products multiply zeros. *Theoretical* speed-up counts FLOPs, *measured* speed-up is what you
#   get.
# - A sparse operation is several times as expensive as a dense one: indices are read, and memory is jumped about in.
# - Of a training step only a part shrinks with the weights.
# - Fine patterns keep accuracy, coarse patterns keep machines happy. Whoever finds a pattern that does both wins.
#
# **Sources**: J. Frankle, *Do Neural Networks Really Need to Be So Big?* (90 % fewer parameters, the hardware, sparse
# chips). S. Williams, A. Waterman and D. Patterson, *Roofline: An Insightful Visual Performance Model*, CACM 2009. H. Li et
# al., *Pruning Filters for Efficient ConvNets*, ICLR 2017. M. Nikdan et al., *SparseProp: Efficient Sparse Backpropagation
# for Faster Training of Neural Networks at the Edge*, ICML 2023. A. Mishra et al., *Accelerating Sparse Deep Neural
# Networks*, arXiv:2104.08378, 2021 (2:4).
#
# **Next question**: how does all this look when you turn the knobs yourself? [Notebook 08](08_sparsity_explorer.ipynb).
# And on larger machines? [Notebook 09](09_scale_up.ipynb).
