# %% [markdown]
# # Making sparsity fast
#
# A network with a tenth of its weights needs a tenth of the arithmetic. Does it take a tenth of the time? Almost never, and
# mostly it takes exactly as long as before. That is what users of pruning libraries find out, often after months. In this
# notebook you find out in minutes, on your own machine, see where the time goes, and then get some of it back.
#
# **After this notebook you can**
# - time small pieces of code so that the result means something;
# - read a roofline: is it arithmetic or memory that a computation waits for?
# - say from which density CSR, blocks or smaller dense matrices pay on your machine, for inference and for training;
# - name what unstructured, structured and 2:4 sparsity each cost in accuracy and win in time.
#
# **You need** notebooks 02 and 03.
#
# **Time**: 40 minutes to read, about a minute to run.

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
from matplotlib.ticker import PercentFormatter
from torch import nn

import lthlab
from lthlab import build_model, full_masks, load_dataset, magnitude, plots, prune, recipe_for, train

torch.set_num_threads(1)  # one core: fewer things that can interfere with a measurement
plots.use_style()
warnings.filterwarnings("ignore", message="Sparse .* tensor support is in beta")
COLORS = dict(zip(["ideal", "masked dense", "CSR", "CSR, compiled", "blocks 4x4", "blocks 16x16", "smaller dense"],
                  ["0.6", *sns.color_palette("colorblind")], strict=False))  # fmt: skip

# %% [markdown]
# ## 1. How to time something
#
# Three rules. Run it a few times first (*warm up*: memory is fetched, code is compiled). Let the contenders **take turns**, so
# that a moment when the machine is busy hits all of them. Report the **median**, because a single interruption can make one
# run ten times as long, and only **ratios** of things measured side by side: they travel to other machines, microseconds
# do not.


