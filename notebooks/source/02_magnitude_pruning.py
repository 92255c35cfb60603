# %% [markdown]
# # Magnitude pruning
#
# A trained network can lose nine in ten of its weights and hardly notice, if one picks the right nine and lets the rest
# train a little more. You prune
# a 5 x 5 matrix by eye, then a whole network: at once and step by step, layer by layer and all together, by size,
# by chance and by a method from 1989; with and without training again.
#
# **After this notebook you can**
# - prune by hand, and with `prune(scores, masks, fraction)`;
# - say what a *score*, a *mask*, a *scope* and *fine-tuning* are, and what each contributes;
# - compare methods fairly: same seeds, in pairs, with an interval, and with the same amount of training;
# - say what pruning after training does **not** save.
#
# **You need** notebooks 00 and 01. Tables are pandas; where a line of it is not obvious, a comment says what it does.
#
# **Time**: 30 minutes to read, about 90 seconds to run on two cores.

# %%
import copy
import time
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from joblib import Parallel, delayed

import lthlab
from lthlab import (
    apply_masks_,
    build_model,
    density,
    evaluate,
    full_masks,
    magnitude,
    plots,
    prune,
    train,
)

torch.set_num_threads(1)  # one core here; the repeats below use the others
plots.use_style()

# %% [markdown]
# ## 1. Five by five
#
# Here is a layer with five inputs and five outputs.

# %%
tiny = torch.nn.Linear(5, 5, bias=False)
with torch.no_grad():
    tiny.weight.copy_(
        torch.tensor(
            [
                [0.9, -0.1, 0.4, 0.0, -0.7],
                [-0.2, 0.8, -0.5, 0.3, 0.1],
                [0.6, -0.9, 0.2, -0.4, 0.5],
                [0.1, 0.3, -0.8, 0.7, -0.3],
                [-0.6, 0.2, 0.1, -0.5, 0.4],
            ]
        )
    )

# %% [markdown]
# We want to keep 15 of its 25 weights: prune 40 %.
#
# > **Predict.** Put your finger on the ten that go, if *small* means *unimportant*.
#
# Pruning has two steps. A **score** says how much each weight matters; for magnitude pruning it is the absolute
# value. A **mask** keeps the highest scores:

# %%
masks = full_masks(tiny)  # keeps everything
scores = magnitude(tiny)
masks = prune(scores, masks, fraction=0.4)
masks["weight"].int()

