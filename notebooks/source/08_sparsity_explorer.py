# %% [markdown]
# # Turn the knobs: the whole course on one page
#
# Five instruments, one for each idea of the course. None of the first four trains while you turn a knob: they look up what was
# computed before, so you can try ten things in ten seconds, here or on the course's website. The fifth trains for you while you watch.
#
# **After this notebook you can**
# - see what a mask does to a network, layer by layer, and which pictures the network
#   then gets wrong first;
# - replay a race between a ticket and its controls and read its bands;
# - explain from pictures why rewinding to the very start can be too early;
# - say what a training costs, and what sparsity would save if hardware paid for it;
# - run an experiment of your own without writing code.
#
# **You need**, for the words, notebooks 02 to 06. In JupyterLab run all cells first (Run, Run All Cells). `make app` shows this
# page as an app, without the code. On the website the first four instruments work as they are; the fifth needs Python.
#
# **Time**: 30 minutes to play, about 15 seconds to start.

# %%
from collections import Counter
from copy import deepcopy
from dataclasses import replace

import torch

import lthlab
from lthlab import build_model, load_dataset, plots, recipe_for, train, widgets

torch.set_num_threads(1)  # one core here; the live lab at the end uses another
plots.use_style()

# %% [markdown]
# Every knob works with the mouse, by touch and, once selected, with the arrow keys. The sentence above each picture says what the
# picture shows, for readers who cannot see it and for programs that read aloud.
# Where no script runs, as on GitHub, you see still pictures of the first three.
#
# ## 1. The sparsity explorer
#
# A trained network and a pair of scissors. Nothing is trained again after cutting: you see the bare damage.

# %%
dataset = load_dataset("fashion-mini")
model = build_model("lenet-300-100", dataset, seed=0)
recipe = replace(recipe_for("lenet-300-100", dataset), duration="4ep")
history = train(model, dataset, recipe, evaluate_every=0, step="fast")
print(f"trained for 4 epochs: {history.value():.1%} of the validation pictures right")

# %% [markdown]
# > **Predict.** You keep the largest tenth of the weights. What is left of the accuracy? And if you keep a tenth by chance?

# %%
explorer = widgets.sparsity_explorer(model, dataset)
explorer

# %% [markdown]
# **Look for**
# 1. the density at which *magnitude* begins to hurt, and the one at which *random* does;
# 2. scope *global* at 1 %: which layer keeps most, and why does that help?
# 3. the first pictures that flip. Which classes lose each other?
# 4. layer `fc1`, the picture *connections kept per pixel*: which pixels keep most under
#    *magnitude*, which under *random*?

# %% [markdown]
# <details><summary>What we see</summary>
#
# 1. With scope *global* magnitude loses next to nothing down to half of the weights,
#    and a few points at three tenths. Random pruning loses from the first step on.
# 2. The output layer. It is small, and every answer passes through it; scope *global*
#    spares it.
# 3. The cell below counts them.
# 4. Under magnitude the picture is noisy: a few pixels at the top and bottom edge keep most, and the empty left and right edges least. After so short a
#    training large *first* values still decide. Random has no opinion.
# </details>

# %% [markdown]
# Behind the knobs is a table, and you may ask it things that the knobs do not show:

# %%
print("within two points of the dense network, not retrained:")
table = explorer.table.query("scope == 'global'")
for method, rows in table.groupby("method", sort=False):
    whole = rows.query("density == 1")["accuracy"].item()
    enough = rows[rows["accuracy"] > whole - 0.02]["density"].min()
    print(f"    {method:10s} down to {enough:.1%}")

masks = lthlab.prune(lthlab.magnitude(model), lthlab.full_masks(model), 0.8)
pruned = lthlab.apply_masks_(deepcopy(model), masks)
with torch.no_grad():
    before, after = (net(dataset.validation.x).argmax(1) for net in (model, pruned))
right, names = before == dataset.validation.y, dataset.classes
pairs = [(names[a], names[b]) for a, b in zip(before[right], after[right])]
flips = Counter(pair for pair in pairs if pair[0] != pair[1])
print("\nfirst mix-ups at 20 %, magnitude by layer:")
for (was, became), count in flips.most_common(5):
    print(f"    {was} becomes {became}: {count}")

# %% [markdown]
# ## 2. The ticket race
#
# Ten seeds per arm, trained beforehand. Press play, or move the slider with the arrow
# keys.
#
# > **Predict.** At step 100, who leads: the dense network or a ticket with two fifths of its weights? And with a thirtieth?

# %%
race = widgets.ticket_race("mnist1d")
race

# %% [markdown]
# **Look for**
# 1. the density from which the ticket *starts* ahead of the dense network, and the one from which it *ends* behind it;
# 2. where the bands of *ticket* and *reinitialised* part, at each density;
# 3. the widest band. Why that one?

