# %% [markdown]
# # Exercises to notebook 10: language models
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import math

import torch

from lthlab.post_training import wanda

EXAMPLES = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
inputs = torch.tensor(EXAMPLES)

# %% [markdown]
# ## 1. The perplexity of a whole
#
# A text consists of parts. For each you know how many letters it has and the *perplexity* of a model on it (e to the mean loss in nats per letter).
# Write `whole(perplexities, letters)`: the model's perplexity on the whole text. (It is not the mean of the perplexities. Why?)


# %% tags=["solution:price"]
def whole(perplexities, letters):
    ### BEGIN SOLUTION
    nats = sum(math.log(p) * n for p, n in zip(perplexities, letters))
    return math.exp(nats / sum(letters))
    ### END SOLUTION


# %% tags=["check:price:2"]
assert abs(whole([8.0], [100]) - 8) < 1e-4, "one part is the whole"
assert abs(whole([2.0, 8.0], [50, 50]) - 4) < 1e-4, (
    "losses add up, perplexities do not: log 2 and log 8 have the mean log 4"
)
assert abs(whole([2.0, 16.0], [75, 25]) - 2 ** (7 / 4)) < 1e-4, (
    "a part counts by its letters"
)
### BEGIN HIDDEN TESTS
assert abs(whole([1.0, 27.0, 3.0], [10, 10, 20]) - 27**0.25 * 3**0.5) < 1e-4, (
    "any number of parts"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Wanda's score
#
# Write `wanda_score(weight, inputs)` for a weight matrix (outputs, inputs) and inputs of shape (examples, inputs): the size of
# each weight times the norm of what it multiplies.


# %% tags=["solution:wanda"]
def wanda_score(weight, inputs):
    ### BEGIN SOLUTION
    return weight.abs() * inputs.norm(dim=0)
    ### END SOLUTION


# %% tags=["check:wanda:2"]
scores = wanda_score(torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor(EXAMPLES))
assert scores.shape == (1, 3), "one score for each weight"
assert (scores >= 0).all(), "sizes, not values"
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
# ## 3. One weight goes, the others make up for it
#
# Write `delete(w, H, q)`: the weights of one neuron after weight `q` went and the others moved as Optimal Brain Surgeon says
# (section 4). Weight `q` must be exactly 0. `w` itself stays as it is.


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
    "the given weights stay as they are"
)
assert new[0] == 0, "the deleted weight is exactly 0"
assert torch.allclose(new, torch.tensor([0.0, 5 / 3, 11 / 3]), atol=1e-4), (
    "the second gives a third back, the third takes two thirds"
)
### BEGIN HIDDEN TESTS
last = delete(w, H.clone(), 2)
errors = [float((v - w) @ H @ (v - w)) for v in (last, torch.tensor([1.0, 2.0, 0.0]))]
assert abs(errors[0] - 9.0) < 1e-3 and errors[0] < errors[1], (
    "the others must move so that the outputs change as little as possible"
)
assert last[2] == 0, "any weight can be deleted, and is exactly 0 then"
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Two of four
#
# Write `two_of_four(scores)`: for scores of shape (rows, columns), with a number of columns that four divides, a bool mask that
# keeps the two highest of every four neighbours in a row.


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
assert mask.shape == (1, 8), "a mask of the scores' shape"
assert mask.dtype == torch.bool, "a bool mask"
assert mask.tolist() == [[False, True, True, False, True, True, False, False]], (
    "within each group of four the two highest stay, however high the other group's are"
)
### BEGIN HIDDEN TESTS
many = torch.rand(16, 32, generator=torch.Generator().manual_seed(1))
groups, stay = many.view(-1, 4), two_of_four(many.clone()).reshape(-1, 4)
assert (stay.sum(1) == 2).all(), "two of every four, in every row"
kept = groups[stay].view(-1, 2).sum(1)
assert torch.allclose(kept, groups.topk(2).values.sum(1)), "the two *highest* of four"
### END HIDDEN TESTS

# %% [markdown]
# ## 5. From bits to letters
#
# The next cell draws for you a loss in *bits* for each letter. Among how many equally likely letters would a model hesitate that has this loss? One decimal is enough. Write it into `LETTERS`.

# %%
BITS = draw("bits", [2.0, 2.5, 2.8, 3.3])
print(f"{BITS} bits a letter")

# %% tags=["solution:letters"]
### BEGIN SOLUTION
LETTERS = 2**BITS
### END SOLUTION

# %% tags=["check:letters:1"]
assert LETTERS > 1, "a number of letters, more than one"
### BEGIN HIDDEN TESTS
assert abs(LETTERS - 2 ** draw("bits", [2.0, 2.5, 2.8, 3.3])) < 0.1, (
    "one bit chooses between two, two bits among four"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Does it carry over?
#
# In the notebook, SparseGPT at 50 % loses less than Wanda, and Wanda less than magnitude, in a model of about 150,000 parameters without retraining. Name one reason to expect the same order in a
# model of 100 billion parameters, one reason to doubt it, and the experiment of middle size that you would run. Five sentences at most.

# %% [markdown] tags=["explain:carry:3"]
# ### BEGIN SOLUTION
# For: the reason for the order (look at what a weight multiplies, repair the rest) does not depend on size, and it was published for models of billions. Against: large models have
# inputs of very unequal size, so that magnitude can lose far more, and with more weights each is less needed, so that the methods may hardly differ. I would
# prune two or three sizes of one family with the same calibration data and seeds, and look at the differences against the size.
#
# **Rubric.** 1 point: a reason for. 1 point: a reason against that has to do with size or data. 1 point: an experiment that varies size alone.
# ### END SOLUTION
