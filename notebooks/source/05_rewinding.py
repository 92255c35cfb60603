# %% [markdown]
# # Rewinding: when the first values are too early
#
# In notebook 03 the survivors of [pruning](glossary.md#pruning) went back to their very
# first values. On larger networks that fails: Frankle et al. (2019, 2020) found no
# winning [tickets](glossary.md#ticket) in ResNet-50, a large network for photographs,
# that way. Their repair is small and strange. Go back, but not quite to the beginning: to a [step](glossary.md#step)
# *k* a little way into training. Here is the retrial, on a network small enough for a
# laptop.
#
# **After this notebook you can**
# - test whether two copies of a network, trained on in different orders, end in one valley;
# - average two networks that contain BatchNorm without being fooled;
# - find tickets with rewinding to step *k*, and say what that proves about the first values, and what not.
#
# **You need** notebooks 03 and 04. Section 1 shows what is new about this network.
#
# **Time**: {time}

# %%
import copy
from importlib.resources import files

import matplotlib.pyplot as plt
import pandas as pd
import torch
from joblib import Parallel, delayed
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

import lthlab
from lthlab import build_model, drawings, load_dataset, plots, train, widgets
from lthlab.widgets import bets

torch.set_num_threads(1)  # one core here; the repeats below use the others
plots.use_style()
NAME, dataset = "resnet1d-4", load_dataset("mnist1d")
recipe = lthlab.recipe_for(NAME, dataset)
total = recipe.steps(dataset)
size = sum(p.numel() for p in build_model(NAME, dataset).parameters())
print(f"{size:,} parameters,", recipe)

# %% [markdown]
# ## 1. A harder network, and what you need for it
#
# We take the signals of `mnist1d` again, and this time a small *residual network*, a
# *ResNet* for short. Five things have not been explained yet. The picture shows each:
#
# - A [convolution](glossary.md#convolution) slides a few [weights](glossary.md#weight) along the signal and multiplies
#   at every position. In the picture these are -1, 0 and 1: right neighbour minus left.
# - [BatchNorm](glossary.md#batchnorm) shifts and stretches what a layer puts out to mean 0 and variance 1. It also keeps
#   *running statistics*: the means and variances seen in training.
# - A [residual block](glossary.md#residual-block) adds its input to its output.
# - [Momentum](glossary.md#momentum): each step keeps nine tenths of the step before. In
#   the picture a path goes down into a long valley; its lowest point is the star. With
#   momentum the path swings from side to side, but gets there. Plain steps crawl.
# - The *learning rate* says how far a step goes (`lr` in notebook 01). The
#   [cosine schedule](glossary.md#cosine-schedule) lets it fall from its highest value
#   to 0.
#
# The last two were at work in notebook 04, too. In the line printed above, `sgd` means
# plain steps, here with momentum, and `weight_decay` pulls all weights a little towards
# zero at each step.


# %%
def path_down(momentum):
    """25 steps into a valley that is 20 times steeper across than along."""
    place, speed, path = torch.tensor([-9.0, 3.0]), 0, []
    for _ in range(25):
        path.append(place)
        speed = momentum * speed - torch.tensor([0.01, 0.2]) * place
        place = place + speed
    return torch.stack(path)


# %%
figure = plt.figure(figsize=(12, 6.5), layout="constrained")
ax = figure.subplot_mosaic([["conv", "norm", "block"], ["path", "rate", "block"]])
signal, weights = dataset.train.x[:1], torch.tensor([[[-1.0, 0, 1]]])
ax["conv"].plot(signal[0, 0], color="0.6", label="signal")
ax["conv"].plot(F.conv1d(signal, weights, padding=1)[0, 0], "--", label="(-1, 0, 1)")
before = 4 + 2 * torch.randn(1000, 1, generator=torch.Generator().manual_seed(0))
after = torch.nn.BatchNorm1d(1)(before).detach()
ax["norm"].hist(before.flatten(), 30, histtype="step", linestyle="--", label="before")
ax["norm"].hist(after.flatten(), 30, alpha=0.6, label="after")
ax["path"].plot(*path_down(momentum=0).T, "o:", label="momentum 0")
ax["path"].plot(*path_down(momentum=0.9).T, "s-", label="momentum 0.9")
ax["rate"].plot([recipe.lr_at(step, total) for step in range(total)])
ax["path"].plot(0, 0, "*", color="0.2", markersize=14)
titles = {
    "conv": ("convolution", "position in the signal", "value"),
    "norm": ("BatchNorm", "value", "how many"),
    "path": ("momentum", "first weight", "second weight"),
    "rate": ("cosine schedule", "step", "learning rate"),
}
for name, (title, across, up) in titles.items():
    ax[name].set(title=title, xlabel=across, ylabel=up)
    ax[name].legend(*ax[name].get_legend_handles_labels())
