# %% [markdown]
# # Exercises to notebook 08: turn the knobs
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import pandas as pd

# %% [markdown]
# ## 1. Ask the table
#
# `explorer.table` has the columns method, scope, density and accuracy. Write `lowest_density(table, method, scope, loss)`: the lowest density at which
# this method loses at most `loss` (a fraction) of accuracy against density 1.


# %% tags=["solution:lowest"]
def lowest_density(table, method, scope, loss):
    ### BEGIN SOLUTION
    rows = table[(table["method"] == method) & (table["scope"] == scope)]
    whole = rows[rows["density"] == 1]["accuracy"].item()
    return rows[rows["accuracy"] >= whole - loss]["density"].min()
    ### END SOLUTION


# %% tags=["check:lowest:2"]
by_magnitude = ((1, 0.9), (0.5, 0.89), (0.2, 0.85), (0.1, 0.4))
by_chance = ((1, 0.9), (0.5, 0.5), (0.2, 0.2), (0.1, 0.1))
rows = [("magnitude", "global", *pair) for pair in by_magnitude]
rows += [("random", "global", *pair) for pair in by_chance]
rows += [("magnitude", "layer", 1, 1.0), ("magnitude", "layer", 0.5, 0.75)]
table = pd.DataFrame(rows, columns=["method", "scope", "density", "accuracy"])
assert lowest_density(table, "magnitude", "global", 0.02) == 0.5, (
    "0.89 at one half is within two points of 0.9"
)
assert lowest_density(table, "random", "global", 0.02) == 1, "chance loses at once"
assert lowest_density(table, "magnitude", "layer", 0.25) == 0.5, (
    "use the scope; exactly the loss is still allowed"
)
### BEGIN HIDDEN TESTS
assert lowest_density(table, "magnitude", "global", 0.06) == 0.2
assert lowest_density(table, "random", "global", 0.5) == 0.5
### END HIDDEN TESTS

# %% [markdown]
# ## 2. What it would save
#
# A network with a share `kept` of its weights, found before training, costs `kept` times as much to train, if products with pruned weights cost nothing. Write
# `break_even(kept, finding)`: the smallest number of trainings from which a ticket, whose search costs `finding` dense trainings, costs no more than training dense.


# %% tags=["solution:even"]
def break_even(kept, finding):
    ### BEGIN SOLUTION
    import math

    trainings = finding / (1 - kept)
    return math.ceil(round(trainings, 9))  # 1 / (1 - 0.9) is a little more than 10 here
    ### END SOLUTION


# %% tags=["check:even:2"]
assert break_even(0.5, 1) == 2, (
    "two half trainings and the search cost as much as two dense ones"
)
assert break_even(0.1, 9) == 10, "nine tenths are saved each time"
assert break_even(0.2, 5) == 7, "round up: nobody trains a quarter of a time"
### BEGIN HIDDEN TESTS
assert break_even(0.9, 1) == 10 and break_even(0.0, 1) == 1
### END HIDDEN TESTS
