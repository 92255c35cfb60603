# %% [markdown]
# # Exercises to notebook 04: controls
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
from importlib.resources import files

import numpy as np
import pandas as pd
import torch
from scipy import stats

import lthlab

# %% [markdown]
# ## 1. Other weights, as many
#
# Write `shuffle(mask, seed)`: a bool tensor of the same shape that keeps as many
# weights, at random places. The same seed gives the same mask. (Beware: a shuffle that
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
assert new.shape == mask.shape and new.dtype == torch.bool, (
    "return a bool mask of the same shape"
)
assert new.sum() == mask.sum(), "keep exactly as many weights as the given mask"
assert not torch.equal(new, mask), (
    "the mask is the old one: put the weights at other places"
)
assert 0 < new[0].float().mean() < 1, "move single places, not whole rows or columns"
assert 0 < new[:, 0].float().mean() < 1, "move single places, not whole rows or columns"
assert torch.equal(shuffle(mask.clone(), 0), new), (
    "the same for the same seed: give randperm a generator"
)
### BEGIN HIDDEN TESTS
assert not torch.equal(shuffle(mask.clone(), 1), new), (
    "another seed must give another mask"
)
many = [shuffle(mask.clone(), seed).float() for seed in range(300)]
mean = torch.stack(many).mean(0)
assert mean.min() > 0.1 and mean.max() < 0.4, (
    "every place must be as likely as any other"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Paired or not
#
# Two arms were run with the same seeds. Write `paired_interval(ticket, control)`: the
# low and the high end of the 95 % interval of the mean *difference*, by Student's t.
# (`stats.sem(x)` is the standard error of a mean, and `stats.t.ppf(0.975, n - 1)` says
# how many of them to go to each side.)


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
# | "own signs, new sizes" | the ticket's | the ticket's | new |
# | "shuffled" | others, as many in each layer | new | new |
#
# (The third arm is not in the notebook. Do not take it for "signs", where all sizes are
# the same. "Shuffled" keeps first values, but to its mask they are new.)
#
# The next cell draws a question for you. Which two arms differ in that one thing, and
# in nothing else? Write the pair into `PAIR`, in any order.

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
    "signs": ("reinitialised", "own signs, new sizes"),
    "sizes": ("ticket", "own signs, new sizes"),
    "weights": ("reinitialised", "shuffled"),
}["signs" if "signs" in QUESTION else "sizes" if "sizes" in QUESTION else "weights"]
### END SOLUTION

# %% tags=["check:pair:1"]
arms = {"ticket", "reinitialised", "own signs, new sizes", "shuffled"}
assert len(set(PAIR)) == 2 and set(PAIR) <= arms, (
    "write two different names from the table"
)
### BEGIN HIDDEN TESTS
by_suspect = {
    "which weights are kept": {"reinitialised", "shuffled"},
    "the sizes of the kept weights": {"ticket", "own signs, new sizes"},
    "the signs of the kept weights": {"reinitialised", "own signs, new sizes"},
}
assert set(PAIR) == by_suspect[draw("suspect", list(by_suspect))], (
    "go through the columns of the table: the two arms must differ in one column alone"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. A verdict, where there is something to explain
#
# The next cell draws data and a density for you, and prints paired differences from the
# reference results of notebook 04. First: is it shown that the ticket loses less than a
# point against the dense network, so that there is something to explain? Set `KEEPS_UP`
# to True or False. Then take the rule of notebook 00: a thing is *charged* if it surely
# adds more than one point. Put the names of all things that are charged here into the
# set `CHARGED` (`set()` if there is none).


# %%
PAIRS = {
    "sizes": ("ticket", "permuted sizes"),
    "signs": ("permuted sizes", "permuted"),
    "scale": ("reinitialised to scale", "reinitialised"),
    "mask": ("reinitialised", "shuffled"),
}


def at_the_end(name, level):
    """Test accuracy at a level; several draws of new values count as one."""
    table = pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))
    rows = table.query("split == 'test' and metric == 'accuracy'")
    rows = rows[rows["level"].isin([0, level])]
    arm = rows["arm"].str.replace(r", draw \d", "", regex=True)
    runs = rows.assign(arm=arm).groupby(["arm", "level", "density", "seed"])
    return runs["value"].mean().reset_index()


