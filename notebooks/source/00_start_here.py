# %% [markdown]
# # Start here: find a winning ticket
#
# The **lottery ticket hypothesis** says: inside a large network there is a small one whose first random values were
# lucky. In the next minutes you train a network on pictures of clothes, throw away more than 96 % of it, put what is
# left back to its very first values, and find out what that remainder can still learn.
#
# **After this notebook you can**
# - say what a *winning ticket* is, and find one with one function call;
# - name the control that shows whether the initial values matter;
# - find your way through the course.
#
# **You need** a little Python. No graphics card, no internet connection, nothing else.
#
# **Time**: 10 minutes to read, under 1 minute to run on a laptop.
#
# *How to use it*: press `Shift+Enter` to run one cell after the other. Cells are meant to be changed; nothing
# here can break your computer, and *Kernel → Restart* always brings you back.
#
# *Rather play first?* `make play` opens a small network in your browser, each weight a line, to train, prune, rewind and
# question with the mouse.

# %% [markdown]
# ## 1. Is everything there?

# %%
import os
import platform

import torch

print(f"Python {platform.python_version()}, PyTorch {torch.__version__}")
has_gpu = torch.cuda.is_available()
card = torch.cuda.get_device_name() if has_gpu else "none (none is needed)"
print(f"{os.cpu_count()} processor cores; graphics card: {card}")
torch.set_num_threads(1)  # networks this small run fastest on one core

# %% [markdown]
# If the cell above printed versions and no error, you are ready. The next one imports our own small package,
# `lthlab`. You can read any of its functions: type `find_ticket??` in a cell.

# %%
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from lthlab import build_model, find_ticket, load_dataset, plots, recipe_for, train

plots.use_style()

# %% [markdown]
# ## 2. Data: clothes in 28 x 28 pixels
#
# `fashion-mini` is a balanced part of Fashion-MNIST (Xiao, Rasul & Vollgraf 2017), real photographs from a
# shop, scaled down. It comes with the package.

# %%
dataset = load_dataset("fashion-mini")
dataset

# %%
plots.sample_pictures(dataset)
plt.show()
# %% [markdown]
# Three splits, three jobs. The network learns from *train*. We compare and choose by *validation*. *Test* is
# for one last look when all choices have been made; most notebooks never touch it.

# %% [markdown]
# ## 3. A network from 1998
#
# LeNet-300-100 (LeCun et al. 1998): 784 pixels, 300 neurons, 100 neurons, 10 classes, every neuron joined to
# all of the layer before. Its **weights** are the numbers on these connections. Training adjusts them; at the
# beginning they are random. The *seed* chooses which random values.

# %%
SEED = 0
model = build_model("lenet-300-100", dataset, seed=SEED)
model

# %% [markdown]
# You need not read this printout yet; notebook 01 does. What matters here is how many weights there are:

# %%
from lthlab import prunable_weights

weights = prunable_weights(model)
for name, weight in weights.items():
    rows, columns = weight.shape
    print(f"{name:12s} {rows:4d} x {columns:3d} = {weight.numel():8,d} weights")
print(f"{'together':25s} {sum(w.numel() for w in weights.values()):8,d}")

# %% [markdown]
# ## 4. Predict before you run
#
# We are going to do this, seven times over:
#
# 1. **train** the network: show it the images again and again, and adjust the weights until it names them right;
# 2. **prune**: remove the weights that ended nearest to zero, 38 % of those still there (19 % in the last layer);
# 3. **rewind**: put the survivors back to the random values they started from.
#
# Which weights are still there is written in a **mask**: a list of yes and no, one for each weight. What is left at
# the end is a sparse network with its original initial values: the **ticket**.
#
# > **Your guess, please.** Trained alone from those initial values, will the ticket
# > (a) learn nothing much, (b) end clearly below the whole network, (c) end about level with it?
# > And if the same sparse network gets *new* random values?
#
# Write it down. Wrong guesses are remembered best.

