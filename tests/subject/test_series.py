from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.core.errors import TollensError
from tollens.subject.matrices import Inventory, matrices
from tollens.subject.series import LAST_STEP, MAX_STATE, STATE, Series, Unmatched, align, open_series

ONES = {"w": np.ones((3, 4), np.float32)}


def saved(path: Path, step: int | str | None = None, state: object = None, tensors: dict | None = None) -> Path:
    """A checkpoint folder with what its file and its notes say of the step."""
    path.mkdir(parents=True)
    metadata = None if step is None else {"step": str(step)}
    save_file(ONES if tensors is None else tensors, path / "model.safetensors", metadata=metadata)
    if state is not None:
        notes = state if isinstance(state, bytes) else json.dumps({"global_step": state}).encode()
        (path / STATE).write_bytes(notes)
    return path


def refused(*paths: Path) -> TollensError:
    with pytest.raises(TollensError) as caught:
        open_series(paths)
    return caught.value


def test_steps_order_a_series_and_not_the_order_it_was_given_in(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"checkpoint-{step}") for step in (1_000, 20, 300)]
    series = open_series(paths)
    assert series.steps == (20, 300, 1_000)
    assert [member.checkpoint.path for member in series.members] == [paths[1], paths[2], paths[0]]


def test_each_source_is_heard_and_the_most_trusted_is_named(tmp_path: Path) -> None:
    paths = [
        saved(tmp_path / "first", 10), saved(tmp_path / "second", None, 20), saved(tmp_path / "step-30"),
        saved(tmp_path / "checkpoint-40", 40, 40), saved(tmp_path / "checkpoint-50", None, 50),
    ]  # fmt: skip
    series = open_series(paths)
    assert series.steps == (10, 20, 30, 40, 50)
    assert [member.said_by for member in series.members] == [
        "metadata", "trainer_state", "name", "metadata", "trainer_state",
    ]  # fmt: skip


def test_both_names_of_the_step_in_the_metadata_are_read(tmp_path: Path) -> None:
    for name, metadata in {"a": {"global_step": "7"}, "b": {"step": "8", "global_step": "8"}}.items():
        save_file(ONES, tmp_path / f"{name}.safetensors", metadata=metadata)
    assert open_series([tmp_path / "a.safetensors", tmp_path / "b.safetensors"]).steps == (7, 8)
    save_file(ONES, tmp_path / "c.safetensors", metadata={"step": "8", "global_step": "9"})
    assert refused(tmp_path / "a.safetensors", tmp_path / "c.safetensors").code == "step_conflict"


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-12", 12), ("step-12", 12), ("step_12", 12), ("step12", 12), ("pythia-70m-step12", 12),
        ("model_step_12", 12), ("global_step12", 12), ("epoch=1-step=12", 12), ("step12-tokens4B", 12),
        ("iter_0000012", 12), ("step-012", 12),
    ],
)  # fmt: skip
def test_names_as_trainers_write_them(tmp_path: Path, name: str, step: int) -> None:
    other = saved(tmp_path / "step-999999")
    assert open_series([saved(tmp_path / name), other]).steps == (step, 999_999)
    save_file(ONES, tmp_path / f"{name}.safetensors")
    assert open_series([tmp_path / f"{name}.safetensors", other]).steps == (step, 999_999)


@pytest.mark.parametrize("name", ["run", "footstep12", "step-1.5", "step-12a", "stepwise", "12", "checkpoint-best"])
def test_other_names_say_no_step(tmp_path: Path, name: str) -> None:
    error = refused(saved(tmp_path / name), saved(tmp_path / "step-3"))
    assert error.code == "step_unknown"
    assert name in error.subject


def test_a_file_that_says_its_step_is_not_described_by_its_folder(tmp_path: Path) -> None:
    folder = saved(tmp_path / "checkpoint-900", None, 900)
    for step in (1, 2):
        save_file(ONES, folder / f"model-step{step}.safetensors")
    assert open_series([folder / f"model-step{step}.safetensors" for step in (2, 1)]).steps == (1, 2)
    assert open_series([folder / "model.safetensors", folder / "model-step1.safetensors"]).steps == (1, 900)


def test_a_folder_of_a_trainer_is_expanded(tmp_path: Path) -> None:
    saved(tmp_path / "run", None, 500)
    for step in (100, 20, 3):
        saved(tmp_path / "run" / f"checkpoint-{step}", None, step)
    (tmp_path / "run" / "checkpoint-best").mkdir()
    (tmp_path / "run" / "checkpoint-9").write_text("no folder")
    series = open_series([tmp_path / "run"])
    assert series.steps == (3, 20, 100)
    assert series.left_out == ("checkpoint-9", "checkpoint-best", "model.safetensors")


def test_a_folder_with_one_file_a_step_is_expanded(tmp_path: Path) -> None:
    for name in ("step-20.safetensors", "epoch=1-step=5.safetensors", "last.safetensors", "model_7.safetensors"):
        save_file(ONES, tmp_path / name)
    (tmp_path / "step-9.txt").write_text("no checkpoint")
    series = open_series([tmp_path])
    assert series.steps == (5, 20)
    assert series.left_out == ("last.safetensors", "model_7.safetensors")