# %%
def race(contenders, rounds=15, repeat=5):
    """Median microseconds per call of each contender (a dict from name to function); they take turns."""
    times = {name: [] for name in contenders}
    for turn in range(rounds + 2):
        for name, run in contenders.items():
            began = time.perf_counter()
            for _ in range(repeat):
                run()
            if turn >= 2:
                times[name].append((time.perf_counter() - began) / repeat * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


# %% [markdown]
# ## 2. Masks do not make anything faster
#
# > **Predict.** LeNet-300-100, with 100 %, 10 % and 1 % of its weights. How long do 60 pictures take, compared with dense?

# %%
dataset = load_dataset("fashion-mini")
x = dataset.test.x[:60]
model = build_model("lenet-300-100", dataset)
networks, flops = {}, {}
for keep in (1.0, 0.1, 0.01):
    networks[keep] = build_model("lenet-300-100", dataset)
    masks = prune(magnitude(model), full_masks(model), 1 - keep)
    lthlab.apply_masks_(networks[keep], masks)
    flops[keep] = lthlab.inference_flops(model, dataset, masks).nonzero
with torch.no_grad():
    times = race({keep: (lambda net=net: net(x)) for keep, net in networks.items()})
pd.DataFrame({"FLOPs, relative": {k: flops[k] / flops[1.0] for k in times},
              "time, relative": {k: times[k] / times[1.0] for k in times}}).rename_axis("density").style.format("{:.2f}")  # fmt: skip

# %% [markdown]
# The arithmetic shrinks, the time does not. A mask sets numbers to zero, and a dense kernel multiplies by zero as carefully
# as by anything else. To be faster, a computation has to *know* where the zeros are, in a form that saves more than the
# knowing costs.

# %% [markdown]
# ## 3. What your machine can do
#
# A computation needs two things: arithmetic, and data to do it on. Your machine delivers both at some greatest rate. Measure
# them: a large product of matrices does almost nothing but arithmetic, a copy does nothing but move data.

# %%
big, source, target = torch.randn(768, 768), torch.randn(32_000_000), torch.empty(32_000_000)
found = race({"product": lambda: big @ big, "copy": lambda: target.copy_(source)}, rounds=7, repeat=1)
PEAK = 2 * 768**3 / found["product"] * 1e6  # floating-point operations per second
BANDWIDTH = 2 * 4 * len(source) / found["copy"] * 1e6  # bytes per second, read and written
print(f"arithmetic: {PEAK / 1e9:.0f} GFLOP/s; memory: {BANDWIDTH / 1e9:.0f} GB/s")
print(f"so {PEAK / BANDWIDTH:.0f} operations per byte are needed to keep the arithmetic busy")
source = target = None  # 256 MB that nobody needs any more

# %% [markdown]
# A computation that does fewer operations per byte than that waits for memory, whatever its FLOPs. The number of
# operations per byte is its **intensity**, and the picture of what is possible at each intensity is called the **roofline**.
#
# Take the first layer of LeNet, 300 x 784 weights, for batches of different size, dense and with 5 % of its weights in CSR.

# %%
ROWS, COLUMNS, KEEP = 300, 784, 0.05
weight = torch.randn(ROWS, COLUMNS)
mask = torch.rand(ROWS, COLUMNS) < KEEP
sparse_weight = (weight * mask).to_sparse_csr()
rows = []
for batch in (1, 8, 64, 512):
    inputs = torch.randn(COLUMNS, batch)
    found = race({"masked dense": lambda i=inputs: weight @ i, "CSR": lambda i=inputs: sparse_weight @ i})
    moved = 4 * batch * (ROWS + COLUMNS)  # inputs and outputs
    for name, weights, bytes_each in (("masked dense", weight.numel(), 4), ("CSR", int(mask.sum()), 8)):
        useful = 2 * weights * batch
        rows.append({"layer": name, "batch": batch, "time": found[name],
                     "intensity": useful / (bytes_each * weights + moved), "rate": useful / found[name] * 1e6})  # fmt: skip
roofline = pd.DataFrame(rows)

# %%
figure, ax = plt.subplots(figsize=(8, 4.6))
span = np.geomspace(0.1, 200, 100)
ax.plot(span, np.minimum(span * BANDWIDTH, PEAK) / 1e9, color="0.4", label="roof: this machine at its best")
for name, points in roofline.groupby("layer"):
    ax.plot(points["intensity"], points["rate"] / 1e9, marker="o", color=COLORS[name], label=name)
    for row in points.itertuples():
        ax.annotate(f"batch {row.batch}", (row.intensity, row.rate / 1e9), textcoords="offset points", xytext=(4, -13),
                    fontsize=9, color=COLORS[name])  # fmt: skip
ax.set(xscale="log", yscale="log", xlabel="intensity: operations per byte", ylabel="operations, in GFLOP/s")
ax.legend()
plt.show()

# %% [markdown]
# *Measured here, one core; medians. For CSR only products with kept weights count as operations. A point above the sloping
# roof is no mistake: the small matrices fit into the processor's caches, which are faster than the memory that the copy
# measured.*
#
# Dense layers with large batches touch the ceiling. CSR stays far below it: for every 4-byte weight it also reads a 4-byte
# place, and then jumps to wherever that place points. **A sparse operation is several times as expensive as a dense one.**
# Sparsity pays when there are fewer operations by more than that factor.

# %% [markdown]
# ## 4. Three ways to write down a sparse matrix
#
# A matrix small enough to read:

# %%
small = torch.tensor([[5.0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 1, 7], [0, 0, 3, 4]])
csr, bsr = small.to_sparse_csr(), small.to_sparse_bsr((2, 2))
print("CSR  where rows begin", csr.crow_indices().tolist(), " columns", csr.col_indices().tolist())
print("     values          ", csr.values().tolist())
print("BSR  where rows of blocks begin", bsr.crow_indices().tolist(), " block columns", bsr.col_indices().tolist())
print("     blocks          ", bsr.values().tolist())

# %% [markdown]
# - **CSR** (compressed sparse rows): the kept values, row by row, the column of each, and where each row begins. Any
#   pattern will do.
# - **BSR** (blocks): the same with small dense blocks in place of single values: one place per block, and dense arithmetic
#   inside. The pattern must come in blocks, or zeros are stored.
# - **A smaller dense matrix**: whole rows and columns (neurons) are gone. No places at all, but the coarsest pattern.
#
# ## 5. From which density does it pay?
#
# The same layer, forward, batch of 64, at densities from 50 % to 1 %. *CSR, compiled* is the product that `lthlab.train` uses
# for sparse networks: thirty lines of Python, turned into machine code by numba (`lthlab/kernels.py`).
#
# > **Predict.** At which density does CSR overtake dense? Do blocks help?

# %%
from lthlab import kernels
from lthlab.sparse import CSR

inputs = torch.randn(COLUMNS, 64)
out = torch.zeros(ROWS, 64)


def contenders(keep):
    """The layer in every format, each with the same number of kept weights."""
    csr = CSR(nn.Parameter(weight), torch.rand(weight.shape) < keep)
    formats = {
        "masked dense": weight,
        "CSR": (weight * (torch.rand(weight.shape) < keep)).to_sparse_csr(),
        "smaller dense": torch.randn(round(ROWS * keep**0.5), round(COLUMNS * keep**0.5)),
    }
    for size in (4, 16):
        blocks = torch.rand(ROWS // size, COLUMNS // size) < keep
        pattern = blocks.repeat_interleave(size, 0).repeat_interleave(size, 1)
        cut = weight[: pattern.shape[0], : pattern.shape[1]]
        formats[f"blocks {size}x{size}"] = (cut * pattern).to_sparse_bsr((size, size))
    short = {name: inputs[: matrix.shape[1]].clone() for name, matrix in formats.items()}
    runs = {name: (lambda m=matrix, i=short[name]: m @ i) for name, matrix in formats.items()}
    if kernels.numba:  # without numba there is no compiled product
        multiply = kernels.compile_for(64)[0]
        values = csr.values.detach().numpy()
        runs["CSR, compiled"] = lambda: multiply(*csr.rows, values, inputs.numpy(), out.numpy())
    return runs


rows = []
for keep in (0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.01):
    found = race(contenders(keep), rounds=9)
    rows += [{"format": name, "density": keep, "speed-up": found["masked dense"] / t} for name, t in found.items()]
formats = pd.DataFrame(rows)

# %%
figure, ax = plt.subplots(figsize=(8.5, 5))
densities = sorted(formats["density"].unique())
ax.plot(densities, [1 / d for d in densities], color=COLORS["ideal"], linestyle="--", label="theoretical: 1 / density")
for name, points in formats.groupby("format"):
    ax.plot(points["density"], points["speed-up"], marker="o", color=COLORS[name], label=name)
ax.axhline(1, color="0.8", linewidth=1, zorder=0)
plots.density_axis(ax, densities)
ax.set(yscale="log", ylabel="speed-up over the dense layer")
ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}x")
ax.legend()
plt.show()

# %% [markdown]
# *One layer of 784 inputs and 300 neurons, batch 64, forward, one core; medians of runs that took turns. "Smaller dense" is a
# matrix with as many weights as are kept.*

# %%
table = formats.pivot(index="density", columns="format", values="speed-up").sort_index(ascending=False)
table.style.format("{:.1f}x").format_index("{:.0%}")

# %%
for name in table.columns.drop("masked dense"):
    pays = table.index[table[name] > 1.1]
    print(f"{name:14s} pays from a density of {pays.max():.0%} down" if len(pays) else f"{name:14s} never pays here")

# %% [markdown]
# The dashed line is what papers call *theoretical speed-up*. Nothing reaches it; smaller dense matrices come closest, and
# *masked dense*, what pruning libraries give you by default, stays at 1.
#
# ## 6. Batch and width
#
# Does that hold for other layers? A square layer of some width, some batch, 5 % of the weights, CSR against dense:


# %%
def csr_speedup(width, batch, keep=0.05):
    w, i = torch.randn(width, width), torch.randn(width, batch)
    s = (w * (torch.rand(width, width) < keep)).to_sparse_csr()
    found = race({"dense": lambda: w @ i, "CSR": lambda: s @ i}, rounds=5, repeat=3)
    return found["dense"] / found["CSR"]


widths, batches = (100, 300, 1000, 2000), (1, 16, 64, 256)
grid = pd.DataFrame({batch: {width: csr_speedup(width, batch) for width in widths} for batch in batches})
figure, ax = plt.subplots()
sns.heatmap(grid, annot=True, fmt=".1f", cmap="viridis", cbar_kws={"label": "speed-up of CSR at 5 %"}, ax=ax)
ax.set(xlabel="batch", ylabel="width of the layer")
plt.show()

# %% [markdown]
# *Medians, one core.* Your turn with the knobs. Each move of a slider measures anew, here and now.

# %%
from ipywidgets import SelectionSlider, interact


def measure_layer(width, batch, density):
    """Say how CSR compares with dense for one layer, and what the FLOPs would promise."""
    found = csr_speedup(width, batch, density)
    print(f"width {width}, batch {batch}, {density:.0%} kept: CSR takes {1 / found:.2f} of the dense time; "
          f"by FLOPs it would be {density:.2f}")  # fmt: skip


knobs = {
    "width": (100, 200, 300, 500, 1000, 2000),
    "batch": (1, 4, 16, 60, 256),
    "density": (0.01, 0.02, 0.05, 0.1, 0.3),
}
interact(
    measure_layer, **{name: SelectionSlider(options=values, value=values[2], description=name, continuous_update=False)
                      for name, values in knobs.items()}
)  # fmt: skip
measure_layer(500, 60, 0.1)

# %% [markdown]
# ## 7. Training
#
# Training does three products per layer where inference does one, and then updates every weight. A sparse training step keeps
# *only the kept weights* as parameters: forward with CSR, gradients only where a weight is kept, optimiser state only for
# those. `lthlab.train` does that by itself below a density that it measures once on your machine:

# %%
from lthlab.sparse import sparse_below, sparse_below_is

BELOW = sparse_below()
print(f"here fully connected networks train sparse below {BELOW:.0%} density")

# %%
recipe = replace(recipe_for("lenet-300-100", dataset), duration="100it")
quiet = replace(dataset, validation=lthlab.Split(dataset.validation.x[:20], dataset.validation.y[:20]))


def step_time(keep, below):
    """Microseconds per training step, everything included, with the sparse way allowed below a density."""
    net = build_model("lenet-300-100", dataset)
    masks = prune(lthlab.random(net), full_masks(net), 1 - keep)
    with sparse_below_is(below):
        return train(net, quiet, recipe, masks, evaluate_every=0).seconds / 100 * 1e6


rows = []
for turn in range(4):
    for keep in (0.8, 0.5, 0.3, 0.2, 0.1, 0.036, 0.01):
        for name, below in (("masked dense", 0.0), ("CSR, compiled", 1.0)):
            if turn and (kernels.numba or below == 0):
                rows.append({"way": name, "density": keep, "time": step_time(keep, below)})
steps = pd.DataFrame(rows).groupby(["way", "density"])["time"].median().unstack("way")
dense_step = steps["masked dense"].median()

# %%
figure, ax = plt.subplots(figsize=(8, 4.4))
for name in steps.columns:
    ax.plot(steps.index, dense_step / steps[name], marker="o", color=COLORS[name], label=name)
ax.plot(steps.index, 1 / steps.index, color=COLORS["ideal"], linestyle="--", label="theoretical: 1 / density")
ax.axvline(BELOW, color="0.8", zorder=0)
plots.density_axis(ax, steps.index)
ax.set(yscale="log", ylabel="speed-up of a whole training step")
ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}x")
ax.legend()
plt.show()

