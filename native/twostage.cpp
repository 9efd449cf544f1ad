// Eigenvalue-only tridiagonalisation of a dense symmetric matrix in two stages: dense to band by blocked Householder
// reflectors (matrix products only), band to tridiagonal by bulge chasing in cache. The one-stage LAPACK path spends
// half of its work in matrix-vector products that run at memory speed.
// Bischof, Lang, Sun (2000), ACM TOMS 26:581 (successive band reduction).
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "clones.hpp"

namespace nb = nanobind;

namespace {

// The BLAS and LAPACK that scipy carries, reached through the function pointers of scipy.linalg.cython_blas and
// cython_lapack: every integer is a 32-bit int passed by pointer.
template <class T> struct Blas {
    using Symm = void (*)(char *, char *, int *, int *, T *, T *, int *, T *, int *, T *, T *, int *);
    using Gemm = void (*)(char *, char *, int *, int *, int *, T *, T *, int *, T *, int *, T *, T *, int *);
    using Geqrf = void (*)(int *, int *, T *, int *, T *, T *, int *, int *);
    using Larft = void (*)(char *, char *, int *, int *, T *, int *, T *, T *, int *);
    Symm symm;
    Gemm gemm;
    Geqrf geqrf;
    Larft larft;
};

// y = A x for the lower triangle of the n x n matrix a (leading dimension ld), x and y n x k with leading dimension n.
// Every block below the diagonal is used as it stands and transposed while it is in cache; a general product packs
// blocks faster than the symmetric one of BLAS.
template <class T>
void symmetric_product(T *a, int n, int ld, T *x, int k, T *y, int block, const Blas<T> &blas) {
    char left = 'L', lower = 'L', no = 'N', yes = 'T';
    T one = 1, zero = 0;
    for (int j = 0; j < n; j += block) {
        int width = std::min(block, n - j), below = n - j - width;
        T *diagonal = a + j + static_cast<size_t>(j) * ld, *panel = diagonal + width;
        T &old = j == 0 ? zero : one;  // the rows from j on were written by the blocks to the left
        blas.symm(&left, &lower, &width, &k, &one, diagonal, &ld, x + j, &n, &old, y + j, &n);
        if (below == 0) break;
        blas.gemm(&yes, &no, &width, &k, &below, &one, panel, &ld, x + j + width, &n, &one, y + j, &n);
        blas.gemm(&no, &no, &below, &k, &width, &one, panel, &ld, x + j, &n, &old, y + j + width, &n);
    }
}

// A <- A - VW' - WV' on the lower triangle: one product of twice the depth, [V W][W V]', reads A once. `pair` holds
// V, W and V again in columns of length n; the upper halves of the diagonal blocks are written and never read.
template <class T>
void rank_two_update(T *a, int n, int ld, T *pair, int k, int block, const Blas<T> &blas) {
    char no = 'N', yes = 'T';
    T one = 1, minus = -1;
    int depth = 2 * k;
    T *swapped = pair + static_cast<size_t>(k) * n;
    for (int j = 0; j < n; j += block) {
        int width = std::min(block, n - j), rows = n - j;
        blas.gemm(&no, &yes, &rows, &width, &depth, &minus, pair + j, &n, swapped + j, &n, &one,
                  a + j + static_cast<size_t>(j) * ld, &ld);
    }
}

// Lower triangle of the n x n matrix a (column major, leading dimension n) to lower bandwidth b, in place.
template <class T> void dense_to_band(T *a, int n, int b, const Blas<T> &blas) {
    constexpr int PRODUCT_BLOCK = 512, UPDATE_BLOCK = 256;
    std::vector<T> pair(3 * static_cast<size_t>(n) * b), x(static_cast<size_t>(n) * b);
    std::vector<T> t(b * b), m(b * b), tau(b), work(64 * b);
    char no = 'N', yes = 'T', forward = 'F', columns = 'C';
    T one = 1, zero = 0, half = T(-0.5);
    for (int k = 0; k + b < n - 1; k += b) {
        int r = k + b, rows = n - r, kept = std::min(rows, b), info = 0, lwork = 64 * b;
        T *panel = a + r + static_cast<size_t>(k) * n, *rest = a + r + static_cast<size_t>(r) * n;
        T *v = pair.data(), *w = v + static_cast<size_t>(kept) * rows, *again = w + static_cast<size_t>(kept) * rows;
        blas.geqrf(&rows, &b, panel, &n, tau.data(), work.data(), &lwork, &info);
        if (info != 0) throw std::runtime_error("geqrf failed");
        for (int j = 0; j < kept; ++j) {  // the reflectors, with their implicit ones and zeros written out
            T *to = v + static_cast<size_t>(j) * rows, *from = panel + static_cast<size_t>(j) * n;
            std::fill(to, to + j, T(0));
            to[j] = 1;
            std::copy(from + j + 1, from + rows, to + j + 1);
            std::fill(from + j + 1, from + rows, T(0));
        }
        blas.larft(&forward, &columns, &rows, &kept, v, &rows, tau.data(), t.data(), &b);
        for (int j = 0; j < kept; ++j) std::fill(t.data() + j * b + j + 1, t.data() + j * b + kept, T(0));
        // A <- Q'AQ with Q = I - V T V': X = VT, Y = AX, W = Y - V(X'Y)/2, A <- A - VW' - WV'
        blas.gemm(&no, &no, &rows, &kept, &kept, &one, v, &rows, t.data(), &b, &zero, x.data(), &rows);
        symmetric_product(rest, rows, n, x.data(), kept, w, PRODUCT_BLOCK, blas);
        blas.gemm(&yes, &no, &kept, &kept, &rows, &one, x.data(), &rows, w, &rows, &zero, m.data(), &b);
        blas.gemm(&no, &no, &rows, &kept, &kept, &half, v, &rows, m.data(), &b, &one, w, &rows);
        std::copy(v, w, again);
        rank_two_update(rest, rows, n, v, kept, UPDATE_BLOCK, blas);
    }
}

constexpr int SPINS = 4000;

inline void pause_core() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

constexpr int LANES = 16;  // partial sums are kept in this many lanes on every machine, so that results agree

template <class T> TOLLENS_INLINE T dot(const T *p, const T *q, int n) {
    T sums[LANES] = {};
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; ++l) sums[l] += p[i + l] * q[i + l];
    for (int l = 0; i + l < n; ++l) sums[l] += p[i + l] * q[i + l];
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int l = 0; l < width; ++l) sums[l] += sums[l + width];
    return sums[0];
}

