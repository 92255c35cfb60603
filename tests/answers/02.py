# %% tags=["right:largest"]
def mask_of_largest(weight, keep):
    limit = weight.abs().flatten().sort(descending=True).values[keep - 1]
    return weight.abs() >= limit


# %% tags=["right:largest"]
def mask_of_largest(weight, keep):
    mask = torch.zeros_like(weight, dtype=torch.bool)
    order = (weight**2).flatten().argsort(descending=True)[:keep]
    for place in order.tolist():
        mask[place // weight.shape[1], place % weight.shape[1]] = True
    return mask


# %% tags=["right:largest"]
def mask_of_largest(weight, keep):
    import numpy as np

    sizes = np.abs(weight.numpy())
    mask = np.zeros(sizes.size, dtype=bool)
    mask[np.argsort(sizes, axis=None)[sizes.size - keep :]] = True
    return torch.from_numpy(mask.reshape(sizes.shape))


# %% tags=["wrong:largest"] says="the shape of the weights"
def mask_of_largest(weight, keep):
    sizes = weight.abs().flatten()
    return sizes >= sizes.topk(keep).values[-1]


# %% tags=["wrong:largest"] says="a bool tensor"
def mask_of_largest(weight, keep):
    return (weight.abs() >= weight.abs().flatten().topk(keep).values[-1]).float()


# %% tags=["wrong:largest"] says="exactly as many"
def mask_of_largest(weight, keep):
    return weight.abs() > weight.abs().flatten().topk(keep).values[-1]


# %% tags=["wrong:largest"] says="look at absolute values"
def mask_of_largest(weight, keep):
    return weight >= weight.flatten().topk(keep).values[-1]


# %% tags=["wrong:largest"] says="0.5 comes next"
def mask_of_largest(weight, keep):
    return weight <= weight.flatten().topk(keep, largest=False).values[-1]


# %% tags=["wrong:largest"] says="wherever they sit" hidden=true
def mask_of_largest(weight, keep):
    each = keep // len(weight)
    mask = torch.zeros_like(weight, dtype=torch.bool)
    return mask.scatter(1, weight.abs().topk(each, dim=1).indices, True)


# %% tags=["right:witness"]
def witness():
    mask = torch.tensor([[True, False], [False, True]])
    return torch.eye(2), torch.full((2, 2), 3.0), torch.ones(2, 2), mask


# %% tags=["right:witness"]
def witness():
    zero = torch.zeros(1)
    return zero, torch.tensor([-2.0]), zero.clone(), torch.tensor([False])


# %% tags=["right:witness"]
def witness():
    generator = torch.Generator().manual_seed(0)
    w, velocity, gradient = torch.randn(3, 10, generator=generator)
    mask = w > 0
    return w * mask, velocity, gradient, mask


# %% tags=["wrong:witness"] says="of one shape"
def witness():
    return torch.zeros(2), torch.zeros(1), torch.ones(2), torch.tensor([True, False])


# %% tags=["wrong:witness"] says="and prune something"
def witness():
    return torch.zeros(2), torch.ones(2), torch.ones(2), torch.tensor([True, True])


# %% tags=["wrong:witness"] says="w must be 0 before the step"
def witness():
    return torch.ones(2), torch.ones(2), torch.ones(2), torch.tensor([True, False])


# %% tags=["wrong:witness"] says="left over from before" hidden=true
def witness():
    w, mask = torch.tensor([0.0, 1.0]), torch.tensor([False, True])
    return w, torch.zeros(2), torch.ones(2), mask


# %% tags=["right:momentum"]
def mended_step(w, velocity, gradient, mask, lr, momentum):
    velocity = momentum * velocity + gradient
    w = w - lr * velocity
    w[~mask] = 0
    return w, velocity


# %% tags=["right:momentum"]
def mended_step(w, velocity, gradient, mask, lr, momentum):
    velocity.mul_(momentum).add_(gradient)
    w.sub_(lr * velocity).mul_(mask)
    return w, velocity


# %% tags=["right:momentum"]
def mended_step(w, velocity, gradient, mask, lr, momentum):
    velocity = torch.where(mask, momentum * velocity + gradient, 0.0)
    return torch.where(mask, w - lr * velocity, 0.0), velocity


# %% tags=["wrong:momentum"] says="the velocity it had"
def mended_step(w, velocity, gradient, mask, lr, momentum):
    velocity = momentum * velocity + gradient * mask
    return w - lr * velocity, velocity


# %% tags=["wrong:momentum"] says="a kept weight moves as before"
def mended_step(w, velocity, gradient, mask, lr, momentum):
    velocity = torch.zeros_like(velocity)
    return (w - lr * gradient) * mask, velocity


# %% tags=["wrong:momentum"] says="return the new velocity" hidden=true
def mended_step(w, velocity, gradient, mask, lr, momentum):
    return (w - lr * (momentum * velocity + gradient)) * mask, velocity


# %% tags=["right:scope"]
weights = torch.tensor(first + second).abs()
GLOBAL = int((weights.argsort(descending=True)[:4] < 4).sum())
LAYER = 4 // 2

# %% tags=["right:scope"]
together = sorted([(abs(w), 0) for w in first] + [(abs(w), 1) for w in second])
LAYER, GLOBAL = 2, sum(layer == 0 for _, layer in together[-4:])

# %% tags=["right:scope"]
masks = prune(
    {"a": torch.tensor(first).abs(), "b": torch.tensor(second).abs()},
    {"a": torch.ones(4) > 0, "b": torch.ones(4) > 0},
    0.5,
    scope="global",
)
LAYER, GLOBAL = 2, int(masks["a"].sum())

# %% tags=["wrong:scope"] says="two whole numbers"
LAYER, GLOBAL = 0.5, 0.5

# %% tags=["wrong:scope"] says="half of its own four" hidden=true
LAYER = GLOBAL = sum(abs(w) in sorted(map(abs, first + second))[4:] for w in first)
LAYER = 4

# %% tags=["wrong:scope"] says="sort the eight by size" hidden=true
LAYER = 2
GLOBAL = 4 - sum(abs(w) in sorted(map(abs, first + second))[4:] for w in first)
GLOBAL = GLOBAL if GLOBAL != 2 else 3


# %% tags=["right:interval"]
MAY_SAY = {1.2: "ab", 0.6: "ac", -0.9: "b", -0.3: "c"}[MEAN]

# %% tags=["right:interval"]
MAY_SAY = ["b"] if LOW * HIGH > 0 else ["c"]
if MEAN > 0:
    MAY_SAY.append("a")

# %% tags=["right:interval"]
MAY_SAY = ", ".join(
    letter
    for letter, may in {"a": MEAN > 0, "b": LOW > 0 or HIGH < 0, "c": LOW <= 0 <= HIGH}.items()
    if may
)

# %% tags=["wrong:interval"] says="from a to e"
MAY_SAY = "yes"

# %% tags=["wrong:interval"] says="not about single seeds" hidden=true
MAY_SAY = "a" * (MEAN > 0) + ("c" if LOW < 0 < HIGH else "b") + "e"

# %% tags=["wrong:interval"] says="no difference at all" hidden=true
MAY_SAY = "a" * (MEAN > 0) + ("d" if LOW < 0 < HIGH else "bd")

# %% tags=["wrong:interval"] says="is it above zero" hidden=true
MAY_SAY = "a" * (MEAN <= 0) + ("c" if LOW < 0 < HIGH else "b")

# %% tags=["wrong:interval"] says="on either side" hidden=true
MAY_SAY = "a" * (MEAN > 0) + ("b" if LOW < 0 < HIGH else "c")

# %% tags=["wrong:interval"] says="zero lies inside the interval" hidden=true
MAY_SAY = "a" * (MEAN > 0) + "b" * (LOW > 0)
