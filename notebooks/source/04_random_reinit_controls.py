# %% [markdown]
# # Controls: is it the mask or the initial values?
#
# A ticket is a mask *and* the values under it. Which of the two makes it win? You take the ticket apart, with seven
# controls that each keep a part of it, and find that on the right data the answer is not subtle. At the end you meet
# two wrong implementations and learn to tell them by their curves.
#
# **After this notebook you can**
# - name the controls of a ticket and say what each one keeps, and which pair of arms isolates one thing;
# - run arms x levels x seeds with one call, and go on after an interruption;
# - compare arms in pairs, in accuracy and in learning speed, at a density where there is something to explain;
# - recognise the two best-known bugs of lottery ticket code from their results.
#
# **You need** notebook 03.
#
# **Time**: 25 minutes to read, about 90 seconds to run on two cores.

# %%
import time
from importlib.resources import files

import matplotlib.pyplot as plt
import pandas as pd
import torch

import lthlab
from lthlab import build_model, load_dataset, plots, recipe_for, run_experiment

torch.set_num_threads(1)  # one core here; the repeats below use the others
plots.use_style()

# %% [markdown]
# ## 1. Data with a wide gap
#
# On `fashion-mini`, at 3.6 % of the weights, new values cost the ticket a point or two (notebook 03). To take an effect
# apart one wants it large. `mnist1d` (Greydanus and Kobak 2024) is made for that: signals of 40 numbers, ten classes,
# each a little template that was stretched, shifted, sheared and covered with noise. It is generated, not downloaded,
# and a network learns it in seconds.

# %%
dataset = load_dataset("mnist1d")
dataset

# %%
figure, axes = plt.subplots(2, 5, figsize=(11, 3.4), sharex=True, sharey=True)
for label, ax in enumerate(axes.flat):
    for signal in dataset.train.x[dataset.train.y == label][:3, 0]:
        ax.plot(signal, color=plots.arm_color("dense"), alpha=0.6, linewidth=1.2)
    ax.set_title(f"class {label}", fontsize=10)
figure.supxlabel("position")
figure.supylabel("normalised value")
figure.tight_layout()

# %% [markdown]
# *Three training signals of each class.* The network: three hidden layers of 100 neurons, trained for 20 epochs with
# SGD, momentum and a falling (cosine) learning rate.

# %%
recipe = recipe_for("mlp-100-100-100", dataset)
model = build_model("mlp-100-100-100", dataset)
weights = lthlab.cost.parameters(model).prunable
print(f"{weights:,} weights, {recipe.steps(dataset):,} steps;", recipe)

# %% [markdown]
# ## 2. What a ticket is made of
#
# Find one first, down to 8 % of the weights; section 8 uses the last level. The level that we shall look at longest
# is the eighth.

# %%
FEW, FEWER = 8, 12  # levels: where the ticket still matches, and where it has lost
found = lthlab.find_ticket(
    build_model("mlp-100-100-100", dataset, seed=0),
    dataset,
    recipe,
    levels=FEWER,
    seed=0,
    evaluate_every="20ep",
    progress=True,
)
initial = found.start.model


# %%
def size(values):
    """How far from zero: the root mean square."""
    return float(values.square().mean().sqrt())


for level in (FEW, FEWER):
    print(f"{found.levels[level].density:.1%} of the weights:")
    for name, mask in found.levels[level].masks.items():
        times = size(initial[name][mask]) / size(initial[name])
        print(
            f"    {name:10s} survivors began {times:.1f} times as far from zero as all"
        )

# %% [markdown]
# *Seed 0, root mean square.* The survivors were large from the start. So a ticket carries four things: a **mask** (which
# weights are kept), their **signs**, the **scale** of their values, and the very **value** in each place. Take eight
# survivors of the second layer and change one or more of these by hand:

# %%
mask = found.levels[FEW].masks["fc2.weight"]
values = initial["fc2.weight"][mask]
redrawn = build_model("mlp-100-100-100", dataset, seed=1).fc2.weight.detach()[mask]
order = torch.randperm(8, generator=torch.Generator().manual_seed(4))
eight = values[:8]
rows = {
    "ticket": eight,
    "permuted sizes": eight.sign() * eight[order].abs(),
    "permuted": eight[order],
    "signs": eight.sign() * initial["fc2.weight"].std(),
    "reinitialised to scale": redrawn[:8] * size(values) / size(redrawn),
    "reinitialised": redrawn[:8],
}
by_hand = pd.DataFrame({arm: row.tolist() for arm, row in rows.items()}).T
by_hand.style.format("{:+.2f}").background_gradient(
    "vlag", axis=None, vmin=-0.5, vmax=0.5
)

