# %% [markdown]
# # From LeNet to language models
#
# The article behind this course, J. Frankle's *Do Neural Networks Really Need to Be So
# Big?*, asks its question of GPT-3, a language model with 175 billion weights. Here you
# train a small one in half a minute and read the words that it invents. Then you prune
# it the way large models are pruned today, and look for tickets in it.
#
# **After this notebook you can**
# - read the loss of a language model in nats, bits and perplexity (section 1);
# - prune a trained network once, without retraining, by magnitude, Wanda and SparseGPT, and say what each looks at
#   (sections 2 and 3);
# - say what 2:4 sparsity is (section 4), and whether this transformer holds tickets (section 5);
# - tell which of these findings carry over to billions of weights, and which do not (section 6);
# - add a row of your own to the table of claims, with seeds, interval and verdict (section 7).
#
# **You need** notebooks 02 (scores, scopes), 03 (tickets) and 04 (`run_experiment`).
#
# **Time**: {time}

# %%
import copy
import math
import statistics
import time
import warnings
from dataclasses import replace
from importlib.resources import files

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch

import lthlab
from lthlab import build_model, drawings, evaluate, load_dataset, plots, train
from lthlab.post_training import METHODS, prune_once_, repair, wanda
from lthlab.widgets import bets
from lthlab.words import decode, encode, known_words, sample_words

torch.set_num_threads(1)  # one core here; repeated trainings use the others
plots.use_style()

# %% [markdown]
# ## 1. A model that writes words
#
# A language model reads the beginning of a text and says what may come next. GPT-3 reads pieces of English; ours reads the
# letters of a word. The data are English words, already in the package:

# %%
dataset = load_dataset("words")
print(dataset)
print("some of them:", ", ".join(decode(dataset.train.x[:8])))
x, y = encode(["cat"])
print("read:  ", x[0].tolist())
print("answer:", y[0].tolist())

# %% [markdown]
# A **token** is the unit that the model reads: here a letter, as a number from 1 to 26. Token 0 starts the word, ends it,
# and fills the rest of the row. At each place the right answer is the letter after it: at the start of the word it is *c*,
# after *c* it is *a*, after *cat* the word ends. Answers of -100 do not count.
#
# The network is a **transformer**. It turns each letter into 64 numbers and passes these through three *blocks*. In a
# block, **attention** lets each place look at the places before it and take from them what it needs; then two layers
# work on each place alone. At the end one layer gives 27 scores, one for each token that may come next.
#
# The [loss](glossary.md#loss) says how *surprised* the model is by the letter that came. If it gave that letter
# probability *p*, the surprise is $-\log(p)$ (the natural logarithm), in units called
# **[nats](glossary.md#nat)**. The loss is the average over all letters. Three simple
# models need no training, since they only count letters. Their losses are the
# yardstick:

# %%
right = dataset.train.y != -100
pairs = torch.stack([dataset.train.x[right], dataset.train.y[right]])
# counts[a, b]: how often token b follows token a
counts = torch.zeros(27, 27).index_put_(tuple(pairs), torch.ones(1), accumulate=True)
alone = counts.sum(0) / counts.sum()
counts += 0.01  # so that no pair has probability 0
after = counts / counts.sum(1, keepdim=True)  # by the letter before
seen = dataset.validation.y != -100
before, answer = dataset.validation.x[seen], dataset.validation.y[seen]
known = {
    "nothing": math.log(27),
    "how common letters are": float(-alone[answer].log().mean()),
    "the letter before": float(-after[before, answer].log().mean()),
}
for what, loss in known.items():
    print(f"a model that knows {what}: {loss:.2f} nats")
question = "At how many nats a letter will the transformer end, after 1,000 steps"
bets.number("10-loss", question, low=0, high=3.3)

# %%
model = build_model("gpt-3x64", dataset, seed=0)  # three blocks, 64 numbers a letter
recipe = lthlab.recipe_for("gpt-3x64", dataset)
history = train(model, dataset, recipe, evaluate_every="100it", progress=True)
rows = history.table.query("split == 'validation' and metric == 'loss'")
ax = sns.lineplot(rows, x="step", y="value", marker="o", label="the transformer")
for (name, loss), style in zip(known.items(), (":", "--", "-.")):
    ax.axhline(loss, color="0.4", linestyle=style, label=f"knows {name}")
ax.set(xlabel="step of training", ylabel="validation loss, nats a letter")
ax.legend(bbox_to_anchor=(1, 1))
plots.show(
    "Validation loss against the step of training: untrained, the transformer lies "
    "above all three counting models; after 100 steps below, and falling slowly."
)
nats = evaluate(model, dataset.validation)["loss"]
print(f"{nats:.3f} nats = {nats / math.log(2):.2f} bits a letter")
print(f"perplexity {math.exp(nats):.1f}, of 27 tokens")
print("its words:", ", ".join(sample_words(model, 10, seed=0)))
bets.reveal("10-loss", nats)

# %% [markdown]
# *One training, seed 0. Grey: models without a network, from counts in the training words.* Three ways to say the same
# thing: divide nats by log 2 and you have **bits**; $e^{nats}$ is the **[perplexity](glossary.md#perplexity)**, the number
# of letters among which the model is, so to speak, still choosing.
#
# The last line holds words that the model invented. To make one, draw a letter with the
# probabilities that the model gives, append it, and go on until the word ends.
# (Offensive words were removed from the data, and are never shown.)

# %% [markdown] tags=["deep"]
# ### Deep dive: the words, the network, and the price of a letter

