/* How periodic a signal is, and with which period: density/pitch.py, whose names this shares. */

#include "kernel.h"

#include <math.h>

/* Of the best correlation of the last 15 ms: below the one nothing is voiced, above the other all is. */
#define UNVOICED 0.35f
#define VOICED 0.75f

void wavetts_low_pass(const PitchSearch *search, int64_t start, int64_t count, const float *samples, float *low)
{
    int64_t length = search->length;
    memset(low, 0, count * sizeof(float));
    wavetts_slide(count, length, samples + length - 1, -1, search->response + start, low);
}

/* The low-passed signal at every `step`th sample, the last one among them, then zeros that `wavetts_slide` reads. */
static void low_pass_sparsely(const PitchSearch *search, const float *samples, float *low)
{
    int64_t length = search->length, size = search->size, width = 2 * size + SLIDE;
    memset(low, 0, (size + SLIDE) * sizeof(float));
    for (int64_t phase = 0; phase < search->step; phase++) {
        int64_t taps = (length - 1 - phase) / search->step + 1;
        wavetts_slide(size, taps, samples + length - 1 - phase, -search->step, search->phases + phase * width, low);
    }
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

float wavetts_pitch(const PitchSearch *search, const float *samples, int64_t *lag)
{
    int64_t size = search->size, query = search->query, count = search->last - search->first + 1, place = 1;
    float low[size + SLIDE], scores[count], energy[count];
    low_pass_sparsely(search, samples, low);
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
    float offset = -0.5f * slope / (bend < -1e-6f ? bend : -1e-6f);
    offset = offset > -0.5f ? offset : -0.5f;
    offset = offset < 0.5f ? offset : 0.5f;
    if (lag) {
        float shortest = (float)((search->first + 1) * search->step), longest = (search->last - 1) * search->step;
        float found = rintf(search->step * (search->last - place - offset));
        /* No number, too: what is converted must be in range. */
        found = found > shortest ? found : shortest;
        *lag = (int64_t)(found < longest ? found : longest);
    }
    return near[1] + 0.25f * slope * offset;
}

float wavetts_voicing(const PitchSearch *search, const float *samples, float voiced_scale)
{
    float voiced = (wavetts_pitch(search, samples, NULL) - UNVOICED) / (VOICED - UNVOICED);
    voiced = voiced > 0.0f ? voiced : 0.0f;
    return 1.0f + (voiced_scale - 1.0f) * (voiced < 1.0f ? voiced : 1.0f);
}
