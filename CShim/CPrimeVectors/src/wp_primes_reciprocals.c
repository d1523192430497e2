// The reciprocals of the divisors, computed by the compiler.
#include "wp_primes.h"

// ⌈2^k/d⌉ is ⌊(2^k - 1)/d⌋ + 1.
#define WIDE(d, s) (UINT32_MAX / (d) + 1)
#define NARROW(d, s) (uint16_t)(((UINT32_C(1) << (16 + (s))) - 1) / (d) + 1)

// `M` of as many consecutive divisors as the name says, from `d` on.
#define X4(M, d, s) M(d, s), M((d) + 1, s), M((d) + 2, s), M((d) + 3, s)
#define X16(M, d, s) X4(M, d, s), X4(M, (d) + 4, s), X4(M, (d) + 8, s), X4(M, (d) + 12, s)
#define X64(M, d, s) X16(M, d, s), X16(M, (d) + 16, s), X16(M, (d) + 32, s), X16(M, (d) + 48, s)
#define X256(M, d, s) X64(M, d, s), X64(M, (d) + 64, s), X64(M, (d) + 128, s), X64(M, (d) + 192, s)
#define X1K(M, d, s) X256(M, d, s), X256(M, (d) + 256, s), X256(M, (d) + 512, s), X256(M, (d) + 768, s)
#define X4K(M, d, s) X1K(M, d, s), X1K(M, (d) + 1024, s), X1K(M, (d) + 2048, s), X1K(M, (d) + 3072, s)
#define X16K(M, d, s) X4K(M, d, s), X4K(M, (d) + 4096, s), X4K(M, (d) + 8192, s), X4K(M, (d) + 12288, s)

static const _Alignas(64) uint32_t wide[WP_PRIMES_WIDE_COUNT] = {
    [2] = WIDE(2, 0),     WIDE(3, 0),           X4(WIDE, 4, 0),       X4(WIDE, 8, 0),      X4(WIDE, 12, 0),
    X16(WIDE, 16, 0),     X16(WIDE, 32, 0),     X16(WIDE, 48, 0),     X64(WIDE, 64, 0),    X64(WIDE, 128, 0),
    X64(WIDE, 192, 0),    X256(WIDE, 256, 0),   X256(WIDE, 512, 0),   X256(WIDE, 768, 0),  X1K(WIDE, 1024, 0),
    X1K(WIDE, 2048, 0),   X1K(WIDE, 3072, 0),   X4K(WIDE, 4096, 0),   X4K(WIDE, 8192, 0),  X4K(WIDE, 12288, 0),
    X16K(WIDE, 16384, 0), X16K(WIDE, 32768, 0), X16K(WIDE, 49152, 0),
};

static const _Alignas(64) uint16_t narrow[WP_PRIMES_NARROW_COUNT] = {
    [32] = X16(NARROW, 32, 4), X16(NARROW, 48, 4),     X64(NARROW, 64, 5),    X64(NARROW, 128, 6),
    X64(NARROW, 192, 6),       X256(NARROW, 256, 7),   X256(NARROW, 512, 8),  X256(NARROW, 768, 8),
    X1K(NARROW, 1024, 9),      X1K(NARROW, 2048, 10),  X1K(NARROW, 3072, 10), X4K(NARROW, 4096, 11),
    X4K(NARROW, 8192, 12),
};

const uint32_t *wp_primes_wide_reciprocals(void) { return wide; }

const uint16_t *wp_primes_narrow_reciprocals(void) { return narrow; }
