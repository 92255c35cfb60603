# %% [markdown]
# # Exercises to notebook 06: tickets before training
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
from importlib.resources import files

import pandas as pd
import torch
from torch.nn import functional as F

import lthlab
from lthlab import build_model, load_dataset, prunable_weights

dataset = load_dataset("mnist1d")
model = build_model("mlp-20-20", dataset, seed=0)
batch = lthlab.draw_batch(dataset.train, 100, seed=0)

# %% [markdown]
# ## 1. How early can you prune?
#
# Notebook 06 prunes a network at some moment of its training and then trains it once
# more in full. The next cell draws data and a density for you. It prints by how many
# points such a network ends above the one that was pruned at the end. From which share
# of the training on does early pruning lose less than a point: there and at every later
# moment, the *whole* interval lies above -1? Write that number of percent into
# `EARLIEST`.
#
# And what do all these networks have in common? Write the letters of all that fit into
# `SAME`, as a string such as `"ab"`:
#
# - a: the network and its first values;
# - b: how many weights are kept;
# - c: the way to choose them, by magnitude;
# - d: the recipe of the last training;
# - e: the number of steps in all;
# - f: the values that the last training starts from.


# %%
def pruned_then(name, level):
    """Accuracies at the end, by the percent of the training over at the pruning."""
    path = files("lthlab").joinpath(f"assets/reference/prune-at-{name}.csv")
    rows = pd.read_csv(path).query("split == 'validation' and metric == 'accuracy'")
    rows = rows[rows["step"] == rows["step"].max()]
    rows = rows[(rows["level"] == level) & rows["arm"].str.endswith("again")]
    return rows.assign(share=rows["arm"].str.extract(r"(\d+)%")[0].astype(int))


CASES = [("mnist1d", 12), ("mnist1d", 4), ("fashion-mini", 15)]
case = draw("case", CASES)
rows = pruned_then(*case)
shares = sorted(set(rows["share"]) - {100})
print(f"{case[0]}, {rows['density'].min():.1%} of the weights, minus pruned at the end")
for share in shares:
    gap = lthlab.paired(rows, share, 100, by="share")
    print(f"pruned at {share:2d} %: {gap.points()}")

# %% tags=["solution:early"]
### BEGIN SOLUTION
early = [s for s in shares if lthlab.paired(rows, s, 100, by="share").low <= -0.01]
EARLIEST = min(share for share in shares if share > max(early))
SAME = "abcd"
### END SOLUTION

# %% tags=["check:early:3"]
assert EARLIEST in (0, 1, 2, 5, 10, 20, 35, 50, 75), (
    "EARLIEST is one of the printed moments, in percent"
)
assert set(SAME) and set(SAME) <= set("abcdef"), "SAME holds letters from a to f"
assert "e" not in SAME, (
    "pruned at the end, a network is trained twice in all; at 0 %, only once"
)
assert "f" not in SAME, "each goes on from the values that it has when it is pruned"
### BEGIN HIDDEN TESTS
assert set(SAME) == set("abcd"), (
    "only the moment is changed: which letters are missing?"
)
table = pruned_then(*draw("case", CASES))
low = {
    share: 100 * lthlab.paired(table, share, 100, by="share").low
    for share in sorted(set(table["share"]) - {100})
}
assert all(low[share] > -1 for share in low if share >= EARLIEST), (
    "there or later, an interval still reaches below -1: look at the lower ends"
)
assert any(
    low[share] <= -1
    for share in low
    if share == max((other for other in low if other < EARLIEST), default=share)
), "an earlier moment will do: its interval and all later ones lie above -1"
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Four questions
#
# Four methods look at an untrained network, and each asks every weight a question of
# its own. Here they are in other words:
#
# - a: "How far from zero are you?"
# - b: "If I turn you off a little, how fast does the loss change?"
# - c: "If you go, does the gradient of all the others suffer?"
# - d: "How much of what goes in reaches the outputs through you?"
#
# Who asks what? Fill in `ASKS`: a dict from the name of the method to a letter, for
# "magnitude", "SNIP", "GraSP" and "SynFlow".


# %% tags=["solution:asks"]
### BEGIN SOLUTION
ASKS = {"magnitude": "a", "SNIP": "b", "GraSP": "c", "SynFlow": "d"}
### END SOLUTION

