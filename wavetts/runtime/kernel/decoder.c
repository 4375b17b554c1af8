/* A step of the decoder with forward attention: decoder.py and attention.py, whose names this shares. */

#include "kernel.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    int64_t frame_length, num_prenet, num_lstms, num_head, skip;
    Spectrum spectrum;      /* of length 0: the decoder sees samples alone */
    const Linear *prenet;   /* (num_prenet,) */
    Linear attention_lstm;  /* gates of what came in and of the state, joined; of `lstms`, too */
    Linear query, hidden, move;
    Linear input;
    const Linear *lstms;    /* (num_lstms,) */
    const Linear *head;     /* (num_head,) */
    Linear stop;
} Decoder;

/* What a step works with; made anew for each. */
typedef struct {
    int64_t rows;
    Codes codes;
    Rows history, joined, gates, guided, a, b;
} Work;

VECTORISED static void hyperbolic_tangents(int64_t length, float *restrict x)
{
    for (int64_t i = 0; i < length; i++)
        x[i] = hyperbolic_tangent(x[i]);
}

/* Unnormalised logits to probabilities. */
VECTORISED static void softmax(int64_t length, float *restrict x)
{
    float peak = x[0], sum = 0.0f;
    for (int64_t i = 1; i < length; i++)
        peak = x[i] > peak ? x[i] : peak;
    for (int64_t i = 0; i < length; i++)
        sum += x[i] = exponential(x[i] - peak);
    for (int64_t i = 0; i < length; i++)
        x[i] /= sum;
}

/* ForwardAttention.step and the context it reads, for one row: of its `tokens` the first `count` are real. */
VECTORISED static void attend(int64_t tokens, int64_t count, int64_t memory_dim, int64_t key_dim, int64_t num_moves,
                              const float *restrict query, const float *restrict move, const float *restrict memory,
                              const float *restrict projected, const float *restrict old_weights,
                              float *restrict weights, float *restrict context)
{
    float moves[num_moves];
    memset(weights, 0, tokens * sizeof(float));
    for (int64_t token = 0; token < count; token++) {
        for (int64_t i = 0; i < num_moves; i++)
            moves[i] = move[i] + projected[token * (key_dim + num_moves) + key_dim + i];
        softmax(num_moves, moves);
        /* What would leave the text is lost; the softmax below makes up for it. */
        for (int64_t i = 0; i < num_moves && token + i < count; i++)
            weights[token + i] += old_weights[token] * moves[i];
    }
    for (int64_t token = 0; token < count; token++) {
        float energy = 0.0f;
        for (int64_t i = 0; i < key_dim; i++)
            energy += query[i] * projected[token * (key_dim + num_moves) + i];
        weights[token] = energy + logf(weights[token] + 1e-7f);
    }
    softmax(count, weights);
    memset(context, 0, memory_dim * sizeof(float));
    for (int64_t token = 0; token < count; token++)
        for (int64_t i = 0; i < memory_dim; i++)
            context[i] += weights[token] * memory[token * memory_dim + i];
}

/* AttentionDecoder.step's guided context, for one row. */
VECTORISED static void guide(int64_t length, float guidance, const float *restrict mean, const float *restrict context,
                             float *restrict guided)
{
    for (int64_t i = 0; i < length; i++)
        guided[i] = context[i] + guidance * (context[i] - mean[i]);
}

static int64_t count_tokens(const uint8_t *mask, int64_t tokens)
{
    int64_t count = 0;
    while (count < tokens && mask[count])
        count++;
    return count;
}

/* Copies parts of these widths, one beside the other, into the rows of `work->joined`. */
static void join(Work *work, int64_t count, const Rows *parts, const int64_t *widths)
{
    for (int64_t row = 0; row < work->rows; row++) {
        float *target = row_of(work->joined, row);
        for (int64_t i = 0; i < count; target += widths[i++])
            memcpy(target, row_of(parts[i], row), widths[i] * sizeof(float));
    }
}

