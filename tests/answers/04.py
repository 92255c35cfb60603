# %% tags=["right:shuffle"]
def shuffle(mask, seed):
    flat = np.array(mask).flatten()
    np.random.default_rng(seed).shuffle(flat)
    return torch.tensor(flat).view(mask.shape)


# %% tags=["right:shuffle"]
def shuffle(mask, seed):
    noise = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed))
    chosen = noise.flatten().topk(int(mask.sum())).indices
    new = torch.zeros(mask.numel(), dtype=torch.bool)
    new[chosen] = True
    return new.reshape(mask.shape)


# %% tags=["right:shuffle"]
def shuffle(mask, seed):
    import random

    values = mask.flatten().tolist()
    random.Random(seed).shuffle(values)
    mask.copy_(torch.tensor(values).view_as(mask))
    return mask


# %% tags=["wrong:shuffle"] says="a bool mask, same shape"
def shuffle(mask, seed):
    order = torch.randperm(mask.numel(), generator=torch.Generator().manual_seed(seed))
    return mask.flatten()[order]


# %% tags=["wrong:shuffle"] says="exactly as many"
def shuffle(mask, seed):
    noise = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed))
    return noise < mask.float().mean()


# %% tags=["wrong:shuffle"] says="at other places"
def shuffle(mask, seed):
    new = mask.clone()
    np.random.default_rng(seed).permutation(new.flatten())
    return new


# %% tags=["wrong:shuffle"] says="not whole rows"
def shuffle(mask, seed):
    return mask[torch.randperm(len(mask), generator=torch.Generator().manual_seed(seed))]


# %% tags=["wrong:shuffle"] says="not whole rows or columns"
def shuffle(mask, seed):
    turned = torch.zeros_like(mask)
    per_row = int(mask.sum()) // mask.shape[0]
    generator = torch.Generator().manual_seed(seed)
    turned[:, torch.randperm(mask.shape[1], generator=generator)[: per_row + 1]] = True
    extra = int(turned.sum() - mask.sum())
    turned[:extra, turned[0].nonzero()[0]] = False
    turned[:, 0] = turned[:, 0].all()
    rest = int(mask.sum() - turned.sum())
    free = (~turned).float()
    free[:, 0] = 0
    turned.view(-1)[free.flatten().nonzero().flatten()[:rest]] = True
    return turned


# %% tags=["wrong:shuffle"] says="the same for the same seed"
def shuffle(mask, seed):
    return mask.flatten()[torch.randperm(mask.numel())].view_as(mask)


# %% tags=["wrong:shuffle"] says="another seed, another mask" hidden=true
def shuffle(mask, seed):
    order = torch.randperm(mask.numel(), generator=torch.Generator().manual_seed(0))
    return mask.flatten()[order].view_as(mask)


# %% tags=["wrong:shuffle"] says="as likely as any other" hidden=true
def shuffle(mask, seed):
    half = torch.randperm(mask.numel() // 2, generator=torch.Generator().manual_seed(seed))
    new = torch.zeros(mask.numel(), dtype=torch.bool)
    new[half[: int(mask.sum())]] = True
    return new.view_as(mask)


# %% tags=["right:paired"]
def paired_interval(ticket, control):
    return tuple(stats.ttest_rel(ticket, control).confidence_interval(0.95))


# %% tags=["right:paired"]
def paired_interval(ticket, control):
    difference = [a - b for a, b in zip(ticket, control)]
    n, mean = len(difference), sum(difference) / len(difference)
    deviation = (sum((d - mean) ** 2 for d in difference) / (n - 1)) ** 0.5
    half = stats.t.ppf(0.975, n - 1) * deviation / n**0.5
    return [mean - half, mean + half]


# %% tags=["right:paired"]
def paired_interval(ticket, control):
    d = torch.tensor(ticket, dtype=torch.float64) - torch.tensor(control, dtype=torch.float64)
    return stats.t.interval(0.95, len(d) - 1, loc=d.mean(), scale=stats.sem(d))


# %% tags=["wrong:paired"] says="ticket - control"
def paired_interval(ticket, control):
    d = np.asarray(control) - np.asarray(ticket)
    half = stats.t.ppf(0.975, len(d) - 1) * stats.sem(d)
    return d.mean() - half, d.mean() + half


# %% tags=["wrong:paired"] says="take differences first"
def paired_interval(ticket, control):
    ticket, control = np.asarray(ticket), np.asarray(control)
    half = stats.t.ppf(0.975, len(ticket) - 1) * np.hypot(stats.sem(ticket), stats.sem(control))
    mean = ticket.mean() - control.mean()
    return mean - half, mean + half


# %% tags=["wrong:paired"] says="97.5 %" hidden=true
def paired_interval(ticket, control):
    d = np.asarray(ticket) - np.asarray(control)
    half = 1.96 * stats.sem(d)
    return d.mean() - half, d.mean() + half


# %% tags=["right:pair"]
PAIR = ["signs kept", "reinitialised"]
if "sizes" in QUESTION:
    PAIR[1] = "ticket"
if "which" in QUESTION:
    PAIR = ["shuffled", "reinitialised"]

# %% tags=["right:pair"]
PAIR = {
    "which weights are kept": {"shuffled", "reinitialised"},
    "the sizes of the kept weights": {"signs kept", "ticket"},
    "the signs of the kept weights": {"signs kept", "reinitialised"},
}[QUESTION]

# %% tags=["right:pair"]
PAIR = ("ticket", "signs kept") if "sizes" in QUESTION else ("reinitialised", "signs kept")
PAIR = ("reinitialised", "shuffled") if "which" in QUESTION else PAIR

# %% tags=["wrong:pair"] says="two different names"
PAIR = ("ticket", "dense")

# %% tags=["wrong:pair"] says="differ in one column alone" hidden=true
PAIR = ("ticket", "reinitialised")

# %% tags=["wrong:pair"] says="differ in one column alone" hidden=true
PAIR = ("ticket", "shuffled")
