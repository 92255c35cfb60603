# %% [markdown]
# # Dense training, and what it costs
#
# Before we throw weights away, let us see what it means to keep them all. You train a
# network with twelve lines of code and count what that takes. Then you do the same sum
# for a network more than six hundred thousand times larger.
#
# **After this notebook you can**
# - read a training loop, and say what each of its lines does;
# - count the weights and the operations of a network by hand;
# - estimate what a training costs, and name the assumptions that the estimate hangs on.
#
# **You need** notebook 00. You have met matrices and logarithms at school.
#
# **Time**: {time}

# %%
import math
from dataclasses import replace
from importlib.resources import files

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from torch.nn import functional as F

import lthlab
from lthlab import cost, plots
from lthlab.batches import example_order
from lthlab.widgets import bets

torch.set_num_threads(1)  # networks this small run fastest on one core
plots.use_style()
dataset = lthlab.load_dataset("fashion-mini")
model = lthlab.build_model("lenet-300-100", dataset, seed=0)

# %% [markdown]
# ## 1. A network is three matrix products
#
# The network of notebook 00 turns 784 pixels into 300 numbers, these into 100, and these into ten. At each layer the
# numbers that come in are a list, and the [weights](glossary.md#weight) are a matrix with one row for each neuron.
# Matrix times list (`@` in Python) gives one sum per neuron. A *bias*, one number per
# neuron, is added. Weights and biases together are called *parameters*. In all layers
# but the last, negative sums are then set to zero (*ReLU*). The last layer gives one
# number for each class, and the largest wins. In the code the layers are called `fc1`,
# `fc2` and `out`. The library that computes all this is *PyTorch*, `torch` for short.
#
# The [loss](glossary.md#loss) says how wrong these ten numbers are. It first turns them
# into ten probabilities: *e* to the power of each, divided by the sum of all ten. Then
# it takes minus the logarithm of the probability that the true class got. A probability
# of 1 costs nothing, a probability of 0.1 costs ln 10, about 2.3.

# %%
pixels = dataset.validation.x[0].flatten()  # 784 numbers
hidden1 = torch.relu(model.fc1.weight @ pixels + model.fc1.bias)  # 300 numbers
hidden2 = torch.relu(model.fc2.weight @ hidden1 + model.fc2.bias)  # 100 numbers
outputs = model.out.weight @ hidden2 + model.out.bias  # 10 numbers

whole = model(dataset.validation.x[:1])[0]  # a model takes several images: here 1
print("by hand:  ", [round(value, 2) for value in outputs.tolist()])
print("the model:", [round(value, 2) for value in whole.tolist()])
guess, truth = int(outputs.argmax()), int(dataset.validation.y[0])
print(f"guess: {dataset.classes[guess]}; truth: {dataset.classes[truth]}")

now = lthlab.evaluate(model, dataset.validation)
print(f"before training: {now['accuracy']:.1%} right, loss {now['loss']:.2f}")
print(f"an even guess:   10.0% right, loss {math.log(10):.2f}")

# %% [markdown]
# The weights are still random, and so is the guess. The loss is above that of an even
# guess: the untrained network is wrong, and more sure of itself than it should be.

# %% [markdown]
# ## 2. Training in twelve lines
#
# Take a weight and make it a little larger. Does the loss go up or down, and how steeply? The answer is the
# [gradient](glossary.md#gradient). `loss.backward()` finds it for all weights in one sweep. Then the
# [optimiser](glossary.md#optimiser), here *Adam*, moves each weight a little way downhill: that is one
# [step](glossary.md#step). We look at 60 images in each step, a *batch*. When all images have had their turn, one
# [epoch](glossary.md#epoch) is over.

# %%
mine = lthlab.build_model("lenet-300-100", dataset, seed=0)
optimizer = torch.optim.Adam(mine.parameters(), lr=1.2e-3)  # lr: how far a step goes
order = example_order(dataset, seed=0, epoch=0)  # the 8,000 images, shuffled