// v, tau with (I - tau v v')x = beta e_1, v_1 = 1; x becomes (beta, 0, ..., 0).
template <class T> TOLLENS_INLINE T reflector(T *x, T *v, int n) {
    T tail = 0;
    for (int i = 1; i < n; ++i) tail += x[i] * x[i];
    std::copy(x, x + n, v);
    v[0] = 1;
    if (tail == 0) return 0;
    T alpha = x[0], beta = -std::copysign(std::sqrt(alpha * alpha + tail), alpha), scale = 1 / (alpha - beta);
    for (int i = 1; i < n; ++i) v[i] *= scale;
    x[0] = beta;
    std::fill(x + 1, x + n, T(0));
    return (beta - alpha) / beta;
}

// D <- HDH for the lower triangle of an n x n block with column stride ld, H = I - tau v v'.
template <class T> TOLLENS_INLINE void both_sides(T *d, int n, int ld, const T *v, T tau, T *w) {
    std::fill(w, w + n, T(0));
    for (int j = 0; j < n; ++j) {
        const T *column = d + static_cast<size_t>(j) * ld;
        T vj = v[j], sum = column[j] * vj + dot(column + j + 1, v + j + 1, n - j - 1);
        for (int i = j + 1; i < n; ++i) w[i] += column[i] * vj;
        w[j] += sum;
    }
    T shift = tau * dot(w, v, n) / 2;
    for (int i = 0; i < n; ++i) w[i] = tau * (w[i] - shift * v[i]);
    for (int j = 0; j < n; ++j) {
        T *column = d + static_cast<size_t>(j) * ld;
        T vj = v[j], wj = w[j];
        for (int i = j; i < n; ++i) column[i] -= v[i] * wj + w[i] * vj;
    }
}

