# %% [markdown]
# # On trial: the mask, the values, their signs, their scale
#
# A [ticket](glossary.md#ticket) is a [mask](glossary.md#mask) *and* the values under
# it. Which of them makes it win? You take a ticket apart, with seven
# [controls](glossary.md#control) that each keep a part of it. At the end you meet two
# well-known mistakes in code for this experiment, and find them by their results.
#
# **After this notebook you can**
# - say what each control keeps of a ticket, and which *pair* of controls isolates one thing;
# - write a control yourself;
# - read a verdict from paired intervals, at a [density](glossary.md#density) where there is something to
#   explain;
# - catch two well-known bugs of lottery ticket code.
#
# **You need** notebook 03.
#
# **Time**: {time}

# %%
from importlib.resources import files

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch.nn import functional as F

import lthlab
from lthlab import build_model, drawings, load_dataset, plots, recipe_for
from lthlab.widgets import bets

torch.set_num_threads(1)  # one core here; the repeats below use the others
plots.use_style()
NETWORK, dataset = "mlp-100-100-100", load_dataset("mnist1d")
recipe = recipe_for(NETWORK, dataset)
FEW, FEWER = 8, 12  # levels: where the ticket still matches, and where it has lost

# %% [markdown]
# ## 1. The scene
#
# On `fashion-mini` new values cost the ticket little (notebook 03). To take an effect apart, you want it large. So the
# trial is held on `mnist1d`: signals of 40 numbers, ten classes, each a little template that was stretched, shifted and
# covered with noise. The network has three *hidden layers* of 100 neurons (all but the
# last layer are called so). At [level](glossary.md#level) 8, with 17.8 % of its
# [weights](glossary.md#weight), the ticket still does as well as the
# [dense](glossary.md#dense) network.
#
# We find one and look at how far from zero its survivors began:


# %%
def size(values):
    """How far from zero: the root mean square."""
    return float(values.square().mean().sqrt())


network = build_model(NETWORK, dataset, seed=10)
ticket = lthlab.find_ticket(network, dataset, recipe, levels=FEWER, seed=10)
initial, kept = ticket.start.model, ticket.levels[FEW].masks
print(f"with {lthlab.density(kept):.1%} of the weights:")
for name, mask in kept.items():
    times = size(initial[name][mask]) / size(initial[name])
    print(f"    {name:10s} survivors began {times:.1f} times as far from zero as all")

# %% [markdown]
# The survivors were large from the start, so their scale may matter, too. That makes
# four things that a ticket carries: a **mask**, the **signs** of its values, their
# **scale** (how far they are from zero in general), and the very **value** in each
# place.
#
# We take eight survivors of the second layer; the table below shows them. Write the
# control that keeps every sign and lets only the sizes change places.
#
# <details><summary>The line</summary>
#
# `return values.sign() * values[order].abs()`
# </details>


# %%
def permuted_sizes(values, order):
    """Weight i keeps its own sign and gets the size of weight order[i]."""
    return ...  # your line; values.sign(), values.abs() and values[order] may help


eight = initial["fc2.weight"][kept["fc2.weight"]][:8]
order = torch.tensor([3, 0, 5, 1, 7, 2, 4, 6])
ours = eight.sign() * eight[order].abs()
answer = permuted_sizes(eight, order)
if answer is ...:
    print("Not written yet: your line goes where the three dots are.")
elif torch.equal(answer, ours):
    print("Right: signs stay, sizes move.")
elif torch.equal(answer, eight[order]):
    print("Not yet: the signs have moved along with the sizes.")
else:
    print("Not yet: every sign stays, and weight i has the size of weight order[i].")

# %%
redrawn = build_model(NETWORK, dataset, seed=11).fc2.weight.detach()
new = redrawn[kept["fc2.weight"]][:8]
rows = {
    "ticket": eight,
    "permuted sizes": ours,
    "signs": eight.sign() * initial["fc2.weight"].std(),
    "permuted": eight[order],
    "reinitialised to scale": new * size(eight) / size(new),
    "reinitialised": new,
}
by_hand = pd.DataFrame({arm: row.tolist() for arm, row in rows.items()}).T
by_hand.style.format("{:+.2f}").background_gradient(
    "vlag_r", axis=None, vmin=-0.5, vmax=0.5
)

