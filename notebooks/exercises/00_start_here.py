# %% [markdown]
# # Exercises to notebook 00: a first ticket
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
from dataclasses import replace

import torch

import lthlab
from lthlab import apply_masks_, build_model, full_masks, load_dataset

torch.set_num_threads(1)

dataset = load_dataset("mnist1d")
model = build_model("mlp-20", dataset, seed=0)

# %% [markdown]
# ## 1. How dense is it?
#
# A mask is a dict. For each layer it holds a tensor of True and False. Write
# `my_density(masks)`: the share of all weights that is kept, over all layers together,
# as a number from 0 to 1.


# %% tags=["solution:density"]
def my_density(masks):
    ### BEGIN SOLUTION
    kept = sum(int(mask.sum()) for mask in masks.values())
    return kept / sum(mask.numel() for mask in masks.values())
    ### END SOLUTION


# %% tags=["check:density:2"]
half = {"a": torch.tensor([True, True, False, False]), "b": torch.tensor([True, False])}
assert abs(my_density(half) - 0.5) < 1e-6, (
    "three of six weights are kept: give 0.5, not a percentage and not a count"
)
uneven = {"a": torch.tensor([True] * 9), "b": torch.tensor([False])}
assert abs(my_density(uneven) - 0.9) < 1e-6, (
    "not the mean of the layers' densities: layers have different sizes"
)
### BEGIN HIDDEN TESTS
quarter = lthlab.prune(lthlab.magnitude(model), full_masks(model), 0.75)
assert abs(my_density(quarter) - 0.25) < 1e-6, (
    "a real network's masks are matrices: count every entry of them, not their rows"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. How many levels?
#
# In the paper, IMP removes a fifth of the *remaining* weights at each level. Write
# `levels_until(density)`: how many levels does it take until at most `density` of the
# weights is left? Do not round: count parts of weights, too.


# %% tags=["solution:levels"]
def levels_until(density):
    ### BEGIN SOLUTION
    left, levels = 1.0, 0
    while left > density + 1e-12:  # 0.8 x 0.8 is a little more than 0.64 to a computer
        left, levels = 0.8 * left, levels + 1
    return levels
    ### END SOLUTION


# %% tags=["check:levels:2"]
assert levels_until(1) == 0, "nothing has to be removed to keep everything"
assert levels_until(0.79) == 2, (
    "one level leaves four fifths, which is more than 0.79: count a second one"
)
assert levels_until(0.5) == 4, (
    "a fifth of what is *left* goes: after three levels 0.8 x 0.8 x 0.8 = 0.512 is left"
)
### BEGIN HIDDEN TESTS
assert levels_until(0.1) == 11 and levels_until(0.036) == 15, (
    "it must hold for any density, not only for those in the visible check"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Your network
#
# The next cell draws a network and a number of levels for you. Again a fifth of the
# remaining weights goes at each level. How many weights are left in the end? Work it
# out on paper or with Python, and write the number into `KEPT`. It may be off by one
# percent.

# %%
WEIGHTS = draw("weights", [2_624, 22_300, 266_200])
LEVELS = draw("levels", [3, 5, 7, 9])
print(f"{WEIGHTS:,} weights, {LEVELS} levels")

# %% tags=["solution:kept"]
### BEGIN SOLUTION
KEPT = WEIGHTS * 0.8**LEVELS
### END SOLUTION

# %% tags=["check:kept:1"]
weights = draw("weights", [2_624, 22_300, 266_200])
assert 1 < KEPT <= weights, "give the number of weights that are left, not their share"
### BEGIN HIDDEN TESTS
levels = draw("levels", [3, 5, 7, 9])
assert abs(KEPT - weights * 0.8**levels) < 0.01 * weights * 0.8**levels, (
    "each level leaves 0.8 of what was there: begin with all weights"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Find a ticket
#
# Now let the computer do it. The next cell draws a goal for you. Find a ticket of
# `model` on `dataset` that keeps at most that share of the weights, with no more levels
# than this takes. One call of `lthlab.find_ticket` is enough, as in notebook 00, with
# the `recipe` below. (Its trainings are very short. It removes a fifth in each layer
# but the last, and a tenth there.) Put what the call returns into `TICKET`.


# %%
recipe = replace(lthlab.recipe_for("mlp-20", dataset), duration="20it")
GOAL = draw("goal", [0.7, 0.5, 0.4])
print(f"keep at most {GOAL:.0%} of the weights")

# %% tags=["solution:find"]
### BEGIN SOLUTION
TICKET = lthlab.find_ticket(model, dataset, recipe, density=GOAL)
### END SOLUTION

# %% tags=["check:find:2"]
goal = draw("goal", [0.7, 0.5, 0.4])
assert hasattr(TICKET, "levels"), "keep all that find_ticket returns, not a part of it"
densities = [level.density for level in TICKET.levels]
assert densities[-1] <= goal, (
    f"this ticket keeps {densities[-1]:.0%}: ask for more levels, or use `density=`"
)
### BEGIN HIDDEN TESTS
assert densities[-2] > goal, "one level fewer is enough: look at ticket.levels"
first = build_model("mlp-20", dataset, seed=0).state_dict()
assert all(torch.equal(TICKET.start.model[n], v) for n, v in first.items()), (
    "look for the ticket of `model`, which was built with seed 0"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Find the bug: a control that controls nothing
#
# Somebody compares a ticket with a *reinitialised* control. The network of the ticket
# was built with `build_model("mlp-20", dataset, seed=seed)`. Their control does exactly
# as well as the ticket, to the last digit, whatever the seed:
#
# ```python
# def control(seed, masks):
#     return apply_masks_(build_model("mlp-20", dataset, seed=seed), masks)
# ```
#
# Write a `control(seed, masks)` that controls something: a network with the same masks,
# and with newly drawn values under them. It must work for every seed.


# %% tags=["solution:control"]
def control(seed, masks):
    ### BEGIN SOLUTION
    return apply_masks_(build_model("mlp-20", dataset, seed=1000 + seed), masks)
    ### END SOLUTION


# %% tags=["check:control:2"]
def kept_values(network, masks):
    values = dict(network.named_parameters())
    return torch.cat([values[name][mask].detach() for name, mask in masks.items()])


of_ticket = build_model("mlp-20", dataset, seed=3)
masks = lthlab.prune(lthlab.magnitude(of_ticket), full_masks(of_ticket), 0.5)
drawn = control(3, {name: mask.clone() for name, mask in masks.items()})
gone = {name: ~mask for name, mask in masks.items()}
assert (kept_values(drawn, gone) == 0).all(), (
    "the same masks as the ticket: what they prune must be exactly zero"
)
assert not (kept_values(drawn, masks) == kept_values(of_ticket, masks)).any(), (
    "the values are still the ticket's: one seed always draws the same values"
)
### BEGIN HIDDEN TESTS
for seed in (0, 1, 42, 1000, 1042):
    old, new = (
        kept_values(n, masks)
        for n in (build_model("mlp-20", dataset, seed=seed), control(seed, masks))
    )
    assert not (old == new).any(), (
        "a fixed seed may be the ticket's own: make the new seed from `seed`"
    )
    assert (new != 0).all(), "every kept weight needs a new value"
### END HIDDEN TESTS

# %% [markdown]
# ## 6. One run
#
# A friend writes: "At 10 % density my ticket had 95.1 % and the same mask with new
# values 94.9 %. So the first values matter." Do you believe it? Say which further
# experiment you ask for, what you would compute from it, and what each outcome would
# mean. Three sentences at most.

# %% [markdown] tags=["explain:one-run:3"]
# ### BEGIN SOLUTION
# I ask for the differences over several seeds (five or more), and for their interval:
# two runs of the *same* arm can differ by 0.2 points, too. If the interval lies above
# zero, the values matter here. If it includes zero, this experiment has not shown it,
# which is not the same as showing that they do not matter.
#
# **Rubric.** 1 point: more seeds (or the spread between seeds). 1 point: compares in
# pairs, or by an interval, against the size of the difference (before notebook 02,
# which teaches both, "larger than the spread between seeds" is enough). 1 point: says
# what either outcome would mean; "no difference seen" is not "no difference".
# ### END SOLUTION
