"""`lint_files`: files of reported numbers in, findings out. Opens the files, and no other than those they point to."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

import tollens.lint.invariants  # noqa: F401  # registers the laws
from tollens.core.errors import TollensError
from tollens.lint.ask import entry_text
from tollens.lint.check import Outcome
from tollens.lint.example import example_claim
from tollens.lint.finding import Finding
from tollens.lint.judge import claim_outcome, judge
from tollens.lint.law import Invariant
from tollens.lint.readers.document import Document
from tollens.lint.readers.draft import draft_table
from tollens.lint.readers.reader import DRAFTS, draft_claims, read_claims
from tollens.lint.registry import INVARIANTS
from tollens.run.plugins import installed
from tollens.run.replay import replay_in_child
from tollens.subject import file

LARGEST = 1 << 26
"""Bytes of a file of claims, or of results that it points to: 64 MiB."""
STDIN = "-"
Verdict: TypeAlias = Literal["CLEAN", "FINDINGS", "UNDETERMINED"]


class LintedFile(msgspec.Struct, frozen=True):
    """What was read of one file: its digest, the claims found, the numbers seen in its text and those tagged.

    A file of results that claims point to is listed behind them, with its digest and no claims of its own.
    """

    path: str
    digest: str
    claims: int
    numbers: int
    tagged: int


class LintReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens lint --json` prints.

    `verdict` is FINDINGS where a number is refuted, CLEAN where none is and something could be judged,
    UNDETERMINED where nothing could. `outcomes` counts claims, not findings.
    """

    schema: str = "tollens.lint/1"
    verdict: Verdict
    headline: str
    draft: bool
    files: list[LintedFile]
    outcomes: dict[str, int]
    findings: list[Finding]
    notes: list[str] = []


@dataclass(frozen=True, slots=True)
class _Read:
    """One file of claims: what was made of it, and the digests of the files of results that it points to."""

    path: str
    digest: str
    document: Document
    results: dict[str, str]


def lint_files(paths: Sequence[str | os.PathLike[str]], *, draft: bool = False) -> LintReport:
    """Refuse reported numbers that cannot be true; the object that `tollens lint --json` prints.

    `paths` are claims tables (.toml, .json) or texts with tagged numbers (.md, .tex); "-" is standard input.
    With `draft` the numbers of an untagged text are guessed from its tables and sentences. Raises:
    TollensError with a code for a file that cannot be read as claims.
    """
    notes = [f"plugin {r.name} ({r.module}) was skipped: {r.error}" for r in installed() if r.error is not None]
    read = [_opened(os.fspath(path), draft) for path in paths]
    claims = [claim for one in read for claim in one.document.claims]
    findings = judge(claims, replay_in_child)
    findings += [finding for one in read for finding in one.document.restated]
    findings.sort(key=lambda f: (f.path, f.line, f.id, f.invariant or ""))
    by_claim: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        by_claim.setdefault((finding.path, finding.id), []).append(finding)
    outcomes = Counter(claim_outcome(found) for found in by_claim.values())
    files = [
        LintedFile(one.path, f"sha256:{one.digest}", len(one.document.claims), one.document.seen, one.document.tagged)
        for one in read
    ]
    results = {path: digest for one in read for path, digest in one.results.items()}
    files += [LintedFile(path, f"sha256:{digest}", 0, 0, 0) for path, digest in results.items()]
    if not claims and not draft:
        notes += [note for path in paths if (note := _preview(os.fspath(path))) is not None]
    return LintReport(
        verdict=_verdict(outcomes),
        headline=_headline(outcomes, files, draft),
        draft=draft,
        files=files,
        outcomes={str(outcome): outcomes[outcome] for outcome in Outcome},
        findings=findings,
        notes=notes,
    )


def _preview(path: str) -> str | None:
    """What a draft reading of an untagged text would say: nothing is judged by it, but a stranger learns that it can.

    None for a table of claims and for standard input, which cannot be read twice.
    """
    if path == STDIN or Path(path).suffix.lower() not in DRAFTS:
        return None
    claims = _opened(path, True).document.claims
    findings = judge(claims, replay_in_child)
    refuted = len({f.id for f in findings if f.outcome == Outcome.REFUTED})
    return f"a draft reading recognises {_plural(len(claims), 'claim')} and refutes {refuted}" if claims else None


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _verdict(outcomes: Counter[str]) -> Verdict:
    if outcomes[Outcome.REFUTED]:
        return "FINDINGS"
    return "CLEAN" if outcomes[Outcome.UNDETERMINED] or outcomes[Outcome.SUPPORTED] else "UNDETERMINED"


