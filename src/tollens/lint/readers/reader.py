"""From the text of a file to its claims: the ending of its name says how it is read."""

from __future__ import annotations

from pathlib import PurePath

from tollens.core.errors import TollensError
from tollens.lint.readers.document import Document, Read
from tollens.lint.readers.draft import draft_latex, draft_markdown
from tollens.lint.readers.latex import latex_claims
from tollens.lint.readers.markdown import markdown_claims
from tollens.lint.readers.toml_table import json_claims, toml_claims

TABLES = {".toml": toml_claims, ".json": json_claims}
TEXTS = {".md": markdown_claims, ".markdown": markdown_claims, ".tex": latex_claims}
DRAFTS = {".md": draft_markdown, ".markdown": draft_markdown, ".tex": draft_latex}


def read_claims(path: str, text: str, read: Read) -> Document:
    """The claims that a table states, or that the tags of a text make.

    `read` gives the bytes of a result file that a claim points into. Raises TollensError: `lint_syntax`, also for
    another ending, `lint_float`, `lint_number`, `lint_unknown_field`, `lint_unit`, `lint_pointer`, `lint_duplicate`.
    """
    ending = PurePath(path).suffix.lower()
    if ending in TABLES:
        return TABLES[ending](path, text, read)
    if ending in TEXTS:
        return TEXTS[ending](path, text)
    raise _ending(path, [*TABLES, *TEXTS])


def draft_claims(path: str, text: str) -> Document:
    """What can be recognised in an untagged text, each claim marked as a draft reading.

    Raises TollensError `lint_syntax` for a table of claims, which needs no draft, and for another ending.
    """
    ending = PurePath(path).suffix.lower()
    if ending in DRAFTS:
        return DRAFTS[ending](path, text)
    raise _ending(path, list(DRAFTS))


def _ending(path: str, known: list[str]) -> TollensError:
    return TollensError(
        "lint_syntax",
        path[:200],
        expected=f"a name that ends in {', '.join(known)}",
        found=repr(PurePath(path).suffix[:40]) if PurePath(path).suffix else "no ending",
        fix="Rename the file, or give another.",
    )
