"""The index: whatever happened to ledgers and to the file itself, it says what a new one says."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.record.envelope import line, sealed_envelope
from tollens.record.ledger import Writer, parse_ledger, read_ledger
from tollens.record.tables import APPLICATION
from tollens.run.index import SECOND, indexed, settled
from tollens.run.scoreboard import Scoreboard, scoreboard

TIME = "2026-01-01T00:00:00.000Z"
KEY = {"seal": "a" * 64, "rung": "small", "arm": "near", "cell": "seed=1", "seed": 1}
ROW = {
    "claim": "c", "rung": "small", "cell": "all", "attempt": 1, "currency": "USD", "rate_id": "r", "quantity": 1,
    "unit": "request", "evidence": "e",
}  # fmt: skip


def body(number: int) -> tuple[str, dict[str, Any]]:
    """A record of a kind that the number chooses."""
    return [
        ("spend", {**ROW, "kind": "actual", "amount_micro": 1000 + number}),
        ("spend", {**ROW, "kind": "refund", "amount_micro": -number, "currency": "EUR"}),
        ("spend", {**ROW, "kind": "estimate", "amount_micro": 10**6}),
        ("cell.started", {"run": "r", "key": KEY, "attempt": 1}),
        ("cell.finished", {"run": "r", "key": KEY, "attempt": 1, "readings": {"x": number / 7, "y": 1e-9},
                           "seconds": 0.1 * number, "note": ""}),
        ("run.started", {"seal": "a" * 64, "lesson": "é \U0001f600 \n"}),
    ][number % 6]  # fmt: skip


def history(numbers: list[int]) -> bytes:
    before, data = None, []
    for number in numbers:
        before = sealed_envelope(*body(number), before, "me", TIME)  # type: ignore[arg-type]
        data.append(line(before))
    return b"".join(data)


def longer(data: bytes, numbers: list[int]) -> bytes:
    """A ledger with more behind it; what is torn is cut off, as a writer does."""
    whole = data[: data.rfind(b"\n") + 1]
    try:
        records = parse_ledger(whole).records
    except TollensError:
        return data
    before = records[-1] if records else None
    for number in numbers:
        before = sealed_envelope(*body(number), before, "me", TIME)  # type: ignore[arg-type]
        whole += line(before)
    return whole


def dump(root: Path, index: Path | None = None, **how: bool) -> dict[str, list[tuple[Any, ...]]]:
    with indexed(root, index, **how) as (found, _):
        return found.dump()


def anew(root: Path, aside: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The dump of an index that knew nothing."""
    index = aside / f"{random.getrandbits(64):x}.sqlite"
    try:
        return dump(root, index)
    finally:
        index.unlink()


def make(root: Path, count: int, records: int = 3) -> None:
    for number in range(count):
        folder = root / f"s{number:03d}"
        folder.mkdir(parents=True)
        (folder / "ledger.jsonl").write_bytes(history([*range(number, number + records)]))


def age(root: Path) -> None:
    """Nothing was written within the last tick of the clock."""
    import time

    newest = max(p.stat().st_ctime_ns for p in root.rglob("*") if p.is_file())
    while time.time_ns() - newest < 60_000_000:
        time.sleep(0.01)


NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=4)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["append", "append", "append", "cut", "rewrite", "edit", "same size and time", "remove", "claim", "delete"]
        ),
        st.integers(0, 2), NUMBERS, st.integers(0, 400),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_an_index_that_grew_equals_a_new_one(tmp_path: Path, steps: list[tuple[str, int, list[int], int]]) -> None:
    root, aside = tmp_path / "lab", tmp_path / "aside"
    shutil.rmtree(root, ignore_errors=True)
    aside.mkdir(exist_ok=True)
    for name in "abc":
        (root / name).mkdir(parents=True)
    for what, which, numbers, place in steps:
        folder = root / "abc"[which]
        ledger = folder / "ledger.jsonl"
        data = ledger.read_bytes() if ledger.exists() else b""
        if what == "append":
            ledger.write_bytes(longer(data, numbers))
        elif what == "cut":
            ledger.write_bytes(data[: max(0, len(data) - place)])
        elif what == "rewrite":
            ledger.write_bytes(history(numbers))
        elif what == "edit" and data:
            ledger.write_bytes(data[: place % len(data)] + b"#" + data[place % len(data) + 1 :])
        elif what == "same size and time" and data:
            before = ledger.stat()
            ledger.write_bytes(data.replace(b'"claim":"c"', b'"claim":"d"').replace(b'"me"', b'"ma"'))
            os.utime(ledger, ns=(before.st_atime_ns, before.st_mtime_ns))
        elif what == "remove":
            ledger.unlink(missing_ok=True)
        elif what == "claim":
            (folder / "claim.toml").write_text(f"x = {place}")
        else:
            shutil.rmtree(root / ".tollens", ignore_errors=True)
        assert dump(root) == anew(root, aside)


PLACES = ("a", "b", "deep/c", "d", "deep/er/e")
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["rename", "rename", "swap", "swap ledgers", "copy", "delete", "append", "wait"]),
        st.sampled_from(PLACES), st.sampled_from(PLACES), st.booleans(),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


def move(root: Path, what: str, one: Path, other: Path) -> None:
    """Nothing where it cannot be done."""
    if what == "wait":
        age(root)
    elif one == other or not one.exists():
        return
    elif what == "delete":
        shutil.rmtree(one)
    elif what == "append":
        (one / "ledger.jsonl").write_bytes(longer((one / "ledger.jsonl").read_bytes(), [3]))
    elif what in ("rename", "copy") and not other.exists():
        other.parent.mkdir(parents=True, exist_ok=True)
        one.rename(other) if what == "rename" else shutil.copytree(one, other)
    elif what.startswith("swap") and other.exists():
        one, other = (one / "ledger.jsonl", other / "ledger.jsonl") if what == "swap ledgers" else (one, other)
        one.rename(root / "aside")
        other.rename(one)
        (root / "aside").rename(other)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MOVES)
@example([("wait", "a", "b", True), ("swap", "a", "b", True)])
@example([("wait", "a", "b", True), ("swap ledgers", "a", "b", True)])
@example(
    [("wait", "a", "b", True), ("rename", "a", "deep/c", False), ("copy", "b", "a", False), ("wait", "a", "b", True)]
)
def test_folders_that_are_moved_between_two_looks(tmp_path: Path, moves: list[tuple[str, str, str, bool]]) -> None:
    """Two of the ledgers have one size and one time of writing."""
    root, aside = tmp_path / "lab", tmp_path / "aside"
    shutil.rmtree(root, ignore_errors=True)
    aside.mkdir(exist_ok=True)
    root.mkdir()
    for name, numbers in (("a", [0, 1, 2]), ("b", [0, 7, 2]), ("d", [4])):
        (root / name).mkdir()
        (root / name / "ledger.jsonl").write_bytes(history(numbers))
        os.utime(root / name / "ledger.jsonl", (1, 1))
    dump(root)
    for what, one, other, looked in moves:
        move(root, what, root / one, root / other)
        if looked:
            assert dump(root) == anew(root, aside)
    assert dump(root) == anew(root, aside)


def test_a_study_that_another_process_has_indexed_meanwhile_is_left_out(tmp_path: Path) -> None:
    """It is in no folder that was looked into."""
    from tollens.run.index import _anchored

    make(tmp_path, 3)
    with indexed(tmp_path) as (found, done):
        known = {**found.known(), "late": {**found.known()["s000"], "path": "late"}}
        assert {*_anchored(found, done.folders, known)} == {"s000", "s001", "s002"}


