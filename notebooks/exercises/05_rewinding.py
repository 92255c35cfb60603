# %% [markdown]
# # Exercises to notebook 05: rewinding
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import numpy as np
import torch

import lthlab
from lthlab import build_model, load_dataset

dataset = load_dataset("mnist1d")

# %% [markdown]
# ## 1. Half-way
#
# Write `mix(first, second, alpha)` for two state_dicts of a network without BatchNorm: `1 - alpha` of the first plus `alpha` of the second,
# entry by entry.


# %% tags=["solution:mix"]
def mix(first, second, alpha):
    ### BEGIN SOLUTION
    return {
        name: (1 - alpha) * value + alpha * second[name]
        for name, value in first.items()
    }
    ### END SOLUTION


# %% tags=["check:mix:2"]
one, two = (build_model("mlp-5", dataset, seed=seed).state_dict() for seed in (1, 2))
assert all(
    torch.allclose(mix(one, two, 0)[name], one[name], atol=1e-6) for name in one
), "alpha = 0 is the first"
assert all(
    torch.allclose(mix(one, two, 1)[name], two[name], atol=1e-6) for name in one
), "alpha = 1 is the second"
### BEGIN HIDDEN TESTS
quarter = mix(one, two, 0.25)
assert all(
    torch.allclose(quarter[name], torch.lerp(one[name], two[name], 0.25), atol=1e-6)
    for name in one
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. The barrier
#
# Write `barrier(errors)` for the errors along the line, ends included: the highest of them minus the mean of the two ends.


# %% tags=["solution:barrier"]
def barrier(errors):
    ### BEGIN SOLUTION
    return max(errors) - (errors[0] + errors[-1]) / 2
    ### END SOLUTION


# %% tags=["check:barrier:2"]
assert barrier([0.1, 0.1, 0.1]) == 0, "a flat path has no barrier"
assert abs(barrier([0.1, 0.5, 0.2]) - 0.35) < 1e-12, "0.5 above the mean of 0.1 and 0.2"
### BEGIN HIDDEN TESTS
assert abs(barrier([0.1, 0.05, 0.3]) - 0.1) < 1e-12, "the highest point may be an end"
### END HIDDEN TESTS
