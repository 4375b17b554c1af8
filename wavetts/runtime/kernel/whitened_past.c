/* What a density sees of the past: density/whitened_past.py, whose names this shares. */

#include "kernel.h"

#include <math.h>

/* Louder than any pulse, in standard deviations of the residual. */
#define LOUDEST 6.0f

/* Of lags 0 to p, smoothed, with the noise floor. */
VECTORISED static void correlate(const WhitenedPast *past, const float *restrict samples, float *restrict correlation)
{
    int64_t length = past->length, order = past->order;
    float windowed[length + SLIDE];
    for (int64_t i = 0; i < length; i++)
        windowed[i] = samples[i] * past->window[i];
    memset(windowed + length, 0, SLIDE * sizeof(float));
    memset(correlation, 0, (order + 1) * sizeof(float));
    wavetts_slide(order + 1, length, windowed, 1, windowed, correlation);
    for (int64_t i = 0; i <= order; i++)
        correlation[i] *= past->smooth[i];
    correlation[0] += past->noise_floor;
}

VECTORISED static void clamp(int64_t length, const float *restrict values, float *restrict clamped)
{
    for (int64_t i = 0; i < length; i++) {
        float value = values[i] > -LOUDEST ? values[i] : -LOUDEST;
        clamped[i] = value < LOUDEST ? value : LOUDEST;
    }
}

/* The last period of a signal that `values` points to the end of, again and again. */
static void copy_period(int64_t count, int64_t lag, const float *values, float *copied)
{
    for (int64_t i = 0; i < count; i++)
        copied[i] = i < lag ? values[i - lag] : copied[i - lag];
}

void wavetts_see_past(const WhitenedPast *past, int64_t count, const float *samples, float *features, float *copied)
{
    int64_t order = past->order, length = past->search.length, view = past->view, lag;
    float correlation[order + 1], filter[order + 1], residual[length], low[count];
    correlate(past, samples, correlation);
    float gain = 1.0f / sqrtf(wavetts_levinson(order, correlation, filter));
    for (int64_t i = 0; i <= order; i++)
        filter[i] *= gain;
    memset(residual, 0, sizeof residual);
    wavetts_slide(length, order + 1, filter + order, -1, samples, residual);
    float periodic = wavetts_pitch(&past->search, residual, &lag);
    int64_t fresh = lag < count ? lag : count;
    wavetts_low_pass(&past->search, length - lag, fresh, residual, low);
    copy_period(count, lag, residual + length, copied);
    copy_period(count, lag, low + lag, copied + count);
    clamp(view, residual + length - view, features);
    clamp(count, copied, features + view);
    memcpy(features + view + count, copied + count, count * sizeof(float));
    float shortest = (float)((past->search.first + 1) * past->search.step);
    features[view + 2 * count] = periodic;
    features[view + 2 * count + 1] = logf((float)lag / shortest) - 1.5f;
}
