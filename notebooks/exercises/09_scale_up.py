# %% [markdown]
# # Exercises to notebook 09: scale up
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import torch

# %% [markdown]
# ## 1. The bill of a search
#
# Iterative pruning removes a `rate` of what is left, `times` times, and trains before, between and after. Write `search_cost(times, rate, sparse)`: what that
# costs, counted in dense trainings. With `sparse=False` every training costs 1 (masks); with `sparse=True` it costs its density.


# %% tags=["solution:search"]
def search_cost(times, rate, sparse):
    ### BEGIN SOLUTION
    return sum((1 - rate) ** level if sparse else 1 for level in range(times + 1))
    ### END SOLUTION


# %% tags=["check:search:2"]
assert abs(search_cost(0, 0.2, sparse=True) - 1) < 1e-6, (
    "no pruning: one dense training"
)
assert abs(search_cost(2, 0.5, sparse=False) - 3) < 1e-6, (
    "before, between and after two prunings: three trainings"
)
assert abs(search_cost(2, 0.5, sparse=True) - 1.75) < 1e-6, (
    "1 + 1/2 + 1/4: each training costs the density that is left when it begins"
)
### BEGIN HIDDEN TESTS
assert abs(search_cost(200, 0.2, sparse=True) - 5) < 1e-6, (
    "a rate of 0.2 leaves 0.8 at each level"
)
assert abs(search_cost(20, 0.2, sparse=False) - 21) < 1e-6, "21 trainings, all dense"
### END HIDDEN TESTS

# %% [markdown]
# ## 2. What fits into a budget?
#
# You have the machine for `hours` hours. It achieves `rate` FLOPs per second; a training takes `steps` steps of `flops_per_step`. An experiment compares `arms` arms with `levels`
# trainings each, and an interval needs at least five seeds. Write `seeds_within(hours, rate, flops_per_step, steps, arms, levels)`: the largest number of *whole* seeds that fits, or 0 if fewer
# than five do: then it is better not to start.


# %% tags=["solution:seeds"]
def seeds_within(hours, rate, flops_per_step, steps, arms, levels):
    ### BEGIN SOLUTION
    one_seed = flops_per_step * steps * arms * levels / rate
    seeds = int(hours * 3600 / one_seed + 1e-9)
    return seeds if seeds >= 5 else 0
    ### END SOLUTION


# %% tags=["check:seeds:3"]
assert seeds_within(1, 1e9, 1e9, 36, 2, 5) == 10, (
    "360 seconds a seed (36 steps of one second, two arms, five levels): ten an hour"
)
assert seeds_within(1, 1e9, 1e9, 40, 2, 4) == 11, "11.25 seeds: whole ones alone count"
assert seeds_within(1, 1e9, 1e9, 90, 2, 5) == 0, (
    "four seeds give no interval worth printing: 0"
)
### BEGIN HIDDEN TESTS
assert seeds_within(24, 4e12, 2e9, 30_000, 3, 20) == 96, "a day, and a real machine"
assert seeds_within(1, 1e9, 1e9, 72, 2, 5) == 5, "exactly five are enough"
### END HIDDEN TESTS

# %% [markdown]
# ## 3. What a crash costs
#
# `finished` is the set of trainings whose files are written, `running` says which training each worker is in the middle of, for example
# `{"a": 7, "b": 9}`. Write `to_do(all_of_them, finished, running, killed)`: the set of trainings that nobody has done and nobody is working on after the
# workers in the set `killed` died. The given sets stay as they are.


# %% tags=["solution:crash"]
def to_do(all_of_them, finished, running, killed):
    ### BEGIN SOLUTION
    alive = {training for worker, training in running.items() if worker not in killed}
    return set(all_of_them) - set(finished) - alive
    ### END SOLUTION


# %% tags=["check:crash:2"]
everything, written, at_work = set(range(5)), {0, 1}, {"a": 2, "b": 3}
lost = set(to_do(everything, written, at_work, {"a"}))
assert 3 not in lost, "3 is being worked on by b, which lives"
assert lost == {2, 4}, "4 had not begun, and 2 was lost with its worker"
assert everything == set(range(5)) and written == {0, 1}, (
    "the sets that you were given have changed: make new ones"
)
### BEGIN HIDDEN TESTS
assert set(to_do(set(range(3)), {0, 1, 2}, {}, {"a"})) == set(), (
    "what is finished is never lost"
)
assert set(to_do(set(range(4)), {0}, {"a": 1, "b": 2}, {"a", "b"})) == {1, 2, 3}, (
    "all workers may die"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Read a ticket without lthlab
#
# A file holds the kept weights of a layer as compressed rows: `crow[i]` and `crow[i + 1]` say where the values of row i begin and end in `values`, and `col`
# holds the column of each. Write `to_dense(crow, col, values, shape)` without `torch.sparse_csr_tensor`.


# %% tags=["solution:dense"]
def to_dense(crow, col, values, shape):
    ### BEGIN SOLUTION
    dense = torch.zeros(shape)
    for row in range(shape[0]):
        begin, end = int(crow[row]), int(crow[row + 1])
        dense[row, col[begin:end].long()] = values[begin:end]
    return dense
    ### END SOLUTION


# %% tags=["check:dense:3"]
rows_begin, columns = torch.tensor([0, 2, 2, 3]), torch.tensor([0, 3, 1])
numbers = torch.tensor([5.0, 6.0, 7.0])
expected = torch.tensor([[5.0, 0, 0, 6], [0, 0, 0, 0], [0, 7, 0, 0]])
found = torch.as_tensor(to_dense(rows_begin, columns, numbers, (3, 4)))
assert found.shape == (3, 4), "as many rows and columns as the shape says"
assert torch.allclose(found[0].float(), expected[0]), (
    "row 0 holds the values 0 and 1, in the columns 0 and 3"
)
assert torch.allclose(found.float(), expected), (
    "row 1 is empty: its values begin and end at the same place"
)
### BEGIN HIDDEN TESTS
generator = torch.Generator().manual_seed(0)
matrix = torch.randn(20, 30, generator=generator)
matrix = matrix * (torch.rand(20, 30, generator=generator) < 0.1)
csr = matrix.to_sparse_csr()
parts = csr.crow_indices(), csr.col_indices(), csr.values()
assert torch.allclose(torch.as_tensor(to_dense(*parts, (20, 30))).float(), matrix), (
    "any matrix, with any number of values in a row"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. A plan
#
# The next cell draws a question for you. You have one evening of a graphics card. Which arms, how many seeds, which densities do you run, what do you hold fixed, and which
# interval would make you answer yes, no or "not decided"? Eight sentences at most. Write them *before* you run anything.

# %%
QUESTIONS = [
    "does a ticket of a wider LeNet still win against its reinitialised control?",
    "does a ticket found with SGD win when it is trained with Adam?",
    "is the ticket of half of the data as good as the ticket of all of it?",
]
print("Your question:", draw("question", QUESTIONS))

# %% [markdown] tags=["explain:plan:6"]
# ### BEGIN SOLUTION
# A good plan names two arms that differ in the thing asked about (and a third if the question is about a difference of differences), one or two densities chosen before, at least five
# seeds shared by the arms, the recipe and data held fixed, validation data for every choice and test data once, and a margin: above 0 "yes", inside [-1, 1] point "no difference that
# matters", otherwise "not decided".
#
# **Rubric.** 1 point each: arms differ in one thing; shared seeds, five or more; densities chosen beforehand; what is held fixed; an estimate of the cost; an outcome for each
# verdict, "not decided" included.
# ### END SOLUTION
