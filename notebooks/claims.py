"""Write the table of claims and the article's: python notebooks/claims.py

Makes claims.csv (every claim in every setting, at every density) and article.csv in
lthlab/assets/reference/ and, with them, notebooks/README.md; all are the same at every run.
"""

import json
from pathlib import Path

import jupytext
import pandas as pd
from article import article
from evidence import REFERENCE, Claim, rows_of
from scipy.stats import false_discovery_control

HERE = Path(__file__).parent

F19, F20, F21 = (
    "Frankle & Carbin 2019, section 2",
    "Frankle et al. 2020",
    "Frankle et al. 2021",
)
ZHOU, RENDA, POINT = "Zhou et al. 2019", "Renda et al. 2020", 0.01
CLAIMS = [
    Claim(
        "90 % of the weights of a trained network can be removed without losing accuracy",
        "Han et al. 2015, table 1",
        "92 % removed, error 1.64 % before, 1.59 % after",
        *("02", "fine-tuning", "dense", 0.1, POINT),
        note="trained on through all its prunings, the dense network once",
    ),
    Claim(
        "The same, against a dense network trained as long",
        *("Han et al. 2015, table 1", "no such comparison"),
        *("02", "fine-tuning", "dense, fine-tuned as long", 0.1, POINT),
    ),
    Claim(
        "A winning ticket with few of the weights is as good as the dense network, within a point",
        *(F19, "as good down to 3.6 %", "03", "ticket", "dense", 0.036, POINT),
    ),
    Claim(
        "The ticket is matching: within 0.2 points of the dense network",
        *(f"{F20}, section 4", "down to 3.6 % (LeNet)", "03", "ticket", "dense", 0.036, 0.002),
    ),
    Claim(
        "Tickets learn faster than the dense network",
        *(F19, "38 % fewer steps to the lowest validation loss at 21.1 %"),
        *("03", "ticket", "dense", 0.211, 0.0, "speed"),
    ),
    Claim(
        "Tickets end higher than the dense network",
        *(F19, "more than 0.3 points at 13.5 %, at early stopping; up to 0.35 at the last step"),
        *("03", "ticket", "dense", 0.135),
    ),
    Claim(
        "Tickets have a smaller gap between training and test accuracy",
        *(F19, "smaller gap, no single number"),
        *("03", "ticket", "dense", 0.135, 0.0, "generalisation"),
    ),
    Claim(
        "Tickets learn faster than reinitialised ones",
        *(F19, "reinitialised: 2.51 times the steps of the ticket at 21.1 %"),
        *("03", "ticket", "reinitialised", 0.211, 0.0, "speed"),
    ),
    Claim(
        "Reinitialised tickets end lower than tickets",
        *(F19, "half a point at 21.1 %", "04", "ticket", "reinitialised", 0.211),
    ),
    Claim(
        "Reinitialised tickets end lower than the dense network",
        *(F19, "yes, no single number", "04", "dense", "reinitialised", 0.211),
    ),
    Claim(
        "Stretched to the survivors' scale, newly drawn values are still worse than the ticket's",
        *("Frankle & Carbin 2019, appendix F", "drawn like the survivors' values: no better"),
        *("04", "ticket", "reinitialised to scale", 0.178),
    ),
    Claim(
        "The survivors' own values, permuted within their layer, are worse than in their places",
        *(ZHOU, "yes, no single number", "04", "ticket", "permuted", 0.178),
    ),
    Claim(
        "Permuted with every sign kept, they are as good",
        *(ZHOU, "about as good", "04", "permuted sizes", "ticket", 0.178, POINT),
    ),
    Claim(
        "The signs of the initial values are enough",
        *(ZHOU, "about as good", "04", "signs", "ticket", 0.178, POINT),
    ),
    Claim(
        "With its mask shuffled within layers a ticket ends lower",
        *(f"{F21}, section 5", "lower, no single number", "04", "ticket", "shuffled", 0.178),
        note="other weights survive, so their values change, too",
    ),
    Claim(
        "Pruned by the increase in magnitude, tickets are as good as by magnitude",
        *(ZHOU, "as good or better", "04", "magnitude increase", "ticket", 0.178, POINT),
    ),
    Claim(
        "Pruned by the initial magnitude alone, they are worse",
        *(ZHOU, "worse, no single number", "04", "ticket", "large init", 0.178),
    ),
    *(
        Claim(
            f"Networks become stable early: copies from step {k} have a barrier below 2 points",
            *(f"{F20}, section 3", "after 3 % (ResNet-20), 1.5 % (VGG-16), 20 % (ResNet-50)"),
            *("05", "dense", None, 1.0, 0.02, "stability", k),
            note=f"step {k} is {k / 480:.1%} of the training",
        )
        for k in (12, 24, 48, 96, 192)
    ),
    Claim(
        "Tickets are more stable when they are rewound to a later step",
        *(f"{F20}, section 4", "no single number", "05", "ticket", "ticket"),
        *(0.134, 0.0, "stability"),
        later=True,
    ),
    Claim(
        "Where rewinding to the start fails, rewinding to a step k > 0 gives better tickets",
        *(f"{F20}, section 4", "ResNet-20: no matching tickets at k = 0, some soon after"),
        *("05", "ticket", "ticket", 0.134),
        later=True,
        note="the residual network was chosen for this effect, on other seeds",
    ),
    Claim(
        "Rewinding beats fine-tuning",
        *(RENDA, "on all networks, no single number", "05", "ticket", "fine-tuning", 0.1),
        note="fine-tuning at the rate that was best on validation data, other seeds",
    ),
    Claim(
        "Rewinding the learning rate alone is as good as rewinding the weights, too",
        *(RENDA, "as good or better", "05", "learning-rate rewinding", "ticket", 0.1, POINT),
        note="its weights carry over, so in all they were trained longer",
    ),
    Claim(
        "Rewinding the learning rate is as good as the dense network trained as long",
        *(RENDA, "no such comparison", "05", "learning-rate rewinding", "dense, trained as long"),
        *(0.1, POINT),
    ),
    Claim(
        "Pruned at initialisation by SNIP, a network is about as good as the dense one",
        *("Lee et al. 2019", "virtually the same accuracy", "06", "SNIP", "dense", 0.05, POINT),
    ),
    Claim(
        "SNIP beats random pruning with the ticket's layer densities",
        *(F21, "no such comparison", "06", "SNIP", "random", 0.05),
    ),
    Claim(
        "SNIP beats uniform random pruning",
        *(F21, "yes, all such methods, no single number", "06", "SNIP", "uniform random", 0.05),
    ),
    Claim(
        "SNIP stays below magnitude pruning after training",
        *(F21, "yes, all such methods", "12", "magnitude after training", "SNIP", 0.05),
        note="which trains twice",
    ),
    Claim(
        "GraSP beats SNIP where few weights are left",
        "Wang et al. 2020, table 2",
        "VGG-19 on CIFAR-10: 92.19 to 92.05 at 2 %, but 93.04 to 93.43 at 5 %",
        *("12", "GraSP", "SNIP", 0.02),
    ),
    Claim(
        "SynFlow beats SNIP where few weights are left",
        *("Tanaka et al. 2020", "yes, no single number", "12", "SynFlow", "SNIP", 0.01),
    ),
    *(
        Claim(
            f"{how}, the mask of {score} is as good",
            *(f"{F21}, section 5", "as good or better", "06", f"{score}, {check}", score),
            *(0.05, POINT),
        )
        for score in ("SNIP", "GraSP", "SynFlow", "magnitude at init")
        for how, check in (
            ("Shuffled within its layers", "shuffled"),
            ("With newly drawn values", "reinitialised"),
        )
    ),
    Claim(
        "Random pruning with smart ratios is as good as SNIP",
        *("Su et al. 2020", "as good or better, on convolutional networks"),
        *("12", "smart ratio", "SNIP", 0.05, POINT),
    ),
    Claim(
        "Tickets drawn early in training are as good as the dense network",
        *("You et al. 2020", "with 30 to 70 % of the channels pruned"),
        *("12", "Early-Bird", "dense", 0.5, POINT),
        note="single weights, not channels",
    ),
    Claim(
        "RigL, sparse from start to end, beats a fixed random mask",
        *("Evci et al. 2020", "by 3 to 6 points on ResNet-50", "12", "RigL", "ERK", 0.1),
    ),
    Claim(
        "Gradual pruning is as good as the dense network",
        "Zhu & Gupta 2017, table 1",
        "no such claim; InceptionV3: 78.1 % dense, 76.1 % at 25 %, 74.6 % at 12.5 %",
        *("12", "gradual", "dense", 0.125, POINT),
    ),
    Claim(
        "Gradual pruning is as good as pruning after training, in half the steps",
        *("Gale et al. 2019", "no such comparison", "12", "gradual", "magnitude after training"),
        *(0.1, POINT),
    ),
    Claim(
        "More can be pruned after training than before",
        *(F21, "yes", "06", "pruned at 100%, again", "pruned at 0%", 0.1),
        note="T steps after pruning, so 2 T in all",
    ),
    Claim(
        "What can be pruned after training can be pruned after a tenth of it",
        *(F21, "no: accuracy rises with the step, then saturates"),
        *("06", "pruned at 10%, again", "pruned at 100%, again", 0.1, POINT),
        note="T steps after pruning, so 1.1 T in all against 2 T",
    ),
    Claim(
        "In T steps in all, pruning half-way is better than at the start",
        *(F21, "no such comparison", "12", "pruned at 50%", "pruned at 0%", 0.1),
    ),
    Claim(
        "A ticket found on other classes is as good as one found on these",
        *("Morcos et al. 2019", "nearly as good, better from larger data sets"),
        *("11", "found on other classes", "ticket", 0.178, POINT),
    ),
    Claim(
        "With its values it is better than with newly drawn ones",
        *("Morcos et al. 2019", "yes", "11", "found on other classes"),
        *("found on other classes, reinitialised", 0.178),
    ),
    Claim(
        "A ticket found with another optimiser is as good as one found with this",
        *("Morcos et al. 2019", "nearly as good", "11", "found with another optimiser", "ticket"),
        *(0.178, POINT),
    ),
    Claim(
        "The trained networks of a level and the next are linearly connected: below 2 points",
        *("Paul et al. 2022", "yes, where tickets are matching", "11", "ticket", None, 0.178),
        *(0.02, "connectivity"),
    ),
    Claim(
        "An untrained subnetwork with half of the weights is as good as the trained network",
        *("Ramanujan et al. 2020", "nearly, where the network is wide enough"),
        *("11", "edge-popup", "dense", 0.5, POINT),
        note="edge-popup at the dense network's rate, untuned, with Glorot's values; in the paper "
        "they are signed constants",
    ),
    Claim(
        "Under noise tickets lose more accuracy than the dense network",
        *("Hooker et al. 2019", "yes", "11", "dense", "ticket", 0.1, 0.0, "under noise"),
        note="noise of half a standard deviation",
    ),
    Claim(
        "Shifted by two places, tickets lose more accuracy than the dense network",
        *("Hooker et al. 2019", "yes", "11", "dense", "ticket", 0.1, 0.0, "shifted"),
    ),
    Claim(
        "Pruned once, without retraining: SparseGPT is better than magnitude",
        *("Frantar & Alistarh 2023", "yes", "10", "sparsegpt", "magnitude", 0.5),
    ),
    Claim(
        "Pruned once, without retraining: Wanda is better than magnitude",
        *("Sun et al. 2024", "yes", "10", "wanda", "magnitude", 0.5),
    ),
    Claim(
        "Pruned once, without retraining: Wanda is as good as SparseGPT, within a point",
        *("Sun et al. 2024", "about as good", "10", "wanda", "sparsegpt", 0.5, POINT),
    ),
    Claim(
        "Under a ticket's mask pretrained values are better than those before pretraining",
        *("Chen et al. 2020", "yes", "10", "ticket", "mask, initial values", 0.3),
        note="the mask was found from the pretrained ones",
    ),
]
# What the papers say of settings that no machine here has run.
NOT_RUN = ("resnet-20 on cifar10", (F19, F20, F21, RENDA))