# %% [markdown]
# ## 5. Find the ticket
#
# `recipe_for` gives the paper's recipe for MNIST (Frankle & Carbin 2019: the optimiser *Adam*, 50,000 steps), cut to 10
# epochs: ten passes over our training images. The paper removes 20 % at a time, which is kinder; we are in a hurry
# and take almost twice as much. (`replace` makes a copy of the recipe with that one change.) The bars show how far
# we are.

# %%
from dataclasses import replace

paper = recipe_for("lenet-300-100", dataset)
recipe = replace(paper, fractions={"fc": 0.38, "output": 0.19})
recipe

# %%
early = [5, 10, 20, 40, 70, 100]  # steps at which to look, beside every epoch
# the same for all networks below; "fast" is explained in notebook 07
same = {"seed": SEED, "evaluate_at": early, "step": "fast", "progress": True}

ticket = find_ticket(model, dataset, recipe, levels=7, **same)

# %% [markdown]
# That was the whole experiment: eight trainings, one per **level**. Level 0 is the whole, dense network. Here
# is what each level kept, and how well it did after its training:

# %%
levels = pd.DataFrame(
    {
        "weights kept": f"{100 * level.density:.1f} %",
        "after 1 epoch": level.history.value(step=recipe.steps_per_epoch(dataset)),
        "after all 10": level.history.value(),
    }
    for level in ticket.levels
)
accuracies = ["after 1 epoch", "after all 10"]
levels.rename_axis("level").style.format("{:.1%}", subset=accuracies)

# %% [markdown]
# *Numbers are validation accuracy: the share of 2,000 images, not used for training, that the network names
# right.*
#
# Read the column *after 1 epoch* from top to bottom. Was that in your prediction?

# %% [markdown]
# ## 6. The control: the same wiring, new values
#
# Perhaps any sparse network with this wiring would do. To find out we change exactly one thing. Same mask (the
# wiring), same data in the same order, same recipe, but **newly drawn** initial values:

# %%
control = build_model("lenet-300-100", dataset, seed=1000 + SEED)
control_history = train(control, dataset, recipe, ticket.masks, **same)

# %% [markdown]
# ## 7. The race
#
# Three networks, the same images in the same order:
#
# - **dense**: all 266,200 weights (level 0);
# - **ticket**: the few that were kept, from their original values (last level);
# - **reinitialised**: the same few connections, from new values.

# %%
runs = {
    "dense": ticket.levels[0].history,
    "ticket": ticket.levels[-1].history,
    "reinitialised": control_history,
}
table = pd.concat([history.table.assign(arm=arm) for arm, history in runs.items()])
table.head()

# %%
figure, (whole, start) = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
plots.race(table, ax=whole)
plots.race(table[table["epoch"] <= 1], ax=start, legend=False)
whole.set_title("the whole training")
start.set_title("the first epoch, closer")
figure.tight_layout()

# %% [markdown]
# *Validation accuracy over training. One run (n = 1 seed); data, order of the data and recipe are the same for
# all three, mask the same for ticket and reinitialised.*

# %%
kept = ticket.levels[-1].density
print(f"{kept:.1%} of the weights are left: one in {1 / kept:.0f}.\n")
epoch = recipe.steps_per_epoch(dataset)
for arm, history in runs.items():
    print(
        f"{arm:14s} before training {history.value(step=0):.1%}",
        f"after one epoch {history.value(step=epoch):.1%}",
        f"at the end {history.value():.1%}",
        sep="   ",
    )

# %% [markdown]
# The ticket and its reinitialised twin have the same number of weights in the same places. All that differs is
# the values they began with. Look at how far apart they are early on, and how the distance shrinks as training
# goes on: with these data, bad luck costs the small network mostly *time*. Where it costs the final accuracy as
# well is a question for notebooks 03 and 04.
#
# Something else is odd. Guessing among ten classes gives 10 %. Read the column *before training*, or look at the
# very left of the right-hand picture: the ticket is far above that *before its first training step*. Its weights
# are still the random ones. What it knows, it knows from **which** of them were removed: choosing a mask is a kind
# of training too (Zhou et al. 2019 call a mask that does this a *supermask*).

