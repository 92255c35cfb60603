# %% [markdown]
# # Controls: is it the mask or the initial values?
#
# A ticket is a mask *and* the values under it. Which of the two makes it win? You change one ingredient at a time,
# each time leaving everything else as it was, and find that on the right data the answer is not subtle. At the end you
# meet two wrong implementations and learn to tell them by their curves.
#
# **After this notebook you can**
# - name four controls of a ticket and say which single thing each one changes;
# - run arms x levels x seeds with one call, and go on after an interruption;
# - compare arms in pairs, in accuracy and in learning speed;
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
# apart one wants it large. `mnist1d` (Greydanus and Kobak 2024) is made for that: signals of 40 numbers, ten classes, each a
# little template that was stretched, shifted, sheared and covered with noise. It is generated, not downloaded, and a
# network learns it in seconds.

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
# *Three training signals of each class.* The network: three hidden layers of 100 neurons, trained for 20 epochs with SGD,
# momentum and a falling (cosine) learning rate.

# %%
recipe = recipe_for("mlp-100-100-100", dataset)
model = build_model("mlp-100-100-100", dataset)
weights = lthlab.cost.parameters(model).prunable
print(f"{weights:,} weights, {recipe.steps(dataset):,} steps;", recipe)

# %% [markdown]
# ## 2. Five arms
#
# An **arm** is one thing to train. Each of these differs from the *ticket* in exactly one way:
#
# | arm | mask | values | what it asks |
# |---|---|---|---|
# | **ticket** | by IMP | original | |
# | **reinitialised** | the ticket's | newly drawn | do the values matter? |
# | **signs** | the ticket's | sign of the original x one constant per layer | is the sign enough? (Zhou et al. 2019) |
# | **shuffled** | the ticket's, shuffled within each layer | original | do the *places* matter? |
# | **random** | by chance, as many per layer | original | the same question, asked otherwise |
#
# *Shuffled* and *random* both keep the ticket's number of weights in every layer and nothing else of its mask. They are two
# ways to draw from the same lot; if they disagree, something is wrong with one of them.
#
# > **Predict.** At 8 % of the weights, order the five by accuracy at the end of training. How large is the gap between
# > the ticket and *reinitialised*, in points?

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
arms = ["dense", "ticket", "reinitialised", "signs", "shuffled", "random"]
began = time.perf_counter()
table = run_experiment(
    "mlp-100-100-100",
    "mnist1d",
    arms=arms,
    seeds=range(4),
    levels=12,
    control_levels=[6, 12],
    evaluate_every="1ep",
    folder=folder,
)
trainings = (table["split"] == "test").sum()  # one look at the test data each
print(f"{trainings} trainings in {time.perf_counter() - began:.0f} s")
table.sample(3, random_state=0)

# %%
accuracy = table.query("split == 'validation' and metric == 'accuracy'")
final = accuracy[accuracy["step"] == recipe.steps(dataset)]
last = final["level"].max()
density_at = final.groupby("level")["density"].first()
print(f"level {last} keeps {density_at[last]:.1%} of the weights")

# %% [markdown]
# ## 4. Your run, over the reference
#
# Four seeds are few. The same experiment with ten seeds and more levels comes with the package, made by
# `python benchmarks/reference.py mnist1d`. Bands are the reference, crosses are your run.


# %%
def read_reference(name):
    """Validation accuracy of a reference run: at the end of training, and by step."""
    rows = pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))
    rows = rows.query("split == 'validation' and metric == 'accuracy'")
    return rows[rows["step"] == rows["step"].max()], rows


reference, reference_by_step = read_reference("mnist1d")
figure, ax = plt.subplots(figsize=(8.5, 5))
plots.accuracy_by_density(reference[reference["arm"].isin(arms[1:])], ax=ax)
dense = lthlab.interval(reference.query("arm == 'dense'")["value"])
ax.axhline(dense.mean, color=plots.arm_color("dense"), linestyle="--", label="dense")
for arm, rows in final[final["arm"] != "dense"].groupby("arm"):
    means = rows.groupby("density")["value"].mean()
    ax.scatter(means.index, means, color=plots.arm_color(arm), marker="x", zorder=5)
