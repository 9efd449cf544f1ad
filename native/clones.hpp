// One function, several instruction sets: the clone that the machine can run is chosen at load time.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define TOLLENS_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define TOLLENS_CLONES
#endif
#define TOLLENS_INLINE inline __attribute__((always_inline))  // or the clones would call the plain version
