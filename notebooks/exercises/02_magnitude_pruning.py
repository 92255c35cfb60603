# %% [markdown]
# # Exercises to notebook 02: magnitude pruning
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import torch

from lthlab import build_model, count_kept, full_masks, load_dataset, magnitude, prune

weight = torch.tensor([[0.5, -0.1, 0.3], [-0.9, 0.05, -0.2]])

# %% [markdown]
# ## 1. A mask of your own
#
# Write `mask_of_largest(weight, keep)`: a mask, True for the `keep` weights of largest *absolute* value.


# %% tags=["solution:largest"]
def mask_of_largest(weight, keep):
    ### BEGIN SOLUTION
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().topk(keep).indices] = True
    return mask.view_as(weight)
    ### END SOLUTION


# %% tags=["check:largest:2"]
mask = mask_of_largest(weight, 2)
assert mask.dtype == torch.bool, "a bool tensor"
assert mask.shape == weight.shape, "of the weight's shape"
assert mask.sum() == 2, "exactly as many as asked for"
assert mask[1, 0], "-0.9 is the largest of all: look at absolute values"
### BEGIN HIDDEN TESTS
draw = torch.randn(20, 30, generator=torch.Generator().manual_seed(3))
everything = torch.ones(20, 30, dtype=torch.bool)
ours = prune({"w": draw.abs()}, {"w": everything}, 0.8)["w"]
assert torch.equal(mask_of_largest(draw, int(ours.sum())), ours)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Pruned and trained on
#
# After each step of training pruned weights must be put back to zero. Masking the *gradient* is not enough. Write
# `step_by_gradient_mask(w, velocity, gradient, mask, lr, momentum)`, one step of SGD with momentum that masks only the gradient: first
# `velocity = momentum * velocity + gradient * mask`, then `w - lr * velocity`. Return the new `w`. The check shows what goes wrong.


# %% tags=["solution:momentum"]
def step_by_gradient_mask(w, velocity, gradient, mask, lr, momentum):
    ### BEGIN SOLUTION
    velocity = momentum * velocity + gradient * mask
    return w - lr * velocity
    ### END SOLUTION


# %% tags=["check:momentum:2"]
w, mask = torch.tensor([0.0, 1.0]), torch.tensor([False, True])
rest, ones, options = torch.zeros(2), torch.ones(2), {"lr": 0.1, "momentum": 0.9}
rested = step_by_gradient_mask(w.clone(), rest, ones, mask, **options)
assert torch.allclose(rested, torch.tensor([0.0, 0.9])), (
    "without velocity the pruned weight stays, and the other takes its step"
)
moving = step_by_gradient_mask(w.clone(), torch.ones(2), ones, mask, **options)
assert moving[0] != 0, (
    "momentum from before the pruning moves the pruned weight: that is the mistake"
)
### BEGIN HIDDEN TESTS
assert torch.allclose(moving, torch.tensor([-0.09, 0.81]))
### END HIDDEN TESTS
