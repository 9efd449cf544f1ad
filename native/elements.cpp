// Passes over all elements of a matrix: extremes, moments, what lies outside an interval, and how places fall on lines.
//
// Sums run in float64 over `lanes` partial sums a block, joined in a fixed order; the totals of the blocks are added
// with compensation (Neumaier 1974). The width of the vectors does not enter the order, so every instruction set
// returns the same bits.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <tuple>
#include <type_traits>
#include <vector>

#include "clones.hpp"

namespace nb = nanobind;

namespace tollens_elements {

constexpr std::size_t lanes = 32;
constexpr std::size_t block = 4096;  // elements; one block stays in the first-level cache

template <typename T> using Counter = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

TOLLENS_INLINE double joined(const double *partial) {
    double part[lanes];
    for (std::size_t l = 0; l < lanes; ++l) part[l] = partial[l];
    for (std::size_t half = lanes / 2; half > 0; half /= 2)
        for (std::size_t l = 0; l < half; ++l) part[l] += part[l + half];
    return part[0];
}

class Total {
  public:
    void add(double value) {
        const double sum = sum_ + value;
        lost_ += std::fabs(sum_) >= std::fabs(value) ? (sum_ - sum) + value : (value - sum) + sum_;
        sum_ = sum;
    }
    double value() const { return sum_ + lost_; }

  private:
    double sum_ = 0.0, lost_ = 0.0;
};

// Calls use(values, lane count) for full rows of lanes, then for the rest.
template <typename T, typename Use> TOLLENS_INLINE void each_row(const T *x, std::size_t n, Use use) {
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        for (std::size_t l = 0; l < lanes; ++l) use(x[i + l], l);
    for (std::size_t l = 0; i + l < n; ++l) use(x[i + l], l);
}

struct Extremes {
    double low, high, total;
    std::uint64_t nonzero;
    bool finite;
};

template <typename T> TOLLENS_INLINE Extremes extremes_block(const T *x, std::size_t n) {
    constexpr T largest = std::numeric_limits<T>::max();
    T low[lanes], high[lanes];
    double sum[lanes] = {};
    Counter<T> nonzero[lanes] = {}, bad[lanes] = {};
    for (std::size_t l = 0; l < lanes; ++l) low[l] = largest, high[l] = -largest;
    each_row(x, n, [&](T v, std::size_t l) {
        low[l] = v < low[l] ? v : low[l];
        high[l] = v > high[l] ? v : high[l];
    });
    each_row(x, n, [&](T v, std::size_t l) {
        nonzero[l] += v != T(0) ? 1 : 0;
        bad[l] |= std::fabs(v) <= largest ? 0 : 1;
    });
    each_row(x, n, [&](T v, std::size_t l) { sum[l] += static_cast<double>(v); });
    Extremes out{low[0], high[0], joined(sum), 0, true};
    for (std::size_t l = 0; l < lanes; ++l) {
        out.low = std::min<double>(out.low, low[l]);
        out.high = std::max<double>(out.high, high[l]);
        out.nonzero += nonzero[l];
        out.finite = out.finite && !bad[l];
    }
    return out;
}

struct Central {
    double first, second, fourth;
};

template <typename T> TOLLENS_INLINE Central central_block(const T *x, std::size_t n, double a, double m, double c) {
    double first[lanes] = {}, second[lanes] = {}, fourth[lanes] = {};
    each_row(x, n, [&](T v, std::size_t l) {
        const double d = (static_cast<double>(v) * a - m) * c;
        const double square = d * d;
        first[l] += d;
        second[l] += square;
        fourth[l] += square * square;
    });
    return {joined(first), joined(second), joined(fourth)};
}

struct Kept {
    std::uint64_t count;
    double first, second;
};

template <typename T> TOLLENS_INLINE Kept kept_block(const T *x, std::size_t n, T low, T high) {
    T held[block];  // selected in the type of the elements first: a choice between widths is not vectorised
    double first[lanes] = {}, second[lanes] = {};
    Counter<T> count = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const T raised = x[i] >= low ? x[i] : T(0);
        held[i] = x[i] <= high ? raised : T(0);
    }
    for (std::size_t i = 0; i < n; ++i) count += (x[i] >= low ? 1 : 0) & (x[i] <= high ? 1 : 0);
    each_row(held, n, [&](T v, std::size_t l) {
        const double d = static_cast<double>(v);
        first[l] += d;
        second[l] += d * d;
    });
    return {count, joined(first), joined(second)};
}

