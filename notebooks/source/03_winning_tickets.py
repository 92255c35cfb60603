# %% [markdown]
# # Winning tickets
#
# Pruning a trained network is easy. Training a pruned network from scratch was thought to be hopeless. In 2019
# Jonathan Frankle and Michael Carbin put the survivors of pruning back to the values they had *before training*, and
# the small network trained as well as the whole. You write their algorithm in twenty lines, repeat the experiment
# with five seeds, and check each part of their claim.
#
# **After this notebook you can**
# - write iterative magnitude pruning (IMP) with rewinding, and say what each line is for;
# - state the lottery ticket hypothesis, and what a *matching* ticket is;
# - judge a claim by paired intervals, and use test data the way it is meant;
# - save a ticket and load it again.
#
# **You need** notebooks 00 and 02.
#
# **Time**: 30 minutes to read, about 3 minutes to run on two cores.

# %%
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from joblib import Parallel, delayed

import lthlab
from lthlab import (
    build_model,
    density,
    evaluate,
    find_ticket,
    full_masks,
    load_dataset,
    magnitude,
    plots,
    prune,
    reinitialize,
    rewind,
    train,
)

torch.set_num_threads(1)  # one core here; the repeats below use the others
plots.use_style()
dataset = load_dataset("fashion-mini")
recipe = lthlab.recipe_for("lenet-300-100", dataset)

# %% [markdown]
# ## 1. The hypothesis
#
# > *A randomly-initialized, dense neural network contains a subnetwork that is initialized such that, when trained
# > in isolation, it can match the test accuracy of the original network after training for at most the same number
# > of iterations.* (Frankle & Carbin 2019, section 1)
#
# Four parts, each of which can fail:
#
# 1. **subnetwork**: some of the same weights, the others removed (a mask);
# 2. **initialized such that**: it is about the *values* they start from;
# 3. **match the accuracy**: not "nearly";
# 4. **at most the same number of iterations**: not by training longer.

# %% [markdown]
# ## 2. Twenty lines
#
# Iterative magnitude pruning, with the maker, the trainer and the pruner handed in, so that you can see what belongs
# to the method and what does not:


# %%
def imp(make_model, train_model, prune_masks, levels):
    """Iterative magnitude pruning with rewinding to the initial values."""
    model = make_model()
    initial = {name: value.clone() for name, value in model.state_dict().items()}  # a copy, not a reference!
    masks = full_masks(model)
    found = []
    for _ in range(levels + 1):
        model.load_state_dict(initial)  # rewind
        lthlab.apply_masks_(model, masks)  # the others are exactly zero
        accuracy = train_model(model, masks)  # and stay so
        found.append((density(masks), accuracy, masks))
        masks = prune_masks(model, masks)  # scores from the network just trained
    return found


# %% [markdown]
# Three details in it decide between a discovery and an artefact, and each has gone wrong in published code:
#
# - `clone()`. Without it `initial` is a second *name* for the weights. Training changes them, and "rewinding" puts
#   back the trained values.
# - The **mask is applied during training**, in `train_model`, after every step. Momentum and weight decay would bring
#   pruned weights back to life.
# - Scores come from **the network just trained**, at the end of its training, and from no other checkpoint.

# %% [markdown]
# A short run: three levels, one epoch each. Rates are those of the paper: 20 % of the remaining weights per level,
# 10 % in the output layer.

# %%
short = replace(recipe, duration="1ep")
rates = {"fc1.weight": 0.2, "fc2.weight": 0.2, "out.weight": 0.1}

mine = imp(
    make_model=lambda: build_model("lenet-300-100", dataset, seed=0),
    train_model=lambda model, masks: train(model, dataset, short, masks, seed=0).value(),
    prune_masks=lambda model, masks: prune(magnitude(model), masks, rates),
    levels=3,
)
for kept, accuracy, _ in mine:
    print(f"density {kept:.1%}   validation accuracy after one epoch {accuracy:.1%}")

# %% [markdown]
# `find_ticket` of `lthlab` is this loop, with progress bars and records. To the bit:

# %%
theirs = find_ticket(build_model("lenet-300-100", dataset, seed=0), dataset, short, levels=3, seed=0)
same = all(torch.equal(mask, mine[-1][2][name]) for name, mask in theirs.masks.items())
print("the same masks, all 266,200 entries:", same)

# %% [markdown]
# ## 3. How small is small?
#
# Twenty percent of what is left, again and again. > **Predict:** how many levels to keep less than 4 %?

