from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lint.readers.arithmetic import contradicted

from tollens.core.errors import TollensError
from tollens.lint.claim import Claim
from tollens.lint.invariants import __all__ as families
from tollens.lint.judge import claim_outcome, judge_claim
from tollens.lint.readers.draft import draft_table
from tollens.lint.readers.reader import draft_claims, read_claims
from tollens.lint.registry import INVARIANTS

REPORTS = Path(__file__).parent / "reports"
PLANTED = tomllib.loads((REPORTS / "expected.toml").read_text())["planted"]
FILES = sorted({planted["file"] for planted in PLANTED})


def refuted(claim: Claim) -> bool:
    """By the linter where it knows the law, which must agree with the arithmetic beside it."""
    plainly = contradicted(claim)
    if claim.kinds[0] in INVARIANTS:
        assert (claim_outcome(judge_claim(claim)) == "refuted") == plainly, claim
    return plainly


def findings(name: str, text: str) -> list[tuple[int, str]]:
    return [(c.place.line, c.kinds[0]) for c in draft_claims(name, text).claims if refuted(c)]


def nothing(path: str) -> bytes:
    raise AssertionError(path)


@pytest.mark.parametrize("name", FILES)
def test_a_draft_finds_what_is_planted_in_a_report_and_nothing_else(name: str) -> None:
    assert families
    found = findings(name, (REPORTS / name).read_text())
    assert found == [(p["line"], p["kind"]) for p in PLANTED if p["file"] == name]


@pytest.mark.parametrize("name", FILES)
def test_the_clean_twin_of_a_report_has_nothing(name: str) -> None:
    text = (REPORTS / name).read_text()
    for planted in PLANTED:
        if planted["file"] == name:
            line = text.split("\n")[planted["line"] - 1]
            if planted["wrong"] in line:
                text = text.replace(line, line.replace(planted["wrong"], planted["right"]))
            else:  # the sentence runs on
                assert text.count(planted["wrong"]) == 1
                text = text.replace(planted["wrong"], planted["right"])
    assert findings(name, text) == []
    assert len(draft_claims(name, text).claims) >= 8


@pytest.mark.parametrize("name", FILES)
def test_the_draft_table_reads_back(name: str) -> None:
    drafted = draft_claims(name, (REPORTS / name).read_text())
    table = draft_table(drafted)
    again = read_claims("draft.toml", table, nothing)
    assert len(again.claims) == len(drafted.claims) > 0
    for before, after in zip(drafted.claims, again.claims, strict=True):
        assert (after.id, after.text, after.kinds, after.source) == (
            before.id,
            before.text,
            before.kinds,
            before.source,
        )
        assert after.draft
        assert before.source == f"{name}:{before.place.line}"
        assert refuted(before) == refuted(after)
        assert after.fields.keys() == before.fields.keys()