/* The input of a layer that sees x, the context and perhaps the history. */
static void join_features(const Decoder *decoder, Work *work, Rows x, int64_t width, Rows context, int64_t memory_dim)
{
    int64_t history_dim = decoder->prenet->inputs;
    join(work, decoder->skip ? 3 : 2, (Rows[]){x, context, work->history}, (int64_t[]){width, memory_dim, history_dim});
}

/* A step of an LSTM whose input and old h were joined; states are h and c, one beside the other. */
static void step_lstm(const Linear *lstm, Work *work, Rows state, Rows new_state)
{
    int64_t width = lstm->outputs / 4;
    wavetts_product(lstm, work->rows, work->joined, bias_of(lstm), work->gates, work->codes);
    for (int64_t row = 0; row < work->rows; row++)
        wavetts_lstm_cell(width, row_of(work->gates, row), row_of(state, row) + width, row_of(new_state, row),
                  row_of(new_state, row) + width);
}

static void see(const Decoder *decoder, const float *frames, float *scratch, Work *work)
{
    int64_t length = decoder->frame_length;
    for (int64_t row = 0; row < work->rows; row++) {
        memcpy(row_of(work->history, row), frames + row * length, length * sizeof(float));
        if (decoder->spectrum.first)
            wavetts_log_magnitudes(&decoder->spectrum, INFINITY, frames + row * length,
                                   row_of(work->history, row) + length, scratch);
    }
}

/* The pre-net's output, in `a`. */
static void run_prenet(const Decoder *decoder, Work *work)
{
    Rows x = work->history;
    for (const Linear *layer = decoder->prenet; layer < decoder->prenet + decoder->num_prenet; layer++) {
        wavetts_product(layer, work->rows, x, bias_of(layer), work->b, work->codes);
        for (int64_t row = 0; row < work->rows; row++)
            hyperbolic_tangents(layer->outputs, row_of(work->b, row));
        x = work->b, work->b = work->a, work->a = x;
    }
}

/* Widest of what is written to `a`, `b`, `joined` and `gates`. */
static int64_t widest(const Decoder *decoder)
{
    int64_t width = decoder->query.outputs + decoder->move.outputs;
    const Linear *parts[] = {decoder->prenet, &decoder->attention_lstm, &decoder->hidden, &decoder->input,
                             decoder->lstms, decoder->head};
    const int64_t counts[] = {decoder->num_prenet, 1, 1, 1, decoder->num_lstms, decoder->num_head};
    for (int i = 0; i < 6; i++)
        for (int64_t j = 0; j < counts[i]; j++) {
            const Linear *layer = parts[i] + j;
            int64_t larger = layer->inputs > layer->outputs ? layer->inputs : layer->outputs;
            width = larger > width ? larger : width;
        }
    return width;
}

/*
 * AttentionDecoder.step: frames (rows, K), memory (rows, tokens, E), mask (rows, tokens), projected (rows, tokens,
 * key_dim + num_moves), mean (rows, E), guidance (rows,), state and weights (rows, tokens) of before to those of this
 * frame, cond (rows, C) and stop_logits (rows,). A row of state is the attention LSTM's h and c, the context, and each
 * LSTM's h and c. Not 0 if memory is full.
 */
