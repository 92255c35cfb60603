# %% [markdown]
# # Exercises to notebook 12: tickets before training, in depth
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
import torch

# %% [markdown]
# ## 1. What is held fixed?
#
# A training has `total` steps. The network is pruned when the share `t` of them is
# over. Section 1 of the notebook goes on in two ways. Write `steps_of(total, t,
# again)`: a pair, the steps *before* and the steps *after* the pruning. With
# `again=False` it is "T steps in all", with `again=True` "T steps after pruning". Round
# to whole steps.


# %% tags=["solution:moment"]
def steps_of(total, t, again):
    ### BEGIN SOLUTION
    before = round(t * total)
    return before, total if again else total - before
    ### END SOLUTION


# %% tags=["check:moment:2"]
before, after = steps_of(1600, 0.25, again=False)
assert before == 400, "a quarter of 1,600 steps is over at the pruning"
assert before + after == 1600, "T steps in all: before and after make up one training"
assert steps_of(1600, 0.25, again=True)[1] == 1600, (
    "T steps after pruning: the whole recipe starts over"
)
### BEGIN HIDDEN TESTS
assert tuple(steps_of(480, 1, again=False)) == (480, 0), (
    "pruned at the end, T steps in all: no step is left to recover"
)
assert tuple(steps_of(480, 1, again=True)) == (480, 480), "twice the steps, at the end"
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Which layer collapses first?
#
# The next cell draws layer sizes for you. *Uniform random* pruning keeps the same share
# of every layer. Below which density does the smallest layer have less than one weight
# left on average? From there on no signal gets through. Write that density into
# `COLLAPSE`, as a fraction.

# %%
SIZES = draw("sizes", [[784, 300, 100, 10], [40, 20, 20, 10], [784, 16, 8, 10]])
print(SIZES)

# %% tags=["solution:collapse"]
### BEGIN SOLUTION
COLLAPSE = 1 / min(before * after for before, after in zip(SIZES, SIZES[1:]))
### END SOLUTION

