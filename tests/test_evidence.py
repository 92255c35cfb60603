"""Evidence by play: the counts of verdicts, against SciPy's own intervals."""

from itertools import combinations

import pandas as pd
import pytest
from scipy import stats

from lthlab import widgets
from lthlab.widgets.evidence import COMPARISONS, SIZES
from lthlab.widgets.reference import reference


def values(dataset, arm, against, level) -> pd.DataFrame:
    rows = reference(dataset).query("split == 'test' and metric == 'accuracy'")
    rows = rows[rows["step"] == rows["step"].max()]
    ends = rows.set_index(["arm", "level", "seed"])["value"].sort_index()
    return pd.DataFrame({name: ends[name, level] for name in (arm, against)}) * 100


@pytest.mark.parametrize("place, size", [(0, 5), (1, 5), (1, 8), (2, 4), (3, 3), (3, 5)])
def test_verdicts_of_all_choices_of_seeds(place, size):
    dataset, arm, against, level = COMPARISONS[place]
    table = values(dataset, arm, against if against != "dense" else arm, level)
    if against == "dense":
        table = pd.DataFrame(
            {
                arm: table[arm],
                against: values(dataset, "dense", "dense", 0)["dense"],
            }
        )
    counts = {True: [0, 0, 0], False: [0, 0, 0]}
    for seeds in combinations(table.index, size):
        first, second = (table.loc[[*seeds], name] for name in (arm, against))
        in_pairs = stats.ttest_rel(first, second).confidence_interval()
        not_in_pairs = stats.ttest_ind(first, second).confidence_interval()
        for paired, found in ((True, in_pairs), (False, not_in_pairs)):
            counts[paired][0 if found.low > 0 else 2 if found.high < 0 else 1] += 1
    data = widgets.evidence().data
    assert data["counts"][place][[*SIZES].index(size)] == [counts[True], counts[False]]
    assert data["values"][place] == [pytest.approx(table[n].tolist(), abs=0.006) for n in table]


def test_pairs_decide_where_seeds_matter_to_both():
    """On fashion-mini good seeds are good for both arms; in pairs that cancels."""
    data = widgets.evidence().data
    in_pairs, not_in_pairs = data["counts"][3][[*SIZES].index(5)]
    assert in_pairs[0] > 3 * not_in_pairs[0]
    assert sum(in_pairs) == sum(not_in_pairs) == 252