# %% tags=["deep"]
listed, trained_on = set(known_words()), set(decode(dataset.train.x))
words = sample_words(model, 1000, seed=0)
print(", ".join(words[:24]))
copied = sum(word in trained_on for word in words) / len(words)
guessed = sum(word in listed - trained_on for word in words) / len(words)
print(f"{copied:.0%} were in the training list, {guessed:.0%} are English all the")
print("same, but the model never saw them. The others it made up.")

# %% tags=["deep"]
steps = ["letters", "embedding", "attention", "two layers", "output", "27 scores"]
colors = ["0.9", "0.8", "#9ecae1", "#9ecae1", "0.8", "0.9"]
figure, ax = plt.subplots(figsize=(11, 1.9))
for place, (name, color) in enumerate(zip(steps, colors)):
    box = {"boxstyle": "round,pad=0.5", "facecolor": color, "edgecolor": "0.3"}
    ax.text(2 * place, 0, name, ha="center", va="center", bbox=box, fontsize=12)
    if place:
        arrow = {"arrowstyle": "->", "color": "0.3"}
        ends = (2 * place - 0.8, 0), (2 * place - 1.25, 0)
        ax.annotate("", *ends, arrowprops=arrow)
above = "a block: three of them, one after the other"
ax.annotate(above, (5, 0.75), ha="center", fontsize=11)
ax.plot([3.1, 3.1, 6.9, 6.9], [0.45, 0.6, 0.6, 0.45], color="0.3")
ax.set(xlim=(-1, 11), ylim=(-0.7, 1.1))
ax.set_axis_off()
plots.show(
    "The network as boxes from left to right: letters, embedding, then three blocks of "
    "attention and two layers, then output and 27 scores. Attention and the two layers "
    "are blue."
)
parts = lthlab.list_parameters(model)
print(f"{parts['numbers'].sum():,} numbers to learn")
print(f"{parts.query('prunable')['numbers'].sum():,} of them can be pruned:")
parts.query("prunable")[["name", "shape", "numbers"]].head(4).style.hide(axis="index")

# %% [markdown] tags=["deep"]
# The table shows the first block; the other two have layers of the same shapes. Both
# parts of a block *add* to the 64 numbers. In the code, `attend` makes from each letter
# what it asks for and what it offers, `project` mixes what was gathered; `expand` (64
# to 256) and `contract` (256 to 64) are the two layers. Before `attend` and before
# `expand` a **normalisation** brings all vectors to the same scale. Blue layers can be
# pruned; the
# *embedding* (it turns each letter into its 64 numbers) and the output layer stay
# whole, as in the papers on large models.


# %% tags=["deep"]
@torch.no_grad()
def costs(word):
    """The nats that each letter of a word costs, and its end."""
    x, y = encode([word])
    chances = model.eval()(x)[0].log_softmax(-1)
    return [-float(chances[i, token]) for i, token in enumerate(y[0]) if token >= 0]


figure, axes = plt.subplots(1, 2, figsize=(12, 3.2), sharey=True)
for ax, word in zip(axes, ("strengthening", "quixotic")):
    paid = costs(word)
    ax.bar(range(len(paid)), paid, color=plots.arm_color("ticket"))
    ax.set_xticks(range(len(paid)), [*word, "end"])
    ax.set(title=f"{word}: {sum(paid):.1f} nats", ylabel="nats")
figure.tight_layout()
plots.show(
    "A bar for each letter of strengthening and quixotic: high where the letter "
    "surprises the model, near zero where hardly anything else can come, as u after q."
)

# %% [markdown] tags=["deep"]
# *The price of each letter, given those before it.* A letter is expensive where the model expects another one, as the *t*
# after *streng*; it is cheap where hardly anything else can come. After *q*, a *u* costs next to nothing.

# %% [markdown]
# ## 2. Cut, and read again
#
# LeNet was retrained after pruning. A model that cost millions to train is not: it is
# **pruned once**, after training, and used as it is. The next cell keeps the larger
# weights of each layer. Read what the model writes then. The random numbers are the
# same in every row, so a word stays the same until one letter comes out differently.

# %%
batch = lthlab.draw_batch(dataset.train, 1024, seed=0)  # magnitude ignores these words
shown = {}
for kept in (1.0, 0.5, 0.3, 0.2):
    pruned = copy.deepcopy(model)
    prune_once_(pruned, batch, "magnitude", kept)
    nats = evaluate(pruned, dataset.validation)["loss"]
    shown[f"{kept:.0%} kept, {nats:.2f} nats"] = sample_words(pruned, 7, seed=3)
pd.DataFrame.from_dict(shown, orient="index").fillna("").T.style.hide(axis="index")

# %% [markdown]
# With half of the weights several of the words could still pass for English. Further
# down, more letters stand together that no English word puts together.
#
# ## 3. Wanda and SparseGPT: look at the data
#
# **Wanda: what does a weight multiply?** A weight of 0.5 that multiplies inputs of about 0.01 moves its neuron less than a
# weight of 0.1 that multiplies inputs of about 10. Wanda (Sun et al. 2024: pruning by **w**eights **and a**ctivations)
# scores a weight by
#
# $$|w_{ij}| \cdot \lVert x_j \rVert,$$
#
# its size times the norm of input *j*: square the input for each of some examples, add
# up, take the root. The examples are the **[calibration](glossary.md#calibration)**
# data, in the code `batch`. The weights of one row compete, that is, those that lead
# into the same neuron ([scope](glossary.md#scope) `"row"`).
#
# **SparseGPT: repair what you cut.** Why should the other weights stand still when one
# goes? SparseGPT (Frantar and Alistarh 2023) removes the weights that the others can
# best make up for. Then it moves those that stay, so that the neuron's outputs on the
# calibration data change little. The idea is from 1993; a deep dive below works it out
# by hand.
#
# Write the line that prunes by Wanda's scores and keeps half of each row. `lthlab.prune(scores, masks, fraction,
# scope=...)` is notebook 02's.

