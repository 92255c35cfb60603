"""Evidence from replicates: means with 95 % intervals, and differences seed by seed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from scipy import stats

from lthlab.checks import InputError, checked

Replicates = Annotated[
    Iterable[float], "at least three finite replicates", lambda values: len(values) > 2
]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % Student-t interval over `n` replicates."""

    mean: float
    low: float
    high: float
    n: int

    def points(self) -> str:
        """The interval of an accuracy, in percentage points: '+1.2 [+0.4, +2.0], n = 5'."""
        ends = f"[{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
        return f"{100 * self.mean:+.1f} {ends}, n = {self.n}"

    def percent(self) -> str:
        """The interval of an accuracy as percentages: '85.1 % [84.6, 85.6], n = 5'."""
        ends = f"[{100 * self.low:.1f}, {100 * self.high:.1f}]"
        return f"{100 * self.mean:.1f} % {ends}, n = {self.n}"


@checked
def interval(values: Replicates) -> Interval:
    """Mean and 95 % t-interval of independent replicates; ValueError for fewer than three."""
    values = np.asarray(values, dtype=float)
    if np.ptp(values) == 0:  # no spread, no test
        found = (values[0],) * 3
    else:
        found = values.mean(), *stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return Interval(*map(float, found), len(values))


@checked
def paired(
    table: pd.DataFrame, arm: str | float, against: str | float, by: str = "arm"
) -> Interval:
    """The difference `arm` minus `against`, seed by seed, with its interval over seeds.

    `table` has one row per arm and seed with columns `by`, seed and value. Pairing takes out what
    two arms of one seed share. Raises ValueError when a seed is missing from one arm or occurs
    twice.
    """
    if not {by, "seed", "value"} <= {*table.columns}:
        raise InputError(f"table has columns {by}, seed and value; got {[*table.columns]}.")
    for name, value in (("arm", arm), ("against", against)):
        if value not in (known := table[by].unique().tolist()):
            raise InputError(f"{name} is one of {known}; got {value!r}.")
    rows = table[table[by].isin([arm, against])]
    if rows.duplicated([by, "seed"]).any():
        raise InputError(
            f"Several rows for one {by} and seed: choose one metric, split, step and level first."
        )
    wide = rows.pivot(index="seed", columns=by, values="value")
    if {*wide.dropna(axis="columns")} != {arm, against}:
        came = wide.notna().sum().to_dict()
        raise InputError(f"{arm!r} and {against!r} need the same seeds; got {came} replicates.")
    return interval(wide[arm] - wide[against])
