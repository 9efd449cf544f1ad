"""What `tollens drift` reports: where a record no longer agrees with itself."""

from __future__ import annotations

from tollens.core.codes.code import Code

DRIFT: dict[str, Code] = {
    "d01": Code(
        "seal broken",
        "A sealed file, or one that the metric includes, was edited or is gone; or the ledger, seal.json or an "
        "imported file is not what was recorded. The verdict is of other content than what lies there.",
        "Restore the file from version control, or register the change with `tollens amend`.",
    ),
    "d02": Code(
        "run without any seal",
        "Something was run, or decided, that no seal of this ledger covers: nobody can tell what was promised before.",
        "Discard the run, seal the study with `tollens lock`, and climb.",
    ),
    "d03": Code(
        "seal newer than its result",
        "A result stands before the seal that it is judged under, or was made before it. A threshold that was chosen "
        "with the result in sight tests nothing, so that the verdict is exploratory.",
        'Declare it with `tollens amend --access "results seen"`, or measure again under the seal.',
    ),
    "d04": Code(
        "result bound to no claim",
        "A record, a decision or a number of a paper names a claim or a seal that its study never had.",
        "Put it where its claim is, or take it out.",
    ),
    "d05": Code(
        "claim without evidence",
        "A paper, a decision or a list of trap results says of a claim what no verdict in a ledger says.",
        "Climb the study, or cite the claim as what it is.",
    ),
    "d06": Code(
        "evidence without claim",
        "A folder holds what a climb leaves and no claim.toml, or a claim names evidence for what does not exist.",
        "Restore the claim, or take the evidence away.",
    ),
    "d07": Code(
        "killed claim cited as live",
        "A paper, a study or a constraint leans on a claim that was killed and does not say so.",
        "Write `as=killed` in a t:cite tag, or take the citation out.",
    ),
    "d08": Code(
        "generated number stale",
        "A tagged number was written from a verdict that is not the present one, or has other digits than would be "
        "written now.",
        "Run `tollens drift --fix` and read what it changed.",
    ),
    "d09": Code(
        "hand-typed number",
        "The digits of a tagged number are right, and nothing says which verdict they are from: the next change of the "
        "study would leave them behind.",
        "Run `tollens drift --fix`, which writes the source into the tag.",
    ),
    "d10": Code(
        "right number, wrong unit or rounding",
        "A tagged number agrees with its study only after a conversion of units, or was cut where it ought to be "
        "rounded.",
        "Run `tollens drift --fix` and read what it changed.",
    ),
    "d11": Code(
        "figure older than its data",
        "The digest in the tag of a figure is not that of its data or of the verdict of its study; time stamps are not "
        "looked at.",
        "Draw the figure again and write the new digest into its tag.",
    ),
    "d12": Code(
        "ledger sum mismatch",
        "Money or counts that a ledger, a verdict or a postmortem states do not follow from the other records.",
        "Restore the ledger from version control, or write the sum of the rows into the postmortem.",
    ),
    "drift_revision": Code(
        "No such revision",
        "What changed since a revision is asked of git, and git does not know it here.",
        "Name a commit, a branch or a tag of the repository that the folder lies in.",
    ),
}
