/* SPDX-License-Identifier: MIT */
#include "server/command/encoding.h"

#include "server/admin/config.h"
#include "server/lookup/hash_value.h"

/* Source: Redis 7.0, object.c. */
#define EMBEDDED_BYTES_MAX 44

static const char *encoding_of_hash(const struct config *config,
                                    struct slice hash)
{
    const uint64_t max_fields =
        (uint64_t)config_number(config, CONFIG_hash_max_listpack_entries);
    const uint64_t max_bytes =
        (uint64_t)config_number(config, CONFIG_hash_max_listpack_value);
    struct slice fields = hash_value_fields(hash);
    bool small = hash_value_count(hash) <= max_fields;
    struct slice name;
    struct slice value;

    while (small && hash_value_next(&fields, &name, &value)) {
        small = name.size <= max_bytes && value.size <= max_bytes;
    }
    return small ? "listpack" : "hashtable";
}

static const char *encoding_of_string(struct slice value)
{
    int64_t integer;

    if (slice_to_int64(value, &integer)) {
        return "int";
    }
    return value.size <= EMBEDDED_BYTES_MAX ? "embstr" : "raw";
}

const char *encoding_of(const struct config *config,
                        const struct answer *answer)
{
    switch (answer->kind) {
    case COPY_STRING:
        return encoding_of_string(answer->bytes);
    case COPY_HASH:
        return encoding_of_hash(config, answer->bytes);
    default:
        return "hashtable"; /* A record. */
    }
}
