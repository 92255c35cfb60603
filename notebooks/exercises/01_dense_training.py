# %% [markdown]
# # Exercises to notebook 01: dense training
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
import torch
from torch.nn import functional as F

from lthlab import build_model, cost, load_dataset, prunable_weights

dataset = load_dataset("mnist1d")

# %% [markdown]
# ## 1. Count the weights
#
# Write `count_weights(sizes)`: how many weights does a fully connected network have?
# `sizes` lists the sizes of its layers, from the inputs to the outputs. LeNet-300-100
# has `[784, 300, 100, 10]`. Biases do not count.


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
    "LeNet-300-100 has 266,200 weights: multiply neighbouring sizes, then add up"
)
### BEGIN HIDDEN TESTS
three = prunable_weights(build_model("mlp-100-100-100", dataset)).values()
assert count_weights([40, 100, 100, 100, 10]) == sum(w.numel() for w in three), (
    "it must work for any number of layers"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Mend a training step
#
# Somebody wrote one step of training, and the network learns badly. Two lines stand in
# the wrong order. One more line is missing, so old batches keep pulling.
#
# ```python
# def train_step(model, optimizer, x, y):
#     loss = F.cross_entropy(model(x), y)
#     optimizer.step()
#     loss.backward()
# ```
#
# Write `train_step(model, optimizer, x, y)` as it should be.


# %% tags=["solution:step"]
def train_step(model, optimizer, x, y):
    ### BEGIN SOLUTION
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    ### END SOLUTION


# %% tags=["check:step:2"]
x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([0])
model = torch.nn.Linear(2, 2, bias=False)
torch.nn.init.zeros_(model.weight)  # so both classes have probability 1/2
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
train_step(model, optimizer, x, y)
moved = model.weight.detach().clone()
assert moved.abs().sum() > 0, (
    "the weights have not moved: step() needs the gradient that backward() finds"
)
assert torch.allclose(moved[0], torch.tensor([0.5, 1.0]), atol=1e-4), (
    "one step, and downhill: the loss must fall"
)
### BEGIN HIDDEN TESTS
weight = moved.clone().requires_grad_()
F.cross_entropy(x @ weight.T, y).backward()
train_step(model, optimizer, x, y)
assert torch.allclose(model.weight, moved - weight.grad, atol=1e-4), (
    "the second step goes wrong: forget the gradient of the batch before"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Find the bugs in a bill
#
# Somebody works out the CO2e, in grams, of training a deep network on `examples`
# examples. One pass *forward* takes `flops` FLOPs for each example. Their bill has two
# mistakes. Find them, and write a `grams` without them. (Hints: what else does a
# training step do? And in what unit does an electricity bill count?)
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
assert abs(bill - 500) < 1, "3 x 1,200 seconds at 1,000 watts are one kWh: 500 g"
use = cost.Assumptions(watts=30, grams_per_kwh=480)
assert abs(grams(1e7, 1e6, 1e10, 30, 480) - use.co2e_grams(3000)) < 1e-6, (
    "the bill must use the machine's watts and the grid's grams"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Where do your weights sit?
#
# The next cell draws the layer sizes of a network for you. How many percent of its
# weights are in the *first* layer? Write the number, to the nearest percent, into
# `PERCENT`.

# %%
SIZES = draw("sizes", [[784, 100, 10], [40, 100, 100, 10], [784, 500, 300, 10]])
print(SIZES)

# %% tags=["solution:percent"]
### BEGIN SOLUTION
PERCENT = 100 * SIZES[0] * SIZES[1] / sum(a * b for a, b in zip(SIZES, SIZES[1:]))
### END SOLUTION

# %% tags=["check:percent:1"]
sizes = draw("sizes", [[784, 100, 10], [40, 100, 100, 10], [784, 500, 300, 10]])
assert 1 < PERCENT < 100, "give a number of percent, from 1 to 100"
### BEGIN HIDDEN TESTS
products = [a * b for a, b in zip(sizes, sizes[1:])]
assert abs(PERCENT - 100 * products[0] / sum(products)) < 1.01, (
    "the first layer's weights are inputs times first hidden layer"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. What does the estimate hang on?
#
# An estimate of the CO2e of a training hangs on several assumptions. Think of a
# training in a data centre that you do not know. Name the two assumptions that you
# think are least certain. How far could a better value change the result: by a tenth,
# by a factor of two, or by a factor of ten? Say why. Five sentences at most.

# %% [markdown] tags=["explain:assumptions:3"]
# ### BEGIN SOLUTION
# Grams per kWh: from some tens (hydro, nuclear, wind) to 800 and more (coal), so a
# factor of ten or more. The speed that a card really reaches: between some 20 and 60 %
# of its peak, so a factor of two or three. (Power of the machine and of its cooling: up
# to a factor of two.)
#
# **Rubric.** 1 point for each assumption that the notebook really makes, with a factor
# and a reason for it (2 points). 1 point: the factor agrees with the reason given, and
# a factor is not confused with a percentage.
# ### END SOLUTION
