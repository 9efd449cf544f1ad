"""Certificates: what they hold for, where they are kept, and everything that can be wrong with a cached one."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tollens.run import machine
from tollens.run.cache import KEPT, VARIABLE, Unusable, cache_folder, certificate_path, find, store
from tollens.run.certificate import Answer, Certificate, Machine

HERE = Machine(
    tollens="0.1.0", digest="ab" * 32, python="3.11.7", numpy="2.0.0", scipy="1.13.0", cpu="A processor",
    platform="Linux x86_64", blas=["openblas 0.3.30 Haswell"],
)  # fmt: skip
ANSWER = Answer(
    kind="statistic", name="mean", title="of 1 and 3", expected=2.0, got=2.0, tolerance=1e-9, passed=True,
    seconds=0.1, derivation="4/2",
)  # fmt: skip


def certificate(here: Machine = HERE, **fields: Any) -> Certificate:
    made = Certificate(
        passed=True, headline="1 of 1 known answers hold", machine=here, threads=1, started="2020-01-01T00:00:00+00:00",
        seconds=0.1, answers=[ANSWER],
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_stored_is_found_again(folder: Path) -> None:
    kept = store(certificate())
    assert kept.kept == str(certificate_path(HERE))
    assert find(HERE) == certificate()
    assert [path.suffix for path in folder.iterdir()] == [".json"]  # nothing half-written is left


@pytest.mark.parametrize(
    "change",
    [
        {"tollens": "0.2.0"}, {"digest": "cd" * 32}, {"blas": ["mkl 2024"]}, {"cpu": "Another"}, {"numpy": "2.1.0"},
        {"scipy": "1.14.0"}, {"python": "3.12.0"}, {"platform": "Darwin arm64"}, {"plugins": {"p": "1"}},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_it_is_stale_after_any_change_and_says_which(change: dict[str, Any]) -> None:
    store(certificate())
    found = find(msgspec.structs.replace(HERE, **change))
    assert isinstance(found, Unusable)
    assert found.state == "stale"
    assert found.why.startswith(f"{next(iter(change))}: ")
    assert ", now " in found.why


def test_two_machines_that_share_a_home_keep_both() -> None:
    other = msgspec.structs.replace(HERE, cpu="Another")
    store(certificate())
    store(certificate(other))
    assert find(HERE) == certificate()
    assert find(other) == certificate(other)


def test_without_one_it_is_absent() -> None:
    found = find(HERE)
    assert isinstance(found, Unusable)
    assert found.state == "absent"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff\xfe\x00", b"null", b'{"schema": "tollens.selftest/1"}', b"[" * 100_000,
        msgspec.json.encode(certificate(schema="tollens.selftest/2")),
        msgspec.json.encode(certificate(only="wilson")),
        msgspec.json.encode(certificate(msgspec.structs.replace(HERE, cpu="Another"))),
    ],
    ids=["empty", "cut", "not UTF-8", "null", "fields missing", "deep", "another schema", "a part", "foreign"],
)  # fmt: skip
def test_a_corrupted_or_foreign_file_is_ignored_and_said_so(content: bytes) -> None:
    path = certificate_path(HERE)
    path.parent.mkdir()
    path.write_bytes(content)
    found = find(HERE)
    assert isinstance(found, Unusable)
    assert found.state == "unreadable"
    assert found.path == path
    assert found.why
    assert store(certificate()).kept == str(path)
    assert isinstance(find(HERE), Certificate)


def test_a_folder_in_its_place_is_ignored_and_cannot_be_written_over() -> None:
    certificate_path(HERE).mkdir(parents=True)
    found = find(HERE)
    assert isinstance(found, Unusable)
    assert found.state == "unreadable"
    assert store(certificate()).unkept is not None


def test_an_unwritable_cache_is_said_and_not_fatal(folder: Path, tmp_path: Path) -> None:
    folder.write_text("a file where the folder should be")
    kept = store(certificate())
    assert kept.kept is None
    assert str(folder) in str(kept.unkept)
    assert VARIABLE in str(kept.unkept)
    assert isinstance(find(HERE), Unusable)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_cache_is_said_and_not_fatal(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert store(certificate()).unkept is not None


def test_a_full_disk_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert "No space left" in str(store(certificate()).unkept)
    assert list(folder.iterdir()) == []


def test_old_certificates_are_removed(folder: Path) -> None:
    for number in range(KEPT + 3):
        path = store(certificate(msgspec.structs.replace(HERE, cpu=str(number)))).kept
        os.utime(str(path), (number, number))
    left = {msgspec.json.decode(path.read_bytes())["machine"]["cpu"] for path in folder.iterdir()}
    assert len(left) == KEPT
    assert "0" not in left


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "here")
    assert cache_folder() == Path("here")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "there")
    assert cache_folder() == Path("there/tollens")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "home")
    assert cache_folder() == Path("home/.cache/tollens")


def test_this_machine_is_the_same_twice_and_knows_its_blas() -> None:
    here = machine.this_machine()
    assert here == machine.this_machine()
    assert len(here.digest) == 64
    assert here.cpu
    assert here.blas


def test_the_digest_sees_every_change(tmp_path: Path) -> None:
    def digest() -> str:
        return machine._digest(machine._sources(tmp_path))

    (tmp_path / "a.py").write_text("x = 1\n")
    first = digest()
    (tmp_path / "a.py").write_text("x = 2\n")
    second = digest()
    (tmp_path / "b.py").write_text("")
    third = digest()
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    assert len({first, second, third, digest()}) == 4
    before = digest()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.py").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    assert digest() == before
