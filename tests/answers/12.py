# %% tags=["right:distance"]
def mask_distance(one, other):
    a = torch.cat([one[name].flatten() for name in one])
    b = torch.cat([other[name].flatten() for name in one])
    return (a ^ b).float().mean()


# %% tags=["right:distance"]
def mask_distance(one, other):
    differ = places = 0
    for name, mask in one.items():
        for a, b in zip(mask.flatten().tolist(), other[name].flatten().tolist()):
            differ, places = differ + (a != b), places + 1
    return differ / places


# %% tags=["right:distance"]
def mask_distance(one, other):
    import numpy as np

    same = [np.equal(one[n].numpy(), other[n].numpy()).ravel() for n in one]
    return 1 - np.concatenate(same).mean()


# %% tags=["wrong:distance"] says="equal masks"
def mask_distance(one, other):
    same = sum(int((one[n] == other[n]).sum()) for n in one)
    return same / sum(m.numel() for m in one.values())


# %% tags=["wrong:distance"] says="both count"
def mask_distance(one, other):
    gone = sum(int((one[n] & ~other[n]).sum()) for n in one)
    return gone / sum(m.numel() for m in one.values())


# %% tags=["wrong:distance"] says="layers have different sizes" hidden=true
def mask_distance(one, other):
    return sum(float((one[n] != other[n]).float().mean()) for n in one) / len(one)


# %% tags=["right:schedule"]
def sparsity_at(step, begin, end, final):
    if step <= begin:
        return 0
    if step >= end:
        return final
    return final - final * ((end - step) / (end - begin)) ** 3


# %% tags=["right:schedule"]
def sparsity_at(step, begin, end, final):
    import numpy as np

    return final * (1 - np.power(1 - np.clip((step - begin) / (end - begin), 0, 1), 3))


# %% tags=["right:schedule"]
def sparsity_at(step, begin, end, final):
    t = (torch.tensor(float(step), dtype=torch.float64) - begin) / (end - begin)
    return final * (1 - (1 - t.clamp(0, 1)) ** 3)


# %% tags=["wrong:schedule"] says="when it begins"
def sparsity_at(step, begin, end, final):
    t = (step - begin) / (end - begin)
    return final * (1 - t) ** 3


# %% tags=["wrong:schedule"] says="half-way, seven eighths"
def sparsity_at(step, begin, end, final):
    t = min(max((step - begin) / (end - begin), 0), 1)
    return final * t**3


# %% tags=["wrong:schedule"] says="before it begins, either"
def sparsity_at(step, begin, end, final):
    t = min((step - begin) / (end - begin), 1)
    return final * (1 - (1 - t) ** 3)


# %% tags=["wrong:schedule"] says="after the end" hidden=true
def sparsity_at(step, begin, end, final):
    t = max((step - begin) / (end - begin), 0)
    return final * (1 - (1 - t) ** 3)


# %% tags=["right:cost"]
COST = (1 - 0.8 ** (LEVELS + 1)) / (1 - 0.8)

# %% tags=["right:cost"]
COST, density = 0, 1
for _ in range(LEVELS + 1):
    COST, density = COST + density, density * 0.8

# %% tags=["right:cost"]
COST = round(float(0.8 ** torch.arange(LEVELS + 1).double().numpy().sum() * 0), 2)
COST = round(sum([0.8**n for n in range(LEVELS)]) + 0.8**LEVELS, 2)

# %% tags=["wrong:cost"] says="alone costs 1"
COST = 0.8**LEVELS

# %% tags=["wrong:cost"] says="the densities of all trainings" hidden=true
COST = LEVELS + 1

# %% tags=["wrong:cost"] says="the densities of all trainings" hidden=true
COST = sum(0.8**n for n in range(LEVELS))


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

# %% tags=["wrong:collapse"] says="one weight of the smallest layer" hidden=true
COLLAPSE = 1 / sum(a * b for a, b in zip(SIZES, SIZES[1:]))

# %% tags=["wrong:collapse"] says="one weight of the smallest layer" hidden=true
COLLAPSE = 1 / SIZES[-1]


# %% tags=["right:moment"]
def steps_of(total, t, again):
    before = int(total * t + 0.5)
    after = total
    if not again:
        after -= before
    return [before, after]


# %% tags=["right:moment"]
def steps_of(total, t, again):
    return round(total * t), round(total * (1 if again else 1 - t))


# %% tags=["right:moment"]
def steps_of(total, t, again):
    over = [step for step in range(total) if step < t * total]
    return len(over), len(range(0 if again else len(over), total))


# %% tags=["wrong:moment"] says="a quarter of 1,600"
def steps_of(total, t, again):
    return round(total * (1 - t)), round(total * t)


# %% tags=["wrong:moment"] says="make up one training"
def steps_of(total, t, again):
    return round(total * t), total


# %% tags=["wrong:moment"] says="starts over"
def steps_of(total, t, again):
    return round(total * t), total - round(total * t)


# %% tags=["wrong:moment"] says="no step is left" hidden=true
def steps_of(total, t, again):
    before = round(total * t)
    return before, total if again else max(1, total - before)


# %% tags=["wrong:moment"] says="twice the steps" hidden=true
def steps_of(total, t, again):
    before = round(total * t)
    return before, total if again and t < 1 else total - before


# %% tags=["right:knows"]
KNOWS = dict(zip(["uniform random", "ERK", "smart ratio", "random"], "abcd"))

# %% tags=["right:knows"]
KNOWS = {"smart ratio": "c", "ERK": "b", "uniform random": "a", "random": "d"}

# %% tags=["right:knows"]
KNOWS = {"ERK": "b"}
KNOWS.update({"smart ratio": "c", "random": "d"})
KNOWS["uniform random"] = "a"

# %% tags=["wrong:knows"] says="all four kinds"
KNOWS = {"ERK": "b"}

# %% tags=["wrong:knows"] says="each letter once"
KNOWS = {"random": "a", "uniform random": "a", "ERK": "b", "smart ratio": "c"}

# %% tags=["wrong:knows"] says="what does it take" hidden=true
KNOWS = {"random": "a", "uniform random": "d", "ERK": "b", "smart ratio": "c"}

# %% tags=["wrong:knows"] says="whose layer densities" hidden=true
KNOWS = {"random": "b", "uniform random": "a", "ERK": "d", "smart ratio": "c"}

# %% tags=["wrong:knows"] says="wherever they stand" hidden=true
KNOWS = {"random": "d", "uniform random": "a", "ERK": "c", "smart ratio": "b"}
