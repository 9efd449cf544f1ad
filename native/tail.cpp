// Power-law tail search with exact pruning.
//
// Law and objective: Clauset, Shalizi and Newman (2009), SIAM Review 51, eq. 3.1 and 3.9. For every candidate start
// the distance D is a maximum over the tail points, so the maximum over any subset of them is a lower bound. A few
// probes bound every candidate; candidates are then opened in the order of their bounds until the next bound exceeds
// the best distance, which no unopened candidate can beat or equal. All distances come from the same arithmetic on
// the same points, so the winner is the one of the exhaustive scan, bit for bit.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

namespace nb = nanobind;

// Clones differ in vector width only. Every operation below is a correctly rounded elementwise one (contraction is
// off) or a maximum, whose order does not matter, so all clones return the same bits.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define TOLLENS_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define TOLLENS_CLONES
#endif

namespace tollens_tail {

constexpr std::size_t block = 64;
constexpr std::size_t step = 16;
constexpr std::size_t lanes = 8;
constexpr std::size_t coarse = 16;
constexpr std::size_t fine = 64;

// exp(t) for t in [-708, 0], relative error below 2 ulp, in operations that vectorise.
inline __attribute__((always_inline)) double decay(double t) {
    constexpr double shift = 0x1.8p52;
    constexpr double log2e = 0x1.71547652b82fep+0;
    constexpr double ln2_high = 0x1.62e42fefa0000p-1;  // 33 bits, so that its product with k is exact
    constexpr double ln2_low = 0x1.cf79abc9e3b3ap-40;
    const double shifted = t * log2e + shift;
    const double k = shifted - shift;
    const double r = (t - k * ln2_high) - k * ln2_low;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    std::uint64_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    double power;
    std::memcpy(&power, &bits, sizeof power);
    return p * power;
}

// One candidate: the tail points log[0..count) lie above the start whose logarithm is `origin`; `lower` and `upper`
// are the numbers of sample points below and up to each of them, counted from the start after subtracting `start`.
struct Candidate {
    double origin;
    double rate;  // alpha - 1
    double start;
    double inverse;  // 1 / number of tail points
    double first;    // distance at the start itself, where the model is 0
};

template <std::size_t width>
inline __attribute__((always_inline)) void fold(const double *__restrict log, const double *__restrict lower,
                                                const double *__restrict upper, const Candidate &c,
                                                double *__restrict worst) {
    double distance[width];
    for (std::size_t i = 0; i < width; ++i) {
        const double exponent = -c.rate * (log[i] - c.origin);
        const double model = 1.0 - decay(exponent > -708.0 ? exponent : -708.0);
        const double below = std::fabs(model - (lower[i] - c.start) * c.inverse);
        const double above = std::fabs(model - (upper[i] - c.start) * c.inverse);
        distance[i] = below > above ? below : above;
    }
    for (std::size_t i = 0; i < width; i += lanes)
        for (std::size_t l = 0; l < lanes; ++l) worst[l] = distance[i + l] > worst[l] ? distance[i + l] : worst[l];
}

// The distance of a candidate over `count` points, or any value above `cap` as soon as it is known to exceed it.
TOLLENS_CLONES double distance_over(const double *log, const double *lower, const double *upper, std::size_t count,
                                    const Candidate &candidate, double cap) {
    const Candidate c = candidate;
    double worst[lanes] = {};
    double top = c.first;
    std::size_t base = 0;
    for (; base + block <= count && !(top > cap); base += block) {
        fold<block>(log + base, lower + base, upper + base, c, worst);
        for (std::size_t l = 0; l < lanes; ++l) top = worst[l] > top ? worst[l] : top;
    }
    for (; base < count && !(top > cap); base += step) {
        if (base + step <= count) {
            fold<step>(log + base, lower + base, upper + base, c, worst);
        } else {
            double rest[3][step];
            for (std::size_t i = 0; i < step; ++i) {
                const std::size_t j = base + i < count ? base + i : count - 1;
                rest[0][i] = log[j];
                rest[1][i] = lower[j];
                rest[2][i] = upper[j];
            }
            fold<step>(rest[0], rest[1], rest[2], c, worst);
        }
        for (std::size_t l = 0; l < lanes; ++l) top = worst[l] > top ? worst[l] : top;
    }
    return top;
}

// Sample points grouped by distinct value, ascending.
struct Sample {
    std::vector<double> log, lower, upper, gap_sum;
    std::vector<std::uint32_t> position;  // index of the group's value in the array it came from
    double size = 0.0;