def test_what_has_not_changed_is_not_read_and_rehash_reads_it(tmp_path: Path) -> None:
    make(tmp_path, 5)
    age(tmp_path)
    assert scoreboard(tmp_path).ledgers.startswith("5 read;")
    assert scoreboard(tmp_path).ledgers.startswith("0 read, 5 unchanged since they were indexed (size and time;")
    assert scoreboard(tmp_path, rehash=True).ledgers.startswith("5 read;")
    Writer(tmp_path / "s002" / "ledger.jsonl").append("spend", {**ROW, "kind": "actual", "amount_micro": 5})
    age(tmp_path)
    assert scoreboard(tmp_path).ledgers.startswith("0 read, 1 read from their old end on, 4 unchanged")


def test_only_the_tail_is_parsed_where_a_ledger_grew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tollens.run import entry

    make(tmp_path, 1, records=50)
    scoreboard(tmp_path)
    Writer(tmp_path / "s000" / "ledger.jsonl").append("spend", {**ROW, "kind": "actual", "amount_micro": 5})
    sizes: list[int] = []

    def parsed(data: bytes, prev: str, seq: int) -> Any:
        sizes.append(data.count(b"\n"))
        return tail(data, prev, seq)

    tail = entry.parse_tail
    monkeypatch.setattr(entry, "parse_tail", parsed)
    assert scoreboard(tmp_path).studies[0].records == 51
    assert sizes == [1]


def test_a_changed_prefix_is_found_although_the_ledger_grew(tmp_path: Path) -> None:
    make(tmp_path, 1)
    path = tmp_path / "s000" / "ledger.jsonl"
    scoreboard(tmp_path)
    grown = longer(path.read_bytes(), [7, 8])
    path.write_bytes(grown.replace(b'"amount_micro":1000', b'"amount_micro":1001', 1))
    assert scoreboard(tmp_path).studies[0].state == "TAMPERED"


def test_a_ledger_restored_from_a_backup(tmp_path: Path) -> None:
    root, aside = tmp_path / "lab", tmp_path
    make(root, 2, records=6)
    path = root / "s001" / "ledger.jsonl"
    data = path.read_bytes()
    dump(root)
    path.write_bytes(b"".join(data.splitlines(keepends=True)[:3]))
    os.utime(path, (1, 1))
    with indexed(root) as (found, _):
        assert found.dump() == anew(root, aside)
        assert found.db.execute("SELECT count(*) FROM record WHERE study = 's001'").fetchone() == (3,)


@pytest.mark.parametrize("what", ["garbage", "nothing", "another version", "another program", "cut", "a view more"])
def test_a_file_that_is_no_index_is_made_anew(tmp_path: Path, what: str) -> None:
    root = tmp_path / "lab"
    make(root, 3)
    expected = dump(root)
    path = root / ".tollens" / "index.sqlite"
    if what == "garbage":
        path.write_bytes(bytes(random.Random(1).randbytes(5000)))
    elif what == "nothing":
        path.write_bytes(b"")
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:20_000])
    else:
        db = sqlite3.connect(path)
        db.execute(
            {
                "another version": "UPDATE meta SET tollens = '0.0.1'",
                "another program": "PRAGMA application_id = 7",
                "a view more": "CREATE VIEW extra AS SELECT 1",
            }[what]
        )
        db.commit()
        db.close()
    with indexed(root) as (found, done):
        assert found.dump() == expected
        assert found.path == path
        assert any("made anew" in note for note in done.notes) or what == "nothing"
    assert scoreboard(root).notes == []


def test_a_changed_row_is_noticed(tmp_path: Path) -> None:
    """Without `proof` a damaged or edited index would be believed."""
    make(tmp_path, 3)
    age(tmp_path)
    expected = dump(tmp_path)
    path = tmp_path / ".tollens" / "index.sqlite"
    for change in ("UPDATE study SET state = 'SURVIVED'", "DELETE FROM ledger WHERE study = 's001'"):
        db = sqlite3.connect(path)
        db.execute(change)
        db.commit()
        db.close()
        with indexed(tmp_path) as (found, done):
            assert found.dump() == expected
            assert "made anew: it was damaged" in done.notes[0]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4))
