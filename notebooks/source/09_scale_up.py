# %% [markdown]
# # Scale up: a cluster, a bill, your own model
#
# Everything so far fitted a laptop. Some of the questions that are left do not: do tickets exist in networks that matter? In
# *your* network? Here the same functions leave the laptop. You run one experiment on a cluster and kill a worker in the
# middle of it; work out what a search for a ticket would cost, up to GPT-3; find a ticket in a model that nobody here has
# seen; and carry it out to a program that has never heard of `lthlab`.
#
# **After this notebook you can**
# - send `run_experiment` to a cluster, and say what a crash costs (sections 1 to 3);
# - estimate what a search costs before you start it (section 4);
# - look for tickets in a model of your own, and say what of it cannot be pruned (section 5);
# - hand a ticket to any PyTorch program (section 6).
#
# **You need** notebooks 03 and 04.
#
# **Time**: {time}

# %%
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import psutil
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import lthlab
from lthlab import build_model, find_ticket, load_dataset, plots, run_experiment
from lthlab.recipes import Recipe, recipe_for
from lthlab.widgets import bets

# %% [markdown]
# ## 1. One call
#
# This is the experiment that we will carry around: for each of four [seeds](glossary.md#seed), one
# [dense](glossary.md#dense) training and three [levels](glossary.md#level) of two [arms](glossary.md#arm). Here it runs on
# your processor's cores, one training per core.

# %%
torch.set_num_threads(1)
plots.use_style()
os.environ.setdefault("LTHLAB_DEVICE", "cpu")  # processes share it better than a card
aside = tempfile.TemporaryDirectory()  # for everything that this notebook writes
scratch = Path(aside.name)
EXPERIMENT = {
    "model": "mlp-100-100-100",
    "dataset": "mnist1d",
    "recipe": replace(recipe_for("mlp-100-100-100", "mnist1d"), duration="2ep"),
    "arms": ["dense", "ticket", "reinitialised"],
    "seeds": range(4),
    "levels": 3,
    "progress": False,
}
began = time.perf_counter()
here = run_experiment(**EXPERIMENT, folder=scratch / "here")
took = time.perf_counter() - began
final = here.query("split == 'test'")
print(f"{len(final)} trainings in {took:.0f} s on {joblib.cpu_count()} cores")
files = sorted((scratch / "here").rglob("*.safetensors"))
print(f"{len(files)} files, such as", *(f.relative_to(scratch) for f in files[:2]))

# %% [markdown]
# Short trainings: what matters here is not the result but that it will be the same wherever it is computed. The files are
# what makes the rest possible. Every finished training is one of them, a [checkpoint](glossary.md#checkpoint) written whole
# or not at all; a run that starts again takes what is there and computes what is missing.

# %% [markdown]
# ## 2. A cluster
#
# `joblib`, which spreads the trainings over your cores, can hand them to other machines just as well, through
# [Dask](https://distributed.dask.org): a *scheduler* that knows what is to be done, and *workers* that do it. Start a cluster
# of two workers on your own machine. It is a real one, with processes that talk over a
# network, except that this network does not leave your machine. (If the next line finds
# no `distributed`: `pip install distributed`, or go on at section 4.) The call is the
# same; the line around it says where it runs.

# %%
from distributed import Client, LocalCluster

local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
local["silence_logs"] = logging.CRITICAL
cluster = LocalCluster(n_workers=2, threads_per_worker=1, **local)
client = Client(cluster)
workers = client.run(os.getpid)
print("scheduler in process", os.getpid(), "- workers in processes", *workers.values())
with joblib.parallel_config(backend="dask"):
    there = run_experiment(**EXPERIMENT, folder=scratch / "there")
print("the same table, bit for bit:", there.equals(here))

# %% [markdown]
# ## 3. Kill a worker
#
# Long runs on many machines fail: somebody needs the machine, a disk is full, the power
# goes. A thread of this notebook waits
# until eight trainings are finished and then kills one of the two workers, as hard as an operating system can: no goodbye,
# no clean-up.