# %%
PLACES = [("mnist1d", 8), ("mnist1d", 12), ("fashion-mini", 15), ("fashion-mini", 20)]
place = draw("place", PLACES)
rows = at_the_end(*place)
print(f"{place[0]}, {rows['density'].min():.1%} of the weights, in points:")
print("ticket minus dense:", lthlab.paired(rows, "ticket", "dense").points())
for thing, pair in PAIRS.items():
    print(f"{thing} ({' minus '.join(pair)}):", lthlab.paired(rows, *pair).points())

# %% tags=["solution:charged"]
### BEGIN SOLUTION
KEEPS_UP = lthlab.paired(rows, "ticket", "dense").low > -0.01
CHARGED = {t for t, pair in PAIRS.items() if lthlab.paired(rows, *pair).low > 0.01}
### END SOLUTION

# %% tags=["check:charged:3"]
assert KEEPS_UP in (True, False), "KEEPS_UP is True or False"
assert set(CHARGED) <= {"sizes", "signs", "scale", "mask"}, (
    "CHARGED holds names from the list above: sizes, signs, scale, mask"
)
### BEGIN HIDDEN TESTS
here = at_the_end(*draw("place", PLACES))
low = {thing: 100 * lthlab.paired(here, *pair).low for thing, pair in PAIRS.items()}
assert (100 * lthlab.paired(here, "ticket", "dense").low > -1) == KEEPS_UP, (
    "ticket minus dense: does the *whole* interval lie above -1 point?"
)
assert all(low[thing] > 1 for thing in CHARGED), (
    "one of these may add less than a point: look at the lower end of its interval"
)
assert all(thing in CHARGED for thing in low if low[thing] > 1), (
    "one thing is missing: its whole interval lies above one point"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Two checks that catch two bugs
#
# Section 4 of the notebook ends with two checks. Write them for one layer:
# `what_is_wrong(first, trained, mask)`. `first` holds the values at which the training
# of the ticket began, with zeros where `mask` is False, and `trained` those at its end.
# Return
#
# - "regrown" if any pruned weight is not zero after the training;
# - "frozen" if more than a tenth of the *kept* weights are exactly where they began;
# - "right" otherwise.


# %% tags=["solution:bugs"]
def what_is_wrong(first, trained, mask):
    ### BEGIN SOLUTION
    if (trained[~mask] != 0).any():
        return "regrown"
    still = (trained[mask] == first[mask]).float().mean()
    return "frozen" if still > 0.1 else "right"
    ### END SOLUTION


# %% tags=["check:bugs:3"]
mask = torch.arange(100).view(10, 10) % 5 == 0  # keeps 20 of 100
first = torch.where(mask, torch.linspace(-1, 1, 100).view(10, 10), 0.0)
trained = torch.where(mask, first + 0.1, 0.0)
assert what_is_wrong(first, trained, mask) == "right", (
    "pruned weights are zero and all kept ones have moved: nothing is wrong"
)
grown = trained - 0.01 * (~mask).float()
assert what_is_wrong(first, grown, mask) == "regrown", (
    "pruned weights are below zero here: not zero, on either side"
)
half = torch.where(first < 0, first, trained)
assert what_is_wrong(first, half, mask) == "frozen", (
    "no negative weight has moved: compare the kept weights with their first values"
)
### BEGIN HIDDEN TESTS
one = trained.clone()
one[0, 0] = first[0, 0]
assert what_is_wrong(first, one, mask) == "right", "one of twenty may stand still"
alone = trained.clone()
alone[9, 9] = 0.5
assert what_is_wrong(first, alone, mask) == "regrown", "a single one is enough"
### END HIDDEN TESTS

# %% [markdown]
# ## 6. A curve that gives a bug away
#
# In somebody's results the curve of "reinitialised" lies exactly on the curve of
# "ticket", at every level and for every seed. Name two different mistakes in the code
# that would do this. For each, give one line of code that would find it. Four sentences
# at most.

# %% [markdown] tags=["explain:same-curve:4"]
# ### BEGIN SOLUTION
# The new values may have been drawn with the *same seed*, so they equal the old ones:
# `assert not torch.equal(new, old)`. Or the control is rewound by the same function as
# the ticket, and its new values are overwritten: compare its weights after the
# rewinding with the ticket's, or its first training loss. (Also: the results of one arm
# are stored under both names.)
#
# **Rubric.** 1 point for each mistake that really leads to *identical* curves (2
# points; "too few seeds" does not). 1 point for each line that would find it (2
# points).
# ### END SOLUTION
