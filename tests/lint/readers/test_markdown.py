from __future__ import annotations

import pytest

from tollens.core.errors import TollensError
from tollens.lint.claim import Claim, Quantity
from tollens.lint.readers.document import Document
from tollens.lint.readers.markdown import markdown_claims


def read(text: str) -> Document:
    return markdown_claims("r.md", text)


def digits(claim: Claim, name: str) -> list[tuple[str, str | None]]:
    entry = claim.fields[name]
    return [
        (q.number.text, q.unit) for q in (entry if isinstance(entry, tuple) else (entry,)) if isinstance(q, Quantity)
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.913<!--t:a.x unit=1-->", ("0.913", "1")),
        ("**0.913** <!--t:a.x unit=1-->", ("0.913", "1")),
        ("`0.913`<!--t:a.x unit=1-->", ("0.913", "1")),
        ("29.8%<!--t:a.x-->", ("29.8", "%")),
        ("29.8 %<!-- t:a.x unit=% -->", ("29.8", "%")),
        ("1,234 ms<!--t:a.x-->", ("1,234", "ms")),
        ("1\u202f234 ms<!--t:a.x-->", ("1,234", "ms")),
        ("$12.40<!--t:a.x-->", ("12.40", "USD")),
        ("−0.4<!--t:a.x unit=1-->", ("−0.4", "1")),
        ("~5 s<!--t:a.x-->", ("~5", "s")),
        ("p < 0.05<!--t:a.x unit=1-->", ("<0.05", "1")),
        ("3×10^-4<!--t:a.x unit=1-->", ("3e-4", "1")),
        ("3 · 10⁻⁴<!--t:a.x unit=1-->", ("3e-4", "1")),
        ("3x<!--t:a.x-->", ("3", "1")),
        ("8 B<!--t:a.x unit=parameter-->", ("8", "parameter")),
        ("0.913<!--t:a.x\n unit=1-->", ("0.913", "1")),
        ("7<!--t:a.x-->", ("7", None)),
    ],
)
def test_a_number_before_a_tag_is_read_as_printed(text: str, number: tuple[str, str | None]) -> None:
    (claim,) = read(f"Text 1 and {text} text.").claims
    assert digits(claim, "x") == [number]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("good<!--t:a.x unit=1-->", "lint_number"),
        ("<!--t:a.x unit=1-->", "lint_number"),
        ("v1.2.3<!--t:a.x unit=1-->", "lint_number"),
        ("0,42<!--t:a.x unit=1-->", "lint_number"),
        ("30-80<!--t:a.x unit=1-->", "lint_number"),
        ("30 to 80 ms<!--t:a.x-->", "lint_number"),
        ("0.42 ± 0.05<!--t:a.x unit=1-->", "lint_number"),
        ("5 ms<!--t:a.x unit=s-->", "lint_unit"),
        ("29.8%<!--t:a.x unit=1-->", "lint_unit"),
        ("5<!--t:a.x unit=furlong-->", "lint_unit"),
        ("5<!--t:a.x unit=ms", "lint_syntax"),
        ("5<!--t:-->", "lint_syntax"),
        ("5<!--t:ax unit=1-->", "lint_syntax"),
        ("5<!--t:a.x unit-->", "lint_syntax"),
        ("5<!--t:a.x units=1-->", "lint_syntax"),
        ("5<!--t:a.x unit=1 unit=ms-->", "lint_duplicate"),
        ("5<!--t:a.x exact=perhaps-->", "lint_syntax"),
        ('5<!--t:a.x estimator="open-->', "lint_syntax"),
        ("<!--t:claim-->", "lint_syntax"),
        ("<!--t:claim a--> <!--t:claim a-->", "lint_duplicate"),
        ("<!--t:table lat mean_ms=2-->\ntext", "lint_syntax"),
        ("1<!--t:a.x--> 2<!--t:a.x[]-->", "lint_syntax"),
        ("1<!--t:a.x--> <!--t:claim a x=2:1-->", "lint_duplicate"),
    ],
)
def test_a_tag_that_cannot_be_read_is_named(text: str, code: str) -> None:
    with pytest.raises(TollensError) as caught:
        read(f"First line.\n{text}")
    assert caught.value.code == code
    assert caught.value.subject.startswith("r.md:2")


def test_tags_in_code_and_in_other_comments_are_not_read() -> None:
    text = "`5<!--t:a.x-->` ``6<!--t:a.x-->``\n```\n7<!--t:a.x-->\n```\n~~~~\n8<!--t:a.x\n~~~\n~~~~\n<!-- 9 t:a.x -->"
    assert read(text).claims == ()


