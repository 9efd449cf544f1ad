"""What the words of a report mean, two lines each, as HTML."""

WORDS: dict[str, str] = {
    "alpha": "Exponent of the power law p(λ) ∝ λ⁻ᵅ fitted to the largest eigenvalues, from xmin on. It "
    "stands with a "
    "90 % interval, because where the tail is cut moves it as much as the weights do.",
    "null band": "Where 5 to 95 % of matrices of the same shape and element variance fall if all elements "
    "are independent "
    "Gaussian numbers. A value inside it says nothing about training.",
    "trap": "An eigenvalue that stays beyond the edge of noise although all elements were shuffled. Its "
    "cause is a shared "
    "mean, a few large elements, or neither; whether it harms is a question for an ablation test.",
    "convention 2 and 6": "Below 2 over-trained, 2 to 6 usual, above 6 under-trained: names from the "
    "literature (Martin and "
    "Mahoney, 2021), not verdicts. A band is given only if the whole interval lies in it.",
    "eigenvalue λ": "Square of a singular value of the weight matrix, in weight²; not divided by N. M is the "
    "smaller side "
    "of the matrix, N the larger one.",
    "Marchenko–Pastur bulk": "The spectrum of pure noise of this shape, its variance fitted to the lower "
    "part of what was "
    "measured. What the curve leaves uncovered is not noise of one variance.",
    "Tracy–Widom edge": "Noise alone goes beyond it with a chance of 1 % over all matrices of the file. "
    "Eigenvalues beyond "
    "it are outliers: directions that carry structure.",
    "stable rank": "Sum of all eigenvalues over the largest: how many directions carry the energy.",
    "blind floor": "What this arithmetic cannot see: eigenvalues below it are rounding. "
    "<code>--precision\u00a0f64</code> lowers it.",
    "undefined": "A number that does not exist for this layer. It has a reason in place of a value and is "
    "never drawn as 0.",
}
