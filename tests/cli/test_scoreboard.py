"""The scoreboard and the questions to the record, at the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tollens.cli.main import run
from tollens.cli.scoreboard_screen import scoreboard_text
from tollens.publish.scoreboard_page import scoreboard_html
from tollens.publish.standing import cost_words, rung_words
from tollens.record.ledger import Writer
from tollens.run.scoreboard import ORDER, Scoreboard, Standing, scoreboard
from tollens.run.spend import spend

SMALL = {"seeds = [1, 2, 3]": "seeds = [1]", "axes = { seed = 3 }": "axes = { seed = 1 }"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drafts, a sealed study and one that survived: by the verbs that users have."""
    lab = tmp_path_factory.mktemp("made") / "lab"
    lab.mkdir()
    assert run(["new", str(lab / "alive")]) == 0
    _edit(lab / "alive" / "claim.toml", SMALL)
    for name in ("draft", "sealed", "other"):
        shutil.copytree(lab / "alive", lab / name)
    for name in ("alive", "sealed"):
        assert run(["lock", str(lab / name)]) == 0
    assert run(["climb", str(lab / "alive")]) == 0
    return lab


def _edit(path: Path, changes: dict[str, str]) -> None:
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture
def lab(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "lab")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "lab"


def test_a_folder_of_studies_is_a_scoreboard(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "lab"]) == 0
    shown = capfd.readouterr().out
    assert shown.startswith("1 SURVIVED, 3 open of 4 claims\n\nstudy ")
    assert re.search(r"^alive +SURVIVED +– +4 of 4 +0\.00 USD +\d\.\d{3} s +unanchored$", shown, re.M)
    assert shown.index("sealed ") < shown.index("draft ") < shown.index("alive ")
    assert "sealed files were not hashed: tollens drift does" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    assert run(["status", "lab", "--quiet"]) == 0
    assert capfd.readouterr().out == "1 SURVIVED, 3 open of 4 claims\n"
    assert run(["status", "lab/alive"]) == 0
    assert capfd.readouterr().out.startswith("SURVIVED  alive  unanchored\n")


def test_json_is_the_object_of_python(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "lab", "--json"]) == 0
    found = msgspec.json.decode(capfd.readouterr().out, type=Scoreboard, strict=True)
    assert found.schema == "tollens.scoreboard/1"
    assert found.studies == scoreboard("lab").studies
    assert found.counts == {"SEALED": 1, "DRAFT": 2, "SURVIVED": 1}


def test_broken_and_unreadable_studies_come_first_and_say_why(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (lab / "draft" / "claim.toml").write_text("x = [")
    assert run(["status", "lab"]) == 2
    ledger = lab / "alive" / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"seconds":', b'"seconds":1', 1))
    assert run(["status", "lab"]) == 20
    shown = capfd.readouterr().out.split("claims\n\n")[-1]
    assert shown.index("TAMPERED") < shown.index("UNREADABLE") < shown.index("SEALED")
    assert re.search(r"^alive +ledger\.jsonl:\d+: expected hash", shown, re.M)
    assert "next     tollens status lab/alive" in shown


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda s: (s / "seal.json").write_text("{}"), "seal.json: expected"),
        (lambda s: (s / "ledger.jsonl").unlink(), "seal.json lies there, and no ledger holds it"),
        (lambda s: (s / "ledger.jsonl").write_bytes(b"".join(_lines(s)[:-1])), "that decision.json repeats"),
    ],
)  # fmt: skip
def test_what_status_calls_tampered_without_hashing_is_tampered_here(lab: Path, damage: Any, said: str) -> None:
    scoreboard("lab")
    damage(lab / "alive")
    found = scoreboard("lab").studies[0]
    assert (found.path, found.state) == ("alive", "TAMPERED")
    assert said in found.found
    assert run(["status", "lab/alive"]) == 20


def _lines(study: Path) -> list[bytes]:
    return (study / "ledger.jsonl").read_bytes().splitlines(keepends=True)