# %%
bets.pick(
    "09-kill",
    "One of two workers is killed after eight of 28 trainings",
    [
        "the call fails",
        "the call ends, some finished trainings are lost",
        "the call ends, nothing finished is lost",
    ],
)


# %%
def kill_a_worker(folder, victim, done):
    """Wait for eight finished trainings, note them, kill the process."""
    while len(found := [*folder.rglob("seed-*.safetensors")]) < 8:
        time.sleep(0.02)
    for path in found:
        done[path] = path.stat().st_ino  # a file that is written again gets another
    psutil.Process(victim).kill()


folder, done = scratch / "killed", {}
to_kill = {
    "target": kill_a_worker,
    "args": (folder, next(iter(workers.values())), done),
}
thread = threading.Thread(**to_kill, daemon=True)
thread.start()
with joblib.parallel_config(backend="dask"):
    survived = run_experiment(**EXPERIMENT, folder=folder)
thread.join()

# %%
untouched = sum(path.stat().st_ino == number for path, number in done.items())
finished = f"{len(done)} of {len(final)} trainings were finished"
print(f"process {to_kill['args'][1]} was killed when {finished}")
print(f"of those, {untouched} are still the same files")
print("the table is the same:", survived.equals(here))
print("workers now:", *client.run(os.getpid).values())
client.close()
cluster.close()
lost = (
    "nothing finished is" if untouched == len(done) else "some finished trainings are"
)
bets.reveal("09-kill", f"the call ends, {lost} lost")

# %% [markdown]
# A killed worker costs the training that it was in the middle of. The scheduler gives its work to another worker, and the
# finished levels are found in `folder`. This cluster also started a new worker in its
# place: that is the new number in the last line.

# %% [markdown] tags=["deep"]
# ### Deep dive: a real cluster
#
# On a real cluster only the first lines change. For **SLURM** (`pip install dask-jobqueue`):
#
# ```python
# from dask_jobqueue import SLURMCluster
# cluster = SLURMCluster(cores=8, processes=8, memory="32GB", walltime="04:00:00", queue="short")
# cluster.scale(jobs=2)                          # two jobs of eight workers with one thread each
# client = Client(cluster)
# client.wait_for_workers(8)                     # as long as the queue takes
# with joblib.parallel_config(backend="dask"):
#     table = run_experiment("lenet-300-100", "fashion-mnist", levels=12, seeds=range(10), folder="/shared/tickets")
# ```
#
# For **graphics cards**, one worker with one thread for each: `SLURMCluster(cores=1, processes=1, job_cpu=4, memory="16GB",
# job_extra_directives=["--gres=gpu:1"])`, or, on one machine with Linux, `LocalCUDACluster()` (`pip install dask-cuda`). For **Kubernetes**
# (`pip install dask-kubernetes`, and its operator in the cluster):
#
# ```python
# from dask_kubernetes.operator import KubeCluster
# cluster = KubeCluster(name="tickets", image="your/image-with-lthlab", n_workers=10)
# client = Client(cluster)                       # and so on as above, with the shared folder mounted in every pod
# ```
#
# Four things to know. `folder` must be on a disk that all workers *and the program that calls* see under the same path. All of
# them need the same kind of device and the same PyTorch, because these are part of a run's name: with cards, start the call from a small job that
# has one, too. `walltime` must hold at least one training. And Dask gives up on a task whose workers died four times; the same call then goes on from `folder`.
#
# *Only the local cluster is run by this notebook and by the tests of this project; those three are written after the documentation of
# their libraries.*

# %% [markdown]
# ## 4. The bill
#
# What does a search cost? A product: **[FLOPs](glossary.md#flop) of one training x trainings of the search x arms x seeds**.
# The first factor can be counted without training anything; for a language model it is about six for each weight and token
# (Kaplan et al. 2020). The second is the length of the search. The whole network is
# trained first. Then each level removes a fifth of what is left and trains the rest, so
# the last training is the ticket's own.


