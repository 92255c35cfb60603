# %% tags=["right:level"]
def one_level(model, masks, recipe):
    network = copy.deepcopy(model)
    train(network, dataset, recipe, masks)
    scores = {name: w.detach().abs() for name, w in lthlab.prunable_weights(network).items()}
    return prune(scores, masks, 0.2)


# %% tags=["right:level"]
def one_level(model, masks, recipe):
    before = copy.deepcopy(model.state_dict())
    train(model, dataset, recipe, masks, evaluate_every=0)
    new = prune(magnitude(model), masks, 0.2)
    model.load_state_dict(before)
    return new


# %% tags=["right:level"]
def one_level(model, masks, recipe):
    network = build_model("mlp-20", dataset, seed=5)
    network.load_state_dict(model.state_dict())
    train(network, dataset, recipe, masks, evaluate_every=0)
    new = {}
    for name, weight in lthlab.prunable_weights(network).items():
        left = masks[name].flatten()
        sizes = weight.detach().abs().flatten().masked_fill(~left, -1)
        keep = int(left.sum()) - round(0.2 * int(left.sum()))
        new[name] = torch.zeros_like(left)
        new[name][sizes.argsort(descending=True)[:keep]] = True
        new[name] = new[name].view_as(weight)
    return new


# %% tags=["wrong:level"] says="train a copy"
def one_level(model, masks, recipe):
    train(model, dataset, recipe, masks, evaluate_every=0)
    return prune(magnitude(model), masks, 0.2)


# %% tags=["wrong:level"] says="four fifths stay"
def one_level(model, masks, recipe):
    return prune(magnitude(model), masks, 0.8)


# %% tags=["wrong:level"] says="what is gone stays gone"
def one_level(model, masks, recipe):
    fraction = 0.2 if lthlab.density(masks) == 1 else 0.36
    trained = copy.deepcopy(model)
    train(trained, dataset, recipe, masks, evaluate_every=0)
    scores = {name: -score for name, score in magnitude(trained).items()}
    keep = full_masks(model)
    return prune(scores if fraction == 0.36 else magnitude(trained), keep, fraction)


# %% tags=["wrong:level"] says="a fifth of what is *left*"
def one_level(model, masks, recipe):
    trained = copy.deepcopy(model)
    train(trained, dataset, recipe, masks, evaluate_every=0)
    return prune(magnitude(trained), masks, 0.2 / lthlab.density(masks))


# %% tags=["wrong:level"] says="of the *trained* weights" hidden=true
def one_level(model, masks, recipe):
    return prune(magnitude(model), masks, 0.2)


# %% tags=["wrong:level"] says="train with the masks" hidden=true
def one_level(model, masks, recipe):
    trained = copy.deepcopy(model)
    train(trained, dataset, recipe, evaluate_every=0)
    return prune(magnitude(trained), masks, 0.2)


# %% tags=["right:rewind"]
def rewound(model, masks):
    ticket = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in ticket.named_parameters():
            if name in masks:
                weight.mul_(masks[name])
    return ticket


# %% tags=["right:rewind"]
def rewound(model, masks):
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for name, mask in masks.items():
        state[name][~mask] = 0
    ticket = copy.deepcopy(model)
    ticket.load_state_dict(state)
    return ticket


# %% tags=["right:rewind"]
def rewound(model, masks):
    ticket = copy.deepcopy(model)
    for name, mask in masks.items():
        weight = ticket.get_parameter(name)
        weight.data = torch.where(mask, weight.data, torch.zeros(()))
    return ticket


# %% tags=["wrong:rewind"] says="exactly zero"
def rewound(model, masks):
    return copy.deepcopy(model)


# %% tags=["wrong:rewind"] says="have their first values"
def rewound(model, masks):
    return apply_masks_(build_model("mlp-20", dataset, seed=9), masks)


# %% tags=["wrong:rewind"] says="work on a copy" hidden=true
def rewound(model, masks):
    return apply_masks_(model, masks)


# %% tags=["wrong:rewind"] says="biases are not pruned" hidden=true
def rewound(model, masks):
    ticket = apply_masks_(copy.deepcopy(model), masks)
    for name, value in ticket.named_parameters():
        if name not in masks:
            torch.nn.init.ones_(value)
    return ticket


# %% tags=["right:verdict"]
VERDICT = "better" if LOW > 0 else "matches" if LOW > -1 else "worse" if HIGH < -1 else "open"

# %% tags=["right:verdict"]
VERDICT = "open"
if HIGH < -1:
    VERDICT = "worse"
if LOW > -1:
    VERDICT = "matches"
if LOW > 0:
    VERDICT = "better"

# %% tags=["right:verdict"]
VERDICT = {0.2: "matches", -0.8: "open", -2.1: "worse", 1.1: "better", -0.4: "matches"}.get(
    MEAN, "open"
)

# %% tags=["wrong:verdict"] says="one of the four words"
VERDICT = "the ticket wins"

# %% tags=["wrong:verdict"] says="the ends of the interval" hidden=true
VERDICT = {0.2: "better", -0.8: "matches", -2.1: "open", 1.1: "matches"}.get(MEAN, "worse")

# %% tags=["wrong:verdict"] says="the ends of the interval" hidden=true
VERDICT = "worse" if LOW > -1 else "matches"


# %% tags=["right:missing"]
MISSING = "train" if seen[1][2] == 1 else "prune" if seen[2][0] == 0.8 else "copy"

# %% tags=["right:missing"]
table = pd.DataFrame(seen, columns=COLUMNS)
MISSING = "copy"
if table["density"].nunique() < 3:
    MISSING = "prune"
if (table["nonzero after training"] > table["density"]).any():
    MISSING = "train"

# %% tags=["right:missing"]
MISSING = {0.57: "copy", 0.12: "prune"}[seen[1][1]]
if seen[2][1] == 0.15:
    MISSING = "train"

# %% tags=["wrong:missing"] says="one of the three words"
MISSING = "keep"

# %% tags=["wrong:missing"] says="who let them grow" hidden=true student="guest"
MISSING = "copy"

# %% tags=["wrong:missing"] says="starts from all weights" hidden=true student="bob"
MISSING = "copy"

# %% tags=["wrong:missing"] says="what did the rewinding put back" hidden=true student="ada"
MISSING = "train"


# %% tags=["right:remembered"]
def remembered(model):
    import copy

    return copy.deepcopy(model.state_dict())


# %% tags=["right:remembered"]
def remembered(model):
    import copy

    return copy.deepcopy(model).state_dict()


# %% tags=["right:remembered"]
def remembered(model):
    state = {}
    for name, value in model.state_dict().items():
        state[name] = torch.empty_like(value).copy_(value)
    return state


# %% tags=["wrong:remembered"] says="the very numbers that training changes"
def remembered(model):
    return model.state_dict()


# %% tags=["wrong:remembered"] says="the very numbers that training changes"
def remembered(model):
    return dict(model.state_dict())


# %% tags=["wrong:remembered"] says="not the parameters alone"
def remembered(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


# %% tags=["wrong:remembered"] says="possible to load it again" hidden=true
def remembered(model):
    class Frozen(dict):
        def items(self):
            return [(name, value * 0) for name, value in super().items()]

        def copy(self):
            return {name: value * 0 for name, value in super().items()}

        def __getitem__(self, name):
            return super().__getitem__(name) * 0

    return Frozen({n: v.clone() for n, v in model.state_dict().items()})
