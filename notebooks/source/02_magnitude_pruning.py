# %% [markdown]
# # Magnitude pruning
#
# The trained network of notebook 01 can lose nine in ten of its weights and hardly
# notice, if you pick the right nine and let the rest train a little more. You prune by
# eye, then by function, and learn to tell a finding from luck.
#
# **After this notebook you can**
# - prune with `prune(scores, masks, fraction)`;
# - read a 95 % interval of paired differences, and say what it does *not* tell;
# - compare two ways to prune fairly, and say what pruning does not save.
#
# **You need** notebooks 00 and 01.
#
# **Time**: {time}

# %%
import copy
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from joblib import Parallel, delayed

import lthlab
from lthlab import apply_masks_, full_masks, magnitude, plots, prune, widgets
from lthlab.drawings import board
from lthlab.widgets import bets

torch.set_num_threads(1)  # one core here; the repeats below use the others
plots.use_style()
dataset = lthlab.load_dataset("fashion-mini")
recipe = lthlab.recipe_for("lenet-300-100", dataset)

# %% [markdown]
# ## 1. Five by five
#
# A small layer has the 25 weights of the table `VALUES` below. We want to keep 15 of
# them. Which ten go, if *small* means *unimportant*? Put your finger on them.
#
# [Pruning](glossary.md#pruning) has two parts. A [score](glossary.md#score) says how
# much each weight matters; for [magnitude](glossary.md#magnitude) pruning it is the
# absolute value. Then the lowest scores are dropped, and the [mask](glossary.md#mask)
# says what is left. The line marked `your line` is not right yet. Correct it.

# %%
VALUES = [
    [0.9, -0.1, 0.4, 0.0, -0.7],
    [-0.2, 0.8, -0.5, 0.3, 0.1],
    [0.6, -0.9, 0.2, -0.4, 0.5],
    [0.1, 0.3, -0.8, 0.7, -0.3],
    [-0.6, 0.2, 0.1, -0.5, 0.4],
]
tiny = torch.nn.Linear(5, 5, bias=False)
tiny.weight.data = torch.tensor(VALUES)

scores = magnitude(tiny)  # one number for each weight: its absolute value
everything = full_masks(tiny)  # a mask that keeps all 25
mine = prune(scores, everything, fraction=0.6)  # <- your line: keep 15 of the 25

kept = lthlab.count_kept(mine)
hint = f"Not yet: this keeps {kept}. The fraction is the part that goes."
print("Right." if kept == 15 else hint)

