"""What a scan reports about a layer."""

from __future__ import annotations

from tollens.core.codes.code import Code

FINDINGS: dict[str, Code] = {
    "nonfinite": Code(
        "NaN or infinity in the weights",
        "At least one element is not a finite number; every output that depends on it is lost. The count "
        "and the first index are given, and the other layers are judged as usual.",
        "Restore the layer from an earlier checkpoint.",
    ),
    "trap": Code(
        "Correlation trap",
        "After shuffling all its elements the matrix still shows eigenvalues beyond the edge of noise. A "
        "shuffle destroys every arrangement, so the cause is a shifted mean, a few large elements, or a "
        "remainder that is neither. It is not by itself evidence of harm.",
        "Run the ablation test on labelled data before removing it.",
    ),
    "dead": Code(
        "Dead layer",
        "All elements are zero or all are equal: the layer passes on nothing that depends on what it learned.",
        "Check whether the layer was loaded, frozen or pruned by mistake.",
    ),
    "rank_collapsed": Code(
        "Rank collapsed",
        "Fewer than half of the eigenvalues stand above the rounding of the stored type; most directions are lost.",
        "Check whether the layer is a merged low-rank factor; if not, restore it.",
    ),
    "no_power_law": Code(
        "No power law",
        "The tail cannot be told from that of a random matrix of the same shape, or another law fits it "
        "better. An exponent of such a layer says nothing about training.",
        "Do not rank or band this layer by alpha.",
    ),
}
