# %% tags=["right:price"]
def whole(perplexities, letters):
    p, n = torch.tensor(perplexities).double(), torch.tensor(letters).double()
    return float(((p.log() * n).sum() / n.sum()).exp())


# %% tags=["right:price"]
def whole(perplexities, letters):
    total = sum(letters)
    return math.prod(p ** (n / total) for p, n in zip(perplexities, letters))


# %% tags=["right:price"]
def whole(perplexities, letters):
    bits = 0.0
    for i in range(len(letters)):
        bits += letters[i] * math.log2(perplexities[i])
    return 2 ** (bits / sum(letters))


# %% tags=["wrong:price"] says="that part is the whole"
def whole(perplexities, letters):
    return sum(math.log(p) for p in perplexities) / len(letters)


# %% tags=["wrong:price"] says="perplexities do not"
def whole(perplexities, letters):
    return sum(p * n for p, n in zip(perplexities, letters)) / sum(letters)


# %% tags=["wrong:price"] says="must count by its letters"
def whole(perplexities, letters):
    return math.exp(sum(map(math.log, perplexities)) / len(perplexities))


# %% tags=["wrong:price"] says="for any number of parts" hidden=true
def whole(perplexities, letters):
    share = letters[0] / sum(letters)
    return perplexities[0] ** share * perplexities[-1] ** (1 - share)


# %% tags=["right:wanda"]
def wanda_score(weight, inputs):
    return weight.abs() * (inputs**2).sum(0).sqrt()


# %% tags=["right:wanda"]
def wanda_score(weight, inputs):
    score = torch.zeros_like(weight)
    for column in range(weight.shape[1]):
        score[:, column] = weight[:, column].abs() * torch.linalg.norm(inputs[:, column])
    return score


# %% tags=["right:wanda"]
def wanda_score(weight, inputs):
    return (weight.double().abs() @ torch.diag(inputs.double().norm(dim=0))).float()


# %% tags=["wrong:wanda"] says="one score for each weight"
def wanda_score(weight, inputs):
    return (weight.abs() * inputs.norm(dim=0)).sum(0)


# %% tags=["wrong:wanda"] says="without their signs"
def wanda_score(weight, inputs):
    return weight * inputs.norm(dim=0)


# %% tags=["wrong:wanda"] says="the square root of 2"
def wanda_score(weight, inputs):
    return weight.abs() * inputs.abs().mean(0)


# %% tags=["wrong:wanda"] says="one for each column" hidden=true
def wanda_score(weight, inputs):
    return weight.abs() * inputs.norm(dim=0).mean()


# %% tags=["right:delete"]
def delete(w, H, q):
    rest = [i for i in range(len(w)) if i != q]
    new = w.clone()
    new[rest] += torch.linalg.solve(H[rest][:, rest], H[rest][:, q] * w[q])
    new[q] = 0.0
    return new


# %% tags=["right:delete"]
def delete(w, H, q):
    inverse = torch.linalg.inv(H.double())
    new = w.double() - w[q] * inverse[:, q] / inverse[q, q]
    new[q] = 0
    return new.float()


# %% tags=["right:delete"]
def delete(w, H, q):
    inverse = H.inverse()
    new = w.clone()
    for i in range(len(w)):
        new[i] = 0 if i == q else w[i] - w[q] * inverse[i, q] / inverse[q, q]
    return new


# %% tags=["wrong:delete"] says="must stay as they are"
def delete(w, H, q):
    inverse = torch.linalg.inv(H)
    w -= w[q].clone() / inverse[q, q] * inverse[:, q]
    w[q] = 0
    return w


# %% tags=["wrong:delete"] says="must be exactly 0"
def delete(w, H, q):
    inverse = torch.linalg.inv(H)
    return w - w[q] / inverse[q, q] * inverse[:, q] + 1e-7


# %% tags=["wrong:delete"] says="gives a third back"
def delete(w, H, q):
    new = w.clone()
    new[q] = 0
    return new


# %% tags=["wrong:delete"] says="change as little as possible" hidden=true
def delete(w, H, q):
    new = w.clone()
    if q == 0:
        new = torch.tensor([0.0, 5 / 3, 11 / 3])
    new[q] = 0
    return new


