/* Products with matrices, and a step of an LSTM. */

#include "kernel.h"

#include <math.h>
#include <stdlib.h>

/* So many outputs are summed at once, in registers. */
#define PANEL 64

/* x as 16-bit integers, the largest as `range`; what they are multiples of, and their sum. */
VECTORISED static float encode(const float *restrict x, int64_t length, float range, int16_t *restrict codes,
                               int32_t *restrict sum)
{
    /* Without its sign a float is as large as its bits are: compilers vectorise the maximum of integers. */
    int32_t largest = 0, total = 0;
    for (int64_t i = 0; i < length; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= INT32_MAX;
        largest = bits > largest ? bits : largest;
    }
    float peak;
    memcpy(&peak, &largest, sizeof peak);
    peak = peak > 1e-20f ? peak : 1e-20f;
    float scale = range / peak;
    for (int64_t i = 0; i < length; i++) {
        /* Rounded where all is positive: there, cutting off is rounding down. */
        float code = clipped(x[i] * scale, range) + 32768.5f;
        codes[i] = (int16_t)((int32_t)code - 32768);
        total += codes[i];
    }
    *sum = total;
    return peak / range;
}

/* W x for `outputs` rows of 8-bit weights, at most a panel. */
VECTORISED static void coded_panel(const int8_t *restrict codes, const float *restrict scale, int64_t outputs,
                                   const int16_t *restrict x, float step, int64_t inputs, float *restrict y)
{
    int32_t sums[PANEL];
    int64_t output = 0;
    /* Four at a time, so that x is loaded once for them. */
    for (; output + 4 <= outputs; output += 4) {
        const int8_t *first = codes + output * inputs, *second = first + inputs;
        const int8_t *third = second + inputs, *fourth = third + inputs;
        int32_t a = 0, b = 0, c = 0, d = 0;
        for (int64_t i = 0; i < inputs; i++) {
            a += x[i] * first[i];
            b += x[i] * second[i];
            c += x[i] * third[i];
            d += x[i] * fourth[i];
        }
        sums[output] = a, sums[output + 1] = b, sums[output + 2] = c, sums[output + 3] = d;
    }
    for (; output < outputs; output++) {
        int32_t sum = 0;
        for (int64_t i = 0; i < inputs; i++)
            sum += x[i] * codes[output * inputs + i];
        sums[output] = sum;
    }
    for (int64_t i = 0; i < outputs; i++)
        y[i] = (float)sums[i] * (step * scale[i]);
}

INLINE void sum_panel(int64_t width, const float *restrict panel, const float *restrict x, int64_t inputs,
                      float *restrict y)
{
    float sums[PANEL] = {0};
    for (int64_t i = 0; i < inputs; i++)
        for (int64_t output = 0; output < width; output++)
            sums[output] += x[i] * panel[i * width + output];
    memcpy(y, sums, width * sizeof *y);
}

/* W x for a panel of float32 weights, the last of them perhaps narrower than the others. */
VECTORISED static void float_panel(const float *restrict panel, int64_t outputs, const float *restrict x,
                                   int64_t inputs, float *restrict y)
{
    /* The compiler keeps sums in registers if it knows how many there are. */
    if (outputs <= PANEL / 2)
        sum_panel(PANEL / 2, panel, x, inputs, y);
    else if (outputs <= 3 * PANEL / 4)
        sum_panel(3 * PANEL / 4, panel, x, inputs, y);
    else
        sum_panel(PANEL, panel, x, inputs, y);
}

/* Apart from the sums, as within them the compiler would round this otherwise. Whole vectors are written: what reads
 * these next need not wait for the parts of each to arrive in memory. */
VECTORISED static void add(int64_t length, const float *x, const float *y, float *sum)
{
    for (int64_t i = 0; i < length; i++)
        sum[i] = x[i] + y[i];
}

static void multiply_tiles(const Linear *linear, int64_t rows, Rows added, Rows y, Codes codes)
{
    int64_t inputs = padded(linear->inputs);
    for (int64_t start = 0; start < linear->outputs; start += TILE)
        for (int64_t row = 0; row < rows; row++) {
            int64_t rest = linear->outputs - start;
            wavetts_multiply_tile(&(TileProduct){
                linear->tiles + start * inputs, codes.values + row * inputs, inputs, codes.sums[row], codes.steps[row],
                rest < TILE ? rest : TILE, linear->scale + start, row_of(added, row) + start, row_of(y, row) + start,
            });
        }
}

