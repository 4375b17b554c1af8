/*
 * What speaking costs on a CPU, without the price of a tensor operation at every step.
 *
 * Plain C, called through ctypes by bindings.py, decoder.py, density.py, prediction.py and waveform.py, whose structures
 * mirror those here. Loops are written for the compiler to vectorise, but for those of tiles.c. Weights are read once
 * for all rows of a batch, and no row's result depends on the others. Nothing is kept between calls, which may come from
 * several threads.
 */
#ifndef WAVETTS_KERNEL_H
#define WAVETTS_KERNEL_H

#include <stdint.h>
#include <string.h>

/* Changes with every structure and function that Python knows: an old library is not called. */
#define VERSION 6

/* One library for all x86 processors: the loader takes the clone for the one at hand. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12
#define VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VECTORISED
#endif
/* So many sums over shifted samples are computed at once, in registers. */
#define SLIDE 64
/* So many outputs are summed at once where weights are in tiles. */
#define TILE 32
/* Samples a sample that a period may change by. */
#define FASTEST_GLIDE 0.05f
#define INLINE static inline __attribute__((always_inline))

/* A batch of vectors, `stride` values apart; a stride of 0 is one vector for all rows. */
typedef struct {
    float *data;
    int64_t stride;
} Rows;

/* Place for a batch of vectors as 16-bit integers, what they are multiples of, and their sums. */
typedef struct {
    int16_t *values;
    float *steps;
    int32_t *sums;
} Codes;

/* y = W x + b, with W as 8-bit codes and a scale for each output, or in float32: one of codes, tiles and panels. */
typedef struct {
    int64_t outputs, inputs;
    const int8_t *codes;  /* (outputs, inputs) */
    const uint8_t *tiles; /* (outputs / TILE, padded(inputs) / 4, TILE, 4), the first rounded up: the codes + 128 */
    const float *scale;   /* (outputs,) of the codes */
    const float *panels;  /* (inputs, PANEL) of float weights for each PANEL outputs, the last narrower if it may be */
    const float *bias;    /* (outputs,) */
    float range;          /* largest code of an activation: no sum of its products with weights overflows */
} Linear;

/* What is multiplied by a tile of a matrix. */
typedef struct {
    const void *tile;
    const void *codes; /* prepared */
    int64_t inputs;    /* rounded up */
    int32_t total;     /* sum of the codes */
    float step;
    int64_t count;     /* outputs, at most TILE: of scale, added and y */
    const float *scale, *added;
    float *y;
} TileProduct;

/* A real DFT of length first * second: `second` transforms of the strided samples, turned, then `first` of those. */
typedef struct {
    int64_t first, second;
    const float *window;                /* (first * second,) */
    const float *inner_cos, *inner_sin; /* (second / 2 + 1, second) */
    const float *turn_cos, *turn_sin;   /* (second / 2 + 1, first) */
    const float *outer_cos, *outer_sin; /* (first, first) */
} Spectrum;

/* A low-pass of a window of samples, with zeros around them. */
typedef struct {
    int64_t length;
    const float *response; /* (2 length + 1 + SLIDE,), at distances from -length on */
} LowPass;

/* Where a period is sought, in the low-passed signal at every `step`th sample. */
typedef struct {
    int64_t length, step, size, query, first, last;
    float floor;
    LowPass low_pass; /* its window ends where the signal ends */
} PitchSearch;

/* The past through its own filter. */
typedef struct {
    int64_t length, order, view, fitted, periods, before, count; /* the last two: where the period is copied to */
    float noise_floor;
    const float *window;     /* (length,) */
    const float *lag_window; /* (order + 1,) */
    PitchSearch search;      /* in the residual, of length - order samples */
} WhitenedPast;

/* At a time t of a signal of L samples it is lag + glide (t - L). */
typedef struct {
    float lag, glide;
} Period;

/* Pairs of affine couplings of halves, a permutation after each pair on the way from noise to data. */
typedef struct {
    int64_t length, count, num_layers;
    float bound;
    const Linear *networks; /* (count, num_layers + 2): input, layers, output */
    const Linear *backward; /* as many: transposed, without biases, for the score; or NULL */
    const int64_t *orders;  /* (count / 2, length): of the permutations' inverses */
} Couplings;

/* What couplings work with, for all rows. The tape has what their score takes, of each coupling; or NULL. */
typedef struct {
    int64_t rows;
    Codes codes;
    Rows x, spare, shift_scale, hidden, other, tape;
} CouplingWork;

/* Names that the linker sees are ours alone: another library's function must not take the place of one. */

/* Whether this processor has instructions for tiles; only then may a matrix have any. */
int64_t wavetts_tiled(void);

/* Codes (inputs,), in place, as products with tiles take them, with zeros up to `length`, a multiple of 8. */
void wavetts_prepare_codes(int64_t inputs, int64_t length, int16_t *codes);

/* y = W x + added for a tile. */
void wavetts_multiply_tile(const TileProduct *product);

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

/* hidden + silu(layer(hidden)), by way of `other`. */
void wavetts_residual_layer(const Linear *layer, int64_t rows, Rows hidden, Rows other, Codes codes);

/* z to e^scale z + mean: a mean for each value, then an unbounded log-scale for each. */
void wavetts_undo_affine(int64_t length, float bound, const float *restrict mean_scale, float *restrict z);

