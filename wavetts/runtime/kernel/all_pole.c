/* All-pole filters and the sums over shifted samples that they are found and used by: density/all_pole.py. */

#include "kernel.h"

/* What is left of a prediction error by one step of the recursion, at least. */
#define SMALLEST_STEP 1e-6

INLINE void slide_block(int64_t width, int64_t count, int64_t num_taps, const float *taps, int64_t stride,
                        const float *restrict values, float *restrict sums)
{
    float block[SLIDE] = {0};
    for (int64_t k = 0; k < num_taps; k++)
        for (int64_t i = 0; i < width; i++)
            block[i] += taps[k * stride] * values[k + i];
    for (int64_t i = 0; i < count; i++)
        sums[i] += block[i];
}

VECTORISED void wavetts_slide(int64_t count, int64_t num_taps, const float *taps, int64_t stride,
                              const float *restrict values, float *restrict sums)
{
    for (; count > 3 * SLIDE / 4; count -= SLIDE, values += SLIDE, sums += SLIDE)
        slide_block(SLIDE, count < SLIDE ? count : SLIDE, num_taps, taps, stride, values, sums);
    if (count > SLIDE / 2)
        slide_block(3 * SLIDE / 4, count, num_taps, taps, stride, values, sums);
    else if (count > 0)
        slide_block(SLIDE / 2, count, num_taps, taps, stride, values, sums);
}

VECTORISED float wavetts_levinson(int64_t order, const float *restrict correlation, float *restrict filter)
{
    double a[order + 1], mirrored[order + 1], backwards[order + 1], error = correlation[0];
    for (int64_t i = 0; i <= order; i++)
        a[i] = 0.0, backwards[i] = correlation[order - i];
    a[0] = 1.0;
    for (int64_t m = 1; m <= order; m++) {
        double sum = 0.0;
        for (int64_t i = 0; i < m; i++)
            sum += a[i] * backwards[order - m + i];
        double k = -sum / error, step = 1.0 - k * k;
        for (int64_t i = 0; i <= m; i++)
            mirrored[i] = a[m - i];
        for (int64_t i = 0; i <= m; i++)
            a[i] += k * mirrored[i];
        error *= step > SMALLEST_STEP ? step : SMALLEST_STEP;
    }
    for (int64_t i = 0; i <= order; i++)
        filter[i] = (float)a[i];
    return (float)error;
}

VECTORISED void wavetts_synthesise(int64_t length, int64_t order, const float *restrict filter,
                                   const float *restrict residual, float *restrict samples)
{
    /* What the samples so far add to those to come: no sum waits for another. */
    float ringing[order + length];
    memset(ringing, 0, sizeof ringing);
    for (int64_t t = -order; t < 0; t++)
        for (int64_t k = -t; k <= order; k++)
            ringing[t + k] -= filter[k] * samples[t];
    for (int64_t t = 0; t < length; t++) {
        float sample = samples[t] = residual[t] + ringing[t];
        for (int64_t k = 1; k <= order; k++)
            ringing[t + k] -= filter[k] * sample;
    }
}
