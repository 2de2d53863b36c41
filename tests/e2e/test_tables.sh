#!/bin/bash
# SPDX-License-Identifier: MIT
# Databases of other programs: their tables and views under keys of their own,
# the change feed in them, and what bookd asks of whoever looks after them.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli sqlite3

# The database of an application, with a write-ahead log.
make_app() {
    sqlite3 "$dir/app.db" >/dev/null <<'SQL'
PRAGMA journal_mode = WAL;
CREATE TABLE users(name TEXT PRIMARY KEY, age INTEGER CHECK(age < 200),
    mail TEXT UNIQUE);
INSERT INTO users VALUES('anna', 30, 'a@x'), ('bob', 40, 'b@x');
CREATE TABLE "order lines"(region TEXT, no INTEGER, total REAL,
    cents INTEGER AS (CAST(total * 100 AS INTEGER)),
    PRIMARY KEY(region, no)) WITHOUT ROWID;
INSERT INTO "order lines"(region, no, total)
    VALUES('emea', 1, 1.5), ('emea', 2, 2.25), ('us', 1, 10);
CREATE VIEW adults AS SELECT name, age FROM users WHERE age >= 18;
CREATE TABLE unmapped(x);
SQL
}

# sql TEXT: what another program does.
sql() {
    sqlite3 -cmd '.timeout 5000' "$dir/app.db" "$1"
}

users=(--table users prefix user: key name)
tables=("${users[@]}"
    --table 'order lines' prefix order: key '{region}:{no}'
    --table adults prefix adult: key name)
app=(--store sqlite:app.db --plain-writes none)

# ---- reading and writing ----

test_rows_of_any_table_are_records() {
    make_app
    start_bookd "${app[@]}" "${tables[@]}"
    expect '{"name":"anna","age":30,"mail":"a@x"}' cli GET user:anna
    expect '{"region":"emea","no":2,"total":2.25,"cents":225}' \
        cli GET order:emea:2
    expect '{"name":"bob","age":40}' cli GET adult:bob
    expect '(nil)' show GET user:nobody
    expect '(nil)' show GET order:emea:02
    expect '(nil)' show GET book:1
    expect 1000 cli HGET order:us:1 cents
}

test_rows_of_any_table_are_written() {
    make_app
    start_bookd "${app[@]}" "${tables[@]}"
    expect 1 cli HSET user:carl age 20
    expect OK cli SET order:us:2 '{"total":3}'
    expect 31 cli HINCRBY user:anna age 1
    expect 1 cli DEL order:emea:1
    expect 'carl|20|' sql "SELECT * FROM users WHERE name = 'carl'"
    expect 'us|2|3.0|300' sql 'SELECT * FROM "order lines" WHERE no = 2 AND
        region = "us"'
    expect '{"region":"us","no":2,"total":3.0,"cents":300}' \
        cli GET order:us:2
    expect 31 sql "SELECT age FROM users WHERE name = 'anna'"
    expect 2 sql 'SELECT count(*) FROM "order lines" WHERE no = 2'
}

test_a_column_without_a_type_takes_text_and_a_blob_column_bytes() {
    make_app
    sql 'CREATE TABLE loose(id INTEGER PRIMARY KEY, a, b BLOB)'
    start_bookd "${app[@]}" --table loose prefix loose: key id
    expect 2 cli HSET loose:1 a 7 b 7
    expect 'text|blob' sql 'SELECT typeof(a), typeof(b) FROM loose'
    expect '{"id":1,"a":"7","b":"Nw=="}' cli GET loose:1
    expect 7 cli HGET loose:1 b
}

test_what_the_database_refuses_is_named() {
    make_app
    start_bookd "${app[@]}" "${tables[@]}"
    expect_like '*CHECK constraint failed: age < 200*' \
        cli HSET user:anna age 200
    expect_like '*UNIQUE constraint failed: users.mail*' \
        cli HSET user:anna mail b@x
    expect_like '*"cents" is computed*' cli HSET order:us:1 cents 1
    expect 30 cli HGET user:anna age
}

