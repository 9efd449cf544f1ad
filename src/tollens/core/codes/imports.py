"""Results of other tools: why one is not taken over as data."""

from __future__ import annotations

from tollens.core.codes.code import Code

IMPORTS: dict[str, Code] = {
    "import_source": Code(
        "Not a result file that is known",
        "The content is none of results of lm-evaluation-harness, a log of inspect_ai and runs of MLflow.",
        "Give one of these, or say which it is with --source.",
    ),
    "import_syntax": Code(
        "Result file cannot be read",
        "The file is damaged, cut off, too large, or has not the form that its tool gives it.",
        "Write the results again with their tool.",
    ),
    "import_ambiguous": Code(
        "Several results where one is needed",
        "The file holds more than one task, metric, filter, reducer or run, and choosing would be guessing.",
        "Name one with the option in the message.",
    ),
    "import_absent": Code(
        "Result is not in the file",
        "What was asked for, or what a result needs, is not there; the message lists what is.",
        "Name one of those listed.",
    ),
    "import_status": Code(
        "Run did not end in success",
        "A run that failed or was ended has seen only some of its samples, and which of them is no accident.",
        "Run it to its end and import that.",
    ),
    "import_reducer": Code(
        "Another reducer",
        "How several attempts at one item become one score decides the number: a calibration error can be 0 when "
        "attempts are averaged first, and 1 an attempt.",
        "Reduce the scores as sealed, or amend the reducer.",
    ),
    "import_step": Code(
        "Step not chosen",
        "A metric was logged at several steps, or twice at one, so that the file does not say which value is meant.",
        "Choose with --step, an integer or last.",
    ),
    "import_n": Code(
        "Result without its n",
        "A number without the number of samples behind it says nothing about chance.",
        "Give the n in the way that the message names.",
    ),
    "import_differs": Code(
        "Samples and results disagree",
        "The value or the n that the results state is not the one that the samples give.",
        "Give the results and the samples of one run.",
    ),
    "import_exists": Code(
        "Name is taken by another import",
        "An import is not written over: what was imported under the name came from other bytes or another choice.",
        "Give this one another --name.",
    ),
    "import_unrecorded": Code(
        "Imported data of unknown origin",
        "A sealed file says that it is an imported result, and no record of this ledger says which file it came from.",
        "Import it with `tollens record import FILE --study STUDY`.",
    ),
}