# %% [markdown]
# Blue is positive, red negative. Each row is an [arm](glossary.md#arm), one thing to
# train:
#
# - *permuted sizes*: the sizes change places, every sign stays;
# - *signs*: every sign stays, all sizes become the same;
# - *permuted*: the values change places and take their signs along;
# - *[reinitialised](glossary.md#reinitialised) to scale*: new values, stretched to be as
#   far from zero as the ticket's;
# - *reinitialised*: new values as they are drawn.
#
# In two more arms other weights survive, with their own first values.
# *[Shuffled](glossary.md#shuffled)* mixes up the ticket's mask within each layer. *Random* removes weights by chance, as many in
# each layer. Here is what each arm keeps of the ticket:

# %%
SHARING = ["permuted sizes", "signs", "permuted"]
CONTROLS = [*SHARING, "reinitialised to scale", "reinitialised", "shuffled", "random"]
plots.show(drawings.arms(["ticket", *CONTROLS]))
cost = [
    "the sizes in their places",
    "the signs in their places",
    "the scale",
    "the mask",
]
bets.pick("04-parts", "At 17.8 % of the weights it costs most to give up", cost)

# %% [markdown]
# *Reinitialised*, the first paper's control, gives up three things at once, so alone it
# cannot say which of them mattered. A **pair of arms** can, if the two differ in one thing:
#
# | what it is worth | the arm with it | the arm without it |
# |---|---|---|
# | each size in its own place | ticket | permuted sizes |
# | each sign in its own place | permuted sizes | permuted |
# | these values and no others | permuted | reinitialised to scale |
# | their scale | reinitialised to scale | reinitialised |
# | the mask | reinitialised | shuffled |
# | how many weights each layer keeps | random | uniform random |
#
# *Uniform random* removes weights by chance as well, but keeps the same share of every
# layer. *Shuffled* keeps first values, but to its mask they are as new as freshly drawn
# ones. So it differs from *reinitialised* in the mask alone.
#
# ## 2. One call
#
# `run_experiment` trains arms x levels x [seeds](glossary.md#seed) on all cores and returns one table.

# %%
arms = ["dense", "ticket", *CONTROLS, "uniform random"]
table = lthlab.run_experiment(
    NETWORK, "mnist1d", arms=arms, seeds=range(10, 13), levels=FEW, control_levels=[FEW]
)
mine = table.query("split == 'test' and level in (0, @FEW)")  # one look, at the end
mine = 100 * mine.pivot(index="seed", columns="arm", values="value")[arms]
print("test accuracy of your three seeds, mean in percent:")
print(mine.mean().map("{:.1f}".format).to_string())

# %% [markdown]
# Two groups, and a wide gap between them. Three seeds show it, but they do not make a verdict.
#
# ## 3. The verdict
#
# Here is each pair, from the reference tables with ten seeds: `mnist1d` on the left,
# `fashion-mini` on the right. Your seeds are the crosses. (Four cells compute and draw
# this. The picture is under the last.)

# %%
PAIRS = {
    "(dense minus the ticket)": ("dense", "ticket"),
    "sizes in their places": ("ticket", "permuted sizes"),
    "signs in their places": ("permuted sizes", "permuted"),
    "these values, no others": ("permuted", "reinitialised to scale"),
    "the scale": ("reinitialised to scale", "reinitialised"),
    "the mask": ("reinitialised", "shuffled"),
    "how much each layer keeps": ("random", "uniform random"),
}


def at_the_end(name):
    """Test accuracy of a reference table; several draws of one mask count as one."""
    table = pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))
    rows = table.query("split == 'test' and metric == 'accuracy'")
    arm = rows["arm"].str.replace(r", draw \d", "", regex=True)
    runs = rows.assign(arm=arm).groupby(["arm", "level", "density", "seed"])
    return runs["value"].mean().reset_index()


# %%
def draw_worth(ax, gaps):
    """Intervals of paired differences, filled where zero is outside; as words, too."""
    words = []
    for row, gap in enumerate(gaps.values()):
        low, mean, high = (100 * value for value in (gap.low, gap.mean, gap.high))
        fill = "full" if low > 0 or high < 0 else "none"
        ax.plot([low, high], [row, row], color="#0173b2", linewidth=2)
        ax.plot(mean, row, "o", color="#0173b2", markersize=9, fillstyle=fill)
        words.append(f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]")
        ax.text(1.03, row, words[-1], transform=ax.get_yaxis_transform(), va="center")
    ax.axvline(0, color="0.4", linewidth=1)
    ax.set_yticks(range(len(gaps)), gaps)
    ax.set(xlabel="points of test accuracy", ylim=(len(gaps) - 0.4, -0.6))
    return "; ".join(f"{thing} {word}" for thing, word in zip(gaps, words, strict=True))


