# %% [markdown]
# # Exercises to notebook 06: tickets before training
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import torch
from torch.nn import functional as F

import lthlab
from lthlab import build_model, load_dataset, prunable_weights, prune_at_init

dataset = load_dataset("mnist1d")
model = build_model("mlp-20-20", dataset, seed=0)
batch = lthlab.draw_batch(dataset.train, 100, seed=0)

# %% [markdown]
# ## 1. A score: the gradient alone
#
# Write `gradient_score(model, batch)`: a dict from layer to the absolute value of the loss's gradient (not times the weight, as SNIP has it).
# (Every score takes a `seed`, too; this one leaves nothing to chance and does not look at it.)
# The loss is `F.cross_entropy(model(x), y)` with `x, y = batch`; `prunable_weights(model)` gives names and weights; `torch.autograd.grad` takes the
# gradient, as in section 2 of the notebook.


# %% tags=["solution:gradient"]
def gradient_score(model, batch, *, seed=0):
    ### BEGIN SOLUTION
    x, y = batch
    weights = prunable_weights(model)
    loss = F.cross_entropy(model(x), y)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    return {name: gradient.abs() for name, gradient in zip(weights, gradients)}
    ### END SOLUTION


# %% tags=["check:gradient:3"]
scores = gradient_score(model, batch)
assert list(scores) == list(prunable_weights(model)), (
    "one entry per prunable layer, by its name"
)
assert all((score >= 0).all() for score in scores.values()), "absolute values"
masks = prune_at_init(model, gradient_score, batch, 0.1)
assert abs(lthlab.density(masks) - 0.1) < 0.001, "it prunes to a tenth"
snip, weights = lthlab.snip(model, batch), prunable_weights(model)
assert all(torch.allclose(scores[n] * weights[n].abs(), snip[n]) for n in snip), (
    "times the weight's size it is SNIP: leave the weight out"
)
### BEGIN HIDDEN TESTS
other = gradient_score(model, lthlab.draw_batch(dataset.train, 100, seed=1))
assert any(not torch.equal(other[n], scores[n]) for n in other)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Which layers are in danger?
#
# Write `emptiest(masks)`: the name of the layer with the fewest weights left (the number, not the share).


# %% tags=["solution:emptiest"]
def emptiest(masks):
    ### BEGIN SOLUTION
    return min(masks, key=lambda name: int(masks[name].sum()))
    ### END SOLUTION


# %% tags=["check:emptiest:1"]
two, one = torch.tensor([True, True]), torch.tensor([True, False, False])
assert emptiest({"a": two, "b": one}) == "b", "one weight is fewer than two"
three, four = torch.arange(3) < 3, torch.arange(100) < 4
assert emptiest({"a": three, "b": four}) == "a", "the number counts, not the share"
### BEGIN HIDDEN TESTS
nine, none = torch.ones(3, 3) > 0, torch.zeros(100) > 0
assert emptiest({"a": nine, "b": none}) == "b"
### END HIDDEN TESTS
