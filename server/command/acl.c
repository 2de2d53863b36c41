/* SPDX-License-Identifier: MIT */
/*
 * The users.  What is about a client is in acl_client.c.
 */
#include "server/command/acl.h"

#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/command/acl_file.h"
#include "server/command/args.h"
#include "server/command/user_set.h"

#include <assert.h>

struct acl_rest {
    const struct config *config;            /* Borrowed. */
    struct mutex lock;                      /* Rank LOCK_ACL. */
    struct user_set users GUARDED_BY(lock); /* With the default user always. */
    bool changed GUARDED_BY(lock);          /* Not what 'user' says any more. */
    uint64_t last_id GUARDED_BY(lock);
};

/* ---- life ---- */

/* Users have changed. */
static void announce(struct acl *acl) REQUIRES(acl->rest->lock)
{
    const struct user *user =
        user_set_find(&acl->rest->users, SLICE(USER_DEFAULT));

    assert(user != NULL);
    atomic_store_explicit(&acl->default_needs_password, !user->any_password,
                          memory_order_relaxed);
    atomic_store_explicit(&acl->default_is_off, !user->enabled,
                          memory_order_relaxed);
    atomic_fetch_add_explicit(&acl->generation, 1, memory_order_release);
}

struct acl *acl_new(const struct config *config)
{
    struct acl *acl = xcalloc(1, sizeof *acl);

    acl->rest = xcalloc(1, sizeof *acl->rest);
    acl->rest->config = config;
    acl->log = acl_log_new();
    mutex_init(&acl->rest->lock, LOCK_ACL, "acl");
    mutex_lock(&acl->rest->lock);
    if (user_set_put(&acl->rest->users,
                     user_new_default(++acl->rest->last_id))) {
        announce(acl);
    }
    mutex_unlock(&acl->rest->lock);
    return acl;
}

void acl_free(struct acl *acl)
{
    if (acl == NULL) {
        return;
    }
    mutex_lock(&acl->rest->lock);
    user_set_destroy(&acl->rest->users);
    mutex_unlock(&acl->rest->lock);
    mutex_destroy(&acl->rest->lock);
    acl_log_free(acl->log);
    free(acl->rest);
    free(acl);
}

/* ---- the users ---- */

/* What acl-pubsub-default says. */
static bool all_channels(const struct config *config)
{
    return config_number(config, CONFIG_acl_pubsub_default) ==
           ACL_PUBSUB_ALLCHANNELS;
}

/* A draft that may take the place of the user of this name.  NULL: out of
 * memory. */
static struct user *draft_of(struct acl_rest *rest, struct slice name)
    REQUIRES(rest->lock)
{
    const struct user *user = user_set_find(&rest->users, name);

    return user != NULL
               ? user_copy(user)
               : user_new(name, ++rest->last_id, all_channels(rest->config));
}

/* Puts the draft in its place.  False: out of memory, and it is gone. */
static bool publish(struct acl *acl, struct user *draft)
    REQUIRES(acl->rest->lock)
{
    if (!user_set_put(&acl->rest->users, draft)) {
        user_unref(draft);
        return false;
    }
    announce(acl);
    return true;
}

/* Is there a directive 'user'?  One for the default user says more than
 * requirepass does. */
static bool has_entries(const struct config *config)
{
    struct buf entries = {0};

    config_string(config, CONFIG_user, &entries);
    const bool any = entries.size > 0;
    buf_destroy(&entries);
    return any;
}

void acl_set_default_password(struct acl *acl, struct slice password)
{
    const bool is_configured = has_entries(acl->rest->config);

    mutex_lock(&acl->rest->lock);
    struct user *draft = draft_of(acl->rest, SLICE(USER_DEFAULT));
    if (draft == NULL || !user_set_password(draft, password) ||
        !publish(acl, draft)) {
        /* To go on without the password would be worse. */
        log_fatal("acl: no memory for requirepass");
    }
    acl->rest->changed = acl->rest->changed || is_configured;
    mutex_unlock(&acl->rest->lock);
}

static void explain(const struct rule_failure *failure, struct buf *why)
{
    const struct slice rule = buf_slice(&failure->rule);

    if (failure->error == RULE_OK) {
        buf_printf(why,
                   "ERR Unmatched parenthesis in acl selector starting at "
                   "'%.*s'.",
                   shown(rule), rule.data);
    } else {
        buf_printf(why, "ERR Error in ACL SETUSER modifier '%.*s': %s",
                   shown(rule), rule.data, rule_error_text(failure->error));
    }
}

bool acl_change(struct acl *acl, struct slice name, const struct slice *rules,
                size_t n, struct buf *why)
{
    struct rule_failure failure = {.error = RULE_NO_MEMORY};

    mutex_lock(&acl->rest->lock);
    struct user *draft = draft_of(acl->rest, name);
    bool good =
        draft != NULL &&
        user_change(draft, rules, n, all_channels(acl->rest->config), &failure);
    if (good) {
        good = publish(acl, draft);
        acl->rest->changed = true;
    } else {
        user_unref(draft);
    }
    mutex_unlock(&acl->rest->lock);
    if (!good) {
        explain(&failure, why);
    }
    buf_destroy(&failure.rule);
    return good;
}

