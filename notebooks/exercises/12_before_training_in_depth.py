# %% [markdown]
# # Exercises to notebook 12: tickets before training, in depth
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import torch

# %% [markdown]
# ## 1. Has the mask settled?
#
# Early-Bird compares the masks that would be drawn now and a little earlier. Write `mask_distance(one, other)` for two dicts of masks with the same layers: the share of all
# places, over all layers together, in which they differ.


# %% tags=["solution:distance"]
def mask_distance(one, other):
    ### BEGIN SOLUTION
    differ = sum(int((one[name] != other[name]).sum()) for name in one)
    return differ / sum(mask.numel() for mask in one.values())
    ### END SOLUTION


# %% tags=["check:distance:2"]
t, f = True, False
before = {"a": torch.tensor([t, t, f, f]), "b": torch.tensor([[t, f], [f, t]])}
after = {"a": torch.tensor([t, f, t, f]), "b": torch.tensor([[t, f], [f, t]])}
assert abs(mask_distance(before, before)) < 1e-6, "equal masks have distance 0"
assert abs(mask_distance(before, after) - 0.25) < 1e-6, (
    "two of eight places differ: one weight went, another came; both count"
)
### BEGIN HIDDEN TESTS
large = {"a": torch.ones(90) > 0, "b": torch.ones(10) > 0}
small = {"a": torch.ones(90) > 0, "b": torch.zeros(10) > 0}
assert abs(mask_distance(large, small) - 0.1) < 1e-6, (
    "over all places together: layers have different sizes"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. A schedule
#
# Gradual pruning (Zhu & Gupta 2017) lets the sparsity rise from 0 at step `begin` to `final` at step `end`, fast at first and slowly at the end:
# `final * (1 - (1 - t)**3)`, where t goes from 0 to 1. Write `sparsity_at(step, begin, end, final)` for *any* step of the training, before and after included.


# %% tags=["solution:schedule"]
def sparsity_at(step, begin, end, final):
    ### BEGIN SOLUTION
    t = min(max((step - begin) / (end - begin), 0.0), 1.0)
    return final * (1 - (1 - t) ** 3)
    ### END SOLUTION


# %% tags=["check:schedule:2"]
assert abs(sparsity_at(100, 100, 200, 0.9)) < 1e-6, "nothing is pruned when it begins"
assert abs(sparsity_at(150, 100, 200, 0.9) - 0.7875) < 1e-6, (
    "half-way seven eighths of the final sparsity are reached"
)
assert abs(sparsity_at(50, 100, 200, 0.9)) < 1e-6, "nothing before it begins, either"
### BEGIN HIDDEN TESTS
assert abs(sparsity_at(300, 100, 200, 0.9) - 0.9) < 1e-6, (
    "after the end the sparsity stays as it is"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Who pays when?
#
# The next cell draws for you a cost: a ticket of `LEVELS` levels of IMP (a fifth at each), or a mask found before training at the same density by one gradient (cost: next to nothing). Suppose that a training
# costs its density. What does all training cost in total, in dense trainings, for the ticket's whole search, its last training included? Two digits after the point are enough; into `COST`.

# %%
LEVELS = draw("levels", [4, 6, 8, 10])
print(f"{LEVELS} levels: trainings at densities 1, 0.8, ..., {0.8**LEVELS:.3f}")

# %% tags=["solution:cost"]
### BEGIN SOLUTION
COST = sum(0.8**level for level in range(LEVELS + 1))
### END SOLUTION

# %% tags=["check:cost:1"]
assert COST > 1, "the dense training alone costs 1"
### BEGIN HIDDEN TESTS
levels = draw("levels", [4, 6, 8, 10])
assert abs(COST - (1 - 0.8 ** (levels + 1)) / 0.2) < 0.02, (
    "add the densities of all trainings: dense, each level, and the last"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Fair in two ways
#
# Method A finds a mask in one gradient and ends at 88 %. IMP ends at 90 % and costs five dense trainings. Give one honest sentence in favour of each, and say which further comparison, at
# equal cost, you would want to see. Four sentences at most.

# %% [markdown] tags=["explain:two-axes:3"]
# ### BEGIN SOLUTION
# For IMP: at this density its mask is two points better. For A: it costs nearly nothing. At equal cost A could train five times as long, or five networks of
# A be averaged or the best chosen by validation data, or IMP could be given fewer levels; then compare in pairs over seeds.
#
# **Rubric.** 1 point: both sentences true and about different axes. 1 point: a comparison in which the total cost is equal. 1 point: seeds in pairs, choice by validation
# data.
# ### END SOLUTION
