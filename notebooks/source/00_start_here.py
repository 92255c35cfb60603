# %% [markdown]
# # Start here: find a winning ticket
#
# In the next few minutes you train a network on pictures of clothes and throw away more
# than 96 % of it. You set what is left back to the random values it started from, and
# see what this small rest can still learn. Then you meet a case with seven suspects.
# The rest of the course is there to solve it.
#
# **After this notebook you can**
# - find a *winning ticket* with one call, and work out how many rounds a smaller one takes;
# - train its *control*, and say when a control controls nothing.
#
# **You need** a little Python. No graphics card, no internet connection, nothing else.
#
# **Time**: {time}
#
# Press `Shift+Enter` to run one cell after the other, and change whatever you like.
# Would you rather play first? Type `make play` in a terminal, in the folder of the
# course: it opens a small network in your browser.

# %% [markdown]
# ## 1. Clothes
#
# `fashion-mini` is a part of Fashion-MNIST (Xiao, Rasul & Vollgraf 2017): small grey
# photographs from an online shop, 28 x 28 pixels each. Each shows one of ten kinds of
# clothes, the *classes*.

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import torch

import lthlab
from lthlab import drawings, plots
from lthlab.widgets import bets
from lthlab.widgets.reference import reference

torch.set_num_threads(1)  # networks this small run fastest on one core
plots.use_style()
dataset = lthlab.load_dataset("fashion-mini")
plots.sample_pictures(dataset)
plots.show(f"One grey picture of each class: {', '.join(dataset.classes)}.")

# %% [markdown]
# The network learns from 8,000 of these pictures. What it has learnt is measured on 2,000 others, the
# [validation set](glossary.md#validation-set): its [accuracy](glossary.md#accuracy) is the share of them that it names
# right. Guessing among ten classes gives 10 %. Differences are counted in *points*:
# from 80 % to 82 % is two points.

# %% [markdown]
# ## 2. Train, prune, rewind
#
# A network is made of neurons in layers. Each neuron multiplies every number that comes in by a
# [weight](glossary.md#weight), adds up the results, and hands the sum on to the next layer. At the beginning the weights
# are random; training changes them.
#
# Removing weights is called [pruning](glossary.md#pruning). A [mask](glossary.md#mask)
# is a list with a yes or a no for each weight: it says which of them are kept.
#
# In both drawings the lines are weights and the circles are neurons; those in the left
# column are the numbers that come in. On the left is a toy network with a mask: the
# faint lines are pruned. On the right is what we are going to do, on a small scale:
# wide lines are large weights, blue ones are positive, dashed orange ones negative.

# %%
torch.manual_seed(0)
# 6 numbers come in; then layers of 5 and of 3 neurons
toy = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 3))
# keep the larger 40 % of the weights
toy_masks = lthlab.prune(lthlab.magnitude(toy), lthlab.full_masks(toy), 0.6)
figure, (left, right) = plt.subplots(1, 2, figsize=(14, 5.2))
network, cycle = drawings.network(toy_masks, ax=left), drawings.imp_cycle(ax=right)
plots.show(f"Left: {network} Right: {cycle}")

# %% [markdown]
# 1. **Train**: show the network the pictures again and again, and change its weights so
#    that it names more of them right.
# 2. **Prune**: remove the weights that ended nearest to zero.
# 3. **Rewind**: set the others back to the random values they started from.
#
# Then the next round begins, with the weights that are left. One round is a
# [level](glossary.md#level). The method is called iterative
# [magnitude](glossary.md#magnitude) pruning, or [IMP](glossary.md#imp). What it leaves
# is the [ticket](glossary.md#ticket): a mask, and the first values of the weights that
# it keeps.
#
# We go through seven rounds. In each we remove 38 % of the weights that are still there
# (19 % in the small last layer; the drawing removes 20 %). Then we train the ticket
# once more, without the rest. Please **predict** first: we remember best what we
# guessed wrong.

# %%
FATES = [
    "learn little",
    "end more than a point below the whole network",
    "end within a point of it, or above",
]
bets.pick("00-ticket", "Trained alone from its first values, the ticket will", FATES)

