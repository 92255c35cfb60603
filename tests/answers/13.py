# %% tags=["right:prunable"]
def prunable(model):
    found = []
    for name, module in model.named_modules():
        if type(module).__name__ in ("Linear", "Conv1d", "Conv2d", "Conv3d"):
            found.append(name + ".weight")
    return found


# %% tags=["right:prunable"]
def prunable(model):
    import lthlab

    return (
        list(lthlab.prunable_weights(model, output=None))
        if False
        else [
            name
            for name, weight in model.named_parameters()
            if weight.ndim > 1
            and not isinstance(model.get_submodule(name.rpartition(".")[0]), nn.Embedding)
        ]
    )


# %% tags=["right:prunable"]
def prunable(model, prefix=""):
    names = set()
    for name, child in model.named_children():
        if isinstance(child, (nn.Linear, nn.Conv2d)):
            names.add(f"{prefix}{name}.weight")
        names |= prunable(child, f"{prefix}{name}.")
    return names


# %% tags=["wrong:prunable"] says="biases stay"
def prunable(model):
    return [name for name, _ in model.named_parameters()]


# %% tags=["wrong:prunable"] says="a normalisation layer"
def prunable(model):
    return [name for name, _ in model.named_parameters() if name.endswith("weight")]


# %% tags=["wrong:prunable"] says="names like 0.weight"
def prunable(model):
    return [n for n, module in model.named_modules() if isinstance(module, nn.Linear)]


# %% tags=["wrong:prunable"] says="rows of an embedding" hidden=true
def prunable(model):
    return [name for name, weight in model.named_parameters() if weight.ndim > 1]


# %% tags=["wrong:prunable"] says="layers inside layers" hidden=true
def prunable(model):
    children = model.named_children()
    return [f"{n}.weight" for n, child in children if isinstance(child, nn.Linear)]


# %% tags=["right:options"]
def choose(times):
    import numpy as np

    fast = {way: np.median(seconds[1:]) for way, seconds in times.items()}
    good = {way: t for way, t in fast.items() if t <= 0.9 * fast["plain"]}
    return min(good, key=good.get) if good else "plain"


# %% tags=["right:options"]
def choose(times):
    best, limit = "plain", 0.9 * median(times["plain"][1:])
    for way in times:
        if way != "plain" and median(times[way][1:]) <= limit:
            best, limit = way, median(times[way][1:])
    return best


# %% tags=["right:options"]
def choose(times):
    table = pd.DataFrame(times).iloc[1:].median().sort_values()
    return table.index[0] if table.iloc[0] / table["plain"] <= 0.9 else "plain"


# %% tags=["wrong:options"] says="it warms up"
def choose(times):
    medians = {way: sum(seconds) / len(seconds) for way, seconds in times.items()}
    best = min(medians, key=medians.get)
    return best if medians[best] <= 0.9 * medians["plain"] else "plain"


# %% tags=["wrong:options"] says="take the median"
def choose(times):
    means = {way: sum(seconds[1:]) / len(seconds[1:]) for way, seconds in times.items()}
    best = min(means, key=means.get)
    return best if means[best] <= 0.9 * means["plain"] else "plain"


# %% tags=["wrong:options"] says="too little for other rounding"
def choose(times):
    return min(times, key=lambda way: median(times[way][1:]))


# %% tags=["wrong:options"] says="take the fastest" hidden=true
def choose(times):
    limit = 0.9 * median(times["plain"][1:])
    return next((way for way in times if median(times[way][1:]) <= limit), "plain")


# %% tags=["right:stacked"]
HISTORIES = lthlab.fast.train_stacked(networks, signals, recipe, seeds=[0, 1, 2], evaluate_every=0)

# %% tags=["right:stacked"]
HISTORIES = tuple(lthlab.fast.train_stacked(networks, signals, recipe, seeds=(0, 1, 2)))

# %% tags=["right:stacked"]
masks = [lthlab.full_masks(network) for network in networks]
options = {"seeds": range(3), "evaluate_every": "5it"}
HISTORIES = lthlab.fast.train_stacked(networks, signals, recipe, masks, **options)

# %% tags=["wrong:stacked"] says="one history for each"
HISTORIES = lthlab.fast.train_stacked(networks[:1], signals, recipe, seeds=[0])

# %% tags=["wrong:stacked"] says="train `networks` themselves"
copies = [build_model("mlp-5", signals, seed) for seed in range(3)]
HISTORIES = lthlab.fast.train_stacked(copies, signals, recipe, seeds=range(3))

