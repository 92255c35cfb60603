# %% tags=["right:weights"]
def count_weights(sizes):
    total = 0
    for i in range(len(sizes) - 1):
        total += sizes[i] * sizes[i + 1]
    return total


# %% tags=["right:weights"]
def count_weights(sizes):
    import numpy as np

    return np.dot(sizes[:-1], sizes[1:])


# %% tags=["right:weights"]
def count_weights(sizes):
    sizes = list(sizes)
    return 0 if len(sizes) < 2 else sizes[0] * sizes[1] + count_weights(sizes[1:])


# %% tags=["wrong:weights"] says="biases are not counted"
def count_weights(sizes):
    return sum((before + 1) * after for before, after in zip(sizes, sizes[1:]))


# %% tags=["wrong:weights"] says="multiply neighbouring sizes"
def count_weights(sizes):
    return sizes[0] * sizes[-1]


# %% tags=["wrong:weights"] says="for any number of layers" hidden=true
def count_weights(sizes):
    if len(sizes) == 2:
        return sizes[0] * sizes[1]
    return sizes[0] * sizes[1] + sizes[1] * sizes[2] + sizes[2] * sizes[3]


# %% tags=["right:grams"]
def grams(flops, examples, flops_per_second, watts, grams_per_kwh):
    kwh = 3 * flops * examples / flops_per_second * watts / 3.6e6
    return kwh * grams_per_kwh


# %% tags=["right:grams"]
def grams(flops, examples, flops_per_second, watts, grams_per_kwh):
    hours = (flops + 2 * flops) * examples / flops_per_second / 3600
    return hours * (watts / 1000) * grams_per_kwh


# %% tags=["right:grams"]
def grams(flops, examples, flops_per_second, watts, grams_per_kwh):
    return cost.Assumptions(watts=watts, grams_per_kwh=grams_per_kwh).co2e_grams(
        3 * flops * examples / flops_per_second
    )


# %% tags=["wrong:grams"] says="a watt-second is not a watt-hour"
def grams(flops, examples, flops_per_second, watts, grams_per_kwh):
    return 3 * flops * examples / flops_per_second * watts / 1000 * grams_per_kwh


# %% tags=["wrong:grams"] says="going backward takes"
def grams(flops, examples, flops_per_second, watts, grams_per_kwh):
    return flops * examples / flops_per_second * watts / 3.6e6 * grams_per_kwh


# %% tags=["wrong:grams"] says="3 x 1,200 seconds" hidden=true
def grams(flops, examples, flops_per_second, watts, grams_per_kwh):
    return 2 * flops * examples / flops_per_second * watts / 3.6e6 * grams_per_kwh


# %% tags=["wrong:grams"] says="the machine's watts" hidden=true
def grams(flops, examples, flops_per_second, watts, grams_per_kwh):
    return 3 * flops * examples / flops_per_second * 1000 / 3.6e6 * grams_per_kwh


# %% tags=["right:percent"]
first, *others = [a * b for a, b in zip(SIZES[:-1], SIZES[1:])]
PERCENT = round(100 * first / (first + sum(others)))

# %% tags=["right:percent"]
layers = [torch.nn.Linear(a, b) for a, b in zip(SIZES, SIZES[1:])]
counts = torch.tensor([float(layer.weight.numel()) for layer in layers])
PERCENT = counts[0] / counts.sum() * 100

# %% tags=["right:percent"]
import math

PERCENT = math.floor(
    100 * SIZES[0] * SIZES[1] / sum(math.prod(SIZES[i : i + 2]) for i in range(len(SIZES) - 1))
)

# %% tags=["wrong:percent"] says="a number of percent"
PERCENT = 0.89

# %% tags=["wrong:percent"] says="inputs times first hidden" hidden=true
PERCENT = 100 * SIZES[0] / sum(SIZES)

# %% tags=["wrong:percent"] says="inputs times first hidden" hidden=true
PERCENT = 100 / (len(SIZES) - 1)


# %% tags=["right:step"]
def train_step(model, optimizer, x, y):
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    optimizer.zero_grad()


# %% tags=["right:step"]
def train_step(model, optimizer, x, y):
    model.zero_grad()
    loss = -model(x).log_softmax(1).gather(1, y[:, None]).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


# %% tags=["right:step"]
def train_step(model, optimizer, x, y):
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(F.cross_entropy(model(x), y), parameters)
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient
    optimizer.step()


# %% tags=["wrong:step"] says="the weights have not moved"
def train_step(model, optimizer, x, y):
    loss = F.cross_entropy(model(x), y)
    optimizer.step()
    loss.backward()


# %% tags=["wrong:step"] says="the weights have not moved"
def train_step(model, optimizer, x, y):
    F.cross_entropy(model(x), y).backward()
    optimizer.zero_grad()
    optimizer.step()


# %% tags=["wrong:step"] says="and downhill"
def train_step(model, optimizer, x, y):
    optimizer.zero_grad()
    (-F.cross_entropy(model(x), y)).backward()
    optimizer.step()


# %% tags=["wrong:step"] says="forget the gradient of the batch before" hidden=true
def train_step(model, optimizer, x, y):
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
