/* SPDX-License-Identifier: MIT */
#include "server/command/user.h"

#include "common/log.h"
#include "common/mem.h"
#include "server/admin/digest.h"

#include <assert.h>
#include <ctype.h>

/* ---- life ---- */

struct user *user_new(struct slice name, uint64_t id, bool all_channels)
{
    struct user *user = try_malloc(sizeof *user + name.size + 1);
    struct selector *root = try_malloc(sizeof *root);

    if (user == NULL || root == NULL) {
        free(user);
        free(root);
        return NULL;
    }
    *user = (struct user){.refs = 1,
                          .id = id,
                          .selectors = root,
                          .n_selectors = 1,
                          .name_size = name.size};
    if (name.size > 0) {
        memcpy(user->name, name.data, name.size);
    }
    user->name[name.size] = '\0';
    selector_init(root, all_channels);
    return user;
}

struct user *user_new_default(uint64_t id)
{
    static const struct slice rules[] = {
        {"+@all", 5}, {"~*", 2}, {"&*", 2}, {"on", 2}, {"nopass", 6}};
    struct user *user = user_new(SLICE(USER_DEFAULT), id, false);
    struct rule_failure failure = {0};

    if (user == NULL ||
        !user_change(user, rules, ARRAY_LEN(rules), false, &failure)) {
        log_fatal("user: no memory for the default user");
    }
    return user;
}

/* Room for one more selector behind the others, not counted yet. */
static struct selector *next_selector(struct user *user)
{
    const size_t n = user->n_selectors + 1;
    struct selector *more =
        try_realloc(user->selectors, n * sizeof user->selectors[0]);

    if (more == NULL) {
        return NULL;
    }
    user->selectors = more;
    return &more[n - 1];
}

struct user *user_copy(const struct user *user)
{
    struct user *copy = user_new(user_name(user), user->id, false);
    bool whole = copy != NULL;

    if (!whole) {
        return NULL;
    }
    copy->enabled = user->enabled;
    copy->any_password = user->any_password;
    copy->unrestricted = user->unrestricted;
    copy->payloads = user->payloads;
    whole = buf_try_append_slice(&copy->passwords, buf_slice(&user->passwords));
    copy->n_selectors = 0; /* The root is empty and owns nothing. */
    while (whole && copy->n_selectors < user->n_selectors) {
        struct selector *room = next_selector(copy);
        whole = room != NULL &&
                selector_copy(room, &user->selectors[copy->n_selectors]);
        copy->n_selectors += whole;
    }
    if (!whole) {
        user_unref(copy);
        return NULL;
    }
    return copy;
}

struct user *user_ref(struct user *user)
{
    /* Whoever has a reference to give knows the user already. */
    atomic_fetch_add_explicit(&user->refs, 1, memory_order_relaxed);
    return user;
}

void user_unref(struct user *user)
{
    /* Whoever frees it sees what the others did with it. */
    if (user == NULL ||
        atomic_fetch_sub_explicit(&user->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < user->n_selectors; i++) {
        selector_destroy(&user->selectors[i]);
    }
    free(user->selectors);
    buf_destroy(&user->passwords);
    free(user);
}

bool user_name_is_valid(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '\0' || isspace((unsigned char)name.data[i])) {
            return false;
        }
    }
    return true;
}

/* ---- rules ---- */

static void set_enabled(struct user *user, bool yes)
{
    user->enabled = yes;
}

static void set_any_password(struct user *user, bool yes)
{
    user->any_password = yes;
    buf_clear(&user->passwords);
}

static void set_sanitized(struct user *user, bool yes)
{
    user->payloads = yes ? PAYLOADS_SANITIZED : PAYLOADS_TRUSTED;
}

static void clear_selectors(struct user *user, bool yes)
{
    (void)yes;
    while (user->n_selectors > 1) {
        selector_destroy(&user->selectors[--user->n_selectors]);
    }
}

/* As if he had just been made; 'all_channels': he may hear all of them. */
static void reset(struct user *user, bool all_channels)
{
    clear_selectors(user, true);
    selector_destroy(&user->selectors[0]);
    selector_init(&user->selectors[0], all_channels);
    set_any_password(user, false);
    set_enabled(user, false);
    set_sanitized(user, true);
}

