# %% [markdown]
# # Exercises to notebook 07: making sparsity fast
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
import torch

# %% [markdown]
# ## 1. Bytes
#
# When does CSR take fewer bytes than the dense matrix? Dense: 4 bytes for each weight.
# CSR: 4 bytes for the value and 4 bytes for the column of each kept weight, and 4 bytes
# for each of the `rows + 1` row starts. Write `csr_pays(kept, rows, columns)`: True if
# CSR takes fewer, else False.


# %% tags=["solution:bytes"]
def csr_pays(kept, rows, columns):
    ### BEGIN SOLUTION
    return 8 * kept + 4 * (rows + 1) < 4 * rows * columns
    ### END SOLUTION


# %% tags=["check:bytes:2"]
assert csr_pays(100, 100, 100), "a hundred of ten thousand weights: surely it pays"
assert not csr_pays(9_000, 100, 100), (
    "nine tenths of the weights: surely it does not pay"
)
assert not csr_pays(300 * 784 // 2, 300, 784), (
    "half of the weights is already too many: the row starts count, too"
)
### BEGIN HIDDEN TESTS
for kept in (117_448, 117_449, 117_450):
    pattern = torch.zeros(300, 784)
    pattern.view(-1)[:kept] = 1
    sparse = pattern.to_sparse_csr()
    arrays = sparse.values(), sparse.col_indices(), sparse.crow_indices()
    stored = 4 * sum(array.numel() for array in arrays)
    assert bool(csr_pays(kept, 300, 784)) == (stored < 4 * pattern.numel()), (
        "count values, columns and row starts exactly; equal bytes do not pay"
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2. How sparse must it be?
#
# A training spends a share `s` of its time in products. Suppose that their time falls
# in proportion to the density. The rest of the time stays as it is. (This is known as
# Amdahl's law.) Write `density_for(s, speedup)`: the *highest* density at which the
# whole training runs `speedup` times as fast, or `None` if there is none.


# %% tags=["solution:amdahl"]
def density_for(s, speedup):
    ### BEGIN SOLUTION
    density = (1 / speedup - (1 - s)) / s if s else 1.0
    return density if density > 1e-12 and s else None
    ### END SOLUTION


# %% tags=["check:amdahl:3"]
assert abs(density_for(1, 4) - 0.25) < 1e-6, (
    "if everything is products, a quarter of them is four times as fast"
)
assert abs(density_for(0.8, 2) - 0.375) < 1e-6, (
    "add times, not speed-ups: 0.2 stays, so 0.8 x density must be 0.3"
)
assert density_for(0.5, 3) is None, (
    "half of the time stays, so three times as fast is impossible: return None"
)
### BEGIN HIDDEN TESTS
assert abs(density_for(0.9, 5) - 0.1 / 0.9) < 1e-6, (
    "the new time is 1 - s + s x density: solve that for the density"
)
assert density_for(0.2, 2) is None, "a small share of products cannot be sped up so far"
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Read a timing
#
# The next cell draws a measurement for you: the milliseconds of one step, dense, and
# sparse at several densities. Below which density does sparsity pay? Write the largest
# measured density at which the sparse step is faster than the dense one into `PAYS`.

# %%
TIMES = [
    (4.0, {0.5: 9.1, 0.2: 4.3, 0.1: 2.4, 0.05: 1.5, 0.01: 0.8}),
    (2.0, {0.5: 9.1, 0.2: 4.3, 0.1: 2.4, 0.05: 1.5, 0.01: 0.8}),
    (4.4, {0.5: 9.1, 0.2: 4.3, 0.1: 2.4, 0.05: 1.5, 0.01: 0.8}),
    (1.1, {0.5: 9.1, 0.2: 4.3, 0.1: 2.4, 0.05: 1.5, 0.01: 0.8}),
]
DENSE, SPARSE = draw("times", TIMES)
print(f"dense {DENSE} ms; sparse, by density: {SPARSE}")

# %% tags=["solution:pays"]
### BEGIN SOLUTION
PAYS = max(density for density, time in SPARSE.items() if time < DENSE)
### END SOLUTION

# %% tags=["check:pays:1"]
assert PAYS in (0.5, 0.2, 0.1, 0.05, 0.01), "PAYS is one of the measured densities"
### BEGIN HIDDEN TESTS
dense, sparse = draw("times", TIMES)
assert sparse[PAYS] < dense, "there the sparse step is still slower than the dense one"
assert all(sparse[d] >= dense for d in sparse if d > PAYS), (
    "it is faster at a higher density already: find the largest"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. By weights or by neurons?
#
# Each row of `trade` is one pruned and retrained network: the way it was pruned, the
# share of the weights that it keeps, its accuracy, and how many times as fast as the
# dense network it is. (These numbers are made up.) Write `best(rows, at_most,
# at_least)`: the *way* of the most accurate network that keeps at most the share
# `at_most` of the weights and is at least `at_least` times as fast, or `None` if there
# is no such network.


# %%
trade = [
    ("weights", 0.5, 0.88, 0.4),
    ("weights", 0.1, 0.87, 1.3),
    ("weights", 0.05, 0.86, 2.2),
    ("neurons", 0.5, 0.88, 1.7),
    ("neurons", 0.1, 0.84, 5.0),
    ("neurons", 0.05, 0.80, 8.0),
]


# %% tags=["solution:trade"]
def best(rows, at_most, at_least):
    ### BEGIN SOLUTION
    fit = [row for row in rows if row[1] <= at_most and row[3] >= at_least]
    return max(fit, key=lambda row: row[2])[0] if fit else None
    ### END SOLUTION


# %% tags=["check:trade:2"]
assert best(trade, 0.1, 0) == "weights", (
    "a tenth of the weights, at any speed: 0.87 is the highest accuracy"
)
assert best(trade, 1, 4) == "neurons", (
    "four times as fast, whatever it keeps: only two networks are, look at speed, too"
)
assert best(trade, 1, 10) is None, "nothing is ten times as fast: return None"
### BEGIN HIDDEN TESTS
assert best(trade, 0.1, 2.2) == "weights", (
    "both limits count, and just enough is enough"
)
other = [("x", 0.2, 0.7, 3.0), ("y", 0.2, 0.9, 3.0), ("z", 0.3, 0.95, 3.0)]
assert best(other, 0.25, 1) == "y", "it must work for any rows, in any order"
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Ten times smaller, not faster
#
# "We pruned 90 % of the weights, so inference is ten times as fast." Give two different
# reasons why this is usually wrong. Then describe a measurement, on one machine, that
# would persuade you of whatever is true. Five sentences at most.

# %% [markdown] tags=["explain:ten-times:4"]
# ### BEGIN SOLUTION
# A mask alone multiplies by zeros: the same dense products run. With a sparse format,
# indices must be read and memory is jumped about in, so that each kept weight costs
# several times what a dense one does; and whatever is not a product stays (Amdahl). I
# would time dense and sparse with the same batch, threads and inputs, warmed up, with
# many repeats that take turns, and compare medians with their spread, after checking
# that both give the same outputs.
#
# **Rubric.** 1 point each for two reasons that are different (2 points). 1 point: same
# batch, threads, machine, with repeats and warm-up. 1 point: compares the spread, or
# checks that outputs agree.
# ### END SOLUTION
