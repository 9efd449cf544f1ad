"""A claim whose null, ladder or stopping rule cannot be sealed, and readings that chance cannot be asked about."""

from __future__ import annotations

from tollens.core.codes.code import Code

PROTOCOL: dict[str, Code] = {
    "null_field": Code(
        "Null baseline cannot be used",
        "A field of the null contradicts another, or has no meaning that could be sealed.",
        "Write the smallest change that the message names.",
    ),
    "null_few_draws": Code(
        "Too few draws of the null",
        "The k-th most extreme of S draws is exceeded by chance alone with probability k/(S + 1), which is above "
        "the level that was asked for. No result could then be told from chance.",
        "Draw as many as the message says, or ask for the level that the draws give.",
    ),
    "null_margin": Code(
        "Multiplicative margin without a true zero",
        "A factor means something only for values that cannot be negative and whose zero means none at all.",
        "Write an additive margin, or declare the true zero and the lower end of the support.",
    ),
    "null_incomplete": Code(
        "Null without all of its draws",
        "A draw is missing, one too many, or not a finite number; leaving it out would change the level.",
        "Draw again with the sealed seed.",
    ),
    "ladder_cycle": Code(
        "Rungs that wait for each other",
        "Each rung of the cycle requires another one of it, so that none could ever start.",
        "Remove one `requires` of the cycle.",
    ),
    "ladder_requires": Code(
        "Rung that requires an unknown one",
        "A rung waits for one that is not on the ladder, so that it could never start.",
        "Correct the name, or add the rung.",
    ),
    "ladder_rung": Code(
        "Rung without a usable price",
        "The order is by cost over kill probability: a cost is a finite number of at least 0, a probability lies in "
        "(0, 1], and every rung has a name of its own.",
        "Correct the field that the message names.",
    ),
    "stopping_field": Code(
        "Stopping rule cannot be sealed",
        "A parameter is missing, is read by no part of the rule, or promises what the rule cannot keep.",
        "Write the smallest change that the message names.",
    ),
}
