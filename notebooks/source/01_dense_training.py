# %% [markdown]
# # Dense training, and what it costs
#
# Before we throw weights away, let us see what keeping them all means. You train a network with your own twelve
# lines, find out where its numbers, operations, bytes and joules sit, and carry the same arithmetic over to a
# network six hundred thousand times larger.
#
# **After this notebook you can**
# - write a training loop, and explain each of its lines;
# - count the parameters, FLOPs and bytes of a network, by hand and by tool;
# - estimate the price, energy and CO2e of a training run, and say which assumptions the estimate hangs on;
# - say why "are all these weights needed?" is a question worth millions.
#
# **You need** notebook 00, and to have heard of matrix products.
#
# **Time**: 30 minutes to read, about 1 minute to run.

# %%
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from torch.nn import functional as F

import lthlab
from lthlab import build_model, cost, evaluate, load_dataset, plots, recipe_for, train

torch.set_num_threads(1)  # networks this small run fastest on one core
plots.use_style()

dataset = load_dataset("fashion-mini")
model = build_model("lenet-300-100", dataset, seed=0)

# %% [markdown]
# ## 1. A network is three matrix products
#
# Each layer multiplies its input by a matrix of weights and adds one number per neuron, its *bias*; each but the last
# then sets negative results to zero (*ReLU*). The last layer gives ten numbers, one score per class; the largest
# wins. By hand, for one image (`@` is the matrix product):

# %%
image = dataset.validation.x[0]
pixels = image.flatten()  # 784 numbers

hidden1 = torch.relu(model.fc1.weight @ pixels + model.fc1.bias)  # 300 numbers
hidden2 = torch.relu(model.fc2.weight @ hidden1 + model.fc2.bias)  # 100 numbers
scores = model.out.weight @ hidden2 + model.out.bias  # 10 numbers
print("by hand:  ", [round(score, 3) for score in scores.tolist()])
print("the model:", [round(score, 3) for score in model(image[None])[0].tolist()])

# %%
guess, truth = int(scores.argmax()), int(dataset.validation.y[0])
print("guess:", dataset.classes[guess], "  truth:", dataset.classes[truth])
untrained = evaluate(model, dataset.validation)
right = untrained["accuracy"]
print(f"right on the validation images, before any training: {right:.1%}")

# %% [markdown]
# Random weights, random guesses. (`image[None]` above makes a batch of one: networks take many images at a time.) The **loss** puts a number on how wrong the scores are: *cross-entropy* turns
# the ten scores into probabilities and takes minus the logarithm of the one that belongs to the true class. An
# even guess among ten costs ln 10:

# %%
import math

print(f"loss of an even guess: {math.log(10):.3f}   loss now: {untrained['loss']:.3f}")

# %% [markdown]
# Worse than an even guess: the untrained network is wrong, and with some confidence.

# %% [markdown]
# ## 2. Training in twelve lines
#
# *Gradient descent* asks of every weight: if you were a little larger, would the loss go up or down, and how
# steeply? That slope is the gradient; `loss.backward()` finds all 266,610 of them (266,200 weights and 410 biases) in one sweep. Then every weight
# takes a small step downhill. We look at 60 images at a time (a **batch**), and once at every image is an
# **epoch**.

# %%
from lthlab.batches import example_order

mine = build_model("lenet-300-100", dataset, seed=0)
optimizer = torch.optim.Adam(mine.parameters(), lr=1.2e-3)

order = example_order(dataset, seed=0, epoch=0)  # a random order of the 8,000 images
for batch in order.split(60):
    if len(batch) < 60:
        break  # the last batch is not full: leave it; next epoch has another order
    x, y = dataset.train.x[batch], dataset.train.y[batch]
    loss = F.cross_entropy(mine(x), y)  # how wrong are we?
    optimizer.zero_grad()  # forget the last batch's gradients
    loss.backward()  # which way is downhill?
    optimizer.step()  # one step that way