def test_every_state_is_that_of_status(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for study in scoreboard("lab").studies:
        run(["status", f"lab/{study.path}", "--json"])
        said = json.loads(capfd.readouterr().out)
        assert (study.state, study.anchor, study.records) == (said["state"], said["anchor"], said["records"])
        assert (study.claim, study.text, study.exploratory) == (said["claim"], said["text"], said["exploratory"])


def test_forty_are_shown_and_the_rest_is_counted(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(50):
        shutil.copytree(lab / "draft", lab / f"more{number:02d}")
    assert run(["status", "lab"]) == 0
    shown = capfd.readouterr().out
    assert shown.count(" DRAFT ") + shown.count(" SEALED ") == 40
    assert "more     14 studies are not shown: --all shows them" in shown
    assert run(["status", "lab", "--all"]) == 0
    assert capfd.readouterr().out.count(" DRAFT ") == 52


def test_names_of_folders_write_nothing_on_the_terminal(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J\x1b]0;x\x07<script>\u202e"
    shutil.copytree(lab / "draft", lab / evil)
    shutil.copytree(lab / "draft", lab / os_name(b"raw\xff"))
    assert run(["status", "lab", "--html", "board.html"]) == 0
    shown = capfd.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    page = Path("board.html").read_text()
    assert "<script>" not in page
    assert "\x1b" not in page
    assert run(["record", "ask", "lab", "SELECT path FROM study"]) == 0
    assert "\x1b" not in capfd.readouterr().out


def os_name(name: bytes) -> str:
    import os

    return os.fsdecode(name)


def test_options_of_the_one_are_refused_for_the_other(lab: Path) -> None:
    assert run(["status", "lab", "--check-remote"]) == 2
    assert run(["status", "lab/alive", "--html", "x.html"]) == 2
    assert run(["status", "lab/alive", "--rehash"]) == 2
    (lab.parent / "empty").mkdir()
    assert run(["status", "empty"]) == 21
    assert run(["status", "absent"]) == 2


def test_a_study_that_a_constraint_holds_up_is_blocked(lab: Path) -> None:
    assert [s.state for s in scoreboard("lab").studies] == ["SEALED", "DRAFT", "DRAFT", "SURVIVED"]
    (lab / "tollens.toml").write_text(
        '[[constraint]]\nid = "kv"\ntrigger = "touches in {kv}"\nmechanism = "m"\ncitation = "c"\n'
        'require = ["reading:needle >= 0.95"]\n'
    )
    found = scoreboard("lab")
    assert (found.studies[0].path, found.studies[0].state) == ("sealed", "BLOCKED")
    assert found.studies[0].found == "held up by kv"
    assert run(["status", "lab/sealed"]) == 13


class Page(HTMLParser):
    """The tags and the rows of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.orders: list[str] = []
        self.links: list[str] = []
        self.buttons: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.orders += [value or "" for name, value in attrs if name == "style" and tag == "tr"]
        self.buttons += [value or "" for name, value in attrs if name == "id" and tag == "input"]
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_has_every_study_and_needs_nothing(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "lab", "--html", "board.html"]) == 0
    assert "report  board.html" in capfd.readouterr().out
    text = Path("board.html").read_text()
    page = Page()
    page.feed(text)
    assert page.tags.count("tr") == 5
    assert "script" not in page.tags
    assert page.links == []
    assert "default-src 'none'" in text
    assert "1 SURVIVED, 3 open of 4 claims" in text


def _standing(path: str, state: str, **more: Any) -> Standing:
    plain = {
        "claim": path, "text": "t", "rung": None, "found": "", "traps": 2, "fired": 2, "cost": {}, "seconds": 0.0,
        "anchor": "unanchored", "exploratory": False, "amendments": 0, "records": 1, "torn": 0, "next": "",
    }  # fmt: skip
    return Standing(path=path, state=state, **plain | more)


def test_the_orders_of_the_page() -> None:
    """Every radio button has its own order, each a permutation of the rows."""
    studies = [
        _standing("a", "KILLED", cost={"USD": 5, "JPY": str(10**20)}, seconds=1.0, rung="small"),
        _standing("b", "SURVIVED", cost={"USD": 9}, seconds=3.0, anchor="anchored: git origin 01 (remote not checked)"),
        _standing("c", "VOID", fired=1, seconds=2.0, cost={"JPY": 6, "EUR": -1}),
    ]  # fmt: skip
    board = Scoreboard(
        folder="f", headline="h", counts={}, studies=studies, ledgers="l", notes=[], exit_code=0, next="n"
    )  # fmt: skip
    page = Page()
    page.feed(scoreboard_html(board))
    orders = {
        name: "".join(
            path for _, path in sorted(
                (int(re.search(rf"--{name}:(\d+)", order)[1]), s.path)  # type: ignore[index]
                for order, s in zip(page.orders, studies, strict=True)
            )
        )
        for name in ("worst", "name", "cost-EUR", "cost-JPY", "cost-USD", "time", "traps", "anchor")
    }  # fmt: skip
    assert orders == {
        "worst": "cab", "name": "abc", "cost-EUR": "cab", "cost-JPY": "acb", "cost-USD": "bac", "time": "bca",
        "traps": "cab", "anchor": "acb",
    }  # fmt: skip
    assert page.buttons == [f"by-{name}" for name in orders]
    assert set(ORDER) >= {s.state for s in studies}


ASKED = (
    ("ATTACH 'x.db' AS y", "ATTACH"), ("PRAGMA writable_schema = 1", "PRAGMA"), ("PRAGMA query_only = OFF", "PRAGMA"),
    ("DELETE FROM study", "DELETE"), ("UPDATE study SET state = 'SURVIVED'", "UPDATE"),
    ("INSERT INTO study (path) VALUES ('x')", "INSERT"), ("DROP TABLE record", "DELETE"),
    ("CREATE TABLE t (x)", "INSERT"), ("CREATE TEMP TABLE t (x)", "CREATE TEMP TABLE"), ("VACUUM", "ATTACH"),
    ("VACUUM INTO 'y.db'", "ATTACH y.db"), ("REINDEX", "REINDEX"), ("ANALYZE", "ANALYZE"), ("BEGIN", "TRANSACTION"),
    ("SELECT load_extension('x')", "FUNCTION"), ("", "nothing that gives rows"),
    ("/* only words */", "nothing that gives rows"),
)  # fmt: skip


@pytest.mark.parametrize(("query", "found"), ASKED)
def test_a_question_only_reads(lab: Path, capfd: pytest.CaptureFixture[str], query: str, found: str) -> None:
    before = scoreboard("lab").studies
    capfd.readouterr()
    assert run(["record", "ask", "lab", query]) == 2
    said = capfd.readouterr().err
    assert said.startswith("query_refused")
    assert found in said
    assert scoreboard("lab").studies == before
    assert not any(Path(name).exists() for name in ("x.db", "y.db"))


def test_answers_and_their_limits(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["record", "ask", "lab", "SELECT path, state FROM study ORDER BY path", "--quiet"]) == 0
    assert capfd.readouterr().out == "alive\tSURVIVED\ndraft\tDRAFT\nother\tDRAFT\nsealed\tSEALED\n"
    assert run(["record", "ask", "lab", "SELECT * FROM reading", "--rows", "2", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (len(found["rows"]), found["cut"], found["schema"]) == (2, True, "tollens.ask/1")
    endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r"
    assert run(["record", "ask", "lab", endless, "--seconds", "0.2"]) == 2
    assert "query_slow" in capfd.readouterr().err
    for wrong in ("SELECT nothing FROM study", "SELECT 1; SELECT 2", "SELEC", "SELECT zeroblob(1000000000)"):
        assert run(["record", "ask", "lab", wrong]) == 2
        assert "query_failed" in capfd.readouterr().err
    assert run(["record", "ask", "lab", "SELECT 9e999, x'00ff', NULL, 1.5", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["rows"] == [["inf", "00ff", None, 1.5]]


def test_the_examples_are_answered(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Writer(lab / "draft" / "ledger.jsonl").append(
        "waiver", {"claim": "c", "constraint": "kv", "digest": "0" * 64, "reason": "r", "until": "2027-01-01"}
    )  # fmt: skip
    assert run(["record", "ask", "lab", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    for query in found["examples"]:
        assert run(["record", "ask", "lab", query, "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["rows"], query
    for table in found["tables"]:
        assert run(["record", "ask", "lab", f'SELECT * FROM "{table["name"]}"', "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["columns"] == table["columns"]
    assert run(["record", "ask", "lab", 'SELECT "constraint", "until" FROM waiver', "--quiet"]) == 0
    assert capfd.readouterr().out == "kv\t2027-01-01\n"


def test_a_wide_answer_is_shown_in_lines(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["record", "ask", "lab", "SELECT * FROM study WHERE path = 'alive'"]) == 0
    shown = capfd.readouterr().out
    assert shown.startswith("row 1\npath ")
    assert max(map(len, shown.splitlines())) <= 80


ENTRY = "import sys; from tollens.cli.main import run; sys.exit(run(sys.argv[1:]))"
FILLED = "printf('%.*c', 8000000, 'a')"


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT instr({FILLED} || {FILLED}, {FILLED} || 'b')",
        f"SELECT replace({FILLED} || {FILLED}, {FILLED} || 'b', 'c') IS NULL",
    ],
)
def test_one_instruction_that_takes_hours_is_ended(lab: Path, query: str) -> None:
    """SQLite looks at no clock within it."""
    command = [sys.executable, "-c", ENTRY, "record", "ask", "lab", query, "--seconds", "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("query_slow")
    assert run(["record", "ask", "lab", "SELECT 1", "--quiet"]) == 0


def test_an_answer_does_not_fill_the_memory(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT hex(zeroblob(5000000)) FROM c"
    assert run(["record", "ask", "lab", endless, "--rows", "1000000"]) == 2
    assert "an answer of more than 64 MiB" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["ledger.jsonl", "claim.toml", "seal.json", "decision.json"])
def test_a_pipe_ends_no_scoreboard(lab: Path, name: str) -> None:
    for study in ("alive", "sealed", "draft"):
        path = lab / study / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    command = [sys.executable, "-c", ENTRY, "status", "lab", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout.endswith("of 4 claims\n")


def test_the_next_commands_can_be_run_as_they_stand(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """From here and with blanks in names; `amend a` has the letter of the study in the verb."""
    lab.rename("my lab")
    Path("my lab/draft").rename("my lab/a")
    Path("my lab/other").rename("my lab/it's mine")
    board = scoreboard("my lab")
    for study in board.studies:
        program, verb, folder, *_ = shlex.split(study.next)
        assert (program, folder) == ("tollens", f"my lab/{study.path}")
        assert verb in {"lock", "climb", "status"}
    assert run(shlex.split(board.next)[1:]) == 0
    text = next(s for s in board.studies if s.path == "it's mine").next
    assert run(shlex.split(text)[1:]) == 0
    assert run(["status", "--spend", "my lab"]) == 0
    said = capfd.readouterr().out.rpartition("next")[2]
    assert run(shlex.split(said)[1:]) == 0


def test_money_is_that_of_spend(lab: Path) -> None:
    """Exact however much it is, and without the rows of a seal that the ledger does not have."""
    row = {
        "claim": "c", "rung": "other", "cell": "all", "attempt": 1, "kind": "actual", "currency": "EUR",
        "rate_id": "stated", "quantity": 1, "unit": "purchase", "evidence": "e", "amount_micro": 2**53 - 1,
    }  # fmt: skip
    log = Writer(lab / "alive" / "ledger.jsonl")
    for _ in range(3):
        log.append("spend", row)
    log.append("spend", {**row, "currency": "CHF", "seal": "0" * 64})
    (found,) = [s for s in scoreboard("lab").studies if s.path == "alive"]
    (spent,) = [s for s in spend("lab").studies if s.path == "alive"]
    assert found.cost == {f.currency: f.net_micro for f in spent.figures}
    assert found.cost == {"USD": found.cost["USD"], "EUR": str(3 * (2**53 - 1))}
    assert cost_words({"EUR": found.cost["EUR"]}) == "27021597764.222973 EUR"


@pytest.mark.parametrize("width", [80, 120])
def test_long_names_are_broken_at_their_parts_or_say_that_they_were_cut(
    lab: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    long = _standing(
        "quantised-kv-cache-keeps-needle-retention", "KILLED", rung="long-context-needle", obstacle="LOW_RANK_RESIDUAL",
        cost={"USD": 12_400_000, "EUR": 1_234_567_890_000}, seconds=86_400.0, exploratory=True,
        anchor="anchored: git origin 0123456789ab (remote not checked)",
    )  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(width))
    board = scoreboard("lab")
    board = msgspec.structs.replace(board, studies=[long, _standing("x" * 70, "SURVIVED")])
    shown = scoreboard_text(board)
    assert max(map(len, shown.splitlines())) <= width
    for word in ("kv-", "needle", "LOW_", "12.40 USD", "1234567.89 EUR", "0123456", "EXPLORATORY"):
        assert word in shown
    assert re.search(r"^x+… +SURVIVED", shown, re.M)
    assert shown.count("…") <= 3


def test_what_a_claim_died_of_stands_beside_the_rung() -> None:
    dead = _standing("a", "KILLED", rung="small", obstacle="BUDGET")
    assert rung_words(dead) == "small: BUDGET"
    assert rung_words(msgspec.structs.replace(dead, obstacle=None)) == "small"


def test_a_tollens_toml_that_is_none_stops_one_study(lab: Path) -> None:
    (lab / "sealed" / "tollens.toml").write_text("x = [")
    board = scoreboard("lab")
    assert (board.studies[0].path, board.studies[0].state, board.exit_code) == ("sealed", "UNREADABLE", 2)
    assert board.counts["SURVIVED"] == 1
    assert run(["status", "lab/sealed"]) == 2


def test_a_folder_whose_name_is_no_text_is_held_up_like_any(lab: Path) -> None:
    """Its name in the index is not that of the folder."""
    os.rename(os.fsencode(lab / "sealed"), os.fsencode(lab) + b"/se\xffled")
    (lab / "tollens.toml").write_text(
        '[[constraint]]\nid = "kv"\ntrigger = "touches in {kv}"\nmechanism = "m"\ncitation = "c"\n'
        'require = ["reading:needle >= 0.95"]\n'
    )
    assert (scoreboard("lab").studies[0].path, scoreboard("lab").studies[0].state) == ("se\\xffled", "BLOCKED")


def test_without_money_the_page_has_no_order_by_money() -> None:
    board = Scoreboard(
        folder="f", headline="h", counts={}, studies=[_standing("a", "DRAFT")], ledgers="l", notes=[], exit_code=0,
        next="n",
    )  # fmt: skip
    page = Page()
    page.feed(scoreboard_html(board))
    assert page.buttons == ["by-worst", "by-name", "by-time", "by-traps", "by-anchor"]
