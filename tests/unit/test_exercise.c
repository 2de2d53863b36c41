/* SPDX-License-Identifier: MIT */
/*
 * The exercise bookd grew out of, on the primitives of common/ alone: ask the
 * cache and the database about a book at the same time, use whichever answers
 * first, let the loser's answer go, and wait for all without sleeping.
 *
 * common/README.md shows the heart of it.  Which contender is first is not
 * left to chance here: each waits at a gate that the test opens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/chan.h"
#include "common/lock.h"
#include "common/waitgroup.h"

#define BOOKS 10

struct book {
    int id; /* 1 to BOOKS. */
    int year;
};

/* ---- the library: a cache under a reader-writer lock, and a database ---- */

struct library {
    struct rwlock lock;
    struct book cached[BOOKS + 1] GUARDED_BY(lock); /* By id; 0: not there. */
    struct chan *cache_gate;    /* Closed: the cache answers. */
    struct chan *database_gate; /* Closed: the database answers. */
};

static void library_init(struct library *l)
{
    *l = (struct library){.cache_gate = chan_new(0, 0),
                          .database_gate = chan_new(0, 0)};
    rwlock_init(&l->lock, LOCK_SHARD, "library");
}

static void library_destroy(struct library *l)
{
    rwlock_destroy(&l->lock);
    chan_free(l->database_gate);
    chan_free(l->cache_gate);
}

static void wait_at(struct chan *gate)
{
    while (chan_recv(chan_rx(gate), NULL)) {
    }
}

static bool find_in_cache(struct library *l, int id, struct book *book)
{
    if (id < 1 || id > BOOKS) {
        return false;
    }
    rwlock_rdlock(&l->lock);
    *book = l->cached[id];
    rwlock_rdunlock(&l->lock);
    return book->id == id;
}

static bool find_in_database(struct library *l, int id, struct book *book)
{
    if (id < 1 || id > BOOKS) {
        return false;
    }
    *book = (struct book){.id = id, .year = 1900 + id};
    rwlock_wrlock(&l->lock);
    l->cached[id] = *book;
    rwlock_wrunlock(&l->lock);
    return true;
}

/* ---- one question, two contenders ---- */

enum source { FROM_CACHE, FROM_DATABASE, FROM_NOWHERE };

struct question {
    struct library *library;
    int id;
    struct chan *answers[2]; /* By source; room for the loser's, too. */

    struct book book; /* What came first, and from where. */
    enum source source;
};

static void ask_cache(void *arg)
{
    struct question *const q = arg;
    const struct chan_tx answers = chan_tx(q->answers[FROM_CACHE]);
    struct book book;

    wait_at(q->library->cache_gate);
    if (find_in_cache(q->library, q->id, &book)) {
        (void)!chan_send(answers, &book);
    }
    chan_close(answers);
}

static void ask_database(void *arg)
{
    struct question *const q = arg;
    const struct chan_tx answers = chan_tx(q->answers[FROM_DATABASE]);
    struct book book;

    wait_at(q->library->database_gate);
    if (find_in_database(q->library, q->id, &book)) {
        (void)!chan_send(answers, &book);
    }
    chan_close(answers);
}

static void take_first_answer(void *arg)
{
    struct question *const q = arg;
    struct select_case contenders[] = {
        select_recv(chan_rx(q->answers[FROM_CACHE]), &q->book),
        select_recv(chan_rx(q->answers[FROM_DATABASE]), &q->book),
    };

    for (int left = 2; left > 0; left--) {
        const int first = chan_select(contenders, 2, SELECT_FOREVER);

        if (contenders[first].ok) {
            q->source = (enum source)first;
            return;
        }
        contenders[first].chan = NULL; /* It has no answer. */
    }
    q->source = FROM_NOWHERE;
}

