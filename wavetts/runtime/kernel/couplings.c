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

VECTORISED static void multiply(int64_t length, const float *restrict x, float *restrict product)
{
    for (int64_t i = 0; i < length; i++)
        product[i] *= x[i];
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

/* The score of z to that of x = (z - shift) e^-s; shifts and log-scales become the gradients by them. */
VECTORISED static void coupling_score(int64_t length, float bound, const float *restrict z, float *restrict shift_scale,
                                      float *restrict score)
{
    for (int64_t i = 0; i < length; i++) {
        float slope = hyperbolic_tangent(shift_scale[length + i] / bound), by_shift = score[i];
        float shifted = z[i] - shift_scale[i];
        score[i] = by_shift * exponential(bound * slope);
        shift_scale[i] = by_shift;
        /* The one is of the log-determinant. */
        shift_scale[length + i] = (by_shift * shifted + 1.0f) * (1.0f - slope * slope);
    }
}

void wavetts_residual_layer(const Linear *layer, int64_t rows, Rows hidden, Rows other, Codes codes)
{
    wavetts_product(layer, rows, hidden, bias_of(layer), other, codes);
    for (int64_t row = 0; row < rows; row++)
        add_silu(layer->outputs, row_of(other, row), row_of(hidden, row));
}

/* The network's output for the kept half, in `shift_scale`; with `slopes` those of its activations, layer by layer. */
static void run_network(const Couplings *couplings, int64_t coupling, Rows kept, Rows biases, CouplingWork *work)
{
    const Linear *network = couplings->networks + coupling * (couplings->num_layers + 2);
    const Linear *output = network + couplings->num_layers + 1;
    int64_t rows = work->rows, width = network->outputs;
    wavetts_product(network, rows, kept, (Rows){biases.data + coupling * width, biases.stride}, work->hidden,
                    work->codes);
    for (int64_t row = 0; row < rows; row++)
        if (work->scored)
            silu_and_slope(width, row_of(work->hidden, row), row_of(work->slopes, row));
        else
            wavetts_silu(width, row_of(work->hidden, row));
    for (int64_t i = 1; i <= couplings->num_layers; i++) {
        if (!work->scored) {
            wavetts_residual_layer(network + i, rows, work->hidden, work->other, work->codes);
            continue;
        }
        wavetts_product(network + i, rows, work->hidden, bias_of(network + i), work->other, work->codes);
        for (int64_t row = 0; row < rows; row++) {
            silu_and_slope(width, row_of(work->other, row), row_of(work->slopes, row) + i * width);
            for (int64_t j = 0; j < width; j++)
                row_of(work->hidden, row)[j] += row_of(work->other, row)[j];
        }
    }
    wavetts_product(output, rows, work->hidden, bias_of(output), work->shift_scale, work->codes);
}

/* The gradients by shifts and log-scales, in `shift_scale`, to the score of the kept half, which they are added to. */
static void run_backward(const Couplings *couplings, int64_t coupling, Rows kept_score, CouplingWork *work)
{
    const Linear *network = couplings->backward + coupling * (couplings->num_layers + 2);
    const Linear *output = network + couplings->num_layers + 1;
    int64_t rows = work->rows, width = output->outputs;
    wavetts_product(output, rows, work->shift_scale, bias_of(output), work->hidden, work->codes);
    for (int64_t i = couplings->num_layers; i > 0; i--) {
        for (int64_t row = 0; row < rows; row++) {
            memcpy(row_of(work->other, row), row_of(work->hidden, row), width * sizeof(float));
            multiply(width, row_of(work->slopes, row) + i * width, row_of(work->other, row));
        }
        wavetts_product(network + i, rows, work->other, work->hidden, work->hidden, work->codes);
    }
    for (int64_t row = 0; row < rows; row++)
        multiply(width, row_of(work->slopes, row), row_of(work->hidden, row));
    wavetts_product(network, rows, work->hidden, kept_score, kept_score, work->codes);
}

/* AffineCoupling.inverse: changes the half that is not kept, of x and of the score. */
static void undo(const Couplings *couplings, int64_t coupling, int64_t kept, Rows biases, CouplingWork *work)
{
    int64_t half = couplings->length / 2, changed = half - kept, stride = work->x.stride;
    run_network(couplings, coupling, (Rows){work->x.data + kept, stride}, biases, work);
    for (int64_t row = 0; row < work->rows; row++) {
        float *z = row_of(work->x, row) + changed, *shift_scale = row_of(work->shift_scale, row);
        if (work->scored) {
            memcpy(row_of(work->other, row), z, half * sizeof(float));
            undo_coupling(half, couplings->bound, shift_scale, z);
            coupling_score(half, couplings->bound, row_of(work->other, row), shift_scale,
                           row_of(work->score, row) + changed);
        } else
            undo_coupling(half, couplings->bound, shift_scale, z);
    }
    if (work->scored)
        run_backward(couplings, coupling, (Rows){work->score.data + kept, work->score.stride}, work);
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
        if (work->scored)
            permute(length, work->rows, couplings->orders + pair * length, &work->score, &work->spare_score);
    }
}

int64_t wavetts_coupling_values(const Couplings *couplings)
{
    int64_t width = couplings->count ? couplings->networks->outputs : 0, length = couplings->length;
    int64_t backward = couplings->backward ? width * (couplings->num_layers + 1) : 0;
    int64_t other = width > length ? width : length;
    return 5 * length + width + other + backward;
}

void wavetts_place_couplings(const Couplings *couplings, float **values, CouplingWork *work)
{
    int64_t width = couplings->count ? couplings->networks->outputs : 0, length = couplings->length;
    int64_t backward = couplings->backward ? width * (couplings->num_layers + 1) : 0;
    int64_t other = width > length ? width : length;
    Rows *parts[] = {&work->x, &work->spare, &work->score, &work->spare_score, &work->shift_scale,
                     &work->hidden, &work->other, &work->slopes};
    const int64_t widths[] = {length, length, length, length, length, width, other, backward};
    for (int64_t i = 0; i < 8; i++)
        *parts[i] = (Rows){take(values, widths[i] * work->rows), widths[i]};
}
