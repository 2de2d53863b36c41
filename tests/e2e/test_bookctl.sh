#!/bin/bash
# SPDX-License-Identifier: MIT
# bookctl against a real bookd: every subcommand, every format, every exit
# status.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"

# bc WORD...: bookctl at the bookd of this test.
bc() {
    "$bookctl" -p "$port" "$@"
}

# exits STATUS COMMAND...: the command ends with this exit status.  What it
# prints is left in 'out', what it complains of in 'err'.
exits() {
    local status
    out=$("${@:2}" 2>"$dir/stderr")
    status=$?
    err=$(<"$dir/stderr")
    equal "$1" "$status" "exit status of ${*:2} ($err)"
}

# on_terminal COLUMNS WORD...: what bookctl shows on a terminal that wide.
on_terminal() {
    command -v script >/dev/null || skip "script is not installed"
    local words
    words=$(printf ' %q' "$bookctl" -p "$port" "${@:2}")
    TERM=xterm script -qec "stty cols $1; $words" /dev/null </dev/null |
        tr -d '\r'
}

# stat_of NAME: a figure of INFO.
stat_of() {
    bc raw INFO | sed -n "s/^$1:\(.*[^\r]\)\r*$/\1/p"
}

# The store was asked for a row; for until_true.
read_begun() {
    [ "$(stat_of store_reads)" = 1 ]
}

tab=$'\t'
escape=$'\033'

# ---- books ----

test_get_shows_books_in_the_order_asked() {
    start_bookd
    exits 0 bc get 3 1
    equal "3${tab}A Tale of Two Cities${tab}Charles Dickens${tab}1859
1${tab}The Hitchhiker's Guide to the Galaxy${tab}Douglas Adams${tab}1979" "$out"
}

test_get_of_a_missing_book_exits_1_and_shows_the_others() {
    start_bookd
    exits 1 bc get 3 99
    like "3${tab}*" "$out"
    equal 'bookctl: Book not found id: 99' "$err"
}

test_get_of_more_ids_than_a_batch() {
    start_bookd
    # shellcheck disable=SC2046 # many words are meant
    exits 1 bc get $(seq 1 1200)
    equal 10 "$(wc -l <<<"$out")"
    equal 1190 "$(wc -l <<<"$err")"
}

test_get_as_json_is_an_object_or_an_array() {
    start_bookd
    expect '{"id":3,"title":"A Tale of Two Cities","author":"Charles Dickens","year":1859}' \
        bc get 3 --json
    expect '[
{"id":3,"title":"A Tale of Two Cities","author":"Charles Dickens","year":1859},
{"id":2,"title":"The Hobbit","author":"J.R.R. Tolkien","year":1937}
]' bc --json get 3 2
}

test_get_is_what_the_server_says() {
    start_bookd
    local id
    for id in {1..10}; do
        expect "$(bc raw GET "book:$id")" bc get "$id" --json
    done
}

test_get_within_bounds_asks_for_what_is_fresh_enough() {
    start_bookd
    exits 0 bc get 3
    equal 1 "$(stat_of store_reads)"
    exits 0 bc get 3 --max-age 1h --stale 1s --wait 5s
    equal "3${tab}A Tale of Two Cities${tab}Charles Dickens${tab}1859" "$out"
    equal 1 "$(stat_of store_reads)" "the copy was fresh enough"
    exits 1 bc get --max-age 0s 3 99 4
    like "3${tab}A Tale of Two Cities${tab}Charles Dickens${tab}1859
4${tab}*" "$out"
    equal 'bookctl: Book not found id: 99' "$err"
    equal 4 "$(stat_of store_reads)" "all three asked the store"
    expect "$(bc get 3 --json)" bc get 3 --json --max-age 0
    exits 2 bc get 3 --max-age 500us
    exits 2 bc get 3 --stale soon
    exits 2 bc list --max-age 1s
}

test_get_waits_no_longer_than_it_may() {
    start_bookd
    exits 0 bc get 3
    bc raw CONFIG SET store-hang yes >/dev/null
    exits 0 bc get 3 --max-age 0s --wait 20ms
    like "3${tab}A Tale of Two Cities${tab}*" "$out"
    exits 4 bc get 4 --wait 20ms
    like '*book 4: *STORETIMEOUT*' "$err"
    bc raw CONFIG SET store-hang no >/dev/null
}

