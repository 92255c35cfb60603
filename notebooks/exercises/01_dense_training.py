# %% [markdown]
# # Exercises to notebook 01: dense training
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import torch

from lthlab import build_model, cost, load_dataset

dataset = load_dataset("mnist1d")

# %% [markdown]
# ## 1. Count the weights
#
# Write `count_weights(sizes)` for a fully connected network with the layer sizes `sizes`, inputs first, outputs last: its weights, without
# biases.


# %% tags=["solution:weights"]
def count_weights(sizes):
    ### BEGIN SOLUTION
    return sum(before * after for before, after in zip(sizes, sizes[1:]))
    ### END SOLUTION


# %% tags=["check:weights:2"]
assert count_weights([2, 3]) == 6, "every input is connected to every output"
lenet = count_weights([784, 300, 100, 10])
assert lenet == 266_200, "LeNet-300-100 has 266,200 weights"
### BEGIN HIDDEN TESTS
three = cost.parameters(build_model("mlp-100-100-100", dataset))
assert count_weights([40, 100, 100, 100, 10]) == three.prunable
### END HIDDEN TESTS

# %% [markdown]
# ## 2. From FLOPs to grams
#
# Write `grams(flops, flops_per_second, watts, grams_per_kwh)`: the CO2e in grams of a computation. One kWh is 3.6 million watt-seconds.


# %% tags=["solution:grams"]
def grams(flops, flops_per_second, watts, grams_per_kwh):
    ### BEGIN SOLUTION
    return flops / flops_per_second * watts / 3.6e6 * grams_per_kwh
    ### END SOLUTION


# %% tags=["check:grams:2"]
one_hour = grams(3.6e12, 1e9, 1000, 500)
assert abs(one_hour - 500) < 1e-6, "an hour at 1,000 watts is one kWh"
### BEGIN HIDDEN TESTS
use = cost.Assumptions(watts=30, grams_per_kwh=480)
assert abs(grams(1e13, 1e10, 30, 480) - use.co2e_grams(1000)) < 1e-9
assert grams(2e13, 1e10, 30, 480) == 2 * grams(1e13, 1e10, 30, 480)
### END HIDDEN TESTS