void wavetts_product(const Linear *linear, int64_t rows, Rows x, Rows added, Rows y, Codes codes)
{
    int64_t inputs = linear->inputs, outputs = linear->outputs, length = padded(inputs);
    for (int64_t row = 0; row < rows && !linear->panels; row++) {
        int16_t *values = codes.values + row * length;
        codes.steps[row] = encode(row_of(x, row), inputs, linear->range, values, codes.sums + row);
        if (linear->tiles)
            wavetts_prepare_codes(inputs, length, values);
    }
    if (linear->tiles) {
        multiply_tiles(linear, rows, added, y, codes);
        return;
    }
    for (int64_t start = 0; start < outputs; start += PANEL) {
        int64_t count = outputs - start < PANEL ? outputs - start : PANEL;
        for (int64_t row = 0; row < rows; row++) {
            float sums[PANEL];
            if (linear->codes)
                coded_panel(linear->codes + start * inputs, linear->scale + start, count, codes.values + row * length,
                            codes.steps[row], inputs, sums);
            else
                float_panel(linear->panels + start * inputs, count, row_of(x, row), inputs, sums);
            add(count, sums, row_of(added, row) + start, row_of(y, row) + start);
        }
    }
}

int64_t wavetts_version(void) { return VERSION; }

/* x (rows, inputs) to y (rows, outputs); not 0 if memory is full. */
int wavetts_linear(const Linear *linear, int64_t rows, const float *x, float *y)
{
    float *values = malloc(rows * code_values(linear->inputs) * sizeof(float)), *start = values;
    if (!values)
        return -1;
    Codes codes = place_codes(rows, linear->inputs, &values);
    Rows inputs = {(float *)x, linear->inputs}, outputs = {y, linear->outputs};
    wavetts_product(linear, rows, inputs, bias_of(linear), outputs, codes);
    free(start);
    return 0;
}

VECTORISED void wavetts_silu(int64_t length, float *restrict x)
{
    for (int64_t i = 0; i < length; i++)
        x[i] *= sigmoid(x[i]);
}

VECTORISED void wavetts_lstm_cell(int64_t width, const float *restrict gates, const float *restrict old_cell,
                                  float *restrict hidden, float *restrict cell)
{
    const float *input = gates, *forget = input + width, *candidate = forget + width, *output = candidate + width;
    for (int64_t i = 0; i < width; i++) {
        cell[i] = sigmoid(forget[i]) * old_cell[i] + sigmoid(input[i]) * hyperbolic_tangent(candidate[i]);
        hidden[i] = sigmoid(output[i]) * hyperbolic_tangent(cell[i]);
    }
}

/* One step of an LSTM: `gates` is linear in x and hidden, joined. All are (rows, width), x as wide as is left. */
int wavetts_lstm(const Linear *gates, int64_t rows, const float *x, const float *hidden, const float *cell,
                 float *new_hidden, float *new_cell)
{
    int64_t width = gates->outputs / 4, inputs = gates->inputs, x_width = inputs - width;
    float *values = malloc(rows * (inputs + 4 * width + code_values(inputs)) * sizeof(float)), *start = values;
    if (!values)
        return -1;
    float *joined = take(&values, rows * inputs), *sums = take(&values, rows * 4 * width);
    for (int64_t row = 0; row < rows; row++) {
        memcpy(joined + row * inputs, x + row * x_width, x_width * sizeof(float));
        memcpy(joined + row * inputs + x_width, hidden + row * width, width * sizeof(float));
    }
    Codes codes = place_codes(rows, inputs, &values);
    wavetts_product(gates, rows, (Rows){joined, inputs}, bias_of(gates), (Rows){sums, 4 * width}, codes);
    for (int64_t row = 0; row < rows; row++)
        wavetts_lstm_cell(width, sums + row * 4 * width, cell + row * width, new_hidden + row * width,
                          new_cell + row * width);
    free(start);
    return 0;
}
