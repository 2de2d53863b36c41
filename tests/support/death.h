/* SPDX-License-Identifier: MIT */
/*
 * Tests that a broken rule ends the program, and says which.
 *
 * Thread-safety: call it while the test has started no thread: it forks.
 */
#ifndef TESTS_SUPPORT_DEATH_H
#define TESTS_SUPPORT_DEATH_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WITH_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WITH_SANITIZER
#endif

/* Calls 'fn' in a child process; the test fails unless that ends by abort()
 * and its stderr holds each of 'words', which NULL ends. */
void assert_aborts(void (*fn)(void), const char *const *words);

#define ASSERT_ABORTS(fn, ...) \
    assert_aborts(fn, (const char *const[]){__VA_ARGS__, NULL})

#endif
