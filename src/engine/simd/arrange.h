/* Weights in the order in which the forward products of wide layers read them. Part of kernel.c. */
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

enum { SOME_TERMS = 8 };           /* so few that their rows, pages apart, stay in the nearest cache */
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

/* Some terms of a block of rows, which lie side by side in a term; the same terms of the next block are to go
 * far away. */
ALWAYS_INLINE void arrange_block(int64_t n_terms, const REAL *w, int64_t step, REAL *to)
{
    for (int64_t i = 0; i < n_terms; i++)
        for (int u = 0; u < BLOCK_ROWS; u++) to[i * BLOCK_ROWS + u] = w[i * step + u];
}

/* A layer's weights as dense_vectors reads them, one after the other: part after part of the terms, in each
 * block after block of units. */
static void arrange_layer(const ls_simd_layer *layer, const REAL *w, REAL *to)
{
    const int64_t n_terms = part_length(layer->n_inputs), n_blocks = layer->units / BLOCK_ROWS;
    for (int64_t begin = 0; begin < layer->n_inputs; begin += n_terms) {
        const int64_t length = begin + n_terms < layer->n_inputs ? n_terms : layer->n_inputs - begin;
        for (int64_t i = 0; i < length; i += SOME_TERMS)
            for (int64_t block = 0; block < n_blocks; block++) {
                const REAL *from = w + (begin + i) * layer->units + block * BLOCK_ROWS;
                REAL *at = to + (block * length + i) * BLOCK_ROWS;
                for (int64_t line = 0; line < SOME_TERMS * BLOCK_ROWS; line += LINE)
                    __builtin_prefetch(at + AHEAD * length * BLOCK_ROWS + line, 1);
                if (length - i >= SOME_TERMS) {
                    arrange_block(SOME_TERMS, from, layer->units, at); /* a number that the compiler knows */
                } else {
                    arrange_block(length - i, from, layer->units, at);
                }
            }
        to += length * n_blocks * BLOCK_ROWS;
    }
}

static void arrange(const ls_simd_network *network, const void *parameters, void *arranged)
{
    for (int64_t l = 0; l < network->n_layers; l++) {
        const ls_simd_layer *layer = &network->layers[l];
        if (layer->is_arranged)
            arrange_layer(layer, (const REAL *)parameters + layer->kernel, (REAL *)arranged + layer->kernel);
    }
}