/* Rules that are one word. */
static const struct {
    const char *word;
    void (*set)(struct user *user, bool yes);
    bool yes;
} simple_rules[] = {
    {"on", set_enabled, true},
    {"off", set_enabled, false},
    {"nopass", set_any_password, true},
    {"resetpass", set_any_password, false},
    {"sanitize-payload", set_sanitized, true},
    {"skip-sanitize-payload", set_sanitized, false},
    {"clearselectors", clear_selectors, true},
};

/* The place of a digest among the passwords; their size if it is not there. */
static size_t find_password(const struct user *user, const char *digest)
{
    const struct slice all = buf_slice(&user->passwords);
    size_t found = all.size;

    /* All are looked at, so that the time tells nothing. */
    for (size_t at = 0; at < all.size; at += DIGEST_LEN) {
        if (digest_equal(all.data + at, digest)) {
            found = at;
        }
    }
    return found;
}

static enum rule_error add_password(struct user *user, const char *digest)
{
    const struct slice text = slice_make(digest, DIGEST_LEN);

    user->any_password = false;
    return find_password(user, digest) < user->passwords.size ||
                   buf_try_append_slice(&user->passwords, text)
               ? RULE_OK
               : RULE_NO_MEMORY;
}

static enum rule_error remove_password(struct user *user, const char *digest)
{
    const size_t at = find_password(user, digest);
    char *data = buf_data(&user->passwords);
    const size_t size = user->passwords.size;

    if (at == size) {
        return RULE_NO_PASSWORD;
    }
    memmove(data + at, data + at + DIGEST_LEN, size - at - DIGEST_LEN);
    buf_truncate(&user->passwords, size - DIGEST_LEN);
    return RULE_OK;
}

/* ">text", "<text", "#digest", "!digest". */
static enum rule_error apply_password(struct user *user, struct slice rule)
{
    const struct slice text = slice_make(rule.data + 1, rule.size - 1);
    char digest[DIGEST_LEN];

    if (rule.data[0] == '>' || rule.data[0] == '<') {
        digest_of(text, digest);
    } else if (digest_is_valid(text)) {
        memcpy(digest, text.data, DIGEST_LEN);
    } else {
        return RULE_NO_DIGEST;
    }
    return rule.data[0] == '>' || rule.data[0] == '#'
               ? add_password(user, digest)
               : remove_password(user, digest);
}

/* Takes the next word off 'text', which has white space between them. */
static bool take_word(struct slice *text, struct slice *word)
{
    size_t begin = 0;
    size_t end;

    while (begin < text->size && isspace((unsigned char)text->data[begin])) {
        begin++;
    }
    for (end = begin;
         end < text->size && !isspace((unsigned char)text->data[end]); end++) {
    }
    *word = slice_make(text->data + begin, end - begin);
    *text = slice_make(text->data + end, text->size - end);
    return word->size > 0;
}

/* "(+get ~key)". */
static enum rule_error add_selector(struct user *user, struct slice rule,
                                    bool all_channels)
{
    struct slice rest = slice_make(rule.data + 1, rule.size - 2);
    struct slice word;
    enum rule_error error = RULE_OK;
    struct selector *selector = next_selector(user);

    if (selector == NULL) {
        return RULE_NO_MEMORY;
    }
    selector_init(selector, all_channels);
    while (error == RULE_OK && take_word(&rest, &word)) {
        error = selector_apply(selector, word);
    }
    if (error == RULE_OK) {
        user->n_selectors++;
    } else {
        selector_destroy(selector);
    }
    return error;
}

static enum rule_error apply(struct user *user, struct slice rule,
                             bool all_channels)
{
    for (size_t i = 0; i < ARRAY_LEN(simple_rules); i++) {
        if (slice_equal_nocase(rule, slice_from_string(simple_rules[i].word))) {
            simple_rules[i].set(user, simple_rules[i].yes);
            return RULE_OK;
        }
    }
    if (slice_equal_nocase(rule, SLICE("reset"))) {
        reset(user, all_channels);
        return RULE_OK;
    }
    if (rule.size == 0) {
        return RULE_OK;
    }
    if (memchr("><#!", rule.data[0], 4) != NULL) {
        return apply_password(user, rule);
    }
    if (rule.data[0] == '(' && rule.data[rule.size - 1] == ')') {
        return add_selector(user, rule, all_channels);
    }
    return selector_apply(&user->selectors[0], rule);
}

