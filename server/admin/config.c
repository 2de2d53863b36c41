/* SPDX-License-Identifier: MIT */
/*
 * How the values are kept, changed together, and how changes are told.
 *
 * Every way to change something makes a batch of parsed values first and then
 * calls commit(), the only writer.
 */
#include "server/admin/config.h"

#include "common/lock.h"
#include "common/mem.h"
#include "server/admin/config_batch.h"
#include "server/admin/config_freshness.h"
#include "server/admin/config_limits.h"

#include <assert.h>

const struct config_directive config_directives[CONFIG_COUNT] = {
#define DIRECTIVE(id, name_, kind_, default_, min_, max_, choices_, bare_, \
                  at_run_time_, section_, summary_)                        \
    [CONFIG_##id] = {                                                      \
        .name = name_,                                                     \
        .kind = kind_,                                                     \
        .default_text = default_,                                          \
        .min = min_,                                                       \
        .max = max_,                                                       \
        .choices = choices_,                                               \
        .bare = bare_,                                                     \
        .at_run_time = at_run_time_,                                       \
        .section = section_,                                               \
        .summary = summary_,                                               \
    },
#include "server/admin/config.def"
#undef DIRECTIVE
};

/* Somebody who wants to be told.  Constant once it is in the list. */
struct listener {
    struct listener *next;
    enum config_id id;
    void (*changed)(void *arg);
    void *arg;
};

struct config_rest {
    struct mutex lock; /* Rank LOCK_CONFIG; never held while telling. */
    char *strings[CONFIG_COUNT] GUARDED_BY(lock); /* Owned; NULL: a number. */
    bool pinned[CONFIG_COUNT] GUARDED_BY(lock);   /* Given as an argument. */
    struct freshness freshness GUARDED_BY(lock);  /* What 'table' says. */
    bool changed[CONFIG_COUNT] GUARDED_BY(lock);  /* To be told of. */
    bool telling GUARDED_BY(lock);                /* A thread is at it. */
    struct cond told;                             /* It has ended. */
    struct listener *listeners GUARDED_BY(lock);  /* Newest first. */
};

/* Stores what client-output-buffer-limit says into the numbers of 'c'. */
static void apply_limits(struct config *c, const char *text)
{
    struct config_limits all = {0};

    config_limits_apply_own(&all, text);
    for (size_t i = 0; i < CONFIG_LIMITS_CLASSES; i++) {
        const struct config_limit *limit = &all.limits[i];
        atomic_store_explicit(&c->limits[i][0], limit->hard_bytes,
                              memory_order_relaxed);
        atomic_store_explicit(&c->limits[i][1], limit->soft_bytes,
                              memory_order_relaxed);
        atomic_store_explicit(&c->limits[i][2], limit->soft_us,
                              memory_order_relaxed);
    }
}

/* ---- life ---- */

struct config *config_new(void)
{
    struct config *c = xcalloc(1, sizeof(*c));
    c->rest = xcalloc(1, sizeof(*c->rest));
    mutex_init(&c->rest->lock, LOCK_CONFIG, "config");
    cond_init(&c->rest->told);
    mutex_lock(&c->rest->lock);
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        const struct config_value value =
            config_value_default(&config_directives[id]);
        atomic_init(&c->numbers[id], value.number);
        c->rest->strings[id] = value.text;
    }
    for (size_t i = 0; i < CONFIG_TABLES_MAX; i++) {
        for (size_t k = 0; k < CONFIG_FRESHNESS_OPTIONS; k++) {
            atomic_init(&c->tables[i][k], CONFIG_FRESHNESS_GLOBAL);
        }
    }
    apply_limits(c, c->rest->strings[CONFIG_client_output_buffer_limit]);
    mutex_unlock(&c->rest->lock);
    return c;
}

