# %% [markdown]
# # Exercises to notebook 13: scale up, in depth
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
from dataclasses import replace
from importlib.resources import files
from statistics import median

import pandas as pd
import torch
from torch import nn

import lthlab
from lthlab import build_model, load_dataset
from lthlab.recipes import count_steps, recipe_for

torch.set_num_threads(1)

# %% [markdown]
# ## 1. Which option?
#
# You timed a few steps with each option of a card. `times` maps the name of a way to
# its seconds, turn by turn; "plain" is the way without options. The first turn of each
# warms up. Write `choose(times)`: the way with the smallest median over the other
# turns. But an option changes results by rounding. So choose it only if its median is
# at least a tenth below that of "plain"; otherwise return "plain".


# %% tags=["solution:options"]
def choose(times):
    ### BEGIN SOLUTION
    medians = {way: median(seconds[1:]) for way, seconds in times.items()}
    best = min(medians, key=medians.get)
    return best if medians[best] <= 0.9 * medians["plain"] else "plain"
    ### END SOLUTION


# %% tags=["check:options:2"]
times = {"plain": [1.0, 1.0, 1.0, 1.0], "bfloat16": [9.0, 0.5, 0.5, 0.5]}
assert choose(times) == "bfloat16", "leave the first turn out: it warms up"
noisy = {"plain": [1.0, 1.0, 1.0, 1.0], "compiled": [1.0, 0.6, 0.6, 8.0]}
assert choose(noisy) == "compiled", "one slow turn must not decide: take the median"
close = {"plain": [1.0, 1.0, 1.0, 1.0], "channels_last": [1.0, 0.95, 0.95, 0.95]}
assert choose(close) == "plain", "a twentieth is too little for other rounding"
### BEGIN HIDDEN TESTS
several = {"a": [2, 0.8, 0.8], "plain": [2, 1.0, 1.0], "b": [2, 0.7, 0.7]}
assert choose(several) == "b", "of several options, take the fastest"
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Many networks in one step
#
# The next cell builds three small networks. Train all three on `signals` with `recipe`,
# in *one step* for all, with the seeds 0, 1 and 2 for the order of the examples.
# `lthlab.fast.train_stacked` does it, as in section 2 of the notebook. Put what it
# returns into `HISTORIES`.


# %%
signals = load_dataset("mnist1d")
recipe = replace(recipe_for("mlp-5", "mnist1d"), duration="10it", lr=0.01)
networks = [build_model("mlp-5", signals, seed) for seed in range(3)]

# %% tags=["solution:stacked"]
### BEGIN SOLUTION
HISTORIES = lthlab.fast.train_stacked(networks, signals, recipe, seeds=range(3))
### END SOLUTION

# %% tags=["check:stacked:2"]
assert len(HISTORIES) == 3, "one history for each network"
alone = [build_model("mlp-5", signals, seed) for seed in range(3)]
assert not any(
    torch.equal(one.fc1.weight, other.fc1.weight) for one, other in zip(networks, alone)
), "the networks have not been trained: train `networks` themselves, not copies"
### BEGIN HIDDEN TESTS
for seed, network in enumerate(alone):
    lthlab.train(network, signals, recipe, seed=seed, evaluate_every=0)
