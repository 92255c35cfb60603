# %% [markdown]
# # Tickets before training: can you beat the lottery?
#
# The case so far: the ticket is there *before* training. But only one witness can point to it, and that witness is
# expensive: [IMP](glossary.md#imp) trains the whole network again and again. If you could see the ticket in the
# untrained network, you would save all those trainings. J. Frankle's article ends with this challenge, and it is still
# open. Here you take it up.
#
# **After this notebook you can**
# - say how early in training a network can be pruned, and what such a comparison holds fixed (section 1);
# - write SNIP's score, and say what SNIP, GraSP, SynFlow and magnitude each ask an untrained network (section 2);
# - say which kind of chance a method has beaten (section 3);
# - test whether a mask knows about weights or only about layers (section 4);
# - enter a score of your own into the race, and give its verdict with seeds and interval (section 5).
#
# **You need** notebooks 03 and 04.
#
# **Time**: {time}

# %%
from importlib.resources import files

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch.nn import functional as F

import lthlab
from lthlab import build_model, drawings, load_dataset, plots, run_experiment
from lthlab.arms import before_training
from lthlab.widgets import bets

torch.set_num_threads(1)  # one core here; repeated trainings use the others
plots.use_style()
NAME, LEVEL = "mlp-100-100-100", 12
FINISH = {"mnist1d": LEVEL, "fashion-mini": 15}  # levels of IMP

# %% [markdown]
# ## 1. How early can you prune?
#
# The article compares a network with somebody who learns calculus. While you learn, you need all of your head; once you
# know it, much can be forgotten. If networks are like that, far more can be [pruned](glossary.md#pruning) *after* learning
# than before. So stop the [dense](glossary.md#dense) training at some moment, keep the largest weights of that moment,
# and train what is left once more, in full, from the values it has.
#
# Two networks that you know take part: the one with three hidden layers on the signals
# of `mnist1d` (notebook 04), and LeNet on the pictures of `fashion-mini` (notebook 03).
# Each has a finishing line: a [level](glossary.md#level) of IMP, and so a number of
# weights.


# %%
def at_the_end(table):
    """Validation accuracy after the last step."""
    rows = table.query("split == 'validation' and metric == 'accuracy'")
    return rows[rows["step"] == rows["step"].max()]


def read_reference(study):
    """For both data sets: accuracies at the end, ten seeds, run once and kept."""
    folder = files("lthlab") / "assets/reference"
    tables = {name: pd.read_csv(folder / f"{study}-{name}.csv") for name in FINISH}
    return {name: at_the_end(table) for name, table in tables.items()}


def at_finish(tables, name):
    """The rows at the finishing line, and those of the dense network."""
    return tables[name][tables[name]["level"].isin([0, FINISH[name]])]


pruned_at, reference = read_reference("prune-at"), read_reference("race")
kept = {name: at_finish(reference, name)["density"].min() for name in FINISH}
for name in FINISH:
    print(f"{name}: level {FINISH[name]}, {kept[name]:.1%} of the weights are left")

# %% [markdown]
# Only the moment changes. The network, the number of weights kept, the way to choose them (by
# [magnitude](glossary.md#magnitude)) and the [recipe](glossary.md#recipe) stay the same. One thing cannot: a network that
# is pruned at the end has been trained twice in all, one that is pruned at the start only once.

# %%
bets.number(
    "06-when",
    "On the signals: pruned after a tenth of the training and then trained in full, "
    "how many points of accuracy does a network end below the one pruned at the end",
    low=0,
    high=30,
)


# %%
def by_moment(name):
    """Pruned at some moment, then trained in full: at the finishing line."""
    rows = at_finish(pruned_at, name)
    rows = rows[rows["arm"].str.endswith("again")]
    share = rows["arm"].str.extract(r"(\d+)%")[0].astype(int)
    return rows.assign(share=share, arm="pruned then").sort_values("share")


