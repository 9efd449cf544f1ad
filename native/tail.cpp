#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_tail(nb::module_ &) {}
