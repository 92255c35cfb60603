# %% tags=["right:gradient"]
def gradient_score(model, batch, *, seed=0):
    import copy

    network = copy.deepcopy(model)
    F.cross_entropy(network(batch[0]), batch[1]).backward()
    return {name: w.grad.abs() for name, w in prunable_weights(network).items()}


# %% tags=["right:gradient"]
def gradient_score(model, batch, seed=0):
    x, y = batch
    log_probabilities = model(x).log_softmax(1)
    loss = -log_probabilities.gather(1, y[:, None]).mean()
    scores = {}
    for name, weight in prunable_weights(model).items():
        (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
        scores[name] = gradient.pow(2).sqrt()
    return scores


# %% tags=["right:gradient"]
def gradient_score(model, batch, *, seed=0):
    x, y = batch
    model.zero_grad()
    F.cross_entropy(model(x), y).backward()
    scores = {n: p.grad.abs().double() for n, p in prunable_weights(model).items()}
    model.zero_grad()
    return {n: s.float() for n, s in reversed(scores.items())}


# %% tags=["wrong:gradient"] says="for each prunable layer"
def gradient_score(model, batch, *, seed=0):
    names, parameters = zip(*model.named_parameters())
    gradients = torch.autograd.grad(F.cross_entropy(model(batch[0]), batch[1]), parameters)
    return {name: g.abs() for name, g in zip(names, gradients)}


# %% tags=["wrong:gradient"] says="absolute values"
def gradient_score(model, batch, *, seed=0):
    weights = prunable_weights(model)
    loss = F.cross_entropy(model(batch[0]), batch[1])
    return dict(zip(weights, torch.autograd.grad(loss, list(weights.values()))))


# %% tags=["wrong:gradient"] says="is it the gradient of the loss?"
def gradient_score(model, batch, *, seed=0):
    return lthlab.snip(model, batch)


# %% tags=["wrong:gradient"] says="is it the gradient of the loss?"
def gradient_score(model, batch, *, seed=0):
    weights = prunable_weights(model)
    loss = model(batch[0]).sum()
    gradients = torch.autograd.grad(loss, list(weights.values()))
    return {name: g.abs() for name, g in zip(weights, gradients)}


# %% tags=["wrong:gradient"] says="do not add to an old gradient" hidden=true
def gradient_score(model, batch, *, seed=0):
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    return {name: w.grad.abs() for name, w in prunable_weights(model).items()}


# %% tags=["right:control"]
def control(masks, seed):
    import numpy as np

    draw = np.random.default_rng(seed)
    return {
        name: torch.tensor(draw.permutation(mask.numpy().ravel())).view(mask.shape)
        for name, mask in masks.items()
    }


# %% tags=["right:control"]
def control(masks, seed):
    generator, new = torch.Generator().manual_seed(seed), {}
    for name, mask in masks.items():
        noise = torch.rand(mask.numel(), generator=generator)
        keep = noise.argsort()[: int(mask.sum())]
        new[name] = torch.zeros(mask.numel()) > 1
        new[name][keep] = True
        new[name] = new[name].view(mask.shape)
    return new


# %% tags=["right:control"]
def control(masks, seed):
    import random

    generator, new = random.Random(seed), {}
    for name in masks:
        values = masks[name].flatten().tolist()
        generator.shuffle(values)
        new[name] = torch.tensor(values).reshape(masks[name].shape)
    return new


# %% tags=["wrong:control"] says="with the layer's shape"
def control(masks, seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        n: m.flatten()[torch.randperm(m.numel(), generator=generator)] for n, m in masks.items()
    }


# %% tags=["wrong:control"] says="how many weights each layer has"
def control(masks, seed):
    together = torch.cat([mask.flatten() for mask in masks.values()])
    generator = torch.Generator().manual_seed(seed)
    together = together[torch.randperm(len(together), generator=generator)]
    pieces = together.split([mask.numel() for mask in masks.values()])
    return {n: p.view_as(masks[n]) for n, p in zip(masks, pieces)}


# %% tags=["wrong:control"] says="which weights they are"
def control(masks, seed):
    return {name: mask.clone() for name, mask in masks.items()}


# %% tags=["wrong:control"] says="the same seed" hidden=true
def control(masks, seed):
    return {n: m.flatten()[torch.randperm(m.numel())].view_as(m) for n, m in masks.items()}


# %% tags=["wrong:control"] says="every place must have a chance" hidden=true
def control(masks, seed):
    return {n: m.flatten().flip(0).view_as(m) for n, m in masks.items()}


# %% tags=["right:early"]
EARLIEST, SAME = {"mnist1d": {12: 75, 4: 50}, "fashion-mini": {15: 35}}[case[0]][case[1]], "dcba"

# %% tags=["right:early"]
SAME = {"a", "b", "c", "d"}
EARLIEST = 100
for share in reversed(shares):
    if 100 * lthlab.paired(rows, share, 100, by="share").low < -1:
        break
    EARLIEST = share

# %% tags=["right:early"]
wide = 100 * rows.pivot(index="seed", columns="share", values="value")
low = wide.sub(wide[100], axis=0).drop(columns=100)
low = low.mean() - 2.262 * low.std() / len(low) ** 0.5
EARLIEST = shares[len(shares) - int((low[::-1] > -1).cumprod().sum())]
SAME = list("abcd")

# %% tags=["wrong:early"] says="one of the printed moments"
EARLIEST, SAME = 0.75, "abcd"

# %% tags=["wrong:early"] says="letters from a to f"
EARLIEST, SAME = 75, "all"

# %% tags=["wrong:early"] says="trained twice in all"
EARLIEST, SAME = 75, "abcde"

# %% tags=["wrong:early"] says="when it is pruned"
EARLIEST, SAME = 75, "abcdf"

# %% tags=["wrong:early"] says="which letters are missing" hidden=true
EARLIEST, SAME = 75, "bd"

# %% tags=["wrong:early"] says="still reaches below" hidden=true
EARLIEST, SAME = 10, "abcd"

# %% tags=["wrong:early"] says="an earlier moment will do" hidden=true student="ada"
EARLIEST, SAME = 75, "abcd"

# %% tags=["right:asks"]
ASKS = dict(zip(["magnitude", "SNIP", "GraSP", "SynFlow"], "abcd"))

# %% tags=["right:asks"]
ASKS = {"SynFlow": "d", "GraSP": "c", "SNIP": "b", "magnitude": "a"}

# %% tags=["right:asks"]
ASKS = {}
ASKS["SNIP"], ASKS["GraSP"] = "bc"
ASKS |= {"magnitude": "a", "SynFlow": "d"}

# %% tags=["wrong:asks"] says="all four"
ASKS = {"SNIP": "b"}

# %% tags=["wrong:asks"] says="each letter once"
ASKS = {"magnitude": "a", "SNIP": "b", "GraSP": "b", "SynFlow": "d"}

# %% tags=["wrong:asks"] says="the size of a weight" hidden=true
ASKS = {"magnitude": "d", "SNIP": "b", "GraSP": "c", "SynFlow": "a"}

# %% tags=["wrong:asks"] says="follows the signal" hidden=true
ASKS = {"magnitude": "a", "SNIP": "d", "GraSP": "c", "SynFlow": "b"}

# %% tags=["wrong:asks"] says="GraSP looks at the gradient" hidden=true
ASKS = {"magnitude": "a", "SNIP": "c", "GraSP": "b", "SynFlow": "d"}

# %% tags=["right:chance"]
BEATEN = {
    ("mnist1d", "SNIP"): ["ERK", "uniform random"],
    ("fashion-mini", "SNIP"): ["uniform random"],
    ("fashion-mini", "GraSP"): [],
}[name, method]
ERK_KNOWS = "sizes of layers"

# %% tags=["right:chance"]
BEATEN, ERK_KNOWS = set(), "sizes of layers"
for chance in ("uniform random", "ERK"):
    if lthlab.paired(at_finish(name), method, chance).low > 0:
        BEATEN.add(chance)

# %% tags=["right:chance"]
wide = at_finish(name).pivot(index="seed", columns="arm", values="value")
gaps = {chance: wide[method] - wide[chance] for chance in ("uniform random", "ERK")}
BEATEN = tuple(c for c, g in gaps.items() if g.mean() > 2.262 * g.std() / len(g) ** 0.5)
ERK_KNOWS = "sizes of layers"

# %% tags=["wrong:chance"] says="the two kinds of chance"
BEATEN, ERK_KNOWS = {"random"}, "sizes of layers"

# %% tags=["wrong:chance"] says="one of the four"
BEATEN, ERK_KNOWS = set(), "a kernel"

# %% tags=["wrong:chance"] says="whole interval lies above zero" hidden=true student="eve"
BEATEN, ERK_KNOWS = {"uniform random", "ERK"}, "sizes of layers"

# %% tags=["wrong:chance"] says="keeps more of small layers" hidden=true student="guest"
BEATEN, ERK_KNOWS = {"uniform random", "ERK"}, "nothing"
