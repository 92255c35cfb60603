# %% [markdown]
# # From LeNet to language models
#
# The article behind this course, J. Frankle's *Do Neural Networks Really Need to Be So Big?*, asks its question of GPT-3,
# a language model with 175 billion weights. So far the answers came from networks of 1998. Here you train a small language
# model in half a minute, read the words that it invents, prune it the way large models are pruned today, and read again.
#
# **After this notebook you can**
# - say what a language model learns, and read its loss in nats, bits and perplexity;
# - prune a trained network once, without retraining, by magnitude, Wanda and SparseGPT, and say what each of them looks at;
# - work out by hand how the weights that stay make up for one that goes;
# - say what 2:4 sparsity is, and whether tickets exist in a small transformer;
# - tell which of these findings carry over to a model of billions of weights, and which do not.
#
# **You need** notebooks 02 (scores, scopes) and 03 (tickets). Sections 7 and 8 say in a sentence what they take from notebooks
# 05 and 07. What a *transformer* is, is explained where it comes up.
#
# **Time**: 40 minutes to read, about three minutes to run on two cores.

# %%
import copy
import math
import statistics
import time
import warnings
from collections import Counter
from dataclasses import replace
from importlib.resources import files

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch

import lthlab
from lthlab import build_model, evaluate, full_masks, load_dataset, plots, prune, train
from lthlab.post_training import METHODS, prune_once_, repair, wanda
from lthlab.words import decode, encode, known_words, sample_words

torch.set_num_threads(1)  # one core here; repeated trainings use the others
plots.use_style()


def read(name):
    """A table of reference results that comes with the package."""
    return pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))


# %% [markdown]
# ## 1. A model that writes words
#
# A language model reads the beginning of a text and says what may come next. GPT-3 reads pieces of English; ours reads the
# letters of a word. The data are 57,512 English words, already in the package:

# %%
dataset = load_dataset("words")
print(dataset)
print("some of them:", ", ".join(decode(dataset.train.x[:8])))
x, y = encode(["cat"])
print("read:  ", x[0].tolist())
print("answer:", y[0].tolist())

# %% [markdown]
# A **token** is the unit that the model reads: here a letter, as a number from 1 to 26. Token 0 starts the word, ends it,
# and fills the rest of the row, which is called **padding**. At each place the right answer is the letter after it: after
# `.` comes *c*, after `.c` comes *a*, after `.cat` the word ends. Answers of -100 are padding and do not count.
#
# ### The network
#
# A **transformer** turns each letter into a vector of 64 numbers, and passes it through *blocks*. In a block, **attention**
# lets each place look at the places before it and take from them what it needs; then two layers work on each place alone.
# Both *add* to the vector. At the end, one layer gives 27 scores, one for each token that may come next.

# %%
steps = ["letters", "embedding", "attention", "two layers", "output", "27 scores"]
colors = ["0.9", "0.8", "#9ecae1", "#9ecae1", "0.8", "0.9"]
figure, ax = plt.subplots(figsize=(11, 1.9))
for place, (name, color) in enumerate(zip(steps, colors)):
    box = {"boxstyle": "round,pad=0.5", "facecolor": color, "edgecolor": "0.3"}
    ax.text(2 * place, 0, name, ha="center", va="center", bbox=box, fontsize=12)
    if place:
        arrow = {"arrowstyle": "->", "color": "0.3"}
        ax.annotate("", (2 * place - 0.8, 0), (2 * place - 1.25, 0), arrowprops=arrow)
ax.annotate(
    "a block: three of them, one after the other", (5, 0.75), ha="center", fontsize=11
)
ax.plot([3.1, 3.1, 6.9, 6.9], [0.45, 0.6, 0.6, 0.45], color="0.3")
ax.set(xlim=(-1, 11), ylim=(-0.7, 1.1))
ax.set_axis_off()
plt.show()

# %% [markdown]
# *The network from left to right. In the code: `attend` makes from each letter what it asks for and what it offers, `project` mixes
# what was gathered; `expand` (64 to 256) and `contract` (256 to 64) are the two layers. Before `attend` and before `expand` a
# **normalisation** brings all vectors to the same scale. Blue layers can be pruned; the embedding and the output layer stay whole, as in the
# papers on large models.*