def make_table() -> pd.DataFrame:
    """One row for each claim, setting and density; effects and intervals are in points.

    `q` is the p-value after Benjamini and Hochberg over all rows; a verdict other than "not seen"
    `stands` where it is at most 0.05.
    """
    found = {claim.claim: rows_of(claim) for claim in CLAIMS}
    assert all(found.values()), [claim for claim, rows in found.items() if not rows]
    table = pd.DataFrame([row for rows in found.values() for row in rows])
    table["q"] = false_discovery_control(table["p"])
    table["stands"] = table["q"] <= 0.05
    table[["p", "q"]] = table[["p", "q"]].map(lambda value: float(f"{value:.2g}"))
    return table


def notebooks_table() -> list[str]:
    """What there is to read, with the time that each takes."""
    lines = ["| notebook | core, minutes | computing, seconds |", "|---|---|---|"]
    for source in sorted((HERE / "source").glob("[0-9][0-9]_*.py")):
        title = jupytext.read(source).cells[0].source.splitlines()[0].removeprefix("# ")
        built = HERE / f"{source.stem}.ipynb"
        about = json.loads(built.read_text())["metadata"] if built.exists() else {}
        link = f"[{source.stem[:2]}: {title}]({source.stem}.ipynb)"
        lines.append(f"| {link} | {about.get('minutes', '?')} | {about.get('seconds', '?')} |")
    return lines


