/* Subframes of linear prediction, drawn one by one: density/subframe.py and linear_prediction.py, whose names this
 * shares, and density/couplings.py. */

#include "kernel.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    int64_t frame_length, subframe_length, margin, num_layers;
    float range, level, softest, affine_bound;
    const float *position;      /* (frame_length / subframe_length, context_dim) */
    WhitenedPast past;
    PitchSearch voicing;        /* of length 0: not looked for */
    const float *low_pass;      /* (2 margin + 1,) */
    Linear cond;
    Linear input;               /* of the features, without a bias */
    const Linear *layers;       /* (num_layers,) */
    Linear shape;
    Linear envelope, cosine;    /* context to log power, the cepstra's part in it; power to autocorrelation */
    Linear gates;               /* less the 1 that is subtracted from them */
    Linear moments;
    Linear code, biases;        /* context to code, code to the couplings' first biases; none without couplings */
    Couplings couplings;
} LinearPrediction;

/* What drawing works with, for all rows; made anew for each call, as calls may come from several threads. What the
 * score takes, too, is there for each part and row: all parts have theirs in one go, so that weights are read once. */
typedef struct {
    int64_t rows;
    void *memory;
    Codes codes;
    Rows samples; /* those of the past, then the frame's */
    Rows low, voiced_low; /* what the past of a part has below the low-passes' frequency */
    Rows bias, features, period, copied, hidden, gates, code, biases;
    Rows context, shape, other, power, correlation, filter, gain, mean_scale; /* (parts, rows) */
    CouplingWork couplings, scores;
} Work;

VECTORISED static void to_power(int64_t length, float range, float level, float *restrict log_power)
{
    for (int64_t i = 0; i < length; i++)
        log_power[i] = exponential(bounded(log_power[i], range) + level);
}

/* How loud a copied period is taken to be. */
VECTORISED static float level_of(int64_t length, float softest, const float *restrict period)
{
    float power = 0.0f;
    for (int64_t i = 0; i < length; i++)
        power += period[i] * period[i];
    return sqrtf(power / (float)length + softest);
}

/* What the period tells of the residual: gates of what it has above the low-pass, then of what it has below. */
VECTORISED static void pass_gates(int64_t length, const float *restrict gates, const float *restrict period,
                                  const float *restrict low, float *restrict copied)
{
    for (int64_t i = 0; i < length; i++)
        copied[i] = sigmoid(gates[i]) * (period[i] - low[i]) + sigmoid(gates[length + i]) * low[i];
}

VECTORISED static void to_residual(int64_t length, float gain, const float *restrict copied, float *restrict u)
{
    for (int64_t i = 0; i < length; i++)
        u[i] = (u[i] + copied[i]) * gain;
}

static Rows part_of(Rows rows, int64_t part, const Work *work)
{
    return (Rows){rows.data + part * work->rows * rows.stride, rows.stride};
}

/* Filters and gains, of the contexts alone: of all parts together, so that weights are read once. */
static void shape(const LinearPrediction *density, Work *work)
{
    int64_t width = density->cond.outputs, parts = density->frame_length / density->subframe_length;
    int64_t rows = parts * work->rows;
    for (int64_t i = 0; i < rows; i++) {
        float *context = row_of(work->context, i);
        for (int64_t j = 0; j < width; j++)
            context[j] = row_of(work->bias, i % work->rows)[j] + density->position[i / work->rows * width + j];
        memcpy(row_of(work->shape, i), context, width * sizeof(float));
        wavetts_silu(width, row_of(work->shape, i));
    }
    wavetts_residual_layer(&density->shape, rows, work->shape, work->other, work->codes);
    wavetts_product(&density->envelope, rows, work->shape, bias_of(&density->envelope), work->power, work->codes);
    for (int64_t i = 0; i < rows; i++)
        to_power(density->envelope.outputs, density->range, density->level, row_of(work->power, i));
    wavetts_product(&density->cosine, rows, work->power, bias_of(&density->cosine), work->correlation, work->codes);
    for (int64_t i = 0; i < rows; i++)
        *row_of(work->gain, i) =
            sqrtf(wavetts_levinson(density->past.order, row_of(work->correlation, i), row_of(work->filter, i)));
}

/* The last period through the filter of what is to come, below the low-pass too; and all features. */
static void copy_period(const LinearPrediction *density, int64_t part, int64_t row, float *period, Work *work)
{
    int64_t length = density->subframe_length, order = density->past.order, wide = length + 2 * density->margin;
    int64_t index = part * work->rows + row;
    float last[density->past.count + SLIDE], filter[order + 1], gain = *row_of(work->gain, index);
    float *features = row_of(work->features, row), *low = period + wide + SLIDE;
    memset(last, 0, sizeof last);
    memset(period, 0, work->period.stride * sizeof(float));
    wavetts_see_past(&density->past, row_of(work->samples, row) + part * length, row_of(work->low, row),
                     features + 2 * length, last);
    for (int64_t i = 0; i <= order; i++)
        filter[i] = row_of(work->filter, index)[i] / gain;
    wavetts_slide(wide, order + 1, filter + order, -1, last, period);
    wavetts_slide(length, 2 * density->margin + 1, density->low_pass, 1, period, low);
    float factor = 1.0f / level_of(wide, density->softest, period);
    wavetts_clamp(length, factor, period + density->margin, features);
    wavetts_clamp(length, factor, low, features + length);
}

