"""The tables of claims and statements say what the reference results say, and no more."""

import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "lthlab" / "assets" / "reference"
sys.path.insert(0, str(ROOT / "notebooks"))

import article  # noqa: E402
import claims  # noqa: E402
import evidence  # noqa: E402


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "claims.csv", dtype={"notebook": str}, keep_default_na=False)


def expected_verdict(row) -> str:
    """From the numbers that the row itself gives."""
    low, high, bound = row.low, row.high, row.seen_if_low_above
    if high < bound:
        return "opposite"
    censored = re.search(r"censored: (\d+) and", row.note)
    if low <= bound or (censored and int(censored[1])):
        return "not seen"
    return f"seen, though lower by {-high:.1f} to {-low:.1f}" if high < 0 else "seen"


def wrong_rows(table: pd.DataFrame) -> list[int]:
    return [row.Index for row in table.itertuples() if row.verdict != expected_verdict(row)]


def test_verdicts_agree_with_their_numbers(table):
    assert wrong_rows(table) == []
    assert (table["low"] <= table["effect"]).all() and (table["effect"] <= table["high"]).all()
    few = table[table["n"] < 10]  # at the paper's full length, and pruned once: five networks
    assert (few["n"] == 5).all() and set(few["study"]) == {"fashion-mnist", "once"}
    assert set(table["seen_if_low_above"]) <= {0.0, -0.2, -1.0, -2.0}


@pytest.mark.parametrize(
    "column, value", [("verdict", "opposite"), ("low", -50.0), ("seen_if_low_above", 50.0)]
)
def test_a_verdict_at_odds_with_its_numbers_is_found(table, column, value):
    table, row = table.copy(), table.index[table["verdict"] == "seen"][0]
    table.loc[row, column] = value
    assert wrong_rows(table) == [row]


def test_all_files_are_what_the_reference_results_give(tmp_path):
    claims.write(tmp_path, tmp_path / "README.md")
    for name in ("claims.csv", "article.csv"):
        assert (tmp_path / name).read_bytes() == (REFERENCE / name).read_bytes()
    assert (tmp_path / "README.md").read_text() == (ROOT / "notebooks" / "README.md").read_text()


def test_no_setting_is_left_out(table):
    """Every study that has the arms of a claim has a row, at every level it was set to compare."""
    for claim in claims.CLAIMS:
        if claim.measure != "accuracy" or claim.later:
            continue
        rows = table[table["claim"] == claim.claim]
        for name in evidence.EXPERIMENTS:
            if not (REFERENCE / f"{name}.csv").exists():
                continue
            raw = pd.read_csv(REFERENCE / f"{name}.csv").query("split == 'test'")
            known = json.loads((REFERENCE / f"{name}.json").read_text())
            levels = known.get("control_levels") or set(raw["level"]) - {0}
            at = {arm: set(raw[raw["arm"] == arm]["level"]) for arm in (claim.arm, claim.against)}
            for arm in at:
                at[arm] = set(levels) if arm == "dense" and at[arm] else at[arm]
            common = at[claim.arm] & at[claim.against] & set(levels)
            kept = raw[raw["level"].isin(common)].groupby("level")["density"].first()
            here = rows[rows["setting"].str.startswith(f"{known['model']} on")]
            steps = {*raw.loc[raw["arm"] == claim.arm, "rewind_step"]}
            here = here[here["k"].isin(steps)]
            for density in kept:
                assert np.isclose(here["density"], density, rtol=0.05).any(), (claim, name, density)


def test_later_rewinding_is_compared_with_the_start_at_every_step_that_ran(table):
    steps = {}
    for name in evidence.EXPERIMENTS + tuple(evidence.GOES_ON.values()):
        raw = pd.read_csv(REFERENCE / f"{name}.csv").query("arm == 'ticket'")
        setting = json.loads((REFERENCE / f"{name}.json").read_text())["model"]
        steps.setdefault(setting, set()).update(raw["rewind_step"])
    expected = {(f"{model} on", k) for model, ks in steps.items() if 0 in ks for k in ks - {0}}
    rows = table[table["claim"].str.startswith("Where rewinding to the start fails")]
    found = {(row.setting[: row.setting.index(" on") + 3], row.k) for row in rows.itertuples()}
    assert found == expected and len(expected) > 5


