# %% [markdown]
# # Exercises to notebook 08: turn the knobs
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
import pandas as pd

# %% [markdown]
# ## 1. Ask the table
#
# `explorer.table` in the notebook has the columns method, scope, density and accuracy.
# Write `lowest_density(table, method, scope, loss)`. Take the rows of this method with
# this scope. At density 1 the network is whole. What is the lowest density at which it
# loses at most `loss` of that accuracy? (`loss` is a fraction: 0.02 are two points.)


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
assert abs(lowest_density(table, "magnitude", "global", 0.02) - 0.5) < 1e-6, (
    "0.89 at one half is within two points of 0.9"
)
assert abs(lowest_density(table, "random", "global", 0.02) - 1) < 1e-6, (
    "chance loses at once: look at the rows of this method alone"
)
assert abs(lowest_density(table, "magnitude", "layer", 0.25) - 0.5) < 1e-6, (
    "look at the rows of this scope alone; exactly the loss is still allowed"
)
### BEGIN HIDDEN TESTS
assert abs(lowest_density(table, "magnitude", "global", 0.053) - 0.2) < 1e-6, (
    "the loss is counted from this method's accuracy at density 1, in points"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. What it would save
#
# A ticket with a share `kept` of the weights is found. Suppose that products with
# pruned weights cost nothing: then one training of it costs `kept` dense trainings. But
# finding it cost as much as `finding` dense trainings. Write `break_even(kept,
# finding)`: the smallest whole number of trainings after which search and trainings
# together have cost no more than as many dense trainings.


# %% tags=["solution:even"]
def break_even(kept, finding):
    ### BEGIN SOLUTION
    import math

    return math.ceil(finding / (1 - kept))
    ### END SOLUTION


# %% tags=["check:even:2"]
assert break_even(0.5, 1) == 2, (
    "two half trainings and the search cost as much as two dense ones"
)
assert break_even(0.25, 6) == 8, (
    "each training saves three quarters of a dense one: 6 / 0.75"
)
assert break_even(0.2, 5) == 7, "round up: only whole trainings count"
### BEGIN HIDDEN TESTS
assert break_even(0.75, 3) == 12 and break_even(0.0, 1) == 1, (
    "it must hold for any share and any search"
)
assert break_even(0.5, 1.25) == 3, "a search need not be a whole number of trainings"
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Your bill
#
# The next cell draws a density and a number of levels of IMP for you. The search takes
# `LEVELS + 1` trainings: one before, between and after the prunings. Count each of them
# as a dense training. One training of the ticket costs `KEPT` dense trainings. How many
# times must the ticket be trained before the search has paid? Write the whole number
# into `TIMES`.

# %%
KEPT, LEVELS = draw("bill", [(0.5, 3), (0.25, 6), (0.125, 9), (0.5, 7)])
print(f"density {KEPT}, {LEVELS} levels")

# %% tags=["solution:times"]
### BEGIN SOLUTION
TIMES = -(-(LEVELS + 1) // (1 - KEPT))
### END SOLUTION

# %% tags=["check:times:1"]
assert TIMES == int(TIMES) and TIMES > 1, (
    "TIMES is a whole number of trainings, more than one"
)
### BEGIN HIDDEN TESTS
kept, levels = draw("bill", [(0.5, 3), (0.25, 6), (0.125, 9), (0.5, 7)])
assert (1 - kept) * TIMES >= levels + 1 > (1 - kept) * (TIMES - 1), (
    "each training saves 1 - KEPT, the search costs levels + 1: when is it paid back?"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Read the pictures
#
# First the race. At one density the bands of *ticket* and *reinitialised* overlap, and
# still somebody says that one arm is ahead. How can that be right? And what would you
# need to see before you say "there is no difference"? Then the rewind dial. What does
# it show for two copies that part at step 0, and how does that explain that rewinding
# to the very start can be too early? Which part of the picture does *not* fit that
# explanation? Seven sentences at most.

# %% [markdown] tags=["explain:bands:5"]
# ### BEGIN SOLUTION
# A band shows how sure the mean of *each arm* is. Both arms share the seeds, so a good
# seed lifts both; the interval of the *paired differences* can be narrow and lie above
# zero although the bands overlap. For "no difference" I would need an interval of the
# difference that lies inside a margin agreed on beforehand; an interval that includes
# zero but is wide says "not decided". Copies that part at step 0 end with a high
# barrier between them: chance, the order of the examples, still decides in which valley
# the network ends. So a mask that was found at the end of one path need not suit a
# training that begins at step 0 again. What does not fit: most of the ticket's gain is
# there at k = 12 already, where the path still has a hill.
#
# **Rubric.** 1 point: pairs, shared seeds, and the interval of the difference, not of
# the arms. 1 point: absence of evidence against a margin. 1 point: barrier at step 0,
# and what it means. 1 point: the link from it to the ticket. 1 point: the gain comes
# before the barrier is gone (or: later steps gain nothing more).
# ### END SOLUTION