def _headline(outcomes: Counter[str], files: Sequence[LintedFile], draft: bool) -> str:
    claims = sum(outcomes.values())
    numbers, tagged = sum(f.numbers for f in files), sum(f.tagged for f in files)
    if not claims:
        if draft:
            return f"nothing recognised among {numbers:,} numbers"
        return f"found {tagged} tagged of {numbers:,} numbers; try --draft"
    counts = ", ".join(f"{outcomes[o]:,} {o}" for o in Outcome if outcomes[o] or o is Outcome.REFUTED)
    return f"{_plural(claims, 'draft claim' if draft else 'claim')}: {counts}"


def _opened(path: str, draft: bool) -> _Read:
    if path == STDIN:
        data, shown = sys.stdin.buffer.read(LARGEST + 1), "<stdin>"
    else:
        data, shown = file.read(Path(path), LARGEST + 1), path
    if len(data) > LARGEST:
        raise TollensError(
            "lint_syntax", shown, expected=f"at most {LARGEST:,} bytes of claims", found="more",
            fix="Split the file.",
        )  # fmt: skip
    if not data.strip():
        raise TollensError(
            "empty_file", shown, expected="claims, or a text with numbers", found=f"{len(data)} bytes",
            fix="Write the file again.",
        )  # fmt: skip
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TollensError(
            "lint_syntax", shown, expected="text in UTF-8", found=_other(data, error.start),
            fix="Give the source of the document, or save it as UTF-8.",
        ) from None  # fmt: skip
    folder = Path(path).parent if path != STDIN else Path()
    name = _guessed(text) if path == STDIN else path

    results: dict[str, str] = {}

    def pointed(target: str) -> bytes:
        found = _pointed(folder, target)
        results[str(folder / target)] = sha256(found).hexdigest()
        return found

    document = draft_claims(name, text) if draft else read_claims(name, text, pointed)
    return _Read(shown, sha256(data).hexdigest(), document, results)


def _other(data: bytes, at: int) -> str:
    """What stands in a file that is no text, as far as its first bytes tell."""
    kinds = {b"%PDF": "a PDF", b"PK\x03\x04": "an archive, as of a word processor", b"\x1f\x8b": "a gzip file"}
    return next((kind for magic, kind in kinds.items() if data.startswith(magic)), f"byte {at} is not UTF-8")


def _guessed(text: str) -> str:
    """A name for what came through standard input, with the ending that its text suggests."""
    if re.search(r"^\s*\[\[claim\]\]", text, re.M):
        return "<stdin>.toml"
    return "<stdin>.tex" if re.search(r"\\(documentclass|begin|tnum)\b", text) else "<stdin>.md"


def _pointed(folder: Path, target: str) -> bytes:
    """The bytes of a result file that a claim points to. It must lie in the folder of the claims, or below."""
    path = folder / target
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        inside = False
    if not inside:
        raise TollensError(
            "lint_pointer", target, expected="a file in the folder of the claims, or below it",
            found="a path that leads out of it", fix="Copy the results beside the claims.",
        )  # fmt: skip
    data = file.read(path, LARGEST + 1)
    if len(data) > LARGEST:
        raise TollensError(
            "lint_pointer", target, expected=f"at most {LARGEST:,} bytes of results", found="more",
            fix="Write the numbers that are claimed into a smaller file.",
        )  # fmt: skip
    return data


class FieldEntry(msgspec.Struct, frozen=True):
    """One field of an invariant: its unit in words, whether it must be there, whether it is taken as printed."""

    name: str
    unit: str
    required: bool
    exact: bool


class LawEntry(msgspec.Struct, frozen=True):
    """One invariant as `--list` shows it. `examples` are its known answers: fields as written, and the outcome."""

    id: str
    formula: str
    violation: str
    fields: list[FieldEntry]
    states: list[str]
    assumes: list[str]
    derivation: str
    reference: str
    examples: list[tuple[dict[str, str], str]]


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens lint --list --json` prints."""

    schema: str = "tollens.lint-list/1"
    invariants: list[LawEntry]


def catalogue() -> Catalogue:
    """Every invariant that is installed, those of plugins among them, in order of id."""
    installed()
    return Catalogue(invariants=[_entry(INVARIANTS[name]) for name in sorted(INVARIANTS)])


def _entry(made: Invariant) -> LawEntry:
    required = set(made.needs)
    fields = [FieldEntry(n, need.said(), n in required, n in made.exact) for n, need in made.fields.items()]
    examples = [({n: entry_text(e) for n, e in example_claim(made, x).fields.items()}, x.outcome) for x in made.known]
    return LawEntry(
        made.id, made.formula, str(made.violation), fields, list(made.states), list(made.assumes), made.derivation,
        made.reference, examples,
    )  # fmt: skip


def drafted(path: str | os.PathLike[str]) -> str:
    """The claims that `draft` guesses from a text, as a claims table to correct and to lint again."""
    return draft_table(_opened(os.fspath(path), True).document)
