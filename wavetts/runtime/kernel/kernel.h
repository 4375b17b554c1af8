/*
 * What speaking costs on a CPU, without the price of a tensor operation at every step.
 *
 * Plain C, called through ctypes by native.py, native_decoder.py and density/native.py, whose structures mirror those
 * here. Loops are written for the compiler to vectorise. Weights are read once for all rows of a batch, and no row's
 * result depends on the others. Nothing is kept between calls, which may come from several threads.
 */
#ifndef WAVETTS_KERNEL_H
#define WAVETTS_KERNEL_H

#include <stdint.h>
#include <string.h>

/* Changes with every structure and function that Python knows: an old library is not called. */
#define VERSION 2

/* One library for all x86 processors: the loader takes the clone for the one at hand. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12
#define VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VECTORISED
#endif
#define INLINE static inline __attribute__((always_inline))

/* A batch of vectors, `stride` values apart; a stride of 0 is one vector for all rows. */
typedef struct {
    float *data;
    int64_t stride;
} Rows;

/* Place for a batch of vectors as 16-bit integers, and what they are multiples of. */
typedef struct {
    int16_t *values;
    float *steps;
} Codes;

/* y = W x + b, with W as 8-bit codes and a scale for each output, or in float32. */
typedef struct {
    int64_t outputs, inputs;
    const int8_t *codes; /* (outputs, inputs), or NULL */
    const float *scale;  /* (outputs,) of the codes */
    const float *panels; /* (outputs / PANEL rounded up, inputs, PANEL) of float weights, zero beyond the outputs */
    const float *bias;   /* (outputs,) */
    float range;         /* largest code of an activation: no sum of its products with weights overflows */
} Linear;

/* A real DFT of length first * second: `second` transforms of the strided samples, turned, then `first` of those. */
typedef struct {
    int64_t first, second;
    const float *window;                /* (first * second,) */
    const float *inner_cos, *inner_sin; /* (second / 2 + 1, second) */
    const float *turn_cos, *turn_sin;   /* (second / 2 + 1, first) */
    const float *outer_cos, *outer_sin; /* (first, first) */
} Spectrum;

/* Names that the linker sees are ours alone: another library's function must not take the place of one. */

/* y = W x + added, for all rows. */
void wavetts_product(const Linear *linear, int64_t rows, Rows x, Rows added, Rows y, Codes codes);

/* An LSTM's nonlinearities: gates (4 * width,) and the cell's state to the new ones (width,). */
void wavetts_lstm_cell(int64_t width, const float *restrict gates, const float *restrict old_cell,
                       float *restrict hidden, float *restrict cell);

/* x to x / (1 + e^-x). */
void wavetts_silu(int64_t length, float *restrict x);

/* Compressed magnitudes of the windowed samples' DFT, bins 1 to half the length; `scratch` holds five lengths. */
void wavetts_log_magnitudes(const Spectrum *spectrum, float loudest, const float *restrict samples,
                            float *restrict result, float *restrict scratch);

/* The next `count` of the values that `free_values` points to. */
INLINE float *take(float **free_values, int64_t count)
{
    float *values = *free_values;
    *free_values += count;
    return values;
}

INLINE Rows bias_of(const Linear *linear) { return (Rows){(float *)linear->bias, 0}; }

INLINE float *row_of(Rows rows, int64_t row) { return rows.data + row * rows.stride; }

/* 2^(x log2 e): a whole power by the exponent's bits, the rest by its Taylor series; to some 2e-7. */
INLINE float exponential(float x)
{
    float power = x * 1.44269504f;
    power = power > -126.0f ? power : -126.0f; /* no number, too: what is converted must be in range */
    power = power < 126.0f ? power : 126.0f;
    int32_t exponent = (int32_t)(power + 127.5f);
    float rest = power - (float)(exponent - 127);
    float value = 1.0f + rest * (0.693147181f + rest * (0.240226507f + rest * (0.0555041087f
        + rest * (0.00961812911f + rest * (0.00133335581f + rest * 0.000154035304f)))));
    int32_t bits = exponent << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return value * scale;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

INLINE float hyperbolic_tangent(float x) { return 1.0f - 2.0f * sigmoid(-2.0f * x); }

#endif
