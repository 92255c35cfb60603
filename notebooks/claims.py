"""Write the claims table from the reference results: python notebooks/claims.py

Makes lthlab/assets/reference/claims.csv and, with it, notebooks/README.md; both are the same at
every run.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import jupytext
import pandas as pd

from lthlab import error_barrier, interval, paired
from lthlab.statistics import Interval

HERE = Path(__file__).parent
REFERENCE = HERE.parent / "lthlab" / "assets" / "reference"


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper and where its counterpart stands, in one reference study.

    That is arm minus against (if any). The claim says that the difference lies above -margin (a
    fraction; 0.01 is one point of accuracy): a margin of 0 for "better", of one point for "as good
    as". Accuracy is that on the test split at the end; with `epoch` or `step` it is that on the
    validation split after so many of them. `note` says what a reader must know about the setting.
    """

    claim: str
    paper: str
    paper_value: str
    notebook: str
    study: str
    arm: str
    against: str
    level: int
    epoch: int | None = None
    step: int | None = None
    margin: float = 0.0
    note: str = ""


FRANKLE_2019 = "Frankle & Carbin 2019, section 2"
FRANKLE_2020 = "Frankle et al. 2020"
FRANKLE_2021 = "Frankle et al. 2021"
RENDA_2020 = "Renda et al. 2020"
CLAIMS = [
    Claim(
        "90 % of the weights of a trained network can be removed without losing accuracy",
        "Han et al. 2015, table 1",
        "92 % removed, error 1.64 % before, 1.59 % after",
        "02",
        "fashion-mini",
        "fine-tuning",
        "dense",
        11,
        margin=0.01,
    ),
    Claim(
        "A winning ticket with a tenth of the weights or less is as good as the dense network",
        FRANKLE_2019,
        "as good down to 3.6 %",
        "03",
        "fashion-mini",
        "ticket",
        "dense",
        15,
        margin=0.01,
    ),
    Claim(
        "Tickets learn faster than the dense network",
        FRANKLE_2019,
        "38 % fewer steps to early stopping at 21.1 %",
        "03",
        "fashion-mini",
        "ticket",
        "dense",
        7,
        epoch=1,
    ),
    Claim(
        "Tickets end higher than the dense network",
        FRANKLE_2019,
        "more than 0.3 points at 13.5 %",
        "03",
        "fashion-mini",
        "ticket",
        "dense",
        9,
    ),
    Claim(
        "Reinitialised tickets learn slower",
        FRANKLE_2019,
        "2.51 times the steps to the lowest validation loss at 21 %",
        "03",
        "fashion-mini",
        "ticket",
        "reinitialised",
        7,
        epoch=1,
    ),
    Claim(
        "Reinitialised tickets end lower",
        FRANKLE_2019,
        "half a point at 21 %",
        "03",
        "fashion-mini",
        "ticket",
        "reinitialised",
        7,
    ),
    Claim(
        "Reinitialised tickets end lower",
        FRANKLE_2019,
        "half a point at 21 %",
        "04",
        "mnist1d",
        "ticket",
        "reinitialised",
        12,
    ),
    # The same sentences at the paper's own length, on all of Fashion-MNIST.
    Claim(
        "A winning ticket with a tenth of the weights or less is as good as the dense network",
        FRANKLE_2019,
        "as good down to 3.6 %",
        "09",
        "fashion-mnist",
        "ticket",
        "dense",
        12,
        margin=0.01,
    ),
    Claim(
        "A winning ticket with a tenth of the weights or less is as good as the dense network",
        FRANKLE_2019,
        "as good down to 3.6 %",
        "09",
        "fashion-mnist",
        "ticket",
        "dense",
        15,
        margin=0.01,
    ),
    Claim(
        "Tickets learn faster than the dense network",
        FRANKLE_2019,
        "38 % fewer steps to early stopping at 21.1 %",
        "09",
        "fashion-mnist",
        "ticket",
        "dense",
        7,
        step=1000,
    ),
    Claim(
        "Tickets end higher than the dense network",
        FRANKLE_2019,
        "more than 0.3 points at 13.5 %",
        "09",
        "fashion-mnist",
        "ticket",
        "dense",
        9,
    ),
    Claim(
        "Reinitialised tickets learn slower",
        FRANKLE_2019,
        "2.51 times the steps to the lowest validation loss at 21 %",
        "09",
        "fashion-mnist",
        "ticket",
        "reinitialised",
        7,
        step=1000,
    ),
    Claim(
        "Reinitialised tickets end lower",
        FRANKLE_2019,
        "half a point at 21 %",
        "09",
        "fashion-mnist",
        "ticket",
        "reinitialised",
        7,
    ),
    Claim(
        "The densities of the layers alone are not enough: with its mask shuffled within layers "
        "a ticket ends lower",
        "Frankle et al. 2021",
        "lower, as their contrast: masks found at initialisation lose nothing by it",
        "04",
        "mnist1d",
        "ticket",
        "shuffled",
        12,
    ),
    Claim(
        "The densities of the layers alone are not enough: with its mask shuffled within layers "
        "a ticket ends lower",
        "Frankle et al. 2021",
        "lower, as their contrast: masks found at initialisation lose nothing by it",
        "04",
        "fashion-mini",
        "ticket",
        "shuffled",
        10,
    ),
    Claim(
        "The signs of the initial values are enough",
        "Zhou et al. 2019",
        "about as good",
        "04",
        "fashion-mini",
        "signs",
        "ticket",
        15,
        margin=0.01,
    ),
    Claim(
        "The signs of the initial values are enough",
        "Zhou et al. 2019",
        "about as good",
        "04",
        "mnist1d",
        "signs",
        "ticket",
        12,
        margin=0.01,
    ),
    Claim(
        "Early in training networks become stable: the barrier between two copies stays below "
        "two points",
        f"{FRANKLE_2020}, section 3",
        "ResNet-20 after 3 % of training, VGG-16 after 1.5 %",
        "05",
        "stability",
        "dense, k = 96",
        "",
        0,
        margin=0.02,
        note="k = 96 is 20 % of training",
    ),
    Claim(
        "Tickets are more stable when they are rewound to a later step",
        f"{FRANKLE_2020}, section 4",
        "no single number",
        "05",
        "stability",
        "ticket, k = 96",
        "ticket, k = 0",
        0,
    ),
    Claim(
        "Where rewinding to the start fails, rewinding to a step k > 0 gives better tickets",
        f"{FRANKLE_2020}, section 4",
        "ResNet-20, usual learning rate: no matching tickets at k = 0, some soon after",
        "05",
        "rewinding",
        "ticket, k = 96",
        "ticket, k = 0",
        9,
        note="a setting chosen for this effect, on other seeds",
    ),
    Claim(
        "Stable tickets are as good as the dense network",
        f"{FRANKLE_2020}, section 4",
        "yes, where stable",
        "05",
        "rewinding",
        "ticket, k = 96",
        "dense, k = 0",
        9,
        margin=0.01,
    ),
    Claim(
        "Rewinding beats fine-tuning",
        RENDA_2020,
        "on all networks, no single number",
        "05",
        "mnist1d",
        "ticket",
        "fine-tuning",
        12,
    ),
    Claim(
        "Rewinding the learning rate alone is as good as rewinding the weights too",
        RENDA_2020,
        "as good or better",
        "05",
        "mnist1d",
        "learning-rate rewinding",
        "ticket",
        12,
        margin=0.01,
        note="k = 0; not a network of the paper",
    ),
    Claim(
        "Rewinding the learning rate alone is as good as rewinding the weights too",
        RENDA_2020,
        "as good or better",
        "05",
        "mnist1d",
        "learning-rate rewinding",
        "ticket",
        16,
        margin=0.01,
        note="k = 0; not a network of the paper",
    ),
    Claim(
        "Rewinding the learning rate alone is as good as rewinding the weights too",
        RENDA_2020,
        "as good or better",
        "05",
        "rewinding",
        "learning-rate rewinding, k = 96",
        "ticket, k = 96",
        9,
        margin=0.01,
        note="its weights carry over, so in all they were trained longer than the ticket's",
    ),
    *(
        claim
        for study, densest, level, lowest in (
            ("race-mnist1d", 4, 12, 20),
            ("race-fashion-mini", 5, 15, 24),
        )
        for claim in (
            Claim(
                "Pruned at initialisation by SNIP, a network is about as good as the dense one",
                "Lee et al. 2019",
                "virtually the same accuracy",
                "06",
                study,
                "SNIP",
                "dense",
                level,
                margin=0.01,
            ),
            Claim(
                "SNIP beats random pruning",
                FRANKLE_2021,
                "yes, all such methods, no single number",
                "06",
                study,
                "SNIP",
                "random",
                level,
                note="chance with the ticket's layer densities",
            ),
            Claim(
                "SNIP stays below magnitude pruning after training",
                FRANKLE_2021,
                "yes, all such methods, no single number",
                "06",
                study,
                "magnitude after training",
                "SNIP",
                level,
                note="which trains twice",
            ),
            Claim(
                "GraSP beats SNIP where few weights are left",
                "Wang et al. 2020",
                "at 5 % and less, on ResNet-32 and VGG-19",
                "06",
                study,
                "GraSP",
                "SNIP",
                lowest,
            ),
            Claim(
                "SynFlow beats SNIP where few weights are left",
                "Tanaka et al. 2020",
                "yes, no single number",
                "06",
                study,
                "SynFlow",
                "SNIP",
                lowest,
            ),
            Claim(
                "Shuffled within its layers, the mask of SNIP is as good",
                FRANKLE_2021,
                "as good or better",
                "06",
                study,
                "SNIP, shuffled",
                "SNIP",
                level,
                margin=0.01,
            ),
            Claim(
                "With newly drawn values, the mask of SNIP is as good",
                FRANKLE_2021,
                "as good",
                "06",
                study,
                "SNIP, reinitialised",
                "SNIP",
                level,
                margin=0.01,
            ),
            Claim(
                "Shuffled within its layers, the mask of SynFlow is as good",
                FRANKLE_2021,
                "better",
                "06",
                study,
                "SynFlow, shuffled",
                "SynFlow",
                level,
                margin=0.01,
            ),
            Claim(
                "With newly drawn values, the mask of SynFlow is as good",
                FRANKLE_2021,
                "as good",
                "06",
                study,
                "SynFlow, reinitialised",
                "SynFlow",
                level,
                margin=0.01,
            ),
            Claim(
                "Tickets drawn early in training are as good as the dense network",
                "You et al. 2020",
                "with 30 to 70 % of the channels pruned",
                "06",
                study,
                "Early-Bird",
                "dense",
                densest,
                margin=0.01,
                note="single weights, not channels; on mnist1d drawn half-way through training",
            ),
            Claim(
                "RigL, sparse from start to end, beats a fixed random mask",
                "Evci et al. 2020",
                "by 3 to 6 points on ResNet-50",
                "06",
                study,
                "RigL",
                "ERK",
                level,
            ),
        )
    ),
]


