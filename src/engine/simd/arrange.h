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

/* Weights of some units and some terms of a layer. */
typedef struct weights {
    const REAL *from; /* the first term's first */
    int64_t step;     /* from term to term */
    int64_t n_terms, n_units;
    REAL *to;
} weights;

/* Puts them down as dense_vectors reads them, one after the other: block after block of units, in each term
 * after term. */
ALWAYS_INLINE void arrange(const weights *w)
{
    const int64_t n_blocks = w->n_units / BLOCK_ROWS;
    for (int64_t i = 0; i < w->n_terms; i++)
        for (int64_t block = 0; block < n_blocks; block++)
            for (int u = 0; u < BLOCK_ROWS; u++)
                w->to[(block * w->n_terms + i) * BLOCK_ROWS + u] =
                    w->from[i * w->step + block * BLOCK_ROWS + u];
}

/* Asks for what arrange will need, n of n_parts parts from `begin` on: all of it would be waited for. */
ALWAYS_INLINE void ask_for(const weights *w, int64_t begin, int64_t n, int64_t n_parts)
{
    for (int64_t i = w->n_terms * begin / n_parts; i < w->n_terms * (begin + n) / n_parts; i++)
        for (int64_t at = 0; at < w->n_units; at += LINE) {
            __builtin_prefetch(w->from + i * w->step + at, 0, 2);
            __builtin_prefetch(w->to + i * w->n_units + at, 1, 2);
        }
}
