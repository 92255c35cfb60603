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
assert my_density(full_masks(model)) == 1, "a mask that keeps everything has density 1"
half = {"a": torch.tensor([True, True, False, False]), "b": torch.tensor([True, False])}
assert my_density(half) == 0.5, "three of six weights are kept"
uneven = {"a": torch.tensor([True] * 9), "b": torch.tensor([False])}
assert abs(my_density(uneven) - 0.9) < 1e-6, (
    "not the mean of the layers' densities: layers have different sizes"
)
### BEGIN HIDDEN TESTS
quarter = lthlab.prune(lthlab.magnitude(model), full_masks(model), 0.75)
assert abs(my_density(quarter) - 0.25) < 1e-6
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
assert levels_until(0.8) == 1, "one level leaves four fifths"
assert levels_until(0.5) == 4, "0.8 x 0.8 x 0.8 is still 0.512"
### BEGIN HIDDEN TESTS
assert levels_until(0.1) == 11 and levels_until(0.036) == 15
### END HIDDEN TESTS