print(f"after one epoch: {evaluate(mine, dataset.validation)['accuracy']:.1%} right")

# %% [markdown]
# That is all there is to it. The `train` function of `lthlab` is the same loop with a progress bar, notes on how
# it went, and (later) masks. It follows a `Recipe`. Proof that it does the same thing:

# %%
recipe = recipe_for("lenet-300-100", dataset)
from dataclasses import replace

one_epoch = replace(recipe, duration="1ep")
theirs = build_model("lenet-300-100", dataset, seed=0)
train(theirs, dataset, one_epoch, seed=0)

pairs = zip(mine.parameters(), theirs.parameters(), strict=True)
difference = max((a - b).detach().abs().max().item() for a, b in pairs)
print(f"largest difference between my weights and theirs: {difference:.1e}")

# %% [markdown]
# (Zero, or a few units in the last digits, where PyTorch's *fused* optimiser adds up in another order.)

# %% [markdown]
# ## 3. The whole training
#
# > **Predict.** Over ten epochs, what will the loss on the *training* images do? And on the *validation* images?

# %%
history = train(model, dataset, recipe, seed=0, progress=True)
history.table.tail(3)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
losses = history.table.query("metric == 'loss'")
by_split = {"hue": "split", "style": "split", "palette": "colorblind"}
sns.lineplot(losses, x="epoch", y="value", markers=True, ax=left, **by_split)
left.set(xlabel="epochs of training", ylabel="loss (cross-entropy, nats)")
left.set(title="loss", ylim=(0, 0.9))
left.legend(title=None)
plots.race(history.table.assign(arm="dense"), ax=right)
right.set_title("accuracy")
figure.tight_layout()

# %% [markdown]
# *One run, n = 1. Training loss is the mean over the batches since the last point, validation loss is measured on
# all 2,000 images.*
#
# The training loss keeps falling while the validation loss, after a few epochs, no longer does: the network has begun
# to learn its training images by heart (**overfitting**). Its accuracy does not fall: it grows too sure of its
# mistakes before it makes more of them.

# %%
best = losses.query("split == 'validation'").sort_values("value").iloc[0]
print(
    f"validation loss was lowest after epoch {best['epoch']:.0f}: {best['value']:.3f};",
    f"at the end {history.value('loss'):.3f}",
)
print(f"validation accuracy at the end: {history.value():.1%}")

# %% [markdown]
# Which clothes does it mix up? Rows are the truth, columns the guess, in percent of the row.

# %%
with torch.no_grad():
    guesses = model(dataset.validation.x).argmax(1)
truth = dataset.validation.y
confusion = pd.crosstab(truth.numpy(), guesses.numpy(), normalize="index")
confusion.index = confusion.columns = pd.Index(dataset.classes)
figure, ax = plt.subplots(figsize=(6.8, 5.4))
sns.heatmap(
    100 * confusion,
    annot=True,
    fmt=".0f",
    cmap="viridis",
    cbar_kws={"label": "percent of the true class"},
    ax=ax,
)
ax.set(xlabel="guess", ylabel="truth")
plt.show()
# %% [markdown]
# Shirts, T-shirts, pullovers and coats. At 28 x 28 pixels, so would you.

# %% [markdown]
# ## 4. Where the parameters are, and what they do
#
# > **Predict.** Which of the three layers holds most of the weights? Which does most of the work?

# %%
rows = []
for name, weight in lthlab.prunable_weights(model).items():
    count = weight.numel()
    flops = 2 * count  # one multiplication and one addition per weight and image
    rows.append((name.removesuffix(".weight"), count, flops, 4 * count))
layers = pd.DataFrame(rows, columns=["layer", "weights", "FLOPs per image", "bytes"])
layers = layers.set_index("layer")
layers.loc["all"] = layers.sum()
layers["share"] = layers["weights"] / layers.loc["all", "weights"]
layers.style.format({"share": "{:.1%}"}, thousands=",")

