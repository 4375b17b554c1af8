/* Subframes of linear prediction, drawn one by one: density/subframe.py and linear_prediction.py, whose names this
 * shares, and density/couplings.py. */

#include "kernel.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    int64_t frame_length, subframe_length, num_layers;
    float range, level, affine_bound;
    const float *position;      /* (frame_length / subframe_length, context_dim) */
    WhitenedPast past;
    PitchSearch voicing;        /* of length 0: not looked for */
    Linear cond;
    Linear input;               /* of the features, without a bias */
    const Linear *layers;       /* (num_layers,) */
    Linear envelope, cosine;    /* context to log power, the cepstra's part in it; power to autocorrelation */
    Linear gates;               /* less the 1 that is subtracted from them */
    Linear moments;
    Linear code, biases;        /* context to code, code to the couplings' first biases; none without couplings */
    Couplings couplings;
} LinearPrediction;

/* What drawing works with, for all rows; made anew for each call, as calls may come from several threads. */
typedef struct {
    int64_t rows;
    void *memory;
    Codes codes;
    Rows samples, score; /* with the past; with what would belong to the past, and of the frame */
    Rows bias, added, features, copied, hidden, other, power, correlation, filter, gain, gates, mean_scale, code, biases;
    CouplingWork couplings;
} Work;

VECTORISED static void to_power(int64_t length, float range, float level, float *restrict log_power)
{
    for (int64_t i = 0; i < length; i++)
        log_power[i] = exponential(bounded(log_power[i], range) + level);
}

/* The part of the residual that is known: `copied` has the last period, then its low part. */
VECTORISED static void pass_gates(int64_t length, const float *restrict gates, float *restrict copied)
{
    for (int64_t i = 0; i < length; i++)
        copied[i] = sigmoid(gates[i]) * copied[i] + sigmoid(gates[length + i]) * copied[length + i];
}

VECTORISED static void to_residual(int64_t length, float gain, const float *restrict copied, float *restrict u)
{
    for (int64_t i = 0; i < length; i++)
        u[i] = (u[i] + copied[i]) * gain;
}

/* LinearPrediction._predict, of which the residual's context is left in `hidden`. */
static void predict(const LinearPrediction *density, int64_t part, Work *work)
{
    int64_t rows = work->rows, length = density->subframe_length, width = density->cond.outputs;
    for (int64_t row = 0; row < rows; row++) {
        wavetts_see_past(&density->past, length, row_of(work->samples, row) + part * length,
                         row_of(work->features, row), row_of(work->copied, row));
        for (int64_t i = 0; i < width; i++)
            row_of(work->added, row)[i] = row_of(work->bias, row)[i] + density->position[part * width + i];
    }
    wavetts_product(&density->input, rows, work->features, work->added, work->hidden, work->codes);
    for (int64_t row = 0; row < rows; row++)
        wavetts_silu(width, row_of(work->hidden, row));
    for (int64_t i = 0; i < density->num_layers; i++)
        wavetts_residual_layer(density->layers + i, rows, work->hidden, work->other, work->codes);
    wavetts_product(&density->envelope, rows, work->hidden, bias_of(&density->envelope), work->power, work->codes);
    wavetts_product(&density->gates, rows, work->hidden, bias_of(&density->gates), work->gates, work->codes);
    for (int64_t row = 0; row < rows; row++) {
        to_power(density->envelope.outputs, density->range, density->level, row_of(work->power, row));
        pass_gates(length, row_of(work->gates, row), row_of(work->copied, row));
    }
    wavetts_product(&density->cosine, rows, work->power, bias_of(&density->cosine), work->correlation, work->codes);
    for (int64_t row = 0; row < rows; row++)
        *row_of(work->gain, row) =
            sqrtf(wavetts_levinson(density->past.order, row_of(work->correlation, row), row_of(work->filter, row)));
}

/* CouplingFlow.inverse: the noise in `couplings.x` becomes the residual, and its score that of the residual. */
static void draw_residual(const LinearPrediction *density, Work *work)
{
    int64_t rows = work->rows, length = density->subframe_length;
    CouplingWork *flow = &work->couplings;
    wavetts_product(&density->moments, rows, work->hidden, bias_of(&density->moments), work->mean_scale, work->codes);
    if (density->couplings.count) {
        wavetts_product(&density->code, rows, work->hidden, bias_of(&density->code), work->code, work->codes);
        wavetts_product(&density->biases, rows, work->code, bias_of(&density->biases), work->biases, work->codes);
    }
    wavetts_undo_couplings(&density->couplings, work->biases, flow);
    for (int64_t row = 0; row < rows; row++) {
        const float *mean_scale = row_of(work->mean_scale, row);
        wavetts_undo_affine(length, density->affine_bound, mean_scale, row_of(flow->x, row));
        if (flow->scored)
            wavetts_affine_score(length, density->affine_bound, mean_scale, row_of(flow->score, row));
    }
}