said = "A convolution, BatchNorm, a path with and without momentum, the cosine. "
plots.show(said + drawings.residual_block(ax["block"]))

# %% [markdown]
# The learning rate starts **high**. Large networks are trained that way, and it makes the beginning of training wild.
#
# ## 2. One start, two orders
#
# Take one network at its initial values and make two copies. Train both by the same
# [recipe](glossary.md#recipe), with the training examples in different orders. (The
# cell does it again with copies from step 96, for later.) Both copies end as good
# networks. What if you average them, weight by weight? (PyTorch keeps the weights of a
# layer in a *tensor*, its kind of array.) One thing is put right before we ask:
# BatchNorm's running statistics are measured again on the average network.

# %%
LATE = 96
model = build_model(NAME, dataset, seed=10)
states = train(
    model, dataset, recipe, seed=10, states=[0, LATE], evaluate_every=0
).states


def two_ways(k):
    """Two copies go on from step k in different orders: their weights along the way."""
    paths, stops = [], [k, *range(k + 48, total + 1, 48)]
    for order in (1, 2):
        options = {"seed": order, "start": states[k], "states": stops}
        history = train(copy.deepcopy(model), dataset, recipe, **options)
        paths.append([history.states[step].model for step in stops])
    return paths


early, late = two_ways(0), two_ways(LATE)
bets.number(
    "05-average",
    "Parted at step 0: how often is their average right, in percent",
    low=0,
    high=100,
)


# %%
def average(one, other):
    """Half-way between two networks; both are dicts from name to tensor."""
    return ...  # your line: {name: mean of two tensors for name, value in one.items()}


def right(weights, again=False):
    net = copy.deepcopy(model)
    net.load_state_dict(weights)
    if again:
        update_bn(dataset.train.x.split(500), net)  # its running statistics
    return 100 * lthlab.evaluate(net, dataset.validation)["accuracy"]


first, second = (path[-1] for path in early)  # the ends
ours = {name: (value + second[name]) / 2 for name, value in first.items()}
mine, measured = average(first, second), right(ours, again=True)
if mine is ...:
    print("Not written yet: your line goes where the three dots are.")
elif all((mine[name] - ours[name]).abs().max() < 1e-4 for name in ours):
    print("Right.")
else:
    print("Not yet: each tensor is the mean of the two.")
print(f"copies: {right(first):.1f} % and {right(second):.1f} %")
print(f"average: {right(ours):.1f} %, with BatchNorm measured again {measured:.1f} %")
bets.reveal("05-average", measured)

# %% [markdown]
# Two good networks, and a much worse one half-way between them. Part of this was an artefact. The average of two
# networks' running statistics is not the statistics of the average network: they have to be measured again, on training
# data. What is left after that is real.
#
# <details><summary>The line</summary>
#
# `return {name: (value + other[name]) / 2 for name, value in one.items()}`
# </details>
#
# Now look at the landscape. Each picture shows the [loss](glossary.md#loss) on the
# plane through three networks: the start, and the two ends. The dots are the two
# trainings, seen from above. The bar beside a map says which colour is which loss.

# %%
figure, axes = plt.subplots(1, 2, figsize=(13, 5))
said = []
for ax, k, paths in zip(axes, (0, LATE), (early, late), strict=True):
    said.append(f"Copies from step {k}: {drawings.valley(model, paths, dataset, ax)}")
    ax.set_title(f"copied at step {k}")
figure.tight_layout()
plots.show(" ".join(said))

# %% [markdown]
# *Validation loss, one [seed](glossary.md#seed); light is low. BatchNorm was measured again for every point of the
# planes. A plane holds only three of the networks exactly; the others are projected onto it.*
#
# Copied at the beginning, the two end in different valleys with a ridge between them.
# Copied at step 96, they end in one valley. The height of the ridge has a name. Walk in
# a straight line from one end to the other and look at the error, the share of wrong
# answers. Its highest point, minus the mean of both ends, is the [error
# barrier](glossary.md#barrier).
#
# ## 3. When does it settle?
#
# A network is [stable](glossary.md#stability) from step *k* on if copies that part at
# *k* have a barrier below two points. From there on, the order of the examples no
# longer decides in which valley it ends. To copy, train both and measure the barrier is
# called *instability analysis*.

