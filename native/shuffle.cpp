// A uniform random permutation of a buffer in place, a function of (key, replicate, length) alone.
//
// Generator: Philox4x64-10 (Salmon, Moraes, Dror, Shaw 2011), counter = (block, stream, replicate, 0). Stream 0 gives
// bucket labels, stream 1 + b the draws of bucket b.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;

namespace {

using Key = std::array<std::uint64_t, 2>;
using Counter = std::array<std::uint64_t, 4>;

inline Counter philox(Counter c, Key k) {
    for (int round = 0; round < 10; ++round) {
        const unsigned __int128 p0 = static_cast<unsigned __int128>(0xD2E7470EE14C6C93u) * c[0];
        const unsigned __int128 p1 = static_cast<unsigned __int128>(0xCA5A826395121157u) * c[2];
        c = {static_cast<std::uint64_t>(p1 >> 64) ^ c[1] ^ k[0], static_cast<std::uint64_t>(p1),
             static_cast<std::uint64_t>(p0 >> 64) ^ c[3] ^ k[1], static_cast<std::uint64_t>(p0)};
        k[0] += 0x9E3779B97F4A7C15u;
        k[1] += 0xBB67AE8584CAA73Bu;
    }
    return c;
}

// The words of one stream, produced a batch at a time so that the rounds of independent blocks overlap.
class Stream {
  public:
    static constexpr std::size_t batch = 256;  // 32-bit words, low half of each 64-bit word first

    Stream(Key key, std::uint64_t replicate, std::uint64_t stream) : key_(key), replicate_(replicate), stream_(stream) {}

    const std::array<std::uint32_t, batch> &next_batch() {
        for (std::size_t w = 0; w < batch; w += 8) {
            const Counter out = philox({block_++, stream_, replicate_, 0}, key_);
            for (std::size_t i = 0; i < 4; ++i) {
                words_[w + 2 * i] = static_cast<std::uint32_t>(out[i]);
                words_[w + 2 * i + 1] = static_cast<std::uint32_t>(out[i] >> 32);
            }
        }
        used_ = 0;
        return words_;
    }

    // Uniform on [0, bound), exactly: multiply-shift with rejection (Lemire 2019).
    std::uint32_t below(std::uint32_t bound) {
        std::uint64_t m = static_cast<std::uint64_t>(next()) * bound;
        if (static_cast<std::uint32_t>(m) < bound) {
            const std::uint32_t threshold = (0u - bound) % bound;
            while (static_cast<std::uint32_t>(m) < threshold) m = static_cast<std::uint64_t>(next()) * bound;
        }
        return static_cast<std::uint32_t>(m >> 32);
    }

    // What `below` gives for bound, bound - 1, ..., down to at least 2: as many as one loop without branches can give,
    // which is all words at hand unless one needs the rejection test. The count may be 0; `below` gets past that.
    std::size_t several_below(std::uint32_t bound, std::array<std::uint32_t, batch> &out) {
        if (used_ == batch) next_batch();
        const std::size_t count = std::min<std::size_t>(batch - used_, bound - 1);
        const std::uint32_t *word = words_.data() + used_;
        std::uint32_t doubtful = 0;
        for (std::size_t k = 0; k < count; ++k) {
            const std::uint32_t here = bound - static_cast<std::uint32_t>(k);
            const std::uint64_t m = static_cast<std::uint64_t>(word[k]) * here;
            out[k] = static_cast<std::uint32_t>(m >> 32);
            doubtful += static_cast<std::uint32_t>(m) < here;
        }
        std::size_t sure = doubtful ? 0 : count;
        for (std::uint32_t here = bound; sure < count && word[sure] * here >= here; --here) ++sure;
        used_ += sure;
        return sure;
    }

  private:
    Key key_;
    std::uint64_t replicate_, stream_;
    std::uint64_t block_ = 0;
    std::size_t used_ = batch;
    std::array<std::uint32_t, batch> words_;

