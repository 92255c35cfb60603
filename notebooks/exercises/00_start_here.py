# %% [markdown]
# # Exercises to notebook 00: a first ticket
#
# Replace the marked lines, run the cell, then run the check under it. A check that says nothing is passed; otherwise it gives a hint.

# %%
import torch

import lthlab
from lthlab import build_model, full_masks, load_dataset

dataset = load_dataset("mnist1d")
model = build_model("mlp-20", dataset, seed=0)

# %% [markdown]
# ## 1. How dense is it?
#
# A mask is a dict from layer to a tensor of True and False. Write `my_density(masks)`: the share of all weights that is kept, over all layers
# together, as a number from 0 to 1.


# %% tags=["solution:density"]
def my_density(masks):
    ### BEGIN SOLUTION
    kept = sum(int(mask.sum()) for mask in masks.values())
    return kept / sum(mask.numel() for mask in masks.values())
    ### END SOLUTION


# %% tags=["check:density:2"]
half = {"a": torch.tensor([True, True, False, False]), "b": torch.tensor([True, False])}
assert abs(my_density(half) - 0.5) < 1e-6, (
    "three of six weights are kept: that is 0.5, not a percentage and not a count"
)
uneven = {"a": torch.tensor([True] * 9), "b": torch.tensor([False])}
assert abs(my_density(uneven) - 0.9) < 1e-6, (
    "not the mean of the layers' densities: layers have different sizes"
)
### BEGIN HIDDEN TESTS
quarter = lthlab.prune(lthlab.magnitude(model), full_masks(model), 0.75)
assert abs(my_density(quarter) - 0.25) < 1e-6, (
    "a real network's masks are matrices: count every entry of them, not their rows"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. What does a level leave?
#
# IMP removes a fifth of the *remaining* weights at each level. Write `levels_until(density)`: how many levels it takes until at most
# `density` of the weights is left (counting fractions of weights, no rounding).


# %% tags=["solution:levels"]
def levels_until(density):
    ### BEGIN SOLUTION
    left, levels = 1.0, 0
    while left > density + 1e-12:  # 0.8 x 0.8 is a little more than 0.64 to a computer
        left, levels = 0.8 * left, levels + 1
    return levels
    ### END SOLUTION


# %% tags=["check:levels:2"]
assert levels_until(1) == 0, "nothing has to be removed to keep everything"
assert levels_until(0.79) == 2, (
    "one level leaves four fifths, which is more than 0.79: count a second one"
)
assert levels_until(0.5) == 4, (
    "a fifth of what is *left* goes: after three levels 0.8 x 0.8 x 0.8 = 0.512 is left"
)
### BEGIN HIDDEN TESTS
assert levels_until(0.1) == 11 and levels_until(0.036) == 15, (
    "it must hold for any density, not for the ones in the visible check alone"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Your network
#
# The next cell draws a network and a number of levels for you. How many of its weights are left after so many levels? Work it out on
# paper or with Python, and write the number into `KEPT`. A difference of one in a hundred does not matter.

# %%
WEIGHTS = draw("weights", [2_624, 22_300, 266_200])
LEVELS = draw("levels", [3, 5, 7, 9])
print(f"{WEIGHTS:,} weights, {LEVELS} levels")

# %% tags=["solution:kept"]
### BEGIN SOLUTION
KEPT = WEIGHTS * 0.8**LEVELS
### END SOLUTION

# %% tags=["check:kept:1"]
weights = draw("weights", [2_624, 22_300, 266_200])
assert 1 < KEPT <= weights, "the number of weights that are left, not their share"
### BEGIN HIDDEN TESTS
levels = draw("levels", [3, 5, 7, 9])
assert abs(KEPT - weights * 0.8**levels) < 0.01 * weights * 0.8**levels, (
    "each level multiplies what is left by 0.8: start with all weights"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. One run
#
# A friend writes: "At 10 % density my ticket had 95.1 % and the same mask with new values 94.9 %. So the initial values matter." Which one number, or
# which one further experiment, do you ask for before you believe it, and what could it show? Three sentences at most.

# %% [markdown] tags=["explain:one-run:3"]
# ### BEGIN SOLUTION
# I ask for the differences over several seeds (five or more), and for their interval: two runs of the *same* arm differ by as much as 0.2 points. If
# the interval lies above zero, the values matter here; if it includes zero, this experiment has not shown it, which is not the same as showing that
# they do not matter.
#
# **Rubric.** 1 point: more seeds (or the spread between seeds). 1 point: compares in pairs, or by an interval, against the size of the difference. 1
# point: says what either outcome would mean; "no difference seen" is not "no difference".
# ### END SOLUTION
