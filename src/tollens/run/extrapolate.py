"""A forecast checkpoint: every tensor continued along its path, and written as safetensors piece by piece."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.core.reading import Undefined
from tollens.instrument.trajectory import (
    FEWEST,
    HeldOut,
    Panels,
    Pieces,
    Trajectory,
    delta_gram,
    deltas,
    fit_trajectory,
    held_out,
    held_out_fit,
)
from tollens.run.series_result import CopiedTensor, Forecast, TensorForecast
from tollens.subject import safetensors
from tollens.subject.checkpoint import Checkpoint
from tollens.subject.dtypes import STORED, Floats, Kind, decode_into, decoded, encoded, kind_of, size_in_bytes
from tollens.subject.matrices import Inventory
from tollens.subject.place import is_url
from tollens.subject.series import LAST_STEP, Series
from tollens.subject.tensor import TensorInfo

PIECES_BYTES = 64 << 20  # the pieces of all checkpoints that are held at a time, with their differences
METADATA = "__metadata__"
MADE_BY = "made by tollens extrapolation, not trained"
SETTLES = (
    "training on from the last checkpoint at the cost of the extrapolated steps, and both judged on held-out data: "
    "what the weights alone cannot tell"
)
Told = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What the first pass over a tensor leaves for the second."""

    tensor: TensorInfo
    final: Trajectory
    held: Trajectory


def extrapolated(
    series: Series,
    inventories: Sequence[Inventory],
    digests: Sequence[str],
    target: int,
    out: str | os.PathLike[str] | None,
    progress: Told | None = None,
) -> Forecast:
    """Fit the path of every float tensor of the last checkpoint and write theta_0 + c(target) v to the new file `out`.

    Each tensor is read twice from every checkpoint, in pieces. It is stored in the type that it has in the last
    checkpoint, rounded once to nearest even. Integers and booleans, and what is not in every checkpoint in one shape,
    are copied from the last. The whole file appears at once or not at all.

    Raises: `series_too_short` below four checkpoints, `bad_option`, `output_exists`, `output_unwritable`,
    `dtype_unsupported` for weights that are stored as codes and scales and for what safetensors cannot hold,
    `tensor_name_invalid`, `nonfinite`, `scale_out_of_range`, those of the readers.
    """
    place = check_forecast(series, inventories, target, out)
    last = series.members[-1].checkpoint
    beside = [{t.name: t for t in member.checkpoint.tensors} for member in series.members]
    reasons = {tensor.name: _reason_to_copy(tensor, beside) for tensor in last.tensors}
    moving = [tensor for tensor in last.tensors if reasons[tensor.name] is None]
    total, done = 2 * len(moving), 0

    def told(name: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, name)

    fitted: dict[str, _Fitted] = {}
    for tensor in moving:
        fitted[tensor.name] = _fit(series, tensor, target)
        told(f"path {tensor.name}")
    errors: dict[str, HeldOut] = {}
    header, order = _header(series, digests, target)
    digest = hashlib.sha256()
    with _appearing(place) as file:

        def write(data: bytes | memoryview) -> None:
            digest.update(data)
            file.write(data)

        write(header)
        for tensor in order:
            found = fitted.get(tensor.name)
            if found is None:
                for piece in last.source.stored_bytes(tensor):
                    write(piece)
                continue
            errors[tensor.name] = _write_tensor(series, found, write)
            told(f"write {tensor.name}")
    return _forecast(series, target, place, "sha256:" + digest.hexdigest(), fitted, errors, reasons)


def check_forecast(
    series: Series, inventories: Sequence[Inventory], target: int, out: str | os.PathLike[str] | None
) -> Path:
    """The place of the new file; whatever is wrong with it or with the series is refused before any weight is read.

    Raises: those of `extrapolated` that do not depend on the weights.
    """
    place = _checked_output(out)
    _check_series(series, inventories, target)
    return place


def _checked_output(out: str | os.PathLike[str] | None) -> Path:
    """Refuse before the work rather than after it."""
    text = "" if out is None else os.fspath(out)
    if not text.endswith(safetensors.SUFFIX) or is_url(text):
        raise TollensError(
            "bad_option", f"--out {text}", expected=f"a file of this machine named *{safetensors.SUFFIX}",
            found="another name" if text else "none", fix="Name the file that the forecast goes to with --out.",
        )  # fmt: skip
    place = Path(text)
    if os.path.lexists(place):
        raise _exists(place)
    if not os.path.isdir(place.parent) or not os.access(place.parent, os.W_OK):
        raise _unwritable(place, f"{place.parent} is no folder that may be written to")
    return place


