/* A seeded bijection of [0, n_samples), in vectors of 16 bits: which place each sample has in the undealt
 * order.
 *
 * Numbers have two digits, or three or four beyond 2^30, in a mixed radix: the first digit counts most. A
 * Feistel network moves the digits in turn round by a hash of the digit before. Numbers from n_samples
 * on are left again by walking on (Black and Rogaway, "Ciphers with arbitrary finite domains",
 * 2002). */

/* Moves a digit by a hash of another one, modulo its radix. */
INLINE void move(digits digit[TOGETHER], const digits by[TOGETHER], uint16_t key, uint16_t factor,
                 digits radix)
{
    digits hash[TOGETHER];
    EACH(u) hash[u] = (by[u] ^ all_digits(key)) * all_digits(factor);
    EACH(u) hash[u] ^= hash[u] >> 7;
    EACH(u) hash[u] *= all_digits(0x9E37);
    EACH(u) hash[u] = high_product(hash[u], radix);
    EACH(u) digit[u] = wrap(digit[u] + hash[u], radix);
}

/* One more in each lane whose number is at least the bound. */
INLINE digits add_if_reached(digits count, digits number[][TOGETHER], int u, const ls_philox_bound *bound,
                             int n_digits)
{
    digits digit = number[n_digits - 1][u];
    for (int k = n_digits - 1; k > 0; k--)
        digit = add_if_at_least(number[k - 1][u], digit, all_digits(bound->digits[k]));
    return add_if_at_least(count, digit, all_digits(bound->digits[0]));
}

/* Numbers below 2 radix in the last digit become right ones. */
INLINE void carry(const ls_philox_mixture *mixture, digits number[], int n_digits)
{
    for (int k = n_digits - 1; k > 0; k--) {
        const digits radix = all_digits(mixture->deal_radices[k]);
        number[k - 1] = add_if_at_least(number[k - 1], number[k], radix);
        number[k] = wrap(number[k], radix);
    }
}

/* The places of samples. Lanes whose sample does not exist come out anyhow. */
INLINE void deal(const ls_philox_mixture *mixture, digits number[][TOGETHER], int n_digits,
                 digits place[][TOGETHER])
{
    const digits none = {0};
    digits pending[TOGETHER], left;
    EACH(u)
    {
        pending[u] = add_if_reached(none, number, u, &mixture->deal_end, n_digits) - 1;
        for (int k = 0; k < n_digits; k++) place[k][u] = number[k][u];
    }
    do {
        int round = 0;
        for (int pass = 0; pass <= n_digits; pass++)
            for (int k = 0; k < n_digits; k++, round++)
                move(number[k], number[k > 0 ? k - 1 : n_digits - 1], mixture->deal_keys[round],
                     mixture->deal_factors[round], all_digits(mixture->deal_radices[k]));
        left = none;
        EACH(u)
        {
            for (int k = 0; k < n_digits; k++)
                place[k][u] = (pending[u] & number[k][u]) | (~pending[u] & place[k][u]);
            pending[u] &= none - add_if_reached(none, number, u, &mixture->deal_end, n_digits);
            left |= pending[u];
        }
    } while (__builtin_expect(any((mask)left), 0));
}

/* Number of stops at or below the place, the last stop left out. */
static uint32_t cluster_at(const ls_philox_mixture *mixture, int64_t place)
{
    int64_t low = 0, high = mixture->n_clusters - 1;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (mixture->stops[middle] <= place)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

/* The clusters of samples [first, first + n). */
INLINE void deal_clusters(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, uint64_t first,
                          int64_t n, int n_digits)
{
    enum { AT_ONCE = TOGETHER * DIGITS };
    const uint16_t *radices = mixture->deal_radices;
    digits next[LS_PHILOX_MOST_DIGITS];
    uint64_t rest = first;
    for (int k = n_digits - 1; k > 0; k--, rest /= radices[k + 1])
        next[k] = all_digits((uint16_t)(rest % radices[k]));
    next[0] = all_digits((uint16_t)rest);
    next[n_digits - 1] += digit_numbers();
    for (int64_t i = 0; i < n; i += AT_ONCE) {
        digits numbers[LS_PHILOX_MOST_DIGITS][TOGETHER], places[LS_PHILOX_MOST_DIGITS][TOGETHER];
        EACH(u)
        {
            carry(mixture, next, n_digits);
            for (int k = 0; k < n_digits; k++) numbers[k][u] = next[k];
            next[n_digits - 1] += DIGITS;
        }
        deal(mixture, numbers, n_digits, places);
        uint16_t lanes[LS_PHILOX_MOST_DIGITS][AT_ONCE];
        uint32_t *clusters = scratch->clusters + i;
        if (mixture->n_clusters <= LS_PHILOX_FEW_CLUSTERS) {
            EACH(u)
            {
                digits cluster = {0};
                for (int64_t c = 0; c + 1 < mixture->n_clusters; c++)
                    cluster = add_if_reached(cluster, places, u, &mixture->deal_stops[c], n_digits);
                memcpy(lanes[0] + u * DIGITS, &cluster, sizeof cluster);
            }
            for (int l = 0; l < AT_ONCE; l++) clusters[l] = lanes[0][l];
        } else {
            for (int k = 0; k < n_digits; k++) memcpy(lanes[k], places[k], sizeof lanes[k]);
            for (int l = 0; l < AT_ONCE; l++) {
                int64_t place = lanes[0][l];
                for (int k = 1; k < n_digits; k++) place = place * radices[k] + lanes[k][l];
                clusters[l] = cluster_at(mixture, place);
            }
        }
    }
}

static void choose_clusters(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch,
                            uint64_t first, int64_t n)
{
    if (!mixture->dealt) {
        for (int64_t i = 0; i < n;) {
            const uint32_t cluster = cluster_at(mixture, (int64_t)first + i);
            const bool last = cluster + 1 == mixture->n_clusters;
            const int64_t left = last ? n : mixture->stops[cluster] - (int64_t)first,
                          end = left < n ? left : n;
            for (; i < end; i++) scratch->clusters[i] = cluster;
        }
        return;
    }
    switch (mixture->deal_digits) {
    case 2:
        deal_clusters(mixture, scratch, first, n, 2);
        break;
    case 3:
        deal_clusters(mixture, scratch, first, n, 3);
        break;
    default:
        deal_clusters(mixture, scratch, first, n, 4);
    }
}
