# SPDX-License-Identifier: MIT
#
# Reports #include lines that point up, sideways where that is not allowed, or
# to a library that another file owns; and files without their first line or
# with a guard that does not match their path.  See layers.sh.

BEGIN {
    # What a layer may include besides itself.
    below["common"] = ""
    below["client"] = "common"
    below["admin"] = "common"
    below["resp"] = "common"
    below["cache"] = "admin common"
    below["store"] = "admin common"
    below["lookup"] = "cache store admin common"
    below["command"] = "lookup cache store resp admin common"
    below["net"] = "command lookup cache store resp admin common"
    below["main"] = "net command lookup cache store resp admin common"
    below["tests"] = "main net command lookup cache store resp admin common client"

    # Third-party headers and the files that own them.
    owner["event2?/|evutil|event\\.h"] = "^(server/net/.*\\.c|tests/.*\\.c)$"
    owner["openssl/"] = "^(server/net/tls\\.c|server/admin/digest\\.c|tests/.*\\.c)$"
    owner["sqlite3"] = "^(server/store/sqlite[^/]*\\.c|tests/.*\\.c)$"
    owner["hiredis/"] = "^(client/session\\.c|tests/.*\\.c)$"
    owner["jemalloc/"] = "^server/admin/(stats|memory)[^/]*\\.c$"
    owner["cmocka"] = "^tests/"
    owner["systemd/"] = "^$"
}

function report(message) {
    printf "%s:%d: %s\n", FILENAME, FNR, message
    n_reports++
}

function layer_of(path,    part) {
    split(path, part, "/")
    if (part[1] != "server") {
        return part[1]
    }
    # server/main.c and server/server.c put all the parts together.
    return path ~ /^server\/[^\/]*$/ ? "main" : part[2]
}

function allowed(from, to,    name, n, i) {
    if (from == to) {
        return 1
    }
    n = split(below[from], name, " ")
    for (i = 1; i <= n; i++) {
        if (name[i] == to) {
            return 1
        }
    }
    return 0
}

FNR == 1 {
    layer = layer_of(FILENAME)
    if ($0 != "/* SPDX-License-Identifier: MIT */") {
        report("line 1 is not the SPDX line")
    }
    guard = ""
    if (FILENAME ~ /\.h$/) {
        guard = toupper(FILENAME)
        gsub(/[^A-Z0-9]/, "_", guard)
    }
}

guard != "" && /^#ifndef/ {
    if ($2 != guard) {
        report("the guard is " $2 ", not " guard)
    }
    guard = ""
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\"")
    to = layer_of(quoted[2])
    if (!(to in below)) {
        report("\"" quoted[2] "\" is not spelled from the root")
    } else if (!allowed(layer, to)) {
        report(layer " includes " to ": \"" quoted[2] "\"")
    }
}

/^[ \t]*#[ \t]*include[ \t]*</ {
    header = $0
    sub(/^[^<]*</, "", header)
    sub(/>.*/, "", header)
    for (library in owner) {
        if (header ~ "^(" library ")" && FILENAME !~ owner[library]) {
            report("<" header "> belongs to other files")
        }
    }
}

END {
    exit n_reports > 0
}
