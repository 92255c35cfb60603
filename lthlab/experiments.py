"""Evidence: intervals over replicates, and differences between arms that share their seeds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % Student-t interval over `n` replicates."""

    mean: float
    low: float
    high: float
    n: int

    def points(self, digits: int = 1) -> str:
        """The interval of an accuracy, in percentage points: '+1.2 [0.4, 2.0], n = 5'."""
        mean, low, high = (100 * value for value in (self.mean, self.low, self.high))
        return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}], n = {self.n}"

    def percent(self, digits: int = 1) -> str:
        """The interval of an accuracy as percentages: '85.1 % [84.6, 85.6], n = 5'."""
        mean, low, high = (100 * value for value in (self.mean, self.low, self.high))
        return f"{mean:.{digits}f} % [{low:.{digits}f}, {high:.{digits}f}], n = {self.n}"


def interval(values) -> Interval:
    """Mean and 95 % t-interval of independent replicates; ValueError for fewer than three."""
    values = np.asarray(values, dtype=float)
    if len(values) < 3 or not np.isfinite(values).all():
        raise ValueError(f"An interval needs at least three finite replicates; got {values.tolist()}.")
    mean, half = values.mean(), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return Interval(float(mean), float(mean - half), float(mean + half), len(values))


def paired(table: pd.DataFrame, arm: Any, against: Any, by: str = "arm") -> Interval:
    """The difference `arm` minus `against`, seed by seed, with its interval over seeds.

    `table` has one row per arm and seed with columns `by`, seed and value. Pairing takes out what two
    arms of one seed share. Raises ValueError when a seed is missing from one arm or occurs twice.
    """
    rows = table[table[by].isin([arm, against])]
    if rows.duplicated([by, "seed"]).any():
        raise ValueError(f"Several rows for one {by} and seed: choose one metric, split, step and level first.")
    wide = rows.pivot(index="seed", columns=by, values="value")
    if not {arm, against} <= set(wide.columns) or wide[[arm, against]].isna().any(axis=None):
        raise ValueError(f"{arm!r} and {against!r} need the same seeds; got {wide.notna().sum().to_dict()} replicates.")
    return interval(wide[arm] - wide[against])