for batch in order.split(60):
    if len(batch) < 60:
        break  # the last batch is not full: leave it out
    x, y = dataset.train.x[batch], dataset.train.y[batch]
    loss = F.cross_entropy(mine(x), y)  # how wrong are we?
    optimizer.zero_grad()  # forget the gradients of the last batch
    loss.backward()  # which way is downhill?
    optimizer.step()  # one step that way

print(f"after one epoch: {lthlab.evaluate(mine, dataset.validation)['accuracy']:.1%}")

# %% [markdown]
# There is no more to it. `lthlab.train` is the same loop. It also keeps notes on how
# the training went, and later it takes masks. It follows a
# [recipe](glossary.md#recipe). Do both loops end at the same weights?

# %%
recipe = lthlab.recipe_for("lenet-300-100", dataset)
theirs = lthlab.build_model("lenet-300-100", dataset, seed=0)
one_epoch = replace(recipe, duration="1ep")  # a copy with that one change
lthlab.train(theirs, dataset, one_epoch, seed=0)

pairs = zip(mine.parameters(), theirs.parameters(), strict=True)
# detach(): the bare numbers, without their gradients
largest = max((a - b).detach().abs().max().item() for a, b in pairs)
print(f"largest difference between my weights and theirs: {largest:.0e}")

# %% [markdown]
# They do, except for rounding in the last digits.

# %% [markdown]
# ## 3. The whole training
#
# Now we train for ten epochs. After each we look at two losses: one on the images that
# the network learns from, one on others.

