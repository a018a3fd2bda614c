// An OpenID Connect provider built on the library oidc-provider, as an upstream of ours.
//
// Started by tests/world/third_party.rs. Reads its settings from standard input, one JSON object a line:
//
//   {"op":"begin","issuer":"http://127.64.0.1:4000","client":{"id":…,"secret":…,"redirect_uri":…},
//    "people":[{"sub":…,"password":…,"name":…,"email":…,"groups":[…]}]}
//
// and afterwards commands:
//
//   {"op":"stop"}, {"op":"resume"}             stops and resumes listening, keeping all state
//   {"op":"remove","sub":…}                    removes the person
//   {"op":"groups","sub":…,"groups":[…]}
//   {"op":"flush"}                             answered after all earlier events
//
// Each is answered by {"done":OP}. Other lines report events, {"event":KIND,…}: the parameters
// of an accepted request, each grant, each refusal. The program exits at the end of input.
//
// The pages are ours, and have the field names of Countersign's own; every rule is the library's: PKCE is required,
// claims are at userinfo only (its default), a refresh token is used once and its second use ends the grant.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const print = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const { issuer, client, people: list } = JSON.parse((await lines.next()).value);
const people = new Map(list.map((person) => [person.sub, person]));

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' };

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: client.id,
      client_secret: client.secret,
      redirect_uris: [client.redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: { keys: [key] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  pkce: { required: () => true },
  scopes: ['openid', 'offline_access'],
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
    groups: ['groups'],
  },
  rotateRefreshToken: true,
  ttl: { AccessToken: 300, AuthorizationCode: 60, IdToken: 3600, Interaction: 600, Grant: 86400, Session: 86400, RefreshToken: 86400 },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: {
      logoutSource: confirmSignOut,
      postLogoutSuccessSource: showSignedOut,
    },
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount(_, sub) {
    const person = people.get(sub);
    return person && { accountId: sub, claims: () => claimsOf(person) };
  },
});

function claimsOf({ sub, name, email, groups }) {
  return { sub, name, preferred_username: email.split('@')[0], email, email_verified: true, groups };
}

provider.on('authorization.success', ({ oidc: { params } }) => {
  print({ event: 'authorization', ...params, nonce: Boolean(params.nonce), state: Boolean(params.state), code_challenge: Boolean(params.code_challenge) });
});
provider.on('grant.success', ({ oidc: { params } }) => print({ event: 'grant', grant_type: params.grant_type, code_verifier: Boolean(params.code_verifier) }));
provider.on('grant.error', (_, error) => print({ event: 'refusal', error: error.error, reason: error.error_detail }));
provider.on('end_session.success', ({ oidc: { session } }) => print({ event: 'end_session', sub: session.accountId }));
provider.on('grant.revoked', () => print({ event: 'revocation' }));
for (const event of ['authorization.error', 'server_error']) {
  provider.on(event, (_, error) => print({ event, error: error.message, reason: error.error_detail ?? error.error_description }));
}

const heading = (title) => `<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>${title}</title><h1>${title}</h1>`;
const page = (title, rest) => `${heading(title)}<form method=post>${rest}</form>`;

const pages = {
  login: page('Sign in at the provider', `<p><label>User <input name=login autocomplete=username></label>
<p><label>Password <input name=password type=password autocomplete=current-password></label>
<p><button id=submit-login>Sign in</button>`),
  consent: page('Let Countersign know who you are?', `<p><button name=approval value=approve>Yes</button>
<button name=approval value=rejected>No</button>`),
};

// The library's form, with its CSRF token.
function confirmSignOut(ctx, form) {
  ctx.body = heading('Sign out of the provider?') + form.replace('</form>', '<button name=logout value=yes>Yes</button></form>');
}

function showSignedOut(ctx) {
  ctx.type = 'html';
  ctx.body = heading('You are signed out of the provider');
}

async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    response.setHeader('content-type', 'text/html; charset=utf-8').end(pages[prompt.name]);
    return;
  }
  let body = '';
  for await (const chunk of request) body += chunk;
  const form = new URLSearchParams(body);
  const finish = (result) => provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
  if (prompt.name === 'login') {
    const person = [...people.values()].find(({ email }) => email === form.get('login'));
    if (person?.password !== form.get('password')) {
      response.writeHead(401, { 'content-type': 'text/html; charset=utf-8' }).end(pages.login);
      return;
    }
    await finish({ login: { accountId: person.sub } });
    return;
  }
  if (form.get('approval') !== 'approve') {
    await finish({ error: 'access_denied', error_description: 'the user denied the request' });
    return;
  }
  const grant = (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  await finish({ consent: { grantId: await grant.save() } });
}

const library = provider.callback();
const server = createServer((request, response) => {
  const handle = request.url.startsWith('/interaction/') ? interact : library;
  handle(request, response).catch((error) => {
    print({ event: 'failure', reason: String(error) });
    response.writeHead(400).end(String(error));
  });
});
const listen = () => new Promise((done) => server.listen(Number(new URL(issuer).port), new URL(issuer).hostname, done));
const close = () =>
  new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });

await listen();
print({ done: 'begin' });
for await (const line of lines) {
  const { op, sub, groups } = JSON.parse(line);
  if (op === 'stop') await close();
  if (op === 'resume') await listen();
  if (op === 'remove') people.delete(sub);
  if (op === 'groups') people.get(sub).groups = groups;
  print({ done: op });
}
process.exit(0);
