"""What a network is given must fit it: rules for every checked function that takes both."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from lthlab._common import check_labels, evaluation_mode, own_noise
from lthlab.border import RULES, InputError, show
from lthlab.data import Dataset, Finite, Split

Batch = Annotated[
    tuple[Finite, Tensor],
    "a pair (x, y): one or more inputs, and a label for each",
    lambda batch: len(batch) == 2 and 0 < len(batch[0]) == len(batch[1]) and batch[0].dim() > 1,
]


@RULES.append
def _data_fit(values: dict[str, Any]) -> None:
    """A network takes the inputs that it is given data of, and knows their classes."""
    for name in ("dataset", "split", "batch"):
        if isinstance(values.get("model"), nn.Module) and values.get(name) is not None:
            check_reads(values["model"], name, values[name])


def check_reads(model: nn.Module, name: str, data: Dataset | Split | Batch) -> None:
    """Try one example, in evaluation mode; the network and the caller's random state stay."""
    classes = len(data.classes) if isinstance(data, Dataset) else None
    split = data.train if classes else Split(*data) if isinstance(data, tuple | list) else data
    x, advice = split.x[:1], "Build the network for these data: build_model(name, dataset)."
    try:
        with torch.no_grad(), evaluation_mode(model), own_noise(x.device, 0):
            logits = model(x)
    except Exception as error:  # whatever a network of the reader's raises
        came = f"{x.dtype} of shape {tuple(x.shape[1:])} on {x.device}"
        reason = " ".join(str(error).split())
        raise InputError(f"model must read {name}, {came}; it says: {reason}. {advice}") from error
    shape = getattr(logits, "shape", ())
    if shape[:-1] == (1, *split.y.shape[1:]) and classes in (None, shape[-1]):
        check_labels(f"{name}.y", split.y, shape[-1])
    elif name != "batch":  # calibration looks at inputs alone
        expected = f"one logit for each of {classes or 'the'} classes of {name}"
        raise InputError(f"model must answer with {expected}; got {show(logits)}. {advice}")
