/* Frames to a waveform: WaveTacotron.to_waveform. */

#include "kernel.h"

typedef struct {
    double coefficient; /* of the pre-emphasis */
    float scale;
} Deemphasis;

/* frames (rows, length), and the waveform's samples before them (rows,), to its samples (rows, length). */
int wavetts_deemphasise(const Deemphasis *deemphasis, int64_t rows, int64_t length, const float *frames,
                        const float *last_samples, float *waveform)
{
    for (int64_t row = 0; row < rows; row++) {
        double sample = last_samples[row];
        for (int64_t i = row * length; i < (row + 1) * length; i++)
            waveform[i] = (float)(sample = frames[i] / deemphasis->scale + deemphasis->coefficient * sample);
    }
    return 0;
}