# %%
def worth(name, level):
    """What each thing is worth at a level, and the density there."""
    rows, race = at_the_end(name), at_the_end(f"race-{name}")
    found = {}
    for thing, pair in PAIRS.items():
        table = race if "random" in pair else rows
        found[thing] = lthlab.paired(table[table["level"].isin([0, level])], *pair)
    return found, rows[rows["level"] == level]["density"].min()


def draw_both(places, said=""):
    """One panel for each data set; the axes, and all of it in words."""
    axes = plt.subplots(1, 2, figsize=(12, 4), sharey=True)[1]
    for ax, (name, level) in zip(axes, places.items(), strict=True):
        gaps, density = worth(name, level)
        ax.set_title(f"{name}, {density:.1%} of the weights")
        said += f" {ax.get_title()}: {draw_worth(ax, gaps)}."
    plt.tight_layout()
    return axes, f"What each thing is worth, in points of test accuracy.{said}"


# %%
axes, said = draw_both({"mnist1d": FEW, "fashion-mini": 15})
for row, (one, other) in enumerate(PAIRS.values()):
    axes[0].plot(mine[one] - mine[other], [row + 0.25] * 3, "x", color="black")
plots.show(said)

case = [gap.mean for gap in worth("mnist1d", FEW)[0].values()]
given_up = dict(zip((case[row] for row in (1, 2, 4, 5)), cost, strict=True))
bets.reveal("04-parts", given_up[max(given_up)])

# %% [markdown]
# *Lines: 95 % [intervals](glossary.md#confidence-interval) of the [paired difference](glossary.md#paired-difference) in
# test [accuracy](glossary.md#accuracy), ten seeds; a filled dot means that zero lies outside. Crosses: your three seeds,
# which are not among the ten.
# Mind the two scales. The [test set](glossary.md#test-set) was looked at once, after each training.*
#
# Line by line, from the top:
#
# - *Dense minus the ticket*: the interval holds zero. The ticket keeps up, so there is
#   something to explain.
# - *Sizes in their places*: little. Which size sits where hardly matters, as long as
#   every sign stays.
# - *Signs in their places*: by far the most. *Permuted* keeps the mask and all the
#   values, but puts them in other places.
# - *These values, no others*: the interval holds zero. Once out of place, the ticket's
#   values are not seen to be better than others of the same scale.
# - *The scale*: a few points. The first paper's control loses these, too.
# - *The mask*: a few points of its own, even on values that it was not found with.
# - *How much each layer keeps*: no difference is seen.
#
# So is it the mask or the values? Here it is **the mask with its signs**. Together they keep nearly everything. "The
# values decide", as notebook 03 had it, was too coarse. (Zhou et al. 2019 found this first.)
#
# On the right the ticket is ahead of the dense network. Signs are again worth something, and so is the mask, but each
# about a point or less: there is little to lose. The largest single effect there is how much each layer keeps. A verdict
# holds for its data and its density.
#
# ## 4. If the code were wrong
#
# Three pieces of code say "prune to 8 %, rewind, train". One is right. Each of the
# others holds a well-known mistake:
#
# - **freeze by `weight < 1e-6`**: to keep zeros at zero, the [gradient](glossary.md#gradient) is set to zero wherever
#   `weight < 1e-6`. It should have been `abs(weight)`;
# - **mask once**: the mask is applied after rewinding and never again.

# %%
kinds = ["freeze by weight < 1e-6", "the right one", "mask once"]
bets.pick("04-bug", "The most accurate of the three", kinds)

# %%
from lthlab.batches import example_order
from lthlab.steps import make_optimizer

masks, start = ticket.masks, ticket.start  # of section 1, its last level


