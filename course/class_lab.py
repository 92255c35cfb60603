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
# There is one question, one seed for each of you, and one answer for all. First you
# predict. Then you run your seed, which takes about a minute. Then you hand in the small
# file that this notebook writes. Alone you can say nothing; together you can.
#
# ## The question
#
# A ticket is a mask and the first values under it. **Are the ticket's signs alone worth
# more than values drawn anew?** We compare two arms. Both have the ticket's mask and the
# same seeds. "Signs" keeps the sign of each value and gives all weights of a layer the
# same size. "Reinitialised" draws all values anew, signs and sizes. (So the two differ in
# the signs, and also in how sizes are spread. Say so when you report.)
#
# The network is `mlp-32-32` on `mnist1d`, at the seventh level of IMP, where about a
# fifth of the weights is left. What counts is the difference of the test accuracies,
# signs minus reinitialised.

# %% [markdown]
# ## 1. Before you run
#
# Fill in your id, the seed that you were given (1000 to 1999), and your prediction for
# the whole class. Will the 95 % interval of the mean difference lie "above" zero or
# "below" zero, or will it "include" zero? To change your prediction later you have to run
# everything again.

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
# The file holds your prediction, your two numbers, and what they were computed with. Hand
# in `class-ID.json`.

# %%
last = table[(table.level == CLAIM["level"]) & (table.split == "test")]
last = last[last.metric == "accuracy"].set_index("arm").value
values = {name: float(last[name]) for name in CLAIM["arms"]}
result = describe(STUDENT, SEED, PREDICTION, values)
with open(f"class-{STUDENT}.json", "w") as file:
    json.dump(sealed(result), file, indent=1)
print(f"{file.name}: {values}, difference {values['signs'] - values['reinitialised']:+.3f}")
