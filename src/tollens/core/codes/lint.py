"""Reported numbers that cannot be read as claims."""

from __future__ import annotations

from tollens.core.codes.code import Code

LINT: dict[str, Code] = {
    "lint_syntax": Code(
        "Claims cannot be read",
        "The file is not what its ending says, or a tag in it cannot be read.",
        "Correct the line that the message names.",
    ),
    "lint_float": Code(
        "Number without its digits",
        "A bare TOML or JSON number has lost its trailing zeros, and with them the rounding it was reported to.",
        'Write the number as a string, such as "0.10".',
    ),
    "lint_number": Code(
        "Number cannot be read",
        "A reported value is a decimal such as 29.8, 1,234, 1e-3, ~5, <0.05 or a range with low and high.",
        "Write the value in this form and its unit beside it.",
    ),
    "lint_unknown_field": Code(
        "No such field",
        "No invariant of this kind knows a field of that name.",
        "Use the near match that the message names, or see `tollens lint --list`.",
    ),
    "lint_unknown_kind": Code(
        "No such invariant",
        "The kind of a claim is the id of an invariant, a list of ids, or auto.",
        "Use the near match that the message names, or see `tollens lint --list`.",
    ),
    "lint_unit": Code(
        "No such unit of a reported number",
        "The unit is not one that reported numbers may carry, or it is not one that this field can have.",
        "Use one of the units that the message names.",
    ),
    "lint_pointer": Code(
        "Pointer leads nowhere",
        "The JSON pointer of a claim names no value in the result file, or one that is no number.",
        "Correct the path or the pointer after the #.",
    ),
    "lint_duplicate": Code(
        "Claim stated twice",
        "Two claims share one id, or one claim names a field twice in one place.",
        "Give every claim an id of its own.",
    ),
}