/* What the past tells, in `copied`, and the residual's context, in `hidden`. */
static void predict(const LinearPrediction *density, int64_t part, Work *work)
{
    int64_t rows = work->rows, length = density->subframe_length, margin = density->margin;
    Rows context = part_of(work->context, part, work);
    for (int64_t row = 0; row < rows; row++)
        copy_period(density, part, row, row_of(work->period, row), work);
    wavetts_product(&density->input, rows, work->features, context, work->hidden, work->codes);
    for (int64_t row = 0; row < rows; row++)
        wavetts_silu(density->cond.outputs, row_of(work->hidden, row));
    for (int64_t i = 0; i < density->num_layers; i++)
        wavetts_residual_layer(density->layers + i, rows, work->hidden, work->other, work->codes);
    wavetts_product(&density->gates, rows, work->hidden, bias_of(&density->gates), work->gates, work->codes);
    for (int64_t row = 0; row < rows; row++) {
        const float *period = row_of(work->period, row);
        pass_gates(length, row_of(work->gates, row), period + margin, period + length + 2 * margin + SLIDE,
                   row_of(work->copied, row));
    }
}

/* The low-passed samples before a part, from those before the part before it if there is one. */
static void follow(const LowPass *filter, int64_t part, int64_t length, const float *samples, float *low)
{
    if (part)
        wavetts_move_low_pass(filter, samples + (part - 1) * length, length, low);
    else
        wavetts_low_pass(filter, samples, low);
}

/* The noise of a part, softer where the past is voiced, in `couplings.x`. */
static void begin(const LinearPrediction *density, int64_t part, const float *noise, const float *voiced_scale,
                  Work *work)
{
    int64_t length = density->subframe_length;
    for (int64_t row = 0; row < work->rows; row++) {
        const float *drawn = noise + row * density->frame_length + part * length;
        const float *past = row_of(work->samples, row);
        float *x = row_of(work->couplings.x, row), *low = row_of(work->voiced_low, row), scale = 1.0f;
        follow(&density->past.search.low_pass, part, length, past, row_of(work->low, row));
        if (density->voicing.length && voiced_scale[row] != 1.0f) {
            past += density->past.length - density->voicing.length;
            follow(&density->voicing.low_pass, part, length, past, low);
            scale = wavetts_voicing(&density->voicing, low, voiced_scale[row]);
        }
        for (int64_t i = 0; i < length; i++)
            x[i] = drawn[i] * scale;
        for (int64_t i = 0; i < length && work->scores.rows; i++)
            row_of(part_of(work->scores.x, part, work), row)[i] = -x[i];
    }
}

/* CouplingFlow.inverse, from the context in `hidden`: the noise becomes the residual. */
static void draw_residual(const LinearPrediction *density, int64_t part, Work *work)
{
    int64_t rows = work->rows, length = density->subframe_length;
    Rows mean_scale = part_of(work->mean_scale, part, work);
    wavetts_product(&density->moments, rows, work->hidden, bias_of(&density->moments), mean_scale, work->codes);
    if (density->couplings.count) {
        wavetts_product(&density->code, rows, work->hidden, bias_of(&density->code), work->code, work->codes);
        wavetts_product(&density->biases, rows, work->code, bias_of(&density->biases), work->biases, work->codes);
    }
    if (work->scores.rows)
        work->couplings.tape = part_of(work->scores.tape, part, work);
    wavetts_undo_couplings(&density->couplings, work->biases, &work->couplings);
    for (int64_t row = 0; row < rows; row++)
        wavetts_undo_affine(length, density->affine_bound, row_of(mean_scale, row), row_of(work->couplings.x, row));
}

/* Residual to samples, after those of the past. */
static void synthesise(const LinearPrediction *density, int64_t part, Work *work)
{
    int64_t length = density->subframe_length, order = density->past.order;
    Rows filter = part_of(work->filter, part, work), gain = part_of(work->gain, part, work);
    for (int64_t row = 0; row < work->rows; row++) {
        float *residual = row_of(work->couplings.x, row);
        to_residual(length, *row_of(gain, row), row_of(work->copied, row), residual);
        wavetts_synthesise(length, order, row_of(filter, row), residual,
                           row_of(work->samples, row) + density->past.length + part * length);
    }
}

/*
 * The gradient of the frame's log-density by its samples: the noise's, through the couplings, the affine layer and the
 * filter. The last reaches into the part before; what a network sees of samples counts as given.
 */