# %% [markdown]
# ## 3. Find the ticket
#
# The network is LeNet-300-100 (LeCun et al. 1998), with layers of 300, 100 and 10 neurons. The
# [seed](glossary.md#seed) chooses its random values: the same seed, the same values. A [recipe](glossary.md#recipe) says
# how to train and how much to prune. Ours is that of the paper behind this course
# (Frankle & Carbin 2019), made shorter: ten [epochs](glossary.md#epoch), that is ten
# passes over the pictures, and larger cuts than the paper's 20 %.

# %%
SEED = 0
model = lthlab.build_model("lenet-300-100", dataset, seed=SEED)
paper = lthlab.recipe_for("lenet-300-100", dataset)
# a copy with one change: how much goes at each level ("fc": all layers but the last)
recipe = replace(paper, fractions={"fc": 0.38, "output": 0.19})
# the same for all networks below; notebook 07 explains "fast"
same = {"seed": SEED, "step": "fast", "progress": True}

ticket = lthlab.find_ticket(model, dataset, recipe, levels=7, **same)
for number, level in enumerate(ticket.levels):
    kept, right = lthlab.count_kept(level.masks), level.history.value()
    share = f"{kept:7,d} weights = {level.density:6.1%}"
    print(f"level {number}: {share}   accuracy after training {right:.1%}")
whole, small = (ticket.levels[n].history.value() for n in (0, -1))
fate = 0 if small < 0.5 else 1 if small < whole - 0.01 else 2
bets.reveal("00-ticket", FATES[fate])

# %% [markdown]
# Each line is one training. Level 0 is the whole network, also called [dense](glossary.md#dense). Level 7 is the ticket. A
# ticket that does as well as the whole is a [winning ticket](glossary.md#winning-ticket), and you hold one now.
#
# One more question. A training is a long series of small [steps](glossary.md#step):
# each looks at 60 pictures and changes the weights a little. Before the first step, the
# weights of the ticket still have their random first values.

# %%
question = "Accuracy of the ticket before the first step of its training, in percent"
bets.number("00-before", question, low=0, high=100)

# %% [markdown]
# ## 4. The control: the same mask, new values
#
# Would any values have done, as long as the mask is right? To find out, we change exactly one thing. Same mask, same
# pictures in the same order, same recipe, but newly drawn first values. A network that is trained for such a comparison
# is a [control](glossary.md#control). This one is called
# [reinitialised](glossary.md#reinitialised). The networks that we compare are the
# [arms](glossary.md#arm) of the experiment.

# %%
control = lthlab.build_model("lenet-300-100", dataset, seed=1000 + SEED)  # new values
runs = {
    "dense": ticket.levels[0].history,
    "ticket": ticket.levels[-1].history,
    "reinitialised": lthlab.train(control, dataset, recipe, ticket.masks, **same),
}
epoch = recipe.steps_per_epoch(dataset)
for arm, run in runs.items():
    before, early = run.value(step=0), run.value(step=epoch)
    print(f"{arm:14s} before {before:5.1%}   after one epoch {early:.1%}", end="   ")
    print(f"at the end {run.value():.1%}")
bets.reveal("00-before", 100 * runs["ticket"].value(step=0))

# %% [markdown]
# *One run (n = 1 seed).*
#
# The ticket is far above 10 % *before its first step*, while its weights are still
# random. All that it knows lies in **which** weights were removed. So choosing a mask
# is a kind of training, too. The mask was chosen for these values: with
# the new values of the control it starts not far from 10 %. A mask with which untrained
# weights do well is called a [supermask](glossary.md#supermask) (Zhou et al. 2019).
#
# And the control catches up. After one epoch it is far behind. At the end it is close
# to the whole network, if not quite to the ticket. So do good first values only save
# time?

# %% [markdown]
# ## 5. The case
#
# Let us try other data: `mnist1d` (Greydanus & Kobak 2024), signals of 40 numbers in
# ten classes. The experiment is the same, with a network and a recipe that suit the
# signals. We ran it beforehand with ten seeds. We did the same on clothes, with the
# paper's smaller cuts.

# %%
GAPS = ["less than 2 points", "2 to 10 points", "more than 10 points"]
bets.pick("00-signals", "On signals the control ends below the ticket by", GAPS)