def verdict(low: float, high: float, margin: float) -> str:
    """Whether an interval lies on the claim's side of -margin, on the other, or across it."""
    return "seen" if low > -margin else "opposite" if high < -margin else "not seen"


def load(study: str) -> pd.DataFrame:
    """A reference table in which every arm has a name of its own, with its rewind step."""
    table = pd.read_csv(REFERENCE / f"{study}.csv")
    if study == "stability":  # the share of answers lost between two copies: accuracy, negated
        lines = table.assign(metric="accuracy")
        lines = lines.groupby(["network", "rewind_step", "seed", "density"])
        barriers = lines[["alpha", "metric", "value"]].apply(error_barrier)
        table = barriers.mul(-1).rename("value").reset_index().rename(columns={"network": "arm"})
        table = table.assign(split="test", metric="accuracy", level=0, step=0)
    if table["rewind_step"].nunique() > 1:
        table["arm"] += ", k = " + table["rewind_step"].astype(str)
    return table


def measure(claim: Claim) -> tuple[str, Interval]:
    """The setting in words and the effect of a claim in one reference study."""
    provenance = json.loads((REFERENCE / f"{claim.study}.json").read_text())
    table, total = load(claim.study), provenance["recipe"]["steps"]
    at_level = table["level"] == claim.level
    table = table[at_level | table["arm"].str.fullmatch("dense(, k = 0)?")]
    kept = ""
    if claim.level:
        density = table[table["level"] == claim.level]["density"].iloc[0]
        kept = f", {density:.1%} of the weights"
    split, step, when = "test", total, "test accuracy at the end"
    if claim.study == "stability":
        step, when = 0, "the error barrier between two copies, negated, validation data"
    elif claim.epoch is not None:
        per_epoch = total // int(provenance["recipe"]["duration"].removesuffix("ep"))
        split, step = "validation", claim.epoch * per_epoch
        when = f"validation accuracy after {claim.epoch} of {total // per_epoch} epochs"
    elif claim.step is not None:
        split, step = "validation", claim.step
        when = f"validation accuracy after {step:,} of {total:,} steps"
    rows = table[(table["split"] == split) & (table["step"] == step)]
    rows = rows[rows["metric"] == "accuracy"]
    dataset = provenance["dataset"].removeprefix("Dataset(").split(":")[0]
    words = f"{provenance['model']} on {dataset}{kept}: {claim.arm}"
    note = f" ({claim.note})" if claim.note else ""
    if not claim.against:
        return f"{words}, {when}{note}", interval(rows[rows["arm"] == claim.arm]["value"])
    return f"{words} minus {claim.against}, {when}{note}", paired(rows, claim.arm, claim.against)