def _check_series(series: Series, inventories: Sequence[Inventory], target: int) -> None:
    if not 0 <= target <= LAST_STEP:
        raise TollensError(
            "bad_option", f"--extrapolate {target}", expected=f"a step from 0 to {LAST_STEP}", found="another number",
            fix="Name the step to forecast.",
        )  # fmt: skip
    if len(series.members) <= FEWEST:
        raise TollensError(
            "series_too_short", f"--extrapolate {target}", expected=f"{FEWEST + 1} checkpoints or more",
            found=f"{len(series.members)}", fix="Give more checkpoints of the run.",
        )  # fmt: skip
    for member, inventory in zip(series.members, inventories, strict=True):
        coded = [t.name for t in member.checkpoint.tensors if kind_of(t.dtype) is Kind.BLOCKS]
        coded += [v.name for v in inventory.matrices if any(f.startswith("dequantised") for f in v.flags)]
        coded += [s.name for s in inventory.skipped if s.reason == "packed_unsupported"]
        if coded:
            raise TollensError(
                "dtype_unsupported", f"{member.checkpoint.path}: {coded[0]!r:.80}", expected="plain numbers",
                found="codes with scales, which do not move along a line together",
                fix="Extrapolate checkpoints that are not quantised.",
            )  # fmt: skip
    last = series.members[-1].checkpoint
    if any(tensor.name == METADATA for tensor in last.tensors):
        raise TollensError(
            "tensor_name_invalid", f"{last.path}: {METADATA!r}", expected="a name that safetensors leaves to tensors",
            found="the one of its metadata", fix="Rename this tensor in the checkpoints.",
        )  # fmt: skip
    other = next((tensor for tensor in last.tensors if tensor.dtype not in STORED), None)
    if other is not None:
        raise TollensError(
            "dtype_unsupported", f"{last.path}: {other.name!r:.80}", expected="a type that safetensors can hold",
            found=other.dtype, fix="Save the checkpoints without this tensor.",
        )  # fmt: skip


def _reason_to_copy(tensor: TensorInfo, beside: Sequence[Mapping[str, TensorInfo]]) -> str | None:
    """Why a tensor of the last checkpoint has no path; None if it has one."""
    if kind_of(tensor.dtype) is not Kind.FLOAT:
        return "not_a_weight"
    same = [held[tensor.name] for held in beside if tensor.name in held]
    if len(same) < len(beside) or any(t.shape != tensor.shape or kind_of(t.dtype) is not Kind.FLOAT for t in same):
        return "not_in_all"
    return None


def _fit(series: Series, tensor: TensorInfo, target: int) -> _Fitted:
    """The first pass."""
    steps = series.steps[1:]
    if tensor.size == 0:
        gram: NDArray[np.float64] | Undefined = np.zeros((len(steps), len(steps)))
    else:
        gram = delta_gram(_panels(series, tensor))
    if isinstance(gram, Undefined):
        raise TollensError(
            gram.reason, f"{tensor.name!r:.80} in steps {series.steps[0]} to {series.steps[-1]}",
            expected="finite numbers whose squares are finite", found="others in some checkpoint",
            fix="Leave that checkpoint out; `tollens scan --series` without --extrapolate names it.",
        )  # fmt: skip
    return _Fitted(tensor, fit_trajectory(gram, steps, target), held_out_fit(gram, steps))


def _write_tensor(series: Series, found: _Fitted, write: Callable[[memoryview], None]) -> HeldOut:
    """The second pass: the forecast out, and the errors of the other fit and of its baselines."""
    errors = HeldOut()
    if found.tensor.size == 0:
        return errors
    for pieces in _panels(series, found.tensor)():
        base, delta = deltas(pieces)
        errors += held_out(delta, found.held)
        with np.errstate(over="ignore", invalid="ignore"):
            data = encoded(base + found.final.weights @ delta, found.tensor.dtype)
        back = np.empty(base.size, dtype=decoded(found.tensor.dtype))
        decode_into(data, found.tensor.dtype, back)
        if not np.isfinite(back).all():
            raise TollensError(
                "scale_out_of_range", f"{found.tensor.name!r:.80}",
                expected=f"a forecast within the range of {found.tensor.dtype}", found="one beyond it",
                fix="Extrapolate to a nearer step.",
            )  # fmt: skip
        write(data.data)
    return errors