# %% [markdown]
# *LeNet-300-100, Adam, batch 60, one core, medians of three. The vertical line is where `train` changes over.*

# %%
masks = prune(magnitude(model), full_masks(model), 0.95)
for below in (0.0, 1.0):
    net = build_model("lenet-300-100", dataset)
    with sparse_below_is(below):
        history = train(net, dataset, replace(recipe, duration="2ep"), masks, seed=0)
    print(f"{'sparse' if below else 'dense '} training at 5 %: accuracy {history.value():.2%}, {history.seconds:.1f} s")

# %% [markdown]
# Same masks, same data order, the same result up to rounding. And a whole run of iterative magnitude pruning, down to 1.4 %:
# twenty trainings, of which the later ones cost less and less.

# %%
ticket = lthlab.find_ticket(build_model("lenet-300-100", dataset), quiet, replace(recipe, duration="2ep"), levels=19,
                            evaluate_every=0)  # fmt: skip
cost = pd.DataFrame({"density": [level.density for level in ticket.levels],
                     "seconds": [level.history.seconds for level in ticket.levels]})  # fmt: skip
cost["dense trainings"] = cost["seconds"] / cost["seconds"].iloc[0]
ax = cost.plot.bar(
    x="density", y="dense trainings", color=COLORS["CSR, compiled"], legend=False, figsize=(8, 3.4), width=0.8
)
ax.plot(range(len(cost)), cost["density"], color=COLORS["ideal"], linestyle="--", label="as if cost were density")
ax.set(xlabel="weights kept at each level", ylabel="cost, in dense trainings")
ax.set_xticklabels([f"{100 * d:.3g} %" for d in cost["density"]], rotation=60)
ax.legend()
plt.show()
print(
    f"20 trainings cost {cost['dense trainings'].sum():.1f} dense ones; if cost were density, {cost['density'].sum():.1f}"
)

