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


# %% tags=["wrong:shuffle"] says="of the same shape"
def shuffle(mask, seed):
    order = torch.randperm(mask.numel(), generator=torch.Generator().manual_seed(seed))
    return mask.flatten()[order]


# %% tags=["wrong:shuffle"] says="as many weights as the given mask"
def shuffle(mask, seed):
    noise = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed))
    return noise < mask.float().mean()


# %% tags=["wrong:shuffle"] says="the mask is the old one"
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


# %% tags=["wrong:shuffle"] says="must give another mask" hidden=true
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
PAIR = ["own signs, new sizes", "reinitialised"]
if "sizes" in QUESTION:
    PAIR[1] = "ticket"
if "which" in QUESTION:
    PAIR = ["shuffled", "reinitialised"]

# %% tags=["right:pair"]
PAIR = {
    "which weights are kept": {"shuffled", "reinitialised"},
    "the sizes of the kept weights": {"own signs, new sizes", "ticket"},
    "the signs of the kept weights": {"own signs, new sizes", "reinitialised"},
}[QUESTION]

# %% tags=["right:pair"]
PAIR = (
    ("ticket", "own signs, new sizes")
    if "sizes" in QUESTION
    else ("reinitialised", "own signs, new sizes")
)
PAIR = ("reinitialised", "shuffled") if "which" in QUESTION else PAIR

# %% tags=["wrong:pair"] says="two different names"
PAIR = ("ticket", "dense")

# %% tags=["wrong:pair"] says="differ in one column alone" hidden=true
PAIR = ("ticket", "reinitialised")

# %% tags=["wrong:pair"] says="differ in one column alone" hidden=true
PAIR = ("ticket", "shuffled")


# %% tags=["right:charged"]
KEEPS_UP = place != ("mnist1d", 12)
CHARGED = {
    ("mnist1d", 8): ["signs", "scale", "mask"],
    ("mnist1d", 12): ["sizes", "signs", "scale", "mask"],
    ("fashion-mini", 15): [],
    ("fashion-mini", 20): ["mask"],
}[place]

# %% tags=["right:charged"]
gap = lthlab.paired(rows, "ticket", "dense")
KEEPS_UP = "yes" if 100 * gap.low > -1 else ""
KEEPS_UP = bool(KEEPS_UP)
CHARGED = ()
for thing in PAIRS:
    if 100 * lthlab.paired(rows, *PAIRS[thing]).low > 1:
        CHARGED += (thing,)

# %% tags=["right:charged"]
wide = 100 * rows.pivot(index="seed", columns="arm", values="value")


def low(one, other):
    d = wide[one] - wide[other]
    return d.mean() - stats.t.ppf(0.975, len(d) - 1) * stats.sem(d)


KEEPS_UP = np.bool_(low("ticket", "dense") >= -1)
CHARGED = {thing: 1 for thing, pair in PAIRS.items() if low(*pair) >= 1}

# %% tags=["wrong:charged"] says="True or False"
KEEPS_UP, CHARGED = "yes", set()

# %% tags=["wrong:charged"] says="names from the list"
KEEPS_UP, CHARGED = True, {"values"}

# %% tags=["wrong:charged"] says="lie above -1 point" hidden=true
KEEPS_UP = lthlab.paired(rows, "ticket", "dense").low <= -0.01
CHARGED = {t for t, pair in PAIRS.items() if lthlab.paired(rows, *pair).low > 0.01}

# %% tags=["wrong:charged"] says="may add less than a point" hidden=true student="ada"
KEEPS_UP = lthlab.paired(rows, "ticket", "dense").low > -0.01
CHARGED = {t for t, pair in PAIRS.items() if lthlab.paired(rows, *pair).low > 0}

# %% tags=["wrong:charged"] says="one thing is missing" hidden=true student="ada"
KEEPS_UP = lthlab.paired(rows, "ticket", "dense").low > -0.01
CHARGED = {"signs"}


# %% tags=["right:bugs"]
def what_is_wrong(first, trained, mask):
    if trained[torch.logical_not(mask)].abs().max() > 0:
        return "regrown"
    kept, still = int(mask.sum()), int(((trained == first) & mask).sum())
    return "right" if still <= kept / 10 else "frozen"


# %% tags=["right:bugs"]
def what_is_wrong(first, trained, mask):
    pairs = list(zip(first.flatten().tolist(), trained.flatten().tolist(), mask.flatten().tolist()))
    if any(new for _, new, kept in pairs if not kept):
        return "regrown"
    moved = [old != new for old, new, kept in pairs if kept]
    return "frozen" if sum(moved) < 0.9 * len(moved) else "right"


# %% tags=["right:bugs"]
def what_is_wrong(first, trained, mask):
    answer = "right"
    if np.mean((first[mask] - trained[mask]).numpy() == 0) > 0.1:
        answer = "frozen"
    if not torch.equal(trained * mask, trained):
        answer = "regrown"
    return answer


# %% tags=["wrong:bugs"] says="nothing is wrong"
def what_is_wrong(first, trained, mask):
    if (trained[~mask] != 0).any():
        return "regrown"
    return "frozen" if (trained == first).float().mean() > 0.1 else "right"


# %% tags=["wrong:bugs"] says="not zero, on either side"
def what_is_wrong(first, trained, mask):
    if (trained[~mask] > 1e-6).any():
        return "regrown"
    return "frozen" if (trained[mask] == first[mask]).float().mean() > 0.1 else "right"


# %% tags=["wrong:bugs"] says="no negative weight has moved"
def what_is_wrong(first, trained, mask):
    if (trained[~mask] != 0).any():
        return "regrown"
    return "frozen" if torch.equal(trained, first) else "right"


# %% tags=["wrong:bugs"] says="one of twenty may stand still" hidden=true
def what_is_wrong(first, trained, mask):
    if (trained[~mask] != 0).any():
        return "regrown"
    return "frozen" if (trained[mask] == first[mask]).any() else "right"


# %% tags=["wrong:bugs"] says="a single one is enough" hidden=true
def what_is_wrong(first, trained, mask):
    if (trained[~mask] != 0).float().mean() > 0.1:
        return "regrown"
    return "frozen" if (trained[mask] == first[mask]).float().mean() > 0.1 else "right"
