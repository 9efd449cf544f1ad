from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.subject.dtypes import STORED, Kind, decode_into, decoded, encoded, kind_of, rounded_to, size_in_bytes

FLOATS = [name for name, t in STORED.items() if t.kind is Kind.FLOAT]
REFERENCE = {
    "BF16": ml_dtypes.bfloat16,
    "F16": np.float16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}


def decode(raw: bytes, dtype: str, out: type = np.float32, swapped: bool = False) -> np.ndarray:
    values = np.empty(8 * len(raw) // STORED[dtype].bits, dtype=out)
    decode_into(np.frombuffer(raw, dtype=np.uint8), dtype, values, swapped)
    return values


@pytest.mark.parametrize(
    ("dtype", "raw", "value"),
    [
        # sign, exponent and mantissa written out: bfloat16 is 1+8+7 bits, bias 127
        ("BF16", "803f", 1.0),  # exponent 127, mantissa 0
        ("BF16", "49c0", -3.140625),  # -(1 + 73/128) * 2
        ("BF16", "0100", 2.0**-133),  # the smallest subnormal: 2^-126 / 128
        ("BF16", "807f", np.inf),
        ("F16", "003c", 1.0),  # 1+5+10 bits, bias 15
        ("F16", "ff7b", 65504.0),  # the largest: (2 - 2^-10) * 2^15
        ("F16", "0100", 2.0**-24),
        ("F8_E4M3", "7e", 448.0),  # 1+4+3 bits, bias 7, no infinity: 1.75 * 2^8
        ("F8_E4M3", "01", 2.0**-9),
        ("F8_E5M2", "7b", 57344.0),  # 1+5+2 bits, bias 15: 1.75 * 2^15
        ("F8_E5M2", "7c", np.inf),
        ("F32", "0000803f", 1.0),
        ("F64", "000000000000f0bf", -1.0),
    ],
)
@pytest.mark.parametrize("out", [np.float32, np.float64])
def test_known_codes(dtype: str, raw: str, value: float, out: type) -> None:
    assert decode(bytes.fromhex(raw), dtype, out)[0] == value


@pytest.mark.parametrize("dtype", sorted(REFERENCE))
@pytest.mark.parametrize("out", [np.float32, np.float64])
def test_every_code_of_the_narrow_types(dtype: str, out: type) -> None:
    width = STORED[dtype].bits // 8
    codes = np.arange(1 << STORED[dtype].bits).astype(f"<u{width}")
    with np.errstate(invalid="ignore"):
        expected = codes.view(REFERENCE[dtype]).astype(out)
    np.testing.assert_array_equal(decode(codes.tobytes(), dtype, out), expected)


@pytest.mark.parametrize("dtype", [d for d in FLOATS if STORED[d].bits > 8])
def test_big_endian_bytes_are_turned(dtype: str) -> None:
    width = STORED[dtype].bits // 8
    raw = np.random.default_rng(0).integers(0, 0x3F, 64 * width, dtype=np.uint8)  # neither NaN nor infinity
    turned = raw.reshape(-1, width)[:, ::-1].tobytes()
    np.testing.assert_array_equal(decode(turned, dtype, swapped=True), decode(raw.tobytes(), dtype))


def test_f64_into_f32_rounds_and_overflows_to_infinity_without_a_warning() -> None:
    raw = np.array([0.1, 1e300, -1e300], dtype="<f8").tobytes()
    assert decode(raw, "F64").tolist() == [float(np.float32(0.1)), np.inf, -np.inf]


@pytest.mark.parametrize("dtype", ["I8", "BOOL", "F4", "C64"])
def test_what_is_no_float_is_not_decoded(dtype: str) -> None:
    with pytest.raises(ValueError, match=dtype):
        decode(b"\0" * 8, dtype)


def test_kinds() -> None:
    assert [kind_of(d) for d in ("BF16", "U8", "BOOL", "F4", "C64", "<U7")] == [
        Kind.FLOAT, Kind.INTEGER, Kind.BOOL, Kind.PACKED, Kind.OTHER, Kind.OTHER,
    ]  # fmt: skip
    assert [decoded(d) for d in ("F64", "F32", "F8_E5M2")] == [np.float64, np.float32, np.float32]


@given(st.sampled_from(sorted(STORED)), st.lists(st.integers(0, 2**63), max_size=5))
def test_sizes_are_exact_or_refused(dtype: str, shape: list[int]) -> None:
    bits = STORED[dtype].bits
    for side in shape:
        bits *= side
    found = size_in_bytes(dtype, shape)
    if found is None:
        nonzero = math.prod(n for n in shape if n) * STORED[dtype].bits
        assert bits % 8 or nonzero > 2**59  # 2^63 bytes, or 2^63 bytes of the widest type
    else:
        assert 8 * found == bits
        assert found < 2**63


def test_a_zero_side_does_not_excuse_the_others() -> None:
    assert size_in_bytes("F32", (0, 8)) == 0
    assert size_in_bytes("F32", (0, 2**62)) is None
    assert size_in_bytes("F4", (3,)) is None
    assert size_in_bytes("F4", (2, 3)) == 3


@pytest.mark.parametrize("dtype", [name for name in FLOATS if STORED[name].bits <= 16])
def test_every_finite_number_of_a_narrow_type_is_written_as_it_was_read(dtype: str) -> None:
    bits = STORED[dtype].bits
    raw = np.arange(1 << bits, dtype=f"<u{bits // 8}")
    values = decode(raw.tobytes(), dtype, np.float64)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(encoded(values[finite], dtype).view(raw.dtype), raw[finite])


@pytest.mark.parametrize("dtype", [name for name in FLOATS if STORED[name].bits <= 16])
@given(value=st.floats(-2.0, 2.0))
def test_rounding_is_done_once_and_to_nearest_even(dtype: str, value: float) -> None:
    """The nearest two numbers of the type, found by search among all: the nearer wins, of equals the even code."""
    bits = STORED[dtype].bits
    codes = np.arange(1 << bits, dtype=f"<u{bits // 8}")
    values = decode(codes.tobytes(), dtype, np.float64)
    found = encoded(np.array([value]), dtype)
    got = float(decode(found.tobytes(), dtype, np.float64)[0])
    distance = np.abs(values - value)
    nearest = codes[distance == np.nanmin(distance)]
    assert abs(got - value) == np.nanmin(distance)
    if len(set(values[nearest].tolist())) > 1:
        assert int(found.view(codes.dtype)[0]) % 2 == 0


@pytest.mark.parametrize(("dtype", "bits"), [("BF16", 8), ("F16", 11), ("F8_E4M3", 4), ("F8_E5M2", 3)])
def test_values_just_off_the_middle_are_not_rounded_twice(dtype: str, bits: int) -> None:
    """1 + (k + 1/2) ulp (1 +- 2^-40): through float32 both become the middle, which goes to the even neighbour."""
    ulp = 2.0 ** (1 - bits)
    k = np.arange(float(2 ** (bits - 1) - 1))
    middle = 1.0 + (k + 0.5) * ulp
    for sign in (1.0, -1.0):
        for values, expected in (
            (middle * (1.0 + 2.0**-40), 1.0 + (k + 1.0) * ulp),
            (middle * (1.0 - 2.0**-40), 1.0 + k * ulp),
            (middle, 1.0 + 2.0 * np.round((k + 0.5) / 2.0) * ulp),  # numpy rounds halves to even, and none is one here
        ):
            found = decode(encoded(sign * values, dtype).tobytes(), dtype, np.float64)
            np.testing.assert_array_equal(found, sign * expected)


@pytest.mark.parametrize(("dtype", "bits"), [("BF16", 8), ("F16", 11), ("F8_E4M3", 4), ("F8_E5M2", 3)])
def test_rounding_in_place_rounds_once(dtype: str, bits: int) -> None:
    """1 + ulp/2 (1 + 2^-40) lies above the middle, 1 + 3/2 ulp (1 - 2^-40) below it; in float32 both are the middle."""
    ulp = 2.0 ** (1 - bits)
    values = np.array([[1.0 + ulp / 2 * (1 + 2.0**-40)], [1.0 + 1.5 * ulp * (1 - 2.0**-40)]])
    found = rounded_to(values, dtype)
    assert found.dtype == np.float64
    assert found.tolist() == [[1.0 + ulp], [1.0 + ulp]]
    np.testing.assert_array_equal(rounded_to(found.astype(np.float32), dtype), found)


def test_what_is_out_of_range_is_not_finite() -> None:
    for dtype in FLOATS:
        if dtype != "F64":
            assert not np.isfinite(decode(encoded(np.array([1e300, -np.inf]), dtype).tobytes(), dtype)).any()
    with pytest.raises(ValueError, match="no float type"):
        encoded(np.zeros(1), "I32")