template <typename T> TOLLENS_INLINE void remove_block(T *x, std::size_t n, T low, T high, T mean) {
    for (std::size_t i = 0; i < n; ++i) x[i] = x[i] < low || x[i] > high ? T(0) : x[i] - mean;
}

template <typename T> TOLLENS_INLINE std::size_t outside_block(const T *x, std::size_t n, T low, T high) {
    Counter<T> count = 0;
    for (std::size_t i = 0; i < n; ++i) count += x[i] < low || x[i] > high ? 1 : 0;
    return count;
}

// The attribute takes no template.
#define TOLLENS_KERNELS(T)                                                                                            \
    TOLLENS_CLONES Extremes extremes(const T *x, std::size_t n) { return extremes_block(x, n); }                      \
    TOLLENS_CLONES Central central(const T *x, std::size_t n, double a, double m, double c) {                         \
        return central_block(x, n, a, m, c);                                                                          \
    }                                                                                                                 \
    TOLLENS_CLONES Kept kept(const T *x, std::size_t n, T low, T high) { return kept_block(x, n, low, high); }        \
    TOLLENS_CLONES void remove(T *x, std::size_t n, T low, T high, T mean) { remove_block(x, n, low, high, mean); }   \
    TOLLENS_CLONES std::size_t outside(const T *x, std::size_t n, T low, T high) {                                    \
        return outside_block(x, n, low, high);                                                                        \
    }
TOLLENS_KERNELS(float)
TOLLENS_KERNELS(double)
#undef TOLLENS_KERNELS

template <typename T> using Flat = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T> using Writable = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T> using Table = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Counts = nb::ndarray<std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Places = nb::ndarray<const std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Statistics = nb::ndarray<std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <typename T> std::tuple<double, double, double, std::uint64_t> extremes_of(Flat<T> flat) {
    const T *x = flat.data();
    const std::size_t n = flat.shape(0);
    nb::gil_scoped_release release;
    constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
    Extremes all{infinity, -infinity, 0.0, 0, true};
    Total total;
    for (std::size_t at = 0; at < n; at += block) {
        const Extremes one = extremes(x + at, std::min(block, n - at));
        all.low = std::min(all.low, one.low);
        all.high = std::max(all.high, one.high);
        all.nonzero += one.nonzero;
        all.finite = all.finite && one.finite;
        total.add(one.total);
    }
    if (!all.finite) all.low = all.high = nan;
    return {all.low, all.high, total.value(), all.nonzero};
}

template <typename T> std::tuple<double, double, double> central_sums(Flat<T> flat, double a, double m, double c) {
    const T *x = flat.data();
    const std::size_t n = flat.shape(0);
    nb::gil_scoped_release release;
    Total first, second, fourth;
    for (std::size_t at = 0; at < n; at += block) {
        const Central one = central(x + at, std::min(block, n - at), a, m, c);
        first.add(one.first);
        second.add(one.second);
        fourth.add(one.fourth);
    }
    return {first.value(), second.value(), fourth.value()};
}

template <typename T> std::tuple<std::uint64_t, double, double> kept_sums(Flat<T> flat, double low, double high) {
    const T *x = flat.data();
    const std::size_t n = flat.shape(0);
    nb::gil_scoped_release release;
    std::uint64_t count = 0;
    Total first, second;
    for (std::size_t at = 0; at < n; at += block) {
        const Kept one = kept(x + at, std::min(block, n - at), static_cast<T>(low), static_cast<T>(high));
        count += one.count;
        first.add(one.first);
        second.add(one.second);
    }
    return {count, first.value(), second.value()};
}

template <typename T> void remove_outside(Writable<T> flat, double low, double high, double mean) {
    T *x = flat.data();
    const std::size_t n = flat.shape(0);
    nb::gil_scoped_release release;
    remove(x, n, static_cast<T>(low), static_cast<T>(high), static_cast<T>(mean));
}

template <typename T> void count_outside(Table<T> matrix, double low, double high, Counts by_row, Counts by_column) {
    const std::size_t rows = matrix.shape(0), columns = matrix.shape(1);
    if (by_row.shape(0) != rows || by_column.shape(0) != columns)
        throw nb::value_error("one count a row and one a column are needed");
    const T *x = matrix.data();
    std::int64_t *down = by_row.data(), *across = by_column.data();
    const T bottom = static_cast<T>(low), top = static_cast<T>(high);
    nb::gil_scoped_release release;
    for (std::size_t r = 0; r < rows; ++r, x += columns) {
        const std::size_t found = outside(x, columns, bottom, top);
        down[r] += static_cast<std::int64_t>(found);
        if (found == 0) continue;
        for (std::size_t k = 0; k < columns; ++k) across[k] += x[k] < bottom || x[k] > top ? 1 : 0;
    }
}