ax.legend()
ax.set_title("mnist1d, after 20 epochs")
plt.show()

# %% [markdown]
# *Validation accuracy; lines and bands: mean and 95 % interval over ten seeds (n = 10); crosses: mean of your four.
# Network, recipe, data and their order are the same for all arms of a seed.*

# %%
here = reference[reference["level"].isin([0, 12])]
print(f"at {density_at[12]:.1%} density, ten seeds, paired differences in points:")
for arm, against in (
    ("ticket", "dense"),
    ("ticket", "reinitialised"),
    ("ticket", "signs"),
    ("signs", "reinitialised"),
    ("reinitialised", "shuffled"),
    ("shuffled", "random"),
):
    gap = lthlab.paired(here, arm, against)
    print(f"    {arm:14s} minus {against:14s} {gap.points()}")

# %% [markdown]
# ## 5. Reading it
#
# Go through the six lines one by one; each isolates one thing.
#
# - *ticket minus reinitialised*: the **values**. On these data they decide, and at the end of training, too.
# - *ticket minus signs* and *signs minus reinitialised*: most of what the values are worth is in their **signs**. Give
#   every kept weight the same size and its original sign, and most of the gap closes. (Zhou et al. 2019 found this first.)
#   Not all of it: the first of the two intervals excludes zero, too.
# - *reinitialised minus shuffled*: the **places**. The ticket's mask with new values is better than a mask with
#   the same numbers per layer. The wiring carries something on its own.
# - *shuffled minus random*: two names for one lot. The interval should hold zero.
#
# So: is it the mask or the values? Both, and the two *together* far more than either alone. A mask fits the values it
# was found with, like a key.

# %% [markdown]
# ## 6. Speed
#
# How many steps until the network names 60 % of the validation signals right? An arm that never gets there has no such
# number, so we count it as "not within the training".

# %%
TARGET = 0.6
total = reference_by_step["step"].max()


def steps_to_target(rows):
    reached = rows[rows["value"] >= TARGET]["step"]
    return reached.min() if len(reached) else float("inf")


chosen = reference_by_step[reference_by_step["level"].isin([0, 12])]
speed = chosen.groupby(["arm", "seed"])[["step", "value"]].apply(steps_to_target)
summary = speed.groupby("arm").agg(
    reached=lambda steps: f"{(steps <= total).sum()} of {len(steps)}",
    median_steps="median",
)
summary.loc[arms]

# %% [markdown]
# *Ten seeds; validation accuracy is measured every epoch of 80 steps and at a few earlier steps, so numbers of steps are
# rounded up to the next look. `inf`: more than half of the seeds never got there.*

# %%
race = chosen[chosen["arm"].isin(arms)]
plots.race(race.assign(epoch=race["step"] / recipe.steps_per_epoch(dataset)))
plt.title(f"mnist1d, {density_at[12]:.1%} of the weights")
plt.show()

# %% [markdown]
# *Mean and 95 % interval, n = 10.*

# %% [markdown]
# ## 7. The same controls on pictures
#
# `fashion-mini` and LeNet-300-100, from notebook 03's reference, ten seeds, down to less than one percent:

# %%
pictures, _ = read_reference("fashion-mini")
figure, ax = plt.subplots(figsize=(8.5, 5))
plots.accuracy_by_density(pictures[pictures["arm"].isin(arms[1:])], ax=ax)
dense = lthlab.interval(pictures.query("arm == 'dense'")["value"])
ax.axhline(dense.mean, color=plots.arm_color("dense"), linestyle="--", label="dense")
ax.legend()
ax.set_title("fashion-mini, after 10 epochs")
plt.show()

# %%
levels = sorted(pictures.query("arm == 'shuffled'")["level"].unique())
rows = []
for level in levels:
    there = pictures[pictures["level"] == level]
    density = there.query("arm == 'ticket'")["density"].iloc[0]
    gaps = [lthlab.paired(there, "ticket", arm).points() for arm in arms[2:]]
    rows.append([density, *gaps])
columns = ["density", *(f"ticket minus {arm}" for arm in arms[2:])]
gaps = pd.DataFrame(rows, columns=columns)
gaps.style.format({"density": "{:.1%}"}).hide(axis="index")

