# %% tags=["right:lowest"]
def lowest_density(table, method, scope, loss):
    rows = table.query("method == @method and scope == @scope").set_index("density")
    return rows.index[rows.accuracy > rows.accuracy[1] - loss - 1e-9].min()


# %% tags=["right:lowest"]
def lowest_density(table, method, scope, loss):
    found = {}
    for row in table.itertuples():
        if row.method == method and row.scope == scope:
            found[row.density] = row.accuracy
    return min(d for d, accuracy in found.items() if found[1] - accuracy <= loss + 1e-12)


# %% tags=["right:lowest"]
def lowest_density(table, method, scope, loss):
    rows = table.groupby(["method", "scope"]).get_group((method, scope))
    rows = rows.sort_values("density", ascending=False)
    lost = rows.accuracy.iloc[0] - rows.accuracy
    return float(rows.density[lost <= loss].iloc[-1])


# %% tags=["wrong:lowest"] says="within two points"
def lowest_density(table, method, scope, loss):
    rows = table[(table.method == method) & (table.scope == scope)]
    return rows[rows.accuracy >= 1 - loss].density.min()


# %% tags=["wrong:lowest"] says="chance loses at once"
def lowest_density(table, method, scope, loss):
    rows = table[(table.method == "magnitude") & (table.scope == scope)]
    whole = rows[rows.density == 1].accuracy.item()
    return rows[rows.accuracy >= whole - loss].density.min()


# %% tags=["wrong:lowest"] says="rows of this scope alone"
def lowest_density(table, method, scope, loss):
    rows = table[(table.method == method) & (table.scope == "global")]
    whole = rows[rows.density == 1].accuracy.item()
    return rows[rows.accuracy >= whole - loss].density.min()


# %% tags=["wrong:lowest"] says="exactly the loss is still allowed"
def lowest_density(table, method, scope, loss):
    rows = table[(table.method == method) & (table.scope == scope)]
    whole = rows[rows.density == 1].accuracy.item()
    return rows[rows.accuracy > whole - loss].density.min()


# %% tags=["wrong:lowest"] says="in points" hidden=true
def lowest_density(table, method, scope, loss):
    rows = table[(table.method == method) & (table.scope == scope)]
    whole = rows[rows.density == 1].accuracy.item()
    return rows[rows.accuracy >= whole * (1 - loss)].density.min()


# %% tags=["right:even"]
def break_even(kept, finding):
    times = 1
    while times * kept + finding > times:
        times += 1
    return times


# %% tags=["right:even"]
def break_even(kept, finding):
    return int(-(-finding // (1 - kept)))


# %% tags=["right:even"]
def break_even(kept, finding):
    import math

    return math.ceil(round(finding / (1 - kept), 9))


# %% tags=["right:even"]
def break_even(kept, finding):
    import math

    return max(1, math.ceil(finding / (1 - kept)))


# %% tags=["wrong:even"] says="two half trainings"
def break_even(kept, finding):
    return int(finding / (1 - kept)) + 1


# %% tags=["wrong:even"] says="saves three quarters"
def break_even(kept, finding):
    return -(-finding // kept)


# %% tags=["wrong:even"] says="round up"
def break_even(kept, finding):
    return finding / (1 - kept)


# %% tags=["wrong:even"] says="for any share" hidden=true
def break_even(kept, finding):
    return {0.5: 2, 0.25: 8, 0.2: 7}.get(kept, 1)


# %% tags=["wrong:even"] says="need not be a whole number" hidden=true
def break_even(kept, finding):
    import math

    return math.ceil(int(finding) / (1 - kept))


# %% tags=["right:times"]
TIMES = int((LEVELS + 1) / (1 - KEPT) + 0.999)

# %% tags=["right:times"]
TIMES = 1
while TIMES * (1 - KEPT) < LEVELS + 1:
    TIMES += 1

# %% tags=["right:times"]
TIMES = float(-((LEVELS + 1) // -(1 - KEPT)))

# %% tags=["wrong:times"] says="a whole number"
TIMES = 3.7

# %% tags=["wrong:times"] says="when is it paid back" hidden=true
TIMES = -(-LEVELS // (1 - KEPT))

# %% tags=["wrong:times"] says="when is it paid back" hidden=true
TIMES = LEVELS + 1
