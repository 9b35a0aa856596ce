/** A route for each command, from what its declaration says. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { printableWithin } from '../base/printable.ts';
import type { CommandDeclaration, Method } from '../contracts/commands/declaration.ts';
import { type CommandName, commands } from '../contracts/commands.ts';
import { CommandFailure, failures } from '../contracts/failures.ts';
import { apiPath, commandsPath, hasBody, problemMediaType, splitRoute } from '../contracts/http.ts';
import { TextKeys } from '../contracts/text-keys.ts';
import { answerText } from './answer-text.ts';
import { methods } from './door.ts';
import type { IdempotencyTable } from './idempotency.ts';
import { type Problem, problemOf } from './problem.ts';
import { type StreamTools, sendStream, writtenOnce } from './streams.ts';
import { withTraceContext } from './trace-context.ts';
import type { Turns } from './turns.ts';

export interface RouteTools extends Omit<StreamTools, 'textOf'> {
  /** Of a body that has messages. */
  readonly largeBodyBytes: number;
  readonly idempotency: IdempotencyTable;
  readonly turns: Turns;
}

const idempotencyKey = 'idempotency-key';

/** `/clients/:clientId` as fastify has it, for `/clients/{clientId}`. */
const pattern = (path: string) => apiPath + path.replaceAll(/\{(\w+)\}/g, ':$1');

export function addRoutes(app: FastifyInstance, tools: RouteTools): void {
  const taken = new Map<string, Method[]>();
  const givers = new Map<string, Give>();
  const streams = new Set<string>();
  for (const name of Object.keys(commands) as CommandName[]) {
    const declaration: CommandDeclaration = commands[name];
    const { method, path } = splitRoute(declaration.route);
    const url = pattern(path);
    taken.set(url, [...(taken.get(url) ?? []), method]);
    const large = declaration.hasLargeBody === true ? { bodyLimit: tools.largeBodyBytes } : {};
    // HEAD would begin a stream, and end another of the same name.
    if (declaration.isStream) streams.add(url);
    const exposeHeadRoute = method === 'GET' && declaration.isStream !== true;
    const give = giverOf(name, declaration, tools);
    givers.set(name, give);
    app.route({ method, url, exposeHeadRoute, handler: handlerOf(declaration, give), ...large });
  }
  app.post(commandsPath, byBody(givers));
  refuseOthers(app, commandsPath, ['POST']);
  for (const [url, known] of taken) refuseOthers(app, url, known, !streams.has(url));
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;
/** `asked`: the request of the command, which is not checked yet. */
type Give = (asked: unknown, request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

function handlerOf(declaration: CommandDeclaration, give: Give): Handler {
  const text = new TextKeys(declaration);
  const { method } = splitRoute(declaration.route);
  const takesBody = hasBody(method);
  const requestOf = ({ params, query, body, method, url }: FastifyRequest): unknown => {
    if (Object.values(params as object).includes('')) {
      throw new CommandFailure('no-such-path', `There is nothing for ${method} ${url.slice(0, 200)}`);
    }
    const inText = text.read({ ...(takesBody ? {} : (query as object)), ...(params as object) });
    if (!takesBody) return inText;
    const given = body === undefined ? {} : body;
    // Anything but an object is refused by the schema.
    return typeof given !== 'object' || given === null || Array.isArray(given) ? given : { ...given, ...inText };
  };
  return (request, reply) => give(requestOf(request), request, reply);
}

/** A request that is longer than an address can be: all of it is in the body, beside the name of its command. */
function byBody(givers: ReadonlyMap<string, Give>): Handler {
  return async (request, reply) => {
    const { command, request: asked = {}, ...others } = (request.body ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof command !== 'string' || Object.keys(others).length > 0) {
      throw new CommandFailure('invalid-request', 'The body is {"command": "clients show", "request": {…}}');
    }
    const give = givers.get(command);
    if (give !== undefined) return give(asked, request, reply);
    throw new CommandFailure('invalid-request', `There is no command ${printableWithin(command, shownMax)}`);
  };
}
/** Of a name that is told. */
const shownMax = 100;

function giverOf(name: CommandName, declaration: CommandDeclaration, tools: RouteTools): Give {
  if (declaration.isStream) {
    const textOf = declaration.sharesEvents ? writtenOnce() : JSON.stringify;
    return (asked, request, reply) => sendStream(name, asked, request, reply, { ...tools, textOf });
  }
  return async (asked, request, reply) => {
    const given = declaration.takesTraceContext ? withTraceContext(asked, request.headers) : asked;
    const caller = tools.callerOf(request);
    const run = async (signal?: AbortSignal) => {
      return answerText(await tools.commands.receive(name, given, caller, signal), tools.turns);
    };
    const key = declaration.takesIdempotencyKey === true ? request.headers[idempotencyKey] : undefined;
    // With a key, whoever has gone may come again for the answer.
    const answer =
      key === undefined
        ? run(closingOf(reply))
        : tools.idempotency.once({ key: String(key), caller, command: name, given: asked }, () => run());
    return reply.type('application/json').send(Buffer.from(await answer));
  };
}

/** Aborted when the response is sent, or nobody is there to read it. */
function closingOf({ raw }: FastifyReply): AbortSignal {
  const closed = new AbortController();
  raw.once('close', () => closed.abort());
  return closed.signal;
}

/** A path that is there answers other methods with those that it takes. [RFC 9110 15.5.6] */
export function refuseOthers(app: FastifyInstance, url: string, known: readonly Method[], hasHead = true): void {
  const head = known.includes('GET') && hasHead ? ['HEAD'] : [];
  const allowed = known.flatMap((each) => (each === 'GET' ? ['GET', ...head] : [each]));
  const others = methods.filter((method) => !(allowed as readonly string[]).includes(method));
  app.route({
    method: others,
    url,
    exposeHeadRoute: false,
    handler: async ({ method }, reply) => {
      const detail = `${method} is not taken here; ${allowed.join(', ')} ${allowed.length > 1 ? 'are' : 'is'}`;
      return sendProblem(reply.header('Allow', allowed.join(', ')), problemOf('no-such-method', detail));
    },
  });
}

/** As bytes, since the framework would add a character set to text, which JSON has not. */
export function sendProblem(
  reply: FastifyReply,
  problem: Problem,
  retryAfterSeconds: number | null = null,
): FastifyReply {
  if (retryAfterSeconds !== null) reply.header('Retry-After', retryAfterSeconds);
  if (problem.status === failures.unauthenticated.status) reply.header('WWW-Authenticate', 'Bearer');
  return reply
    .code(problem.status)
    .type(problemMediaType)
    .send(Buffer.from(JSON.stringify(problem)));
}