# %%
masks = prune(scores, everything, fraction=0.4)
before = tiny.weight.detach().clone()
apply_masks_(tiny, masks)  # sets the pruned weights of `tiny` to zero
pictures = {
    "weights": (before, {"cmap": "vlag_r", "center": 0}),
    "scores: |weight|": (before.abs(), {"cmap": "viridis"}),
    "pruned": (tiny.weight.detach(), {"cmap": "vlag_r", "center": 0}),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
for ax, (title, (values, colours)) in zip(axes, pictures.items()):
    colours |= {"cbar": False, "square": True, "xticklabels": [], "yticklabels": []}
    sns.heatmap(values, annot=True, fmt=".1f", ax=ax, **colours)
    ax.set_title(title)
figure.tight_layout()
plots.show("A 5 x 5 matrix, its absolute values, and what is left of it.")
share = lthlab.density(masks)
print(f"density {share:.0%}, sparsity {1 - share:.0%}")

# %% [markdown]
# [Density](glossary.md#density) is the fraction that is kept,
# [sparsity](glossary.md#sparsity) the fraction that is gone. Blue weights are positive,
# red ones negative. Look for the weights of size 0.3: there are three, and only two had
# to go. Where scores tie, those that come first go.

# %% [markdown]
# ## 2. A whole network
#
# Now we train the network of notebook 01 and set the smallest nine in ten of the
# weights in each layer to zero. It is *not* trained again. **Predict.**

# %%
question = "Accuracy with nine in ten weights pruned, not trained again, in percent"
bets.number("02-tenth", question, low=0, high=100)

# %%
model = lthlab.build_model("lenet-300-100", dataset, seed=0)
history = lthlab.train(model, dataset, recipe, seed=0, step="fast", progress=True)
print(f"all weights: {history.value():.1%} of the validation images are right")
for fraction in (0.5, 0.9):
    masks = prune(magnitude(model), full_masks(model), fraction)
    rest = apply_masks_(copy.deepcopy(model), masks)
    right = lthlab.evaluate(rest, dataset.validation)["accuracy"]
    print(f"{fraction:.0%} pruned:  {right:.1%}")
bets.reveal("02-tenth", 100 * right)

# %% [markdown]
# Losing half of the weights costs next to nothing. Losing nine in ten, with no chance to recover, costs a lot.

# %% [markdown]
# ## 3. How sure can one be?
#
# That was one network. Another [seed](glossary.md#seed) gives other first values, and
# another accuracy. So from here on we repeat everything with several seeds; each
# repetition is a [replicate](glossary.md#replicate). What can a handful tell?
#
# The panel below holds finished runs with ten seeds. Draw five of them, then draw
# again. Watch the verdict, and the [interval](glossary.md#confidence-interval): a range
# around the mean difference, which says how far that mean can be trusted. (*Permuted
# sizes* is a control of notebook 04.)

# %%
widgets.evidence()

# %% [markdown]
# **What the draws show.** The large difference (*ticket minus reinitialised* on
# mnist1d) is seen with any five seeds. A small one is seen with some five seeds, and
# missed with others.
#
# **What 95 % means.** The interval is made so that, if we did the whole experiment
# again and again, 95 in 100 intervals would hold the true mean. It does *not* say that
# 95 % of the networks lie inside. And where it holds zero, no difference was *seen*.
# There may be one all the same.
#
# **Why pairs.** Some seeds are lucky for every method. So all methods prune the same
# networks, and we subtract seed by seed. What a seed gave to both drops out. Such an
# interval is one of [paired differences](glossary.md#paired-difference). Choose the
# comparison on fashion-mini, switch to *not in pairs*, and see how much wider it gets
# in nearly every draw. Where seeds give the two methods little in common, pairs do not
# help: with *ticket minus dense* on mnist1d the interval gets narrower without them.
#
# **How to read a line.** "+1.2 [+0.4, +2.0], n = 5" means: 1.2 percentage points better on average, interval 0.4 to 2.0,
# from five seeds. The 5 counts seeds, not points.

# %% [markdown]
# ## 4. Which weights?
#
# Three ways to choose. The [scope](glossary.md#scope) says which weights compete with each other.
#
# - **random**: chance, which every idea must beat; each layer loses the same fraction;
# - **magnitude, layer**: the absolute value; each layer loses the same fraction;
# - **magnitude, global**: the absolute value; all layers compete.

# %%
WAYS = {
    "random": (lthlab.pruning.random, "layer"),
    "magnitude, layer": (magnitude, "layer"),
    "magnitude, global": (magnitude, "global"),
}
PAIRS = [("magnitude, layer", "random"), ("magnitude, global", "magnitude, layer")]
DENSITIES = [1, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01]


def by_scores(dense, seed, ways):  # prune at once, do not train again
    data, rows = lthlab.load_dataset("fashion-mini"), []
    batch = lthlab.draw_batch(data.train, 128, seed)  # for scores that look at images
    for arm, (score, scope) in ways.items():
        scores = score(dense, batch, seed=seed)
        for kept in DENSITIES:
            masks = prune(scores, full_masks(dense), 1 - kept, scope)
            net = apply_masks_(copy.deepcopy(dense), masks)
            right = lthlab.evaluate(net, data.validation)["accuracy"]
            rows.append((arm, kept, seed, right))
    return rows


# %%
def one_seed(seed):  # train a network, then prune it in every way
    torch.set_num_threads(1)
    data = lthlab.load_dataset("fashion-mini")
    dense = lthlab.build_model("lenet-300-100", data, seed=seed)
    lthlab.train(dense, data, recipe, seed=seed, step="fast")
    return dense, by_scores(dense, seed, WAYS)


# delayed() notes each call down; Parallel() makes them all, on all cores at once
jobs = (delayed(one_seed)(seed) for seed in range(5))
networks, rows = zip(
    *Parallel(n_jobs=-1)(jobs)
)  # zip(*...): two tuples from five pairs
COLUMNS = ["arm", "density", "seed", "value"]
cut = pd.DataFrame(sum(rows, []), columns=COLUMNS)  # sum: one list out of five
ax = plots.accuracy_by_density(cut, markersize=9)
ax.set_title("pruned at once, not trained again")
means = cut[cut["density"] == 0.1].groupby("arm")["value"].mean()
told = ", ".join(f"{arm} {mean:.0%}" for arm, mean in means.items())
plots.show(f"Validation accuracy falls with the weights kept. With 10 % kept: {told}.")
for arm, against in PAIRS:
    for kept in (0.2, 0.05):
        gap = lthlab.paired(cut[cut["density"] == kept], arm, against)
        print(f"{kept:3.0%} kept: {arm!r} minus {against!r}: {gap.points()}")

# %% [markdown]
# *Mean and 95 % interval (pale bands), n = 5; the lines of text are paired differences, in points.*
#
# All four intervals lie above zero. Magnitude beats chance by far, and more accuracy survives where the weights of all
# layers compete.

# %% [markdown]
# ## 5. Train again: at once, or step by step?
#
# Notebook 00 set the weights back to their first values. Here they keep their trained
# values: training what is left from there is called
# [fine-tuning](glossary.md#fine-tuning). We can prune *at once*, then train. Or we can
# prune a part, train, prune a part of the rest, train, and so on: *step by step*. Which
# helps, the small cuts or the longer training? We compare four [arms](glossary.md#arm):
#
# - **step by step**: four cuts, and three epochs of training after each;
# - **at once, 3 epochs**: one cut, and three epochs of training;
# - **at once, as long**: one cut, trained as long as *step by step* in all;
# - **dense, as long**: no cut, but the same extra training.

# %%
ENDS = ['below "step by step"', "with no difference seen", "above it"]
bets.pick("02-steps", 'With 1 % of the weights, "at once, as long" ends', ENDS)

# %% [markdown]
# The next two cells hold the experiment. In the second, read the lines that begin with
# `masks =` and `once =`: they make the cuts.

# %%
STAIRS = [0.3, 0.1, 0.03, 0.01]  # what is kept after each cut
short = replace(recipe, duration="3ep")


def retrain(net, masks, data, seed, number):  # each piece in an order of its own
    net = apply_masks_(copy.deepcopy(net), masks)
    other = 1000 * (number + 1) + seed
    lthlab.train(net, data, short, masks, seed=other, evaluate_every=0, step="fast")
    return net


# %%
def by_steps(seed, dense):
    torch.set_num_threads(1)
    data, everything = lthlab.load_dataset("fashion-mini"), full_masks(dense)
    stepwise, longer, masks, nets = dense, dense, everything, {}
    for number, kept in enumerate(STAIRS, 1):
        fraction = 1 - kept / lthlab.density(masks)  # of what is still there
        masks = prune(magnitude(stepwise), masks, fraction, "global")  # the small step
        stepwise = retrain(stepwise, masks, data, seed, number)
        longer = retrain(longer, everything, data, seed, number)
        nets |= {("step by step", kept): stepwise, ("dense, as long", kept): longer}
        if kept in (0.1, 0.01):
            once = prune(magnitude(dense), everything, 1 - kept, "global")  # one cut
            net = dense
            for piece in range(1, number + 1):
                net = retrain(net, once, data, seed, piece)
                nets.setdefault(("at once, 3 epochs", kept), net)  # the first piece
            nets["at once, as long", kept] = net
    right = {key: lthlab.evaluate(net, data.validation) for key, net in nets.items()}
    return [(*key, seed, found["accuracy"]) for key, found in right.items()]


# %%
repeats = Parallel(n_jobs=-1)(map(delayed(by_steps), range(5), networks))
trained = pd.DataFrame(sum(repeats, []), columns=COLUMNS)
PRUNED = ("step by step", "at once, 3 epochs", "at once, as long")
figure, axes = plt.subplots(1, 2, figsize=(11, 3), sharey=True, sharex=True)
told = []
for ax, kept in zip(axes, (0.1, 0.01)):
    here = trained[trained["density"] == kept]
    for arm, mark in zip(PRUNED, "os^"):
        gap = lthlab.paired(here, arm, "dense, as long")
        low, mean, high = 100 * gap.low, 100 * gap.mean, 100 * gap.high
        ax.errorbar(mean, arm, xerr=[[mean - low], [high - mean]], fmt=mark, capsize=4)
        told.append(f"{arm} at {kept:.0%}: {gap.points()}")
    ax.axvline(0, color=plots.arm_color("dense"), linestyle="--")
    ax.set_title(f"{kept:.0%} of the weights")
    ax.set_xlabel("points above (+) or below (-) 'dense, as long'")
axes[0].set_ylim(2.5, -0.5)
figure.tight_layout()
plots.show(f"Points, minus the dense network trained as long. {'; '.join(told)}.")
gap = lthlab.paired(here, "at once, as long", "step by step")
print(f"{kept:.0%} kept: 'at once, as long' minus 'step by step': {gap.points()}")
bets.reveal("02-steps", ENDS[0 if gap.high < 0 else 2 if gap.low > 0 else 1])

# %% [markdown]
# *Paired differences, mean and 95 % interval (n = 5), same networks and recipe; all
# pruned globally by magnitude. Dashed: dense, as long. The left picture is taken after
# two of the four cuts, so "as long" means six epochs there.*
#
# With a tenth of the weights, none of the three is seen to end below the dense network.
# With a hundredth, all three do, and the single cut with a short training ends lowest.
# Train it as long as *step by step*, and it ends no lower. Here the longer training
# helped, not the small cuts.
#
# Han et al. (2015), and many since, report that small cuts help in larger networks.
# Before you believe such a report, check whether the single cut was given as many
# epochs.
#
# ### Nine in ten
#
# Now we test the first sentence of this notebook. We compare *step by step*, with a
# tenth of the weights left, with the dense network that we started from, and with the
# same network trained for as many more epochs.

# %% tags=["article-06"]
tenth = trained[trained["density"] == 0.1]
# where all weights are kept, every arm holds the dense networks: take one of them
first = cut.query("density == 1 and arm == 'random'").assign(arm="dense, at first")
reached = lthlab.interval(tenth.query("arm == 'step by step'")["value"])
print(f"step by step, 10 % of the weights: {reached.percent()}")
lowest = 0
for other in ("dense, at first", "dense, as long"):
    gap = lthlab.paired(pd.concat([tenth, first]), "step by step", other)
    lowest = min(lowest, gap.low)
    print(f"    minus {other}: {gap.points()}")
safe = "lies outside both intervals" if lowest > -0.01 else "cannot be excluded"
print(f"A loss of more than one point {safe}.")

# %% [markdown]
# *n = 5, paired, validation data.* So nine in ten weights are gone, and at most a point
# of accuracy has gone with them. The article of notebook 01 says the same of pruning in
# general. But this is one network on clothes. On signals the same kind of pruning costs
# several points: see row 6 of [this table](README.md).

# %% [markdown]
# ## 6. What this does not save
#
# We keep a tenth of the weights. What does that save in use, and what in training? We
# count operations, [FLOPs](glossary.md#flop):

# %% tags=["article-07"]
tenth_masks = prune(magnitude(model), full_masks(model), 0.9, "global")
use = lthlab.cost.inference_flops(model, dataset, tenth_masks)
print(f"to classify one image: {use.total:,}, or {use.nonzero:,} if zeros are skipped")
first = lthlab.cost.training_flops(model, dataset, recipe).total
six = replace(recipe, duration="6ep")  # two cuts, three epochs after each
again = lthlab.cost.training_flops(model, dataset, six, tenth_masks).total
print(f"to train:  {first / 1e9:.0f} billion for the dense network")
print(f"to prune: {again / 1e9:.0f} billion more, zeros included")

# %% [markdown]
# Pruning after training makes training *dearer*, not cheaper: we trained the whole network first. What it can lower is the
# cost of *use*, and that only where zeros are skipped. Are they? Notebook 07 measures
# it. To save in training, we would have to prune *before* it.

# %% [markdown]
# ## 7. The board
#
# One suspect has been tested, with ten seeds that we ran beforehand: **longer
# training**. A *dense* network was trained for as long as the whole search for the
# ticket takes. On the board *surely* means: with the whole 95 % interval. On signals
# (mnist1d) all of it lies above one point, so the suspect is charged, and its row is
# shaded. On clothes (fashion-mini) one point lies within it, and we cannot tell. So compare
# only networks that were trained equally long.

# %%
plots.show(board(2))

# %% [markdown]
# ## 8. Your turn
#
# 1. A paper reports "+0.6 [-0.2, +1.4], n = 3" and says that its method is better. What does the interval say? Another paper
#    prunes step by step, five times ten epochs, and compares with a single cut and ten epochs. What is missing?
#
# <details><summary>Answers</summary>
#
# 1. No difference was seen: zero lies inside, and three seeds could only have shown a
#    large one. In the second paper an arm is missing: a single cut and fifty epochs.
# </details>
#
# The [sheet for this notebook](exercises/02_magnitude_pruning.py) has more, with checks.

# %% [markdown]
# ## Take away
#
# - Pruning means to score every weight and keep the best. The scope says which weights
#   compete.
# - A finding has seeds, an interval, and arms that were trained equally long.
# - Here nine in ten weights can go, if the rest is trained again. That saves no training.
#
# **Next question**: can we take such a mask and train the small network alone, *from
# the beginning*? For a long time people found that this works less well (Han et al.
# 2015; Li et al. 2017). [Notebook 03](03_winning_tickets.ipynb) tries it.

# %% [markdown] tags=["deep"]
# ## Deep dive: a score from 1989
#
# **Optimal Brain Damage** (LeCun, Denker and Solla) asks how the loss $E$ changes when weight $w_i$ becomes 0. At the end
# of training the gradient is about zero. What is left is the curvature $h_{ii} = \partial^2 E / \partial w_i^2$, which
# says how quickly the gradient changes:
#
# $$\delta E_i \approx \tfrac{1}{2} h_{ii} w_i^2$$
#
# A small weight can matter if the loss is sharply curved in it; a large one can be idle. The year tells you that the
# question is older than most networks.

# %% tags=["deep"]
from lthlab import obd

batch = lthlab.draw_batch(dataset.train, 128, seed=0)
saliency = obd(model, batch)["fc1.weight"].flatten().clamp_min(1e-14)
size = magnitude(model)["fc1.weight"].flatten()
some = torch.randperm(len(size), generator=torch.Generator().manual_seed(0))[:4000]
dots = {"s": 7, "linewidth": 0, "alpha": 0.5, "color": plots.arm_color("OBD")}
ax = sns.scatterplot(x=size[some], y=saliency[some], **dots)
ax.set(xlabel="magnitude |w|", ylabel="OBD score (change of the loss)")
ax.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-13, 1e-3))
plots.show(
    "OBD score against magnitude, both on log scales: a cloud that rises to the right. "
    "At one magnitude the scores spread over several powers of ten."
)

