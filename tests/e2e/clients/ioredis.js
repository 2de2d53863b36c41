// SPDX-License-Identifier: MIT
// ioredis against a bookd on PORT.
'use strict';
const assert = require('assert').strict;
const fs = require('fs');
const Redis = require('ioredis');
const { port, tlsPort, Skipped, runChecks, rejects, until, changeRow, promised } = require('./checks.js');

const clients = [];
function connect(options) {
    const client = new Redis({ host: '127.0.0.1', port, ...options });
    client.on('error', () => {}); // Commands say it too.
    clients.push(client);
    return client;
}
const r = connect({ connectionName: 'io' });

const checks = {
    async hello() {
        assert.equal(await r.client('GETNAME'), 'io');
        assert.match(await r.info('server'), /redis_version:7\./);
    },
    async strings() {
        assert.equal(await r.set('s', 'one', 'EX', 100), 'OK');
        assert.equal(await r.get('s'), 'one');
        assert.equal(await r.get('s:none'), null);
        assert.equal(await r.set('s', 'x', 'NX'), null);
        assert.deepEqual(await r.mget('s', 's:none'), ['one', null]);
        assert.equal(await r.mset({ a: 1, b: 2 }), 'OK');
        assert.equal(await r.getrange('s', 1, 2), 'ne');
    },
    async counters() {
        await r.del('n');
        assert.equal(await r.incrby('n', 5), 5);
        assert.equal(await r.incrbyfloat('n', 0.5), '5.5');
    },
    async binary() {
        const value = Buffer.from([...Array(256).keys()]);
        await r.set(Buffer.from([0, 255]), value);
        assert(value.equals(await r.getBuffer(Buffer.from([0, 255]))));
    },
    async unicode() {
        await r.set('ключ', 'Gödel — 📚');
        assert.equal(await r.get('ключ'), 'Gödel — 📚');
    },
    async large() {
        const value = 'x'.repeat(8 << 20);
        await r.set('large', value);
        assert((await r.getdel('large')) === value);
    },
    async hashes() {
        await r.del('h');
        assert.equal(await r.hset('h', { a: 1, b: 'two' }), 2);
        assert.deepEqual(await r.hgetall('h'), { a: '1', b: 'two' });
        assert.equal(await r.hincrby('h', 'a', 2), 3);
        assert.deepEqual(await r.hscan('h', 0), ['0', ['a', '3', 'b', 'two']]);
    },
    async records() {
        assert.equal(await r.hget('book:3', 'year'), '1859');
        assert.equal(JSON.parse(await r.get('book:2')).title, 'The Hobbit');
    },
    async expiry() {
        await r.set('e', 1, 'EX', 100);
        assert((await r.ttl('e')) > 98);
        await r.pexpire('e', 5);
        await until(async () => (await r.exists('e')) === 0);
    },
    async pipeline() {
        const p = r.pipeline();
        for (let i = 0; i < 1000; i++) {
            p.set(`p:${i}`, i).get(`p:${i}`);
        }
        const replies = await p.exec();
        assert(replies.every(([error]) => error === null));
        assert.equal(replies[1999][1], '999');
        const auto = connect({ enableAutoPipelining: true });
        assert.deepEqual(await Promise.all([auto.get('p:1'), auto.get('p:2')]), ['1', '2']);
    },
    async transaction() {
        const replies = await r.multi().set('t', 1).incr('t').hget('book:1', 'year').exec();
        assert.deepEqual(replies, [[null, 'OK'], [null, 2], [null, '1979']]);
        const other = connect();
        await r.watch('t');
        await other.set('t', 7);
        assert.equal(await r.multi().set('t', 8).exec(), null);
    },
    async scan() {
        const p = r.pipeline();
        for (let i = 0; i < 500; i++) {
            p.set(`scan:${i}`, i);
        }
        await p.exec();
        const keys = new Set();
        for await (const page of r.scanStream({ match: 'scan:*', count: 50 })) {
            page.forEach((key) => keys.add(key));
        }
        assert.equal(keys.size, 500);
    },
    async pubsub() {
        const s = connect();
        const { promise, resolve } = promised();
        s.on('message', (channel, message) => resolve([channel, message]));
        await s.subscribe('news');
        await r.publish('news', 'hi');
        assert.deepEqual(await promise, ['news', 'hi']);
    },
    async notifications() {
        const s = connect();
        const { promise, resolve } = promised();
        s.on('pmessage', (pattern, channel, message) => resolve([channel, message]));
        await s.psubscribe('__keyspace@0__:noted*');
        await r.set('noted', 1);
        assert.deepEqual(await promise, ['__keyspace@0__:noted', 'set']);
    },
    async errors() {
        await r.set('text', 'x');
        await rejects(r.incr('text'), /not an integer/);
        await rejects(r.hget('text', 'f'), /WRONGTYPE/);
        await rejects(r.lpush('l', 1), /unknown command/);
        assert.equal(await r.ping(), 'PONG');
    },
    async databases() {
        const two = connect({ db: 2 });
        await two.set('only', 'here');
        assert.equal(await r.get('only'), null);
        assert.equal(await two.get('only'), 'here');
    },
    async auth() {
        await r.acl('SETUSER', 'app', 'on', '>secret', '~app:*', '+@read', '+set',
            '+@connection', '+info');
        const app = connect({ username: 'app', password: 'secret' });
        assert.equal(await app.set('app:1', 1), 'OK');
        await rejects(app.set('other', 1), /NOPERM/);
        const wrong = connect({ username: 'app', password: 'wrong', lazyConnect: true,
            maxRetriesPerRequest: 0, retryStrategy: () => null });
        await rejects(wrong.connect().then(() => wrong.get('app:1')), /WRONGPASS|NOAUTH|closed/);
    },
    async tracking() {
        const s = connect();
        const { promise, resolve } = promised();
        s.on('message', (channel, keys) => resolve([channel, keys]));
        const id = await s.client('ID');
        await s.subscribe('__redis__:invalidate');
        const one = connect();
        await one.client('TRACKING', 'ON', 'REDIRECT', id);
        await one.get('near');
        await r.set('near', 1);
        assert.deepEqual((await promise).flat(), ['__redis__:invalidate', 'near']);
    },
    async foreign() {
        await r.hget('book:6', 'year');
        await changeRow('UPDATE books SET year = 2001 WHERE id = 6');
        await until(async () => (await r.hget('book:6', 'year')) === '2001');
    },
    async tls() {
        if (!tlsPort) {
            throw new Skipped('there is no openssl');
        }
        const ca = fs.readFileSync(process.env.CA_FILE);
        const value = 'x'.repeat(1 << 20);
        const secret = connect({ port: tlsPort, tls: { ca } });
        await secret.set('tls', value);
        assert((await r.get('tls')) === value);
    },
    async reconnect() {
        const one = connect();
        await r.client('KILL', 'ID', await one.client('ID'));
        assert.equal(await one.ping(), 'PONG');
    },
    async monitor() {
        const m = await r.monitor();
        const { promise, resolve } = promised();
        m.on('monitor', (time, args) => args[0] === 'get' && resolve(args));
        await r.get('seen');
        assert.deepEqual(await promise, ['get', 'seen']);
        m.disconnect();
    },
    async server() {
        assert((await r.dbsize()) > 10);
        assert.deepEqual(await r.config('GET', 'maxmemory'), ['maxmemory', '268435456']);
        assert((await r.memory('USAGE', 'text')) > 0);
        assert((await r.command('COUNT')) > 100);
        assert.equal(await r.object('ENCODING', 'text'), 'embstr');
        assert.match(await r.info('commandstats'), /cmdstat_get:calls=/);
    },
};

runChecks(checks).finally(() => clients.forEach((client) => client.disconnect()));
