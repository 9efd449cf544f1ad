"""Errors: four facts, one code, and no loss on the way between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from tollens.core.errors import Exit, TollensError

FACTS = {"expected": "a file", "found": "a folder", "fix": "Name a file."}


def test_all_facts_stand_in_the_text() -> None:
    error = TollensError("path_not_a_file", "m.safetensors", **FACTS)
    assert str(error) == "path_not_a_file: m.safetensors: expected a file; found a folder. Name a file."
    assert error.exit_code is Exit.BAD_INPUT


@pytest.mark.parametrize("code", list(Exit))
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_survives_the_way_from_a_worker(code: Exit, protocol: int) -> None:
    error = TollensError("worker_died", "task", **FACTS, exit_code=code)
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is TollensError
    assert vars(back) == vars(error)
    assert (str(back), back.args) == (str(error), error.args)
    assert vars(copy.copy(error)) == vars(error)


def test_the_table_of_exit_codes() -> None:
    """What scripts and CI jobs rely on; a change here breaks them."""
    assert {name: int(code) for name, code in Exit.__members__.items()} == {
        "CLEAN": 0, "SURVIVED": 0, "FINDINGS": 1, "BAD_INPUT": 2, "REFUSED_TO_SEAL": 3, "KILLED": 10,
        "UNDETERMINED": 11, "VOID": 12, "BLOCKED": 13, "TAMPERED": 20, "NOT_SEALED": 21, "NOT_SCORABLE": 22,
        "UNANCHORED": 23, "INTERNAL": 70,
    }  # fmt: skip