# %% [markdown] tags=["deep"]
# *4,000 randomly chosen weights of the first layer; those outside the axes, most of
# them with an OBD score of zero, are left out. Curvature from 128 training
# images (approximately: run a cell with `obd??` to see how), scored once.* The two
# scores agree in tendency (up and to the right), and disagree by orders of magnitude on
# single weights. Which of them is right is not a matter of taste: we can measure it.

# %% tags=["deep", "article-05"]
OBD = {"OBD, layer": (obd, "layer"), "OBD, global": (obd, "global")}
runs = (delayed(by_scores)(net, seed, OBD) for seed, net in enumerate(networks))
found = pd.DataFrame(sum(Parallel(n_jobs=-1)(runs), []), columns=COLUMNS)
scored = pd.concat([cut, found], ignore_index=True)
ax = plots.accuracy_by_density(scored, markersize=9)
ax.set_title("pruned at once, not trained again")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))  # beside the lines, not on them
means = scored[scored["density"] == 0.1].groupby("arm")["value"].mean()
told = ", ".join(f"{arm} {mean:.0%}" for arm, mean in means.items())
plots.show(f"Validation accuracy falls with the weights kept. With 10 % kept: {told}.")
for scope in ("layer", "global"):
    for kept in (0.2, 0.05):
        here = scored[scored["density"] == kept]
        gap = lthlab.paired(here, f"OBD, {scope}", f"magnitude, {scope}")
        print(f"{kept:3.0%} kept, {scope}: OBD minus magnitude: {gap.points()}")

