/* The inverse of a subframe flow: density/subframe.py and density/compact.py, whose names this shares. */

#include "kernel.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    int64_t frame_length, subframe_length, num_couplings, num_layers;
    float affine_bound, scale_bound, loudest;
    Spectrum spectrum;
    const float *position;            /* (frame_length / subframe_length, context_dim) */
    Linear past, cond, layer;         /* of SubframeFlow */
    Linear biases;                    /* CompactFlow.cond_linear: the couplings' first biases */
    Linear affine, envelope, cosines; /* of ConditionalAffine; without cepstra the last two have no outputs */
    Linear dct;                       /* its inverse */
    const Linear *couplings;          /* (num_couplings, num_layers + 2): input, layers, output */
    const int64_t *orders;            /* (num_couplings / 2, subframe_length): of the permutations' inverses */
} SubframeFlow;

INLINE float bounded(float x, float bound) { return bound * hyperbolic_tangent(x / bound); }

VECTORISED static void add_silu(int64_t length, const float *restrict x, float *restrict sum)
{
    for (int64_t i = 0; i < length; i++)
        sum[i] += x[i] * sigmoid(x[i]);
}

/* Undoes an affine coupling whose network gave shifts and unbounded log-scales. */
VECTORISED static void undo_coupling(int64_t length, float bound, const float *restrict shift_scale, float *restrict z)
{
    for (int64_t i = 0; i < length; i++)
        z[i] = (z[i] - shift_scale[i]) * exponential(-bounded(shift_scale[length + i], bound));
}

VECTORISED static void undo_affine(int64_t length, float bound, const float *restrict mean_scale, float *restrict z)
{
    for (int64_t i = 0; i < length; i++)
        z[i] = z[i] * exponential(bounded(mean_scale[length + i], bound)) + mean_scale[i];
}

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
    Rows samples, seen, bias, added, hidden, other, biases, mean_scale, envelope, x, permuted, shift_scale;
    float *spectrum;
} Work;

static void residual_layer(const Linear *layer, Work *work)
{
    wavetts_product(layer, work->rows, work->hidden, bias_of(layer), work->other, work->codes);
    for (int64_t row = 0; row < work->rows; row++)
        add_silu(layer->outputs, row_of(work->other, row), row_of(work->hidden, row));
}

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
    residual_layer(&flow->layer, work);
}

/* MLPCoupling.inverse: changes z, given the half that is kept. */
static void undo_network(const SubframeFlow *flow, int64_t coupling, Rows kept, Rows z, Work *work)
{
    const Linear *network = flow->couplings + coupling * (flow->num_layers + 2);
    const Linear *output = network + flow->num_layers + 1;
    Rows bias = {work->biases.data + coupling * network->outputs, work->biases.stride};
    wavetts_product(network, work->rows, kept, bias, work->hidden, work->codes);
    for (int64_t row = 0; row < work->rows; row++)
        wavetts_silu(network->outputs, row_of(work->hidden, row));
    for (const Linear *layer = network + 1; layer < output; layer++)
        residual_layer(layer, work);
    wavetts_product(output, work->rows, work->hidden, bias_of(output), work->shift_scale, work->codes);
    for (int64_t row = 0; row < work->rows; row++)
        undo_coupling(flow->subframe_length / 2, flow->scale_bound, row_of(work->shift_scale, row), row_of(z, row));
}

/* CompactFlow.inverse: noise in x, context in `hidden`; the samples go to where `frames` is. */
static void draw(const SubframeFlow *flow, Rows frames, Work *work)
{
    int64_t length = flow->subframe_length, half = length / 2, rows = work->rows;
    wavetts_product(&flow->biases, rows, work->hidden, bias_of(&flow->biases), work->biases, work->codes);
    wavetts_product(&flow->affine, rows, work->hidden, bias_of(&flow->affine), work->mean_scale, work->codes);
    Rows log_scale = {work->mean_scale.data + length, work->mean_scale.stride};
    if (flow->envelope.outputs) {
        wavetts_product(&flow->envelope, rows, work->hidden, bias_of(&flow->envelope), work->envelope, work->codes);
        wavetts_product(&flow->cosines, rows, work->envelope, log_scale, log_scale, work->codes);
    }
    for (int64_t pair = flow->num_couplings / 2 - 1; pair >= 0; pair--) {
        Rows first = work->x, second = {work->x.data + half, work->x.stride}, permuted = work->permuted;
        undo_network(flow, 2 * pair + 1, second, first, work);
        undo_network(flow, 2 * pair, first, second, work);
        for (int64_t row = 0; row < rows; row++)
            for (int64_t i = 0; i < length; i++)
                row_of(permuted, row)[i] = row_of(work->x, row)[flow->orders[pair * length + i]];
        work->permuted = work->x, work->x = permuted;
    }
    for (int64_t row = 0; row < rows; row++)
        undo_affine(length, flow->affine_bound, row_of(work->mean_scale, row), row_of(work->x, row));
    wavetts_product(&flow->dct, rows, work->x, bias_of(&flow->dct), frames, work->codes);
}

static int allocate(const SubframeFlow *flow, Work *work)
{
    int64_t width = flow->layer.outputs, hidden = flow->couplings->outputs, seen = flow->past.inputs;
    hidden = hidden > width ? hidden : width;
    int64_t most = seen > hidden ? seen : hidden;
    most = most > flow->cond.inputs ? most : flow->cond.inputs;
    int64_t length = flow->subframe_length;
    int64_t lengths[] = {2 * flow->frame_length, seen, width, width, hidden, hidden, flow->biases.outputs,
                         2 * length, flow->envelope.outputs, length, length, length};
    Rows *parts[] = {&work->samples, &work->seen, &work->bias, &work->added, &work->hidden, &work->other,
                     &work->biases, &work->mean_scale, &work->envelope, &work->x, &work->permuted, &work->shift_scale};
    int64_t count = sizeof lengths / sizeof *lengths, total = 1 + most;
    for (int64_t i = 0; i < count; i++)
        total += lengths[i];
    float *values = malloc(sizeof(float) * (total * work->rows + 5 * flow->frame_length));
    if (!(work->memory = values))
        return -1;
    for (int64_t i = 0; i < count; i++)
        *parts[i] = (Rows){take(&values, lengths[i] * work->rows), lengths[i]};
    work->spectrum = take(&values, 5 * flow->frame_length);
    work->codes.steps = take(&values, work->rows);
    work->codes.values = (int16_t *)values;
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
            memcpy(row_of(work.x, row), noise + row * length + part * part_length, part_size);
        draw(flow, (Rows){work.samples.data + length + part * part_length, work.samples.stride}, &work);
    }
    for (int64_t row = 0; row < rows; row++)
        memcpy(frames + row * length, row_of(work.samples, row) + length, length * sizeof(float));
    free(work.memory);
    return 0;
}