test_list_is_in_the_order_of_the_ids() {
    start_bookd
    exits 0 bc list
    equal "$(seq 1 10)" "$(cut -f 1 <<<"$out")"
    exits 0 bc list --limit 3 --csv
    equal "id,title,author,year
1,The Hitchhiker's Guide to the Galaxy,Douglas Adams,1979
2,The Hobbit,J.R.R. Tolkien,1937
3,A Tale of Two Cities,Charles Dickens,1859" "$out"
}

test_an_empty_store_lists_nothing() {
    start_bookd --seed-books no
    expect '' bc list
    expect '[]' bc list --json
    expect 'id,title,author,year' bc list --csv
}

test_add_chooses_the_next_id() {
    start_bookd
    expect "11${tab}Dune${tab}Frank Herbert${tab}1965" \
        bc add title=Dune author='Frank Herbert' year=1965
    expect "12${tab}Untitled, \"really\"${tab}${tab}" \
        bc add title='Untitled, "really"'
    expect "40${tab}Forty${tab}${tab}" bc add 40 title=Forty
    expect "41${tab}Forty-one${tab}${tab}" bc add title=Forty-one
    expect "7000000000${tab}Far${tab}${tab}" bc add id=7000000000 title=Far
}

test_add_to_an_empty_store_begins_with_1() {
    start_bookd --seed-books no
    expect "1${tab}Dune${tab}${tab}" bc add title=Dune
}

test_add_never_overwrites() {
    start_bookd
    exits 5 bc add 3 title=Dune
    like '*there is a book 3 already*' "$err"
    expect_like '*Two Cities*' bc get 3
}

test_set_changes_what_is_given_and_nothing_else() {
    start_bookd
    expect "3${tab}A Tale of Two Cities${tab}Charles Dickens${tab}1860" \
        bc set 3 year=1860
    expect "3${tab}Cities${tab}C. D.${tab}1860" bc set 3 title=Cities author='C. D.'
    expect "3${tab}Cities${tab}${tab}1860" bc set 3 author=
    expect '{"id":3,"title":"Cities","author":null,"year":1860}' bc get 3 --json
    restart_bookd
    expect "3${tab}Cities${tab}${tab}1860" bc get 3
}

test_set_of_a_missing_book_exits_1_and_creates_nothing() {
    start_bookd
    exits 1 bc set 99 title=Dune
    exits 1 bc get 99
}

test_wrong_assignments_exit_2_and_change_nothing() {
    start_bookd
    exits 2 bc add author=Nobody
    exits 2 bc add title=
    exits 2 bc add title=Dune year=soon
    exits 2 bc add title=Dune pages=100
    exits 2 bc add title=Dune title=Dune
    exits 2 bc add 5 id=6 title=Dune
    exits 2 bc add title=$'\xff'
    exits 2 bc set 3 title=
    exits 2 bc set 3 id=4
    exits 2 bc set x title=Dune
    equal 10 "$(bc raw DBSIZE)"
    expect_like '*Two Cities*' bc get 3
}

test_rm_removes() {
    start_bookd
    exits 0 bc rm 3 4
    equal '' "$out$err"
    exits 1 bc rm 3 5
    equal 'bookctl: Book not found id: 3' "$err"
    exits 0 bc list
    equal 7 "$(wc -l <<<"$out")"
}

# ---- formats ----

test_a_terminal_gets_a_table_that_fits() {
    start_bookd
    NO_COLOR=1 on_terminal 40 get 3 10 >table
    equal "id  title           author          year
 3  A Tale of Two…  Charles Dicke…  1859
10  The Android's…  John Scalzi     2006" "$(<table)"
}

test_a_terminal_gets_colours_unless_it_is_told() {
    start_bookd
    like "*${escape}[[]1m*" "$(on_terminal 80 get 3)"
    case $(on_terminal 80 --color never get 3) in *"$escape"*) fail "colours" ;; esac
    case $(NO_COLOR=1 on_terminal 80 get 3) in *"$escape"*) fail "colours" ;; esac
    case $(bc stat) in *"$escape"*) fail "colours" ;; esac
    like "*${escape}[[]1m*" "$(bc stat --color always)"
}

