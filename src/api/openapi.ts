/** The API's own description: OpenAPI 3.1, made of what the commands declare. */
import * as z from 'zod';
import type { CommandDeclaration } from '../contracts/commands/declaration.ts';
import { type CommandName, commands } from '../contracts/commands.ts';
import { failures } from '../contracts/failures.ts';
import { apiPath, commandsPath, hasBody, problemMediaType, splitRoute } from '../contracts/http.ts';
import { loginAnswer, loginRequest, sessionCookie } from '../contracts/login.ts';

type Json = Readonly<Record<string, unknown>>;

/** `bansList` of `bans list`. */
const operationId = (name: string) => name.replaceAll(/ (\w)/g, (_, letter: string) => letter.toUpperCase());

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      const node = jsonSchema as {
        unit?: string;
        description?: string;
        isSecret?: boolean;
        type?: string;
        format?: string;
      };
      if (node.isSecret === true && node.type === 'string') node.format = 'password';
      delete node.isSecret;
      // A unit is in the text.
      if (node.unit === undefined) return;
      if (node.description?.includes(node.unit) === false) node.description += `, in ${node.unit}`;
      delete node.unit;
    },
  }) as Record<string, unknown>;
  return withPlainPairs(rest) as Json;
}

/**
 * Pairs whose members are alike are described as lists of two: that is the same, and tools that know no `prefixItems`
 * can read it.
 */
function withPlainPairs(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withPlainPairs);
  if (typeof schema !== 'object' || schema === null) return schema;
  const all: Json = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, withPlainPairs(value)]));
  const { prefixItems, items: others, ...rest } = all;
  if (!Array.isArray(prefixItems) || (others !== undefined && others !== false)) return all;
  const [first, ...more] = prefixItems.map((each) => JSON.stringify(each));
  if (more.some((each) => each !== first)) return all;
  return { ...rest, items: prefixItems[0], minItems: prefixItems.length, maxItems: prefixItems.length };
}

const problemResponse = { $ref: '#/components/responses/problem' };

const overWebSocket =
  'over a WebSocket, each message of which is an event in JSON; to a stream of messages with a name a client sends ' +
  '`{"acknowledge": number}`';

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'sent again with the same key within ten minutes, the request is answered again and not done again',
  schema: { type: 'string', pattern: '^[!-~]{1,255}$' },
};

/** Whatever is in them, the request is taken. [W3C Trace Context 3.2] */
const contextHeader = (name: string, description: string) => ({
  ...{ name, in: 'header', required: false, description },
  schema: { type: 'string' },
});
const traceparent = contextHeader(
  'traceparent',
  'the trace that the messages belong to; without it, or if it is not valid: none',
);
const tracestate = contextHeader('tracestate', 'what tracing systems add to it');

function operation(name: CommandName, declaration: CommandDeclaration): Json {
  const { what, role, area, request, answer, route, isStream = false } = declaration;
  const { method, path } = splitRoute(route);
  const {
    properties = {},
    required = [],
    oneOf,
  } = schemaOf(request, 'input') as {
    properties?: Record<string, Json>;
    required?: string[];
    oneOf?: Json[];
  };
  const isInPath = (key: string) => path.includes(`{${key}}`);
  const takesBody = hasBody(method);
  const entries = Object.entries(properties);
  const parameters: Json[] = entries
    .filter(([key]) => isInPath(key) || !takesBody)
    .map(([key, { description, ...schema }]) => ({
      name: key,
      in: isInPath(key) ? 'path' : 'query',
      required: isInPath(key) || required.includes(key),
      description,
      schema: withoutNull(schema),
    }));
  if (declaration.takesIdempotencyKey === true) parameters.push(idempotencyKey);
  if (declaration.takesTraceContext === true) parameters.push(traceparent, tracestate);
  const inBody = entries.filter(([key]) => !isInPath(key));
  const needed = required.filter((key) => !isInPath(key));
  const body = {
    type: 'object',
    properties: Object.fromEntries(inBody),
    additionalProperties: false,
    ...(needed.length > 0 ? { required: needed } : {}),
    ...(oneOf === undefined ? {} : { oneOf }),
  };
  const event = schemaOf(answer, 'output');
  const content = isStream
    ? { 'application/x-ndjson': { schema: event }, 'text/event-stream': { schema: { type: 'string' } } }
    : { 'application/json': { schema: event } };
  return {
    operationId: operationId(name),
    summary: what,
    description: `Needs the role ${role}, for the area ${area}.`,
    tags: [area],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(takesBody && inBody.length > 0
      ? {
          requestBody: {
            required: needed.length > 0 || oneOf !== undefined,
            content: { 'application/json': { schema: body } },
          },
        }
      : {}),
    responses: {
      ...(isStream ? { 101: { description: overWebSocket } } : {}),
      200: { description: isStream ? 'events, one after the other' : 'done', content },
      '4XX': problemResponse,
      default: problemResponse,
    },
  };
}

