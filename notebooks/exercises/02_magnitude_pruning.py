# %% [markdown]
# # Exercises to notebook 02: magnitude pruning
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import torch

from lthlab import prune

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
weight = torch.tensor([[0.5, -0.1, 0.3], [-0.9, 0.05, -0.2]])
mask = mask_of_largest(weight.clone(), 2)
assert mask.shape == weight.shape, "a mask of the weight's shape"
assert mask.dtype == torch.bool, "a bool tensor"
assert mask.sum() == 2, "exactly as many as asked for"
assert mask[1, 0], "-0.9 is the largest of all: look at absolute values"
assert mask[0, 0], "0.5 comes next: it must stay"
### BEGIN HIDDEN TESTS
normal = torch.randn(20, 30, generator=torch.Generator().manual_seed(3))
everything = torch.ones(20, 30, dtype=torch.bool)
ours = prune({"w": normal.abs()}, {"w": everything}, 0.8)["w"]
assert torch.equal(mask_of_largest(normal.clone(), int(ours.sum())), ours), (
    "the largest of the whole matrix stay, wherever they sit"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Find the bug, and show it
#
# A colleague trains a pruned network with momentum. Pruned weights come back to life. This is one step of theirs, for one layer:
#
# ```python
# def step(w, velocity, gradient, mask, lr, momentum):
#     velocity = momentum * velocity + gradient * mask
#     return w - lr * velocity, velocity
# ```
#
# First write `witness()`: it returns `w, velocity, gradient, mask` (tensors of one shape; `w` is 0 wherever `mask` is False) for which that step, with
# `lr=0.1, momentum=0.9`, makes a pruned weight different from zero.


# %% tags=["solution:witness"]
def witness():
    ### BEGIN SOLUTION
    w, velocity = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0])
    return w, velocity, torch.zeros(2), torch.tensor([False, True])
    ### END SOLUTION


# %% tags=["check:witness:2"]
w, velocity, gradient, mask = witness()
assert w.shape == velocity.shape == gradient.shape == mask.shape, "four of one shape"
assert mask.dtype == torch.bool and not mask.all(), "a bool mask that prunes something"
assert (w[~mask] == 0).all(), "w must be 0 before the step where the mask is False"
### BEGIN HIDDEN TESTS
moved = w - 0.1 * (0.9 * velocity + gradient * mask)
assert (moved[~mask] != 0).any(), (
    "nothing comes back: what is left over from before the pruning, beside the weights?"
)
### END HIDDEN TESTS

# %% [markdown]
# Now write `mended_step`, with the same arguments and the same two results, after which pruned weights are exactly zero whatever the velocity was, and
# the others move as before.


# %% tags=["solution:momentum"]
def mended_step(w, velocity, gradient, mask, lr, momentum):
    ### BEGIN SOLUTION
    velocity = (momentum * velocity + gradient) * mask
    return (w - lr * velocity) * mask, velocity
    ### END SOLUTION


# %% tags=["check:momentum:2"]
start, ones = torch.tensor([0.0, 1.0]), torch.ones(2)
kept, settings = torch.tensor([False, True]), {"lr": 0.1, "momentum": 0.9}
after, speed = mended_step(start.clone(), ones.clone(), ones.clone(), kept, **settings)
assert after[0] == 0, "the pruned weight moves: the velocity it had is still pushing it"
assert abs(float(after[1]) - 0.81) < 1e-6, (
    "a kept weight moves as before: 1 - 0.1 x (0.9 x 1 + 1) = 0.81"
)
### BEGIN HIDDEN TESTS
for _ in range(3):
    after, speed = mended_step(after, speed, ones.clone(), kept, **settings)
assert after[0] == 0 and abs(float(after[1]) + 0.21441) < 1e-5, (
    "three more steps: return the new velocity, so that the next step can use it"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Layer by layer, or all together?
#
# The next cell draws two layers for you. Half of the eight weights go, those of smallest magnitude. How many weights are left in `first` if each layer
# loses half of its own (`LAYER`), and how many if all compete (`GLOBAL`)?

# %%
TABLES = [
    ([0.9, 0.1, 0.2, 0.8], [0.3, 0.4, 0.05, 0.01]),
    ([0.9, -0.7, 0.6, 0.8], [0.3, 0.4, -0.5, 0.1]),
    ([0.02, 0.1, -0.03, 0.8], [0.3, -0.4, 0.5, 0.2]),
]
first, second = draw("layers", TABLES)
print(f"first {first}\nsecond {second}")

# %% tags=["solution:scope"]
### BEGIN SOLUTION
LAYER = 2
GLOBAL = sum(abs(w) in sorted(map(abs, first + second))[4:] for w in first)
### END SOLUTION

# %% tags=["check:scope:1"]
assert LAYER in range(5) and GLOBAL in range(5), "two whole numbers from 0 to 4"
### BEGIN HIDDEN TESTS
one, two = draw("layers", TABLES)
assert LAYER == 2, "by layer each loses half of its own four"
cut = sorted(abs(w) for w in one + two)[4]
assert sum(abs(w) >= cut for w in one) == GLOBAL, (
    "all together: sort the eight by size, keep the four largest, count those in first"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Fair?
#
# A paper prunes a network by method A and trains it for 20 further epochs. It quotes method B's accuracy from B's own paper, where 5 further epochs were
# trained. A is ahead by one point. What does that show about A, and which one experiment would you run instead? Three sentences at most.

# %% [markdown] tags=["explain:fair:3"]
# ### BEGIN SOLUTION
# It shows nothing about A's *choice of weights*, since A also trained four times as long (and may differ in data and recipe). I would give both the same
# trained network, seeds, density and number of epochs, and look at the paired differences. A control (random pruning with the same epochs)
# would show how much of the gain is the training.
#
# **Rubric.** 1 point: names the length of training as a second difference. 1 point: one experiment in which only the method differs. 1 point:
# several seeds in pairs, or random pruning as a control.
# ### END SOLUTION