# %% [markdown] tags=["deep"]
# *n = 5, paired.* Lines of one scope lie close together: here the scope matters more
# than the score. A difference is seen only globally with 5 % kept, and it is in favour
# of plain magnitude. Remember the derivation when you judge OBD:
# the estimate is for removing *one* weight from a network at rest, while all others stay. Remove nine in ten at once, and
# that no longer holds. (LeCun and colleagues removed a few at a time, and computed the scores anew.)

# %% [markdown] tags=["deep"]
# ## Deep dive: does the score still matter after training?
#
# Prune 95 % in each of the five ways, then train three epochs.


# %% tags=["deep"]
def trained_again(seed, dense):
    torch.set_num_threads(1)
    data, rows = lthlab.load_dataset("fashion-mini"), []
    batch = lthlab.draw_batch(data.train, 128, seed)
    for arm, (score, scope) in (WAYS | OBD).items():
        masks = prune(score(dense, batch, seed=seed), full_masks(dense), 0.95, scope)
        net = retrain(dense, masks, data, seed, 0)
        right = lthlab.evaluate(net, data.validation)["accuracy"]
        rows.append((arm, 0.05, seed, right))
    return rows


again = Parallel(n_jobs=-1)(map(delayed(trained_again), range(5), networks))
again = pd.DataFrame(sum(again, []), columns=COLUMNS)

