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


# %% tags=["wrong:gradient"] says="one entry per prunable layer"
def gradient_score(model, batch, *, seed=0):
    names, parameters = zip(*model.named_parameters())
    gradients = torch.autograd.grad(F.cross_entropy(model(batch[0]), batch[1]), parameters)
    return {name: g.abs() for name, g in zip(names, gradients)}


# %% tags=["wrong:gradient"] says="absolute values"
def gradient_score(model, batch, *, seed=0):
    weights = prunable_weights(model)
    loss = F.cross_entropy(model(batch[0]), batch[1])
    return dict(zip(weights, torch.autograd.grad(loss, list(weights.values()))))


# %% tags=["wrong:gradient"] says="is it the loss's gradient, alone?"
def gradient_score(model, batch, *, seed=0):
    return lthlab.snip(model, batch)


# %% tags=["wrong:gradient"] says="is it the loss's gradient, alone?"
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


# %% tags=["right:collapse"]
COLLAPSE = 1 / (SIZES[-1] * SIZES[-2])

# %% tags=["right:collapse"]
counts = [SIZES[i] * SIZES[i + 1] for i in range(len(SIZES) - 1)]
COLLAPSE = max(1 / count for count in counts)

# %% tags=["right:collapse"]
layers = torch.tensor([float(a * b) for a, b in zip(SIZES, SIZES[1:])])
COLLAPSE = layers.min().reciprocal()

# %% tags=["wrong:collapse"] says="between 0 and 1"
COLLAPSE = min(a * b for a, b in zip(SIZES, SIZES[1:]))

# %% tags=["wrong:collapse"] says="the smallest layer is one" hidden=true
COLLAPSE = 1 / sum(a * b for a, b in zip(SIZES, SIZES[1:]))

# %% tags=["wrong:collapse"] says="the smallest layer is one" hidden=true
COLLAPSE = 1 / SIZES[-1]
