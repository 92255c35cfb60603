# %% tags=["right:bytes"]
def csr_pays(kept, rows, columns):
    return 2 * kept + rows + 1 < rows * columns


# %% tags=["right:bytes"]
def csr_pays(kept, rows, columns):
    values, places, begins = 4 * kept, 4 * kept, 4 * (rows + 1)
    return bool(torch.tensor(values + places + begins) < torch.tensor(4 * rows * columns))


# %% tags=["right:bytes"]
def csr_pays(kept, rows, columns):
    dense = 4.0 * rows * columns
    return dense - 8.0 * kept > 4.0 * rows + 4.0


# %% tags=["wrong:bytes"] says="surely not"
def csr_pays(kept, rows, columns):
    return 4 * kept < 4 * rows * columns


# %% tags=["wrong:bytes"] says="beginnings of the rows"
def csr_pays(kept, rows, columns):
    return 8 * kept <= 4 * rows * columns


# %% tags=["wrong:bytes"] says="a hundred of ten thousand"
def csr_pays(kept, rows, columns):
    return 8 * kept + 4 * (rows + 1) > 4 * rows * columns


# %% tags=["wrong:bytes"] says="equal bytes do not pay" hidden=true
def csr_pays(kept, rows, columns):
    return 8 * kept + 4 * rows <= 4 * rows * columns


# %% tags=["right:amdahl"]
def density_for(s, speedup):
    needed = s - 1 + 1 / speedup
    return needed / s if needed > 0 else None


# %% tags=["right:amdahl"]
def density_for(s, speedup):
    if s == 0 or 1 / (1 - s + 1e-15) <= speedup:
        return None
    from scipy.optimize import brentq

    return brentq(lambda d: 1 - s + s * d - 1 / speedup, 0, 1, xtol=1e-14)


# %% tags=["right:amdahl"]
def density_for(s, speedup):
    allowed, stays = 1 / speedup, 1 - s
    if allowed <= stays:
        return
    return torch.tensor((allowed - stays) / s, dtype=torch.float64)


# %% tags=["wrong:amdahl"] says="a quarter of them"
def density_for(s, speedup):
    return 1 / (1 - s + s * speedup) + 0.1


# %% tags=["wrong:amdahl"] says="add times, not speed-ups"
def density_for(s, speedup):
    return 1 / speedup


# %% tags=["wrong:amdahl"] says="not even twice as fast"
def density_for(s, speedup):
    return (1 / speedup - 1 + s) / s


# %% tags=["wrong:amdahl"] says="solve 1 - s" hidden=true
def density_for(s, speedup):
    if s * speedup <= 1.6:
        return 0.375 if speedup == 2 and s > 0.5 else None
    return 0.25


# %% tags=["wrong:amdahl"] says="a small share" hidden=true
def density_for(s, speedup):
    density = (1 / speedup - 1 + s) / s
    return None if -0.5 < density < 0 else density


# %% tags=["right:pays"]
PAYS = next(d for d in sorted(SPARSE, reverse=True) if SPARSE[d] < DENSE)

# %% tags=["right:pays"]
PAYS = 0.01
for density, time in SPARSE.items():
    if time < DENSE and density > PAYS:
        PAYS = density

# %% tags=["right:pays"]
import numpy as np

densities, times = (np.array(list(x)) for x in (SPARSE.keys(), SPARSE.values()))
PAYS = densities[times < DENSE].max()

# %% tags=["wrong:pays"] says="one of the measured densities"
PAYS = 0.15

# %% tags=["wrong:pays"] says="still slower than the dense" hidden=true
PAYS = 0.5

# %% tags=["wrong:pays"] says="find the largest" hidden=true
PAYS = 0.01 if DENSE > 1.5 else 0.5

# %% tags=["wrong:pays"] says="find the largest" hidden=true student="bob"
PAYS = min(SPARSE)