# %%
before = tiny.weight.detach().clone()
apply_masks_(tiny, masks)
pictures = {
    "weights": (before, {"cmap": "vlag", "center": 0}),
    "scores: |weight|": (before.abs(), {"cmap": "viridis"}),
    "pruned": (tiny.weight.detach(), {"cmap": "vlag", "center": 0}),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
for ax, (title, (values, colours)) in zip(axes, pictures.items()):
    colours |= {"cbar": False, "square": True, "xticklabels": [], "yticklabels": []}
    sns.heatmap(values, annot=True, fmt=".1f", ax=ax, **colours)
    ax.set_title(title)
figure.tight_layout()

kept = lthlab.count_kept(masks)
print(f"kept {kept} of 25, density {kept / 25:.0%}, sparsity {1 - kept / 25:.0%}")

# %% [markdown]
# **Density** is the fraction kept, **sparsity** the fraction gone. Look for the weights of size 0.3: there are three,
# and only two had to go. Where scores tie, the first ones do. Exactly ten are pruned, never eleven.
#
# ### What would the network do without them?
#
# Pruned weights are exactly 0.0, so their products are 0 and could be skipped (section 9: are they?). The output
# changes:

# %%
signal = torch.ones(5)
print("before:", [round(v, 1) for v in (before @ signal).tolist()])
print("after: ", [round(v, 1) for v in tiny(signal).tolist()])

# %% [markdown]
# With ten of 25 weights gone from a layer this small, that is a lot. Large networks are more patient.
#
# ## 2. A trained network
#
# Now the network of notebook 01: 266,200 weights, trained on clothes.

# %%
dataset = lthlab.load_dataset("fashion-mini")
recipe = lthlab.recipe_for("lenet-300-100", dataset)
model = build_model("lenet-300-100", dataset, seed=0)
history = train(model, dataset, recipe, seed=0, progress=True)
print(f"validation accuracy {history.value():.1%}")

# %%
cut = float(magnitude(model)["fc1.weight"].flatten().quantile(0.5))
plots.weight_histogram(model.fc1.weight, cut=cut)
plt.title("first layer: the smaller half")
plt.show()

# %% [markdown]
# At the end of notebook 01 you predicted what happens when the shaded half goes. Here is the answer:

# %%
for fraction in (0.5, 0.9):
    masks = prune(magnitude(model), full_masks(model), fraction)
    rest = apply_masks_(copy.deepcopy(model), masks)
    right = evaluate(rest, dataset.validation)["accuracy"]
    print(f"{fraction:.0%} pruned, not trained again: {right:.1%}")

# %% [markdown]
# Losing half of the weights costs little. Losing nine in ten at once, without a chance to recover, costs a lot. Hold
# that thought.

# %% [markdown]
# ## 3. Which weights? Three scores, two scopes
#
# | score | idea | scope |
# |---|---|---|
# | random | chance; what any idea must beat | in each layer |
# | magnitude, layer | small weights matter little | the same fraction in each layer |
# | magnitude, global | the same | over all layers together |
# | OBD, layer and global | the loss that the deletion would cost, by a second-order estimate | both |
#
# **Optimal Brain Damage** (LeCun, Denker and Solla, 1989) asks how the loss $E$ changes when weight $w_i$ becomes 0. At
# the end of training the slope is about zero, so what is left is the curvature (how quickly the slope changes) $h_{ii}
# = \partial^2 E / \partial w_i^2$:
#
# $$\delta E_i \approx \tfrac{1}{2} h_{ii} w_i^2$$
#
# A small weight can matter if the loss is steep in it, a large one can be idle. The names alone tell you that the
# question is older than most networks.

# %%
from lthlab import draw_batch, obd

batch = draw_batch(dataset.train, 128, seed=0)
saliency = obd(model, batch)["fc1.weight"].flatten().clamp_min(1e-14)
size = magnitude(model)["fc1.weight"].flatten()
show = torch.randperm(len(size), generator=torch.Generator().manual_seed(0))[:4000]
dots = {"s": 7, "linewidth": 0, "alpha": 0.5, "color": plots.arm_color("OBD")}
ax = sns.scatterplot(x=size[show], y=saliency[show], **dots)
ax.set(xlabel="magnitude |w|", ylabel="OBD saliency (nats)")
ax.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-13, 1e-3))
plt.show()

# %% [markdown]
# *4,000 randomly chosen weights of the first layer; the few smaller than the axes are left out. Curvature from 128
# training images (in Gauss-Newton form: see `obd??`), scored once.* They agree in tendency (up and to the right) and
# disagree by orders of magnitude on single weights. Who is right is not a matter of taste; we can measure.

# %% [markdown]
# ## 4. Five seeds, not one
#
# From here on everything is repeated with five seeds: five initialisations, five orders of the data. One function,
# `one_seed`, does all experiments of this notebook for one seed; `joblib` runs it on as many cores as there are. Read
# what it is made of: each of the small functions is a section below.

# %%
SCORES = {
    "random": (lthlab.pruning.random, "layer"),
    "magnitude, layer": (magnitude, "layer"),
    "magnitude, global": (magnitude, "global"),
    "OBD, layer": (obd, "layer"),
    "OBD, global": (obd, "global"),
}
DENSITIES = [0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01]  # one-shot, not trained again
STAIRS = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01]  # step by step, 3 epochs at each step


def pruned(net, masks):
    return apply_masks_(copy.deepcopy(net), masks)


def retrain(net, masks, dataset, seed, order):  # 3 epochs, in an order of their own
    net, short = pruned(net, masks), replace(recipe, duration="3ep")
    options = {"seed": 1000 * (order + 1) + seed, "evaluate_every": 0, "step": "fast"}
    train(net, dataset, short, masks, **options)
    return net