for name in FINISH:
    race = at_finish(reference, name).query("arm == 'ticket'").assign(share=-1)
    rows = pd.concat([by_moment(name), race])
    late = lthlab.paired(rows, 10, 100, by="share")
    ticket = lthlab.paired(rows, -1, 100, by="share")
    print(f"{name}, points: pruned at 10 % minus at 100 %: {late.points()}")
    print(f"{name}, points: ticket minus pruned at 100 %:  {ticket.points()}")
    if name == "mnist1d":
        answer = -100 * late.mean
bets.reveal("06-when", round(answer, 1))

# %% tags=["article-08", "article-09"]
figure, axes = plt.subplots(1, 2, figsize=(12, 4.2))
for ax, name in zip(axes, FINISH):
    plots.lines(by_moment(name), x="share", ax=ax, markers=True)
    for arm, style in ("dense", "--"), ("ticket", ":"):
        mean = at_finish(reference, name).query("arm == @arm")["value"].mean()
        look = {"color": plots.arm_color(arm), "linestyle": style, "linewidth": 2}
        ax.axhline(mean, **look, label=arm)
    ax.set_xscale("symlog", linthresh=1, linscale=0.5)
    ax.set_xticks([0, 1, 5, 20, 50, 100], [0, 1, 5, 20, 50, 100])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    ax.set(xlim=(-0.1, 120), xlabel="% of the training that is over", title=name)
    ax.set_ylabel("validation accuracy")
axes[0].legend()
axes[1].get_legend().remove()
figure.tight_layout()
plots.show(
    "Accuracy against the moment of pruning, on mnist1d and fashion-mini. Both curves "
    "rise with the moment; on mnist1d by many points, up to a line somewhat below the "
    "ticket's, on fashion-mini by about one point, up to near the ticket's."
)

# %% [markdown]
# *Mean and 95 % [interval](glossary.md#confidence-interval), n = 10 [seeds](glossary.md#seed). Mind the scales; up to 1 %
# the horizontal axis is linear, from there logarithmic. `python benchmarks/reference.py prune-at-mnist1d` makes the runs
# again.*

# %% [markdown]
# Two findings, and they pull in opposite directions.
#
# - **For pruning by magnitude, early is too early.** On the signals a network that was
#   pruned after a tenth of the training ends many points lower. On the pictures there
#   is little to lose either way.
# - **And yet the small network was there at the start.** The dotted line is the ticket. It has as few weights, starts
#   from the values *before* the first step, and from there it trains only once. On the signals it beats everything that
#   was pruned late (and stays below the dense network all the same); on the pictures it cannot be told apart from pruning
#   at the end.
#
# So there is something to see before training, and magnitude does not see it yet. What if there is no second training?
# And at other [densities](glossary.md#density)? See [12, section 1](12_before_training_in_depth.ipynb).

# %% [markdown]
# ## 2. Question the untrained network
#
# A method that prunes *before* training gets the untrained network and one batch of examples. It gives each weight a
# [score](glossary.md#score), and the lowest scores go. Four well-known methods ask four questions:
#
# | method | asks of each weight |
# |---|---|
# | **magnitude** at [initialisation](glossary.md#initialisation) | How large are you? |
# | **SNIP** (Lee et al. 2019) | Does the [loss](glossary.md#loss) depend on you? |
# | **GraSP** (Wang et al. 2020) | Does the [gradient](glossary.md#gradient), and so the coming training, need you? |
# | **SynFlow** (Tanaka et al. 2020) | How much signal flows through you on its way from input to output? |

# %% [markdown]
# Write SNIP. Put a switch *c* on every connection, so that it computes with *c* times its weight: 1 is on, 0 is off. How
# fast does the loss change when you turn the switch? By the chain rule, at a rate of *weight times gradient*. Up or down
# doesn't matter, only how much.


# %%
def snip_of(weight, gradient):
    """How much the loss depends on the switch of each weight."""
    return ...  # your line