/* Residual to samples, after those of the past; and the score of both, as the filter sees the samples before, too. */
static void synthesise(const LinearPrediction *density, int64_t part, Work *work)
{
    int64_t length = density->subframe_length, order = density->past.order, place = part * length;
    float late[2 * order + length + SLIDE];
    for (int64_t row = 0; row < work->rows; row++) {
        const float *filter = row_of(work->filter, row), *score = row_of(work->couplings.score, row);
        float gain = *row_of(work->gain, row), *residual = row_of(work->couplings.x, row);
        to_residual(length, gain, row_of(work->copied, row), residual);
        wavetts_synthesise(length, order, filter, residual, row_of(work->samples, row) + density->past.length + place);
        if (!work->couplings.scored)
            continue;
        memset(late, 0, sizeof late);
        for (int64_t i = 0; i < length; i++)
            late[order + i] = score[i] / gain;
        wavetts_slide(order + length, order + 1, filter, 1, late, row_of(work->score, row) + place);
    }
}

static int allocate(const LinearPrediction *density, Work *work)
{
    int64_t width = density->cond.outputs, length = density->subframe_length, order = density->past.order;
    int64_t lengths[] = {
        density->past.length + density->frame_length + SLIDE, order + density->frame_length, width, width,
        density->input.inputs, 2 * length, width, width, density->envelope.outputs, order + 1, order + 1, 1,
        2 * length, 2 * length, density->code.outputs, density->biases.outputs,
    };
    Rows *parts[] = {
        &work->samples, &work->score, &work->bias, &work->added,
        &work->features, &work->copied, &work->hidden, &work->other, &work->power, &work->correlation, &work->filter,
        &work->gain, &work->gates, &work->mean_scale, &work->code, &work->biases,
    };
    int64_t count = sizeof lengths / sizeof *lengths, total = 0;
    for (int64_t i = 0; i < count; i++)
        total += lengths[i];
    total += wavetts_coupling_values(&density->couplings) + 1;
    /* More than anything is wide that a matrix is applied to. */
    int64_t codes = total + density->cond.inputs;
    float *values = calloc(work->rows, sizeof(float) * total + sizeof(int16_t) * codes);
    if (!(work->memory = values))
        return -1;
    for (int64_t i = 0; i < count; i++)
        *parts[i] = (Rows){take(&values, lengths[i] * work->rows), lengths[i]};
    work->couplings.rows = work->rows;
    wavetts_place_couplings(&density->couplings, &values, &work->couplings);
    work->codes.steps = take(&values, work->rows);
    work->codes.values = (int16_t *)values;
    work->couplings.codes = work->codes;
    return 0;
}

/* The noise of a subframe, softer where the past is voiced, and its score. */
static void begin(const LinearPrediction *density, int64_t part, const float *noise, const float *voiced_scale,
                  Work *work)
{
    int64_t length = density->subframe_length;
    for (int64_t row = 0; row < work->rows; row++) {
        const float *drawn = noise + row * density->frame_length + part * length;
        const float *past = row_of(work->samples, row) + density->past.length + part * length - density->voicing.length;
        float *x = row_of(work->couplings.x, row), *score = row_of(work->couplings.score, row), scale = 1.0f;
        if (density->voicing.length && voiced_scale[row] != 1.0f)
            scale = wavetts_voicing(&density->voicing, past, voiced_scale[row]);
        for (int64_t i = 0; i < length; i++)
            x[i] = drawn[i] * scale, score[i] = -x[i];
    }
}

/*
 * noise (rows, K), voiced_scale (rows,) and cond (rows, C + P), P samples before, to frames (rows, K) and, if `scored`,
 * these without a dither of this variance (1,), `heard` (rows, K), else the same; not 0 if memory is full.
 */
int wavetts_linear_prediction(const LinearPrediction *density, int64_t rows, int64_t scored, const float *noise,
                              const float *voiced_scale, const float *cond, const float *variance, float *frames,
                              float *heard)
{
    Work work = {.rows = rows, .couplings.scored = scored};
    if (allocate(density, &work))
        return -1;
    int64_t length = density->frame_length, past_length = density->past.length, cond_dim = density->cond.inputs;
    Rows conds = {(float *)cond, cond_dim + past_length};
    for (int64_t row = 0; row < rows; row++)
        memcpy(row_of(work.samples, row), row_of(conds, row) + cond_dim, past_length * sizeof(float));
    wavetts_product(&density->cond, rows, conds, bias_of(&density->cond), work.bias, work.codes);
    for (int64_t part = 0; part < length / density->subframe_length; part++) {
        begin(density, part, noise, voiced_scale, &work);
        predict(density, part, &work);
        draw_residual(density, &work);
        synthesise(density, part, &work);
    }
    for (int64_t row = 0; row < rows; row++) {
        const float *drawn = row_of(work.samples, row) + past_length;
        const float *score = row_of(work.score, row) + density->past.order;
        for (int64_t i = 0; i < length; i++) {
            frames[row * length + i] = drawn[i];
            heard[row * length + i] = drawn[i] + *variance * score[i];
        }
    }
    free(work.memory);
    return 0;
}