def claims_table(table: pd.DataFrame) -> list[str]:
    """The rows that the page shows: for each claim and setting the density nearest the paper's."""
    header = "the claim | paper | the paper's number | here | effect in points, 95 % interval | n"
    lines = [f"| {header} | verdict | stands | notebook |", "|---|---|---|---|---|---|---|---|---|"]
    shown = table[table["on_page"]]
    for claim, rows in shown.groupby("claim", sort=False):
        for row in rows.itertuples():
            kept = f", {row.density:.1%} of the weights" if row.density < 1 else ""
            arms = f"{row.arm} minus {row.against}" if row.against else row.arm
            note = f" ({row.note})" if row.note else ""
            measure = "" if row.measure == "accuracy" else f", {row.measure}"
            effect = f"{row.effect:+.1f} [{row.low:+.1f}, {row.high:+.1f}]"
            stands = "" if row.verdict == "not seen" else "yes" if row.stands else "no"
            cells = [
                claim,
                row.paper,
                row.paper_value,
                f"{row.setting}{kept}: {arms}{measure}{note}",
            ]
            cells += [effect, row.n, f"**{row.verdict}**", stands, row.notebook]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
        first = rows.iloc[0]
        if first["paper"].startswith(NOT_RUN[1]):
            cells = [
                claim,
                first["paper"],
                first["paper_value"],
                NOT_RUN[0],
                "",
                "",
                "not run here",
            ]
            lines.append("| " + " | ".join([*cells, "", "13"]) + " |")
    return lines