def train_wrongly(after_backward=None, after_step=None):
    """The loop, with two places for mistakes; `yield` hands out what it knows."""
    net = lthlab.rewind(build_model(NETWORK, dataset, seed=10), start, masks)
    optimizer, total = make_optimizer(net.parameters(), recipe), recipe.steps(dataset)
    for step in range(total):
        if step % 80 == 0:  # a new epoch
            batches = example_order(dataset, 10, epoch=step // 80).split(100)
            yield lthlab.evaluate(net, dataset.validation)["accuracy"], net
        x, y = (part[batches[step % 80]] for part in (dataset.train.x, dataset.train.y))
        optimizer.param_groups[0]["lr"] = recipe.lr_at(step, total)
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        if after_backward:
            after_backward(net)
        optimizer.step()
        if after_step:
            after_step(net)
    yield lthlab.evaluate(net, dataset.validation)["accuracy"], net


# %%
def freeze_small(net):
    for weight in net.parameters():
        weight.grad[weight < 1e-6] = 0  # no abs(): negative weights are frozen, too


suspects = {
    "A": [*train_wrongly(after_backward=freeze_small)],
    "B": [*train_wrongly(after_step=lambda net: lthlab.apply_masks_(net, masks))],
    "C": [*train_wrongly()],
}
figure, ax = plt.subplots()
for (name, epochs), look in zip(suspects.items(), ("-", "--", ":"), strict=True):
    ax.plot([100 * accuracy for accuracy, _ in epochs], look, label=name)
ax.set(xlabel="epoch", ylabel="validation accuracy (%)", title="one right, two wrong")
ax.set_xticks(range(0, 21, 5))
ax.legend()
right = {name: epochs[-1][0] for name, epochs in suspects.items()}
ends = ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in right.items())
plots.show(f"Validation accuracy by epoch of A, B and C. At the end: {ends}.")

# %% [markdown]
# *One run each (n = 1 seed).* Decide which is which before you run the next cell. Hint:
# what would make a sparse network suddenly as good as a dense one?

# %%
first = start.model["fc1.weight"]
negative = masks["fc1.weight"] & (first < 0)
for name, epochs in suspects.items():
    net = epochs[-1][1]
    weights = {key: w != 0 for key, w in lthlab.prunable_weights(net).items()}
    moved = (net.fc1.weight[negative] != first[negative]).float().mean()
    nonzero = f"nonzero weights {lthlab.density(weights):.1%}"
    print(f"{name}: {nonzero}, negative weights that moved {moved:.0%}")
bets.reveal("04-bug", dict(zip("ABC", kinds, strict=True))[max(right, key=right.get)])

# %% [markdown]
# - **C** is *mask once*. Most of its weights are nonzero: after the first
#   [step](glossary.md#step) it is nearly a dense network again. It looks like a
#   wonderful ticket. So count the zeros *after* training.
# - **A** is *freeze by `weight < 1e-6`*. None of its negative weights ever moved. It
#   looks like a ticket that does not win. Its accuracy alone cannot tell you whether
#   the code is to blame or the hypothesis. (This mistake was in widely used PyTorch
#   code for the paper.)
# - **B** is right: as many weights are nonzero as the mask keeps, and the negative ones
#   moved. (We looked at those of the first layer.)
#
# Two checks catch both: count the nonzero weights, and see that the kept ones have
# moved. Run them before you believe a result, above all one that you like.

# %%
plots.show(drawings.board(4))

# %% [markdown]
# *The board after notebook 04.* On `mnist1d` **the mask**, **their signs** and **their
# scale** are charged, and **layer densities** are struck off. A row is shaded, or its
# name struck through, by its first line alone, that of the signals. On clothes the
# layer densities stay undecided. **The values** are asked
# a narrower question than in notebook 03: what is each size in its own place worth,
# once the signs are there? (Board and section 3 take the mean of three draws of new
# values for each mask.)
#
# ## 5. Your turn
#
# 1. On the [exercise sheet](exercises/04_random_reinit_controls.py): write *shuffled*
#    and the paired interval, name the pair that isolates one thing, reach a verdict,
#    and catch two bugs.
# 2. Is a ticket's sign pattern enough to rebuild it? You draw new *sizes* and keep the signs. Which of the arms should
#    you compare that with?
#
# <details><summary>Answer to 2</summary>
#
# Compare it with *permuted sizes*, whose sizes are the ticket's, so larger and spread
# in another way. And compare it with *signs*, which has about the same scale but no
# spread of sizes.
# </details>

