/* SPDX-License-Identifier: MIT */
#include "server/lookup/freshness.h"

#include "server/admin/config.h"

#define MILLION 1000000

struct freshness_rules freshness_rules(const struct config *config, int table)
{
    return (struct freshness_rules){
        .max_age_us = config_freshness(config, table, CONFIG_max_age),
        .jitter = config_number(config, CONFIG_freshness_jitter),
        .stale_us =
            config_freshness(config, table, CONFIG_stale_while_revalidate),
        .error_us = config_freshness(config, table, CONFIG_stale_if_error),
        .negative_us = config_freshness(config, table, CONFIG_negative_max_age),
        .distrusted_us = INT64_MIN,
        .age_bound_us = FRESHNESS_NO_BOUND,
        .stale_bound_us = FRESHNESS_NO_BOUND};
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A number from -MILLION to MILLION that depends on nothing but the copy.
 * Source: Fibonacci hashing, Knuth, TAOCP volume 3, 6.4: versions of copies
 * are consecutive, their products with the golden ratio are spread evenly. */
static int64_t spread_of(const struct copy *copy)
{
    const uint64_t mixed = copy->version * UINT64_C(0x9e3779b97f4a7c15);

    return (int64_t)((mixed >> 32) * (2 * MILLION + 1) >> 32) - MILLION;
}

/* How long 'copy' is fresh.  The product is made of a day in microseconds and
 * less than 2^20, so it fits. */
static int64_t lifetime(const struct freshness_rules *rules,
                        const struct copy *copy)
{
    if (copy->kind == COPY_NEGATIVE) {
        return rules->negative_us;
    }
    const int64_t shift = rules->jitter * spread_of(copy) / MILLION;
    return rules->max_age_us + rules->max_age_us / MILLION * shift +
           rules->max_age_us % MILLION * shift / MILLION;
}

struct freshness_left freshness_left(const struct freshness_rules *rules,
                                     const struct copy *copy, int64_t now_us)
{
    const int64_t left_us = lifetime(rules, copy) - (now_us - copy->filled_us);

    return (struct freshness_left){.fresh_us = left_us,
                                   .stale_us = left_us + rules->stale_us,
                                   .error_us = left_us + rules->error_us};
}

bool freshness_distrusts(const struct freshness_rules *rules,
                         const struct copy *copy)
{
    return !copy_is_pinned(copy) && copy->filled_us <= rules->distrusted_us;
}

enum freshness freshness_of(const struct freshness_rules *rules,
                            const struct copy *copy, int64_t now_us)
{
    const int64_t age_us = now_us - copy->filled_us;

    if (copy_is_pinned(copy)) {
        return COPY_FRESH;
    }
    if (freshness_distrusts(rules, copy)) {
        return COPY_OLD;
    }
    const int64_t fresh_us =
        smaller(lifetime(rules, copy), rules->age_bound_us);
    if (age_us < fresh_us) {
        return COPY_FRESH;
    }
    const int64_t stale_us = smaller(rules->stale_us, rules->stale_bound_us);
    return copy->kind != COPY_NEGATIVE && age_us - fresh_us < stale_us
               ? COPY_STALE
               : COPY_OLD;
}

bool freshness_good_on_error(const struct freshness_rules *rules,
                             const struct copy *copy, int64_t now_us)
{
    const struct freshness_left left = freshness_left(rules, copy, now_us);

    if (copy->kind == COPY_NEGATIVE && freshness_distrusts(rules, copy)) {
        return false;
    }
    return copy_is_pinned(copy) || left.fresh_us > 0 ||
           (copy->kind != COPY_NEGATIVE && left.error_us > 0);
}