test_control_characters_do_not_reach_a_terminal() {
    start_bookd
    bc add 20 title=$'a\033[2Jb\x07' author=$'c\u009b31md\u202e' >/dev/null
    local words
    for words in 'get 20' 'get 20 --csv' 'get 20 --json' 'raw HGETALL book:20' \
        'raw --json GET book:20' 'demo --ids 20 --count 100'; do
        # shellcheck disable=SC2086 # words are meant
        on_terminal 80 --color never $words >shown
        if LC_ALL=C grep -q -e $'[\x01-\x08\x0b-\x1f]' -e $'\xc2\x9b' \
            -e $'\xe2\x80\xae' shown; then
            fail "$words: $(cat -v shown)"
        fi
    done
}

test_fields_in_a_pipe_are_fields() {
    start_bookd
    bc add 20 title=$'tab\there\nline \\ end' >/dev/null
    expect "20${tab}tab\\there\\nline \\\\ end${tab}${tab}" bc get 20
}

# ---- import and export ----

test_an_export_imports_again() {
    start_bookd
    bc add 20 title=$'quotes " commas , lines\nand\r\nmore' author='Zoë' \
        year=-44 >/dev/null
    bc add 21 title=' spaces ' >/dev/null
    bc export >first.csv
    restart_bookd --store sqlite:other.db --seed-books no
    expect '12 books imported, 0 lines refused' bc import first.csv
    expect '12 books written to second.csv' bc export second.csv
    cmp first.csv second.csv || fail "they differ"
    expect '12 books imported, 0 lines refused' bc import - <second.csv
    bc export - | cmp - first.csv || fail "they differ"
}

test_import_maps_columns_and_cleans_numbers() {
    start_bookd --seed-books no
    printf '%s\r\n' $'\xEF\xBB\xBFbook_id,authors,year,original,name' \
        '1,Homer,-720.0,,The Odyssey' \
        ' 2 ,,,Dune,"Dune, again"' '3.00,x,+1984.,1984,' >books.csv
    expect '3 books imported, 0 lines refused' bc import books.csv \
        --map id=book_id --map author=authors --map title=original --map title=name
    expect "1${tab}The Odyssey${tab}Homer${tab}-720
2${tab}Dune${tab}${tab}
3${tab}1984${tab}x${tab}1984" bc list
}

test_import_replaces_whole_books() {
    start_bookd
    printf 'id,title,author\n3,Cities,\n' >books.csv
    expect 'bookctl: books.csv has no column year: it will be missing
1 book imported, 0 lines refused' bc import books.csv
    expect '{"id":3,"title":"Cities","author":null,"year":null}' bc get 3 --json
}

test_import_lists_refused_lines_with_their_reasons() {
    start_bookd --seed-books no
    printf '%s\n' 'id,title,author,year' \
        '1,Good,A,1900' \
        ',No id,A,1900' \
        '3,,A,1900' \
        '4,Two,cells' \
        '5,"Bad" quote,A,1900' \
        '6,Year,A,1979.5' \
        'seven,Id,A,1900' \
        $'8,Latin \xe9,A,1900' \
        '99999999999999999999,Big,A,1900' \
        '10,Good too,"A
B",' \
        '12,"Open,A,1900' >books.csv
    exits 5 bc import books.csv
    equal '2 books imported, 9 lines refused' "$out"
    equal 'bookctl: books.csv line 3: the id is missing
bookctl: books.csv line 4: the title is missing
bookctl: books.csv line 5: it has 3 cells, the header has 4
bookctl: books.csv line 6: there is text behind a closing quote
bookctl: books.csv line 7: the year is no whole number: 1979.5
bookctl: books.csv line 8: the id is no whole number: seven
bookctl: books.csv line 9: the title is not UTF-8
bookctl: books.csv line 10: the id is no whole number: 99999999999999999999
bookctl: books.csv line 13: a quote is never closed' "$err"
}

test_import_lists_only_so_many() {
    start_bookd --seed-books no
    { echo id,title; seq -f '%g,' 1 1000; } >books.csv
    exits 5 bc import books.csv
    equal '0 books imported, 1000 lines refused' "$out"
    at_least 20 "$(wc -l <<<"$err")"
    at_least "$(wc -l <<<"$err")" 30
}