test_a_view_and_what_is_not_writable_are_read_only() {
    make_app
    start_bookd "${app[@]}" "${users[@]}" writable no \
        --table adults prefix adult: key name
    expect_like 'READONLY *' cli HSET user:anna age 1
    expect_like 'READONLY *' cli DEL user:anna
    expect_like 'READONLY *' cli HSET adult:anna age 1
    expect 30 cli HGET user:anna age
}

test_walks_meet_the_keys_of_all_tables() {
    make_app
    start_bookd "${app[@]}" "${tables[@]}"
    local keys='adult:anna adult:bob order:emea:1 order:emea:2 order:us:1'
    keys+=' user:anna user:bob'
    equal "$keys" "$(scan_all COUNT 1 | sort | xargs)"
    equal "$keys" "$(cli KEYS '*' | sort | xargs)"
    expect 7 cli DBSIZE
    expect 'order:us:1' cli KEYS 'order:us:*'
}

test_each_table_has_its_freshness() {
    make_app
    start_bookd "${app[@]}" "${tables[@]}"
    expect OK cli CONFIG SET table 'users max-age 5s'
    expect_like '*users prefix user: key name max-age 5s*' cli CONFIG GET table
    expect_like '*set only at start*' cli CONFIG SET table 'users prefix x:'
    expect_like '*there is no table "nope"*' \
        cli CONFIG SET table 'nope max-age 1s'
}

# ---- what is asked of administrators ----

test_nothing_is_added_to_the_database_of_others() {
    local before
    make_app
    before=$(sql .schema)
    bookd_fails 1 "*without a table for plain keys*plain-writes none*" \
        --dir "$dir" --store sqlite:app.db "${users[@]}"
    start_bookd "${app[@]}" "${tables[@]}"
    cli SET plain value >/dev/null
    expect value cli GET plain
    stop_bookd
    equal "$before" "$(sql .schema)"
}

test_a_mapping_that_would_search_is_refused_with_the_index_to_create() {
    make_app
    bookd_fails 1 '*CREATE UNIQUE INDEX "bookd_key_users" ON "users"("age");*' \
        --dir "$dir" "${app[@]}" --table users prefix u: key age
    sql 'CREATE UNIQUE INDEX "bookd_key_users" ON "users"("age");'
    start_bookd "${app[@]}" --table users prefix u: key age
    expect anna cli HGET u:30 name
}

test_a_configuration_is_checked_without_the_database() {
    printf '%s\n' 'table users prefix u: key {name' 'table t prefix u: key a' \
        >"$dir/bad.conf"
    bookd_fails 1 '*bad.conf:1: table users: key "{name" lacks a closing*' \
        --check-config "$dir/bad.conf"
    printf '%s\n' 'table users prefix u: key name' 'table t prefix u: key a' \
        'table films max-age 1s' >"$dir/bad.conf"
    bookd_fails 1 '*prefix "u:" is that of table users too*films: it has no*' \
        --check-config "$dir/bad.conf"
    printf '%s\n' 'table "order lines" prefix o: key {region}:{no}' \
        >"$dir/good.conf"
    expect "$dir/good.conf: good" "$bookd" --check-config "$dir/good.conf"
}

test_plain_keys_can_be_installed() {
    make_app
    expect_like 'created the table bookd_plain*' "$bookd" \
        --install-plain-keys --dir "$dir" --store sqlite:app.db
    start_bookd --store sqlite:app.db --plain-writes through "${users[@]}"
    expect OK cli SET plain value
    restart_bookd --store sqlite:app.db --plain-writes through "${users[@]}"
    expect value cli GET plain
    expect 30 cli HGET user:anna age
}

# ---- changes by others ----

# The answer to WORD... becomes EXPECTED before long.
becomes() {
    local i
    for ((i = 0; i < 2000; i++)); do
        if [ "$(cli "${@:2}")" = "$1" ]; then
            return
        fi
    done
    fail "${*:2} does not become $1, but $(cli "${@:2}")"
}