# %%
ARMS = ["dense", "ticket", "reinitialised"]
# for each case: the data, and the share of the weights that the ticket keeps
CASES = {"clothes": ("fashion-mini", 0.03583), "signals": ("mnist1d", 0.17824)}
figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
for ax, (what, (name, kept)) in zip(axes, CASES.items()):
    # a table of finished runs; query() keeps the rows that fit, @ARMS is the list above
    rows = reference(name).query("metric == 'accuracy' and arm in @ARMS")
    rows = rows[rows["density"].isin([1, kept])]  # the whole network, and this level
    plots.lines(rows.query("split == 'validation'"), x="step", ax=ax)
    ax.set(title=f"{what}: {kept:.1%} of the weights", ylabel="validation accuracy")
    ax.yaxis.set_major_formatter("{x:.0%}")
    ends = rows.query("split == 'test'")
    for arm in ARMS:
        mean = lthlab.interval(ends[ends["arm"] == arm]["value"])
        print(f"{what}: {arm:14s} {mean.percent()} seeds")
plots.show(
    "Validation accuracy against steps. On clothes the reinitialised control rises "
    "late and ends close to the others; on signals it stays far below to the end."
)
gap = 100 * lthlab.paired(ends, "ticket", "reinitialised").mean  # on signals, the last
bets.reveal("00-signals", GAPS[0 if gap < 2 else 1 if gap <= 10 else 2])

# %% [markdown]
# *Means over ten seeds (n = 10). The numbers are accuracies at the end on the [test set](glossary.md#test-set), 2,000 examples
# that are looked at only once. Bands and brackets say how far a mean can be trusted; notebook 02 teaches how to read them.*
#
# That is the case. On signals the ticket does as well as the whole network, and its twin, with the same mask and new
# values, fails. On clothes the twin is slower, but in the end it does about as well as
# the whole network. An explanation must fit both.

# %% [markdown]
# ## 6. Seven suspects
#
# What makes the ticket win?
#
# - **The mask**: which weights were kept, whatever their values.
# - **The values**: the very numbers that these weights started from.
# - **Their signs**: only whether a number was above or below zero.
# - **Their scale**: only how far from zero the numbers were.
# - **The densities of the layers**: how many weights each layer kept, not which.
# - **Longer training**: the ticket is the last of many trainings.
# - **Luck**: a lucky seed, or too few of them.
#
# Here is the board of the case. It comes back when experiments have tested a suspect. A
# suspect is *charged* if it surely adds more than one point of accuracy, and *struck
# off* if it surely adds less; luck has a rule of its own. Notebook 02 says what
# *surely* means. So far all are open.

# %%
plots.show(drawings.board(0))

# %% [markdown]
# ## 7. Your turn
#
# 1. Each level keeps 62 % of the weights of the one before (ignore the last layer). How
#    many levels does it take until at most 1 % is left? Change the marked line and run
#    the cell. It says whether you are right.
# 2. In section 4, build the control with the seed of the model: `seed=SEED`. What do you expect it to do? Run it.

# %%
levels_needed = 7  # <- your line

left, before = 0.62**levels_needed, 0.62 ** (levels_needed - 1)
if left > 0.01:
    print(f"Not yet: {levels_needed} levels leave {left:.1%}.")
elif before <= 0.01:
    print(f"More than it takes: one level fewer leaves {before:.2%}.")
else:
    print(f"Right: {levels_needed} levels leave {left:.2%}.")

# %% [markdown]
# <details><summary>Answers</summary>
#
# 1. Ten: `0.62 ** 9` is still 1.4 %.
# 2. The "new" values are the old ones. So the control is the ticket itself, and gives
#    the ticket's numbers. A control that controls nothing looks like a failed
#    experiment or, worse, like a discovery.
# </details>
#
# The [sheet for this notebook](exercises/00_start_here.py) has more, with checks.

# %% [markdown]
# ## Take away
#
# - A **winning ticket** is a small part of a network that, trained alone *from its first values*, does as well as the
#   whole.
# - IMP finds it: train, prune, rewind, repeat. The catch: this takes many trainings.
# - The **reinitialised** control keeps the mask and changes the values. On signals it fails; on clothes it is slower.
#
# **Next question**: what does it cost to train a whole network? [Notebook 01](01_dense_training.ipynb) does the sums.

