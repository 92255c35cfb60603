# %% [markdown]
# # Exercises to notebook 03: winning tickets
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import copy
from dataclasses import replace

import torch

import lthlab
from lthlab import apply_masks_, build_model, full_masks, magnitude, prune, train

dataset = lthlab.load_dataset("mnist1d")
recipe = replace(lthlab.recipe_for("mlp-100-100-100", dataset), duration="2ep")

# %% [markdown]
# ## 1. One level of IMP
#
# Write `one_level(model, masks, recipe)`: train a *copy* of `model` (at its initial values) with `masks`, prune a fifth of what is left in each layer
# by magnitude of the *trained* weights, and return the new masks. The given model must stay as it was.


# %% tags=["solution:level"]
def one_level(model, masks, recipe):
    ### BEGIN SOLUTION
    trained = copy.deepcopy(model)
    train(trained, dataset, recipe, masks, evaluate_every=0)
    return prune(magnitude(trained), masks, 0.2)
    ### END SOLUTION


# %% tags=["check:level:3"]
model = build_model("mlp-20", dataset, seed=0)
before = {name: p.clone() for name, p in model.state_dict().items()}
first = one_level(model, full_masks(model), recipe)
assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items()), (
    "train a copy: copy.deepcopy(model)"
)
assert abs(lthlab.density(first) - 0.8) < 0.01, "a fifth goes, four fifths stay"
second = one_level(model, first, recipe)
assert all((second[name] <= first[name]).all() for name in first), (
    "what is gone stays gone: prune from the masks you were given"
)
check = copy.deepcopy(model)
train(check, dataset, recipe, first, evaluate_every=0)
want = prune(magnitude(check), first, 0.2)
assert all(torch.equal(second[n], want[n]) for n in want), (
    "train with the masks, then prune each layer by the trained weights"
)
### BEGIN HIDDEN TESTS
assert abs(lthlab.density(second) - 0.64) < 0.01
untrained = prune(magnitude(model), full_masks(model), 0.2)
other = any(not torch.equal(untrained[name], first[name]) for name in first)
assert other, "prune by the trained weights"
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Rewind
#
# Write `rewound(model, masks)`: a copy of the untrained `model` whose pruned weights are exactly 0 and whose others have their initial values.


# %% tags=["solution:rewind"]
def rewound(model, masks):
    ### BEGIN SOLUTION
    return apply_masks_(copy.deepcopy(model), masks)
    ### END SOLUTION


# %% tags=["check:rewind:2"]
masks = prune(magnitude(model), full_masks(model), 0.5)
ticket = rewound(model, masks)
for name, mask in masks.items():
    weight = dict(ticket.named_parameters())[name]
    assert (weight[~mask] == 0).all(), "pruned weights are exactly zero"
    kept, initial = weight[mask], before[name][mask]
    assert torch.equal(kept, initial), "kept weights have their initial values"
### BEGIN HIDDEN TESTS
assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items()), (
    "the given model must not change"
)
### END HIDDEN TESTS
