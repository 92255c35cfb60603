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
# gradient, as in the notebook.


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
mlp = build_model("mlp-20-20", dataset, seed=0)
examples = lthlab.draw_batch(dataset.train, 100, seed=0)
scores = gradient_score(mlp, examples)
assert set(scores) == set(prunable_weights(mlp)), "one entry per prunable layer"
assert all((score >= 0).all() for score in scores.values()), "absolute values"
snip, size = lthlab.snip(mlp, examples), prunable_weights(mlp)
assert all(
    torch.allclose(scores[n] * size[n].abs(), snip[n], rtol=1e-3, atol=1e-7)
    for n in snip
), "times the weight's size it must be SNIP's score: is it the loss's gradient, alone?"
### BEGIN HIDDEN TESTS
others = lthlab.draw_batch(dataset.train, 100, seed=1)
other, theirs = gradient_score(mlp, others), lthlab.snip(mlp, others)
assert all(
    torch.allclose(other[n] * size[n].abs(), theirs[n], rtol=1e-3, atol=1e-7)
    for n in theirs
), "use the batch and the model that were given; do not add to an old gradient"
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Design the control: weights, or only layer densities?
#
# Somebody wants to know whether a method picks good *weights* or only good *densities of the layers*. Their control gives its weights to chance, but it does not
# isolate that:
#
# ```python
# def control(masks, seed):
#     together = torch.cat([mask.flatten() for mask in masks.values()])
#     generator = torch.Generator().manual_seed(seed)
#     together = together[torch.randperm(len(together), generator=generator)]
#     pieces = together.split([mask.numel() for mask in masks.values()])
#     return {n: p.view_as(masks[n]) for n, p in zip(masks, pieces)}
# ```
#
# Write `control(masks, seed)` that does.


# %% tags=["solution:control"]
def control(masks, seed):
    ### BEGIN SOLUTION
    generator = torch.Generator().manual_seed(seed)
    return {
        name: mask.flatten()[torch.randperm(mask.numel(), generator=generator)].view_as(
            mask
        )
        for name, mask in masks.items()
    }
    ### END SOLUTION


# %% tags=["check:control:3"]
full, thin = torch.arange(400) < 300, torch.arange(800) < 80
given = {"full": full.view(20, 20), "thin": thin.view(20, 40)}
drawn = control({name: mask.clone() for name, mask in given.items()}, 0)
assert [m.shape for m in drawn.values()] == [m.shape for m in given.values()], (
    "a mask for each layer, with the layer's shape"
)
assert all(drawn[name].sum() == given[name].sum() for name in given), (
    "the control must keep what is not in question: how many weights each layer has"
)
assert not any(torch.equal(drawn[name], given[name]) for name in given), (
    "and change what is: which weights they are, in every layer"
)
### BEGIN HIDDEN TESTS
again = control({name: mask.clone() for name, mask in given.items()}, 0)
assert all(torch.equal(again[name], drawn[name]) for name in given), (
    "the same seed gives the same masks"
)
places = [control(given, seed)["thin"].float() for seed in range(200)]
assert torch.stack(places).mean(0).min() > 0, "every place must have a chance"
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Which layer collapses first?
#
# The next cell draws layer sizes for you. Pruning *at random, with one density for all layers*, leaves each layer its share of weights. Below which density does
# the smallest layer have less than one weight left on average, so that no signal gets through? Write it into `COLLAPSE`, as a fraction.

# %%
SIZES = draw("sizes", [[784, 300, 100, 10], [40, 20, 20, 10], [784, 16, 8, 10]])
print(SIZES)

# %% tags=["solution:collapse"]
### BEGIN SOLUTION
COLLAPSE = 1 / min(before * after for before, after in zip(SIZES, SIZES[1:]))
### END SOLUTION

# %% tags=["check:collapse:1"]
assert 0 < COLLAPSE < 1, "a fraction between 0 and 1"
### BEGIN HIDDEN TESTS
sizes = draw("sizes", [[784, 300, 100, 10], [40, 20, 20, 10], [784, 16, 8, 10]])
fewest = min(before * after for before, after in zip(sizes, sizes[1:]))
assert abs(COLLAPSE * fewest - 1) < 0.05, (
    "density times the weights of the smallest layer is one"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Chosen weights?
#
# A new score beats magnitude pruning at initialisation by two points over ten seeds (interval [1.2, 2.8]). With its masks shuffled inside each layer, it
# beats it by 1.9 points [1.0, 2.8]. What has the score learned about the network, what has it not, and what would you advise its authors to write? Four sentences at most.

# %% [markdown] tags=["explain:chosen:3"]
# ### BEGIN SOLUTION
# It has found densities of the layers that work better than those of magnitude. Nothing is seen of a choice of weights: with other weights at the same
# densities the advantage is as good as the same. (Score against its shuffled self, in pairs, is the comparison that they should print.) They should say
# "good layer densities", and that a table of densities does the same without a score.
#
# **Rubric.** 1 point: layer densities explain (nearly) all of it. 1 point: no evidence for single weights, and not "proof that there is none". 1 point: the
# paired comparison with the shuffled mask, or the honest sentence.
# ### END SOLUTION