# %%
model = build_model("gpt-3x64", dataset, seed=0)
parts = lthlab.list_parameters(model)
print(f"{parts['numbers'].sum():,} numbers to learn")
print(f"{parts.query('prunable')['numbers'].sum():,} of them can be pruned:")
parts.query("prunable")[["name", "shape", "numbers"]].head(4).style.hide(axis="index")

# %% [markdown]
# ### Training it
#
# The loss is the cross-entropy of notebook 01, averaged over letters: how *surprised* the model is by the letter that came.
# If it gives that letter probability *p*, the surprise is $-\log p$, in units called **nats**.
#
# > **Predict.** A model that knows nothing gives each of 27 tokens the same chance: $\log 27 \approx 3.30$ nats. One that
# > knows how common each letter is does better. One that also knows the letter before, better again. Where will ours end?

# %%
counted = Counter(zip(x.flatten().tolist(), y.flatten().tolist()))
right = dataset.train.y != -100
pairs = torch.stack([dataset.train.x[right], dataset.train.y[right]])
counts = torch.zeros(27, 27).index_put_(tuple(pairs), torch.ones(1), accumulate=True)
alone = counts.sum(0) / counts.sum()
after = (counts + 0.01) / (counts + 0.01).sum(1, keepdim=True)  # by the letter before

seen = dataset.validation.y != -100
read_letter, answer = dataset.validation.x[seen], dataset.validation.y[seen]
known = {
    "nothing": math.log(27),
    "how common letters are": float(-alone[answer].log().mean()),
    "the letter before": float(-after[read_letter, answer].log().mean()),
}
{name: round(loss, 2) for name, loss in known.items()}

# %%
recipe = lthlab.recipe_for("gpt-3x64", dataset)
history = train(model, dataset, recipe, evaluate_every="100it", progress=True)
rows = history.table.query("split == 'validation' and metric == 'loss'")
ax = sns.lineplot(rows, x="step", y="value", marker="o", label="the transformer")
for (name, loss), style in zip(known.items(), (":", "--", "-.")):
    ax.axhline(loss, color="0.4", linestyle=style, label=f"knows {name}")
ax.set(xlabel="step of training", ylabel="validation loss, nats a letter")
ax.legend(bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# *One training, seed 0. Grey: models without a network, from counts in the training words.*
#
# ### What a letter costs
#
# Three ways to say the same thing: **nats** are logarithms to the base e; divide by log 2 and you have **bits**; $e^{nats}$ is the
# **perplexity**, the number of letters among which the model is, so to speak, still choosing.

# %%
nats = evaluate(model, dataset.validation)["loss"]
print(f"{nats:.3f} nats = {nats / math.log(2):.2f} bits a letter")
print(f"perplexity {math.exp(nats):.1f}, of 27 tokens")


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

# %% [markdown]
# *The price of each letter, given those before it, in two words.* A letter is expensive where the model expects another one, as the
# *t* after *streng*; it is cheap where hardly anything else can come. After *q*, a *u* costs next to nothing.
#
# ### Read its words
#
# Draw a letter by the model's chances, append it, and go on until the word ends.

# %%
listed = set(known_words())
trained_on = set(decode(dataset.train.x))
words = sample_words(model, 1000, seed=0)
print(", ".join(words[:24]))
copied = sum(word in trained_on for word in words) / len(words)
guessed = sum(word in listed - trained_on for word in words) / len(words)
print(
    f"{copied:.0%} were in the training list, {guessed:.0%} are English all the same,"
)
print("but the model never saw them. The others it made up.")

# %% [markdown]
# Words of a list of offensive words were removed from the data and are never shown.
#
# ## 2. Cut, and read again
#
# LeNet could be retrained after pruning. A model that cost millions to train cannot: it is **pruned once**, after training,
# and used as it is.
#
# > **Predict.** You keep the larger half of each layer's weights. Could the words still pass for English? And with three in ten?
#
# The random numbers are the same in every row. A word stays the same until one letter comes out differently; from there it goes
# its own way.

# %%
batch = lthlab.draw_batch(dataset.train, 1024, seed=0)
shown = {}
for kept in (1.0, 0.5, 0.3, 0.2):
    pruned = copy.deepcopy(model)
    prune_once_(pruned, batch, "magnitude", kept)
    nats = evaluate(pruned, dataset.validation)["loss"]
    shown[f"{kept:.0%} kept, {nats:.2f} nats"] = sample_words(pruned, 7, seed=3)
pd.DataFrame.from_dict(shown, orient="index").fillna("").style.hide(axis="columns")

# %% [markdown]
# At a half most of them still could; further down, letters pile up that no English word has together. Two ideas from the large
# models try to do better. Both *look at the data*.
#
# ## 3. Wanda: what does a weight multiply?
#
# A weight of 0.5 that multiplies inputs of about 0.01 moves its neuron less than a weight of 0.1 that multiplies inputs of
# about 10. **Wanda** (Sun et al. 2024: pruning by **w**eights **and a**ctivations) scores a weight by
#
# $$|w_{ij}| \cdot \lVert x_j \rVert,$$
#
# its size times the norm of input *j* over some examples, the **calibration** data. Weights of one row compete: those that
# lead into the same neuron (scope `"row"`).

# %%
tiny = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False))
with torch.no_grad():
    tiny[0].weight.copy_(torch.tensor([[0.5, 0.1]]))
