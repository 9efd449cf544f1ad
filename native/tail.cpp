// Power-law tail search with exact pruning.
//
// Law and objective: Clauset, Shalizi and Newman (2009), SIAM Review 51, eq. 3.1 and 3.9. For every candidate start
// the distance D is a maximum over the tail points, so the maximum over any subset of them is a lower bound. A few
// probes bound every candidate, neighbours side by side on the same points; candidates are then opened in the order of
// their bounds until the next bound exceeds the best distance, which no unopened candidate can beat or equal. All
// distances come from the same arithmetic on the same points, so the winner is the one of the exhaustive scan, bit for
// bit.
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

#include "clones.hpp"

namespace nb = nanobind;

// Clones differ in vector width only. Every operation below is a correctly rounded elementwise one (contraction is
// off) or a maximum, whose order does not matter, so all clones return the same bits.

namespace tollens_tail {

constexpr std::size_t block = 64;
constexpr std::size_t step = 16;
constexpr std::size_t lanes = 8;
constexpr std::size_t across = 16;  // neighbouring candidates bounded together
constexpr std::size_t coarse = 16;
constexpr std::size_t fine = 64;
constexpr std::size_t worth = 512;  // tail points from which on a fine probe costs less than it saves

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

// The distance of a candidate at one point.
inline __attribute__((always_inline)) double apart(double log, double lower, double upper, double origin, double rate,
                                                   double start, double inverse) {
    const double exponent = -rate * (log - origin);
    const double model = 1.0 - decay(exponent > -708.0 ? exponent : -708.0);
    const double below = std::fabs(model - (lower - start) * inverse);
    const double above = std::fabs(model - (upper - start) * inverse);
    return below > above ? below : above;
}

template <std::size_t width>
inline __attribute__((always_inline)) void fold(const double *__restrict log, const double *__restrict lower,
                                                const double *__restrict upper, const Candidate &c,
                                                double *__restrict worst) {
    double distance[width];
    for (std::size_t i = 0; i < width; ++i)
        distance[i] = apart(log[i], lower[i], upper[i], c.origin, c.rate, c.start, c.inverse);
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

// The distances of neighbouring candidates at one point that lies above all of them.
inline __attribute__((always_inline)) void fold_across(double log, double lower, double upper,
                                                       const double *__restrict origin, const double *__restrict rate,
                                                       const double *__restrict start, const double *__restrict inverse,
                                                       double *__restrict worst) {
    double distance[across];
    for (std::size_t l = 0; l < across; ++l)
        distance[l] = apart(log, lower, upper, origin[l], rate[l], start[l], inverse[l]);
    for (std::size_t l = 0; l < across; ++l) worst[l] = distance[l] > worst[l] ? distance[l] : worst[l];
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

    // All points that were picked at least once; their number is as good as random, so nothing branches on it.
    void gather(const std::vector<double> &logs, const std::vector<std::uint32_t> &count) {
        const std::size_t n = logs.size();
        log.resize(n + 1), lower.resize(n + 1), position.resize(n + 1);
        std::size_t g = 0;
        size = 0.0;
        for (std::uint32_t i = 0; i < n; ++i) {
            log[g] = logs[i];
            lower[g] = size;
            position[g] = i;
            g += count[i] > 0;
            size += count[i];
        }
        log.resize(g), lower.resize(g), position.resize(g);
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

// Candidates in the order of their starts, hence the longest tail first; padded to a multiple of `across`.
struct Openings {
    std::vector<double> origin, rate, start, inverse, first, bound;
    std::vector<std::uint32_t> group;
    std::size_t size = 0;

    void clear() {
        start.clear(), group.clear();
        size = 0;
    }

    void add(std::uint32_t at, double first_point) {
        group.push_back(at);
        start.push_back(first_point);
        ++size;
    }

    Candidate operator[](std::size_t i) const { return {origin[i], rate[i], start[i], inverse[i], first[i]}; }

    void finish(const Sample &s) {
        while (size && group.size() % across) {
            group.push_back(group[size - 1]);
            start.push_back(start[size - 1]);
        }
        for (std::vector<double> *v : {&origin, &rate, &inverse, &first, &bound}) v->resize(group.size());
        for (std::size_t i = 0; i < group.size(); ++i) {
            const std::uint32_t g = group[i];
            const double m = s.size - start[i];
            origin[i] = s.log[g];
            rate[i] = m / s.gap_sum[g];
            inverse[i] = 1.0 / m;
            first[i] = (s.upper[g] - start[i]) / m;
        }
    }
};

// Lower bounds of the distances of all candidates, from `coarse` points above each run of `across` of them, or from
// fewer if these already put the whole run above `cap`.
TOLLENS_CLONES void bound_all(const Sample &s, Openings &o, double cap) {
    for (std::size_t base = 0; base < o.group.size(); base += across) {
        const double *origin = o.origin.data() + base, *rate = o.rate.data() + base;
        const double *start = o.start.data() + base, *inverse = o.inverse.data() + base;
        double worst[across];
        std::copy_n(o.first.data() + base, across, worst);
        const std::size_t from = o.group[base + across - 1] + 1, count = s.log.size() - from;
        const std::size_t probes = std::min(coarse, count);
        for (const std::size_t offset : {2, 0, 3, 1}) {
            double least = worst[0];
            for (std::size_t l = 1; l < across; ++l) least = worst[l] < least ? worst[l] : least;
            if (least > cap) break;
            for (std::size_t k = offset; k < probes; k += 4) {
                const std::size_t at = from + (2 * k + 1) * count / (2 * probes);
                fold_across(s.log[at], s.lower[at], s.upper[at], origin, rate, start, inverse, worst);
            }
        }
        std::copy_n(worst, across, o.bound.data() + base);
    }
}

struct Fit {
    std::size_t group;
    double start, tail, alpha, distance;
};

class Search {
  public:
    void open(const Sample &sample, bool two_sided) {
        s = &sample;
        o.clear();
        const std::size_t groups = sample.log.size();
        for (std::uint32_t g = 0; g + 1 < groups; ++g) {
            // Underflow of a gap can make distinct values equal in logarithm; such a start has no exponent.
            if (!(sample.gap_sum[g] > 0.0)) break;
            // Equal points may be left out of the tail one by one if every index is a candidate.
            const double end = two_sided ? sample.lower[g] + 1.0 : sample.lower[g + 1];
            for (double start = sample.lower[g]; start < end; start += 1.0) o.add(g, start);
        }
        o.finish(sample);
    }

    std::optional<Fit> exhaustive() const {
        std::optional<Fit> best;
        for (std::size_t i = 0; i < o.size; ++i) {
            const double d = full(i, std::numeric_limits<double>::infinity());
            if (!best || d < best->distance) best = fit(i, d);
        }
        return best;
    }

    // `guess` is a group whose candidate may be near the best; it saves work and does not change the result.
    std::optional<Fit> pruned(std::uint32_t guess = 0) {
        if (!o.size) return std::nullopt;
        std::size_t winner = std::lower_bound(o.group.begin(), o.group.begin() + o.size - 1, guess) - o.group.begin();
        double best = full(winner, std::numeric_limits<double>::infinity());
        bound_all(*s, o, best);
        const double *bound = o.bound.data();
        left.clear();
        for (std::uint32_t i = 0; i < o.size; ++i)
            if (bound[i] <= best && i != winner) left.push_back(i);
        const auto later = [bound](std::uint32_t a, std::uint32_t b) { return bound[a] > bound[b]; };
        std::make_heap(left.begin(), left.end(), later);
        for (auto end = left.end(); end != left.begin() && !(bound[left.front()] > best);) {
            const std::uint32_t i = left.front();
            std::pop_heap(left.begin(), end--, later);
            if (probe(i) > best) continue;
            const double d = full(i, best);
            if (d < best || (d == best && i < winner)) {
                best = d;
                winner = i;
            }
        }
        return fit(winner, best);
    }

    // All candidates with a distance of at most `limit`, longest tail first; after `pruned`.
    std::vector<Fit> within(double limit) const {
        std::vector<Fit> found;
        for (std::size_t i = 0; i < o.size; ++i) {
            if (o.bound[i] > limit || probe(i) > limit) continue;
            const double d = full(i, limit);
            if (d <= limit) found.push_back(fit(i, d));
        }
        return found;
    }

  private:
    const Sample *s = nullptr;
    Openings o;
    std::vector<std::uint32_t> left;

    Fit fit(std::size_t i, double distance) const {
        return {o.group[i], o.start[i], s->size - o.start[i], 1.0 + o.rate[i], distance};
    }

    double full(std::size_t i, double cap) const {
        const std::size_t from = o.group[i] + 1;
        return distance_over(s->log.data() + from, s->lower.data() + from, s->upper.data() + from,
                             s->log.size() - from, o[i], cap);
    }

    // A lower bound from `fine` points, 0 for a tail too short to be worth it.
    double probe(std::size_t i) const {
        const std::size_t from = o.group[i] + 1;
        const std::size_t count = s->log.size() - from;
        if (count < worth) return 0.0;
        double log[fine], lower[fine], upper[fine];
        for (std::size_t k = 0; k < fine; ++k) {
            const std::size_t at = from + (2 * k + 1) * count / (2 * fine);
            log[k] = s->log[at];
            lower[k] = s->lower[at];
            upper[k] = s->upper[at];
        }
        return distance_over(log, lower, upper, fine, o[i], std::numeric_limits<double>::infinity());
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
            Search search;
            search.open(sample, two_sided);
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
            Search search;
            search.open(sample, two_sided);
            if (const std::optional<Fit> best = search.pruned())
                for (const Fit &fit : search.within(factor * best->distance))
                    rows.insert(rows.end(), {fit.start, fit.alpha, fit.distance});
        }
    }
    if (!accepted) throw nb::value_error(unsound);
    return table(std::move(rows), 3);
}

// Rows (alpha, xmin, D, n_tail); n_tail = 0 where a sample holds no candidate.
void append(std::vector<double> &rows, const std::optional<Fit> &found, const Sample &sample, const double *x) {
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
        Search search;
        for (std::size_t b = 0; b < samples.shape(0) && accepted; ++b) {
            const double *x = samples.data() + b * n;
            accepted = sound(x, n);
            if (!accepted) break;
            load(sample, x, n, two_sided);
            search.open(sample, two_sided);
            append(rows, search.pruned(), sample, x);
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
        Search search;
        std::uint32_t before = 0;  // where the tail of the last resample starts
        for (std::size_t b = 0; accepted && b < picks.shape(0); ++b) {
            const std::uint32_t *pick = picks.data() + b * size;
            std::fill(count.begin(), count.end(), 0);
            for (std::size_t i = 0; i < size; ++i) {
                accepted = accepted && pick[i] < n;
                if (!accepted) break;
                ++count[first[pick[i]]];
            }
            sample.gather(logs, count);
            sample.finish(two_sided);
            search.open(sample, two_sided);
            const auto near = std::lower_bound(sample.position.begin(), sample.position.end(), before);
            const std::optional<Fit> found = search.pruned(static_cast<std::uint32_t>(near - sample.position.begin()));
            if (found) before = sample.position[found->group];
            append(rows, found, sample, x.data());
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
