# %% [markdown]
# # Exercises to notebook 10: language models
#
# Replace the marked lines, run the cell, then run the check under it.

# %%
import math

import torch

from lthlab.post_training import repair, wanda

inputs = torch.tensor(
    [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
)

# %% [markdown]
# ## 1. The price of a letter
#
# Write `bits_and_perplexity(nats)`: what a loss in nats is in bits, and as a perplexity, as a pair.


# %% tags=["solution:price"]
def bits_and_perplexity(nats):
    ### BEGIN SOLUTION
    return nats / math.log(2), math.exp(nats)
    ### END SOLUTION


# %% tags=["check:price:1"]
bits, perplexity = bits_and_perplexity(math.log(8))
assert abs(perplexity - 8) < 1e-6, "log 8 nats: choosing among 8 letters, all alike"
assert abs(bits - 3) < 1e-6, "among 8 letters: 3 bits"
### BEGIN HIDDEN TESTS
assert abs(bits_and_perplexity(1.0)[0] - 1.442695) < 1e-5
assert abs(bits_and_perplexity(0.0)[1] - 1) < 1e-9
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
scores = wanda_score(torch.tensor([[1.0, -2.0, 3.0]]), inputs)
assert scores.shape == (1, 3), "one score for each weight"
assert (scores >= 0).all(), "sizes, not values"
assert torch.allclose(scores, math.sqrt(2) * torch.tensor([[1.0, 2.0, 3.0]])), (
    "each input here is 1 twice and 0 twice: its norm is the square root of 2"
)
### BEGIN HIDDEN TESTS
draw = torch.Generator().manual_seed(5)
layer = torch.nn.Sequential(torch.nn.Linear(6, 4, bias=False))
rows = torch.randn(9, 6, generator=draw)
theirs = wanda(layer, (rows, torch.zeros(9, dtype=torch.long)))["0.weight"]
assert torch.allclose(wanda_score(layer[0].weight.detach(), rows), theirs, atol=1e-5)
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
H, w = inputs.T @ inputs, torch.tensor([1.0, 2.0, 3.0])
new = delete(w, H, 0)
assert torch.equal(w, torch.tensor([1.0, 2.0, 3.0])), (
    "the given weights stay as they are"
)
assert new[0] == 0, "the deleted weight is exactly 0"
assert torch.allclose(new, torch.tensor([0.0, 5 / 3, 11 / 3]), atol=1e-5), (
    "the second gives a third back, the third takes two thirds"
)
### BEGIN HIDDEN TESTS
assert torch.allclose(
    delete(w, torch.eye(3), 1), torch.tensor([1.0, 0.0, 3.0]), atol=1e-6
)
last = delete(w, H, 2)
errors = [float((v - w) @ H @ (v - w)) for v in (last, torch.tensor([1.0, 2.0, 0.0]))]
assert abs(errors[0] - 9.0) < 1e-4 and errors[0] < errors[1]
ours, _ = repair(w[None], H, 2 / 3)
assert torch.allclose(ours[0], new, atol=0.05)
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
assert mask.dtype == torch.bool and mask.shape == (1, 8), (
    "a bool mask of the scores' shape"
)
assert mask.tolist() == [[False, True, True, False, True, True, False, False]], (
    "within each group of four the two highest stay, however high the other group's are"
)
### BEGIN HIDDEN TESTS
many = torch.rand(16, 32, generator=torch.Generator().manual_seed(1))
assert (two_of_four(many).view(-1, 4).sum(1) == 2).all()
kept = many.view(-1, 4)[two_of_four(many).view(-1, 4)].view(-1, 2).sum(1)
assert torch.allclose(kept, many.view(-1, 4).topk(2).values.sum(1))
### END HIDDEN TESTS
