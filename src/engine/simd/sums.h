/* The gradient's sums over a chunk. Part of kernel.c. */
#define CHAINS (VL < 4 ? VL : 4) /* of a narrow tile at a time */
/* A wide tile: N_I rows of inputs by N_J rows of derivatives, VL chains in all. */
#define N_J    (VL < 4 ? VL : 4)
#define N_I    (VL / N_J)
#define SQUARE 16

/* The sum over the parts of a group's lanes, each folded. */
ALWAYS_INLINE vec add_parts(vec folded[MAX_PARTS], int64_t n_parts)
{
    for (int64_t distance = 1; distance < n_parts; distance *= 2)
        for (int64_t part = 0; part < n_parts; part += 2 * distance)
            folded[part] = folded[part] + folded[part + distance];
    return folded[0];
}

/* The first n of the values to sums, or added to them. */
ALWAYS_INLINE void take(REAL *sums, const REAL *values, int64_t n, bool first)
{
    for (int64_t i = 0; i < n; i++) sums[i] = first ? values[i] : sums[i] + values[i];
}

/* n chains of a narrow tile from `begin` on, over the vectors from `part` on. With pairs two neighbours have
 * their first factor in common. */
ALWAYS_INLINE void add_chains(int n, bool pairs, const ls_simd_tile *tile, const REAL *workspace, int begin,
                              int64_t part, int64_t n_v, int64_t n_parts, vec *chains)
{
    const REAL *in[CHAINS], *delta[CHAINS];
    vec chain[CHAINS];
    for (int k = 0; k < n; k++) {
        in[k] = workspace + tile->inputs[begin + k];
        delta[k] = workspace + tile->deltas[begin + k];
        chain[k] = all(0);
    }
    for (int64_t v = part; v < n_v; v += n_parts)
        for (int k = 0; k < n; k++) {
            const vec x = load(in[pairs ? k & ~1 : k] + v * VL);
            chain[k] = fma_(x, load(delta[k] + v * VL), chain[k]);
        }
    for (int k = 0; k < n; k++) chains[begin + k] = chain[k];
}

/* All chains of a narrow tile. Apart, because inside a larger function pointers would have no registers. */
static __attribute__((noinline)) void add_all_chains(const ls_simd_tile *tile, const REAL *workspace,
                                                     int64_t part, int64_t n_v, int64_t n_parts, vec *chains)
{
    if (tile->has_pairs) {
        for (int k = 0; k < VL; k += CHAINS)
            add_chains(CHAINS, true, tile, workspace, k, part, n_v, n_parts, chains);
    } else {
        for (int k = 0; k < VL; k += CHAINS)
            add_chains(CHAINS, false, tile, workspace, k, part, n_v, n_parts, chains);
    }
}

/* A narrow tile's products over a chunk. */
static void add_narrow_tile(const ls_simd_tile *tile, const REAL *workspace, int64_t n_v, int64_t n_parts,
                            bool first, REAL *sums)
{
    vec folded[MAX_PARTS];
    int64_t part = 0;
    do {
        vec chains[VL];
        if (n_v == n_parts) {
            for (int k = 0; k < VL; k++)
                chains[k] = load(workspace + tile->inputs[k] + part * VL) *
                            load(workspace + tile->deltas[k] + part * VL);
        } else {
            add_all_chains(tile, workspace, part, n_v, n_parts, chains);
        }
        folded[part] = fold(chains);
    } while (++part < n_parts);
    vec sum = add_parts(folded, n_parts);
    if (!first) sum = sum + load(sums + tile->parameter);
    store(sums + tile->parameter, sum);
}

/* Products of N_I inputs by N_J derivatives over a chunk; the rows say which, sums is that of the first pair.
 * Of inputs and derivatives only the first n_i and n_j are wanted, if they are fewer. */