# %%
sizes = {"fc1": 235_200, "fc2": 30_000, "out": 1_000}
plan = pd.DataFrame(
    [{layer: size * (0.9 if layer == "out" else 0.8) ** level for layer, size in sizes.items()} for level in range(16)]
)
plan["density"] = plan.sum(axis=1) / sum(sizes.values())
plan.iloc[[0, 1, 2, 3, 5, 10, 15]].style.format("{:,.0f}", subset=list(sizes)).format("{:.1%}", subset=["density"])

# %% [markdown]
# ## 4. Five seeds
#
# For each of five seeds: an IMP run of 15 levels. And for three of its levels the **control**: the same mask, the
# same data in the same order, newly drawn initial values. At the end, and only there, one look at the test images.
#
# > **Predict.** (a) At which density does the ticket fall below the dense network? (b) And the control? (c) Which of
# > the two learns faster, and which faster than the *dense* network?

# %%
EARLY = ["20it", "40it", "70it", "1ep", "2ep", "3ep", "5ep"]  # when to look, beside the start and the end
CONTROLLED = [5, 10, 15]  # levels at which to run the control


def one_seed(seed):
    torch.set_num_threads(1)
    dataset = load_dataset("fashion-mini")
    model = build_model("lenet-300-100", dataset, seed=seed)
    looks = {"evaluate_every": recipe.duration, "evaluate_at": EARLY}

    ticket = find_ticket(model, dataset, recipe, density=0.036, seed=seed, snapshots=[recipe.duration], **looks)
    tables = [ticket.table().assign(arm="ticket")]
    test = {"ticket": evaluate(model, dataset.test)["accuracy"]}  # the model is as trained at the last level

    for number in CONTROLLED:
        level = ticket.levels[number]
        control = reinitialize(model, level.masks, seed=1000 + seed)
        history = train(control, dataset, recipe, level.masks, seed=seed, **looks)
        tables.append(history.table.assign(arm="reinitialised", level=number, density=level.density))
    test["reinitialised"] = evaluate(control, dataset.test)["accuracy"]

    dense = ticket.levels[0]  # its weights after the last step were kept as a snapshot
    dense = rewind(model, dense.history.snapshots[recipe.steps(dataset)], dense.masks)
    test["dense"] = evaluate(dense, dataset.test)["accuracy"]
    return pd.concat(tables).assign(seed=seed), {"seed": seed, **test}, ticket if seed == 0 else None


began = time.perf_counter()
runs = Parallel(n_jobs=-1)(delayed(one_seed)(seed) for seed in range(5))
table = pd.concat([run[0] for run in runs], ignore_index=True)
ticket = runs[0][2]
print(f"{len(runs) * (len(ticket.levels) + len(CONTROLLED))} trainings in {time.perf_counter() - began:.0f} s")

# %% [markdown]
# Level 0 of each IMP run is the dense network. We give it its own name and keep validation accuracy only:

# %%
table.loc[(table["arm"] == "ticket") & (table["level"] == 0), "arm"] = "dense"
accuracy = table.query("split == 'validation' and metric == 'accuracy'")
final = accuracy[accuracy["step"] == recipe.steps(dataset)]
first_epoch = accuracy[accuracy["step"] == recipe.steps_per_epoch(dataset)]

# %% [markdown]
# ## 5. Does it match?

# %%
ax = plots.accuracy_by_density(final[final["arm"] != "dense"])
dense = lthlab.interval(final.query("arm == 'dense'")["value"])
ax.axhline(dense.mean, color=plots.ARM_COLORS["dense"], linestyle="--", label="dense")
ax.axhspan(dense.low, dense.high, color=plots.ARM_COLORS["dense"], alpha=0.12)
ax.legend()
ax.set_title("after the whole training, 10 epochs")
plt.show()

# %% [markdown]
# *Validation accuracy, mean and 95 % interval over five seeds (n = 5). Recipe, number of iterations and data are the
# same everywhere; ticket and reinitialised have the same masks.*

# %%
levels = [level for level in sorted(final["level"].unique()) if level]
rows = []
for level in levels:
    here = final[(final["level"] == level) | (final["level"] == 0)]
    gap = lthlab.paired(here[here["arm"] != "reinitialised"], "ticket", "dense")
    rows.append((level, here[here["level"] == level]["density"].iloc[0], gap.points(), gap.low > -0.01, gap.low > 0))
columns = ["level", "density", "ticket minus dense, points", "within one point", "better than dense"]
verdicts = pd.DataFrame(rows, columns=columns).set_index("level")
verdicts.style.format({"density": "{:.1%}"})

# %% [markdown]
# *Within one point: the 95 % interval of the paired difference lies above minus one point.* A ticket that does so is
# called **matching**.