# %%
STEPS = [0, 12, 24, 48, 96, 192]
bets.curve(
    "05-settle",
    f"The error barrier between two copies that part at step k of {total}",
    x=STEPS,
    low=0,
    high=50,
    xlabel="step k at which the copies part",
    ylabel="error barrier (points)",
)


# %%
def barriers(seed, steps=(0, 24, 96)):
    """The barrier, in points, between two copies that part at each of some steps."""
    torch.set_num_threads(1)
    net, rows = build_model(NAME, dataset, seed=seed), {}
    parted = train(net, dataset, recipe, seed=seed, states=steps).states
    for k in steps:
        orders = 1000 + seed, 2000 + seed
        copies = lthlab.train_copies(net, dataset, recipe, parted[k], seeds=orders)
        rows[k] = 100 * lthlab.error_barrier(lthlab.interpolate(*copies, dataset))
    return rows


live = Parallel(n_jobs=-1)(delayed(barriers)(seed) for seed in range(10, 13))
print(pd.DataFrame(live, range(10, 13)).rename_axis("your seeds").round(1))
table = pd.read_csv(files("lthlab").joinpath("assets/reference/stability.csv"))
lines = table.groupby(["network", "rewind_step", "seed", "pair"])
heights = lines[["alpha", "metric", "value"]].apply(lthlab.error_barrier)
barrier = 100 * heights.groupby(["network", "rewind_step", "seed"]).mean()
for k, values in barrier["dense"].groupby("rewind_step"):
    stable = f"stable: {(values < 2).sum()} of {len(values)} seeds"
    print(f"step {k}, {k / total:.0%} done: {values.mean():.1f} points, {stable}")
bets.reveal("05-settle", barrier["dense"].groupby("rewind_step").mean().loc[STEPS])

# %% [markdown]
# *First your three seeds: error barriers in points, for copies that part at step 0, 24
# or 96 of training. Then the reference: means of ten seeds, three pairs of copies
# each.*
#
# In the paper a ResNet-20 settles after 3 % of its training, a ResNet-50 after a fifth.
# Ours is late, too. Why was not tested: size, length and learning rate all differ.
#
# ## 4. Tickets that rewind to step k
#
# Now prune. Rewinding to step *k* (the [rewind step](glossary.md#rewind-step)) changes one thing in notebook 03's method:
# survivors get back the values they had at step *k*, and each [level](glossary.md#level) trains from *k* to the end.
# Momentum, the place in the schedule, BatchNorm's statistics and the order of examples go back with them. In
# `find_ticket` it is one argument: `rewind_to=96`.

# %%
fates = ["worse", "level, to a point", "better by more than a point"]
bets.pick(
    "05-ticket",
    "At 13 % of the weights, tickets from step 96, against those from step 0, are",
    fates,
)

# %%
options = {"arms": ["dense", "ticket"], "seeds": range(10, 12), "levels": 9}
for k in (0, LATE):
    table = lthlab.run_experiment(
        NAME, "mnist1d", recipe, rewind_to=k, evaluate_every=0, **options
    )
    mine = table.query("arm == 'ticket' and level == 9 and split == 'test'")["value"]
    print(f"your two seeds, rewound to step {k}: {mine.mean():.1%} right")

rewinding = pd.read_csv(files("lthlab").joinpath("assets/reference/rewinding.csv"))
at_end = rewinding["step"] == rewinding.groupby("arm")["step"].transform("max")
rewinding = rewinding[at_end]
ends = rewinding.query("split == 'test' and metric == 'accuracy' and level in (0, 9)")
dense = ends.query("arm == 'dense' and rewind_step == 0").assign(rewind_step="dense")
both = pd.concat([ends.query("arm == 'ticket'"), dense])
print("reference, ten seeds, points of test accuracy at 13.4 % of the weights:")
for one, other in ((0, "dense"), (LATE, "dense"), (LATE, 0)):
    gap = lthlab.paired(both, one, other, by="rewind_step")
    print(f"    step {one:2d} minus {other!s:5s} {gap.points()}")
