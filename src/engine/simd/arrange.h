/* Weights in the order in which the products of wide layers read them. Part of kernel.c. */
/* A block of products, whose sums stay in registers: rows of weights by vectors of samples. */
#if LS_SIMD_REGISTERS == 32
enum { BLOCK_ROWS = 8, BLOCK_VECTORS = 2 };
#else
enum { BLOCK_ROWS = 6, BLOCK_VECTORS = 2 };
#endif

/* Terms of a sum that are added at a time: so few that their rows stay in the nearest cache. */
enum { MAX_TERMS = 256 };

/* Terms that are added at a time, of n. */
ALWAYS_INLINE int64_t part_length(int64_t n)
{
    return n <= MAX_TERMS ? n : (n - 1) / ((n - 1) / MAX_TERMS + 1) + 1;
}

enum { FORWARD_TERMS = 8 };        /* so few that their rows, pages apart, stay in the nearest cache */
enum { AHEAD = 6 };                /* blocks */
enum { LINE = 64 / sizeof(REAL) }; /* of a cache */

/* n vectors, a power of two, as rows of a matrix: its columns one after the other. Each round deals the
 * vectors like two halves of a pack of cards. */
ALWAYS_INLINE void deal(int n, vec *v)
{
    for (int round = 1; round < n; round *= 2) {
        vec dealt[MAX_LANES]; /* enough for both uses */
        for (int k = 0; k < n / 2; k++) {
            dealt[2 * k] = interleave_low(v[k], v[k + n / 2]);
            dealt[2 * k + 1] = interleave_high(v[k], v[k + n / 2]);
        }
        for (int k = 0; k < n; k++) v[k] = dealt[k];
    }
}

/* The weights as dense_vectors reads them, one after the other: part after part of the terms, in each block
 * after block of rows of out. A tile is some terms of a block. */
typedef struct weight_tile {
    const REAL *from; /* its first weight */
    REAL *to;
} weight_tile;

ALWAYS_INLINE void move_weights(int64_t n_terms, int64_t step_term, int64_t step_row, weight_tile t)
{
    for (int64_t i = 0; i < n_terms; i++)
        for (int u = 0; u < BLOCK_ROWS; u++) t.to[i * BLOCK_ROWS + u] = t.from[i * step_term + u * step_row];
}

/* Forward, where the rows of a term lie side by side, and the same terms of the next block far away. */
ALWAYS_INLINE void arrange_forward(int64_t n_terms, int64_t step, int64_t to_next, weight_tile t)
{
    for (int64_t at = 0; at < FORWARD_TERMS * BLOCK_ROWS; at += LINE)
        __builtin_prefetch(t.to + AHEAD * to_next + at, 1);
    if (n_terms >= FORWARD_TERMS) {
        move_weights(FORWARD_TERMS, step, 1, t); /* a number that the compiler knows */
    } else {
        move_weights(n_terms, step, 1, t);
    }
}

/* Backward, where the terms of a row lie side by side. */
ALWAYS_INLINE void arrange_backward(int64_t n_terms, int64_t step, weight_tile t)
{
    if (n_terms >= VL && (BLOCK_ROWS & (BLOCK_ROWS - 1)) == 0) {
        vec v[BLOCK_ROWS];
        for (int u = 0; u < BLOCK_ROWS; u++) {
            v[u] = load(t.from + u * step);
            __builtin_prefetch(t.from + (BLOCK_ROWS + u) * step);
        }
        deal(BLOCK_ROWS, v);
        for (int u = 0; u < BLOCK_ROWS; u++) store(t.to + u * VL, v[u]);
        return;
    }
    move_weights(n_terms < VL ? n_terms : VL, 1, step, t);
}

ALWAYS_INLINE void arrange_dense(bool backward, const REAL *w, int64_t step, int64_t n_in, int64_t n_out,
                                 REAL *to)
{
    const int64_t n_terms = part_length(n_in), n_blocks = n_out / BLOCK_ROWS;
    for (int64_t begin = 0; begin < n_in; begin += n_terms) {
        const int64_t length = begin + n_terms < n_in ? n_terms : n_in - begin;
        for (int64_t i = 0; i < length && !backward; i += FORWARD_TERMS)
            for (int64_t block = 0; block < n_blocks; block++)
                arrange_forward(length - i, step, length * BLOCK_ROWS,
                                (weight_tile){w + (begin + i) * step + block * BLOCK_ROWS,
                                              to + (block * length + i) * BLOCK_ROWS});
        for (int64_t block = 0; block < n_blocks && backward; block++)
            for (int64_t i = 0; i < length; i += VL)
                arrange_backward(length - i, step,
                                 (weight_tile){w + block * BLOCK_ROWS * step + begin + i,
                                               to + (block * length + i) * BLOCK_ROWS});
        to += length * n_blocks * BLOCK_ROWS;
    }
}

/* Both ways, forward first; the derivatives of the first layer's inputs are never asked for. */
static void arrange(const ls_simd_network *network, const void *parameters, void *arranged)
{
    for (int64_t l = 0; l < network->n_layers; l++) {
        const ls_simd_layer *layer = &network->layers[l];
        const REAL *w = (const REAL *)parameters + layer->kernel;
        REAL *to = (REAL *)arranged + layer->kernel;
        if (!layer->is_arranged) continue;
        arrange_dense(false, w, layer->units, layer->n_inputs, layer->units, to);
        if (l > 0)
            arrange_dense(true, w, layer->units, layer->units, layer->n_inputs, to + network->n_parameters);
    }
}
