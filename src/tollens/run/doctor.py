"""`doctor`: what is installed, on which machine, and whether it has been certified."""

from __future__ import annotations

import os
import sys

import msgspec
from threadpoolctl import threadpool_info

from tollens.core.extras import install_command, missing_distributions
from tollens.run.cache import VARIABLE, Unusable, cache_folder, certificate_path, find
from tollens.run.certificate import Certificate, Machine
from tollens.run.machine import this_machine
from tollens.run.plugins import PluginReport, installed


class Extra(msgspec.Struct, frozen=True):
    """An optional part of Tollens: what it lacks, and the command that brings it; None if it is complete."""

    name: str
    missing: list[str]
    command: str | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """`state` is "valid", "failed", "stale", "absent" or "unreadable"; `why` says what is wrong.

    `answers` were asked at `started`, and `failed` names those that do not hold.
    """

    state: str
    path: str
    why: str | None = None
    started: str | None = None
    answers: int = 0
    failed: list[str] = []


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `tollens doctor`. `threads` is what each BLAS library would take; a scan sets its own number."""

    schema: str = "tollens.doctor/1"
    machine: Machine
    executable: str
    cores: int
    threads: list[int]
    extras: list[Extra]
    plugins: list[PluginReport]
    certificate: Standing
    cache: str
    cache_variable: str = VARIABLE


def diagnose() -> Diagnosis:
    """Look at the installation and at the cached certificate; nothing is asked and nothing is written."""
    here = this_machine()
    return Diagnosis(
        machine=here,
        executable=sys.executable,
        cores=_cores(),
        threads=[int(i["num_threads"]) for i in threadpool_info() if i["user_api"] == "blas"],
        extras=[
            Extra(name, missing, install_command(name) if missing else None)
            for name, missing in sorted(missing_distributions().items())
        ],
        plugins=list(installed()),
        certificate=_standing(here),
        cache=str(cache_folder()),
    )


def _standing(here: Machine) -> Standing:
    found = find(here)
    if isinstance(found, Unusable):
        return Standing(state=found.state, path=str(found.path), why=found.why)
    failed = [f"{answer.name}: {answer.title}" for answer in found.failed]
    state, why = ("valid", None) if found.passed and not failed else ("failed", _told(found))
    return Standing(
        state=state,
        path=str(certificate_path(here)),
        why=why,
        started=found.started,
        answers=len(found.answers),
        failed=failed,
    )


def _told(found: Certificate) -> str:
    return f"{len(found.failed)} of {len(found.answers)} known answers do not hold here"


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