def test_the_page_shows_the_density_nearest_to_the_papers(table):
    wanted = {claim.claim: claim.density for claim in claims.CLAIMS}
    for (claim, _), rows in table.groupby(["claim", "setting"]):
        shown = rows[rows["on_page"]]
        assert len(shown) <= 1
        if len(shown):
            far = (np.log(rows["density"] / wanted[claim])).abs()
            assert far[shown.index[0]] == far.min()


def raw_values(name: str, arm: str, level: int, k: int = 0) -> dict[int, float]:
    """Test accuracy at the end by seed, in points, by a plain loop."""
    found = {}
    for row in pd.read_csv(REFERENCE / f"{name}.csv").to_dict("records"):
        of = (row["arm"], row["level"], row["rewind_step"], row["split"], row["metric"])
        if of == (arm, level, k, "test", "accuracy"):
            found[row["seed"]] = 100 * row["value"]
    return found


@pytest.mark.parametrize(
    "name, arm, against, level",
    [
        ("mnist1d", "ticket", "shuffled", 8),
        ("mnist1d", "signs", "ticket", 12),
        ("fashion-mini", "ticket", "dense", 15),
    ],
)
def test_intervals_agree_with_a_calculation_by_hand(table, name, arm, against, level):
    first, second = raw_values(name, arm, level), raw_values(name, against, level)
    second = second or raw_values(name, against, 0)
    assert first.keys() == second.keys()
    d = [first[seed] - second[seed] for seed in sorted(first)]
    n, mean = len(d), sum(d) / len(d)
    variance = sum((x - mean) ** 2 for x in d) / (n - 1) / n
    with np.load(REFERENCE / f"{name}.npz") as packed:
        bits = np.unpackbits(packed["bits"], axis=1)[:, : packed["examples"]].astype(int)
    rows = pd.read_csv(REFERENCE / f"{name}.csv").query("split == 'test'").reset_index()
    of = {
        a: rows[(rows["arm"] == a) & (rows["level"] == n)].index
        for a, n in ((arm, level), (against, 0 if against == "dense" else level))
    }
    for a, values in ((arm, first), (against, second)):  # the bits are those of the table
        assert 100 * bits[of[a]].mean(1) == pytest.approx(list(values.values()), abs=0.006)
    by_image = [
        100 * (bits[of[arm], i].mean() - bits[of[against], i].mean()) for i in range(bits.shape[1])
    ]
    centre = sum(by_image) / len(by_image)
    variance += sum((x - centre) ** 2 for x in by_image) / (len(by_image) - 1) / len(by_image)
    half = stats.t.ppf(0.975, n - 1) * math.sqrt(variance)
    row = table[(table["arm"] == arm) & (table["against"] == against) & (table["study"] == name)]
    density = rows.loc[of[arm][0], "density"]
    row = row[(row["density"] == density) & (row["measure"] == "accuracy")].iloc[0]
    assert (row["effect"], row["low"], row["high"]) == pytest.approx(
        (mean, mean - half, mean + half), abs=0.011
    )


def test_decisions_after_benjamini_and_hochberg_by_hand(table):
    """The largest rank r with p_(r) <= 0.05 r / m: that one and all before it stand."""
    ordered = sorted(table["p"])
    below = [rank for rank, p in enumerate(ordered, 1) if p <= 0.05 * rank / len(ordered)]
    limit = ordered[max(below) - 1]
    stands = table["stands"].astype(str) == "True"
    near = np.isclose(table["p"], limit, rtol=0.05)  # p is rounded to two digits in the file
    assert ((table["p"] <= limit) == stands)[~near].all()


@pytest.mark.parametrize(
    "low, high, margin, expected",
    [
        (0.1, 1.0, 0.0, "seen"),
        (0.0, 1.0, 0.0, "not seen"),
        (-1.0, -0.1, 0.0, "opposite"),
        (-0.9, 0.1, 1.0, "seen"),
        (-0.9, -0.14, 1.0, "seen, though lower by 0.1 to 0.9"),
        (-1.2, 0.1, 1.0, "not seen"),
        (-3.0, -1.1, 1.0, "opposite"),
    ],
)
def test_verdict_by_hand(low, high, margin, expected):
    assert evidence.verdict(low, high, margin) == expected


def test_a_faster_arm_with_censored_runs_is_not_called_faster():
    assert evidence.verdict(5.0, 9.0, 0.0, undecided=True) == "not seen"


