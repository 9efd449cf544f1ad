"""The diagnosis: what is installed, and every state that a certificate can be in."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tollens.core import extras
from tollens.core.extras import missing_distributions
from tollens.run.cache import VARIABLE, certificate_path, store
from tollens.run.certificate import Answer, Certificate
from tollens.run.doctor import diagnose
from tollens.run.machine import this_machine

FAILED = Answer(
    kind="instrument", name="tail", title="of a law", expected=2.0, got=3.0, tolerance=0.1, passed=False, seconds=0.0,
    derivation="none",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))


def certificate(*answers: Answer) -> Certificate:
    return Certificate(
        passed=all(a.passed for a in answers), headline="", machine=this_machine(), threads=1, started="then",
        seconds=0.0, answers=list(answers),
    )  # fmt: skip


def test_each_state_of_the_certificate(tmp_path: Path) -> None:
    assert diagnose().certificate.state == "absent"
    right = msgspec.structs.replace(FAILED, passed=True)
    store(certificate(right))
    held = diagnose().certificate
    assert (held.state, held.why, held.answers, held.started) == ("valid", None, 1, "then")
    store(certificate(right, FAILED))
    held = diagnose().certificate
    assert (held.state, held.failed) == ("failed", ["tail: of a law"])
    assert "1 of 2" in str(held.why)
    store(msgspec.structs.replace(certificate(FAILED), passed=True))  # its own word for it is not enough
    assert diagnose().certificate.state == "failed"
    certificate_path(this_machine()).write_bytes(b"?")
    assert diagnose().certificate.state == "unreadable"
    certificate_path(this_machine()).unlink()
    old = msgspec.structs.replace(this_machine(), tollens="0.0.1")
    store(msgspec.structs.replace(certificate(right), machine=old))
    held = diagnose().certificate
    assert (held.state, held.why) == ("stale", f"tollens: 0.0.1, now {this_machine().tollens}")


def test_the_machine_is_described() -> None:
    found = diagnose()
    assert found.cores >= 1
    assert len(found.threads) >= 1
    assert found.machine == this_machine()


def test_extras_are_those_of_the_package_and_a_missing_one_has_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"report", "test", "bench"} <= missing_distributions().keys()
    assert "pytest" not in missing_distributions()["test"]
    monkeypatch.setattr(extras, "_is_installed", lambda name: name != "altair")
    [report] = [extra for extra in diagnose().extras if extra.name == "report"]
    assert report.missing == ["altair"]
    assert str(report.command).endswith("-m pip install 'tollens[report]'")


def test_a_distribution_that_is_not_there_is_noticed() -> None:
    assert extras._is_installed("numpy")
    assert not extras._is_installed("no-such-distribution-anywhere")