void config_free(struct config *c)
{
    if (c == NULL) {
        return;
    }
    struct config_rest *rest = c->rest;
    mutex_lock(&rest->lock);
    assert(!rest->telling);
    while (rest->listeners != NULL) {
        struct listener *l = rest->listeners;
        rest->listeners = l->next;
        free(l);
    }
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        free(rest->strings[id]);
    }
    freshness_destroy(&rest->freshness);
    mutex_unlock(&rest->lock);
    cond_destroy(&rest->told);
    mutex_destroy(&rest->lock);
    free(rest);
    free(c);
}

/* ---- reading ---- */

struct config_value config_value_now(const struct config *c, enum config_id id)
{
    struct config_value value = {0};
    if (config_value_is_text(&config_directives[id])) {
        mutex_lock(&c->rest->lock);
        value.text = xstrdup(c->rest->strings[id]);
        mutex_unlock(&c->rest->lock);
    } else {
        value.number = config_number(c, id);
    }
    return value;
}

void config_string(const struct config *c, enum config_id id, struct buf *out)
{
    assert(config_value_is_text(&config_directives[id]));
    mutex_lock(&c->rest->lock);
    buf_append_string(out, c->rest->strings[id]);
    mutex_unlock(&c->rest->lock);
}

void config_format(const struct config *c, enum config_id id, struct buf *out)
{
    struct config_value value = config_value_now(c, id);
    config_value_format(&config_directives[id], &value, out);
    config_value_destroy(&value);
}

void config_format_redis(const struct config *c, enum config_id id,
                         struct buf *out)
{
    struct config_value value = config_value_now(c, id);
    config_value_format_redis(&config_directives[id], &value, out);
    config_value_destroy(&value);
}

enum config_id config_find(struct slice name)
{
    enum config_id id = 0;
    while (id < CONFIG_COUNT &&
           !slice_equal_nocase(name,
                               slice_from_string(config_directives[id].name))) {
        id++;
    }
    return id;
}

bool config_is_pinned(const struct config *c, enum config_id id)
{
    mutex_lock(&c->rest->lock);
    const bool pinned = c->rest->pinned[id];
    mutex_unlock(&c->rest->lock);
    return pinned;
}

/* ---- changing ---- */

/* Stores one value if it differs from the present one. */
static void store(struct config *c, enum config_id id,
                  const struct config_value *value) REQUIRES(c->rest->lock)
{
    struct config_rest *rest = c->rest;
    if (value->text != NULL) {
        if (strcmp(rest->strings[id], value->text) == 0) {
            return;
        }
        free(rest->strings[id]);
        rest->strings[id] = xstrdup(value->text);
    } else {
        if (config_number(c, id) == value->number) {
            return;
        }
        atomic_store_explicit(&c->numbers[id], value->number,
                              memory_order_relaxed);
    }
    rest->changed[id] = true;
}

/* The next change that was not told of yet; CONFIG_COUNT if there is none. */
static enum config_id take_change(struct config_rest *rest) REQUIRES(rest->lock)
{
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        if (rest->changed[id]) {
            rest->changed[id] = false;
            return id;
        }
    }
    return CONFIG_COUNT;
}

/* Tells of all changes, unless a thread is at it: that one will see ours too,
 * because it looks again, under the lock, before it stops. */
static void tell(struct config_rest *rest) EXCLUDES(rest->lock)
{
    mutex_lock(&rest->lock);
    if (rest->telling) {
        mutex_unlock(&rest->lock);
        return;
    }
    rest->telling = true;
    for (enum config_id id = take_change(rest); id < CONFIG_COUNT;
         id = take_change(rest)) {
        /* Listeners are only put in front, and none is taken out while we are
         * at it, so the list from here on stays as it is. */
        const struct listener *l = rest->listeners;
        mutex_unlock(&rest->lock);
        for (; l != NULL; l = l->next) {
            if (l->id == id) {
                l->changed(l->arg);
            }
        }
        mutex_lock(&rest->lock);
    }
    rest->telling = false;
    cond_broadcast(&rest->told);
    mutex_unlock(&rest->lock);
}

