"""The networks of the papers as plain modules, with the papers' sizes and initialisation."""

import inspect
import re
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lthlab._common import make_generator, own_noise
from lthlab.checks import InputError, check, checked, show
from lthlab.data import Dataset

KNOWN = (
    "lenet-300-100",
    "mlp-100-100",
    "conv-2",
    "conv-4",
    "conv-6",
    "conv-2-8",
    "resnet-20",
    "resnet1d-4",
    "gpt-3x64",
)
_NAME = re.compile(
    "(lenet-N-N|mlp(-N)+|conv-[246](-N)?|resnet(1d)?-N|gpt-NxN)".replace("N", "[1-9][0-9]{0,3}")
)
# Anything that has the shape of its inputs, to look at a network without the data.
Shaped = Annotated[
    Any, "a Dataset, as load_dataset makes it", lambda data: hasattr(data, "input_shape")
]


@checked
def build_model(
    name: str | Callable[[Dataset, int], nn.Module], dataset: Shaped, seed: int = 0
) -> nn.Module:
    """Build a network for the inputs and classes of `dataset`, on its device.

    - `lenet-300-100` (266,200 weights on 28x28 images), `conv-2`, `conv-4`, `conv-6`, `resnet-20`
      (He et al. 2016, section 4.2): Frankle & Carbin 2019, Figure 2, all Glorot normal as there.
    - `conv-2-8`: the same with 8 channels in place of 64, and all layers narrower in proportion.
    - `mlp-100-100`: any fully connected network, named by its hidden sizes.
    - `resnet1d-4`: three residual blocks of width 4, 8 and 16 for mnist1d, He normal.
    - `gpt-3x64`: a transformer of three blocks of width 64 for words (see `GPT`).
    - A function (dataset, seed) -> nn.Module builds a network of your own.

    The seed fixes all initial values, also those that a function draws from torch's global
    generator, which is left as it was.

    To redraw a network, build it again with another seed. Raises ValueError for an unknown name or
    inputs of the wrong shape.
    """
    with own_noise(dataset.device, make_generator(seed, "initialisation").initial_seed()):
        if callable(name):
            try:
                inspect.signature(name).bind(dataset, seed)
            except TypeError as error:
                expected = "a function that builds a network takes (dataset, seed)"
                raise InputError(f"name: {expected}; {show(name)}: {error}.") from None
            model = name(dataset, seed)
            if not isinstance(model, nn.Module):
                raise InputError(f"name, a function, returns an nn.Module; got {show(model)}.")
        else:
            shape = dataset.input_shape
            tokens = len(shape) == 1 and not dataset.train.x.is_floating_point()
            model = _make(name, shape, len(dataset.classes), tokens)
    return model.to(dataset.device)


def _make(name: str, shape: tuple[int, ...], classes: int, tokens: bool) -> nn.Module:
    if not _NAME.fullmatch(name):
        return check("name", name, Literal[KNOWN])
    kind, *parts = re.split("[-x]", name)
    sizes = [int(part) for part in parts]
    if kind == "gpt":
        if not tokens:
            raise InputError(
                f"{name} takes words, a dataset of tokens; got inputs of shape {shape}."
            )
        return GPT(classes, *shape, *sizes)
    if tokens:
        raise InputError(f'{name} takes numbers, not tokens. A network for words: "gpt-3x64".')
    if kind == "conv":
        return ConvNet(_images(name, shape, 8), sizes[0] // 2, classes, *sizes[1:])
    if kind == "resnet":
        blocks, rest = divmod(sizes[0] - 2, 6)
        if blocks < 1 or rest:
            raise InputError(f"{name}: the depth is 6n + 2, as in resnet-20; got {sizes[0]}.")
        network = ResNet(_images(name, shape, 4)[0], blocks, 16, classes, conv=nn.Conv2d)
        return _glorot_normal_(network)
    if kind == "resnet1d":
        if len(shape) != 2:
            expected = "signals of shape (channels, samples), as in mnist1d"
            raise InputError(f"{name} takes {expected}; got {shape} of dataset.")
        return ResNet(shape[0], 1, sizes[0], classes, conv=nn.Conv1d)
    return MLP(torch.Size(shape).numel(), sizes, classes)


class MLP(nn.Sequential):
    """Fully connected layers with ReLU between them: fc1, fc2, ..., out."""

    def __init__(self, features: int, hidden: list[int], classes: int):
        layers, size = OrderedDict(flatten=nn.Flatten()), features
        for number, width in enumerate(hidden, 1):
            layers[f"fc{number}"], layers[f"relu{number}"] = nn.Linear(size, width), nn.ReLU()
            size = width
        layers["out"] = nn.Linear(size, classes)
        super().__init__(layers)
        _glorot_normal_(self)


class ConvNet(nn.Sequential):
    """Conv-2, -4, -6: pairs of 3x3 convolutions (64, 128, 256 channels), pooled; 256, 256, out.

    Another number of `filters` than 64 makes all layers narrower, or wider, in proportion.
    """

    def __init__(self, shape: tuple[int, int, int], pairs: int, classes: int, filters: int = 64):
        (channels, height, width), hidden = shape, 4 * filters
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for pair in range(pairs):
            for number in (2 * pair + 1, 2 * pair + 2):
                layers[f"conv{number}"] = nn.Conv2d(channels, filters << pair, 3, padding=1)
                layers[f"relu{number}"] = nn.ReLU()
                channels = filters << pair
            layers[f"pool{pair + 1}"] = nn.MaxPool2d(2)
        layers["flatten"] = nn.Flatten()
        size = channels * (height >> pairs) * (width >> pairs)
        layers["fc1"], layers["fc_relu1"] = nn.Linear(size, hidden), nn.ReLU()
        layers["fc2"], layers["fc_relu2"] = nn.Linear(hidden, hidden), nn.ReLU()
        layers["out"] = nn.Linear(hidden, classes)
        super().__init__(layers)
        _glorot_normal_(self)


class ResNet(nn.Module):
    """Residual network for small inputs: three stages, each half as long and twice as wide."""

    keep_dense = ("out", "shortcut")  # never pruned: see masks.prunable_weights

    def __init__(
        self,
        channels: int,
        blocks: int,
        width: int,
        classes: int,
        conv: type[nn.Conv1d] | type[nn.Conv2d],
    ):
        super().__init__()
        norm = nn.BatchNorm2d if conv is nn.Conv2d else nn.BatchNorm1d
        self.conv = conv(channels, width, 3, padding=1, bias=False)
        self.norm = norm(width)
        widths = [width, *(width << stage for stage in range(3) for _ in range(blocks))]
        self.blocks = nn.Sequential(*(Block(*pair, conv, norm) for pair in pairwise(widths)))
        self.out = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, conv | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.norm(self.conv(x))))
        return self.out(x.flatten(2).mean(2))