def test_an_interval_over_seeds_and_images_is_wider_than_over_seeds_alone():
    draw = np.random.default_rng(0)
    answers = draw.integers(-1, 2, (6, 500)).astype(float)
    alone = evidence.effect(100 * answers.mean(1), None)
    both = evidence.effect(100 * answers.mean(1), answers)
    assert alone[0] == both[0] and both[1] > alone[1] and both[2] == 5
    again = evidence.effect(100 * answers.mean(1), np.repeat(answers, 4, axis=1))
    assert alone[1] < again[1] < both[1]  # more images say more


def test_the_article_is_answered_sentence_by_sentence():
    rows = pd.read_csv(REFERENCE / "article.csv")
    assert rows["number"].tolist() == list(range(1, 16))
    assert rows["found"].str.len().min() > 10
    places = article.places()
    assert set(places) == {f"article-{number:02}" for number in range(1, 16)}
    for number, where in zip(rows["number"], rows["where"], strict=True):
        assert where == places[f"article-{number:02}"]
        (file,) = re.findall(r"\((\w+\.ipynb)\)", where)
        cells = json.loads((ROOT / "notebooks" / file).read_text())["cells"]
        tags = [tag for cell in cells for tag in cell["metadata"].get("tags", [])]
        assert tags.count(f"article-{number:02}") == 1


def test_what_no_machine_has_run_is_said():
    page = (ROOT / "notebooks" / "README.md").read_text()
    assert "resnet-20 on cifar10" in page and "not run here" in page


def test_on_mnist1d_the_ticket_beats_the_reinitialised_network_by_ten_points(table):
    lower = table["claim"].eq("Reinitialised tickets end lower than tickets") & table["on_page"]
    row = table[lower & table["setting"].str.contains("mlp-100-100-100 on mnist1d")].iloc[0]
    assert row["low"] > 10 and row["n"] >= 10


# Sentences of the notebooks' last cells that claim what a row of the table claims.
SENTENCES = {
    r"signs .*(enough|as (good|well))": "The signs of the initial values are enough",
    r"(learns?|trains?) faster": "Tickets learn faster than the dense network",
    r"generalises? better": "Tickets have a smaller gap between training",
    r"(beats?|better than) fine-tuning": "Rewinding beats fine-tuning",
    r"as good as (the )?dense": "A winning ticket with few of the weights is as good as",
    r"(beats?|better than) (random|chance)": "SNIP beats random pruning with the ticket's",
    r"new (random )?values .*(worse|fail)": "Reinitialised tickets end lower than the dense",
}
WHERE = re.compile(r"mnist|fashion|signals|pictures|images|settings?|not |both|data|here|network")


def last_sentences() -> list[tuple[str, str]]:
    found = []
    for file in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        for cell in json.loads(file.read_text())["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown" and "## Take away" in text:
                text = text.split("**Sources**")[0].replace("\n", " ")
                found += [(file.stem, sentence) for sentence in re.split(r"(?<=[.:;]) ", text)]
    return found


def overclaims(sentences: list[tuple[str, str]], table: pd.DataFrame) -> list[tuple[str, str]]:
    """Sentences that name no setting, of claims that are not seen in every setting."""
    wrong = []
    for pattern, claim in SENTENCES.items():
        rows = table[table["claim"].str.startswith(claim) & table["on_page"]]
        assert len(rows), claim
        if rows["verdict"].str.startswith("seen").all():
            continue
        wrong += [
            (name, sentence)
            for name, sentence in sentences
            if re.search(pattern, sentence) and not WHERE.search(sentence)
        ]
    return wrong


def test_no_last_word_says_more_than_its_rows(table):
    sentences = last_sentences()
    assert len(sentences) > 50
    assert overclaims(sentences, table) == []
    bold = "00", "A ticket is as good as dense."
    assert overclaims([bold], table) == [bold]


def test_every_claim_has_a_row(table):
    assert {claim.claim for claim in claims.CLAIMS} == {*table["claim"]}


def test_what_never_differs_speaks_against_nothing(table):
    """Where all seeds agree to the last digit, the bound itself has p = 1."""
    same = table[(table["low"] == table["high"]) & (table["effect"] == table["seen_if_low_above"])]
    assert len(same) and (same["p"] == 1).all() and not same["stands"].any()