bets.reveal("05-ticket", fates[0 if gap.mean < -0.01 else 2 if gap.mean > 0.01 else 1])

# %% [markdown]
# Read the reference line by line. With their *first* values, tickets clearly fail at
# this [density](glossary.md#density). With values from a fifth of the way, they end less
# than a point below the [dense](glossary.md#dense) network on average. With even fewer weights they fail,
# too (section 7).
#
# What does that prove? For the weights that IMP keeps here, the first values are not
# good enough. It does not prove that no other part of the network would win from them:
# IMP proposes one part and never tries the rest.
#
# Does a rewound ticket have a head start of 96 steps? It takes over the dense network's
# state at step 96 and trains that much less; all tickets end at the same step. But that
# state was paid for by the dense network. Rewinding is a way to *study* tickets. It
# does not save training the dense network.
#
# Turn the dial, and watch three things at once: the path between two copies, its barrier, and how good the ticket is.

# %%
widgets.rewind_dial()

# %% [markdown]
# **A confession.** We went looking for this network. On the small networks before it,
# rewinding to step 0 was fine, so we searched for a setting in which it is not. We
# tried three networks and several learning rates, with four seeds that only serve to
# choose. Everything above was measured on others. Section 8 shows all that was
# tried. In some of it rewinding *costs* [accuracy](glossary.md#accuracy).

# %%
plots.show(drawings.board(5))

# %% [markdown]
# *The board after notebook 05.* The last line is new. Its interval over seeds begins just
# above one point, which the rounded number hides (with the choice of test images, just
# below). Values matter, but on this network not the
# *first* ones: those from a fifth of the way do better.
#
# **Longer training** is struck off for the two networks of notebook 04. In
# [learning-rate rewinding](glossary.md#learning-rate-rewinding) the weights are never
# rewound, only the learning rate is. So they are trained longer from level to level,
# and there they are not seen to end higher than the ticket. On the network of this
# notebook they do end higher (section 9).
#
# ## 5. Your turn
#
# 1. On the [exercise sheet](exercises/05_rewinding.py): mix two networks in any proportion, read from a table when one
#    settles, find the bug in an average, rewind to step k, and say when rewinding to zero is
#    enough.
# 2. Give the recipe a gentle start, in which the learning rate rises over the first 48
#    steps: `from dataclasses import replace`, then `recipe = replace(recipe,
#    warmup=48)`, and run `barriers(10)`. Is a gentle beginning as good as a late one?
#    (Restart the kernel afterwards.)
#
# <details><summary>Answer to 2</summary>
#
# Compare the barrier at step 0 with the first of your three rows above. If the wild
# first steps decide the valley, it should be lower. One seed does not settle it; run
# all three.
# </details>

# %% [markdown]
# ## Take away
#
# - At first, chance decides in which valley a network ends. *Instability analysis* measures until when: copy, train
#   both, walk the line between them. Here it takes most seeds more than a tenth of the
#   training; from a fifth on, all ten were stable.
# - Average networks with BatchNorm only after measuring its statistics again, or barriers come out too high.
# - On this network, with 13 % of the weights, tickets from step 0 fail and tickets from
#   step 96 nearly keep up. Elsewhere rewinding mostly made no clear difference; in some
#   settings it cost several points, in one it gained a few.
#
# **Practise**: the [exercise sheet](exercises/05_rewinding.py). **Next**: every ticket so far was found after training.
# Can you find one *before*? [Notebook 06](06_tickets_before_training.ipynb) takes up the article's first challenge.

# %% [markdown] tags=["deep"]
# ## Deep dives
#
# The rest is for a second evening. It reads the reference tables (`python benchmarks/reference.py rewinding stability`
# and others): ten seeds where nothing else is said, and validation data throughout.
#
# ## 6. Barrier and ticket
#
# Repeat the instability analysis on the **tickets themselves**: take the ticket at step *k*, train two copies, measure
# the barrier. Frankle et al. (2020) found that sparse networks reach full accuracy when, and only when, they are
# stable. Is that so here?

