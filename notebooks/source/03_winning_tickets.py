# %% [markdown]
# # Winning tickets
#
# [Pruning](glossary.md#pruning) a trained network is easy. Training a pruned network
# from the start used to work badly. In 2019 Jonathan Frankle and Michael Carbin put the
# survivors of pruning back to the values they had *before training*, and the small
# network, a [winning ticket](glossary.md#winning-ticket), trained as well as the large
# one. You read their method in fourteen lines, run it with five
# [seeds](glossary.md#seed), and question two suspects in our case: **luck** and
# **longer training**.
#
# **After this notebook you can**
# - write iterative [magnitude](glossary.md#magnitude) pruning, and say what goes wrong when one word of it is missing;
# - name the four parts of the lottery ticket hypothesis, and design the control for one of them;
# - decide from a paired interval whether a [ticket](glossary.md#ticket) is *matching*.
#
# **You need** notebooks 00 to 02.
#
# **Time**: {time}

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import torch
from joblib import Parallel, delayed

import lthlab
from lthlab import build_model, drawings, find_ticket, plots, widgets
from lthlab.widgets import bets

torch.set_num_threads(1)  # one core here; the five seeds below use the others
plots.use_style()
dataset = lthlab.load_dataset("fashion-mini")
recipe = lthlab.recipe_for("lenet-300-100", dataset)

# %% [markdown]
# ## 1. The claim
#
# > *A randomly-initialized, [dense](glossary.md#dense) neural network contains a subnetwork that is initialized such
# > that, when trained in isolation, it can match the test [accuracy](glossary.md#accuracy) of the original network
# > after training for at most the same number of iterations.* (Frankle & Carbin 2019)
#
# It has four parts, and each can fail:
#
# 1. a **subnetwork**: some of the same [weights](glossary.md#weight), chosen by a [mask](glossary.md#mask);
# 2. **initialized such that**: the *values* it starts from matter;
# 3. it **matches** the whole network;
# 4. it trains for **at most as many iterations** ([steps](glossary.md#step)).
#
# Such a subnetwork is found by iterative magnitude pruning ([IMP](glossary.md#imp)):

# %%
plots.show(drawings.imp_cycle())

# %% [markdown]
# Train. Prune the fifth of the weights that ended nearest to zero. **Rewind**: put the
# survivors back to their first values. Then go round again. Each round is a
# [level](glossary.md#level); level 0 is the dense network.
#
# ## 2. Fourteen lines
#
# Here is the whole method. Three functions are handed in: one makes a network, one
# trains it, one prunes it. `state_dict()` is PyTorch's dict of all values of a network.


# %%
def imp(make_model, train_model, prune_masks, levels, keep=torch.clone):
    """Iterative magnitude pruning with rewinding to the initial values."""
    model = make_model()
    values = model.state_dict().items()
    initial = {name: keep(value) for name, value in values}
    masks = lthlab.full_masks(model)
    found = []
    for _ in range(levels + 1):
        model.load_state_dict(initial)  # rewind
        lthlab.apply_masks_(model, masks)  # the pruned weights are exactly zero
        accuracy = train_model(model, masks)  # they stay zero while it trains
        found.append((lthlab.density(masks), accuracy, masks))
        masks = prune_masks(model, masks)  # looks at the network just trained
    return found


# %% [markdown]
# Let us go down three levels, with one [epoch](glossary.md#epoch) of training on each.
# With level 0 that makes four trainings. The shares are those of the paper: 20 % of the
# remaining weights go at each level, 10 % in the output layer.

# %%
short = replace(recipe, duration="1ep")
shares = {"fc1.weight": 0.2, "fc2.weight": 0.2, "out.weight": 0.1}
parts = {
    "make_model": lambda: build_model("lenet-300-100", dataset, seed=0),
    "train_model": lambda model, masks: lthlab.train(
        model, dataset, short, masks
    ).value(),
    "prune_masks": lambda model, masks: lthlab.prune(
        lthlab.magnitude(model), masks, shares
    ),
}
mine = imp(**parts, levels=3)
for kept, accuracy, _ in mine:
    print(f"{kept:6.1%} of the weights: {accuracy:.1%} right after one epoch")
