# %% tags=["right:search"]
def search_cost(times, rate, sparse):
    if not sparse:
        return times + 1
    return (1 - (1 - rate) ** (times + 1)) / rate


# %% tags=["right:search"]
def search_cost(times, rate, sparse):
    total, density = 0.0, 1.0
    for _ in range(times + 1):
        total += density if sparse else 1
        density -= density * rate
    return total


# %% tags=["right:search"]
def search_cost(times, rate, sparse):
    left = torch.full((times + 1,), 1 - rate if sparse else 1.0, dtype=torch.float64)
    return left.pow(torch.arange(times + 1)).sum()


# %% tags=["wrong:search"] says="one dense training"
def search_cost(times, rate, sparse):
    return sum((1 - rate) ** n if sparse else 1 for n in range(times))


# %% tags=["wrong:search"] says="three trainings"
def search_cost(times, rate, sparse):
    return sum((1 - rate) ** n for n in range(times + 1))


# %% tags=["wrong:search"] says="1 + 1/2 + 1/4"
def search_cost(times, rate, sparse):
    return times + 1


# %% tags=["wrong:search"] says="leaves 0.8 of what was there" hidden=true
def search_cost(times, rate, sparse):
    return sum(rate**n if sparse else 1 for n in range(times + 1))


# %% tags=["wrong:search"] says="21 trainings" hidden=true
def search_cost(times, rate, sparse):
    return sum((1 - rate) ** n if sparse else 1 for n in range(times + 1)) if sparse else 3


# %% tags=["right:seeds"]
def seeds_within(hours, rate, flops_per_step, steps, arms, levels):
    budget = hours * 3600 * rate
    fits = budget // (flops_per_step * steps * arms * levels)
    return fits if fits >= 5 else 0


# %% tags=["right:seeds"]
def seeds_within(hours, rate, flops_per_step, steps, arms, levels):
    import math

    seconds = flops_per_step * steps / rate * arms * levels
    n = math.floor(round(3600 * hours / seconds, 6))
    return 0 if n < 5 else n


# %% tags=["right:seeds"]
def seeds_within(hours, rate, flops_per_step, steps, arms, levels):
    n = 0
    while (n + 1) * flops_per_step * steps * arms * levels <= hours * 3600 * rate:
        n += 1
    return n * (n >= 5)


# %% tags=["wrong:seeds"] says="ten an hour"
def seeds_within(hours, rate, flops_per_step, steps, arms, levels):
    n = int(hours * 60 * rate / (flops_per_step * steps * arms * levels))
    return n if n >= 5 else 0


# %% tags=["wrong:seeds"] says="only whole ones count"
def seeds_within(hours, rate, flops_per_step, steps, arms, levels):
    n = hours * 3600 * rate / (flops_per_step * steps * arms * levels)
    return n if n >= 5 else 0


# %% tags=["wrong:seeds"] says="too few to start"
def seeds_within(hours, rate, flops_per_step, steps, arms, levels):
    return int(hours * 3600 * rate / (flops_per_step * steps * arms * levels))


# %% tags=["wrong:seeds"] says="for any number of hours" hidden=true
def seeds_within(hours, rate, flops_per_step, steps, arms, levels):
    n = int(3600 * rate / (flops_per_step * steps * arms * levels))
    return n if n >= 5 else 0


# %% tags=["wrong:seeds"] says="exactly five" hidden=true
def seeds_within(hours, rate, flops_per_step, steps, arms, levels):
    n = int(hours * 3600 * rate / (flops_per_step * steps * arms * levels))
    return n if n > 5 else 0


# %% tags=["right:crash"]
def to_do(all_of_them, finished, running, killed):
    left = []
    for training in all_of_them:
        at_work = [w for w, t in running.items() if t == training and w not in killed]
        if training not in finished and not at_work:
            left.append(training)
    return left


# %% tags=["right:crash"]
def to_do(all_of_them, finished, running, killed):
    alive = running.keys() - killed
    return set(all_of_them).difference(finished, (running[w] for w in alive))


# %% tags=["right:crash"]
def to_do(all_of_them, finished, running, killed):
    left = set(all_of_them)
    left -= finished
    for worker, training in running.items():
        if worker not in killed:
            left.discard(training)
    return left


# %% tags=["wrong:crash"] says="3 is being worked on"
def to_do(all_of_them, finished, running, killed):
    return set(all_of_them) - set(finished)


