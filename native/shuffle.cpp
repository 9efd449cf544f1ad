#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_shuffle(nb::module_ &) {}
