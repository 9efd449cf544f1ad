// tollens._native: the kernels that numpy and LAPACK do not offer. One file a kernel, each with its own bind function.
#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_tail(nb::module_ &m);
void bind_tridiagonal(nb::module_ &m);
void bind_shuffle(nb::module_ &m);
void bind_twostage(nb::module_ &m);
void bind_product(nb::module_ &m);
void bind_shifted(nb::module_ &m);
void bind_elements(nb::module_ &m);
void bind_bulk(nb::module_ &m);

NB_MODULE(_native, m) {
    m.doc() = "Compiled kernels of Tollens.";
    bind_tail(m);
    bind_tridiagonal(m);
    bind_shuffle(m);
    bind_twostage(m);
    bind_product(m);
    bind_shifted(m);
    bind_elements(m);
    bind_bulk(m);
}
