# %% [markdown]
# ## Your id
#
# Some numbers below are drawn for you alone: your neighbour gets others. Write the id
# that you hand in with between the quotes. If you work on your own, leave it as it is.

# %%
STUDENT = "guest"

# %% tags=["locked:draw"]
import hashlib
import os


def draw(name, options):
    """One of the options: always the same for one id, another for another id."""
    owner = os.environ.get("LTHLAB_STUDENT", STUDENT)
    if owner != STUDENT:
        raise ValueError(
            f"this sheet carries the id {STUDENT!r}, but {owner!r} handed it in: write "
            "your own id at the top and do again the tasks that are drawn for you"
        )
    digest = hashlib.sha256(f"{name} of {STUDENT}".encode()).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]