test_import_refuses_what_it_cannot_map() {
    start_bookd
    printf 'book_id,title\n1,Dune\n' >books.csv
    exits 2 bc import books.csv
    like '*no column id*book_id*--map id=NAME*' "$err"
    exits 2 bc import books.csv --map id=book_di
    like '*did you mean book_id?*' "$err"
    exits 2 bc import books.csv --map ID=book_id
    exits 2 bc import books.csv --map id
    exits 5 bc import nothing.csv
    : >empty.csv
    exits 5 bc import empty.csv
    exits 5 bc import .
    expect_like '*Hitchhiker*' bc get 1
}

# A store whose table refuses the books that satisfy the SQL condition "$1".
start_bookd_that_refuses() {
    needs sqlite3
    start_bookd
    stop_bookd
    sqlite3 bookd.db "CREATE TRIGGER no BEFORE INSERT ON books WHEN $1
        BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    start_bookd
}

test_import_names_the_lines_that_the_store_refuses() {
    start_bookd_that_refuses 'NEW.id = 22'
    printf 'id,title,author,year\n%s,a,,\n22,b,,\n23,c,,\n' 21 >books.csv
    exits 4 bc import books.csv
    equal '2 books imported, 1 line refused' "$out"
    like 'bookctl: books.csv line 3: ERR *' "$err"
    exits 4 bc add 22 title=b
}

test_import_gives_up_when_a_whole_batch_is_refused() {
    start_bookd_that_refuses 'NEW.id > 20'
    { echo id,title; seq -f '%g,title' 21 3000; } >books.csv
    exits 4 bc import books.csv
    equal '0 books imported, 500 lines refused' "$out"
    like '*refused a whole batch of 500; giving up' "$err"
}

test_import_of_ten_thousand_real_books() {
    local xz=${BOOKD_SHARED:-}/data/goodbooks-10k/books.csv.xz
    [ -r "$xz" ] || skip "there is no $xz"
    needs xz
    start_bookd --seed-books no
    xz -dc "$xz" >books.csv
    local maps=(--map id=book_id --map author=authors
        --map year=original_publication_year)
    expect '10000 books imported, 0 lines refused' bc import "${maps[@]}" books.csv
    bc export first.csv >/dev/null
    expect '10000 books imported, 0 lines refused' bc import "${maps[@]}" books.csv
    bc export second.csv >/dev/null
    cmp first.csv second.csv || fail "the second import changed something"
    equal 10001 "$(wc -l <first.csv)"
    expect "10000${tab}The First World War${tab}John Keegan${tab}1998" bc get 10000
    expect_like '*"year":-720}' bc raw GET book:79
    # What the file itself says, by another reader of CSV.
    command -v sqlite3 >/dev/null || return 0
    sqlite3 :memory: '.import --csv books.csv b' '.mode csv' \
        ".separator ',' \"\\n\"" \
        "SELECT book_id, title, authors,
            replace(original_publication_year, '.0', '') FROM b
            ORDER BY CAST(book_id AS INTEGER)" | normal >expected
    tail -n +2 first.csv | normal >actual
    cmp expected actual || fail "the store does not have what the file has"
}

# CSV with every field in the same spelling, as sqlite3 quotes more than we do.
normal() {
    sqlite3 :memory: 'CREATE TABLE b(id, title, author, year)' \
        '.import --csv /dev/stdin b' '.mode json' 'SELECT * FROM b'
}

test_a_failed_export_leaves_the_old_file() {
    start_bookd
    echo old >books.csv
    exits 3 "$bookctl" -p 1 export books.csv
    expect old cat books.csv
    exits 0 bc export books.csv
    equal 11 "$(wc -l <books.csv)"
    expect books.csv ls books.csv*
    exits 5 bc export /dev/full
    like '*No space left*' "$err"
    exits 5 bc export "$dir/no/such"
    exits 0 bc export /dev/stdout
    equal 11 "$(wc -l <<<"$out")"
}

test_output_that_cannot_be_written_is_an_error() {
    start_bookd
    bc list >/dev/full 2>err
    equal 5 $?
    like '*No space left*' "$(<err)"
}