def readme(table: pd.DataFrame, statements: pd.DataFrame) -> str:
    """The page of notebooks/: what there is to read, and what came of each claim."""
    text = (HERE / "page.md").read_text()
    rows = [
        f"| {row.number} | {row.statement} | {row.where} | {row.found} |"
        for row in statements.itertuples()
    ]
    parts = {
        "NOTEBOOKS": notebooks_table(),
        "ARTICLE": ["| | the article says | see it | what was found |", "|---|---|---|---|", *rows],
        "CLAIMS": claims_table(table),
        "ROWS": [f"{len(table):,}"],
        "IMAGES": [f"{table['test_examples'].sum():,}"],
        "SEEDS": [f"{((table['measure'] == 'accuracy') & ~table['test_examples']).sum():,}"],
        "TEACHING": [(HERE.parent / "docs" / "teaching.md").read_text().rstrip()],
    }
    for name, lines in parts.items():
        text = text.replace(f"{{{name}}}", "\n".join(lines))
    return text


def write(folder: Path = REFERENCE, page: Path = HERE / "README.md") -> None:
    """Write both tables and the page."""
    table = make_table()
    statements = article(table)
    table.to_csv(folder / "claims.csv", index=False)
    statements.to_csv(folder / "article.csv", index=False)
    page.write_text(readme(table, statements))


if __name__ == "__main__":
    write()
