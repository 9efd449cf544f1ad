// Eigenvalues of many symmetric tridiagonal matrices of one size, side by side.
//
// The implicit QL iteration without square roots (Pal, Walker and Kahan; Parlett, The Symmetric Eigenvalue Problem,
// section 8.15) runs along one matrix row after row, so one matrix cannot use wide vectors. Here each vector lane
// carries another matrix; lanes share the sweep and nothing else, so the width does not change a bit.
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

// For matrices scaled to entries of at most 1.
constexpr double rounding = 0x1p-106;    // the square of the unit rounding
constexpr double negligible = 0x1p-112;  // the square of an eighth of the unit rounding
constexpr double tiny = 0x1p-120;        // least squared off-diagonal kept: products of eight stay normal numbers
constexpr std::int64_t depth = 8;        // rows below the first that a shift is sought in
constexpr int newton_steps = 2;

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

// The QL sweep with its divisions taken out of the chain. With P_i the characteristic polynomial of rows i to m at the
// shift, P_i = (d_i - shift) P_{i+1} - e_i P_{i+2}, and W_i = P_{i+1}^2 + e_i W_{i+1}, the quantities of Pal, Walker and
// Kahan are c_i = P_{i+1}^2 / W_i, s_i = e_i W_{i+1} / W_i, gamma_i = P_{i+1} P_i / W_i and r_i = W_i / W_{i+1}; they
// satisfy the recurrences of that algorithm up to the rounding of one row, so its error analysis holds. W is positive
// and needs no special case. One division serves the two rows of a pair; pairs are counted from row m, so that the
// arithmetic of a row does not depend on where other lanes stop. Powers of two that keep P and W in range cancel.
template <std::size_t L>
struct Sweep {
    using Lanes = typename Vector<L>::Real;
    using Mask = typename Vector<L>::Mask;

    Lanes *d, *e;  // diagonal and squared off-diagonal, a row of lanes after another
    Lanes shift;
    Mask first;                          // row where the lane stops
    Lanes p1, p2, w, inverse, s, gamma;  // P_{i+1}, P_{i+2}, W_{i+1}, 1 / W_{i+1}, s_{i+1}, gamma_{i+1}
    Lanes last_d, last_e;

    // Rows i and i - 1. `partial`: lanes may stop here, and what lies above their first row is computed but not kept.
    template <bool rescale, bool partial>
    inline __attribute__((always_inline)) void pair(std::int64_t i) {
        const Lanes least = shift - shift + tiny;
        const Lanes alpha_a = d[i], alpha_b = d[i - 1], e_a = e[i], e_b = e[i - 1];
        Lanes t_a = e_a * w, w_a = p1 * p1 + t_a, p_a = (alpha_a - shift) * p1 - e_a * p2;
        const Lanes r_a = w_a * inverse;
        if (rescale) {  // W to [1/2, 2)
            const Mask half = (Mask)w_a >> 53, bits = (1534 - half) << 52;
            const Lanes factor = (Lanes)bits, square = factor * factor;
            p1 *= factor, p_a *= factor, w_a *= square, t_a *= square;
        }
        const Lanes t_b = e_b * w_a, w_b = p_a * p_a + t_b, p_b = (alpha_b - shift) * p_a - e_b * p1;
        const Lanes both = 1.0 / (w_a * w_b), inverse_a = both * w_b, inverse_b = both * w_a;
        const Lanes s_a = t_a * inverse_a, s_b = t_b * inverse_b;
        const Lanes gamma_a = p1 * p_a * inverse_a, gamma_b = p_a * p_b * inverse_b;
        const Lanes below = s * r_a, here = s_a * (w_b * inverse_a);
        const Lanes kept_below = below > least ? below : least, kept_here = here > least ? here : least;
        const Lanes d_below = gamma + (alpha_a - gamma_a), d_here = gamma_a + (alpha_b - gamma_b);
        if (partial) {
            const Mask a = first <= i, b = first < i, ends_a = first == i, ends_b = first == i - 1;
            d[i + 1] = a ? d_below : d[i + 1];
            e[i + 1] = a ? kept_below : e[i + 1];
            d[i] = b ? d_here : alpha_a;
            e[i] = b ? kept_here : e_a;
            last_d = ends_a ? shift + gamma_a : ends_b ? shift + gamma_b : last_d;
            last_e = ends_a ? s_a * (p_a * p_a * inverse_a) : ends_b ? s_b * (p_b * p_b * inverse_b) : last_e;
        } else {
            d[i + 1] = d_below, e[i + 1] = kept_below;
            d[i] = d_here, e[i] = kept_here;
        }
        p1 = p_b, p2 = p_a, w = w_b, inverse = inverse_b, s = s_b, gamma = gamma_b;
    }
};

