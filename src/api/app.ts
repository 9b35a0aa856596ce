/** The API's routes, behind what every request passes. Loaded when the first request comes. */
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Commands } from '../admin/commands.ts';
import { CommandFailure, type FailureKind, failures } from '../contracts/failures.ts';
import { apiPath, problemsPath } from '../contracts/http.ts';
import type { Log } from '../contracts/log.ts';
import type { Caller } from '../contracts/roles.ts';
import { callerOf } from './callers.ts';
import type { Keys } from './keys.ts';
import { addMonitoring, type Monitoring } from './monitoring.ts';
import { openApi } from './openapi.ts';
import { checkHost, type KnownNames } from './own-host.ts';
import { problemFrom, problemOf } from './problem.ts';
import { addRoutes, sendProblem } from './routes.ts';
import type { StreamPlaces } from './stream-places.ts';

export interface ApiTools {
  readonly commands: Commands;
  readonly keys: Keys;
  readonly log: Log;
  readonly version: string;
  readonly now: () => number;
  readonly names: KnownNames;
  readonly monitoring: Monitoring;
}

const bodyBytesMax = 1_048_576;
/** Of a part of the path; a client identifier has 65,535 bytes at most, and headers less than that in all. */
const parameterCharactersMax = 200_000;

const headers = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
};

export async function createApp(tools: ApiTools, streams: StreamPlaces): Promise<FastifyInstance> {
  const { commands, log } = tools;
  const app = Fastify({ bodyLimit: bodyBytesMax, routerOptions: { maxParamLength: parameterCharactersMax } });
  const callers = new WeakMap<FastifyRequest, Caller>();
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headers);
    checkHost(request.raw, tools.names);
    // Before any of the body is read.
    if (!isPublic(request)) callers.set(request, callerOf(request.raw, tools.keys, tools.now()));
  });
  app.setErrorHandler((error, request, reply) => {
    const problem = problemFrom(error);
    if (problem !== null) return sendProblem(reply, problem);
    log.error({ err: error, method: request.method, path: request.url.slice(0, 200) }, 'a request to the API failed');
    return sendProblem(reply, problemOf('internal-error', 'The log has more'));
  });
  app.setNotFoundHandler(({ method, url }, reply) => {
    const detail = `There is nothing for ${method} ${url.slice(0, 200)}`;
    return sendProblem(reply, problemOf('no-such-path', detail));
  });
  addRoutes(app, { commands, callerOf: (request) => callers.get(request)!, streams });
  addDescriptions(app, tools);
  addMonitoring(app, tools);
  await app.ready();
  return app;
}

/** What says nothing of this broker. */
const isPublic = ({ routeOptions: { config } }: FastifyRequest) => (config as { isPublic?: true }).isPublic === true;
const open = { config: { isPublic: true } } as const;

function addDescriptions(app: FastifyInstance, { version }: ApiTools): void {
  const description = JSON.stringify(openApi(version));
  app.get(`${apiPath}/openapi.json`, open, (_, reply) => reply.type('application/json').send(description));
  app.get<{ Params: { kind: string } }>(`${problemsPath}/:kind`, open, ({ params: { kind } }, reply) => {
    if (!Object.hasOwn(failures, kind)) throw new CommandFailure('not-found', 'There is no such problem');
    const { status, title, remedy } = failures[kind as FailureKind];
    const text = `${title} (${kind}, HTTP status ${status})\n\n${remedy}\n`;
    return reply.type('text/plain; charset=utf-8').send(text);
  });
}