def make_table() -> pd.DataFrame:
    """One row per claim; effect, its 95 % interval and the bound to be above are in points."""
    rows = []
    for claim in CLAIMS:
        setting, found = measure(claim)
        effect, low, high = (round(100 * value, 2) for value in (found.mean, found.low, found.high))
        rows.append(
            {
                "claim": claim.claim,
                "paper": claim.paper,
                "paper_value": claim.paper_value,
                "setting": setting,
                "n": found.n,
                "effect": effect,
                "low": low,
                "high": high,
                "verdict": verdict(low, high, 100 * claim.margin),
                "notebook": claim.notebook,
                "seen_if_low_above": -100 * claim.margin + 0.0,
            }
        )
    return pd.DataFrame(rows)


def readme(table: pd.DataFrame) -> str:
    """The page of notebooks/: what there is to read, and what came of each claim."""
    lines = [
        "<!-- Made by notebooks/claims.py; edit that. -->",
        "# The notebooks",
        "",
        "Edit `source/*.py` and run `make notebooks`; the `.ipynb` files are made from them, with "
        "their outputs.",
        "Measured: what all cells took together when the notebook was last run whole, on two "
        "cores.",
        "",
        "| notebook | time | measured |",
        "|---|---|---|",
    ]
    for source in sorted((HERE / "source").glob("[0-9][0-9]_*.py")):
        top = jupytext.read(source).cells[0].source
        title = top.splitlines()[0].removeprefix("# ")
        time = top.split("**Time**: ")[1].split("\n\n")[0].replace("\n", " ").rstrip(".")
        built = HERE / f"{source.stem}.ipynb"
        about = json.loads(built.read_text())["metadata"] if built.exists() else {}
        link = f"[{source.stem[:2]}: {title}]({source.stem}.ipynb)"
        lines.append(f"| {link} | {time} | {about.get('seconds', '?')} s |")
    lines += [
        "",
        "## What the papers say, and what was seen here",
        "",
        "Every row is computed from the reference results in `lthlab/assets/reference/` (how each "
        "was made stands in",
        "the `.json` beside it). Effects are mean paired differences over seeds, in percentage "
        "points, with 95 %",
        "intervals. *Better* counts as seen when the whole interval lies above 0, *as good as* "
        "when it lies above -1,",
        '*stable* when the negated barrier lies above -2; "opposite" when all of it lies below, '
        '"not seen" otherwise.',
        "As data: `lthlab/assets/reference/claims.csv`.",
        "",
        "| the claim | paper | the paper's number | here | effect in points, 95 % interval | n "
        "| verdict | notebook |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        effect = f"{row.effect:+.1f} [{row.low:+.1f}, {row.high:+.1f}]"
        found = [effect, row.n, f"**{row.verdict}**", row.notebook]
        cells = [row.claim, row.paper, row.paper_value, row.setting, *found]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n\n" + (HERE.parent / "docs" / "teaching.md").read_text()


def write(table_path: Path = REFERENCE / "claims.csv", page: Path = HERE / "README.md") -> None:
    """Write both files."""
    table = make_table()
    table.to_csv(table_path, index=False)
    page.write_text(readme(table))


if __name__ == "__main__":
    write()
