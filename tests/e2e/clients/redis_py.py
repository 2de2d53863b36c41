# SPDX-License-Identifier: MIT
"""redis-py against a bookd on PORT; see lib.sh for what is printed."""
import os
import subprocess
import sys
import threading
import time

import redis

PORT = int(os.environ["PORT"])
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def connect(**options):
    return redis.Redis(**{"host": "127.0.0.1", "port": PORT,
                          "socket_timeout": 20, **options})


def same(expected, actual):
    assert expected == actual, f"expected {expected!r}, got {actual!r}"


def wait_until(true):
    """For what another thread, or another program, causes."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it never came"


@check
def hello(r):
    assert r.ping()
    same("7.0.15", r.info("server")["redis_version"])
    one = connect(single_connection_client=True, client_name="py")
    same("py", one.client_getname())


@check
def strings(r):
    assert r.set("s", "one")
    same(b"one", r.get("s"))
    same(None, r.get("s:none"))
    same(None, r.set("s", "two", nx=True))
    same(b"one", r.set("s", "two", get=True))
    same([b"two", None], r.mget("s", "s:none"))
    same(True, r.mset({"s:1": "a", "s:2": "b"}))
    same(5, r.append("s", "-u"))
    same(b"wo", r.getrange("s", 1, 2))
    same(2, r.delete("s:1", "s:2"))


@check
def counters(r):
    same(5, r.incrby("n", 5))
    same(4, r.decr("n"))
    same(4.5, r.incrbyfloat("n", 0.5))


@check
def binary(r):
    value = bytes(range(256))
    r.set(b"bin\x00\xff", value)
    same(value, r.get(b"bin\x00\xff"))


@check
def unicode(r):
    text = connect(decode_responses=True)
    text.set("ключ", "Gödel, Escher, Bach — 📚")
    same("Gödel, Escher, Bach — 📚", text.get("ключ"))


@check
def large(r):
    value = b"x" * (8 << 20)
    r.set("large", value)
    assert r.get("large") == value
    r.delete("large")


@check
def hashes(r):
    r.delete("h")
    same(2, r.hset("h", mapping={"a": 1, "b": "two"}))
    same({b"a": b"1", b"b": b"two"}, r.hgetall("h"))
    same([b"1", None], r.hmget("h", "a", "c"))
    same(3, r.hincrby("h", "a", 2))
    same(1, r.hdel("h", "b"))
    same(b"hash", r.type("h"))
    same({b"a": b"3"}, dict(r.hscan_iter("h")))


@check
def records(r):
    same(b"1859", r.hget("book:3", "year"))
    same({b"id", b"title", b"author", b"year"}, set(r.hgetall("book:3")))
    assert b'"title":"A Tale of Two Cities"' in r.get("book:3")


@check
def expiry(r):
    r.set("e", 1, ex=100)
    assert 98 <= r.ttl("e") <= 100
    same(True, r.persist("e"))
    same(-1, r.ttl("e"))
    r.set("e", 1, px=5)
    wait_until(lambda: r.get("e") is None)


@check
def pipeline(r):
    with r.pipeline(transaction=False) as p:
        for i in range(1000):
            p.set(f"p:{i}", i)
            p.get(f"p:{i}")
        replies = p.execute()
    same([b"%d" % i for i in range(1000)], replies[1::2])


@check
def transaction(r):
    with r.pipeline() as p:
        p.set("t", 1).incr("t").hget("book:1", "year").get("t")
        same([True, 2, b"1979", b"2"], p.execute())
    with r.pipeline() as p:
        p.watch("t")
        connect().set("t", 9)
        p.multi()
        p.set("t", 3)
        try:
            p.execute()
        except redis.WatchError:
            pass
        else:
            raise AssertionError("no WatchError")
    same(12, r.transaction(lambda p: (p.multi(), p.incrby("t", 3)), "t")[0])


@check
def scan(r):
    for i in range(500):
        r.set(f"scan:{i}", i)
    same(500, len(set(r.scan_iter("scan:*", count=50))))
    same(10, len(list(r.scan_iter("book:*", _type="hash"))))


@check
def pubsub(r):
    heard = []
    p = r.pubsub()
    p.subscribe(**{"news": lambda m: heard.append(m["data"])})
    p.psubscribe(**{"ne*": lambda m: heard.append(m["channel"])})
    thread = p.run_in_thread(sleep_time=0.01, daemon=True)
    wait_until(lambda: r.publish("news", "hi") == 2)
    wait_until(lambda: {b"hi", b"news"} <= set(heard))
    thread.stop()
    thread.join()


@check
def notifications(r):
    p = r.pubsub()
    p.subscribe("__keyspace@0__:noted")
    p.get_message(timeout=20)
    r.set("noted", 1)
    same(b"set", p.get_message(timeout=20)["data"])
    p.close()


@check
def errors(r):
    r.set("text", "x")
    for call, words in ((lambda: r.incr("text"), "not an integer"),
                        (lambda: r.hget("text", "f"), "WRONGTYPE"),
                        (lambda: r.execute_command("LPUSH", "l", 1),
                         "unknown command")):
        try:
            call()
        except redis.ResponseError as error:
            assert words in str(error), error
        else:
            raise AssertionError("no error")
    assert r.ping()


@check
def databases(r):
    two = connect(db=2)
    two.set("only", "here")
    same(None, r.get("only"))
    same(b"here", two.get("only"))
    same(True, two.move("only", 3))
    same(b"here", connect(db=3).get("only"))


@check
def auth(r):
    r.acl_setuser("app", enabled=True, passwords=["+secret"], keys=["app:*"],
                  categories=["+@read", "+@connection"], commands=["+set"])
    app = connect(username="app", password="secret")
    assert app.set("app:1", 1)
    try:
        app.set("other", 1)
    except redis.exceptions.NoPermissionError:
        pass
    else:
        raise AssertionError("was allowed")
    try:
        connect(username="app", password="wrong").ping()
    except redis.RedisError as error:  # Which kind depends on its version.
        assert "WRONGPASS" in str(error), error
    else:
        raise AssertionError("was let in")


@check
def tracking(r):
    invalid = connect()
    channel = invalid.pubsub()
    channel.subscribe("__redis__:invalidate")
    channel.get_message(timeout=20)
    listener = [c for c in r.client_list() if c["sub"] == "1"][-1]["id"]
    one = connect(single_connection_client=True)
    one.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", listener)
    one.get("near")
    r.set("near", 1)
    heard = []
    wait_until(lambda: heard.append(channel.get_message(timeout=1)) or
               any(m and m["data"] == [b"near"] for m in heard))


@check
def foreign(r):
    r.hget("book:5", "year")
    subprocess.run(["sqlite3", os.environ["DATABASE"],
                    "PRAGMA busy_timeout = 10000; "
                    "UPDATE books SET year = 2001 WHERE id = 5"], check=True,
                   stdout=subprocess.DEVNULL)
    wait_until(lambda: r.hget("book:5", "year") == b"2001")


class Skipped(Exception):
    pass


@check
def tls(r):
    if not os.environ["TLS_PORT"]:
        raise Skipped("there is no openssl")
    secret = connect(port=int(os.environ["TLS_PORT"]), ssl=True,
                     ssl_ca_certs=os.environ["CA_FILE"])
    value = b"x" * (1 << 20)
    secret.set("tls", value)
    assert r.get("tls") == value


@check
def reconnect(r):
    one = connect()
    r.client_kill_filter(_id=one.client_id())
    assert one.ping()


@check
def threads(r):
    def work():
        for _ in range(200):
            r.incr("shared")
    r.delete("shared")
    workers = [threading.Thread(target=work) for _ in range(8)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    same(b"1600", r.get("shared"))


@check
def server(r):
    assert r.dbsize() > 10
    same("268435456", r.config_get("maxmemory")["maxmemory"])
    assert r.memory_usage("text") > 0
    assert r.slowlog_len() >= 0
    assert r.command_count() > 100
    assert any(c["cmd"] for c in r.client_list())
    assert r.info("commandstats")["cmdstat_get"]["calls"] > 0
    assert r.time()[0] > 1e9
    same("default", r.acl_whoami())
    same("string", r.object("encoding", "text").decode()
         .replace("embstr", "string"))


def main():
    failed = False
    for function in CHECKS:
        try:
            function(connect())
            print("ok", function.__name__, flush=True)
        except Skipped as why:
            print("skip", function.__name__, why, flush=True)
        except Exception as error:  # Whatever it says is the verdict.
            failed = True
            print("FAILED", function.__name__, type(error).__name__,
                  " ".join(str(error).split()), flush=True)
    sys.exit(failed)


main()