# %%
def trainings(density, rate=0.2):
    """Trainings of IMP, from the whole network to a ticket of at most `density`."""
    return ...  # your line; np.log and np.ceil may help


wanted = {0.9: 2, 0.5: 5, 0.1: 12}
found = {density: trainings(density) for density in wanted}
if ... in found.values():
    print("Not written yet: your line goes where the three dots are.")
elif found == wanted:
    print("Right.")
else:
    print(f"Not yet: it should give {wanted}, and gives {found}.")
bets.number(
    "09-bill",
    "One training of GPT-3 takes 3e23 FLOPs, and a modern card achieves 4e14 a second. "
    "How many years would one card take for IMP to 10 % of the weights",
    low=0,
    high=1000,
)

# %% [markdown]
# <details><summary>The line</summary>
#
# `return 1 + int(np.ceil(np.log(density) / np.log(1 - rate)))`
# </details>


# %%
def length(density, rate=0.2):
    return 1 + int(np.ceil(np.log(density) / np.log(1 - rate)))


resnet50 = torchvision.models.resnet50().to("meta")  # where nothing is computed
with FlopCounterMode(display=False) as counter:
    resnet50(torch.empty(1, 3, 224, 224, device="meta")).sum().backward()
image = counter.get_total_flops()
tokens = 1e6 * 256 * (0.9 * 128 + 0.1 * 512)  # BERT's: most sequences have 128
rows = [
    ("ResNet-50 on ImageNet, to 30 %", image * 1_281_167 * 90, length(0.3)),
    ("BERT base, pre-training, to 30 %", 6 * 85e6 * tokens, length(0.3)),
    ("GPT-3, one training", 6 * 175e9 * 300e9, 1),
    ("GPT-3, to 10 %", 6 * 175e9 * 300e9, length(0.1)),
]
bill = pd.DataFrame(rows, columns=["experiment", "FLOPs of one training", "trainings"])
CARD = 0.4 * 989e12  # FLOPs a second: an H100 in bfloat16, at 40 % of its peak
bill["days on one card"] = bill.iloc[:, 1] * bill["trainings"] / CARD / 86_400
bets.reveal("09-bill", bill["days on one card"].iloc[-1] / 365)
numbers = ["FLOPs of one training", "days on one card"]
bill.style.format(dict.fromkeys(numbers, "{:.2g}")).hide(axis="index")

# %% [markdown]
# *One seed, tickets only. Lengths: 90 epochs of ImageNet, a large
# collection of photographs (Frankle et al. 2020), one million steps of 256 sequences
# (Devlin et al. 2019), 300 billion tokens (Brown et al. 2020). As far as we know,
# nobody has
# [pruned](glossary.md#pruning) BERT or GPT-3 this way from the first step: those rows
# are extrapolation. Each level costs as much as the whole network, as it does with
# masks.*
#
# IMP multiplies a bill by the number of levels, and for GPT-3 that is the difference between very expensive and out of the
# question. **The search is one reason why tickets are not in daily use.** Hardware that gains little from scattered zeros
# (notebook 07) is another; that large networks have no known tickets at their first values (notebook 05) is a third. But
# *how* and *why* tickets work can be studied on small networks, for next to nothing.
# [13](13_scale_up_in_depth.ipynb) has the longer bill, your machine's share of it, cards and their options, many networks
# in one step, and the papers' CIFAR-10 with one line.

# %% [markdown]
# ## 5. Your own model
#
# Anything that is a `torch.nn.Module` will do. Here is a small *transformer* (notebook
# 10 explains the word) that reads a signal of `mnist1d` in ten pieces. Nothing in it
# knows of `lthlab`:


