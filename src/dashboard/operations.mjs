/** What the dashboard knows of the API: types and routes, from nothing but its OpenAPI document. */
import { compile } from 'json-schema-to-typescript';

const head = `/**
 * What the HTTP API can be asked, and what it answers. Made by operations.mjs from docs/reference/openapi.json when the
 * dashboard is built.
 */

export type Role = 'viewer' | 'publisher' | 'operator' | 'admin';
export type Area = (typeof operations)[CommandName]['area'];
export type CommandName = keyof typeof operations;

/** Where each command is, and the least role that it needs. */
export const operations = {`;

/** `document`: as it was parsed. Resolves with the text of a module. */
export async function operationsModule({ paths }) {
  const commands = {};
  const lines = [];
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const [, role, area] = /role (\w+), for the area (\w+)/.exec(operation.description ?? '') ?? [];
      // Login is no command.
      if (role === undefined) continue;
      const name = operation.operationId.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      const route = `${method.toUpperCase()} ${path.replace('/api/v1', '')}`;
      lines.push(`  '${name}': { route: '${route}', role: '${role}', area: '${area}' },`);
      commands[name] = objectOf({ request: requestOf(operation), answer: answerOf(operation) });
    }
  }
  const options = { bannerComment: '', format: false, ignoreMinAndMaxItems: true };
  const types = await compile(plain(objectOf(commands)), 'Operations', options);
  return `${head}\n${lines.join('\n')}\n} as const;\n\n${types}`;
}

function requestOf({ parameters = [], requestBody }) {
  const own = parameters.filter((each) => each.in !== 'header');
  const body = requestBody?.content['application/json']?.schema ?? {};
  const required = [...own.filter((each) => each.required).map(({ name }) => name), ...(body.required ?? [])];
  // In a query, null is what is not there.
  const typeOf = ({ schema, required: isNeeded }) => (isNeeded ? schema : { anyOf: [schema, { type: 'null' }] });
  const ofPath = Object.fromEntries(own.map((each) => [each.name, typeOf(each)]));
  return { ...objectOf({ ...ofPath, ...body.properties }), required };
}

function answerOf({ responses }) {
  const { content } = responses[200];
  return (content['application/json'] ?? content['application/x-ndjson']).schema;
}

const objectOf = (properties) => {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
};

const untyped = [
  'description',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'pattern',
  'default',
  'format',
  'title',
];

/** Without what types do not say: descriptions are in the reference. A key of an object may have one of these names. */
function plain(schema) {
  if (Array.isArray(schema)) return schema.map(plain);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).filter(([key, value]) => !untyped.includes(key) || typeof value === 'object');
  return Object.fromEntries(entries.map(([key, value]) => [key, plain(value)]));
}
