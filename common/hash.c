/* SPDX-License-Identifier: MIT */
/*
 * SipHash with one round per word and three at the end.  That is the variant
 * for hash tables: its output is never shown, so an attacker has only timing
 * to work with, and it costs half of SipHash-2-4.
 */
#include "common/hash.h"

#include <errno.h>
#include <sys/random.h>

#include "common/log.h"

/* The four words of state, named as in the paper. */
struct sip {
    uint64_t v0, v1, v2, v3;
};

/* Written once by hash_init() before any thread starts, then only read. */
static struct {
    uint64_t k0, k1;
} secret;

void hash_init(void)
{
    ssize_t size;

    do {
        size = getrandom(&secret, sizeof(secret), 0);
    } while (size < 0 && errno == EINTR);
    if (size != (ssize_t)sizeof(secret)) {
        log_fatal("hash: no random bytes from the system err=\"%m\"");
    }
}

uint64_t hash_bytes(struct slice key)
{
    return hash_bytes_keyed(key, secret.k0, secret.k1);
}

static inline uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void mix(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2;
    s->v2 = rotate_left(s->v2, 32);
}

static inline void absorb(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    mix(s);
    s->v0 ^= word;
}

/* 'size' bytes (at most 8) as a little-endian number, on any machine. */
static inline uint64_t read_word(const char *bytes, size_t size)
{
    uint64_t word = 0;

    for (size_t i = 0; i < size; i++) {
        word |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    }
    return word;
}

uint64_t hash_bytes_keyed(struct slice key, uint64_t k0, uint64_t k1)
{
    /* The constants spell "somepseudorandomlygeneratedbytes". */
    struct sip s = {
        .v0 = k0 ^ UINT64_C(0x736f6d6570736575),
        .v1 = k1 ^ UINT64_C(0x646f72616e646f6d),
        .v2 = k0 ^ UINT64_C(0x6c7967656e657261),
        .v3 = k1 ^ UINT64_C(0x7465646279746573),
    };
    const size_t whole = key.size - key.size % 8;

    for (size_t i = 0; i < whole; i += 8) {
        absorb(&s, read_word(key.data + i, 8));
    }
    /* The last word is the bytes left over and, on top, the size. */
    uint64_t last = (uint64_t)key.size << 56;
    if (whole < key.size) {
        last |= read_word(key.data + whole, key.size - whole);
    }
    absorb(&s, last);

    s.v2 ^= 0xFF;
    mix(&s);
    mix(&s);
    mix(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