# %% [markdown]
# Two operations per weight and image: a multiplication and an addition. These are **FLOPs**, floating-point
# operations, the usual currency. Do not trust our hand count; PyTorch counts them as they happen:

# %%
per_image = cost.inference_flops(model, dataset).total
print(f"by torch's counter: {per_image:,} FLOPs to classify one image")
print(f"all parameters, biases included: {cost.parameters(model).total:,}")

# %% [markdown]
# ### Training costs two to three times as much as using
#
# Going backwards, each layer needs two more products: the gradient of its weights, and the gradient of its input
# for the layer before. The first layer can skip the second, as nobody adjusts pixels. So, per step with a batch
# of 60:

# %%
forward = 2 * 60 * 266_200
backward = 2 * forward - 2 * 60 * 784 * 300
steps = recipe.steps(dataset)
counted = cost.training_flops(model, dataset, recipe).total
speed = counted / history.seconds
print(f"by hand:            {(forward + backward) * steps:,} FLOPs for {steps:,} steps")
print(f"by torch's counter: {counted:,}")
print(
    f"times the forward pass alone: {counted / (forward * steps):.1f};",
    "close to 3 where the first layer is a small part",
)
print(
    f"in {history.seconds:.1f} s on this machine:",
    f"{speed / 1e9:.0f} billion FLOPs per second",
)

# %% [markdown]
# ### Bytes
#
# A number takes four bytes. To train we keep for each weight: itself, its gradient, and two running averages
# that the optimiser Adam uses. And for the backward sweep, what each layer saw (**activations**), which grows
# with the batch:

# %%
memory = cost.training_memory(model, dataset, recipe)
parts = ("weights", "gradients", "optimizer", "activations")
megabytes = pd.Series({part: getattr(memory, part) / 1e6 for part in parts})
ax = megabytes.plot.barh(color=plots.arm_color("dense"), figsize=(7.5, 2.4))
ax.invert_yaxis()
ax.set(xlabel="megabytes while training with batches of 60")
use = megabytes["weights"]
print(f"together {megabytes.sum():.1f} MB to train; {use:.1f} MB to use")

# %% [markdown]
# ## 5. Joules and grams
#
# Seconds we can measure. Energy takes an assumption (how many watts does this computer draw while it works?) and
# CO2e one more (how was that electricity made?). We write both down, so that you can disagree:

# %%
assumptions = cost.Assumptions(watts=30, overhead=1.0, grams_per_kwh=480)
assumptions

# %%
kwh, grams = assumptions.kwh(history.seconds), assumptions.co2e_grams(history.seconds)
joules = 3.6e6 * kwh
# one litre from 20 to 100 degrees; 90 % of the heat reaches the water
kettle = 4186 * 1.0 * 80 / 0.9
watts = f"{assumptions.watts:.0f} W"
print(f"{history.seconds:.1f} s x {watts} = {joules:.0f} J = {kwh:.6f} kWh")
average = "about the world's average, 480 g/kWh (Ember 2024)"
print(f"that is {grams:.3f} g CO2e at {average}")
print(f"boiling a litre of water would train this network {kettle / joules:,.0f} times")

# %% [markdown]
# Nothing to worry about. But nobody trains *one* network; and nobody stops at this size. To meter a real run
# instead of assuming, see [CodeCarbon](https://github.com/mlco2/codecarbon).

# %% [markdown]
# ## 6. Larger is better, but how much?
#
# Four widths of the same network, the same data, half the epochs:

# %%
short = replace(recipe, duration="5ep")
sizes = []
for hidden in ("10-10", "30-10", "100-30", "300-100"):
    net = build_model(f"mlp-{hidden}", dataset, seed=0)
    run = train(net, dataset, short, seed=0, progress=f"mlp-{hidden}")
    sizes.append(
        {
            "network": hidden,
            "weights": cost.parameters(net).prunable,
            "GFLOPs": cost.training_flops(net, dataset, short).total / 1e9,
            "accuracy": run.value(),
        }
    )
