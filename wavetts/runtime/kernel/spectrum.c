/* What decoder and subframes see of samples: their spectrum. */

#include "kernel.h"

#include <math.h>

VECTORISED void wavetts_log_magnitudes(const Spectrum *spectrum, float loudest, const float *restrict samples,
                                       float *restrict result, float *restrict scratch)
{
    int64_t first = spectrum->first, second = spectrum->second, length = first * second;
    float *windowed = scratch, *real = windowed + length, *imaginary = real + first;
    float *outer_real = imaginary + first, *outer_imaginary = outer_real + first;
    for (int64_t i = 0; i < length; i++)
        windowed[i] = samples[i] * spectrum->window[i];
    /* The samples are real: of a bin and its mirror image one is enough. */
    for (int64_t bin = 0; bin <= second / 2; bin++) {
        for (int64_t i = 0; i < first; i++)
            real[i] = imaginary[i] = outer_real[i] = outer_imaginary[i] = 0.0f;
        for (int64_t j = 0; j < second; j++) {
            float cosine = spectrum->inner_cos[bin * second + j], sine = spectrum->inner_sin[bin * second + j];
            for (int64_t i = 0; i < first; i++) {
                real[i] += cosine * windowed[j * first + i];
                imaginary[i] -= sine * windowed[j * first + i];
            }
        }
        for (int64_t i = 0; i < first; i++) {
            float cosine = spectrum->turn_cos[bin * first + i], sine = spectrum->turn_sin[bin * first + i];
            float x = real[i] * cosine + imaginary[i] * sine, y = imaginary[i] * cosine - real[i] * sine;
            for (int64_t j = 0; j < first; j++) {
                cosine = spectrum->outer_cos[i * first + j], sine = spectrum->outer_sin[i * first + j];
                outer_real[j] += x * cosine + y * sine;
                outer_imaginary[j] += y * cosine - x * sine;
            }
        }
        for (int64_t j = 0; j < first; j++) {
            int64_t place = bin + second * j, mirrored = place <= length / 2 ? place : length - place;
            if (mirrored > 0)
                result[mirrored - 1] = outer_real[j] * outer_real[j] + outer_imaginary[j] * outer_imaginary[j];
        }
    }
    for (int64_t i = 0; i < length / 2; i++) {
        float value = 0.5f * (logf(sqrtf(result[i]) + 0.1f) - 1.0f);
        result[i] = value > loudest ? loudest : value;
    }
}