# %% tags=["deep"]
ACCURACY = "split == 'validation' and metric == 'accuracy'"
tickets = rewinding.query(f"{ACCURACY} and arm == 'ticket' and step == {total}")
whole = rewinding.query(f"{ACCURACY} and arm == 'dense' and rewind_step == 0")
there = tickets.query("level == 9").set_index(["rewind_step", "seed"])["value"]
figure, ax = plt.subplots(figsize=(7.5, 4.6))
for k, marker in zip(STEPS, "osD^v*", strict=True):
    across, up = lthlab.interval(barrier["ticket"][k]), lthlab.interval(100 * there[k])
    low = max(across.low, 0.05)  # the axis has no zero
    sides = {"xerr": [[across.mean - low], [across.high - across.mean]]}
    sides |= {"yerr": up.mean - up.low, "fmt": marker, "label": f"k = {k}"}
    ax.errorbar(across.mean, up.mean, **sides)
ax.set(xscale="log", xlim=(0.05, 50))
ax.xaxis.set_major_formatter("{x:g}")
full = 100 * whole["value"].mean()
ax.axhline(full, color=plots.arm_color("dense"), linestyle="--", label="dense")
ax.set(xlabel="error barrier between two copies of the ticket (points)")
ax.set(ylabel="accuracy of the ticket (%)")
ax.legend()
plots.show(
    "One point for each rewind step: the ticket's barrier to the right, its accuracy "
    "upward. Step 0 has the largest barrier and the lowest accuracy; the others have "
    "smaller barriers and accuracies close together, all below the dense network."
)

# %% [markdown] tags=["deep"]
# *Means over ten seeds with 95 % intervals; tickets of 13 % of the weights. The
# horizontal axis is logarithmic.*
#
# How closely do the two go together? A *rank correlation* is 1 if the lower barrier
# always goes with the lower accuracy, -1 if it always goes with the higher one, and 0
# if neither.

# %% tags=["deep"]
pairs = pd.DataFrame({"barrier": barrier["ticket"], "accuracy": there}).reset_index()


def rank_correlation(rows):
    """Of barrier and accuracy, within each seed; mean and interval over seeds."""
    by_seed = rows.groupby("seed")[["barrier", "accuracy"]]
    ranks = by_seed.apply(lambda two: two.corr(method="spearman").iloc[0, 1])
    found = lthlab.interval(ranks)
    return f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}], n = {found.n}"


print("rank correlation over all k:   ", rank_correlation(pairs))
print(
    "rank correlation without k = 0:", rank_correlation(pairs.query("rewind_step > 0"))
)
level_9 = tickets.query("level == 9")
gap = lthlab.paired(level_9, 192, 96, by="rewind_step")
print("most stable (k = 192) minus best (k = 96), points:", gap.points())
stable = pd.concat([whole, level_9.query("rewind_step == 192")])
print(
    "most stable minus dense, points:",
    lthlab.paired(stable, "ticket", "dense").points(),
)

# %% [markdown] tags=["deep"]
# It is so in part. On average a ticket with a lower barrier is better, but mostly
# because step 0 is bad at both: without it no link is seen. And the most stable
# tickets are neither the best nor as good as the dense network. So stability goes
# together with better tickets here, but it is not enough for full accuracy. That is
# less than the paper found on larger networks. Nor does a correlation over *k* prove
# that stability *makes* tickets good: both could follow from *k*.
#
# ## 7. Other densities

# %% tags=["deep"]
levels = tickets.groupby("level")["density"].first()
figure, ax = plt.subplots(figsize=(8, 4.6))
for k, marker in zip((0, 24, 96), "osD", strict=True):
    rows = pd.concat([whole, tickets.query("rewind_step == @k")])
    gaps = [
        lthlab.paired(rows[rows["level"].isin([0, level])], "ticket", "dense")
        for level in levels.index
    ]
    means = [100 * gap.mean for gap in gaps]
    halves = [100 * (gap.high - gap.mean) for gap in gaps]
    style = {0: ":", 24: "--", 96: "-"}[k] + marker
    ax.errorbar(levels, means, halves, fmt=style, capsize=3, label=f"k = {k}")
    print(f"k = {k:2d}, {levels[6]:.1%} of the weights: {gaps[5].points()}")
ax.axhline(0, color=plots.arm_color("dense"), linestyle="--", label="dense")
plots.density_axis(ax, levels)
ax.set(ylabel="points of accuracy, minus dense")
ax.legend()
plots.show(
    "Tickets minus dense against the weights kept, for rewind steps 0, 24 and 96. The "
    "later the step, the farther the ticket keeps up; all fail at the lowest density."
)