def test_random_damage_never_changes_the_scoreboard(tmp_path: Path, damage: list[tuple[int, bytes]]) -> None:
    root = tmp_path / "lab"
    if not root.exists():
        make(root, 4)
        age(root)
    shutil.rmtree(root / ".tollens", ignore_errors=True)
    expected = scoreboard(root)
    path = root / ".tollens" / "index.sqlite"
    data = bytearray(path.read_bytes())
    for place, wrong in damage:
        place %= len(data)
        data[place : place + len(wrong)] = wrong
    path.write_bytes(data)
    found = scoreboard(root)
    assert (found.studies, found.headline) == (expected.studies, expected.headline)


def test_what_is_no_plain_file_is_left_alone(tmp_path: Path) -> None:
    root, victim = tmp_path / "lab", tmp_path / "victim"
    make(root, 2)
    victim.mkdir()
    (root / ".tollens").symlink_to(victim)
    assert "kept in memory" in scoreboard(root).notes[0]
    assert [*victim.iterdir()] == []
    (root / ".tollens").unlink()
    (root / ".tollens" / "index.sqlite").mkdir(parents=True)
    assert "kept in memory" in scoreboard(root).notes[0]
    shutil.rmtree(root / ".tollens")
    (root / ".tollens").write_text("a file")
    found = scoreboard(root)
    assert "kept in memory" in found.notes[0]
    assert len(found.studies) == 2


def test_a_file_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    make(tmp_path / "lab", 1)
    other = tmp_path / "other.sqlite"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE mine (x)")
    db.commit()
    db.close()
    for text in (other.read_bytes(), b"my notes", b"x" * 5000):
        other.write_bytes(text)
        with pytest.raises(TollensError) as caught:
            scoreboard(tmp_path / "lab", other)
        assert (caught.value.code, caught.value.exit_code) == ("index_foreign", 2)
        assert other.read_bytes() == text
    own = tmp_path / "own.sqlite"
    assert len(scoreboard(tmp_path / "lab", own).studies) == 1
    data = bytearray(own.read_bytes())
    data[100:3000] = b"\xff" * 2900
    own.write_bytes(data)
    assert len(scoreboard(tmp_path / "lab", own).studies) == 1
    assert not (tmp_path / "lab" / ".tollens").exists()
    make(tmp_path / "second", 3)
    assert len(scoreboard(tmp_path / "second", own).studies) == 3


def test_git_does_not_see_the_index(tmp_path: Path) -> None:
    make(tmp_path, 1)
    scoreboard(tmp_path)
    assert (tmp_path / ".tollens" / ".gitignore").read_text() == "*\n"


KILLED = """
import os, signal, sys
from pathlib import Path
from tollens.run.scoreboard import scoreboard
def here(place, of, name):
    if place == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
scoreboard(sys.argv[1], progress=here)
"""


@pytest.mark.parametrize("place", [0, 1, 63, 64, 100, 129])
def test_killed_while_indexing(tmp_path: Path, place: int) -> None:
    root = tmp_path / "lab"
    make(root, 130)
    done = subprocess.run([sys.executable, "-c", KILLED, str(root), str(place)], check=False)
    assert done.returncode == -signal.SIGKILL
    age(root)
    with indexed(root) as (found, told):
        assert told.unchanged == place // 64 * 64
        assert told.notes == []
        assert found.dump() == anew(root, tmp_path)


def test_two_writers_at_once(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    make(root, 100, records=20)
    code = "import sys; from tollens.run.scoreboard import scoreboard; print(scoreboard(sys.argv[1]).headline)"
    both = [subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE) for _ in range(3)]
    said = {process.communicate(timeout=120)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0, 0]
    assert said == {b"100 UNREADABLE of 100 claims\n"}
    assert dump(root) == anew(root, tmp_path)