# %%
sparsest = levels[-1]
at_last = final[final["level"].isin([0, sparsest])]
gap = lthlab.paired(at_last[at_last["arm"] != "reinitialised"], "ticket", "dense")
kept = at_last.query("arm == 'ticket'")["density"].iloc[0]
print(f"At {kept:.1%} density: ticket minus dense {gap.points()} points.")
print("Matching (within one point):", gap.low > -0.01)

# %% [markdown]
# One weight in 28, trained alone from its original value, and nothing is lost. Many of the tickets on the way are even
# *ahead* of the dense network. The paper saw this too, and read it as you may have in notebook 02: fewer weights,
# less learning by heart.

# %% [markdown]
# ## 6. Is it fast?
#
# Part 4 of the hypothesis: *at most the same number of iterations*. Look at the first epoch:

# %% tags=["picture:docs/race.png"]
chosen = accuracy[accuracy["level"].isin([0, sparsest])]
figure, (whole, closer) = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
plots.race(chosen, ax=whole)
plots.race(chosen[chosen["epoch"] <= 1], ax=closer, legend=False)
whole.set_title(f"the whole training, {kept:.1%} of the weights")
closer.set_title("the first epoch, closer")
figure.tight_layout()

# %%
start = first_epoch[first_epoch["level"].isin([0, sparsest])]
for other in ("dense", "reinitialised"):
    print(f"after one epoch, ticket minus {other:14s} {lthlab.paired(start, 'ticket', other).points()} points")

# %%
ax = plots.accuracy_by_density(first_epoch[first_epoch["arm"] != "dense"])
first_dense = lthlab.interval(first_epoch.query("arm == 'dense'")["value"])
ax.axhline(first_dense.mean, color=plots.ARM_COLORS["dense"], linestyle="--", label="dense")
ax.axhspan(first_dense.low, first_dense.high, color=plots.ARM_COLORS["dense"], alpha=0.12)
ax.legend()
ax.set_title("after the first epoch")
plt.show()

# %% [markdown]
# *Mean and 95 % interval, n = 5.* Look at step 0 in the race once more: *before any training* the ticket names most
# images right. Fifteen levels of choosing which weights to keep have taught it as much as some training would
# (notebook 00 called this a supermask). The reinitialised twin, with the same mask, starts at chance.
#
# And the ticket learns faster than the dense network of which it is a part, and much
# faster than its reinitialised twin. The sparser, the wider the gap to the twin.

# %% [markdown]
# ## 7. Is it the values?
#
# Part 2: *initialized such that*. The control keeps the mask and changes the values. Paired, at the three levels:

# %%
for level in CONTROLLED:
    for name, rows in (("first epoch", first_epoch), ("end of training", final)):
        gap = lthlab.paired(rows[rows["level"] == level], "ticket", "reinitialised")
        here = rows[rows["level"] == level]["density"].iloc[0]
        print(f"density {here:5.1%}, {name:15s}: ticket minus reinitialised {gap.points()} points")

# %% [markdown]
# At the end of training the differences are small here, a point or two at the lowest density; early on they are
# large. On `fashion-mini` with this network a random restart costs mostly *time*. In the paper, on MNIST and CIFAR-10
# with fifty times as many steps, it cost accuracy as well. Notebook 04 takes this up, on data where the gap is wide
# at the end too, and with more controls: is it the values, their signs, or only how many weights each layer kept?

# %% [markdown]
# ## 8. Once: the test images
#
# All choices are made. One look, three numbers per seed, at the lowest density:

# %%
test = pd.DataFrame([run[1] for run in runs]).melt("seed", var_name="arm")
for arm in ("dense", "ticket", "reinitialised"):
    print(f"{arm:14s} {lthlab.interval(test.query('arm == @arm')['value']).percent()}")
print("ticket minus dense:        ", lthlab.paired(test, "ticket", "dense").points(), "points")
print("ticket minus reinitialised:", lthlab.paired(test, "ticket", "reinitialised").points(), "points")

# %% [markdown]
# *Test accuracy, n = 5.* We do not go back and improve anything now. If we did, this would have been a second set of
# validation images.

# %% [markdown]
# ## 9. What did the winners have in common?
#
# Which *initial* values do the survivors have? If it were chance, those of any other weight.