# %%
def by_scores(dense, dataset, seed):
    everything, batch = full_masks(dense), draw_batch(dataset.train, 128, seed)
    for arm, (score, scope) in SCORES.items():
        scores = score(dense, batch, seed=seed)
        for kept in DENSITIES:  # section 5: prune, do not train again
            masks = prune(scores, everything, 1 - kept, scope)
            yield "without retraining", arm, kept, pruned(dense, masks)
        masks = prune(scores, everything, 0.95, scope)  # section 6: train 3 epochs
        net = retrain(dense, masks, dataset, seed, order=0)
        yield "3 epochs of retraining", arm, 0.05, net


def by_layers(dense):
    everything = full_masks(dense)
    for layer in everything:  # section 7: prune a single layer
        for kept in DENSITIES:
            smaller = prune(magnitude(dense), everything, 1 - kept)
            masks = {**everything, layer: smaller[layer]}
            name = layer.removesuffix(".weight")
            yield "one layer", name, kept, pruned(dense, masks)


# %%
def by_steps(dense, *data):  # section 8: step by step, at once, and not at all
    everything = masks = full_masks(dense)
    stepwise = longer = dense
    for step, kept in enumerate(STAIRS, 1):
        masks = prune(magnitude(stepwise), masks, 1 - kept / density(masks), "global")
        stepwise = retrain(stepwise, masks, *data, order=step)
        yield "retrained", "iterative", density(masks), stepwise
        longer = retrain(longer, everything, *data, order=step)
        yield "retrained", "dense, trained as long", density(masks), longer
        if kept in (0.1, 0.01):
            once = prune(magnitude(dense), everything, 1 - kept, "global")
            net = retrain(dense, once, *data, order=step)
            yield "retrained", "one-shot, 3 epochs", density(masks), net
            net = dense
            for piece in range(1, step + 1):  # in the stepwise arm's pieces and orders
                net = retrain(net, once, *data, order=piece)
            yield "retrained", "one-shot, as many epochs", density(masks), net


# %%
def one_seed(seed):
    torch.set_num_threads(1)
    dataset = lthlab.load_dataset("fashion-mini")
    dense = build_model("lenet-300-100", dataset, seed=seed)
    train(dense, dataset, recipe, seed=seed, step="fast")
    sections = (
        [("dense", "dense", 1.0, dense)],
        by_scores(dense, dataset, seed),
        by_layers(dense),
        by_steps(dense, dataset, seed),
    )
    rows = [
        (seed, experiment, arm, kept, evaluate(net, dataset.validation)["accuracy"])
        for section in sections
        for experiment, arm, kept, net in section
    ]
    columns = ["seed", "experiment", "arm", "density", "value"]
    return pd.DataFrame(rows, columns=columns)


began = time.perf_counter()
repeats = Parallel(n_jobs=-1)(delayed(one_seed)(seed) for seed in range(5))
results = pd.concat(repeats, ignore_index=True)
print(f"{len(results)} measurements in {time.perf_counter() - began:.0f} s")

# %%
dense = lthlab.interval(results.query("experiment == 'dense'")["value"])
print("dense networks:", dense.percent(), "seeds; the brackets are a 95 % interval")

# %% [markdown]
# ## 5. Without training again
#
# > **Predict.** Order the four scores from best to worst at 20 % density.

# %%
part = results.query("experiment == 'without retraining'")
whole = results.query("experiment == 'dense'")  # where each of the lines begins
start = [whole.assign(arm=arm) for arm in SCORES]
plots.accuracy_by_density(pd.concat([part, *start]))
plt.title("pruned at once, not trained again")
plt.show()

# %% [markdown]
# *Mean and 95 % interval over five trained networks (n = 5). Same networks for all scores.*

# %% tags=["article-05"]
print("points better than random pruning (paired, 95 % interval)")
for kept in (0.2, 0.1, 0.05):
    here = part[part["density"] == kept]
    print(f"at {kept:.0%} density:")
    for arm in list(SCORES)[1:]:
        print(f"    {arm:18s} {lthlab.paired(here, arm, 'random').points()}")

# %% [markdown]
# All three ideas beat chance by far. A fair reading of the numbers needs the *pairs*: each seed gives one network,
# all scores prune that same network, and we look at the difference. What differs between networks drops out.
#
# Two questions remain. Does the *scope* matter, layer by layer against all together? And is the second-order
# estimate worth its price? Two scores in two scopes answer both:

# %%
for question, arm, against in (
    ("scope, magnitude: global minus layer", "magnitude, global", "magnitude, layer"),
    ("scope, OBD:       global minus layer", "OBD, global", "OBD, layer"),
    ("score, by layer:  OBD minus magnitude", "OBD, layer", "magnitude, layer"),
    ("score, globally:  OBD minus magnitude", "OBD, global", "magnitude, global"),
):
    print(question)
    for kept in (0.5, 0.2, 0.1, 0.05):
        gap = lthlab.paired(part[part["density"] == kept], arm, against)
        print(f"    {kept:4.0%} density: {gap.points()} points")

# %% [markdown]
# Read the four blocks against each other: which rows exclude zero, and where is the effect large? Remember the
# derivation when you judge OBD: the estimate is for removing *one* weight from a network at rest, where slopes are zero
# and all other weights stay. Remove nine in ten at once, and neither is true. (LeCun and colleagues removed a few at a
# time and computed the scores anew.)

# %% [markdown]
# ## 6. Training again
#
# A pruned network need not stay as it is. **Fine-tuning** trains the weights that are left, from the values they
# have; pruned ones stay exactly zero. Three epochs, after pruning 95 %:
#
# > **Predict.** Will the differences between the arms grow or shrink?

# %%
again = results.query("experiment == '3 epochs of retraining'")
both = pd.concat([part.query("density == 0.05"), again])
plt.figure(figsize=(9, 4.2))
look = {"linestyle": "none", "palette": "colorblind", "dodge": 0.25}
look["errorbar"] = plots.band
ax = sns.pointplot(both, x="arm", y="value", hue="experiment", **look)
ax.axhline(dense.mean, color=plots.arm_color("dense"), linestyle="--", label="dense")
ax.set(xlabel="score", ylabel="validation accuracy", title="95 % of the weights pruned")
ax.yaxis.set_major_formatter("{x:.0%}")
ax.legend(title=None)
plt.show()

# %%
# the dense network, too, gets three more epochs: the first step of "trained as long"
longer = results.query("arm == 'dense, trained as long' and density > 0.4")
print("5 % of the weights, 3 epochs of retraining, minus dense trained as long:")
for arm in SCORES:
    gap = lthlab.paired(pd.concat([again, longer]), arm, "dense, trained as long")
    print(f"    {arm:18s} {gap.points()} points")

# %% [markdown]
# *n = 5, paired. Where no bar is seen in the picture, the interval is smaller than the dot.* Retraining repairs most of
# the damage, and the differences shrink to a fraction of what they were. Look where arms still fall short: for both
# scores, pruning by layer ends below pruning globally. That plain magnitude is hard to beat after retraining has been
# reported for much larger networks, too (Gale, Elsen and Hooker 2019).

# %% [markdown]
# ## 7. Which layer is sensitive?
#
# Prune one layer, leave the other two whole, do not retrain:

# %%
plots.accuracy_by_density(results.query("experiment == 'one layer'"))
plt.title("only this layer pruned, not trained again")
plt.show()

# %% [markdown]
# *Mean and 95 % interval, n = 5. The density is that of the pruned layer.*
#
# The smallest layer is the most sensitive: one percent of *out* is ten weights, on average one per class; one percent
# of *fc1* is 2,352. Here is what global pruning chose for itself, at 5 % density:

# %%
scores, masks = magnitude(model), full_masks(model)
scopes = ("layer", "global")
plots.layer_bars({scope: prune(scores, masks, 0.95, scope) for scope in scopes})
plt.title("5 % of all weights kept")
plt.show()

# %% [markdown]
# Global pruning spares the small layers near the output, as if it knew. Part of this is no insight at all:

# %%
untrained = build_model("lenet-300-100", dataset, seed=0)
print("standard deviation of the weights before any training:")
for name, weight in lthlab.prunable_weights(untrained).items():
    print(f"    {name:10s} {weight.std():.3f}")