// B <- BH for an m x n block.
template <class T> TOLLENS_INLINE void from_right(T *block, int m, int n, int ld, const T *v, T tau, T *w) {
    std::fill(w, w + m, T(0));
    for (int j = 0; j < n; ++j) {
        const T *column = block + static_cast<size_t>(j) * ld;
        T vj = v[j];
        for (int i = 0; i < m; ++i) w[i] += column[i] * vj;
    }
    for (int j = 0; j < n; ++j) {
        T *column = block + static_cast<size_t>(j) * ld;
        T scaled = tau * v[j];
        for (int i = 0; i < m; ++i) column[i] -= scaled * w[i];
    }
}

// B <- HB for an m x n block.
template <class T> TOLLENS_INLINE void from_left(T *block, int m, int n, int ld, const T *v, T tau) {
    for (int j = 0; j < n; ++j) {
        T *column = block + static_cast<size_t>(j) * ld;
        T scaled = tau * dot(column, v, m);
        for (int i = 0; i < m; ++i) column[i] -= scaled * v[i];
    }
}

// One step of a sweep; `v`, `tau` is the reflector of the block that starts at row s and becomes that of the next.
template <class T>
TOLLENS_INLINE bool chase_step(T *band, int n, int b, int &s, int &length, T *v, T &tau, T *next, T *w) {
    const int ld = 2 * b;
    auto at = [&](int i, int j) { return band + i + static_cast<size_t>(j) * ld; };
    both_sides(at(s, s), length, ld, v, tau, w);
    int r = s + length, below = std::min(b, n - r);
    if (below <= 0) return false;
    from_right(at(r, s), below, length, ld, v, tau, w);
    if (below == 1) return false;
    tau = reflector(at(r, s), next, below);
    from_left(at(r, s + 1), below, length - 1, ld, next, tau);
    std::copy(next, next + below, v);
    s = r;
    length = below;
    return true;
}

TOLLENS_CLONES void chase_step_f32(float *band, int n, int b, int &s, int &length, float *v, float &tau, float *next,
                                   float *w, bool &more) {
    more = chase_step(band, n, b, s, length, v, tau, next, w);
}

TOLLENS_CLONES void chase_step_f64(double *band, int n, int b, int &s, int &length, double *v, double &tau,
                                   double *next, double *w, bool &more) {
    more = chase_step(band, n, b, s, length, v, tau, next, w);
}

inline void step(float *band, int n, int b, int &s, int &l, float *v, float &tau, float *next, float *w, bool &more) {
    chase_step_f32(band, n, b, s, l, v, tau, next, w, more);
}
inline void step(double *band, int n, int b, int &s, int &l, double *v, double &tau, double *next, double *w,
                 bool &more) {
    chase_step_f64(band, n, b, s, l, v, tau, next, w, more);
}

