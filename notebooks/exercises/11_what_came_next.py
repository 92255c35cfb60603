# %% [markdown]
# # Exercises to notebook 11: what came next
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import torch

# %% [markdown]
# ## 1. Answers that flip
#
# Write `flips(one, other)`: the share of examples on which exactly one of two networks is right. Both are given as bool tensors,
# True where the answer is right.


# %% tags=["solution:flips"]
def flips(one, other):
    ### BEGIN SOLUTION
    return float((one != other).float().mean())
    ### END SOLUTION


# %% tags=["check:flips:1"]
one = torch.tensor([True, True, False, False])
other = torch.tensor([True, False, True, False])
assert abs(flips(one, other) - 0.5) < 1e-6, "two of four answers changed sides"
assert flips(one, one) == 0, "a network never disagrees with itself"
### BEGIN HIDDEN TESTS
assert (
    abs(flips(torch.tensor([True] * 9 + [False]), torch.tensor([True] * 10)) - 0.1)
    < 1e-6
)
assert flips(one, ~one) == 1
### END HIDDEN TESTS

# %% [markdown]
# ## 2. The height of a barrier
#
# Write `barrier(errors)`: how far the errors along a line rise above the mean of its two ends, and 0 if they never do.


# %% tags=["solution:barrier"]
def barrier(errors):
    ### BEGIN SOLUTION
    ends = (errors[0] + errors[-1]) / 2
    return max(0.0, max(errors) - ends)
    ### END SOLUTION


# %% tags=["check:barrier:2"]
assert abs(barrier([0.2, 0.5, 0.4]) - 0.2) < 1e-9, (
    "0.5 is 0.2 above 0.3, the mean of the ends"
)
assert barrier([0.3, 0.1, 0.3]) == 0, "a valley is no barrier"
### BEGIN HIDDEN TESTS
assert abs(barrier([0.1, 0.1, 0.3]) - 0.1) < 1e-9
assert abs(barrier([0.0, 0.9, 0.5, 0.2]) - 0.8) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Bytes on disk
#
# A ticket stores its kept weights at `bits` bits each, and where they are: either one bit for every place of the matrix, or two
# bytes for each kept weight, whichever is less. Write `ticket_bytes(size, kept, bits)`, in whole bytes, rounded up.


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
### BEGIN HIDDEN TESTS
assert ticket_bytes(9, 3, 4) == 2 + 2
assert ticket_bytes(266_200, 28_000, 8) == 28_000 + 33_275
### END HIDDEN TESTS
