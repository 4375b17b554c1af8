/* Affine layers and couplings from noise to data, and what they do to the score: density/transforms.py. */

#include "kernel.h"

/* x to silu(x), and the slope of that. */
VECTORISED static void silu_and_slope(int64_t length, float *restrict x, float *restrict slope)
{
    for (int64_t i = 0; i < length; i++) {
        float gate = sigmoid(x[i]);
        slope[i] = gate * (1.0f + x[i] * (1.0f - gate));
        x[i] *= gate;
    }
}

VECTORISED static void add_silu(int64_t length, const float *restrict x, float *restrict sum)
{
    for (int64_t i = 0; i < length; i++)
        sum[i] += x[i] * sigmoid(x[i]);
}

VECTORISED static void add(int64_t length, const float *restrict x, float *restrict sum)
{
    for (int64_t i = 0; i < length; i++)
        sum[i] += x[i];
}

VECTORISED static void multiply(int64_t length, const float *restrict x, const float *restrict y,
                                float *restrict product)
{
    for (int64_t i = 0; i < length; i++)
        product[i] = x[i] * y[i];
}

VECTORISED void wavetts_undo_affine(int64_t length, float bound, const float *restrict mean_scale, float *restrict z)
{
    for (int64_t i = 0; i < length; i++)
        z[i] = z[i] * exponential(bounded(mean_scale[length + i], bound)) + mean_scale[i];
}

VECTORISED void wavetts_affine_score(int64_t length, float bound, const float *restrict mean_scale,
                                     float *restrict score)
{
    for (int64_t i = 0; i < length; i++)
        score[i] *= exponential(-bounded(mean_scale[length + i], bound));
}

/* Undoes an affine coupling whose network gave shifts and unbounded log-scales. */
VECTORISED static void undo_coupling(int64_t length, float bound, const float *restrict shift_scale, float *restrict z)
{
    for (int64_t i = 0; i < length; i++)
        z[i] = (z[i] - shift_scale[i]) * exponential(-bounded(shift_scale[length + i], bound));
}

/* The score of z to that of x = (z - shift) e^-s, and the gradients by shifts and unbounded log-scales. */
VECTORISED static void coupling_score(int64_t length, float bound, const float *restrict z,
                                      const float *restrict shift_scale, float *restrict score,
                                      float *restrict gradients)
{
    for (int64_t i = 0; i < length; i++) {
        float slope = hyperbolic_tangent(shift_scale[length + i] / bound), by_shift = score[i];
        float shifted = z[i] - shift_scale[i];
        score[i] = by_shift * exponential(bound * slope);
        gradients[i] = by_shift;
        /* The one is of the log-determinant. */
        gradients[length + i] = (by_shift * shifted + 1.0f) * (1.0f - slope * slope);
    }
}

/* Of what a coupling writes on the tape, in this order: z of the half that it changes, shifts and log-scales, and the
 * slopes of its activations, layer by layer. */
static int64_t taped(const Couplings *couplings)
{
    return couplings->count ? 3 * couplings->length / 2 + (couplings->num_layers + 1) * couplings->networks->outputs : 0;
}

static float *on_tape(const Couplings *couplings, const CouplingWork *work, int64_t row, int64_t coupling)
{
    return row_of(work->tape, row) + coupling * taped(couplings);
}

void wavetts_residual_layer(const Linear *layer, int64_t rows, Rows hidden, Rows other, Codes codes)
{
    wavetts_product(layer, rows, hidden, bias_of(layer), other, codes);
    for (int64_t row = 0; row < rows; row++)
        add_silu(layer->outputs, row_of(other, row), row_of(hidden, row));
}

/* silu of x (rows, width), their slopes on the tape if there is one. */
static void activate(const Couplings *couplings, int64_t coupling, int64_t layer, int64_t width, Rows x,
                     const CouplingWork *work)
{
    for (int64_t row = 0; row < work->rows; row++)
        if (work->tape.data)
            silu_and_slope(width, row_of(x, row),
                           on_tape(couplings, work, row, coupling) + 3 * couplings->length / 2 + layer * width);
        else
            wavetts_silu(width, row_of(x, row));
}

/* The network's output for the kept half, in `shift_scale`. */
static void run_network(const Couplings *couplings, int64_t coupling, Rows kept, Rows biases, CouplingWork *work)
{
    const Linear *network = couplings->networks + coupling * (couplings->num_layers + 2);
    const Linear *output = network + couplings->num_layers + 1;
    int64_t rows = work->rows, width = network->outputs;
    biases.data += coupling * width;
    wavetts_product(network, rows, kept, biases, work->hidden, work->codes);
    activate(couplings, coupling, 0, width, work->hidden, work);
    for (int64_t i = 1; i <= couplings->num_layers; i++) {
        wavetts_product(network + i, rows, work->hidden, bias_of(network + i), work->other, work->codes);
        activate(couplings, coupling, i, width, work->other, work);
        for (int64_t row = 0; row < rows; row++)
            add(width, row_of(work->other, row), row_of(work->hidden, row));
    }
    wavetts_product(output, rows, work->hidden, bias_of(output), work->shift_scale, work->codes);
}