# %%
dataset = load_dataset("mnist1d")
model = build_model(NAME, dataset, seed=0)  # untrained
# `batch` is a pair: inputs `x`, answers `y`
x, y = batch = lthlab.draw_batch(dataset.train, samples=100, seed=0)
weights = lthlab.prunable_weights(model)
loss = F.cross_entropy(model(x), y)
gradients = torch.autograd.grad(loss, list(weights.values()))
mine = [snip_of(w, gradient) for w, gradient in zip(weights.values(), gradients)]
right = lthlab.snip(model, batch).values()
if any(score is ... for score in mine):
    print("Not written yet: your line goes where the three dots are.")
elif any((score < 0).any() for score in mine):
    print("Not yet: some scores are below zero. Up or down doesn't matter.")
elif all(torch.allclose(score, other) for score, other in zip(mine, right)):
    print("Right: these are the scores of lthlab.snip.")
else:
    print("Not yet: it should be the size of weight times gradient.")

# %% [markdown]
# <details><summary>The line</summary>
#
# `return (weight * gradient).abs()`
# </details>
#
# The other two take a few lines more. You write SynFlow in
# [12, section 2](12_before_training_in_depth.ipynb). Section 3 there shows how a score
# can empty a whole layer and kill the network.

# %% [markdown]
# ## 3. The race
#
# A method has to beat chance. But which chance? **Uniform random** keeps the same share
# of every layer. **ERK** (Erdős-Rényi kernel; Mocanu et al. 2018, Evci et al. 2020)
# draws its weights just as blindly, but keeps a larger share of small layers than of
# large ones. Neither looks at a weight, a gradient or an example.

# %%
bets.order(
    "06-race",
    f"On the signals, with {kept['mnist1d']:.1%} of the weights: order them by the "
    "accuracy that they end with, best first",
    ["SNIP", "magnitude at init", "chance (ERK)", "ticket"],
)

# %% [markdown]
# Now live, with three seeds that the reference does not have. The ticket needs all its levels; every other method needs
# one training for each density.

# %%
ARMS = ["ticket", "SNIP", "SynFlow", "magnitude at init", "ERK", "uniform random"]
RACE = {"levels": LEVEL, "control_levels": [4, 8, LEVEL], "seeds": range(10, 13)}
RACE |= {"evaluate_every": 0}  # at the end alone
live = at_the_end(run_experiment(NAME, "mnist1d", arms=["dense", *ARMS], **RACE))
print(f"for one seed the ticket took {LEVEL + 1} trainings in all,")
print("SNIP one for each density, and a batch")

# %% tags=["article-12"]
palette = {arm: plots.arm_color(arm) for arm in ARMS} | {"uniform random": "black"}
look = {"palette": palette, "hue_order": ARMS, "style_order": ARMS}
figure, axes = plt.subplots(1, 2, figsize=(13, 5))
for ax, (name, rows) in zip(axes, reference.items()):
    levels = rows.query("arm == 'ERK'")["level"]
    shown = rows[rows["arm"].isin(ARMS) & rows["level"].isin(levels)]
    plots.accuracy_by_density(shown, ax=ax, **look)
    dense = rows.query("arm == 'dense'")["value"].mean()
    ax.axhline(dense, color=plots.arm_color("dense"), linestyle="--", label="dense")
    ax.axvline(kept[name], color="0.6", linestyle=":", zorder=0)
    ax.set_title(name)
here = live[live["level"].isin(RACE["control_levels"]) & live["arm"].isin(ARMS)]
means = here.groupby(["arm", "density"])["value"].mean().reset_index()
yours = {"edgecolors": means["arm"].map(palette), "marker": "D", "s": 60, "zorder": 5}
axes[0].scatter(means["density"], means["value"], facecolors="none", **yours)
axes[0].legend(fontsize=10)
axes[1].get_legend().remove()
axes[1].set_ylim(0.55, 0.9)
plots.show(
    "Accuracy against the weights kept, one line for each method. On mnist1d the "
    "ticket runs far above the others and chance lies lowest. On fashion-mini the "
    "ticket is highest, too, but down to about one percent all but uniform random lie "
    "much closer together."
)

