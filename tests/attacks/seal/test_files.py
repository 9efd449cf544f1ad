"""Attacks on the sealed files: an edit, a swap, a link, a file that stands in front of another."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.attacks.seal.study import METRIC, Attack, Cli, edit, fought, held, items, make

Study = Callable[[str], Path]


def _edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / name, old, new)


def _linked(folder: Path) -> None:
    """Healthy answers outside of the folder, where they can be changed at will."""
    (folder.parent / "other.csv").write_text(items(0), encoding="utf-8")
    (folder / "items.csv").unlink()
    (folder / "items.csv").symlink_to(folder.parent / "other.csv")


def _gone(folder: Path) -> None:
    (folder / "items.csv").unlink()


def _folder_for_file(folder: Path) -> None:
    (folder / "items.csv").unlink()
    (folder / "items.csv").mkdir()


def _lone_return(folder: Path) -> None:
    data = (folder / "items.csv").read_bytes()
    (folder / "items.csv").write_bytes(data.replace(b"\n", b"\r", 1))


ATTACKS = {
    "a line of the metric": Attack(
        _edit("metric.py", "100 * float", "101 * float"), 20, ("TAMPERED metric metric.py expected", "found")
    ),
    "a comment of the metric": Attack(
        _edit("metric.py", "import numpy", "# x\nimport numpy"), 20, ("TAMPERED metric",)
    ),
    "one answer": Attack(_edit("items.csv", "1,0", "1,1"), 20, ("TAMPERED data items.csv expected",)),
    "another data set": Attack(
        lambda f: (f / "items.csv").write_text(items(0, 60)), 20, ("TAMPERED data items.csv expected", "found")
    ),
    "a link to another data set": Attack(_linked, 20, ("TAMPERED data items.csv",)),
    "no data set": Attack(_gone, 20, ("TAMPERED data items.csv", "found no file")),
    "a folder for a file": Attack(_folder_for_file, 20, ("TAMPERED data items.csv", "found no file")),
    "a lone carriage return": Attack(_lone_return, 20, ("TAMPERED data items.csv",)),
    "the sentence": Attack(_edit("claim.toml", "ten points", "no points"), 20, ("TAMPERED claim claim.toml",)),
    "the comparator": Attack(
        _edit("claim.toml", 'relation = ">="', 'relation = "<="'),
        20,
        ("TAMPERED claim claim.toml", "claim.relation sealed '>=' found '<='"),
    ),
    "the value": Attack(
        _edit("claim.toml", 'value = "-10"', 'value = "-60"'), 20, ("claim.value sealed '-10' found '-60'",)
    ),
    "the kill rule": Attack(_edit("claim.toml", "< -10 pp", "< -90 pp"), 20, ("rules.kill sealed", "-90 pp")),
    "a seed dropped": Attack(
        _edit("claim.toml", "seeds = [1, 2]\naxes = { seed = 2 }", "seeds = [1]\naxes = { seed = 1 }"),
        20,
        ("seeds sealed [1, 2] found [1]",),
    ),
    "a seed added": Attack(
        _edit("claim.toml", "seeds = [1, 2]\naxes = { seed = 2 }", "seeds = [1, 2, 3]\naxes = { seed = 3 }"),
        20,
        ("seeds sealed [1, 2] found [1, 2, 3]",),
    ),
    "seeds in another order": Attack(
        _edit("claim.toml", "seeds = [1, 2]", "seeds = [2, 1]"), 20, ("seeds sealed [1, 2] found [2, 1]",)
    ),
    "an optional parameter removed": Attack(
        _edit("claim.toml", "est_seconds = 0.01\n", ""), 20, ("sealed key missing: rung[0].est_seconds",)
    ),
    "a required parameter removed": Attack(
        _edit("claim.toml", 'level = "0.05"\n', ""), 20, ("sealed key missing: null.level",)
    ),
    "a parameter added": Attack(
        _edit("claim.toml", "est_seconds", 'cells = ["seed=1"]\nest_seconds'), 20, ("key not sealed: rung[0].cells",)
    ),
    "the reducer": Attack(
        _edit("claim.toml", '["item", "seed"]', '["seed", "item"]'),
        20,
        ('reducer sealed ["item", "seed"] found ["seed", "item"]',),
    ),
    "fewer draws": Attack(_edit("claim.toml", "draws = 19", "draws = 9"), 20, ("null.draws sealed 19 found 9",)),
    "another stopping rule": Attack(
        _edit("claim.toml", 'rule = "fixed_n"', 'rule = "e_value"'), 20, ("stopping.rule sealed 'fixed_n'",)
    ),
    "a trap that can do nothing": Attack(
        _edit("claim.toml", 'arm = "coin"', 'arm = "base"'), 20, ("trap[0].arm sealed 'coin' found 'base'",)
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_change_after_the_seal_is_named_and_nothing_is_run(name: str, study: Study, cli: Cli) -> None:
    attack = ATTACKS[name]
    folder = study(attack.template)
    said = fought(attack, folder, cli)
    assert held(attack, said), said
    ledger = (folder / "ledger.jsonl").read_bytes()
    climbed = cli("climb", folder)
    assert climbed.exit == 20, climbed
    assert (folder / "ledger.jsonl").read_bytes() == ledger


def test_a_restored_file_is_the_sealed_one_again(sealed: Path, cli: Cli) -> None:
    edit(sealed / "metric.py", "100 * float", "101 * float")
    assert cli("status", sealed).exit == 20
    edit(sealed / "metric.py", "101 * float", "100 * float")
    assert cli("status", sealed).exit == 0


def test_a_checkout_with_other_line_ends_and_a_touch_are_no_change(sealed: Path, cli: Cli) -> None:
    for path in sealed.glob("*.*"):
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        os.utime(path, (0, 0))
        path.chmod(0o600)
    assert cli("status", sealed).exit == 0
    said = cli("climb", sealed)
    assert (said.exit, said.out.split()[0]) == (0, "SURVIVED"), said


def test_a_byte_order_mark_is_a_change_of_the_sealed_text(sealed: Path, cli: Cli) -> None:
    (sealed / "metric.py").write_bytes(b"\xef\xbb\xbf" + (sealed / "metric.py").read_bytes())
    assert cli("status", sealed).exit == 20


SHADOW = "import sys\nraise SystemExit('the shadow was imported')\n"


@pytest.mark.parametrize("name", ["numpy.py", "json.py", "random.py", "numpy/__init__.py", "tollens/__init__.py"])
def test_a_module_put_in_front_of_another_after_the_seal_is_not_imported(name: str, sealed: Path, cli: Cli) -> None:
    """The run sees a private copy of what was sealed; a file that was not sealed is not in it."""
    (sealed / name).parent.mkdir(exist_ok=True)
    (sealed / name).write_text(SHADOW, encoding="utf-8")
    said = cli("climb", sealed)
    assert (said.exit, said.out.split()[0]) == (0, "SURVIVED"), said


def test_a_module_put_in_front_of_another_before_the_seal_is_sealed_with_the_metric(tmp_path: Path, cli: Cli) -> None:
    folder = make(tmp_path / "s", metric="import answers\n" + METRIC)
    (folder / "answers.py").write_text("RIGHT = 1\n", encoding="utf-8")
    assert cli("lock", folder).exit == 0
    (folder / "answers.py").write_text("RIGHT = 2\n", encoding="utf-8")
    said = cli("status", folder)
    assert said.exit == 20
    assert "TAMPERED metric answers.py" in said.text


def test_a_link_swapped_for_sealed_data_of_the_same_bytes_is_followed_to_the_same_bytes(sealed: Path, cli: Cli) -> None:
    """A link is no change while it leads to the sealed bytes; the day it leads elsewhere it is one."""
    outside = sealed.parent / "items.csv"
    (sealed / "items.csv").rename(outside)
    (sealed / "items.csv").symlink_to(outside)
    assert cli("status", sealed).exit == 0
    outside.write_text(items(0), encoding="utf-8")
    assert cli("status", sealed).exit == 20
