# %% [markdown]
# # Exercises to notebook 05: rewinding
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
import copy
from dataclasses import replace
from importlib.resources import files

import pandas as pd
import torch

import lthlab
from lthlab import build_model, load_dataset

torch.set_num_threads(1)

dataset = load_dataset("mnist1d")

# %% [markdown]
# ## 1. Between two networks
#
# Write `mix(first, second, alpha)` for two state_dicts of a network without BatchNorm.
# It returns a new state_dict: `1 - alpha` of the first plus `alpha` of the second,
# entry by entry. The two that you are given must stay as they are.


# %% tags=["solution:mix"]
def mix(first, second, alpha):
    ### BEGIN SOLUTION
    return {
        name: (1 - alpha) * value + alpha * second[name]
        for name, value in first.items()
    }
    ### END SOLUTION


# %% tags=["check:mix:2"]
one, two = (build_model("mlp-5", dataset, seed=seed).state_dict() for seed in (1, 2))
ends = [{name: value.clone() for name, value in end.items()} for end in (one, two)]
begin, quarter, end = (mix(one, two, alpha) for alpha in (0, 0.25, 1))
assert all(torch.equal(one[n], ends[0][n]) for n in one), (
    "the first state_dict has changed: make new tensors, do not write into its own"
)
assert all(torch.equal(two[n], ends[1][n]) for n in two), (
    "the second state_dict has changed: make new tensors, do not write into its own"
)
assert all(torch.allclose(begin[n], ends[0][n], atol=1e-6) for n in ends[0]), (
    "alpha = 0 is the first, with every entry of it"
)
assert all(torch.allclose(end[n], ends[1][n], atol=1e-6) for n in ends[1]), (
    "alpha = 1 is the second"
)
### BEGIN HIDDEN TESTS
a, b = ends
assert all(torch.allclose(quarter[n], 0.75 * a[n] + b[n] / 4, atol=1e-6) for n in a), (
    "alpha = 0.25: three quarters of the first, one quarter of the second"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Read a table: when does it settle?
#
# Two copies of a network part at step *k* and are trained on in different orders. The
# table holds their accuracy at places on the straight line between their ends: `alpha`
# is 0 at one end and 1 at the other. The error is 1 - accuracy. The *barrier* is the
# highest error on that line, minus the mean of the errors at its two ends.
#
# The next cell loads the lines of the dense network of notebook 05, one pair of copies
# for each of ten seeds, and draws a limit for you. Take the mean barrier over the seeds
# at each `rewind_step`. From which step on is it at most your limit, there and at every
# later step? Write that step into `SETTLED`.

# %%
path = files("lthlab").joinpath("assets/reference/stability.csv")
lines = pd.read_csv(path).query(
    "network == 'dense' and metric == 'accuracy' and pair == 0"
)
LIMIT = draw("limit", [0.1, 0.05, 0.03, 0.02])
print(f"your limit: {LIMIT}; steps: {sorted(map(int, lines.rewind_step.unique()))}")
lines.head(3)

# %% tags=["solution:settled"]
### BEGIN SOLUTION
barriers = (
    (1 - lines.set_index("alpha").value)
    .groupby([lines.rewind_step.values, lines.seed.values])
    .apply(lambda error: error.max() - (error.iloc[0] + error.iloc[-1]) / 2)
    .groupby(level=0)
    .mean()
)
SETTLED = next(k for k in barriers.index if (barriers.loc[k:] <= LIMIT).all())
### END SOLUTION

# %% tags=["check:settled:3"]
table = pd.read_csv(files("lthlab").joinpath("assets/reference/stability.csv"))
table = table.query("network == 'dense' and metric == 'accuracy' and pair == 0")
steps = sorted(table.rewind_step.unique())
assert SETTLED in steps, "SETTLED must be one of the measured steps"
### BEGIN HIDDEN TESTS
limit, found = draw("limit", [0.1, 0.05, 0.03, 0.02]), {}
wide = table.pivot_table(index=["rewind_step", "seed"], columns="alpha", values="value")
height = (wide[0.0] + wide[1.0]) / 2 - wide.min(axis=1)
mean = height.groupby("rewind_step").mean()
assert SETTLED == min(k for k in steps if (mean[mean.index >= k] <= limit).all()), (
    "for each step and seed, take the highest error on the line minus the mean of the "
    "two ends; then the mean over the seeds; then the first step from which all fit"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Find the bug: an average that is worse than chance
#
# Two networks *with* BatchNorm lie in one valley, and yet the `mix` of their
# state_dicts is hardly better than chance. Write `mended(first, second, alpha,
# recompute)`. It returns the mixed state_dict with the right running statistics.
#
# - `recompute(state)` is given to you. It takes a state_dict, passes training data
#   through that network, and returns a dict with new values of the running statistics
#   alone.
# - Some entries are not floating point, such as `num_batches_tracked`. Do not mix
#   these: copy them from the first.


# %% tags=["solution:mended"]
def mended(first, second, alpha, recompute):
    ### BEGIN SOLUTION
    mixed = {
        name: (1 - alpha) * value + alpha * second[name]
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }
    return mixed | recompute(mixed)
    ### END SOLUTION


# %% tags=["check:mended:2"]
left = {"w": torch.tensor([1.0]), "running_mean": torch.tensor([4.0])}
left["num_batches_tracked"] = torch.tensor(7)
right = {"w": torch.tensor([3.0]), "running_mean": torch.tensor([8.0])}
right["num_batches_tracked"] = torch.tensor(9)
seen = []


def recompute(state):
    seen.append(float(state["w"][0]))
    return {"running_mean": torch.tensor([100.0]) * state["w"]}


middle = mended(dict(left), dict(right), 0.5, recompute)
assert abs(float(middle["w"][0]) - 2) < 1e-6, "weights must be mixed as before"
assert middle["num_batches_tracked"] == 7, "counts must be copied from the first"
assert seen, "call recompute: nothing else knows the statistics of the mixed network"
### BEGIN HIDDEN TESTS
assert abs(seen[-1] - 2) < 1e-6, (
    "call recompute on the *mixed* network, not on one of the ends"
)
assert abs(float(middle["running_mean"][0]) - 200) < 1e-3, (
    "the running statistics must be the recomputed ones, not the mixed ones"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Rewind to step k
#
# The next cell draws a step for you. Find a ticket of `model` on `dataset` with
# `recipe`, with one level, that goes back to this step: one call of
# `lthlab.find_ticket`, with `seed=0`. Put what it returns into `TICKET`.


# %%
model = build_model("mlp-20", dataset, seed=0)
recipe = replace(lthlab.recipe_for("mlp-20", dataset), duration="20it")
STEP = draw("step", [4, 8, 12, 16])
print(f"rewind to step {STEP} of {recipe.steps(dataset)}")

# %% tags=["solution:rewound"]
### BEGIN SOLUTION
TICKET = lthlab.find_ticket(model, dataset, recipe, levels=1, rewind_to=STEP, seed=0)
### END SOLUTION

# %% tags=["check:rewound:2"]
step = draw("step", [4, 8, 12, 16])
assert hasattr(TICKET, "start"), "keep all that find_ticket returns, not a part of it"
assert TICKET.start.step != 0, "this ticket goes back to the first values: say where to"
assert len(TICKET.levels) == 2, "one level: the dense network, and one pruning"
### BEGIN HIDDEN TESTS
assert TICKET.start.step == step, "it goes back to another step than yours"
copied = copy.deepcopy(build_model("mlp-20", dataset, seed=0))
options = {"seed": 0, "states": [step], "evaluate_every": 0}
there = lthlab.train(copied, dataset, recipe, **options).states[step].model
assert all(torch.allclose(TICKET.start.model[n], there[n], atol=1e-4) for n in there), (
    "the values must be those that `model` had at that step, trained with seed 0"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. When rewinding to zero is enough
#
# On the network of notebook 03 rewinding to the very first values finds good tickets.
# On the network of notebook 05 it does not. What does that prove about the first values
# of this network, and what does it not prove? Now take a network of your own. How would
# you decide, *without searching for a ticket*, whether you need to rewind to a later
# step, and to which? What could make your prediction wrong? Seven sentences at most.

# %% [markdown] tags=["explain:settles:5"]
# ### BEGIN SOLUTION
# For the weights that IMP keeps, the first values are not good enough. It is not proved
# that no other part of the network would win from them: IMP proposes one part only. To
# decide, I train two copies from the first values in different orders and measure the
# barrier on the line between their ends (for several seeds); then the same from steps k
# > 0. If there is (almost) no barrier from 0 on, I expect rewinding to 0 to do; else I
# take the smallest k from which the barrier is gone. It can be wrong: the dense network
# may be stable while the sparse one is not (measure the ticket, too); on the notebook's
# network tickets got better before the barrier was gone; an average of BatchNorm
# statistics can fake a barrier.
#
# **Rubric.** 1 point: what is proved is about the weights that IMP keeps, not about
# every part of the network. 1 point: two copies, different orders, same start. 1 point:
# the barrier on the line. 1 point: the smallest stable step becomes k. 1 point: one
# real way in which it can fail.
# ### END SOLUTION