# %% [markdown]
# *Lines and bands: mean and 95 % interval, n = 10; open diamonds: mean of your three
# seeds. Network, data, recipe and number of weights kept are the same for all. Dotted,
# from top to bottom: the finishing line. The right axis begins at 55 %; the line of
# uniform random goes below it.*

# %%
for name in FINISH:
    rows = at_finish(reference, name)
    print(f"{name}, {kept[name]:.1%} of the weights: points above ERK")
    for arm in [*ARMS[:4], "GraSP", "uniform random"]:
        print(f"    {arm:18s} {lthlab.paired(rows, arm, 'ERK').points()}")
names = {"chance (ERK)": "ERK"} | {
    n: n for n in ("SNIP", "magnitude at init", "ticket")
}
means = at_finish(reference, "mnist1d").groupby("arm")["value"].mean()
bets.reveal("06-race", sorted(names, key=lambda name: -means[names[name]]))

# %% [markdown]
# At the finishing lines:
#
# - On the **signals** every method beats ERK, even magnitude, which looks at nothing
#   but the random first values. None of them comes near the ticket.
# - On the **pictures** it depends on the kind of chance. Uniform random ends below
#   SNIP. But ERK, which knows only the sizes of the layers, is ahead of SNIP and GraSP.
#
# So "better than random" depends on which random is meant. And mind the price: the
# ticket is the best of them, and by far the most expensive.
# [12](12_before_training_in_depth.ipynb) draws accuracy against *all* the computing (section 7) and
# races methods that look *while* they train: gradual pruning, Early-Bird, RigL (sections 5 and 6).

# %% [markdown]
# ## 4. Weights, or only layers?
#
# What do these masks know? Notebook 04 took the ticket apart with two [controls](glossary.md#control). Use them again.
# **[Shuffled](glossary.md#shuffled)** asks: does it matter *which* weights of a layer were chosen?
# **[Reinitialised](glossary.md#reinitialised)** asks: does it matter which *values* they have? Frankle et al. (2021)
# asked both of SNIP, GraSP, SynFlow and magnitude, on large image networks, and neither hurt. All that these methods had
# found was how many weights to give to each layer.

# %%
print("where it says ticket, read: the mask that a method found")
plots.show(drawings.arms(["ticket", "shuffled", "reinitialised"]))
bets.pick(
    "06-shuffle",
    "And here? At the finishing line SNIP's mask, shuffled, loses more than a point",
    ["on both data sets", "on the signals only", "on the pictures only", "on neither"],
)

# %%
METHODS = ["ticket", "SNIP", "GraSP", "SynFlow", "magnitude at init"]


def effect(name, method, check):
    """What a check changes for one method at the finishing line."""
    arm = check if method == "ticket" else f"{method}, {check}"
    return lthlab.paired(at_finish(reference, name), arm, method)


loses = [effect(name, "SNIP", "shuffled").mean < -0.01 for name in FINISH]
answers = {(True, True): "on both data sets", (True, False): "on the signals only"}
answers |= {(False, True): "on the pictures only", (False, False): "on neither"}
bets.reveal("06-shuffle", answers[*loses])

# %%
figure, axes = plt.subplots(1, 2, figsize=(12, 3.8), sharey=True)
for ax, name in zip(axes, FINISH):
    for offset, check, marker in (-0.13, "shuffled", "o"), (0.13, "reinitialised", "s"):
        gaps = [effect(name, method, check) for method in METHODS]
        mean = [100 * gap.mean for gap in gaps]
        half = [100 * (gap.high - gap.mean) for gap in gaps]
        look = {"fmt": marker, "color": plots.arm_color(check), "label": check}
        ax.errorbar(mean, [offset + i for i in range(5)], xerr=half, **look)
    ax.axvline(0, color="0.4", linewidth=1)
    ax.set_yticks(range(len(METHODS)), METHODS)
    ax.set(xlabel="points, minus the mask as found", title=f"{name}, {kept[name]:.1%}")