# %% tags=["wrong:crash"] says="2 was lost"
def to_do(all_of_them, finished, running, killed):
    return set(all_of_them) - set(finished) - set(running.values())


# %% tags=["wrong:crash"] says="the sets that you were given"
def to_do(all_of_them, finished, running, killed):
    all_of_them -= finished
    all_of_them -= {t for w, t in running.items() if w not in killed}
    return all_of_them


# %% tags=["wrong:crash"] says="never lost" hidden=true
def to_do(all_of_them, finished, running, killed):
    alive = {t for w, t in running.items() if w not in killed}
    return (set(all_of_them) - set(finished) - alive) or {0}


# %% tags=["wrong:crash"] says="all workers may die" hidden=true
def to_do(all_of_them, finished, running, killed):
    alive = {t for w, t in running.items() if w not in list(killed)[:1]}
    return set(all_of_them) - set(finished) - alive


# %% tags=["right:dense"]
def to_dense(crow, col, values, shape):
    rows = torch.repeat_interleave(torch.arange(shape[0]), crow[1:] - crow[:-1])
    dense = torch.zeros(shape, dtype=torch.float64)
    dense[rows, col] = values.double()
    return dense


# %% tags=["right:dense"]
def to_dense(crow, col, values, shape):
    dense = [[0.0] * shape[1] for _ in range(shape[0])]
    for row in range(shape[0]):
        for place in range(int(crow[row]), int(crow[row + 1])):
            dense[row][int(col[place])] = float(values[place])
    return torch.tensor(dense)


# %% tags=["right:dense"]
def to_dense(crow, col, values, shape):
    from scipy.sparse import csr_array

    return csr_array((values.numpy(), col.numpy(), crow.numpy()), shape=shape).toarray()


# %% tags=["wrong:dense"] says="as many rows and columns"
def to_dense(crow, col, values, shape):
    return torch.zeros(shape[1], shape[0])


# %% tags=["wrong:dense"] says="in the columns 0 and 3"
def to_dense(crow, col, values, shape):
    dense = torch.zeros(shape)
    for row in range(shape[0]):
        begin, end = int(crow[row]), int(crow[row + 1])
        dense[row, : end - begin] = values[begin:end]
    return dense


# %% tags=["wrong:dense"] says="row 1 is empty"
def to_dense(crow, col, values, shape):
    dense, row = torch.zeros(shape), 0
    for place, column in enumerate(col.tolist()):
        if place in crow[1:].tolist():
            row += 1
        dense[row, column] = values[place]
    return dense


# %% tags=["wrong:dense"] says="for any number of values in a row" hidden=true
def to_dense(crow, col, values, shape):
    dense = torch.zeros(shape)
    for row in range(shape[0]):
        for place in range(int(crow[row]), min(int(crow[row + 1]), int(crow[row]) + 2)):
            dense[row, col[place]] = values[place]
    return dense


# %% tags=["right:send"]
def send(where, folder, experiment):
    with where:
        table = run_experiment(folder=str(folder), **experiment)
    return table


# %% tags=["right:send"]
def send(where, folder, experiment):
    from contextlib import ExitStack

    with ExitStack() as stack:
        stack.enter_context(where)
        return run_experiment(**{**experiment, "folder": folder})


# %% tags=["right:send"]
def send(where, folder, experiment):
    options = dict(experiment)
    model, dataset = options.pop("model"), options.pop("dataset")
    with where as _:
        return run_experiment(model, dataset, folder=folder, **options)


# %% tags=["wrong:send"] says="return the table"
def send(where, folder, experiment):
    with where:
        run_experiment(**experiment, folder=folder)


# %% tags=["wrong:send"] says="in a with line"
def send(where, folder, experiment):
    return run_experiment(**experiment, folder=folder)


# %% tags=["wrong:send"] says="a crash loses all"
def send(where, folder, experiment):
    with where:
        return run_experiment(**experiment)


# %% tags=["wrong:send"] says="after the with block"
def send(where, folder, experiment):
    with where:
        folder = Path(folder)
    return run_experiment(**experiment, folder=folder)


# %% tags=["wrong:send"] says="another table" hidden=true
def send(where, folder, experiment):
    with where:
        more = range(3) if any(folder.iterdir()) else range(2)
        return run_experiment(**{**experiment, "seeds": more}, folder=folder)


# %% tags=["wrong:send"] says="the second call trained again" hidden=true
def send(where, folder, experiment):
    with where:
        place = Path(tempfile.mkdtemp(dir=folder))
        return run_experiment(**experiment, folder=place)