def test_what_is_not_printed_is_said_in_a_claim() -> None:
    text = (
        '<!--t:claim id=a kind=acct.sum,acct.money text="a b" sequential=true percentile=mean alpha=0.05:1 seeds=p, '
        "words=a,b edges=a->b,b->c expect=refuted-->\n1<!--t:a.parts[]--> 2<!--t:a.parts[]--> 3<!--t:a.parts[q]-->"
    )
    (claim,) = read(text).claims
    assert (claim.id, claim.kinds, claim.text, claim.expect) == ("a", ("acct.sum", "acct.money"), "a b", "refuted")
    assert claim.fields["sequential"] is True
    assert claim.fields["percentile"] == "mean"
    assert digits(claim, "alpha") == [("0.05", "1")]
    assert claim.fields["seeds"] == ("p",)
    assert claim.fields["words"] == ("a", "b")
    assert claim.fields["edges"] == (("a", "b"), ("b", "c"))
    assert [n for n, _ in digits(claim, "parts")] == ["1", "2", "3"]


def test_two_tags_of_one_field_agree_within_their_rounding() -> None:
    document = read("0.913<!--t:a.x unit=1-->\n91%<!--t:a.x--> 0.9<!--t:a.x unit=1--> 0.9132<!--t:a.x unit=1-->")
    assert document.restated == ()
    assert digits(document.claims[0], "x") == [("0.9132", "1")]


@pytest.mark.parametrize("second", ["92%<!--t:a.x-->", "0.914<!--t:a.x unit=1-->", "0.913 ms<!--t:a.x-->"])
def test_two_tags_that_disagree_are_reported_with_both_places(second: str) -> None:
    (found,) = read(f"0.9134<!--t:a.x unit=1-->\n\n{second}").restated
    assert (found.outcome, found.subtype, found.id, found.line) == ("refuted", "contradicted", "a", 3)
    assert found.witness.startswith("inconsistent restatement")
    assert "r.md:1" in found.witness
    assert "r.md:3" in found.witness


TABLE = """
| Stage | mean | p99 | note |
|:--|--:|--:|---|
| read | 1,000 ms | 5 | `a | b` |
| parse | 2 | 6 | |
| skipped | 7 | – | |
| **Total** | 1,002 | 11 | |

after
"""


def test_a_table_gives_one_claim_a_column() -> None:
    tags = "<!--t:claim lat kind=acct.sum sequential=true-->\n"
    tags += "<!--t:table id=lat row=stage mean_ms=2 p99_ms=3 skip=skipped-->\n"
    document = read(tags + TABLE)
    mean, tail = document.claims
    assert (mean.id, tail.id) == ("lat.mean_ms", "lat.p99_ms")
    assert mean.kinds == tail.kinds == ("acct.sum",)
    assert digits(mean, "parts") == [("1,000", "ms"), ("2", "ms")]
    assert digits(mean, "total") == [("1,002", "ms")]
    assert (mean.fields["percentile"], tail.fields["percentile"], tail.fields["sequential"]) == ("mean", "p99", True)
    assert [(u.claim, u.field, u.place.line, u.text) for u in document.uses][:2] == [
        ("lat.mean_ms", "parts[]", 6, "1,000"), ("lat.mean_ms", "parts[]", 7, "2"),
    ]  # fmt: skip


def test_a_table_gives_one_claim_a_row() -> None:
    table = "| who | % | n |\n|---|---|---|\n| team a | 71% | 10 |\n| team b | 50 | 14 |"
    first, second = read("<!--t:table g each=row percent=2:% n=3:count-->\n" + table).claims
    assert (first.id, second.id) == ("g.team-a", "g.team-b")
    assert digits(second, "percent") == [("50", "%")]
    assert digits(second, "n") == [("14", "count")]


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("t:table lat mean_ms=9", "lint_syntax"),
        ("t:table lat mean_ms=0", "lint_syntax"),
        ("t:table lat", "lint_syntax"),
        ("t:table lat mean_ms=2 total=Whole", "lint_syntax"),
        ("t:table lat mean_ms=2 each=column", "lint_syntax"),
        ("t:table lat mean_s=2", "lint_unit"),
        ("t:table lat note=4", "lint_number"),
    ],
)
def test_a_table_tag_that_does_not_fit_is_named(tag: str, code: str) -> None:
    table = TABLE.replace("`a | b`", "word")
    with pytest.raises(TollensError) as caught:
        read(f"<!--{tag}-->{table}")
    assert caught.value.code == code


def test_untagged_numbers_are_counted_and_not_judged() -> None:
    document = read("12 of 40 (30%) and v1.2.3, GPT-4.\n```\n5 6 7\n```\n| 1 | 2 |\n|---|---|\n| 3 | 4 |")
    assert document.claims == ()
    assert document.counted == "found 0 tagged of 8 numbers"