# %% [markdown]
# An **arm** is one thing to train. These eight are the ticket and seven controls. Read a row as: what does this arm
# share with the ticket?
#
# | arm | mask | signs | scale | each value | how |
# |---|---|---|---|---|---|
# | **ticket** | yes | yes | yes | yes | |
# | **permuted sizes** | yes | yes | yes | - | sizes change places within their layer, each weight keeps its sign |
# | **signs** | yes | yes | - | - | each weight is its sign times one constant per layer (Zhou et al. 2019) |
# | **permuted** | yes | - | yes | - | values change places within their layer, signs and all (Zhou et al. 2019) |
# | **reinitialised to scale** | yes | - | yes | - | newly drawn, then stretched to the survivors' root mean square |
# | **reinitialised** | yes | - | - | - | newly drawn (Frankle & Carbin 2019) |
# | **shuffled** | - | yes | - | yes | the mask shuffled within each layer; whoever survives now keeps its first value |
# | **random** | - | yes | - | yes | weights removed by chance, as many per layer; the same |
#
# Only *permuted sizes* changes one thing. *Reinitialised*, the control of the first paper, changes three, and so does
# not say which of them mattered. The last two keep the first value of every weight, but other weights survive, so the
# survivors are not large any more. *Shuffled* and *random* are two ways to draw from the same lot; if they disagree,
# something is wrong with one of them.
#
# What isolates one thing is a **pair of arms**:
#
# | to learn what this is worth | compare |
# |---|---|
# | each size in its own place | ticket and permuted sizes |
# | each sign in its own place | permuted sizes and permuted |
# | the scale | reinitialised to scale and reinitialised |
# | the mask, on values that were not selected with it | reinitialised and shuffled |
#
# > **Predict.** At 18 % of the weights, order the eight by accuracy at the end of training. Which of the four pairs is
# > farthest apart, and by how many points?

# %% [markdown]
# ## 3. One call
#
# `run_experiment` runs arms x levels x seeds on all cores and gives back one table. Each arm is a function of a few
# lines: it takes the *past*, the levels that are finished, and gives a *start*, the masks and the state to train from
# (notebook 03). Look at one:

# %%
import inspect

print(inspect.getsource(lthlab.ARMS["reinitialised"].function))

# %% [markdown]
# Every finished level is written to `folder`. Stop the cell below half-way (the square button) and run it again: it goes
# on where it was. Run it a third time: it returns at once.

# %%
import tempfile

folder = tempfile.mkdtemp()  # give a folder of your own to keep the results
sharing = ["permuted sizes", "signs", "permuted"]  # with the ticket: signs or values
controls = [*sharing, "reinitialised to scale", "reinitialised", "shuffled", "random"]
arms = ["dense", "ticket", *controls]
began = time.perf_counter()
table = run_experiment(
    "mlp-100-100-100",
    "mnist1d",
    arms=arms,
    seeds=range(10, 13),
    levels=FEW,
    control_levels=[FEW],
    evaluate_every="1ep",
    folder=folder,
)
trainings = (table["split"] == "test").sum()  # one look at the test data each
print(f"{trainings} trainings in {time.perf_counter() - began:.0f} s")
table.sample(3, random_state=0)

# %%
accuracy = table.query("split == 'validation' and metric == 'accuracy'")
final = accuracy[accuracy["step"] == recipe.steps(dataset)]
means = final[final["level"].isin([0, FEW])].groupby("arm")["value"].mean()
print(f"your three seeds, at {found.levels[FEW].density:.1%} of the weights:")
print(means[arms].map("{:.1%}".format).to_string())

# %% [markdown]
# ## 4. Your run, over the reference
#
# Three seeds are few. The same experiment with ten other seeds and more levels comes with the package, made by
# `python benchmarks/reference.py mnist1d`. Bands are the reference, crosses are your run. One mask may be lucky with one
# draw of new values, so in the reference *reinitialised* was drawn three times for each mask, and the mean of the three
# counts as that seed's result.


# %%
def read_reference(name):
    return pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))


def at_the_end(table, split="validation"):
    """Accuracy after the last step; the mean of the draws of one mask counts as one."""
    rows = table.query("split == @split and metric == 'accuracy'")
    rows = rows[rows["step"] == rows["step"].max()]
    arm = rows["arm"].str.replace(r", draw \d", "", regex=True)
    runs = rows.assign(arm=arm).groupby(["arm", "level", "density", "seed"])
    return runs["value"].mean().reset_index()


