"""Why a registration is not sealed."""

from __future__ import annotations

from tollens.core.codes.code import Code

PROTOCOL: dict[str, Code] = {
    "rule_unreachable": Code(
        "Rule can never be true",
        "No values inside the declared supports make the rule true, so that running the test could not change what "
        "it says. The proof is printed.",
        "Move the threshold inside what the support allows, or correct the support.",
    ),
    "rule_always": Code(
        "Rule is always true",
        "Every value inside the declared supports makes the rule true, so that the test could not come out otherwise.",
        "Remove the part that always holds, or move the threshold inside what the support allows.",
    ),
    "rules_overlap": Code(
        "Finding and kill overlap",
        "The values printed make both rules true: the same result would be a survival and a death.",
        "Exclude one rule from the other.",
    ),
    "finding_weaker": Code(
        "Finding is weaker than the claim",
        "The values printed make the finding true and the typed claim false, so that a result short of the claim "
        "would count as its survival.",
        "Add the claim to the finding, or state the weaker claim.",
    ),
    "reachability_undecided": Code(
        "Reachability undecided",
        "Neither values that make the rule true nor a proof that there are none were found within the limits. "
        "A rule that may be unable to fire is not sealed.",
        "State the rule with fewer alternatives, or declare finite supports.",
    ),
    "rule_list_empty": Code(
        "List of length 0",
        "Of an empty list everything is true, so that `all(...)` over it would pass without a measurement.",
        "Give the axis of the list at least one value.",
    ),
    "rule_support": Code(
        "Support without a value",
        "The declared support of a reading is empty, malformed, or does not fit its sort.",
        "Declare as support every value that the reading can have: `[low, high]` or a finite set.",
    ),
}
