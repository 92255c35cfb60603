# %% [markdown]
# # Exercises to notebook 09: scale up
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

import joblib
import torch

from lthlab import run_experiment
from lthlab.recipes import recipe_for

torch.set_num_threads(1)

# %% [markdown]
# ## 1. The bill of a search
#
# A search prunes `times` times, and each time removes the share `rate` of what is left.
# It trains before, between and after the prunings. Write `search_cost(times, rate,
# sparse)`: what does it cost, in dense trainings? With `sparse=False` every training
# costs 1, as with masks. With `sparse=True` a training costs as much as its density
# says.


# %% tags=["solution:search"]
def search_cost(times, rate, sparse):
    ### BEGIN SOLUTION
    return sum((1 - rate) ** level if sparse else 1 for level in range(times + 1))
    ### END SOLUTION


# %% tags=["check:search:2"]
assert abs(search_cost(0, 0.2, sparse=True) - 1) < 1e-6, (
    "without pruning there is one dense training"
)
assert abs(search_cost(2, 0.5, sparse=False) - 3) < 1e-6, (
    "before, between and after two prunings: three trainings"
)
assert abs(search_cost(2, 0.5, sparse=True) - 1.75) < 1e-6, (
    "1 + 1/2 + 1/4: each training costs the density that is left when it begins"
)
### BEGIN HIDDEN TESTS
assert abs(search_cost(200, 0.2, sparse=True) - 5) < 1e-6, (
    "a rate of 0.2 leaves 0.8 of what was there, each time"
)
assert abs(search_cost(20, 0.2, sparse=False) - 21) < 1e-6, (
    "20 prunings take 21 trainings, all dense"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. What fits into a budget?
#
# You have a machine for `hours` hours. It achieves `rate` FLOPs per second. A training
# takes `steps` steps of `flops_per_step` FLOPs. Your experiment compares `arms` arms
# with `levels` trainings each, and you want at least five seeds. Write
# `seeds_within(hours, rate, flops_per_step, steps, arms, levels)`: the largest number
# of *whole* seeds that fits. If fewer than five fit, return 0: then it is better not to
# start.


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
assert seeds_within(1, 1e9, 1e9, 40, 2, 4) == 11, (
    "11.25 seeds fit: only whole ones count"
)
assert seeds_within(1, 1e9, 1e9, 90, 2, 5) == 0, (
    "four seeds are too few to start: return 0"
)
### BEGIN HIDDEN TESTS
assert seeds_within(24, 4e12, 2e9, 30_000, 3, 20) == 96, (
    "it must hold for any number of hours: here a day"
)
assert seeds_within(1, 1e9, 1e9, 72, 2, 5) == 5, "exactly five are enough"
### END HIDDEN TESTS

# %% [markdown]
# ## 3. What a crash costs
#
# Each training has a number. `all_of_them` is the set of all trainings, and `finished`
# the set of those whose files are written. `running` says which training each worker is
# in the middle of, for example `{"a": 7, "b": 9}`. Now the workers in the set `killed`
# die. Write `to_do(all_of_them, finished, running, killed)`: the set of the trainings
# that are not done, and that no living worker is working on. The given sets stay as
# they are.


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
# ## 4. Send it away, and lose nothing
#
# On a cluster the call of `run_experiment` stays the same. The line around it says
# where it runs, and its folder keeps what is finished. Write `send(where, folder,
# experiment)`. `where` stands for the cluster: a context, to be used in a `with` line,
# as `joblib.parallel_config(backend="dask")` is in the notebook. `experiment` is a dict
# of arguments for `run_experiment`. Run the experiment there, keep its files in
# `folder` itself, and return its table.


# %%
EXPERIMENT = {
    "model": "mlp-5",
    "dataset": "mnist1d",
    "recipe": replace(recipe_for("mlp-5", "mnist1d"), duration="5it"),
    "arms": ["dense", "ticket"],
    "seeds": range(2),
    "levels": 1,
    "progress": False,
}


# %% tags=["solution:send"]
def send(where, folder, experiment):
    ### BEGIN SOLUTION
    with where:
        return run_experiment(**experiment, folder=folder)
    ### END SOLUTION


# %% tags=["check:send:2"]
class Elsewhere:
    """A cluster of threads that notes which files are there when we leave it."""

    def __init__(self, folder):
        self.folder, self.config = folder, joblib.parallel_config("threading", n_jobs=1)
        self.left = None

    def __enter__(self):
        self.config.__enter__()

    def __exit__(self, *error):
        self.config.__exit__(*error)
        self.left = {
            p: p.stat().st_mtime_ns for p in self.folder.rglob("*.safetensors")
        }


here = {**EXPERIMENT, "n_jobs": 1}
folder = Path(tempfile.mkdtemp())
cluster = Elsewhere(folder)
table = send(cluster, folder, here)
assert hasattr(table, "columns"), "return the table that run_experiment returns"
assert cluster.left is not None, "use `where` in a with line"
assert any(folder.rglob("*.safetensors")), "no file in the folder: a crash loses all"
assert cluster.left, "the trainings ran after the with block: put the call inside it"
### BEGIN HIDDEN TESTS
again = Elsewhere(folder)
assert send(again, folder, here).equals(table), "the second call gives another table"
assert again.left == cluster.left, (
    "the second call trained again: it must find the files of the first in `folder`"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Read a ticket without lthlab
#
# A file holds the kept weights of a layer as compressed rows (CSR). `values` holds them
# row by row, and `col` the column of each. Those of row i begin at place `crow[i]` and
# end before place `crow[i + 1]`. Write `to_dense(crow, col, values, shape)`: the whole
# matrix, as a tensor. Do it without `torch.sparse_csr_tensor`.


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
assert found.shape == (3, 4), "it needs as many rows and columns as the shape says"
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
    "it must work for any number of values in a row"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. A plan
#
# The next cell draws a question for you. You have a graphics card for one evening.
# Write your plan *before* you run anything. Which arms do you run, with how many seeds,
# and at which densities? What do you hold fixed? What will it cost? And which interval
# would make you answer yes, no, or "not decided"? Eight sentences at most.

# %%
QUESTIONS = [
    "does a ticket of a wider LeNet still win against its reinitialised control?",
    "does a ticket found with SGD win when it is trained with Adam?",
    "is the ticket of half of the data as good as the ticket of all of it?",
]
print("Your question:", draw("question", QUESTIONS))

# %% [markdown] tags=["explain:plan:6"]
# ### BEGIN SOLUTION
# A good plan names two arms that differ in the thing asked about (and a third if the
# question is about a difference of differences), one or two densities chosen before, at
# least five seeds shared by the arms, the recipe and data held fixed, validation data
# for every choice and test data once, an estimate of the cost, and a margin: above 0
# "yes", inside [-1, 1] point "no difference that matters", otherwise "not decided".
#
# **Rubric.** 1 point each: arms differ in one thing; shared seeds, five or more;
# densities chosen beforehand; what is held fixed; an estimate of the cost; an outcome
# for each verdict, "not decided" included.
# ### END SOLUTION