library = find_ticket(parts["make_model"](), dataset, short, levels=3, seed=0)
same = all(torch.equal(mine[-1][2][name], mask) for name, mask in library.masks.items())
print("find_ticket of lthlab finds the same mask, all 266,200 entries of it:", same)

# %% [markdown]
# Now the trap. `keep=torch.clone` copies the initial values. Suppose the author forgot
# the copy: `initial` is then just a second *name* for the model's weights. What does
# the line marked `rewind` put back then?

# %%
options = ["fall", "stay within a point", "rise by more than a point in all"]
bets.pick("03-clone", "Without the copy, from level 0 to 3, accuracy will", options)

# %%
trap = imp(**parts, levels=3, keep=lambda value: value)  # no copy
print("with the copy:   ", "  ".join(f"{accuracy:.1%}" for _, accuracy, _ in mine))
print("without the copy:", "  ".join(f"{accuracy:.1%}" for _, accuracy, _ in trap))
change = trap[-1][1] - trap[0][1]
bets.reveal("03-clone", options[0 if change < -0.01 else 2 if change > 0.01 else 1])

# %% [markdown]
# Training changes the weights, and `initial` changes with them. So "rewinding" puts
# back the *trained* values: every level goes on where the last one stopped. That looks
# like a ticket that learns faster and faster. It is only **longer training**, and part
# 4 of the claim rules that out. With the copy, every level starts from step 0 and takes
# as many steps as the dense network. So in our runs this suspect has an alibi.
#
# ## 3. Five seeds
#
# One run can be lucky. So we run the whole search with five seeds, down to 3.6 % of the weights. The
# [recipe](glossary.md#recipe) is the paper's, cut to ten epochs. Each thing we train is an [arm](glossary.md#arm):
#
# - **dense**: the whole network;
# - **ticket**: the last level of its search;
# - **[reinitialised](glossary.md#reinitialised)**: the ticket's mask, newly drawn values. This is the
#   [control](glossary.md#control) for part 2;
# - **small dense**: an ordinary network with about as many weights as the ticket. Why not simply train that?
# - **other order**: the ticket, with the training images in another order than when it was found.
#
# Which arm keeps what of the ticket? (In *[shuffled](glossary.md#shuffled)*, which
# comes in section 4, other weights survive. So its values are *others'*.)

# %%
plots.show(drawings.arms(["dense", "ticket", "reinitialised", "shuffled"]))
rivals = ["neither", "reinitialised alone", "small dense alone", "both of them"]
question = "Which of the two, on average, ends more than a point below dense"
bets.pick("03-rivals", question, rivals)

# %% [markdown]
# You write the line that makes *reinitialised* a fair control. (Until you have, the runs below use ours.)
#
# <details><summary>The line</summary>
#
# `return ticket.masks`
# </details>


# %%
def masks_of_control(ticket):
    """Which masks does the network with new values get? `ticket.masks` may help."""
    return ...  # your line


answer = masks_of_control(library)
if answer is ...:
    print("Not written yet: your line goes where the three dots are.")
elif all(torch.equal(answer[name], mask) for name, mask in library.masks.items()):
    print("Right: the same mask, so only the values differ.")
else:
    print("Not yet: if the masks differ as well, two things change at once.")


