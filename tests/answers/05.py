# %% tags=["right:mix"]
def mix(first, second, alpha):
    return {name: torch.lerp(first[name], second[name], float(alpha)) for name in first}


# %% tags=["right:mix"]
def mix(first, second, alpha):
    import copy

    new = copy.deepcopy(first)
    for name in new:
        new[name].mul_(1 - alpha).add_(second[name], alpha=alpha)
    return new


# %% tags=["right:mix"]
def mix(first, second, alpha):
    new = {}
    for name in sorted(first):
        new[name] = first[name].double() + alpha * (second[name] - first[name]).double()
        new[name] = new[name].float()
    return new


# %% tags=["wrong:mix"] says="the first state_dict has changed"
def mix(first, second, alpha):
    for name, value in first.items():
        value.mul_(1 - alpha).add_(alpha * second[name])
    return first


# %% tags=["wrong:mix"] says="the second state_dict has changed"
def mix(first, second, alpha):
    new = {}
    for name, value in second.items():
        new[name] = value.mul_(alpha).add_((1 - alpha) * first[name])
    return new


# %% tags=["wrong:mix"] says="alpha = 0 is the first"
def mix(first, second, alpha):
    return {n: alpha * first[n] + (1 - alpha) * second[n] for n in first}


# %% tags=["wrong:mix"] says="alpha = 1 is the second"
def mix(first, second, alpha):
    return {n: first[n] + alpha * second[n] for n in first}


# %% tags=["wrong:mix"] says="one quarter of the second" hidden=true
def mix(first, second, alpha):
    return {n: (1 - alpha**2) * first[n] + alpha**2 * second[n] for n in first}


# %% tags=["right:settled"]
heights = {}
for step in sorted(lines.rewind_step.unique()):
    per_seed = []
    for seed in lines.seed.unique():
        one = lines[(lines.rewind_step == step) & (lines.seed == seed)].sort_values("alpha")
        error = list(1 - one.value)
        per_seed.append(max(error) - (error[0] + error[-1]) / 2)
    heights[step] = sum(per_seed) / len(per_seed)
SETTLED = max(heights)
for step in sorted(heights, reverse=True):
    if heights[step] > LIMIT:
        break
    SETTLED = step

# %% tags=["right:settled"]
wide = lines.pivot(index=["rewind_step", "seed"], columns="alpha", values="value")
mean = (wide[[0.0, 1.0]].mean(axis=1) - wide.min(axis=1)).groupby("rewind_step").mean()
above = mean[mean > LIMIT]
SETTLED = int(mean.index[mean.index > above.index.max()].min()) if len(above) else 0

# %% tags=["right:settled"]
import numpy as np

errors = 1 - lines.sort_values(["rewind_step", "seed", "alpha"]).value.to_numpy()
steps = np.unique(lines.rewind_step)
errors = errors.reshape(len(steps), lines.seed.nunique(), -1)
mean = (errors.max(2) - (errors[..., 0] + errors[..., -1]) / 2).mean(1)
within = np.flip(np.cumprod(np.flip(mean <= LIMIT))).astype(bool)
SETTLED = steps[within][0]

# %% tags=["wrong:settled"] says="be one of the measured steps"
SETTLED = 17

# %% tags=["wrong:settled"] says="take the highest error" hidden=true
SETTLED = 0

# %% tags=["wrong:settled"] says="take the highest error" hidden=true
SETTLED = lines.rewind_step.max()


# %% tags=["right:mended"]
def mended(first, second, alpha, recompute):
    mixed = {}
    for name in first:
        mixed[name] = first[name].clone()
        if first[name].is_floating_point():
            mixed[name] = torch.lerp(first[name], second[name], alpha)
    mixed.update(recompute(mixed))
    return mixed


# %% tags=["right:mended"]
def mended(first, second, alpha, recompute):
    mixed = dict(first)
    for name, value in second.items():
        if value.dtype.is_floating_point:
            mixed[name] = first[name] + alpha * (value - first[name])
    return {**mixed, **recompute(mixed)}


# %% tags=["right:mended"]
def mended(first, second, alpha, recompute):
    mixed = {
        name: value
        if name.endswith("num_batches_tracked")
        else (1 - alpha) * value + alpha * second[name]
        for name, value in first.items()
    }
    new = recompute(mixed)
    return {name: new.get(name, value) for name, value in mixed.items()}


# %% tags=["wrong:mended"] says="weights must be mixed"
def mended(first, second, alpha, recompute):
    return first | recompute(first)


# %% tags=["wrong:mended"] says="counts must be copied"
def mended(first, second, alpha, recompute):
    mixed = {n: (1 - alpha) * v + alpha * second[n] for n, v in first.items()}
    return mixed | recompute(mixed)


# %% tags=["wrong:mended"] says="call recompute"
def mended(first, second, alpha, recompute):
    return {
        n: (1 - alpha) * v + alpha * second[n] if v.is_floating_point() else v
        for n, v in first.items()
    }


# %% tags=["wrong:mended"] says="on the *mixed* network" hidden=true
def mended(first, second, alpha, recompute):
    mixed = {
        n: (1 - alpha) * v + alpha * second[n] if v.is_floating_point() else v
        for n, v in first.items()
    }
    return mixed | recompute(first)


# %% tags=["wrong:mended"] says="not the mixed ones" hidden=true
def mended(first, second, alpha, recompute):
    mixed = {
        n: (1 - alpha) * v + alpha * second[n] if v.is_floating_point() else v
        for n, v in first.items()
    }
    return recompute(mixed) | mixed


# %% tags=["right:rewound"]
TICKET = lthlab.find_ticket(model, dataset, recipe, levels=1, rewind_to=f"{STEP}it")

# %% tags=["right:rewound"]
where = {"rewind_to": STEP, "seed": 0, "evaluate_every": 0}
TICKET = lthlab.find_ticket(build_model("mlp-20", dataset), dataset, recipe, levels=1, **where)

# %% tags=["right:rewound"]
TICKET = lthlab.find_ticket(model, dataset, recipe, density=0.85, rewind_to=STEP, step="fast")

# %% tags=["wrong:rewound"] says="not a part of it"
TICKET = lthlab.find_ticket(model, dataset, recipe, levels=1, rewind_to=STEP).masks

# %% tags=["wrong:rewound"] says="say where to"
TICKET = lthlab.find_ticket(model, dataset, recipe, levels=1)

# %% tags=["wrong:rewound"] says="and one pruning"
TICKET = lthlab.find_ticket(model, dataset, recipe, levels=2, rewind_to=STEP)

# %% tags=["wrong:rewound"] says="another step than yours" hidden=true
TICKET = lthlab.find_ticket(model, dataset, recipe, levels=1, rewind_to=20 - STEP + 1)

# %% tags=["wrong:rewound"] says="that `model` had" hidden=true
other = build_model("mlp-20", dataset, seed=1)
TICKET = lthlab.find_ticket(other, dataset, recipe, levels=1, rewind_to=STEP)