/* The score of z to that of the result of wavetts_undo_affine. */
void wavetts_affine_score(int64_t length, float bound, const float *restrict mean_scale, float *restrict score);

/* Noise, `work->x`, to data. `biases`: of each network's first layer, one beside the other. */
void wavetts_undo_couplings(const Couplings *couplings, Rows biases, CouplingWork *work);

/* The score of noise, `work->x`, to that of the data which became of it, by what that left on the tape. */
void wavetts_coupling_score(const Couplings *couplings, CouplingWork *work);

/* How many values `work` needs for a row, and placing it at `values`, which are then after it; with a tape if scored. */
int64_t wavetts_coupling_values(const Couplings *couplings, int64_t scored);
void wavetts_place_couplings(const Couplings *couplings, int64_t scored, float **values, CouplingWork *work);

/* sums[i] += sum of taps[k stride] values[i + k] over k, for i < count; `values` are read up to a multiple of SLIDE. */
void wavetts_slide(int64_t count, int64_t num_taps, const float *taps, int64_t stride, const float *restrict values,
                   float *restrict sums);

/* The predictor (order + 1,) of a process of this autocorrelation (order + 1,); returns the error's power. */
float wavetts_levinson(int64_t order, const float *restrict correlation, float *restrict filter);

/* The samples of this residual, which those of index -order to -1 precede. */
void wavetts_synthesise(int64_t length, int64_t order, const float *restrict filter, const float *restrict residual,
                        float *restrict samples);

/* What a window of samples has below the low-pass' frequency. */
void wavetts_low_pass(const LowPass *filter, const float *samples, float *low);

/* The same of the window that begins `step` samples later, from that of the window at `samples`. */
void wavetts_move_low_pass(const LowPass *filter, const float *samples, int64_t step, float *low);

/* How periodic such a signal ends, and with which lag. */
float wavetts_pitch(const PitchSearch *search, const float *low, float *lag);

/* A better period of the signal's last `size` samples, of which every `step`th is looked at. */
Period wavetts_fit_period(int64_t length, const float *signal, Period period, int64_t size, int64_t step);

/* `count` samples of a signal's last period, at most `most` times again, the first at `before` samples to its end. */
void wavetts_copy_period(int64_t length, const float *signal, Period period, int64_t most, int64_t before,
                         int64_t count, float *copied);

/* The factor of the noise after samples of which this is the low-passed signal. */
float wavetts_voicing(const PitchSearch *search, const float *low, float voiced_scale);

/* `factor` times the values, at most as loud as a density sees them. */
void wavetts_clamp(int64_t length, float factor, const float *restrict values, float *restrict clamped);

/* What a density sees of the samples before: features (view + 3,), and the last period, copied (count,). */
void wavetts_see_past(const WhitenedPast *past, const float *samples, const float *low_samples, float *features,
                      float *period);

/* The next `count` of the values that `free_values` points to. */
INLINE float *take(float **free_values, int64_t count)
{
    float *values = *free_values;
    *free_values += count;
    return values;
}

/* So many codes a vector has place for. */
INLINE int64_t padded(int64_t inputs) { return (inputs + 7) / 8 * 8; }

/* Values that the codes of a row take, and placing them at `values`, which are then after them. */
INLINE int64_t code_values(int64_t inputs) { return padded(inputs) / 2 + 2; }

INLINE Codes place_codes(int64_t rows, int64_t inputs, float **values)
{
    float *steps = take(values, rows), *sums = take(values, rows);
    return (Codes){(int16_t *)take(values, padded(inputs) / 2 * rows), steps, (int32_t *)sums};
}

INLINE Rows bias_of(const Linear *linear) { return (Rows){(float *)linear->bias, 0}; }

INLINE float *row_of(Rows rows, int64_t row) { return rows.data + row * rows.stride; }

/* x from -most to most, no number, too. Of integers compilers take the minimum without a branch for what is beyond. */
INLINE float clipped(float x, float most)
{
    int32_t bits, limit;
    memcpy(&bits, &x, sizeof bits);
    memcpy(&limit, &most, sizeof limit);
    int32_t size = bits & INT32_MAX, sign = bits & INT32_MIN;
    bits = sign | (size < limit ? size : limit);
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^(x log2 e): a whole power by the exponent's bits, the rest by its Taylor series; to some 2e-7. */
INLINE float exponential(float x)
{
    float power = clipped(x * 1.44269504f, 126.0f); /* what is converted must be in range */
    int32_t exponent = (int32_t)(power + 127.5f);
    float rest = power - (float)(exponent - 127);
    float value = 1.0f + rest * (0.693147181f + rest * (0.240226507f + rest * (0.0555041087f
        + rest * (0.00961812911f + rest * (0.00133335581f + rest * 0.000154035304f)))));
    int32_t bits = exponent << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return value * scale;
}

INLINE float limited(float x, float least, float most)
{
    /* No number becomes the least. */
    float value = x > least ? x : least;
    return value < most ? value : most;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

INLINE float hyperbolic_tangent(float x) { return 1.0f - 2.0f * sigmoid(-2.0f * x); }

INLINE float bounded(float x, float bound) { return bound * hyperbolic_tangent(x / bound); }

#endif
