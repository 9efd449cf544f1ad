"""Types of the compiled kernels; one section a kernel file in native/."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# native/tail.cpp
def tail_scan(x: NDArray[np.float64], two_sided: bool, exhaustive: bool) -> tuple[int, float, float] | None: ...
def tail_near_best(x: NDArray[np.float64], two_sided: bool, factor: float) -> NDArray[np.float64]: ...
def tail_scan_many(samples: NDArray[np.float64], two_sided: bool) -> NDArray[np.float64]: ...
def tail_scan_resamples(x: NDArray[np.float64], picks: NDArray[np.uint32], two_sided: bool) -> NDArray[np.float64]: ...

# native/shuffle.cpp
def shuffle(buffer: NDArray[np.float32] | NDArray[np.float64], key_low: int, key_high: int, replicate: int) -> None: ...
def permutation(key_low: int, key_high: int, replicate: int, n: int) -> NDArray[np.int64]: ...
def philox4x64(counter: list[int], key: list[int]) -> list[int]: ...

# native/tridiagonal.cpp
def tridiagonal_eigenvalues(diagonal: NDArray[np.float64], squares: NDArray[np.float64], lanes: int = 8) -> bool: ...

# native/twostage.cpp; `api` holds the capsules of ?symm, ?gemm, ?geqrf and ?larft
def tridiagonalise_f32(
    a: NDArray[np.float32],
    diagonal: NDArray[np.float32],
    below: NDArray[np.float32],
    b: int,
    threads: int,
    api: list[object],
) -> None: ...
def tridiagonalise_f64(
    a: NDArray[np.float64],
    diagonal: NDArray[np.float64],
    below: NDArray[np.float64],
    b: int,
    threads: int,
    api: list[object],
) -> None: ...

# native/product.cpp
def gram_product(w: NDArray[Any], x: NDArray[Any], out: NDArray[Any], threads: int = 1) -> None: ...

# native/shifted.cpp
def shifted(gram: NDArray[Any], diagonal: NDArray[np.float64], t: float) -> None: ...
