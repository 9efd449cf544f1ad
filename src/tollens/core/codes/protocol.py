"""What stops a metric from being run, measured or sealed."""

from __future__ import annotations

from tollens.core.codes.code import Code

PROTOCOL: dict[str, Code] = {
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
    "not_scorable": Code(
        "A reading is missing or not finite",
        "A reading that the rules use is absent, NaN or infinite. No rule is evaluated on it, "
        "since a comparison with NaN would read as a decision.",
        "Find out why the metric has no value in this cell, and amend the claim if it cannot have one.",
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
}