# %% tags=["check:asks:1"]
assert set(ASKS) == {"magnitude", "SNIP", "GraSP", "SynFlow"}, "all four methods"
assert sorted(ASKS.values()) == list("abcd"), "each letter once"
### BEGIN HIDDEN TESTS
assert ASKS["magnitude"] == "a", "magnitude knows the size of a weight and nothing else"
assert ASKS["SynFlow"] == "d", "SynFlow follows the signal from the input to the output"
assert ASKS["SNIP"] == "b", (
    "SNIP's switch changes the loss, GraSP looks at the gradient"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. A score: the gradient alone
#
# Write `gradient_score(model, batch)`. It returns a dict from the name of each layer to
# the absolute value of the loss's gradient. (SNIP multiplies it by the weight; this
# score does not.) `x, y = batch`, and the loss is `F.cross_entropy(model(x), y)`.
# `prunable_weights(model)` gives names and weights, and `torch.autograd.grad` finds the
# gradient, as in the notebook. Every score takes a `seed`, too; this one has no use for
# it.


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
assert set(scores) == set(prunable_weights(mlp)), (
    "give one entry for each prunable layer"
)
assert all((score >= 0).all() for score in scores.values()), "take absolute values"
snip, size = lthlab.snip(mlp, examples), prunable_weights(mlp)
assert all(
    torch.allclose(scores[n] * size[n].abs(), snip[n], rtol=1e-3, atol=1e-7)
    for n in snip
), "times the weight's size it must be SNIP's score: is it the gradient of the loss?"
### BEGIN HIDDEN TESTS
others = lthlab.draw_batch(dataset.train, 100, seed=1)
other, theirs = gradient_score(mlp, others), lthlab.snip(mlp, others)
assert all(
    torch.allclose(other[n] * size[n].abs(), theirs[n], rtol=1e-3, atol=1e-7)
    for n in theirs
), "use the batch and the model that were given; do not add to an old gradient"
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Which chance has it beaten?
#
# The next cell draws data and a method for you. It prints by how many points the method
# ends above two kinds of chance, at the finishing line of notebook 06. Which of the two
# is it *shown* to beat? Put their names into the set `BEATEN` (`set()` if it is none).
#
# What does the stronger kind of chance, ERK, know of the network? Set `ERK_KNOWS` to
# "gradients", "first values", "sizes of layers" or "nothing".


# %%
LINE = {"mnist1d": 12, "fashion-mini": 15}  # levels


def at_finish(name):
    """Validation accuracies at the finishing line, ten seeds."""
    path = files("lthlab").joinpath(f"assets/reference/race-{name}.csv")
    rows = pd.read_csv(path).query("split == 'validation' and metric == 'accuracy'")
    return rows[(rows["step"] == rows["step"].max()) & (rows["level"] == LINE[name])]


RACES = [("mnist1d", "SNIP"), ("fashion-mini", "SNIP"), ("fashion-mini", "GraSP")]
name, method = draw("race", RACES)
for chance in ("uniform random", "ERK"):
    gap = lthlab.paired(at_finish(name), method, chance)
    print(f"{name}: {method} minus {chance}: {gap.points()}")

# %% tags=["solution:chance"]
### BEGIN SOLUTION
kinds = ("uniform random", "ERK")
gaps = {kind: lthlab.paired(at_finish(name), method, kind) for kind in kinds}
BEATEN = {kind for kind, gap in gaps.items() if gap.low > 0}
ERK_KNOWS = "sizes of layers"
### END SOLUTION

# %% tags=["check:chance:2"]
assert set(BEATEN) <= {"uniform random", "ERK"}, "names of the two kinds of chance"
assert ERK_KNOWS in ("gradients", "first values", "sizes of layers", "nothing"), (
    "ERK_KNOWS is one of the four"
)
### BEGIN HIDDEN TESTS
data, by = draw("race", RACES)
for kind in ("uniform random", "ERK"):
    low = lthlab.paired(at_finish(data), by, kind).low
    assert (kind in BEATEN) == (low > 0), (
        f"{kind}: it is shown to be beaten if the whole interval lies above zero"
    )
assert ERK_KNOWS == "sizes of layers", (
    "ERK looks at no weight, gradient or example, but keeps more of small layers"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Design the control: weights, or only layers?
#
# Does a method pick good *weights*, or only a good *number* of weights for each layer?
# Somebody wrote a control for this question. It leaves the choice of weights to chance,
# but it changes something else as well:
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
# Write a `control(masks, seed)` that changes nothing but the choice of weights.


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
    "return a mask for each layer, with the layer's shape"
)
assert all(drawn[name].sum() == given[name].sum() for name in given), (
    "keep what is not in question: how many weights each layer has"
)
assert not any(torch.equal(drawn[name], given[name]) for name in given), (
    "change what is in question, in every layer: which weights they are"
)
### BEGIN HIDDEN TESTS
again = control({name: mask.clone() for name, mask in given.items()}, 0)
assert all(torch.equal(again[name], drawn[name]) for name in given), (
    "the same seed must give the same masks"
)
places = [control(given, seed)["thin"].float() for seed in range(200)]
assert torch.stack(places).mean(0).min() > 0, "every place must have a chance"
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Chosen weights?
#
# A new score beats magnitude at initialisation by 2.0 points over ten seeds, interval
# [1.2, 2.8]. With its masks shuffled inside each layer it still beats it, by 1.9 points
# [1.0, 2.8]. What has the score found out about the network? What has it not been shown
# to know? And what should its authors write? Four sentences at most.

# %% [markdown] tags=["explain:chosen:3"]
# ### BEGIN SOLUTION
# It has found densities of the layers that work better than those of magnitude. Nothing
# is seen of a choice of weights: with other weights at the same densities the lead is
# about the same. (The score against its own shuffled mask, in pairs, is the comparison
# that they should print.) They should say "good layer densities", and that a table of
# densities does the same without a score.
#
# **Rubric.** 1 point: layer densities explain (nearly) all of it. 1 point: no evidence
# for single weights, and not "proof that there is none". 1 point: the paired comparison
# with the shuffled mask, or the honest sentence.
# ### END SOLUTION