    void clear() {
        log.clear(), lower.clear(), upper.clear(), position.clear();
        size = 0.0;
    }

    void add(double log_value, double count, std::uint32_t at) {
        log.push_back(log_value);
        lower.push_back(size);
        size += count;
        position.push_back(at);
    }

    void finish(bool two_sided) {
        const std::size_t groups = log.size();
        upper.resize(groups);
        gap_sum.assign(groups, 0.0);
        for (std::size_t g = 0; g < groups; ++g)
            upper[g] = (g + 1 < groups ? lower[g + 1] : size) - (two_sided ? 0.0 : 1.0);
        // Sum of log(x_j / x_g) over the tail of g: a sum of terms >= 0, hence without cancellation.
        for (std::size_t g = groups; g-- > 1;)
            gap_sum[g - 1] = gap_sum[g] + (size - lower[g]) * (log[g] - log[g - 1]);
    }
};

struct Opening {
    double bound;
    std::uint32_t group;
    std::uint32_t skipped;  // equal points of the group left out of the tail; 0 unless every index is a candidate
};

// Heap order: the smallest bound on top, and among equal bounds the longest tail.
inline bool later(const Opening &a, const Opening &b) {
    if (a.bound != b.bound) return a.bound > b.bound;
    if (a.group != b.group) return a.group > b.group;
    return a.skipped > b.skipped;
}

struct Fit {
    std::size_t group;
    double start, tail, alpha, distance;
};

class Search {
  public:
    Search(const Sample &sample, bool two_sided) : s(sample) {
        const std::size_t groups = s.log.size();
        for (std::uint32_t g = 0; g + 1 < groups; ++g) {
            // Underflow of a gap can make distinct values equal in logarithm; such a start has no exponent.
            if (!(s.gap_sum[g] > 0.0)) break;
            const std::uint32_t copies = two_sided ? 1 : static_cast<std::uint32_t>(s.lower[g + 1] - s.lower[g]);
            for (std::uint32_t r = 0; r < copies; ++r) openings.push_back({0.0, g, r});
        }
    }

    bool empty() const { return openings.empty(); }

    std::optional<Fit> exhaustive() const {
        std::optional<Fit> best;
        for (const Opening &o : openings) {
            const double d = full(o, std::numeric_limits<double>::infinity());
            if (!best || d < best->distance) best = fit(o, d);
        }
        return best;
    }

    std::optional<Fit> pruned() {
        for (Opening &o : openings) o.bound = probe(o, coarse);
        std::vector<Opening> heap = openings;
        std::make_heap(heap.begin(), heap.end(), later);
        double best = std::numeric_limits<double>::infinity();
        std::optional<Opening> winner;
        while (!heap.empty() && !(heap.front().bound > best)) {
            std::pop_heap(heap.begin(), heap.end(), later);
            const Opening o = heap.back();
            heap.pop_back();
            if (probe(o, fine) > best) continue;
            const double d = full(o, best);
            if (d < best || (d == best && longer(o, *winner))) {
                best = d;
                winner = o;
            }
        }
        if (!winner) return std::nullopt;
        return fit(*winner, best);
    }

    // All candidates with a distance of at most `limit`, longest tail first.
    std::vector<Fit> within(double limit) const {
        std::vector<Fit> found;
        for (const Opening &o : openings) {
            if (o.bound > limit || probe(o, fine) > limit) continue;
            const double d = full(o, limit);
            if (d <= limit) found.push_back(fit(o, d));
        }
        return found;
    }

  private:
    const Sample &s;
    std::vector<Opening> openings;