# %% [markdown]
# ## The map
#
# Take these in order:
#
# - 00 start here: What is a winning ticket?
# - [01 dense training](01_dense_training.ipynb): What does training cost, from your laptop to GPT-3?
# - [02 magnitude pruning](02_magnitude_pruning.ipynb): How do you remove 90 % of a trained network?
# - [03 winning tickets](03_winning_tickets.ipynb): Could the same weights have been removed before training?
# - [04 controls](04_random_reinit_controls.ipynb): The trial: mask, values, signs or scale?
# - [05 rewinding](05_rewinding.ipynb): The retrial, on a harder network
#
# Then take what you like:
#
# - [06 tickets before training](06_tickets_before_training.ipynb): Can tickets be found without training first?
# - [07 speed](07_making_sparsity_fast.ipynb): When does a sparse network really save time?
# - [08 explorer](08_sparsity_explorer.ipynb): All the knobs in one place
# - [09 scale up](09_scale_up.ipynb): Graphics cards, clusters, your own models
# - [10 language models](10_language_models.ipynb): Does any of this hold for a language model?
# - [11 what came next](11_what_came_next.ipynb): Deep dive: what was found after 2019
# - [12 before training, in depth](12_before_training_in_depth.ipynb): Deep dive beside 06
# - [13 scale up, in depth](13_scale_up_in_depth.ipynb): Deep dive beside 09

# %% [markdown] tags=["deep"]
# ## Deep dive: what does a ticket look like?
#
# The first layer joins each pixel to 300 neurons. How many of these connections did
# each pixel keep? Nobody told the ticket which pixels show clothes. But beware of
# patterns: chance makes some, too. So the picture in the middle shows the same mask
# [shuffled](glossary.md#shuffled): as many weights, in random places. On the right you
# see how much each pixel varies from picture to picture.

# %% tags=["deep"]
chance = lthlab.shuffle_masks(ticket.masks, seed=SEED)
spread = dataset.pictures(dataset.train.x).std(0)[0]
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.6))
most = int(ticket.masks["fc1.weight"].sum(0).max())
for ax, masks in ((left, ticket.masks), (middle, chance)):
    plots.input_picture(masks["fc1.weight"], dataset, ax=ax)
    ax.collections[0].set_clim(0, most)  # one scale for both
left.set_title("the ticket")
middle.set_title("chance: the mask shuffled")
shades = right.imshow(spread, cmap="viridis")
right.set(title="how much the pixels vary", xticks=[], yticks=[])
right.grid(False)
figure.colorbar(shades, label="standard deviation")
figure.tight_layout()
plots.show(
    "Three maps of the 28 x 28 pixels. The ticket keeps few connections at the left "
    "and right edges; the shuffled mask has speckles, too, but no such edges. Pixels "
    "vary least at the left and right edges."
)

# %% tags=["deep"]
dull = spread.flatten() < spread.quantile(0.1)
for name, masks in (("ticket", ticket.masks), ("shuffled", chance)):
    counts = masks["fc1.weight"].sum(0).float()
    print(
        f"{name:9s} kept of 300: {counts.mean():.1f} on average,",
        f"{counts[dull].mean():.1f} for the tenth of the pixels that varies least",
    )

# %% [markdown] tags=["deep"]
# *One ticket, one shuffle (n = 1).* The pattern is real: pixels that hardly change keep fewer connections than chance
# would give them. It is also weak: the picture in the middle has much of the same
# speckle.

# %% [markdown] tags=["deep"]
# **Sources**: J. Frankle and M. Carbin, *The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks*, ICLR
# 2019. H. Zhou, J. Lan, R. Liu and J. Yosinski, *Deconstructing Lottery Tickets*, NeurIPS 2019. H. Xiao, K. Rasul and R.
# Vollgraf, *Fashion-MNIST*, 2017. S. Greydanus and D. Kobak, *Scaling Down Deep
# Learning with MNIST-1D*, ICML 2024. LeNet: Y. LeCun et al., Proceedings of the IEEE
# 86, 1998.