sizes = pd.DataFrame(sizes)
sizes.style.format({"weights": "{:,}", "GFLOPs": "{:.1f}", "accuracy": "{:.1%}"})

# %%
color = plots.arm_color("dense")
ax = sns.scatterplot(sizes, x="weights", y="accuracy", s=90, color=color)
aside = {"xytext": (8, -12), "textcoords": "offset points"}
for _, row in sizes.iterrows():
    ax.annotate(row["network"], (row["weights"], row["accuracy"]), **aside)
ax.set(xscale="log", xlabel="weights", ylabel="validation accuracy", xlim=(5e3, 1e6))
ax.yaxis.set_major_formatter("{x:.0%}")
plt.show()
# %%
small, large = sizes.iloc[0], sizes.iloc[-1]
gain = 100 * (large["accuracy"] - small["accuracy"])
print(
    f"{large['weights'] / small['weights']:.0f} times the weights",
    f"and {large['GFLOPs'] / small['GFLOPs']:.0f} times the work",
    f"for {gain:.1f} points of accuracy (n = 1).",
)

# %% [markdown]
# This is the bargain that the whole field lives by: pay many times more, get a little better. Look at the last step,
# from 100-30 to 300-100: three times the weights for a gain that another seed might undo. And yet the bargain has
# been extended a very long way.

# %% [markdown]
# ## 7. How big, how dear
#
# This course follows an article: J. Frankle, *Do Neural Networks Really Need to Be So Big?* (2021). It opens with four
# figures: how large networks are, what it costs to train one, what it takes to use it, and what it emits. We work out
# each of them. What others published comes from one file, which names a source for every number:

# %%
from importlib.resources import files

facts = pd.read_csv(files("lthlab") / "assets/published.csv").set_index("what")
published = facts["value"]
three = facts.loc[["GPT-2", "GPT-3", "GPT-3 training cost"]]
three.style.format({"value": "{:,.0f}"})

# %% tags=["article-01"]
models = facts.query("unit == 'parameters'")
left = ["AlexNet", "VGG-16", "GPT-2", "T5-11B", "GPT-3", "Switch-C", "PaLM"]
right = ["LeNet-5", "ResNet-50", "BERT-base", "Llama 3.1 405B"]
figure, ax = plt.subplots(figsize=(8.5, 4.6))
ax.scatter(models["year"], models["value"], color=plots.arm_color("dense"))
for names, side, shift in ((left, "right", -7), (right, "left", 7)):
    for name, row in models.loc[names].iterrows():
        place = {"xytext": (shift, 0), "textcoords": "offset points", "ha": side}
        place |= {"va": "center", "fontsize": "small"}
        ax.annotate(name, (row["year"], row["value"]), **place)
ax.axhline(cost.parameters(model).total, color="0.5", linestyle=":")
ax.text(2008, 3.5e5, "the network of this notebook", fontsize="small")
ax.set(yscale="log", xlabel="first published", ylabel="parameters", xlim=(1997, 2031))
plt.show()
times = published["GPT-3"] / published["GPT-2"]
print(f"GPT-3 has {published['GPT-3']:.3g} parameters, {times:.0f} times GPT-2's")