# %%
history = lthlab.train(model, dataset, recipe, seed=0, progress=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
losses = history.table.query("metric == 'loss'")
by_split = {"hue": "split", "style": "split", "palette": "colorblind"}
sns.lineplot(losses, x="epoch", y="value", markers=True, ax=left, **by_split)
left.set(xlabel="epochs of training", ylabel="loss", ylim=(0, 0.9), title="loss")
left.legend(title=None)
plots.race(history.table.assign(arm="dense"), ax=right)
right.set(title=f"accuracy: {history.value():.1%} at the end")
figure.tight_layout()
plots.show(
    "Left, the loss against epochs: on training images it falls almost to the end; on "
    "validation images it falls for some epochs, then rises a little. Right, the "
    f"validation accuracy: it climbs early and ends at {history.value():.0%}."
)

# %% [markdown]
# *One run (n = 1 seed). Training loss: the mean over the batches since the last point. Validation loss: 2,000 images that
# are not trained on.*
#
# The training loss falls almost to the end; the validation loss soon stops falling. The
# network has begun to learn its training images by heart (*overfitting*). That is why
# we only believe what it does on images that it was not trained on.

# %% [markdown]
# ## 4. What it takes
#
# Which of the three layers is the expensive one? **Predict.**

# %%
LAYERS = ["fc1: 784 to 300", "fc2: 300 to 100", "out: 100 to 10"]
bets.pick("01-layer", "The layer with more weights than the other two together", LAYERS)

# %%
# the number of weights in each matrix; biases are left out
counts = [weight.numel() for weight in lthlab.prunable_weights(model).values()]
for layer, count in zip(LAYERS, counts, strict=True):
    share = count / sum(counts)
    print(f"{layer:15s} {count:8,d} weights ({share:5.1%})", end=" ")
    print(f"{2 * count:8,d} operations an image")
print(f"in all {2 * sum(counts):,} operations for {sum(counts):,} weights")
print(f"PyTorch counts {cost.inference_flops(model, dataset).total:,}")
bets.reveal("01-layer", LAYERS[counts.index(max(counts))])

# %% [markdown]
# Each weight costs two operations an image: one multiplication and one addition. Operations of this kind are called
# [FLOPs](glossary.md#flop).
#
# Training costs more than use. `loss.backward()` goes back through the layers, from the
# last to the first. On this way back each layer needs two more products of the same
# size: one for the gradient of its weights, one for that of its inputs, which the layer
# before needs. The first layer is spared the second one, as nobody adjusts pixels.
#
# So in a deep network training takes about **three times** as much as use: six FLOPs
# for each weight and image. Ours has a large first layer, and takes a little over twice
# as much:

# %%
images = 60 * recipe.steps(dataset)  # 10 epochs in batches of 60
forward = 2 * sum(counts) * images
backward = 2 * forward - 2 * counts[0] * images
counted = cost.training_flops(model, dataset, recipe).total
speed = counted / history.seconds
print(f"by hand:        {forward + backward:,} FLOPs to train")
print(f"PyTorch counts: {counted:,}, {counted / forward:.1f} times one way forwards")
print(f"in {history.seconds:.2f} s: {speed / 1e9:.0f} billion FLOPs a second")

# %% [markdown]
# ## 5. How big, how dear
#
# This course follows an article: J. Frankle, *Do Neural Networks Really Need to Be So Big?* (2021). It begins with how
# large networks have become, and what they cost. Let us check its numbers. What others published is read from a file
# that names a source for each number.

# %% tags=["article-01"]
facts = pd.read_csv(files("lthlab") / "assets/published.csv").set_index("what")
published, models = facts["value"], facts.query("unit == 'parameters'")
figure, ax = plt.subplots(figsize=(8.5, 4.6))
ax.scatter(models["year"], models["value"], color=plots.arm_color("dense"))
right = ["LeNet-5", "ResNet-50", "BERT-base", "Llama 3.1 405B"]
left = ["AlexNet", "VGG-16", "GPT-2", "T5-11B", "GPT-3", "Switch-C", "PaLM"]
for name in left + right:
    side, shift = ("right", -7) if name in left else ("left", 7)
    place = {"xytext": (shift, 0), "textcoords": "offset points", "ha": side}
    ax.annotate(name, models.loc[name, ["year", "value"]], va="center", **place)
ax.axhline(sum(counts), color="0.5", linestyle=":")
ax.text(2008, 3.5e5, "the network of this notebook")
ax.set(yscale="log", xlabel="year", ylabel="parameters", xlim=(1997, 2034))
times = published["GPT-3"] / published["GPT-2"]
plots.show(
    "Parameters of published networks against the year, each line ten times the one "
    "below: from LeNet-5 in 1998, 60,000, to more than a trillion in 2021. "
    f"GPT-3 has {times:.0f} times the parameters of GPT-2."
)
print(f"GPT-3: {published['GPT-3']:.3g} parameters, {times:.0f} times as many as GPT-2")

# %% [markdown]
# *Each line across the picture stands for ten times the one below. A selection of
# networks, not a census. In this list the record rises until 2021; several makers no
# longer publish their counts.*
#
# GPT-3 (Brown et al. 2020) was trained on 300 billion pieces of text, or *tokens*. Each
# token counts as one example. Section 4 gives all that we need: six FLOPs for each
# weight and example, and the speed of this computer.

# %%
SPANS = ["less than a year", "1 to 100 years", "100 to 10,000 years", "more than that"]
bets.pick("01-years", "To train GPT-3, this computer would take", SPANS)

# %%
work = 6 * published["GPT-3"] * published["GPT-3 tokens"]
years = work / speed / 3.15e7  # seconds in a year
paper = published["GPT-3 training FLOPs"]
print(f"our rule: {work:.2e} FLOPs; the paper's appendix D: {paper:.2e}")
print(f"at the speed measured above: {years:,.0f} years")
bets.reveal("01-years", SPANS[sum(years > limit for limit in (1, 100, 10_000))])

# %% [markdown]
# What that costs depends on the hardware, its price and its electricity. Here is the
# whole sum. Each number at its top can be changed, and most of them are assumptions.
# *CO2e* is CO2 together with other greenhouse gases, counted as the CO2 that would warm
# as much.


# %%
def training_bill(
    parameters=175e9,  # weights
    tokens=300e9,  # examples
    flops_per_second=28e12,  # of one V100 graphics card; a hopeful figure (Li 2020)
    dollars_per_hour=1.50,  # rent of one card, the lowest price (Li 2020)
    watts=330,  # one card and its share of the server (Patterson et al. 2021)
    overhead=1.10,  # cooling and power supply of the building (same paper)
    grams_per_kwh=429,  # CO2e of the electricity (same paper)
):
    hours = 6 * parameters * tokens / flops_per_second / 3600
    kwh = hours * watts / 1000 * overhead
    return {
        "years on one card": hours / 8766,  # hours in a year
        "million dollars": hours * dollars_per_hour / 1e6,
        "MWh": kwh / 1000,
        "tonnes CO2e": kwh * grams_per_kwh / 1e6,
    }


# %% tags=["article-02"]
for quantity, value in training_bill().items():
    print(f"{value:8,.1f} {quantity}")
estimate = published["GPT-3 training cost"] / 1e6
print(f"the published estimate, much quoted: {estimate:.1f} million dollars (Li 2020)")
check = training_bill(flops_per_second=24.6e12)  # measured by Patterson et al. 2021
mwh, tonnes = check["MWh"], check["tonnes CO2e"]
print(f"at their speed: {mwh:,.0f} MWh, {tonnes:,.0f} tonnes CO2e")
mwh, tonnes = published["GPT-3 energy"], published["GPT-3 CO2e"]
print(
    f"their totals:   {mwh:,.0f} MWh, {tonnes:,.0f} tonnes CO2e (Patterson et al. 2021)"
)

# %% [markdown]
# Our bill comes close to the published ones, because it makes the same assumptions.
#
# **Such a bill is a product of assumptions.** Double one factor and the bill doubles;
# double the speed and it halves. Before you quote a bill, ask for its factors.

# %% [markdown]
# ## 6. Are all these weights needed?
#
# How large are they? Here are those of the first layer.

# %%
untrained = lthlab.build_model("lenet-300-100", dataset, seed=0)
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), sharex=True, sharey=True)
shares = []
for ax, network, title in zip(axes, (untrained, model), ("before", "after")):
    values = network.fc1.weight.detach()
    quarter = float(values.abs().max()) / 4
    shares.append(float((values.abs() < quarter).float().mean()))
    plots.weight_histogram(network.fc1.weight, ax=ax, binrange=(-0.3, 0.3))
    ax.set_title(f"{title} training: {shares[-1]:.0%} below a quarter of the largest")
