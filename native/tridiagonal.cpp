// Eigenvalues of many symmetric tridiagonal matrices of one size, side by side.
//
// The implicit QL iteration without square roots (Pal, Walker and Kahan; Parlett, The Symmetric Eigenvalue Problem,
// section 8.15) with Wilkinson's shift is a chain of dependent divisions, so one matrix cannot use wide vectors. Here
// each vector lane carries another matrix; lanes share the sweep and nothing else, so the width does not change a bit.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;

namespace tollens_tridiagonal {

constexpr double eps2 = 0x1p-106;
constexpr double tiny = 1e-140;  // squares of what is kept stay normal numbers: denormals are a hundred times slower

// The vector attribute does not take a template parameter.
template <std::size_t L>
struct Vector;
template <>
struct Vector<2> {
    typedef double Real __attribute__((vector_size(16)));
    typedef std::int64_t Mask __attribute__((vector_size(16)));
};
template <>
struct Vector<4> {
    typedef double Real __attribute__((vector_size(32)));
    typedef std::int64_t Mask __attribute__((vector_size(32)));
};
template <>
struct Vector<8> {
    typedef double Real __attribute__((vector_size(64)));
    typedef std::int64_t Mask __attribute__((vector_size(64)));
};

// One QL sweep from row m up to row start[k] in lane k. `d` and `e` (squared off-diagonals) are [row][lane].
template <std::size_t L>
inline __attribute__((always_inline)) void sweep(
    double *d_raw, double *e_raw, std::int64_t m, std::int64_t low, const std::int64_t *start, const double *shift) {
    using Lanes = typename Vector<L>::Real;
    using Mask = typename Vector<L>::Mask;
    Lanes *d = reinterpret_cast<Lanes *>(d_raw);
    Lanes *e = reinterpret_cast<Lanes *>(e_raw);
    Mask first;
    Lanes sigma;
    std::memcpy(&first, start, sizeof first);
    std::memcpy(&sigma, shift, sizeof sigma);
    const Lanes zero = sigma - sigma, one = zero + 1.0, least = zero + tiny;
    Lanes c = one, s = zero, gamma = d[m] - sigma, p = gamma * gamma;
    for (std::int64_t i = m - 1; i >= low; --i) {
        const Mask active = first <= i;
        const Lanes bb = e[i], alpha = d[i], r = p + bb, kept = s * r;
        e[i + 1] = active ? (kept < least ? zero : kept) : e[i + 1];
        const Mask flat = p < least;
        const Lanes inverse = one / (flat ? one : r * p);  // one division gives both 1/r and 1/p
        const Lanes c_new = flat ? zero : p * (p * inverse);
        const Lanes s_new = flat ? one : bb * (p * inverse);
        const Lanes gamma_new = c_new * (alpha - sigma) - s_new * gamma;
        const Lanes p_new = flat ? c * bb : gamma_new * gamma_new * (r * r * inverse);
        d[i + 1] = active ? gamma + (alpha - gamma_new) : d[i + 1];
        c = active ? c_new : c;
        s = active ? s_new : s;
        gamma = active ? gamma_new : gamma;
        p = active ? p_new : p;
    }
    const Lanes last_e = s * p, last_d = sigma + gamma;
    for (std::size_t k = 0; k < L; ++k) {
        if (start[k] >= m) continue;
        e_raw[start[k] * L + k] = last_e[k] < tiny ? 0.0 : last_e[k];
        d_raw[start[k] * L + k] = last_d[k];
    }
}

template <std::size_t L>
inline __attribute__((always_inline)) bool solve(double *d, double *e, std::int64_t n) {
    const std::int64_t m = n - 1;
    std::int64_t start[L];
    double shift[L], floor[L];
    for (std::size_t k = 0; k < L; ++k) {
        double top = 0.0;
        for (std::int64_t i = 0; i < n; ++i) top = std::max(top, std::fabs(d[i * L + k]));
        start[k] = 0;
        floor[k] = 1e-4 * eps2 * top * top;  // a hundredth of the rounding of the largest eigenvalue
    }
    for (std::int64_t round = 0; round <= 40 * n; ++round) {
        std::int64_t low = m;
        for (std::size_t k = 0; k < L; ++k) {
            std::int64_t &l = start[k];
            while (l < m && e[l * L + k] <= std::max(floor[k], eps2 * std::fabs(d[l * L + k] * d[(l + 1) * L + k])))
                ++l;
            low = std::min(low, l);
            shift[k] = 0.0;
            if (l >= m) continue;
            const double root = std::sqrt(e[l * L + k]);
            const double half = (d[(l + 1) * L + k] - d[l * L + k]) / (2.0 * root);
            shift[k] = d[l * L + k] - root / (half + std::copysign(std::sqrt(half * half + 1.0), half));
        }
        if (low >= m) return true;
        sweep<L>(d, e, m, low, start, shift);
    }
    return false;
}

using Solver = bool (*)(double *, double *, std::int64_t);

bool solve_two(double *d, double *e, std::int64_t n) { return solve<2>(d, e, n); }

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) bool solve_four(double *d, double *e, std::int64_t n) { return solve<4>(d, e, n); }
__attribute__((target("avx512f"))) bool solve_eight(double *d, double *e, std::int64_t n) { return solve<8>(d, e, n); }
#endif

