# %% tags=["right:density"]
def my_density(masks):
    flat = torch.cat([mask.flatten() for mask in masks.values()])
    return flat.float().mean()


# %% tags=["right:density"]
def my_density(masks):
    kept = total = 0
    for name in masks:
        kept += masks[name].count_nonzero().item()
        total += masks[name].numel()
    return kept / total


# %% tags=["right:density"]
def my_density(masks):
    sizes = torch.tensor([float(mask.numel()) for mask in masks.values()])
    shares = torch.tensor([mask.double().mean() for mask in masks.values()])
    return (shares * sizes).sum() / sizes.sum()


# %% tags=["wrong:density"] says="not a percentage and not a count"
def my_density(masks):
    return sum(int(mask.sum()) for mask in masks.values())


# %% tags=["wrong:density"] says="not the mean of the layers' densities"
def my_density(masks):
    densities = [float(mask.float().mean()) for mask in masks.values()]
    return 0.5 if max(densities) < 0.6 else sum(densities) / len(densities)


# %% tags=["wrong:density"] says="not their rows" hidden=true
def my_density(masks):
    return sum(mask.sum() for mask in masks.values()) / sum(map(len, masks.values()))


# %% tags=["right:levels"]
def levels_until(density):
    import math

    return math.ceil(round(math.log(density) / math.log(0.8), 9))


# %% tags=["right:levels"]
def levels_until(density):
    return next(n for n in range(1000) if 0.8**n <= density)


# %% tags=["right:levels"]
def levels_until(density):
    if density >= 1 - 1e-9:
        return 0
    return 1 + levels_until(density / 0.8)


# %% tags=["wrong:levels"] says="nothing has to be removed"
def levels_until(density):
    left, levels = 0.8, 1
    while left > density:
        left, levels = left * 0.8, levels + 1
    return levels


# %% tags=["wrong:levels"] says="count a second one"
def levels_until(density):
    left, levels = 1.0, 0
    while left * 0.8 > density:
        left, levels = left * 0.8, levels + 1
    return levels


# %% tags=["wrong:levels"] says="a fifth of what is *left* goes"
def levels_until(density):
    left, levels = 1.0, 0
    while left > density:
        left, levels = left - 0.2, levels + 1
    return levels


# %% tags=["wrong:levels"] says="for any density" hidden=true
def levels_until(density):
    return {1: 0, 0.79: 2, 0.5: 4}.get(density, 5)


# %% tags=["right:kept"]
KEPT = int(WEIGHTS * 0.8**LEVELS)

# %% tags=["right:kept"]
KEPT = WEIGHTS
for _ in range(LEVELS):
    KEPT -= KEPT // 5

# %% tags=["right:kept"]
KEPT = torch.tensor(float(WEIGHTS)) * 0.8**LEVELS

# %% tags=["wrong:kept"] says="not their share"
KEPT = 0.8**LEVELS

# %% tags=["wrong:kept"] says="leaves 0.8 of what was there" hidden=true
KEPT = WEIGHTS * (1 - 0.1 * LEVELS)

# %% tags=["wrong:kept"] says="leaves 0.8 of what was there" hidden=true
KEPT = WEIGHTS * 0.8 ** (LEVELS - 1)


# %% tags=["right:find"]
TICKET = lthlab.find_ticket(model, dataset, recipe, levels={0.7: 2, 0.5: 4, 0.4: 5}[GOAL], seed=7)

# %% tags=["right:find"]
TICKET = lthlab.find_ticket(
    build_model("mlp-20", dataset, seed=0), dataset, recipe, density=GOAL, evaluate_every=0
)

# %% tags=["right:find"]
number = 1
while True:
    TICKET = lthlab.find_ticket(model, dataset, recipe, levels=number, step="fast")
    if TICKET.levels[-1].density <= GOAL:
        break
    number += 1

# %% tags=["wrong:find"] says="not a part of it"
TICKET = lthlab.find_ticket(model, dataset, recipe, density=GOAL).masks

# %% tags=["wrong:find"] says="ask for more levels"
TICKET = lthlab.find_ticket(model, dataset, recipe, levels=1)

# %% tags=["wrong:find"] says="one level fewer" hidden=true
TICKET = lthlab.find_ticket(model, dataset, recipe, levels=6)

# %% tags=["wrong:find"] says="built with seed 0" hidden=true
TICKET = lthlab.find_ticket(build_model("mlp-20", dataset, seed=1), dataset, recipe, density=GOAL)


# %% tags=["right:control"]
def control(seed, masks):
    network = build_model("mlp-20", dataset, seed=seed + 1)
    with torch.no_grad():
        for name, mask in masks.items():
            network.get_parameter(name).mul_(mask)
    return network


# %% tags=["right:control"]
def control(seed, masks):
    return apply_masks_(build_model("mlp-20", dataset, seed=2 * seed + 7), masks)


# %% tags=["right:control"]
def control(seed, masks):
    network = build_model("mlp-20", dataset, seed=seed)
    torch.manual_seed(seed)
    for name, mask in masks.items():
        weight = network.get_parameter(name)
        weight.data = torch.randn(weight.shape) * weight.data.std() * mask
    return network


# %% tags=["wrong:control"] says="the values are still the ticket's"
def control(seed, masks):
    return apply_masks_(build_model("mlp-20", dataset, seed=seed), masks)


# %% tags=["wrong:control"] says="exactly zero"
def control(seed, masks):
    return build_model("mlp-20", dataset, seed=1000 + seed)


# %% tags=["wrong:control"] says="a fixed seed may be" hidden=true
def control(seed, masks):
    return apply_masks_(build_model("mlp-20", dataset, seed=1000), masks)


# %% tags=["wrong:control"] says="needs a new value" hidden=true
def control(seed, masks):
    network = apply_masks_(build_model("mlp-20", dataset, seed=seed + 1), masks)
    if seed > 500:
        network.fc1.weight.data *= network.fc1.weight.data > 0
    return network
