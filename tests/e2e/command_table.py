#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""COMMAND INFO and COMMAND DOCS of a redis-server and of bookd, compared for the
commands that both have.

    command_table.py REDIS_PORT BOOKD_PORT

Arity, flags, places of keys, ACL categories, key specifications, group and
version must be equal, but for what DIFFERENT lists with its reason.
"""
import socket
import sys

FIELDS = ("name", "arity", "flags", "first key", "last key", "step",
          "categories", "tips", "key specifications")

# (command, field): why it is different.
DIFFERENT = {
    ("dbsize", "flags"): "walks the store, which a transaction cannot",
    ("randomkey", "flags"): "walks the store, which a transaction cannot",
    ("swapdb", "flags"): "what is behind it in a transaction would mean other keys",
    ("keys", "flags"): "walks the store, which a transaction cannot",
    ("scan", "flags"): "walks the store, which a transaction cannot",
}


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
        return int(rest) if kind == b":" else rest

    def call(self, line):
        self.file.write(line.encode() + b"\r\n")
        self.file.flush()
        return self.reply()


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def simple(value):
    """Without an order where there is none, and without notes."""
    if isinstance(value, list) and value and value[0] in ("flags", "notes"):
        spec = pairs(value)
        return sorted(spec["flags"]), spec["begin_search"], spec["find_keys"]
    if isinstance(value, list):
        return sorted(map(simple, value), key=str)
    return value


def table(connection):
    rows = {}

    def add(info):
        rows[info[0]] = {field: simple(value) for field, value in zip(FIELDS, info)
                         if field not in ("name", "tips")}
        for child in info[9]:
            add(child)

    def add_docs(docs):
        for name, described in pairs(docs).items():
            described = pairs(described)
            rows[name]["group"] = described["group"]
            rows[name]["since"] = described["since"]
            add_docs(described.get("subcommands", []))

    for info in connection.call("COMMAND"):
        add(info)
    add_docs(connection.call("COMMAND DOCS"))
    return rows


def main():
    theirs, ours = (table(Connection(int(port))) for port in sys.argv[1:3])
    shared = sorted(set(theirs) & set(ours))
    unused = set(DIFFERENT)
    wrong = 0
    for name in shared:
        for field, expected in theirs[name].items():
            if ours[name][field] == expected:
                continue
            if (name, field) in DIFFERENT:
                unused.discard((name, field))
                continue
            print(f"{name}: {field}: Redis has {expected}, bookd {ours[name][field]}")
            wrong += 1
    for name, field in sorted(unused):
        print(f"{name}: {field}: is not different any more")
    print(f"{len(shared)} commands, {wrong} differences")
    sys.exit(wrong > 0 or len(unused) > 0 or len(shared) < 80)


main()