# %% [markdown]
# *Sources: LeCun et al. 1998 (LeNet-5), Krizhevsky et al. 2012 (AlexNet), Simonyan & Zisserman 2015 (VGG-16), He et al.
# 2016 (ResNet-50; counted in torchvision), Devlin et al. 2019 (BERT), Radford et al. 2019 (GPT-2), Raffel et al. 2020
# (T5), Brown et al. 2020 (GPT-3), Fedus et al. 2022 (Switch-C; for each token it uses one expert of each layer, a small
# part of the whole), Chowdhery et al. 2022 (PaLM), Llama Team 2024. Without a name: ResNet-152, Vaswani et al. 2017
# (Transformer), BERT-large, Shoeybi et al. 2019 (Megatron-LM), Rosset 2020 (Turing-NLG). A selection, not a census.*
#
# The scale is logarithmic: each line is ten times the one below. The article says that sizes keep growing. In
# this list the record rises until 2021. Several makers no longer publish their counts, and the list holds no guesses.
#
# ### GPT-3 by our rule
#
# The language model GPT-3 (Brown et al. 2020) has 175 billion parameters and was trained on 300 billion words
# and word pieces (*tokens*). Section 4 gives the rule, two FLOPs per weight and example, times three for training in
# a deep network, and it is all we need.

# %%
GPT3_PARAMETERS, GPT3_TOKENS = published["GPT-3"], published["GPT-3 tokens"]
gpt3_flops = 6 * GPT3_PARAMETERS * GPT3_TOKENS
paper = published["GPT-3 training FLOPs"]
print(f"our rule: {gpt3_flops:.2e} FLOPs;   the paper's appendix D: {paper:.2e}")
print(f"weights alone: {2 * GPT3_PARAMETERS / 1e9:.0f} GB at two bytes each")
larger, more = GPT3_PARAMETERS / 266_200, gpt3_flops / counted
print(f"times our network: {larger:,.0f} in weights, {more:.1e} in FLOPs")
years = gpt3_flops / speed / 3.15e7
print(f"at the speed measured above, this machine would need {years:,.0f} years")

# %% [markdown]
# ### The bill
#
# What that costs depends on the hardware, its price and its electricity. Here is the whole calculation:


# %%
def training_bill(
    parameters=175e9,  # weights
    tokens=300e9,  # examples: words for a language model, images for ours
    flops_per_second=28e12,  # Lambda's optimistic figure for one V100
    dollars_per_hour=1.50,  # rent of one processor
    watts=330,  # measured: one processor and its share of the server
    overhead=1.10,  # cooling and power supply of the data centre (PUE)
    grams_per_kwh=429,  # CO2e of the electricity
):
    hours = 6 * parameters * tokens / flops_per_second / 3600
    kwh = hours * watts / 1000 * overhead
    tonnes = kwh * grams_per_kwh / 1e6
    flights = tonnes / 0.900  # there and back, one passenger: 1,984 pounds
    return {
        "processor-years": hours / 8766,
        "million dollars": hours * dollars_per_hour / 1e6,
        "MWh": kwh / 1000,
        "tonnes CO2e": tonnes,
        "flights New York - San Francisco and back": flights,
    }


# %% tags=["article-02"]
bill = pd.Series(training_bill())
estimate = published["GPT-3 training cost"] / 1e6
print(f"ours {bill['million dollars']:.2f} million dollars;   published {estimate:.1f}")
bill.map("{:,.1f}".format)

# %% [markdown]
# Where the assumptions come from:
#
# - 28 TFLOP/s ("theoretical") and 1.50 dollars per hour (the lowest price, reserved for three years) on an NVIDIA
#   V100: C. Li, *OpenAI's GPT-3 Language Model: A Technical Overview*, Lambda 2020, the source of the much quoted
#   **4.6 million dollars** and 355 processor-years. With these assumptions it is a low estimate.
# - 330 W per processor (measured, with its share of the server's memory, network, fans and host), overhead 1.10 and 429
#   g/kWh, as well as published totals to compare with (1,287 MWh and 552 tonnes for GPT-3, at a measured 24.6 TFLOP/s):
#   D. Patterson et al., *Carbon Emissions and Large Neural Network Training*, 2021, Table 4.
# - 1,984 pounds of CO2e for one passenger's flight between New York and San Francisco and back: E. Strubell, A.
#   Ganesh and A. McCallum, *Energy and Policy Considerations for Deep Learning in NLP*, ACL 2019, Table 1.
#
# Patterson's own speed brings us to their totals. Check:

# %%
check = training_bill(flops_per_second=24.6e12)
ours = f"{check['MWh']:,.0f} MWh, {check['tonnes CO2e']:,.0f} t"
print(f"ours {ours};   published 1,287 MWh, 552 t")

# %% [markdown]
# ### Using it
#
# "Dozens of neural network chips", says the article. NVIDIA's V100, the card of those years, holds 32 GB at most.
# Besides the weights, each conversation needs memory: of every token, each layer keeps a *key* and a *value*, two lists
# of numbers that later tokens look at. We take conversations as long as the model allows:

# %% tags=["article-03"]
weights = 2 * published["GPT-3"]  # bytes: 16 bits each
token = 2 * 2 * published["GPT-3 layers"] * published["GPT-3 width"]
conversation = token * published["GPT-3 context"]
print(f"weights {weights / 1e9:.0f} GB; a conversation {conversation / 1e9:.1f} GB")
for conversations in (0, 1, 16, 64):
    need = weights + conversations * conversation
    cards = math.ceil(need / published["V100 memory"])
    print(f"{conversations:2} conversations at once: {cards} cards")

# %% [markdown]
# A single copy of the weights needs fewer than "dozens". Serving many people at once takes dozens.
#
# ### A ton of CO2
#
# The article says that training a language model a thousand times smaller than GPT-3 emits nearly a ton of CO2, about
# as much as one passenger's flight from New York to San Francisco. The estimate is by Strubell et al. (2019), and the
# model is BERT-base. Energy is processors times watts times hours times overhead. We repeat the sum, and
# set beside it the same work on a chip of today:

# %%
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
print(f"{gpus:.0f} GPUs x {then.watts:.0f} W x {hours} h x {then.overhead}", end=" ")
print(f"= {energy:,.0f} kWh; published {published['BERT-base energy']:,.0f}")
print(f"{pounds:,.0f} pounds CO2e; published {published['BERT-base CO2e']:,.0f}")
print(f"= {pounds * POUND / 1e6:.2f} tonnes = {pounds / SHORT_TON:.2f} short tons")
print(f"= {flight:.2f} flights there and back, for {smaller:,.0f} times fewer weights")

# %% tags=["article-04"]
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

# %%
fold = ratio["kg CO2e"]
print(f"CO2e then over CO2e today: {fold:.0f}")
print(f"the same with the H100 at a tenth of its peak: {fold * 0.1 / SHARE:.0f}")
large = 6 * published["BERT-large"] * 1e6 * 256 * 512  # steps, sequences, tokens
print(f"if theirs was BERT-large on long sequences: {fold * work / large:.0f}")

# %% [markdown]
# The last column multiplies up: chip, use, watts, overhead and grid give the last row. The estimate of 2019 can be repeated
# to the pound, although "nearly a ton" is rounded up, and the flight in the paper's table goes there and back. But it is not
# what the same work emits today. The chip is faster, far more of its speed is used, and the data centre wastes less. The
# watts went up, and the electricity is no cleaner: 480 g is the world's average now, theirs was that of the United States.
#
# Read such ratios with care. Their watts were measured, on another card (a Titan X), and include processor and memory;
# ours are the most that the board alone may draw. And so small a share of a chip's speed is suspicious. The paper takes
# its hours from NVIDIA, as those of BERT-base. NVIDIA's own code of that year (the README of Megatron-LM) speaks of
# three days on 64 V100s for BERT-*large*, and trains it on sequences of 512. If that was the run, the last line holds.
# We do not know.
# **A published footprint is a product of assumptions: repeat it before you quote it.**

# %% [markdown]
# ### Turn the knobs
#
# Run the next cell for sliders (it needs a running kernel; on a web page you see its results as text above).
# Which knob changes the grams most: the chip, the grid, or the size of the network?

# %%
import ipywidgets as widgets