# %% [markdown]
# ## 8. What is dead can go
#
# In a very sparse network some pixels have no weight left, and some neurons neither inputs nor outputs. They can be removed
# **exactly**: the smaller network gives the same outputs, with dense kernels and without any format.

# %%
rows = []
for number in (0, 5, 10, 15, 19):
    level = ticket.levels[number]
    net = lthlab.rewind(ticket.model, ticket.start, level.masks)
    compact = lthlab.compact(net, level.masks)
    sizes = [compact[2].in_features, *[part.out_features for part in compact if isinstance(part, nn.Linear)]]
    with torch.no_grad():
        difference = float((net(x) - compact(x)).abs().max())
        found = race({"whole": lambda n=net: n(x), "compact": lambda n=compact: n(x)})
    rows.append({"density": f"{level.density:.1%}", "sizes": " - ".join(map(str, sizes)),
                 "largest difference of outputs": f"{difference:.0e}", "speed-up": f"{found['whole'] / found['compact']:.1f}x"})  # fmt: skip
pd.DataFrame(rows).style.hide(axis="index")

# %% [markdown]
# ## 9. Structured pruning: whole neurons
#
# If smaller dense matrices are what machines like, why not prune whole neurons at once? Because neurons are harder to miss
# than weights. Below both ways start from the same trained network, keep as many weights, and retrain for as long.


