"""`make pool`: what fits is pooled as by hand, what does not is named and left out."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "course"))

import pool  # noqa: E402


@pytest.fixture
def results() -> list[dict]:
    """Thirty students' results, with differences that a generator draws around two points."""
    draw, (arm, against) = np.random.default_rng(3), pool.CLAIM["arms"]
    found = []
    for number in range(30):
        control = round(float(draw.normal(0.5, 0.03)), 4)
        values = {arm: round(control + float(draw.normal(0.02, 0.03)), 4), against: control}
        found.append(pool.describe(f"s{number:02d}", 1000 + number, "include", values))
    return [pool.sealed(result) for result in found]


def write(results, folder):
    for result in results:
        (folder / f"class-{result['student']}.json").write_text(json.dumps(result))


def test_thirty_files_of_which_five_are_broken(results, tmp_path, capsys):
    write(results, tmp_path)
    arm, _ = pool.CLAIM["arms"]
    broken = {
        "s03": "{ half a file",
        "s07": results[7] | {"values": results[7]["values"] | {arm: 0.99}},  # changed afterwards
        "s11": pool.sealed(results[11] | {"seed": 1000}),  # the seed of s00
        "s19": pool.sealed(results[19] | {"code": "0123456789abcdef"}),
        "s23": pool.sealed(results[23] | {"values": {arm: 1.7, pool.CLAIM["arms"][1]: 0.5}}),
    }
    for student, content in broken.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / f"class-{student}.json").write_text(text)
    pool.main(tmp_path)
    printed = capsys.readouterr().out
    said = [line for line in printed.splitlines() if line.startswith("left out")]
    reasons = ["cannot be read", "was changed", "seed 1000 of class-s00", "other code", "1.7 where"]
    assert len(said) == 5
    for line, student, reason in zip(said, broken, reasons, strict=True):
        assert f"class-{student}.json" in line and reason in line
    kept = [r["values"] for r in results if r["student"] not in broken]
    arm, against = pool.CLAIM["arms"]
    expected = stats.ttest_rel([v[arm] for v in kept], [v[against] for v in kept])
    low, high = expected.confidence_interval(0.95)
    row = pd.read_csv(tmp_path / "pooled.csv").iloc[0]
    assert row["n"] == 25 and np.allclose([row["low"], row["high"]], [low, high])
    assert row["verdict"] == ("above" if low > 0 else "below" if high < 0 else "include")
    assert "25 predicted 'include'" in printed
    # Once more, with the results of the first time lying in the folder.
    pool.main(tmp_path)
    assert capsys.readouterr().out == printed
    with Image.open(tmp_path / "forest.png") as picture:
        assert picture.height > picture.width / 2


def test_two_files_are_too_few(results, tmp_path):
    write(results[:2], tmp_path)
    with pytest.raises(SystemExit, match="2 usable files: an interval needs at least three seeds"):
        pool.main(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seed": 7}, "seed 7, which is not from 1000 to 1999"),
        ({"seed": True}, "seed True"),
        ({"prediction": "maybe"}, "predicts 'maybe'"),
        ({"claim": "another"}, "answers another question"),
        ({"values": {"ticket": 0.5}}, "has other arms"),
        ({"values": [0.5]}, "has other arms"),
        ({"note": "hello"}, "not a file that class_lab"),
    ],
)
def test_a_file_that_does_not_fit_is_named(results, tmp_path, change, reason):
    (tmp_path / "odd.json").write_text(json.dumps(pool.sealed(results[0] | change)))
    rows, left_out = pool.read(tmp_path)
    assert len(rows) == 0 and reason in left_out["odd.json"]


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0.1, 2, "above"), (-1, 0.1, "include"), (-3, -1, "below")]
)
def test_a_verdict_is_where_the_interval_lies(low, high, word):
    assert pool.verdict(low, high) == word


@pytest.mark.parametrize("student", ["", "a\nb", "x" * 61, 7, None])
def test_a_student_has_a_name(results, student):
    odd = pool.sealed(results[0] | {"student": student})
    assert "name" in pool.problem(odd, pool.code())


def test_nested_brackets_and_formulas_stop_nothing(results, tmp_path, capsys):
    write(results[:3], tmp_path)
    (tmp_path / "deep.json").write_text("[" * 200_000)
    odd = pool.sealed(results[4] | {"student": "$x_{"})
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    pool.main(tmp_path)
    printed = capsys.readouterr().out
    assert "left out: deep.json" in printed and (tmp_path / "forest.png").is_file()
    assert pd.read_csv(tmp_path / "pooled.csv")["n"].item() == 4