    static bool longer(const Opening &a, const Opening &b) {
        return a.group != b.group ? a.group < b.group : a.skipped < b.skipped;
    }

    double start(const Opening &o) const { return s.lower[o.group] + o.skipped; }

    Candidate candidate(const Opening &o) const {
        const double m = s.size - start(o);
        return {s.log[o.group], m / s.gap_sum[o.group], start(o), 1.0 / m, (s.upper[o.group] - start(o)) / m};
    }

    Fit fit(const Opening &o, double distance) const {
        const Candidate c = candidate(o);
        return {o.group, c.start, s.size - c.start, 1.0 + c.rate, distance};
    }

    double full(const Opening &o, double cap) const {
        const std::size_t from = o.group + 1;
        return distance_over(s.log.data() + from, s.lower.data() + from, s.upper.data() + from, s.log.size() - from,
                             candidate(o), cap);
    }

    double probe(const Opening &o, std::size_t probes) const {
        const std::size_t from = o.group + 1;
        const std::size_t count = s.log.size() - from;
        if (count <= probes) return full(o, std::numeric_limits<double>::infinity());
        double log[fine], lower[fine], upper[fine];
        for (std::size_t k = 0; k < probes; ++k) {
            const std::size_t at = from + (2 * k + 1) * count / (2 * probes);
            log[k] = s.log[at];
            lower[k] = s.lower[at];
            upper[k] = s.upper[at];
        }
        return distance_over(log, lower, upper, probes, candidate(o), std::numeric_limits<double>::infinity());
    }
};

inline double log_ratio(double x, double top) {
    if (x > 0.5 * top) return std::log1p((x - top) / top);  // x - top is exact here
    const double ratio = x / top;
    if (ratio >= std::numeric_limits<double>::min()) return std::log(ratio);
    return std::log(x) - std::log(top);
}

using Vector = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Picks = nb::ndarray<const std::uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Made = nb::ndarray<nb::numpy, double, nb::ndim<2>>;

// Values must be positive, finite and ascending; checked without the GIL, reported with it.
bool sound(const double *x, std::size_t n) {
    if (n > std::numeric_limits<std::uint32_t>::max()) return false;
    for (std::size_t i = 0; i < n; ++i)
        if (!(x[i] > 0.0) || !std::isfinite(x[i]) || (i && x[i] < x[i - 1])) return false;
    return true;
}

void load(Sample &sample, const double *x, std::size_t n, bool two_sided) {
    sample.clear();
    for (std::size_t i = 0; i < n;) {
        std::size_t next = i + 1;
        while (next < n && x[next] == x[i]) ++next;
        sample.add(log_ratio(x[i], x[n - 1]), static_cast<double>(next - i), static_cast<std::uint32_t>(i));
        i = next;
    }
    sample.finish(two_sided);
}

Made table(std::vector<double> rows, std::size_t columns) {
    auto *kept = new std::vector<double>(std::move(rows));
    nb::capsule owner(kept, [](void *p) noexcept { delete static_cast<std::vector<double> *>(p); });
    return Made(kept->data(), {kept->size() / columns, columns}, owner);
}

constexpr const char *unsound = "the sample must be ascending, positive and finite";

std::optional<std::tuple<std::size_t, double, double>> scan(Vector x, bool two_sided, bool exhaustive) {
    std::optional<Fit> found;
    bool accepted;
    {
        nb::gil_scoped_release release;
        accepted = sound(x.data(), x.shape(0));
        if (accepted) {
            Sample sample;
            load(sample, x.data(), x.shape(0), two_sided);
            Search search(sample, two_sided);
            found = exhaustive ? search.exhaustive() : search.pruned();
        }
    }
    if (!accepted) throw nb::value_error(unsound);
    if (!found) return std::nullopt;
    return std::make_tuple(static_cast<std::size_t>(found->start), found->alpha, found->distance);
}

Made near_best(Vector x, bool two_sided, double factor) {
    std::vector<double> rows;
    bool accepted;
    {
        nb::gil_scoped_release release;
        accepted = sound(x.data(), x.shape(0));
        if (accepted) {
            Sample sample;
            load(sample, x.data(), x.shape(0), two_sided);
            Search search(sample, two_sided);
            if (const std::optional<Fit> best = search.pruned())
                for (const Fit &fit : search.within(factor * best->distance))
                    rows.insert(rows.end(), {fit.start, fit.alpha, fit.distance});
        }
    }
    if (!accepted) throw nb::value_error(unsound);
    return table(std::move(rows), 3);
}

// Rows (alpha, xmin, D, n_tail); n_tail = 0 where a sample holds no candidate.
void append(std::vector<double> &rows, Search &search, const Sample &sample, const double *x) {
    const std::optional<Fit> found = search.pruned();
    if (found)
        rows.insert(rows.end(), {found->alpha, x[sample.position[found->group]], found->distance, found->tail});
    else
        rows.insert(rows.end(), {0.0, 0.0, 0.0, 0.0});
}

Made scan_many(Matrix samples, bool two_sided) {
    std::vector<double> rows;
    const std::size_t n = samples.shape(1);
    bool accepted = true;
    {
        nb::gil_scoped_release release;
        Sample sample;
        for (std::size_t b = 0; b < samples.shape(0) && accepted; ++b) {
            const double *x = samples.data() + b * n;
            accepted = sound(x, n);
            if (!accepted) break;
            load(sample, x, n, two_sided);
            Search search(sample, two_sided);
            append(rows, search, sample, x);
        }
    }
    if (!accepted) throw nb::value_error(unsound);
    return table(std::move(rows), 4);
}

Made scan_resamples(Vector x, Picks picks, bool two_sided) {
    const std::size_t n = x.shape(0), size = picks.shape(1);
    std::vector<double> rows;
    bool accepted;
    {
        nb::gil_scoped_release release;
        accepted = sound(x.data(), n);
        std::vector<double> logs(n);
        std::vector<std::uint32_t> first(n);  // of the run of equal values that a point belongs to
        for (std::uint32_t i = 0; accepted && i < n; ++i) {
            logs[i] = log_ratio(x.data()[i], x.data()[n - 1]);
            first[i] = i && x.data()[i] == x.data()[i - 1] ? first[i - 1] : i;
        }
        std::vector<std::uint32_t> count(n);
        Sample sample;
        for (std::size_t b = 0; accepted && b < picks.shape(0); ++b) {
            const std::uint32_t *pick = picks.data() + b * size;
            std::fill(count.begin(), count.end(), 0);
            for (std::size_t i = 0; i < size; ++i) {
                accepted = accepted && pick[i] < n;
                if (!accepted) break;
                ++count[first[pick[i]]];
            }
            sample.clear();
            for (std::uint32_t i = 0; i < n; ++i)
                if (count[i]) sample.add(logs[i], count[i], i);
            sample.finish(two_sided);
            Search search(sample, two_sided);
            append(rows, search, sample, x.data());
        }
    }
    if (!accepted) throw nb::value_error("the sample must be ascending, positive and finite, picks its indices");
    return table(std::move(rows), 4);
}

}  // namespace tollens_tail

void bind_tail(nb::module_ &m) {
    using namespace nb::literals;
    m.def("tail_scan", &tollens_tail::scan, "x"_a, "two_sided"_a, "exhaustive"_a,
          "Best power-law tail of an ascending positive sample: (index, alpha, D), or None.");
    m.def("tail_near_best", &tollens_tail::near_best, "x"_a, "two_sided"_a, "factor"_a,
          "Rows (index, alpha, D) of all tails with D <= factor * the smallest D.");
    m.def("tail_scan_many", &tollens_tail::scan_many, "samples"_a, "two_sided"_a,
          "Rows (alpha, xmin, D, n_tail), one for each row of ascending samples.");
    m.def("tail_scan_resamples", &tollens_tail::scan_resamples, "x"_a, "picks"_a, "two_sided"_a,
          "Rows (alpha, xmin, D, n_tail), one for each row of indices into x, in any order.");
}
