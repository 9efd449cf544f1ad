"""A claim that cannot be read: what is wrong with its text, and how to say it."""

from __future__ import annotations

from tollens.core.codes.code import Code

CLAIMS: dict[str, Code] = {
    "claim_syntax": Code(
        "Claim cannot be read",
        "The text does not follow the grammar of claims at the place marked with ^.",
        "Write a comparison such as `all(stable_rank >= 8)` or `mean(alpha) < 6 and max(traps_all) == 0`.",
    ),
    "claim_empty": Code(
        "Empty claim",
        "The claim holds no text.",
        "Write a comparison such as `all(stable_rank >= 8)`.",
    ),
    "claim_prose": Code(
        "Claim is prose",
        "The text is a sentence for people. A sentence cannot be tested, because nothing says what would refute it.",
        "Say the same as a comparison of named quantities with numbers, such as `all(stable_rank >= 8)`.",
    ),
    "claim_character": Code(
        "Character outside the claim language",
        "Claims are plain ASCII: letters, digits, the operators < <= > >= == != + - * and parentheses.",
        "Replace the marked character, for instance ≥ by >= and − by -.",
    ),
    "claim_number": Code(
        "Number not accepted",
        "A number is malformed, or too large or too small to be held exactly enough to be compared.",
        "Write a finite decimal such as 0.5, 12 or 1e-3.",
    ),
    "claim_chained": Code(
        "Chained comparison",
        "`a < b < c` is read differently by different languages, so it is not part of this one.",
        "Write `a < b and b < c`.",
    ),
    "claim_constant": Code(
        "Claim of numbers alone",
        "The claim names nothing that is measured, so that it is true of every checkpoint or of none.",
        "Name a quantity in it, such as `all(stable_rank >= 8)`.",
    ),
    "claim_too_long": Code(
        "Claim too long",
        "The text, or what it expands to, is longer than any claim a person could check.",
        "Split it into several claims.",
    ),
    "claim_too_deep": Code(
        "Claim nested too deeply",
        "Parentheses and `not` nest deeper than the limit that keeps evaluation bounded.",
        "Remove superfluous parentheses.",
    ),
    "claim_function": Code(
        "No such function",
        "Only any, all, mean, min, max and quantile may be applied, each to one named list.",
        "Use one of these, or compare the quantity itself.",
    ),
    "claim_unknown_name": Code(
        "No such quantity",
        "The claim names a quantity that the readings do not contain.",
        "Use one of the near matches named in the message.",
    ),
    "claim_unit_mismatch": Code(
        "Units differ",
        "The two sides carry different units. Nothing is converted silently: % and pp, nat and bit, s and ms differ.",
        "Write the number with the unit of the quantity, such as `3 weight^2`.",
    ),
    "claim_unit": Code(
        "No such unit",
        "The unit is not one of 1 % pp nat bit token s ms B FLOP USD count weight decade or their "
        "products and quotients.",
        "Use one of the units named in the message.",
    ),
    "claim_type": Code(
        "Operation does not fit the values",
        "A comparison or aggregate was applied to values it is not defined for: == and != need integers "
        "or names, order and arithmetic need numbers, and a list must be aggregated.",
        "Put the list inside any, all, mean, min, max or quantile, and compare reals with < <= > >=.",
    ),
    "claim_quantile": Code(
        "Quantile level out of range",
        "The level of quantile(p, x) lies in (0, 1]; the result is the ceil(p n)-th smallest value.",
        "Use a level such as 0.5 or 0.95.",
    ),
    "claim_value": Code(
        "Reading outside its support",
        "A reading given to the claim is not a finite number, or lies outside the support declared for it.",
        "Correct the reading or its support; an absent value is given as undefined with its reason.",
    ),
    "unit_syntax": Code(
        "Unit cannot be read",
        "A unit is a product or quotient of 1 % pp nat bit token s ms B FLOP USD count weight decade, "
        "such as weight^2 or B/token.",
        "Write the unit in this form.",
    ),
    "claim_no_layers": Code(
        "Nothing to judge the claim on",
        "No layer was measured, and a statement about an empty list would be true of anything.",
        "Scan a checkpoint with at least one weight matrix, or widen the layer pattern.",
    ),
}
