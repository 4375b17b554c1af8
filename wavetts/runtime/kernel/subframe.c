/* The inverse of a subframe flow: density/subframe.py and density/compact.py, whose names this shares. */

#include "kernel.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    int64_t frame_length, subframe_length;
    float affine_bound, loudest;
    Spectrum spectrum;
    const float *position;            /* (frame_length / subframe_length, context_dim) */
    Linear past, cond, layer;         /* of SubframeFlow */
    Linear biases;                    /* CompactFlow.cond_linear: the couplings' first biases */
    Linear affine, envelope, cosines; /* of ConditionalAffine; without cepstra the last two have no outputs */
    Linear dct;                       /* its inverse */
    Couplings couplings;
} SubframeFlow;

VECTORISED static void divide_by_level(int64_t length, const float *restrict samples, float *restrict scaled)
{
    float power = 0.0f;
    for (int64_t i = 0; i < length; i++)
        power += samples[i] * samples[i];
    float factor = 1.0f / sqrtf(power / (float)length + 1e-3f);
    for (int64_t i = 0; i < length; i++)
        scaled[i] = samples[i] * factor;
}

/* What an inverse works with, for all rows; made anew for each call, as calls may come from several threads. */
typedef struct {
    int64_t rows;
    void *memory;
    Codes codes;
    Rows samples, seen, bias, added, hidden, other, biases, mean_scale, envelope;
    CouplingWork couplings;
    float *spectrum;
} Work;

/* The flow's context, in `hidden`, for the subframe whose past samples begin at `start`. */
static void see(const SubframeFlow *flow, int64_t part, Work *work)
{
    int64_t frame_length = flow->frame_length, start = part * flow->subframe_length, width = flow->layer.outputs;
    for (int64_t row = 0; row < work->rows; row++) {
        const float *past = row_of(work->samples, row) + start;
        float *seen = row_of(work->seen, row), *added = row_of(work->added, row);
        divide_by_level(frame_length, past, seen);
        wavetts_log_magnitudes(&flow->spectrum, flow->loudest, past, seen + frame_length, work->spectrum);
        for (int64_t i = 0; i < width; i++)
            added[i] = row_of(work->bias, row)[i] + flow->position[part * width + i];
    }
    wavetts_product(&flow->past, work->rows, work->seen, work->added, work->hidden, work->codes);
    for (int64_t row = 0; row < work->rows; row++)
        wavetts_silu(width, row_of(work->hidden, row));
    wavetts_residual_layer(&flow->layer, work->rows, work->hidden, work->other, work->codes);
}

/* CompactFlow.inverse: noise in `couplings.x`, context in `hidden`; the samples go to where `frames` is. */
static void draw(const SubframeFlow *flow, Rows frames, Work *work)
{
    int64_t length = flow->subframe_length, rows = work->rows;
    wavetts_product(&flow->biases, rows, work->hidden, bias_of(&flow->biases), work->biases, work->codes);
    wavetts_product(&flow->affine, rows, work->hidden, bias_of(&flow->affine), work->mean_scale, work->codes);
    Rows log_scale = {work->mean_scale.data + length, work->mean_scale.stride};
    if (flow->envelope.outputs) {
        wavetts_product(&flow->envelope, rows, work->hidden, bias_of(&flow->envelope), work->envelope, work->codes);
        wavetts_product(&flow->cosines, rows, work->envelope, log_scale, log_scale, work->codes);
    }
    wavetts_undo_couplings(&flow->couplings, work->biases, &work->couplings);
    Rows x = work->couplings.x;
    for (int64_t row = 0; row < rows; row++)
        wavetts_undo_affine(length, flow->affine_bound, row_of(work->mean_scale, row), row_of(x, row));
    wavetts_product(&flow->dct, rows, x, bias_of(&flow->dct), frames, work->codes);
}

static int allocate(const SubframeFlow *flow, Work *work)
{
    int64_t width = flow->layer.outputs, seen = flow->past.inputs, length = flow->subframe_length;
    int64_t hidden = flow->couplings.networks->outputs, most = flow->cond.inputs;
    most = most > seen ? most : seen;
    most = most > width ? most : width;
    most = most > hidden ? most : hidden;
    int64_t lengths[] = {2 * flow->frame_length, seen, width, width, width, width, flow->biases.outputs,
                         2 * length, flow->envelope.outputs};
    Rows *parts[] = {&work->samples, &work->seen, &work->bias, &work->added, &work->hidden, &work->other,
                     &work->biases, &work->mean_scale, &work->envelope};
    int64_t count = sizeof lengths / sizeof *lengths, total = code_values(most);
    total += wavetts_coupling_values(&flow->couplings, 0);
    for (int64_t i = 0; i < count; i++)
        total += lengths[i];
    float *values = malloc(sizeof(float) * (total * work->rows + 5 * flow->frame_length));
    if (!(work->memory = values))
        return -1;
    for (int64_t i = 0; i < count; i++)
        *parts[i] = (Rows){take(&values, lengths[i] * work->rows), lengths[i]};
    work->couplings.rows = work->rows;
    wavetts_place_couplings(&flow->couplings, 0, &values, &work->couplings);
    work->spectrum = take(&values, 5 * flow->frame_length);
    work->couplings.codes = work->codes = place_codes(work->rows, most, &values);
    return 0;
}

/* noise (rows, K) and cond (rows, C + K) to frames (rows, K), K samples; not 0 if memory is full. */
int wavetts_subframe_inverse(const SubframeFlow *flow, int64_t rows, const float *noise, const float *cond,
                             float *frames)
{
    Work work = {.rows = rows};
    if (allocate(flow, &work))
        return -1;
    int64_t length = flow->frame_length, part_length = flow->subframe_length, cond_dim = flow->cond.inputs;
    size_t part_size = part_length * sizeof(float);
    for (int64_t row = 0; row < rows; row++)
        memcpy(row_of(work.samples, row), cond + row * (cond_dim + length) + cond_dim, length * sizeof(float));
    Rows conds = {(float *)cond, cond_dim + length};
    wavetts_product(&flow->cond, rows, conds, bias_of(&flow->cond), work.bias, work.codes);
    for (int64_t part = 0; part < length / part_length; part++) {
        see(flow, part, &work);
        for (int64_t row = 0; row < rows; row++)
            memcpy(row_of(work.couplings.x, row), noise + row * length + part * part_length, part_size);
        draw(flow, (Rows){work.samples.data + length + part * part_length, work.samples.stride}, &work);
    }
    for (int64_t row = 0; row < rows; row++)
        memcpy(frames + row * length, row_of(work.samples, row) + length, length * sizeof(float));
    free(work.memory);
    return 0;
}
