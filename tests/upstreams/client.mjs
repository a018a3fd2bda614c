// A client built on the library openid-client.
//
// Started by tests/world/third_party.rs. Reads commands from standard input, one JSON object a line:
//
//   {"op":"begin","issuer":"http://127.64.0.1:5556/dex","id":…,"secret":…}reads the discovery document
//   {"op":"authorize","redirect_uri":…,"scope":…}      {url}: with state, nonce and PKCE, which are kept for the exchange
//   {"op":"callback","url":…}                          exchanges the code and verifies the tokens: {tokens, claims}
//   {"op":"refresh","token":…}                         {tokens}
//   {"op":"revoke","token":…,"hint":…}                 RFC 7009
//   {"op":"introspect","token":…}                      RFC 7662: {introspected}
//   {"op":"client_credentials","scope":…}              RFC 6749 section 4.4: {tokens}
//   {"op":"read","token":…,"url":…}                    GET with a bearer token: {status, body}
//   {"op":"logout","id_token":…,"back":…,"state":…}    RP-Initiated Logout 1.0: {url}
//
// Each is answered by {"done":OP,…}, or {"done":OP,"error":…,"status":…} if the server refused or the library rejected
// the response. The program exits at the end of input.

import { createInterface } from 'node:readline';
import * as client from 'openid-client';

const print = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
let config;
let pending;

const commands = {
  async begin({ issuer, id, secret }) {
    // Plain http is for the tests only. The signature of an ID token is checked although it comes from the issuer.
    const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks];
    config = await client.discovery(new URL(issuer), id, undefined, client.ClientSecretBasic(secret), { execute });
  },
  async authorize({ redirect_uri, scope }) {
    const verifier = client.randomPKCECodeVerifier();
    const code_challenge = await client.calculatePKCECodeChallenge(verifier);
    pending = { verifier, state: client.randomState(), nonce: client.randomNonce() };
    const parameters = { redirect_uri, scope, state: pending.state, nonce: pending.nonce, code_challenge, code_challenge_method: 'S256' };
    return { url: client.buildAuthorizationUrl(config, parameters).href };
  },
  async callback({ url }) {
    const checks = { pkceCodeVerifier: pending.verifier, expectedState: pending.state, expectedNonce: pending.nonce, idTokenExpected: true };
    const tokens = await client.authorizationCodeGrant(config, new URL(url), checks);
    return { tokens, claims: tokens.claims() };
  },
  async refresh({ token }) {
    return { tokens: await client.refreshTokenGrant(config, token) };
  },
  async revoke({ token, hint }) {
    await client.tokenRevocation(config, token, { token_type_hint: hint });
  },
  async introspect({ token }) {
    return { introspected: await client.tokenIntrospection(config, token) };
  },
  async client_credentials({ scope }) {
    return { tokens: await client.clientCredentialsGrant(config, { scope }) };
  },
  async read({ token, url }) {
    const response = await client.fetchProtectedResource(config, token, new URL(url), 'GET');
    return { status: response.status, body: await response.json() };
  },
  async logout({ id_token, back, state }) {
    const parameters = { id_token_hint: id_token, post_logout_redirect_uri: back, state };
    return { url: client.buildEndSessionUrl(config, parameters).href };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...parameters } = JSON.parse(line);
  try {
    print({ done: op, ...(await commands[op](parameters)) });
  } catch (error) {
    print({ done: op, error: error.error ?? error.code ?? String(error), status: error.status, reason: String(error.cause ?? error) });
  }
}
