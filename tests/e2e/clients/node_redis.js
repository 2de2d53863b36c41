// SPDX-License-Identifier: MIT
// node-redis against a bookd on PORT, in the protocol that RESP names.
'use strict';
const assert = require('assert').strict;
const fs = require('fs');
const redis = require('redis');
const { port, tlsPort, Skipped, runChecks, rejects, until, changeRow, promised } = require('./checks.js');

const RESP = Number(process.env.RESP || 2);
const clients = [];
async function connect(options) {
    const client = redis.createClient({ socket: { port, host: '127.0.0.1',
        reconnectStrategy: (retries) => retries < 10 && 50 }, RESP, ...options });
    client.on('error', () => {}); // Commands say it too.
    clients.push(client);
    await client.connect();
    return client;
}
let r;
const plain = (object) => ({ ...object }); // Without the prototype it has.

const checks = {
    async hello() {
        r = await connect({ name: 'node' });
        assert.equal(await r.clientGetName(), 'node');
        assert.match(String(await r.info('server')), /redis_version:7\./);
    },
    async strings() {
        assert.equal(await r.set('s', 'one', { EX: 100 }), 'OK');
        assert.equal(await r.get('s'), 'one');
        assert.equal(await r.get('s:none'), null);
        assert.equal(await r.set('s', 'x', { NX: true }), null);
        assert.deepEqual(await r.mGet(['s', 's:none']), ['one', null]);
        assert.equal(await r.mSet({ a: '1', b: '2' }), 'OK');
        assert.equal(await r.getRange('s', 1, 2), 'ne');
    },
    async counters() {
        await r.del('n');
        assert.equal(await r.incrBy('n', 5), 5);
        assert.equal(String(await r.incrByFloat('n', 0.5)), '5.5');
    },
    async binary() {
        const value = Buffer.from([...Array(256).keys()]);
        await r.set('bin', value);
        const bytes = await r.withTypeMapping({ [redis.RESP_TYPES.BLOB_STRING]: Buffer })
            .get('bin');
        assert(value.equals(bytes));
    },
    async unicode() {
        await r.set('ключ', 'Gödel — 📚');
        assert.equal(await r.get('ключ'), 'Gödel — 📚');
    },
    async large() {
        const value = 'x'.repeat(8 << 20);
        await r.set('large', value);
        assert((await r.getDel('large')) === value);
    },
    async hashes() {
        await r.del('h');
        assert.equal(await r.hSet('h', { a: '1', b: 'two' }), 2);
        assert.deepEqual(plain(await r.hGetAll('h')), { a: '1', b: 'two' });
        assert.equal(await r.hIncrBy('h', 'a', 2), 3);
        assert.equal((await r.hScan('h', '0')).entries.length, 2);
        assert.equal(await r.hExists('h', 'a') == true, true);
    },
    async records() {
        assert.equal(await r.hGet('book:3', 'year'), '1859');
        assert.equal(JSON.parse(await r.get('book:2')).title, 'The Hobbit');
    },
    async expiry() {
        await r.set('e', '1', { EX: 100 });
        assert((await r.ttl('e')) > 98);
        await r.pExpire('e', 5);
        await until(async () => (await r.exists('e')) === 0);
    },
    async pipeline() {
        const sent = [];
        for (let i = 0; i < 1000; i++) {
            sent.push(r.set(`p:${i}`, String(i)), r.get(`p:${i}`));
        }
        assert.equal((await Promise.all(sent))[1999], '999');
    },
    async transaction() {
        const replies = await r.multi().set('t', '1').incr('t').hGet('book:1', 'year').exec();
        assert.deepEqual(replies, ['OK', 2, '1979']);
        const other = await connect();
        await r.watch('t');
        await other.set('t', '7');
        await assert.rejects(r.multi().set('t', '8').exec());
    },
    async scan() {
        await Promise.all([...Array(500).keys()].map((i) => r.set(`scan:${i}`, 'x')));
        const keys = new Set();
        for await (const page of r.scanIterator({ MATCH: 'scan:*', COUNT: 50 })) {
            [page].flat().forEach((key) => keys.add(key));
        }
        assert.equal(keys.size, 500);
    },
    async pubsub() {
        const s = await connect();
        const { promise, resolve } = promised();
        await s.subscribe('news', (message, channel) => resolve([channel, message]));
        await r.publish('news', 'hi');
        assert.deepEqual(await promise, ['news', 'hi']);
    },
    async notifications() {
        const s = await connect();
        const { promise, resolve } = promised();
        await s.pSubscribe('__keyspace@0__:noted*', (message, channel) =>
            resolve([channel, message]));
        await r.set('noted', '1');
        assert.deepEqual(await promise, ['__keyspace@0__:noted', 'set']);
    },
    async errors() {
        await r.set('text', 'x');
        await rejects(r.incr('text'), /not an integer/);
        await rejects(r.hGet('text', 'f'), /WRONGTYPE/);
        await rejects(r.lPush('l', '1'), /unknown command/);
        assert.equal(await r.ping(), 'PONG');
    },
    async databases() {
        const two = await connect({ database: 2 });
        await two.set('only', 'here');
        assert.equal(await r.get('only'), null);
        assert.equal(await two.get('only'), 'here');
    },
    async auth() {
        await r.aclSetUser('app', ['on', '>secret', '~app:*', '+@read', '+set', '+@connection']);
        const app = await connect({ username: 'app', password: 'secret' });
        assert.equal(await app.set('app:1', '1'), 'OK');
        await rejects(app.set('other', '1'), /NOPERM/);
        await rejects(connect({ username: 'app', password: 'wrong',
            socket: { port, host: '127.0.0.1', reconnectStrategy: false } }), /WRONGPASS/);
    },
    async tracking() {
        if (RESP === 2) {
            const s = await connect();
            const { promise, resolve } = promised();
            const id = await s.clientId();
            await s.subscribe('__redis__:invalidate', (keys) => resolve(keys));
            const one = await connect();
            await one.clientTracking(true, { REDIRECT: id });
            await one.get('near');
            await r.set('near', '1');
            assert.deepEqual([await promise].flat(), ['near']);
            return;
        }
        const near = await connect({ clientSideCache: { ttl: 0, maxEntries: 100 } });
        await r.set('near', 'old');
        assert.equal(await near.get('near'), 'old');
        assert.equal(await near.get('near'), 'old');
        await r.set('near', 'new');
        await until(async () => (await near.get('near')) === 'new');
    },
    async foreign() {
        await r.hGet('book:7', 'year');
        await changeRow(`UPDATE books SET year = 200${RESP} WHERE id = 7`);
        await until(async () => (await r.hGet('book:7', 'year')) === `200${RESP}`);
    },
    async tls() {
        if (!tlsPort) {
            throw new Skipped('there is no openssl');
        }
        const ca = fs.readFileSync(process.env.CA_FILE);
        const value = 'x'.repeat(1 << 20);
        const secret = await connect({
            socket: { port: tlsPort, host: '127.0.0.1', tls: true, ca } });
        await secret.set('tls', value);
        assert((await r.get('tls')) === value);
    },
    async reconnect() {
        const one = await connect();
        await r.sendCommand(['CLIENT', 'KILL', 'ID', String(await one.clientId())]);
        await until(async () => (await one.ping().catch(() => '')) === 'PONG');
    },
    async server() {
        assert((await r.dbSize()) > 10);
        assert.equal((await r.configGet('maxmemory')).maxmemory, '268435456');
        assert((await r.memoryUsage('text')) > 0);
        assert((await r.commandCount()) > 100);
        assert((await r.command()).length > 100);
        assert.equal(await r.objectEncoding('text'), 'embstr');
        assert.equal(await r.aclWhoAmI(), 'default');
        assert.match(String(await r.info('commandstats')), /cmdstat_get:calls=/);
        assert((await r.clientList()).some((client) => client.name === 'node'));
    },
};

runChecks(checks).finally(() => clients.filter((client) => client.isOpen)
    .forEach((client) => client.destroy()));