figure.tight_layout()
plots.show(
    "Two histograms of the first layer's weights, before and after training: both are "
    f"bells around zero. Before, {shares[0]:.0%} of the weights are smaller than a "
    f"quarter of the largest, after it {shares[1]:.0%}; the bell got a little wider."
)

# %% [markdown]
# Most weights are small compared with the largest, before training and after. A small weight hands on little of what it
# is given. But a histogram cannot tell us whether that little matters. That takes an experiment.

# %% [markdown]
# ## 7. Your turn
#
# 1. The marked line below counts the FLOPs of training a network with layers of 1,000 and 100 neurons for one epoch of
#    8,000 images. It forgets something. Correct it; the cell says whether you are
#    right.
# 2. In the loop of section 2, set `lr=0.1` and run it again, then `lr=1e-6`. What
#    happens, and why? What if you leave out `zero_grad`?
# 3. Suppose 90 % of the weights of GPT-3 had been removed *before* training, and every
#    FLOP on a removed weight had been saved. Find the price with `training_bill`. What
#    would have to be true for that?

# %%
weights = [784 * 1000, 1000 * 100, 100 * 10]
flops = 2 * sum(weights) * 8_000  # <- your line

truth = 6 * sum(weights) * 8_000 - 2 * weights[0] * 8_000
if math.isclose(flops, truth, rel_tol=0.01):
    print(f"Right: {flops:,} FLOPs.")
