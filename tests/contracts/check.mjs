// Compares the responses of our fakes with the vendors' API descriptions.
//
//   node check.mjs DESCRIPTIONS RECORDS VENDOR...
//
// RECORDS is a folder of *.jsonl, a line for each response: {"vendor","method","path","query":[name…],"status","body"}; the
// body of a response without one is null. The path is that of the request, or the description's template. Each VENDOR must
// have at least one response. The last line is in libtest's format, one test for each operation and status.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Ajv from 'ajv/dist/2019.js';
import addFormats from 'ajv-formats';
import { read } from './descriptions.mjs';

/** What is not in the descriptions: the OAuth endpoints, and the metadata server of a machine at Google. */
const UNDESCRIBED = { google: [/^\/sa$/, /^\/computeMetadata\//], github: [], gitea: [/^\/login\/oauth\//] };

export class Contracts {
  constructor(folder) {
    this.vendors = read(folder);
    this.ajv = addFormats.default(new Ajv.default({ strict: false, allErrors: true, logger: false }));
    // Tests give people hostile addresses too, so their format is not checked.
    this.ajv.addFormat('email', true);
    this.validators = new Map();
  }

  /** `{name, problems}` of one response, or undefined if the vendor does not describe the operation. */
  judge({ vendor, method, path, query = [], status, body }) {
    if (UNDESCRIBED[vendor].some((pattern) => pattern.test(path))) return undefined;
    const operation = this.find(vendor, method, path);
    if (!operation) return { name: `${vendor} ${method} ${path} ${status}`, problems: ['is not in the description'] };
    const problems = query.filter((name) => !operation.query.has(name)).map((name) => `was requested with ${name}, which the description lacks`);
    for (const [name, required] of operation.query) {
      if (required && !query.includes(name)) problems.push(`was requested without ${name}`);
    }
    const label = `${vendor} ${method} ${operation.path} ${status}`;
    const described = operation.schemas[status];
    if (!described && status < 400) return { name: label, problems: [...problems, `answers no ${status}`] };
    const schema = described?.() ?? (status < 400 ? null : operation.error(status));
    if (schema === null && body !== null) problems.push('has a body, and the description none');
    if (schema !== null) problems.push(...this.mistakes(label, schema, body));
    return { name: label, problems };
  }

  find(vendor, method, path) {
    const all = this.vendors[vendor].filter((operation) => operation.method === method && operation.matches(path));
    return all.find((operation) => operation.path === path) ?? all[0];
  }

  mistakes(label, schema, body) {
    if (!this.validators.has(label)) this.validators.set(label, this.ajv.compile(schema));
    const validate = this.validators.get(label);
    if (validate(body)) return [];
    return validate.errors.map(({ instancePath, message, params }) => `${instancePath || '/'} ${message} ${JSON.stringify(params)}`);
  }
}

/** Prints one line for each operation and status; true if every response is valid. */
export function report(contracts, records, vendors, say = console.log) {
  const found = new Map();
  for (const record of records) {
    const judged = contracts.judge(record);
    if (!judged) continue;
    const one = found.get(judged.name) ?? { answers: 0, problems: new Set() };
    one.answers += 1;
    judged.problems.forEach((problem) => one.problems.add(problem));
    found.set(judged.name, one);
  }
  for (const vendor of vendors) {
    if (![...found.keys()].some((name) => name.startsWith(`${vendor} `))) {
      found.set(`${vendor} has answered something`, { answers: 0, problems: new Set(['nothing was recorded']) });
    }
  }
  let failed = 0;
  for (const [name, { answers, problems }] of [...found].sort()) {
    say(`test ${name} (${answers}) ... ${problems.size ? 'FAILED' : 'ok'}`);
    for (const problem of problems) say(`    ${problem}`);
    failed += problems.size ? 1 : 0;
  }
  const outcome = failed ? 'FAILED' : 'ok';
  say(`\ntest result: ${outcome}. ${found.size - failed} passed; ${failed} failed; 0 ignored`);
  return failed === 0;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [descriptions, folder, ...vendors] = process.argv.slice(2);
  const files = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));
  const lines = files.flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').filter(Boolean));
  process.exitCode = report(new Contracts(descriptions), lines.map((line) => JSON.parse(line)), vendors) ? 0 : 1;
}