// The places on their lines, as sums of squared counts.
class Lines {
  public:
    Lines(std::size_t rows, std::size_t columns, std::size_t wanted)
        : columns_(columns), down_(rows), across_(columns), taken_(wanted) {
        while ((std::size_t{1} << bits_) < 4 * wanted) ++bits_;  // at most a quarter full
        table_.assign(std::size_t{1} << bits_, empty);
    }

    // Takes the first `wanted` different places; false if there are fewer.
    bool take(const std::int64_t *places, std::size_t given, std::size_t wanted, std::int64_t *squares) {
        std::size_t found = 0;
        squares[0] = squares[1] = 0;
        for (std::size_t i = 0; i < given && found < wanted; ++i) {
            const std::uint64_t place = static_cast<std::uint64_t>(places[i]);
            std::size_t slot = place * 0x9E3779B97F4A7C15u >> (64 - bits_);
            while (table_[slot] != empty && table_[slot] != place) slot = (slot + 1) & (table_.size() - 1);
            if (table_[slot] == place) continue;
            table_[slot] = place;
            const std::size_t row = place / columns_, column = place - row * columns_;
            squares[0] += 2 * down_[row]++ + 1;  // (k + 1)^2 - k^2
            squares[1] += 2 * across_[column]++ + 1;
            taken_[found++] = {slot, row, column};
        }
        for (std::size_t i = 0; i < found; ++i) {
            table_[taken_[i].slot] = empty;
            down_[taken_[i].row] = across_[taken_[i].column] = 0;
        }
        return found == wanted;
    }

  private:
    struct Taken {
        std::size_t slot, row, column;
    };
    static constexpr std::uint64_t empty = ~std::uint64_t{0};
    std::size_t columns_;
    int bits_ = 4;
    std::vector<std::uint64_t> table_;
    std::vector<std::int64_t> down_, across_;
    std::vector<Taken> taken_;
};

void line_squares(Places places, std::size_t wanted, std::size_t rows, std::size_t columns, Statistics out) {
    const std::size_t draws = places.shape(0), given = places.shape(1);
    if (out.shape(0) != draws || out.shape(1) != 2) throw nb::value_error("two statistics a draw are needed");
    const std::int64_t *all = places.data();
    std::int64_t *made = out.data();
    bool inside = true;
    {
        nb::gil_scoped_release release;
        for (std::size_t i = 0; i < draws * given; ++i)
            inside = inside && static_cast<std::uint64_t>(all[i]) < rows * columns;
        if (inside) {
            Lines lines(rows, columns, wanted);
            for (std::size_t d = 0; d < draws; ++d)
                if (!lines.take(all + d * given, given, wanted, made + 2 * d)) made[2 * d] = made[2 * d + 1] = -1;
        }
    }
    if (!inside) throw nb::value_error("a place lies outside the matrix");
}

template <typename T> void bind_for(nb::module_ &m) {
    using namespace nb::literals;
    m.def("element_extremes", &extremes_of<T>, "flat"_a.noconvert(),
          "Smallest, largest, sum and number of non-zeros; smallest and largest are NaN if any element is not finite.");
    m.def("element_central_sums", &central_sums<T>, "flat"_a.noconvert(), "a"_a, "m"_a, "c"_a,
          "Sums of d, d^2 and d^4 for d = (a x - m) c.");
    m.def("element_kept_sums", &kept_sums<T>, "flat"_a.noconvert(), "low"_a, "high"_a,
          "Count, sum and sum of squares of the elements in [low, high].");
    m.def("element_remove_outside", &remove_outside<T>, "flat"_a.noconvert(), "low"_a, "high"_a, "mean"_a,
          "Take `mean` off the elements in [low, high] and set the others to 0, in place.");
    m.def("element_count_outside", &count_outside<T>, "matrix"_a.noconvert(), "low"_a, "high"_a, "by_row"_a.noconvert(),
          "by_column"_a.noconvert(), "Add the number of elements outside [low, high] to the counts of their lines.");
}

}  // namespace tollens_elements

void bind_elements(nb::module_ &m) {
    using namespace nb::literals;
    tollens_elements::bind_for<float>(m);
    tollens_elements::bind_for<double>(m);
    m.def("line_squares", &tollens_elements::line_squares, "places"_a.noconvert(), "wanted"_a, "rows"_a, "columns"_a,
          "out"_a.noconvert(),
          "Sums of squared counts, by row and by column, of the first `wanted` different places of each draw; -1 where "
          "a draw holds fewer.");
}
