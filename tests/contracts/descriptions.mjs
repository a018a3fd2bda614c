// The vendors' API descriptions, brought to one form: operations with a method, a pattern of their path, their query
// parameters and a JSON Schema (2019-09) for each status of a response.
//
// A description lists members and rarely forbids others. Here others are forbidden: a fake that returns
// members its vendor does not have is as wrong as one that omits some.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const GOOGLE = ['admin.directory_v1', 'cloudidentity.v1', 'iamcredentials.v1', 'sts.v1'];

/** All operations of each vendor, from the folder into which ./test put their files. */
export function read(folder) {
  const json = (name) => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
  return {
    github: openapi(json('api.github.com'), 'basic-error'),
    google: GOOGLE.flatMap((name) => discovery(json(name))),
    gitea: openapi(json('gitea'), 'APIError'),
  };
}

/** An operation is `{method, path, matches(path), query: Map(name → required), schemas: {status → schema or null}, error}`. */
function operation(method, path, query, schemas, error) {
  const parts = path.split(/\{[^}]*\}/).map((part) => part.replace(/[.*+?^$()|[\]\\]/g, '\\$&'));
  const pattern = new RegExp(`^${parts.join('[^/]+')}$`);
  return { method, path, matches: (requested) => requested === path || pattern.test(requested), query, schemas, error };
}

/** GitHub's and Gitea's: OpenAPI 3.0. `failure` names the schema of an error. */
function openapi(document, failure) {
  const base = new URL(document.servers[0].url, 'https://api.example.com').pathname.replace(/\/$/, '');
  const at = (ref) => ref.split('/').slice(1).reduce((found, name) => found[name.replace(/~1/g, '/')], document);
  const resolved = (part) => (part.$ref ? at(part.$ref) : part);
  const words = {
    definition: (ref) => at(ref),
    nullable: (schema) => schema.nullable === true,
  };
  const error = whole(at(`#/components/schemas/${failure}`), words);
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).filter(([, described]) => described.responses).map(([method, described]) => {
      const parameters = [...(methods.parameters ?? []), ...(described.parameters ?? [])].map(resolved);
      const query = parameters.filter((parameter) => parameter.in === 'query');
      const schemas = Object.entries(described.responses).map(([status, response]) => {
        const schema = resolved(response).content?.['application/json']?.schema;
        return [status, () => (schema ? whole(schema, words) : null)];
      });
      return operation(
        method.toUpperCase(),
        base + path,
        new Map(query.map(({ name, required }) => [name, required === true])),
        Object.fromEntries(schemas),
        () => error,
      );
    }),
  );
}

/** Google's: discovery documents, whose every method answers 200, and whose errors are those of all its APIs. */
function discovery(document) {
  const words = { definition: (ref) => document.schemas[ref], nullable: () => false };
  const error = (status) => ({
    type: 'object',
    required: ['error'],
    additionalProperties: false,
    properties: {
      error: {
        type: 'object',
        required: ['code', 'message'],
        properties: { code: { const: status }, message: { type: 'string' } },
      },
    },
  });
  const methods = (resource) => [
    ...Object.values(resource.methods ?? {}),
    ...Object.values(resource.resources ?? {}).flatMap(methods),
  ];
  const everywhere = Object.keys(document.parameters).map((name) => [name, false]);
  return methods(document).map(({ httpMethod, flatPath, path, parameters, response }) => {
    const query = Object.entries(parameters ?? {}).filter(([, { location }]) => location === 'query');
    const schemas = { 200: () => (response ? whole(response, words) : null) };
    const known = [...everywhere, ...query.map(([name, { required }]) => [name, required === true])];
    return operation(httpMethod, `/${document.servicePath}${flatPath ?? path}`, new Map(known), schemas, error);
  });
}

/** One schema with everything it refers to. */
function whole(schema, words) {
  const definitions = {};
  const root = converted(schema, true, words, definitions);
  return { ...root, $defs: definitions };
}

const KEPT = ['type', 'enum', 'format', 'pattern', 'minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'required'];

/** `closed`: no members except those described. The parts of a combination are open; the whole combination is closed. */
function converted(schema, closed, words, definitions) {
  const inner = (part) => converted(part, true, words, definitions);
  const part = (part) => converted(part, false, words, definitions);
  const result = {};
  for (const key of KEPT) if (schema[key] !== undefined) result[key] = schema[key];
  if (schema.type === 'any') delete result.type;
  // The only required members are listed by name; a flag on a member repeats this in the text of Google's description.
  if (!Array.isArray(result.required)) delete result.required;
  if (schema.$ref) {
    const name = schema.$ref.split('/').at(-1);
    if (!(name in definitions)) {
      definitions[name] = true;
      definitions[name] = part(words.definition(schema.$ref));
    }
    result.$ref = `#/$defs/${name}`;
  }
  if (schema.properties) {
    result.properties = Object.fromEntries(Object.entries(schema.properties).map(([name, of]) => [name, inner(of)]));
  }
  if (schema.items) result.items = inner(schema.items);
  for (const key of ['allOf', 'anyOf', 'oneOf']) if (schema[key]) result[key] = schema[key].map(part);
  const more = schema.additionalProperties;
  if (typeof more === 'object') result.additionalProperties = inner(more);
  else if (more === false) result.additionalProperties = false;
  else if (closed && more === undefined && names(schema, words, new Set())) result.unevaluatedProperties = false;
  return words.nullable(schema) ? { anyOf: [result, { type: 'null' }] } : result;
}

/** True if the schema describes any member; a schema without members permits all. */
function names(schema, words, seen) {
  if (schema.properties) return true;
  if (schema.$ref && !seen.has(schema.$ref)) {
    seen.add(schema.$ref);
    if (names(words.definition(schema.$ref), words, seen)) return true;
  }
  return ['allOf', 'anyOf', 'oneOf'].some((key) => schema[key]?.some((part) => names(part, words, seen)));
}