test_the_change_feed_is_installed_used_and_removed() {
    local before
    make_app
    before=$(sql .schema)
    expect_like '*users: created the triggers*adults: is a view*' "$bookd" \
        --install-change-feed --dir "$dir" "${app[@]}" "${tables[@]}"
    start_bookd "${app[@]}" "${users[@]}" max-age 1h
    expect 30 cli HGET user:anna age
    expect '' cli GET user:dora
    sql "UPDATE users SET age = 31 WHERE name = 'anna';
        INSERT INTO users(name, age) VALUES('dora', 5)"
    becomes 31 HGET user:anna age
    becomes 5 HGET user:dora age
    sql "INSERT OR REPLACE INTO users VALUES('eva', 1, 'b@x')"
    becomes 0 EXISTS user:bob
    becomes 1 HGET user:eva age
    cli HSET user:anna age 50 >/dev/null
    expect 'user:anna 50' sql "SELECT 'user:' || name || ' ' || age FROM users
        WHERE age = 50 AND NOT EXISTS(SELECT 1 FROM bookd_changes
        WHERE key = 'user:anna' AND seq > (SELECT max(seq) FROM bookd_changes
        WHERE key = 'user:eva'))"
    stop_bookd
    expect_like 'dropped * triggers and the table bookd_changes*' "$bookd" \
        --remove-change-feed --dir "$dir" "${app[@]}"
    equal "$before" "$(sql .schema | grep -v sqlite_sequence)"
}

test_without_feed_a_foreign_commit_makes_all_copies_stale() {
    make_app
    start_bookd "${app[@]}" "${tables[@]}" --max-age 1h
    expect 30 cli HGET user:anna age
    expect 30 cli HGET adult:anna age
    sql "UPDATE users SET age = 31 WHERE name = 'anna'"
    becomes 31 HGET user:anna age
    becomes 31 HGET adult:anna age
}

test_a_stale_feed_is_reported_and_not_trusted() {
    make_app
    "$bookd" --install-change-feed --dir "$dir" "${app[@]}" "${users[@]}" \
        >/dev/null
    launch=(--table users prefix person: key name max-age 1h)
    while draw_port &&
        launch_bookd --port "$port" --dir "$dir" "${app[@]}" "${launch[@]}"; do
        wait_log '*change feed of table "users" is not what*'
        is_ready && break
    done
    expect 30 cli HGET person:anna age
    sql "UPDATE users SET age = 31 WHERE name = 'anna'"
    becomes 31 HGET person:anna age
}

test_an_own_file_has_the_feed_of_its_books() {
    start_bookd --max-age 1h
    cli HGET book:1 title >/dev/null
    sqlite3 "$dir/bookd.db" "UPDATE books SET title = 'x' WHERE id = 1"
    becomes x HGET book:1 title
    expect_like '*bookd_feed_books_update*' \
        sqlite3 "$dir/bookd.db" "SELECT name FROM sqlite_schema"
}

# ---- ten thousand books ----

test_a_real_table_by_its_text_key() {
    local xz=${BOOKD_SHARED:-}/data/goodbooks-10k/books.csv.xz
    if [ ! -r "$xz" ] || ! command -v xz >/dev/null; then
        return
    fi
    xz -dc "$xz" >"$dir/books.csv"
    sqlite3 "$dir/app.db" >/dev/null 2>&1 <<SQL
PRAGMA journal_mode = WAL;
.mode csv
.import $dir/books.csv imported
CREATE TABLE good(isbn TEXT PRIMARY KEY, title TEXT, authors TEXT);
INSERT OR IGNORE INTO good SELECT isbn, title, authors FROM imported
    WHERE isbn <> '';
SQL
    start_bookd "${app[@]}" --table good prefix isbn: key isbn
    local n isbn title
    n=$(sql 'SELECT count(*) FROM good')
    at_least 9000 "$n"
    expect "$n" cli DBSIZE
    equal "$n" "$(scan_all COUNT 777 | sort -u | wc -l)"
    while IFS='|' read -r isbn title; do
        expect "$title" cli HGET "isbn:$isbn" title
    done < <(sql "SELECT isbn, title FROM good WHERE title NOT LIKE '%|%'
        ORDER BY random() LIMIT 20")
}

run_tests "$@"
