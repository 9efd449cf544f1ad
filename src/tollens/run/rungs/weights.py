"""The rung that reads weights and runs nothing: any instrument of `tollens scan`, a matrix a cell."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from tollens.core.seeding import generator
from tollens.protocol.claim import fields_of
from tollens.protocol.registration import LAYER, Cell
from tollens.protocol.rung import Arm, Attack, Measured, Opening, Request, RungKind, rung_kind
from tollens.protocol.study import Trap
from tollens.run.layer import LayerTask, measure_layer
from tollens.run.refusal import refusals
from tollens.run.settings import ScanSettings
from tollens.run.study import checkpoint_views
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import MatrixView, matrices

Matrix: TypeAlias = NDArray[Any]
FLOPS_PER_SECOND = 5e9
"""What one core does of a dense eigenvalue problem, on the slow side."""


def permuted(matrix: Matrix, rng: np.random.Generator) -> Matrix:
    """The same elements in random places: every structure gone, every element kept."""
    return np.asarray(rng.permutation(matrix.ravel()).reshape(matrix.shape))


def gaussian(matrix: Matrix, rng: np.random.Generator) -> Matrix:
    """Independent normal elements of the same mean and variance."""
    noise = rng.standard_normal(matrix.shape)
    return np.asarray(noise * matrix.std(dtype=np.float64) + matrix.mean(dtype=np.float64))


def identity(matrix: Matrix, rng: np.random.Generator) -> Matrix:
    """Rows and columns in random order, which no singular value notices."""
    return np.asarray(matrix[rng.permutation(matrix.shape[0])][:, rng.permutation(matrix.shape[1])])


def rank_one(matrix: Matrix, rng: np.random.Generator) -> Matrix:
    """A random direction in and one out, with the energy of the whole matrix: stable rank 1."""
    left, right = (rng.standard_normal(n) for n in matrix.shape)
    made = np.outer(left / np.linalg.norm(left), right / np.linalg.norm(right))
    return np.asarray(made * np.linalg.norm(matrix.astype(np.float64)))


def orthogonal(matrix: Matrix, rng: np.random.Generator) -> Matrix:
    """All singular values equal, with the energy of the whole matrix: stable rank the smaller side."""
    rows, cols = matrix.shape
    frame = np.linalg.qr(rng.standard_normal((max(rows, cols), min(rows, cols))))[0]
    frame = frame if rows >= cols else frame.T
    return np.asarray(frame * (np.linalg.norm(matrix.astype(np.float64)) / np.sqrt(min(rows, cols))))


ARMS: Mapping[str, Callable[[Matrix, np.random.Generator], Matrix]] = {
    made.__name__: made for made in (permuted, gaussian, identity, rank_one, orthogonal)
}


@contextmanager
def opened(opening: Opening) -> Iterator[Attack]:
    """The instrument on the matrices of the private copy; a control is written beside it and read the same way."""
    study = opening.registration.study
    views = {view.name: view for view in checkpoint_views(opening.folder, study)}
    wanted = frozenset(opening.registration.domains)
    refused = frozenset(refusals_of())
    with tempfile.TemporaryDirectory(prefix="tollens-arm-") as scratch:

        def measure(arm: Arm, cell: Cell) -> Measured:
            view = views[str(dict(cell.axes)[LAYER])]
            if arm.name in ARMS and arm.name != study.claim.subject:
                rng = generator(cell.seed, "arm", arm.label, view.name)
                view = _written(ARMS[arm.name](_loaded(view), rng), view, Path(scratch))
            return _readings(view, cell.seed, len(views), wanted, refused)

        yield measure


def refusals_of() -> Mapping[str, str]:
    """The instruments whose known answers fail on this machine, with the reason."""
    from tollens.run.layer import used

    return refusals(used(SETTINGS))


SETTINGS = ScanSettings(null_draws=0, bootstrap=0)


def _readings(view: MatrixView, seed: int, count: int, wanted: frozenset[str], refused: frozenset[str]) -> Measured:
    settings = msgspec.structs.replace(SETTINGS, seed=seed, bootstrap=200 if _interval(wanted) else 0)
    layer = msgspec.to_builtins(measure_layer(LayerTask(view, 0, settings, count, None, refused)))
    fields = {**{k: v for k, v in layer.items() if k != "plugins"}, **layer["plugins"]}
    row = fields_of(fields)
    return Measured({name: value for name, value in row.items() if name in wanted and not isinstance(value, str)})


def _interval(wanted: frozenset[str]) -> bool:
    return any(name.startswith("alpha_interval") for name in wanted)


def _loaded(view: MatrixView) -> Matrix:
    return view.load(np.float64 if view.dtype == "F64" else np.float32)


def _written(matrix: Matrix, view: MatrixView, folder: Path) -> MatrixView:
    """The matrix as a checkpoint of its own, so that the same code reads it; the name decides its random draws."""
    from safetensors.numpy import save_file

    path = folder / "arm.safetensors"
    path.unlink(missing_ok=True)
    kind = np.float64 if view.dtype == "F64" else np.float32
    save_file({"layer.weight": np.ascontiguousarray(matrix, dtype=kind)}, path)
    return replace(matrices(open_checkpoint(path)).matrices[0], name=view.name)


def request(opening: Opening) -> Request:
    """From shapes: two products of the Gram matrix and its eigenvalues, once and once a shuffle."""
    views = checkpoint_views(opening.folder, opening.registration.study)
    flops = [2.0 * min(v.shape) ** 2 * max(v.shape) + 9.0 * min(v.shape) ** 3 for v in views]
    largest = max(flops, default=0.0) * (1 + SETTINGS.shuffles)
    rows, cols = max((view.shape for view in views), key=math.prod, default=(0, 0))
    return Request(largest / FLOPS_PER_SECOND + 0.005, f"the largest matrix, {rows}x{cols}")


WEIGHTS = rung_kind(
    RungKind(
        name="weights",
        version="1",
        judges="claim",
        open=opened,
        request=request,
        traps=(Trap(arm="identity", must="survive"), Trap(arm="permuted", must="die")),
        arms=frozenset(ARMS),
        same=frozenset({"identity"}),
    )
)
