"""What makes a step faster, behind one seam: `train(..., step="fast")` and kinds of step like it.

Importing this package registers "fast"; `find_ticket` and `run_experiment` take it where it is
there. The core works without this folder, and without numba.
"""

from torch import nn

from lthlab.checks import checked
from lthlab.fast import kernels
from lthlab.fast.by_hand import ByHand, chain_of
from lthlab.fast.compaction import compact
from lthlab.fast.options import TorchOptions
from lthlab.fast.sparse import Sparse
from lthlab.fast.stacks import train_stacked
from lthlab.masks import Masks, density
from lthlab.recipes import Recipe
from lthlab.steps import STEPS, Loss, Step, cross_entropy

# The density below which fully connected networks train over their kept weights alone. Where that
# breaks even for LeNet-300-100 in batches of 60 differs by machine: just above a half on ours, and
# notebook 07 draws it on yours. A constant, so that results do not depend on it.
SPARSE_BELOW = 0.5


@checked
def fast_step(model: nn.Module, masks: Masks | None, recipe: Recipe, loss: Loss) -> Step:
    """The fastest kind of step: `Sparse`, `ByHand`, or autograd for what is no plain chain."""
    layers = chain_of(model)
    if not layers or loss is not cross_entropy:
        return Step(model, masks, recipe, loss)
    on_cpu = next(model.parameters()).device.type == "cpu"
    few = masks is not None and len(masks) == len(layers) and density(masks) < SPARSE_BELOW
    return (Sparse if few and on_cpu and kernels.numba else ByHand)(model, masks, recipe, layers)


# What results depend on, not how fast they came.
fast_step.identity = f"sparse below {SPARSE_BELOW}" if kernels.numba else "dense by hand"
STEPS["fast"] = fast_step
