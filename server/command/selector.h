/* SPDX-License-Identifier: MIT */
/*
 * A selector: a set of rights, given by rules as in Redis.  A user has one, the
 * root, and perhaps more in parentheses; a command may run if one of them
 * allows all of it.
 *
 *     +@read -ttl ~book:* %R~log:* &news
 *
 *     commands   a bit for each row of the command table; and words that may
 *                follow a command that is not allowed otherwise (+select|0)
 *     keys       patterns, each to read, to write, or both
 *     channels   patterns
 *
 * The rules about commands are kept as they were written, without those that a
 * later one made void: so they mean the same to a bookd that has more commands.
 *
 * What a command does to a key comes from its row: whoever only asks whether
 * the key is there (EXISTS, TYPE) needs a pattern that matches and neither
 * right.
 *
 * Thread-safety: one owner while it changes; nobody changes one that is shared.
 * Source: the rules of Redis 7.0; how the rules of commands are kept, of 7.2.
 */
#ifndef SERVER_COMMAND_SELECTOR_H
#define SERVER_COMMAND_SELECTOR_H

#include "server/command/command.h"

/* Why a rule is refused. */
enum rule_error {
    RULE_OK,
#define RULE_ERROR(name, text) RULE_##name,
#include "server/command/rule_errors.def"
#undef RULE_ERROR
};

/* In Redis' words. */
const char *rule_error_text(enum rule_error error);

/* The verdict on a command, the worst last. */
enum verdict {
    VERDICT_ALLOWED,
    VERDICT_NO_COMMAND,
    VERDICT_NO_KEY,
    VERDICT_NO_CHANNEL
};

/* How many rows the command table has. */
enum {
    SELECTOR_ROWS = 0
#define COMMAND(...) +1
#include "server/command/commands.def"
#undef COMMAND
};

/* The rights that a pattern of keys gives. */
enum { SELECTOR_READ = 1 << 0, SELECTOR_WRITE = 1 << 1 };

struct selector {
    bool all_keys;
    bool all_channels;
    bool all_commands; /* Every bit is set. */
    bool from_all;     /* The rules begin with +@all, not with -@all. */
    uint64_t rows[(SELECTOR_ROWS + 63) / 64];
    struct buf rules;    /* Packs: of commands, each with its sign; */
    struct buf words;    /* those after a command, each with its row; */
    struct buf keys;     /* patterns, each with its rights; */
    struct buf channels; /* and patterns. */
};

/* No rights; with 'all_channels', those to every channel. */
void selector_init(struct selector *s, bool all_channels);
void selector_destroy(struct selector *s);

/* Makes '*copy' the same as 's'.  False: out of memory, and it is empty. */
NODISCARD
bool selector_copy(struct selector *copy, const struct selector *s);

/* Changes 's' as 'rule' says, unless that is wrong. */
NODISCARD
enum rule_error selector_apply(struct selector *s, struct slice rule);

/* The parts of a description: what selector_apply() takes back. */
void selector_print_commands(const struct selector *s, struct buf *out);
void selector_print_keys(const struct selector *s, struct buf *out);
void selector_print_channels(const struct selector *s, struct buf *out);
/* All of it. */
void selector_print(const struct selector *s, struct buf *out);

/* May the command, with these arguments, run?  If not, and not because of the
 * command itself, '*place' is the argument that it was for. */
enum verdict selector_judge(const struct selector *s,
                            const struct request *request, size_t *place);

/* May messages of this channel, or of those that match this pattern, be heard?
 * A pattern has to be among the rules as it is. */
bool selector_allows_channel(const struct selector *s, struct slice name,
                             bool is_pattern);

#endif
