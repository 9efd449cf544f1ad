"""Hostile reports and claim tables: whatever the text, a named error or a document, soon."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.codes import CODES
from tollens.core.errors import TollensError
from tollens.lint.readers.document import Document
from tollens.lint.readers.draft import draft_table
from tollens.lint.readers.reader import draft_claims, read_claims

NAMES = ("a.toml", "a.json", "a.md", "a.tex")
LIMIT = 10.0  # seconds; the slowest takes 2 where nothing else runs


def nothing(path: str) -> bytes:
    raise TollensError("lint_pointer", path[:80], expected="a file", found="none", fix="Give one.")


def attempt(name: str, text: str, draft: bool = False) -> Document | TollensError:
    """What becomes of the text; anything but a document or a listed error fails the test."""
    try:
        return draft_claims(name, text) if draft else read_claims(name, text, nothing)
    except TollensError as error:
        found = error
    assert found.code in CODES
    assert len(str(found)) < 2000
    return found


HEAD = '[[claim]]\nid = "a"\n[claim.fields]\n'
N = 100_000
ATTACKS = {
    "empty": "",
    "null bytes": "\0" * N,
    "escape sequence": "\x1b[2J 0.5<!--t:a.x-->",
    "right to left": "\u202e0.5<!--t:a.\u202ex-->",
    "lone surrogate": "\ud800 0.5<!--t:a.x unit=\ud800-->",
    "unicode digits": "٣٣<!--t:a.x unit=1-->",
    "huge line": "1 " * 10**6,
    "many lines": "1\n" * N,
    "ten megabytes": "x" * 10**7,
    "toml nesting": "x = " + "[" * N,
    "toml inline nesting": "x = " + "{a=" * N,
    "toml dotted key": "a." * N + "b = 1",
    "toml digits": HEAD + 'x = { value = "' + "9" * 10**5 + '", unit = "1" }',
    "toml bare digits": HEAD + "x = " + "9" * 10**5,
    "toml exponent": HEAD + 'x = { value = "1e999999999", unit = "1" }',
    "toml unit": HEAD + 'x = { value = "1", unit = "' + "m/" * N + 's" }',
    "toml pointer": HEAD + 'x = { from = "../../a#/' + "a/" * N + '", unit = "1" }',
    "toml edges": HEAD + "x = [" + '["a", "b"],' * N + "]",
    "toml strings": HEAD + 'x = """' + '"" ' * N + '"""',
    "json nesting": '{"claim": ' + "[" * N,
    "json digits": '{"claim": [{"id": "a", "fields": {"x": ' + "9" * N + "}}]}",
    "unclosed tag": "1<!--t:a.x " * 20_000,
    "unclosed comment": "<!--" * N,
    "nested comments": "<!--" * N + "-->" * N,
    "empty comments": "<!---->" * N,
    "long tag": "1<!--t:a.x " + "k=v " * N + "-->",
    "quotes in a tag": '1<!--t:a.x k="' + "a" * N,
    "backticks": "` `` ``` " * 50_000,
    "odd backticks": " ".join("`" * k for k in range(1, 900)),
    "columns": "|" + "a|" * 300_000 + "\n|" + "-|" * 300_000 + "\n|" + "1|" * 300_000,
    "million columns": "|" + "a|" * 499_000 + "\n|" + "-|" * 499_000 + "\n|" + "1|" * 499_000,
    "rows": "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 50_000 + "| Total | 3 |",
    "total rows": "| a | b |\n|---|---|\n" + "| Total | 2 |\n" * 300,
    "rule": "a|b\n" + "-|" * N + "x",
    "rule of dashes": "a|b\n|" + "-" * N + "x",
    "brackets": "[" * N + "](" * 1000,
    "html": "<a " * N,
    "entities": "&amp;" * N,
    "stars": "*" * N,
    "emphasis": "*a _b " * 30_000,
    "braces": "\\tnum" + "{" * N,
    "tnum": "\\tnum{a.x}{1}{1}" * 5_000,
    "unclosed tnum": "\\tnum{" * 20_000,
    "tabulars": "\\begin{tabular}{l}" * 20_000,
    "tabular columns": "\\begin{tabular}{l}" + "1 & " * N + "\\end{tabular}",
    "tabular options": "\\begin{tabular}" + "[" * N + "\\end{tabular}",
    "multicolumn": "\\begin{tabular}{l}" + "\\multicolumn{999}{c}{1} & " * 2_000 + "\\end{tabular}",
    "per cent": "%" * N,
    "backslashes": "\\" * N + "%",
    "carets": "^{" * N,
    "sum": "1 + " * N + "1 = 3",
    "sums": "1 + 1 = 2 + 2 = " * 20_000,
    "digits and commas": "1,111" * N,
    "digits": "9" * N + "%",
    "spaces": "12" + " " * N + "% of 14 people",
    "per cent of": "71% of " * 30_000,
    "from": "from 1 to 2 " * 30_000,
    "brackets of intervals": "0.1 [0.2, " * 30_000 + "CI",
    "dollars": "total was $1.00: " + "$1.00, " * 30_000,
    "words": "total was a b c " * 30_000,
    "signs": "+-" * N,
    "euro": "€1 + " * 30_000,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_any_text_is_a_document_or_a_named_error_soon(attack: str) -> None:
    for name in NAMES:
        for draft in (False, True):
            start = time.perf_counter()
            attempt(name, ATTACKS[attack], draft)
            assert time.perf_counter() - start < LIMIT, (name, draft)


def test_a_line_over_the_limit_is_named() -> None:
    for name in NAMES:
        found = attempt(name, "x\n" + "x" * (10**6 + 1))
        assert isinstance(found, TollensError)
        assert found.subject == f"{name}:2"


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/passwd", "a/../../b.json", "file:///etc/passwd", "~/x", "a\0b"]
)
def test_a_path_is_given_to_the_reader_as_it_stands(path: str) -> None:
    asked: list[str] = []

    def read(found: str) -> bytes:
        asked.append(found)
        return b'{"x": 1}'

    escaped = path.replace("\0", "\\u0000")
    read_claims("a.toml", HEAD + f'x = {{ from = "{escaped}#/x", unit = "1" }}', read)
    assert asked == [path]


def test_what_a_draft_quotes_cannot_leave_its_string() -> None:
    text = '71% of 10 participants "]\n[[claim]]\nid = "b" \\ \x1b 12/17 (99.9%) "x\u2028y" of 3 GB + 4 GB = 5 GB'
    drafted = draft_claims('a"\n[[claim]].md', text)
    again = read_claims("b.toml", draft_table(drafted), nothing)
    assert [c.id for c in again.claims] == [c.id for c in drafted.claims]
    assert len(again.claims) == 3


@given(st.sampled_from(NAMES), st.text(max_size=400), st.booleans())
@settings(max_examples=150, deadline=None)
def test_random_text(name: str, text: str, draft: bool) -> None:
    attempt(name, text, draft)


PIECES = [
    "0.5", "71%", " of ", "10 participants", "<!--t:", "a.x", "-->", " unit=", "1", "\n", "|", "---", "`", "claim ",
    "table ", "Total", "$", "=", "+", "[", "]", "(", ")", ",", "CI", "\\tnum", "{", "}", "%", "\\begin{tabular}",
    "\\end{tabular}", "&", "\\\\", "[[claim]]", "id = ", '"', "each=row", "from 3 s to ", "x faster", "→", "±",
    "\\multicolumn", "\\SI",
]  # fmt: skip


@given(st.sampled_from(NAMES), st.lists(st.sampled_from(PIECES), max_size=60), st.booleans())
@settings(max_examples=300, deadline=None)
def test_random_pieces_of_the_language(name: str, pieces: list[str], draft: bool) -> None:
    attempt(name, "".join(pieces), draft)


def test_ten_thousand_claims_are_read_soon() -> None:
    claim = (
        '[[claim]]\nid = "c{0}"\ntext = "the cache makes decode 3x faster, {0}"\nsource = "p.tex:{0}"\n[claim.fields]\n'
        'parts = {{ values = ["85", "620", "680", "45"], unit = "ms" }}\ntotal = {{ value = "{0}.5", unit = "ms" }}\n'
    )
    start = time.perf_counter()
    document = read_claims("a.toml", "".join(claim.format(i) for i in range(10_000)), nothing)
    spent = time.perf_counter() - start
    assert len(document.claims) == 10_000
    assert document.claims[-1].place.line == 10_000 * 7 - 6
    print(f"10,000 claims in {spent:.2f} s")
    assert spent < 10.0  # 2 s where nothing else runs
