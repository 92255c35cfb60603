"""The compiled kernels as a layer with a gradient of its own, for any network, not only chains."""

import copy
import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from lthlab.checks import checked
from lthlab.fast import kernels
from lthlab.fast.sparse import CSR
from lthlab.masks import Masks

WIDTH = 64  # rows of inputs that lie side by side: with their outputs they stay in the cache


class SparseLinear(nn.Module):
    """nn.Linear over the weights that a mask keeps: the others are neither stored nor computed.

    `values` are the kept weights, row by row. On the CPU, in single precision. Raises TypeError for
    other layers, and where numba is not installed.
    """

    def __init__(self, layer: nn.Linear, mask: Tensor):
        super().__init__()
        if not kernels.numba:
            raise TypeError("Sparse layers need numba: pip install numba.")
        if layer.weight.dtype != torch.float32 or layer.weight.device.type != "cpu":
            came = f"{layer.weight.dtype} on {layer.weight.device}"
            raise TypeError(f"Sparse layers take float32 on the CPU; got {came}.")
        self.csr, self.shape = CSR(layer.weight, mask), tuple(layer.weight.shape)
        self.values, self.bias = self.csr.values, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.shape[1] or x.dtype != torch.float32:
            expected = f"float32 inputs with {self.shape[1]} features"
            raise ValueError(f"This layer takes {expected}; got {x.dtype}, {tuple(x.shape)}.")
        out = _Product.apply(x.flatten(0, -2), self.values, self.csr)
        return (out if self.bias is None else out + self.bias).view(*x.shape[:-1], -1)

    def extra_repr(self) -> str:
        outputs, inputs = self.shape
        return f"{inputs} to {outputs}, {len(self.values):,} of {inputs * outputs:,} weights"


class _Product(torch.autograd.Function):
    """x @ W.T for a CSR matrix W, and its derivatives by x and by the kept values."""

    @staticmethod
    def forward(ctx, x: Tensor, values: Tensor, csr: CSR) -> Tensor:
        x = x.detach().contiguous()
        ctx.save_for_backward(x, values)
        ctx.csr = csr
        out = x.new_empty(len(x), len(csr.rows[0]) - 1)
        _compiled()[0](*csr.rows, values.detach().numpy(), x.numpy(), out.numpy())
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (x, values), csr = ctx.saved_tensors, ctx.csr
        kept = values.detach().numpy()
        of_x, of_values = torch.empty_like(x), torch.zeros_like(values)
        arrays = (gradient.contiguous().numpy(), x.numpy(), of_x.numpy(), of_values.numpy())
        _compiled()[1](*csr.rows, *csr.columns, kept[csr.transposed], *arrays)
        return of_x, of_values, None


@checked
def sparsify(model: nn.Module, masks: Masks, below: float = 1.0) -> nn.Module:
    """A copy of `model` whose Linear layers compute over kept weights alone.

    Those whose density is under `below`; the others stay as they are, with their pruned weights at
    0.0. Their kept weights train like any parameters, and no mask is needed. Raises ValueError for
    masks of another model, TypeError as `SparseLinear` does.
    """
    made = copy.deepcopy(model)
    for name, mask in masks.items():
        path = name.rpartition(".")[0]
        layer = made.get_submodule(path)
        if type(layer) is nn.Linear and mask.float().mean() < below:
            made.set_submodule(path, SparseLinear(layer, mask))
    return made


@functools.cache
def _compiled() -> tuple[Callable, Callable]:
    """The kernels for any number of rows, `WIDTH` at a time: the product, and its derivatives."""
    multiply, multiply_sampled, _ = kernels.compile_for(WIDTH)
    compiled = kernels.numba.njit(nogil=True)

    @compiled
    def product(starts, columns, values, x, out):
        panel = np.zeros((x.shape[1], WIDTH), np.float32)
        result = np.empty((out.shape[1], WIDTH), np.float32)
        for first in range(0, len(x), WIDTH):
            rows = min(WIDTH, len(x) - first)
            panel[:, :rows] = x[first : first + rows].T
            multiply(starts, columns, values, panel, result)
            out[first : first + rows] = result[:, :rows].T

    @compiled
    def derivatives(starts, columns, starts_t, columns_t, values_t, gradient, x, of_x, of_values):
        panel = np.zeros((x.shape[1], WIDTH), np.float32)
        inward, result = np.empty_like(panel), np.empty_like(of_values)
        for first in range(0, len(x), WIDTH):
            rows = min(WIDTH, len(x) - first)
            outward = np.zeros((gradient.shape[1], WIDTH), np.float32)  # rows beyond the last: 0
            outward[:, :rows] = gradient[first : first + rows].T
            panel[:, :rows] = x[first : first + rows].T
            multiply_sampled(starts, columns, outward, panel, result)
            of_values += result
            multiply(starts_t, columns_t, values_t, outward, inward)
            of_x[first : first + rows] = inward[:, :rows].T

    return product, derivatives