STATEMENTS = {
    "71% of 10 participants agreed.": ["stat.grim"],
    "37.2% of users (n = 40) left.": ["stat.grim"],
    "Among 15 raters, 71% agreed.": ["stat.grim"],
    "It failed in 12/17 (71.6%) runs.": ["acct.elapsed"],
    "70.1% (12 of 17) of them passed.": ["acct.elapsed"],
    "45 min of 20 h (37.5%) are gone.": ["acct.elapsed"],
    "OR 1.42 (95% CI 0.30 to 0.51).": ["stat.interval"],
    "The confidence interval: 0.62 [0.30, 0.51].": ["stat.interval"],
    "Memory went from 16.0 GB to 8.0 GB, a 70% reduction in memory.": ["acct.ratio"],
    "Memory went from 16.0 GB to 8.0 GB, 3x smaller.": ["acct.ratio"],
    "This reduces latency from 120 ms to 80 ms (60%).": ["acct.ratio"],
    "It is 3.1x faster (4.2 s -> 2.0 s).": ["acct.ratio"],
    "$12.40 + $7.35 + $0.25 = $21.00": ["acct.money"],
    "The total was $21.00: $12.40 for compute, $7.35 for storage and $0.25 for egress.": ["acct.money"],
    "5 GB + 400 MB = 4 GB": ["acct.sum"],
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_false_statement_is_found(text: str) -> None:
    assert [kind for _, kind in findings("a.md", text)] == STATEMENTS[text]
    tex = text.replace("%", "\\%").replace("$", "\\$")
    assert [kind for _, kind in findings("a.tex", tex)] == STATEMENTS[text]


SILENT = [
    "About 71% of 10 participants agreed.",
    "At least 71% of 10 participants agreed.",
    "On average 71% of 10 participants agreed in each round.",
    "60-71% of 10 participants agreed.",
    "71% of 10 GPUs were used, 10% of 2019 sales, 50% of 3 GB.",
    "Of 40 participants, 37.2% more came back.",
    "4/5 (20%) of the stars; on 12/17 (5% off).",
    "12/17 (70.5%) is cut off after its digit.",
    "n = 40 (95% CI 0.10 to 0.20).",
    "At step 300 (95% CI 0.10 to 0.20).",
    "The values 0.42 [0.50, 0.60] and 0.42 (0.50, 0.60) are ranges.",
    "In 2019 (95% CI 0.30 to 0.51) it was so.",
    "Throughput from 100 to 300 requests, up to 5x faster (4.2 s -> 2.0 s).",
    "From 100 token/s to 300 token/s, 3x faster; from 4.0 s to 2.0 s, 100% faster.",
    "Reduced from 400 ms to 300 ms (33%).",
    "1 + 1 = 2 and 3 × 2 + 4 = 10 and 2 + 3 = 5 × 1 and x + 3 + 4 = 9.",
    "1 + 1 = 0 mod 2; 1 + 1 = 10 % 4; 2 - 1 + 3 = 4; f(1 + 1) + 1 + 1 = 9",
    "A plan costs $20.00: $5.00 each for $2.50 of storage and $3.00 of time.",
    "The cost was $20 ($5 off, $25 list). The bill was $30 ($25 in 2022, $20 in 2021). It costs $30 ($20 or $40).",
    "Versions 1.2.3 + 4.5.6 = 7.8.9 and dates 2024-03-12 + 3 = 15.",
    "0,42 (95% CI 0,30 to 0,41) has decimal commas.",
    "71% of the 10 million users, 71% of 10 dozen users, of the 10 thousand users, 71%; 7 of 10 million (71%).",
    "It solves 71% of 15 problems (avg of 5 runs).",
    "We resolve 31% of 15 issues across 5 seeds.",
    "Pass@1 is 71% of 15 problems.",
    "Over 8 samples it solves 71% of 15 problems.",
    "With 4 samples per problem, 48% of 10 problems are solved.",
    "66% of 3 reviewers agreed, which is cut off after its digit.",
    "71% of 15 models' outputs were wrong.",
    "It scores best on 5 of 7 tasks (65.3%).",
    "Going from 12 to 6 (1.6x faster), from 16 GB to 8 GB (1.6x faster), from $4 to $1 (2x faster) helps.",
    "From 32 to 8 (2.5x smaller) and from 2 to 1, 5x cheaper.",
    "F1 dropped from 80.1 to 70.1 (10%); it fell from 80 to 70 (-10%).",
    "10 000 of 20 000 (50%), 1 055 of 2000 (52.75%) and 71% of 15 000 users have spaces in them.",
    "Memory fell from 16 GB to 8 GB (4x smaller KV cache), and from 16 GB to 8 GB, a 40% reduction in latency.",
    "The tail falls from 100 ms to 80 ms (1.5x less variance), the bill from $100 to $80 (30% cheaper per token).",
    "50% + 50% = 1, 9 + 5 = 2 o'clock, 1 + 1 = 10 in binary.",
    "`1 + 1 = 3` is code.\n\n    1 + 1 = 3\n\n```\n1 + 1 = 3\n```\n<!-- 1 + 1 = 3 -->",
]


@pytest.mark.parametrize("text", SILENT)
def test_a_statement_that_only_looks_false_is_left_alone(text: str) -> None:
    assert findings("a.md", text) == []


def table(head: str, *rows: str, before: str = "", after: str = "") -> str:
    width = head.count("|") + 1
    lines = [f"| {head} |", "|" + "---|" * width, *(f"| {row} |" for row in rows)]
    return "\n".join([before, "", *lines, "", after])


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (table("Part | Files", "a | 10", "b | 20", "c | 7", "Total | 22"), ["acct.sum"]),
        (table("Split | Images", "train | 10", "test | 20", "Total | 25"), ["acct.sum"]),
        (table("Part | Cost", "a | $10.00", "b | $20.50", "Total | $40.50"), ["acct.money"]),
        (table("Part | Share", "a | 40%", "b | 50%", "c | 30%", "Total | 100%"), ["acct.sum"]),
        (table("Part | Size (MB)", "a | 40.5", "b | 50.2", "c | 30", "**Sum** | 99"), ["acct.sum"]),
        (table("x | k | n | %", "a | 1 | 4 | 25", "b | 1 | 5 | 20", "c | 1 | 2 | 70"), ["acct.elapsed"]),
        (table("x | before (s) | after (s) | speedup", "a | 4 | 2 | 2x", "b | 9 | 3 | 7x"), []),
        (
            table("x | old | new | speedup", "a | 4 s | 2 s | 2x", "b | 6 s | 3 s | 2x", "c | 9 s | 3 s | 7x"),
            ["acct.ratio"],
        ),
        (table("x | Value (95% CI)", "a | 0.42 (0.30, 0.51)", "b | 0.62 (0.30, 0.51)"), ["stat.interval"]),
        (table("x | Estimate | CI low | CI high", "a | 0.4 | 0.3 | 0.5", "b | 0.7 | 0.3 | 0.5"), ["stat.interval"]),
    ],
)  # fmt: skip
def test_a_table_that_contradicts_itself_is_found(text: str, kinds: list[str]) -> None:
    assert [kind for _, kind in findings("a.md", text)] == kinds