bool acl_remove(struct acl *acl, struct slice name)
{
    assert(!slice_equal(name, SLICE(USER_DEFAULT)));
    mutex_lock(&acl->rest->lock);
    const bool found = user_set_remove(&acl->rest->users, name);
    if (found) {
        acl->rest->changed = true;
        announce(acl);
    }
    mutex_unlock(&acl->rest->lock);
    return found;
}

struct user *acl_find(struct acl *acl, struct slice name)
{
    mutex_lock(&acl->rest->lock);
    struct user *user = user_set_find(&acl->rest->users, name);
    if (user != NULL) {
        user = user_ref(user);
    }
    mutex_unlock(&acl->rest->lock);
    return user;
}

struct user **acl_all(struct acl *acl, size_t *n)
{
    mutex_lock(&acl->rest->lock);
    const struct user_set *users = &acl->rest->users;
    struct user **all = xmalloc(users->n * sizeof(struct user *));
    *n = users->n;
    for (size_t i = 0; i < users->n; i++) {
        all[i] = user_ref(users->list[i]);
    }
    mutex_unlock(&acl->rest->lock);
    return all;
}

void acl_print(struct acl *acl, struct buf *out)
{
    size_t n;
    struct user **all = acl_all(acl, &n);

    for (size_t i = 0; i < n; i++) {
        buf_append_string(out, "user ");
        buf_append_slice(out, user_name(all[i]));
        buf_append_char(out, ' ');
        user_print(all[i], out);
        buf_append_char(out, '\n');
        user_unref(all[i]);
    }
    free(all);
}

/* ---- files ---- */

void acl_tell_config(struct acl *acl, struct config *config)
{
    struct buf entries = {0};
    struct buf detail = {0};

    mutex_lock(&acl->rest->lock);
    const bool changed = acl->rest->changed;
    mutex_unlock(&acl->rest->lock);
    if (!changed || acl_has_file(acl)) {
        return;
    }
    acl_print(acl, &entries);
    acl_config_print(&entries);
    if (config_set(config, CONFIG_user, buf_slice(&entries), &detail) !=
        ERR_OK) {
        log_warn("acl: users are not told the configuration: %s",
                 buf_string(&detail));
    }
    buf_destroy(&detail);
    buf_destroy(&entries);
}

/* Takes 'fresh' for all users.  Who has the name of one that there was is that
 * one, changed; the default user is always there. */
static void replace_all(struct acl *acl, struct user_set *fresh)
    REQUIRES(acl->rest->lock)
{
    struct acl_rest *rest = acl->rest;

    for (size_t i = 0; i < fresh->n; i++) {
        const struct user *old =
            user_set_find(&rest->users, user_name(fresh->list[i]));
        fresh->list[i]->id = old != NULL ? old->id : ++rest->last_id;
    }
    user_set_destroy(&rest->users);
    rest->users = *fresh;
    *fresh = (struct user_set){0};
    announce(acl);
}

bool acl_has_file(const struct acl *acl)
{
    return acl_file_is_configured(acl->rest->config);
}

bool acl_load(struct acl *acl, struct buf *why)
{
    struct user_set fresh = {0};
    const bool good = acl_file_read(
        acl->rest->config, all_channels(acl->rest->config), &fresh, why);

    if (good) {
        mutex_lock(&acl->rest->lock);
        replace_all(acl, &fresh);
        mutex_unlock(&acl->rest->lock);
    }
    user_set_destroy(&fresh);
    return good;
}

bool acl_save(struct acl *acl)
{
    struct buf text = {0};

    acl_print(acl, &text);
    const bool good = acl_file_write(acl->rest->config, buf_slice(&text));
    buf_destroy(&text);
    return good;
}

enum err acl_check_config(const struct config *config, struct buf *detail)
{
    struct user_set users = {0};
    const enum err err =
        acl_config_read(config, all_channels(config), &users, detail);

    user_set_destroy(&users);
    return err;
}

enum err acl_load_configured(struct acl *acl, struct buf *detail)
{
    const struct config *config = acl->rest->config;
    struct user_set fresh = {0};
    struct buf password = {0};

    config_string(config, CONFIG_requirepass, &password);
    if (password.size > 0) {
        acl_set_default_password(acl, buf_slice(&password));
    }
    buf_destroy(&password);
    enum err err =
        acl_config_read(config, all_channels(config), &fresh, detail);
    mutex_lock(&acl->rest->lock);
    for (size_t i = 0; err == ERR_OK && i < fresh.n; i++) {
        struct user *user = user_ref(fresh.list[i]);
        user->id = ++acl->rest->last_id;
        if (!publish(acl, user)) {
            buf_append_string(detail, "no memory for the users\n");
            err = ERR_NOMEM;
        }
    }
    acl->rest->changed = false;
    mutex_unlock(&acl->rest->lock);
    user_set_destroy(&fresh);
    if (detail->size > 0) {
        buf_truncate(detail, detail->size - 1); /* The end of a line. */
    }
    if (err == ERR_OK && acl_has_file(acl) && !acl_load(acl, detail)) {
        err = ERR_INVALID;
    }
    return err;
}
