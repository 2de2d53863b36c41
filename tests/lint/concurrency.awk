# SPDX-License-Identifier: MIT
#
# Prints "file name" for everything that threads share or have for themselves:
# locks, conditions, wait groups, atomics, thread-local variables.
#
# Comments are taken out, the rest is cut at ; { and }, and a piece is such a
# declaration if a word in it says so.  Pointers to them, functions, and what
# common/lock.h builds locks from are none.

function declaration(text,    name) {
    gsub(/GUARDED_BY\([^()]*\)|_Alignas\([^()]*\)/, "", text)
    gsub(/_Atomic\([^()]*\)/, "_Atomic x", text)
    sub(/=.*/, "", text)
    gsub(/\[[^\]]*\]/, "", text)
    sub(/[ \t]+$/, "", text)
    if (text ~ /\(/ || text !~ /[ \t*][a-z_]+$/) {
        return
    }
    name = text
    sub(/.*[ \t*]/, "", name)
    if (text ~ /(^|[ \t])struct (mutex|rwlock|cond|waitgroup) [a-z_]+$/ ||
        text ~ /(^|[ \t])pthread_(key_t|once_t|mutex_t|rwlock_t|cond_t) [a-z_]+$/ ||
        (text ~ /(^|[ \t])_Atomic[ \t]/ && text !~ /\*[a-z_]*$/) ||
        text ~ /(^|[ \t])_Thread_local[ \t]/) {
        print file, name
    }
}

# Without comments, directives and strings, on one line.
function strip(text,    out, at) {
    out = ""
    while (text != "") {
        if (in_comment) {
            at = index(text, "*/")
            if (at == 0) {
                return out
            }
            text = substr(text, at + 2)
            in_comment = 0
        } else {
            at = index(text, "/*")
            if (at == 0) {
                return out text
            }
            out = out substr(text, 1, at - 1) " "
            text = substr(text, at + 2)
            in_comment = 1
        }
    }
    return out
}

FNR == 1 {
    file = FILENAME
    rest = ""
    in_comment = 0
}

!in_comment && /^[ \t]*#/ { next }

{
    rest = rest " " strip($0)
    while (match(rest, /[;{}]/)) {
        declaration(substr(rest, 1, RSTART - 1))
        rest = substr(rest, RSTART + 1)
    }
}
