#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same random commands for a redis-server and for bookd, replies compared.

    differential.py REDIS_PORT BOOKD_PORT [--commands N] [--seed S] [--resp 2|3]

Strings, hashes, expiry, keys and transactions, over a handful of plain keys so that
commands meet each other's work.  Replies must be equal byte for byte, but for
times that are left (a few milliseconds pass between the two) and for what is
listed in DIFFERENT, with its reason.  A failure prints the commands that led to
it, to be repeated with the seed.
"""
import argparse
import ast
import os
import random
import re
import socket
import sys


def differences():
    """What server/command/differences.def says of replies: (command, how the
    reply of Redis begins, how ours does)."""
    root = os.path.dirname(os.path.abspath(__file__)) + "/../.."
    found = []
    with open(root + "/server/command/differences.def") as table:
        for line in table:
            if line.startswith("DIFFERENCE("):
                # Six strings of C are those of Python, too.
                what, _, _, _, theirs, ours = ast.literal_eval(
                    line[len("DIFFERENCE"):])
                if theirs or ours:
                    found += [(word.encode(), theirs.encode(), ours.encode())
                              for word in re.findall(r"\b[A-Z]{2,}\b", what)]
    return found


DIFFERENT = differences()

TIMES = {b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME"}
PAST = {b"1", b"1700000000", b"1700000000000"}
FAR = 4102444800  # 2100-01-01, so that no test sees it pass.


class Connection:
    """Just enough of a client: replies as the bytes they came in."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb", 1 << 16)

    def send(self, commands):
        out = []
        for words in commands:
            out.append(b"*%d\r\n" % len(words))
            out.extend(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        self.socket.sendall(b"".join(out))

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the connection was closed")
        kind, rest = line[:1], line[1:-2]
        if kind in b"$=" and rest != b"-1":
            return line + self.file.read(int(rest) + 2)
        if kind in b"*~>" and rest != b"-1":
            return line + b"".join(self.reply() for _ in range(int(rest)))
        if kind == b"%":
            return line + b"".join(self.reply() for _ in range(2 * int(rest)))
        return line

    def call(self, *words):
        self.send([[w.encode() for w in words]])
        return self.reply()


class Stream:
    """Random commands; the same for the same seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.queued = False
        self.watches = False  # A key that is not there is changed by no flush of Redis.

    def pick(self, *choices):
        return self.random.choice(choices)

    def key(self):
        return b"key:%d" % self.random.randrange(8)

    def integer(self):
        return self.pick(b"0", b"1", b"-1", b"7", b"42", b"-300", b"007", b"+1",
                         b"", b" 1", b"1 ", b"x", b"3.0", b"1e3",
                         b"9223372036854775807", b"-9223372036854775808",
                         b"9223372036854775808", b"99999999999999999999")

    def real(self):
        return self.pick(b"0", b"1.5", b"-0.1", b"3.0e2", b"1e-7", b"5.0e-324",
                         b"1e300", b"inf", b"-inf", b"nan", b"x", b"", b" 1",
                         b"0x10", b"10.10", b"-1.5", b"1e5000", b"2")

    def value(self):
        return self.pick(self.integer(), self.real(), b"value", b"", b"\x00\xff\r\n",
                         b"x" * 50, b"y" * 20000, b"10", b"20", b"3")

    def index(self):
        return self.pick(b"0", b"1", b"-1", b"3", b"-3", b"10", b"-10", b"100",
                         b"-100", b"2147483648", b"-9223372036854775808",
                         b"9223372036854775807", b"x")

    def later(self, unit):
        # No two alike, for GT and LT: the servers' clocks differ a little.
        return b"%d" % (self.random.randrange(1000, 10**8) * unit)

    def seconds(self):
        return self.pick(self.later(1), self.later(1), self.later(1), b"0", b"-1", b"x",
                         b"9223372036854775807", b"-9223372036854775808",
                         b"9223372036854775")

    def unix_time(self):
        return self.pick(b"%d" % FAR, b"%d" % (FAR + 1000), b"1", b"0", b"-1",
                         b"1700000000", b"x", b"9223372036854775807")

    def unix_time_ms(self):
        return self.pick(b"%d" % (FAR * 1000), b"%d" % (FAR * 1000 + 1), b"1",
                         b"0", b"-1", b"1700000000000", b"x",
                         b"9223372036854775807")

    def expiry(self):
        return self.pick([b"EX", self.seconds()], [b"PX", self.pick(self.later(1000), b"0", b"x")],
                         [b"exat", self.unix_time()], [b"PxAt", self.unix_time_ms()])

    def options(self, *choices):
        words = []
        for _ in range(self.pick(0, 0, 1, 1, 2, 3)):
            choice = self.pick(*choices)
            words += choice if isinstance(choice, list) else [choice]
        return words

    def pairs(self):
        words = []
        for _ in range(self.pick(1, 2, 3)):
            words += [self.key(), self.value()]
        return words if self.random.random() < 0.95 else words[:-1]

    def keys(self):
        return [self.key() for _ in range(self.pick(1, 1, 2, 3))]

    def hash_key(self):
        # Some keys are hashes more often, so that these can grow.
        return self.pick(self.key(), b"key:5", b"key:6", b"key:7")

    def field(self):
        return self.pick(b"a", b"b", b"c", b"number", b"10", b"", b"\x00\xff\r\n",
                         b"f" * 200, b"field:%d" % self.random.randrange(30))

    def fields(self):
        return [self.field() for _ in range(self.pick(1, 1, 2, 3, 12))]

    def field_pairs(self):
        words = []
        for _ in range(self.pick(1, 1, 2, 3, 12)):
            words += [self.field(), self.value()]
        return words if self.random.random() < 0.95 else words[:-1]

    def of_hash(self):
        k, f = self.hash_key(), self.field()
        return self.pick(
            lambda: [b"HSET", k] + self.field_pairs(),
            lambda: [b"HSET", k] + self.field_pairs(),
            lambda: [b"HMSET", k] + self.field_pairs(),
            lambda: [b"HSETNX", k, f, self.value()],
            lambda: [b"HGET", k, f],
            lambda: [b"HMGET", k] + self.fields(),
            lambda: [b"HGETALL", k],
            lambda: [b"HKEYS", k],
            lambda: [b"HVALS", k],
            lambda: [b"HLEN", k],
            lambda: [b"HSTRLEN", k, f],
            lambda: [b"HEXISTS", k, f],
            lambda: [b"HDEL", k] + self.fields(),
            lambda: [b"HINCRBY", k, self.pick(b"number", f), self.integer()],
            lambda: [b"HINCRBYFLOAT", k, self.pick(b"number", f), self.real()],
            # Redis is told to keep hashes as lists, so a page is all there is,
            # and a count that is large enough draws all in order.
            lambda: [b"HSCAN", k, self.pick(b"0", b"0", b"0", b"x", b"-1")] + self.options(
                [b"MATCH", self.pick(b"*", b"field:*", b"[abc]", b"nosuch")],
                [b"COUNT", self.pick(b"1", b"10", b"0", b"x")], b"nosuch"),
            lambda: [b"HRANDFIELD", k, self.pick(b"0", b"100", b"x",
                                                 b"-9223372036854775808")],
            lambda: [b"HRANDFIELD", k, self.pick(b"100", b"x", b"9223372036854775807"),
                     self.pick(b"WITHVALUES", b"withvalues", b"nosuch")],
        )()

    def database(self):
        return self.pick(b"0", b"1", b"2", b"2", b"16", b"-1", b"x", b"99999999999")

    def databases(self):
        """About databases, and the keys of the one that is selected."""
        k = self.key()
        return self.pick(
            lambda: [b"SELECT", self.database()],
            lambda: [b"MOVE", k, self.database()],
            lambda: [b"MOVE", k, self.database()],
            lambda: [b"COPY", k, self.key(), b"DB", self.database()] + self.options(b"REPLACE"),
            lambda: [b"OBJECT", self.pick(b"ENCODING", b"REFCOUNT", b"FREQ"), k],
            lambda: [b"WAIT", self.pick(b"0", b"-1", b"x"), self.pick(b"0", b"-1", b"x")],
            lambda: [self.pick(b"FLUSHDB", b"GET"), k],
        )()

    def whole(self):
        """What no transaction may have."""
        return self.pick(
            lambda: [b"DBSIZE"],
            lambda: [b"RANDOMKEY"],
            lambda: [b"SWAPDB", self.database(), self.database()],
            lambda: [b"FLUSHDB"] + self.options(b"ASYNC"),
            lambda: [b"KEYS", b"key:[0-%d]" % self.random.randrange(9)],
        )()

    def plain(self):
        """One command outside MULTI, or inside it."""
        k, r = self.key(), self.random.random()
        if r > 0.65:
            return self.of_hash()
        if r > 0.97:
            return self.databases()
        if r < 0.02:
            return self.pick([b"nosuch", k], [b"get"], [b"set", k], [b"PING"],
                             [b"PING", k], [b"ECHO", k], [b"SELECT", b"0"],
                             [b"incr", k, k], [b"getex"], [b"copy", k])
        return self.pick(
            lambda: [b"GET", k],
            lambda: [b"MGET"] + self.keys(),
            lambda: [b"STRLEN", k],
            lambda: [b"GETRANGE", k, self.index(), self.index()],
            lambda: [b"SUBSTR", k, self.index(), self.index()],
            lambda: [b"SET", k, self.value()],
            lambda: [b"SET", k, self.value()] + self.options(
                b"NX", b"XX", b"GET", b"KEEPTTL", b"nosuch", self.expiry()),
            lambda: [b"SETNX", k, self.value()],
            lambda: [b"SETEX", k, self.seconds(), self.value()],
            lambda: [b"PSETEX", k, self.pick(self.later(1000), b"0", b"x"), self.value()],
            lambda: [b"GETSET", k, self.value()],
            lambda: [b"GETDEL", k],
            lambda: [b"GETEX", k] + self.options(b"PERSIST", b"nosuch", self.expiry()),
            lambda: [b"APPEND", k, self.value()],
            lambda: [b"SETRANGE", k, self.pick(b"0", b"1", b"5", b"100", b"-1", b"x",
                                               b"1048576", b"1048570",
                                               b"9223372036854775807"),
                     self.value()],
            lambda: [b"INCR", k],
            lambda: [b"DECR", k],
            lambda: [b"INCRBY", k, self.integer()],
            lambda: [b"DECRBY", k, self.integer()],
            lambda: [b"INCRBYFLOAT", k, self.real()],
            lambda: [b"MSET"] + self.pairs(),
            lambda: [b"MSETNX"] + self.pairs(),
            lambda: [b"DEL"] + self.keys(),
            lambda: [b"UNLINK"] + self.keys(),
            lambda: [b"EXISTS"] + self.keys(),
            lambda: [b"TOUCH"] + self.keys(),
            lambda: [b"TYPE", k],
            lambda: [b"RENAME", k, self.key()],
            lambda: [b"RENAMENX", k, self.key()],
            lambda: [b"COPY", k, self.key()] + self.options(b"REPLACE", [b"DB", b"0"], b"x"),
            lambda: [b"EXPIRE", k, self.seconds()] + self.conditions(),
            lambda: [b"PEXPIRE", k, self.pick(self.later(1000), b"0", b"-5", b"x")] + self.conditions(),
            lambda: [b"EXPIREAT", k, self.unix_time()] + self.conditions(),
            lambda: [b"PEXPIREAT", k, self.unix_time_ms()] + self.conditions(),
            lambda: [b"PERSIST", k],
            lambda: [b"TTL", k],
            lambda: [b"PTTL", k],
            lambda: [b"EXPIRETIME", k],
            lambda: [b"PEXPIRETIME", k],
        )()

    def conditions(self):
        return self.options(b"NX", b"XX", b"gt", b"LT", b"nosuch")

    def next(self):
        was_queued = self.queued
        words = self.any()
        # WATCH is refused behind MULTI, EXEC and DISCARD without it.
        if words[0] in (b"EXEC", b"DISCARD") and was_queued:
            self.watches = False
        elif words[0] in (b"WATCH", b"UNWATCH") and not was_queued:
            self.watches = words[0] == b"WATCH"
        if self.watches and words[0].upper() == b"SET" and PAST & set(words[3:]):
            return words[:3]  # Redis counts what is over at once as a change.
        return words

    def any(self):
        r = self.random.random()
        if self.queued:
            if r < 0.15:
                self.queued = False
                return [b"EXEC"]
            if r < 0.17:
                self.queued = False
                return [b"DISCARD"]
            if r < 0.19:
                return self.pick([b"MULTI"], [b"WATCH", self.key()], [b"UNWATCH"])
            return self.plain()
        if r > 0.99 and not self.watches:
            return self.whole()
        if r < 0.03:
            self.queued = True
            return [b"MULTI"]
        if r < 0.06:
            return self.pick([b"EXEC"], [b"DISCARD"], [b"UNWATCH"],
                             [b"WATCH"] + self.keys(), [b"WATCH"] + self.keys())
        return self.plain()


def numbers(reply):
    """The reply with its integers apart: ([pieces], [integers])."""
    pieces, integers = [], []
    for line in reply.split(b"\r\n"):
        if line[:1] == b":":
            pieces.append(b":")
            integers.append(int(line[1:]))
        else:
            pieces.append(line)
    return pieces, integers


def kept(reply):
    """The reply without how small a string or a hash is kept."""
    reply = re.sub(rb"\$\d+\r\n(int|embstr|raw)\r\n", b"string", reply)
    reply = re.sub(rb"\$\d+\r\n(listpack|hashtable)\r\n", b"hash", reply)
    return reply.replace(b":2147483647\r\n", b":1\r\n")


def same(commands, theirs, ours):
    if theirs == ours:
        return True
    names = {words[0].upper() for words in commands}
    if names & TIMES:
        (a, m), (b, n) = numbers(theirs), numbers(ours)
        if a == b and all(abs(x - y) <= 2000 for x, y in zip(m, n)):
            return True
    if b"OBJECT" in names:  # Redis remembers how a value came to be.
        theirs, ours = kept(theirs), kept(ours)
        if theirs == ours:
            return True
    if b"DBSIZE" in names:  # Redis counts what has expired until it is gone.
        return int(theirs[1:]) >= int(ours[1:])
    if b"RANDOMKEY" in names:  # Any key will do, but not none.
        return theirs[:2] == ours[:2] == b"$5"
    if b"KEYS" in names:  # In any order.
        return sorted(theirs.split(b"\r\n")) == sorted(ours.split(b"\r\n"))
    return any(names & {name} and theirs.startswith(a) and ours.startswith(b)
               for name, a, b in DIFFERENT)


def show(words):
    return b" ".join(repr(w[:60])[1:].encode() for w in words).decode()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("redis", type=int)
    parser.add_argument("bookd", type=int)
    parser.add_argument("--commands", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resp", choices=("2", "3"), default="2")
    parser.add_argument("--failures", type=int, default=1)
    args = parser.parse_args()

    redis, bookd = Connection(args.redis), Connection(args.bookd)
    for connection in (redis, bookd):
        connection.call("HELLO", args.resp)
        connection.call("FLUSHALL")
        connection.call("CONFIG", "SET", "proto-max-bulk-len", "1048576")
    # So that they answer fields in the order in which they were made.
    redis.call("CONFIG", "SET", "hash-max-listpack-value", "1048576")
    redis.call("CONFIG", "SET", "hash-max-listpack-entries", "100000")
    stream = Stream(args.seed)
    block = []  # Since the MULTI that is open, for what EXEC answers.
    history, failures, done = [], 0, 0
    while done < args.commands:
        batch = [stream.next() for _ in range(stream.pick(1, 1, 2, 10, 50))]
        redis.send(batch)
        bookd.send(batch)
        for words in batch:
            theirs, ours = redis.reply(), bookd.reply()
            history = history[-30:] + [words]
            block = block + [words] if block or words[0] == b"MULTI" else []
            if not same([words] + block, theirs, ours):
                failures += 1
                print("--- differs, seed", args.seed, "resp", args.resp)
                for past in history:
                    print("   ", show(past))
                print("  redis:", theirs[:300])
                print("  bookd:", ours[:300])
                if failures >= args.failures:
                    sys.exit(1)
            if words[0] in (b"EXEC", b"DISCARD"):
                block = []
        done += len(batch)
    print(f"{done} commands, {failures} differences")
    sys.exit(failures > 0)


main()
