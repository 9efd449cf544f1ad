"""Why a value or a matrix is not there, and flags on values that are."""

from __future__ import annotations

from tollens.core.codes.code import Code

STATUSES: dict[str, Code] = {
    "zero_matrix": Code(
        "All elements are zero",
        "Norms and ranks are 0. Logarithms of norms, tail exponents and rank ratios do not exist for a zero matrix.",
        "Check whether the layer was ever written; a zero layer carries nothing.",
    ),
    "no_variance": Code(
        "All elements are equal",
        "After subtracting the mean nothing is left, so a noise level, a bulk edge and a trap count do not exist.",
        "Check whether the layer was trained or merely initialised to a constant.",
    ),
    "bulk_below_floor": Code(
        "No visible bulk",
        "Half or more of the eigenvalues a bulk is fitted to lie below what the arithmetic can see, as for a "
        "matrix of low rank.",
        "Read the ranks; --precision f64 sees eigenvalues nine decades further down.",
    ),
    "mp_fit_failed": Code(
        "Density fit failed",
        "The kernel density is nowhere above 0.01, so that the compatible bulk fit has nothing to match.",
        "Read mp_sigma2, which does not pass through a density.",
    ),
    "no_spread": Code(
        "All eigenvalues are equal",
        "The sum of logarithms in the exponent's estimate is zero, as for an orthogonal matrix: there is no tail.",
        "Read the norms and ranks instead; they are exact here.",
    ),
    "rank_one": Code(
        "Rank one",
        "A single eigenvalue is not zero. A distribution of one value has no tail and no normalised entropy.",
        "Read the norms and ranks instead.",
    ),
    "lower_bound": Code(
        "A lower bound",
        "The blind floor of the arithmetic, not the tolerance of the stored type, hid eigenvalues from this count.",
        "Measure again with `--precision f64` if the exact count matters.",
    ),
    "too_small": Code(
        "Matrix too small",
        "The smaller side is below the minimum (8 by default), too few eigenvalues for a tail, bulk or trap reading.",
        "Norms and ranks are still given; lower the minimum side only to look, not to judge.",
    ),
    "tail_too_short": Code(
        "Tail too short",
        "The best tail holds fewer than 20 eigenvalues. An exponent fitted to so few moves by its own "
        "size between draws.",
        "Do not use an exponent of this layer; the weightwatcher columns still print it for comparison.",
    ),
    "short_tail": Code(
        "Short tail",
        "The best tail holds 20 to 49 eigenvalues; the exponent is given and its interval is wide.",
        "Compare intervals, never the bare exponent.",
    ),
    "no_tail": Code(
        "No candidate tail",
        "No cut leaves at least two distinct eigenvalues, so nothing can be fitted.",
        "Read the norms and ranks instead.",
    ),
    "xmin_unstable": Code(
        "Exponent depends on the cut",
        "Among cuts that fit nearly as well as the best one, the exponent varies by more than 0.5.",
        "Give the range of the exponent, not one value.",
    ),
    "inside_bulk": Code(
        "Eigenvalue inside the bulk",
        "The eigenvalue lies where noise alone puts eigenvalues, so no planted strength corresponds to it.",
        "Read it as noise.",
    ),
    "floor_in_tail": Code(
        "Tail reaches the blind floor",
        "The tail begins less than ten times above the value below which this precision sees only rounding.",
        "Repeat with --precision f64.",
    ),
    "sparse": Code(
        "Matrix too sparse for a trap cause",
        "So few elements are non-zero that row sums fluctuate, and a shuffled matrix shows outliers with "
        "no other cause.",
        "Read traps_all beside the density; traps_residual does not exist here.",
    ),
    "too_few_large": Code(
        "Fewer than two large elements",
        "Whether large elements share rows or columns can be asked of two of them at least.",
        "None needed.",
    ),
    "screened": Code(
        "Cleared without shuffling",
        "Mean, largest element and kurtosis are so close to those of Gaussian noise that no shuffle can "
        "show an outlier beyond the nominal rate. The count is 0.",
        "None needed.",
    ),
    "no_trap": Code(
        "No trap to ablate",
        "The permuted matrix has no outlier, so there is nothing to cut out.",
        "None needed.",
    ),
    "too_few_inputs": Code(
        "Too few inputs for an ablation",
        "The mean divergence over so few inputs cannot be told from that of a random ablation.",
        "Give at least 256 inputs.",
    ),
    "no_matched_null": Code(
        "No ablation to compare with",
        "No set of ordinary modes carries as much of the matrix as the trap does, so its effect has no null.",
        "Judge the trap by labelled data with and without it.",
    ),
    "nonfinite_logits": Code(
        "Outputs are not finite",
        "The forward function returned NaN or infinity for the intact or for an ablated layer.",
        "Run it in a wider number format.",
    ),
    "interval_spans_null": Code(
        "Effect not told from its null",
        "The interval of the divergence holds the 95 % quantile of random ablations: neither benign nor active.",
        "Repeat with more inputs.",
    ),
    "loss_not_decreased": Code(
        "Active, not shown to be harmful",
        "The ablation changes the output more than random ones do, and the loss on labelled data does not "
        "fall by more than theirs.",
        "Keep the layer as it is, or repeat with more labelled inputs.",
    ),
    "bytes_shared": Code(
        "Bytes mixed with other matrices",
        "The matrix is interleaved with others in one stored tensor, so that no range of bytes is its own to digest.",
        "Compare the digest of the file.",
    ),
    "first_checkpoint": Code(
        "Nothing before it",
        "The first checkpoint of a series has come from nowhere: what it added, and how fast, does not exist.",
        "Put an earlier checkpoint, such as the initialisation, in front of it.",
    ),
    "left_out": Code(
        "Left out of the series",
        "The folder that was expanded holds more that looks like a checkpoint, such as weights beside the checkpoint-N "
        "folders; only those folders are followed.",
        "Name the checkpoints one by one if the others belong to the series.",
    ),
    "not_in_all": Code(
        "Not in every checkpoint",
        "The tensor is absent from some checkpoint of the series or has another shape there, so it cannot be followed.",
        "Check that all checkpoints are of one model.",
    ),
    "extrapolated": Code(
        "Extrapolated, not trained",
        "A checkpoint of the series says of itself that it was extrapolated from others. What it shows follows from "
        "them and is no evidence of training.",
        "Leave it out unless it is what you ask about.",
    ),
    "factors_not_followed": Code(
        "Low-rank factors are not followed",
        "A series follows whole weight matrices. The factors of an adapter mean something only as a product, which is "
        "not formed for every step.",
        "Scan each adapter alone, or merge each into its base and follow those.",
    ),
    "no_movement": Code(
        "No movement",
        "The tensor is the same at all the checkpoints concerned, so that no share of its movement exists.",
        "Check whether the tensor was frozen; if it was, nothing is wrong.",
    ),
    "not_requested": Code(
        "Not asked for",
        "The options of this run leave this reading out; its absence says nothing about the layer.",
        "Run again without --only, or with the option that asks for it.",
    ),
    "not_a_matrix": Code(
        "Not a matrix",
        "The tensor has fewer than two dimensions, such as a bias or a norm's scale.",
        "None needed; it is listed so that the tensor count adds up.",
    ),
    "not_a_weight": Code(
        "Not a weight",
        "The tensor is a buffer: integers, booleans, a rotary cache or a mask.",
        "None needed; it is listed so that the tensor count adds up.",
    ),
    "empty_tensor": Code(
        "Tensor without elements",
        "One side of the tensor is zero.",
        "Check the export; an empty weight is usually a sharding artefact.",
    ),
    "unmatched": Code(
        "Role not recognised",
        "The name fits no known family. The matrix is analysed and its role is not guessed.",
        "None needed; report the family if it is a common one.",
    ),
    "lora_unpaired": Code(
        "Half of a low-rank adapter",
        "One factor of a LoRA pair says nothing alone: its partner can rescale it at will. The partner is missing.",
        "Give the complete adapter.",
    ),
    "packed_unsupported": Code(
        "Packed quantised weights",
        "The weights are stored in a packed form that Tollens cannot expand.",
        "Scan a de-quantised copy and remember that it carries the quantisation error.",
    ),
    "dtype_unsupported": Code(
        "Element type not decoded",
        "The tensor's element type is known and is not a real float, such as complex numbers.",
        "Convert the tensor to f32, f16 or bf16.",
    ),
    "lora_shapes_differ": Code(
        "Factors that do not fit each other",
        "The two factors of a LoRA pair have no common rank, or their sides cannot be flattened without loss, so "
        "their product does not exist.",
        "Save the adapter again, and check whether its factors come from one run.",
    ),
    "lora_rank_differs": Code(
        "Rank not as declared",
        "The configuration of the adapter declares one rank and the factors have another, given as declared/stored. "
        "The scaling depends on the rank, and it cannot be told which of the two is meant.",
        "Put the configuration of this adapter beside its weights.",
    ),
    "adapter_unsupported": Code(
        "Kind of adapter not measured",
        "The adapter changes a weight by more than a scaled product of two factors: by a magnitude vector, Hadamard "
        "or Kronecker products, learned scales or prompts.",
        "Merge the adapter into its base model and compare the two.",
    ),
    "factored": Code(
        "Measured from its factors",
        "The matrix is the product of two factors of rank r, which is never formed. It has at most r eigenvalues that "
        "are not zero, so there is no bulk, no tail and no edge.",
        "Compare the stable rank with r, since low rank is what a low-rank parametrisation gives by construction.",
    ),
    "rank": Code(
        "Rank of the factors",
        "The matrix is a product of two factors with this common side, the largest rank it can have.",
        "None needed.",
    ),
    "scaling_unknown": Code(
        "Scaling of the adapter unknown",
        "Nothing says by which number the product of the factors is multiplied, so norms do not exist. Ranks do not "
        "depend on it and are given.",
        "Put adapter_config.json beside the weights.",
    ),
    "base_altered": Code(
        "Base altered when the adapter was made",
        "The adapter was initialised with a part of the base weights, which was taken out of the base. The product of "
        "its factors is therefore not the change that training made.",
        "Compare the merged model with the original base.",
    ),
    "not_in_index": Code(
        "Tensor that the index leaves out",
        "A shard holds a tensor that the index does not name, so no loader would use it.",
        "Check whether the index and the shards come from one revision.",
    ),
    "tie_differs": Code(
        "Declared tied, stored differently",
        "The configuration declares the head tied to the embedding, and the file stores other numbers for "
        "it. Loaders ignore one of the two.",
        "Check which of the two matrices your loader uses.",
    ),
    "fused_unsplit": Code(
        "Fused projection analysed whole",
        "The tensor holds several projections and the configuration does not say how they are laid out.",
        "Put config.json beside the checkpoint.",
    ),
    "stacked_unsupported": Code(
        "Stack of more than three dimensions",
        "The tensor's extra dimensions have no declared meaning, so it cannot be cut into matrices.",
        "Split it into named matrices.",
    ),
    "did_not_converge": Code(
        "Numerical routine did not converge",
        "The eigensolver or the optimiser gave up; no value is better than a wrong one.",
        "Repeat with --precision f64 and report the layer if it persists.",
    ),
    "estimators_disagree": Code(
        "Estimates of the noise level disagree",
        "The estimators of the bulk's variance differ by more than 5 %, so the bulk is not Marchenko-Pastur.",
        "Read all the estimates; do not trust an edge derived from one of them.",
    ),
    "precision_escalated": Code(
        "Computed again in f64",
        "The f32 path was blind where this layer's answer lies, so the reading was taken in f64.",
        "None needed.",
    ),
    "part_of_several": Code(
        "One part of several",
        "The file that was named is one numbered part of a checkpoint. The other parts were not read, so nothing is "
        "said of the layers in them.",
        "Name the folder that holds all the parts, or their index.",
    ),
    "gguf_extra_missing": Code(
        "Quantised blocks, and nothing to expand them with",
        "The weights are quantised in blocks. The optional package that expands them is not installed.",
        "Run `pip install 'tollens[gguf]'` and scan again.",
    ),
    "no_rounding_step": Code(
        "No tolerance for the rank",
        "The numbers were stored in a type whose rounding is not relative to each of them, such as blocks with a "
        "common scale, so nothing says which singular values are rounding.",
        "Read stable_rank, entropy_rank and participation_rank, which need no tolerance.",
    ),
    "dequantised": Code(
        "De-quantised before measuring",
        "The stored weights are quantised; the readings describe their expanded values, rounding included.",
        "Compare with the original checkpoint if it exists.",
    ),
    "no_null": Code(
        "No matched null",
        "No control for this shape was drawn, so nothing says what chance alone would give.",
        "Run again without --only.",
    ),
    "task_repeated": Code(
        "Tasks were repeated",
        "A worker died, and what it was at was done again by another one; the results are those of a run in which "
        "none dies.",
        "None needed.",
    ),
    "absent": Code(
        "Not measured for this layer",
        "The layer's record carries neither a value nor a reason for this quantity.",
        "Scan again with a version that measures it.",
    ),
    "answers_fail": Code(
        "Instrument refused: its known answers fail here",
        "On this machine the instrument does not reproduce an answer that is known beforehand, or it rests on one "
        "that does not. What it would read cannot be believed, so nothing is read.",
        "Run `tollens selftest`, which shows expected, got and tolerance, and report the machine and its BLAS.",
    ),
    "plugin_failed": Code(
        "A plugged-in instrument failed",
        "An instrument from another package raised an error or returned what JSON cannot hold, so its "
        "readings are missing. All other readings stand.",
        "Run `tollens.testing.check_instrument` on it, which shows what it raised, and tell its author.",
    ),
    "plugin_skipped": Code(
        "A plugin was skipped",
        "A package offers instruments that cannot be used: its import raised an error, or it claims a name "
        "that is taken. The scan ran without it.",
        "Read the error in the note; update or remove the package.",
    ),
    "eigensolver_failed": Code(
        "Eigensolver did not converge",
        "LAPACK gave the eigenvalues of this matrix up; no spectrum is reported for it.",
        "Scan again with --precision f64, which takes another path, and report the matrix.",
    ),
    "scale_out_of_range": Code(
        "Scale outside float64",
        "The squares of these weights are too large or too small to be written down, although the weights "
        "themselves are finite.",
        "Multiply the tensor by a power of two; exponents and ranks do not change.",
    ),
    "null_overlap": Code(
        "Exponent like that of chance",
        "The interval of the exponent meets the band that Gaussian matrices of the same shape give.",
        "Read this exponent as that of a random matrix.",
    ),
    "gof_rejected": Code(
        "Power law rejected",
        "Fewer than one in ten samples drawn from the fitted law lie as far from it as the eigenvalues do.",
        "Do not read the exponent; look at the alternatives.",
    ),
    "alternative_preferred": Code(
        "Another law fits better",
        "On the same tail an exponential, a lognormal or a power law with a cut-off is significantly more "
        "likely than the power law.",
        "Do not read the exponent; the preferred law and its ratio are given.",
    ),
    "no_common_grid": Code(
        "No common grid of numbers",
        "One of the two tensors is stored as codes with scales, so that the step between neighbouring weights is not "
        "known and neither is what rounding alone could change.",
        "Read the change against its shuffled null, or compare with the checkpoint before quantisation.",
    ),
    "only_rounding": Code(
        "Nothing but rounding changed",
        "The difference of the two matrices is what rounding to the coarser stored type gives, so it has no leading "
        "directions of its own.",
        "None needed.",
    ),
    "subspace_unsettled": Code(
        "Leading directions not set apart",
        "No gap separates the leading singular values from those after them, so the subspace that was found is one of "
        "several near the top; the field `doubt` bounds how far it may be off.",
        "Ask for another number of directions with `--rank`.",
    ),
    "tied_on_both_sides": Code(
        "Tied in both checkpoints",
        "Both checkpoints store this tensor as a copy of another one, which is compared under its own name.",
        "None needed; it is listed so that no tensor goes missing.",
    ),
    "only_in_base": Code(
        "Tensor missing from DERIVED",
        "BASE holds a tensor of this name and DERIVED does not, so it is not compared.",
        "Check whether the export dropped it or wrote it under another name.",
    ),
    "only_in_derived": Code(
        "Tensor missing from BASE",
        "DERIVED holds a tensor of this name and BASE does not, so it is not compared.",
        "Check whether it was added on purpose or renamed.",
    ),
    "shape_differs": Code(
        "Shapes differ",
        "Both checkpoints hold a tensor of this name in different shapes; nothing is broadcast, cut or transposed.",
        "Check whether a vocabulary grew, or a matrix was stored transposed.",
    ),
    "prefix_left_out": Code(
        "Names matched without a prefix",
        "A wrapper had put the same prefix in front of the names of one side; without it more names match, each of "
        "them once.",
        "None needed; rename the tensors if the match is not meant.",
    ),
}
