"""The reference page of all quantities, generated from the instruments that measure them."""

from __future__ import annotations

import sys
from pathlib import Path

from tollens.instrument.factored import factored
from tollens.instrument.registry import Instrument
from tollens.instrument.spectrum import spectrum
from tollens.instrument.tail import tail
from tollens.run.layer import AFTER_TAIL

HEAD = """# Quantities

Generated from the instruments; do not edit. Each is a field of a layer in `tollens scan --json`. In a claim a number
goes by its name and a list of numbers over shuffles by its median; a list of objects has no name there. M is the
smaller side of the matrix, N the larger one. Eigenvalues are those of the M x M Gram matrix, not divided by N. A
quantity marked * does not change when the matrix is multiplied by a number.
"""


def quantities_text() -> str:
    """One section for each built-in instrument, in alphabetical order."""
    return HEAD + "".join(
        _section(made) for made in sorted((spectrum, tail, *AFTER_TAIL, factored), key=lambda made: made.name)
    )


def _section(made: Instrument) -> str:
    rows = "".join(
        f"| `{quantity}`{' *' if quantity in made.scale_invariant else ''} | {unit} |\n"
        for quantity, unit in made.quantities.items()
    )
    sources = "; ".join(made.references)
    return f"\n## {made.name}\n\n{_summary(made)}\n\n| quantity | unit |\n|---|---|\n{rows}\nSource: {sources}.\n"


def _summary(made: Instrument) -> str:
    doc = made.function.__doc__ or ""
    return " ".join(line.strip() for line in doc.strip().splitlines()).strip()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(quantities_text(), encoding="utf-8")