# %%
scores, everything = wanda(model, batch), lthlab.full_masks(model)
masks = ...  # your line

wanted = lthlab.prune(scores, everything, 0.5, scope="row")
if masks is ...:
    print("Not written yet: your line goes where the three dots are.")
    masks = wanted
elif all(masks[name].equal(mask) for name, mask in wanted.items()):
    print("Right.")
elif any(mask.float().mean(1).std() > 0 for mask in masks.values()):
    print('Not yet: some rows keep more than others. Set scope="row".')
else:
    print("Not yet: prune `scores` from `everything`, half of it.")
once = lthlab.apply_masks_(copy.deepcopy(model), masks)
print(
    f"pruned by Wanda to a half: {evaluate(once, dataset.validation)['loss']:.3f} nats"
)

# %% [markdown]
# <details><summary>The line</summary>
#
# `masks = lthlab.prune(scores, everything, 0.5, scope="row")`
# </details>
#
# Magnitude, Wanda or SparseGPT: with which does the loss rise least? (`prune_once_` goes
# layer by layer, each with the inputs that it gets from those already pruned; the
# papers' code goes block by block.)

# %%
bets.pick(
    "10-once",
    "Three in ten weights kept, by row, not retrained: the lowest loss has",
    ["magnitude", "sparsegpt", "wanda"],
)

# %%
mine, written = [], {"dense": sample_words(model, 7, seed=3)}
for method in METHODS:
    for kept in (0.5, 0.3, 0.2):
        pruned = copy.deepcopy(model)
        prune_once_(pruned, batch, method, kept, "row")
        mine.append((method, kept, evaluate(pruned, dataset.validation)["loss"]))
        written[f"{method}, {kept:.0%}"] = sample_words(pruned, 7, seed=3)
mine = pd.DataFrame(mine, columns=["method", "density", "nats"])
at_three = mine[mine["density"] == 0.3].set_index("method")["nats"]
by_size = lthlab.prune(lthlab.magnitude(model), everything, 0.5, scope="row")
same = sum(int((mask & wanted[name]).sum()) for name, mask in by_size.items())
share = same / lthlab.count_kept(wanted)
print(f"of the half that Wanda keeps, magnitude keeps {share:.0%}, too")
bets.reveal("10-once", at_three.idxmin())
mine.pivot(index="density", columns="method", values="nats")[[*METHODS]].round(3)

# %% [markdown]
# *One network.* Repair helps, down to three in ten. Wanda and magnitude are close,
# since they choose nearly the same weights here: no input stands out by much. In models
# of billions of weights some inputs are far larger than the rest. They are called
# **outlier features** (Dettmers et al. 2022), and Sun et al. give them as the reason
# for Wanda.

# %% [markdown] tags=["deep"]
# ### Deep dive: why Wanda hardly differs here
#
# First the example of section 3 as numbers: two weights, their sizes, and their scores
# by Wanda. The smaller weight has the higher score, since its input is larger. Then a
# bet: do the inputs of our network differ as much?

# %% tags=["deep"]
tiny = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False))
with torch.no_grad():
    tiny[0].weight.copy_(torch.tensor([[0.5, 0.1]]))
inputs = torch.tensor([[0.01, 10.0], [-0.01, -10.0]])
scores = wanda(tiny, (inputs, torch.zeros(2, dtype=torch.long)))["0.weight"]
print("sizes: ", [round(size, 3) for size in tiny[0].weight.tolist()[0]])
print("scores:", [round(score, 3) for score in scores.tolist()[0]])
bets.number(
    "10-input",
    "The largest norm of an input, divided by the median norm in its layer, is",
    low=1,
    high=20,
)

# %% tags=["deep"]
weights = {n: w.detach() for n, w in lthlab.prunable_weights(model).items()}
norms = {
    name.removeprefix("blocks.").removesuffix(".weight"): score / weights[name].abs()
    for name, score in wanda(model, batch).items()
}
figure, ax = plt.subplots(figsize=(10, 3.6))
for place, norm in enumerate(norms.values()):
    each = norm[0] / norm[0].median()
    spread = torch.linspace(-0.3, 0.3, len(each))
    ax.scatter(place + spread, each, s=9, color=plots.arm_color("ticket"))
ax.axhline(1, color="0.4", linestyle="--")
ax.set_xticks(range(len(norms)), norms, rotation=30, ha="right")
ax.set(yscale="log", ylabel="norm of each input\nrelative to the median")
ax.set_yticks([0.5, 1, 2], ["0.5", "1", "2"])
ax.minorticks_off()
plots.show(
    "A dot for each input of each layer, by its norm relative to the layer's median: "
    "all between about a half and two and a half; project and contract spread most."
)
ratios = {name: float(norm[0].max() / norm[0].median()) for name, norm in norms.items()}
bets.reveal("10-input", max(ratios.values()))

# %% [markdown] tags=["deep"]
# *Each point is one input of a layer (block and layer below); dashed: the median of its layer. 1,024 training words.* Inputs
# of `attend` and `expand` come from a normalisation and are much alike; those of `project` and `contract` spread more. But
# none stands out by much. Where all inputs are about equally large, Wanda chooses what magnitude chooses.

