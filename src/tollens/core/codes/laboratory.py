"""A folder of studies: what binds a proposal, what killed claims, what was paid, and what is asked of the record."""

from __future__ import annotations

from tollens.core.codes.code import Code

LABORATORY: dict[str, Code] = {
    "laboratory_syntax": Code(
        "tollens.toml cannot be read",
        "The file of the laboratory is not TOML, has a key that nobody reads, a value of the wrong kind, or one name "
        "twice.",
        "Correct the line named in the message.",
    ),
    "money_amount": Code(
        "Amount of money not readable",
        "An amount is digits, at most six decimals, a blank and the letters of a currency; a sign, an exponent or "
        "a separator of thousands could be read in two ways.",
        "Write it like `12.40 EUR`.",
    ),
    "money_overflow": Code(
        "Amount of money too large",
        "A row of the ledger holds at most 2^53 - 1 millionths of a currency, which every JSON reader keeps exactly.",
        "Write it as several purchases.",
    ),
    "quantity_invalid": Code(
        "Quantity not usable",
        "How much was bought is a finite number of units, 0 or more, written as digits with a decimal point.",
        "Correct the quantity.",
    ),
    "rate_unknown": Code(
        "No such rate",
        "No tollens.toml above the study has a [[rate]] of this id.",
        "Write the rate into tollens.toml, with the day since when it holds.",
    ),
    "rate_conflict": Code(
        "One rate, two prices",
        "Two tollens.toml above the study give the same id to different rates, so that the price is in doubt.",
        "Give the two rows ids of their own.",
    ),
    "rate_not_yet": Code(
        "Rate of a later day",
        "The purchase was made before the day since when the rate holds.",
        "Name the rate that held on that day.",
    ),
    "spend_place": Code(
        "No such rung or cell",
        "Money is recorded for a rung and a cell of the sealed study, or for `other`.",
        "Name one that was sealed.",
    ),
    "spend_evidence": Code(
        "Nothing vouches for the row",
        "A row of money names what shows that it was paid, in at most 500 characters.",
        "Give the number of the invoice or the path of the bill.",
    ),
    "refund_too_large": Code(
        "Refund of more than was spent",
        "What comes back in a currency is at most what the study has spent in it, less earlier refunds.",
        "Record the purchase first, or correct the amount.",
    ),
    "constraint_malformed": Code(
        "Constraint cannot bind",
        "A constraint of tollens.toml has a trigger that does not read or can never be true, a requirement of no known "
        "form, or none at all. It is not passed by, because then it would bind nobody.",
        "Correct the constraint that the message names.",
    ),
    "constraint_unmet": Code(
        "Forbidden until shown otherwise",
        "What is proposed triggers a constraint of the laboratory: such proposals have failed before. Neither evidence "
        "nor a waiver lifts it. An attribute that is not declared counts as triggering.",
        "Attach the evidence that the message names, declare the attribute, or waive it with `tollens record waive`.",
    ),
    "constraint_unknown": Code(
        "No such constraint",
        "Evidence or a waiver names a constraint that no tollens.toml above the study has.",
        "Correct the id.",
    ),
    "proposal_value": Code(
        "Attribute has no such value",
        "An attribute under [proposal] that constraints know by name has a value that it cannot have, so that a "
        "constraint would not be triggered by it.",
        "Write one of the values that the message lists.",
    ),
    "waiver_refused": Code(
        "Nothing to waive, or no waiver",
        "A waiver has a reason, ends within 366 days, and is for a constraint that blocks.",
        "Give what the message asks for.",
    ),
    "no_study": Code(
        "No study below the folder",
        "Neither a claim.toml nor a ledger lies anywhere in it: where nothing is registered nothing is known, which is "
        "not the same as nothing being wrong.",
        "Name another folder, or make a study with `tollens new`.",
    ),
    "index_foreign": Code(
        "The file named by --index is something else",
        "It is neither empty nor an index of Tollens, and what somebody else wrote is never replaced.",
        "Name another file.",
    ),
    "index_busy": Code(
        "Another process writes to the index",
        "One writer at a time brings an index up to date, and the wait for the other one came to its end.",
        "Run the same command again when the other process has ended.",
    ),
    "query_refused": Code(
        "Question that would do more than read",
        "A question only reads the index: no write, no PRAGMA, no ATTACH, no function that reaches files.",
        "Ask with one SELECT.",
    ),
    "query_failed": Code(
        "Question that SQLite cannot answer",
        "Its text is not one SELECT over the tables of the index, or its answer is larger than what is allowed.",
        "Look at the tables with `tollens record ask FOLDER`.",
    ),
    "query_slow": Code(
        "Question that took too long",
        "The time limit came before the answer.",
        "Ask for less, or give --seconds.",
    ),
    "postmortem_not_killed": Code(
        "No killed claim to explain",
        "A post-mortem says why a claim died, and this study has no verdict KILLED for its seal.",
        "Climb the study first, or leave it without a post-mortem.",
    ),
    "postmortem_syntax": Code(
        "Post-mortem cannot be read",
        "`postmortem.toml` is no plain text file of the fields that Tollens wrote into it.",
        "Correct the field named, or move the file away and have it opened again.",
    ),
    "postmortem_differs": Code(
        "Post-mortem disagrees with the ledger",
        "What stands above the line of postmortem.toml is what the ledger says of the death, and somebody changed it.",
        "Put back what the ledger says.",
    ),
    "postmortem_incomplete": Code(
        "Post-mortem is incomplete",
        "A death counts for a class of obstacles, and only a person can say which; OTHER says nothing without words.",
        "Set the field that the message names in postmortem.toml.",
    ),
    "obstacle_unknown": Code(
        "Obstacle of no class",
        "Deaths are counted by class, and a class that is written in two ways would be counted as two.",
        "Name a class that the message lists, or add your own to tollens.toml.",
    ),
    "obstacle_name": Code(
        "Class of obstacles without a usable name",
        "A class of a laboratory has capital letters, digits and underscores in its id, one sentence, and a name that "
        "no built-in class has.",
        "Correct the table that the message names.",
    ),
}
