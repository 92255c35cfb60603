# %% [markdown]
# # Exercises to notebook 10: language models
#
# Your answer goes in place of `# YOUR CODE HERE` and the line under it. Run the cell,
# then run the check below it. A check that says nothing is passed; otherwise it gives
# you a hint. An answer in words goes in place of `YOUR ANSWER HERE`.

# %%
import math
from importlib.resources import files

import pandas as pd
import torch

import lthlab
from lthlab.post_training import wanda

EXAMPLES = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
inputs = torch.tensor(EXAMPLES)

# %% [markdown]
# ## 1. The perplexity of a whole
#
# A text has several parts. For each part you know how many letters it has, and the
# *perplexity* of a model on it: e to the mean loss in nats a letter. Write
# `whole(perplexities, letters)`: the perplexity of the model on the whole text. (It is
# not the mean of the perplexities. Why not?)


# %% tags=["solution:price"]
def whole(perplexities, letters):
    ### BEGIN SOLUTION
    nats = sum(math.log(p) * n for p, n in zip(perplexities, letters))
    return math.exp(nats / sum(letters))
    ### END SOLUTION


# %% tags=["check:price:2"]
assert abs(whole([8.0], [100]) - 8) < 1e-4, "with one part, that part is the whole"
assert abs(whole([2.0, 8.0], [50, 50]) - 4) < 1e-4, (
    "losses add up, perplexities do not: log 2 and log 8 have the mean log 4"
)
assert abs(whole([2.0, 16.0], [75, 25]) - 2 ** (7 / 4)) < 1e-4, (
    "a part must count by its letters"
)
### BEGIN HIDDEN TESTS
assert abs(whole([1.0, 27.0, 3.0], [10, 10, 20]) - 27**0.25 * 3**0.5) < 1e-4, (
    "it must work for any number of parts"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. From bits to letters
#
# The next cell draws a loss for you, in *bits* a letter. A model has this loss. Among
# how many equally likely letters is it, so to speak, still choosing? Write the number
# into `LETTERS`; one decimal is enough.

# %%
BITS = draw("bits", [2.0, 2.5, 2.8, 3.3])
print(f"{BITS} bits a letter")

# %% tags=["solution:letters"]
### BEGIN SOLUTION
LETTERS = 2**BITS
### END SOLUTION

# %% tags=["check:letters:1"]
assert LETTERS > 1, "LETTERS is a number of letters, more than one"
### BEGIN HIDDEN TESTS
assert abs(LETTERS - 2 ** draw("bits", [2.0, 2.5, 2.8, 3.3])) < 0.1, (
    "one bit chooses between two, two bits among four"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Wanda's score
#
# Write `wanda_score(weight, inputs)`. `weight` has the shape (outputs, inputs), and
# `inputs` the shape (examples, inputs). The score of a weight is its size times the
# norm of what it multiplies.


# %% tags=["solution:wanda"]
def wanda_score(weight, inputs):
    ### BEGIN SOLUTION
    return weight.abs() * inputs.norm(dim=0)
    ### END SOLUTION


# %% tags=["check:wanda:2"]
scores = wanda_score(torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor(EXAMPLES))
assert scores.shape == (1, 3), "give one score for each weight"
assert (scores >= 0).all(), "take the sizes of the weights, without their signs"
assert torch.allclose(scores, math.sqrt(2) * torch.tensor([[1.0, 2.0, 3.0]])), (
    "each input here is 1 twice and 0 twice: its norm is the square root of 2"
)
### BEGIN HIDDEN TESTS
generator = torch.Generator().manual_seed(5)
layer = torch.nn.Sequential(torch.nn.Linear(6, 4, bias=False))
rows = torch.randn(9, 6, generator=generator)
theirs = wanda(layer, (rows, torch.zeros(9, dtype=torch.long)))["0.weight"]
mine = wanda_score(layer[0].weight.detach(), rows)
assert torch.allclose(mine / mine.sum(), theirs / theirs.sum(), atol=1e-5), (
    "the norm of each *input*, over the examples: one for each column of the weights"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. One weight goes, the others make up for it
#
# SparseGPT moves the weights that stay. For one neuron, Optimal Brain Surgeon says how:
# if weight $q$ goes, the weights change by
#
# $$\delta = -\frac{w_q}{[H^{-1}]_{qq}}\, H^{-1} e_q,$$
#
# where $H^{-1} e_q$ is column $q$ of the inverse of $H$ (a deep dive of notebook 10,
# behind section 3, works an example). Write `delete(w, H, q)`: the weights after that. Weight
# `q` must be exactly 0, and `w` itself stays as it is.


# %% tags=["solution:delete"]
def delete(w, H, q):
    ### BEGIN SOLUTION
    inverse = torch.linalg.inv(H)
    new = w - w[q] / inverse[q, q] * inverse[:, q]
    new[q] = 0
    return new
    ### END SOLUTION


# %% tags=["check:delete:3"]
X = torch.tensor(EXAMPLES)
H, w = X.T @ X, torch.tensor([1.0, 2.0, 3.0])
new = delete(w, H.clone(), 0)
assert torch.equal(w, torch.tensor([1.0, 2.0, 3.0])), (
    "the given weights must stay as they are"
)
assert new[0] == 0, "the deleted weight must be exactly 0"
assert torch.allclose(new, torch.tensor([0.0, 5 / 3, 11 / 3]), atol=1e-4), (
    "the second gives a third back, the third takes two thirds"
)
### BEGIN HIDDEN TESTS
last = delete(w, H.clone(), 2)
errors = [float((v - w) @ H @ (v - w)) for v in (last, torch.tensor([1.0, 2.0, 0.0]))]
assert abs(errors[0] - 9.0) < 1e-3 and errors[0] < errors[1], (
    "the others must move so that the outputs change as little as possible"
)
assert last[2] == 0, "any weight can be deleted, and is exactly 0 afterwards"
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Two of four
#
# Write `two_of_four(scores)`. `scores` has the shape (rows, columns), and the number of
# columns can be divided by four. Return a bool mask that keeps the two highest of every
# four neighbours in a row.


# %% tags=["solution:pattern"]
def two_of_four(scores):
    ### BEGIN SOLUTION
    groups = scores.reshape(-1, 4)
    mask = torch.zeros_like(groups, dtype=torch.bool)
    mask.scatter_(1, groups.topk(2, dim=1).indices, True)
    return mask.view_as(scores)
    ### END SOLUTION


# %% tags=["check:pattern:2"]
mask = two_of_four(torch.tensor([[1.0, 4.0, 3.0, 2.0, 9.0, 8.0, 7.0, 6.0]]))
assert mask.shape == (1, 8), "the mask must have the shape of the scores"
assert mask.dtype == torch.bool, "the mask must be a bool tensor"
assert mask.tolist() == [[False, True, True, False, True, True, False, False]], (
    "within each group of four the two highest stay, however high the other group's are"
)
### BEGIN HIDDEN TESTS
many = torch.rand(16, 32, generator=torch.Generator().manual_seed(1))
groups, stay = many.view(-1, 4), two_of_four(many.clone()).reshape(-1, 4)
assert (stay.sum(1) == 2).all(), "keep two of every four, in every row"
kept = groups[stay].view(-1, 2).sum(1)
assert torch.allclose(kept, groups.topk(2).values.sum(1)), (
    "keep the two *highest* of each four"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Tickets in a transformer
#
# The next cell draws a level and a rival for you. It prints the paired difference of
# the validation *losses*, ticket minus rival, from the ten seeds of notebook 10. Which
# of the two is shown to be better? Set `BETTER` to "ticket", to "rival", or to "not
# told apart".


# %%
def losses(level):
    """Validation losses at the end: dense, and all arms at one level."""
    path = files("lthlab").joinpath("assets/reference/words.csv")
    rows = pd.read_csv(path).query("split == 'validation' and metric == 'loss'")
    return rows[(rows["step"] > 0) & rows["level"].isin([0, level])]


RIVALS = [(3, "dense"), (5, "dense"), (6, "dense"), (6, "reinitialised")]
level, rival = draw("rival", RIVALS)
gap = lthlab.paired(losses(level), "ticket", rival)
print(f"{losses(level)['density'].min():.0%} of the weights, ticket minus {rival}:")
print(f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] nats a letter, n = {gap.n}")

# %% tags=["solution:tickets"]
### BEGIN SOLUTION
BETTER = "ticket" if gap.high < 0 else "rival" if gap.low > 0 else "not told apart"
### END SOLUTION

# %% tags=["check:tickets:1"]
assert BETTER in ("ticket", "rival", "not told apart"), "one of the three answers"
### BEGIN HIDDEN TESTS
number, other = draw("rival", RIVALS)
found = lthlab.paired(losses(number), "ticket", other)
assert (BETTER == "not told apart") == (found.low <= 0 <= found.high), (
    "they are told apart if zero lies outside the interval"
)
assert (BETTER == "ticket") == (found.high < 0), (
    "these are losses: the lower one is the better one"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Does it carry over?
#
# In the notebook SparseGPT loses least, and Wanda is hardly better than magnitude. In
# Llama 2 with 7 billion weights Wanda is far better than magnitude, and as good as
# SparseGPT. Give the reason for this difference that the notebook names. Give a second
# reason that would explain it as well. Then design an experiment with models of middle
# size that could tell the two apart. Five sentences at most.

# %% [markdown] tags=["explain:carry:3"]
# ### BEGIN SOLUTION
# The reason named: in models of billions of weights some inputs are far larger than the
# rest (outlier features). Wanda sees them and magnitude does not; in the small network
# all inputs are about equally large. Another: the large model was trained for far
# longer and uses more of its weights, so a badly chosen mask costs more; or its
# calibration data are longer texts. I would prune two or three sizes of one family, all
# trained on the same number of tokens, with the same calibration data and seeds. Then I
# would look at Wanda minus magnitude against the largest norm of an input, relative to
# the median: if the outliers are the reason, the two go together, and scaling the
# outliers down makes the difference vanish.
#
# **Rubric.** 1 point: inputs of very unequal size. 1 point: a second reason that has to
# do with size, training or data. 1 point: an experiment that varies one of the two and
# holds the other fixed.
# ### END SOLUTION
