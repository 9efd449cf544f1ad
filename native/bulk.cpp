// The Marchenko-Pastur law over many points: a fit of its variance, the distance from it, residuals of its density.
//
// Closed form of the distribution function as in `mp_cdf` of instrument/bulk.py. Its angles come from a rational
// approximation that vectorises, since a fit spends its time in them.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "clones.hpp"

namespace nb = nanobind;

// Clones differ in vector width only. Every operation is a correctly rounded elementwise one (contraction is off) and
// sums run over a fixed number of partial sums, so all clones return the same bits.

namespace tollens_bulk {

constexpr std::size_t lanes = 16;
constexpr double pi = 0x1.921fb54442d18p+1;

TOLLENS_INLINE double joined(const double *partial) {
    double part[lanes];
    for (std::size_t l = 0; l < lanes; ++l) part[l] = partial[l];
    for (std::size_t half = lanes / 2; half > 0; half /= 2)
        for (std::size_t l = 0; l < half; ++l) part[l] += part[l + half];
    return part[0];
}

// atan2(u, d) for u, d >= 0, not both 0; within 4e-16 of it. Above tan(pi/8) the tangent is taken relative to pi/4.
// The approximation is the one of the Cephes library (Moshier 1989), relative error 1.8e-16.
TOLLENS_INLINE double angle(double u, double d) {
    const double small = u < d ? u : d, large = u < d ? d : u;
    const bool near = small > 0.41421356237309503 * large;
    const double t = (near ? small - large : small) / (near ? small + large : large);
    const double z = t * t;
    const double p = (((-8.750608600031904122785e-1 * z - 1.615753718733365076637e1) * z -
                       7.500855792314704667340e1) * z - 1.228866684490136173410e2) * z - 6.485021904942025371773e1;
    const double q = ((((z + 2.485846490142306297962e1) * z + 1.650270098316988542046e2) * z +
                       4.328810604912902668951e2) * z + 4.853903996359136964868e2) * z + 1.945506571482613964425e2;
    const double a = (near ? 0.25 * pi : 0.0) + (t + t * (z * p / q));
    return u < d ? a : 0.5 * pi - a;
}

// The unit law of aspect ratio c on [low, high].
struct Law {
    explicit Law(double c)
        : low((1.0 - std::sqrt(c)) * (1.0 - std::sqrt(c))), high((1.0 + std::sqrt(c)) * (1.0 + std::sqrt(c))),
          root_low(std::sqrt(low)), root_high(std::sqrt(high)), plus(2.0 * (1.0 + c)), minus(2.0 * (1.0 - c)),
          unit(2.0 * pi * c) {}
    double low, high, root_low, root_high, plus, minus, unit;
};

// Share of the law at or below x; `slope` becomes x times its density.
TOLLENS_INLINE double share_below(const Law &law, double x, double &slope) {
    const double above = x - law.low, below = law.high - x;
    const double up = std::sqrt(above > 0.0 ? above : 0.0), down = std::sqrt(below > 0.0 ? below : 0.0);
    const double product = up * down;
    // at c = 1 the second angle has no meaning, and its factor is 0
    const double second = law.minus * angle(law.root_high * up, law.minus > 0.0 ? law.root_low * down : 1.0);
    const double share = (product + law.plus * angle(up, down) - second) / law.unit;
    slope = product / law.unit;
    const double floored = share > 0.0 ? share : 0.0;
    return floored < 1.0 ? floored : 1.0;
}

// Of the residuals r = share - F(y/scale) and the slopes s = dF/d log x: sums of r^2, s r and s^2.
struct Squares {
    double residual, mixed, slope;
};

TOLLENS_CLONES Squares squares_at(const double *y, const double *share, std::size_t padded, const Law &given,
                                  double scale) {
    const Law law = given;
    double rr[lanes] = {}, sr[lanes] = {}, ss[lanes] = {};
    for (std::size_t i = 0; i < padded; i += lanes)
        for (std::size_t l = 0; l < lanes; ++l) {
            double s;
            const double r = share[i + l] - share_below(law, y[i + l] / scale, s);
            rr[l] += r * r;
            sr[l] += s * r;
            ss[l] += s * s;
        }
    return {joined(rr), joined(sr), joined(ss)};
}

// Gauss-Newton over log(scale) with halved steps. A step below `settled` is taken as it is: what it wins of the
// residual is less than the rounding of the residual.
double least_squares(const std::vector<double> &y, const std::vector<double> &share, const Law &law, double scale) {
    constexpr double settled = 1e-6;
    Squares now = squares_at(y.data(), share.data(), y.size(), law, scale);
    for (int round = 0; round < 30 && now.slope != 0.0; ++round) {
        double step = std::max(-1.0, std::min(1.0, -now.mixed / now.slope));
        while (std::fabs(step) > 1e-13) {
            const double trial = scale * std::exp(step);
            const Squares then = squares_at(y.data(), share.data(), y.size(), law, trial);
            if (std::fabs(step) < settled || then.residual <= now.residual) {
                scale = trial;
                now = then;
                break;
            }
            step *= 0.5;
        }
        if (std::fabs(step) < 1e-10) break;
    }
    return scale;
}

TOLLENS_CLONES double distance(const double *x, std::size_t n, const Law &given, double scale) {
    const Law law = given;
    double worst[lanes] = {};
    const double size = static_cast<double>(n);
    for (std::size_t i = 0; i < n; i += lanes)
        for (std::size_t l = 0; l < lanes; ++l) {
            const std::size_t at = i + l < n ? i + l : n - 1;
            double slope;
            const double model = share_below(law, x[at] / scale, slope), k = static_cast<double>(at);
            const double below = model - k / size, above = (k + 1.0) / size - model;
            const double far = below > above ? below : above;
            worst[l] = far > worst[l] ? far : worst[l];
        }
    return *std::max_element(worst, worst + lanes);
}

TOLLENS_CLONES double density_squares(const double *x, const double *weight, const double *y, std::size_t n, double low,
                                      double high, double factor) {
    double sum[lanes] = {};
    std::size_t i = 0;
    const auto add = [&](std::size_t at, std::size_t l) __attribute__((always_inline)) {
        const double square = (high - x[at]) * (x[at] - low);
        const double r = std::sqrt(square > 0.0 ? square : 0.0) * weight[at] * factor - y[at];
        sum[l] += r * r;
    };
    for (; i + lanes <= n; i += lanes)
        for (std::size_t l = 0; l < lanes; ++l) add(i + l, l);
    for (std::size_t l = 0; i + l < n; ++l) add(i + l, l);
    return joined(sum);
}

using Vector = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

double fit(Vector points, std::size_t first, std::size_t n, std::size_t longer, double sigma2) {
    const double *x = points.data();
    const std::size_t count = points.shape(0);
    nb::gil_scoped_release release;
    const std::size_t padded = (count + lanes - 1) / lanes * lanes;  // a point at 0 with share 0 adds nothing
    std::vector<double> y(padded), share(padded);
    for (std::size_t i = 0; i < count; ++i) {
        y[i] = x[i] / static_cast<double>(longer);
        share[i] = (static_cast<double>(first + i) + 0.5) / static_cast<double>(n);
    }
    return least_squares(y, share, Law(static_cast<double>(n) / static_cast<double>(longer)), sigma2);
}

double distance_of(Vector points, std::size_t longer, double sigma2) {
    const double *x = points.data();
    const std::size_t n = points.shape(0);
    nb::gil_scoped_release release;
    const double side = static_cast<double>(longer);
    return distance(x, n, Law(static_cast<double>(n) / side), side * sigma2);
}

double density_residual(Vector x, Vector weight, Vector y, double low, double high, double factor) {
    const std::size_t n = x.shape(0);
    if (weight.shape(0) != n || y.shape(0) != n) throw nb::value_error("one weight and one value a point are needed");
    nb::gil_scoped_release release;
    return density_squares(x.data(), weight.data(), y.data(), n, low, high, factor);
}

}  // namespace tollens_bulk

void bind_bulk(nb::module_ &m) {
    using namespace nb::literals;
    m.def("mp_fit", &tollens_bulk::fit, "points"_a, "first"_a, "n"_a, "longer"_a, "sigma2"_a,
          "Variance of the law of an n x longer matrix nearest to the points, ranks first, first + 1, ... of n, from a "
          "start.");
    m.def("mp_distance", &tollens_bulk::distance_of, "points"_a, "longer"_a, "sigma2"_a,
          "Kolmogorov distance of the ascending points from the law of as many rows and `longer` columns.");
    m.def("density_residual", &tollens_bulk::density_residual, "x"_a, "weight"_a, "y"_a, "low"_a, "high"_a, "factor"_a,
          "Sum of (factor weight sqrt((high - x)(x - low)) - y)^2, the root 0 outside [low, high].");
}
