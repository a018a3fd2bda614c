// An application that wants to hear that somebody signed out (OpenID Connect Back-Channel Logout 1.0), and believes
// nothing that the library jose cannot verify with the keys the issuer publishes.
//
// Started by tests/world/openid_client.rs, which says on standard input, in one JSON object on a line,
//
//   {"op":"begin","listen":"http://127.64.0.1:4001/bye","issuer":…,"audience":…}
//
// and later {"op":"look"}; each is answered by {"done":OP}. Between them stand the lines of what was heard:
// {"saw":"logout",…claims} of a token it believes, which it answers with 200, and {"saw":"refusal","why":…} of
// anything else, which it answers with 400. End of input ends the program.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const { listen, issuer, audience } = JSON.parse((await lines.next()).value);

const known = new Set();
let keys;

async function keysOfTheIssuer() {
  if (keys) return keys;
  const discovery = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  if (discovery.issuer !== issuer) throw new Error(`${discovery.issuer} is another issuer`);
  keys = createRemoteJWKSet(new URL(discovery.jwks_uri));
  return keys;
}

// Section 2.6, step by step.
async function believed(request) {
  if (request.method !== 'POST') throw new Error('not a POST');
  if (request.headers['content-type'] !== 'application/x-www-form-urlencoded') throw new Error('not a form');
  let body = '';
  for await (const chunk of request) body += chunk;
  const tokens = new URLSearchParams(body).getAll('logout_token');
  if (tokens.length !== 1) throw new Error(`${tokens.length} tokens`);
  const { payload } = await jwtVerify(tokens[0], await keysOfTheIssuer(), {
    issuer,
    audience,
    typ: 'logout+jwt',
    algorithms: ['RS256'],
    maxTokenAge: '2 minutes',
    requiredClaims: ['iat', 'exp', 'jti', 'events'],
  });
  if (Object.keys(payload.events?.[EVENT] ?? { no: 1 }).length > 0) throw new Error('not the event of a logout');
  if (!payload.sub && !payload.sid) throw new Error('about nobody');
  if ('nonce' in payload) throw new Error('a nonce: it could be an ID token');
  if (known.has(payload.jti)) throw new Error('heard before');
  known.add(payload.jti);
  return payload;
}

const server = createServer(async (request, response) => {
  const status = await believed(request).then(
    (claims) => (say({ saw: 'logout', ...claims }), 200),
    (error) => (say({ saw: 'refusal', why: error.code ?? error.message, claim: error.claim }), 400),
  );
  response.writeHead(status, { 'cache-control': 'no-store' }).end();
});
const { hostname, port } = new URL(listen);
await new Promise((done) => server.listen(Number(port), hostname, done));
say({ done: 'begin' });
for await (const line of lines) say({ done: JSON.parse(line).op });
process.exit(0);