inputs = torch.tensor([[0.01, 10.0], [-0.01, -10.0]])
scores = wanda(tiny, (inputs, torch.zeros(2, dtype=torch.long)))["0.weight"]
print("sizes: ", tiny[0].weight.tolist()[0])
print("scores:", [round(score, 3) for score in scores.tolist()[0]])

# %% [markdown]
# > **Predict.** When will Wanda choose the same weights as magnitude?
#
# When all inputs are about equally large. So look at the inputs of our network:

# %%
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
plt.show()
ratios = {name: float(norm[0].max() / norm[0].median()) for name, norm in norms.items()}
print(f"the largest input of a layer: {min(ratios.values()):.1f} to", end=" ")
print(f"{max(ratios.values()):.1f} times its median")

# %% [markdown]
# *Each point is one input of a layer (block and layer below); dashed: the median of its layer. 1,024 training words.*
#
# Inputs of `attend` and `expand` come from a normalisation and are much alike; those of `project` and `contract` spread
# more. But none stands out by much, so here Wanda and magnitude will choose nearly the same weights. In models of billions
# of weights some inputs are far larger than the rest (**outlier features**; Dettmers et al. 2022, and the reason that Sun et al.
# give for Wanda); magnitude cuts the weights behind them without looking.
#
# Now write the line that prunes by Wanda's scores, half of each row:

# %%
masks = prune(wanda(model, batch), full_masks(model), 0.5, scope="row")  # your line
once = lthlab.apply_masks_(copy.deepcopy(model), masks)
print(f"one pass:          {evaluate(once, dataset.validation)['loss']:.3f} nats")
walked = copy.deepcopy(model)
prune_once_(walked, batch, "wanda", 0.5, "row")
print(f"layer after layer: {evaluate(walked, dataset.validation)['loss']:.3f} nats")

# %% [markdown]
# *Layer after layer*: the inputs of the second layer are those that come out of the first one as pruned. `prune_once_` goes that
# way, as the papers do. Here it makes hardly a difference.
#
# ## 4. SparseGPT: repair what you cut
#
# Notebook 02 derived *Optimal Brain Damage*: how much does the loss rise if one weight goes, and the others stand still?
# But why should they stand still? **Optimal Brain Surgeon** (Hassibi and Stork 1993) lets the others make up for it. They used the
# second derivatives of the training loss, for all weights at once. Today the same idea is applied to one layer at a time, with
# the change of its outputs in place of the loss.
#
# Take one neuron with weights $w$ and ask that its outputs change little. If the weights change by $\delta$, the squared
# change of the outputs is $\delta^T H \delta$ with $H = X^T X$, for inputs $X$. Weight $q$ has to go: $\delta_q = -w_q$. Of all
# such $\delta$ the best is
#
# $$\delta = -\frac{w_q}{[H^{-1}]_{qq}}\, H^{-1} e_q, \qquad \text{and it costs} \quad \frac{w_q^2}{[H^{-1}]_{qq}}.$$
#
# ($e_q$ is 1 at place $q$ and 0 elsewhere, so $H^{-1} e_q$ is column $q$ of the inverse.) By hand, with three inputs; the
# third often comes together with one of the others:

# %%
X = torch.tensor([[1.0, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0]])
w = torch.tensor([1.0, 2.0, 3.0])
H = X.T @ X
inverse = torch.linalg.inv(H)
print("4 x the inverse of H:", (4 * inverse).round().int().tolist())

