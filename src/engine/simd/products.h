/* Products of a layer's weights with the rows of a chunk, forward and backward: bias, activation and
 * derivative are applied where the sums are at hand. Part of kernel.c. */
enum { SINGLE_ROWS = 8 }; /* with one vector of samples: enough sums to hide the latency of an addition */
enum { FEW_TERMS = 8 };   /* for which unrolling costs more than it saves */
/* sums[j][v] += the sum over i of in[i][v] * w[i * step_i + j * step_j], in the order of i, for n_j rows j
 * and n_v vectors v. */
ALWAYS_INLINE void add_term(int n_j, int n_v, const REAL *in, const REAL *w, int64_t step_j, vec *sums)
{
    for (int j = 0; j < n_j; j++) {
        const vec weight = all(w[j * step_j]);
        for (int v = 0; v < n_v; v++) sums[j * n_v + v] = fma_(load(in + v * VL), weight, sums[j * n_v + v]);
    }
}

ALWAYS_INLINE void add_products(int n_j, int n_v, const REAL *in, int64_t n_i, const REAL *w, int64_t step_i,
                                int64_t step_j, vec *sums)
{
    if (n_i < FEW_TERMS) {
#pragma GCC unroll 1
        for (int64_t i = 0; i < n_i; i++, in += ROW_STRIDE, w += step_i)
            add_term(n_j, n_v, in, w, step_j, sums);
        return;
    }
#pragma GCC unroll 4
    for (int64_t i = 0; i < n_i; i++, in += ROW_STRIDE, w += step_i) add_term(n_j, n_v, in, w, step_j, sums);
}

/* Sums over the rows of one layer for the rows of another: outputs from inputs, or derivatives from those of
 * the layer above. Row j of out is the sum over i of row i of in times w[i * step_in + j * step_out]. */
typedef struct dense {
    const REAL *in;
    int64_t n_in;
    const REAL *w;
    int64_t step_in, step_out;
    REAL *arranged; /* forward, w in the order of its blocks, or NULL */
    bool arranges;  /* it is still to be put there */
    REAL *out;
    int64_t n_out;
    const REAL *bias;         /* of the rows of out, forward */
    ls_simd_fused activation; /* of the rows of out */
    const REAL *values;       /* backward, what its derivatives follow from, of the layer below */
} dense;

/* Part of a sum's terms, few enough that their rows stay in the nearest cache. */
typedef struct terms {
    int64_t begin, end;
    bool first, last;
} terms;

/* Rows of out that take a part of the terms before the next ones do: few enough that their weights stay near,
 * too. */
enum { PANEL_ROWS = 6 * SINGLE_ROWS }; /* also a multiple of BLOCK_ROWS */
enum { NEAR_WEIGHTS = 1 << 14 };       /* so few weights that they stay near in any order */

/* n_j rows of out from row j on, for n_v vectors from value `at` on. */
ALWAYS_INLINE void dense_block(int n_j, int n_v, bool backward, const dense *d, const REAL *w,
                               int64_t step_in, int64_t step_out, int64_t j, int64_t at, terms part)
{
    vec sums[BLOCK_ROWS * BLOCK_VECTORS];
    REAL *out = d->out + j * ROW_STRIDE + at;
    for (int u = 0; u < n_j; u++)
        for (int v = 0; v < n_v; v++)
            sums[u * n_v + v] = !part.first ? load(out + u * ROW_STRIDE + v * VL)
                                : backward  ? all(0)
                                            : all(d->bias[j + u]);
    /* What is next needed from afar: the hardware does not guess these strides. */
    for (int u = 0; u < n_j && n_j == BLOCK_ROWS; u++)
        for (int v = 0; v < n_v; v++) {
            __builtin_prefetch(out + (n_j + u) * ROW_STRIDE + v * VL, 1);
            if (part.last && backward) __builtin_prefetch(d->values + (j + u) * ROW_STRIDE + at + v * VL);
        }
    add_products(n_j, n_v, d->in + part.begin * ROW_STRIDE + at, part.end - part.begin,
                 w + part.begin * step_in, step_in, step_out, sums);
    /* More sums at a time would have no registers. */
    const bool together = part.last && !backward && n_j * n_v <= TOGETHER && d->activation == LS_SIMD_TANH;
    if (together) tanh_together(n_j * n_v, sums);
    for (int u = 0; u < n_j; u++)
        for (int v = 0; v < n_v; v++) {
            vec sum = sums[u * n_v + v];
            const int64_t place = u * ROW_STRIDE + v * VL;
            if (part.last && backward) {
                sum = sum * derivative(d->activation, load(d->values + j * ROW_STRIDE + at + place));
            } else if (part.last && !together) {
                sum = activate(d->activation, sum);
            }
            store(out + place, sum);
        }
}

/* A panel: some rows of out, whose weights are used for all vectors of samples before others are. */
typedef struct panel {
    int64_t begin, end;
    int64_t n_v;
    weights w, next; /* forward, if they are arranged: its own, and those of the panel after it */
} panel;

/* Those of rows [begin, end), as far as they are whole blocks: part after part of the terms. */
ALWAYS_INLINE weights panel_weights(const dense *d, int64_t begin, int64_t end, terms part)
{
    const int64_t n_arranged = d->n_out / BLOCK_ROWS * BLOCK_ROWS, length = part.end - part.begin;
    if (end > n_arranged) end = n_arranged;
    return (weights){.from = d->w + part.begin * d->step_in + begin,
                     .step = d->step_in,
                     .n_terms = length,
                     .n_units = end > begin ? end - begin : 0,
                     .to = d->arranged + part.begin * n_arranged + begin * length};
}