# %% [markdown] tags=["deep"]
# ### Deep dive: one weight goes, the others make up for it
#
# Notebook 02 derived *Optimal Brain Damage*: how much does the loss rise if one weight goes, and the others stand still?
# **Optimal Brain Surgeon** (Hassibi and Stork 1993) lets the others move. They used the second derivatives of the training
# loss, for all weights at once. Today the same idea is applied to one layer at a time, with the change of its outputs in
# place of the loss.
#
# Take one neuron with weights $w$ and ask that its outputs change little. The matrix
# $X$ has one row of inputs for each example, so the outputs are $Xw$. If the weights
# change by $\delta$, the outputs change by $X\delta$, and the squares of these changes
# add up to $\delta^T H \delta$ with $H = X^T X$. Weight $q$ has to go:
# $\delta_q = -w_q$. Of all such $\delta$ the best is
#
# $$\delta = -\frac{w_q}{[H^{-1}]_{qq}}\, H^{-1} e_q, \qquad \text{and it costs} \quad \frac{w_q^2}{[H^{-1}]_{qq}}.$$
#
# ($X^T$ is $X$ with rows and columns exchanged. $H^{-1}$ is the *inverse* of $H$, the
# matrix that undoes it. $e_q$ is 1 at place $q$ and 0 elsewhere, so $H^{-1} e_q$ is
# column $q$ of the inverse.) By hand, with three inputs; the third often comes together
# with one of the others:

# %% tags=["deep"]
X = torch.tensor([[1.0, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0]])
w = torch.tensor([1.0, 2.0, 3.0])
H = X.T @ X
inverse = torch.linalg.inv(H)
print("4 x the inverse of H:", (4 * inverse).round().int().tolist())

change = -w[0] / inverse[0, 0] * inverse[:, 0]  # delete the first weight
print("the weights move by: ", [round(v, 2) for v in change.tolist()])
print("outputs before:", (X @ w).tolist())
print("only deleted:  ", (X @ (w * torch.tensor([0, 1, 1]))).tolist())
print("and repaired:  ", [round(v, 2) for v in (X @ (w + change)).tolist()])
errors = [float(d @ H @ d) for d in (torch.tensor([-1.0, 0, 0]), change)]
print(f"squared change {errors[0]:.2f} without repair, {errors[1]:.2f} with it")
costs_of = w.square() / inverse.diagonal()
print("cost of each weight, repaired:", [round(v, 2) for v in costs_of.tolist()])

# %% [markdown] tags=["deep"]
# The third input stands in for the first where they come together, and the second weight gives a little back.
#
# A layer has many neurons, and each would need an inverse of its own after each deletion: too much for large models.
# SparseGPT goes through the columns from left to right and repairs only *to the right*; then all rows share one sequence
# of inverses. It prunes models of 175 billion weights in less than four and a half
# hours (its abstract).

# %% tags=["deep"]
repaired, mask = repair(w[None], H, density=2 / 3)
print("kept:", mask[0].tolist())
print("weights:", [round(v, 2) for v in repaired[0].tolist()])
written = pd.DataFrame.from_dict(written, orient="index").fillna("")
written.T.style.hide(axis="index")

# %% [markdown] tags=["deep"]
# The first weight goes, since it costs least. The others take nearly the values found
# above. They differ a little because of **damping**: 1 % of the mean of $H$'s diagonal
# is added to that diagonal, so that $H$ can always be inverted. The table shows what
# the language model writes after each pruning of section 3.

# %% [markdown] tags=["deep"]
# ### Deep dive: trained longer, hurt more?

# %% tags=["deep"]
bets.pick(
    "10-longer",
    "Pruned once to a half by magnitude, which network ends with the lower loss",
    ["the one trained for 1,000 steps", "the one trained for 4,000 steps"],
)


# %% tags=["deep"]
def read(name):
    """A table of reference results that comes with the package."""
    return pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))


once = read("once").fillna({"scope": ""})
once = once.query("split == 'validation' and metric == 'loss'")
figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), sharey=True)
for ax, (steps, part) in zip(axes, once.groupby("steps")):
    part = part.query("scope in ('layer', '')")
    plots.lines(part.query("arm != 'dense'"), x="density", ax=ax, markers=True)
    whole = part.query("arm == 'dense'")["value"].mean()
    ax.axhline(whole, color="0.4", linestyle="--")
    plots.density_axis(ax, part["density"])
    ax.set(title=f"trained for {steps:,} steps", ylabel="validation loss, nats")
figure.tight_layout()
plots.show(
    "Loss against the weights kept, for networks trained for 1,000 and 4,000 steps: "
    "the second begins lower and rises more steeply. SparseGPT rises least in both."
)
at_half = once.query("arm == 'magnitude' and density == 0.5 and scope == 'layer'")
best = at_half.groupby("steps")["value"].mean().idxmin()
bets.reveal("10-longer", f"the one trained for {best:,} steps")

# %% [markdown] tags=["deep"]
# *Pruned once by layer, without retraining; mean and 95 % interval, n = 5 networks; dashed: dense. Calibration: 1,024
# training words.* The network that trained longer loses more, and pruned by magnitude to a half it is even worse than the
# other one. One explanation is that it uses more of its weights; we have not tested it. In pairs, at a half:

# %% tags=["deep"]
PAIRS = (("sparsegpt", "magnitude"), ("sparsegpt", "wanda"), ("wanda", "magnitude"))
test = read("once").query("split == 'test' and metric == 'loss' and density == 0.5")
figure, axes = plt.subplots(1, 2, figsize=(12, 3.6), sharey=True)
for ax, (steps, part) in zip(axes, test.groupby("steps")):
    for number, (scope, rows) in enumerate(part.groupby("scope")):
        gaps = [lthlab.paired(rows, *pair) for pair in PAIRS]
        mean = [gap.mean for gap in gaps]
        half = [gap.high - gap.mean for gap in gaps]
        place = [row + 0.2 * (number - 1) for row in range(3)]
        ax.errorbar(mean, place, xerr=half, fmt="os^"[number], label=f"scope {scope}")
    ax.axvline(0, color="0.4", linewidth=1)
    ax.set_yticks(range(3), [" minus ".join(pair) for pair in PAIRS])
    ax.set(xlabel="nats of test loss", title=f"trained for {steps:,} steps")
    ax.locator_params(axis="x", nbins=5)
axes[0].invert_yaxis()
axes[0].legend()
figure.tight_layout()
plots.show(
    "Differences of test loss at a half. SparseGPT is below magnitude and Wanda in "
    "every scope, most with 2:4 and after 4,000 steps; Wanda is at most slightly below "
    "magnitude."
)

# %% [markdown] tags=["deep"]
# *Test words, mean and 95 % interval over n = 5 networks; the same calibration words
# for all methods of a network. Left of zero: the first is better. Section 4 explains
# [2:4](glossary.md#24).*

# %% [markdown]
# ## 4. Two of four
#
# Zeros in arbitrary places are hard to use: notebook 07 had to write its own programs
# (*kernels*). NVIDIA's cards since 2020 have units
# that skip zeros if, of four neighbours in a row, at least two are zero:
# **[2:4](glossary.md#24) sparsity**. The picture shows what they store: the weights
# that are kept and, as *index*, the place of each in its group of four, from 0 to 3.

# %%
plots.show(drawings.two_of_four())
pattern = copy.deepcopy(model)
masks = prune_once_(pattern, batch, "sparsegpt", 0.5, "2:4")
in_fours = masks["blocks.0.expand.weight"].view(-1, 4).sum(1)
print("kept in each group of four:", in_fours.unique().tolist())
at_half = mine.query("density == 0.5 and method == 'sparsegpt'")["nats"].item()
print(f"SparseGPT to a half, anywhere in a row: {at_half:.3f} nats")
print(
    f"SparseGPT in the pattern 2:4: {evaluate(pattern, dataset.validation)['loss']:.3f}"
)

# %% [markdown]
# The pattern has a price: the loss is higher than with as many weights kept anywhere in
# a row. (One network. The deep dive *the numbers, and real models* has means of five
# networks with the pattern and without. We had no card that can use it, so there is no
# time to show.)

# %% [markdown] tags=["deep"]
# ### Deep dive: pick a method and a density, and read
#
# Words in bold are in the list of English words. They are rare, and with all weights
# you may see none. So read the others, too: from which density on would hardly any of
# them pass for English?
# Move the knob to the right, where fewer weights are kept, and try each method.

# %% tags=["deep"]
from lthlab import widgets

pruner = widgets.word_pruner(model, dataset)
pruner

# %% [markdown]
# ## 5. Are there tickets in a transformer?
#
# Everything so far pruned a *trained* network. Now notebook 03's question: does the
# untrained network hold a sparse one that, from its initial values, trains as well as
# the whole? At each [level](glossary.md#level) a third of the weights is pruned, and
# the rest is put back to its first values and trained again.

# %%
bets.pick(
    "10-ticket",
    "Trained for all 1,000 steps with 30 % of the weights, the ticket's loss, against "
    "the dense network's, is",
    ["lower", "not to be told apart", "higher"],
)

# %%
path = files("lthlab") / "assets/reference/words.csv"
tickets = pd.read_csv(path).query("split == 'validation' and metric == 'loss'")
tickets = tickets[tickets["step"] > 0]
ax = plots.lines(tickets.query("arm != 'dense'"), x="density", markers=True)
dense = lthlab.interval(tickets.query("arm == 'dense'")["value"])
ax.axhline(dense.mean, color=plots.arm_color("dense"), linestyle="--", label="dense")
plots.density_axis(ax, tickets["density"])
ax.set(ylabel="validation loss, nats a letter")
ax.legend()
plots.show(
    "Loss against the weights kept. The ticket lies below the dashed dense line down "
    "to 20 percent, above it from 13 percent on; the two controls lie far above both."
)
for level in (6, 3):
    here = tickets[tickets["level"].isin([0, level])]
    for one, other in ("reinitialised", "ticket"), ("ticket", "dense"):
        gap = lthlab.paired(here, one, other)
        what = f"{here['density'].min():.0%}, {one} minus {other}:"
        print(f"{what:31s} {gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] nats")
told = "lower" if gap.high < 0 else "higher" if gap.low > 0 else "not to be told apart"
bets.reveal("10-ticket", told)

# %% [markdown]
# *Mean and 95 % interval over n = 10 seeds; below zero the first is better. Same data, order and number of steps in all arms
# of a seed; pruned by magnitude, a third of each layer per level, rewound to the start.*
#
# At 30 % the ticket is better than the dense network, at 9 % it is worse. New values
# cost much more than that. So does a shuffled mask: its line lies on that of the new
# values. But 1,000 steps are few. A dense network trained for 4,000 ends far lower (it
# is in the deep dive *trained longer, hurt more?*). So the ticket's lead may only mean
# that it learns faster. We ran no long search.