# %%
initial = ticket.start.model["fc1.weight"]
mask = ticket.masks["fc1.weight"]
figure, ax = plt.subplots()
bins = {"binrange": (-0.2, 0.2), "stat": "density", "ax": ax}
plots.weight_histogram(initial, **bins, label="all weights", color=plots.ARM_COLORS["dense"], alpha=0.3)
plots.weight_histogram(
    initial[mask],
    **bins,
    label=f"the ticket's ({mask.float().mean():.1%})",
    color=plots.ARM_COLORS["ticket"],
    alpha=0.5,
)
ax.set(xlabel="initial value, first layer", ylabel="share per unit of value")
ax.legend()
plt.show()

# %%
larger = float(initial[mask].abs().mean() / initial.abs().mean())
print(f"on average the survivors started {larger:.2f} times as far from zero as all weights (seed 0)")

# %% [markdown]
# Large at the beginning tends to be large at the end, and large is what magnitude pruning keeps. So a ticket's values
# are *not* a fair sample of the initial distribution, and the control differs from it in scale, too. (The paper's
# appendix F.1 shows the same two humps.) Notebook 04 tells scale, sign and value apart.

# %% [markdown]
# Where are they? Per layer, and for the inputs:

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=(1.4, 1))
plots.layer_bars({"ticket": ticket.masks}, ax=left)
plots.input_picture(mask, dataset, ax=right)
left.legend_.remove()
figure.tight_layout()

# %% [markdown]
# ## 10. Keep it
#
# A ticket is a mask and the values it starts from. Both go into *safetensors* files: plain numbers, safe to open
# from strangers.

# %%
folder = Path(tempfile.mkdtemp())
winner = rewind(build_model("lenet-300-100", dataset, seed=0), ticket.start, ticket.masks)
lthlab.save_masks(ticket.masks, folder / "masks.safetensors", network="lenet-300-100", data="fashion-mini", seed="0")
lthlab.save_weights(winner, folder / "weights.safetensors")

fresh = build_model("lenet-300-100", dataset, seed=99)  # some other network
lthlab.load_weights_(fresh, folder / "weights.safetensors")
again = lthlab.load_masks(folder / "masks.safetensors", fresh)
print(lthlab.read_metadata(folder / "masks.safetensors")["network"], f"with {density(again):.1%} of its weights")
print(f"and it learns: {train(fresh, dataset, short, again, seed=0).value():.1%} after one epoch")

# %% [markdown]
# A mask fits one network only. If you mix them up, you are told:

# %%
conv = build_model("mlp-300-50", dataset)
try:
    lthlab.load_masks(folder / "masks.safetensors", conv)
except ValueError as error:
    print(error)

# %% [markdown]
# ## 11. The catch

# %%
model = build_model("lenet-300-100", dataset, seed=0)
dense_run = lthlab.training_flops(model, dataset, recipe).total
ticket_run = lthlab.training_flops(model, dataset, recipe, ticket.masks)
trained = len(ticket.levels)
print(f"training the dense network once              {dense_run / 1e9:8.1f} GFLOPs")
print(
    f"finding the ticket: {trained} trainings             {trained * dense_run / 1e9:8.1f} GFLOPs with ordinary matrix products"
)
print(f"training the ticket, if zeros could be skipped {ticket_run.nonzero / 1e9:6.1f} GFLOPs")

# %% [markdown]
# We know that the small network *was there* from the beginning. We found it only by training the large one, sixteen
# times. Two problems stand between this and cheap training: finding tickets without training first (06), and
# making sparse networks fast (07).

# %% [markdown]
# ## 12. Your turn
#
# 1. In `imp`, remove `.clone()` and run the short example again. What happens to the accuracies by level, and why
#    might an author have been pleased with them?
# 2. Prune 60 % per level instead of 20 % (`fractions={"fc": 0.6, "output": 0.3}`), until the density is about the
#    same. Is the ticket as good? How many trainings did you save?
# 3. Use `rewind_to="1ep"` in `find_ticket`. What does the ticket start from now? (Notebook 05 is about this.)
#
# <details><summary>Answer to 1</summary>
#
# Every level starts from the values that the last one ended with. It has had one more epoch of training, so the
# accuracy after "one epoch" rises from level to level. It looks like a ticket that learns faster and faster; it is
# fine-tuning.
# </details>

# %% [markdown]
# ## Take away
#
# - **Iterative magnitude pruning**: train, prune the smallest, rewind to the initial values, repeat.
# - Seen here with five seeds: a ticket with less than 4 % of the weights *matches* the dense network in the same
#   number of iterations and learns faster.
# - The control with new values learns much more slowly. At the end of training the difference is small *on these
#   data*; the picture says so, and so do we.
# - Finding it this way costs more than it saves.
#
# **Source**: J. Frankle and M. Carbin, *The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks*,
# ICLR 2019.
