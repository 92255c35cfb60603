# %% [markdown]
# # Exercises to notebook 13: scale up, in depth
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import torch
from torch import nn

# %% [markdown]
# ## 1. What can be pruned?
#
# Write `prunable(model)`: the list of the names (as `model.named_parameters()` gives them) of the weight matrices and filters that may be pruned. Biases, the parameters of normalisation layers and embeddings may not.


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
assert not any(name.endswith("bias") for name in names), "biases stay"
assert "1.weight" not in names, "the scale of a normalisation layer is no connection"
assert names == {"0.weight", "3.weight"}, "names like 0.weight, of every linear layer"
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
# ## 2. Find the bug: a ticket that is too good
#
# A colleague finds tickets of their own model that are as good as the trained network *before* any training. This is their rewinding:
#
# ```python
# initial = model.state_dict()
# train(model)
# masks = prune(model)
# model.load_state_dict(initial)      # rewind
# ```
#
# Write `remembered(model)`: it returns what `initial` should have been.


# %% tags=["solution:remembered"]
def remembered(model):
    ### BEGIN SOLUTION
    return {name: value.clone() for name, value in model.state_dict().items()}
    ### END SOLUTION


# %% tags=["check:remembered:2"]
net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
start = [value.clone() for value in net.state_dict().values()]
memory = remembered(net)
assert set(memory) == set(net.state_dict()), (
    "all of the state, with its names: running statistics, too"
)
with torch.no_grad():
    for value in net.state_dict().values():
        value.add_(1)
assert all(torch.equal(v, s) for v, s in zip(memory.values(), start)), (
    "state_dict() refers to the same numbers that training changes: copy them"
)
### BEGIN HIDDEN TESTS
net.load_state_dict(memory)
assert all(torch.equal(v, s) for v, s in zip(net.state_dict().values(), start)), (
    "it must be possible to load it again"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. How many seeds?
#
# The next cell draws for you the standard deviation of paired differences (in points) that you saw in a pilot run. How many seeds do you need, so that the half-width of a 95 % interval is about one point?
# Use 2 for Student's factor: half-width = 2 x deviation / square root of n. Round up, into `SEEDS`.

# %%
DEVIATION = draw("deviation", [1.2, 1.6, 2.1, 2.6])
print(f"standard deviation of the differences: {DEVIATION} points")

# %% tags=["solution:seeds"]
### BEGIN SOLUTION
SEEDS = -(-((2 * DEVIATION) ** 2) // 1)
### END SOLUTION

# %% tags=["check:seeds:1"]
assert SEEDS == int(SEEDS) and SEEDS > 1, "a whole number of seeds, more than one"
### BEGIN HIDDEN TESTS
variance = (2 * draw("deviation", [1.2, 1.6, 2.1, 2.6])) ** 2
assert variance - 1e-6 <= SEEDS < variance + 1, (
    "half-width 1 = 2 x deviation / square root of n: square it, and round up"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Your own network
#
# You have found a ticket of a model of your own at 20 % density, and it is as good as the dense network on validation data. List the checks that you make before you
# tell others, at most five, the most important first, each with the mistake that it would find.

# %% [markdown] tags=["explain:own:5"]
# ### BEGIN SOLUTION
# Pruned weights are exactly 0 after training (masking of gradients only). Kept weights equal the initial ones after rewinding (rewinding by reference). A reinitialised and a shuffled
# control are really different (controls that change nothing). The layers named are the ones pruned, and the density is counted over them. Several seeds in pairs, and test data once.
#
# **Rubric.** 1 point for each check that finds a mistake which can happen and is named (at most 5 points); at least one must be about controls or seeds.
# ### END SOLUTION