# %% [markdown]
# ## 8. What does a ticket look like?
#
# The first layer joins each pixel to 300 neurons. How many of these 300 connections did each pixel keep? Nobody
# told the pruning which pixels show clothes. Beside it: how much each pixel varies from image to image.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
plots.input_picture(ticket.masks["fc1.weight"], dataset, ax=left)
spread = dataset.pictures(dataset.train.x).std(0)[0]
ax = sns.heatmap(spread, cmap="viridis", square=True, ax=right)
ax.set(xticks=[], yticks=[])
ax.collections[0].colorbar.set_label("standard deviation of the pixel")
figure.tight_layout()

# %%
kept_per_pixel = ticket.masks["fc1.weight"].sum(0).float()
dull = spread.flatten() < spread.quantile(0.1)
print(
    f"kept of 300, on average: {kept_per_pixel.mean():.1f} for all pixels,",
    f"{kept_per_pixel[dull].mean():.1f} for the tenth that varies least",
)

# %% [markdown]
# A pattern, real but weak: pixels at the edges, which hardly change, keep fewer connections. Most of what looks like
# structure in the left picture is chance.

# %% [markdown]
# ## 9. Your turn
#
# 1. Change `SEED` in section 3 and run all cells again (*Run → Run All Cells*). Does the order of the three curves
#    stay? Which numbers move most?
# 2. Set `levels=10`. How small can the ticket get before it falls behind the dense network? What happens to the
#    reinitialised one?
# 3. In section 6 build the control with the *same* seed as the model (`seed=SEED`). What do you expect it to do? Run
#    it. Why does the documentation of `build_model` say *another* seed?
#
# <details><summary>Answers</summary>
#
# 1. Early in training the order stays with nearly every seed; the final accuracies lie within a point or two of each
#    other and may change places.
# 2. `ticket.levels[-1].density` is then below 1 %. Both lose accuracy at the end; look which of them loses more.
# 3. The "new" values are then the old ones: the control is the ticket itself and its curve lies exactly on the
#    ticket's. A control that controls nothing looks like a failed experiment, or worse, like a discovery.
# </details>

# %% [markdown]
# ## 10. One run is not evidence
#
# You saw one seed. Luck is exactly what this course is about, so from here on we repeat: notebook 03 runs five
# seeds, compares them in pairs and prints 95 % intervals. Please do not believe the picture above until then.

# %% [markdown]
# ## The map
#
# | notebook | question |
# |---|---|
# | 00 start here | What is a winning ticket? |
# | 01 dense training | What does it cost to train a network, from your laptop to GPT-3? |
# | 02 magnitude pruning | How do you remove 90 % of a trained network, and what does it *not* save? |
# | 03 winning tickets | Could the same weights have been removed before training? |
# | 04 random reinit controls | Is it the wiring or the initial values? |
# | 05 rewinding | When does rewinding to the start fail, and why? |
# | 06 tickets before training | Can tickets be found without training first? |
# | 07 making sparsity fast | When does a sparse network really save time? |
# | 08 sparsity explorer | All the knobs in one place |
# | 09 scale up | Graphics cards, clusters, your own models |
#
# Take 01 to 04 in order, then what you like.

# %% [markdown]
# ## Take away
#
# - A **winning ticket** is a sparse part of a network that, trained alone *from its original initial values*,
#   does as well as the whole.
# - It is found by **iterative magnitude pruning**: train, prune, rewind, repeat.
# - The **reinitialised** control has the same mask and new values. If it does as well as the ticket, the initial
#   values did not matter.
# - There is a catch: it took seven trainings to find the ticket, the first of them on the whole network. That is more
#   than one training with the ticket can save. It is one of the two open problems; the other is making sparse
#   networks fast.
#
# **Sources**: J. Frankle and M. Carbin, *The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural
# Networks*, ICLR 2019. H. Zhou, J. Lan, R. Liu and J. Yosinski, *Deconstructing Lottery Tickets*, NeurIPS 2019. H. Xiao, K. Rasul and R. Vollgraf, *Fashion-MNIST*, 2017. Y. LeCun et al.,
# *Gradient-Based Learning Applied to Document Recognition*, 1998.
