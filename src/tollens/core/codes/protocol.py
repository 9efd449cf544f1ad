"""Why a claim is not sealed: what is wrong with its metric, its arms or its rules."""

from __future__ import annotations

from tollens.core.codes.code import Code

PROTOCOL: dict[str, Code] = {
    "sign_spec": Code(
        "Sign-check cannot be set up",
        "A setting of the sign-check is missing, not finite, negative, or smaller than the check needs.",
        "Correct the field named in the message.",
    ),
    "sign_arms": Code(
        "Sentinel arms unusable",
        "The sign-check runs the metric on ideal, partial, noop, worst and gamer inputs. "
        "One of these arms is missing, or does not give what the settings say of it.",
        "Give ARMS the functions named in the message.",
    ),
    "sign_unknown_metric": Code(
        "No arms for this metric",
        "Arms are built in for the usual metrics only, and this name is none of them.",
        "Use one of the near matches named in the message, or write the arms.",
    ),
    "sign_not_run": Code(
        "Metric did not run on its arms",
        "The metric or an arm raised, or the metric gave no number for the quantity. "
        "A metric that fails on inputs of known order cannot decide a claim.",
        "Repair what the message quotes.",
    ),
    "sign_reversed": Code(
        "Sign reversed",
        "The metric ranks a bad arm above the ideal one. The claim would reward what it means to forbid.",
        "Turn the sign of the metric or the declared direction.",
    ),
    "sign_blind": Code(
        "Metric is blind",
        "The metric does not tell the ideal arm from the worst by the margin, or an arm that games it beats the ideal.",
        "Use a metric that separates the two arms in the message.",
    ),
    "sign_unstable": Code(
        "Metric is unstable",
        "The value is not finite, depends on the seed or the order of items, hides a missing item, or does not "
        "follow quality step by step.",
        "Repair the metric until the two values in the message agree or stand in their order.",
    ),
}