# %% tags=["deep"]
both = {
    "not trained again": scored.query("density == 0.05"),
    "3 epochs of training": again,
}
table = pd.concat([rows.assign(then=then) for then, rows in both.items()])
plt.figure(figsize=(11, 4.2))
style = {"linestyle": "none", "palette": "colorblind", "dodge": 0.25}
style["markers"] = ["o", "s"]
ax = sns.pointplot(table, x="arm", y="value", hue="then", errorbar=plots.band, **style)
level = cut.query("density == 1")["value"].mean()
ax.axhline(level, color=plots.arm_color("dense"), linestyle="--", label="dense")
ax.set(xlabel="", ylabel="validation accuracy", title="5 % of the weights kept")
ax.yaxis.set_major_formatter("{x:.0%}")
ax.legend(title=None)
means = again.groupby("arm")["value"].mean()
told = ", ".join(f"{arm} {mean:.0%}" for arm, mean in means.items())
plots.show(f"Accuracy before and after three epochs. After: {told}; dense {level:.0%}.")

# %% [markdown] tags=["deep"]
# *Mean and 95 % interval, n = 5; where no bar is seen, it is smaller than the dot.*
# Training repairs most of the damage, and most of the differences disappear. Pruned
# globally, both scores reach the dense network, which was not trained for these three
# epochs. Pruned by layer, OBD ends lowest on average, even below chance.
# Gale, Elsen and Hooker (2019) report from much larger networks that plain magnitude
# is hard to beat once the network is trained again.

