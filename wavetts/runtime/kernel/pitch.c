/* How periodic a signal is, and with which period: density/pitch.py, whose names this shares. */

#include "kernel.h"

#include <math.h>

/* Of the best correlation of the last 15 ms: below the one nothing is voiced, above the other all is. */
#define UNVOICED 0.35f
#define VOICED 0.75f
/* Of a fit of the period: the longest step, and how much less than a full one is taken. */
#define LONGEST_STEP 1.5f
#define DAMPING 0.05f

void wavetts_low_pass(const LowPass *filter, const float *samples, float *low)
{
    int64_t length = filter->length;
    memset(low, 0, length * sizeof(float));
    wavetts_slide(length, length, samples + length - 1, -1, filter->response + 1, low);
}

void wavetts_move_low_pass(const LowPass *filter, const float *samples, int64_t step, float *low)
{
    int64_t length = filter->length, rest = length > step ? length - step : 0;
    float gone[step];
    for (int64_t i = 0; i < step; i++)
        gone[i] = -samples[i];
    memmove(low, low + length - rest, rest * sizeof(float));
    memset(low + rest, 0, (length - rest) * sizeof(float));
    wavetts_slide(rest, step, gone + step - 1, -1, filter->response + length + 1, low);
    wavetts_slide(rest, step, samples + length + step - 1, -1, filter->response + 1, low);
    wavetts_slide(length - rest, length, samples + length + step - 1, -1, filter->response + 1 + rest, low + rest);
}

/* energy[i]: of the `query` values from i on. */
static void windowed_energy(int64_t count, int64_t query, const float *values, float *energy)
{
    double total = 0.0;
    for (int64_t i = 0; i < query; i++)
        total += (double)values[i] * values[i];
    for (int64_t i = 0; i < count; i++) {
        energy[i] = (float)total;
        total += (double)values[i + query] * values[i + query] - (double)values[i] * values[i];
    }
}

VECTORISED float wavetts_pitch(const PitchSearch *search, const float *signal, float *lag)
{
    int64_t size = search->size, query = search->query, count = search->last - search->first + 1, place = 1;
    float scores[count], energy[count], low[size + SLIDE];
    memset(low + size, 0, SLIDE * sizeof(float));
    for (int64_t i = 0; i < size; i++)
        low[i] = signal[(search->length - 1) % search->step + i * search->step];
    /* The longest lag comes first. */
    const float *places = low + size - query - search->last;
    float own = 0.0f;
    for (int64_t i = size - query; i < size; i++)
        own += low[i] * low[i];
    memset(scores, 0, sizeof scores);
    wavetts_slide(count, query, low + size - query, 1, places, scores);
    windowed_energy(count, query, places, energy);
    for (int64_t i = 0; i < count; i++)
        scores[i] /= sqrtf(energy[i] * own + search->floor * search->floor);
    for (int64_t i = 2; i < count - 1; i++)
        place = scores[i] > scores[place] ? i : place;
    /* The parabola through the best one and its neighbours. */
    const float *near = scores + place - 1;
    float slope = near[2] - near[0], bend = near[0] - 2.0f * near[1] + near[2];
    float offset = limited(-0.5f * slope / (bend < -1e-6f ? bend : -1e-6f), -0.5f, 0.5f);
    *lag = limited(search->step * (search->last - place - offset), (search->first + 1) * search->step,
                   (search->last - 1) * search->step);
    return near[1] + 0.25f * slope * offset;
}

/* A signal's cubic after the sample before a place: its coefficients, and how far after it the place is. */
typedef struct {
    float value, first, second, third, part;
} Cubic;

INLINE Cubic cubic_at(int64_t length, const float *signal, float place)
{
    place = limited(place, 1.0f, (float)length - 2.001f);
    int64_t before = (int64_t)place;
    const float *near = signal + before;
    return (Cubic){
        near[0],
        0.5f * (near[1] - near[-1]),
        near[-1] - 2.5f * near[0] + 2.0f * near[1] - 0.5f * near[2],
        0.5f * (near[2] - near[-1]) + 1.5f * (near[0] - near[1]),
        place - (float)before,
    };
}

INLINE float value_of(Cubic cubic)
{
    return cubic.value + cubic.part * (cubic.first + cubic.part * (cubic.second + cubic.part * cubic.third));
}

INLINE float one_before(Period period, float place, int64_t length)
{
    return place - (period.lag + period.glide * (place - (float)length));
}

VECTORISED Period wavetts_fit_period(int64_t length, const float *signal, Period period, int64_t size, int64_t step)
{
    int64_t count = (size + step - 1) / step;
    float copied[count], slope[count], product = 0.0f, power = 0.0f;
    for (int64_t i = 0; i < count; i++) {
        int64_t time = length - size + i * step;
        Cubic cubic = cubic_at(length, signal, one_before(period, (float)time, length));
        copied[i] = value_of(cubic);
        slope[i] = cubic.first + cubic.part * (2.0f * cubic.second + 3.0f * cubic.part * cubic.third);
        product += copied[i] * signal[time];
        power += copied[i] * copied[i];
    }
    /* How much louder the end is than what is copied. */
    float gain = limited(product / (power + 1e-6f), 0.2f, 2.0f), aa = 0.0f, ab = 0.0f, bb = 0.0f, ae = 0.0f, be = 0.0f;
    for (int64_t i = 0; i < count; i++) {
        int64_t time = i * step - size;
        float error = signal[length + time] - gain * copied[i], by_lag = -gain * slope[i];
        float by_glide = by_lag * ((float)time / (float)size);
        aa += by_lag * by_lag, ab += by_lag * by_glide, bb += by_glide * by_glide;
        ae += by_lag * error, be += by_glide * error;
    }
    aa = aa * (1.0f + DAMPING) + 1e-6f, bb = bb * (1.0f + DAMPING) + 1e-6f;
    float determinant = aa * bb - ab * ab;
    float lag = limited((bb * ae - ab * be) / determinant, -LONGEST_STEP, LONGEST_STEP);
    float glide = limited((aa * be - ab * ae) / determinant / (float)size, -FASTEST_GLIDE / 2, FASTEST_GLIDE / 2);
    return (Period){period.lag + lag, limited(period.glide + glide, -FASTEST_GLIDE, FASTEST_GLIDE)};
}

void wavetts_copy_period(int64_t length, const float *signal, Period period, int64_t most, int64_t before,
                         int64_t count, float *copied)
{
    for (int64_t i = 0; i < count; i++) {
        float place = one_before(period, (float)(length - before + i), length);
        /* The last samples have none after them to interpolate with. */
        for (int64_t j = 0; j < most && place > (float)(length - 3); j++)
            place = one_before(period, place, length);
        copied[i] = value_of(cubic_at(length, signal, place));
    }
}

float wavetts_voicing(const PitchSearch *search, const float *low, float voiced_scale)
{
    float lag, voiced = (wavetts_pitch(search, low, &lag) - UNVOICED) / (VOICED - UNVOICED);
    return 1.0f + (voiced_scale - 1.0f) * limited(voiced, 0.0f, 1.0f);
}