# %%
def one_seed(seed):
    """Find a ticket, then train its rivals: one table of measurements."""
    torch.set_num_threads(1)
    model = build_model("lenet-300-100", dataset, seed=seed)
    found = find_ticket(model, dataset, recipe, density=0.036, seed=seed)
    redrawn = build_model("lenet-300-100", dataset, seed=1000 + seed)
    small = build_model("mlp-12-10", dataset, seed=seed)
    again = lthlab.rewind(model, found.start, found.masks)
    masks = found.masks if answer is ... else masks_of_control(found)
    data = {"dataset": dataset, "recipe": recipe, "step": "fast"}
    histories = {
        "dense": found.levels[0].history,
        "ticket": found.levels[-1].history,
        "other order": lthlab.train(again, masks=found.masks, seed=500 + seed, **data),
        "reinitialised": lthlab.train(redrawn, masks=masks, seed=seed, **data),
        "small dense": lthlab.train(small, seed=seed, **data),
    }
    tables = [each.table.assign(arm=arm) for arm, each in histories.items()]
    return pd.concat(tables).assign(seed=seed, kept=found.levels[-1].density)


# %%
runs = Parallel(n_jobs=-1)(delayed(one_seed)(seed) for seed in range(10, 15))
table = pd.concat(runs, ignore_index=True)
accuracy = table.query("split == 'validation' and metric == 'accuracy'")
final = accuracy[accuracy["step"] == recipe.steps(dataset)]
ARMS = ["dense", "ticket", "other order", "reinitialised", "small dense"]

figure, ax = plt.subplots(figsize=(8, 4.4))
by_seed = 100 * final.pivot(index="arm", columns="seed", values="value").loc[ARMS]
ax.plot(by_seed, color="0.6", linewidth=1, marker=".")
for place, (arm, mean) in enumerate(by_seed.mean(axis=1).items()):
    color = plots.arm_color(arm)
    ax.hlines(mean, place - 0.2, place + 0.2, color=color, linewidth=4, zorder=3)
ax.set(ylabel="validation accuracy (%)", title="after ten epochs")
means = ", ".join(f"{arm} {mean:.1f} %" for arm, mean in by_seed.mean(axis=1).items())
plots.show(f"Accuracy at the end, a thin line for each of five seeds. Means: {means}.")

# %% [markdown]
# *Accuracy on the [validation set](glossary.md#validation-set). A thin line joins the
# arms of one seed; thick bars are means. All arms share the images, the recipe and the
# number of steps. All but "other order" share the order of the images, too.*
#
# A seed can be kind or unkind to all arms at once. So we subtract seed by seed (a
# [paired difference](glossary.md#paired-difference)) and ask where the mean difference
# can lie: the 95 % [confidence interval](glossary.md#confidence-interval) of notebook
# 02.

# %%
kept = final["kept"].iloc[0]
gaps = {arm: lthlab.paired(final, arm, "dense") for arm in ARMS[1:]}
early = accuracy[accuracy["epoch"] == 1]
lead = lthlab.paired(early, "ticket", "reinitialised")
print(f"at {kept:.1%} density, minus dense, in points of accuracy; five seeds")
for arm, gap in gaps.items():
    interval = f"[{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    print(f"    {arm:13s} {100 * gap.mean:+.1f}, interval {interval}")
print("ticket is matching (within one point):", gaps["ticket"].low > -0.01)
interval = f"[{100 * lead.low:+.1f}, {100 * lead.high:+.1f}]"
print(f"after one epoch, ticket minus reinitialised {100 * lead.mean:+.1f}, {interval}")
below = [arm for arm in ("reinitialised", "small dense") if gaps[arm].mean < -0.01]
one = f"{below[0]} alone" if below else "neither"
bets.reveal("03-rivals", "both of them" if len(below) == 2 else one)

# %% [markdown]
# Five seeds can never show that two networks are *equal*. We ask for less: a ticket is
# **[matching](glossary.md#matching)** if the whole interval lies above -1 point. (One
# point is our margin. Frankle et al. 2020 allow 0.2 points. Five seeds are rarely
# enough to show that.)
#
# What do the lines say?
#
# - *ticket*: it matches, over five seeds drawn afresh. **Luck of the draw** does not explain it.
# - *other order*: the ticket matches in another order of the images, too. So it is not luck of the order either.
# - *small dense*: about as many weights in an ordinary network are not enough.
# - *reinitialised*: with new values the network is far behind after one epoch. But it ends less than a point below the
#   dense one, if it is below at all. New values make it *slower*.
#
# The last line spoils the story. If new values do nearly as well as the dense network,
# there is little left for part 2 of the claim to explain. Is it so everywhere?
#
# ## 4. The same race, another network
#
# Notebook 00 also had a small network on signals, `mnist1d`. Here are the course's
# reference runs of it, with ten seeds. Choose 17.8 % and press *play*.

