"""Forward and backward pass over kept weights alone (CSR), compiled by numba for one batch size.

Batches lie side by side here, in arrays of shape (features, batch), so that one weight meets the
whole batch in consecutive memory. The compiler knows the length of the inner loops and turns them
into vector instructions; columns beyond the batch, up to a whole number of vector registers, hold
zeros or are ignored.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

try:
    import numba
except ImportError:  # everything still works, with dense products
    numba = None


@functools.lru_cache(maxsize=4)  # about 5 MB each
def compile_for(width: int) -> tuple[Callable, Callable, Callable]:
    """Kernels for arrays of `width` columns: multiply, multiply_sampled and the whole `step`."""
    # Sums may be taken in any order, as in every BLAS. Never cache=True: numba's cache on disk
    # takes no lock, so two processes that compile for two widths can swap their files, and code for
    # 64 columns writes past 32.
    compiled = numba.njit(nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp"})

    @compiled
    def multiply(starts, columns, values, x, out):
        """out = A @ x for A in CSR; x is (columns of A, width), out (rows of A, width)."""
        for row in range(len(starts) - 1):
            out[row] = 0
            p, end = starts[row], starts[row + 1]
            while p + 8 <= end:  # eight at a time: `out` is read and written once for all of them
                c0, c1, c2, c3 = columns[p], columns[p + 1], columns[p + 2], columns[p + 3]
                c4, c5, c6, c7 = columns[p + 4], columns[p + 5], columns[p + 6], columns[p + 7]
                v0, v1, v2, v3 = values[p], values[p + 1], values[p + 2], values[p + 3]
                v4, v5, v6, v7 = values[p + 4], values[p + 5], values[p + 6], values[p + 7]
                for b in range(width):
                    out[row, b] += (
                        v0 * x[c0, b]
                        + v1 * x[c1, b]
                        + v2 * x[c2, b]
                        + v3 * x[c3, b]
                        + v4 * x[c4, b]
                        + v5 * x[c5, b]
                        + v6 * x[c6, b]
                        + v7 * x[c7, b]
                    )
                p += 8
            while p < end:
                v, c = values[p], columns[p]
                for b in range(width):
                    out[row, b] += v * x[c, b]
                p += 1

    @compiled
    def multiply_sampled(starts, columns, g, x, out):
        """out[p] = (g @ x.T)[row, column] for the p-th value of a CSR matrix: its gradient."""
        for row in range(len(starts) - 1):
            p, end = starts[row], starts[row + 1]
            while p + 4 <= end:
                c0, c1, c2, c3 = columns[p], columns[p + 1], columns[p + 2], columns[p + 3]
                s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for b in range(width):
                    gradient = g[row, b]
                    s0 += gradient * x[c0, b]
                    s1 += gradient * x[c1, b]
                    s2 += gradient * x[c2, b]
                    s3 += gradient * x[c3, b]
                out[p], out[p + 1], out[p + 2], out[p + 3] = s0, s1, s2, s3
                p += 4
            while p < end:
                c, s = columns[p], np.float32(0)
                for b in range(width):
                    s += g[row, b] * x[c, b]
                out[p] = s
                p += 1

    @compiled
    def step(
        x, y, rows, columns, weights, transposed, biases, values, gradients, of_weights, of_biases
    ):
        """Mean cross-entropy of a chain of layers with ReLU between them, and all its gradients.

        x is (batch, features), y the class numbers; `rows` and `columns` hold (starts, indices) of
        every layer's CSR and of its transpose, `transposed` where the transpose finds its values;
        `values` and `gradients` are those of the neurons, layer by layer, inputs first.
        Raises ValueError for a class number that does not exist, before anything is written.
        """
        batch, last = len(y), len(weights) - 1
        for b in range(batch):
            if y[b] < 0 or y[b] >= len(biases[last]):
                raise ValueError("A label lies outside the network's classes.")
        for feature in range(x.shape[1]):
            if columns[0][0][feature] < columns[0][0][feature + 1]:  # somebody looks at it
                for b in range(batch):
                    values[0][feature, b] = x[b, feature]
        for layer in range(last + 1):
            out, bias = values[layer + 1], biases[layer]
            multiply(rows[layer][0], rows[layer][1], weights[layer], values[layer], out)
            for row in range(len(bias)):
                for b in range(width):
                    out[row, b] += bias[row]
                    if layer < last:
                        out[row, b] = max(out[row, b], np.float32(0))

        logits, gradient, loss = values[last + 1], gradients[last + 1], 0.0
        for b in range(batch):
            highest, total = logits[:, b].max(), 0.0
            for label in range(len(logits)):
                gradient[label, b] = math.exp(logits[label, b] - highest)
                total += gradient[label, b]
            for label in range(len(logits)):
                gradient[label, b] = gradient[label, b] / total / batch
            gradient[y[b], b] -= np.float32(1) / batch
            loss += math.log(total) - (logits[y[b], b] - highest)

        for layer in range(last, -1, -1):
            gradient, below = gradients[layer + 1], values[layer]
            multiply_sampled(rows[layer][0], rows[layer][1], gradient, below, of_weights[layer])
            for row in range(len(gradient)):
                total32 = np.float32(0)
                for b in range(width):
                    total32 += gradient[row, b]
                of_biases[layer][row] = total32
            if layer > 0:
                starts, indices = columns[layer]
                sorted_values = weights[layer][transposed[layer]]
                multiply(starts, indices, sorted_values, gradient, gradients[layer])
                for row in range(len(below)):
                    for b in range(width):
                        if below[row, b] <= 0:
                            gradients[layer][row, b] = 0
        return loss / batch

    return multiply, multiply_sampled, step