axes[0].invert_yaxis()
axes[0].legend(loc="lower left")
plots.show(
    "What shuffling and new values change, by method. On mnist1d all lie left of zero, "
    "the ticket farthest. On fashion-mini the ticket lies left of zero; the four other "
    "methods lie close to it or to the right."
)

# %% [markdown]
# *Mean and 95 % interval, n = 10, paired: as many weights in each layer, same data and recipe. Mind the two scales.*

# %% [markdown]
# - On the **pictures** it is as the papers say: shuffling costs none of the four methods a point, and two of them do
#   better shuffled. The ticket loses by both checks, as it should.
# - On the **signals** all four lose by both checks, most of them far more by shuffling. These masks know something about
#   weights, or at least about neurons ([12, section 8](12_before_training_in_depth.ipynb) finds out which).
#
# So one data set would have given you half the truth, whichever one you had taken.

# %% [markdown]
# ## 5. Your turn: beat them
#
# A score is a function of the untrained network, one batch and a seed. It gives one number for each weight; low numbers
# go first. Write your own. Anything goes: sizes, gradients, neighbours, products of layers.


# %%
def my_score(model, batch, *, seed=0):
    scores = {}
    for name, weight in lthlab.prunable_weights(model).items():
        size = weight.detach().abs()
        scores[name] = size / size.mean()  # your line: here, size within its layer
    return scores


lthlab.arm("my score", color="#5c2985")(before_training(my_score))  # it may race
mine = at_the_end(run_experiment(NAME, "mnist1d", arms=["my score"], **RACE))
together = pd.concat([mine, live])
for level in RACE["control_levels"]:
    rows = together[together["level"] == level]
    print(f"{rows['density'].iloc[0]:.1%} of the weights, my score, in points")
    for arm in ("ERK", "SNIP", "ticket"):
        gap = lthlab.paired(rows, "my score", arm)
        verdict = (
            "above" if gap.low > 0 else "below" if gap.high < 0 else "not told apart"
        )
        print(f"    minus {arm:6s} {gap.points()}: {verdict}")

# %% [markdown]
# *Validation accuracy at the end, paired with your own runs of section 3, the same three seeds.* Three seeds make wide
# intervals, and a score that you tuned on them has seen the answers. Before you claim anything, take ten seeds that you
# have not looked at. (A score of the wrong shape is refused, in one sentence. Try `.sum(0)`.)
#
# More to try: [the exercise sheet](exercises/06_tickets_before_training.py) has tasks with checks.

# %% [markdown]
# ## Take away
#
# - On the signals, pruning by magnitude early in the training costs much accuracy. And
#   yet the ticket, which starts from the values before the first step, ends above every
#   network that was pruned in this way.
# - SNIP asks whether the loss depends on a weight, GraSP whether the gradient does, SynFlow how much signal flows, and
#   magnitude only how large the weight is.
# - At both finishing lines, no method that looks before training comes up to the ticket. How it compares with chance
#   depends on the chance, the task and the density.
# - A method must beat its own shuffled mask before anyone may say that it knows about weights. Here it does so on one
#   data set of two.
#
# **Sources**: J. Frankle, *Do Neural Networks Really Need to Be So Big?* Lee et al. 2019 (SNIP), arXiv 1810.02340. Wang et
# al. 2020 (GraSP), 2002.07376. Tanaka et al. 2020 (SynFlow), 2006.05467. Frankle et al. 2021 (*Why are we missing the
# mark?*), 2009.08576. Mocanu et al. 2018, 1707.04780. Evci et al. 2020, 1911.11134.
#
# **Next question**: say you do have a ticket, with a tenth of the weights. Does it take a tenth
# of the time? [Notebook 07](07_making_sparsity_fast.ipynb).
