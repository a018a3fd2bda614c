// A receiver of OpenID Connect Back-Channel Logout 1.0, which verifies logout tokens with the library jose and the keys
// that the issuer publishes.
//
// Started by tests/world/third_party.rs. Reads from standard input, one JSON object a line,
//
//   {"op":"begin","listen":"http://127.64.0.1:4001/bye","issuer":…,"audience":…}
//
// and later {"op":"flush"}; each is answered by {"done":OP}. Other lines report the requests received:
// {"event":"logout",…claims} for a valid token (answered with 200), and {"event":"refusal","reason":…} for anything else
// (answered with 400). The program exits at the end of input.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const print = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
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
async function verify(request) {
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
  if (!payload.sub && !payload.sid) throw new Error('neither sub nor sid');
  if ('nonce' in payload) throw new Error('a nonce: it could be an ID token');
  if (known.has(payload.jti)) throw new Error('jti repeated');
  known.add(payload.jti);
  return payload;
}

const server = createServer(async (request, response) => {
  const status = await verify(request).then(
    (claims) => (print({ event: 'logout', ...claims }), 200),
    (error) => (print({ event: 'refusal', reason: error.code ?? error.message, claim: error.claim }), 400),
  );
  response.writeHead(status, { 'cache-control': 'no-store' }).end();
});
const { hostname, port } = new URL(listen);
await new Promise((done) => server.listen(Number(port), hostname, done));
print({ done: 'begin' });
for await (const line of lines) print({ done: JSON.parse(line).op });
process.exit(0);