elif math.isclose(flops, 6 * sum(weights) * 8_000, rel_tol=0.01):
    print("Nearly: the first layer needs no gradient of its inputs.")
else:
    print(f"Not yet: {flops:,} is {flops / truth:.2f} times what it takes.")

# %% [markdown]
# <details><summary>Answers</summary>
#
# 1. The way back is missing: `(6 * sum(weights) - 2 * weights[0]) * 8_000`.
# 2. Too large a step overshoots: the loss jumps about or explodes, and few images are
#    named right. With too small a step next to nothing changes in
#    one epoch. Without `zero_grad` each gradient is added to all those before it, so old batches keep pulling.
# 3. `training_bill(parameters=17.5e9)`: a tenth of everything. One would have to know *which* weights to remove before
#    training (notebooks 03 and 06), and the hardware would have to run faster without
#    them (notebook 07).
# </details>
#
# The [sheet for this notebook](exercises/01_dense_training.py) has more, with checks.

# %% [markdown]
# ## Take away
#
# - Training is a loop: guess, measure the loss, find the gradient, take a step.
# - Cost follows the weights: two FLOPs a weight and example to use, up to six to train.
# - Dollars, energy and CO2e are these FLOPs times assumptions. Print the assumptions
#   beside every estimate.
#
# **Next question**: most of a trained network's weights are small. How many of them can
# go? [Notebook 02](02_magnitude_pruning.ipynb) removes some and sees what happens.
#
# The deep dives below: which clothes the network mixes up, what more width buys, bytes
# and grams, GPT-3 in use, a ton of CO2, and a bill with knobs.

# %% [markdown] tags=["deep"]
# ## Deep dive: which clothes does it mix up?
#
# Rows are the truth, columns the guess, in percent of the row.

# %% tags=["deep"]
with torch.no_grad():
    guesses = model(dataset.validation.x).argmax(1)
truth = dataset.validation.y
confusion = 100 * pd.crosstab(truth.numpy(), guesses.numpy(), normalize="index")
confusion.index = confusion.columns = pd.Index(dataset.classes)
figure, ax = plt.subplots(figsize=(6.8, 5.4))
label = {"label": "percent of the true class"}
sns.heatmap(confusion, annot=True, fmt=".0f", cmap="viridis", cbar_kws=label, ax=ax)
ax.set(xlabel="guess", ylabel="truth")
hits = pd.Series(confusion.values.diagonal(), dataset.classes)
plots.show(
    "Truth against guess for ten kinds of clothes. Most of each row lies on the "
    f"diagonal; the lowest share of right guesses is {hits.min():.0f} percent, of "
    f"{hits.idxmin()}s, the highest {hits.max():.0f}, of {hits.idxmax()}s."
)

# %% [markdown] tags=["deep"]
# It mixes up shirts, T-shirts, pullovers and coats. At 28 x 28 pixels, you would, too.

# %% [markdown] tags=["deep"]
# ## Deep dive: what does more width buy?
#
# We train four widths of the same network on the same data, for half the epochs.

# %% tags=["deep"]
short, sizes = replace(recipe, duration="5ep"), []
for hidden in ("10-10", "30-10", "100-30", "300-100"):
    net = lthlab.build_model(f"mlp-{hidden}", dataset, seed=0)
    run = lthlab.train(net, dataset, short, seed=0, step="fast", progress=True)
    gflops = cost.training_flops(net, dataset, short).total / 1e9
    count = sum(weight.numel() for weight in lthlab.prunable_weights(net).values())
    sizes.append((hidden, count, gflops, run.value()))
sizes = pd.DataFrame(sizes, columns=["network", "weights", "GFLOPs", "accuracy"])
ax = sns.scatterplot(sizes, x="weights", y="accuracy", s=90, color="0.25")
for row in sizes.itertuples():
    near = {"xytext": (8, -12), "textcoords": "offset points"}
    ax.annotate(row.network, (row.weights, row.accuracy), **near)