/* AffineCoupling.inverse: changes the half of x that is not kept. */
static void undo(const Couplings *couplings, int64_t coupling, int64_t kept, Rows biases, CouplingWork *work)
{
    int64_t half = couplings->length / 2;
    run_network(couplings, coupling, (Rows){work->x.data + kept, work->x.stride}, biases, work);
    for (int64_t row = 0; row < work->rows; row++) {
        float *z = row_of(work->x, row) + half - kept;
        if (work->tape.data) {
            float *tape = on_tape(couplings, work, row, coupling);
            memcpy(tape, z, half * sizeof(float));
            memcpy(tape + half, row_of(work->shift_scale, row), 2 * half * sizeof(float));
        }
        undo_coupling(half, couplings->bound, row_of(work->shift_scale, row), z);
    }
}

/* The same for the score of x, from what is on the tape. */
static void undo_score(const Couplings *couplings, int64_t coupling, int64_t kept, CouplingWork *work)
{
    const Linear *network = couplings->backward + coupling * (couplings->num_layers + 2);
    const Linear *output = network + couplings->num_layers + 1;
    int64_t rows = work->rows, width = output->outputs, half = couplings->length / 2;
    for (int64_t row = 0; row < rows; row++) {
        const float *z = on_tape(couplings, work, row, coupling);
        coupling_score(half, couplings->bound, z, z + half, row_of(work->x, row) + half - kept,
                       row_of(work->shift_scale, row));
    }
    wavetts_product(output, rows, work->shift_scale, bias_of(output), work->hidden, work->codes);
    for (int64_t i = couplings->num_layers; i >= 0; i--) {
        Rows kept_score = {work->x.data + kept, work->x.stride}, into = i ? work->hidden : kept_score;
        for (int64_t row = 0; row < rows; row++)
            multiply(width, on_tape(couplings, work, row, coupling) + 3 * half + i * width, row_of(work->hidden, row),
                     row_of(work->other, row));
        wavetts_product(network + i, rows, work->other, into, into, work->codes);
    }
}

/* values[orders[i]] to place i, by way of `spare`, which becomes the values. */
static void permute(int64_t length, int64_t rows, const int64_t *orders, Rows *values, Rows *spare)
{
    Rows permuted = *spare;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < length; i++)
            row_of(permuted, row)[i] = row_of(*values, row)[orders[i]];
    *spare = *values, *values = permuted;
}

void wavetts_undo_couplings(const Couplings *couplings, Rows biases, CouplingWork *work)
{
    int64_t length = couplings->length, half = length / 2;
    for (int64_t pair = couplings->count / 2 - 1; pair >= 0; pair--) {
        undo(couplings, 2 * pair + 1, half, biases, work);
        undo(couplings, 2 * pair, 0, biases, work);
        permute(length, work->rows, couplings->orders + pair * length, &work->x, &work->spare);
    }
}

void wavetts_coupling_score(const Couplings *couplings, CouplingWork *work)
{
    int64_t length = couplings->length, half = length / 2;
    for (int64_t pair = couplings->count / 2 - 1; pair >= 0; pair--) {
        undo_score(couplings, 2 * pair + 1, half, work);
        undo_score(couplings, 2 * pair, 0, work);
        permute(length, work->rows, couplings->orders + pair * length, &work->x, &work->spare);
    }
}

int64_t wavetts_coupling_values(const Couplings *couplings, int64_t scored)
{
    int64_t width = couplings->count ? couplings->networks->outputs : 0;
    return 3 * couplings->length + 2 * width + (scored ? taped(couplings) * couplings->count : 0);
}

void wavetts_place_couplings(const Couplings *couplings, int64_t scored, float **values, CouplingWork *work)
{
    int64_t width = couplings->count ? couplings->networks->outputs : 0, length = couplings->length;
    Rows *parts[] = {&work->x, &work->spare, &work->shift_scale, &work->hidden, &work->other};
    const int64_t widths[] = {length, length, length, width, width};
    for (int64_t i = 0; i < 5; i++)
        *parts[i] = (Rows){take(values, widths[i] * work->rows), widths[i]};
    int64_t tape = taped(couplings) * couplings->count;
    work->tape = scored ? (Rows){take(values, tape * work->rows), tape} : (Rows){NULL, 0};
}