// Lower band (element (i, j) at i + j*2b) to tridiagonal. Sweep j works on blocks that sweep j - 1 has left behind,
// so sweeps run in a pipeline; the operations and their order on every element are the same for any thread count.
template <class T> void band_to_tridiagonal(T *band, int n, int b, int threads) {
    const int sweeps = std::max(0, n - 2);
    std::vector<std::atomic<int>> done(sweeps + 1);
    for (auto &d : done) d.store(0, std::memory_order_relaxed);
    const int finished = n + 2;
    std::atomic<int> taken{0};  // sweeps are taken in order, so whoever is waited for has been taken by somebody
    auto run = [&] {
        std::vector<T> v(b), next(b), w(b);
        for (int j = taken++; j < sweeps; j = taken++) {
            int s = j + 1, length = std::min(b, n - s), position = 0;
            auto wait = [&](int until) {
                if (j == 0) return;
                // A step takes about 10 us; whoever waits much longer shares its core and has to leave it, and a
                // yield does not make a fair scheduler switch before the time slice ends.
                for (int spins = 0; done[j - 1].load(std::memory_order_acquire) < until; ++spins)
                    if (spins < SPINS)
                        pause_core();
                    else
                        std::this_thread::sleep_for(std::chrono::microseconds(20));
            };
            wait(1);
            T tau = reflector(band + s + static_cast<size_t>(j) * 2 * b, v.data(), length);
            bool more = true;
            while (more) {
                // the next block of this sweep reaches one row into the block after it
                wait(position + 2);
                step(band, n, b, s, length, v.data(), tau, next.data(), w.data(), more);
                done[j].store(++position, std::memory_order_release);
            }
            done[j].store(finished, std::memory_order_release);
        }
    };
    std::vector<std::thread> workers;  // joined below, before the band goes out of scope
    try {
        for (int t = 1; t < threads; ++t) workers.emplace_back(run);
    } catch (const std::system_error &) {  // no more threads to be had: those that are there do all sweeps
    }
    run();
    for (auto &worker : workers) worker.join();
}

template <class T>
using Square = nb::ndarray<T, nb::ndim<2>, nb::f_contig, nb::device::cpu>;
template <class T>
using Line = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T>
void tridiagonalise(Square<T> a, Line<T> diagonal, Line<T> below, int b, int threads, std::vector<nb::capsule> api) {
    const int n = static_cast<int>(a.shape(0));
    if (a.shape(1) != a.shape(0) || diagonal.shape(0) != a.shape(0) || below.shape(0) + 1 != a.shape(0))
        throw std::invalid_argument("a is (n, n), diagonal (n,), below (n - 1,)");
    if (b < 2 || api.size() != 4) throw std::invalid_argument("b is at least 2 and api has four entries");
    Blas<T> blas{};
    blas.symm = reinterpret_cast<decltype(blas.symm)>(api[0].data());
    blas.gemm = reinterpret_cast<decltype(blas.gemm)>(api[1].data());
    blas.geqrf = reinterpret_cast<decltype(blas.geqrf)>(api[2].data());
    blas.larft = reinterpret_cast<decltype(blas.larft)>(api[3].data());
    T *dense = a.data(), *d = diagonal.data(), *e = below.data();
    nb::gil_scoped_release release;
    dense_to_band(dense, n, b, blas);
    const size_t ld = 2 * static_cast<size_t>(b);
    std::vector<T> band((ld + 1) * n, T(0));  // (n - 1) + (n - 1)*ld is the last element used
    for (int j = 0; j < n; ++j) {
        int count = std::min(b, n - 1 - j) + 1;
        std::memcpy(band.data() + j + j * ld, dense + j + static_cast<size_t>(j) * n, count * sizeof(T));
    }
    band_to_tridiagonal(band.data(), n, b, threads);
    for (int j = 0; j < n; ++j) d[j] = band[j + j * ld];
    for (int j = 0; j + 1 < n; ++j) e[j] = band[j + 1 + j * ld];
}

}  // namespace

void bind_twostage(nb::module_ &m) {
    m.def("tridiagonalise_f32", &tridiagonalise<float>, nb::arg("a").noconvert(), nb::arg("diagonal").noconvert(),
          nb::arg("below").noconvert(), nb::arg("b"), nb::arg("threads"), nb::arg("api"));
    m.def("tridiagonalise_f64", &tridiagonalise<double>, nb::arg("a").noconvert(), nb::arg("diagonal").noconvert(),
          nb::arg("below").noconvert(), nb::arg("b"), nb::arg("threads"), nb::arg("api"));
}
