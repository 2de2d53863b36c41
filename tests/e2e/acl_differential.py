#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random users, made by the same rules in a redis-server and in bookd: both
must take or refuse the rules in the same words, and answer ACL DRYRUN alike.

    acl_differential.py REDIS_PORT BOOKD_PORT [USERS] [SEED]
"""
import random
import socket
import sys

# Commands that both have, with arguments.
COMMANDS = [
    ("GET", "a"), ("GET", "ab"), ("GET", "b"), ("SET", "a", "1"),
    ("SET", "ab", "1", "GET"), ("SET", "b", "1", "EX", "10"), ("SETEX", "a", "1", "x"),
    ("MGET", "a", "b"), ("MSET", "a", "1", "b", "2"), ("DEL", "a", "ab"),
    ("EXISTS", "b"), ("RENAME", "a", "b"), ("COPY", "ab", "b"), ("INCR", "a"),
    ("APPEND", "b", "x"), ("STRLEN", "a"), ("GETDEL", "a"), ("TYPE", "ab"),
    ("EXPIRE", "a", "1"), ("TTL", "b"), ("KEYS", "*"), ("SCAN", "0"),
    ("HSET", "a", "f", "v"), ("HGET", "b", "f"), ("HGETALL", "ab"), ("HDEL", "a", "f"),
    ("PUBLISH", "a", "x"), ("SUBSCRIBE", "a", "b"), ("PSUBSCRIBE", "a*"),
    ("SSUBSCRIBE", "ab"), ("SPUBLISH", "b", "x"), ("UNSUBSCRIBE", "b"),
    ("PING",), ("ECHO", "x"), ("SELECT", "0"), ("SELECT", "1"), ("AUTH", "x"),
    ("CONFIG", "GET", "x"), ("CONFIG", "SET", "x", "y"), ("CLIENT", "ID"),
    ("CLIENT", "LIST"), ("ACL", "LIST"), ("ACL", "WHOAMI"), ("MULTI",),
    ("WATCH", "a", "b"), ("FLUSHALL",), ("INFO",), ("COMMAND",), ("COMMAND", "COUNT"),
    ("HELLO",), ("RESET",), ("NOSUCH",), ("GET",), ("TOUCH", "a"),
]
NAMES = sorted({c[0].lower() for c in COMMANDS} |
               {"|".join(c[:2]).lower() for c in COMMANDS
                if c[0] in ("CONFIG", "CLIENT", "ACL", "COMMAND")} - {"command|"})
CATEGORIES = ["all", "keyspace", "read", "write", "set", "hash", "string", "pubsub",
              "admin", "fast", "slow", "dangerous", "connection", "transaction",
              "blocking", "scripting", "Read", "nosuch"]
PATTERNS = ["a", "b", "a*", "?b", "[ab]", "*", "ab", ""]
WORDS = ["on", "off", "nopass", "resetpass", "reset", "allkeys", "resetkeys",
         "allchannels", "resetchannels", "allcommands", "nocommands", "clearselectors",
         "sanitize-payload", "skip-sanitize-payload", "ON", ">pw", "<pw", "#abc", "", "x"]


def selector_rule(rng):
    kind = rng.randrange(10)
    if kind < 3:
        return rng.choice("+-") + "@" + rng.choice(CATEGORIES)
    if kind < 6:
        name = rng.choice(NAMES)
        return rng.choice("+-") + (name.upper() if rng.random() < 0.1 else name)
    if kind == 6:
        return "+" + rng.choice(["select|0", "select|1", "get|a", "config|get|x", "acl|x"])
    if kind == 7:
        return rng.choice(["~", "%R~", "%W~", "%RW~", "%wr~", "%X~"]) + rng.choice(PATTERNS)
    if kind == 8:
        return "&" + rng.choice(PATTERNS)
    return rng.choice(["allkeys", "resetkeys", "allchannels", "resetchannels"])


def rule(rng):
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice(WORDS)
    if kind == 1:
        words = [selector_rule(rng) for _ in range(rng.randrange(4))]
        return "(" + " ".join(words) + ")"
    return selector_rule(rng)


class Connection:
    def __init__(self, port):
        self.file = socket.create_connection(
            ("127.0.0.1", port), timeout=60).makefile("rwb")

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2].decode() if rest != "-1" else None
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return kind.decode() + rest

    def send(self, *words):
        text = f"*{len(words)}\r\n" + "".join(
            f"${len(w.encode())}\r\n{w}\r\n" for w in words)
        self.file.write(text.encode())

    def call(self, *words):
        self.send(*words)
        self.file.flush()
        return self.reply()


def without_commands(user):
    """The fields of GETUSER whose text does not depend on the table."""
    fields = dict(zip(user[::2], user[1::2]))
    del fields["commands"]
    fields["keys"] = fields["keys"].replace("%RW~*", "~*")
    fields["selectors"] = [[word.replace("%RW~*", "~*") for word in s[2:]]
                           for s in fields["selectors"]]
    return fields


def main():
    ports = [int(port) for port in sys.argv[1:3]]
    users = int(sys.argv[3]) if len(sys.argv) > 3 else 150
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
    rng = random.Random(seed)
    both = [Connection(port) for port in ports]
    answers = refused = wrong = 0
    for name in [n for n in NAMES if "|" not in n and n != "nosuch"]:
        if [None] in (c.call("COMMAND", "INFO", name) for c in both):
            sys.exit(f"both need {name}")

    def compare(what, replies):
        nonlocal wrong
        if replies[0] != replies[1]:
            wrong += 1
            print(f"{what}\n  Redis: {replies[0]}\n  bookd: {replies[1]}")

    for i in range(users):
        name = f"u{i}"
        history = []
        for _ in range(rng.randrange(1, 4)):
            rules = [rule(rng) for _ in range(rng.randrange(6))]
            history.append(rules)
            replies = [c.call("ACL", "SETUSER", name, *rules) for c in both]
            compare(f"SETUSER {history}", replies)
            refused += replies[0] != "+OK"
        users_now = [c.call("ACL", "GETUSER", name) for c in both]
        if None in users_now:
            compare(f"GETUSER {history}", users_now)
            continue
        compare(f"GETUSER {history}", [without_commands(u) for u in users_now])
        # What bookd prints, it takes back: the copy is judged like the original.
        printed = [line for line in both[1].call("ACL", "LIST")
                   if line.startswith(f"user {name} ")][0]
        compare(f"printed {printed}",
                ["+OK", both[1].call("ACL", "SETUSER", name + "c", "reset",
                                     *printed.split(" ")[2:])])
        for connection in both:
            for command in COMMANDS:
                connection.send("ACL", "DRYRUN", name, *command)
        for command in COMMANDS:
            both[1].send("ACL", "DRYRUN", name + "c", *command)
        for connection in both:
            connection.file.flush()
        replies = [[c.reply() for _ in COMMANDS] for c in both]
        copies = [both[1].reply() for _ in COMMANDS]
        for command, theirs, ours, copy in zip(COMMANDS, *replies, copies):
            compare(f"{command} {history}", [theirs, ours])
            compare(f"{command} {printed}", [ours, copy])
            answers += 1
    print(f"seed {seed}: {users} users, {refused} changes refused, {answers} commands "
          f"judged, {wrong} differences")
    sys.exit(wrong > 0)


main()
