from __future__ import annotations

from tollens.lint.check import Direct
from tollens.lint.claim import Claim, Place
from tollens.lint.domain import OPEN_SHARE, POSITIVE, SHARE, each_inside, inside, said
from tollens.lint.fields import Fields
from tollens.lint.interval import INF, Range

NOTHING = Claim("c", "", (), Place("a.md", 1))


def fields(**values: Range) -> Fields:
    return Fields(values, {}, NOTHING, lambda _name, _parameters: None)


def test_the_part_within_the_limits_is_kept_and_what_was_not_given_is_left_out() -> None:
    found = inside(fields(rate=Range(-0.005, 0.005), n=Range(3.0, INF)), rate=SHARE, n=POSITIVE, other=SHARE)
    assert not isinstance(found, Direct)
    assert found["rate"] == Range(0.0, 0.005)
    assert found["n"].low == 3.0
    assert found["n"].high < INF
    assert "other" not in found


def test_every_field_without_a_value_inside_is_named() -> None:
    found = inside(fields(rate=Range(1.1, 1.2), n=Range(0.0, 0.0), f=Range(0.5, 0.5)), rate=SHARE, n=POSITIVE, f=SHARE)
    assert isinstance(found, Direct)
    assert found.witness == "cannot be checked: rate is not in [0, 1]; n is not positive and finite"
    assert isinstance(inside(fields(rate=Range(INF, INF)), rate=POSITIVE), Direct)
    assert isinstance(inside(fields(rate=Range(1.0, 1.0)), rate=OPEN_SHARE), Direct)


def test_a_list_is_inside_only_as_a_whole() -> None:
    assert each_inside((Range(0.5, 1.5), Range(0.1, 0.2)), SHARE) == [Range(0.5, 1.0), Range(0.1, 0.2)]
    assert each_inside((Range(0.5, 1.5), Range(1.1, 1.2)), SHARE) is None
    assert said((2.0, 3.0)) == "is not in [2, 3]"