# %% [markdown] tags=["deep"]
# *Validation accuracy, paired, mean and 95 % interval, n = 10. For each seed all tickets come from one dense training.*
#
# From step 96, tickets end above the dense network down to about a fifth of the
# weights. They are a little below it at 13 %, and with fewer weights they fail. All
# gains share one noisy baseline, so they are not independent proofs of each other.
#
# ## 8. How this network was found
#
# All that was tried: three networks on `mnist1d` at several learning rates, 480 steps
# each, judged on validation data. (A residual network for pictures was to be the
# fourth, and was left out: one training takes more than a minute.) The four seeds serve
# only to choose; they chose the rate of [fine-tuning](glossary.md#fine-tuning) in
# section 9, too.


# %% tags=["deep"]
def draw_gap(ax, row, gap):
    """A paired difference in points with its interval; filled if zero lies outside."""
    low, mean, high = (100 * value for value in (gap.low, gap.mean, gap.high))
    fill = "full" if low > 0 or high < 0 else "none"
    ax.plot([low, high], [row, row], color="#0173b2", linewidth=2)
    ax.plot(mean, row, "o", color="#0173b2", fillstyle=fill)
    ax.axvline(0, color="0.4", linewidth=1)


# %% tags=["deep"]
search = pd.read_csv(files("lthlab").joinpath("assets/reference/rewinding-search.csv"))
trials = search.query("arm == 'ticket'").groupby(["model", "lr"])
figure, axes = plt.subplots(1, 3, figsize=(13, 4), sharey=True)
for ax, level in zip(axes, (6, 9, 12), strict=True):
    for row, (_, rows) in enumerate(trials):
        there = rows[rows["level"] == level]
        draw_gap(ax, row, lthlab.paired(there, 96, 0, by="rewind_step"))
    ax.set_xscale("symlog", linthresh=5)
    ax.set_xticks([-50, -5, 0, 5, 50], ["-50", "-5", "0", "+5", "+50"])
    ax.set(xlabel="points", title=f"{there['density'].iloc[0]:.0%} of the weights")
axes[0].set_yticks(
    range(len(trials)), [f"{net}, rate {lr:g}" for net, lr in trials.groups]
)
axes[0].invert_yaxis()
figure.tight_layout()
plots.show(
    "What rewinding to step 96 gained over step 0, for every network and learning rate "
    "that was tried. It costs the fully connected network accuracy; the largest gains "
    "by mean are those of resnet1d-4 at the two higher rates, with wide intervals."
)

# %% [markdown] tags=["deep"]
# *Paired gains in points of validation accuracy, mean and 95 % interval, n = 4 (seeds 100 to 103). Filled: zero lies
# outside. The scale is linear up to 5 points and logarithmic beyond.*
#
# Choosing the best of several noisy numbers and reporting that same number would have promised too much; measuring it
# again on fresh seeds does not. The picture has its own lesson: rewinding is no free gift. It *costs* the
# fully connected network of notebook 04 (mlp-100-100-100) accuracy, and even resnet1d-4 at its lowest rate and few weights. Whether to rewind depends on network, rate and
# density, and this picture cannot say why.
#
# ## 9. Three ways to go on after pruning
#
# A pruned network has to be trained again. Renda et al. (2020) compare what can be put back:
#
# | | weights | learning rate |
# |---|---|---|
# | **[fine-tuning](glossary.md#fine-tuning)** (Han et al. 2015) | as trained | constant, and small: which one? |
# | **weight rewinding** (a ticket) | those of step *k* | back to that of step *k* |
# | **[learning-rate rewinding](glossary.md#learning-rate-rewinding)** | as trained | back to that of step *k* |
#
# In the papers fine-tuning goes on at the *last* rate of the schedule. Our cosine ends
# at 0, and no network learns at that rate. How well fine-tuning does depends on its
# rate (Le & Hua 2021), and a badly chosen one makes any rival look good. So it gets a
# rate of its own: five were tried on other seeds, and the best on average was taken.
#
# All ways but the ticket go on from the *trained* network. So the sparser their
# networks are, the longer their weights have been trained. Two more
# [arms](glossary.md#arm) tell what that alone is worth: the dense network, put through
# the same trainings without being pruned.