// One sweep from row m up to row start[k] in lane k; start[k] = m leaves the lane alone.
template <std::size_t L>
inline __attribute__((always_inline)) void sweep(
    double *d, double *e, std::int64_t m, const std::int64_t *start, const double *shift) {
    using Lanes = typename Vector<L>::Real;
    const std::int64_t low = *std::min_element(start, start + L), high = *std::max_element(start, start + L);
    Sweep<L> x;
    x.d = reinterpret_cast<Lanes *>(d), x.e = reinterpret_cast<Lanes *>(e);
    std::memcpy(&x.shift, shift, sizeof x.shift);
    std::memcpy(&x.first, start, sizeof x.first);
    const Lanes zero = x.shift - x.shift;
    x.p1 = x.gamma = x.d[m] - x.shift;
    x.p2 = x.w = x.inverse = zero + 1.0;
    x.s = x.last_d = x.last_e = zero;
    std::int64_t i = m - 1;
    for (; i - 3 > high; i -= 4) {
        x.template pair<true, false>(i);
        x.template pair<false, false>(i - 2);
    }
    for (; i >= low; i -= 2) x.template pair<true, true>(i);
    for (std::size_t k = 0; k < L; ++k) {
        if (start[k] >= m) continue;
        d[start[k] * static_cast<std::int64_t>(L) + static_cast<std::int64_t>(k)] = x.last_d[k];
        e[start[k] * static_cast<std::int64_t>(L) + static_cast<std::int64_t>(k)] = std::max(x.last_e[k], tiny);
    }
}

// What the window of rows l = start[k] to l + depth says of lane k: the shift for its next sweep, and whether row l may
// be split off with d_l as its eigenvalue. Let (1, v) solve (T - shift) (1, v) = (f, 0, ..., 0) over the window; a Newton
// step on f adds f / (1 + |v|^2), which is gamma_l of a sweep over the window. If the off-diagonal b_l times |v| is
// negligible, and so is what the row below the window adds at (1, v), then splitting moves no eigenvalue by more than
// about their sum. Newton starts from Wilkinson's shift and may not leave it by more than |b_l|.
template <std::size_t L>
inline __attribute__((always_inline)) void look(
    const double *all_d, const double *all_e, const std::int64_t *start, double *shift, std::int64_t *split) {
    using Lanes = typename Vector<L>::Real;
    using Mask = typename Vector<L>::Mask;
    alignas(64) double window[2][depth + 1][L];
    for (std::size_t k = 0; k < L; ++k)
        for (std::int64_t j = 0; j <= depth; ++j) {
            const std::int64_t at = (start[k] + j) * static_cast<std::int64_t>(L) + static_cast<std::int64_t>(k);
            window[0][j][k] = all_d[at];
            window[1][j][k] = all_e[at];
        }
    Lanes d[depth + 1], e[depth + 1], root;
    std::memcpy(d, window[0], sizeof d);
    std::memcpy(e, window[1], sizeof e);
    const Lanes half = 0.5 * (d[1] - d[0]), radicand = half * half + e[0];
    double roots[L];
    for (std::size_t k = 0; k < L; ++k) roots[k] = std::copysign(std::sqrt(radicand[k]), half[k]);
    std::memcpy(&root, roots, sizeof root);
    const Lanes wilkinson = d[0] - e[0] / (half + root);
    Lanes sigma = wilkinson, product = e[0];
    for (std::int64_t j = 1; j < depth; ++j) product *= e[j];
    const Lanes size = d[0] * d[1] * rounding;
    Mask apart = (e[0] <= negligible) | (e[0] <= size) | (e[0] <= -size);
    for (int step = 0; step < newton_steps; ++step) {
        Lanes p1 = d[depth] - sigma, p2 = sigma - sigma + 1.0, w = p2;
        for (std::int64_t j = depth - 1; j > 0; --j) {
            const Lanes p = (d[j] - sigma) * p1 - e[j] * p2;
            w = p1 * p1 + e[j] * w, p2 = p1, p1 = p;
        }
        const Lanes square = p1 * p1, t = e[0] * w, p = (d[0] - sigma) * p1 - e[0] * p2;
        if (step == 0) {
            const Lanes limit = negligible * square;  // |v|^2 = t / square
            apart |= (e[0] * t < limit) & (e[depth] * product < limit);
        }
        const Lanes next = sigma + p * p1 / (square + t), move = next - wilkinson;
        sigma = move * move <= e[0] ? next : sigma;
    }
    std::memcpy(shift, &sigma, sizeof sigma);
    std::memcpy(split, &apart, sizeof apart);
}