ALWAYS_INLINE void add_wide_tile(const REAL *const in[N_I], const REAL *const delta[N_J], int64_t n_v,
                                 int64_t n_parts, bool first, int64_t n_i, int64_t n_j, int64_t units,
                                 REAL *sums)
{
    vec folded[MAX_PARTS];
    int64_t part = 0;
    do {
        vec chains[VL];
        for (int k = 0; k < VL; k++) chains[k] = all(0);
        for (int64_t v = part; v < n_v; v += n_parts) {
            vec d[N_J];
            for (int j = 0; j < N_J; j++) d[j] = load(delta[j] + v * VL);
            for (int i = 0; i < N_I; i++) {
                const vec x = load(in[i] + v * VL);
                for (int j = 0; j < N_J; j++) chains[i * N_J + j] = fma_(x, d[j], chains[i * N_J + j]);
            }
        }
        folded[part] = fold(chains);
    } while (++part < n_parts);
    REAL values[VL];
    store(values, add_parts(folded, n_parts));
    if (n_i >= N_I && n_j >= N_J) {
        for (int i = 0; i < N_I; i++) take(sums + i * units, values + i * N_J, N_J, first);
    } else {
        for (int64_t i = 0; i < N_I && i < n_i; i++)
            take(sums + i * units, values + i * N_J, n_j < N_J ? n_j : (int64_t)N_J, first);
    }
}

/* The gradient of a wide layer over a chunk, in squares of tiles whose rows stay in the nearest cache. */
static void add_wide_layer(const ls_simd_layer *layer, const REAL *workspace, int64_t n_v, int64_t n_parts,
                           bool first, REAL *sums)
{
    const int64_t n_rows = layer->n_inputs + 1; /* the last one is the bias */
    for (int64_t j_begin = 0; j_begin < layer->units; j_begin += SQUARE)
        for (int64_t i_begin = 0; i_begin < n_rows; i_begin += SQUARE)
            for (int64_t i = i_begin; i < i_begin + SQUARE && i < n_rows; i += N_I) {
                const REAL *in[N_I], *delta[N_J];
                for (int u = 0; u < N_I; u++) {
                    const int64_t row = i + u < layer->n_inputs ? layer->input_row + i + u : LS_SIMD_ROW_ONE;
                    in[u] = workspace + row * ROW_STRIDE;
                }
                for (int64_t j = j_begin; j < j_begin + SQUARE && j < layer->units; j += N_J) {
                    for (int u = 0; u < N_J; u++) {
                        const int64_t unit = j + u < layer->units ? j + u : j;
                        delta[u] = workspace + (layer->delta_row + unit) * ROW_STRIDE;
                    }
                    add_wide_tile(in, delta, n_v, n_parts, first, n_rows - i, layer->units - j, layer->units,
                                  sums + layer->kernel + i * layer->units + j);
                }
            }
}

/* ---- The gradient of a wide layer, lane after lane, on vectors across its units: then the tree over lanes
 * adds whole vectors, and nothing is folded. ---- */

/* Vectors of units of a block, and its rows of inputs. */
#if LS_SIMD_REGISTERS == 32
enum { UNIT_VECTORS = 2, INPUT_ROWS = 8 };
#else
enum { UNIT_VECTORS = 2, INPUT_ROWS = 4 };
#endif
enum { GATHERED_UNITS = 128 }; /* for which gathering the samples of some inputs pays */
enum { PANEL_UNITS = UNIT_VECTORS * VL, MAX_LEVELS = 5 /* log2(MAX_LANES) + 1 */ };
_Static_assert(1 << (MAX_LEVELS - 1) >= MAX_LANES, "a tree over lanes");

/* The derivatives of n_u vectors of units from j on: lane after lane, in each step after step, units side by
 * side. Units that the layer does not have stand for its last one. */
static void spread_deltas(const ls_simd_layer *layer, const REAL *workspace, int64_t j, int n_u,
                          int64_t n_steps, int64_t width, REAL *to)
{
    for (int u = 0; u < n_u; u++)
        for (int64_t step = 0; step < n_steps; step++)
            for (int64_t lane = 0; lane < width; lane += VL) {
                vec v[VL];
                for (int k = 0; k < VL; k++) {
                    const int64_t unit = j + u * VL + k < layer->units ? j + u * VL + k : layer->units - 1;
                    v[k] = load(workspace + (layer->delta_row + unit) * ROW_STRIDE + step * width + lane);
                }
                deal(VL, v); /* v[k] has become lane k of all */
                for (int k = 0; k < VL; k++) store(to + (((lane + k) * n_steps + step) * n_u + u) * VL, v[k]);
            }
}