# %% tags=["deep"]
ways = ["ticket", "learning-rate rewinding", "fine-tuning"]
best = ["better than both others", "between them", "worse than both others"]
bets.pick("05-ways", "At 17.8 % weight rewinding is, by its mean accuracy", best)

# %% tags=["deep"]
mlp = pd.read_csv(files("lthlab").joinpath("assets/reference/mnist1d.csv"))
mlp = mlp.query(f"{ACCURACY} and step == 1600")
longer = {"dense, trained as long": ways[1], "dense, fine-tuned as long": ways[2]}
figure, ax = plt.subplots(figsize=(9, 5))
plots.accuracy_by_density(mlp[mlp["arm"].isin(ways)], ax=ax)
density = mlp.query("arm == 'ticket'").groupby("level")["density"].first()
for arm, like in longer.items():
    mean = mlp[mlp["arm"] == arm].groupby("level")["value"].mean()
    look = {
        "color": plots.arm_color(like),
        "linewidth": 1,
        "linestyle": ":",
        "marker": "x",
    }
    ax.plot(density[mean.index], mean, **look, label=arm)
full = mlp.query("arm == 'dense'")["value"].mean()
ax.axhline(full, color=plots.arm_color("dense"), linestyle="--", label="dense")
ax.legend()
means = mlp.query("level == 8").groupby("arm")["value"].mean()
bets.reveal("05-ways", best[(means[ways] > means["ticket"]).sum()])
plots.show(
    "Accuracy against the weights kept for three ways to train again, and for the "
    "dense network trained as long (crosses). Weight and learning-rate rewinding lie "
    "together at high densities; at low ones learning-rate rewinding falls away."
)

# %% [markdown] tags=["deep"]
# *The fully connected network of notebook 04 on `mnist1d`, k = 0; mean and 95 % interval, n = 10. At each level all
# three retrain for equally many steps.*

# %% tags=["deep"]
rate, tuning, names = ways[1], ways[2], [*longer]
versus = {
    "weight rewinding minus fine-tuning": ("ticket", tuning),
    "weight minus learning-rate rewinding": ("ticket", rate),
    "learning-rate rewinding minus fine-tuning": (rate, tuning),
    "learning-rate rewinding minus dense": (rate, "dense"),
    "the same, dense trained as long": (rate, names[0]),
    "fine-tuning minus dense": (tuning, "dense"),
    "the same, dense fine-tuned as long": (tuning, names[1]),
}

# %% tags=["deep"]
figure, axes = plt.subplots(1, 3, figsize=(13, 4), sharey=True)
for ax, level in zip(axes, (4, 8, 16), strict=True):
    rows = mlp[(mlp["level"] == level) | (mlp["arm"] == "dense")]
    for row, pair in enumerate(versus.values()):
        draw_gap(ax, row, lthlab.paired(rows, *pair))
    ax.set(xlabel="points", title=f"{density[level]:.1%} of the weights")
axes[0].set_yticks(range(len(versus)), versus)
axes[0].invert_yaxis()
figure.tight_layout()
plots.show("Paired differences between the ways at three densities, as the text says.")

# %% [markdown] tags=["deep"]
# *Points of validation accuracy, paired, mean and 95 % interval, n = 10; filled: zero lies outside. Mind the scales.*
#
# - *Rewinding against fine-tuning.* Weight rewinding is better at all three densities, by a few points, even now that
#   fine-tuning has its best rate. Learning-rate rewinding is better at the two higher densities and worse at the lowest.
#   The table of claims has more densities, and another network: there, on
#   `fashion-mini`, rewinding is ahead with few weights only.
# - *Weights, or only the learning rate?* Renda et al. found learning-rate rewinding as good or better. Here (not one of
#   their networks) no difference is seen at the two higher densities, and it falls far behind at the lowest.
# - *Pruned against trained as long.* At the highest density learning-rate rewinding is better than dense, but not better
#   than dense trained as long. That gain is one of **longer training**, not of pruning. At the lower densities both ways
#   are worse than the dense network that was put through the same trainings.
#
# And the residual network? There the three ways begin at step 96. Fine-tuning has the
# rate that was best of those tried with other seeds:

# %% tags=["deep"]
rows = rewinding.query(
    f"{ACCURACY} and rewind_step == {LATE} and level in (3, 6, 9, 12)"
)
for _, here in rows.groupby("level"):
    print(f"{here['density'].iloc[0]:.1%} of the weights, points:")
    for one, other in ((ways[0], ways[1]), (ways[0], ways[2]), (ways[1], ways[2])):
        print(f"    {one} minus {other}: {lthlab.paired(here, one, other).points()}")