test_a_reader_that_leaves_is_no_error() {
    start_bookd
    seq -f '%g,"A book with a long title, as if there was a reason for it"' 1 3000 |
        sed '1i id,title' | bc import - >/dev/null 2>&1
    bc list 2>err | head -n 1 >/dev/null
    equal '0 0' "${PIPESTATUS[*]}"
    equal '' "$(<err)"
}

# ---- demo ----

test_demo_is_first_answered_by_the_store_then_by_the_cache() {
    start_bookd --store-delay 50ms
    exits 0 bc demo --seed 1
    equal 11 "$(wc -l <<<"$out")"
    like 'from database  #*10 answers: 0 from cache, 10 from database, 0 not found; slowest * ms, all in * ms' "$out"
    exits 0 bc demo --seed 1
    like 'from cache     #*10 answers: 10 from cache, 0 from database, 0 not found;*' "$out"
}

test_demo_answers_arrive_together() {
    start_bookd --store-delay 500ms
    exits 0 bc demo --count 50
    # One delay, not fifty.
    at_least "$(sed -n 's/.*all in \([0-9]*\).*/\1/p' <<<"$out")" 5000
}

test_demo_names_ids_without_a_book() {
    start_bookd --seed-books no
    exits 0 bc demo --ids 1 --count 3
    equal 3 "$(grep -c '^Book not found id: 1 ' <<<"$out")"
    like '*3 answers: 0 from cache, 0 from database, 3 not found;*' "$out"
}

test_demo_rounds_repeat() {
    start_bookd
    exits 0 bc demo --rounds 3 --count 4 --ids 2 --seed 5
    equal 13 "$(wc -l <<<"$out")"
    like '*12 answers:*' "$out"
    local first
    first=$(grep -o '#[0-9]*' <<<"$out" | sort)
    exits 0 bc demo --rounds 3 --count 4 --ids 2 --seed 5
    equal "$first" "$(grep -o '#[0-9]*' <<<"$out" | sort)" "the same seed"
}

test_demo_without_a_server_exits_3() {
    exits 3 "$bookctl" -p 1 demo --count 2
    like '*cannot connect to 127.0.0.1:1*' "$err"
    like '0 answers:*2 failed*' "$out"
    exits 2 "$bookctl" demo --count 0
    exits 2 "$bookctl" demo --ids 0
}

# ---- why, simulate ----

test_why_says_who_would_answer_and_why() {
    start_bookd --max-age 1h --stale-if-error 1d
    exits 0 bc why 3
    equal 'book:3: the store would be asked: there is no copy.
  table    books
  state    absent
  answers  store
  reason   there is no copy
  race     stale
  flight   no' "$out"
    exits 0 bc get 3
    exits 0 bc why 3
    like 'book:3: the cache would answer: its copy is * old, fresh for another *.
*  state * fresh
*  age-ms *  origin * miss
*  bytes *' "$out"
    exits 0 bc set 3 year=1860
    exits 0 bc why 3
    like '*  origin * write*' "$out"
    exits 1 bc get 99
    exits 0 bc why 99
    like 'book:99: the cache would answer: * ago the store had no such row, which is believed for another * s.*' "$out"
}

test_why_tells_what_a_copy_past_its_age_is_good_for() {
    start_bookd --max-age 0 --stale-while-revalidate 0s --stale-if-error 1d
    exits 0 bc get 3
    exits 0 bc why 3
    like 'book:3: the store would be asked: its copy is * old, past its max-age by *. If the store fails, the copy may answer for another *.*' "$out"
    bc raw CONFIG SET stale-while-revalidate 1h >/dev/null
    exits 0 bc why 3
    like 'book:3: the cache would answer: *; for another * min * s it may answer while the store is asked for a newer one. If *' "$out"
    bc raw CONFIG SET race always >/dev/null
    exits 0 bc why 3
    like 'book:3: cache and store would both be asked: *; race is always, so the first answer wins.*' "$out"
}