def _panels(series: Series, tensor: TensorInfo) -> Panels:
    """One pass over a tensor through all checkpoints side by side."""
    width = tensor.size // max(1, tensor.shape[0]) if tensor.shape else 1
    rows = max(1, PIECES_BYTES // (24 * max(1, width) * len(series.members)))

    def panels() -> Iterator[Pieces]:
        if not tensor.shape:
            yield [member.checkpoint.read(tensor.name).reshape(-1) for member in series.members]
            return
        with ExitStack() as stack:
            passes = [
                stack.enter_context(closing(_pass(member.checkpoint, tensor.name, rows))) for member in series.members
            ]
            for pieces in zip(*passes, strict=True):
                yield [piece.reshape(-1) for piece in pieces]

    return panels


def _pass(checkpoint: Checkpoint, name: str, rows: int) -> Generator[Floats]:
    """The panels of one tensor, which can be closed before they end."""
    yield from checkpoint.panels(name, rows)


def _header(series: Series, digests: Sequence[str], target: int) -> tuple[bytes, list[TensorInfo]]:
    """The header of the file and its tensors in the order of their data: wide types first, so that all lie aligned."""
    last = series.members[-1].checkpoint
    order = sorted(last.tensors, key=lambda tensor: -STORED[tensor.dtype].bits)
    kept = {key: last.metadata[key] for key in ("format",) if key in last.metadata}  # loaders of models ask for it
    sources = [f"step {step}: {digest}" for step, digest in zip(series.steps, digests, strict=True)]
    entries: dict[str, object] = {
        METADATA: {**kept, "step": str(target), "made_by": MADE_BY, "sources": "; ".join(sources)}
    }
    begin = 0
    for tensor in order:
        entries[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [begin, begin + _stored_size(tensor)],
        }
        begin += _stored_size(tensor)
    text = json.dumps(entries, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, order


def _stored_size(tensor: TensorInfo) -> int:
    size = size_in_bytes(tensor.dtype, tensor.shape)
    assert size is not None  # its own header was checked
    return size


@contextmanager
def _appearing(place: Path) -> Iterator[BinaryIO]:
    """A file that is there under its name once all of it is written, and never in the place of another."""
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _name(part, place)
        except FileExistsError:
            raise _exists(place) from None
        except OSError as error:
            raise _unwritable(place, error.strerror or type(error).__name__) from None
    finally:
        part.unlink(missing_ok=True)


def _name(part: Path, place: Path) -> None:
    """Give a finished file its name; unlike a renaming, a link fails where something has appeared meanwhile."""
    try:
        os.link(part, place)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(place):
            raise FileExistsError from None
        part.rename(place)


def _exists(place: Path) -> TollensError:
    return TollensError(
        "output_exists", str(place), expected="a name that is free", found="something of that name",
        fix="Name another file, or remove this one first.",
    )  # fmt: skip


def _unwritable(place: Path, found: str) -> TollensError:
    return TollensError(
        "output_unwritable", str(place), expected="a file that can be written", found=found, fix="Name another file."
    )


def _forecast(
    series: Series,
    target: int,
    place: Path,
    digest: str,
    fitted: Mapping[str, _Fitted],
    errors: Mapping[str, HeldOut],
    reasons: Mapping[str, str | None],
) -> Forecast:
    whole = sum(errors.values(), HeldOut())
    squares = [float(f.final.coordinates @ f.final.coordinates) for f in fitted.values()]
    shares = [f.final.explained_variance for f in fitted.values()]
    moved = [(s, share) for s, share in zip(squares, shares, strict=True) if not isinstance(share, Undefined)]
    variance = sum(s / share for s, share in moved)
    last = series.members[-1].checkpoint
    return Forecast(
        step=target,
        path=os.fsencode(place).decode("utf-8", "backslashreplace"),
        digest=digest,
        origin=series.steps[0],
        fitted_steps=list(series.steps[1:]),
        left_out=series.steps[-1],
        explained_variance=min(1.0, sum(s for s, _ in moved) / variance) if variance > 0.0 else None,
        exact=bool(moved) and all(f.final.exact for f in fitted.values() if np.any(f.final.coordinates)),
        error=_or_none(whole.relative(whole.extrapolated)),
        last_error=_or_none(whole.relative(whole.last)),
        average_error=_or_none(whole.relative(whole.average)),
        nearest=_nearest(whole) if whole.moved > 0.0 else None,
        settles=SETTLES,
        tensors=[_tensor_forecast(fitted[t.name], errors[t.name]) for t in last.tensors if t.name in fitted],
        copied=[CopiedTensor(t.name, t.dtype, why) for t in last.tensors if (why := reasons[t.name]) is not None],
    )


def _nearest(errors: HeldOut) -> str:
    """What came closest to the left-out checkpoint; of equals the simplest."""
    squared = {"last": errors.last, "average": errors.average, "extrapolation": errors.extrapolated}
    return min(squared, key=lambda name: squared[name])


def _tensor_forecast(found: _Fitted, errors: HeldOut) -> TensorForecast:
    values = {
        "explained_variance": found.final.explained_variance,
        "r2": found.final.r2,
        "error": errors.relative(errors.extrapolated),
        "last_error": errors.relative(errors.last),
        "average_error": errors.relative(errors.average),
    }
    return TensorForecast(
        name=found.tensor.name,
        undefined={name: value.reason for name, value in values.items() if isinstance(value, Undefined)},
        exact=found.final.exact,
        **{name: value for name, value in values.items() if not isinstance(value, Undefined)},
    )


def _or_none(value: float | Undefined) -> float | None:
    return None if isinstance(value, Undefined) else value