# %% [markdown] tags=["deep"]
# Here learning-rate rewinding is better than both others at every density shown, as
# Renda et al. found on their residual networks. Weight rewinding is ahead of
# fine-tuning only where half of the weights are left, and behind it where few are left;
# Renda et al. found it ahead. A dense network trained as long was not measured here, so
# this says nothing about pruning itself.
#
# A ticket says something about its *early* values; learning-rate
# rewinding never goes back to them. That a network can be pruned is one thing. That its early values were enough is
# another.
#
# ## 10. Where we stand
#
# Here are the claims of the papers that belong to notebooks 00 to 05, each with the
# number of settings in which it was tested. (Two on other ways to prune are
# explained in notebook 11, section 1.) The picture is made from the reference results; [the
# notebooks' page](README.md) has every row with effect, interval and the paper's
# number.

# %% tags=["deep"]
import textwrap

claims = pd.read_csv(files("lthlab").joinpath("assets/reference/claims.csv"))
claims = claims.query("on_page and notebook <= 5")
verdicts = claims["verdict"].str.split(",").str[0]  # without "though lower by ..."
counts = claims.groupby(["claim", verdicts], sort=False).size().unstack(fill_value=0)
counts = counts.reindex(columns=["seen", "not seen", "opposite"], fill_value=0)
colors = ["#029e73", "#d8d8d8", "#d55e00"]
ax = counts[::-1].plot.barh(stacked=True, color=colors, figsize=(7, 11), width=0.8)
for bars, hatch in zip(ax.containers, ("", "..", "xx"), strict=True):
    for bar in bars:
        bar.set_hatch(hatch)
labels = [textwrap.fill(claim, 60) for claim in counts.index[::-1]]
ax.set_yticks(range(len(labels)), labels, fontsize=9)
ax.set(xlabel="settings in which it was tested", ylabel="")
ax.legend(loc="lower right")
rows = [f"{claim}: {', '.join(map(str, row))}" for claim, row in counts.T.items()]
said = "For each claim, the settings in which it was seen, not seen, opposite. "
plots.show(said + "; ".join(rows))

# %% [markdown] tags=["deep"]
# *Seen, not seen and opposite are decided by 95 % intervals. "Opposite" means that the whole interval lies on the other
# side. Claims that something is "as good" allow a margin.*
#
# ## 11. More to try
#
# 1. Where does the barrier go when the network grows? Set `NAME = "resnet1d-8"` and run `barriers`.
# 2. Rewind too far: `rewind_to=432`, a tenth of the training before its end. What kind of retraining is this?
# 3. A [control](glossary.md#control): with this seed's [mask](glossary.md#mask), start from step 96 of *another* seed's
#    training. Which result would make you doubt section 4?
#
# <details><summary>Answers</summary>
#
# 1. That is for you to find out; compare three seeds with the three above.
# 2. Nearly fine-tuning: values almost as trained, and only the small end of the schedule left to repair what pruning
#    broke.
# 3. The values of another seed are good values, too, but the mask was not made for them. If they did as well as this
#    seed's, a ticket would be "any early values", not "these".
# </details>

# %% [markdown] tags=["deep"]
# **Sources**: J. Frankle, G. Dziugaite, D. Roy and M. Carbin, *Linear Mode Connectivity and the Lottery Ticket
# Hypothesis*, ICML 2020, and *Stabilizing the Lottery Ticket Hypothesis*, arXiv:1903.01611, 2019. A. Renda, J. Frankle
# and M. Carbin, *Comparing Rewinding and Fine-tuning in Neural Network Pruning*, ICLR 2020. D. Le and B.-S. Hua,
# *Network Pruning That Matters: A Case Study on Retraining Variants*, ICLR 2021. P. Izmailov et al., *Averaging Weights
# Leads to Wider Optima and Better Generalization*, UAI 2018 (BatchNorm of averaged networks). T. Garipov et al., *Loss
# Surfaces, Mode Connectivity, and Fast Ensembling of DNNs*, NeurIPS 2018 (planes through three networks). S. Han et al.,
# *Learning both Weights and Connections for Efficient Neural Networks*, NeurIPS 2015.
