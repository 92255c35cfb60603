"""Evidence: the intervals are Student's, and pairs are pairs."""

import math
import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import lthlab
from lthlab.statistics import Interval, interval, paired

accuracies = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=3, max_size=12)


def arms(**values) -> pd.DataFrame:
    tables = [pd.DataFrame({"arm": arm, "value": numbers}) for arm, numbers in values.items()]
    return pd.concat([table.rename_axis("seed").reset_index() for table in tables])


@given(accuracies)
def test_intervals_are_students(values):
    values = [*values, 2.0]
    found, expected = interval(values), stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.n == len(values)


@given(accuracies)
def test_an_interval_is_the_mean_and_t_standard_errors_to_each_side(values):
    """The textbook's formula: mean +- t(0.975, n - 1) * s / sqrt(n)."""
    values = [*values, 2.0]
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    half = stats.t.ppf(0.975, len(values) - 1) * error
    found = interval(values)
    assert (found.mean, found.low, found.high) == pytest.approx((mean, mean - half, mean + half))
    assert found.n == len(values)


@given(st.floats(0, 1), st.integers(3, 12))
def test_values_without_spread_are_an_interval_of_no_width(value, count):
    assert interval([value] * count) == Interval(value, value, value, count)
    table = arms(ticket=[value] * count, control=[0.25] * count)
    difference = value - 0.25
    assert paired(table, "ticket", "control") == Interval(difference, difference, difference, count)


def test_of_a_hundred_intervals_about_95_hold_the_truth():
    """Of a thousand experiments with five seeds each, about 950 intervals hold the truth."""
    draws = np.random.default_rng(0).normal(0.8, 0.05, (1000, 5))
    found = [interval(values) for values in draws]
    assert 930 <= sum(each.low <= 0.8 <= each.high for each in found) <= 970
    assert 12 <= sum(each.high < 0.8 for each in found) <= 40


def test_an_interval_worked_out_by_hand():
    found = interval([1, 2, 3])
    half = 4.302653 / 3**0.5
    assert (found.mean, found.n) == (2, 3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-5)
    assert interval(pd.Series([0.5, 0.5, 0.5])) == Interval(0.5, 0.5, 0.5, 3)


@pytest.mark.parametrize("values", [[], [1.0], [0.8, 0.9], [0.8, 0.9, np.nan], [0.8, 0.9, np.inf]])
def test_fewer_than_three_finite_replicates_have_no_interval(values):
    with pytest.raises(ValueError, match="at least three finite|is a number that is finite"):
        interval(values)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=10), st.randoms())
def test_differences_are_paired_by_seed_in_any_order_of_rows(pairs, shuffler):
    ticket, control = [*zip(*pairs, strict=True)]
    ticket = (*ticket, 3.0)
    control = (*control, 1.0)
    table = arms(ticket=ticket, control=control, bystander=[0.1, 0.2])
    order = list(range(len(table)))
    shuffler.shuffle(order)
    found = paired(table.iloc[order], "ticket", "control")
    expected = stats.ttest_rel(ticket, control).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(ticket) - np.mean(control), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), nan_ok=True)
    assert found.n == len(ticket)
    # A paired comparison is the interval of the differences, one per seed.
    assert found == interval([one - other for one, other in zip(ticket, control, strict=True)])


def test_pairing_takes_out_what_seeds_share():
    table = arms(ticket=[0.11, 0.52, 0.93], control=[0.10, 0.50, 0.90])
    found = paired(table, "ticket", "control")
    assert found.mean == pytest.approx(0.02)
    assert found.low == pytest.approx(0.02 - 4.302653 * 0.01 / 3**0.5, abs=1e-6)
    turned = paired(table, "control", "ticket")
    expected = -found.mean, -found.high, -found.low
    assert (turned.mean, turned.low, turned.high) == pytest.approx(expected)


def test_arms_may_be_told_apart_by_any_column():
    table = arms(a=[1, 2, 4], b=[0, 0, 0]).rename(columns={"arm": "density"})
    table["density"] = table["density"].map({"a": 0.1, "b": 1.0})
    assert paired(table, 0.1, 1.0, by="density") == interval([1, 2, 4])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (arms(ticket=[1, 2, 3], control=[1, 2]), "need the same seeds"),
        (arms(ticket=[1, 2, 3, 4], control=[1, 2, 3, np.nan]), "need the same seeds"),
        (arms(ticket=[1, 2, 3]), r"against is one of \['ticket'\]; got 'control'"),
        (arms(other=[1, 2, 3]), r"arm is one of \['other'\]; got 'ticket'"),
        (
            arms(ticket=[1, 2, 3], control=[1, 2, 3]).assign(seed=[0, 1, 1, 0, 1, 2]),
            "Several rows for one arm and seed",
        ),
        (arms(ticket=[1, 2], control=[1, 2]), "at least three"),
    ],
)
def test_tables_that_cannot_be_paired_are_refused(table, said):
    with pytest.raises(ValueError, match=said):
        paired(table, "ticket", "control")


def test_both_are_at_hand_in_the_package_itself():
    assert lthlab.interval is interval and lthlab.paired is paired


def test_intervals_read_as_points_and_percent():
    found = Interval(0.0123, -0.004, 0.0286, 5)
    assert found.points() == "+1.2 [-0.4, +2.9], n = 5"
    assert Interval(0.851, 0.8456, 0.8564, 5).percent() == "85.1 % [84.6, 85.6], n = 5"