# %% [markdown] tags=["deep"]
# ## Deep dive: which layer is sensitive?
#
# Prune one layer, leave the other two whole, do not train again.

# %% tags=["deep"]
rows = []
for seed, dense in enumerate(networks):
    for layer in (everything := full_masks(dense)):
        for kept in DENSITIES:
            smaller = prune(magnitude(dense), everything, 1 - kept)
            masks = everything | {layer: smaller[layer]}
            net = apply_masks_(copy.deepcopy(dense), masks)
            right = lthlab.evaluate(net, dataset.validation)["accuracy"]
            rows.append((layer.removesuffix(".weight"), kept, seed, right))
alone = pd.DataFrame(rows, columns=COLUMNS)
ax = plots.accuracy_by_density(alone, markersize=9)
ax.set_title("only this layer pruned, not trained again")
means = alone[alone["density"] == 0.05].groupby("arm")["value"].mean()
told = ", ".join(f"{layer} {mean:.0%}" for layer, mean in means.items())
plots.show(f"Accuracy against the density of one layer. With 5 % of it kept: {told}.")

# %% [markdown] tags=["deep"]
# *Mean and 95 % interval, n = 5.* The smallest layer is the most sensitive: one percent of *out* is ten weights, on average
# one per class; one percent of *fc1* is 2,352. Here is what global pruning chooses for itself:

