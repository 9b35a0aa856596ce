/**
 * All commands of a running broker. However one comes in, from the command line, over HTTP or from the program, it runs
 * here: whoever gives it must be allowed to, its request is checked, and what changes something is in the audit log
 * with what became of it.
 */
import { excerpt } from '../base/excerpt.ts';
import type { Audit } from '../contracts/audit.ts';
import {
  type CommandAnswer,
  type CommandHandlers,
  type CommandName,
  type CommandRequest,
  checkedName,
  checkedRequest,
  commands,
  type SingleName,
  type StreamName,
} from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import { type Caller, mayCall, program } from '../contracts/roles.ts';
import { StoreError } from '../contracts/session-store.ts';

type Single = (request: object, caller: Caller, signal?: AbortSignal) => Promise<object>;
type Stream = (request: object, caller: Caller, signal: AbortSignal) => AsyncIterable<object>;

/** A request in the audit log is cut to so many characters. */
const requestTextMax = 1_024;

export class Commands {
  readonly #handlers: CommandHandlers;
  readonly #audit: Audit | null;

  constructor(handlers: CommandHandlers, audit: Audit | null) {
    this.#handlers = handlers;
    this.#audit = audit;
  }

  /**
   * Rejects with a CommandFailure that tells the operator why it is not carried out, a RequestError if it is asked
   * wrongly; with anything else for a bug.
   */
  run<Name extends SingleName>(
    command: Name,
    request: CommandRequest<Name>,
    caller: Caller = program,
  ): Promise<CommandAnswer<Name>> {
    return this.receive(command, request, caller) as Promise<CommandAnswer<Name>>;
  }

  /** The same for a name and a request that may be anything. `signal` is aborted when nobody waits for the answer. */
  async receive(command: string, given: unknown, caller: Caller, signal?: AbortSignal): Promise<object> {
    const changes = !isRead(command) && !isTraffic(command);
    try {
      const { name, request } = this.#admit(command, given, caller);
      const answer = await (this.#handlers[name] as Single)(request, caller, signal);
      if (changes) this.#record(command, given, caller, { outcome: 'done' });
      return answer;
    } catch (error) {
      if (changes || isForbidden(error)) this.#failed(command, given, caller, error);
      throw error instanceof StoreError ? new CommandFailure('unavailable', error.message, { cause: error }) : error;
    }
  }

  /** Throws as `run` rejects, for what can be told before the first event. */
  stream<Name extends StreamName>(
    command: Name,
    given: unknown,
    caller: Caller,
    signal: AbortSignal,
  ): AsyncIterable<CommandAnswer<Name>>;
  stream(command: string, given: unknown, caller: Caller, signal: AbortSignal): AsyncIterable<object>;
  stream(command: string, given: unknown, caller: Caller, signal: AbortSignal): AsyncIterable<object> {
    try {
      const { name, request } = this.#admit(command, given, caller);
      const events = (this.#handlers[name] as unknown as Stream)(request, caller, signal);
      this.#record(command, given, caller, { outcome: 'begun' });
      return events;
    } catch (error) {
      this.#failed(command, given, caller, error);
      throw error;
    }
  }

  #admit(command: string, given: unknown, caller: Caller): { name: CommandName; request: object } {
    const name = checkedName(command);
    const { role, area } = commands[name];
    if (!mayCall(caller, { role, area })) {
      const needed = `the role ${role} for the area ${area}`;
      throw new CommandFailure('forbidden', `${caller.name} may not give the command ${name}: it needs ${needed}`);
    }
    return { name, request: checkedRequest(name, given) };
  }

  #failed(command: string, given: unknown, caller: Caller, error: unknown): void {
    this.#record(command, given, caller, { outcome: 'failed', reason: (error as Error).message });
  }

  #record(command: string, given: unknown, { name, from }: Caller, became: { outcome: string; reason?: string }): void {
    if (this.#audit === null) return;
    const request = excerpt(known(command, given), { charactersMax: requestTextMax });
    this.#audit.record({ event: 'command', command, request, by: name, ...(from === null ? {} : { from }), ...became });
  }
}

/** Of a request, what the command asks for: another key may be a misspelt one of a secret. */
function known(command: string, given: unknown): object {
  if (typeof given !== 'object' || given === null || !Object.hasOwn(commands, command)) return {};
  const keys = Object.keys(commands[command as CommandName].request.shape).filter((key) => Object.hasOwn(given, key));
  return Object.fromEntries(keys.map((key) => [key, (given as Record<string, unknown>)[key]]));
}

/** Messages are not, either. */
const isTraffic = (command: string) =>
  Object.hasOwn(commands, command) && 'isTraffic' in commands[command as CommandName];

/** What only reads is not in the audit log, unless it was forbidden. */
const isRead = (command: string) =>
  Object.hasOwn(commands, command) && commands[command as CommandName].route.startsWith('GET ');

const isForbidden = (error: unknown) => error instanceof CommandFailure && error.kind === 'forbidden';