template <std::size_t L>
inline __attribute__((always_inline)) bool solve(double *d, double *e, std::int64_t n) {
    const std::int64_t m = n - 1;
    std::int64_t start[L] = {}, split[L];
    double shift[L];
    for (std::int64_t round = 0; round <= 40 * n; ++round) {
        for (bool again = true; again;) {
            again = false;
            look<L>(d, e, start, shift, split);
            for (std::size_t k = 0; k < L; ++k) {
                if (start[k] >= m || !split[k]) continue;
                ++start[k];
                again = true;
            }
        }
        if (*std::min_element(start, start + L) >= m) return true;
        sweep<L>(d, e, m, start, shift);
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
    const std::size_t L = choice.lanes, rows = n + depth + 2;
    const Aligned below = aligned(rows * L), left = aligned(rows * L);
    double *d = below.get() + L, *e = left.get() + L;  // row -1 is read, not used
    std::vector<int> scale(L);
    for (std::size_t from = 0; from < count; from += L) {
        std::fill_n(below.get(), rows * L, 4.0);  // no shift is that large
        std::fill_n(left.get(), rows * L, tiny);
        const std::size_t used = std::min(L, count - from);
        for (std::size_t k = 0; k < L; ++k) {
            const std::size_t source = from + (k < used ? k : 0);  // an unused lane follows another
            const double *row = diagonal + source * n, *off = squares + source * (n - 1);
            double top = 0.0, square = 0.0;
            for (std::size_t i = 0; i < n; ++i) top = std::max(top, std::fabs(row[i]));
            for (std::size_t i = 0; i + 1 < n; ++i) square = std::max(square, off[i]);
            std::frexp(std::max(top, std::sqrt(square)), &scale[k]);
            // QL deflates from the top, and converges fastest if the small end of a graded matrix is there.
            const bool flip = std::fabs(row[0]) > std::fabs(row[n - 1]);
            const double factor = std::ldexp(1.0, -scale[k]);
            for (std::size_t i = 0; i < n; ++i) d[i * L + k] = row[flip ? n - 1 - i : i] * factor;
            for (std::size_t i = 0; i + 1 < n; ++i)
                e[i * L + k] = std::max(off[flip ? n - 2 - i : i] * factor * factor, tiny);
        }
        if (!choice.solver(d, e, static_cast<std::int64_t>(n))) return false;
        for (std::size_t k = 0; k < used; ++k) {
            double *row = diagonal + (from + k) * n;
            for (std::size_t i = 0; i < n; ++i) row[i] = std::ldexp(d[i * L + k], scale[k]);
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
    m.def("tridiagonal_eigenvalues", &tollens_tridiagonal::eigenvalues, nb::arg("diagonal").noconvert(), nb::arg("squares"),
          nb::arg("lanes") = 8,
          "Replace each row of diagonal (count, n) by the ascending eigenvalues of the tridiagonal matrix with that "
          "diagonal and squared off-diagonals squares (count, n - 1); False if one did not converge. lanes caps the "
          "number of matrices solved side by side and does not change the result.");
}