def test_sources_that_disagree_are_refused_with_both(tmp_path: Path) -> None:
    other = saved(tmp_path / "step-1")
    for place, (step, state) in {"checkpoint-10": (20, None), "checkpoint-30": (None, 40), "x": (50, 60)}.items():
        error = refused(other, saved(tmp_path / place, step, state))
        assert error.code == "step_conflict"
        assert place in error.subject
    assert "50 from metadata 'step', 60 from trainer_state.json" in error.found


def test_one_step_twice_is_refused(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "a", 5), saved(tmp_path / "step-5")
    assert refused(one, other).code == "step_duplicate"
    assert refused(one, one).code == "step_duplicate"


@pytest.mark.parametrize("count", [0, 1])
def test_a_series_of_one_is_none(tmp_path: Path, count: int) -> None:
    assert refused(*[saved(tmp_path / "step-1")][:count]).code == "series_too_short"


@pytest.mark.parametrize(
    "state",
    [
        -1, True, None, "100", 1.0, [1], 2**63, LAST_STEP + 1, b'{"global_step": 1e400}', b"not JSON", b"",
        b'{"global_step": NaN}', b"[100]", b"{}", b'{"global_step": ' + b"9" * 6_000 + b"}", b"\xff\xfe",
    ],
    ids=repr,
)  # fmt: skip
def test_notes_that_state_no_step_are_refused_and_not_passed_over(tmp_path: Path, state: object) -> None:
    """Although the name says one: what is wrong in a trusted place is not outvoted by a less trusted one."""
    notes = state if isinstance(state, bytes) else json.dumps({"global_step": state}).encode()
    error = refused(saved(tmp_path / "checkpoint-100", None, notes), saved(tmp_path / "checkpoint-5"))
    assert error.code == "step_invalid"
    assert STATE in error.subject
    assert len(str(error)) < 600


def test_notes_of_any_size_are_refused_unread(tmp_path: Path) -> None:
    bad = saved(tmp_path / "checkpoint-100")
    with (bad / STATE).open("wb") as file:
        file.truncate(100_000_000)  # a hole on the disk
    error = refused(bad, saved(tmp_path / "checkpoint-5"))
    assert error.code == "step_invalid"
    assert str(MAX_STATE) in error.expected


def test_notes_with_a_loss_that_is_nan_are_read(tmp_path: Path) -> None:
    notes = b'{"global_step": 100, "log_history": [{"loss": NaN, "grad_norm": Infinity}]}'
    assert open_series([saved(tmp_path / "a", None, notes), saved(tmp_path / "b", 2)]).steps == (2, 100)


def test_notes_behind_a_link_that_leads_out_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text('{"global_step": 1}')
    bad = saved(tmp_path / "checkpoint-1")
    (bad / STATE).symlink_to(tmp_path / "elsewhere.json")
    assert refused(bad, saved(tmp_path / "checkpoint-5")).code == "index_escapes"


@pytest.mark.parametrize("step", ["-1", "1.5", "", " 7", "1e3", "٣", str(2**63), "9" * 100_000, "x" * 100_000])
def test_metadata_that_states_no_step_is_refused(tmp_path: Path, step: str) -> None:
    error = refused(saved(tmp_path / "a", step), saved(tmp_path / "step-3"))
    assert error.code == "step_invalid"
    assert len(str(error)) < 600


def test_a_name_beyond_the_largest_step_is_refused(tmp_path: Path) -> None:
    assert refused(saved(tmp_path / f"step-{2**63}"), saved(tmp_path / "step-3")).code == "step_invalid"
    assert open_series([saved(tmp_path / f"step-{LAST_STEP}"), tmp_path / "step-3"]).steps == (3, LAST_STEP)


def inventories(series: Series) -> list[Inventory]:
    return [matrices(member.checkpoint) for member in series.members]


def test_matrices_are_matched_by_name_and_shape_and_the_rest_is_listed(tmp_path: Path) -> None:
    w, other = np.ones((3, 4), np.float32), np.ones((4, 4), np.float32)
    first = saved(tmp_path / "step-1", tensors={"a": w, "b": w, "c": w})
    second = saved(tmp_path / "step-2", tensors={"c": w, "b": other, "d": w})
    series = open_series([second, first])
    found = align(series.steps, inventories(series))
    assert [[view.name for view in path] for path in found.paths] == [["c", "c"]]
    assert found.paths[0][0].source.folder == first
    assert found.unmatched == [
        Unmatched("a", (1,), ((3, 4),)), Unmatched("b", (1, 2), ((3, 4), (4, 4))), Unmatched("d", (2,), ((3, 4),)),
    ]  # fmt: skip


def test_a_series_without_a_common_matrix_is_refused(tmp_path: Path) -> None:
    w = np.ones((3, 4), np.float32)
    series = open_series([saved(tmp_path / f"step-{i}", tensors={f"w{i}": w}) for i in range(3)])
    with pytest.raises(TollensError) as caught:
        align(series.steps, inventories(series))
    assert caught.value.code == "series_unlike"