# %%
def prune_neurons(net, keep):
    """A smaller network with the neurons of largest norm, in each hidden layer a fraction `keep`."""
    layers = [part for part in net if isinstance(part, nn.Linear)]
    chosen = [torch.arange(layers[0].in_features)]
    for layer, following in zip(layers, layers[1:], strict=False):
        norms = layer.weight.norm(dim=1) * following.weight.norm(dim=0)
        chosen.append(norms.topk(max(1, round(keep * len(norms)))).indices.sort().values)
    chosen.append(torch.arange(layers[-1].out_features))
    parts = [nn.Flatten()]
    for layer, inner, outer in zip(layers, chosen, chosen[1:], strict=False):
        smaller = nn.Linear(len(inner), len(outer))
        smaller.weight.data, smaller.bias.data = layer.weight.data[outer][:, inner], layer.bias.data[outer]
        parts += [smaller, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


retrain = replace(recipe, duration="4ep")
trained = build_model("lenet-300-100", dataset, seed=0)
dense_accuracy = train(trained, dataset, replace(recipe, duration="8ep"), seed=0).value()
sum_dense = sum(p.numel() for p in trained.parameters() if p.dim() == 2)
rows = []
for keep in (0.5, 0.25, 0.1, 0.05, 0.02):
    small = prune_neurons(trained, keep)
    weights = sum(p.numel() for p in small.parameters() if p.dim() == 2)
    structured = train(small, dataset, retrain, seed=1).value()
    net, masks = (
        build_model("lenet-300-100", dataset, seed=0),
        prune(magnitude(trained), full_masks(trained), 1 - weights / sum_dense),
    )
    net.load_state_dict(trained.state_dict())
    unstructured = train(net, dataset, retrain, masks, seed=1).value()
    layers = [
        (part.weight.detach() * m).to_sparse_csr()
        for part, m in zip([p for p in net if isinstance(p, nn.Linear)], masks.values(), strict=True)
    ]
    biases = [part.bias.detach()[:, None] for part in net if isinstance(part, nn.Linear)]
    turned = x.flatten(1).t().contiguous()

    def run_csr(layers=layers, biases=biases, turned=turned):
        h = turned
        for number, (w, b) in enumerate(zip(layers, biases, strict=True)):
            h = w @ h + b
            h = h.relu_() if number < 2 else h
        return h

    with torch.no_grad():
        found = race({"dense": lambda: trained(x), "small": lambda n=small: n(x), "CSR": run_csr})
    rows += [{"way": "neurons (smaller dense)", "weights": weights / sum_dense, "accuracy": structured, "speed-up": found["dense"] / found["small"]},
             {"way": "weights (CSR)", "weights": weights / sum_dense, "accuracy": unstructured, "speed-up": found["dense"] / found["CSR"]}]  # fmt: skip
trade = pd.DataFrame(rows)

# %%
figure, axes = plt.subplots(1, 2, figsize=(12.5, 4.4), sharey=True)
ways = {"neurons (smaller dense)": COLORS["smaller dense"], "weights (CSR)": COLORS["CSR"]}
for way, points in trade.groupby("way"):
    for ax, column in zip(axes, ("weights", "speed-up"), strict=True):
        ax.plot(points[column], points["accuracy"], marker="o", color=ways[way], label=way)
for ax in axes:
    ax.axhline(dense_accuracy, color=plots.ARM_COLORS["dense"], linestyle="--", label="dense, before")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
plots.density_axis(axes[0], trade["weights"])
axes[0].set(ylabel="validation accuracy after retraining")
axes[1].set(xscale="log", xlabel="speed-up of inference, batch 60")
axes[1].xaxis.set_major_locator(plt.FixedLocator([0.5, 1, 2, 3, 5, 10]))
axes[1].xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
axes[1].xaxis.set_minor_formatter(lambda value, _: "")
axes[0].legend()
plt.show()

# %% [markdown]
# *One seed, so read large differences only. Left: for as many weights, single weights are the better thing to prune. Right: for as much
# time, it depends; the same accuracy may be had faster with the coarser pattern.*
#
# This pair of pictures is the dilemma of the field in small. Accuracy wants fine patterns, machines want coarse ones.
#
# **Channels** are the neurons of a convolution: remove a filter, and one channel of its output goes, and with it one input
# channel of every filter in the next layer. The usual choice are the filters of smallest norm (Li et al. 2017). Sparse
# kernels for convolutions are hardly to be had, so here the fine pattern has no fast way at all: it runs masked, and dense.


# %%
def prune_channels(net, keep):
    """A smaller network with the filters of largest L1 norm, in each convolution a fraction `keep`."""
    layers = [part for part in net if isinstance(part, (nn.Conv2d, nn.Linear))]
    channels = layers[0].in_channels  # that the layer at hand receives, before and after
    smaller, inner = copy.deepcopy(net), torch.arange(channels)
    for layer, new in zip(layers, [part for part in smaller if isinstance(part, (nn.Conv2d, nn.Linear))], strict=True):
        norms, outer = layer.weight.abs().flatten(1).sum(1), torch.arange(len(layer.weight))
        if isinstance(layer, nn.Conv2d):
            outer = norms.topk(round(keep * len(norms))).indices.sort().values
            new.in_channels, new.out_channels = len(inner), len(outer)
        else:  # each channel arrives as a block of pixels
            pixels = layer.in_features // channels
            inner = (inner[:, None] * pixels + torch.arange(pixels)).flatten()
            new.in_features = len(inner)
        new.weight.data, new.bias.data = layer.weight.data[outer][:, inner], layer.bias.data[outer]
        inner, channels = outer, len(layer.weight)
    return smaller


conv_net = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10),
)  # fmt: skip
lthlab.initialize_(conv_net, seed=0)
conv_recipe = lthlab.Recipe("adam", 2e-3, batch_size=60, duration="4ep")
conv_accuracy = train(conv_net, dataset, conv_recipe, seed=0).value()
rows = [{"network": "dense", "weights kept": "100 %", "accuracy": conv_accuracy, "speed-up": 1.0}]
total = sum(p.numel() for p in conv_net.parameters() if p.dim() > 1)
for keep in (0.5, 0.25):
    small, fine = prune_channels(conv_net, keep), copy.deepcopy(conv_net)
    share = sum(p.numel() for p in small.parameters() if p.dim() > 1) / total
    masks = prune(magnitude(fine), full_masks(fine), 1 - share, "global")
    networks = {f"{keep:.0%} of the channels": small, "as many single weights": fine}
    accuracies = [
        train(small, dataset, replace(conv_recipe, duration="2ep"), seed=1).value(),
        train(fine, dataset, replace(conv_recipe, duration="2ep"), masks, seed=1).value(),
    ]
    with torch.no_grad():
        found = race({"dense": lambda: conv_net(x)} | {way: (lambda n=net: n(x)) for way, net in networks.items()})
    rows += [{"network": way, "weights kept": f"{share:.0%}", "accuracy": accuracy, "speed-up": found["dense"] / found[way]}
             for way, accuracy in zip(networks, accuracies, strict=True)]  # fmt: skip
