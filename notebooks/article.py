"""The statements of the article that this course teaches, where to see them, and what was found."""

import json
from collections.abc import Callable
from pathlib import Path

import jupytext
import pandas as pd
from evidence import REFERENCE

HERE = Path(__file__).parent
PUBLISHED = REFERENCE.parent / "published.csv"
STATEMENTS = [
    "GPT-3 has 175 billion parameters, over 100 times as many as GPT-2",
    "Its training was estimated at 4.6 million dollars of computation",
    "Using it takes dozens of chips",
    "Training a language model a thousand times smaller emits nearly a ton of CO2, about as much "
    "as one passenger's flight from New York to San Francisco",
    "Pruning was first studied in the late 1980s",
    "90 % and more of the parameters of a trained network can be pruned without harm",
    "That lowers only the cost of using the network, not that of training it",
    "One might believe that far more can be pruned after learning than before or while learning",
    "What can be pruned after training could have been pruned before or early in training",
    "With new random values the same sparse network can no longer train successfully",
    "These networks are found only in retrospect, by training the whole network first",
    "Methods are sought that prune before or early in training",
    "90 % fewer parameters are not 90 % less cost",
    "How much is saved depends on the hardware",
    "Tricks and chips for sparse networks exist",
]
PLACES = "mnist1d", "fashion-mini", "fashion-mnist"


def published(what: str) -> float:
    """A published number by its name."""
    table = pd.read_csv(PUBLISHED).set_index("what")
    return float(table.loc[what, "value"])


def measured(name: str) -> float:
    """A ratio of `make bench`, as kept in speed.json."""
    return json.loads((REFERENCE / "speed.json").read_text())["ratios"][name]


def differences(table: pd.DataFrame, arm: str, against: str) -> str:
    """The page's rows for two arms, data set by data set."""
    rows = table[table["on_page"] & (table["arm"] == arm) & (table["against"] == against)]
    rows = rows[(rows["measure"] == "accuracy")].drop_duplicates(["setting", "density"])
    return "; ".join(
        f"{row.setting}, {row.density:.1%}: {row.effect:+.1f} [{row.low:+.1f}, {row.high:+.1f}]"
        for row in rows.itertuples()
    )


def trainings(study: str) -> str:
    """How many trainings stand behind the sparsest ticket of a study."""
    table = pd.read_csv(REFERENCE / f"{study}.csv")
    last = table.query("arm == 'ticket'")["level"].max()
    kept = table.query("arm == 'ticket' and level == @last")["density"].min()
    return f"the ticket of {kept:.1%} on {study} is the last of {last + 1} trainings"


FOUND: list[Callable[[pd.DataFrame], str]] = [
    lambda table: f"{published('GPT-3') / published('GPT-2'):.0f} times as many",
    lambda table: f"${published('GPT-3 training cost'):,.0f} (Li 2020, on rented V100s)",
    lambda table: (
        f"{2 * published('GPT-3') / 1e9:.0f} GB of 16-bit weights: "
        f"{-(-2 * published('GPT-3') // 32e9):.0f} cards of 32 GB for the weights "
        "alone; more with what a conversation needs"
    ),
    lambda table: (
        f"{published('BERT-base CO2e'):,.0f} lb for BERT-base, "
        f"{published('flight NY-SF CO2e'):,.0f} lb for the flight, there and back as we read it "
        "(Strubell et al. 2019)"
    ),
    lambda table: "Optimal Brain Damage (LeCun, Denker & Solla 1989), run here",
    lambda table: "fine-tuning minus dense: " + differences(table, "fine-tuning", "dense"),
    lambda table: (
        "pruning after training trains the dense network first, and again after pruning: "
        "twice the steps of dense training"
    ),
    lambda table: (
        "pruned after training minus pruned at the start: "
        + differences(table, "pruned at 100%, again", "pruned at 0%")
    ),
    lambda table: (
        "pruned after a tenth of the training minus after all of it: "
        + differences(table, "pruned at 10%, again", "pruned at 100%, again")
        + ". The ticket minus dense: "
        + differences(table, "ticket", "dense")
    ),
    lambda table: "dense minus reinitialised: " + differences(table, "dense", "reinitialised"),
    lambda table: "; ".join(map(trainings, PLACES)),
    lambda table: (
        "SNIP minus dense: "
        + differences(table, "SNIP", "dense")
        + ". Pruning after training minus SNIP: "
        + differences(table, "magnitude after training", "SNIP")
    ),
    lambda table: (
        f"at 3.6 % of the weights a training step is "
        f"{measured('dense_over_sparse_at_0.036'):.1f} times as fast, not {1 / 0.036:.0f} times"
    ),
    lambda table: "the cell measures on your machine from which density each format pays",
    lambda table: (
        "2:4 patterns can be made and tested here; their speed needs hardware that this course "
        "does not assume"
    ),
]


def places() -> dict[str, str]:
    """For each tag of the form article-NN a link to the notebook and section that bears it."""
    found = {}
    for source in sorted((HERE / "source").glob("[0-9][0-9]_*.py")):
        section = ""
        for cell in jupytext.read(source).cells:
            if cell.cell_type == "markdown":
                heads = [line for line in cell.source.splitlines() if line.startswith("## ")]
                section = heads[-1].removeprefix("## ") if heads else section
            for tag in cell.metadata.get("tags", []):
                if tag.startswith("article-"):
                    link = f"[{source.stem[:2]}, {section}]({source.stem}.ipynb)"
                    found[tag] = f"{link} (cell `{tag}`)"
    return found


def article(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each statement: number, statement, where, found."""
    where = places()
    rows = []
    for number, (statement, found) in enumerate(zip(STATEMENTS, FOUND, strict=True), 1):
        rows.append((number, statement, where[f"article-{number:02}"], found(table)))
    return pd.DataFrame(rows, columns=["number", "statement", "where", "found"])