class Block(nn.Module):
    """conv, norm, relu, conv, norm, plus the input (a 1x1 convolution where the shape changes)."""

    def __init__(self, before: int, after: int, conv, norm):
        super().__init__()
        stride = 1 if before == after else 2
        self.conv1 = conv(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm1 = norm(after)
        self.conv2 = conv(after, after, 3, padding=1, bias=False)
        self.norm2 = norm(after)
        self.shortcut = nn.Identity()
        if stride == 2:
            narrow = conv(before, after, 1, stride=2, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=narrow, norm=norm(after)))

    def forward(self, x: Tensor) -> Tensor:
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(residual + self.shortcut(x))


class GPT(nn.Module):
    """A language model as in GPT-2 (Radford et al. 2019), small: tokens (n, length) to logits.

    The logits have shape (n, length, tokens); those at each place depend on the places up to it.
    Token and position embeddings, blocks, a norm and the output layer, with PyTorch's own initial
    values. Raises ValueError for a width that the heads do not divide, or for anything but tokens.
    """

    keep_dense = ("out",)

    def __init__(self, tokens: int, length: int, blocks: int, width: int, heads: int = 4):
        super().__init__()
        if width % heads:
            raise InputError(f"{heads} heads share the width evenly; got width {width}.")
        self.token, self.position = nn.Embedding(tokens, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(AttentionBlock(width, heads) for _ in range(blocks)))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, tokens)

    def forward(self, x: Tensor) -> Tensor:
        length = self.position.num_embeddings
        if x.is_floating_point() or x.dim() != 2 or x.shape[1] > length:
            expected = f"whole numbers of shape (words, 1 to {length})"
            came = f"{x.dtype} of shape {tuple(x.shape)}"
            raise ValueError(f"This network reads tokens, {expected}; got {came}.")
        try:
            stream = self.token(x) + self.position.weight[: x.shape[1]]
        except IndexError:
            last, came = self.token.num_embeddings - 1, f"{int(x.min())} to {int(x.max())}"
            known = f"This network knows {last + 1} tokens, 0 to {last}"
            raise ValueError(f"{known}; got {came}.") from None
        return self.out(self.norm(self.blocks(stream)))


class AttentionBlock(nn.Module):
    """Attention to the places before, then two layers for each place; both add to the stream."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, stream: Tensor) -> Tensor:
        heads = (
            self.attend(self.norm1(stream)).unflatten(-1, (3 * self.heads, -1)).transpose(-2, -3)
        )
        mixed = F.scaled_dot_product_attention(*heads.chunk(3, -3), is_causal=True)
        stream = stream + self.project(mixed.transpose(-2, -3).flatten(-2))
        return stream + self.contract(F.gelu(self.expand(self.norm2(stream))))


def _glorot_normal_(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def _images(name: str, shape: tuple[int, ...], smallest: int) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise InputError(
            f"{name} takes images of shape (channels, height, width), at least {smallest} pixels "
            f"each way; got {shape} of dataset."
        )
    return shape
