"""A result file or folder of another tool: which tool wrote it, what it holds, and the digest of what was read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from tollens.core.canonical import digest
from tollens.core.errors import TollensError
from tollens.subject import file
from tollens.subject.document import parse
from tollens.subject.results import imported as common
from tollens.subject.results import inspect_log, lm_eval, mlflow_run
from tollens.subject.results.archive import is_archive
from tollens.subject.results.imported import Imported, Source, Wanted, broken

MOST_BYTES = 1 << 30
"""Bytes of a source: 1 GiB."""
MOST_FILES = 100_000
META = "meta.yaml"


def imported(
    path: Path, wanted: Wanted, source: Source | None = None, samples: Path | None = None
) -> tuple[Imported, str]:
    """The result that is asked for, and SHA-256 of the bytes it was read from, 64 hexadecimal digits.

    Of several files it is the digest of the canonical list of their names and digests: exactly those that were read.
    Raises TollensError: `import_source`; those of the readers; `path_missing`, `path_unreadable`, `path_not_a_file`.
    """
    if file.kind(path) == "folder":
        if source not in (None, mlflow_run.SOURCE):
            raise _unknown(path, f"a folder, which {source} does not write")
        _no_samples(samples, path)
        return _folder(path, wanted)
    data = _bytes(path)
    name = path.name
    if data[:16] == mlflow_run.MAGIC and source in (None, mlflow_run.SOURCE):
        _no_samples(samples, path)
        wal = path.with_name(path.name + "-wal")
        if wal.is_file() and wal.stat().st_size:
            raise broken(name, "a data base that nobody writes to", f"{wal.name}, which holds what is not in it yet")
        return mlflow_run.read(mlflow_run.runs_of(data, wanted.run, name), wanted, name), _sha(data)
    if is_archive(data) and source in (None, inspect_log.SOURCE):
        _no_samples(samples, path)
        return inspect_log.read(inspect_log.unpacked(data, name), wanted, name), _sha(data)
    if data.lstrip()[:1] != b"{":
        raise _unknown(path, "neither JSON, nor an archive, nor a data base")
    tree = parse(data, name, "import_syntax", constants=True)
    if source == inspect_log.SOURCE or (source is None and inspect_log.is_ours(tree)):
        _no_samples(samples, path)
        return inspect_log.read(tree, wanted, name), _sha(data)
    if source == lm_eval.SOURCE or (source is None and lm_eval.is_ours(tree)):
        if samples is None:
            return lm_eval.read(tree, wanted, name), _sha(data)
        beside = _bytes(samples)
        found = lm_eval.read(tree, wanted, name, beside)
        return found, digest({"results": _sha(data), "samples": _sha(beside)})
    raise _unknown(path, f"a JSON object with {common.listed([*map(str, tree)][:5])}")


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _bytes(path: Path) -> bytes:
    data = file.read(path, MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise broken(path.name, f"at most {MOST_BYTES:,} bytes", "more")
    if not data.strip():
        raise TollensError(
            "empty_file", str(path), expected="results", found=f"{len(data)} bytes", fix="Write the file again."
        )
    return data


def _no_samples(samples: Path | None, path: Path) -> None:
    if samples is not None:
        raise TollensError(
            "import_source", f"--samples {samples}", expected="results of lm-evaluation-harness",
            found=f"{path.name}, which is none or has its samples inside", fix="Leave out --samples.",
        )  # fmt: skip


def _unknown(path: Path, found: str) -> TollensError:
    return TollensError(
        "import_source", path.name,
        expected="results_*.json of lm-evaluation-harness, a log of inspect_ai, or mlruns/ or mlflow.db of MLflow",
        found=found[: common.LONGEST], fix="Give one of these, with --source where its form is an older one.",
    )  # fmt: skip


def _folder(path: Path, wanted: Wanted) -> tuple[Imported, str]:
    """The chosen run of a folder of runs; only its files are read."""
    runs = {run.name: run for run in _runs(path)}
    if not runs:
        raise _unknown(path, f"a folder without a run: no {META} beside metrics/")
    run = runs[mlflow_run.chosen_run(sorted(runs), wanted.run, path.name)]
    digests: dict[str, str] = {}

    def read(place: Path) -> bytes:
        data = file.read(place, MOST_BYTES)
        digests[place.relative_to(run).as_posix()] = _sha(data)
        return data

    meta = mlflow_run.meta_of(read(run / META), f"{path.name}: {META}")
    if meta.get("run_id", meta.get("run_uuid")) != run.name:
        raise broken(path.name, f"{META} of the run {run.name}", f"one of {meta.get('run_id', 'none')}")
    metrics = {}
    for key, place in _files(run / "metrics"):
        if wanted.metric in (None, key) or key == wanted.n_from:
            metrics[key] = mlflow_run.points_of(read(place), f"{path.name}: metrics/{key}")
        else:
            metrics[key] = []
    params = {}
    for key, place in _files(run / "params"):
        data = read(place) if key == wanted.n_from else b""
        try:
            params[key] = data.decode("utf-8")
        except UnicodeDecodeError:
            raise broken(path.name, f"params/{key}: text in UTF-8", "other bytes") from None
    ended = meta.get("end_time", "")
    found = mlflow_run.Run(
        id=run.name, status=mlflow_run.STATUS.get(meta.get("status", ""), "of unknown status"),
        ended=int(ended) if ended.isascii() and ended.isdigit() and len(ended) <= 15 else None,
        metrics=metrics, params=params, version="not stated",
    )  # fmt: skip
    return mlflow_run.read(found, wanted, path.name), digest(digests)


def _runs(path: Path) -> Iterator[Path]:
    """The runs in a folder of runs, in one of experiments, or the run that the folder itself is."""
    places = [path.resolve()]
    for _ in range(3):
        below: list[Path] = []
        for place in places:
            if (place / META).is_file() and (place / "metrics").is_dir():
                yield place
            elif place == places[0] or (place / META).is_file() or len(places) > 1:
                below += [entry for entry in _listing(place) if entry.is_dir() and not entry.name.startswith(".")]
        places = below


def _listing(folder: Path) -> list[Path]:
    """The entries of a folder, sorted; links are passed by, because they lead to what belongs to another run."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(Path(entry.path) for entry in entries if not entry.is_symlink())
    except OSError as error:
        raise file.unreadable(folder, error) from None
    if len(found) > MOST_FILES:
        raise broken(folder.name, f"at most {MOST_FILES:,} entries", f"{len(found):,}")
    return found


def _files(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Every file below a folder with its key, which may hold slashes; three levels at most."""
    if not folder.is_dir():
        return
    for entry in _listing(folder):
        key = f"{prefix}{entry.name}"
        common.text(folder.name, "a key", key)
        if entry.is_file():
            yield key, entry
        elif entry.is_dir() and key.count("/") < 3:
            yield from _files(entry, f"{key}/")