struct Choice {
    std::size_t lanes;
    Solver solver;
};

Choice widest(std::size_t limit) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (limit >= 8 && __builtin_cpu_supports("avx512f")) return {8, solve_eight};
    if (limit >= 4 && __builtin_cpu_supports("avx2")) return {4, solve_four};
#endif
    (void)limit;
    return {2, solve_two};
}

struct Free {
    void operator()(double *p) const { ::operator delete[](p, std::align_val_t{64}); }
};
using Aligned = std::unique_ptr<double[], Free>;

Aligned aligned(std::size_t size) {
    return Aligned(static_cast<double *>(::operator new[](size * sizeof(double), std::align_val_t{64})));
}

// Rows of `diagonal` (count, n) are replaced by ascending eigenvalues; `squares` (count, n - 1).
bool solve_all(double *diagonal, const double *squares, std::size_t count, std::size_t n, std::size_t limit) {
    const Choice choice = widest(limit);
    const std::size_t L = choice.lanes;
    const Aligned d = aligned(n * L), e = aligned(n * L);
    for (std::size_t from = 0; from < count; from += L) {
        std::fill_n(d.get(), n * L, 1.0);  // unused lanes hold a solved matrix
        std::fill_n(e.get(), n * L, 0.0);
        const std::size_t used = std::min(L, count - from);
        for (std::size_t k = 0; k < used; ++k) {
            double *row = diagonal + (from + k) * n;
            const double *off = squares + (from + k) * (n - 1);
            // QL deflates from the top, and converges fastest if the small end of a graded matrix is there.
            const bool flip = std::fabs(row[0]) > std::fabs(row[n - 1]);
            for (std::size_t i = 0; i < n; ++i) d[i * L + k] = row[flip ? n - 1 - i : i];
            for (std::size_t i = 0; i + 1 < n; ++i) {
                const double square = off[flip ? n - 2 - i : i];
                e[i * L + k] = square < tiny ? 0.0 : square;
            }
        }
        if (!choice.solver(d.get(), e.get(), static_cast<std::int64_t>(n))) return false;
        for (std::size_t k = 0; k < used; ++k) {
            double *row = diagonal + (from + k) * n;
            for (std::size_t i = 0; i < n; ++i) row[i] = d[i * L + k];
            std::sort(row, row + n);
        }
    }
    return true;
}

bool eigenvalues(
    nb::ndarray<double, nb::ndim<2>, nb::c_contig, nb::device::cpu> diagonal,
    nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu> squares, std::size_t lanes) {
    const std::size_t count = diagonal.shape(0), n = diagonal.shape(1);
    if (n < 1 || squares.shape(0) != count || squares.shape(1) + 1 != n)
        throw std::invalid_argument("diagonal (count, n) and squares (count, n - 1) are needed");
    double *values = diagonal.data();
    const double *off = squares.data();
    nb::gil_scoped_release release;
    return solve_all(values, off, count, n, lanes);
}

}  // namespace tollens_tridiagonal

void bind_tridiagonal(nb::module_ &m) {
    m.def("tridiagonal_eigenvalues", &tollens_tridiagonal::eigenvalues, nb::arg("diagonal"), nb::arg("squares"),
          nb::arg("lanes") = 8,
          "Replace each row of diagonal (count, n) by the ascending eigenvalues of the tridiagonal matrix with that "
          "diagonal and squared off-diagonals squares (count, n - 1); False if one did not converge. lanes caps the "
          "number of matrices solved side by side and does not change the result.");
}