# %%
class Transformer(nn.Module):
    def __init__(self, pieces=10, width=32, classes=10):
        super().__init__()
        self.pieces = pieces
        self.embed = nn.Linear(40 // pieces, width)
        self.place = nn.Embedding(pieces, width)
        options = {"dim_feedforward": 64, "dropout": 0.0, "batch_first": True}
        self.layer = nn.TransformerEncoderLayer(width, nhead=4, **options)
        self.out = nn.Linear(width, classes)

    def forward(self, x):
        words = self.embed(x.unflatten(2, (self.pieces, -1)).squeeze(1))
        places = self.place(torch.arange(self.pieces, device=x.device))
        return self.out(self.layer(words + places).mean(1))


parts = lthlab.list_parameters(Transformer())
parts.groupby(["layer", "prunable"])["numbers"].sum().to_frame()

# %% [markdown]
# `list_parameters` says what can be pruned and what cannot, and why (`parts["why not"]`). The matrices
# of attention, a part of every transformer, can. (The layer with the longest name holds
# one of them.) `lthlab` leaves the rest alone: an embedding is a table, not a
# matrix that multiplies, and biases and the numbers of normalisation layers are few.
# Most papers do the same.
# A model can also name layers to leave alone, in an attribute: `keep_dense =
# ("out",)`.
#
# For an experiment, give a function that builds the network. It may ignore the seed: `lthlab` sets PyTorch's generator
# before it calls.

# %%
bets.number(
    "09-own",
    "A transformer of nine thousand weights, eight epochs, a quarter of the weights "
    "kept. How many points of test accuracy is the ticket ahead of its reinitialised "
    "control",
    low=-5,
    high=40,
)


# %%
def build(dataset, seed):
    return Transformer()


signals = load_dataset("mnist1d")
schedule = {"duration": "8ep", "schedule": "cosine", "warmup": 40}
pruning = {"fractions": {"all": 0.3}, "scope": "global"}
recipe = Recipe("adamw", 0.01, weight_decay=0.01, batch_size=100, **schedule, **pruning)
setting = {"arms": ["dense", "ticket", "reinitialised"], "seeds": range(3)}
setting |= {"levels": 4, "control_levels": [4], "progress": False}
attention = run_experiment(build, signals, recipe, **setting)
race = attention.query("level in [0, 4]")
plots.race(race)
plots.show(
    "Validation accuracy over eight epochs: the ticket learns fastest and ends "
    "highest, the dense transformer lies below it, the reinitialised one lowest."
)
last = race.query("split == 'test'")
print(
    f"{last.query('level == 4')['density'].mean():.0%} of the weights, test accuracy:"
)
for arm in ("dense", "reinitialised"):
    gap = lthlab.paired(last, "ticket", arm)
    print(f"ticket minus {arm:13s} {gap.points()}")
bets.reveal("09-own", 100 * gap.mean)

# %% [markdown]
# *Mean and 95 % [interval](glossary.md#confidence-interval) over three seeds; ticket and
# [reinitialised](glossary.md#reinitialised) have the same masks. Eight
# epochs are short, so this compares how fast they learn as well as how far they get.
# Learning rate and length were chosen on other seeds, by the validation accuracy
# of the dense network and by the time that this cell may take.*
#
# Networks from `torchvision` enter the same way, and your data through `lthlab.make_dataset`: both are in
# [13, section 6](13_scale_up_in_depth.ipynb).

# %% [markdown]
# ## 6. Take the ticket with you
#
# A masked network *is* an ordinary network with zeros in it: here the trained one, ready for use. (The
# ticket in the strict sense, the same zeros with the *first* values, is `lthlab.rewind(ticket.model,
# ticket.start, ticket.masks)`.) Save its `state_dict` and any PyTorch program can read it. If the file should be small, or a
# sparse kernel will read it, take compressed rows ([CSR](glossary.md#csr)).

# %%
from safetensors.torch import save_file, save_model

pictures = load_dataset("fashion-mini")
lenet = build_model("lenet-300-100", pictures)
recipe = Recipe("adam", 1.2e-3, duration="100it")
ticket = find_ticket(lenet, pictures, recipe, levels=15)
save_model(ticket.model, scratch / "zeros.safetensors")
compressed = lthlab.files.csr_state(ticket.model, ticket.masks)
save_file(compressed, scratch / "csr.safetensors")
for name in ("zeros.safetensors", "csr.safetensors"):
    print(f"{name}: {(scratch / name).stat().st_size / 1e3:,.0f} kB")

# %% [markdown]
# The program that reads them; `sys.modules["lthlab"] = None` makes sure that it could not import `lthlab` if it tried:

# %%
program = """
import sys
sys.modules["lthlab"] = None
import torch
from safetensors.torch import load_file

folder = sys.argv[1]
zeros, csr = (load_file(f"{folder}/{name}.safetensors") for name in ("zeros", "csr"))
names = ("crow_indices", "col_indices", "values")
parts = [csr[f"fc1.weight.{name}"] for name in names]
first = torch.sparse_csr_tensor(*parts, csr["fc1.weight.shape"].tolist())
print("the same first layer:", torch.equal(first.to_dense(), zeros["fc1.weight"]))
print(f"zeros in it: {(zeros['fc1.weight'] == 0).float().mean():.1%}")
"""
command = [sys.executable, "-W", "ignore", "-c", program, scratch]
answer = subprocess.run(command, capture_output=True, text=True)
print(answer.stdout + answer.stderr)

# %% [markdown]
# Whoever trains such a network further must set the zeros back after every step, or they fill up. PyTorch's own pruning tools keep a mask beside
# each weight for that. There and back:

# %%
first = ticket.model.fc1
lthlab.files.to_torch_prune_(ticket.model, ticket.masks)
names = *dict(first.named_buffers()), *dict(first.named_parameters())
print("as torch.nn.utils.prune keeps it:", *names)
masks = lthlab.files.from_torch_prune_(ticket.model)
same = all(masks[name].equal(mask) for name, mask in ticket.masks.items())
print("back:", *dict(first.named_parameters()), "- same masks:", same)

# %% [markdown]
# ## 7. Your turn
#
# Bring a network of your own. Look at `list_parameters` first, then race ticket and
# reinitialised with five seeds. If you find something, the [table of claims](README.md)
# has room for it.
#
# [The exercise sheet](exercises/09_scale_up.py) has tasks with checks; [13](13_scale_up_in_depth.ipynb) has more to try.

# %% [markdown]
# ## Take away
#
# - The same call runs on a laptop and on a cluster; a line around it says where.
#   Finished levels are files, so a crash costs only the trainings that were running.
# - Cost is a product, and the length of the search is one of its factors. For the
#   largest networks that puts iterative pruning out of reach.
# - In a small transformer, trained briefly, a quarter of the weights learnt faster than
#   all of them, and than the same mask with new values (n = 3). Whether that survives a
#   training to the end is open. And in your network?
# - A trained ticket is a network with zeros. It needs nobody's library.
#
# **Sources**: J. Frankle and M. Carbin, *The Lottery Ticket Hypothesis*, ICLR 2019. J. Frankle et al., *Linear Mode
# Connectivity and the Lottery Ticket Hypothesis*, ICML 2020. J. Devlin et al., *BERT*, NAACL 2019. T. Brown et al., *Language
# Models are Few-Shot Learners*, NeurIPS 2020. J. Kaplan et al., *Scaling Laws for Neural Language Models*, arXiv:2001.08361,
# 2020. M. Rocklin, *Dask*, SciPy 2015.
#
# **Next question**: nobody can search for a ticket in GPT-3. What *is* done to language models, and does a small one hold
# tickets? [Notebook 10](10_language_models.ipynb).
