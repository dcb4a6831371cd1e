/* Rows into lanes for one type. The including file defines REAL and NAME(x). */

/* One sample into a lane of a step; NULL y for rows without labels. */
static inline void NAME(pack_sample)(REAL *step, int64_t lane, int64_t width, int64_t n_features,
                                     const REAL *x, REAL label)
{
    for (int64_t i = 0; i < n_features; i++) step[i * width + lane] = x[i];
    step[n_features * width + lane] = label;
}

/* Shards side by side; rows says where their samples lie in x and y. A lane without a sample takes the
 * features of the group's first: values that real samples have too cannot bring a NaN of their own. */
static void NAME(pack_group)(const simd_state *state, const shard_group *group, const REAL *x, const REAL *y,
                             const int64_t *rows, const int64_t *shard_rows, REAL *packed)
{
    const int64_t n_features = state->network.n_features, width = group->width,
                  shard_lanes = state->shard_lanes;
    const int64_t first =
        group->n_steps > 0 ? rows[0] : 0; /* in a group with samples the next row is one of them */
    const int64_t step_values = (n_features + 1) * width;
    int64_t lane = 0;
    for (int64_t s = 0; s < group->n_shards; s++, lane += shard_lanes) {
        int64_t row = 0;
        for (int64_t step = 0; step < group->n_steps; step++)
            for (int64_t l = 0; l < shard_lanes; l++, row++) {
                const bool there = row < shard_rows[s];
                const int64_t source = there ? rows[row] : first;
                NAME(pack_sample)
                (packed + step * step_values, lane + l, width, n_features, x + source * n_features,
                 there ? y[source] : -1);
            }
        rows += shard_rows[s];
    }
    for (; lane < width; lane++)
        for (int64_t step = 0; step < group->n_steps; step++) NAME(pack_sample)
    (packed + step * step_values, lane, width, n_features, x + first * n_features, -1);
}

/* Rows as they follow one another; y may be NULL. */
static void NAME(pack_rows)(const simd_state *state, const shard_group *group, const REAL *x, const REAL *y,
                            int64_t n_rows, REAL *packed)
{
    const int64_t n_features = state->network.n_features, width = group->width;
    for (int64_t step = 0, row = 0; step < group->n_steps; step++, packed += (n_features + 1) * width)
        for (int64_t lane = 0; lane < width; lane++, row++) {
            const bool there = row < n_rows;
            NAME(pack_sample)
            (packed, lane, width, n_features, x + (there ? row : 0) * n_features, there && y ? y[row] : -1);
        }
}
