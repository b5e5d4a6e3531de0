// An OpenID provider for the tests: the npm package oidc-provider on a free port of the loopback address.
//
//     node openid.js REDIRECT_URI
//
// Prints its issuer as the first line. People log in and consent on the package's own pages; whoever logs in as NAME has
// the email NAME@example.com. Two applications: `app` with the secret `hush`, `other` with the same redirect URI.
//
// Each line on the standard input is a command in JSON and is answered by a line:
//
//     {"rotate": true}     new keys take the place of those that sign and are published
//     {"claims": {...}}    ID tokens that are given out from now on have these claims, signed as before; null for none
//     {"spoil": true}      a character of their signatures is another one
//     {"delay": 0.5}       seconds before any answer of the token's address
//     {"calls": true}      answered with how often each path was asked for

'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const readline = require('node:readline');

// Node.js 18 has it under another name.
globalThis.crypto ??= crypto.webcrypto;

// What the package remarks on its settings is not for who reads our answers.
console.info = console.error;
console.warn = console.error;

const [redirectUri] = process.argv.slice(2);
const state = {claims: null, spoil: false, delay: 0, calls: {}, kid: 0};

function newKey() {
    const {privateKey} = crypto.generateKeyPairSync('rsa', {modulusLength: 2048});
    state.kid += 1;
    return {...privateKey.export({format: 'jwk'}), kid: `key-${state.kid}`, use: 'sig', alg: 'RS256'};
}

// What a store of the package's own would be, and outlives a change of keys.
const kept = new Map();

class Adapter {
    constructor(name) {
        this.name = name;
    }

    key(id) {
        return `${this.name}:${id}`;
    }

    async upsert(id, payload) {
        kept.set(this.key(id), payload);
    }

    async find(id) {
        return kept.get(this.key(id));
    }

    async findByUserCode() {
        return undefined;
    }

    async findByUid(uid) {
        for (const [key, payload] of kept) {
            if (key.startsWith(`${this.name}:`) && payload.uid === uid) {
                return payload;
            }
        }
        return undefined;
    }

    async consume(id) {
        kept.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
    }

    async destroy(id) {
        kept.delete(this.key(id));
    }

    async revokeByGrantId(grantId) {
        for (const [key, payload] of kept) {
            if (payload.grantId === grantId) {
                kept.delete(key);
            }
        }
    }
}

const base64url = (value) => Buffer.from(value).toString('base64url');

// An ID token with other claims, signed with the provider's own key; or with a wrong character in its signature.
function changed(token, key) {
    let [header, payload, signature] = token.split('.');
    if (state.claims !== null) {
        const claims = {...JSON.parse(Buffer.from(payload, 'base64url')), ...state.claims};
        payload = base64url(JSON.stringify(claims));
        const signer = crypto.createPrivateKey({key, format: 'jwk'});
        signature = base64url(crypto.sign('sha256', Buffer.from(`${header}.${payload}`), signer));
    }
    if (state.spoil) {
        signature = (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1);
    }
    return `${header}.${payload}.${signature}`;
}

async function main() {
    const {Provider} = await import('oidc-provider');
    const server = http.createServer();
    await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
    const issuer = `http://127.0.0.1:${server.address().port}`;
    const secret = crypto.randomBytes(16).toString('hex');
    let handle;

    function serve() {
        const key = newKey();
        const client = {
            client_secret: 'hush',
            redirect_uris: [redirectUri],
            grant_types: ['authorization_code', 'refresh_token'],
        };
        const provider = new Provider(issuer, {
            adapter: Adapter,
            clients: [{client_id: 'app', ...client}, {client_id: 'other', ...client}],
            jwks: {keys: [key]},
            cookies: {keys: [secret]},
            pkce: {required: () => true},
            scopes: ['openid', 'offline_access', 'email', 'profile'],
            claims: {email: ['email', 'email_verified'], profile: ['given_name', 'family_name']},
            findAccount: (ctx, id) => ({
                accountId: id,
                claims: () => ({
                    sub: id,
                    email: `${id}@Example.com`,
                    email_verified: true,
                    given_name: id,
                    family_name: 'Test',
                }),
            }),
            // Every refresh replaces the token, and a second use of an old one ends the grant.
            rotateRefreshToken: true,
            issueRefreshToken: async () => true,
        });
        provider.use(async (ctx, next) => {
            if (ctx.path === '/token' && state.delay > 0) {
                await new Promise((over) => setTimeout(over, state.delay * 1000));
            }
            await next();
            if (ctx.path === '/token' && ctx.body && ctx.body.id_token) {
                ctx.body.id_token = changed(ctx.body.id_token, key);
            }
        });
        handle = provider.callback();
    }

    serve();
    server.on('request', (request, response) => {
        const path = request.url.split('?')[0];
        state.calls[path] = (state.calls[path] ?? 0) + 1;
        handle(request, response);
    });
    console.log(issuer);
    for await (const line of readline.createInterface({input: process.stdin})) {
        const command = JSON.parse(line);
        if (command.rotate) {
            serve();
        }
        for (const name of ['claims', 'spoil', 'delay']) {
            if (name in command) {
                state[name] = command[name];
            }
        }
        console.log(JSON.stringify(command.calls ? state.calls : {}));
    }
    process.exit(0);
}

main();