    std::uint32_t next() {
        if (used_ == batch) next_batch();
        return words_[used_++];
    }
};

constexpr std::size_t buckets = 256;  // one label byte; 256 open cache lines fit the first-level cache
constexpr std::size_t direct = std::size_t{1} << 16;  // up to here one bucket fits the second-level cache
constexpr std::size_t longest = std::size_t{1} << 38;  // keeps every bucket below 2^32 with room to spare

template <typename T> void fisher_yates(T *a, std::size_t n, Stream &random) {
    std::array<std::uint32_t, Stream::batch> places;
    for (std::size_t i = n; i > 1;) {
        std::size_t count = random.several_below(static_cast<std::uint32_t>(i), places);
        if (count == 0) places[count++] = random.below(static_cast<std::uint32_t>(i));
        for (std::size_t k = 0; k < count; ++k, --i) {
            const T held = a[i - 1];
            a[i - 1] = a[places[k]];
            a[places[k]] = held;
        }
    }
}

template <typename Use> void each_label(Key key, std::uint64_t replicate, std::size_t n, Use &&use) {
    Stream labels(key, replicate, 0);
    for (std::size_t left = n; left;) {
        for (const std::uint32_t word : labels.next_batch()) {
            if (left < 4) {
                for (; left; --left) use((word >> 8 * ((n - left) & 3)) & 0xFF);
                return;
            }
            for (int shift = 0; shift < 32; shift += 8) use((word >> shift) & 0xFF);
            left -= 4;
        }
    }
}

// Exactly uniform: let c be the bucket sizes that the labels L_0..L_{n-1} give. The element carried at step t is a
// function of (c, L_0..L_{t-1}), so for fixed c label sequences and assignments of elements to buckets correspond one to
// one; every assignment has probability 256^-n, as with one independent label an element. Fisher-Yates then makes the
// order inside each bucket uniform, so all n! orders are equally likely. Extra memory: the heads of the buckets. The
// labels are generated twice instead of being stored.
template <typename T> void shuffle(T *a, std::size_t n, Key key, std::uint64_t replicate) {
    if (n > longest) throw std::invalid_argument("a buffer of more than 2^38 elements is not shuffled");
    if (n <= direct) {
        Stream random(key, replicate, 1);
        fisher_yates(a, n, random);
        return;
    }
    std::array<std::size_t, buckets + 1> start{};
    each_label(key, replicate, n, [&](std::size_t b) { ++start[b + 1]; });
    for (std::size_t b = 0; b < buckets; ++b) start[b + 1] += start[b];
    std::array<std::size_t, buckets> head;
    for (std::size_t b = 0; b < buckets; ++b) head[b] = start[b];

    std::size_t open = 0;
    while (head[open] == start[open + 1]) ++open;
    std::size_t hole = head[open];
    T carried = a[hole];
    each_label(key, replicate, n, [&](std::size_t b) {
        const std::size_t slot = head[b]++;
        // No hardware follows 256 streams; a slot of one bucket is filled for every 256 elements, so this is early enough.
        __builtin_prefetch(a + slot + 64 / sizeof(T), 1);
        const T displaced = a[slot];
        a[slot] = carried;
        carried = displaced;
        if (slot == hole) {  // the cycle is closed; start the next one at a slot not yet filled
            while (open < buckets && head[open] == start[open + 1]) ++open;
            if (open < buckets) {
                hole = head[open];
                carried = a[hole];
            }
        }
    });
    for (std::size_t b = 0; b < buckets; ++b) {
        Stream random(key, replicate, 1 + b);
        fisher_yates(a + start[b], start[b + 1] - start[b], random);
    }
}

template <typename T> using Buffer = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

template <typename T> void shuffle_in_place(Buffer<T> buffer, std::uint64_t low, std::uint64_t high, std::uint64_t replicate) {
    T *data = buffer.data();
    const std::size_t n = buffer.size();
    nb::gil_scoped_release release;
    shuffle(data, n, Key{low, high}, replicate);
}

nb::ndarray<nb::numpy, std::int64_t, nb::ndim<1>> permutation(std::uint64_t low, std::uint64_t high,
                                                              std::uint64_t replicate, std::size_t n) {
    auto *indices = new std::vector<std::int64_t>(n);
    nb::capsule owner(indices, [](void *p) noexcept { delete static_cast<std::vector<std::int64_t> *>(p); });
    {
        nb::gil_scoped_release release;
        for (std::size_t i = 0; i < n; ++i) (*indices)[i] = static_cast<std::int64_t>(i);
        shuffle(indices->data(), n, Key{low, high}, replicate);
    }
    const std::size_t shape[1] = {n};
    return nb::ndarray<nb::numpy, std::int64_t, nb::ndim<1>>(indices->data(), 1, shape, owner);
}

}  // namespace

void bind_shuffle(nb::module_ &m) {
    m.def("shuffle", &shuffle_in_place<float>, nb::arg("buffer").noconvert(), nb::arg("key_low"), nb::arg("key_high"),
          nb::arg("replicate"), "Permute the elements of a C-contiguous buffer uniformly, in place.");
    m.def("shuffle", &shuffle_in_place<double>, nb::arg("buffer").noconvert(), nb::arg("key_low"), nb::arg("key_high"),
          nb::arg("replicate"));
    m.def("permutation", &permutation, nb::arg("key_low"), nb::arg("key_high"), nb::arg("replicate"), nb::arg("n"),
          "Indices p with shuffled[i] = original[p[i]] for `shuffle` of the same key, replicate and length.");
    m.def("philox4x64", [](std::array<std::uint64_t, 4> counter, std::array<std::uint64_t, 2> key) {
        return philox(counter, key);
    }, nb::arg("counter"), nb::arg("key"), "One Philox4x64-10 block.");
}