# %%
widgets.ticket_race("mnist1d")

# %% [markdown]
# Here the ticket keeps up with the dense network, and the reinitialised arm falls far
# behind. *Shuffled* ends lower still. So on one network the values decide, and on the
# other they are worth little. Any verdict has to name its network, its data and its
# [density](glossary.md#density). Notebook 04 takes the case where the values decide,
# and asks *what about them* does it.

# %%
plots.show(drawings.board(3))

# %% [markdown]
# *The board after notebook 03.* **Luck** is struck off: the interval of ten seeds,
# ticket minus control, lies above zero. **The values** are charged on `mnist1d`.
# **Longer training** keeps its charge from notebook 02, because it helps a network that
# gets it. Our tickets did not get it. The others wait.
#
# ## 5. Your turn
#
# 1. On the [exercise sheet](exercises/03_winning_tickets.py): write one level of IMP and the rewinding, find the
#    missing word, reach a verdict from intervals, and design a control. The sheet checks all but the last.
# 2. In the line that prints *ticket is matching*, change `-0.01` to `-0.002`, the
#    margin of Frankle et al. Does the ticket still match? If not: is it worse, or are
#    five seeds too few to tell?
#
# <details><summary>Answer to 2</summary>
#
# Look at the ticket's interval. If its lower end is above -0.2 points, the ticket still
# matches. If only its upper end is, five seeds are too few to tell, which is not the
# same as worse.
# </details>

# %% [markdown]
# ## Take away
#
# - **Iterative magnitude pruning**: train, prune the smallest, rewind to the initial values, repeat. Forget the copy,
#   and you train longer without noticing.
# - On these images a ticket with one weight in 28 matches the dense network. Luck and longer training do not explain it.
# - New values under the same mask are slower here and end within a point of the dense network. On `mnist1d` they end far
#   below it.
# - Finding the ticket took fifteen trainings, more than one training with it can save.
#
# **Practise**: the [exercise sheet](exercises/03_winning_tickets.py). **Next**: a ticket is a mask *and* values. Which
# part of the values makes it win? [Notebook 04](04_random_reinit_controls.ipynb) puts them on trial.

# %% [markdown] tags=["deep"]
# ## Deep dives
#
# The rest is for a second evening. It uses the reference runs: the same network and recipe, ten other seeds, down to
# less than one percent of the weights. `python benchmarks/reference.py fashion-mini` makes them again.

# %% tags=["deep"]
from importlib.resources import files

reference = pd.read_csv(files("lthlab").joinpath("assets/reference/fashion-mini.csv"))
arm = reference["arm"].str.replace(
    r", draw \d", "", regex=True
)  # three draws of values
by = ["arm", "level", "density", "seed", "split", "metric", "step"]
reference = reference.assign(arm=arm).groupby(by)["value"].mean().reset_index()
ends = reference[reference["step"] == reference["step"].max()]


# %% tags=["deep"]
def gap_to_dense(rows, arm, level):
    """The paired difference from the dense network, which is level 0."""
    return lthlab.paired(rows[rows["level"].isin([0, level])], arm, "dense")


def draw_gaps(rows, arms, ax, scale=1):
    """Paired differences from dense by density, with 95 % intervals."""
    for number, arm in enumerate(arms):
        levels = rows[rows["arm"] == arm].groupby("level")["density"].first()
        gaps = [gap_to_dense(rows, arm, level) for level in levels.index]
        means = [scale * gap.mean for gap in gaps]
        halves = [scale * (gap.high - gap.mean) for gap in gaps]
        marks = {"fmt": "os^"[number] + ["-", ":", "--"][number], "capsize": 3}
        ax.errorbar(
            levels, means, halves, color=plots.arm_color(arm), label=arm, **marks
        )
    ax.axhline(
        0, color=plots.arm_color("dense"), linestyle=(0, (4, 1.5)), label="dense"
    )
    plots.density_axis(ax, rows["density"])
    ax.legend()