# %% [markdown] tags=["deep"]
# ### Deep dive: live, rewound, pretrained
#
# Live, 150 steps in place of 1,000, with one seed:

# %% tags=["deep"]
short = replace(recipe, duration="150it", warmup=20)
arms = ["dense", "ticket", "reinitialised", "shuffled"]
options = {"seeds": [10], "levels": 2, "control_levels": [2], "evaluate_every": 0}
live = lthlab.run_experiment("gpt-3x64", "words", short, arms=arms, **options)
ends = live.query("split == 'validation' and metric == 'loss' and step > 0")
ends = ends.sort_values("value")[["arm", "density", "value"]]
ends.style.format(precision=3).hide(axis="index")

# %% [markdown] tags=["deep"]
# Here, with one seed, every ticket is ahead of the dense network: a short training
# favours them. What if tickets go back to the values after 50 steps, not to the first
# ones (*rewinding*, notebook 05)?

# %% tags=["deep"]
later = read("words-rewinding").query("metric == 'loss' and step > 0 and level == 3")
later = later.query("split == 'validation' and arm == 'ticket'").assign(arm="k = 50")
both = pd.concat([later, tickets.query("arm == 'ticket' and level == 3")])
gap = lthlab.paired(both, "k = 50", "ticket")
edges = f"[{gap.low:+.4f}, {gap.high:+.4f}]"
print(f"ticket at 30 %, k = 50 minus k = 0: {gap.mean:+.4f} {edges} nats, n = {gap.n}")

# %% [markdown] tags=["deep"]
# No difference is seen here.
#
# Large models are *pretrained* once and then *fine-tuned* for many tasks. Chen et al. (2020) asked whether BERT holds tickets
# for its tasks: a mask found on the task, with the *pretrained* values. Here is the
# same on a small scale. Our network, pretrained on all words, goes on with those that
# end in *-ly*. The mask is found there; then three sets of values are put under it.

# %% tags=["deep"]
small = read("pretraining").query("split == 'validation' and metric == 'loss'")
chosen = ["ticket", "mask, initial values", "mask, new values"]
ax = plots.lines(small[small["arm"].isin(chosen)], x="density", markers=True)
for arm, style in ("dense", "--"), ("not pretrained", ":"):
    mean = small.query("arm == @arm and level in (0, 3)")["value"].mean()
    ax.axhline(mean, color="0.3", linestyle=style, label=f"{arm}, all weights")
plots.density_axis(ax, small["density"])
ax.set(ylabel="validation loss, nats a letter")
ax.legend(bbox_to_anchor=(1, 1))
plots.show(
    "Loss on words in -ly against the weights kept: the ticket with pretrained values "
    "rises slowly from the dense line; the same mask with initial or new values lies "
    "far above, near or beyond a dense network that was not pretrained."
)
answers = read("pretraining").query("split == 'test' and metric == 'accuracy'")
print("ticket minus dense, in nats and in points of test accuracy:")
for level in (2, 3, 6):
    here = [table[table["level"].isin([0, level])] for table in (small, answers)]
    gap, points = (lthlab.paired(rows, "ticket", "dense") for rows in here)
    edges = f"{gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
    print(f"{here[0]['density'].min():.0%}: {edges}; {points.points()}")

# %% [markdown] tags=["deep"]
# *Validation loss in nats a letter, n = 10 seeds; 200 steps at a rate of 0.001 for every arm. "ticket": the mask with the
# pretrained values; "initial values": those before pretraining; "new values": drawn anew.*
#
# Chen et al. found [matching](glossary.md#matching) tickets with a tenth to six tenths
# of BERT's weights. By accuracy, within a point, ours match at 44 % and no
# longer at 30 %. There the mask with its *initial* values is a little worse than a
# dense network without pretraining, with fewer weights much worse: what was learned
# before stands in the values. Whether the mask carries any of it was not tested. Mind the setting:
# the words in *-ly* were part of the pretraining, and 200 such steps are enough to
# adapt a trained network and too few to train one from the start.

# %% [markdown] tags=["deep"]
# ### Deep dive: is it faster?
#
# Notebook 07 writes kernels that skip pruned weights. They also exist as a layer for any network:
# `lthlab.fast.layers.sparsify` replaces each Linear layer by one that stores and computes kept weights alone, with a
# gradient of its own.

# %% tags=["deep"]
bets.number(
    "10-faster",
    "With 5 % of the prunable weights left: how many times as fast as dense is a "
    "training step of this network",
    low=0.5,
    high=20,
)

# %% tags=["deep"]
from lthlab.fast.layers import sparsify
from lthlab.steps import cross_entropy

x, y = dataset.train.x[:128], dataset.train.y[:128]
networks = {"dense": model.train()}
for kept in (0.5, 0.2, 0.1, 0.05):
    pruned = copy.deepcopy(model)
    masks = prune_once_(pruned, batch, "magnitude", kept)
    networks[f"{kept:.0%}"] = sparsify(pruned, masks).train()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the function moved to another package
    eight_bits = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})


# %% tags=["deep"]
def seconds(work, network):
    began = time.perf_counter()
    work(network)
    return time.perf_counter() - began


def step(network):
    cross_entropy(network, x, y).backward()


@torch.no_grad()
def inference(network):
    network(x)