# %%
def draw_controls(rows, title):
    """The controls by density, and the dense network as a line."""
    ax = plt.subplots(figsize=(9, 5.6))[1]
    drawn = rows[rows["arm"].isin(arms[1:])]
    drawn = drawn.sort_values("arm", key=lambda names: names.map(arms.index))
    plots.accuracy_by_density(drawn, ax=ax)
    dense = lthlab.interval(rows.query("arm == 'dense'")["value"])
    ax.axhline(
        dense.mean, color=plots.arm_color("dense"), linestyle="--", label="dense"
    )
    ax.legend(loc="lower left")
    ax.set_title(title)
    return ax


# %%
everything = read_reference("mnist1d")
reference = at_the_end(everything)
ax = draw_controls(reference, "mnist1d, after 20 epochs")
for arm, rows in final[final["arm"] != "dense"].groupby("arm"):
    here = rows.groupby("density")["value"].mean()
    ax.scatter(here.index, here, color=plots.arm_color(arm), marker="x", zorder=5)
plt.show()

# %% [markdown]
# *Validation accuracy; lines and bands: mean and 95 % interval over ten seeds (n = 10); crosses: mean of your three.
# Network, recipe, data and their order are the same for all arms of a seed.*
#
# Ask what makes a ticket win where it *does* win. At 17.8 % of the weights it still keeps up with the dense network; at
# 7.7 % it has lost several points already. So the first column of this table is the one that counts, and the second
# a second look:

# %%
PAIRS = [
    ("ticket", "dense"),
    ("ticket", "permuted sizes"),
    ("permuted sizes", "permuted"),
    ("permuted", "reinitialised to scale"),
    ("reinitialised to scale", "reinitialised"),
    ("reinitialised", "shuffled"),
    ("shuffled", "random"),
    ("ticket", "signs"),
    ("ticket", "reinitialised"),
]


# %%
def differences(rows, levels):
    """Paired differences in points, one row per pair, one column per level."""
    columns = {}
    for level in levels:
        there = rows[rows["level"].isin([0, level])]
        kept = there.query("arm == 'ticket'")["density"].iloc[0]
        gaps = [lthlab.paired(there, arm, against) for arm, against in PAIRS]
        columns[f"{kept:.1%}"] = [gap.points().removesuffix(", n = 10") for gap in gaps]
    return pd.DataFrame(columns, [f"{arm} minus {against}" for arm, against in PAIRS])


differences(reference, [FEW, FEWER])

# %% [markdown]
# *Points of validation accuracy: mean and 95 % interval of paired differences, n = 10.*
#
# ## 5. Reading it
#
# Begin with the first column, line by line.
#
# - *Ticket minus dense*: the interval holds zero. At this density the ticket still keeps up, so there is something to
#   explain.
# - *Ticket minus permuted sizes*: about a point, and the interval lies above zero. It matters, but little, **which
#   size** sits where, as long as every sign stays.
# - *Permuted sizes minus permuted*: by far the largest step of all. What *permuted* gives up is that each weight has
#   **its own sign**. It keeps the mask, and it keeps all of the values; only not in their places.
# - *Permuted minus reinitialised to scale*: the interval holds zero. Once they are out of place, the ticket's values
#   are no better than any others of that scale.
# - *Reinitialised to scale minus reinitialised*: the **scale** is worth a few points. The first paper's control pays
#   for this, too.
# - *Reinitialised minus shuffled*: the **mask** has a worth of its own, on values that it was not found with.
# - *Shuffled minus random*: two names for one lot. The interval should hold zero.
# - *Ticket minus signs* says the second line again: give all weights of a layer one size, and a smaller scale at that,
#   and no more than about a point is lost.
#
# So: is it the mask or the values? Here it is the **mask with its signs**: together they keep nearly everything, and
# the mask alone, with other signs, falls far behind. It is not the luck of the exact values. (Zhou et al. 2019 found
# this first.) "The values decide", which *ticket minus reinitialised* seems to say, is too coarse: of those points most
# are signs, some are scale.
#
# The second column repeats it where the ticket itself has lost several points to the dense network. There, too, the
# signs are the largest step and the mask the next. But sizes count for more: *permuted sizes* and *signs* both fall
# behind the ticket by more than a point.

