/* Rows into lanes for one type. The including file defines REAL and NAME(x). */

/* What rows bring beside their features. */
typedef struct NAME(label_rows) {
    const REAL *y;     /* or NULL: labels as if there were no sample */
    int64_t n_columns; /* of y, of which a weight may be the last */
    int64_t n_labels;  /* values of a packed sample: the columns, and a weight of 1 if they have none */
} NAME(label_rows);

/* Whole steps of one shard: rows one after the other become columns of `lanes` values, `width` apart. Called
 * with constants where it matters, so that the compiler makes shuffles of it. */
static inline __attribute__((always_inline)) void NAME(turn)(const REAL *restrict x, const REAL *restrict y,
                                                             int64_t n_steps, int64_t lanes, int64_t width,
                                                             int64_t n_features, int64_t n_columns,
                                                             int64_t n_labels, REAL *restrict packed)
{
    for (int64_t step = 0; step < n_steps; step++) {
        for (int64_t i = 0; i < n_features; i++)
            for (int64_t l = 0; l < lanes; l++) packed[i * width + l] = x[l * n_features + i];
        packed += n_features * width;
        for (int64_t i = 0; i < n_labels; i++)
            for (int64_t l = 0; l < lanes; l++)
                packed[i * width + l] = i < n_columns ? y[l * n_columns + i] : 1;
        x += lanes * n_features;
        y += lanes * n_columns;
        packed += n_labels * width;
    }
}

LS_WIDE static void NAME(turn_steps)(const REAL *x, const NAME(label_rows) * labels, int64_t n_steps,
                                     int64_t lanes, int64_t width, int64_t n_features, REAL *packed)
{
    enum { MOST = 64 / sizeof(REAL) };
    if (labels->n_labels == 1 && n_features == 2 && lanes == MOST && width == MOST)
        NAME(turn)(x, labels->y, n_steps, MOST, MOST, 2, 1, 1, packed);
    else if (labels->n_labels == 1 && n_features == 2 && lanes == MOST / 2 && width == MOST)
        NAME(turn)(x, labels->y, n_steps, MOST / 2, MOST, 2, 1, 1, packed);
    else if (labels->n_labels == 1)
        NAME(turn)(x, labels->y, n_steps, lanes, width, n_features, 1, 1, packed);
    else
        NAME(turn)
    (x, labels->y, n_steps, lanes, width, n_features, labels->n_columns, labels->n_labels, packed);
}

/* The labels of one lane; those of a lane without a sample if row is NULL. */
static inline void NAME(put_labels)(const REAL *row, const NAME(label_rows) * labels, int64_t width, REAL *to)
{
    for (int64_t i = 0; i < labels->n_labels; i++)
        to[i * width] = !row ? (i == labels->n_labels - 1 ? -1 : 0) : i < labels->n_columns ? row[i] : 1;
}

/* One shard's rows into its lanes of a group, of n_steps steps in all. A lane without a sample takes the
 * features of `spare`: values that real samples have too cannot bring a NaN of their own. */
static void NAME(pack_shard)(const REAL *x, NAME(label_rows) labels, int64_t n_rows, int64_t n_steps,
                             int64_t lanes, int64_t width, int64_t n_features, const REAL *spare,
                             REAL *packed)
{
    const int64_t step_values = (n_features + labels.n_labels) * width,
                  whole = labels.y && lanes >= 4 ? n_rows / lanes : 0;
    if (whole > 0) NAME(turn_steps)(x, &labels, whole, lanes, width, n_features, packed);
    for (int64_t step = whole, row = whole * lanes; step < n_steps; step++)
        for (int64_t l = 0; l < lanes; l++, row++) {
            const bool there = row < n_rows;
            const REAL *from = there ? x + row * n_features : spare;
            REAL *to = packed + step * step_values + l;
            for (int64_t i = 0; i < n_features; i++) to[i * width] = from[i];
            NAME(put_labels)
            (there && labels.y ? labels.y + row * labels.n_columns : NULL, &labels, width,
             to + n_features * width);
        }
}

static NAME(label_rows) NAME(labels_of)(const simd_state *state, const REAL *y)
{
    return (NAME(label_rows)){y, state->n_label_columns, ls_simd_label_values(&state->network)};
}

/* Shards side by side. */
static void NAME(pack_group)(const simd_state *state, const shard_group *group, const ls_rows *rows,
                             const int64_t *shard_rows, REAL *packed)
{
    const int64_t n_features = state->network.n_features, width = group->width, lanes = state->shard_lanes;
    const NAME(label_rows) labels = NAME(labels_of)(state, NULL);
    const REAL *spare = NULL;
    for (int64_t s = 0; s < group->n_shards && !spare; s++)
        if (shard_rows[s] > 0) spare = rows[s].x;
    if (lanes == 1 && group->n_steps == 1) { /* the smallest batches: a row of each shard */
        for (int64_t lane = 0; lane < width; lane++) {
            const bool there = lane < group->n_shards && shard_rows[lane] > 0;
            const REAL *from = there ? rows[lane].x : spare;
            for (int64_t i = 0; i < n_features; i++) packed[i * width + lane] = from[i];
            NAME(put_labels)(there ? rows[lane].y : NULL, &labels, width, packed + n_features * width + lane);
        }
        return;
    }
    for (int64_t s = 0; s < group->n_shards; s++) {
        NAME(pack_shard)
        (rows[s].x, NAME(labels_of)(state, rows[s].y), shard_rows[s], group->n_steps, lanes, width,
         n_features, spare, packed + s * lanes);
    }
    if (group->lanes < width) {
        NAME(pack_shard)
        (NULL, labels, 0, group->n_steps, width - group->lanes, width, n_features, spare,
         packed + group->lanes);
    }
}

/* Rows as they follow one another; y may be NULL. */
static void NAME(pack_rows)(const simd_state *state, const shard_group *group, const REAL *x, const REAL *y,
                            int64_t n_rows, REAL *packed)
{
    NAME(pack_shard)
    (x, NAME(labels_of)(state, y), n_rows, group->n_steps, group->width, group->width,
     state->network.n_features, x, packed);
}