def test_a_ledger_that_cannot_be_read_is_looked_at_again(tmp_path: Path) -> None:
    make(tmp_path, 1)
    path = tmp_path / "s000" / "ledger.jsonl"
    data = path.read_bytes()
    path.unlink()
    path.symlink_to(path)
    (tmp_path / "s000" / "claim.toml").write_text("x = 1")
    board = scoreboard(tmp_path)
    assert (board.studies[0].state, board.exit_code) == ("UNREADABLE", 2)
    path.unlink()
    path.write_bytes(data)
    with indexed(tmp_path) as (found, _):
        assert found.db.execute("SELECT count(*) FROM record").fetchone() == (3,)


def test_costs_are_net_of_refunds_by_currency(tmp_path: Path) -> None:
    make(tmp_path, 1, records=6)
    found = scoreboard(tmp_path).studies[0]
    assert found.cost == {"USD": 1000, "EUR": -1}
    assert found.seconds == pytest.approx(0.4)


def test_every_record_of_a_thousand_is_in_the_index(tmp_path: Path) -> None:
    """The small twin of the benchmark."""
    make(tmp_path, 10, records=100)
    with indexed(tmp_path) as (found, done):
        assert done.records == 1000
        for folder in sorted(tmp_path.glob("s*")):
            rows = found.db.execute("SELECT seq, hash, body FROM record WHERE study = ? ORDER BY seq", (folder.name,))
            ledger = read_ledger(folder / "ledger.jsonl").records
            assert [(r.seq, r.hash, r.body) for r in ledger] == [
                (seq, hash_, msgspec.json.decode(said)) for seq, hash_, said in rows
            ]
    assert (tmp_path / ".tollens" / "index.sqlite").read_bytes()[68:72] == APPLICATION.to_bytes(4, "big")


def test_no_study_is_not_an_empty_scoreboard(tmp_path: Path) -> None:
    with pytest.raises(TollensError) as caught:
        scoreboard(tmp_path)
    assert (caught.value.code, caught.value.exit_code) == ("no_study", 21)
    assert isinstance(caught.value, TollensError)
    make(tmp_path, 1)
    assert isinstance(scoreboard(tmp_path), Scoreboard)


def _as_nobody(what: Callable[[], None]) -> None:
    """Permissions bind everybody but root."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            what()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_a_folder_that_is_closed_is_listed_and_the_others_are_shown() -> None:
    lab = Path(tempfile.mkdtemp(prefix="tollens-lab-"))
    try:
        make(lab, 2)
        scoreboard(lab)  # everything is imported: nobody may not be let into the folders of Python
        shutil.rmtree(lab / ".tollens")
        (lab / "shut").mkdir(mode=0)
        lab.chmod(0o555)

        def look() -> None:
            board = scoreboard(lab, lab.parent / f"{lab.name}.sqlite")
            told = {s.path: (s.state, s.found) for s in board.studies}
            assert told["shut"] == ("UNREADABLE", "Permission denied")
            assert (len(board.studies), board.exit_code) == (3, 2)
            assert scoreboard(lab).notes[0] == "kept in memory: Permission denied"
            try:
                scoreboard(lab / "shut")
            except TollensError as error:
                assert error.code == "path_unreadable"  # noqa: PT017  pytest.raises imports what nobody may not read
            else:
                raise AssertionError("a closed folder has a scoreboard")

        _as_nobody(look)
    finally:
        lab.chmod(0o700)
        (lab / "shut").chmod(0o700)
        shutil.rmtree(lab)
        lab.parent.joinpath(f"{lab.name}.sqlite").unlink(missing_ok=True)


def test_where_files_have_whole_seconds_a_change_within_one_is_seen() -> None:
    """What was changed in the second that the clock still counts has no settled stamp."""
    now = 1_700_000_000 * SECOND
    assert settled(now - 3 * SECOND, now)
    assert not settled(now - SECOND, now)
    assert settled(now - SECOND + 1, now)
    assert not settled(now - 1, now)
