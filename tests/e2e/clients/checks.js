// SPDX-License-Identifier: MIT
// What the programs for clients of Node share; see lib.sh for what is printed.
'use strict';
const assert = require('assert');
const { execFile } = require('child_process');
const { promisify } = require('util');

const port = Number(process.env.PORT);
const tlsPort = Number(process.env.TLS_PORT || 0);

// What a check throws that cannot run here.
class Skipped extends Error {}

// Runs an async function for each name, one after the other.
async function runChecks(checks) {
    for (const [name, run] of Object.entries(checks)) {
        try {
            await run();
            console.log(`ok ${name}`);
        } catch (error) {
            if (error instanceof Skipped) {
                console.log(`skip ${name} ${error.message}`);
                continue;
            }
            process.exitCode = 1;
            console.log(`FAILED ${name} ${String(error && error.message || error)
                .replace(/\s+/g, ' ')}`);
        }
    }
}

// The error that a promise is rejected with must match.
async function rejects(promise, pattern) {
    await assert.rejects(promise, (error) => pattern.test(error.message) ||
        assert.fail(`said: ${error.message}`));
}

// For what another program causes.
async function until(true_) {
    const end = Date.now() + 20000;
    while (!await true_()) {
        assert(Date.now() < end, 'it never came');
        // What is answered from memory would keep the sockets waiting.
        await new Promise(setImmediate);
    }
}

// Another program changes a row.
function changeRow(sql) {
    return promisify(execFile)('sqlite3', [process.env.DATABASE,
        `PRAGMA busy_timeout = 10000; ${sql}`]);
}

// A promise and the function that fulfils it.
function promised() {
    let resolve;
    const promise = new Promise((f) => { resolve = f; });
    return { promise, resolve };
}

module.exports = { port, tlsPort, Skipped, runChecks, rejects, until, changeRow, promised };