static void add_scores(const LinearPrediction *density, float variance, float *heard, Work *work)
{
    int64_t length = density->subframe_length, order = density->past.order, rows = work->rows;
    float late[2 * order + length + SLIDE], early[order + length];
    wavetts_coupling_score(&density->couplings, &work->scores);
    for (int64_t i = 0; i < work->scores.rows; i++) {
        int64_t part = i / rows, before = part * length < order ? part * length : order;
        float *score = row_of(work->scores.x, i), *target = heard + i % rows * density->frame_length + part * length;
        float factor = variance / *row_of(work->gain, i);
        wavetts_affine_score(length, density->affine_bound, row_of(work->mean_scale, i), score);
        memset(late, 0, sizeof late);
        memset(early, 0, sizeof early);
        for (int64_t j = 0; j < length; j++)
            late[order + j] = factor * score[j];
        wavetts_slide(order + length, order + 1, row_of(work->filter, i), 1, late, early);
        for (int64_t j = order - before; j < order + length; j++)
            target[j - order] += early[j];
    }
}

static int allocate(const LinearPrediction *density, int64_t scored, Work *work)
{
    int64_t width = density->cond.outputs, length = density->subframe_length, order = density->past.order;
    int64_t parts = density->frame_length / length;
    const int64_t widths[] = {
        density->past.length + density->frame_length + SLIDE, density->past.length + SLIDE,
        density->voicing.length, width, density->input.inputs,
        2 * length + 2 * density->margin + SLIDE, length, width, 2 * length, density->code.outputs,
        density->biases.outputs, width, width, width, density->envelope.outputs, order + 1, order + 1, 1, 2 * length,
    };
    Rows *places[] = {
        &work->samples, &work->low, &work->voiced_low, &work->bias, &work->features,
        &work->period, &work->copied, &work->hidden, &work->gates, &work->code,
        &work->biases, &work->context, &work->shape, &work->other, &work->power, &work->correlation, &work->filter,
        &work->gain, &work->mean_scale,
    };
    /* Wider than what any matrix is applied to. */
    int64_t widest = wavetts_coupling_values(&density->couplings, 0) + width + density->cond.inputs
        + density->input.inputs + density->envelope.outputs + density->code.outputs;
    int64_t count = sizeof widths / sizeof *widths, once = 11, values_per_row = parts * code_values(widest);
    for (int64_t i = 0; i < count; i++)
        values_per_row += widths[i] * (i < once ? 1 : parts);
    values_per_row += wavetts_coupling_values(&density->couplings, 0);
    values_per_row += scored ? parts * wavetts_coupling_values(&density->couplings, 1) : 0;
    float *values = malloc(work->rows * sizeof(float) * values_per_row);
    if (!(work->memory = values))
        return -1;
    for (int64_t i = 0; i < count; i++)
        *places[i] = (Rows){take(&values, widths[i] * work->rows * (i < once ? 1 : parts)), widths[i]};
    /* A filter reads on beyond the samples that there are so far. */
    memset(work->samples.data, 0, work->samples.stride * work->rows * sizeof(float));
    memset(work->low.data, 0, work->low.stride * work->rows * sizeof(float));
    work->couplings.rows = work->rows;
    wavetts_place_couplings(&density->couplings, 0, &values, &work->couplings);
    work->scores.rows = scored ? parts * work->rows : 0;
    wavetts_place_couplings(&density->couplings, scored, &values, &work->scores);
    work->codes = place_codes(parts * work->rows, widest, &values);
    work->couplings.codes = work->scores.codes = work->codes;
    return 0;
}

/*
 * noise (rows, K), voiced_scale (rows,) and cond (rows, C + P), P samples before, to frames (rows, K) and, if `scored`,
 * these without a dither of this variance (1,), `heard` (rows, K), else the same; not 0 if memory is full.
 */
int wavetts_linear_prediction(const LinearPrediction *density, int64_t rows, int64_t scored, const float *noise,
                              const float *voiced_scale, const float *cond, const float *variance, float *frames,
                              float *heard)
{
    Work work = {.rows = rows};
    if (allocate(density, scored, &work))
        return -1;
    int64_t length = density->frame_length, past_length = density->past.length, cond_dim = density->cond.inputs;
    Rows conds = {(float *)cond, cond_dim + past_length};
    for (int64_t row = 0; row < rows; row++)
        memcpy(row_of(work.samples, row), row_of(conds, row) + cond_dim, past_length * sizeof(float));
    wavetts_product(&density->cond, rows, conds, bias_of(&density->cond), work.bias, work.codes);
    shape(density, &work);
    for (int64_t part = 0; part < length / density->subframe_length; part++) {
        begin(density, part, noise, voiced_scale, &work);
        predict(density, part, &work);
        draw_residual(density, part, &work);
        synthesise(density, part, &work);
    }
    for (int64_t row = 0; row < rows; row++)
        memcpy(frames + row * length, row_of(work.samples, row) + past_length, length * sizeof(float));
    memcpy(heard, frames, rows * length * sizeof(float));
    if (scored)
        add_scores(density, *variance, heard, &work);
    free(work.memory);
    return 0;
}