# %% tags=["deep"]
scopes = ("layer", "global")
chosen = {s: prune(magnitude(model), full_masks(model), 0.95, s) for s in scopes}
plots.layer_bars(chosen).set_title("5 % of all weights kept")
told = [f"{kept:.1%}" for kept in lthlab.layer_densities(chosen["global"]).values()]
plots.show(f"By layer, each keeps 5 %; globally the three keep {', '.join(told)}.")
untrained = lthlab.build_model("lenet-300-100", dataset, seed=0)
for name, weight in lthlab.prunable_weights(untrained).items():
    print(f"{name:10s} before training: standard deviation {weight.std():.3f}")

# %% [markdown] tags=["deep"]
# Global pruning spares the small layers near the output, as if it knew. Part of this is no insight at all: the usual
# [initialisation](glossary.md#initialisation) (*Glorot*) gives small layers larger weights, so one common cut spares them. The paper on winning tickets
# prunes its small networks by layer, with half the rate for the last one, and its large networks globally.

# %% [markdown] tags=["deep"]
# ## Deep dive: bytes
#
# What pruning saves at once is storage. *Bitmap* stores the kept weights, and one bit
# for each weight that says whether it is kept. [CSR](glossary.md#csr) stores them with
# their places:

# %% tags=["deep"]
room = pd.Series(lthlab.cost.storage_bytes(tenth_masks)) / 1e6
print(room.map("{:.2f} MB".format).to_string())

# %% [markdown] tags=["deep"]
# **Sources**: Y. LeCun, J. Denker and S. Solla, *Optimal Brain Damage*, NIPS 1989. S. Han, J. Pool, J. Tran and W. Dally,
# *Learning both Weights and Connections for Efficient Neural Networks*, NeurIPS 2015. H. Li et al., *Pruning Filters for
# Efficient ConvNets*, ICLR 2017. T. Gale, E. Elsen and S. Hooker, *The State of Sparsity in Deep Neural Networks*, 2019.
