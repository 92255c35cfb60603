"""What PyTorch itself offers for networks that train by autograd, on graphics cards above all."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from lthlab.checks import checked
from lthlab.masks import Masks
from lthlab.recipes import Recipe
from lthlab.steps import Loss, Step


@checked
@dataclass(frozen=True)
class TorchOptions:
    """A kind of step with options of PyTorch: `train(..., step=TorchOptions(bfloat16=True))`.

    Results differ from autograd's by rounding (and by dropout's noise where compiled).

    - `channels_last`: pixels before channels in memory, which convolutions on tensor cores want.
    - `bfloat16`: products in 16 bits (torch.autocast); weights, optimiser and pruned zeros stay as
      they are.
    - `compile`: a mode of torch.compile, or "" for none: "default" fuses operations,
      "reduce-overhead" also replays them as CUDA graphs, which spares tiny networks the launches.
    """

    channels_last: bool = False
    bfloat16: bool = False
    compile: Literal["", "default", "reduce-overhead", "max-autotune"] = ""

    def __call__(self, model: nn.Module, masks: Masks | None, recipe: Recipe, loss: Loss) -> Step:
        if self.channels_last:
            model.to(memory_format=torch.channels_last)
        step = Step(model, masks, recipe, loss)
        network = torch.compile(model, mode=self.compile) if self.compile else model
        plain = step.loss

        def with_options(_, x: Tensor, y: Tensor) -> Tensor:
            if self.channels_last and x.dim() == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bfloat16):
                return plain(network, x, y)

        step.loss = with_options
        return step
