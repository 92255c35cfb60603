# %% [markdown]
# # Exercises to notebook 11: what came next
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
import torch

# %% [markdown]
# ## 1. Equal accuracy, other answers
#
# *Flips* are the examples on which exactly one of two networks is right. All you know
# are the accuracies of the two, as fractions. Write `flip_range(one, other)`: the
# smallest and the largest share of flips that is possible.


# %% tags=["solution:flips"]
def flip_range(one, other):
    ### BEGIN SOLUTION
    return abs(one - other), min(one + other, 2 - one - other)
    ### END SOLUTION


# %% tags=["check:flips:2"]
low, high = flip_range(0.9, 0.9)
assert abs(low) < 1e-6, "with equal accuracy both can be right on the same examples"
assert abs(high - 0.2) < 1e-6, "or each can be wrong on a tenth of its own"
low, high = flip_range(0.9, 0.7)
assert abs(low - 0.2) < 1e-6, "a difference of 0.2 needs at least as many flips"
### BEGIN HIDDEN TESTS
assert abs(high - 0.4) < 1e-6, "at most: every example is wrong in one of the two alone"
assert abs(flip_range(0.3, 0.2)[1] - 0.5) < 1e-6, (
    "two poor networks: never right on the same example"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. The rise on the way
#
# Section 3 of the notebook walks in a straight line from one network to another. Write
# `rise(errors)` for a list of errors along such a line, both ends included, at equal
# distances. How far do they rise above the *straight line* between the error at one end
# and the error at the other, where this is most? It is 0 if they never do. (The
# *barrier* of notebook 05 measures from the mean of the two ends. If one end is higher
# than the other, that is not the same.)


# %% tags=["solution:rise"]
def rise(errors):
    ### BEGIN SOLUTION
    last = len(errors) - 1
    slope = (errors[-1] - errors[0]) / last
    return max(error - (errors[0] + slope * i) for i, error in enumerate(errors))
    ### END SOLUTION


# %% tags=["check:rise:2"]
assert abs(rise([0.2, 0.5, 0.2]) - 0.3) < 1e-6, "0.5 is 0.3 above the line at 0.2"
assert abs(rise([0.1, 0.2, 0.3])) < 1e-6, (
    "along a straight slope nothing rises above the line"
)
assert abs(rise([0.3, 0.1, 0.3])) < 1e-6, "in a valley nothing rises above the line"
### BEGIN HIDDEN TESTS
assert abs(rise([0.0, 0.5, 0.3, 0.5, 0.4]) - 0.4) < 1e-6, (
    "compare each place with the line *there*, not with the mean of the ends"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Bytes on disk
#
# A ticket stores its kept weights at `bits` bits each. It also stores where they are:
# one bit for every place of the matrix, or two bytes for each kept weight, whichever is
# less. (The notebook also counts row ends, biases and scales. We leave them out.) Write
# `ticket_bytes(size, kept, bits)` for a matrix of `size` places. Round values and
# places up to whole bytes, each on its own.


# %% tags=["solution:bytes"]
def ticket_bytes(size, kept, bits):
    ### BEGIN SOLUTION
    places = min(-(-size // 8), 2 * kept)
    return -(-kept * bits // 8) + places
    ### END SOLUTION


# %% tags=["check:bytes:2"]
assert ticket_bytes(800, 400, 32) == 1600 + 100, (
    "at a half, one bit for every place is less"
)
assert ticket_bytes(8000, 10, 32) == 40 + 20, (
    "with few weights, two bytes for each are less"
)
assert ticket_bytes(9, 3, 4) == 2 + 2, "12 bits need two bytes, 9 bits need two bytes"
### BEGIN HIDDEN TESTS
assert ticket_bytes(266_200, 28_000, 8) == 28_000 + 33_275, "8 bits are one byte each"
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Equal bytes
#
# The next cell draws a network of `SIZE` weights and a density for you. A ticket of
# that density is stored as in task 3, at 32 bits a weight. A *small dense* network
# stores its weights at 32 bits each, and needs no places. How many weights may it have,
# if it takes as many bytes? Write the number, to the nearest hundred, into `RIVAL`.

# %%
SIZE, DENSITY = draw("rival", [(266_200, 0.1), (22_000, 0.5), (100_000, 0.01)])
print(f"{SIZE:,} weights, density {DENSITY}")

# %% tags=["solution:rival"]
### BEGIN SOLUTION
RIVAL = SIZE * DENSITY + min(SIZE / 32, SIZE * DENSITY / 2)
### END SOLUTION

# %% tags=["check:rival:1"]
assert 100 < RIVAL < SIZE, "RIVAL is a number of weights, fewer than the network has"
### BEGIN HIDDEN TESTS
size, density = draw("rival", [(266_200, 0.1), (22_000, 0.5), (100_000, 0.01)])
kept = round(size * density)
assert abs(RIVAL - (kept + min(size / 32, kept / 2))) < 101, (
    "add up the bytes of values and places, then divide by four"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. What accuracy hides
#
# A pruned network has the same accuracy as the dense one. Name two things that may have
# changed for its users all the same. How would you measure each? And with what would
# you compare the measured value, so that it means something? Five sentences at most.

# %% [markdown] tags=["explain:hidden:4"]
# ### BEGIN SOLUTION
# Which examples are right (flips), compared with the flips between two dense networks
# of different seeds, since those differ, too. Accuracy of the worst class or of rare
# examples, in paired differences over seeds, compared with the dense network's. (Also:
# calibration, robustness to noise.)
#
# **Rubric.** 1 point for each of two real changes with a measurement (2 points). 1
# point: flips (or whatever it is) compared with what two dense networks differ by. 1
# point: seeds and intervals.
# ### END SOLUTION