change = -w[0] / inverse[0, 0] * inverse[:, 0]  # delete the first weight
print("the others move by:  ", [round(v, 2) for v in change.tolist()])
print("outputs before:", (X @ w).tolist())
print("only deleted:  ", (X @ (w * torch.tensor([0, 1, 1]))).tolist())
print("and repaired:  ", [round(v, 2) for v in (X @ (w + change)).tolist()])
errors = [float(d @ H @ d) for d in (torch.tensor([-1.0, 0, 0]), change)]
print(f"squared change {errors[0]:.2f} without repair, {errors[1]:.2f} with it")
costs_of = w.square() / inverse.diagonal()
print("and if another one went:", [round(v, 2) for v in costs_of.tolist()])

# %% [markdown]
# The third input stands in for the first where they come together, and the second weight gives a little back.
#
# A layer has many neurons, and each would need an inverse of its own after each deletion: too much for large models.
# **SparseGPT** (Frantar and Alistarh 2023) goes through the columns from left to right and repairs only *to the right*; then
# all rows share one sequence of inverses. Models of 175 billion weights take less than four and a half hours (their abstract).

# %%
repaired, mask = repair(w[None], H, density=2 / 3)
print("kept:", mask[0].tolist())
print("weights:", [round(v, 2) for v in repaired[0].tolist()])

# %% [markdown]
# The first weight goes, since it costs least, and the others take the values found above, up to 1 % of **damping**: a small
# number added to the diagonal of $H$, so that it can always be inverted. Now the three methods on the language model, at once
# and by row:

# %%
mine, written = [], {}
for method in METHODS:
    for kept in (0.5, 0.3, 0.2):
        pruned = copy.deepcopy(model)
        prune_once_(pruned, batch, method, kept, "row")
        mine.append((method, kept, evaluate(pruned, dataset.validation)["loss"]))
        written[f"{method}, {kept:.0%}"] = sample_words(pruned, 7, seed=3)
mine = pd.DataFrame(mine, columns=["method", "density", "nats"])
mine.pivot(index="density", columns="method", values="nats")[[*METHODS]].round(3)

# %%
dense_words = {"dense": sample_words(model, 7, seed=3)}
table = pd.DataFrame.from_dict(dense_words | written, orient="index").fillna("")
table.style.hide(axis="columns")

# %% [markdown]
# At a half and at three in ten repair helps. At a fifth it does not in this network, by row: there is little left to repair with.
#
# > **Predict.** One network is one network. With five, trained for 1,000 steps and for 4,000: which of the two suffers more?

# %%
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

# %% [markdown]
# *Pruned once by layer, without retraining; mean and 95 % interval, n = 5 networks; dashed: dense. Calibration: 1,024
# training words.*
#
# The network that trained longer loses more, and pruned by magnitude to a half it is even worse than the other one. One
# explanation is that it uses more of its weights; we have not tested it. In pairs, at a half, on the test words:

# %%
PAIRS = (("sparsegpt", "magnitude"), ("sparsegpt", "wanda"), ("wanda", "magnitude"))
test = read("once").query("split == 'test' and metric == 'loss' and density == 0.5")
for (steps, scope), part in test.groupby(["steps", "scope"]):
    for one, other in PAIRS:
        gap = lthlab.paired(part, one, other)
        edges = f"[{gap.low:+.3f}, {gap.high:+.3f}]"
        what = f"{steps} steps, {scope:5s} {one} minus {other}"
        print(f"{what:44s} {gap.mean:+.3f} {edges} nats")

# %% [markdown]
# *Mean and 95 % interval over n = 5 networks; the same calibration words for all methods of a network. Below zero: the first
# is better.*
#
# ## 5. Two of four
#
# Zeros in arbitrary places are hard to use: notebook 07 had to write its own kernels. NVIDIA's cards since 2020 have units
# that skip zeros if, of four neighbours in a row, two are zero: **2:4 sparsity**.

