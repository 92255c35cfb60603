# %% [markdown]
# # Exercises to notebook 02: magnitude pruning
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
import torch

from lthlab import prune

# %% [markdown]
# ## 1. A mask of your own
#
# Write `mask_of_largest(weight, keep)`: a mask that is True for the `keep` weights of
# largest *absolute* value, and False for the others.


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
assert mask.shape == weight.shape, "the mask must have the shape of the weights"
assert mask.dtype == torch.bool, "the mask must be a bool tensor"
assert mask.sum() == 2, "keep exactly as many as asked for"
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
# Many optimisers have *momentum*: each step also goes a part of the last step once
# more. `velocity` remembers the last step. A colleague trains a pruned network in this
# way, and pruned weights come back to life. This is one step of theirs, for one layer:
#
# ```python
# def step(w, velocity, gradient, mask, lr, momentum):
#     velocity = momentum * velocity + gradient * mask
#     return w - lr * velocity, velocity
# ```
#
# First show the bug. Write `witness()`: it returns four tensors of one shape, `w,
# velocity, gradient, mask`, where `w` is 0 wherever `mask` is False. Choose them so
# that the step above, with `lr=0.1` and `momentum=0.9`, makes a pruned weight different
# from zero.


# %% tags=["solution:witness"]
def witness():
    ### BEGIN SOLUTION
    w, velocity = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0])
    return w, velocity, torch.zeros(2), torch.tensor([False, True])
    ### END SOLUTION


# %% tags=["check:witness:2"]
w, velocity, gradient, mask = witness()
assert w.shape == velocity.shape == gradient.shape == mask.shape, (
    "return four tensors of one shape"
)
assert mask.dtype == torch.bool and not mask.all(), (
    "the mask must be a bool tensor, and prune something"
)
assert (w[~mask] == 0).all(), "w must be 0 before the step where the mask is False"
### BEGIN HIDDEN TESTS
moved = w - 0.1 * (0.9 * velocity + gradient * mask)
assert (moved[~mask] != 0).any(), (
    "nothing comes back: what but the weights is left over from before the pruning?"
)
### END HIDDEN TESTS

# %% [markdown]
# Now write `mended_step`, with the same arguments and the same two results. After it,
# pruned weights are exactly zero, whatever the velocity was. The other weights move as
# before.


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
# The next cell draws two layers of four weights for you. Half of the eight weights go:
# those of smallest magnitude. How many are left in `first` if each layer loses half of
# its own? Write the number into `LAYER`. And how many if all eight compete? Write it
# into `GLOBAL`.

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
assert LAYER == 2, "layer by layer, each loses half of its own four"
cut = sorted(abs(w) for w in one + two)[4]
assert sum(abs(w) >= cut for w in one) == GLOBAL, (
    "all together: sort the eight by size, and count the four largest that are in first"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Read an interval
#
# The next cell draws a line for you, as notebook 02 prints it: the mean of paired
# differences in points, method A minus method B, with its 95 % interval. Which of these
# sentences may you say?
#
# - a: "On average over these seeds, A was ahead."
# - b: "A difference was seen."
# - c: "No difference was seen. There may be one all the same."
# - d: "There is no difference between A and B."
# - e: "At 95 % of all seeds the difference lies inside the interval."
#
# Write the letters of all sentences that you may say into `MAY_SAY`, as a string such
# as `"de"`.


# %%
LINES = [
    (1.2, 0.4, 2.0, 5),
    (0.6, -0.2, 1.4, 3),
    (-0.9, -1.6, -0.2, 5),
    (-0.3, -0.9, 0.3, 5),
]
MEAN, LOW, HIGH, N = draw("line", LINES)
print(f"A minus B: {MEAN:+.1f} [{LOW:+.1f}, {HIGH:+.1f}], n = {N}")

# %% tags=["solution:interval"]
### BEGIN SOLUTION
MAY_SAY = "a" * (MEAN > 0) + ("c" if LOW < 0 < HIGH else "b")
### END SOLUTION

# %% tags=["check:interval:2"]
letters = {letter for letter in MAY_SAY if letter.isalpha()}
assert letters and letters <= set("abcde"), "one or more of the letters from a to e"
### BEGIN HIDDEN TESTS
mean, low, high, _ = draw("line", LINES)
assert "e" not in letters, (
    "the interval is about the true *mean*, not about single seeds"
)
assert "d" not in letters, "an interval cannot show that there is no difference at all"
assert ("a" in letters) == (mean > 0), "a is about the mean: is it above zero?"
assert ("b" in letters) == (low > 0 or high < 0), (
    "a difference was seen if zero lies outside the interval, on either side"
)
assert ("c" in letters) == (low <= 0 <= high), (
    "no difference was seen if zero lies inside the interval"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Fair?
#
# A paper prunes a network by method A and trains it for 20 more epochs. For method B it
# quotes the accuracy from B's own paper, where 5 more epochs were trained. A is ahead
# by one point. "And with nine in ten weights gone, training costs only a tenth", the
# paper goes on. What does the point show about A? Which one experiment would you run
# instead? And what is wrong with the last sentence? Four sentences at most.

# %% [markdown] tags=["explain:fair:4"]
# ### BEGIN SOLUTION
# It shows nothing about A's *choice of weights*, since A also trained four times as
# long (and may differ in data and recipe). I would give both the same trained networks,
# seeds, density and number of epochs, and look at the paired differences. A control
# (random pruning with the same epochs) would show how much of the gain is the training.
# The whole network was trained first, so training got dearer, not cheaper; and even the
# later epochs are cheaper only where zeros are skipped.
#
# **Rubric.** 1 point: names the length of training as a second difference. 1 point: one
# experiment in which only the method differs. 1 point: several seeds in pairs, or
# random pruning as a control. 1 point: the dense training comes first and has to be
# paid, too.
# ### END SOLUTION