/* The samples of INPUT_ROWS rows, one after the other. */
ALWAYS_INLINE void gather_inputs(const REAL *in, int64_t n_values, REAL *to)
{
    for (int64_t at = 0; at < n_values; at += VL, to += INPUT_ROWS * VL) {
        vec v[INPUT_ROWS];
        for (int i = 0; i < INPUT_ROWS; i++) v[i] = load(in + i * ROW_STRIDE + at);
        deal(INPUT_ROWS, v);
        for (int i = 0; i < INPUT_ROWS; i++) store(to + i * VL, v[i]);
    }
}

/* Which part of a layer's gradient is summed, over a chunk. */
typedef struct chunk {
    int64_t n_steps, width;
    bool first;
} chunk;

/* n_i rows of inputs, perhaps as gather_inputs leaves them, by n_u vectors of units, of which the layer has
 * n_units. */
ALWAYS_INLINE void add_block(int n_i, int n_u, bool whole, bool gathered, const REAL *in, const REAL *deltas,
                             chunk c, int64_t n_units, int64_t units, REAL *sums)
{
    const int64_t n_steps = whole ? LS_SIMD_STEPS : c.n_steps; /* a number that the compiler knows */
    const int64_t between = gathered ? n_i : 1, row = gathered ? 1 : ROW_STRIDE; /* samples, inputs */
    vec waiting[MAX_LEVELS][INPUT_ROWS * UNIT_VECTORS]; /* for their neighbours in the tree */
    int level = 0;
    for (int i = 0; i < n_i; i++)
        for (int u = 0; u < n_u; u++) __builtin_prefetch(sums + i * units + u * VL, 1);
    for (int64_t lane = 0; lane < c.width; lane++) {
        const REAL *x = in + lane * between;
        vec chains[INPUT_ROWS * UNIT_VECTORS];
        for (int k = 0; k < n_i * n_u; k++) chains[k] = all(0);
#pragma GCC unroll 4
        for (int64_t step = 0; step < n_steps; step++, x += c.width * between, deltas += n_u * VL) {
            vec delta[UNIT_VECTORS];
            for (int u = 0; u < n_u; u++) delta[u] = load(deltas + u * VL);
            for (int i = 0; i < n_i; i++) {
                const vec value = all(x[i * row]);
                for (int u = 0; u < n_u; u++)
                    chains[i * n_u + u] = fma_(value, delta[u], chains[i * n_u + u]);
            }
        }
        for (level = 0; lane >> level & 1; level++)
            for (int k = 0; k < n_i * n_u; k++) chains[k] = waiting[level][k] + chains[k];
        for (int k = 0; k < n_i * n_u; k++) waiting[level][k] = chains[k];
    }
    const vec *result = waiting[level];
    for (int i = 0; i < n_i; i++, sums += units) {
        REAL values[PANEL_UNITS];
        for (int u = 0; u < n_u; u++) store(values + u * VL, result[i * n_u + u]);
        if (n_units >= n_u * VL) {
            take(sums, values, n_u * VL, c.first);
        } else {
            take(sums, values, n_units, c.first);
        }
    }
}

/* n_i rows of inputs by all units. */
ALWAYS_INLINE void add_rows(int n_i, bool whole, bool gathered, const ls_simd_layer *layer, const REAL *in,
                            const REAL *deltas, chunk c, REAL *sums)
{
    const int64_t units = layer->units, n_values = c.n_steps * c.width;
    int64_t j = 0;
    for (; j + VL < units; j += PANEL_UNITS)
        add_block(n_i, UNIT_VECTORS, whole, gathered, in, deltas + j * n_values, c, units - j, units,
                  sums + j);
    if (j < units)
        add_block(n_i, 1, whole, gathered, in, deltas + j * n_values, c, units - j, units, sums + j);
}

