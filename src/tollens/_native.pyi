"""Types of the compiled kernels; one section a kernel file in native/."""

import numpy as np
from numpy.typing import NDArray
