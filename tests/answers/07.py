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


# %% tags=["wrong:bytes"] says="surely it does not"
def csr_pays(kept, rows, columns):
    return 4 * kept < 4 * rows * columns


# %% tags=["wrong:bytes"] says="the row starts count"
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


# %% tags=["wrong:amdahl"] says="three times as fast is impossible"
def density_for(s, speedup):
    return (1 / speedup - 1 + s) / s


# %% tags=["wrong:amdahl"] says="solve that for the density" hidden=true
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


# %% tags=["right:trade"]
def best(rows, at_most, at_least):
    found, highest = None, -1
    for way, share, accuracy, speed in rows:
        if share <= at_most and speed >= at_least and accuracy > highest:
            found, highest = way, accuracy
    return found


# %% tags=["right:trade"]
def best(rows, at_most, at_least):
    fit = sorted((r for r in rows if r[1] <= at_most and r[3] >= at_least), key=lambda r: -r[2])
    return next((row[0] for row in fit), None)


# %% tags=["right:trade"]
def best(rows, at_most, at_least):
    import pandas as pd

    table = pd.DataFrame(rows, columns=["way", "share", "accuracy", "speed"])
    table = table.query("share <= @at_most and speed >= @at_least")
    return table.loc[table["accuracy"].idxmax(), "way"] if len(table) else None


# %% tags=["wrong:trade"] says="0.87 is the highest"
def best(rows, at_most, at_least):
    fit = [row for row in rows if row[1] <= at_most and row[3] >= at_least]
    return max(fit, key=lambda row: row[3])[0] if fit else None


# %% tags=["wrong:trade"] says="look at speed"
def best(rows, at_most, at_least):
    fit = [row for row in rows if row[1] <= at_most]
    return max(fit, key=lambda row: row[2])[0] if fit else None


# %% tags=["wrong:trade"] says="return None"
def best(rows, at_most, at_least):
    fit = [row for row in rows if row[1] <= at_most and row[3] >= at_least]
    return max(fit or rows, key=lambda row: row[2])[0]


# %% tags=["wrong:trade"] says="just enough is enough" hidden=true
def best(rows, at_most, at_least):
    fit = [row for row in rows if row[1] <= at_most and row[3] > at_least]
    return max(fit, key=lambda row: row[2])[0] if fit else None


# %% tags=["wrong:trade"] says="any rows" hidden=true
def best(rows, at_most, at_least):
    fit = [row for row in rows if row[1] <= at_most and row[3] >= at_least]
    return fit[0][0] if fit else None