# %%
pattern = copy.deepcopy(model)
masks = prune_once_(pattern, batch, "sparsegpt", 0.5, "2:4")
free = copy.deepcopy(model)
others = prune_once_(free, batch, "sparsegpt", 0.5)
name = "blocks.0.expand.weight"
figure, axes = plt.subplots(1, 2, figsize=(11, 3.2))
for ax, (title, mask) in zip(axes, {"half, anywhere": others, "2:4": masks}.items()):
    sns.heatmap(mask[name][:8, :24], ax=ax, cmap="Greys", cbar=False, linewidths=0.5)
    ax.vlines(range(0, 25, 4), 0, 8, color=plots.arm_color("reinitialised"))
    ax.set(title=title, xticks=[], yticks=[], xlabel="inputs", ylabel="neurons")
figure.tight_layout()
in_fours = masks[name].view(-1, 4).sum(1)
print("kept in each group of four:", in_fours.unique().tolist())

# %% [markdown]
# *A corner of one mask; black is kept; red lines mark groups of four.* The price of the pattern:

# %%
whole = read("once").query("split == 'test' and metric == 'loss' and arm == 'dense'")
whole = whole.groupby("steps")["value"].mean().rename("dense")
for scope, part in test.groupby("scope"):
    means = part.groupby(["steps", "arm"])["value"].mean().unstack()
    print(f"scope {scope}, test loss in nats, mean of five")
    print(pd.concat([whole, means[[*METHODS]]], axis=1).round(3).to_string(), "\n")

# %% [markdown]
# The pattern costs magnitude and Wanda most; repair makes good a large part of it. We had no
# card that can use it.
#
# ## 6. Pick a method and a density, and read
#
# > **Before you turn the knob**: at which density do you expect the last real word to vanish?

# %%
from lthlab import widgets

pruner = widgets.word_pruner(model, dataset)
pruner

# %% [markdown]
# Words in bold are in the list of English words. Move to the left until none is.
#
# ## 7. Are there tickets in a transformer?
#
# Everything so far pruned a *trained* network. Now notebook 03's question: is there a sparse network whose initial values
# train as well? At each level a third of the weights is pruned, the rest is put back to its first values and trained again.
#
# > **Predict.** On the validation loss, which is better at 30 % of the weights: the dense network, the ticket, or the ticket's
# > mask with new values? And do you expect the gap to be as wide as on mnist1d?
#
# Live, 200 steps in place of 1,000, with one seed:

# %%
short = replace(recipe, duration="200it", warmup=20)
live = lthlab.run_experiment(
    "gpt-3x64",
    "words",
    short,
    arms=["dense", "ticket", "reinitialised", "shuffled"],
    seeds=[10],
    levels=3,
    control_levels=[3],
    evaluate_every=0,
)
ends = live.query("split == 'validation' and metric == 'loss' and step > 0")
ends.sort_values("value")[["arm", "density", "value"]].round(3).style.hide(axis="index")

# %% [markdown]
# The order is the same as below, but every ticket is ahead here: short trainings favour them. Ten seeds, with all 1,000 steps:

# %%
tickets = read("words").query("split == 'validation' and metric == 'loss' and step > 0")
ax = plots.lines(tickets.query("arm != 'dense'"), x="density", markers=True)
dense = lthlab.interval(tickets.query("arm == 'dense'")["value"])
ax.axhline(dense.mean, color=plots.arm_color("dense"), linestyle="--", label="dense")
ax.axhspan(dense.low, dense.high, color=plots.arm_color("dense"), alpha=0.12)
plots.density_axis(ax, tickets["density"])
ax.set(ylabel="validation loss, nats a letter")
ax.legend()
plt.show()

# %%
for level in sorted(set(tickets.query("arm == 'shuffled'")["level"])):
    here = tickets[tickets["level"].isin([0, level])]
    print(f"{here['density'].min():.0%} of the weights, nats a letter:")
    for one, other in (
        *(("ticket", "dense"), ("reinitialised", "ticket")),
        *(("shuffled", "reinitialised"), ("reinitialised", "dense")),
    ):
        gap = lthlab.paired(here, one, other)
        edges = f"[{gap.low:+.3f}, {gap.high:+.3f}]"
        print(f"    {one:13s} minus {other:13s} {gap.mean:+.3f} {edges}")

# %% [markdown]
# *Mean and 95 % interval over n = 10 seeds; below zero the first is better. Same data, order and number of steps in all arms
# of a seed; pruned by magnitude, a third of each layer per level, rewound to the start.*
#
# At 30 % the ticket is better than the dense network, at 9 % it is worse. New values cost much more than that, and shuffling the
# mask within its layers costs what new values cost. But 1,000 steps are few: a dense network trained for 4,000 ends far lower
# (section 5). So the ticket's lead may only mean that it learns faster; no long search was run here.
#
# And what if tickets go back to the values after 50 steps, not to the first ones (*rewinding*, notebook 05)?