# %% [markdown]
# ## Take away
#
# - A ticket carries a mask, signs, a scale and exact values. Most controls give up several at once; *pairs* of arms
#   give up one.
# - On `mnist1d`, with 17.8 % of the weights, the mask and its signs keep nearly
#   everything.
# - On `fashion-mini`, with 3.6 % of the weights, mask and signs are worth about a point
#   or less each, and new values are nearly as good. At about one percent the mask is
#   worth several points.
# - A bug can look like a bad ticket or like a wonderful one. Count zeros after training; check that the rest moved.
#
# **Practise**: the [exercise sheet](exercises/04_random_reinit_controls.py). **Next**:
# here the first values were good enough. On larger networks they can fail. [Notebook
# 05](05_rewinding.ipynb) reopens the case.

# %% [markdown] tags=["deep"]
# ## Deep dives
#
# The rest is for a second evening, and reads the reference tables: ten seeds, more densities. They were made by
# `python benchmarks/reference.py mnist1d fashion-mini`.
#
# ## 6. Other densities


# %% tags=["deep"]
figure, axes = plt.subplots(1, 2, figsize=(13, 5))
shown = ["ticket", *CONTROLS]
for ax, name in zip(axes, ("mnist1d", "fashion-mini"), strict=True):
    rows = at_the_end(name)
    drawn = rows[rows["arm"].isin(shown)]
    drawn = drawn.sort_values("arm", key=lambda names: names.map(shown.index))
    plots.accuracy_by_density(drawn, ax=ax, legend=ax is axes[0])
    dense = rows.query("arm == 'dense'")["value"].mean()
    ax.axhline(dense, color=plots.arm_color("dense"), linestyle=(0, (4, 1.5)))
    ax.set(title=f"{name} (dense: horizontal)", ylabel="test accuracy")
figure.tight_layout()
plots.show(
    "Test accuracy of the ticket and its controls against the weights kept. On mnist1d "
    "the arms with the ticket's signs stay high and the others fall off early; on "
    "fashion-mini all lie together until a few percent are left."
)

# %% [markdown] tags=["deep"]
# *Mean and 95 % interval, n = 10.* Now the verdict once more, at lower densities:

# %% tags=["deep"]
axes, said = draw_both({"mnist1d": FEWER, "fashion-mini": 20})
plots.show(said)

# %% [markdown] tags=["deep"]
# *Paired differences of test accuracy, n = 10.* On the left the ticket itself has lost
# several points. Signs are still the largest step and the mask the next, and sizes
# count for more than they did. On the right the mask has gained, and *how much each
# layer keeps* is worth tens of points. (Where every layer keeps the same share, the
# small output layer is left with about a dozen weights. Whether that is the reason was
# not tested.)
#
# ## 7. Speed
#
# The papers measure speed by the step at which the validation [loss](glossary.md#loss) is lowest.

# %% tags=["deep"]
losses = pd.read_csv(files("lthlab").joinpath("assets/reference/mnist1d.csv"))
losses = losses.query("split == 'validation' and metric == 'loss'")
lowest = losses.loc[losses.groupby(["arm", "level", "seed"])["value"].idxmin()]
lowest = lowest.assign(value=lowest["step"])
figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
for ax, level in zip(axes, (FEW, FEWER), strict=True):
    rows = lowest[lowest["level"].isin([0, level])]
    for row, arm in enumerate(shown):
        gap, color = lthlab.paired(rows, arm, "dense"), plots.arm_color(arm)
        ax.plot([gap.low, gap.high], [row, row], color=color, linewidth=2)
        ax.plot(gap.mean, row, "o", color=color)
    ax.axvline(0, color=plots.arm_color("dense"))
    density = rows.query("arm == 'ticket'")["density"].min()
    ax.set(xlabel="steps later than dense", title=f"{density:.1%} of the weights")
axes[0].set_yticks(range(len(shown)), shown)
axes[0].invert_yaxis()
last = lowest.query("level == @FEW and step == @losses['step'].max()")
print("lowest at the very last step, of ten:", last.groupby("arm").size().to_dict())
plots.show(
    "Steps to the lowest validation loss minus those of dense. At the higher density "
    "the ticket is earlier and the arms without its signs are later; at the lower "
    "density all arms are later."
)

