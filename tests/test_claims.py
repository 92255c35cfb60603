"""The claims table says what the reference results say, and is the same at every run."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "lthlab" / "assets" / "reference"
sys.path.insert(0, str(ROOT / "notebooks"))

import claims  # noqa: E402

COLUMNS = ["claim", "paper", "paper_value", "setting", "n", "effect", "low", "high"]
COLUMNS += ["verdict", "notebook"]


def published() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "claims.csv", dtype={"notebook": str})


def wrong_rows(table: pd.DataFrame) -> list[int]:
    """Rows whose verdict is not what their own numbers say."""
    wrong = []
    for row in table.itertuples():
        above, below = row.low > row.seen_if_low_above, row.high < row.seen_if_low_above
        if row.verdict != ("seen" if above else "opposite" if below else "not seen"):
            wrong.append(row.Index)
    return wrong


def test_verdicts_agree_with_their_numbers():
    table = published()
    assert list(table.columns) == [*COLUMNS, "seen_if_low_above"]
    assert wrong_rows(table) == []
    assert (table["low"] < table["effect"]).all() and (table["effect"] < table["high"]).all()
    # The one study at the paper's full length has the paper's five trials.
    few = table[table["n"] < 10]
    assert (few["n"] == 5).all() and few["setting"].str.contains("on fashion-mnist").all()
    assert set(table["seen_if_low_above"]) <= {0.0, -1.0, -2.0}


@pytest.mark.parametrize(
    "column, value", [("verdict", "opposite"), ("low", -50.0), ("seen_if_low_above", 50.0)]
)
def test_a_verdict_at_odds_with_its_numbers_is_found(column, value):
    table = published()
    row = table.index[table["verdict"] == "seen"][0]
    table.loc[row, column] = value
    assert wrong_rows(table) == [row]


def test_both_files_are_what_the_reference_results_give(tmp_path):
    claims.write(tmp_path / "claims.csv", tmp_path / "README.md")
    assert (tmp_path / "claims.csv").read_bytes() == (REFERENCE / "claims.csv").read_bytes()
    assert (tmp_path / "README.md").read_text() == (ROOT / "notebooks" / "README.md").read_text()


def test_the_table_has_the_claims_of_the_course():
    said = " ".join(published()["claim"]).lower()
    faster = "learn faster", "learn slower", "end lower"
    found = "signs", "rewinding", "densities of the layers alone", "stable"
    for words in ("90 %", "a tenth of the weights", *faster, *found):
        assert words in said


def difference_by_hand(name, arm, against, level, split, step):
    value = {}
    for row in pd.read_csv(REFERENCE / f"{name}.csv").to_dict("records"):
        of_level = row["level"] == (0 if row["arm"] == "dense" else level)
        measured = (row["split"], row["metric"], row["step"]) == (split, "accuracy", step)
        if of_level and measured:
            value[row["arm"], row["seed"]] = row["value"]
    seeds = sorted(seed for a, seed in value if a == arm)
    differences = np.array([100 * (value[arm, seed] - value[against, seed]) for seed in seeds])
    error = differences.std(ddof=1) / np.sqrt(len(seeds))
    half = stats.t.ppf(0.975, len(seeds) - 1) * error
    return len(seeds), differences.mean(), differences.mean() - half, differences.mean() + half


@pytest.mark.parametrize(
    "claim, here, by_hand",
    [
        (
            "end lower",
            "mlp-100-100-100 on mnist1d",
            ("mnist1d", "ticket", "reinitialised", 12, "test", 1600),
        ),
        (
            "learn faster",
            "lenet-300-100",
            ("fashion-mini", "ticket", "dense", 7, "validation", 133),
        ),
        (
            "a tenth",
            "lenet-300-100",
            ("fashion-mini", "ticket", "dense", 15, "test", 1330),
        ),
    ],
)
def test_effects_agree_with_a_calculation_by_hand(claim, here, by_hand):
    table = published()
    row = table[table["claim"].str.contains(claim) & table["setting"].str.startswith(here)].iloc[0]
    n, *expected = difference_by_hand(*by_hand)
    assert row["n"] == n
    found = row[["effect", "low", "high"]].astype(float).tolist()
    assert found == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(
    "low, high, margin, expected",
    [
        (0.1, 1.0, 0.0, "seen"),
        (0.0, 1.0, 0.0, "not seen"),
        (-1.0, -0.1, 0.0, "opposite"),
        (-0.9, 0.1, 1.0, "seen"),
        (-1.2, 0.1, 1.0, "not seen"),
        (-3.0, -1.1, 1.0, "opposite"),
    ],
)
def test_verdict_by_hand(low, high, margin, expected):
    assert claims.verdict(low, high, margin) == expected


def test_on_mnist1d_the_ticket_beats_the_reinitialised_network_by_ten_points():
    table = published()
    lower = table["claim"].eq("Reinitialised tickets end lower")
    row = table[lower & table["setting"].str.contains("mnist1d")].iloc[0]
    assert row["low"] > 10 and row["n"] >= 10


def test_rewinding_to_a_later_step_helps_with_an_interval_above_zero():
    table = published()
    row = table[table["claim"].str.startswith("Where rewinding to the start fails")].iloc[0]
    assert row["low"] > 0 and row["n"] >= 10 and "resnet1d-4" in row["setting"]