int wavetts_decoder_step(const Decoder *decoder, int64_t rows, int64_t tokens, const float *frames,
                         const float *memory, const uint8_t *mask, const float *projected, const float *mean,
                         const float *guidance, const float *state, const float *weights, float *new_state,
                         float *new_weights, float *cond, float *stop_logits)
{
    const Linear *cell = &decoder->attention_lstm;
    int64_t length = decoder->frame_length, query_dim = cell->outputs / 4, width = decoder->input.outputs;
    int64_t prenet_dim = decoder->prenet[decoder->num_prenet - 1].outputs;
    int64_t memory_dim = cell->inputs - prenet_dim - query_dim, history_dim = decoder->prenet->inputs;
    int64_t state_dim = 2 * query_dim + memory_dim + 2 * width * decoder->num_lstms;
    int64_t key_dim = decoder->query.outputs, num_moves = decoder->move.outputs, most = widest(decoder);
    int64_t per_row = code_values(most) + history_dim + memory_dim + 4 * most;
    float *values = malloc(sizeof(float) * (rows * per_row + 5 * length)), *start = values;
    if (!values)
        return -1;
    Work work = {.rows = rows, .codes = place_codes(rows, most, &values)};
    work.history = (Rows){take(&values, history_dim * rows), history_dim};
    work.guided = (Rows){take(&values, memory_dim * rows), memory_dim};
    work.joined = (Rows){take(&values, most * rows), most};
    work.a = (Rows){take(&values, most * rows), most};
    work.b = (Rows){take(&values, most * rows), most};
    work.gates = (Rows){take(&values, most * rows), most};
    see(decoder, frames, take(&values, 5 * length), &work);

    Rows old = {(float *)state, state_dim}, new = {new_state, state_dim};
    Rows old_context = {old.data + 2 * query_dim, state_dim}, context = {new.data + 2 * query_dim, state_dim};
    run_prenet(decoder, &work);
    join(&work, 3, (Rows[]){work.a, old_context, old}, (int64_t[]){prenet_dim, memory_dim, query_dim});
    step_lstm(cell, &work, old, new);

    Rows query = work.a, move = {work.a.data + key_dim, work.a.stride};
    wavetts_product(&decoder->query, rows, new, bias_of(&decoder->query), query, work.codes);
    wavetts_product(&decoder->hidden, rows, new, bias_of(&decoder->hidden), work.b, work.codes);
    for (int64_t row = 0; row < rows; row++)
        hyperbolic_tangents(decoder->hidden.outputs, row_of(work.b, row));
    wavetts_product(&decoder->move, rows, work.b, bias_of(&decoder->move), move, work.codes);
    for (int64_t row = 0; row < rows; row++)
        attend(tokens, count_tokens(mask + row * tokens, tokens), memory_dim, key_dim, num_moves, row_of(query, row),
               row_of(move, row), memory + row * tokens * memory_dim, projected + row * tokens * (key_dim + num_moves),
               weights + row * tokens, new_weights + row * tokens, row_of(context, row));
    for (int64_t row = 0; row < rows; row++)
        guide(memory_dim, guidance[row], mean + row * memory_dim, row_of(context, row), row_of(work.guided, row));

    Rows x = work.a;
    Rows seen = decoder->num_head ? context : work.guided;
    join_features(decoder, &work, new, query_dim, seen, memory_dim);
    wavetts_product(&decoder->input, rows, work.joined, bias_of(&decoder->input), x, work.codes);
    for (int64_t i = 0; i < decoder->num_lstms; i++) {
        int64_t offset = 2 * query_dim + memory_dim + 2 * width * i;
        Rows old_lstm = {old.data + offset, state_dim}, new_lstm = {new.data + offset, state_dim};
        join(&work, 2, (Rows[]){x, old_lstm}, (int64_t[]){width, width});
        step_lstm(decoder->lstms + i, &work, old_lstm, new_lstm);
        for (int64_t row = 0; row < rows; row++)
            for (int64_t j = 0; j < width; j++)
                row_of(x, row)[j] += row_of(new_lstm, row)[j];
    }

    int64_t cond_dim = decoder->stop.inputs;
    if (decoder->num_head) {
        join_features(decoder, &work, x, width, work.guided, memory_dim);
        x = work.joined;
        for (const Linear *layer = decoder->head; layer < decoder->head + decoder->num_head; layer++) {
            Rows y = x.data == work.a.data ? work.b : work.a;
            wavetts_product(layer, rows, x, bias_of(layer), y, work.codes);
            for (int64_t row = 0; row < rows; row++)
                wavetts_silu(layer->outputs, row_of(y, row));
            x = y;
        }
    }
    for (int64_t row = 0; row < rows; row++)
        memcpy(cond + row * cond_dim, row_of(x, row), cond_dim * sizeof(float));
    wavetts_product(&decoder->stop, rows, x, bias_of(&decoder->stop), (Rows){stop_logits, 1}, work.codes);
    free(start);
    return 0;
}
