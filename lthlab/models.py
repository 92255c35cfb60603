"""The networks of the papers as plain modules, with the papers' sizes and initialisation."""

import copy
import re
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from lthlab._common import make_generator, unknown_name
from lthlab.data import Dataset

KNOWN = ["lenet-300-100", "mlp-H1-H2-...", "conv-2", "conv-4", "conv-6", "resnet-20", "resnet1d-WIDTH"]


def build_model(name: str, dataset: Dataset, seed: int = 0) -> nn.Module:
    """Build a network for the inputs and classes of `dataset`, on its device.

    `lenet-300-100` (266,200 weights on 28x28 images), `conv-2`, `conv-4`, `conv-6`: Frankle & Carbin
    2019, Figure 2, Glorot normal. `resnet-20`: He et al. 2016, section 4.2, He normal. `mlp-100-100`:
    any fully connected network, named by its hidden sizes. `resnet1d-4`: three residual blocks of
    width 4, 8 and 16 for mnist1d. The seed fixes the initial values and touches no other randomness.

    Raises ValueError for an unknown name or inputs of the wrong shape.
    """
    with torch.random.fork_rng(devices=[]):  # layers draw from the global generator as they are made
        model = _make(name, dataset.input_shape, len(dataset.classes))
    return initialize_(model, seed).to(dataset.device)


def _make(name: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    if mlp := re.fullmatch(r"(?:mlp|lenet(?=-\d+-))((?:-[1-9]\d*)+)", name):
        features = torch.Size(shape).numel()
        return MLP(features, [int(size) for size in mlp[1][1:].split("-")], classes)
    if name in ("conv-2", "conv-4", "conv-6"):
        return ConvNet(_images(name, shape, 8), int(name[-1]) // 2, classes)
    if resnet := re.fullmatch(r"resnet-([1-9]\d*)", name):
        depth = int(resnet[1])
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"{name}: the depth of these networks is 6n + 2, as in resnet-20; got {depth}.")
        return ResNet(_images(name, shape, 4)[0], (depth - 2) // 6, 16, classes, conv=nn.Conv2d)
    if resnet1d := re.fullmatch(r"resnet1d-([1-9]\d*)", name):
        if len(shape) != 2:
            raise ValueError(f"{name} takes signals of shape (channels, samples), as in mnist1d; got {shape}.")
        return ResNet(shape[0], 1, int(resnet1d[1]), classes, conv=nn.Conv1d)
    raise unknown_name("network", name, KNOWN)


def initialize_(model: nn.Module, seed: int) -> nn.Module:
    """Draw new initial values for every parameter, in place; works on any nn.Module.

    Every module with `reset_parameters` (PyTorch's convention) draws its own, children first. Values
    are drawn on the CPU, so every device gets the same. The global random state is left as it was.
    Raises TypeError for parameters that no `reset_parameters` covers.
    """
    on_cpu = all(p.device.type == "cpu" for p in model.parameters())
    drawn = model if on_cpu else copy.deepcopy(model).cpu()  # every device has a generator of its own
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(make_generator(seed, "initialisation").get_state())
        _reset(drawn)
    if not on_cpu:
        model.load_state_dict(drawn.state_dict())
    return model


def _reset(module: nn.Module) -> None:
    for child in module.children():  # first: a module's own reset_parameters may know better
        _reset(child)
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()
    elif isinstance(module, nn.MultiheadAttention):  # the one layer of PyTorch that hides it
        module._reset_parameters()
    elif own := [name for name, _ in module.named_parameters(recurse=False)]:
        raise TypeError(
            f"{type(module).__name__} holds parameters ({', '.join(own)}) but has no reset_parameters() "
            f"to draw new values for them. Give the class one."
        )


class MLP(nn.Sequential):
    """Fully connected layers with ReLU between them: fc1, fc2, ..., out."""

    def __init__(self, features: int, hidden: list[int], classes: int):
        layers, size = OrderedDict(flatten=nn.Flatten()), features
        for number, width in enumerate(hidden, 1):
            layers[f"fc{number}"], layers[f"relu{number}"] = nn.Linear(size, width), nn.ReLU()
            size = width
        layers["out"] = nn.Linear(size, classes)
        super().__init__(layers)

    def reset_parameters(self) -> None:
        _glorot_normal_(self)


class ConvNet(nn.Sequential):
    """Conv-2, -4, -6: pairs of 3x3 convolutions (64, 128, 256 channels), each pooled; then 256, 256, out."""

    def __init__(self, shape: tuple[int, int, int], pairs: int, classes: int):
        channels, height, width = shape
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for pair in range(pairs):
            for number in (2 * pair + 1, 2 * pair + 2):
                layers[f"conv{number}"] = nn.Conv2d(channels, 64 << pair, 3, padding=1)
                layers[f"relu{number}"] = nn.ReLU()
                channels = 64 << pair
            layers[f"pool{pair + 1}"] = nn.MaxPool2d(2)
        layers["flatten"] = nn.Flatten()
        size = channels * (height >> pairs) * (width >> pairs)
        for number, (before, after) in enumerate(((size, 256), (256, 256)), 1):
            layers[f"fc{number}"], layers[f"fc_relu{number}"] = nn.Linear(before, after), nn.ReLU()
        layers["out"] = nn.Linear(256, classes)
        super().__init__(layers)

    def reset_parameters(self) -> None:
        _glorot_normal_(self)


class ResNet(nn.Module):
    """Residual network for small inputs: three stages of `blocks` blocks, each half as long and twice as wide."""

    keep_dense = ("out", "shortcut")  # never pruned: see masks.prunable_weights

    def __init__(self, channels: int, blocks: int, width: int, classes: int, conv: type[nn.Conv1d] | type[nn.Conv2d]):
        super().__init__()
        norm = nn.BatchNorm2d if conv is nn.Conv2d else nn.BatchNorm1d
        self.conv = conv(channels, width, 3, padding=1, bias=False)
        self.norm = norm(width)
        widths = [width << stage for stage in range(3) for _ in range(blocks)]
        self.blocks = nn.Sequential(
            *(Block(before, after, conv, norm) for before, after in zip([width, *widths[:-1]], widths, strict=True))
        )
        self.out = nn.Linear(widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(F.relu(self.norm(self.conv(x))))
        return self.out(x.flatten(2).mean(2))

    def reset_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.reset_parameters()


class Block(nn.Module):
    """conv - norm - relu - conv - norm, plus the input (through a 1x1 convolution where the shape changes)."""

    def __init__(self, before: int, after: int, conv, norm):
        super().__init__()
        stride = 1 if before == after else 2
        self.conv1 = conv(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm1 = norm(after)
        self.conv2 = conv(after, after, 3, padding=1, bias=False)
        self.norm2 = norm(after)
        self.shortcut = nn.Identity()
        if stride == 2:
            shortcut = {"conv": conv(before, after, 1, stride=2, bias=False), "norm": norm(after)}
            self.shortcut = nn.Sequential(OrderedDict(shortcut))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(residual + self.shortcut(x))


def _glorot_normal_(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)


def _images(name: str, shape: tuple[int, ...], smallest: int) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise ValueError(
            f"{name} takes images of shape (channels, height, width), at least {smallest} pixels each way; got {shape}."
        )
    return shape
