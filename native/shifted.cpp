// t*I - G in the upper triangle of a matrix whose lower triangle holds G and is left alone.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>

namespace nb = nanobind;

namespace {

constexpr std::size_t tile = 32;  // a tile and its mirror image fit the first-level cache

template <class T>
void shifted(nb::ndarray<T, nb::ndim<2>, nb::f_contig, nb::device::cpu> gram,
             nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu> diagonal, double t) {
    const std::size_t n = gram.shape(0);
    if (gram.shape(1) != n || diagonal.shape(0) != n) throw std::invalid_argument("gram (n, n) and diagonal (n,)");
    T *a = gram.data();
    const double *d = diagonal.data();
    nb::gil_scoped_release release;
    for (std::size_t left = 0; left < n; left += tile)
        for (std::size_t top = 0; top <= left; top += tile)
            for (std::size_t j = left; j < std::min(n, left + tile); ++j)
                for (std::size_t i = top; i < std::min(j, top + tile); ++i) a[i + j * n] = -a[j + i * n];
    for (std::size_t i = 0; i < n; ++i) a[i + i * n] = static_cast<T>(t - d[i]);
}

}  // namespace

void bind_shifted(nb::module_ &m) {
    const char *text = "Write t*I - G, diagonal given, to the upper triangle of a matrix with G in the lower one.";
    m.def("shifted", &shifted<float>, nb::arg("gram").noconvert(), nb::arg("diagonal"), nb::arg("t"), text);
    m.def("shifted", &shifted<double>, nb::arg("gram").noconvert(), nb::arg("diagonal"), nb::arg("t"));
}
