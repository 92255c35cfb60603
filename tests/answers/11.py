# %% tags=["right:flips"]
def flip_range(one, other):
    most = one + other if one + other <= 1 else (1 - one) + (1 - other)
    return max(one, other) - min(one, other), most


# %% tags=["right:flips"]
def flip_range(one, other):
    both_most = min(one, other)
    both_least = max(0, one + other - 1)
    return [one + other - 2 * both_most, one + other - 2 * both_least]


# %% tags=["right:flips"]
def flip_range(one, other):
    n = 1000
    a, b = round(one * n), round(other * n)
    right = torch.arange(n)
    low = ((right < a) != (right < b)).double().mean()
    high = ((right < a) != (right >= n - b)).double().mean()
    return low, high


# %% tags=["wrong:flips"] says="both can be right on the same"
def flip_range(one, other):
    return one * (1 - other) + other * (1 - one), 2 - one - other


# %% tags=["wrong:flips"] says="a tenth of its own"
def flip_range(one, other):
    return abs(one - other), 1 - min(one, other)


# %% tags=["wrong:flips"] says="needs at least as many flips"
def flip_range(one, other):
    return 0, 2 - one - other


# %% tags=["wrong:flips"] says="wrong in one of the two alone" hidden=true
def flip_range(one, other):
    return abs(one - other), 2 * (1 - max(one, other))


# %% tags=["wrong:flips"] says="two poor networks" hidden=true
def flip_range(one, other):
    return abs(one - other), min(1, 2 - one - other)


# %% tags=["right:rise"]
def rise(errors):
    import numpy as np

    return float((np.array(errors) - np.linspace(errors[0], errors[-1], len(errors))).max())


# %% tags=["right:rise"]
def rise(errors):
    e = torch.tensor(errors, dtype=torch.float64)
    return (e - torch.linspace(float(e[0]), float(e[-1]), len(e)).double()).clamp(min=0).max()


# %% tags=["right:rise"]
def rise(errors):
    highest = 0.0
    for i, error in enumerate(errors):
        alpha = i / (len(errors) - 1)
        highest = max(highest, error - (1 - alpha) * errors[0] - alpha * errors[-1])
    return highest


# %% tags=["wrong:rise"] says="above the line at 0.2"
def rise(errors):
    return max(errors)


# %% tags=["wrong:rise"] says="along a straight slope"
def rise(errors):
    return max(errors) - (errors[0] + errors[-1]) / 2


# %% tags=["wrong:rise"] says="in a valley"
def rise(errors):
    last = len(errors) - 1
    line = [errors[0] + (errors[-1] - errors[0]) * i / last for i in range(last + 1)]
    return max(abs(e - on_line) for e, on_line in zip(errors, line))


# %% tags=["wrong:rise"] says="with the line *there*" hidden=true
def rise(errors):
    ends = (errors[0] + errors[-1]) / 2
    inside = max(errors[1:-1])
    return max(0.0, inside - ends)


# %% tags=["right:bytes"]
def ticket_bytes(size, kept, bits):
    import math

    return math.ceil(kept * bits / 8) + min(math.ceil(size / 8), 2 * kept)


# %% tags=["right:bytes"]
def ticket_bytes(size, kept, bits):
    values = (kept * bits + 7) // 8
    bitmap = (size + 7) // 8
    return values + (bitmap if bitmap < 2 * kept else 2 * kept)


# %% tags=["right:bytes"]
def ticket_bytes(size, kept, bits):
    values, left = divmod(kept * bits, 8)
    bitmap, rest = divmod(size, 8)
    return values + bool(left) + min(bitmap + bool(rest), kept * 2)


# %% tags=["wrong:bytes"] says="one bit for every place"
def ticket_bytes(size, kept, bits):
    return -(-kept * bits // 8) + 2 * kept


# %% tags=["wrong:bytes"] says="two bytes for each"
def ticket_bytes(size, kept, bits):
    return -(-kept * bits // 8) + -(-size // 8)


# %% tags=["wrong:bytes"] says="9 bits need two bytes"
def ticket_bytes(size, kept, bits):
    return kept * bits // 8 + min(size // 8, 2 * kept)


# %% tags=["wrong:bytes"] says="8 bits are one byte" hidden=true
def ticket_bytes(size, kept, bits):
    per_weight = 4 if bits > 4 else 0.5
    return int(kept * per_weight + 0.5) + min(-(-size // 8), 2 * kept)


# %% tags=["right:rival"]
kept = SIZE * DENSITY
RIVAL = kept + min(SIZE / 8, 2 * kept) / 4

# %% tags=["right:rival"]
RIVAL = round(SIZE * DENSITY * 4 + min(SIZE / 8, 2 * SIZE * DENSITY), -2) / 4

# %% tags=["right:rival"]
RIVAL = 0
while 4 * (RIVAL + 1) <= 4 * SIZE * DENSITY + min(SIZE / 8, 2 * SIZE * DENSITY):
    RIVAL += 1

# %% tags=["wrong:rival"] says="fewer than the network has"
RIVAL = DENSITY

# %% tags=["wrong:rival"] says="then divide by four" hidden=true
RIVAL = SIZE * DENSITY

# %% tags=["wrong:rival"] says="then divide by four" hidden=true
RIVAL = SIZE * DENSITY + SIZE / 8