test_why_sees_the_read_that_is_under_way() {
    start_bookd --store-hang yes --store-timeout 60s
    bc get 3 >answer 2>&1 &
    local asker=$!
    until_true read_begun
    exits 0 bc why 3
    like '* A read of the store is under way for *, and 1 lookup waits for it.
*' "$out"
    bc raw CONFIG SET store-hang no >/dev/null
    wait "$asker" || fail "get: status $?"
    like '3*' "$(<answer)"
}

test_why_as_json_is_an_object_or_an_array() {
    start_bookd
    exits 0 bc why 3 --json
    like '{"key":"book:3","table":"books","state":"absent",*"flight":"no"}' "$out"
    exits 0 bc get 3
    exits 0 bc why 3 4 --json
    like '[[]
{"key":"book:3",*"age-ms":*,"bytes":*},
{"key":"book:4",*}
]' "$out"
    exits 2 bc why three
    exits 2 bc why
    exits 3 "$bookctl" -p 1 why 3
}

test_simulate_makes_the_store_fail_and_work_again() {
    start_bookd --enable-simulate-command yes
    exits 0 bc simulate errors 100% delay 1ms tail 1%x10
    equal '' "$out$err"
    exits 4 bc get 3
    exits 0 bc simulate off
    until_true bc get 3 2>/dev/null >&2
    exits 4 bc simulate delay
    exits 4 bc simulate nonsense 3
    exits 2 bc simulate
}

test_simulate_is_refused_unless_enabled() {
    start_bookd
    exits 4 bc simulate delay 100ms
    like '*enable-simulate-command yes*' "$err"
}

# ---- ping, stat, raw ----

test_ping_measures() {
    start_bookd
    expect_like "127.0.0.1:$port answered in *.* ms" bc ping
    expect_like '{"ms":*.*}' bc ping --json
    expect_like "127.0.0.1:$port answered in *" bc -H 127.0.0.1 ping
}

test_ping_waits_for_a_bookd_that_starts() {
    start_bookd
    stop_bookd
    bc ping --wait 60s >answer &
    local waiting=$!
    launch_bookd --port "$port" --dir "$dir"
    wait "$waiting" || fail "ping --wait: status $?"
    like "* answered in *" "$(<answer)"
    exits 3 "$bookctl" -p 1 ping --wait 50ms
    like '*cannot connect*' "$err"
    is_ready
}

test_stat_is_readable_and_complete() {
    start_bookd
    bc get 3 >/dev/null
    bc get 3 >/dev/null
    exits 0 bc stat
    like "bookd     *on 127.0.0.1:$port, process *clients   * now*cache     1 copy*lookups   2; 50.0% from the cache, 50.0% from the store*races *failures  0 timeouts, 0 busy, 0 down; 0 more *store     sqlite:*bookd.db; 1 read,*" "$out"
    exits 0 bc stat --json
    like '{*"lookups": 2,*"store_reads": 1,*}' "$out"
}

test_stat_watches() {
    start_bookd
    # Ends when nobody reads.
    bc stat --watch 10ms | head -n 3 >lines
    equal 3 "$(wc -l <lines)"
    like 'lookups/s *' "$(head -n 1 lines)"
    exits 2 bc stat --watch 10ms --json
}

test_raw_is_plain_in_a_pipe_and_typed_on_a_terminal() {
    start_bookd
    expect 'id
2
title
The Hobbit
author
J.R.R. Tolkien
year
1937' bc raw HGETALL book:2
    expect '["id","2","title","The Hobbit","author","J.R.R. Tolkien","year","1937"]' \
        bc raw --json HGETALL book:2
    expect '1) "The Hobbit"
2) (nil)
3) "1937"' on_terminal 80 raw HMGET book:2 title nothing year
    expect '(integer) 10' on_terminal 80 raw DBSIZE
    expect PONG bc raw PING
    expect null bc raw --json GET book:99
    expect --csv bc raw ECHO --csv
}

test_raw_shows_an_error_and_exits_4() {
    start_bookd
    exits 4 bc raw NONSENSE
    like '*ERR unknown command*' "$err"
    equal '' "$out"
}

test_raw_shutdown_is_no_error() {
    start_bookd
    exits 0 bc raw SHUTDOWN
    wait_good_end
}

# ---- the connection ----

