"""Cells of a `t:table` as numbers of the studies that it names."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.run.drift.planted import edit, source, value

from tollens.core.errors import TollensError
from tollens.lint.readers.latex import latex_claims
from tollens.lint.readers.markdown import markdown_claims
from tollens.lint.readers.paper import read_paper
from tollens.run.climb import climb
from tollens.run.drift.check import drift
from tollens.run.lint import lint_files
from tollens.run.lock import lock

ONE = "accuracy_diff=2:pp cells=3"
MARKDOWN = (
    "# T\r\n\r\n<!--t:table cited {options}-->\r\n| é | diff | n |\r\n|---|---:|---|\r\n| a\\|b | {diff} | {n} |\r\n"
)
LATEX = (
    "\\begin{{document}}\n% t:table cited {options}\n\\begin{{tabular}}{{lrr}}\n\\toprule\nx & diff & n \\\\\n"
    "\\midrule\na\\&b & {diff} & {n} \\\\\n\\bottomrule\n\\end{{tabular}}\n"
)
FORMS = {"new.md": MARKDOWN, "new.tex": LATEX}


def written(root: Path, name: str, text: str) -> Path:
    place = root / "papers" / name
    place.write_bytes(text.encode())
    return place


def codes(root: Path) -> list[tuple[str, str]]:
    return [(f.code, f.what.partition(":")[0]) for f in drift(root).findings]


@pytest.mark.parametrize("name", [*FORMS])
@pytest.mark.parametrize(
    ("diff", "bound", "found"),
    [
        ("{v:.2f}", "{s}", []),
        ("{v:.2f}", "", [("D09", "accuracy_diff"), ("D09", "cells")]),
        ("-7.5", "{s}", [("D08", "accuracy_diff")]),
        ("{v:.2f}", "0123456789ab", [("D08", "accuracy_diff"), ("D08", "cells")]),
        ("{c:.3f}", "{s}", [("D10", "accuracy_diff")]),
    ],
)
def test_cells_are_judged_as_numbers_are(
    clean: Path, name: str, diff: str, bound: str, found: list[tuple[str, str]]
) -> None:
    v, s = value(clean, "cited"), source(clean, "cited")
    options = f"{ONE} from={bound.format(s=s)}" if bound else ONE
    written(clean, name, FORMS[name].format(options=options, diff=diff.format(v=v, c=v / 100), n=2))
    assert sorted(codes(clean)) == found
    report = drift(clean, fix=True)
    assert report.findings == []
    assert [one.field for one in report.fixed] == [f"cited.{field}" for _, field in found]
    assert drift(clean, fix=True).fixed == []


@pytest.mark.parametrize("name", [*FORMS])
def test_a_fix_writes_the_digits_and_from_and_nothing_else(clean: Path, name: str) -> None:
    bold = "**-7.50**" if name == "new.md" else r"\textbf{-7.50}"
    kept = FORMS[name].format(options=f'{ONE} skip=""', diff=bold, n="~9")
    place = written(clean, name, kept)
    assert [one.before for one in drift(clean, fix=True).fixed] == ["-7.50 pp", "~9" if name == "new.md" else "9"]
    due = kept.replace("-7.50", f"{value(clean, 'cited'):.2f}").replace("~9", "~2")
    due = due.replace('skip=""', f'skip="" from={source(clean, "cited")}')
    assert place.read_bytes().decode() == due
    assert drift(clean).findings == []
    assert lint_files([str(place)]).verdict != "FINDINGS"


EACH = {
    "new.md": "<!--t:table s each=row label=2 accuracy_diff=1:pp{bound}-->\n| diff | claim |\n|---|---|\n"
    "| 9.5 | one |\n| 1.5 | nobody |\n| – | Two |\n| 9.6 | two |\n",
    "new.tex": "% t:table s each=row label=2 accuracy_diff=1:pp{bound}\n\\begin{{tabular}}{{rl}}\n"
    "\\hline\ndiff & claim \\\\\n"
    "\\hline\n9.5 & one \\\\\n1.5 & nobody \\\\\n-- & Two \\\\\n$9.6$ & two \\\\\n\\end{{tabular}}\n",
}


def test_rows_of_several_claims_are_bound_in_the_order_of_the_rows(clean: Path) -> None:
    (clean / "tollens.toml").unlink()
    for study in ("one", "two"):
        folder = Path(shutil.copytree(clean / "studies" / "draft", clean / "studies" / study))
        edit(folder / "claim.toml", 'id = "draft"', f'id = "s.{study}"')
        lock(folder)
        climb(folder)
    one, two = source(clean, "one"), source(clean, "two")
    for name, form in EACH.items():
        place = written(clean, name, form.format(bound=""))
        assert sorted(f.subject for f in drift(clean).findings) == ["s.one", "s.two"]
        assert [fixed.field for fixed in drift(clean, fix=True).fixed] == ["s.one.accuracy_diff", "s.two.accuracy_diff"]
        due = form.format(bound=f" from={one},-,-,{two}")
        for digits, study in (("9.5", "one"), ("9.6", "two")):
            due = due.replace(digits, f"{value(clean, study):.1f}")
        assert place.read_text() == due
        assert drift(clean).findings == []
        for other in (f"{two},-,-,{one}", one, f"-,{one},-,{two}"):
            place.write_text(due.replace(f"{one},-,-,{two}", other))
            assert drift(clean).findings != []
        place.unlink()


@pytest.mark.parametrize("name", [*FORMS])
def test_a_cell_with_a_tag_of_its_own_is_bound_by_that_one(clean: Path, name: str) -> None:
    v, s = value(clean, "cited"), source(clean, "cited")
    own = (
        f"9.5<!--t:gate.accuracy_diff unit=pp from={s}-->"
        if name == "new.md"
        else f"\\tnum[from={s}]{{gate.accuracy_diff}}{{9.5}}{{pp}}"
    )
    written(clean, name, FORMS[name].format(options=f"{ONE} from={s}", diff=own, n=2))
    (found,) = drift(clean).findings
    assert (found.code, found.subject) == ("D08", "gate")
    assert v < 9


@pytest.mark.parametrize("name", [*FORMS])
def test_a_unit_of_a_column_is_left_to_its_author(clean: Path, name: str) -> None:
    text = FORMS[name].format(
        options=f"accuracy_diff=2:% from={source(clean, 'cited')}", diff=f"{value(clean, 'cited'):.1f}", n=2
    )
    place = written(clean, name, text)
    report = drift(clean, fix=True)
    assert report.fixed == []
    (found,) = report.findings
    assert found.code == "D10"
    assert "accuracy_diff=2:pp" in found.fix
    place.write_bytes(text.replace("2:%", "2:pp").encode())
    assert drift(clean).findings == []


@pytest.mark.parametrize("diff", ["-7.5 ± 0.3", "-7.5 (0.1)"])
def test_digits_among_others_are_judged_and_left(clean: Path, diff: str) -> None:
    text = MARKDOWN.format(options="accuracy_diff=2:pp", diff=diff, n=2)
    place = written(clean, "new.md", text)
    report = drift(clean, fix=True)
    assert ([f.code for f in report.findings], report.fixed) == (["D08"], [])
    assert place.read_bytes().decode() == text


def test_a_table_of_a_claim_that_is_not_here_or_not_decided(clean: Path) -> None:
    written(clean, "a.md", MARKDOWN.format(options="accuracy_diff=2:pp", diff="1.5", n=2).replace("cited", "nobody"))
    assert drift(clean).findings == []
    written(
        clean, "a.md",
        MARKDOWN.format(options="accuracy_diff=2:pp from=0123456789ab", diff="1.5", n=2).replace("cited", "nobody"),
    )  # fmt: skip
    written(clean, "b.md", MARKDOWN.format(options="accuracy_diff=2:pp", diff="1.5", n=2).replace("cited", "open"))
    written(clean, "c.md", MARKDOWN.format(options="accuracy_diff=2:pp", diff="1.5", n=2).replace("cited", "dead"))
    assert [(f.path, f.line, f.code) for f in drift(clean).findings] == [
        ("papers/a.md", 6, "D04"), ("papers/b.md", 6, "D05"), ("papers/c.md", 6, "D07"), ("papers/c.md", 6, "D08"),
    ]  # fmt: skip


@pytest.mark.parametrize(("read", "name"), [(markdown_claims, "new.md"), (latex_claims, "new.tex")])
def test_lint_takes_from_and_makes_no_claim_of_what_it_binds(read: Callable[..., object], name: str) -> None:
    free = FORMS[name].format(options="x_ms=2 y_ms=3", diff="-7.5", n=2)
    bound = FORMS[name].format(options="x_ms=2 y_ms=3 from=0123456789ab", diff="-7.5", n=2)
    assert [c.id for c in read(name, free).claims] == ["cited.x_ms", "cited.y_ms"]
    assert read(name, bound).claims == ()
    each = FORMS[name].format(options="each=row x=2:ms from=-", diff="-7.5", n=2)
    assert [c.id for c in read(name, each).claims] == ["cited.a-b"]
    assert read(name, each.replace("from=-", "from=0123456789ab")).claims == ()


@pytest.mark.parametrize("name", [*FORMS])
def test_a_table_tag_that_is_none_cannot_be_read(name: str) -> None:
    for text in (FORMS[name].format(options="x=9", diff="1", n=2), FORMS[name].format(options="x=1", diff="1", n=2)):
        with pytest.raises(TollensError):
            read_paper(name, text)


def test_a_long_table_takes_a_time_that_grows_with_its_rows() -> None:
    rows = "".join(f"| r{n} | {n}.5 |\n" for n in range(20_000))
    text = f"<!--t:table a each=row x=2:ms from={','.join(['0123456789ab'] * 20_000)}-->\n"[:3900]
    began = time.perf_counter()
    paper = read_paper("a.md", f"{text.rstrip()}-->\n| r | x |\n|---|---|\n{rows}")
    assert len(paper.numbers) == 20_000
    assert time.perf_counter() - began < 20