/** A parameter that is not there is null. */
function withoutNull(schema: Json): Json {
  const { anyOf, default: given, ...others } = schema as { anyOf?: Json[]; default?: unknown; type?: string[] };
  const types = Array.isArray(others.type) ? others.type.filter((type) => type !== 'null') : null;
  const rest = types === null ? others : { ...others, type: types.length === 1 ? types[0] : types };
  const kept = given === undefined || given === null ? {} : { default: given };
  const kinds = anyOf?.filter(({ type }) => type !== 'null');
  if (kinds === undefined) return { ...rest, ...kept };
  return kinds.length === 1 ? { ...rest, ...kinds[0], ...kept } : { ...rest, anyOf: kinds, ...kept };
}

/** One that is too long for its own path. */
function anyCommand(): Json {
  const body = {
    type: 'object',
    properties: {
      command: { type: 'string', enum: Object.keys(commands), description: 'its name, as `clients show`' },
      request: { type: 'object', description: 'its whole request, with what would be in its path and query' },
    },
    required: ['command'],
    additionalProperties: false,
  };
  return {
    operationId: 'commandsGive',
    summary: 'gives any command with all of its request in the body, where an address would be too long',
    tags: ['any'],
    requestBody: { required: true, content: { 'application/json': { schema: body } } },
    responses: {
      200: { description: 'what the command answers', content: { 'application/json': { schema: {} } } },
      '4XX': problemResponse,
      default: problemResponse,
    },
  };
}

/** Login is no command: whoever asks for it is nobody yet. */
function loginPaths(): Readonly<Record<string, Readonly<Record<string, Json>>>> {
  const tags = ['login'];
  const refusals = { '4XX': problemResponse, default: problemResponse };
  const who = { description: 'who asks', content: { 'application/json': { schema: schemaOf(loginAnswer, 'output') } } };
  return {
    [`${apiPath}/login`]: {
      get: { operationId: 'loginShow', summary: 'tells who asks', tags, responses: { 200: who, ...refusals } },
      post: {
        operationId: 'loginCreate',
        summary: 'logs in with a user name and a password, or with the token of a link, for a cookie',
        tags,
        security: [],
        requestBody: { required: true, content: { 'application/json': { schema: schemaOf(loginRequest, 'input') } } },
        responses: { 200: who, ...refusals },
      },
      delete: {
        operationId: 'loginDelete',
        summary: 'logs out',
        tags,
        responses: { 204: { description: 'the session has ended' }, ...refusals },
      },
    },
  };
}

const problemSchema = {
  type: 'object',
  description: 'A problem document (RFC 9457)',
  properties: {
    type: { type: 'string', enum: Object.keys(failures).map((kind) => `${apiPath}/problems/${kind}`) },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'what happened' },
    remedy: { type: 'string', description: 'what to do' },
    errors: {
      type: 'array',
      description: 'of an invalid request: what is wrong where',
      items: {
        type: 'object',
        properties: { at: { type: 'string' }, message: { type: 'string' } },
        required: ['at', 'message'],
        additionalProperties: false,
      },
    },
  },
  required: ['type', 'title', 'status', 'detail', 'remedy'],
  additionalProperties: false,
};

export function openApi(version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const name of Object.keys(commands) as CommandName[]) {
    const declaration: CommandDeclaration = commands[name];
    const { method, path } = splitRoute(declaration.route);
    const operations = (paths[apiPath + path] ??= {});
    operations[method.toLowerCase()] = operation(name, declaration);
  }
  Object.assign(paths, loginPaths(), { [commandsPath]: { post: anyCommand() } });
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sluice',
      version,
      description: 'See and steer a running broker. Failures are problem documents (RFC 9457).',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }, { session: [] }],
    paths,
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'a key of `sluice admin key create`' },
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: sessionCookie,
          description:
            'of POST /login; what changes something needs its `csrfToken` as the header X-CSRF-Token as well',
        },
      },
      schemas: { Problem: problemSchema },
      responses: {
        problem: {
          description: 'it was not done',
          content: { [problemMediaType]: { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    },
  };
}