test_the_ways_to_name_a_server() {
    start_bookd --unixsocket "$dir/sock"
    local words
    for words in "-s $dir/sock" "-u unix://$dir/sock" "-u redis://127.0.0.1:$port/0" \
        "--host=127.0.0.1 --port=$port" "-H127.0.0.1 -p$port"; do
        # shellcheck disable=SC2086 # words are meant
        exits 0 "$bookctl" $words get 2
        # shellcheck disable=SC2086
        exits 0 "$bookctl" get 2 $words
    done
    BOOKCTL_URI=redis://127.0.0.1:$port exits 0 "$bookctl" get 2
    BOOKCTL_URI=redis://127.0.0.1:1 exits 0 bc get 2
    BOOKCTL_URI=redis://127.0.0.1:1 exits 3 "$bookctl" get 2
}

test_no_server_exits_3() {
    exits 3 "$bookctl" -p 1 get 3
    like 'bookctl: cannot connect to 127.0.0.1:1: Connection refused' "$err"
    exits 3 "$bookctl" -s "$dir/nothing" list
    like "*cannot connect to $dir/nothing*" "$err"
}

test_a_server_that_is_silent_exits_3() {
    start_bookd
    kill -s STOP "$pid"
    exits 3 bc --timeout 100ms ping
    kill -s CONT "$pid"
    like '*did not answer within 0.1 s' "$err"
}

test_a_store_that_fails_exits_4() {
    start_bookd --store-error-rate 100%
    exits 4 bc get 3 4
    like '*book 3: *STOREDOWN*book 4: *STOREDOWN*' "$err"
    exits 4 bc demo --count 2
}

# ---- help ----

test_wrong_command_lines_exit_2() {
    exits 2 "$bookctl"
    like '*a command is missing*bookctl help*' "$err"
    exits 2 "$bookctl" stauts
    like '*did you mean stat?*' "$err"
    exits 2 "$bookctl" get 1 --jsn
    like '*did you mean --json?*bookctl help get*' "$err"
    exits 2 "$bookctl" get
    exits 2 "$bookctl" get three
    exits 2 "$bookctl" rm 3 --json
    exits 2 "$bookctl" --uri nonsense ping
    exits 2 "$bookctl" help nonsense
    equal '' "$out"
}

test_every_command_has_help() {
    local name
    exits 0 "$bookctl" help
    local overview=$out
    expect "$overview" "$bookctl" --help
    for name in get why list add set rm import export demo ping stat raw \
        simulate help; do
        like "*
  $name  *" "$overview"
        exits 0 "$bookctl" help "$name"
        like "Usage: bookctl * $name*Examples*" "$out"
        expect "$out" "$bookctl" "$name" --help
    done
    expect_like 'bookctl [0-9]*.[0-9]*' "$bookctl" --version
}

test_the_manual_page_is_what_the_tables_say() {
    exits 0 "$bookctl" --man
    local page=$BOOKD_SRC/docs/bookctl.1
    [ ! -e "$page" ] || equal "$out" "$(<"$page")" "docs/bookctl.1 is out of date"
    command -v groff >/dev/null || return 0
    "$bookctl" --man >page.1
    expect '' groff -mdoc -Tutf8 -ww -z page.1
}

# completes EXPECTED WORD...: the last word is the one being typed.
completes() {
    local actual
    actual=$(
        eval "$("$bookctl" --completion)"
        # shellcheck disable=SC2317 # _bookctl calls it
        compopt() { :; }
        COMP_WORDS=(bookctl "${@:2}")
        COMP_CWORD=$(($# - 1))
        COMPREPLY=()
        _bookctl
        echo "${COMPREPLY[*]}"
    )
    equal "$1" "$actual" "completion of ${*:2}"
}

test_completion_offers_what_the_tables_say() {
    completes 'import' im
    completes 'rm raw' r
    completes '--color --csv' get --c
    completes '--color --count' demo --c
    completes 'auto always' --color a
    completes 'title=' add t
    completes 'set stat simulate' help s
    completes '' get 3
    : >books.csv
    completes books.csv import boo
    completes books.csv -s boo
    local file=$BOOKD_SRC/conf/bookctl.bash
    [ ! -e "$file" ] || equal "$("$bookctl" --completion)" "$(<"$file")" \
        "conf/bookctl.bash is out of date"
}

run_tests "$@"