# %% [markdown] tags=["deep"]
# ## 6. How sparse before the values matter?
#
# Liu et al. (2019) found that new values do as well as the ticket's at moderate densities, and doubted the hypothesis.
# Frankle and Carbin's reply: go sparser. So let us.

# %% tags=["deep"]
accuracies = ends.query("split == 'validation' and metric == 'accuracy'")
figure, ax = plt.subplots(figsize=(8, 4.4))
draw_gaps(accuracies, ["ticket", "reinitialised"], ax, scale=100)
ax.set(ylabel="points of accuracy, minus dense", title="fashion-mini, ten seeds")
plots.show(
    "Ticket and reinitialised minus dense against the weights kept. The ticket stays "
    "above zero down to about two percent; the reinitialised arm falls below earlier."
)
for level in (5, 10, 15, 20):
    rows = accuracies[accuracies["level"] == level]
    gap = lthlab.paired(rows, "ticket", "reinitialised")
    print(f"{rows['density'].min():5.1%}: ticket minus reinitialised {gap.points()}")

# %% [markdown] tags=["deep"]
# *Validation accuracy at the end; paired differences with 95 % intervals, n = 10. The reinitialised arm has three draws
# of values for each mask; their mean counts as one result.*
#
# Look for densities at which the control's interval lies below zero and the ticket's
# does not. There the values decide on clothes, too. But they decide over a few points,
# not over tens as on `mnist1d`. On *test* images, which the board and notebook 04 use,
# the control does better by up to a point, so there it falls behind only with fewer
# weights.
#
# ## 7. Is the ticket faster?
#
# There are two ways to be fast, and they disagree. The first: be ahead early. The second is the paper's: reach the
# lowest validation [loss](glossary.md#loss) sooner, the point at which one would stop early
# ([early stopping](glossary.md#early-stopping)).

# %% tags=["deep"]
curves = reference.query("split == 'validation' and metric == 'accuracy'")
curves = curves.query(
    "arm in ('dense', 'ticket', 'reinitialised') and level in (0, 15)"
)
steps = recipe.steps_per_epoch(dataset)
figure, ax = plt.subplots(figsize=(8, 4.4))
plots.race(curves.assign(epoch=curves["step"] / steps), ax=ax)
ax.set_xscale("symlog", linthresh=0.05)
ax.set_xticks(
    [0, 0.05, 0.1, 0.5, 1, 5, 10], ["0", "0.05", "0.1", "0.5", "1", "5", "10"]
)
ax.set(xlim=(0, 10), title="3.6 % of the weights")
untrained = curves.query("step == 0").groupby("arm")["value"].mean()
plots.show(
    "Accuracy over the epochs on a logarithmic axis. Before any training the ticket is "
    f"at {untrained['ticket']:.0%}, the others near {untrained['dense']:.0%}; it "
    "leads through the first epoch and the curves close up afterwards."
)

# %% [markdown] tags=["deep"]
# *Means and 95 % intervals, n = 10. The axis is linear up to 0.05 epochs and
# logarithmic beyond.*
#
# Look at the very left. *Before any training* the ticket names most images right. Its
# weights are still random; what it knows comes from *which* of them were kept. (Zhou et
# al. 2019 call such a mask a [supermask](glossary.md#supermask).) The control has the
# same mask and starts at chance. So the knowledge is in mask and values together.

