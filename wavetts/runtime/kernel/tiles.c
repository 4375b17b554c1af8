/*
 * Products of 8-bit weights by those instructions of x86 that multiply and sum neighbours. Compilers do not find them
 * where every output has a sum of its own. Sums are exact modulo 2^32, and what is wanted of them fits into 32 bits.
 */
#include "kernel.h"

#if defined(__x86_64__) && !defined(__clang__) && __GNUC__ >= 12
#include <immintrin.h>

typedef int32_t Ints8 __attribute__((vector_size(32), aligned(1), may_alias));
typedef int32_t Ints16 __attribute__((vector_size(64), aligned(1), may_alias));

INLINE void finish(const TileProduct *product, const int32_t *sums)
{
    /* Weights are 128 too large. */
    uint32_t excess = 128u * (uint32_t)product->total;
#pragma GCC ivdep /* y may be what is added */
    for (int64_t i = 0; i < product->count; i++) {
        int32_t sum = (int32_t)((uint32_t)sums[i] - excess);
        product->y[i] = (float)sum * product->step * product->scale[i] + product->added[i];
    }
}

/*
 * VNNI sums four products of 8 bits: a code is 256 high + low, low from -128 to 127; first are the low parts of all
 * codes, then the high ones. Even and odd fours have sums of their own, which need not wait for each other.
 */
#define DOTS(name, extension, Vector, dot) \
    __attribute__((target(extension))) static void name(const TileProduct *product) \
    { \
        enum { COUNT = 4 * TILE / sizeof(Vector) }; \
        const int32_t *low = product->codes, *high = low + product->inputs / 4; \
        const Vector *weights = product->tile; \
        Vector lows[2][COUNT] = {0}, highs[2][COUNT] = {0}, sums[COUNT]; \
        for (int64_t i = 0; i < product->inputs / 4; i += 2, weights += 2 * COUNT) \
            for (int odd = 0; odd < 2; odd++) \
                for (int k = 0; k < COUNT; k++) { \
                    Vector four = weights[odd * COUNT + k]; \
                    lows[odd][k] = (Vector)dot(lows[odd][k], four, low[i + odd] - (Vector){0}); \
                    highs[odd][k] = (Vector)dot(highs[odd][k], four, high[i + odd] - (Vector){0}); \
                } \
        for (int k = 0; k < COUNT; k++) \
            sums[k] = lows[0][k] + lows[1][k] + ((highs[0][k] + highs[1][k]) << 8); \
        finish(product, (const int32_t *)sums); \
    }
#define DOT8(sums, weights, codes) _mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)weights, (__m256i)(codes))
#define DOT16(sums, weights, codes) _mm512_dpbusd_epi32((__m512i)sums, (__m512i)weights, (__m512i)(codes))

DOTS(dots8, "arch=x86-64-v3,avxvnni", Ints8, DOT8)
DOTS(dots16, "arch=x86-64-v4,avx512vnni", Ints16, DOT16)

/* AVX2 sums two products of 16 bits: of the even weights of each four and, in codes' second half, of the odd ones. */
__attribute__((target("arch=x86-64-v3"))) static void pairs(const TileProduct *product)
{
    const int32_t *even = product->codes, *odd = even + product->inputs / 4;
    const __m256i_u *weights = product->tile;
    const __m256i byte = _mm256_set1_epi16(255);
    Ints8 sums[4] = {0};
    for (int64_t i = 0; i < product->inputs / 4; i++, weights += 4)
        for (int k = 0; k < 4; k++) {
            sums[k] += (Ints8)_mm256_madd_epi16(_mm256_and_si256(weights[k], byte), _mm256_set1_epi32(even[i]));
            sums[k] += (Ints8)_mm256_madd_epi16(_mm256_srli_epi16(weights[k], 8), _mm256_set1_epi32(odd[i]));
        }
    finish(product, (const int32_t *)sums);
}

static int has_dots16(void) { return __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vnni"); }

static int has_dots8(void) { return __builtin_cpu_supports("x86-64-v3") && __builtin_cpu_supports("avxvnni"); }

int64_t wavetts_tiled(void) { return __builtin_cpu_supports("x86-64-v3") != 0; }

VECTORISED static void split_bytes(int64_t length, const int16_t *restrict codes, int8_t *restrict low)
{
    int8_t *restrict high = low + length;
    for (int64_t i = 0; i < length; i++) {
        low[i] = (int8_t)codes[i];
        high[i] = (int8_t)((codes[i] + 128) >> 8);
    }
}

VECTORISED static void split_pairs(int64_t length, const int16_t *restrict codes, int16_t *restrict even)
{
    int16_t *restrict odd = even + length / 2;
    for (int64_t i = 0; i < length / 2; i++)
        even[i] = codes[2 * i], odd[i] = codes[2 * i + 1];
}

void wavetts_prepare_codes(int64_t inputs, int64_t length, int16_t *codes)
{
    int16_t whole[length];
    memset(whole, 0, sizeof whole);
    memcpy(whole, codes, inputs * sizeof *codes);
    if (has_dots16() || has_dots8())
        split_bytes(length, whole, (int8_t *)codes);
    else
        split_pairs(length, whole, codes);
}

void wavetts_multiply_tile(const TileProduct *product)
{
    if (has_dots16())
        dots16(product);
    else if (has_dots8())
        dots8(product);
    else
        pairs(product);
}

#else

int64_t wavetts_tiled(void) { return 0; }

void wavetts_prepare_codes(int64_t inputs, int64_t length, int16_t *codes) { (void)inputs, (void)length, (void)codes; }

void wavetts_multiply_tile(const TileProduct *product) { (void)product; }

#endif
