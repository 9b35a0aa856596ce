/**
 * Commands of a broker that is a node of a cluster: a list is that of all nodes, and what concerns one client is done
 * at the node that has it, whichever node is asked. `CommandDeclaration.nodes` says what holds for which command.
 *
 * A list goes from node to node, so it costs one page of memory here, and its cursor is all that there is of it between
 * two pages. A node that does not answer in time is named in the answer.
 */
import type { Ban } from '../contracts/bans.ts';
import type { BridgeView } from '../contracts/commands/bridges.ts';
import type { CommandDeclaration } from '../contracts/commands/declaration.ts';
import {
  type CommandHandlers,
  type CommandInput,
  type CommandName,
  checkedAnswer,
  checkedRequest,
  commands,
  type SingleName,
} from '../contracts/commands.ts';
import type { Explanation } from '../contracts/explain.ts';
import { CommandFailure } from '../contracts/failures.ts';
import {
  type CommandPeers,
  listPlace,
  type MissingNode,
  type NodeCommand,
  NodeSilent,
  type ListPlace as Place,
} from '../contracts/node-commands.ts';
import { type Caller, program } from '../contracts/roles.ts';
import { joinBridges } from './bridge-nodes.ts';
import { joinReceiver, joinReceivers, type NodeExplanation, ofOneNode } from './explain-nodes.ts';

type Handler = (request: object, caller: Caller, signal?: AbortSignal) => Promise<object>;
type Reach = NonNullable<CommandDeclaration['nodes']>;

/** Asked of another node at one time: so much is read and written in a turn. */
const itemsAtOnce = 100;
/** A page that has taken so long is given as it is, and the next one goes on: beyond one node that hangs. */
const pageMs = 2_500;
/** So long a node has to tell something, and to change something, which may wait for its servers. */
const lookMs = 1_500;
const changeMs = 5_000;
const timelineMost = 64;

type OfBridge = CommandInput<'bridges show'>;

interface Page {
  readonly items: readonly object[];
  readonly cursor: string | null;
}
interface PageOfNodes extends Page {
  readonly unanswered: readonly MissingNode[];
}

export const reachOf = (name: CommandName): Reach | null => {
  const declaration: CommandDeclaration = commands[name];
  return declaration.nodes ?? null;
};

/** Handlers for those who ask this node; `own` carry out what is asked of it alone. */
export function acrossNodes(own: CommandHandlers, peers: CommandPeers): CommandHandlers {
  const nodes = new Nodes(own, peers);
  peers.answer((command) => nodes.carryOut(command));
  const lists =
    (name: SingleName): Handler =>
    (request, caller, signal) =>
      nodes.list(name, request, caller, signal);
  const ofClient =
    (name: SingleName): Handler =>
    (request, caller, signal) =>
      nodes.atClient(name, request, caller, signal);
  const handlers: Record<string, Handler> = {};
  for (const name of Object.keys(commands) as SingleName[]) {
    const reach = reachOf(name);
    if (reach === 'list') handlers[name] = lists(name);
    if (reach === 'client') handlers[name] = ofClient(name);
  }
  handlers['clients timeline'] = (request, caller) => nodes.timeline(request, caller);
  handlers['bridges list'] = (_request, caller) => nodes.bridges(caller);
  handlers['bridges show'] = (request, caller) => nodes.bridge(request as OfBridge, caller);
  for (const name of ['bridges pause', 'bridges resume'] as const) {
    handlers[name] = (request, caller) => nodes.steerBridge(name, request as OfBridge, caller);
  }
  handlers['bans list'] = (request, caller) => nodes.bans(request, caller);
  handlers['bans clear'] = (request, caller) => nodes.clearBans(request, caller);
  handlers.explain = (request, caller) => nodes.explain(request as CommandInput<'explain'>, caller);
  return { ...own, ...handlers } as CommandHandlers;
}

