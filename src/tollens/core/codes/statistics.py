"""Why a statistical question gets no answer."""

from __future__ import annotations

from tollens.core.codes.code import Code

STATISTICS: dict[str, Code] = {
    "stats_input": Code(
        "Data cannot be used",
        "The data or a parameter lies outside what the method is defined for: empty, not finite, of unequal "
        "lengths, a level outside (0, 1), or counts outside 0 to n.",
        "Correct the value that the message names.",
    ),
    "stats_no_scale": Code(
        "No variance",
        "All values are equal where the method divides by their spread.",
        "Use a method that needs no scale, or check whether the data were copied.",
    ),
    "stats_level_unreachable": Code(
        "Level cannot be reached",
        "With so few units even the most extreme outcome has a p-value above the level asked for, so that the "
        "test could never reject.",
        "Collect the number of units that the message names.",
    ),
    "stats_not_exchangeable": Code(
        "Units are not exchangeable",
        "The rows that the method would swap are not interchangeable under the null: they share a cluster, or "
        "they belong to a pair.",
        "Give the cluster labels, or use the paired form of the test.",
    ),
    "stats_peeking": Code(
        "Look outside the plan",
        "The method is valid only at the sample sizes that were planned, and this is another one.",
        "Wait for the planned look, or use a rule that is valid at any stopping time.",
    ),
    "stats_family_changed": Code(
        "Family is not the registered one",
        "A correction for many claims counts all that were registered, and another number of p-values was given.",
        "Give a p-value for every registered claim.",
    ),
    "stats_unplanned": Code(
        "Not what was planned",
        "The method or the margin is another one than was fixed before the results were seen, so that its error "
        "rates no longer hold.",
        "Answer with the method and the margin of the plan, or register a new plan and collect new data.",
    ),
    "stats_assumption_violated": Code(
        "Assumption violated",
        "The data cannot have come from what the method assumes: for instance no single value lies in all "
        "intervals of a confidence sequence.",
        "Look for drift or a change of the data source, and start again after it.",
    ),
    "stats_unnamed": Code(
        "Choice not stated",
        "The answer depends on a choice that was left open, such as the formula, the cost, the threshold or the "
        "action to take when neither arm is better.",
        "State the choice that the message names.",
    ),
    "stats_uncalibrated": Code(
        "Rule without its operating characteristics",
        "The rule does not control the type-I error, and how often it ships either arm was not simulated for it, "
        "or not with a row of two equal arms.",
        "Simulate the rule with equal arms among the truths before the data are opened.",
    ),
    "stats_too_few_units": Code(
        "Too few units",
        "The method is known to miss its level with so few independent units.",
        "Collect more units, or use the exact method that the message names.",
    ),
    "stats_imprecise": Code(
        "Number not computed to its precision",
        "The numerical error of the result is larger than what is promised for it.",
        "Report the input as a bug.",
    ),
}
