"""redis-py against the server: `redis_py.py PORT PROTOCOL`. Ends with a failure at the first wrong answer."""

import sys
import threading
import time
import uuid

import redis

port, protocol = int(sys.argv[1]), int(sys.argv[2])


def connect(**options):
    return redis.Redis(port=port, protocol=protocol, socket_timeout=20, **options)


def check(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def raises(kind, text, call):
    try:
        call()
    except kind as error:
        assert text in str(error), f"{error!r} does not say {text!r}"
        return
    raise AssertionError(f"no {kind.__name__}")


r = connect(decode_responses=True, client_name="checks")
binary = connect()
r.flushall()

# Strings and their options.
check(r.ping(), True)
check(r.set("a", 1), True)
check(r.get("a"), "1")
check(r.set("a", 2, nx=True), None)
check(r.set("b", 2, xx=True), None)
check(r.set("a", 3, get=True), "1")
check(r.set("t", "x", ex=100), True)
check(99 <= r.ttl("t") <= 100, True)
check(r.set("t", "y", keepttl=True), True)
check(r.pttl("t") > 90_000, True)
check(r.getex("t", persist=True), "y")
check(r.ttl("t"), -1)
check(r.incr("n"), 1)
check(r.incrby("n", 41), 42)
check(r.incrbyfloat("f", 0.1), 0.1)
check(r.append("s", "hello"), 5)
check(r.getrange("s", 1, 3), "ell")
check(r.setrange("s", 5, " you"), 9)
check(r.mset({"k1": "v1", "k2": "v2"}), True)
check(r.mget("k1", "none", "k2"), ["v1", None, "v2"])
check(r.getdel("k1"), "v1")
raises(redis.ResponseError, "value is not an integer or out of range", lambda: r.incr("s"))
everything = bytes(range(256)) * 40
check(binary.set(everything[:300], everything), True)
check(binary.get(everything[:300]), everything)
check(binary.get(b"missing"), None)

# Keys, expiry, databases.
check(r.exists("a", "a", "none"), 2)
check(r.expire("a", 100, gt=True), False)
check(r.expire("a", 100), True)
check(r.expireat("a", 4102444800), True)
check(r.expiretime("a"), 4102444800)
check(r.persist("a"), True)
check(r.type("a"), "string")
check(r.rename("k2", "k3"), True)
check(r.copy("k3", "k4"), True)
check(r.copy("k3", "k5", destination_db=3), True)
check(connect(db=3, decode_responses=True).get("k5"), "v2")
check(r.object("encoding", "n"), "int")
check(r.unlink("k3", "k4"), 2)
r.psetex("gone", 20, "x")
time.sleep(0.2)
check(r.get("gone"), None)

# Pipelines: transactional by default, plain on request, with errors in the middle.
with r.pipeline() as pipe:
    pipe.set("p", 1).incr("p").get("p").mget("p", "none")
    check(pipe.execute(), [True, 2, "2", ["2", None]])
with r.pipeline(transaction=False) as pipe:
    for i in range(1_000):
        pipe.set(f"pipe:{i}", i)
    check(all(pipe.execute()), True)
with r.pipeline() as pipe:
    pipe.set("text", "abc").incr("text").set("after", 1)
    results = pipe.execute(raise_on_error=False)
    check(isinstance(results[1], redis.ResponseError), True)
    check(results[2], True)
with r.pipeline() as pipe:
    pipe.watch("text")
    connect().set("text", "changed")
    pipe.multi()
    pipe.set("never", 1)
    raises(redis.WatchError, "Watched variable changed", pipe.execute)
check(r.get("never"), None)


def add_one(pipe):
    value = int(pipe.get("sum") or 0)
    pipe.multi()
    pipe.set("sum", value + 1)


def add_many():
    client = connect(decode_responses=True)
    for _ in range(50):
        client.transaction(add_one, "sum")


threads = [threading.Thread(target=add_many) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
check(r.get("sum"), "200")

# Iteration.
check(len(set(r.scan_iter(match="pipe:*", count=37))), 1_000)
check(set(r.scan_iter(match="pipe:99*", _type="string")), {"pipe:99", *(f"pipe:99{i}" for i in range(10))})
check(len(r.keys("pipe:*")), 1_000)

# A lock by hand (SET NX EX, WATCH, GET, DEL): what redis-py's own Lock does without scripts.
held, counter = uuid.uuid4().hex, {"inside": 0, "entered": 0}


def locked(rounds):
    client, token = connect(decode_responses=True), uuid.uuid4().hex
    for _ in range(rounds):
        while not client.set("lock", token, nx=True, ex=10):
            time.sleep(0.001)
        counter["inside"] += 1
        assert counter["inside"] == 1, "two holders of one lock"
        counter["entered"] += 1
        counter["inside"] -= 1

        def release(pipe):
            mine = pipe.get("lock") == token
            pipe.multi()
            if mine:
                pipe.delete("lock")

        client.transaction(release, "lock")


threads = [threading.Thread(target=locked, args=(25,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
check(counter["entered"], 100)

# The server about itself.
check(r.client_getname(), "checks")
check(r.client_setname("renamed"), True)
check(any(client["name"] == "renamed" for client in r.client_list()), True)
check(r.client_info()["resp"], str(protocol))
check(r.client_id() > 0, True)
check(r.config_set("maxmemory-policy", "allkeys-lru"), True)
check(r.config_get("maxmemory-policy"), {"maxmemory-policy": "allkeys-lru"})
information = r.info()
check(information["redis_version"].split(".")[0] in ("7", "9"), True)
check(information["db0"]["keys"] > 1_000, True)
check("cmdstat_set" in r.info("commandstats"), True)
check(r.dbsize(), information["db0"]["keys"])
check(r.memory_usage("a") > 0, True)
check(r.command_count() > 60, True)
check("get" in r.command(), True)
check(r.command_getkeys("MSET", "x", 1, "y", 2), ["x", "y"])
check(len(r.time()), 2)
check(isinstance(r.slowlog_get(), list), True)
check(r.slowlog_reset(), True)
raises(redis.ResponseError, "unknown command", lambda: r.execute_command("NOSUCHCOMMAND", "x"))
raises(redis.ResponseError, "wrong number of arguments", lambda: r.execute_command("GET"))
check(r.swapdb(0, 1), True)
check(r.dbsize(), 0)
check(r.swapdb(0, 1), True)
check(r.flushall(), True)
check(r.dbsize(), 0)
print("all checks passed")
