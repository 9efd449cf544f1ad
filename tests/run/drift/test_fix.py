from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from tests.run.drift.planted import Twins, number, source, value

from tollens.core.errors import TollensError
from tollens.lint.number import parse_number
from tollens.lint.readers.paper import Written, read_paper, rewritten
from tollens.run.drift.check import drift
from tollens.run.drift.fix import fix
from tollens.run.drift.numbers import digits_due, fitted, verdict_on
from tollens.run.drift.repository import read_repository
from tollens.run.lint import lint_files

MENDED = {"D08", "D09", "D10"}
Bytes = Callable[[Path], dict[str, bytes]]


def test_a_fix_mends_the_numbers_and_nothing_else(planted: Path, snapshot: Bytes) -> None:
    before = snapshot(planted)
    found = drift(planted).findings
    report = drift(planted, fix=True)
    assert [(one.path, one.line) for one in report.fixed] == [(f.path, f.line) for f in found if f.code in MENDED]
    assert report.findings == [f for f in found if f.code not in MENDED]
    after = snapshot(planted)
    assert {name for name in before if before[name] != after[name]} == {one.path for one in report.fixed}
    assert before.keys() == after.keys()


def test_a_second_fix_changes_nothing(planted: Path, snapshot: Bytes) -> None:
    drift(planted, fix=True)
    after = snapshot(planted)
    assert drift(planted, fix=True).fixed == []
    assert snapshot(planted) == after


def test_decimals_and_every_other_character_are_kept(clean: Path) -> None:
    text = "\ufeff# Résumé\r\n\r\nA **-7.250**<!--t:cited.accuracy_diff unit=pp measured=true-->, 1<!--t:other.x-->\r\n"
    (clean / "papers" / "new.md").write_bytes(text.encode())
    (one,) = drift(clean, fix=True).fixed
    due = f"{value(clean, 'cited'):.3f}"
    assert (one.before, one.after) == ("-7.250 pp", f"{due} pp")
    bound = f"<!--t:cited.accuracy_diff unit=pp measured=true from={source(clean, 'cited')}-->"
    assert (clean / "papers" / "new.md").read_bytes().decode() == text.replace("-7.250", due).replace(
        "<!--t:cited.accuracy_diff unit=pp measured=true-->", bound
    )


def test_a_unit_that_is_printed_is_corrected_with_the_digits(clean: Path) -> None:
    (clean / "papers" / "new.md").write_text("It costs 5.0 %<!--t:cited.accuracy_diff--> of it.\n")
    drift(clean, fix=True)
    tag = f"<!--t:cited.accuracy_diff unit=pp from={source(clean, 'cited')}-->"
    assert (clean / "papers" / "new.md").read_text() == f"It costs {value(clean, 'cited'):.1f} pp{tag} of it.\n"
    assert drift(clean).findings == []


def test_a_macro_is_written_anew_and_lint_reads_it(clean: Path) -> None:
    paper = clean / "papers" / "new.tex"
    paper.write_text("\\newcommand{\\tnum}[4][]{#3}\nIt is \\tnum{cited.accuracy\\_diff}\n {-7.5} {\\%}.\n")
    drift(clean, fix=True)
    made = f"\\tnum[from={source(clean, 'cited')}]{{cited.accuracy\\_diff}}{{{value(clean, 'cited'):.1f}}}{{pp}}"
    assert paper.read_text() == f"\\newcommand{{\\tnum}}[4][]{{#3}}\nIt is {made}.\n"
    assert drift(clean).findings == []
    assert lint_files([str(paper)]).verdict != "FINDINGS"


def test_lint_accepts_what_binds_a_paper_to_a_record(clean: Path) -> None:
    assert lint_files([str(clean / "papers" / "good.md")]).verdict != "FINDINGS"


def test_what_a_bound_stands_before_is_left_alone(clean: Path) -> None:
    paper = clean / "papers" / "new.md"
    paper.write_text("below <-50<!--t:cited.accuracy_diff unit=pp-->\n")
    report = drift(clean, fix=True)
    assert (report.fixed, [f.code for f in report.findings]) == ([], ["D08"])
    assert paper.read_text() == "below <-50<!--t:cited.accuracy_diff unit=pp-->\n"


def test_a_fix_leaves_killed_claims_and_verdict_words_alone(clean: Path) -> None:
    paper = clean / "papers" / "new.md"
    paper.write_text(f"It held<!--t:cite dead as=survived-->: {number(clean, 'dead', digits='-1.0')}\n")
    report = drift(clean, fix=True)
    assert [f.code for f in report.findings] == ["D07"]
    assert "<!--t:cite dead as=survived-->" in paper.read_text()