# %% [markdown] tags=["deep"]
# *Paired, mean and 95 % interval, n = 10 (one draw of new values). A training whose
# loss is lowest at its very last step might have gone lower, so its number is too
# small. The printed line counts these for the left panel, and for two more draws of
# new values that are not drawn.*
#
# At the higher density the ticket is earlier than the dense network, and the arms that
# give up signs or mask are later. At the lower density the ticket is later as well.
# Whoever says that tickets learn faster has to name the density.
#
# ## 8. A sentence of the article
#
# Jonathan Frankle's article *Do Neural Networks Really Need to Be So Big?* says that
# with *new random values* the same sparse network can no longer train successfully. We
# take that to mean: not as well as the dense network.

# %% tags=["article-10", "deep"]
figure, axes = plt.subplots(1, 2, figsize=(11, 3.8))
for ax, name in zip(axes, ("mnist1d", "fashion-mini"), strict=True):
    rows = at_the_end(name)
    levels = rows.query("arm == 'reinitialised'").groupby("level")["density"].first()
    print(f"{name}: reinitialised minus dense, points of test accuracy")
    for level, kept in levels.items():
        both = rows[rows["level"].isin([0, level])]
        gap = lthlab.paired(both, "reinitialised", "dense")
        word = "worse" if gap.high < 0 else "better" if gap.low > 0 else "neither seen"
        print(f"    {kept:5.1%} of the weights  {gap.points():28s} {word}")
        half = 100 * (gap.high - gap.mean)
        look = {"color": plots.arm_color("reinitialised"), "fmt": "o", "capsize": 3}
        ax.errorbar(kept, 100 * gap.mean, half, **look)
    ax.axhline(0, color=plots.arm_color("dense"), linestyle=(0, (4, 1.5)))
    plots.density_axis(ax, levels)
    ax.set(title=name, ylabel="points, minus dense")
figure.tight_layout()
plots.show(
    "Reinitialised minus dense against the weights kept: far below zero on mnist1d at "
    "every density, above zero on fashion-mini until few weights are left."
)

# %% [markdown] tags=["deep"]
# *Test accuracy at the end, paired, mean and 95 % interval, n = 10; three draws of new values for each mask, whose mean
# counts as one result. Mind the scales: tens of points on the left, a few on the right.*
#
# On `mnist1d` the sentence holds at every density. On `fashion-mini` it does not: with
# a tenth of the weights or more the network with new values ends *above* the dense one
# (over other seeds; over other test images, too, only with a fifth or more),
# and the whole interval is below zero only at about one percent and less. Whether the
# sentence is true depends on the network, the data and the density, and a reader has to
# be told which.
#
# ## 9. More to try
#
# 1. Add an arm: **constant**, the ticket's masks with *all* kept values equal to one positive constant per layer. Copy
#    the function `signs` from `lthlab/controls.py`, change its name and one expression, write
#    `past.of("ticket")[past.level].masks` for `_ticket(past)`, and put `@lthlab.arm("constant", needs=("ticket",))`
#    above it, in place of `@checked`. It needs `Start` from `lthlab`, `Past` from
#    `lthlab.levels` and `replace` from `dataclasses`. Then run the call of section 2
#    with it. Bet first.
# 2. Shuffle the mask *across* layers instead of within. Which layer would suffer, and why is that a worse control?
#
# <details><summary>Answers</summary>
#
# 1. Replace `.sign() * ....std()` by `torch.ones_like(...) * ....std()`. All neurons of a layer that see the same inputs
#    then begin alike, and the signs have to be learnt: expect it at or below *reinitialised*.
# 2. The small output layer: spread evenly, it would keep no more than the rest. It changes one thing more than
#    *shuffled* does, the number per layer, so you could say even less which one mattered.
# </details>

# %% [markdown] tags=["deep"]
# **Sources**: J. Frankle, *Do Neural Networks Really Need to Be So Big?* J. Frankle and M. Carbin, ICLR 2019. H. Zhou,
# J. Lan, R. Liu and J. Yosinski, *Deconstructing Lottery Tickets: Zeros, Signs, and the Supermask*, NeurIPS 2019. J.
# Frankle, G. Dziugaite, D. Roy and M. Carbin, *Pruning Neural Networks at Initialization: Why Are We Missing the
# Mark?*, ICLR 2021. S. Greydanus and D. Kobak, *Scaling Down Deep Learning with MNIST-1D*, ICML 2024.
