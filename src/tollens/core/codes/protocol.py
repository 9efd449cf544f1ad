"""The life of a claim: why a study is not sealed, not run, or not scored."""

from __future__ import annotations

from tollens.core.codes.code import Code

PROTOCOL: dict[str, Code] = {
    "study_not_found": Code(
        "No study here",
        "A study is a folder with a claim.toml.",
        "Make one with `tollens new my-claim`, or give its folder.",
    ),
    "study_exists": Code(
        "Folder is there already",
        "A new study goes into a folder of its own; nothing that exists is written over.",
        "Choose another name.",
    ),
    "study_syntax": Code(
        "claim.toml cannot be read",
        "The file is not TOML, or not text in UTF-8.",
        "Mend the line named in the message.",
    ),
    "study_missing": Code(
        "Field missing",
        "A field without which nothing can be decided is absent.",
        "Write the fields named; `tollens new` shows a study that has them all.",
    ),
    "study_field": Code(
        "Field not usable",
        "A field has a value of the wrong kind, does not fit another field, or is a key that nobody reads.",
        "Correct it as the message says.",
    ),
    "study_placeholder": Code(
        "Placeholder left in",
        "A field still holds the text of a template, so it promises nothing.",
        "Replace it by what you claim.",
    ),
    "study_busy": Code(
        "Another process is at work on the study",
        "One study is sealed, amended or climbed by one process at a time.",
        "Wait until it has ended; a killed process holds no lock.",
    ),
    "unknown_rung": Code(
        "No such kind of rung",
        "A rung names a kind of attack that is neither built in nor plugged in.",
        "Use arithmetic, weights or cpu, or install the plugin that brings the kind.",
    ),
    "trap_missing": Code(
        "Rung without both traps",
        "A control that must die shows that the rung can kill, one that must survive that it can spare. "
        "Without both, neither a survival nor a kill says anything.",
        "Add the [[trap]] table that the message names.",
    ),
    "data_unreadable": Code(
        "Sealed file cannot be read",
        "A file that the claim rests on is missing or not readable, so nothing could pin it.",
        "Restore the file, or correct its path.",
    ),
    "path_outside": Code(
        "Path leads out of the study",
        "Everything that decides a verdict lies in the study folder, so that it can be hashed, copied and moved.",
        "Copy the file into the folder, or link it there.",
    ),
    "metric_unpinned": Code(
        "Metric imports what nobody pins",
        "An imported module is neither in the study nor in an installed package, so its bytes are not sealed.",
        "Copy the module into the study folder, or install it as a package.",
    ),
    "metric_dynamic": Code(
        "Metric imports in a way that cannot be read off",
        "An import by a computed name or a changed search path could run code that the seal does not hold.",
        "Import modules by name.",
    ),
    "metric_incomplete": Code(
        "Metric lacks a function",
        "The file of the metric gives produce(arm, cell, rng), metric(inputs), the null generator and ARMS.",
        "Define what the message names.",
    ),
    "already_sealed": Code(
        "Study is sealed already",
        "A seal is written once. Sealing again after an edit would make the promise fit the result.",
        "Register the change and what you knew by then: `tollens amend`.",
    ),
    "nothing_amended": Code(
        "Nothing was changed",
        "The study is the one that was sealed, so there is nothing to amend.",
        "Edit claim.toml or its files first.",
    ),
    "amend_reason": Code(
        "Amendment without a reason",
        "An amendment says why the study was changed.",
        "Give --reason with a sentence.",
    ),
    "access_understated": Code(
        "Declared less than the ledger shows",
        "The access state of an amendment cannot lie below what the ledger proves was there to be seen. A reading "
        "counts as seen from the moment it stands in the ledger, which is plain text.",
        "Declare the state that the message names; every later verdict is then exploratory.",
    ),
    "not_sealed": Code(
        "Study is not sealed",
        "Only a sealed study is run: before that nothing was promised.",
        "Seal it with `tollens lock`.",
    ),
    "tampered": Code(
        "Sealed content was changed",
        "A file, the seal or the ledger is not what was sealed.",
        "Restore the files, or register the change with `tollens amend`.",
    ),
    "ledger_broken": Code(
        "Ledger does not hold together",
        "A record was changed, removed or put in another place: its hash or that of the one before does not fit.",
        "Restore ledger.jsonl from version control.",
    ),
    "copy_unwritable": Code(
        "No room for the copy to run on",
        "A run works on a private copy of the sealed files, in the folder for temporary files.",
        "Free that disk, or name another folder in TMPDIR.",
    ),
    "ledger_unreadable": Code(
        "Ledger cannot be read",
        "The system did not let the ledger be read.",
        "Mend the permissions of the study folder.",
    ),
    "ledger_unwritable": Code(
        "Nothing can be written here",
        "The disk is full or the folder is read-only. What was appended before is safe, and nothing half was kept.",
        "Free space or mend the permissions, then run the same command again.",
    ),
    "already_decided": Code(
        "Study has its verdict",
        "A sealed study is climbed to one verdict. Another climb could only look for another answer.",
        "Read the verdict with `tollens status`; register a changed claim with `tollens amend`.",
    ),
    "not_scorable": Code(
        "Reading cannot be scored",
        "A reading is missing, not finite, not whole where it counts, or outside its sealed support. No rule is "
        "evaluated on such a run.",
        "Mend the metric, or amend the support.",
    ),
    "unanchored": Code(
        "Nobody else holds the seal",
        "A chain of hashes proves nothing against the person who owns it. An anchor was required and there is none.",
        "Commit seal.json and push it, or attach a time stamp.",
    ),
    "not_run": Code(
        "Cell not run",
        "The cell had not been measured when the question was decided; its value ranges over its sealed support.",
        "Nothing: it could not have changed the answer, or the answer is undetermined.",
    ),
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
    "metric_import": Code(
        "The metric cannot be imported",
        "The file of the metric failed while it was being loaded, before any of its functions was called.",
        "Run `python metric.py` in its folder and mend what it reports.",
    ),
    "metric_raised": Code(
        "The metric raised an error",
        "A function of the metric ended with an exception. There is no value for this cell.",
        "Mend the line that the message names; the last output of the metric is kept beside it.",
    ),
    "metric_timeout": Code(
        "The metric took too long",
        "The process of this cell, and all that it had started, was ended at the time limit.",
        "Raise the time limit, or make the cell cheaper.",
    ),
    "metric_memory": Code(
        "The metric ran out of memory",
        "The process of this cell went over its limit of address space, or the system killed it.",
        "Raise the memory limit, or make the cell smaller.",
    ),
    "metric_died": Code(
        "The metric's process ended without an answer",
        "A signal ended the process, or it left by itself before the functions of the metric had returned.",
        "Look for native code that crashes, calls of `os._exit`, and code that closes files it did not open.",
    ),
    "metric_answer": Code(
        "The metric answered with the wrong type",
        "`metric` returns a mapping from names to real numbers; anything else cannot be a reading.",
        "Return a dictionary of floats and integers, or define the function that the message names.",
    ),
    "metric_syntax": Code(
        "A file of the metric is not valid Python",
        "The imports of the file cannot be listed, so the seal cannot say which code decides the verdict.",
        "Mend the line that the message names.",
    ),
    "metric_outside": Code(
        "A file of the metric lies outside its folder",
        "A path or a symbolic link leads out of the folder that is sealed, so its content could change unseen.",
        "Copy the file into the folder of the study.",
    ),
    "seal_anchor_differs": Code(
        "Another seal was published for this study",
        "The history that a remote received, or a time stamp, holds a seal that the ledger does not know. "
        "The record was deleted or rewritten and sealed again.",
        "Restore the ledger that holds this seal, or give the new claim a folder of its own.",
    ),
    "timestamp_unreadable": Code(
        "Time stamp cannot be read",
        "The file is no time-stamp response of RFC 3161, or it is cut off or damaged.",
        "Ask the authority for a new response and keep its bytes as they came.",
    ),
    "timestamp_differs": Code(
        "Time stamp is of something else",
        "The response is genuine, but the digest in it is not the seal hash, so that it says nothing about this seal.",
        "Ask the authority to stamp the seal hash of this study.",
    ),
    "timestamp_untrusted": Code(
        "Time stamp is not signed by a trusted authority",
        "The signature does not verify, or no given root certificate vouches for the signer as an authority of time.",
        "Name the root certificate of the authority in TOLLENS_TSA_ROOTS if you trust it.",
    ),
    "timestamp_no_root": Code(
        "Time stamp not verified",
        "No trusted root certificate was given, and a time stamp that anyone could have signed is no evidence.",
        "Name the root certificate of the authority, as a file, in TOLLENS_TSA_ROOTS.",
    ),
    "timestamp_root": Code(
        "Root certificate cannot be read",
        "A file given as a trusted root is absent or holds no X.509 certificate in PEM or DER form.",
        "Name files that hold the certificates you trust.",
    ),
    "timestamp_request": Code(
        "Time stamp not received",
        "The authority could not be asked, or it sent no answer of a sensible size.",
        "Check the address and the connection, or ask another authority.",
    ),
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
    "seal_changed": Code(
        "Study changed while it was sealed",
        "A file was another after it had been hashed, so that nobody knows which of the two was checked.",
        "Seal again when nothing writes to the folder.",
    ),
    "rung_cannot_kill": Code(
        "Rung that cannot kill",
        "A rung of some cells can kill only where those it leaves out could not undo it, and here they always could.",
        "Let any cell kill, or measure all of them.",
    ),
}
