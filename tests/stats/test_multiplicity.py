from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from tollens.core.errors import TollensError
from tollens.stats.multiplicity import (
    benjamini_hochberg,
    benjamini_yekutieli,
    bonferroni,
    familywise_error,
    holm,
)

FOUR = {"bonferroni": bonferroni, "holm": holm, "fdr_bh": benjamini_hochberg, "fdr_by": benjamini_yekutieli}
families = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30)


@pytest.mark.parametrize("name", FOUR)
@settings(max_examples=12, deadline=None)  # statsmodels collects garbage at each call of holm
@given(families)
def test_against_statsmodels(name: str, p: list[float]) -> None:
    theirs = multipletests(p, method=name)[1]
    assert FOUR[name](p, sealed=len(p)).tolist() == pytest.approx(theirs.tolist(), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(families, st.randoms(use_true_random=False))
def test_properties(p: list[float], shuffle: object) -> None:
    m = len(p)
    raw = np.array(p)
    adjusted = {name: f(p, sealed=m) for name, f in FOUR.items()}
    for name, values in adjusted.items():
        assert np.all((raw <= values + 1e-15) & (values <= 1.0))
        order = list(range(m))
        shuffle.shuffle(order)  # type: ignore[attr-defined]
        assert FOUR[name](raw[order], sealed=m).tolist() == values[order].tolist()
        ranked = values[np.argsort(raw, kind="stable")]
        assert np.all(np.diff(ranked) >= 0.0)
    slack = 1e-12
    assert np.all(adjusted["bonferroni"] >= adjusted["holm"] - slack)
    assert np.all(adjusted["holm"] >= adjusted["fdr_bh"] - slack)
    assert np.all(adjusted["fdr_by"] >= adjusted["fdr_bh"] - slack)
    more = {name: f([*p, 1.0], sealed=m + 1)[:m] for name, f in FOUR.items()}  # a larger family costs power
    assert all(np.all(more[name] >= adjusted[name] - slack) for name in FOUR)


@pytest.mark.parametrize("adjust", FOUR.values(), ids=FOUR)
def test_a_family_of_another_size_is_refused(adjust: object) -> None:
    for sealed in (2, 4):
        with pytest.raises(TollensError, match=f"{sealed} p-values, as registered; found 3") as caught:
            adjust([0.01, 0.02, 0.03], sealed=sealed)
        assert caught.value.code == "stats_family_changed"
    assert adjust([0.2], sealed=1).tolist() == [0.2]


@pytest.mark.parametrize("adjust", FOUR.values(), ids=FOUR)
@pytest.mark.parametrize("p", [[], [0.1, math.nan], [-0.1], [1.1], [[0.1, 0.2]], ["x"]], ids=repr)
def test_hostile_input(adjust: object, p: list[float]) -> None:
    with pytest.raises(TollensError) as caught:
        adjust(p, sealed=max(1, len(p)))
    assert caught.value.code == "stats_input"


def test_the_input_is_left_alone() -> None:
    p = np.array([0.04, 0.01])
    holm(p, sealed=2)
    assert p.tolist() == [0.04, 0.01]


def test_familywise_error_grows_from_alpha_to_one() -> None:
    errors = [familywise_error(0.05, m) for m in (1, 2, 5, 20, 1000)]
    assert errors[0] == pytest.approx(0.05, rel=1e-15)
    assert errors == sorted(errors)
    assert errors[-1] <= 1.0
    assert familywise_error(1e-12, 7) == pytest.approx(7e-12, rel=1e-9)
    for alpha, m in ((0.0, 5), (0.05, 0), (0.05, 2.5)):
        with pytest.raises(TollensError):
            familywise_error(alpha, m)  # type: ignore[arg-type]
