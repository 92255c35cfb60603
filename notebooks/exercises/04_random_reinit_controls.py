# %% [markdown]
# # Exercises to notebook 04: controls
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import numpy as np
import torch
from scipy import stats

import lthlab

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
assert shuffle(mask, 0).shape == mask.shape, "in the same shape"
assert shuffle(mask, 0).sum() == mask.sum(), "as many"
assert not torch.equal(shuffle(mask, 0), mask), "at other places"
assert 0 < shuffle(mask, 0)[0].float().mean() < 1, "single places, not whole rows"
assert torch.equal(shuffle(mask, 0), shuffle(mask, 0)), (
    "the same for the same seed: give randperm a generator"
)
### BEGIN HIDDEN TESTS
assert not torch.equal(shuffle(mask, 0), shuffle(mask, 1))
mean = torch.stack([shuffle(mask, seed).float() for seed in range(300)]).mean(0)
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
assert 0 < low < high, (
    "the ticket wins by one or two points at every seed, so the interval lies "
    "above zero: take differences first"
)
### BEGIN HIDDEN TESTS
test = stats.ttest_rel([0.6, 0.7, 0.8, 0.9], [0.59, 0.68, 0.79, 0.88])
expected = test.confidence_interval(0.95)
assert abs(low - expected.low) < 1e-12 and abs(high - expected.high) < 1e-12
### END HIDDEN TESTS
