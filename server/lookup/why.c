/* SPDX-License-Identifier: MIT */
#include "server/lookup/why.h"

#include "common/clock.h"
#include "common/hash.h"
#include "server/admin/config.h"
#include "server/lookup/feed.h"
#include "server/store/store.h"

struct verdict {
    const char *answers;
    const char *reason;
};

/* What becomes of a copy in each state under each race: the table of
 * lookup.h. */
static const struct verdict fresh_verdicts[] = {
    [RACE_NEVER] = {"cache", "the copy is younger than max-age"},
    [RACE_STALE] = {"cache", "the copy is younger than max-age"},
    [RACE_ALWAYS] = {"both", "race is always: cache and store are both asked, "
                             "and the first answer wins"},
};

static const struct verdict stale_verdicts[] = {
    [RACE_NEVER] = {"store", "the copy is older than max-age, and race is "
                             "never"},
    [RACE_STALE] = {"cache", "the copy is older than max-age but within "
                             "stale-while-revalidate: it answers, and the "
                             "store is asked for a newer one"},
    [RACE_ALWAYS] = {"both", "race is always: cache and store are both asked, "
                             "and the first answer wins"},
};

static const struct verdict negative_verdicts[] = {
    [RACE_NEVER] = {"cache", "the store had no such row, less than "
                             "negative-max-age ago"},
    [RACE_STALE] = {"cache", "the store had no such row, less than "
                             "negative-max-age ago"},
    [RACE_ALWAYS] = {"both", "race is always: cache and store are both asked, "
                             "and the first answer wins"},
};

static const struct verdict dirty_verdict = {
    "cache", "the copy is a write that is acknowledged and not in the store "
             "yet"};
static const struct verdict memory_verdict = {
    "cache", "plain keys are kept in memory only"};
static const struct verdict absent_verdict = {"store", "there is no copy"};
static const struct verdict impossible_verdict = {
    "nobody", "no row can have this key: not found"};
static const struct verdict memory_absent_verdict = {
    "nobody", "plain keys are kept in memory only, and this one is not there: "
              "not found"};
static const struct verdict old_verdict = {"store",
                                           "the copy is past its stale window"};
static const struct verdict old_good_verdict = {
    "store", "the copy is past its stale window; if the store fails it still "
             "answers, within stale-if-error"};

static const struct verdict distrusted_verdict = {
    "store", "others have changed the database since the copy was made"};
static const struct verdict distrusted_good_verdict = {
    "store", "others have changed the database since the copy was made; if "
             "the store fails it still answers, within stale-if-error"};

static void decide(struct why *why, const char *state,
                   const struct verdict *verdict)
{
    why->state = state;
    why->answers = verdict->answers;
    why->reason = verdict->reason;
}

static void judge_copy(struct why *why, const struct freshness_rules *rules,
                       enum race race, int64_t now_us)
{
    const enum freshness freshness = freshness_of(rules, &why->copy, now_us);

    if (why->copy.dirty) {
        decide(why, "dirty", &dirty_verdict);
    } else if (why->copy.memory_only) {
        decide(why, "memory", &memory_verdict);
    } else if (freshness_distrusts(rules, &why->copy)) {
        decide(why, "old",
               freshness_good_on_error(rules, &why->copy, now_us)
                   ? &distrusted_good_verdict
                   : &distrusted_verdict);
    } else if (why->copy.kind == COPY_NEGATIVE) {
        decide(why, "negative",
               freshness == COPY_FRESH ? &negative_verdicts[race]
                                       : &old_verdict);
    } else if (freshness == COPY_FRESH) {
        decide(why, "fresh", &fresh_verdicts[race]);
    } else if (freshness == COPY_STALE) {
        decide(why, "stale", &stale_verdicts[race]);
    } else {
        decide(why, "old",
               freshness_good_on_error(rules, &why->copy, now_us)
                   ? &old_good_verdict
                   : &old_verdict);
    }
}

static void judge_absence(struct why *why, const struct lookup_parts *parts,
                          struct slice id)
{
    if (why->mapping != NULL) {
        decide(why, "absent",
               mapping_id_valid(why->mapping, id) ? &absent_verdict
                                                  : &impossible_verdict);
    } else {
        decide(why, "absent",
               config_number(parts->config, CONFIG_plain_writes) == WRITES_NONE
                   ? &memory_absent_verdict
                   : &absent_verdict);
    }
}

void lookup_why(struct lookup *lookup, struct slice key, struct why *why)
{
    static const char *const races[] = {"never", "stale", "always"};
    const struct lookup_parts *parts = lookup_parts(lookup);
    const enum race race = (enum race)config_number(parts->config, CONFIG_race);
    const int64_t now_us = clock_now_us();
    const uint64_t hash = hash_bytes(key);
    struct slice id;

    *why = (struct why){.race = races[race]};
    why->mapping = mapping_find(store_mappings(parts->store), key, &id);
    why->has_flight =
        flights_view(lookup_flights(lookup), key, hash, &why->flight);
    why->has_copy =
        cache_peek(parts->cache, key, hash, clock_wall_ms(), &why->copy, NULL);
    if (!why->has_copy) {
        judge_absence(why, parts, id);
        return;
    }
    struct freshness_rules rules = freshness_rules(
        parts->config, why->mapping != NULL ? (int)why->mapping->index : -1);
    rules.distrusted_us = feed_distrusted_us(lookup_feed(lookup), why->mapping);
    why->age_us = now_us - why->copy.filled_us;
    why->left = freshness_left(&rules, &why->copy, now_us);
    why->bytes = cache_entry_bytes(parts->cache, key, hash);
    judge_copy(why, &rules, race, now_us);
}
