// A SAML 2.0 identity provider built on the library samlp, as an upstream of ours.
//
// Started by tests/world/third_party.rs. Reads its settings from standard input, one JSON object a line:
//
//   {"op":"begin","listen":"http://127.64.0.1:4002","acs":URL,"issuer":…,"certificate":PEM,"key":PEM,
//    "person":{"id":…,"name":…,"email":…,"groups":[…]}}
//
// and answers {"done":"begin"}. At /sso/response, /sso/assertion and /sso/both it takes an AuthnRequest (HTTP-POST binding)
// and signs in that person at once: the response, its assertion, or both are signed. The program exits at the end of
// input.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import samlp from 'samlp';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const print = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const { listen, acs, issuer, certificate, key, person } = JSON.parse((await lines.next()).value);

// The person as attributes with plain names.
const profile = () => ({
  getClaims: () => ({ name: person.name, email: person.email, groups: person.groups }),
  getNameIdentifier: () => ({ nameIdentifier: person.id }),
});

function signedIn(signed) {
  return samlp.auth({
    issuer,
    cert: certificate,
    key,
    recipient: acs,
    destination: acs,
    lifetimeInSeconds: 300,
    signResponse: signed !== 'assertion',
    signAssertion: signed !== 'response',
    profileMapper: profile,
    getUserFromRequest: () => person,
    getPostURL: (audience, request, _, done) => done(null, request.documentElement.getAttribute('AssertionConsumerServiceURL')),
  });
}

const endpoints = new Map(['response', 'assertion', 'both'].map((signed) => [`/sso/${signed}`, signedIn(signed)]));

// As much of Express as the library uses.
createServer(async (request, response) => {
  let body = '';
  for await (const part of request) body += part;
  request.query = {};
  request.body = Object.fromEntries(new URLSearchParams(body));
  response.set = (name, value) => response.setHeader(name, value);
  response.send = (text) => response.end(String(text));
  const failed = (error) => {
    print({ event: 'failure', reason: String(error) });
    response.writeHead(500).end(String(error));
  };
  const endpoint = endpoints.get(request.url);
  if (endpoint) endpoint(request, response, failed);
  else response.writeHead(404).end();
}).listen(new URL(listen).port, new URL(listen).hostname, () => print({ done: 'begin' }));

for await (const line of lines) print({ done: JSON.parse(line).op });
process.exit(0);