def knob(low, high, value, text):
    """A slider on a logarithmic scale from 10^low to 10^high."""
    span = {"value": value, "min": low, "max": high, "step": 0.01}
    look = {"style": {"description_width": "130px"}, "layout": {"width": "480px"}}
    look |= {"description": text, "readout_format": ".3g"}
    return widgets.FloatLogSlider(**span, **look)


# %%
def show_bill(**values):
    for quantity, value in training_bill(**values).items():
        print(f"{value:>18,.3g}  {quantity}")


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

# %% [markdown]
# Answer: none of them in principle. Doubling the parameters, tokens, watts, overhead or grid doubles the grams, and
# doubling the speed halves them. They differ in how far they *can* be turned: the grid by a factor of twenty from
# country to country, the network by many millions.
#
# And training is only the beginning: a network that many people use every day can spend more on *using* than on
# training. Fewer weights would help both.

# %% [markdown]
# ## 8. Are all these weights needed?
#
# Look at the values of the first layer's weights, before and after training:

# %%
untrained = build_model("lenet-300-100", dataset, seed=0)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), sharex=True, sharey=True)
plots.weight_histogram(untrained.fc1.weight, ax=left, binrange=(-0.3, 0.3))
plots.weight_histogram(model.fc1.weight, ax=right, binrange=(-0.3, 0.3))
left.set_title("before training")
right.set_title("after training")
figure.tight_layout()

# %%
for name, net in (("before", untrained), ("after", model)):
    values = net.fc1.weight.detach()
    small = float((values.abs() < values.abs().max() / 4).float().mean())
    print(
        f"{name} training: standard deviation {values.std():.3f};",
        f"{small:.0%} are smaller than a quarter of the largest",
    )

# %% [markdown]
# Most weights are small compared with the largest, before training as after; training even spread them out. A small
# weight passes on little of what it is given. But a histogram cannot tell us whether that little matters.
#
# > **Predict, for the next notebook.** You set the smaller half of all weights to exactly zero, and do not train
# > again. What is left of the accuracy: nothing, half, or nearly all? And if you remove nine in ten?

# %% [markdown]
# ## 9. Your turn
#
# 1. In section 2 change the learning rate to `lr=0.1`, then to `lr=1e-6`, and run the cell again. What happens,
#    and why?
# 2. `build_model("mlp-2000-100", dataset)` has about 1.8 million weights. Estimate its training FLOPs in your head
#    before `lthlab.cost.training_flops` tells you.
# 3. With `training_bill`, find the price of GPT-3 if 90 % of its weights had been removed *before* training and
#    every FLOP on a removed weight were saved. What would have to be true for that to happen? (There are two
#    conditions; this course spends a notebook on each.)
#
# <details><summary>Answers</summary>
#
# 1. Too large a step overshoots: the loss jumps about or explodes. Too small a step: nothing moves in one epoch.
# 2. Weights 784 x 2000 + 2000 x 100 + 100 x 10 = 1.77 million. Three products of two FLOPs per weight and image,
#    less one for the first layer: about (6 x 1.77 - 2 x 1.57) million = 7.5 MFLOPs per image, times 79,800 images:
#    about 6 x 10^11.
# 3. `training_bill(parameters=17.5e9)`: a tenth of everything. One would have to know *which* weights to remove before training
#    (notebooks 03 and 06), and the hardware would have to be faster for it (notebook 07).
# </details>

# %% [markdown]
# ## Take away
#
# - Training is: guess, measure the loss, find the slope, step. Twelve lines.
# - Cost follows the weights: 2 FLOPs per weight and example to use, up to 6 to train; 4 bytes to use, 16 and more
#   to train with Adam.
# - Energy and CO2e are that, times assumptions. Always print the assumptions.
# - Most of a trained network's weights are small. Whether that means they are not needed is an experiment, and it is
#   next: **02 magnitude pruning**.