# %% [markdown]
# The usual initialisation (*Glorot*) gives small layers larger weights, so one common cut spares them. The paper on
# winning tickets prunes its small networks by layer, with half the rate for the last one, and its large networks
# globally; you will meet the first rule in notebook 03.

# %% [markdown]
# ## 8. At once, or step by step?
#
# **One-shot**: prune to the goal, then train. **Iterative**: prune a part, train, prune a part of the rest, train.
# The second trains more often. Is it better because it goes step by step, or because it trains longer? We need two
# one-shot arms: one that trains 3 epochs after its single cut, as each step of *iterative* does, and one that trains
# *as many epochs* as *iterative* has had in all by then. And the dense network, too, is trained on for as long, so
# that we do not praise pruning for what mere training does.
#
# > **Predict.** Draw the four arms at 10 % and at 1 %.

# %%
stairs = results.query("experiment == 'retrained'")
plots.accuracy_by_density(stairs)
plt.title("pruned globally by magnitude, 3 epochs of training per step")
plt.show()

# %% [markdown]
# *Mean and 95 % interval over five seeds (n = 5). Networks, recipe and data are the same. The one-shot arms were run at
# 10 % and 1 % only; the lines between are a guide for the eye. Overlapping bands do not mean "no difference": the
# pairs decide, below.*

# %%
for kept in (0.1, 0.01):
    here = stairs[(stairs["density"] - kept).abs() < 1e-3]
    for other in ("one-shot, 3 epochs", "one-shot, as many epochs"):
        gap = lthlab.paired(here, "iterative", other)
        clear = "better" if gap.low > 0 else "worse" if gap.high < 0 else ""
        seen = clear or "no difference seen"
        print(f"{kept:4.0%}: iterative minus {other:25s} {gap.points():26s} {seen}")

# %% [markdown]
# Read the verdicts in the last column; they come from the intervals, and on your machine they may differ in detail.
# "No difference seen" is not "no difference": five seeds see only what is larger than the interval. What to take from
# it: going step by step beats a single cut with a single *short* training where little is left, and before you credit
# the steps for that, look at the arm that was allowed as much training. (Han et al. 2015 and many since report that
# iterating helps on larger networks. Whether one-shot pruning was given the same number of epochs is the first thing
# to look for when you read them.)

# %% [markdown]
# ### Nine in ten
#
# The claim of this notebook's first sentence, in numbers. At 10 % density, step by step:

# %% tags=["article-06"]
tenth = stairs[(stairs["density"] - 0.1).abs() < 1e-3]
against_longer = lthlab.paired(tenth, "iterative", "dense, trained as long")
first = results.query("experiment == 'dense'")
against_first = lthlab.paired(pd.concat([tenth, first]), "iterative", "dense")
level = lthlab.interval(tenth.query("arm == 'iterative'")["value"])
print("90 % of the weights pruned:", level.percent())
print("   minus the dense network it came from:  ", against_first.points(), "points")
print("   minus the dense one, trained as long:  ", against_longer.points(), "points")
if min(against_first.low, against_longer.low) < -0.01:
    print("A loss of more than one point cannot be excluded.")
else:
    print("A loss of more than one point lies outside both intervals:")
    print("90 % are gone, and no more than a point of accuracy with them.")

# %% [markdown]
# *n = 5, paired by seed, 95 % t-intervals, validation data. Density, recipe and data are fixed; seeds set the
# initial values and the order of the data.*
#
# Why two comparisons? The pruned network was trained for nine epochs more than the one it came from. The second
# comparison gives the dense network those nine epochs too. A gain that is clear in the first and open in the second is
# no proof that *pruning* improved anything; whether more than a point was lost, the last lines say of both. J.
# Frankle's article *Do Neural Networks Really Need to Be So Big?* says that nine in ten parameters of a trained network
# can go without harm; this is what that is worth here.

# %% [markdown]
# ## 9. What this does not save
#
# > **Predict.** The network has a tenth of its weights. How much faster does it classify? How much did we save in
# > training?

