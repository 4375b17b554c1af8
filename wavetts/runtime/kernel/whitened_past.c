/* What a density sees of the past: density/whitened_past.py, whose names this shares. */

#include "kernel.h"

#include <math.h>

/* Louder than any pulse, in standard deviations of the residual. */
#define LOUDEST 6.0f

VECTORISED void wavetts_clamp(int64_t length, float factor, const float *restrict values, float *restrict clamped)
{
    for (int64_t i = 0; i < length; i++)
        clamped[i] = limited(factor * values[i], -LOUDEST, LOUDEST);
}

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
        correlation[i] *= past->lag_window[i];
    correlation[0] += past->noise_floor;
}

/*
 * The residual, zero where it is not known: `whole` is `order` zeros, `length` values, `order` zeros; and what it has
 * below the low-pass' frequency. Filters commute: that is the residual of the low-passed samples, but for what the
 * low-pass leaves of the residual of zeros, samples, zeros before and after the known values.
 */
static void whiten(const WhitenedPast *past, const float *filter, const float *samples, const float *low_samples,
                   float *whole, float *low)
{
    int64_t order = past->order, length = past->search.length, window = past->length;
    const float *response = past->search.low_pass.response;
    float around[order + window + order + SLIDE], *tail = whole + window;
    memset(around, 0, sizeof around);
    memcpy(around + order, samples, window * sizeof(float));
    memset(whole, 0, (window + order) * sizeof(float));
    wavetts_slide(window + order, order + 1, filter + order, -1, around, whole);
    memset(low, 0, length * sizeof(float));
    wavetts_slide(length, order + 1, filter + order, -1, low_samples, low);
    for (int64_t i = 0; i < order; i++)
        whole[i] = -whole[i], tail[i] = -tail[i];
    wavetts_slide(length, order, whole + order - 1, -1, response + window + 1, low);
    wavetts_slide(length, order, tail + order - 1, -1, response + 1, low);
    memset(whole, 0, order * sizeof(float));
    memset(tail, 0, order * sizeof(float));
}

void wavetts_see_past(const WhitenedPast *past, const float *samples, const float *low_samples, float *features,
                      float *period)
{
    static const float smoothing[] = {1 / 16.0f, 4 / 16.0f, 6 / 16.0f, 4 / 16.0f, 1 / 16.0f};
    int64_t order = past->order, length = past->search.length, view = past->view, step = past->search.step;
    float correlation[order + 1], filter[order + 1], low[length], smooth[length];
    /* The smoothing reads two values before and after the residual, whatever the order is. */
    float padded[2 + order + length + order + SLIDE], *whole = padded + 2, *residual = whole + order, lag;
    memset(padded, 0, sizeof padded);
    correlate(past, samples, correlation);
    float gain = 1.0f / sqrtf(wavetts_levinson(order, correlation, filter));
    for (int64_t i = 0; i <= order; i++)
        filter[i] *= gain;
    whiten(past, filter, samples, low_samples, whole, low);
    float periodic = wavetts_pitch(&past->search, low, &lag);
    Period fitted = wavetts_fit_period(length, low, (Period){lag, 0.0f}, past->fitted, step);
    memset(smooth, 0, sizeof smooth);
    wavetts_slide(length, 5, smoothing, 1, residual - 2, smooth);
    fitted = wavetts_fit_period(length, smooth, fitted, past->fitted, step > 1 ? step / 2 : 1);
    wavetts_clamp(view, 1.0f, residual + length - view, features);
    features[view] = periodic;
    float shortest = (float)((past->search.first + 1) * step);
    features[view + 1] = logf((fitted.lag > 1.0f ? fitted.lag : 1.0f) / shortest) - 1.5f;
    features[view + 2] = fitted.glide / FASTEST_GLIDE;
    wavetts_copy_period(past->length, samples, fitted, past->periods, past->before, past->count, period);
}
