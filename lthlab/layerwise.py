"""How a density is spread over the layers, for masks drawn by chance within them."""

from torch import nn

from lthlab.checks import checked
from lthlab.masks import Masks, full_masks
from lthlab.pruning import prune, random

Densities = dict[str, float]  # of layers, by parameter name


@checked
def erk_densities(masks: Masks, density: float) -> Densities:
    """The density of each layer by the rule Erdos-Renyi-Kernel, for `density` over all.

    Proportional to (the sum of the weight's dimensions) / (their product): small layers stay
    denser (Evci et al. 2020, section 3). Raises ValueError for a density outside 0..1.
    """
    return _spread(masks, density, {n: sum(m.shape) / m.numel() for n, m in masks.items()}, {})


@checked
def smart_ratio_densities(masks: Masks, density: float, output: str = "out.weight") -> Densities:
    """The density of each layer by the smart ratio of Su et al. 2020, for `density` over all.

    Of L layers the l-th gets a share proportional to `k^2 + k` with `k = L - l + 1`, so the first
    stays densest, and the `output` layer, if it is pruned, 0.3. The paper gives 0.3 to all
    fully connected layers and the rule to convolutions; here the rule is for all but the output.
    Raises ValueError for a density outside 0..1.
    """
    ratio = {name: k * k + k for k, name in enumerate(reversed(masks), 1)}
    return _spread(masks, density, ratio, {output: 0.3} if output in masks else {})


def _spread(masks: Masks, density: float, ratio: Densities, found: Densities) -> Densities:
    """Densities in these ratios; what is more than full is full, and the others share the rest."""
    sizes = {name: mask.numel() for name, mask in masks.items()}
    while True:
        left = density * sum(sizes.values()) - sum(found[name] * sizes[name] for name in found)
        shares = sum(ratio[name] * sizes[name] for name in masks if name not in found)
        scale = max(left, 0) / max(shares, 1e-12)
        free = {name: scale * ratio[name] for name in masks if name not in found}
        full = {name: 1.0 for name, share in free.items() if share > 1}
        if not full:
            return {name: (found | free)[name] for name in masks}
        found |= full


@checked
def random_masks(model: nn.Module, densities: Densities, seed: int = 0) -> Masks:
    """Masks drawn by chance with these densities of the layers; of one seed, they are nested."""
    fractions = {name: 1 - kept for name, kept in densities.items()}
    return prune(random(model, seed=seed), full_masks(model), fractions)