/* 'table' adds up: what it was and what it is given. */
static void store_tables(struct config *c, const struct config_value *value,
                         enum config_source source) REQUIRES(c->rest->lock)
{
    struct config_rest *rest = c->rest;
    struct config_value sum = {
        .text = freshness_sum(&rest->freshness, rest->strings[CONFIG_table],
                              value->text, source)};
    freshness_apply(&rest->freshness, sum.text, c);
    store(c, CONFIG_table, &sum);
    config_value_destroy(&sum);
}

/* A client changes the classes that it names; what a file or the command line
 * does not name is at its default. */
static void store_limits(struct config *c, const struct config_value *value,
                         enum config_source source) REQUIRES(c->rest->lock)
{
    const enum config_id id = CONFIG_client_output_buffer_limit;
    const char *now = source == CONFIG_FROM_CLIENT
                          ? c->rest->strings[id]
                          : config_directives[id].default_text;
    struct config_value sum = {.text = config_limits_sum(now, value->text)};

    apply_limits(c, sum.text);
    store(c, id, &sum);
    config_value_destroy(&sum);
}

void config_commit_from(struct config *c, const struct config_batch *batch,
                        enum config_source source)
{
    mutex_lock(&c->rest->lock);
    const bool is_file =
        source == CONFIG_FROM_FILE || source == CONFIG_FROM_RELOAD;
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        bool *pinned = &c->rest->pinned[id];
        if (batch->given[id] && id == CONFIG_table) {
            store_tables(c, &batch->values[id], source);
            continue;
        }
        if (!batch->given[id] || (is_file && *pinned)) {
            continue;
        }
        if (id == CONFIG_client_output_buffer_limit) {
            store_limits(c, &batch->values[id], source);
        } else {
            store(c, id, &batch->values[id]);
        }
        *pinned = *pinned || source == CONFIG_FROM_ARGS;
    }
    mutex_unlock(&c->rest->lock);
    tell(c->rest);
}

void config_commit(struct config *c, const struct config_batch *batch)
{
    config_commit_from(c, batch, CONFIG_FROM_CLIENT);
}

/* Makes 'batch' of one value; for config_set() and config_check(). */
static enum err add_checked(const struct config *c, struct config_batch *batch,
                            enum config_id id, struct slice value,
                            bool from_file, struct buf *detail)
{
    enum err err = config_batch_add(batch, id, value, detail);
    if (err == ERR_OK && id == CONFIG_table) {
        mutex_lock(&c->rest->lock);
        err = freshness_check(&c->rest->freshness, c->rest->strings[id],
                              batch->values[id].text, from_file, detail);
        mutex_unlock(&c->rest->lock);
    }
    return err;
}

enum err config_set(struct config *c, enum config_id id, struct slice value,
                    struct buf *detail)
{
    struct config_batch batch = {0};
    const enum err err = add_checked(c, &batch, id, value, false, detail);
    if (err == ERR_OK) {
        config_commit(c, &batch);
    }
    config_batch_clear(&batch);
    return err;
}

enum err config_check(const struct config *c, enum config_id id,
                      struct slice value, struct buf *detail)
{
    struct config_batch batch = {0};
    const enum err err = add_checked(c, &batch, id, value, false, detail);
    config_batch_clear(&batch);
    return err;
}

enum err config_check_from_file(const struct config *c, enum config_id id,
                                struct slice value, struct buf *detail)
{
    struct config_batch batch = {0};
    const enum err err = add_checked(c, &batch, id, value, true, detail);
    config_batch_clear(&batch);
    return err;
}

void config_compare_tables(const struct config *c, const char *text,
                           const char *path, struct buf *detail)
{
    mutex_lock(&c->rest->lock);
    freshness_compare(&c->rest->freshness, c->rest->strings[CONFIG_table], text,
                      path, detail);
    mutex_unlock(&c->rest->lock);
}