# %% [markdown]
# *Mean and 95 % interval, n = 10; differences in points, paired.* Nearly the same order of arms (here the signs are worth
# all that the values are), squeezed together while many weights are left, and opening up as they become few. A control can be *nearly as good* in one setting and hopeless in
# another; both are true, and a claim about tickets needs its density and its data beside it.

# %% [markdown]
# ## 8. If the implementation were wrong
#
# Three implementations of "prune to 8 %, rewind, train". One is right. The other two contain the best-known mistakes in
# code for this paper:
#
# - **freeze by `weight < eps`**: to keep zeros at zero, the gradient is set to zero wherever `weight < 1e-6`. Meant was
#   `abs(weight)`.
# - **mask once**: the mask is applied after rewinding, and never again.
#
# > **Predict.** Which of them will look *better* than the right one? Which worse? Then find them among A, B and C.

# %%
seed = 0
found = lthlab.find_ticket(
    build_model("mlp-100-100-100", dataset, seed=seed),
    dataset,
    recipe,
    levels=12,
    seed=seed,
    evaluate_every="20ep",
    progress=True,
)
masks = found.masks

# %%
from torch.nn import functional as F

from lthlab.batches import example_order
from lthlab.steps import make_optimizer


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
# - The one whose weights are mostly **nonzero** is *mask once*: after the first step it is a dense network again. It looks
#   like a wonderful ticket. Always count the zeros *after* training.
# - The one whose negative weights never **moved** is *freeze by `weight < eps`*. It looks like a ticket that does not win,
#   and nothing in its accuracy says that the code is to blame and not the hypothesis. (It was in the best-known PyTorch
#   code for this paper.)
# - The right one has exactly the zeros of the mask, and everything else moved.
#
# Two lines of checks catch both. Write such checks before you believe a result, above all one that you like.

# %% [markdown]
# ## 9. Your turn
#
# 1. Add an arm: **constant**, the ticket's masks with *all* kept values equal to one positive constant per layer. Copy
#    the function `signs` from `lthlab/arms.py`, change its name and one expression, and write
#    `@lthlab.arm("constant", needs=("ticket",))` above it; it needs `Start` from `lthlab`, `Past` from `lthlab.levels` and `replace` from
#    `dataclasses`. Then run the call of section 3 with it. Predict first.
# 2. Is a ticket's sign pattern enough to rebuild it? Draw new *sizes* from the initial distribution and keep the signs.
# 3. Shuffle the mask *across* layers instead of within. Which layer would suffer, and why is that a worse control?
#
# <details><summary>Answers</summary>
#
# 1. Replace `.sign() * ....std()` by `torch.ones_like(...) * ....std()`. All neurons of a layer that see the same inputs
#    then begin alike, and the signs have to be learnt: expect it at or below *reinitialised*.
# 2. `start.model[name].sign() * past.redrawn.model[name].abs()`. It should end near *signs*: sizes matter little.
# 3. The small output layer: spread evenly, it would keep 8 % like the rest. It changes two things at once, the places and
#    the number per layer, so you could not say which one mattered.
# </details>

# %% [markdown]
# ## Take away
#
# - A control changes exactly one thing. *Reinitialised*: values. *Signs*: sizes. *Shuffled*, *random*: places.
# - On `mnist1d` at 8 % the values decide, and most of that is in their signs. The places matter on their own as well.
# - On `fashion-mini` signs do as well as the values, and the gaps to the other controls are small until few weights are
#   left.
# - A bug can look like a bad ticket or like a wonderful one. Count zeros after training; check that everything else moved.
#
# **Sources**: J. Frankle and M. Carbin, ICLR 2019. H. Zhou, J. Lan, R. Liu and J. Yosinski, *Deconstructing Lottery
# Tickets: Zeros, Signs, and the Supermask*, NeurIPS 2019. J. Frankle, G. Dziugaite, D. Roy and M. Carbin, *Pruning Neural
# Networks at Initialization: Why Are We Missing the Mark?*, ICLR 2021. S. Greydanus and D. Kobak, *Scaling Down Deep
# Learning with MNIST-1D*, ICML 2024.