@given(
    value=st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6),
    places=st.integers(0, 9),
    unit=st.sampled_from(["pp", "%", "1", "ms", "s", "decade"]),
    mark=st.sampled_from(["", "~"]),
)
@settings(max_examples=300)
def test_what_would_be_written_is_never_a_defect(value: float, places: int, unit: str, mark: str) -> None:
    shape = parse_number(f"{mark}{0:.{places}f}", "here")
    digits = fitted(shape, value)
    text = f"{mark}{digits}<!--t:a.b unit={unit if unit != 'decade' else '1'} from=0123456789ab-->"
    (printed,) = read_paper("a.md", text).numbers
    assert verdict_on(printed, value, "1" if unit == "decade" else unit, "0123456789ab") == (None, "")


@given(
    before=st.text(st.characters(codec="utf-8", exclude_characters="`<>\x00"), max_size=40),
    end=st.sampled_from(["\n", "\r\n"]),
    digits=st.decimals(-1000, 1000, places=2).map(str),
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.filter_too_much])
def test_rewriting_touches_only_the_number_and_its_tag(before: str, end: str, digits: str) -> None:
    text = f"{before}{end}{before} 1.5<!--t:a.b unit=s-->{before}{end}"
    try:
        (printed,) = read_paper("a.md", text).numbers
    except (TollensError, ValueError):  # a text that makes no number of it is none of this property
        reject()
    made = rewritten("a.md", text, [Written(printed, digits, "s", "0123456789ab")])
    assert made == f"{before}{end}{before} {digits}<!--t:a.b unit=s from=0123456789ab-->{before}{end}"


def test_half_is_rounded_either_way() -> None:
    for digits in ("0.12", "0.13"):
        (printed,) = read_paper("a.md", f"{digits}<!--t:a.b unit=pp from=0123456789ab-->").numbers
        assert verdict_on(printed, 0.125, "pp", "0123456789ab") == (None, "")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0.5<!--t:a.b unit=1 from=0123456789ab-->", "D10"),
        ("50<!--t:a.b unit=pp from=0123456789ab-->", "D10"),
        ("0.50<!--t:a.b unit=% from=0123456789ab-->", "D10"),
        ("49.9<!--t:a.b unit=% from=0123456789ab-->", "D08"),
        ("50<!--t:a.b unit=% from=ba9876543210-->", "D08"),
        ("50<!--t:a.b unit=%-->", "D09"),
        ("51<!--t:a.b unit=%-->", "D08"),
        ("50<!--t:a.b unit=% from=0123456789ab-->", None),
        ("50 %<!--t:a.b from=0123456789ab-->", None),
        ("~49<!--t:a.b unit=% from=0123456789ab-->", None),
    ],
)
def test_a_number_has_one_code(text: str, code: str | None) -> None:
    (printed,) = read_paper("a.md", text).numbers
    assert verdict_on(printed, 50.0, "%", "0123456789ab")[0] == code


def test_a_number_of_no_study_is_never_judged(twins: Twins) -> None:
    assert all(f.subject != "other" for f in drift(twins.clean).findings)


@pytest.mark.parametrize(
    ("written", "due"),
    [
        (r"$-7.5$", r"$-5.0$"),
        (r"\textbf{-7.5}", r"\textbf{-5.0}"),
        (r"\num{-7.5}", r"\num{-5.0}"),
        (" −7.5 ", "−5.0"),
        (r"-7.5\%", None),
        (r"1{,}000", None),
        (r"$-$7.5", None),
        (r"--7.5", None),
    ],
)
def test_latex_around_the_digits_is_kept(written: str, due: str | None) -> None:
    text = f"\\tnum{{a.b}}{{{written}}}{{pp}}\n"
    (printed,) = read_paper("a.tex", text).numbers
    if due is None:
        assert printed.digits is None
        return
    digits = fitted(printed.tagged.quantity.number, -5.0)
    made = rewritten("a.tex", text, [Written(printed, digits, "pp", "0123456789ab")])
    assert made == f"\\tnum[from=0123456789ab]{{a.b}}{{{due}}}{{pp}}\n"