def compare(work, contenders):
    """Times as fast as dense; all take turns, so that a busy moment hits all alike."""
    times = {name: [] for name in contenders}
    for _ in range(12):
        for name, network in contenders.items():
            times[name].append(seconds(work, network))
    medians = {name: statistics.median(ts[2:]) for name, ts in times.items()}
    return {name: medians["dense"] / median for name, median in medians.items()}


# %% tags=["deep"]
gains = compare(step, networks)
found = {
    "step": gains,
    "inference": compare(inference, networks | {"dense, 8 bits": eight_bits}),
}
bets.reveal("10-faster", gains["5%"])
table = pd.DataFrame(found).T.rename_axis("times as fast as dense")
table.style.format("{:.2f}", na_rep="")

# %% [markdown] tags=["deep"]
# *128 words, one thread, medians of ten turns, on the machine that ran this page.
# "Step": loss and gradients, without the optimiser. "Dense, 8 bits": weights rounded to
# 8 bits, and products of whole numbers.*
# It hardly pays, if at all, and with many weights kept it is slower than dense. Are the
# products with prunable weights only a small part of the work? Count, and then measure:

# %% tags=["deep"]
flops = lthlab.cost.inference_flops(model, dataset)
linear = 2 * 15 * sum(w.numel() for w in lthlab.prunable_weights(model).values())
print(f"{linear / flops.total:.0%} of all operations are products with such weights")
layers = [model.get_submodule(n.removesuffix(".weight")) for n in weights]
given = [torch.randn(128 * 15, layer.in_features) for layer in layers]


@torch.no_grad()
def products(_):
    for layer, rows in zip(layers, given):
        layer(rows)


pair = [[seconds(work, model) for work in (products, inference)] for _ in range(12)]
share = statistics.median(part / whole for part, whole in pair[2:])
print(f"of the time of inference they take {share:.0%}")
print(f"if they cost nothing, inference would be {1 / (1 - share):.1f} times as fast")
letters = (dataset.train.y != -100).sum(1).float().mean() - 1
print(f"letters of a word: {letters:.1f} on average")

# %% [markdown] tags=["deep"]
# Operations are not time. What is left (attention between fifteen letters, normalisation, the non-linear function between
# the two layers) is little to count and long to do, since it moves many numbers and computes little with each. And our
# sparse layers lose most of what could be gained: they transpose inputs and outputs for the kernels, and the matrices are
# small. In a model of billions of weights the products take nearly all of the time; there graphics cards can use 2:4, and
# fewer bits a weight are common.
#
# When such a model *writes*, it keeps what attention computed for the letters before (a **key-value cache**). Our words are
# so short that we did not build one.

# %% [markdown]
# ## 6. And with billions of weights?
#
# On the right is what Sun et al. (2024) report for Llama 2, a family of large models by
# Meta, pruned once to a half; the last row is ours. On the left is what was seen here (the runs of 4,000
# steps are in the deep dives).
#
# | seen here | with billions of weights |
# |---|---|
# | the loss rises little after 1,000 steps of training, more after 4,000 | by magnitude it rises far more with 7 billion weights than with 70 |
# | Wanda is hardly better than magnitude | Wanda is far better for 7 billion, less so for 13; with 2:4 almost equal for 13 |
# | SparseGPT's repair helps, most with 2:4 | Wanda is as good without changing a weight; with 2:4 SparseGPT leads only for 7 billion |
# | calibration takes 1,024 words | 128 texts of 4,096 tokens |
# | tickets need the search of notebook 03 | a search costs as many trainings as it has levels |
#
# So *prune once* carries over. *Which method* is best depends on the size. And, as far
# as we know, nobody has paid for a search for tickets at that size.

# %% [markdown] tags=["deep"]
# ### Deep dive: the numbers, and real models

# %% tags=["deep"]
published = pd.read_csv(files("lthlab").joinpath("assets/published.csv"))
llama = published[published["what"].str.startswith("Llama 2 ")].copy()
llama[["model", "method"]] = llama["what"].str.split(" ", n=3).str[2:].tolist()
theirs = llama.pivot(index="method", columns="model", values="value")
ours = test.query("steps == 4000")
by_row = (ours["arm"] == "wanda") & (ours["scope"] == "row")  # as the paper prunes
by_layer = (ours["arm"] != "wanda") & (ours["scope"] == "layer")
ours = ours[by_row | by_layer | (ours["scope"] == "2:4")]
pattern = ours["scope"].map({"row": " 50%", "layer": " 50%", "2:4": " 2:4"})
ours = ours.assign(method=ours["arm"] + pattern)
words = ours.groupby("method")["value"].mean().map(math.exp)
whole = read("once").query("split == 'test' and metric == 'loss' and arm == 'dense'")
words["dense"] = math.exp(whole.query("steps == 4000")["value"].mean())
theirs["our letters"] = words.round(2)
theirs[["our letters", "7B", "13B", "70B"]].style.format("{:.2f}")

# %% [markdown] tags=["deep"]
# *Perplexity: ours on test words, a letter, five networks trained for 4,000 steps; theirs on articles of Wikipedia, a token
# (Sun et al. 2024, the table in their repository). Compare down a column, not across.*
#
# The same functions take real models, here a transformer that names pictures. The next
# lines were not run here: they need an internet connection and a large memory.
#
# ```python
# import torchvision
# from lthlab.post_training import prune_once_
#
# model = torchvision.models.vit_b_16(weights="DEFAULT")
# batch = images, labels                      # 128 images or so, as the weights' transforms make them
# masks = prune_once_(model, batch, "magnitude", density=0.5, scope="row")
# ```
#
# Its attention is written as one module, whose inputs cannot be seen from outside; for Wanda and SparseGPT such layers are
# named in `model.keep_dense`, or the network is one whose attention is made of Linear layers, as in GPT-2, Llama and ours.

