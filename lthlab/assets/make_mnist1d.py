"""Write the signals of MNIST-1D to standard output, as NumPy's .npz.

Run by `lthlab.data` in a process of its own: the generator of the package mnist1d seeds NumPy's
global random state, which belongs to the reader. (Greydanus & Kobak 2024; 10,000 + 2,000 signals.)
"""

import io
import sys

import mnist1d.data
import numpy as np

args = mnist1d.data.get_dataset_args()
args.num_samples, args.train_split = 12_000, 10 / 12
arrays = mnist1d.data.make_dataset(args)
file = io.BytesIO()
np.savez(file, **{key: arrays[key] for key in ("x", "y", "x_test", "y_test")})
sys.stdout.buffer.write(file.getvalue())
