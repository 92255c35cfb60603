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
assert count_weights([2, 3]) == 6, (
    "every input is connected to every output; biases are not counted"
)
assert count_weights([784, 300, 100, 10]) == 266_200, (
    "LeNet-300-100 has 266,200 weights: add up the products of neighbouring sizes"
)
### BEGIN HIDDEN TESTS
three = cost.parameters(build_model("mlp-100-100-100", dataset))
assert count_weights([40, 100, 100, 100, 10]) == three.prunable, (
    "any number of layers, not three"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Find the bugs in a bill
#
# Somebody computed the CO2e, in grams, of a training on `examples` examples. They know that one pass *forward* takes `flops` FLOPs for each example.
# The bill has two mistakes, and comes out much too high or too low for it. Find and mend both. (Hints: what else does a training step do? In what
# unit does an electricity bill count?)
#
# ```python
# def grams(flops, examples, flops_per_second, watts, grams_per_kwh):
#     seconds = flops * examples / flops_per_second
#     watt_hours = watts * seconds
#     return watt_hours / 1000 * grams_per_kwh
# ```


# %% tags=["solution:grams"]
def grams(flops, examples, flops_per_second, watts, grams_per_kwh):
    ### BEGIN SOLUTION
    seconds = 3 * flops * examples / flops_per_second  # backward costs twice forward
    return watts * seconds / 3600 / 1000 * grams_per_kwh
    ### END SOLUTION


# %% tags=["check:grams:3"]
bill = grams(1e9, 1200, 1e9, 1000, 500)
assert bill < 1000, (
    "1,000 watts for one hour are one kWh, 500 g here; a watt-second is not a watt-hour"
)
assert bill > 300, "going backward takes about twice as long as going forward: add it"
### BEGIN HIDDEN TESTS
assert abs(bill - 500) < 1, "3 x 1,200 seconds at 1,000 watts are one kWh, 500 g"
use = cost.Assumptions(watts=30, grams_per_kwh=480)
assert abs(grams(1e7, 1e6, 1e10, 30, 480) - use.co2e_grams(3000)) < 1e-6, (
    "the bill must use the machine's watts and the grid's grams"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Where do your weights sit?
#
# The next cell draws the layer sizes of a network for you. How many percent of its weights are in the *first* layer? Write the number, to the nearest
# percent, into `PERCENT`.

# %%
SIZES = draw("sizes", [[784, 100, 10], [40, 100, 100, 10], [784, 500, 300, 10]])
print(SIZES)

# %% tags=["solution:percent"]
### BEGIN SOLUTION
PERCENT = 100 * SIZES[0] * SIZES[1] / sum(a * b for a, b in zip(SIZES, SIZES[1:]))
### END SOLUTION

# %% tags=["check:percent:1"]
sizes = draw("sizes", [[784, 100, 10], [40, 100, 100, 10], [784, 500, 300, 10]])
assert 1 < PERCENT < 100, "in percent, from 1 to 100"
### BEGIN HIDDEN TESTS
products = [a * b for a, b in zip(sizes, sizes[1:])]
assert abs(PERCENT - 100 * products[0] / sum(products)) < 1.01, (
    "the first layer's weights are inputs times first hidden layer"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. What does the estimate hang on?
#
# An estimate of the CO2e of a training hangs on several assumptions. Name the two that you think are least certain for a training in a data centre that
# you do not know, say for each whether a better value could change the result by a tenth, by a factor of two or by a factor of ten, and why. At most five
# sentences.

# %% [markdown] tags=["explain:assumptions:3"]
# ### BEGIN SOLUTION
# Grams per kWh: from some tens (hydro, nuclear, wind) to 800 and more (coal), so a factor of ten or more. The share of the peak rate that the
# machine achieves: between some 20 and 60 %, so a factor of two or three. (Power of the machine and of its cooling: up to a factor of two.)
#
# **Rubric.** 1 point for each assumption that the notebook really makes, with a factor and a reason for it (2 points). 1 point: the factor agrees
# with the reason given, and a factor is not confused with a percentage.
# ### END SOLUTION
