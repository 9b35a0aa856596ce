/**
 * All commands of a running broker. However one comes in, by the socket or from the program, it runs here: its request
 * is checked, and it is in the audit log with what became of it.
 */
import type { Audit } from '../contracts/audit.ts';
import {
  type CommandAnswer,
  type CommandHandlers,
  type CommandName,
  type CommandRequest,
  checkedName,
  checkedRequest,
  RequestError,
} from '../contracts/commands.ts';

const shape = 'A request is an object with "command", its name, and "request", an object';

export class Commands {
  readonly #handlers: CommandHandlers;
  readonly #audit: Audit | null;

  constructor(handlers: CommandHandlers, audit: Audit | null) {
    this.#handlers = handlers;
    this.#audit = audit;
  }

  /** Rejects with what to tell the operator; with a RequestError if it is asked wrongly. */
  run<Name extends CommandName>(command: Name, request: CommandRequest<Name>): Promise<CommandAnswer<Name>> {
    return this.#run(command, request) as Promise<CommandAnswer<Name>>;
  }

  /** The same for a request that may be anything: an object with `command` and `request`. */
  async receive(received: unknown): Promise<object> {
    const { command, request } = (received ?? {}) as { command?: unknown; request?: unknown };
    if (typeof command === 'string') return this.#run(command, request ?? {});
    return this.refuse(shape);
  }

  async #run(command: string, given: unknown): Promise<object> {
    const request = JSON.stringify(given);
    try {
      const name = checkedName(command);
      const handler = this.#handlers[name] as (request: object) => Promise<object>;
      const answer = await handler(checkedRequest(name, given));
      this.#audit?.record({ event: 'command', command, request, outcome: 'done' });
      return answer;
    } catch (error) {
      this.#audit?.record({ event: 'command', command, request, outcome: 'failed', reason: (error as Error).message });
      throw error;
    }
  }

  /** What came can be no request. Throws a RequestError that says so. */
  refuse(reason: string): never {
    this.#audit?.record({ event: 'command', outcome: 'failed', reason });
    throw new RequestError(reason);
  }
}