static void ask(struct question *q, struct library *l, int id,
                struct waitgroup *contenders, struct waitgroup *answers)
{
    *q = (struct question){.library = l,
                           .id = id,
                           .answers = {chan_new(sizeof(struct book), 1),
                                       chan_new(sizeof(struct book), 1)}};
    assert_int_equal(wg_go(contenders, "cache", ask_cache, q), ERR_OK);
    assert_int_equal(wg_go(contenders, "database", ask_database, q), ERR_OK);
    assert_int_equal(wg_go(answers, "answer", take_first_answer, q), ERR_OK);
}

static void forget(struct question *q)
{
    chan_free(q->answers[FROM_CACHE]);
    chan_free(q->answers[FROM_DATABASE]);
}

/* ---- the claims ---- */

/* Puts a book into the cache, as an earlier question would have. */
static void warm(struct library *l, int id)
{
    struct book book;

    assert_true(find_in_database(l, id, &book));
}

/* Asks for one id, lets 'first' answer before the other may, and returns where
 * the answer came from. */
static enum source ask_one(struct library *l, int id, enum source first)
{
    struct chan *const gates[] = {l->cache_gate, l->database_gate};
    struct waitgroup contenders;
    struct waitgroup answers;
    struct question q;

    wg_init(&contenders);
    wg_init(&answers);
    ask(&q, l, id, &contenders, &answers);
    chan_close(chan_tx(gates[first]));
    if (id >= 1 && id <= BOOKS) {
        wg_wait(&answers); /* Comes though the other has not answered. */
    }
    chan_close(chan_tx(gates[1 - first]));
    wg_wait(&answers);
    wg_wait(&contenders);

    forget(&q);
    wg_destroy(&answers);
    wg_destroy(&contenders);
    return q.source;
}

static void test_the_cache_answers_when_it_is_first(void **state)
{
    struct library l;
    (void)state;

    library_init(&l);
    warm(&l, 3);

    assert_int_equal(ask_one(&l, 3, FROM_CACHE), FROM_CACHE);
    library_destroy(&l);
}

static void test_the_database_answers_when_it_is_first(void **state)
{
    struct library l;
    (void)state;

    library_init(&l);
    warm(&l, 3);

    assert_int_equal(ask_one(&l, 3, FROM_DATABASE), FROM_DATABASE);
    library_destroy(&l);
}

static void test_without_a_copy_the_database_answers(void **state)
{
    struct library l;
    (void)state;

    library_init(&l);

    assert_int_equal(ask_one(&l, 7, FROM_DATABASE), FROM_DATABASE);
    library_destroy(&l);
}

static void test_a_book_that_neither_has_is_not_found(void **state)
{
    struct library l;
    (void)state;

    for (int first = FROM_CACHE; first <= FROM_DATABASE; first++) {
        library_init(&l);
        assert_int_equal(ask_one(&l, 11, (enum source)first), FROM_NOWHERE);
        library_destroy(&l);
    }
}

/* The main loop: all questions at once, one wait. */
static void test_ten_questions_are_answered_together(void **state)
{
    struct library l;
    struct question questions[10];
    struct waitgroup contenders;
    struct waitgroup answers;
    (void)state;

    library_init(&l);
    chan_close(chan_tx(l.cache_gate));
    chan_close(chan_tx(l.database_gate));
    wg_init(&contenders);
    wg_init(&answers);
    for (int i = 0; i < 10; i++) {
        ask(&questions[i], &l, 1 + i * 7 % BOOKS, &contenders, &answers);
    }
    wg_wait(&answers);
    wg_wait(&contenders);

    for (int i = 0; i < 10; i++) {
        assert_int_not_equal(questions[i].source, FROM_NOWHERE);
        assert_int_equal(questions[i].book.id, questions[i].id);
        assert_int_equal(questions[i].book.year, 1900 + questions[i].id);
        forget(&questions[i]);
    }
    wg_destroy(&answers);
    wg_destroy(&contenders);
    library_destroy(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cache_answers_when_it_is_first),
        cmocka_unit_test(test_the_database_answers_when_it_is_first),
        cmocka_unit_test(test_without_a_copy_the_database_answers),
        cmocka_unit_test(test_a_book_that_neither_has_is_not_found),
        cmocka_unit_test(test_ten_questions_are_answered_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
