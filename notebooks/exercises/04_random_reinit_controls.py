# %% [markdown]
# # Exercises to notebook 04: controls
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import numpy as np
import torch
from scipy import stats

# %% [markdown]
# ## 1. Other weights, as many
#
# Write `shuffle(mask, seed)`: a bool tensor with as many weights kept, at random places. The same seed gives the same mask. (Beware: a shuffle that
# shuffles nothing is a well-known mistake.)


# %% tags=["solution:shuffle"]
def shuffle(mask, seed):
    ### BEGIN SOLUTION
    order = torch.randperm(mask.numel(), generator=torch.Generator().manual_seed(seed))
    return mask.flatten()[order].view_as(mask)
    ### END SOLUTION


# %% tags=["check:shuffle:2"]
mask = torch.zeros(20, 30, dtype=torch.bool)
mask[:5] = True
new = shuffle(mask.clone(), 0)
assert new.shape == mask.shape and new.dtype == torch.bool, "a bool mask, same shape"
assert new.sum() == mask.sum(), "exactly as many are kept"
assert not torch.equal(new, mask), "at other places"
assert 0 < new[0].float().mean() < 1, "single places, not whole rows or columns"
assert 0 < new[:, 0].float().mean() < 1, "single places, not whole rows or columns"
assert torch.equal(shuffle(mask.clone(), 0), new), (
    "the same for the same seed: give randperm a generator"
)
### BEGIN HIDDEN TESTS
assert not torch.equal(shuffle(mask.clone(), 1), new), "another seed, another mask"
many = [shuffle(mask.clone(), seed).float() for seed in range(300)]
mean = torch.stack(many).mean(0)
assert mean.min() > 0.1 and mean.max() < 0.4, "every place is as likely as any other"
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Paired or not
#
# Two arms, the same seeds. Write `paired_interval(ticket, control)`: low and high end of the 95 % interval of the mean *difference*, by
# Student's t (`stats.t.ppf(0.975, n - 1)`, `stats.sem`).


# %% tags=["solution:paired"]
def paired_interval(ticket, control):
    ### BEGIN SOLUTION
    difference = np.asarray(ticket) - np.asarray(control)
    half = stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)
    return difference.mean() - half, difference.mean() + half
    ### END SOLUTION


# %% tags=["check:paired:2"]
low, high = paired_interval([0.6, 0.7, 0.8, 0.9], [0.59, 0.68, 0.79, 0.88])
assert low < 0.015 < high, "the mean difference, 0.015, lies inside: ticket - control"
assert low > 0, (
    "the ticket wins by one or two points at every seed, so the interval lies "
    "above zero: take differences first"
)
### BEGIN HIDDEN TESTS
test = stats.ttest_rel([0.6, 0.7, 0.8, 0.9], [0.59, 0.68, 0.79, 0.88])
expected = test.confidence_interval(0.95)
assert abs(low - expected.low) < 1e-6 and abs(high - expected.high) < 1e-6, (
    "by Student's t with n - 1 degrees of freedom, at 97.5 % on each side"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Which pair isolates it?
#
# This is what four arms keep of a ticket:
#
# | arm | which weights are kept | their signs | their sizes |
# |---|---|---|---|
# | "ticket" | the ticket's | the ticket's | the ticket's |
# | "reinitialised" | the ticket's | new | new |
# | "signs kept" | the ticket's | the ticket's | new |
# | "shuffled" | others, as many in each layer | new | new |
#
# The next cell draws a question for you. Which two arms do you compare, so that they differ in that alone? Write the pair, in any order, into `PAIR`.

# %%
SUSPECTS = [
    "which weights are kept",
    "the sizes of the kept weights",
    "the signs of the kept weights",
]
QUESTION = draw("suspect", SUSPECTS)
print(f"Does it matter: {QUESTION}?")

# %% tags=["solution:pair"]
### BEGIN SOLUTION
PAIR = {
    "signs": ("reinitialised", "signs kept"),
    "sizes": ("ticket", "signs kept"),
    "weights": ("reinitialised", "shuffled"),
}["signs" if "signs" in QUESTION else "sizes" if "sizes" in QUESTION else "weights"]
### END SOLUTION

# %% tags=["check:pair:1"]
arms = {"ticket", "reinitialised", "signs kept", "shuffled"}
assert len(set(PAIR)) == 2 and set(PAIR) <= arms, "two different names from the table"
### BEGIN HIDDEN TESTS
by_suspect = {
    "which weights are kept": {"reinitialised", "shuffled"},
    "the sizes of the kept weights": {"ticket", "signs kept"},
    "the signs of the kept weights": {"reinitialised", "signs kept"},
}
assert set(PAIR) == by_suspect[draw("suspect", list(by_suspect))], (
    "go through the columns of the table: the two arms must differ in one column alone"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. A curve that gives a bug away
#
# In somebody's results the curve of "reinitialised" lies exactly on the curve of "ticket", at every level and for every seed. Name two different mistakes
# in the code that would do this, and for each one line of code that would find it. Four sentences at most.

# %% [markdown] tags=["explain:same-curve:4"]
# ### BEGIN SOLUTION
# The new values may have been drawn with the *same seed*, so they equal the old ones: `assert not torch.equal(new, old)`. Or the control may get a fresh copy of the
# model and then be rewound by the same function as the ticket, so that the new values are overwritten: compare its first training loss, or its weights after
# the rewinding, with the ticket's. (Also: the results of one arm stored under both names.)
#
# **Rubric.** 1 point for each mistake that really leads to *identical* curves (2 points; "too few seeds" does not). 1 point for each line that would
# find it (2 points).
# ### END SOLUTION