ax.set(xscale="log", ylabel="validation accuracy", xlim=(5e3, 1e6))
ax.margins(y=0.15)
ax.grid(False, axis="y")  # no line through a name
ax.yaxis.set_major_formatter("{x:.1%}")
told = [f"{row.accuracy:.1%} with {row.weights:,}" for row in sizes.itertuples()]
plots.show(f"Validation accuracy against weights, on a log scale: {', '.join(told)}.")

# %% tags=["deep"]
small, large = sizes.iloc[0], sizes.iloc[-1]
gain = 100 * (large["accuracy"] - small["accuracy"])
print(
    f"{large['weights'] / small['weights']:.0f} times the weights",
    f"and {large['GFLOPs'] / small['GFLOPs']:.0f} times the work",
    f"for {gain:.1f} points of accuracy (n = 1).",
)

# %% [markdown] tags=["deep"]
# This is the bargain that the whole field lives by: pay many times more, get a little better. Look at the last step,
# from 100-30 to 300-100. It takes more than three times the weights, for a gain that another seed might undo.

# %% [markdown] tags=["deep"]
# ## Deep dive: bytes, joules and grams
#
# A number takes four bytes. To train, we keep for each weight the weight itself, its gradient, and two running averages
# that Adam uses. For the way back we also keep what each layer saw (*activations*), which grows with the batch.

# %% tags=["deep"]
memory = cost.training_memory(model, dataset, recipe)
parts = ("weights", "gradients", "optimizer", "activations")
megabytes = pd.Series({part: getattr(memory, part) / 1e6 for part in parts})
ax = megabytes.plot.barh(color=plots.arm_color("dense"), figsize=(7.5, 2.4))
ax.invert_yaxis()
ax.set(xlabel="megabytes while training with batches of 60")
told = ", ".join(f"{part} {size:.1f}" for part, size in megabytes.items())
plots.show(f"Bars of megabytes: {told}.")
use = megabytes["weights"]
print(f"together {megabytes.sum():.1f} MB to train; {use:.1f} MB to use")

# %% [markdown] tags=["deep"]
# Seconds we can measure. Energy takes an assumption (how many watts does this computer draw while it works?) and CO2e
# another (how was that electricity made?). We write both down, so that you can disagree.

# %% tags=["deep"]
assumed = cost.Assumptions(watts=30, overhead=1.0, grams_per_kwh=480)
kwh, grams = assumed.kwh(history.seconds), assumed.co2e_grams(history.seconds)
kettle = 4186 * 1.0 * 80 / 0.9  # joules: a litre, 20 to 100 degrees, 90 % of it used
print(f"{history.seconds:.2f} s x {assumed.watts:.0f} W = {3.6e6 * kwh:.0f} J")
print(f"= {grams:.3f} g CO2e at about the world's average, 480 g/kWh (Ember 2024)")
print(f"to boil a litre of water takes {kettle / 3.6e6 / kwh:,.0f} times as much")

# %% [markdown] tags=["deep"]
# Nothing to worry about. But nobody trains *one* network, and nobody stops at this size. To meter a real run instead of
# assuming, see [CodeCarbon](https://github.com/mlco2/codecarbon).

# %% [markdown] tags=["deep"]
# ## Deep dive: what GPT-3 takes in use
#
# How many chips does it take to use GPT-3? "Dozens of neural network chips", says the
# article. NVIDIA's V100, the card of those years, holds 32 GB at most. Besides the
# weights, each conversation needs memory: of every token, each layer keeps a *key* and
# a *value*, two lists of numbers that later tokens look at. We take conversations as
# long as the model allows.

