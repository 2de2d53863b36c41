/* SPDX-License-Identifier: MIT */
/*
 * What Redis would call the way in which a value is kept.  bookd keeps all
 * values alike, so this is worked out from the value as it is now, by the
 * rules that Redis has for one that is just written.
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_COMMAND_ENCODING_H
#define SERVER_COMMAND_ENCODING_H

#include "server/lookup/lookup.h"

/* "int", "embstr", "raw", "listpack" or "hashtable"; 'answer' found a value. */
const char *encoding_of(const struct config *config,
                        const struct answer *answer);

#endif