enum err config_table_check(struct config *c, const char *const *names,
                            size_t n, struct buf *detail)
{
    struct config_rest *rest = c->rest;
    const size_t size = detail->size;
    mutex_lock(&rest->lock);
    enum err err = freshness_learn(&rest->freshness, names, n, detail);
    if (err == ERR_OK) {
        err = freshness_check(&rest->freshness, rest->strings[CONFIG_table],
                              rest->strings[CONFIG_table], true, detail);
        freshness_apply(&rest->freshness, rest->strings[CONFIG_table], c);
    }
    mutex_unlock(&rest->lock);
    if (detail->size > size) {
        buf_append_char(detail, '\n');
    }
    return err;
}

void config_on_change(const struct config *c, enum config_id id,
                      void (*changed)(void *arg), void *arg)
{
    struct listener *l = xmalloc(sizeof(*l));
    mutex_lock(&c->rest->lock);
    *l = (struct listener){
        .next = c->rest->listeners, .id = id, .changed = changed, .arg = arg};
    c->rest->listeners = l;
    mutex_unlock(&c->rest->lock);
}

void config_off_change(const struct config *c, void (*changed)(void *arg),
                       void *arg)
{
    struct config_rest *rest = c->rest;

    mutex_lock(&rest->lock);
    while (rest->telling) {
        cond_wait(&rest->told, &rest->lock);
    }
    struct listener **link = &rest->listeners;
    while (*link != NULL) {
        struct listener *l = *link;
        if (l->changed == changed && l->arg == arg) {
            *link = l->next;
            free(l);
        } else {
            link = &l->next;
        }
    }
    mutex_unlock(&rest->lock);
}

/* ---- batches ---- */

struct config_batch *config_batch_new(void)
{
    return xcalloc(1, sizeof(struct config_batch));
}

void config_batch_clear(struct config_batch *batch)
{
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        config_value_destroy(&batch->values[id]);
        batch->given[id] = false;
    }
}

void config_batch_free(struct config_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    config_batch_clear(batch);
    free(batch);
}

/* Makes 'value' the sum of what was 'before' and itself. */
static void add_tables(struct config_value *value, const char *before)
{
    struct table_entries entries = {0};
    struct buf sum = {0};
    config_tables_apply_own(&entries, before);
    config_tables_apply_own(&entries, value->text);
    config_tables_format(&entries, &sum);
    config_value_destroy(value);
    value->text = xslicedup(buf_slice(&sum));
    buf_destroy(&sum);
    config_tables_clear(&entries);
}

/* Puts 'value', another user, behind those 'before'. */
static void add_user(struct config_value *value, const char *before)
{
    struct buf both = {0};
    buf_printf(&both, "%s\n%s", before, value->text);
    config_value_destroy(value);
    value->text = xslicedup(buf_slice(&both));
    buf_destroy(&both);
}

enum err config_batch_add(struct config_batch *batch, enum config_id id,
                          struct slice value, struct buf *detail)
{
    assert(id < CONFIG_COUNT);
    struct config_value parsed;
    const enum err err =
        config_value_parse(&config_directives[id], value, &parsed, detail);
    if (err != ERR_OK) {
        return err;
    }
    if (id == CONFIG_table && batch->given[id]) {
        add_tables(&parsed, batch->values[id].text);
    }
    if (id == CONFIG_client_output_buffer_limit && batch->given[id]) {
        char *sum = config_limits_sum(batch->values[id].text, parsed.text);
        config_value_destroy(&parsed);
        parsed.text = sum;
    }
    if (id == CONFIG_user && batch->given[id] && *parsed.text != '\0' &&
        *batch->values[id].text != '\0') {
        add_user(&parsed, batch->values[id].text);
    }
    config_value_destroy(&batch->values[id]);
    batch->values[id] = parsed;
    batch->given[id] = true;
    return ERR_OK;
}