ALWAYS_INLINE void dense_vectors(int n_v, bool backward, const dense *d, const panel *rows, int64_t at,
                                 terms part)
{
    const int n_rows = n_v == 1 ? SINGLE_ROWS : n_v == BLOCK_VECTORS ? BLOCK_ROWS : 2;
    int64_t j = rows->begin;
    if (!backward && d->arranged && n_rows == BLOCK_ROWS) {
        const REAL *w = rows->w.to - part.begin * BLOCK_ROWS;
        const int64_t height = rows->end - rows->begin;
        for (; j + n_rows <= rows->end; j += n_rows, w += rows->w.n_terms * BLOCK_ROWS) {
            if (d->arranges)
                ask_for(&rows->next, at / VL * height + (j - rows->begin) * n_v, n_rows * n_v,
                        rows->n_v * height);
            dense_block(n_rows, n_v, backward, d, w, n_rows, 1, j, at, part);
        }
    } else {
        for (; j + n_rows <= rows->end; j += n_rows)
            dense_block(n_rows, n_v, backward, d, d->w + j * d->step_out, d->step_in, d->step_out, j, at,
                        part);
    }
    for (; j + 2 <= rows->end; j += 2)
        dense_block(2, n_v, backward, d, d->w + j * d->step_out, d->step_in, d->step_out, j, at, part);
    if (j < rows->end)
        dense_block(1, n_v, backward, d, d->w + j * d->step_out, d->step_in, d->step_out, j, at, part);
}

ALWAYS_INLINE void dense_panel(bool backward, const dense *d, int64_t begin, int64_t end, int64_t n_v,
                               terms part)
{
    panel rows = {.begin = begin, .end = end, .n_v = n_v};
    int64_t v = 0;
    if (!backward && d->arranged) {
        rows.w = panel_weights(d, begin, end, part);
        rows.next = panel_weights(d, end, end + PANEL_ROWS, part);
        if (d->arranges) arrange(&rows.w);
    }
    if (end - begin < BLOCK_ROWS)
        for (; v + 4 <= n_v; v += 4) dense_vectors(4, backward, d, &rows, v * VL, part);
    for (; v + BLOCK_VECTORS <= n_v; v += BLOCK_VECTORS)
        dense_vectors(BLOCK_VECTORS, backward, d, &rows, v * VL, part);
    if (v < n_v) dense_vectors(1, backward, d, &rows, v * VL, part);
}

/* One vector of samples and up to four rows of few terms: nothing but their sums, which saves half of the
 * instructions that small networks take at small batches. */
ALWAYS_INLINE bool compute_few(bool backward, const dense *d)
{
    const terms all_terms = {0, d->n_in, true, true};
    switch (d->n_in < FEW_TERMS ? d->n_out : 0) {
#define CASE(n)                                                                                              \
    case n:                                                                                                  \
        dense_block(n, 1, backward, d, d->w, d->step_in, d->step_out, 0, 0, all_terms);                      \
        return true;
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
#undef CASE
    }
    return false;
}

/* Many terms are added a part at a time, over all samples, and of many rows a panel at a time: so a part of
 * the weights is read once from afar. */
ALWAYS_INLINE void compute_dense(bool backward, const dense *d, int64_t n_v)
{
    if (n_v == 1 && compute_few(backward, d)) return;
    if (d->n_in <= MAX_TERMS && d->n_in * d->n_out <= NEAR_WEIGHTS) {
        dense_panel(backward, d, 0, d->n_out, n_v, (terms){0, d->n_in, true, true});
        return;
    }
    const int64_t n_terms = part_length(d->n_in);
    for (int64_t begin = 0; begin < d->n_in; begin += n_terms) {
        const int64_t end = begin + n_terms < d->n_in ? begin + n_terms : d->n_in;
        for (int64_t j = 0; j < d->n_out; j += PANEL_ROWS)
            dense_panel(backward, d, j, j + PANEL_ROWS < d->n_out ? j + PANEL_ROWS : d->n_out, n_v,
                        (terms){begin, end, begin == 0, end == d->n_in});
    }
}

/* Outputs of a layer; of the last one the logits. */
static void forward_layer(const ls_simd_network *network, const ls_simd_layer *layer, const REAL *parameters,
                          REAL *workspace, int64_t n_v, bool is_last, bool arranges)
{
    const bool is_arranged = network->arranged && layer->is_arranged;
    const dense d = {.in = row_at(workspace, layer->input_row),
                     .n_in = layer->n_inputs,
                     .w = parameters + layer->kernel,
                     .step_in = layer->units,
                     .step_out = 1,
                     .arranged = is_arranged ? (REAL *)network->arranged + layer->kernel : NULL,
                     .arranges = is_arranged && arranges,
                     .out = row_at(workspace, layer->output_row),
                     .n_out = layer->units,
                     .bias = parameters + layer->bias,
                     .activation = is_last ? LS_SIMD_LINEAR : layer->forward};
    compute_dense(false, &d, n_v);
}

/* From the derivatives of this layer to those of the layer below. */
static void backward_layer(const ls_simd_layer *layer, const REAL *parameters, REAL *workspace, int64_t n_v)
{
    const dense d = {.in = row_at(workspace, layer->delta_row),
                     .n_in = layer->units,
                     .w = parameters + layer->kernel,
                     .step_in = 1,
                     .step_out = layer->units,
                     .out = row_at(workspace, layer[-1].delta_row),
                     .n_out = layer->n_inputs,
                     .activation = layer[-1].backward,
                     .values = row_at(workspace, layer[-1].slope_row)};
    compute_dense(true, &d, n_v);
}