# %% tags=["deep"]
loss = reference.query("split == 'validation' and metric == 'loss'")
best = loss.loc[loss.groupby(["arm", "level", "seed"])["value"].idxmin()]
best = best.assign(value=best["step"] / steps)  # in epochs
figure, ax = plt.subplots(figsize=(8, 4.4))
draw_gaps(best, ["ticket", "reinitialised"], ax)
ax.set(ylabel="epochs later than dense", title="lowest validation loss")
drawn = best[best["arm"].isin(["ticket", "reinitialised"])]
for arm, rows in drawn.groupby("arm"):
    late = (rows["step"] == loss["step"].max()).sum()
    print(f"{arm}: loss lowest at the very end in {late} of {len(rows)} curves")
plots.show(
    "How many epochs later than dense the validation loss is lowest, against the "
    "weights kept. The reinitialised arm is later nearly everywhere; the ticket is "
    "earlier at moderate densities and later at low ones."
)

# %% [markdown] tags=["deep"]
# *Paired, n = 10; below zero is earlier than dense. Each curve of the reinitialised arm
# is the mean of three trainings, one for each draw of values. A curve that is lowest at
# its very end might have gone lower still, so its number is too small.*
#
# By this measure the ticket leads until a few percent of the weights are left, and not
# below. Whoever says that tickets learn faster has to name the measure and the density.
#
# ## 8. Do they learn less by heart?
#
# Several tickets end *ahead* of the dense network. Here is a plausible explanation: fewer weights, less learning by
# heart. An explanation makes a prediction. If this one holds, a ticket gets *fewer* of the training images right than
# the dense network does.

# %% tags=["deep"]
side = ["more", "fewer", "as many, to a point"]
bets.pick("03-heart", "Training images right, ticket (10.8 %) against dense", side)

# %% tags=["deep"]
wide = ends.query("metric == 'accuracy'").pivot_table(
    index=["arm", "level", "density", "seed"], columns="split", values="value"
)
known = wide.assign(value=wide["train"]).reset_index()
general = wide.assign(value=wide["train"] - wide["test"]).reset_index()
titles = "right on training images", "training minus test accuracy"
figure, axes = plt.subplots(1, 2, figsize=(12, 4))
for ax, rows, title in zip(axes, (known, general), titles, strict=True):
    draw_gaps(rows, ["ticket"], ax, scale=100)
    ax.set(ylabel="points, minus dense", title=title)
figure.tight_layout()
plots.show(
    "Ticket minus dense against the weights kept: training accuracy (left), the gap "
    "between training and test accuracy (right). Both lie above zero at moderate "
    "densities and fall below it when one or two percent of the weights are left."
)
gap = gap_to_dense(known, "ticket", 10)
print(f"at 10.8 %: {gap.points()} seeds, in points of training accuracy")
bets.reveal("03-heart", side[2 if abs(gap.mean) < 0.01 else 0 if gap.mean > 0 else 1])

# %% [markdown] tags=["deep"]
# *Paired, n = 10, at the end of training; 95 % intervals.*
#
# Until very few weights are left, tickets know *more* of the training images than the
# dense network does. So on these images the plausible explanation is wrong. The paper
# also says that tickets *generalise better*: a smaller gap between training and test
# accuracy. On the right the gap is larger for tickets, until about the density at which
# they no longer fit the training images better.
#
# ## 9. What did the winners have in common?
#
# If survival were chance, the survivors' *initial* values would be spread like those of
# all weights.

# %% tags=["deep"]
model = build_model("lenet-300-100", dataset, seed=10)
ticket = find_ticket(model, dataset, recipe, density=0.036, seed=10)
figure, axes = plt.subplots(1, 3, figsize=(12, 3.4))
ratios = {}
for ax, (name, mask) in zip(axes, ticket.masks.items(), strict=True):
    initial = ticket.start.model[name]
    largest = float(initial.abs().max())
    bins = {"binrange": (-largest, largest), "bins": 60, "stat": "percent", "ax": ax}
    plots.weight_histogram(initial, **bins, label="all", alpha=0.3)
    color = plots.arm_color("ticket")
    look = {"label": "the ticket's", "color": color, "alpha": 0.5, "hatch": "//"}
    plots.weight_histogram(initial[mask], **bins, **look)
    ax.set(xlabel="initial value", ylabel="", title=name)
    ratios[name] = float(initial[mask].abs().mean() / initial.abs().mean())