# %% tags=["check:collapse:1"]
assert 0 < COLLAPSE < 1, "COLLAPSE is a fraction between 0 and 1"
### BEGIN HIDDEN TESTS
sizes = draw("sizes", [[784, 300, 100, 10], [40, 20, 20, 10], [784, 16, 8, 10]])
fewest = min(before * after for before, after in zip(sizes, sizes[1:]))
assert abs(COLLAPSE * fewest - 1) < 0.05, (
    "at that density, one weight of the smallest layer is left on average"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. What does chance know?
#
# Four kinds of chance choose their weights blindly. But somebody had to tell them how
# many to keep in each layer. What did each of them have to know for that?
#
# - a: nothing but the density of the whole;
# - b: the shapes of the layers;
# - c: the order of the layers, from the first to the output;
# - d: a ticket that was already found.
#
# Fill in `KNOWS`, a dict from "random", "uniform random", "ERK" and "smart ratio" to a
# letter each.


# %% tags=["solution:knows"]
### BEGIN SOLUTION
KNOWS = {"random": "d", "uniform random": "a", "ERK": "b", "smart ratio": "c"}
### END SOLUTION

# %% tags=["check:knows:1"]
assert set(KNOWS) == {"random", "uniform random", "ERK", "smart ratio"}, (
    "all four kinds"
)
assert sorted(KNOWS.values()) == list("abcd"), "each letter once"
### BEGIN HIDDEN TESTS
assert KNOWS["uniform random"] == "a", (
    "the same share of every layer: what does it take?"
)
assert KNOWS["random"] == "d", "whose layer densities does the arm *random* have?"
assert KNOWS["ERK"] == "b", "ERK keeps more of small layers, wherever they stand"
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Has the mask settled?
#
# Early-Bird compares the mask that would be drawn now with the one drawn a little
# earlier. Write `mask_distance(one, other)` for two dicts of masks with the same
# layers. It returns the share of all places, over all layers together, in which they
# differ. (The notebook divides by the number of kept weights, the paper by all, as you
# do here.)


# %% tags=["solution:distance"]
def mask_distance(one, other):
    ### BEGIN SOLUTION
    differ = sum(int((one[name] != other[name]).sum()) for name in one)
    return differ / sum(mask.numel() for mask in one.values())
    ### END SOLUTION


# %% tags=["check:distance:2"]
t, f = True, False
before = {"a": torch.tensor([t, t, f, f]), "b": torch.tensor([[t, f], [f, t]])}
after = {"a": torch.tensor([t, f, t, f]), "b": torch.tensor([[t, f], [f, t]])}
assert abs(mask_distance(before, before)) < 1e-6, "equal masks must have the distance 0"
assert abs(mask_distance(before, after) - 0.25) < 1e-6, (
    "two of eight places differ: one weight went, another came; both count"
)
### BEGIN HIDDEN TESTS
large = {"a": torch.ones(90) > 0, "b": torch.ones(10) > 0}
small = {"a": torch.ones(90) > 0, "b": torch.zeros(10) > 0}
assert abs(mask_distance(large, small) - 0.1) < 1e-6, (
    "count over all places together: layers have different sizes"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. A schedule
#
# Gradual pruning (Zhu & Gupta 2017) prunes while the network trains. The sparsity rises
# from 0 at step `begin` to `final` at step `end`, fast at first and slowly at the end:
# it is `final * (1 - (1 - t)**3)`, where t goes from 0 to 1. Write `sparsity_at(step,
# begin, end, final)` for *any* step of the training, also before `begin` and after
# `end`.


# %% tags=["solution:schedule"]
def sparsity_at(step, begin, end, final):
    ### BEGIN SOLUTION
    t = min(max((step - begin) / (end - begin), 0.0), 1.0)
    return final * (1 - (1 - t) ** 3)
    ### END SOLUTION


# %% tags=["check:schedule:2"]
assert abs(sparsity_at(100, 100, 200, 0.9)) < 1e-6, "nothing is pruned when it begins"
assert abs(sparsity_at(150, 100, 200, 0.9) - 0.7875) < 1e-6, (
    "half-way, seven eighths of the final sparsity are reached"
)
assert abs(sparsity_at(50, 100, 200, 0.9)) < 1e-6, (
    "nothing is pruned before it begins, either"
)
### BEGIN HIDDEN TESTS
assert abs(sparsity_at(300, 100, 200, 0.9) - 0.9) < 1e-6, (
    "after the end the sparsity stays as it is"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Who pays when?
#
# The next cell draws a number of levels for you. IMP removes a fifth at each. Suppose
# that a training costs as much as its density says. What does the search cost in all,
# the ticket's own training included, counted in dense trainings? Write it into `COST`;
# two digits after the point are enough. (A mask found by one gradient costs next to
# nothing.)

# %%
LEVELS = draw("levels", [4, 6, 8, 10])
print(f"{LEVELS} levels: trainings at densities 1, 0.8, ..., {0.8**LEVELS:.3f}")

# %% tags=["solution:cost"]
### BEGIN SOLUTION
COST = sum(0.8**level for level in range(LEVELS + 1))
### END SOLUTION

# %% tags=["check:cost:1"]
assert COST > 1, "the dense training alone costs 1"
### BEGIN HIDDEN TESTS
levels = draw("levels", [4, 6, 8, 10])
assert abs(COST - (1 - 0.8 ** (levels + 1)) / 0.2) < 0.02, (
    "add the densities of all trainings: dense, each level, and the last"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Fair in two ways
#
# Method A finds a mask with one gradient and ends at 88 %. IMP ends at 90 % and costs
# five dense trainings. Write one honest sentence in favour of each. Which further
# comparison, at equal cost, would you want to see? Four sentences at most.

# %% [markdown] tags=["explain:two-axes:3"]
# ### BEGIN SOLUTION
# For IMP: at this density its mask is two points better. For A: it costs nearly
# nothing. At equal cost A could train five times as long, or five networks of A be
# averaged, or the best of five be chosen by validation data, or IMP be given fewer
# levels. Then compare in pairs over seeds.
#
# **Rubric.** 1 point: both sentences are true and about different axes. 1 point: a
# comparison in which the total cost is equal. 1 point: seeds in pairs, choice by
# validation data.
# ### END SOLUTION