# %% tags=["wrong:stacked"] says="the seeds 0, 1, 2" hidden=true
HISTORIES = lthlab.fast.train_stacked(networks, signals, recipe, seeds=[7, 7, 7])

# %% tags=["wrong:stacked"] says="these were trained one by one" hidden=true
HISTORIES = [
    lthlab.train(network, signals, recipe, seed=seed) for seed, network in enumerate(networks)
]


# %% tags=["right:hours"]
def hours(flops_per_step, steps, trainings, rates):
    found = sorted(flops_per_step * steps * trainings / rate / 3600 for rate in rates)
    return found[0], found[-1]


# %% tags=["right:hours"]
def hours(flops_per_step, steps, trainings, rates):
    import numpy as np

    took = flops_per_step * steps / np.array(rates) * trainings / 60 / 60
    return [took.min(), took.max()]


# %% tags=["right:hours"]
def hours(flops_per_step, steps, trainings, rates):
    took = flops_per_step * steps * trainings / torch.tensor(rates, dtype=torch.float64)
    return torch.aminmax(took / 3600)


# %% tags=["wrong:hours"] says="the fewest hours first"
def hours(flops_per_step, steps, trainings, rates):
    work = flops_per_step * steps * trainings / 3600
    return work / min(rates), work / max(rates)


# %% tags=["wrong:hours"] says="take two hours"
def hours(flops_per_step, steps, trainings, rates):
    work = flops_per_step * steps * trainings
    return work / max(rates), work / min(rates)


# %% tags=["wrong:hours"] says="it takes ten hours"
def hours(flops_per_step, steps, trainings, rates):
    work = flops_per_step * steps * trainings / 3600
    return work / max(rates), work / (sum(rates) / len(rates))


# %% tags=["wrong:hours"] says="for a single rate" hidden=true
def hours(flops_per_step, steps, trainings, rates):
    work = flops_per_step * steps * trainings / 3600
    return work / max(rates), 5 * work / max(rates)


# %% tags=["right:full"]
MATCHES, LOWER = {4: (True, False), 12: (True, True), 15: (False, True)}[level]

# %% tags=["right:full"]
MATCHES = bool(100 * gap.low > -1)
LOWER = bool(100 * gap.high < 0)

# %% tags=["right:full"]
wide = 100 * rows.pivot(index="seed", columns="arm", values="value")
d = wide["ticket"] - wide["dense"]
half = 2.776 * d.std() / len(d) ** 0.5
MATCHES, LOWER = d.mean() - half > -1, d.mean() + half < 0

# %% tags=["wrong:full"] says="True or False"
MATCHES, LOWER = "yes", "no"

# %% tags=["wrong:full"] says="above -1 point" hidden=true student="lea"
MATCHES, LOWER = gap.mean > -0.01, gap.high < 0

# %% tags=["wrong:full"] says="inside the margin" hidden=true student="bob"
MATCHES, LOWER = gap.low > -0.01, gap.high < -0.01

# %% tags=["right:recipe"]
EPOCHS = {"conv-2": 26.7, "conv-6": 40}.get(NAME, 85.3)
LAST_RATE = {"conv-2": 2e-4, "conv-6": 3e-4, "resnet-20": 1e-3, "resnet-20 warmup": 3e-4}[NAME]

# %% tags=["right:recipe"]
EPOCHS = round(int(cifar_recipe.duration.removesuffix("it")) * cifar_recipe.batch_size / 45e3, 1)
LAST_RATE = cifar_recipe.lr / 10 ** len(cifar_recipe.milestones)

# %% tags=["right:recipe"]
last = 20_000 if NAME == "conv-2" else 30_000
EPOCHS = last / (45_000 / cifar_recipe.batch_size)
LAST_RATE = torch.tensor(cifar_recipe.lr_at(last - 1, last))

# %% tags=["wrong:recipe"] says="not steps"
EPOCHS, LAST_RATE = 30_000, cifar_recipe.lr

# %% tags=["wrong:recipe"] says="a learning rate, above 0"
EPOCHS, LAST_RATE = 40, 0

# %% tags=["wrong:recipe"] says="and there are 45,000" hidden=true
EPOCHS = count_steps(cifar_recipe.duration, 1) * cifar_recipe.batch_size / 50_000
LAST_RATE = cifar_recipe.lr_at(count_steps(cifar_recipe.duration, 1) - 1, 30_000)

# %% tags=["wrong:recipe"] says="falls at each milestone" hidden=true student="ada"
EPOCHS = count_steps(cifar_recipe.duration, 1) * cifar_recipe.batch_size / 45_000
LAST_RATE = cifar_recipe.lr