static void add_wide_layer_by_lanes(const ls_simd_layer *layer, REAL *workspace, REAL *deltas, chunk c,
                                    REAL *sums)
{
    REAL gathered[INPUT_ROWS * LS_SIMD_STEPS * MAX_LANES] __attribute__((aligned(64)));
    const int64_t units = layer->units, n_values = c.n_steps * c.width;
    const REAL *in = row_at(workspace, layer->input_row);
    int64_t i = 0, j = 0;
    for (; j + VL < units; j += PANEL_UNITS)
        spread_deltas(layer, workspace, j, UNIT_VECTORS, c.n_steps, c.width, deltas + j * n_values);
    if (j < units) spread_deltas(layer, workspace, j, 1, c.n_steps, c.width, deltas + j * n_values);
    sums += layer->kernel;
    for (; i + INPUT_ROWS <= layer->n_inputs; i += INPUT_ROWS) {
        if (c.n_steps == LS_SIMD_STEPS && units >= GATHERED_UNITS) {
            gather_inputs(in + i * ROW_STRIDE, n_values, gathered);
            for (int k = 0; k < INPUT_ROWS; k++) /* what is next needed from afar */
                for (int64_t at = 0; at < n_values; at += LINE)
                    __builtin_prefetch(in + (i + INPUT_ROWS + k) * ROW_STRIDE + at, 0, 2);
            add_rows(INPUT_ROWS, true, true, layer, gathered, deltas, c, sums + i * units);
        } else if (c.n_steps == LS_SIMD_STEPS) {
            add_rows(INPUT_ROWS, true, false, layer, in + i * ROW_STRIDE, deltas, c, sums + i * units);
        } else {
            add_rows(INPUT_ROWS, false, false, layer, in + i * ROW_STRIDE, deltas, c, sums + i * units);
        }
    }
    for (; i < layer->n_inputs; i++)
        add_rows(1, false, false, layer, in + i * ROW_STRIDE, deltas, c, sums + i * units);
    add_rows(1, false, false, layer, row_at(workspace, LS_SIMD_ROW_ONE), deltas, c, sums + i * units);
}

/* n vectors, a power of two, along the pairwise-adjacent tree. */
ALWAYS_INLINE vec add_tree(int n, const vec *v)
{
    if (n == 1) return v[0];
    if (n == 2) return v[0] + v[1];
    const vec left = (v[0] + v[1]) + (v[2] + v[3]);
    if (n == 4) return left;
    const vec half = left + ((v[4] + v[5]) + (v[6] + v[7]));
    if (n == 8) return half;
    return half + (((v[8] + v[9]) + (v[10] + v[11])) + ((v[12] + v[13]) + (v[14] + v[15])));
}

/* The gradient of a wide layer's VL units from j on, where every lane has one sample at most: with vectors
 * across units there is nothing to fold, for the tree adds whole vectors. */
ALWAYS_INLINE void add_one_sample(int n_lanes, const ls_simd_layer *layer, const REAL *workspace, int64_t j,
                                  REAL *sums)
{
    REAL by_lane[MAX_LANES][VL];
    vec deltas[16];
    const REAL *delta = workspace + (layer->delta_row + j) * ROW_STRIDE;
    for (int k = 0; k < VL; k++)
        for (int lane = 0; lane < n_lanes; lane++) by_lane[lane][k] = delta[k * ROW_STRIDE + lane];
    for (int lane = 0; lane < n_lanes; lane++) deltas[lane] = load(by_lane[lane]);
    REAL *to = sums + layer->kernel + j;
    for (int64_t i = 0; i <= layer->n_inputs; i++, to += layer->units) {
        const REAL *in =
            workspace + (i < layer->n_inputs ? layer->input_row + i : LS_SIMD_ROW_ONE) * ROW_STRIDE;
        vec products[16];
        for (int lane = 0; lane < n_lanes; lane++) products[lane] = all(in[lane]) * deltas[lane];
        store(to, add_tree(n_lanes, products));
    }
}

static void add_one_step(const ls_simd_network *network, int64_t lanes, const REAL *workspace, REAL *sums)
{
    for (int64_t l = 0; l < network->n_layers; l++) {
        const ls_simd_layer *layer = &network->layers[l];
        if (!layer->is_wide) continue;
        for (int64_t j = 0; j < layer->units; j += VL) {
            const int64_t first = j + VL <= layer->units ? j : layer->units - VL;
            /* A number that the compiler knows keeps the products in registers. */
            switch (lanes) {
#define CASE(n)                                                                                              \
    case n:                                                                                                  \
        add_one_sample(n, layer, workspace, first, sums);                                                    \
        break;
                CASE(1)
                CASE(2)
                CASE(4)
                CASE(8)
#if !LS_SIMD_DOUBLE
                CASE(16)
#endif
#undef CASE
            }
        }
    }
}
