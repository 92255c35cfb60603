# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---
# %% [markdown]
# # The class as a laboratory
#
# One question, one seed for each of you, one answer for all. You predict first, then you run your seed (about a minute), then you hand in the
# one small file that this notebook writes. Nobody alone can say anything; together you can.
#
# ## The question
#
# A ticket consists of a mask and the initial values under it. **Do the signs of these values help when their sizes are drawn anew?** Two arms, both with the
# ticket's mask, from the same seeds: "signs" keeps the ticket's signs and draws new sizes, "reinitialised" draws both anew. `mlp-32-32` on `mnist1d`, at the seventh level
# of IMP, about a fifth of the weights. What counts is the difference of the test accuracies, signs minus reinitialised.

# %% [markdown]
# ## 1. Before you run
#
# Your id, the seed that you were given (1000 to 1999), and your prediction for the whole class: will the 95 % interval of the mean difference lie "above" zero, "below" zero,
# or "include" it? It cannot be changed afterwards without running again.

# %%
STUDENT = "your id"
SEED = 1000
PREDICTION = "include"

# %% [markdown]
# ## 2. Run your seed

# %%
import json

from lthlab import run_experiment
from pool import CLAIM, describe, sealed

table = run_experiment(
    CLAIM["model"],
    CLAIM["dataset"],
    arms=CLAIM["arms"],
    seeds=[SEED],
    levels=CLAIM["level"],
    control_levels=[CLAIM["level"]],
    n_jobs=1,
    progress=False,
)

# %% [markdown]
# ## 3. Write the file
#
# It holds your prediction, your two numbers, and what they were computed with. Hand in `class-ID.json`.

# %%
last = table[(table.level == CLAIM["level"]) & (table.split == "test")]
last = last[last.metric == "accuracy"].set_index("arm").value
values = {name: float(last[name]) for name in CLAIM["arms"]}
result = describe(STUDENT, SEED, PREDICTION, values)
with open(f"class-{STUDENT}.json", "w") as file:
    json.dump(sealed(result), file, indent=1)
print(f"{file.name}: {values}, difference {values['signs'] - values['reinitialised']:+.3f}")