# %% [markdown]
# ## 6. Speed
#
# The papers measure speed by the step at which the **validation loss** is lowest, where one would stop early. A
# training whose loss is lowest at its last step is *censored*: it might have gone lower, so its number is only a lower
# bound. Beside it an older measure of ours: how many steps until the network names 60 % of the validation signals
# right?

# %%
RUN = ["arm", "level", "seed"]
losses = everything.query("split == 'validation' and metric == 'loss'")
lowest = losses.loc[losses.groupby(RUN)["value"].idxmin()]
lowest = lowest.assign(
    value=lowest["step"], last=lowest["step"] == losses["step"].max()
)

curves = everything.query("split == 'validation' and metric == 'accuracy'")
reached = curves["step"].where(curves["value"] >= 0.6, float("inf"))
reached = reached.groupby([curves[key] for key in RUN]).min().reset_index()


# %%
def speed(level):
    """By arm: two measures of speed, in steps."""
    rows, first = (
        table[table["level"].isin([0, level]) & table["arm"].isin(arms)]
        for table in (lowest, reached)
    )
    found = rows.groupby("arm").agg(
        median=("value", "median"), censored=("last", "sum")
    )
    for arm in arms[1:]:
        gap = lthlab.paired(rows, arm, "dense")
        words = f"{gap.mean:+.0f} [{gap.low:+.0f}, {gap.high:+.0f}]"
        found.loc[arm, "minus dense"] = words
    found["60 % right"] = first.groupby("arm")["step"].median()
    steps = {"median": "{:.0f}", "60 % right": "{:.0f}"}
    return found.loc[arms].style.format(steps, na_rep="").set_caption(kept_at[level])


densities = reference.query("arm == 'ticket'").groupby("level")["density"].first()
kept_at = densities.map("{:.1%} of the weights".format)
speed(FEW)

# %% [markdown]
# *Steps; ten seeds each (of* reinitialised *the first draw). Loss and accuracy are measured every 40 steps and at a few
# earlier ones, so steps are rounded up to the next look. "Median": the step of the lowest validation loss; "censored":
# how many of the ten have it at the last of 1,600 steps, where median and difference are too small rather than too
# large; "minus dense": mean and 95 % interval of the paired difference; "60 % right": the median of the other measure,
# `inf` if half of the ten or more never got there.*
#
# At this density the two measures agree about the ticket: it is earlier than the dense network, by hundreds of steps to
# its lowest loss. For *permuted sizes* and *signs* the interval holds zero. All arms that give up the signs or the mask
# are later by hundreds of steps. Now the same where the ticket has lost:

# %%
speed(FEWER)

# %% [markdown]
# There the ticket, too, is *later* than the dense network by the step of its lowest loss, though not by the older
# measure. "Tickets learn faster" needs its density and its measure beside it.

# %%
race = curves[curves["arm"].isin(arms) & curves["level"].isin([0, FEW])]
race = race.sort_values("arm", key=lambda names: names.map(arms.index))
ax = plt.subplots(figsize=(9, 5.2))[1]
plots.race(race.assign(epoch=race["step"] / recipe.steps_per_epoch(dataset)), ax=ax)
ax.set_title(f"mnist1d, {kept_at[FEW]}")
plt.show()

# %% [markdown]
# *Mean and 95 % interval, n = 10; of* reinitialised *the first draw.*
#
# ## 7. The same controls on pictures
#
# `fashion-mini` and LeNet-300-100, from notebook 03's reference, ten seeds, down to less than one percent:

# %%
pictures = at_the_end(read_reference("fashion-mini"))
draw_controls(pictures, "fashion-mini, after 10 epochs")
plt.show()

# %%
differences(pictures, [7, 15, 20])

# %% [markdown]
# *Mean and 95 % interval of paired differences, n = 10; points of validation accuracy; three draws of each*
# reinitialised *mask.*
#
# Nearly the same order of arms, squeezed together while many weights are left, and opening up as they become few.
# *Permuted sizes* and *signs* stay within a point of the ticket, so here, too, the mask and its signs keep nearly
# everything. Signs in their own places are worth a point or so. The scale, and the ticket's values once they are out of
# place, are worth less than a point, if anything. And the mask alone counts where few weights are left: there
# *shuffled* and *random* fall behind by several points. A control can be *nearly as good* in one setting and hopeless
# in another; both are true, and a claim about tickets needs its density and its data beside it.
#
# ### A sentence of the article
#
# Jonathan Frankle's article *Do Neural Networks Really Need to Be So Big?* says that with *new random values* the same
# sparse network can no longer train successfully. Successfully means: as well as the dense network. So look at
# *reinitialised minus dense*, on both data sets, at every density that was run:

# %% tags=["article-10"]
new_values = {}
for name in ("mnist1d", "fashion-mini"):
    rows = at_the_end(read_reference(name), "test")
    print(f"{name}: reinitialised minus dense, points of test accuracy")
    for level, there in rows.query("arm == 'reinitialised'").groupby("level"):
        both = rows[rows["level"].isin([0, level])]
        gap, kept = (
            lthlab.paired(both, "reinitialised", "dense"),
            there["density"].max(),
        )
        new_values[name, kept] = gap
        word = (
            "worse" if gap.high < 0 else "better" if gap.low > 0 else "neither is seen"
        )
        print(f"    {kept:5.1%} of the weights  {gap.points():27s} {word}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 3.8))
for ax, name in zip(axes, ("mnist1d", "fashion-mini"), strict=True):
    kept = [density for data, density in new_values if data == name]
    gaps = [new_values[name, density] for density in kept]
    means = [100 * gap.mean for gap in gaps]
    halves = [100 * (gap.high - gap.mean) for gap in gaps]
    look = {"color": plots.arm_color("reinitialised"), "marker": "o", "capsize": 3}
    ax.errorbar(kept, means, halves, **look, linestyle=":", label="reinitialised")
    ax.axhline(0, color=plots.arm_color("dense"), linestyle="--", label="dense")
    plots.density_axis(ax, kept)
    ax.set(title=name, ylabel="points, minus dense")
axes[0].legend()
figure.tight_layout()
plt.show()

# %% [markdown]
# *Test accuracy at the end, paired, mean and 95 % interval, n = 10; three draws of new values for each mask, whose mean
# counts as one result. Mind the scales: the left one is tens of points, the right one a few.*
#
# On `mnist1d` the sentence holds, at every density: all intervals lie below zero, the sparser the farther. On
# `fashion-mini` it does not. With a fifth of the weights or more, the network with new values ends *above* the dense
# one, and the whole interval is not below zero until about one percent of the weights is left. Even there it misses the
# dense network by a few points and not by tens. "Can no longer train successfully" is a statement about a setting. It
# is true of some, and a reader has to be told of which.

# %% [markdown]
# ## 8. If the implementation were wrong
#
# Three implementations of "prune to 8 %, rewind, train". One is right. The other two contain the best-known mistakes in
# code for this paper:
#
# - **freeze by `weight < eps`**: to keep zeros at zero, the gradient is set to zero wherever `weight < 1e-6`. It should have been
#   `abs(weight)`.
# - **mask once**: the mask is applied after rewinding, and never again.
#
# > **Predict.** Which of them will look *better* than the right one? Which worse? Then find them among A, B and C.

# %%
from torch.nn import functional as F

from lthlab.batches import example_order
from lthlab.steps import make_optimizer

seed, masks = 0, found.masks  # the ticket of section 2, at its last level


def train_wrongly(after_backward=None, after_step=None):
    """The training loop, with two places for mistakes: accuracies, trained network."""
    net = lthlab.apply_masks_(build_model("mlp-100-100-100", dataset, seed=seed), masks)
    optimizer, total = make_optimizer(net.parameters(), recipe), recipe.steps(dataset)
    curve, step = [], 0
    while step < total:
        for batch in example_order(dataset, seed, epoch=step // 80).split(100):
            optimizer.param_groups[0]["lr"] = recipe.lr_at(step, total)
            optimizer.zero_grad()
            x, y = dataset.train.x[batch], dataset.train.y[batch]
            F.cross_entropy(net(x), y).backward()
            if after_backward:
                after_backward(net)
            optimizer.step()
            if after_step:
                after_step(net)
            step += 1
        curve.append((step / 80, lthlab.evaluate(net, dataset.validation)["accuracy"]))
    return pd.DataFrame(curve, columns=["epoch", "value"]), net


# %%
def freeze_small(net):
    for weight in net.parameters():
        weight.grad[weight < 1e-6] = 0  # no abs(): negative weights are frozen, too


suspects = {
    "A": train_wrongly(after_backward=freeze_small),
    "B": train_wrongly(after_step=lambda net: lthlab.apply_masks_(net, masks)),
    "C": train_wrongly(),
}

# %%
curves = pd.concat([curve.assign(arm=name) for name, (curve, _) in suspects.items()])
plots.race(curves.assign(split="validation", metric="accuracy"))
plt.title("one right, two wrong")
plt.show()

# %% [markdown]
# *One seed; same mask, values, data and order.* Decide before you run the next cell. Hint: what would make a sparse
# network suddenly as good as a dense one?

# %%
start = build_model("mlp-100-100-100", dataset, seed=seed).fc1.weight
negative = masks["fc1.weight"] & (start < 0)
for name, (curve, net) in suspects.items():
    weights = {key: w != 0 for key, w in lthlab.prunable_weights(net).items()}
    moved = (net.fc1.weight[negative] != start[negative]).float().mean()
    print(
        f"{name}: accuracy {curve['value'].iloc[-1]:.1%}",
        f"nonzero weights {lthlab.density(weights):.1%}",
        f"negative weights that moved {moved:.0%}",
        sep="   ",
    )

# %% [markdown]
# - The one whose weights are mostly **nonzero** is *mask once*: after the first step it is a dense network again. It
#   looks like a wonderful ticket. Always count the zeros *after* training.
# - The one whose negative weights never **moved** is *freeze by `weight < eps`*. It looks like a ticket that does not
#   win, and nothing in its accuracy says that the code is to blame and not the hypothesis. (It was in the best-known
#   PyTorch code for this paper.)
# - The right one has exactly the zeros of the mask, and everything else moved.
#
# Two lines of checks catch both. Write such checks before you believe a result, above all one that you like.

# %% [markdown]
# ## 9. Your turn
#
# 1. Add an arm: **constant**, the ticket's masks with *all* kept values equal to one positive constant per layer. Copy
#    the function `signs` from `lthlab/controls.py`, change its name and one expression, write
#    `past.of("ticket")[past.level].masks` for `_ticket(past)`, and put `@lthlab.arm("constant", needs=("ticket",))`
#    above it; it needs `Start` from `lthlab`, `Past` from `lthlab.levels` and `replace` from `dataclasses`. Then run
#    the call of section 3 with it. Predict first.
# 2. Is a ticket's sign pattern enough to rebuild it? Draw new *sizes* from the initial distribution and keep the signs.
#    Which of the eight arms should it be compared with?
# 3. Shuffle the mask *across* layers instead of within. Which layer would suffer, and why is that a worse control?
#
# <details><summary>Answers</summary>
#
# 1. Replace `.sign() * ....std()` by `torch.ones_like(...) * ....std()`. All neurons of a layer that see the same inputs
#    then begin alike, and the signs have to be learnt: expect it at or below *reinitialised*.
# 2. `start.model[name].sign() * past.redrawn.model[name].abs()`. Compare it with *permuted sizes*, which differs from
#    it in scale alone (and in the shape of the distribution), and with *signs*, which has about its scale and no spread
#    of sizes.
# 3. The small output layer: spread evenly, it would keep 8 % like the rest. It changes one thing more than *shuffled*
#    does, the number per layer, so you could say even less which one mattered.
# </details>

# %% [markdown]
# ## Take away
#
# - A ticket carries a mask, signs, a scale and exact values. Few controls change one of them alone; *pairs* of arms do.
# - On `mnist1d`, where the ticket still keeps up with the dense network, the mask with its signs keeps nearly
#   everything. Which size sits where matters little, the scale a little, the mask alone a little more.
# - On `fashion-mini` the mask with its signs does the same, but all of it is about a point or two until few weights are
#   left.
# - With new values the sparse network misses the dense one by far on `mnist1d`; on `fashion-mini` it ends above it with
#   a fifth of the weights. What the article says of new values holds on the one and not on the other.
# - "Faster" needs a measure and a density: by the step of the lowest validation loss tickets lead at one and lag at
#   another.
# - A bug can look like a bad ticket or like a wonderful one. Count zeros after training; check that everything else
#   moved.
#
# **Sources**: J. Frankle, *Do Neural Networks Really Need to Be So Big?* J. Frankle and M. Carbin, ICLR 2019. H. Zhou,
# J. Lan, R. Liu and J. Yosinski, *Deconstructing Lottery Tickets: Zeros, Signs, and the Supermask*, NeurIPS 2019. J.
# Frankle, G. Dziugaite, D. Roy and M. Carbin, *Pruning Neural Networks at Initialization: Why Are We Missing the
# Mark?*, ICLR 2021. S. Greydanus and D. Kobak, *Scaling Down Deep Learning with MNIST-1D*, ICML 2024.
