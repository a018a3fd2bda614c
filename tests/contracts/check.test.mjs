// The checker itself: valid responses pass, and each kind of error is reported. `node --test` with the folder of the
// descriptions in COUNTERSIGN_DESCRIPTIONS.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Contracts, report } from './check.mjs';

const contracts = new Contracts(process.env.COUNTERSIGN_DESCRIPTIONS);

const groups = (body, query = ['userKey'], status = 200) => ({ vendor: 'google', method: 'GET', path: '/admin/directory/v1/groups', query, status, body });
const emails = (body, status = 200) => ({ vendor: 'github', method: 'GET', path: '/user/emails', query: ['per_page'], status, body });
const teams = (body, query = ['page', 'limit'], status = 200) => ({ vendor: 'gitea', method: 'GET', path: '/api/v1/user/teams', query, status, body });
const EMAIL = { email: 'jane@example.com', primary: true, verified: true, visibility: null };

const silent = () => {};
const problems = (answer) => contracts.judge(answer).problems.join('\n');

test('right answers pass', () => {
  assert.equal(problems(groups({ groups: [{ email: 'a@example.com' }], nextPageToken: '2' })), '');
  assert.equal(problems(groups({ error: { code: 404, message: 'Resource Not Found: userKey' } }, [], 404)), '');
  assert.equal(problems(emails([EMAIL])), '');
  assert.equal(problems(emails({ message: 'Not Found', documentation_url: 'https://docs.github.com/rest' }, 404)), '');
  assert.equal(problems({ vendor: 'github', method: 'GET', path: '/orgs/acme/members/jane', status: 204, body: null }), '');
  assert.equal(problems(teams([{ id: 1, name: 'Owners', organization: { name: 'acme' } }])), '');
  assert.equal(problems(teams({ message: 'token is required' }, [], 401)), '');
});

for (const [what, answer, reported] of [
  ['a member of another name', groups({ grups: [] }), /grups/],
  ['a member of another name, deep inside', groups({ groups: [{ mail: 'a@example.com' }] }), /\/groups\/0 .*mail/],
  ['a value of another type', groups({ groups: { email: 'a@example.com' } }), /\/groups must be array/],
  ['an error that does not repeat its status', groups({ error: { code: 400, message: 'no' } }, [], 404), /\/error\/code/],
  ['a question by a parameter that is none', groups({}, ['user']), /requested with user/],
  ['a status that is never answered', groups({}, [], 202), /answers no 202/],
  ['a member left out', emails([{ ...EMAIL, verified: undefined }]), /verified/],
  ['a member made up', emails([{ ...EMAIL, confirmed: true }]), /confirmed/],
  ['an object in place of a list', emails(EMAIL), /must be array/],
  ['a body where there is none', { vendor: 'github', method: 'GET', path: '/orgs/acme/members/jane', status: 204, body: {} }, /has a body/],
  ['no body where there is one', emails(null), /must be array/],
  ['a path that is none', { ...emails([]), path: '/user/emails/of/jane' }, /not in the description/],
  ['a member made up, behind a reference', teams([{ organization: { slug: 'acme' } }]), /\/0\/organization .*slug/],
  ['a path without its prefix', { ...teams([]), path: '/user/teams' }, /not in the description/],
  ['a method that is none', { ...emails([]), method: 'PUT' }, /not in the description/],
]) {
  test(`${what} is reported`, () => {
    const recorded = JSON.parse(JSON.stringify(answer));
    assert.match(problems(recorded), reported);
    assert.equal(report(contracts, [recorded], [], silent), false);
  });
}

test('a vendor that answered nothing is reported', () => {
  assert.equal(report(contracts, [emails([EMAIL])], ['github'], silent), true);
  assert.equal(report(contracts, [emails([EMAIL])], ['github', 'google'], silent), false);
});