/* How many of the words belong to the rule that the first of them begins; 0: a
 * parenthesis is not closed. */
static size_t words_of_rule(const struct slice *words, size_t n)
{
    if (!slice_has_prefix(words[0], SLICE("("))) {
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        if (words[i].size > 0 && words[i].data[words[i].size - 1] == ')') {
            return i + 1;
        }
    }
    return 0;
}

/* False: out of memory. */
static bool join(const struct slice *words, size_t n, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < n; i++) {
        if ((i > 0 && !buf_try_append_slice(out, SLICE(" "))) ||
            !buf_try_append_slice(out, words[i])) {
            return false;
        }
    }
    return true;
}

bool user_change(struct user *user, const struct slice *words, size_t n,
                 bool all_channels, struct rule_failure *failure)
{
    struct buf rule = {0};
    bool good = true;

    for (size_t i = 0; good && i < n;) {
        const size_t taken = words_of_rule(words + i, n - i);
        failure->error =
            !join(words + i, taken > 0 ? taken : 1, &rule) ? RULE_NO_MEMORY
            : taken > 0 ? apply(user, buf_slice(&rule), all_channels)
                        : RULE_OK;
        good = taken > 0 && failure->error == RULE_OK;
        i += taken;
    }
    for (size_t i = 0; i < user->n_selectors; i++) {
        const struct selector *s = &user->selectors[i];
        user->unrestricted =
            (i > 0 && user->unrestricted) ||
            (s->all_commands && s->all_keys && s->all_channels);
    }
    if (good) {
        buf_destroy(&rule);
    } else {
        failure->rule = rule;
    }
    return good;
}

bool user_set_password(struct user *user, struct slice text)
{
    char digest[DIGEST_LEN];

    set_any_password(user, text.size == 0);
    if (text.size == 0) {
        return true;
    }
    digest_of(text, digest);
    return add_password(user, digest) == RULE_OK;
}

bool user_admits(const struct user *user, struct slice password)
{
    char digest[DIGEST_LEN];

    if (!user->enabled || user->any_password) {
        return user->enabled;
    }
    digest_of(password, digest);
    return find_password(user, digest) < user->passwords.size;
}

/* ---- in words ---- */

void user_print(const struct user *user, struct buf *out)
{
    static const char *const payloads[] = {
        [PAYLOADS_UNSAID] = "",
        [PAYLOADS_SANITIZED] = "sanitize-payload ",
        [PAYLOADS_TRUSTED] = "skip-sanitize-payload "};
    const struct slice all = buf_slice(&user->passwords);

    buf_append_string(out, user->enabled ? "on " : "off ");
    buf_append_string(out, user->any_password ? "nopass " : "");
    buf_append_string(out, payloads[user->payloads]);
    for (size_t at = 0; at < all.size; at += DIGEST_LEN) {
        buf_append_char(out, '#');
        buf_append(out, all.data + at, DIGEST_LEN);
        buf_append_char(out, ' ');
    }
    for (size_t i = 0; i < user->n_selectors; i++) {
        buf_append_string(out, i > 0 ? " (" : "");
        selector_print(&user->selectors[i], out);
        buf_append_string(out, i > 0 ? ")" : "");
    }
}

/* ---- judging ---- */

enum verdict user_judge(const struct user *user, const struct request *request,
                        size_t *place)
{
    enum verdict worst = VERDICT_NO_COMMAND;

    *place = 0;
    for (size_t i = 0; i < user->n_selectors; i++) {
        size_t at = 0;
        const enum verdict verdict =
            selector_judge(&user->selectors[i], request, &at);
        if (verdict == VERDICT_ALLOWED) {
            return VERDICT_ALLOWED;
        }
        /* Told is the last argument that no selector allowed. */
        if (verdict > worst || (verdict == worst && at > *place)) {
            worst = verdict;
            *place = at;
        }
    }
    return worst;
}

bool user_may_hear(const struct user *user, struct slice name, bool is_pattern)
{
    for (size_t i = 0; i < user->n_selectors; i++) {
        if (selector_allows_channel(&user->selectors[i], name, is_pattern)) {
            return true;
        }
    }
    return false;
}
