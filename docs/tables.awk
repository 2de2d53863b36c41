# SPDX-License-Identifier: MIT
#
# Puts the tables that a program prints into a page: what stands between the
# lines "<!-- made by: PROGRAM OPTION -->" and "<!-- end -->" is replaced by
# what ./PROGRAM OPTION prints.  `make docs` runs it in the build directory.

/^<!-- made by: [a-z]+ --[a-z-]+ -->$/ {
    print
    print ""
    command = "./" $4 " " $5
    any = 0
    while ((command | getline line) > 0) {
        print line
        any = 1
    }
    if (close(command) != 0 || !any) {
        print "tables.awk: " command " failed" >"/dev/stderr"
        exit 1
    }
    print ""
    skipping = 1
}

/^<!-- end -->$/ { skipping = 0 }

!skipping && !/^<!-- made by: / { print }