# %%
kept = prune(magnitude(model), full_masks(model), 0.9, "global")
sparse = apply_masks_(copy.deepcopy(model), kept)
batch = dataset.validation.x[:60]
times = {"dense": [], "pruned": []}
with torch.inference_mode():
    for _ in range(300):  # taking turns, so that both meet the same machine
        for name, net in (("dense", model), ("pruned", sparse)):
            began = time.perf_counter()
            net(batch)
            times[name].append(time.perf_counter() - began)
medians = {name: pd.Series(values[50:]).median() for name, values in times.items()}
flops = lthlab.cost.inference_flops(model, dataset, kept)
print(f"in theory: {flops.total / flops.nonzero:.1f} times fewer operations")
print(f"measured:  {medians['dense'] / medians['pruned']:.2f} times as fast")

# %% [markdown]
# The zeros are multiplied like any other number: an ordinary matrix product does not look. How to make them count
# is the subject of notebook 07. What is saved at once is room, if one stores the survivors and a bit per weight:

# %%
room = pd.Series(lthlab.cost.storage_bytes(kept)) / 1e6
print(room.map("{:.2f} MB".format).to_string())

# %% [markdown]
# And training? We trained the whole network first, then the pruned ones *in addition*:

# %% tags=["article-07"]
nine = replace(recipe, duration="9ep")
dense_run = lthlab.cost.training_flops(model, dataset, recipe).total / 1e9
again_run = lthlab.cost.training_flops(model, dataset, nine, kept).total / 1e9
print(f"training the dense network       {dense_run:6.1f} GFLOPs")
print(f"pruning to 10 % in three steps   {again_run:6.1f} GFLOPs more, zeros included")
both = f"{flops.total / 1e6:.2f} MFLOPs, {flops.nonzero / 1e6:.2f} if zeros are skipped"
print(f"one use, that is one image: {both}")

# %% [markdown]
# Pruning after training saves nothing in training: it adds to it. What it can lower is the cost of *use*. To save in
# training, one would have to prune *before*.
# So: take the mask we have just found, and train the small network alone, from the beginning. The experience was that
# this works less well (Han et al. 2015; Li et al. 2017). The next notebook tries.

# %% [markdown]
# ## 10. Your turn
#
# 1. In section 1, change `fraction` to 0.6 and predict the mask before you run.
# 2. Write a score of your own: a function that takes a model, a batch and a seed (this one needs only the model) and
#    returns a dict of tensors, one score per weight. Before you run: how will its masks differ from magnitude's?
#
#    ```python
#    def mine(model, batch=None, *, seed=0):
#        weights = lthlab.prunable_weights(model)
#        return {name: weight.detach() ** 2 for name, weight in weights.items()}
#    ```
# 3. What does *reversed* magnitude (`-weight.detach().abs()`) do at 50 %, without retraining? It is a good test of
#    whether a score means anything.
#
# <details><summary>Answers</summary>
#
# 1. Fifteen go: besides the ten, the third weight of size 0.3, the three of size 0.4, and the first of size 0.5.
# 2. They do not differ. A mask depends only on the *order* of the scores, and squaring keeps the order of absolute
#    values. Scores are compared, never added.
# 3. It keeps the smaller half and throws the larger away. The network falls far below what random pruning leaves: so
#    magnitude knows something.
# </details>

# %% [markdown]
# ## Take away
#
# - Pruning = a score for each weight, then a mask that keeps the best.
# - The scope, by layer or global, can matter as much as the score. Magnitude is crude, and hard to beat once the network
#   is trained again.
# - Whether pruning *step by step* helps depends on what the single cut is allowed: give both the same training.
# - Compare in pairs, with the same amount of training, and print the interval.
# - Pruning after training saves room. It does not save training, and not time by itself.
#
# **Sources**: J. Frankle, *Do Neural Networks Really Need to Be So Big?* (the article whose statements this course
# tests). Y. LeCun, J. Denker and S. Solla, *Optimal Brain Damage*, NIPS 1989. S. Han, J. Pool, J. Tran and
# W. Dally, *Learning both Weights and Connections for Efficient Neural Networks*, NeurIPS 2015. H. Li et al., *Pruning
# Filters for Efficient ConvNets*, ICLR 2017. T. Gale, E. Elsen and S. Hooker, *The State of Sparsity in Deep Neural
# Networks*, 2019.