@pytest.mark.parametrize(
    "text",
    [
        table("Model | Accuracy", "a | 61.2", "b | 70.4", "c | 55.0", "Total | 62.1"),
        table("Model | Score", "a | 10", "b | 20", "c | 30", "Total | 20"),
        table("Model | p99 (ms)", "a | 10", "b | 20", "c | 30", "Total | 35"),
        table("Model | Time (s)", "a | 10", "b | 20", "c | 30", "Total | 35"),
        table("Model | X", "a | 10", "b | 20", "c | 30", "Mean | 35"),
        table("Model | X", "a | 10", "b | 20", "c | 60", "Total | 30"),
        table("Part | Users", "a | 10", "b | 20", "Total | 25", after="Users may be in more than one part."),
        table("Model | Users | Runs", "a | 12 | 30", "b | 21 | 40", "Total | 25 | 70"),
        table("Class | Images", "car | 820", "person | 710", "Total | 1,000"),
        table("Line | Amount", "Rent | $1,200.00", "Discount | $200.00", "Total | $1,000.00"),
        table("Item | Cost", "GPUs (8x) | $10.00", "Disk | $5.00", "Total | $85.00"),
        table("Item | Quantity | Unit price ($)", "GPU | 4 | 2.00", "CPU | 2 | 1.00", "Total | 6 | 10.00"),
        table("Item | Monthly ($)", "A | 10.00", "B | 5.00", "Total (annual) | 180.00"),
        table("Source | Energy (kWh)", "Train | 1,200", "Solar offset | 300", "Total | 900"),
        table("Part | Unique users", "a | 10", "b | 20", "Total | 25"),
        table("Part | Files", "a | 10", "b | 20", "Subtotal | 30", "c | 7", "d | 8", "Subtotal | 15", "Total | 45"),
        table("Part | Files", "all code | 30", "of which C | 20", "of which D | 10", "docs | 5", "Total | 35"),
        table("Part | Files", "code | 30", "C | 20", "D | 10", "docs | 5", "Total | 35"),
        table("Part | Files", "a | ~10", "b | 20", "Total | 25"),
        table("Part | Files", "a | 10", "b | n/a", "Total | 25"),
        table("Part | Files", "a | 10", "Average | 20", "Total | 25"),
        table("Part | Rate", "a | 40%", "b | 80%", "Total | 100%"),
        table("x | k | n | %", "a | 1 | 4 | 26", "b | 1 | 5 | 22", "c | 1 | 2 | 50"),
        table("x | a | b | Total", "r | 1 | 2 | 4", "s | 3 | 4 | 9", "t | 3 | 4 | 8"),
        table("x | low | high | 95% CI", "a | 0.42 (0.50, 0.61) | 3 | 4"),
    ],
)
def test_a_table_that_only_looks_false_is_left_alone(text: str) -> None:
    assert findings("a.md", text) == []


def test_no_text_of_this_project_is_refuted() -> None:
    root = Path(__file__).parents[3]
    texts = [f for group in ("docs", "changelog") for f in (root / group).rglob("*.md")] + [root / "README.md"]
    seen = 0
    for file in texts:
        document = draft_claims(file.name, file.read_text())
        seen += document.seen
        planted = 3 if file == root / "docs" / "examples" / "report.md" else 0  # it says so in its first line
        assert len([c.text for c in document.claims if refuted(c)]) == planted, file.name
    assert seen > 400


def test_a_draft_is_of_a_text() -> None:
    for name in ("a.toml", "a.json", "a.pdf", "a"):
        with pytest.raises(TollensError) as caught:
            draft_claims(name, "")
        assert caught.value.code == "lint_syntax"


@given(st.lists(st.decimals(-(10**6), 10**6, allow_nan=False, places=2), max_size=40), st.sampled_from(" ,;\n|"))
@settings(max_examples=60, deadline=None)
def test_numbers_without_words_say_nothing(numbers: list[object], separator: str) -> None:
    text = separator.join(map(str, numbers))
    assert findings("a.md", text) == []
    assert findings("a.tex", text) == []


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=2, max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_table_of_numbers_without_a_total_says_nothing(rows: list[list[int]]) -> None:
    assert findings("a.md", table("x | y | z", *(" | ".join(map(str, row)) for row in rows))) == []