assert all(
    torch.allclose(one.fc1.weight, other.fc1.weight, atol=1e-4)
    for one, other in zip(networks, alone)
), "one by one they end elsewhere: the same recipe, the seeds 0, 1, 2, and once only"
assert len({round(history.seconds, 9) for history in HISTORIES}) == 1, (
    "in one step each takes a third of the time of all: these were trained one by one"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. What will it cost?
#
# The rate of a machine differs from network to network. You measured it for a few
# networks: `rates`, in FLOPs per second. Write `hours(flops_per_step, steps, trainings,
# rates)` for an experiment of so many trainings, each of so many steps. It returns a
# pair: the fewest and the most hours that this may take.


# %% tags=["solution:hours"]
def hours(flops_per_step, steps, trainings, rates):
    ### BEGIN SOLUTION
    work = flops_per_step * steps * trainings
    return work / max(rates) / 3600, work / min(rates) / 3600
    ### END SOLUTION


# %% tags=["check:hours:2"]
least, most = hours(1e9, 3600, 10, [1e9, 5e9, 2e9])
assert least < most, "the fewest hours first"
assert abs(least - 2) < 1e-6, "at 5e9 FLOPs per second: 3.6e13 FLOPs take two hours"
assert abs(most - 10) < 1e-6, "at the lowest rate, 1e9, it takes ten hours"
### BEGIN HIDDEN TESTS
least, most = hours(2e6, 1000, 36, [4e7])
assert abs(least - 0.5) < 1e-6 and abs(most - 0.5) < 1e-6, (
    "it must hold for any numbers, and for a single rate"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. At full length
#
# The next cell draws a level of the paper's LeNet at full length for you, and prints
# ticket minus dense over five seeds. Set `MATCHES` to True if it is shown that the
# ticket loses less than one point, else to False. Set `LOWER` to True if it is shown
# that the ticket is below the dense network at all, else to False.


# %%
def at_full_length(level):
    """Test accuracies of the reference run: the dense network, and a level."""
    path = files("lthlab").joinpath("assets/reference/fashion-mnist.csv")
    rows = pd.read_csv(path).query("split == 'test' and metric == 'accuracy'")
    return rows[rows["level"].isin([0, level])]


level = draw("level", [4, 12, 15])
rows = at_full_length(level)
gap = lthlab.paired(rows, "ticket", "dense")
print(f"{rows['density'].min():.1%} of the weights, in points: {gap.points()}")

# %% tags=["solution:full"]
### BEGIN SOLUTION
MATCHES, LOWER = gap.low > -0.01, gap.high < 0
### END SOLUTION

# %% tags=["check:full:2"]
assert MATCHES in (True, False) and LOWER in (True, False), "each is True or False"
### BEGIN HIDDEN TESTS
found = lthlab.paired(at_full_length(draw("level", [4, 12, 15])), "ticket", "dense")
assert (found.low > -0.01) == MATCHES, "does the whole interval lie above -1 point?"
assert (found.high < 0) == LOWER, (
    "does the whole interval lie below zero? It may do so inside the margin, too"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Read a recipe
#
# The next cell draws one of the papers' recipes for CIFAR-10. How many times does a
# training pass over the 45,000 training pictures? Write the number into `EPOCHS`; one
# digit after the point is enough. And what is the learning rate at the very last step?
# Write it into `LAST_RATE`. (Steps count from 0, and `cifar_recipe.lr_at(step, total)`
# gives the rate.)


# %%
NAME = draw("recipe", ["conv-2", "conv-6", "resnet-20", "resnet-20 warmup"])
cifar_recipe = recipe_for(NAME, "cifar10")
print(NAME, cifar_recipe, sep="\n")

# %% tags=["solution:recipe"]
### BEGIN SOLUTION
total = count_steps(cifar_recipe.duration, 1)
EPOCHS = total * cifar_recipe.batch_size / 45_000
LAST_RATE = cifar_recipe.lr_at(total - 1, total)
### END SOLUTION

# %% tags=["check:recipe:2"]
assert 1 < EPOCHS < 1000, "EPOCHS counts passes over the pictures, not steps"
assert 0 < LAST_RATE < 1, "LAST_RATE is a learning rate, above 0"
### BEGIN HIDDEN TESTS
theirs = recipe_for(
    draw("recipe", ["conv-2", "conv-6", "resnet-20", "resnet-20 warmup"]), "cifar10"
)
steps = count_steps(theirs.duration, 1)
assert abs(EPOCHS - steps * theirs.batch_size / 45_000) < 0.11, (
    "each step looks at `batch_size` pictures, and there are 45,000"
)
rate = theirs.lr_at(steps - 1, steps)
assert abs(LAST_RATE - rate) < 0.01 * rate, (
    "the rate of the *last* step: with the schedule `drops` it falls at each milestone"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. What can be pruned?
#
# Write `prunable(model)`. It returns a list of names, as `model.named_parameters()`
# gives them: the weights of all layers that may be pruned, which are matrices and
# filters. Biases, the numbers of normalisation layers and embeddings may not be pruned.


# %% tags=["solution:prunable"]
def prunable(model):
    ### BEGIN SOLUTION
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, kinds)
    ]
    ### END SOLUTION


# %% tags=["check:prunable:3"]
small = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
names = set(prunable(small))
assert not any(name.endswith("bias") for name in names), "biases stay as they are"
assert "1.weight" not in names, "the scale of a normalisation layer is no connection"
assert names == {"0.weight", "3.weight"}, (
    "give names like 0.weight, of every linear layer"
)
### BEGIN HIDDEN TESTS
inner = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 4))
nested = nn.ModuleDict({"conv": nn.Conv2d(1, 2, 3), "block": inner})
assert "block.0.weight" not in prunable(nested), (
    "rows of an embedding are no connections"
)
assert set(prunable(nested)) == {"conv.weight", "block.1.weight"}, (
    "layers inside layers, and convolutions, count, too"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Your own network
#
# You have found a ticket in a model of your own, at 20 % density. On validation data it
# is as good as the dense network. Which checks do you make before you tell others? List
# five at most, the most important first. For each, name the mistake that it would find.

# %% [markdown] tags=["explain:own:5"]
# ### BEGIN SOLUTION
# Pruned weights are exactly 0 after training (only gradients were masked). Kept weights
# equal the first ones after rewinding (rewinding without a copy). A reinitialised and a
# shuffled control are really different (controls that change nothing). The layers named
# are the ones pruned, and the density is counted over them. Several seeds in pairs, and
# test data once.
#
# **Rubric.** 1 point for each check that finds a mistake which can happen and is named
# (at most 5 points); at least one must be about controls or seeds.
# ### END SOLUTION
