"""The names that the checkpoints of PyTorch are written with, and what they stand for. None is ever imported."""

from __future__ import annotations

from dataclasses import dataclass

from tollens.subject.pickle_program import Name, Vocabulary


@dataclass(frozen=True, slots=True)
class Element:
    """A number format: its name here and its width in bytes. Those that safetensors has bear its name."""

    dtype: str
    width: int


ELEMENTS = {
    "float64": Element("F64", 8),
    "float32": Element("F32", 4),
    "float16": Element("F16", 2),
    "bfloat16": Element("BF16", 2),
    "float8_e4m3fn": Element("F8_E4M3", 1),
    "float8_e5m2": Element("F8_E5M2", 1),
    "float8_e4m3fnuz": Element("F8_E4M3FNUZ", 1),
    "float8_e5m2fnuz": Element("F8_E5M2FNUZ", 1),
    "float8_e8m0fnu": Element("F8_E8M0", 1),
    "int64": Element("I64", 8),
    "int32": Element("I32", 4),
    "int16": Element("I16", 2),
    "int8": Element("I8", 1),
    "uint64": Element("U64", 8),
    "uint32": Element("U32", 4),
    "uint16": Element("U16", 2),
    "uint8": Element("U8", 1),
    "bool": Element("BOOL", 1),
    "complex64": Element("C64", 8),
    "complex128": Element("C128", 16),
    "complex32": Element("torch.complex32", 4),
    "float4_e2m1fn_x2": Element("torch.float4_e2m1fn_x2", 1),
    "quint8": Element("torch.quint8", 1),
    "qint8": Element("torch.qint8", 1),
    "qint32": Element("torch.qint32", 4),
    "quint4x2": Element("torch.quint4x2", 1),
    "quint2x4": Element("torch.quint2x4", 1),
}
"""By the name of the dtype in PyTorch."""

_TYPED = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QUInt8Storage": "quint8",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}
STORAGES = {Name("torch", name): ELEMENTS[dtype] for name, dtype in _TYPED.items()}
UNTYPED = frozenset({Name("torch.storage", "UntypedStorage"), Name("torch", "UntypedStorage")})
DTYPES = {Name("torch", name): element for name, element in ELEMENTS.items()}

TENSOR = Name("torch._utils", "_rebuild_tensor")
TENSOR_2 = Name("torch._utils", "_rebuild_tensor_v2")
TENSOR_3 = Name("torch._utils", "_rebuild_tensor_v3")
PARAMETERS = frozenset(
    {Name("torch._utils", "_rebuild_parameter"), Name("torch._utils", "_rebuild_parameter_with_state")}
)
WITH_TYPE = Name("torch._tensor", "_rebuild_from_type_v2")
TENSOR_TYPES = frozenset({Name("torch", "Tensor"), Name("torch.nn.parameter", "Parameter")})
QUANTISED = Name("torch._utils", "_rebuild_qtensor")
SPARSE = Name("torch._utils", "_rebuild_sparse_tensor")
META = Name("torch._utils", "_rebuild_meta_tensor_no_storage")
SIZE = Name("torch", "Size")

_TABLES = frozenset(
    {
        Name("collections", "OrderedDict"),
        Name("collections", "defaultdict"),
        Name("collections", "Counter"),
    }
)
_BUILTINS = ("__builtin__", "builtins")
_LISTS = frozenset(Name(module, name) for module in _BUILTINS for name in ("set", "frozenset", "list", "tuple"))
_NUMPY = frozenset(
    {
        Name("numpy", "dtype"),
        Name("numpy", "ndarray"),
        *(Name(f"numpy.{core}.multiarray", n) for core in ("core", "_core") for n in ("scalar", "_reconstruct")),
    }
)
_PLAIN = frozenset({Name("argparse", "Namespace"), *_NUMPY})
_OTHERS = frozenset(
    {
        SIZE,
        Name("torch", "device"),
        Name("torch.serialization", "_get_layout"),
        *(Name("torch", f"per_{what}") for what in ("tensor_affine", "channel_affine", "tensor_symmetric")),
        *(Name("torch", f"per_channel_{what}") for what in ("symmetric", "affine_float_qparams")),
        Name("_codecs", "encode"),
        *(Name(module, name) for module in _BUILTINS for name in ("dict", "int", "float", "complex", "bytearray")),
        *(Name("pathlib", name) for name in ("Path", "PosixPath", "WindowsPath")),
    }
)
VOCABULARY = Vocabulary(
    allowed=frozenset(
        {
            *STORAGES, *UNTYPED, *DTYPES, TENSOR, TENSOR_2, TENSOR_3, *PARAMETERS, WITH_TYPE, *TENSOR_TYPES,
            QUANTISED, SPARSE, META, *_TABLES, *_LISTS, *_PLAIN, *_OTHERS,
        }
    ),
    tables=_TABLES,
    lists=_LISTS,
    plain=_PLAIN,
)  # fmt: skip
"""What `torch.save` writes for tensors and for the plain values that people keep beside them."""
