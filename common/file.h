/* SPDX-License-Identifier: MIT */
/*
 * A file as a whole: replaced so that whoever reads it, also after a crash,
 * finds the old text or the new one and nothing between.
 *
 * Thread-safety: any thread; of several at once the last one wins.  Waits for
 * the disk.
 */
#ifndef COMMON_FILE_H
#define COMMON_FILE_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/slice.h"

/* Makes 'text' what is in the file 'path', which keeps its mode and owner; a
 * file that is not there is made with 'mode'.  The directory
 * must be writable.  If 'path' is a symbolic link, the link is replaced: resolve
 * it first.
 * Errors: ERR_PERMISSION, ERR_NOT_FOUND, ERR_SYSTEM, with the system's words in
 * 'detail'; then the file is what it was. */
NODISCARD
enum err file_replace(const char *path, struct slice text, unsigned mode,
                      struct buf *detail);

#endif
