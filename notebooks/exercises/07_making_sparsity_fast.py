# %% [markdown]
# # Exercises to notebook 07: making sparsity fast
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import torch

# %% [markdown]
# ## 1. Bytes
#
# Write `csr_pays(kept, rows, columns)`: whether CSR takes fewer bytes than the dense matrix. Dense: 4 bytes per weight. CSR: 4 bytes for the value and 4 for
# the column of each kept weight, and 4 bytes for each of the `rows + 1` places where rows begin.


# %% tags=["solution:bytes"]
def csr_pays(kept, rows, columns):
    ### BEGIN SOLUTION
    return 8 * kept + 4 * (rows + 1) < 4 * rows * columns
    ### END SOLUTION


# %% tags=["check:bytes:2"]
assert csr_pays(100, 100, 100), "a hundred of ten thousand weights: surely"
assert not csr_pays(9_000, 100, 100), "nine tenths of the weights: surely not"
assert not csr_pays(300 * 784 // 2, 300, 784), (
    "half of the weights is already too many: the beginnings of the rows count, too"
)
### BEGIN HIDDEN TESTS
matrix = torch.zeros(300, 784)
matrix.view(-1)[: 784 * 140] = 1
sparse = matrix.to_sparse_csr()
arrays = sparse.values(), sparse.col_indices(), sparse.crow_indices()
stored = 4 * sum(array.numel() for array in arrays)
assert csr_pays(784 * 140, 300, 784) == (stored < 4 * matrix.numel())
### END HIDDEN TESTS

# %% [markdown]
# ## 2. The best that can be hoped for
#
# A training spends a share `s` of its time in products whose cost falls to `density`; the rest stays (Amdahl's law). Write `speedup(s, density)`.


# %% tags=["solution:amdahl"]
def speedup(s, density):
    ### BEGIN SOLUTION
    return 1 / (1 - s + s * density)
    ### END SOLUTION


# %% tags=["check:amdahl:2"]
assert speedup(1, 0.25) == 4, (
    "if everything is products, a quarter of them is four times as fast"
)
assert speedup(0, 0.01) == 1, "if nothing is, nothing is won"
assert abs(speedup(0.5, 0.5) - 4 / 3) < 1e-9, "add times, not speed-ups"
### BEGIN HIDDEN TESTS
assert abs(speedup(0.8, 0.0) - 5) < 1e-9
### END HIDDEN TESTS