# %% [markdown]
# <details><summary>What we see</summary>
#
# 1. It starts ahead everywhere: a ticket's mask knows something before any training. At
#    step 100 it still leads with two fifths of its weights, and trails with a
#    thirtieth. It *ends* clearly ahead only at two fifths, and clearly behind from
#    eight percent down.
# 2. They are apart from step 0 on, at every density. As fewer weights are kept, the gap
#    at the end grows, down to five percent; below that it hardly changes.
# 3. *Shuffled* at a thirtieth, at the end: some networks learn nothing at all, others a
#    little. The mean of such a mixture describes none of them.
# </details>

# %% [markdown]
# The same on pictures, where the gap is small and the race is about the beginning:

# %%
pictures_race = widgets.ticket_race("fashion-mini")
pictures_race

# %% [markdown]
# ## 3. The rewind dial
#
# A small residual network at a high learning rate. Two copies part at step k and see the examples in different orders. Are the ends
# connected by a path without a hill? And is the ticket, rewound to k, any good?
#
# > **Predict.** Which comes first as k grows: the barrier falls, or the ticket gets better? Or both at once?

# %%
dial = widgets.rewind_dial()
dial

# %% [markdown]
# **Look for**
# 1. the first k at which the path is nearly flat;
# 2. the k from which a later one gains nothing for the ticket;
# 3. the width of the bands. How sure can you be about 1 and 2?

# %% [markdown]
# <details><summary>What we see</summary>
#
# 1. At step 48 of 480 the mean barrier is down to a few points, and at step 96 to about
#    one.
# 2. From 48 to 96 the ticket gains little, and later it loses. But most of the gain is
#    there at k = 12 already, where the path still has a hill. So most of the gain does
#    not need a flat path.
# 3. Wide: ten seeds of a very small network. Notebook 05 pairs the seeds, which tells more than comparing bands.
# </details>

# %% [markdown]
# ## 4. The cost calculator
#
# Set the knobs to GPT-3 (Brown et al. 2020), 175 billion parameters and 300 billion tokens, on V100s in the USA.
#
# > **Predict.** How many years would one chip need? How many dollars? What would a network with a tenth of the weights, found before
# > training, save?

# %%
calculator = widgets.cost_calculator()
calculator

# %% [markdown]
# **Look for**
# 1. the knob that changes CO2e by the largest factor without changing the network or
#    its data;
# 2. what *kept, if it paid* assumes (notebook 07 measures where it is true);
# 3. where the assumptions come from: `help(widgets.cost_calculator)`.

# %% [markdown]
# <details><summary>What we see</summary>
#
# 1. The hardware, if you go from the laptop to a chip of a data centre: the work per
#    joule differs by more than the electricity of these countries does. Among the chips
#    of data centres it is the electricity.
# 2. That a product with a pruned weight costs nothing. Masks do not give you that; sparse kernels give some of it; and before all that somebody must
#    know *which* weights to keep (notebook 06).
# 3. From the sources named there. The shares of the peak and the rents are round numbers; change them in `lthlab.widgets.cost.HARDWARE`.
#
# If zeros could be skipped, a tenth of the weights would save nine tenths of
# everything.
# </details>

# %% [markdown]
# ## 5. The live lab
#
# Choose network, method and density and press **Run**. It trains in a process of its own: the other knobs and all cells still
# work, and **Stop** ends it at once. Each run stays in the picture, so you can race one choice against the next.
#
# > **Predict.** On mnist1d with a tenth of the weights: which is best, *random*, *magnitude at init* or *SNIP*? Run all three, and compare with ten
# > seeds in notebook 06, section 3. (There *random* is called *uniform random*.)

# %%
lab = widgets.live_lab()
lab

# %% [markdown]
# While it trains, this cell answers:

# %%
print(f"the kernel is free; runs so far: {len(lab.runs)}")

# %% [markdown]
# ## 6. Your turn
#
# 1. In the explorer, is *global* ever worse than *layer*? Look for each method.
# 2. In the live lab, find the lowest density at which SNIP still reaches 70 % on `mnist1d`.
# 3. Put your own trained network into the explorer: `widgets.sparsity_explorer(your_model, your_dataset)`.
#
# <details><summary>Answers</summary>
#
# 1. Only with *random*, where the two differ by chance alone. With *magnitude* and
#    *SNIP* they are about equal while most weights are kept, and then *global* is
#    better: it spares the small layers that every signal has to pass.
# 2. With half of the weights it does, with a fifth it nearly does. Notebook 06 has the
#    curve over ten seeds.
# 3. Any network with Linear or Conv layers will do, and any `Dataset` (`lthlab.make_dataset` makes one from arrays).
# </details>

# %% [markdown]
# ## Take away
#
# - Damage without retraining and accuracy after retraining are different questions; the explorer shows the first, the race the second.
# - A band is a statement about the mean. Before you believe a gap, ask for the paired
#   difference (notebook 02).
# - What a sparse network would save is easy to compute; what it does save has to be measured (notebook 07).
#
# **Next**: [notebook 09](09_scale_up.ipynb), your own models and larger machines.
