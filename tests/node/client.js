// Drives the npm package tarantool-driver against a server and prints what came back, one JSON line a step.
//
//     node client.js PORT USER PASSWORD STEPS
//
// STEPS is a JSON array of [method, argument, ...]. An error is printed as {"error": text}; the steps go on.

'use strict';

const Connection = require('tarantool-driver');

async function main() {
    const [port, username, password, steps] = process.argv.slice(2);
    const connection = new Connection({
        host: '127.0.0.1',
        port: Number(port),
        username: username || null,
        password: password || null,
        retryStrategy: () => null,
        lazyConnect: true,
    });
    await connection.connect();
    for (const [method, ...args] of JSON.parse(steps)) {
        let outcome;
        try {
            outcome = {result: await connection[method](...args)};
        } catch (error) {
            outcome = {error: error.message};
        }
        // undefined has no JSON: a call that returns no value is null here.
        console.log(JSON.stringify(outcome.result === undefined && !outcome.error ? {result: null} : outcome));
    }
    connection.disconnect();
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
