/* SPDX-License-Identifier: MIT */
/*
 * Reads of a command that is part of an EXEC: not lookups, but members of its
 * group, so that they see what the commands before them did, and nothing that
 * anybody else does meanwhile.
 */
#include "server/command/read_group.h"

#include "common/clock.h"
#include "server/command/execution.h"
#include "server/command/tracking.h"

struct reads;

struct member {
    struct reads *reads;
    size_t at; /* Of its bytes in request->found. */
    size_t size;
};

struct reads {
    struct request *request;
    read_keys_fn *on_answers;
    bool with_bytes;
    bool too_big; /* What was found, to be kept until the reply. */
    struct answer *answers;
    size_t n;
    struct member members[];
};

/* On the thread of the group, again from the first one if it is repeated. */
static void on_found(void *context, const struct present *now)
{
    struct member *member = context;
    struct reads *reads = member->reads;
    struct request *r = reads->request;

    if (member == reads->members) {
        buf_clear(&r->found);
        reads->too_big = false;
    }
    reads->answers[member - reads->members] = (struct answer){
        .outcome = now->kind == COPY_NEGATIVE ? LOOKUP_MISS : LOOKUP_FOUND,
        .source = LOOKUP_STORE,
        .mapping = now->mapping,
        .kind = now->kind,
        .expires_ms = now->expires_ms};
    member->at = r->found.size;
    member->size = 0;
    if (now->kind == COPY_NEGATIVE || !reads->with_bytes || reads->too_big) {
        return;
    }
    member->size = now->bytes.size;
    reads->too_big = !execution_keep(r, now->bytes);
}

static void on_outcome(void *arg, const struct update_outcome *outcome)
{
    struct reads *reads = arg;
    struct request *r = reads->request;
    const int64_t took_us = clock_now_us() - r->start_us;

    for (size_t i = 0; i < outcome->n; i++) {
        if (outcome->results[i].err != ERR_OK) {
            reply_err(&r->reply, outcome->results[i].err, NULL);
            return;
        }
    }
    if (reads->too_big) {
        reply_err(&r->reply, ERR_TOO_BIG, "ask for fewer keys at once");
        return;
    }
    for (size_t i = 0; i < reads->n; i++) {
        const struct member *member = &reads->members[i];
        tracking_answered(r, i, reads->answers[i].expires_ms);
        reads->answers[i].took_us = took_us;
        reads->answers[i].bytes =
            member->size == 0
                ? SLICE("")
                : slice_make(buf_data(&r->found) + member->at, member->size);
    }
    reads->on_answers(r, reads->answers, reads->n);
}

static void answer_first(struct request *r, const struct answer *answers,
                         size_t n)
{
    (void)n;
    r->on_answer(r, answers);
}

enum command_status read_group_key(struct request *r, struct slice key,
                                   request_answer_fn *on_answer)
{
    r->on_answer = on_answer;
    return read_group_keys(r, &key, 1, true, answer_first);
}

enum command_status read_group_keys(struct request *r, const struct slice *keys,
                                    size_t n, bool with_bytes,
                                    read_keys_fn *on_answers)
{
    struct reads *reads =
        request_room(r, sizeof *reads + n * sizeof reads->members[0]);
    struct answer *answers = request_room(r, n * sizeof *answers);
    struct update *updates = request_room(r, n * sizeof *updates);

    if (reads == NULL || answers == NULL || updates == NULL) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return COMMAND_DONE;
    }
    reads->request = r;
    reads->on_answers = on_answers;
    reads->with_bytes = with_bytes;
    reads->answers = answers;
    reads->n = n;
    for (size_t i = 0; i < n; i++) {
        reads->members[i].reads = reads;
        updates[i] = (struct update){.op = STORE_READ,
                                     .key = keys[i],
                                     .context = &reads->members[i],
                                     .found = on_found};
    }
    return execution_add(r, updates, n, on_outcome, reads);
}