axes[0].legend()
axes[0].set_ylabel("percent of the weights")
figure.tight_layout()
far = ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items())
print("survivors began this many times as far from zero as all weights:", far)
plots.show("Initial values of all weights, one hump at zero, and of the survivors.")

# %% [markdown] tags=["deep"]
# *One seed.* Large at the beginning tends to be large at the end, and large is what magnitude pruning keeps. So the
# control differs from the ticket in *scale* as well. Notebook 04 separates the two.
#
# ## 10. Keep it
#
# A ticket is a mask and the values it starts from. Both go into *safetensors* files:
# plain numbers, safe to open even from strangers. A mask fits networks of one shape
# only; mix them up, and you are told.

# %% tags=["deep"]
import tempfile
from pathlib import Path

from safetensors.torch import load_model, save_model

folder = Path(tempfile.mkdtemp())
save_model(
    lthlab.rewind(model, ticket.start, ticket.masks), folder / "weights.safetensors"
)
about = {"network": "lenet-300-100", "data": dataset.name}
lthlab.save_masks(ticket.masks, folder / "masks.safetensors", **about)

fresh = build_model("lenet-300-100", dataset, seed=99)  # some other network
load_model(fresh, folder / "weights.safetensors")
again = lthlab.load_masks(folder / "masks.safetensors", fresh)
learnt = lthlab.train(fresh, dataset, short, again, seed=0).value()
print(f"{lthlab.density(again):.1%} of the weights, {learnt:.1%} right after one epoch")
try:
    other = build_model("mlp-300-50", dataset)
    lthlab.load_masks(folder / "masks.safetensors", other)
except ValueError as error:
    print(error)

# %% [markdown] tags=["deep"]
# ## 11. The catch
#
# What did this ticket cost to find? We count in [FLOPs](glossary.md#flop), additions
# and multiplications. A GFLOP is a billion of them.

# %% tags=["deep", "article-11"]
costs = [
    lthlab.cost.training_flops(model, dataset, recipe, level.masks)
    for level in ticket.levels
]
finding = costs[:-1]  # the last training is the ticket's own
bill = {
    "training the dense network once": costs[0].total,
    f"finding the ticket, {len(finding)} trainings": sum(run.total for run in finding),
    "    the same, if zeros could be skipped": sum(run.nonzero for run in finding),
    "training the ticket, if zeros could be skipped": costs[-1].nonzero,
}
for what, flops in bill.items():
    print(f"{what:48s} {flops / 1e9:7.1f} GFLOPs")

# %% [markdown] tags=["deep"]
# We know that the small network *was there* from the beginning. But we found it only in
# retrospect, by training the large one once and fourteen ever sparser ones after it. J.
# Frankle's article *Do Neural Networks Really Need to Be So Big?* says the same. Two
# problems stand between this and cheap training: finding tickets without training first
# (notebook 06), and making sparse networks fast (07).
#
# ## 12. More to try
#
# 1. Prune two thirds per level: `replace(recipe, fractions={"fc": 0.67, "output": 0.33})` with `levels=3` ends near the
#    same density after three trainings instead of fifteen. Is the ticket as good? Use more than one seed.
# 2. Use `rewind_to="1ep"` in `find_ticket`. What does the ticket start from now? (Notebook 05 is about this.)

# %% [markdown] tags=["deep"]
# **Sources**: J. Frankle, *Do Neural Networks Really Need to Be So Big?* J. Frankle and M. Carbin, *The Lottery Ticket
# Hypothesis: Finding Sparse, Trainable Neural Networks*, ICLR 2019. Z. Liu et al., *Rethinking the Value of Network
# Pruning*, ICLR 2019. J. Frankle et al., *Linear Mode Connectivity and the Lottery Ticket Hypothesis*, ICML 2020.
