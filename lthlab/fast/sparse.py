"""Loss and gradients over kept weights alone: nothing is computed, or stored, for the others."""

from collections.abc import Callable, Iterable

import numpy as np
import scipy.sparse
import torch
from torch import Tensor, nn

from lthlab.fast import kernels
from lthlab.fast.by_hand import allocate_gradients, check_batch, fused_kernel
from lthlab.masks import Masks
from lthlab.recipes import Recipe
from lthlab.steps import Step, cross_entropy


class CSR:
    """A masked weight matrix as its kept values, row by row, with their indices both ways.

    `rows` is (starts, column indices), `columns` (starts, row indices) of the transpose, whose
    values are `values[transposed]`.
    """

    def __init__(self, weight: nn.Parameter, mask: Tensor):
        self.weight, self.kept = weight, mask.flatten().nonzero().squeeze(1)
        self.values = nn.Parameter(weight.detach().flatten()[self.kept])
        numbered = scipy.sparse.csr_array(mask.numpy(), dtype=np.int32)
        numbered.data = np.arange(numbered.nnz)
        by_column = numbered.tocsc()
        self.rows, self.columns = _indices(numbered), _indices(by_column)
        self.transposed = by_column.data


class Sparse(Step):
    """Backpropagation over kept weights alone, by compiled kernels: these are the parameters."""

    def __init__(
        self, model: nn.Module, masks: Masks, recipe: Recipe, layers: dict[str, nn.Linear]
    ):
        super().__init__(model, masks, recipe, cross_entropy)
        self.keep_pruned_at_zero = lambda: None  # `store` does
        self.csr = {f"{n}.weight": CSR(m.weight, masks[f"{n}.weight"]) for n, m in layers.items()}
        self.trained |= {name: csr.values for name, csr in self.csr.items()}
        allocate_gradients(self.trained)
        csrs, weights = self.csr.values(), [csr.values for csr in self.csr.values()]
        biases = [layer.bias for layer in layers.values()]
        self.batch, width = recipe.batch_size, -(-recipe.batch_size // 16) * 16
        self.features = next(iter(layers.values())).in_features
        sizes = [self.features, *map(len, biases)]
        # By torch, which begins arrays at cache lines: elsewhere kernels take half as long again.
        values, gradients = ([torch.zeros(s, width).numpy() for s in sizes] for _ in range(2))
        self.step = kernels.compile_for(width)[2]
        self.arguments = (
            tuple(csr.rows for csr in csrs),
            tuple(csr.columns for csr in csrs),
            _arrays(weights),
            tuple(csr.transposed for csr in csrs),
            _arrays(biases),
            tuple(values),
            tuple(gradients),
            _arrays(p.grad for p in weights),
            _arrays(p.grad for p in biases),
        )

    def __call__(self, x: Tensor, y: Tensor) -> float:
        x = x.flatten(1)
        check_batch(x, y, self.batch, self.features)
        return self.step(x.numpy(), y.numpy(), *self.arguments)

    def load(self) -> None:
        for name, csr in self.csr.items():
            csr.values.detach().copy_(self.to_trained(name, csr.weight.detach()))

    def store(self) -> None:
        for name, csr in self.csr.items():
            csr.weight.detach().copy_(self.to_parameter(name, csr.values.detach()))

    def to_trained(self, name: str, tensor: Tensor) -> Tensor:
        return tensor.flatten()[self.csr[name].kept] if name in self.csr else tensor

    def to_parameter(self, name: str, tensor: Tensor) -> Tensor:
        if name not in self.csr or not tensor.ndim:
            return tensor
        csr = self.csr[name]
        wide = torch.zeros(csr.weight.numel()).index_copy_(0, csr.kept, tensor)
        return wide.view_as(csr.weight)

    def updater(self, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
        return fused_kernel(optimizer)


def _indices(matrix: scipy.sparse.csr_array | scipy.sparse.csc_array) -> tuple[np.ndarray, ...]:
    """Starts and indices, unsigned: compiled code would test signed ones for being below zero."""
    return matrix.indptr.view(np.uint32), matrix.indices.view(np.uint32)


def _arrays(tensors: Iterable[Tensor]) -> tuple[np.ndarray, ...]:
    """NumPy's view of tensors: the same memory."""
    return tuple(tensor.detach().numpy() for tensor in tensors)