pd.DataFrame(rows).style.format({"accuracy": "{:.1%}", "speed-up": "{:.1f}x"}).hide(axis="index")

# %% [markdown]
# *A small convolutional network, inference at batch 60; each pruned network was retrained for half as long. One seed.* The
# smaller network is faster with the kernels that everybody has; the masked one is as slow as before, whatever it keeps.

# %% [markdown]
# ## 10. Two of four
#
# A compromise that hardware supports: of every **four** neighbouring weights in a row keep the **two** largest. The place of
# a weight in its group takes two bits, and NVIDIA's tensor cores (Ampere and later) skip the other half. What it costs in
# accuracy can be tried anywhere:


# %%
def two_of_four(weight):
    """A mask that keeps the two largest of every four neighbours in a row."""
    groups = weight.abs().reshape(len(weight), -1, 4)
    return torch.zeros_like(groups, dtype=torch.bool).scatter_(2, groups.topk(2, dim=2).indices, True).view_as(weight)


masks = full_masks(trained)
for name in ("fc1.weight", "fc2.weight"):  # the output layer stays dense, as NVIDIA's recipe does with delicate layers
    masks[name] = two_of_four(trained.state_dict()[name])
assert all((mask.reshape(len(mask), -1, 4).sum(2) == 2).all() for name, mask in masks.items() if name != "out.weight")
net = build_model("lenet-300-100", dataset, seed=0)
net.load_state_dict(trained.state_dict())
lthlab.apply_masks_(net, masks)
pruned = lthlab.evaluate(net, dataset.validation)["accuracy"]
again = train(net, dataset, retrain, masks, seed=1).value()
print(f"dense {dense_accuracy:.1%}; 2:4 without retraining {pruned:.1%}, retrained {again:.1%}")

