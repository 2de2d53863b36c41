/* SPDX-License-Identifier: MIT */
/*
 * Compiler attributes under short names, so that code stays readable and the
 * compilers that lack one still build.
 */
#ifndef COMMON_ATTR_H
#define COMMON_ATTR_H

#include <stddef.h>

/* The caller must look at the result. */
#define NODISCARD __attribute__((warn_unused_result))

/* Argument 'fmt' is a printf format for the arguments from 'first' on. */
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

/* The struct of 'type' whose 'member' lives at 'pointer'. */
#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