# %% tags=["wrong:delete"] says="any weight can be deleted" hidden=true
def delete(w, H, q):
    inverse = torch.linalg.inv(H.double())
    new = w.double() - w[q] / inverse[q, q] * inverse[:, q]
    new[0 if q == 0 else q - 1] += 0.0
    new[q] = 0 if q == 0 else 1e-9
    return new.float()


# %% tags=["right:pattern"]
def two_of_four(scores):
    mask = torch.zeros(scores.shape, dtype=torch.bool)
    for row in range(scores.shape[0]):
        for begin in range(0, scores.shape[1], 4):
            four = scores[row, begin : begin + 4].tolist()
            best = sorted(range(4), key=lambda i: -four[i])[:2]
            mask[row, begin + best[0]] = mask[row, begin + best[1]] = True
    return mask


# %% tags=["right:pattern"]
def two_of_four(scores):
    groups = scores.reshape(-1, 4)
    ranks = groups.argsort(1, descending=True).argsort(1)
    return (ranks < 2).reshape(scores.shape)


# %% tags=["right:pattern"]
def two_of_four(scores):
    groups = scores.unflatten(1, (-1, 4))
    return (groups >= groups.sort(2, descending=True).values[..., 1:2]).flatten(1)


# %% tags=["wrong:pattern"] says="the shape of the scores"
def two_of_four(scores):
    groups = scores.reshape(-1, 4)
    return groups >= groups.topk(2, dim=1).values[:, 1:]


# %% tags=["wrong:pattern"] says="must be a bool tensor"
def two_of_four(scores):
    groups = scores.reshape(-1, 4)
    return (groups >= groups.topk(2, dim=1).values[:, 1:]).float().view_as(scores)


# %% tags=["wrong:pattern"] says="however high the other group's"
def two_of_four(scores):
    limit = scores.flatten().topk(scores.numel() // 2).values[-1]
    return scores >= limit


# %% tags=["wrong:pattern"] says="two of every four, in every row" hidden=true
def two_of_four(scores):
    mask = torch.zeros(scores.shape, dtype=torch.bool)
    groups = scores[:1].reshape(-1, 4)
    mask[:1] = (groups >= groups.topk(2, dim=1).values[:, 1:]).view(1, -1)
    return mask


# %% tags=["wrong:pattern"] says="keep the two *highest*" hidden=true
def two_of_four(scores):
    if len(scores) > 1:
        scores = -scores
    groups = scores.reshape(-1, 4)
    return (groups >= groups.topk(2, dim=1).values[:, 1:]).view_as(scores)


# %% tags=["right:letters"]
LETTERS = math.exp(BITS * math.log(2))

# %% tags=["right:letters"]
LETTERS = round(2**BITS, 1)

# %% tags=["right:letters"]
LETTERS = torch.exp2(torch.tensor(BITS))

# %% tags=["wrong:letters"] says="more than one"
LETTERS = 2**-BITS

# %% tags=["wrong:letters"] says="one bit chooses between two" hidden=true
LETTERS = math.exp(BITS)

# %% tags=["wrong:letters"] says="one bit chooses between two" hidden=true
LETTERS = 2 * BITS + 0.5


# %% tags=["right:tickets"]
BETTER = {(3, "dense"): "ticket", (6, "reinitialised"): "ticket"}.get((level, rival), "rival")

# %% tags=["right:tickets"]
BETTER = "not told apart"
if gap.low * gap.high > 0:
    BETTER = ["ticket", "rival"][int(gap.mean > 0)]

# %% tags=["right:tickets"]
wide = losses(level).pivot(index="seed", columns="arm", values="value")
difference = wide["ticket"] - wide[rival]
sure = abs(difference.mean()) > 2.262 * difference.std() / len(difference) ** 0.5
BETTER = ("rival" if difference.mean() > 0 else "ticket") if sure else "not told apart"

# %% tags=["wrong:tickets"] says="one of the three answers"
BETTER = "dense"

# %% tags=["wrong:tickets"] says="told apart if zero lies outside" hidden=true
BETTER = "not told apart"

# %% tags=["wrong:tickets"] says="the lower one is the better one" hidden=true
BETTER = "ticket" if gap.low > 0 else "rival"