# %%
if torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0):
    from torch.sparse import to_sparse_semi_structured

    half = two_of_four(torch.randn(4096, 4096)).cuda().half() * torch.randn(4096, 4096, device="cuda").half()
    packed, activations = to_sparse_semi_structured(half), torch.randn(4096, 4096, device="cuda").half()

    def run(matrix):
        matrix @ activations
        torch.cuda.synchronize()

    found = race({"dense": lambda: run(half), "2:4": lambda: run(packed)})
    print(f"2:4 on this GPU, 4096 x 4096, half precision: {found['dense'] / found['2:4']:.2f} times as fast as dense")
else:
    print("No GPU with 2:4 support here, so there is no time to show: a processor has no such instruction.")

# %% [markdown]
# ## 11. Memory
#
# Sparse weights take less room, but their places take some, too:

# %%
rows = [{"density": f"{level.density:.1%}"} | lthlab.storage_bytes(level.masks) for level in ticket.levels[::4]]
memory = pd.DataFrame(rows).set_index("density")
(memory.div(memory["dense"], axis=0)).style.format("{:.1%}")

# %% [markdown]
# *Bytes in relation to dense. `bitmap`: kept values and one bit per weight, good for files; CSR: a value and a place each.*
#
# ## 12. What to choose when
#
# | you want | and have | take |
# |---|---|---|
# | smaller files | any density | kept values and a bitmap |
# | faster inference on a processor | a few percent of the weights | CSR |
# | faster inference anywhere | room for some loss of accuracy | whole neurons or channels: a smaller dense network |
# | faster inference on a recent NVIDIA GPU | large layers | 2:4 |
# | faster *training* of sparse networks | fully connected layers, a processor | kept weights as the only parameters (section 7) |
# | to study tickets | | masks; they cost nothing but hope |