# %% tags=["deep", "article-03"]
weights = 2 * published["GPT-3"]  # bytes: 16 bits each
# for each token: a key and a value in each layer, two bytes a number
token = 2 * 2 * published["GPT-3 layers"] * published["GPT-3 width"]
conversation = token * published["GPT-3 context"]
print(f"weights {weights / 1e9:.0f} GB; a conversation {conversation / 1e9:.1f} GB")
for conversations in (0, 1, 16, 64):
    need = weights + conversations * conversation
    cards = math.ceil(need / published["V100 memory"])
    print(f"conversations at once: {conversations:2}; cards: {cards}")

# %% [markdown] tags=["deep"]
# One copy of the weights does not take dozens of cards. Serving many people at once
# does.

# %% [markdown] tags=["deep"]
# ## Deep dive: a ton of CO2
#
# The article says that training a language model a thousand times smaller than GPT-3 emits nearly a ton of CO2, about
# as much as one passenger's flight from New York to San Francisco. The estimate is by Strubell et al. (2019), and the
# model is BERT-base. Energy is processors (here graphics cards, *GPUs*) times watts
# times hours times overhead (also called *PUE*). Here is the sum again:

# %% tags=["deep"]
POUND, SHORT_TON = 453.59237, 2000  # grams, pounds
gpus, hours = published["BERT-base GPUs"], published["BERT-base hours"]
then = cost.Assumptions(
    watts=published["BERT-base power"] / gpus,
    overhead=published["overhead 2018"],
    grams_per_kwh=published["electricity US 2018"] * POUND,
)
seconds = 3600 * gpus * hours
energy, pounds = then.kwh(seconds), then.co2e_grams(seconds) / POUND
flight = pounds / published["flight NY-SF CO2e"]
smaller = published["GPT-3"] / published["BERT-base"]
print(f"{gpus:.0f} GPUs x {then.watts:.2f} W x {hours} h x {then.overhead}", end=" ")
print(f"= {energy:,.0f} kWh; published {published['BERT-base energy']:,.0f}")
print(f"{pounds:,.0f} pounds CO2e; published {published['BERT-base CO2e']:,.0f}")
print(f"= {pounds * POUND / 1e6:.2f} tonnes = {pounds / SHORT_TON:.2f} short tons")
print(f"= {flight:.2f} flights there and back, for {smaller:,.0f} times fewer weights")

# %% [markdown] tags=["deep"]
# And the same work on a chip of today, NVIDIA's H100. A *TFLOP/s* is a trillion FLOPs
# a second.

# %% tags=["deep", "article-04"]
SHARE = 0.4  # of its peak speed, what a well-tuned large model reaches
today = cost.Assumptions(watts=published["H100 board power"], overhead=1.1)
work = 6 * published["BERT-base"] * published["BERT-base tokens"]
peaks = [published["V100 speed"], published["H100 speed"]]
times = [seconds, work / (SHARE * peaks[1])]
rows = {
    "peak speed, TFLOP/s": [peak / 1e12 for peak in peaks],
    "percent of it used": [100 * work / t / peak for t, peak in zip(times, peaks)],
    "GPU-hours": [time / 3600 for time in times],
    "watts per GPU": [then.watts, today.watts],
    "overhead (PUE)": [then.overhead, today.overhead],
    "g CO2e per kWh": [then.grams_per_kwh, today.grams_per_kwh],
    "kg CO2e": [a.co2e_grams(t) / 1000 for a, t in zip((then, today), times)],
}
bert = pd.DataFrame(rows, index=["Strubell et al. 2019", "one H100"]).T
ratio = bert.iloc[:, 0] / bert.iloc[:, 1]
ratio.iloc[:2] = 1 / ratio.iloc[:2]  # a faster chip and a busier one emit less
bert["lowers CO2e by"] = ratio
bert.style.format("{:,.4g}").format("{:.2f}", subset="lowers CO2e by")

# %% tags=["deep"]
fold = ratio["kg CO2e"]
print(f"CO2e then over CO2e today: {fold:.0f}")
print(f"the same with the H100 at a tenth of its peak: {fold * 0.1 / SHARE:.0f}")
large = 6 * published["BERT-large"] * 1e6 * 256 * 512  # steps, sequences, tokens
print(f"if theirs was BERT-large on long sequences: {fold * work / large:.0f}")