# %%
later = read("words-rewinding").query("metric == 'loss' and step > 0 and level == 3")
later = later.query("split == 'validation' and arm == 'ticket'").assign(arm="k = 50")
both = pd.concat([later, tickets.query("arm == 'ticket' and level == 3")])
gap = lthlab.paired(both, "k = 50", "ticket")
edges = f"[{gap.low:+.4f}, {gap.high:+.4f}]"
print(f"ticket at 30 %, k = 50 minus k = 0: {gap.mean:+.4f} {edges} nats, n = {gap.n}")

# %% [markdown]
# It makes no difference here.
#
# ### Pretrained tickets
#
# Large models are *pretrained* once and then *fine-tuned* for many tasks. Chen et al. (2020) asked whether BERT holds tickets
# for its tasks: a mask found on the task, with the *pretrained* values. In small: our network, pretrained on all words, goes on
# with those that end in *-ly*. The mask is found there; then three sets of values are put under it.

# %%
small = read("pretraining").query("split == 'validation' and metric == 'loss'")
print(small.groupby(["level", "arm"])["value"].mean().round(3).to_string(), "\n")
for level in (3, 6):
    here = small[small["level"].isin([0, level])]
    print(f"{here['density'].min():.0%} of the weights, minus dense and pretrained:")
    for arm in ("ticket", "mask, initial values", "mask, new values"):
        if arm in set(here["arm"]):
            gap = lthlab.paired(here, arm, "dense")
            print(f"    {arm:22s} {gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]")

# %% [markdown]
# *Validation loss in nats a letter, n = 10 seeds; 200 steps at a rate of 0.001 for every arm. "ticket": the mask with the pretrained
# values; "initial values": those before pretraining; "new values": drawn anew; "not pretrained": the dense network from its
# initial values.*
#
# Chen et al. found matching tickets with a tenth to six tenths of BERT's weights. Ours do not match: they cost a few hundredths of
# a nat at 30 %. The mask with its *initial* values is about as good as a dense network without pretraining: what was learned before
# stands in the values, and the mask does not carry it over. Mind the setting: the words in *-ly* were part of the pretraining,
# and 200 such steps are enough to go on with a network and too few to train one.
#
# ## 8. Is it faster?
#
# Notebook 07 writes kernels that skip pruned weights. They also exist as a layer for any network: `lthlab.fast.layers.sparsify` replaces each Linear layer by one
# that stores and computes kept weights alone, with a gradient of its own.
#
# > **Predict.** With 5 % of the prunable weights left: how many times faster is a training step of this network?

# %%
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


def seconds(work, network):
    began = time.perf_counter()
    work(network)
    return time.perf_counter() - began


def step(network):
    cross_entropy(network, x, y).backward()


@torch.no_grad()
def inference(network):
    network(x)


# %%
for work, contenders in (
    (step, networks),
    (inference, networks | {"dense, 8 bits": eight_bits}),
):
    times = {name: [] for name in contenders}
    for _ in range(12):  # in turns, so that a busy moment hits all alike
        for name, network in contenders.items():
            times[name].append(seconds(work, network))
    medians = {name: statistics.median(ts[2:]) for name, ts in times.items()}
    shares = {n: f"{medians['dense'] / m:.2f}" for n, m in medians.items()}
    print(f"{work.__name__}, times as fast as dense: {shares}")

# %% [markdown]
# *128 words, one thread, medians of ten turns, on the machine that ran this page. "Dense, 8 bits": weights rounded to 8 bits, and
# products of whole numbers.*
#
# It hardly pays. Is it because the products with prunable weights are only a small part of the work? Count, and then measure:

# %%
flops = lthlab.cost.inference_flops(model, dataset)
linear = 2 * 15 * sum(w.numel() for w in lthlab.prunable_weights(model).values())
share = linear / flops.total
print(f"{share:.0%} of all operations are products with prunable weights")

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