# %% [markdown]
# ## 7. Your turn: close the case
#
# The [table of claims](README.md) holds one row for each claim and setting. Add yours.
# Say what you claim *before* you look: which arm, against which other arm, how far
# below it may end and still count as good, at which level, with which seeds. Then run
# it once.

# %%
CLAIM = "Half of 2,624 weights, as a ticket, are as good as all, within two points"
ARM, AGAINST, MARGIN = "ticket", "dense", 0.02
NETWORK, DATA, LEVEL, SEEDS = "mlp-32-32", "mnist1d", 3, range(20, 25)

arms = [ARM, AGAINST]
options = {"levels": LEVEL, "control_levels": [LEVEL], "evaluate_every": 0}
table = lthlab.run_experiment(NETWORK, DATA, arms=arms, seeds=SEEDS, **options)
table = table.query("split == 'test' and metric == 'accuracy' and level in (0, @LEVEL)")
gap = lthlab.paired(table, ARM, AGAINST)

# %%
if gap.low > -MARGIN:
    verdict = "seen" if gap.high >= 0 else "seen, though lower"
else:
    verdict = "opposite" if gap.high < -MARGIN else "not seen"
row = {"claim": CLAIM, "setting": f"{NETWORK} on {DATA}", "n": gap.n}
row |= {"density": table["density"].min(), "effect": 100 * gap.mean}
row |= {"low": 100 * gap.low, "high": 100 * gap.high, "verdict": verdict}
claims = pd.read_csv(files("lthlab") / "assets/reference/claims.csv")
claims = claims[claims["on_page"]][[*row]].sample(3, random_state=0)
shown = pd.concat([claims, pd.DataFrame([row])], ignore_index=True)
shown.style.format(precision=1).format("{:.1%}", subset="density").hide(axis="index")

# %% [markdown]
# *Three rows of the table, and yours below. Effects in points of test accuracy, 95 %
# intervals. Most intervals of the table also allow for the choice of the test examples,
# so they are a little wider.* "Not seen" is a result. If the interval is too wide to
# say anything, take more seeds, all of them new.
#
# Now replace the claim by one that you believe after this course, about any arm of `lthlab.ARMS`, and run it on ten seeds.

# %% [markdown] tags=["deep"]
# ### Deep dive: more to try
#
# - Prune with 8 calibration words in place of 1,024. Which method notices?
# - Calibrate with words that end in *-ly* only, and read what is left of the others.
# - Train for 4,000 steps (`replace(recipe, duration="4000it")`, two minutes) and prune to 30 %. It loses more. Why?
# - Write a score of your own, `def my_score(model, batch, *, seed=0)`, that multiplies `magnitude` with something, and beat
#   the scores of `wanda` at 30 %. Choose yours on the validation words, and look at the
#   test words once.
#
# <details><summary>Answers</summary>
#
# - *Eight words*: magnitude cannot notice. SparseGPT's matrices are 64 x 64 or
#   256 x 256, and eight words give it some 74 rows.
# - *Words in -ly*: the norms are those of other letters; how much it hurts is for you
#   to find out.
# - *4,000 steps*: does the longer training use more of its weights? Think of a way to
#   test that.
# - *A score*: Wanda's norms to a power; the gradient; the size of the row.
# </details>
#
# [The exercise sheet](exercises/10_language_models.py) has tasks with checks.

# %% [markdown]
# ## The board, and your bets
#
# Here are all suspects, with what the experiments so far say of each. The two lowest
# rows are this notebook's; there accuracy is the share of letters that the model ranks
# first.
#
# And how good were your bets? Of all the ranges that you were 80 % sure of, about 80 %
# should hold the answer.

# %%
plots.show(drawings.board(10))
bets.calibration()

# %% [markdown]
# ## Take away
#
# - A language model predicts the next token. Its loss is its surprise, in nats a token; perplexity is the number of tokens
#   among which it is still choosing.
# - Large models are pruned **once**. **Wanda** weighs each weight with the norm of its input; **SparseGPT** also lets the
#   weights that stay make up for those that go. 2:4 is a pattern that some cards can use, at a price.
# - After 1,000 steps there are tickets in this transformer: better than dense at 30 % of the weights, worse at 9 %.
# - A claim is a sentence with a setting, a number of seeds, an interval and a verdict. Now you have made one.
#
# **Sources**: J. Frankle, *Do Neural Networks Really Need to Be So Big?* T. Brown et al., *Language Models are Few-Shot
# Learners*, 2020. A. Vaswani et al., *Attention Is All You Need*, 2017. M. Sun et al., *A Simple and Effective Pruning Approach
# for Large Language Models*, ICLR 2024 (Wanda). E. Frantar and D. Alistarh, *SparseGPT*, ICML 2023. B. Hassibi and D. Stork,
# *Second Order Derivatives for Network Pruning: Optimal Brain Surgeon*, 1993. T. Dettmers et al., *LLM.int8()*, 2022. T. Chen
# et al., *The Lottery Ticket Hypothesis for Pre-trained BERT Networks*, 2020. A. Mishra et al., *Accelerating Sparse Deep Neural
# Networks*, 2021 (2:4). Word list: SCOWL.
#
# **Next question**: what did others find out around the hypothesis? [11](11_what_came_next.ipynb) repeats eight of their
# experiments.
