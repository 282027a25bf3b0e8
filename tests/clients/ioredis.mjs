// ioredis against the server: `ioredis.mjs PORT`, with IOREDIS_DIRECTORY naming where it is installed.
// Ends with a failure at the first wrong answer.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.IOREDIS_DIRECTORY}/`);
const Redis = require("ioredis");
const port = Number(process.argv[2]);
const connect = (options = {}) => new Redis({ port, maxRetriesPerRequest: 1, ...options });

const redis = connect({ connectionName: "checks" });
await redis.flushall();

// Strings and keys.
assert.equal(await redis.ping(), "PONG");
assert.equal(await redis.set("a", 1), "OK");
assert.equal(await redis.get("a"), "1");
assert.equal(await redis.set("a", 2, "EX", 100, "NX"), null);
assert.equal(await redis.set("a", 2, "EX", 100, "GET"), "1");
assert.ok((await redis.ttl("a")) > 90);
assert.equal(await redis.incr("n"), 1);
assert.equal(await redis.incrbyfloat("n", 0.5), "1.5");
assert.equal(await redis.mset({ x: 1, y: 2 }), "OK");
assert.deepEqual(await redis.mget("x", "none", "y"), ["1", null, "2"]);
assert.equal(await redis.del("x", "y"), 2);
const bytes = Buffer.from(Array.from({ length: 4096 }, (_, i) => i % 256));
assert.equal(await redis.set("bytes", bytes), "OK");
assert.ok(bytes.equals(await redis.getBuffer("bytes")));
await assert.rejects(redis.incr("bytes"), /value is not an integer or out of range/);
await assert.rejects(redis.call("NOSUCHCOMMAND"), /unknown command/);

// Pipelines and transactions.
const pipeline = redis.pipeline();
for (let i = 0; i < 1000; i += 1) pipeline.set(`pipe:${i}`, i);
const results = await pipeline.exec();
assert.equal(results.length, 1000);
assert.ok(results.every(([error, reply]) => error === null && reply === "OK"));
assert.deepEqual(await redis.multi().set("m", 1).incr("m").get("m").exec(), [[null, "OK"], [null, 2], [null, "2"]]);
const withError = await redis.multi().set("text", "abc").incr("text").set("after", 1).exec();
assert.match(withError[1][0].message, /not an integer/);
assert.equal(withError[2][1], "OK");
await redis.watch("m");
const other = connect();
await other.set("m", "changed");
assert.equal(await redis.multi().set("m", 5).exec(), null);
assert.equal(await redis.get("m"), "changed");

// Many requests in flight, replies in order.
const answers = await Promise.all(Array.from({ length: 2000 }, (_, i) => redis.echo(String(i))));
assert.ok(answers.every((answer, i) => answer === String(i)));
const automatic = connect({ enableAutoPipelining: true });
const values = await Promise.all(Array.from({ length: 1000 }, (_, i) => automatic.get(`pipe:${i}`)));
assert.ok(values.every((value, i) => value === String(i)));

// Iteration.
const found = new Set();
for await (const keys of redis.scanStream({ match: "pipe:*", count: 50 })) keys.forEach((key) => found.add(key));
assert.equal(found.size, 1000);

// Databases, the server about itself, reconnection.
const third = connect({ db: 3 });
await third.set("only", "here");
assert.equal(await redis.get("only"), null);
assert.equal(await redis.client("GETNAME"), "checks");
assert.match(await redis.info("server"), /redis_version:/);
assert.ok((await redis.dbsize()) > 1000);
await assert.doesNotReject(redis.config("GET", "maxmemory"));
const reconnecting = connect({ retryStrategy: () => 10 });
const id = await reconnecting.client("ID");
await redis.client("KILL", "ID", id);
assert.equal(await reconnecting.get("a"), "2");
assert.notEqual(await reconnecting.client("ID"), id);

await Promise.all([redis, other, automatic, third, reconnecting].map((client) => client.quit()));
console.log("all checks passed");
