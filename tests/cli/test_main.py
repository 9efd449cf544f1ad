"""The frame around the verbs: help, exit codes for what goes wrong, and what may reach a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tollens as product
from tollens.cli import main as frame
from tollens.cli.terminal import printable


def test_help_lists_every_verb_and_the_exit_codes(tollens) -> None:
    run = tollens("--help")
    assert (run.returncode, run.stderr) == (0, "")
    for verb in frame.VERBS:
        assert f"\n  {verb} " in run.stdout
    assert "Exit codes: 0 clean or survived, 1 findings, 2 bad input, 3 refused" in run.stdout


@pytest.mark.parametrize("verb", frame.VERBS)
def test_every_verb_has_help(inside, verb: str) -> None:
    run = inside(verb, "-h")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"Usage: tollens {verb}")


def test_the_version(inside) -> None:
    assert inside("--version").stdout == f"tollens, version {product.__version__}\n"


@pytest.mark.parametrize("arguments", [["bogus"], ["--bogus"], ["scan"], ["scan", "a", "b"], ["explain", "a", "b"]])
def test_bad_usage_is_named(inside, arguments: list[str]) -> None:
    run = inside(*arguments)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("bad_option: ")
    assert "--help" in run.stderr


def test_nothing_asked_is_helped_and_still_bad_usage(inside) -> None:
    run = inside()
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("Usage: tollens")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch):
    """Makes `tollens explain` raise."""

    def install(error: BaseException) -> None:
        def fails(code: str) -> None:
            raise error

        monkeypatch.setattr("tollens.cli.explain.explain", fails)

    return install


def test_a_bug_of_ours_exits_70_and_is_named_as_one(inside, broken) -> None:
    broken(RuntimeError("two\nlines \x1b[2J"))
    run = inside("explain", "trap")
    assert (run.returncode, run.stdout) == (70, "")
    assert run.stderr.startswith("internal: RuntimeError: two\\nlines \\x1b[2J\n")
    assert "Traceback" not in run.stderr
    assert inside("explain", "internal").returncode == 70  # still broken
    with pytest.raises(RuntimeError):
        inside("explain", "trap", env={"TOLLENS_DEBUG": "1"})


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_exits_130(inside, broken, error: BaseException) -> None:
    broken(error)
    run = inside("explain", "trap")
    assert (run.returncode, run.stdout) == (130, "")
    assert run.stderr.strip() == "interrupted"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_in_the_middle_of_a_scan(checkpoint: Path, jobs: str) -> None:
    """The signal goes to the whole process group, as from a terminal, once the work has begun."""
    code = """
import sys, time
import tollens.run.scan
from tollens_slow import slow
tollens.run.scan.measure_any = slow
from tollens.cli.main import main
print("begun", flush=True)
main(sys.argv[1:])
"""
    folder = checkpoint.parent / "slow"
    folder.mkdir(exist_ok=True)
    (folder / "tollens_slow.py").write_text(
        "import time\ndef slow(task):\n    open(__file__ + '.begun', 'w').close()\n    time.sleep(30)\n"
    )
    mark = folder / "tollens_slow.py.begun"
    mark.unlink(missing_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-c", code, "scan", str(checkpoint), "--jobs", jobs], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(folder), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    import signal
    import time

    deadline = time.monotonic() + 30
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGINT)
    _, stderr = child.communicate(timeout=20)
    assert child.returncode == 130
    assert stderr.strip() == "interrupted"


def test_importing_the_product_loads_no_numpy(tollens) -> None:
    seen = tollens(code="import sys, tollens, tollens.cli.main; print('numpy' in sys.modules, 'scipy' in sys.modules)")
    assert seen.stdout.split() == ["False", "False"]


def test_what_the_command_line_offers_the_library_offers(inside) -> None:
    assert {"scan", "explain"} <= set(product.__all__)
    title = json.loads(inside("explain", "trap", "--json").stdout)["title"]
    assert product.explain("trap").title == title


@given(st.text())
def test_what_is_printable_stays_and_nothing_else_gets_through(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert (shown == text) == text.isprintable()


def test_escapes_by_name() -> None:
    assert printable("a\x1b[2Jb\nc\r\u202e\u2028\udcff") == "a\\x1b[2Jb\\nc\\r\\u202e\\u2028\\udcff"
    assert printable("层 [bold] ü") == "层 [bold] ü"


def test_a_claim_error_points_at_its_place_on_a_line_of_its_own(tollens, clean) -> None:
    run = tollens("scan", clean, "--claim", "all(alpha > 2")
    assert run.returncode == 2
    lines = run.stderr.splitlines()
    shown = next(i for i, line in enumerate(lines) if "all(alpha > 2" in line)
    assert "\\n" not in run.stderr
    assert lines[shown + 1].index("^") == lines[shown].index("all(") + len("all(alpha > 2")