# %% [markdown]
# ## 13. Your turn
#
# 1. At which density does CSR pay for *one* picture (batch 1)? Reason with bytes first, then measure with section 6's knobs.
# 2. Use two threads (`torch.set_num_threads(2)`) and repeat section 5. Who gains?
# 3. Sort the rows of a ticket's first layer by the number of kept weights. Would blocks of 4x4 find something to keep together?
# 4. Prune the neurons of section 9 in five small steps with retraining between them, as IMP does. Does that help?
#
# <details><summary>Answers</summary>
#
# 1. At batch 1 the dense product waits for memory (section 3): it reads every weight and uses it once. CSR reads fewer bytes as
#    soon as 8 bytes x kept weights are fewer than 4 bytes x all weights, so on paper it pays below one half. In the
#    map of section 6 it does so only for wide layers: each sparse product also costs a fixed time per call.
# 2. Dense products, mostly: their work is easily cut into equal pieces.
# 3. Magnitude pruning leaves some pixels (the middle of the picture) with many weights, but within those no blocks.
# 4. Often a little. Compare at the same total number of epochs, and with several seeds.
# </details>

# %% [markdown]
# ## Take away
#
# - Masks save nothing; dense kernels multiply zeros. *Theoretical* speed-up counts FLOPs, *measured* speed-up is what you get.
# - A sparse operation is several times as expensive as a dense one: places are read, and memory is jumped about in.
# - Fine patterns keep accuracy, coarse patterns keep machines happy. Whoever finds a pattern that does both wins.
# - When training is sparse as well, the search for a ticket costs a fraction of what counting levels suggests.
#
# **Sources**: S. Williams, A. Waterman and D. Patterson, *Roofline: An Insightful Visual Performance Model*, CACM 2009.
# H. Li et al., *Pruning Filters for Efficient ConvNets*, ICLR 2017.
# M. Nikdan et al., *SparseProp: Efficient Sparse Backpropagation for Faster Training of Neural Networks at the Edge*, ICML
# 2023. A. Mishra et al., *Accelerating Sparse Deep Neural Networks*, arXiv:2104.08378, 2021 (2:4).