# %% [markdown]
# Operations are not time. What is left (attention between fifteen letters, normalisation, the non-linear function between the two
# layers) is little to count and long to do, since it moves many numbers and computes little with each. And our sparse layers
# lose most of what could be gained: they transpose inputs and outputs for the kernels, and the matrices are small. LeNet's first
# layer is fourteen times larger than the largest here. In a model of billions of weights the products take nearly all of the
# time; there graphics cards can use 2:4, and fewer bits a weight are common.
#
# When such a model *writes*, it keeps what attention computed for the letters before (a **key-value cache**). Our words are so short
# that we did not build one.

# %% [markdown]
# ## 9. And in a model of 175 billion weights?
#
# What the papers report for Llama 2, pruned once to a half, beside our letters:

# %%
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
words["dense"] = math.exp(whole[4000])
theirs["our letters"] = words.round(2)
theirs[["our letters", "7B", "13B", "70B"]].style.format("{:.2f}")

# %% [markdown]
# *Perplexity: ours on test words, a letter, five networks trained for 4,000 steps; theirs of Llama 2, a family of models by Meta, on articles of Wikipedia, a token (Sun et al. 2024, the table in their repository). Compare down a column, not across.*
#
# | what you saw here | with billions of weights |
# |---|---|
# | at a half, the loss rises little after 1,000 steps, more after 4,000 | it depends on method and size: 7B suffers most by magnitude, 70B less |
# | Wanda is hardly better than magnitude | at a half far better for 7B, less so for 13B; with 2:4 almost equal for 13B |
# | SparseGPT's repair helps, most with 2:4 | at a half Wanda is as good without changing a weight; with 2:4 SparseGPT leads for 7B alone |
# | calibration takes 1,024 words | 128 texts of 2,048 tokens |
# | tickets need the search of notebook 03 | a search costs as many trainings as it has levels |
#
# The same functions take real models. Not run here, for want of a network and a large memory:
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
#
# ## 10. Your turn
#
# 1. Prune with 8 calibration words in place of 1,024. Which method notices?
# 2. Calibrate with words that end in *-ly* only, and read what is left of the others.
# 3. Train for 4,000 steps (`replace(recipe, duration="4000it")`, two minutes) and prune to 30 %. It loses more. Why?
# 4. Write a score of your own, `def my_score(model, batch, *, seed=0)`, that multiplies `magnitude` with something, and beat
#    Wanda's one pass at 30 %. Choose it on the validation words, and look at the test words once.
#
# <details><summary>Answers</summary>
#
# 1. Try it: magnitude cannot notice. SparseGPT's matrices are 64 x 64 or 256 x 256, and eight words give it some 74 rows.
# 2. The norms are those of other letters; how much it hurts is for you to find out.
# 3. Compare the two pictures of section 4. Does it use more of its weights? Think of a way to test that.
# 4. Ideas: Wanda's norms to a power; the gradient; the size of the row.
# </details>
#
# The exercise sheet has tasks with checks (`make student`).

# %% [markdown]
# ## Take away
#
# - A language model predicts the next token. Its loss is its surprise, in nats a token; perplexity is the number of tokens among
#   which it is still choosing.
# - Large models are pruned **once**. **Wanda** weighs each weight with the norm of its input; **SparseGPT** also lets the weights
#   that stay make up for those that go.
# - A network trained for 4,000 steps lost more by pruning than one trained for 1,000.
# - After 1,000 steps there are tickets in this transformer: better than dense at 30 % of the weights, worse at 9 % (n = 10).
# - Sparse weights only make a network faster where products with weights are most of the work, and where hardware can skip zeros.
#
# **Sources**: J. Frankle, *Do Neural Networks Really Need to Be So Big?* T. Brown et al., *Language Models are Few-Shot
# Learners*, 2020. A. Vaswani et al., *Attention Is All You Need*, 2017. M. Sun et al., *A Simple and Effective Pruning Approach
# for Large Language Models*, ICLR 2024 (Wanda). E. Frantar and D. Alistarh, *SparseGPT*, ICML 2023. B. Hassibi and D. Stork,
# *Second Order Derivatives for Network Pruning: Optimal Brain Surgeon*, 1993. T. Dettmers et al., *LLM.int8()*, 2022. T. Chen et al., *The Lottery Ticket Hypothesis for
# Pre-trained BERT Networks*, 2020. A. Mishra et al., *Accelerating Sparse Deep Neural Networks*, 2021 (2:4). Word list: SCOWL.
