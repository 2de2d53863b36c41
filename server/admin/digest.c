/* SPDX-License-Identifier: MIT */
#include "server/admin/digest.h"

#include "common/log.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

void digest_of(struct slice text, char digest[DIGEST_LEN])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (EVP_Digest(text.data, text.size, bytes, &size, EVP_sha256(), NULL) !=
            1 ||
        size != DIGEST_LEN / 2) {
        /* Nobody could log in, or worse. */
        log_fatal("digest: libcrypto has no SHA-256");
    }
    for (size_t i = 0; i < size; i++) {
        digest[2 * i] = digits[bytes[i] >> 4];
        digest[2 * i + 1] = digits[bytes[i] & 15];
    }
}

bool digest_is_valid(struct slice text)
{
    size_t i = 0;

    while (i < text.size && text.data[i] != '\0' &&
           strchr("0123456789abcdef", text.data[i]) != NULL) {
        i++;
    }
    return i == text.size && text.size == DIGEST_LEN;
}

bool digest_equal(const char a[DIGEST_LEN], const char b[DIGEST_LEN])
{
    return CRYPTO_memcmp(a, b, DIGEST_LEN) == 0;
}
