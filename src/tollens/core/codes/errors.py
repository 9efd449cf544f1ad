"""Input that cannot be used: files, folders, options, missing extras."""

from __future__ import annotations

from tollens.core.codes.code import Code

ERRORS: dict[str, Code] = {
    "unknown_code": Code(
        "No such code",
        "The code asked about is not one that Tollens prints.",
        "Copy the code from the start of the message, or pick one of the near matches named there.",
    ),
    "internal": Code(
        "A bug in Tollens",
        "Something happened that the program did not foresee. The result, if any, is not to be trusted.",
        "Report it with the command, the version and the message.",
    ),
    "bad_option": Code(
        "Option value not accepted",
        "An option was given a value outside its range, or two options contradict each other.",
        "Use a value in the range that the message names.",
    ),
    "extra_missing": Code(
        "Optional dependency not installed",
        "This output needs a package that the base installation leaves out.",
        "Run the install command that the message prints.",
    ),
    "path_missing": Code(
        "No such path",
        "Nothing exists at the path given.",
        "Check the spelling and the working directory.",
    ),
    "path_unreadable": Code(
        "Path cannot be read",
        "The path exists, but the system refused to open or read it.",
        "Check the permissions and the disk.",
    ),
    "path_not_a_file": Code(
        "Not a regular file",
        "The path is a device, a socket or another special file; only regular files and directories are read.",
        "Give a checkpoint file or a directory that holds one.",
    ),
    "format_unknown": Code(
        "Format not recognised",
        "The file's beginning matches none of the supported formats.",
        "Convert the checkpoint to safetensors.",
    ),
    "pickle_refused": Code(
        "Pickle is never opened",
        "The file is a pickle that is no zip archive of PyTorch, or an array of Python objects. Such files can run "
        "any code when they are loaded, and are refused.",
        "Convert the checkpoint to safetensors in an environment you trust.",
    ),
    "pickle_legacy": Code(
        "File of PyTorch before 1.6",
        "The file is in the format that PyTorch wrote before 2020. Only its zip archives are read.",
        "Load it with torch.load(..., weights_only=True) where you trust it, and save it again.",
    ),
    "pickle_global_refused": Code(
        "Pickle asks for foreign code",
        "The pickle inside of the checkpoint asks for a function or class that weights do not need; loading it "
        "elsewhere could run any code. Nothing was imported or called.",
        "Do not load the file unless you know why the name stands there; ask its author for safetensors.",
    ),
    "pickle_instruction_refused": Code(
        "Pickle makes foreign objects",
        "The pickle inside of the checkpoint uses an instruction that makes objects in ways that weights do not need. "
        "Nothing was imported or called.",
        "Do not load the file unless you know why the instruction stands there; ask its author for safetensors.",
    ),
    "pickle_invalid": Code(
        "Pickle malformed",
        "The pickle inside of the checkpoint is cut short, or does not describe tensors as PyTorch does.",
        "Download or write the file again.",
    ),
    "pickle_too_large": Code(
        "Pickle beyond any checkpoint",
        "The pickle inside of the checkpoint is longer, deeper or more entangled than that of any real one.",
        "Write the file again with torch.save, holding nothing but the weights.",
    ),
    "torchscript_refused": Code(
        "TorchScript is not read",
        "The archive holds a program with its weights, as torch.jit.save writes it.",
        "Load it where you trust it, and save its state_dict() with torch.save or safetensors.",
    ),
    "byte_order_unsupported": Code(
        "Big-endian numbers",
        "The checkpoint was written on a big-endian machine, and its numbers are not turned here.",
        "Load it with PyTorch on a little-endian machine and save it again.",
    ),
    "tensor_expanded": Code(
        "Views that unfold beyond reason",
        "Tensors of the checkpoint repeat a few stored bytes so often that they would fill the memory.",
        "Write the file again with contiguous tensors.",
    ),
    "empty_file": Code(
        "Empty file",
        "The file has no bytes.",
        "Download or write the file again.",
    ),
    "no_checkpoint": Code(
        "No checkpoint in the directory",
        "The directory holds no file that Tollens can read as a checkpoint.",
        "Name the checkpoint file itself, or a directory with safetensors files or an index.",
    ),
    "ambiguous_checkpoint": Code(
        "More than one checkpoint in the directory",
        "The directory holds several candidates and no index that says how they belong together.",
        "Name the one file to read.",
    ),
    "no_tensors": Code(
        "No tensors",
        "The file is well formed and holds no tensors, so nothing can be judged.",
        "Check that the export wrote the weights.",
    ),
    "adapter_config_invalid": Code(
        "Adapter configuration not usable",
        "The file adapter_config.json is no JSON object, is too long, or gives a rank, a scaling or a list that cannot "
        "be one. Without it the product of the factors has no scale.",
        "Save the adapter again with the library that trained it.",
    ),
    "adapter_pattern_unsupported": Code(
        "Pattern of an adapter not read",
        "A key of rank_pattern or alpha_pattern is no plain regular expression. Look-around, counted repeats, back "
        "references and flags are refused, because some of them can keep a matcher busy for ever.",
        "Write the names of the modules out.",
    ),
    "header_truncated": Code(
        "File ends inside its header",
        "The file is shorter than the header length it announces.",
        "Download or write the file again.",
    ),
    "header_too_long": Code(
        "Header length out of bounds",
        "The announced header length exceeds what the format allows. Such a length is a damaged or hostile file.",
        "Download or write the file again.",
    ),
    "header_not_json": Code(
        "Header is not valid JSON",
        "The header is not a JSON object in UTF-8.",
        "Download or write the file again.",
    ),
    "header_too_deep": Code(
        "Header nested too deeply",
        "The header nests deeper than that of any real checkpoint.",
        "Write the file again with a standard tool.",
    ),
    "duplicate_key": Code(
        "Name given twice",
        "The same key occurs twice in a header or index; readers disagree on which one counts.",
        "Write the file again with unique names.",
    ),
    "header_bad_entry": Code(
        "Header entry malformed",
        "A tensor's entry lacks its dtype, shape or offsets, or one of them has the wrong type.",
        "Write the file again with a standard tool.",
    ),
    "dtype_unknown": Code(
        "Unknown element type",
        "The file declares an element type that Tollens cannot decode.",
        "Convert the tensor to f32, f16 or bf16.",
    ),
    "tensor_size_mismatch": Code(
        "Shape and byte count disagree",
        "The bytes reserved for a tensor are not the product of its shape and element size.",
        "Write the file again with a standard tool.",
    ),
    "tensor_out_of_bounds": Code(
        "Tensor lies outside the file",
        "A tensor's offsets point past the end of the data: the file is truncated or its header is wrong.",
        "Download the file again and compare its size with the source.",
    ),
    "tensor_overlap": Code(
        "Tensors overlap",
        "Two tensors claim the same bytes of the file.",
        "Write the file again with a standard tool; tied weights are stored once.",
    ),
    "tensor_hole": Code(
        "Unclaimed bytes",
        "Some bytes of the data section belong to no tensor; the format forbids holes because they can hide data.",
        "Write the file again with a standard tool.",
    ),
    "trailing_bytes": Code(
        "Bytes after the last tensor",
        "The file goes on where its header says that it ends; what follows belongs to nothing.",
        "Download or write the file again.",
    ),
    "tensor_unaligned": Code(
        "Tensor not aligned",
        "A tensor begins at a byte that the alignment the file declares does not divide.",
        "Convert the model again.",
    ),
    "file_size_mismatch": Code(
        "Size of the file and header disagree",
        "The format has no magic number. The first numbers of the file describe a model, and the file is not as long "
        "as that model.",
        "Download the file again and compare its size with the source.",
    ),
    "format_version_unsupported": Code(
        "Version of the format not read",
        "The file is of a known format, in a version or byte order of it that Tollens does not read.",
        "Write the file again in the version that the message names.",
    ),
    "tokenizer_not_weights": Code(
        "A tokenizer, not a model",
        "The file is the tokenizer that belongs to a checkpoint; it holds pieces of text and no weights.",
        "Name the file of the model beside it.",
    ),
    "metadata_not_strings": Code(
        "Metadata malformed",
        "The header's `__metadata__` is not a map of text to text.",
        "Write the file again with a standard tool.",
    ),
    "tensor_name_invalid": Code(
        "Tensor name not printable",
        "A tensor's name is longer than 1,024 characters or holds control characters, which could forge what "
        "a terminal shows.",
        "Write the file again with plain names.",
    ),
    "shape_overflow": Code(
        "Shape beyond any machine",
        "The sides of a tensor multiply to 2^63 bytes or more.",
        "Download or write the file again.",
    ),
    "tensor_too_large": Code(
        "Tensor does not fit into memory",
        "The system refused the memory that one tensor needs.",
        "Scan on a machine with more memory.",
    ),
    "archive_member_path": Code(
        "Archive member leads out of the archive",
        "A member's name is a path with `..`, a backslash or a leading slash. Nothing is unpacked.",
        "Save the archive again with the library that its format belongs to.",
    ),
    "archive_size_mismatch": Code(
        "Archive member of a forged size",
        "The archive declares another size than the member's own header, or one that its compressed bytes "
        "cannot expand to, or its members overlap.",
        "Save the archive again with the library that its format belongs to.",
    ),
    "tensors_unaccounted": Code(
        "Tensor count does not add up",
        "Analysed, skipped and aliased tensors together are not the tensors of the file: a bug in Tollens.",
        "Report it with the list of tensor names and shapes.",
    ),
    "tensor_missing": Code(
        "No such tensor",
        "A tensor was asked for that the checkpoint does not hold.",
        "Check the name against the list that `tollens scan --json` prints.",
    ),
    "index_invalid": Code(
        "Shard index malformed",
        "The index is not a JSON object that maps tensor names to file names.",
        "Download or write the index again.",
    ),
    "index_shard_missing": Code(
        "Shard missing",
        "The index names a shard that is not in the directory.",
        "Download the missing file.",
    ),
    "index_escapes": Code(
        "Index points outside its folder",
        "The index names a file outside the checkpoint's own directory. It is not opened.",
        "Use an index whose shards lie beside it.",
    ),
    "index_mismatch": Code(
        "Index and shards disagree",
        "A tensor that the index promises is not in the shard it names, or two shards hold one name.",
        "Download the index and all shards from the same revision.",
    ),
    "config_invalid": Code(
        "config.json malformed",
        "The configuration beside the checkpoint is not a JSON object.",
        "Repair or remove config.json; without it roles come from tensor names alone.",
    ),
    "archive_invalid": Code(
        "Archive malformed",
        "The file cannot be read as a zip archive of plain arrays (npz) or of stored tensors (torch.save).",
        "Save it again with numpy.savez or torch.save.",
    ),
    "changed_while_reading": Code(
        "File changed while it was read",
        "The file's size or modification time changed during the scan, so the readings may belong to two versions.",
        "Scan again when nothing writes to the checkpoint.",
    ),
    "protocol_unsupported": Code(
        "Protocol not opened",
        "Remote checkpoints are read by ranges of bytes. This protocol has none, wraps another one, or would have to "
        "be trusted with more than reading.",
        "Copy the checkpoint to a bucket, a web server or this machine.",
    ),
    "protocol_package_missing": Code(
        "Package of a protocol not installed",
        "The `remote` extra brings http; each object store has a package of its own, which is left to you.",
        "Run the install command that the message prints.",
    ),
    "range_unsupported": Code(
        "Server does not serve ranges of bytes",
        "The server was asked for a part of a file and answered with something else: the whole file, other bytes, "
        "more bytes, or compressed ones. Nothing is fetched that was not asked for, so the scan ends here.",
        "Fetch the checkpoint first, or serve it from where ranges are answered.",
    ),
    "remote_failed": Code(
        "Server did not deliver",
        "The connection broke, timed out or was refused as often as it was tried, or the answer made no sense.",
        "Check the address and the network and run it again.",
    ),
    "no_such_layer": Code(
        "No layer matches",
        "The layer pattern matches none of the matrices in the checkpoint.",
        "Check the pattern against the layer names; `*` matches any text.",
    ),
    "worker_died": Code(
        "A worker process died",
        "A process that measures matrices was ended from outside, most often by the system for lack of memory. Its "
        "task was begun anew twice and ended each worker; a layer that this happens to is reported as failed, and "
        "the others stand.",
        "Run with fewer --jobs or on machines with more memory.",
    ),
    "workers_unreachable": Code(
        "No scheduler at that address",
        "Nothing at the address of --workers answers as the scheduler of a Dask cluster.",
        "Start the scheduler and its workers first, and copy the address that it prints.",
    ),
    "workers_differ": Code(
        "A worker has other libraries",
        "The last bits of a result depend on the versions of Tollens, numpy and scipy, on the BLAS and on the vector "
        "instructions of the processor. A worker that differs in one of them would give numbers that another run "
        "does not reproduce, so it is given no work.",
        "Install the same environment on every worker, and set the same OPENBLAS_CORETYPE and "
        "NPY_DISABLE_CPU_FEATURES where processors differ.",
    ),
    "workers_gone": Code(
        "No workers",
        "The Dask cluster had no worker for too long, so that nobody could do the work.",
        "Start workers and scan again.",
    ),
    "table_syntax": Code(
        "Table cannot be read",
        "The file is neither CSV with a header line, nor JSON objects one a line, nor a JSON list of objects; or a "
        "row does not have the columns of the header.",
        "Correct the line that the message names.",
    ),
    "table_column": Code(
        "Column missing or of the wrong kind",
        "The table has no such column, or a value in it is not of the kind that the question needs.",
        "Name the column with the option that the message names.",
    ),
    "table_items_differ": Code(
        "Items cannot be paired",
        "The two files do not hold the same items once each, so that a paired comparison would not be one.",
        "Give both files the same items, or compare the shared ones with --common.",
    ),
    "series_too_short": Code(
        "Too few checkpoints",
        "A series has two checkpoints or more; the extrapolation of a path needs four, since a line through two or "
        "three points fits whatever they are.",
        "Give more checkpoints of the run, or the folder that holds its checkpoint-N folders.",
    ),
    "series_unlike": Code(
        "Nothing in common",
        "No weight matrix has the same name and shape in all checkpoints of the series: nothing can be followed.",
        "Give checkpoints of one model from one run.",
    ),
    "step_unknown": Code(
        "Step not known",
        "Neither the metadata of the file, nor trainer_state.json in its folder, nor its name says at which training "
        "step the checkpoint was saved. The order of files is no order of steps.",
        "Rename the file or folder to step-N, with N its training step.",
    ),
    "step_invalid": Code(
        "Step is no step",
        "A source states the training step of a checkpoint and what it states is no whole number from 0 to 2^53 - 1, "
        "or cannot be read.",
        "Correct the metadata, trainer_state.json or name that the message points to.",
    ),
    "step_conflict": Code(
        "Two steps for one checkpoint",
        "The metadata, trainer_state.json and name of a checkpoint state different training steps, and at most one of "
        "them is right.",
        "Correct the source that is wrong.",
    ),
    "step_duplicate": Code(
        "Two checkpoints of one step",
        "Two checkpoints of the series were saved at the same training step, or one of them was given twice.",
        "Leave one of the two out.",
    ),
    "output_exists": Code(
        "Output is there already",
        "A file of that name exists, and a file that was made up is never written over one that may have been trained.",
        "Name another file, or remove this one first.",
    ),
    "output_unwritable": Code(
        "Output cannot be written",
        "The system refused to write the output file.",
        "Check that the directory exists and may be written to.",
    ),
    "selftest_unknown": Code(
        "Nothing of that name to test",
        "No instrument, invariant or statistic that is installed has this name.",
        "Use a name that the message gives, or leave --only out to test all.",
    ),
}
