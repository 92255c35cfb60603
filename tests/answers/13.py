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


# %% tags=["wrong:remembered"] says="refers to the same numbers"
def remembered(model):
    return model.state_dict()


# %% tags=["wrong:remembered"] says="refers to the same numbers"
def remembered(model):
    return dict(model.state_dict())


# %% tags=["wrong:remembered"] says="running statistics, too"
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


# %% tags=["right:seeds"]
import math

SEEDS = math.ceil((2 * DEVIATION) ** 2)

# %% tags=["right:seeds"]
SEEDS = 2
while 2 * DEVIATION / SEEDS**0.5 > 1:
    SEEDS += 1

# %% tags=["right:seeds"]
SEEDS = torch.ceil(torch.tensor(4 * DEVIATION**2, dtype=torch.float64))

# %% tags=["wrong:seeds"] says="a whole number of seeds"
SEEDS = 4 * DEVIATION**2

# %% tags=["wrong:seeds"] says="square it" hidden=true
SEEDS = -(-2 * DEVIATION // 1)

# %% tags=["wrong:seeds"] says="square it" hidden=true
SEEDS = int(4 * DEVIATION**2)
