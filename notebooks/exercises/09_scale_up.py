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
assert search_cost(0, 0.2, sparse=True) == 1, "no pruning: one dense training"
assert search_cost(2, 0.5, sparse=False) == 3, (
    "before, between and after two prunings: three trainings"
)
assert search_cost(2, 0.5, sparse=True) == 1.75, "1 + 1/2 + 1/4"
### BEGIN HIDDEN TESTS
assert abs(search_cost(200, 0.2, sparse=True) - 5) < 1e-9
assert search_cost(20, 0.2, sparse=False) == 21
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Days
#
# Write `days(flops_per_step, steps, trainings, rate)`: how many days `trainings` trainings of `steps` steps take on a machine that achieves `rate` FLOPs
# per second.


# %% tags=["solution:days"]
def days(flops_per_step, steps, trainings, rate):
    ### BEGIN SOLUTION
    return flops_per_step * steps * trainings / rate / 86_400
    ### END SOLUTION


# %% tags=["check:days:1"]
assert days(1e9, 86_400, 1, 1e9) == 1, (
    "one step per second, for as many seconds as a day has"
)
assert days(2e9, 86_400, 3, 1e9) == 6, "twice the work per step, three trainings"
### BEGIN HIDDEN TESTS
assert abs(days(1e12, 1000, 10, 4e14) - 1e16 / 4e14 / 86_400) < 1e-12
### END HIDDEN TESTS

# %% [markdown]
# ## 3. What a crash costs
#
# `finished` is the set of trainings whose files are written, `running` says which training each worker is in the middle of, for example
# `{"a": 7, "b": 9}`. Write `to_do(all_of_them, finished, running, killed)`: the set of trainings that nobody has done and nobody is working on after the
# workers in the set `killed` died.


# %% tags=["solution:crash"]
def to_do(all_of_them, finished, running, killed):
    ### BEGIN SOLUTION
    alive = {training for worker, training in running.items() if worker not in killed}
    return set(all_of_them) - set(finished) - alive
    ### END SOLUTION


# %% tags=["check:crash:2"]
assert to_do(range(5), {0, 1}, {"a": 2, "b": 3}, {"a"}) == {2, 4}, (
    "4 had not begun, 2 was lost; 3 is being worked on"
)
assert to_do(range(3), {0, 1, 2}, {}, {"a"}) == set(), "what is finished is never lost"
### BEGIN HIDDEN TESTS
assert to_do(range(4), {0}, {"a": 1, "b": 2}, {"a", "b"}) == {1, 2, 3}
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
crow, col = torch.tensor([0, 2, 2, 3]), torch.tensor([0, 3, 1])
values = torch.tensor([5.0, 6.0, 7.0])
expected = torch.tensor([[5.0, 0, 0, 6], [0, 0, 0, 0], [0, 7, 0, 0]])
found = to_dense(crow, col, values, (3, 4))
assert found.shape == (3, 4), "as many rows and columns as the shape says"
assert torch.equal(found[0], expected[0]), (
    "row 0 holds the values 0 and 1, in the columns 0 and 3"
)
assert torch.equal(found, expected), (
    "row 1 is empty: its values begin and end at the same place"
)
### BEGIN HIDDEN TESTS
torch.manual_seed(0)
matrix = torch.randn(20, 30) * (torch.rand(20, 30) < 0.1)
csr = matrix.to_sparse_csr()
parts = csr.crow_indices(), csr.col_indices(), csr.values()
assert torch.equal(to_dense(*parts, (20, 30)), matrix)
### END HIDDEN TESTS