@pytest.mark.parametrize(
    ("digits", "value", "due"),
    [
        ("0.13", 0.125, "0.13"),
        ("1’000", 1000.0, "1’000"),
        ("−5.0", -5.0, "−5.0"),
        ("−5.1", -5.0, "−5.0"),
        ("+5.0", 5.0, "+5.0"),
        ("+5.1", 5.0, "+5.0"),
        ("+5.1", -5.0, "-5.0"),
        (".5", 0.5, ".5"),
    ],
)
def test_digits_that_are_right_stay_as_they_are_written(digits: str, value: float, due: str) -> None:
    (printed,) = read_paper("a.md", f"{digits}<!--t:a.b unit=pp-->").numbers
    assert digits_due(printed, value, "pp") == due


def test_a_number_whose_first_group_a_space_parts_is_not_written_anew() -> None:
    (printed,) = read_paper("a.md", "1 000<!--t:a.b unit=count-->").numbers
    assert printed.digits is None


@given(
    value=st.floats(allow_nan=False, allow_infinity=False),
    digits=st.sampled_from(["0", "1e99", "1.5e-99", "0." + 18 * "1"]),
)
def test_every_float_can_be_written_with_every_number_of_decimals(value: float, digits: str) -> None:
    for unit in ("1", "%", "ms"):
        (printed,) = read_paper("a.md", f"{digits}<!--t:a.b unit={unit} from=0123456789ab-->").numbers
        made = fitted(printed.tagged.quantity.number, value)
        assert verdict_on(printed, value, "1", "0123456789ab")[0] in (None, "D08", "D10")
        assert float(made) == pytest.approx(value, rel=1e-9, abs=float(printed.tagged.quantity.number.step))


WRONG = "9.5<!--t:cited.accuracy_diff unit=pp-->\n"


def test_a_link_stays_a_link(clean: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text(WRONG)
    (clean / "real.md").write_text(WRONG)
    (clean / "papers" / "out.md").symlink_to(outside)
    (clean / "papers" / "in.md").symlink_to("../real.md")
    report = drift(clean, fix=True)
    assert [one.path for one in report.fixed] == ["real.md"]
    assert [(f.path, f.code) for f in report.findings] == [("papers/out.md", "D08")]
    assert (clean / "papers" / "in.md").is_symlink()
    assert (clean / "papers" / "out.md").is_symlink()
    assert outside.read_text() == WRONG


def test_permissions_are_kept_and_a_file_that_nobody_may_write_is_left(clean: Path) -> None:
    for name, mode in (("group.md", 0o640), ("closed.md", 0o444)):
        (clean / "papers" / name).write_text(WRONG)
        (clean / "papers" / name).chmod(mode)
    report = drift(clean, fix=True)
    assert [one.path for one in report.fixed] == ["papers/group.md"]
    assert [f.path for f in report.findings] == ["papers/closed.md"]
    assert (clean / "papers" / "group.md").stat().st_mode & 0o777 == 0o640
    assert (clean / "papers" / "closed.md").read_text() == WRONG


def test_a_paper_that_changed_since_it_was_read_is_left(clean: Path) -> None:
    paper = clean / "papers" / "new.md"
    paper.write_text(WRONG)
    repository = read_repository(clean)
    paper.write_text("one line more\n" + WRONG)
    assert fix(repository) == []
    assert paper.read_text() == "one line more\n" + WRONG


def test_cells_of_a_table_and_two_tags_of_a_line_keep_their_bytes(clean: Path) -> None:
    text = (
        "| a | b |\r\n|---|---|\r\n| é日𝔘 | 9.5<!--t:cited.accuracy_diff unit=pp--> | "
        "9.6 %<!--t:cited.accuracy_diff--> and 3<!--t:cited.cells unit=count--> |\r\n"
    )
    (clean / "papers" / "new.md").write_bytes(text.encode())
    due, bound = f"{value(clean, 'cited'):.1f}", f"from={source(clean, 'cited')}-->"
    assert len(drift(clean, fix=True).fixed) == 3
    assert (clean / "papers" / "new.md").read_bytes().decode() == (
        f"| a | b |\r\n|---|---|\r\n| é日𝔘 | {due}<!--t:cited.accuracy_diff unit=pp {bound} | "
        f"{due} pp<!--t:cited.accuracy_diff unit=pp {bound} and 2<!--t:cited.cells unit=count {bound} |\r\n"
    )


def test_a_number_below_code_is_written_where_it_stands() -> None:
    text = "```sh\ntollens drift --fix\n```\n\n    some code\n\nIt is 1.5<!--t:a.b unit=s-->.\n"
    (printed,) = read_paper("a.md", text).numbers
    made = rewritten("a.md", text, [Written(printed, "2.5", "s", "0123456789ab")])
    assert made == text.replace("1.5<!--t:a.b unit=s-->", "2.5<!--t:a.b unit=s from=0123456789ab-->")
