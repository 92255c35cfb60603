# %% [markdown]
# # Exercises to notebook 03: winning tickets
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
import copy
from dataclasses import replace

import pandas as pd
import torch

import lthlab
from lthlab import apply_masks_, build_model, full_masks, magnitude, prune, train

torch.set_num_threads(1)
dataset = lthlab.load_dataset("mnist1d")
recipe = replace(lthlab.recipe_for("mlp-100-100-100", dataset), duration="1ep")

# %% [markdown]
# ## 1. One level of IMP
#
# Write `one_level(model, masks, recipe)`. `model` has its first values. Train a *copy*
# of it with `masks`. Then prune a fifth of what is left in each layer, by the magnitude
# of the *trained* weights, and return the new masks. The given model must stay as it
# was.


# %% tags=["solution:level"]
def one_level(model, masks, recipe):
    ### BEGIN SOLUTION
    trained = copy.deepcopy(model)
    train(trained, dataset, recipe, masks, evaluate_every=0)
    return prune(magnitude(trained), masks, 0.2)
    ### END SOLUTION


# %% tags=["check:level:3"]
network = build_model("mlp-20", dataset, seed=0)
untouched = copy.deepcopy(network).state_dict()
first = one_level(network, full_masks(network), recipe)
now = network.state_dict()
assert all(torch.equal(now[name], untouched[name]) for name in now), (
    "train a copy: copy.deepcopy(model)"
)
assert abs(lthlab.density(first) - 0.8) < 0.01, "a fifth goes, four fifths stay"
second = one_level(network, first, recipe)
assert all((second[name] <= first[name]).all() for name in first), (
    "what is gone stays gone: prune from the masks you were given"
)
assert abs(lthlab.density(second) - 0.64) < 0.01, (
    "the second time, a fifth of what is *left* goes"
)
### BEGIN HIDDEN TESTS
reference = copy.deepcopy(network)
train(reference, dataset, recipe, first, evaluate_every=0)
want = prune(magnitude(reference), first, 0.2)
assert all(torch.equal(second[name], want[name]) for name in want), (
    "train with the masks, then prune each layer by the size of the *trained* weights"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Rewind
#
# Write `rewound(model, masks)`: a copy of the untrained `model` in which pruned weights
# are exactly 0 and all others have their first values.


# %% tags=["solution:rewind"]
def rewound(model, masks):
    ### BEGIN SOLUTION
    return apply_masks_(copy.deepcopy(model), masks)
    ### END SOLUTION


# %% tags=["check:rewind:2"]
fresh = build_model("mlp-20", dataset, seed=1)
initial = copy.deepcopy(fresh).state_dict()
masks = prune(magnitude(fresh), full_masks(fresh), 0.5)
ticket = dict(rewound(fresh, masks).named_parameters())
assert all((ticket[n][~mask] == 0).all() for n, mask in masks.items()), (
    "pruned weights must be exactly zero"
)
assert all(torch.equal(ticket[n][m], initial[n][m]) for n, m in masks.items()), (
    "kept weights must have their first values"
)
### BEGIN HIDDEN TESTS
assert all(torch.equal(p, initial[name]) for name, p in fresh.state_dict().items()), (
    "the given model must not change: work on a copy"
)
biases = [name for name in initial if name not in masks]
assert all(torch.equal(ticket[name], initial[name]) for name in biases), (
    "biases are not pruned: they keep their first values, too"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. One word is missing
#
# Look again at `imp`, the fourteen lines of notebook 03. Three people copied them, and
# each lost one word:
#
# - "copy": `initial` holds the model's own tensors, not copies of them (no `keep`);
# - "train": `train_model(model)` gets no masks;
# - "prune": `prune_masks` gets `lthlab.full_masks(model)` in place of `masks`.
#
# Each measured the first three levels. The next cell draws for you what one of them
# saw. (The numbers are made up.) Which word is missing? Write "copy", "train" or
# "prune" into `MISSING`.

# %%
COLUMNS = ["density", "right before training", "nonzero after training", "right after"]
SEEN = [
    [(1.0, 0.10, 1.0, 0.60), (0.8, 0.57, 0.8, 0.67), (0.64, 0.62, 0.64, 0.71)],
    [(1.0, 0.10, 1.0, 0.60), (0.8, 0.12, 1.0, 0.61), (0.64, 0.15, 1.0, 0.60)],
    [(1.0, 0.10, 1.0, 0.60), (0.8, 0.12, 0.8, 0.61), (0.8, 0.12, 0.8, 0.61)],
]
seen = draw("seen", SEEN)
pd.DataFrame(seen, columns=COLUMNS).rename_axis("level")

# %% tags=["solution:missing"]
### BEGIN SOLUTION
MISSING = ["copy", "train", "prune"][SEEN.index(seen)]
### END SOLUTION

# %% tags=["check:missing:2"]
assert MISSING in ("copy", "train", "prune"), "one of the three words"
### BEGIN HIDDEN TESTS
first, second, third = draw("seen", SEEN)
regrown, stuck = second[2] > second[0], second[0] == third[0]
assert MISSING == "train" or not regrown, (
    "a mask of 80 %, and yet all weights are nonzero after training: who let them grow?"
)
assert MISSING == "prune" or not stuck, (
    "the density stays where it is: at each level pruning starts from all weights"
)
assert MISSING == "copy" or regrown or stuck, (
    "level 1 knows a lot before it is trained: what did the rewinding put back?"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Find the bug: a ticket that is too good
#
# A colleague finds tickets that are as good as the trained network *before* they are
# trained again. This is how they rewind:
#
# ```python
# initial = model.state_dict()
# train(model)
# masks = prune(model)
# model.load_state_dict(initial)  # rewind
# ```
#
# Write `remembered(model)`. It returns what `initial` should have been: all of the
# model's state as it is now.


# %% tags=["solution:remembered"]
def remembered(model):
    ### BEGIN SOLUTION
    return {name: value.clone() for name, value in model.state_dict().items()}
    ### END SOLUTION


# %% tags=["check:remembered:2"]
net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
start = [value.clone() for value in net.state_dict().values()]
memory = remembered(net)
assert set(memory) == set(net.state_dict()), (
    "keep all of the state, with its names, not the parameters alone"
)
with torch.no_grad():
    for value in net.state_dict().values():
        value.add_(1)
assert all(torch.equal(v, s) for v, s in zip(memory.values(), start)), (
    "state_dict() holds the very numbers that training changes: copy them"
)
### BEGIN HIDDEN TESTS
net.load_state_dict(memory)
assert all(torch.equal(v, s) for v, s in zip(net.state_dict().values(), start)), (
    "it must be possible to load it again"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. A verdict
#
# The next cell draws a result for you: ticket minus dense network, in points, over ten
# seeds, with its 95 % interval. Before the run everybody agreed on a margin of one
# point. What may you say? Set `VERDICT` to one of these words:
#
# - "better": it is shown that the ticket is above the dense network;
# - "matches": it is shown that the ticket loses less than one point, but not that it is
#   better;
# - "worse": it is shown that the ticket loses more than one point;
# - "open": none of these is shown.

# %%
RESULTS = [
    (0.2, -0.4, 0.8),
    (-0.8, -1.9, 0.3),
    (-2.1, -2.9, -1.3),
    (1.1, 0.4, 1.8),
    (-0.9, -1.2, -0.6),
    (-0.4, -0.7, -0.1),
]
MEAN, LOW, HIGH = draw("result", RESULTS)
print(f"ticket - dense: {MEAN:+.1f} points, 95 % interval [{LOW:+.1f}, {HIGH:+.1f}]")

# %% tags=["solution:verdict"]
### BEGIN SOLUTION
if LOW > 0:
    VERDICT = "better"
elif LOW > -1:
    VERDICT = "matches"
elif HIGH < -1:
    VERDICT = "worse"
else:
    VERDICT = "open"
### END SOLUTION

# %% tags=["check:verdict:1"]
assert VERDICT in ("better", "matches", "worse", "open"), "write one of the four words"
### BEGIN HIDDEN TESTS
_, low, high = draw("result", RESULTS)
words = {low > 0: "better", -1 < low <= 0: "matches", high < -1: "worse"}
assert words.get(True, "open") == VERDICT, (
    "compare the ends of the interval, not the mean, with 0 and with -1"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Design the control
#
# "A ticket is only better because there was one training for each level: altogether it
# was trained ten times as long." Name the four parts of the lottery ticket hypothesis,
# in a few words each, and say which of them this sentence attacks. Then design an
# experiment that decides it. What do you train, for how long, and from which values?
# Which outcome would speak for the sentence, and which against it? Six sentences at
# most.

# %% [markdown] tags=["explain:longer:5"]
# ### BEGIN SOLUTION
# A subnetwork of the same weights; it starts from its first values; it matches the
# whole network; it trains for no more iterations. The sentence attacks the last part.
# Each level starts again from the first values, so nothing learned in an earlier level
# is left but the mask. To test it, I train the same mask from new values
# (reinitialised), exactly as long as the ticket; and the dense network for the sum of
# all levels. If length were the reason, the reinitialised network, whose mask came from
# the same long search, would do as well as the ticket. If the ticket wins over it in
# paired differences over seeds, the sentence is wrong for this setting.
#
# **Rubric.** 1 point: all four parts, and the right one of them. 1 point: a control
# that gets the same amount of training (of search or of final training) and says which.
# 1 point: only one thing differs. 1 point: says which outcome speaks for and which
# against. 1 point: sees that rewinding throws the trained values away.
# ### END SOLUTION
