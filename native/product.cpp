// Products with the Gram matrix of a matrix that is read once: out = (W'W)x for a few vectors x, W never squared.
//
// A product with W and one with W' read W twice, and at 4096 x 4096 memory is what they wait for. Here a group of rows
// stays in cache between its two uses. Rows are summed in panels of their own, added in order, so that the bits do not
// depend on the number of threads; like those of BLAS they do depend on the instruction set.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "clones.hpp"

namespace nb = nanobind;

namespace {

constexpr std::size_t group = 16;          // rows that stay in the second-level cache between their two uses
constexpr std::size_t strip = 2048;        // bytes of a row at a time, so that a few fit the first-level cache with the vectors
constexpr std::size_t together = 4;        // rows and vectors whose sums share the registers
constexpr std::size_t panels = 8;          // partial sums of the result
constexpr std::size_t widest = 64;         // bytes of a register

// The vector attribute does not take a template parameter.
template <class T, std::size_t bytes> struct Lanes;
template <> struct Lanes<float, 16> { typedef float Type __attribute__((vector_size(16), aligned(4))); };
template <> struct Lanes<float, 32> { typedef float Type __attribute__((vector_size(32), aligned(4))); };
template <> struct Lanes<float, 64> { typedef float Type __attribute__((vector_size(64), aligned(4))); };
template <> struct Lanes<double, 16> { typedef double Type __attribute__((vector_size(16), aligned(8))); };
template <> struct Lanes<double, 32> { typedef double Type __attribute__((vector_size(32), aligned(8))); };
template <> struct Lanes<double, 64> { typedef double Type __attribute__((vector_size(64), aligned(8))); };

template <class T, std::size_t bytes> TOLLENS_INLINE typename Lanes<T, bytes>::Type load(const T *p) {
    typename Lanes<T, bytes>::Type v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

// sum[r][v] += w[r] * x[v], lane by lane, for `together` rows and vectors; `cols` is a multiple of the lanes. The rows
// at w + ahead are fetched meanwhile: the hardware looks ahead within a page only, which a row of 1,024 floats fills.
template <class T, std::size_t bytes>
TOLLENS_INLINE void dots(const T *w, std::size_t ld, const T *x, std::size_t ldx, std::size_t cols,
                         typename Lanes<T, bytes>::Type *kept, std::size_t ahead) {
    using V = typename Lanes<T, bytes>::Type;
    V sum[together][together];
    std::memcpy(sum, kept, sizeof sum);
    for (std::size_t c = 0; c < cols; c += bytes / sizeof(T)) {
        V row[together];
        for (std::size_t r = 0; r < together; ++r) {
            row[r] = load<T, bytes>(w + r * ld + c);
            if (ahead) __builtin_prefetch(w + r * ld + c + ahead, 0, 2);
        }
        for (std::size_t v = 0; v < together; ++v) {
            const V at = load<T, bytes>(x + v * ldx + c);
            for (std::size_t r = 0; r < together; ++r) sum[r][v] += row[r] * at;
        }
    }
    std::memcpy(kept, sum, sizeof sum);
}

// out[v] += sum over r of y[r][v] w[r].
template <class T, std::size_t bytes>
TOLLENS_INLINE void spread(const T *w, std::size_t ld, const T *y, std::size_t cols, T *out, std::size_t ldo) {
    using V = typename Lanes<T, bytes>::Type;
    V factor[together][together];
    for (std::size_t r = 0; r < together; ++r)
        for (std::size_t v = 0; v < together; ++v) factor[r][v] = y[r * together + v] - V{};
    for (std::size_t c = 0; c < cols; c += bytes / sizeof(T)) {
        V row[together];
        for (std::size_t r = 0; r < together; ++r) row[r] = load<T, bytes>(w + r * ld + c);
        for (std::size_t v = 0; v < together; ++v) {
            V total = load<T, bytes>(out + v * ldo + c);
            for (std::size_t r = 0; r < together; ++r) total += row[r] * factor[r][v];
            std::memcpy(out + v * ldo + c, &total, sizeof total);
        }
    }
}

template <class T> struct Job {
    const T *w;
    const T *x;  // (vectors, padded), zeros beyond `vectors` and `cols`
    T *out;      // (panels, vectors, padded)
    std::size_t rows, cols, padded, stride, vectors;
};

// One panel of rows, a group at a time; what does not fill the lanes or the group is copied to `spare` first.
template <class T, std::size_t bytes> TOLLENS_INLINE void panel(const Job<T> &job, std::size_t p, T *spare) {
    using V = typename Lanes<T, bytes>::Type;
    constexpr std::size_t width = strip / sizeof(T);
    V *sums = reinterpret_cast<V *>(spare + group * job.padded);
    T *y = spare + group * (job.padded + job.vectors * bytes / sizeof(T));
    const std::size_t each = (job.rows + panels - 1) / panels, from = p * each, to = std::min(job.rows, from + each);
    T *out = job.out + p * job.vectors * job.stride;
    for (std::size_t start = from; start < to; start += group) {
        const T *w = job.w + start * job.cols;
        std::size_t ld = job.cols;
        const std::size_t count = std::min(group, to - start);
        if (count < group || job.cols != job.padded) {
            std::fill(spare, spare + group * job.padded, T(0));
            for (std::size_t r = 0; r < count; ++r) std::copy(w + r * ld, w + (r + 1) * ld, spare + r * job.padded);
            w = spare;
            ld = job.padded;
        }
        const bool more = w != spare && start + 2 * group <= to;
        std::memset(sums, 0, sizeof(V) * group * job.vectors);
        for (std::size_t c = 0; c < job.padded; c += width)
            for (std::size_t r = 0; r < group; r += together)
                for (std::size_t v = 0; v < job.vectors; v += together)
                    dots<T, bytes>(w + r * ld + c, ld, job.x + v * job.stride + c, job.stride,
                                   std::min(width, job.padded - c), sums + r * job.vectors + v * together,
                                   v == 0 && more ? group * ld : 0);
        for (std::size_t i = 0; i < group * job.vectors; ++i) {
            T total = 0;
            for (std::size_t l = 0; l < bytes / sizeof(T); ++l) total += sums[i][l];
            y[i] = total;
        }
        for (std::size_t c = 0; c < job.padded; c += width)
            for (std::size_t r = 0; r < group; r += together)
                for (std::size_t v = 0; v < job.vectors; v += together)
                    spread<T, bytes>(w + r * ld + c, ld, y + r * job.vectors + v * together,
                                     std::min(width, job.padded - c), out + v * job.stride + c, job.stride);
    }
}

template <class T> void panel_16(const Job<T> &job, std::size_t p, T *spare) { panel<T, 16>(job, p, spare); }
#if defined(__x86_64__) && defined(__GNUC__)
template <class T> __attribute__((target("avx2,fma"))) void panel_32(const Job<T> &job, std::size_t p, T *spare) {
    panel<T, 32>(job, p, spare);
}
template <class T> __attribute__((target("avx512f"))) void panel_64(const Job<T> &job, std::size_t p, T *spare) {
    panel<T, 64>(job, p, spare);
}
#endif

template <class T> auto chosen() {
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512f")) return panel_64<T>;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return panel_32<T>;
#endif
    return panel_16<T>;
}

template <class T> void gram_product(const T *w, std::size_t rows, std::size_t cols, const T *x, std::size_t vectors,
                                     T *out, int threads) {
    constexpr std::size_t lanes = widest / sizeof(T);
    const std::size_t padded = (cols + lanes - 1) / lanes * lanes;
    const std::size_t filled = (vectors + together - 1) / together * together;
    const std::size_t stride = padded + 2 * lanes, page = 4096 / sizeof(T);
    std::vector<T> from(page + filled * stride), sums(page + panels * filled * stride);
    T *inputs = from.data() + page / 4, *outputs = sums.data() + 3 * page / 4;
    for (std::size_t v = 0; v < vectors; ++v) std::copy(x + v * cols, x + (v + 1) * cols, inputs + v * stride);
    const Job<T> job{w, inputs, outputs, rows, cols, padded, stride, filled};
    const auto work = chosen<T>();
    std::atomic<std::size_t> taken{0};
    const std::size_t each = group * (padded + filled * (lanes + 1)), runners = static_cast<std::size_t>(threads);
    std::vector<T> spares(each * runners);  // made here, since a thread that runs out of memory ends the process
    auto run = [&](std::size_t runner) {
        for (std::size_t p = taken++; p < panels; p = taken++) work(job, p, spares.data() + runner * each);
    };
    std::vector<std::thread> workers;  // joined below, before the sums go out of scope
    try {
        for (std::size_t t = 1; t < runners; ++t) workers.emplace_back(run, t);
    } catch (const std::system_error &) {  // no more threads to be had: those that are there do all panels
    }
    run(0);
    for (auto &worker : workers) worker.join();
    for (std::size_t v = 0; v < vectors; ++v) {
        std::copy(outputs + v * stride, outputs + v * stride + cols, out + v * cols);
        for (std::size_t p = 1; p < panels; ++p) {
            const T *part = outputs + (p * filled + v) * stride;
            for (std::size_t c = 0; c < cols; ++c) out[v * cols + c] += part[c];
        }
    }
}

template <class T> using Rows = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T> using Result = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <class T> void product(Rows<T> w, Rows<T> x, Result<T> out, int threads) {
    if (x.shape(1) != w.shape(1) || out.shape(0) != x.shape(0) || out.shape(1) != x.shape(1))
        throw std::invalid_argument("w is (rows, cols), x and out are (vectors, cols)");
    if (threads < 1) throw std::invalid_argument("at least one thread is needed");
    const T *matrix = w.data(), *vectors = x.data();
    T *result = out.data();
    const std::size_t rows = w.shape(0), cols = w.shape(1), count = x.shape(0);
    nb::gil_scoped_release release;
    gram_product(matrix, rows, cols, vectors, count, result, threads);
}

}  // namespace

void bind_product(nb::module_ &m) {
    const char *text = "out = x (W'W) for rows x (vectors, cols) and W (rows, cols), reading W once.";
    m.def("gram_product", &product<float>, nb::arg("w").noconvert(), nb::arg("x").noconvert(),
          nb::arg("out").noconvert(), nb::arg("threads") = 1, text);
    m.def("gram_product", &product<double>, nb::arg("w").noconvert(), nb::arg("x").noconvert(),
          nb::arg("out").noconvert(), nb::arg("threads") = 1);
}