class Nodes {
  readonly #own: CommandHandlers;
  readonly #peers: CommandPeers;

  constructor(own: CommandHandlers, peers: CommandPeers) {
    this.#own = own;
    this.#peers = peers;
  }

  /** What another node asks of this one. */
  carryOut({ name, request, caller }: NodeCommand): Promise<object> {
    const reach = Object.hasOwn(commands, name) ? reachOf(name) : null;
    if (reach === null || reach === 'shared') {
      throw new CommandFailure('conflict', `Node ${this.#peers.id} carries out no ${name} for other nodes`);
    }
    return this.#run(name, checkedRequest(name, request), caller);
  }

  #run(name: SingleName, request: object, caller: Caller, signal?: AbortSignal): Promise<object> {
    return (this.#own[name] as Handler)(request, caller, signal);
  }

  /** Rejects with a CommandFailure, or with NodeSilent. */
  async #at(
    node: string,
    name: SingleName,
    request: object,
    caller: Caller,
    signal?: AbortSignal,
  ): Promise<Record<string, unknown>> {
    if (node === this.#peers.id) return { ...(await this.#run(name, request, caller, signal)) };
    const waitMs = commands[name].route.startsWith('GET ') ? lookMs : changeMs;
    const answer = await this.#peers.ask(node, { name, request, caller }, waitMs);
    try {
      return checkedAnswer(name, answer) as Record<string, unknown>;
    } catch (cause) {
      throw new NodeSilent((cause as Error).message, { cause });
    }
  }

  async list(name: SingleName, asked: object, caller: Caller, signal?: AbortSignal): Promise<PageOfNodes> {
    const { cursor, limit, ...request } = asked as { cursor: string | null; limit: number };
    const unanswered = cursor === null ? this.#departing() : [];
    const items: object[] = [];
    const until = performance.now() + pageMs;
    let at: Place | null = cursor === null ? this.#beginning(name) : placeOf(name, cursor);
    while (at !== null && items.length < limit && performance.now() < until && signal?.aborted !== true) {
      const [node = '', ...rest]: readonly string[] = at.nodes;
      const wanted = { ...request, cursor: at.cursor, limit: Math.min(limit - items.length, itemsAtOnce) };
      const page = await this.#page(node, name, wanted, caller, unanswered);
      for (const item of page.items) items.push({ ...item, node });
      if (page.cursor !== null) at = { ...at, cursor: page.cursor };
      else at = rest.length === 0 ? null : { ...at, nodes: rest, cursor: null };
    }
    return { items, cursor: at === null ? null : cursorOf(at), unanswered };
  }

  /** Of a node that does not answer, the end of its part. */
  async #page(
    node: string,
    name: SingleName,
    request: object,
    caller: Caller,
    unanswered: MissingNode[],
  ): Promise<Page> {
    try {
      return (await this.#at(node, name, request, caller)) as unknown as Page;
    } catch (error) {
      if (!this.#isMissing(node, error)) throw error;
      unanswered.push({ node, why: error.message });
      return { items: [], cursor: null };
    }
  }

  /** What another node could not do takes nothing from what the others answer. */
  #isMissing(node: string, error: unknown): error is Error {
    if (error instanceof NodeSilent) return true;
    const kinds = ['unavailable', 'internal-error', 'too-large', 'conflict'];
    return node !== this.#peers.id && error instanceof CommandFailure && kinds.includes(error.kind);
  }

  #beginning(list: string): Place {
    return { list, nodes: [this.#peers.id, ...this.#peers.others()], cursor: null };
  }

  #departing(): MissingNode[] {
    const why = 'it has ended, and its sessions are being taken over';
    return this.#peers.departing().map((node) => ({ node, why }));
  }

  async atClient(name: SingleName, request: object, caller: Caller, signal?: AbortSignal): Promise<object> {
    const { clientId } = request as { clientId: string | null };
    // A session may be on its way from one node to another.
    for (let isSecond = false; ; isSecond = true) {
      const node = clientId === null ? this.#peers.id : await this.#nodeOf(clientId);
      try {
        return { ...(await this.#at(node, name, request, caller, signal)), node };
      } catch (error) {
        if (error instanceof NodeSilent) throw silent(node, name, error);
        const hasMoved = error instanceof CommandFailure && error.kind === 'not-found' && node !== this.#peers.id;
        if (!hasMoved || isSecond) throw error;
      }
    }
  }

  /** Which node has the session of a client; this one, if none has. Rejects if that cannot be told now. */
  async #nodeOf(clientId: string): Promise<string> {
    const request = checkedRequest('clients list', { clientId, limit: 1 });
    const hasIt = async (node: string) =>
      ((await this.#at(node, 'clients list', request, program)) as unknown as Page).items.length > 0;
    if (await hasIt(this.#peers.id)) return this.#peers.id;
    const missing = this.#departing();
    const found = await this.#ofAll(hasIt, missing);
    const node = found.find(({ answer }) => answer)?.node;
    if (node !== undefined) return node;
    const [first] = missing;
    if (first === undefined) return this.#peers.id;
    const what = `No node that answers has client ${JSON.stringify(clientId)}`;
    throw new CommandFailure('unavailable', `${what}, and node ${first.node} may have it: ${first.why}`, {
      retryAfterSeconds: 2,
    });
  }

  /** Of all nodes but one at the same time; those that do not answer are added to `missing`. */
  async #ofAll<Answer>(
    ask: (node: string) => Promise<Answer>,
    missing: MissingNode[],
    but = this.#peers.id,
  ): Promise<{ readonly node: string; readonly answer: Answer }[]> {
    const answers = await Promise.all(
      [this.#peers.id, ...this.#peers.others()]
        .filter((node) => node !== but)
        .map(async (node) => {
          try {
            return [{ node, answer: await ask(node) }];
          } catch (error) {
            if (!this.#isMissing(node, error)) throw error;
            missing.push({ node, why: error.message });
            return [];
          }
        }),
    );
    return answers.flat();
  }

  /** A client that moves leaves its past at each node. */
  async timeline(request: object, caller: Caller): Promise<object> {
    type Events = { readonly items: readonly { readonly lastTime: number }[] };
    const ask = (node: string) => this.#at(node, 'clients timeline', request, caller) as unknown as Promise<Events>;
    const { unanswered, answers } = await this.#everywhere(ask);
    const events = answers.flatMap(({ node, answer }) => answer.items.map((event) => ({ ...event, node })));
    events.sort((one, other) => other.lastTime - one.lastTime);
    return { items: events.slice(0, timelineMost), unanswered };
  }

  async bridges(caller: Caller): Promise<{ bridges: BridgeView[]; unanswered: readonly MissingNode[] }> {
    type Bridges = { readonly bridges: readonly BridgeView[] };
    const ask = (node: string) => this.#at(node, 'bridges list', {}, caller) as unknown as Promise<Bridges>;
    const { unanswered, answers } = await this.#everywhere(ask);
    return { bridges: joinBridges(answers.map(({ node, answer }) => ({ node, ...answer }))), unanswered };
  }

  async bridge(request: OfBridge, caller: Caller): Promise<object> {
    const found = (await this.bridges(caller)).bridges.find(({ name }) => name === request.name);
    const { node = this.#peers.id, standbys } = found ?? {};
    const shown = await this.#at(node, 'bridges show', request, caller);
    return { ...shown, ...(found?.node !== undefined && { node }), ...(standbys !== undefined && { standbys }) };
  }

  /** Noted for all nodes; those that answer need not look for that. */
  async steerBridge(name: 'bridges pause' | 'bridges resume', request: OfBridge, caller: Caller): Promise<object> {
    const { id } = this.#peers;
    await this.#everywhere(async (node) => {
      try {
        await this.#at(node, name, request, caller);
      } catch (error) {
        // Its configuration is another one.
        if (node === id || !(error instanceof CommandFailure && error.kind === 'not-found')) throw error;
      }
    });
    return (await this.bridges(caller)).bridges.find((bridge) => bridge.name === request.name)!;
  }

  /** Bans of operators hold at all nodes; those that a node imposes by itself hold there. */
  async bans(request: object, caller: Caller): Promise<object> {
    const ask = async (node: string) => ((await this.#at(node, 'bans list', request, caller)) as { bans: Ban[] }).bans;
    const { unanswered, answers } = await this.#everywhere(ask);
    const found = new Map<string, { readonly ban: Ban; readonly nodes: string[] }>();
    for (const { node, answer } of answers) {
      for (const ban of answer) {
        const key = JSON.stringify([ban.address, ban.user, ban.client, ban.since, ban.until]);
        found.set(key, { ban, nodes: [...(found.get(key)?.nodes ?? []), node] });
      }
    }
    const bans = [...found.values()].flatMap(({ ban, nodes }) => {
      return nodes.length === answers.length ? [ban] : nodes.map((node) => ({ ...ban, node }));
    });
    return { bans: bans.sort((one, other) => one.until - other.until), unanswered };
  }

  /** What all know is lifted here first, so the others count their own. */
  async clearBans(request: object, caller: Caller): Promise<object> {
    const ask = async (node: string) =>
      ((await this.#at(node, 'bans clear', request, caller)) as { count: number }).count;
    const { unanswered, answers } = await this.#everywhere(ask);
    return { count: answers.reduce((sum, { answer }) => sum + answer, 0), unanswered };
  }

  /** This node first, which may refuse; then all others. */
  async #everywhere<Answer>(ask: (node: string) => Promise<Answer>) {
    const { id } = this.#peers;
    const unanswered: MissingNode[] = [];
    const answers = [{ node: id, answer: await ask(id) }, ...(await this.#ofAll(ask, unanswered))];
    return { unanswered, answers };
  }

  /** The node that has the publisher is asked how far the message gets, and those of its receivers what they do. */
  async explain(request: CommandInput<'explain'>, caller: Caller): Promise<object> {
    const { from, to } = request;
    const at = from === null ? this.#peers.id : await this.#nodeOf(from);
    const ask = async (node: string, asked: object): Promise<NodeExplanation> => {
      return { node, ...((await this.#at(node, 'explain', asked, caller)) as unknown as Explanation) };
    };
    const askClient = (node: string, asked: object) =>
      ask(node, asked).catch((error: Error) => {
        throw error instanceof NodeSilent ? silent(node, 'explain', error) : error;
      });
    const published = await askClient(at, request);
    const asReceived = { ...request, from: null };
    if (to !== null) {
      const there = await this.#nodeOf(to);
      return there === at ? ofOneNode(published) : joinReceiver(published, await askClient(there, asReceived));
    }
    const unanswered = this.#departing();
    const others = await this.#ofAll((node) => ask(node, asReceived), unanswered, at);
    return joinReceivers(
      published,
      others.map(({ answer }) => answer),
      unanswered,
    );
  }
}

const silent = (node: string, name: string, cause: NodeSilent) => {
  const what = `Node ${node} has the client, and does not say whether it has carried out ${name}: ${cause.message}`;
  return new CommandFailure('unavailable', what, { cause, retryAfterSeconds: 2 });
};

const cursorOf = (at: Place) => Buffer.from(JSON.stringify(at)).toString('base64url');

/** Rejects a cursor that is none, in the words for one that is forgotten. */
function placeOf(list: string, cursor: string): Place {
  const read = listPlace.safeParse(jsonOf(Buffer.from(cursor, 'base64url').toString()));
  if (read.success && read.data.list === list) return read.data;
  throw new CommandFailure('cursor-expired', 'The cursor is of no list that goes on; begin anew');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
