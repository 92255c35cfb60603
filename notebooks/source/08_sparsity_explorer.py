# %% [markdown]
# # Turn the knobs: the whole course on one page
#
# Five instruments, one for each idea of the course. None of the first four trains while you turn a knob: they look up what was
# computed before, so you can try ten things in ten seconds. The fifth trains for you while you watch.
#
# **After this notebook you can**
# - see what a mask does to a network, layer by layer, and which pictures it gets wrong first;
# - replay a race between a ticket and its controls and read its bands;
# - explain from pictures why rewinding to the very start can be too early;
# - say what a training costs, and what sparsity would save if hardware paid for it;
# - run an experiment of your own without writing code.
#
# **You need** a running kernel (Run, Run All Cells) and, for the words, notebooks 02 to 05. `make app` shows this page as an
# app, without the code.
#
# **Time**: 30 minutes to play, about 15 seconds to start.

# %%
import torch

from lthlab import build_model, load_dataset, plots, recipe_for, train, widgets

torch.set_num_threads(1)  # one core here; the live lab at the end uses another
plots.use_style()

# %% [markdown]
# Every knob works with the mouse and, once selected, with the arrow keys. The sentence above each picture says what the picture shows, for readers
# who cannot see it and for programs that read aloud. On a page without a kernel you see one still picture of each.
#
# ## 1. The sparsity explorer
#
# A trained network and a pair of scissors. Nothing is trained again after cutting: you see the bare damage.

# %%
dataset = load_dataset("fashion-mini")
model = build_model("lenet-300-100", dataset, seed=0)
history = train(model, dataset, recipe_for("lenet-300-100", dataset), until="4ep", evaluate_every=0)
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
# 4. the layer `fc1` in the mask picture: which pixels keep their connections under *magnitude*, which under *random*?

# %% [markdown]
# <details><summary>What we see</summary>
#
# 1. With one cut for all layers magnitude loses little down to three or four tenths of the weights; random pruning loses from the first step on.
# 2. The output layer. It is small, and every answer passes through it; one cut for all layers spares it.
# 3. T-shirts become shirts, shirts become coats: classes that were hard before lose each other first.
# 4. Under magnitude the middle, where the clothes are. Random has no opinion.
# </details>

# %% [markdown]
# Behind the knobs is a table, and you may ask it things that the knobs do not show:

# %%
for method, rows in explorer.table.query("scope == 'global'").groupby("method", sort=False):
    whole = rows.query("density == 1")["accuracy"].item()
    enough = rows[rows["accuracy"] > whole - 0.02]["density"].min()
    print(
        f"{method:10s} stays within two points of the dense network down to {enough:.1%} of the weights, not retrained"
    )

# %% [markdown]
# ## 2. The ticket race
#
# Ten seeds per arm, run before you came. Press play, or drag the slider with the arrow keys.
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
# 1. With two fifths of the weights the ticket leads early and ends a little ahead; with a thirtieth it ends far behind.
# 2. The sparser, the earlier, and at a thirtieth from the first steps.
# 3. *Shuffled* at low densities: some draws hold a usable network, others none. A mean of such a mixture describes nobody.
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
# 1. Between 48 and 96 of 480 steps, for the mean of ten seeds.
# 2. About 48 to 96, where the barrier is almost gone.
# 3. Wide: ten seeds of a very small network. Notebook 05 pairs the seeds, which tells more than comparing bands.
# </details>

# %% [markdown]
# ## 4. The cost calculator
#
# Set the knobs to GPT-3 (Brown et al. 2020): 175 billion parameters (1.75e11), 300 billion tokens (3e11), on V100s in the USA.
#
# > **Predict.** How many years would one chip need? How many dollars? What would a network with a tenth of the weights, found before
# > training, save?

# %%
calculator = widgets.cost_calculator()
calculator

# %% [markdown]
# **Look for**
# 1. the knob that changes CO2e by the largest factor without changing the network;
# 2. what *kept, if it paid* assumes (notebook 07 measures where it is true);
# 3. where the assumptions come from: `help(widgets.cost_calculator)`.

# %% [markdown]
# <details><summary>What we see</summary>
#
# 1. The electricity: the dirtiest grid of the list is more than twenty times the cleanest.
# 2. That a product with a pruned weight costs nothing. Masks do not give you that; sparse kernels give some of it; and before all that somebody must
#    know *which* weights to keep (notebook 06).
# 3. From the sources named there. The shares of the peak and the rents are round numbers; change them in `lthlab.widgets.cost.HARDWARE`.
# </details>

# %% [markdown]
# ## 5. The live lab
#
# Choose data, method and density and press **Run**. It trains in the background: the other knobs and all cells still work. **Stop** ends it early.
# Each run stays in the picture, so you can race one choice against the next.
#
# > **Predict.** On mnist1d with a tenth of the weights: which is best, *random*, *magnitude at init* or *SNIP*? Run all three.

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
# 1. In the explorer, find a setting in which *global* is worse than *layer*. What happened to the layers?
# 2. In the live lab, find the lowest density at which SNIP still reaches 70 % on `mnist1d`.
# 3. Put your own trained network into the explorer: `widgets.sparsity_explorer(your_model, your_dataset)`.
#
# <details><summary>Answers</summary>
#
# 1. Only with *random*, where both are the same up to chance. With *magnitude* and *SNIP* one cut for all layers is better at every density: it spares the
#    small layers that every signal has to pass.
# 2. Between 18 and 42 %, in the reference runs of notebook 06 (ten seeds); your one seed will differ by a point or two.
# 3. Any network with Linear or Conv layers will do, and any `Dataset` (`lthlab.make_dataset` makes one from arrays).
# </details>

# %% [markdown]
# ## Take away
#
# - Damage without retraining and accuracy after retraining are different questions; the explorer shows the first, the race the second.
# - A band is a statement about the mean. Before you believe a gap, ask for the paired difference (notebook 04).
# - What a sparse network would save is easy to compute; what it does save has to be measured (notebook 07).
#
# **Next**: 09, your own models and larger machines.