# %% [markdown] tags=["deep"]
# The last column multiplies up: chip, use, watts, overhead and grid give the last row. The estimate of 2019 can be
# repeated to the pound, although "nearly a ton" is rounded up, and the flight in the paper's table goes there and back.
# But the same work emits less today. The chip is faster, far more of its speed is used, and the data centre wastes less.
# The watts went up, and the electricity is no cleaner: 480 g is the world's average now, theirs was that of the United
# States.
#
# Read such ratios with care. Their watts were measured, on another card (a Titan X), and include processor and memory;
# ours are the most that the board alone may draw. And so small a share of a chip's speed is suspicious. The paper takes
# its hours from NVIDIA, as those of BERT-base. NVIDIA's own code of that year (the README of Megatron-LM) speaks of
# three days on 64 V100s for BERT-*large*, and trains it on sequences of 512. If that was the run, the last line holds.
# We do not know.

# %% [markdown] tags=["deep"]
# ## Deep dive: turn the knobs
#
# The next two cells make sliders (they move only while Python runs behind the
# notebook). Which of them changes the CO2e most: the chip, the grid, or the size of
# the network?

# %% tags=["deep"]
import ipywidgets as widgets


def knob(low, high, value, text):
    """A slider on a logarithmic scale from 10^low to 10^high."""
    span = {"value": value, "min": low, "max": high, "step": 0.01}
    look = {"style": {"description_width": "130px"}, "layout": {"width": "480px"}}
    look |= {"description": text, "readout_format": ".3g"}
    return widgets.FloatLogSlider(**span, **look)


def show_bill(**values):
    for quantity, value in training_bill(**values).items():
        print(f"{value:>18,.3g}  {quantity}")


# %% tags=["deep"]
_ = widgets.interact(
    show_bill,
    parameters=knob(4, 13, 175e9, "parameters"),
    tokens=knob(3, 14, 300e9, "tokens"),
    flops_per_second=knob(9, 16, 28e12, "FLOP/s achieved"),
    dollars_per_hour=knob(-2, 2, 1.5, "dollars per hour"),
    watts=knob(0, 4, 330, "watts"),
    overhead=knob(0, 0.3, 1.1, "overhead (PUE)"),
    grams_per_kwh=knob(1, 3, 429, "g CO2e per kWh"),
)

# %% [markdown] tags=["deep"]
# None of them in principle: each factor of two is a factor of two. They differ in how far they *can* be turned.
# And training is only the beginning. A network that many people use every day can spend more on *use* than on training.
# Fewer weights would help with both.

# %% [markdown] tags=["deep"]
# **Sources**: those of the picture in section 5: LeCun et al. 1998 (LeNet-5), Krizhevsky et al. 2012 (AlexNet), Simonyan &
# Zisserman 2015 (VGG-16), He et al. 2016 (ResNet-50; counted in torchvision), Devlin et al. 2019 (BERT), Radford et al.
# 2019 (GPT-2), Raffel et al. 2020 (T5), Brown et al. 2020 (GPT-3), Fedus et al. 2022 (Switch-C; for each token it uses
# one expert of each layer, a small part of the whole), Chowdhery et al. 2022 (PaLM), Llama Team 2024. Without a name:
# ResNet-152, Vaswani et al. 2017 (Transformer), BERT-large, Shoeybi et al. 2019 (Megatron-LM), Rosset 2020 (Turing-NLG).
#
# Those of the bill: C. Li, *OpenAI's GPT-3 Language Model: A Technical Overview*, Lambda 2020. D. Patterson et al.,
# *Carbon Emissions and Large Neural Network Training*, 2021, Table 4. E. Strubell, A. Ganesh and A. McCallum, *Energy
# and Policy Considerations for Deep Learning in NLP*, ACL 2019, Tables 1 and 3.
