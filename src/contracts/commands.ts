/**
 * The commands to a running broker: what each is asked and what it answers, one schema each, who may give it, and where
 * it is in the HTTP API. The API, the command line and the library all take them from here. A command is added to a
 * file in `commands/`, and what carries it out to those that `app.ts` puts together.
 */
import type { z } from 'zod';
import { nearest } from '../base/nearest.ts';
import { accessCommands } from './commands/access.ts';
import { alarmCommands } from './commands/alarms.ts';
import { auditCommands } from './commands/audit.ts';
import { bridgeCommands } from './commands/bridges.ts';
import { brokerCommands } from './commands/broker.ts';
import { clientCommands } from './commands/clients.ts';
import { diagnosticsCommands } from './commands/diagnostics.ts';
import { explainCommands } from './commands/explain.ts';
import { figureCommands } from './commands/figures.ts';
import { keyCommands } from './commands/keys.ts';
import { listenerCommands } from './commands/listeners.ts';
import { listCommands } from './commands/lists.ts';
import { messageCommands } from './commands/messages.ts';
import { operationCommands } from './commands/operation.ts';
import { pipelineCommands } from './commands/pipelines.ts';
import { quarantineCommands } from './commands/quarantine.ts';
import { retainedCommands } from './commands/retained.ts';
import { subscriptionCommands } from './commands/subscriptions.ts';
import { topicCommands } from './commands/topics.ts';
import { userCommands } from './commands/users.ts';
import { RequestError, type RequestFault } from './failures.ts';
import { expectation, finding } from './problems.ts';
import type { Caller } from './roles.ts';

export const commands = {
  ...brokerCommands,
  ...alarmCommands,
  ...figureCommands,
  ...listenerCommands,
  ...bridgeCommands,
  ...operationCommands,
  ...pipelineCommands,
  ...userCommands,
  ...listCommands,
  ...clientCommands,
  ...messageCommands,
  ...topicCommands,
  ...retainedCommands,
  ...subscriptionCommands,
  ...accessCommands,
  ...auditCommands,
  ...quarantineCommands,
  ...diagnosticsCommands,
  ...explainCommands,
  ...keyCommands,
} as const;

type Commands = typeof commands;
export type CommandName = keyof Commands;
/** Those that answer event after event. */
export type StreamName = {
  [Name in CommandName]: Commands[Name] extends { isStream: true } ? Name : never;
}[CommandName];
export type SingleName = Exclude<CommandName, StreamName>;

/** What a command is asked; what has a default may be left out. */
export type CommandRequest<Name extends CommandName> = z.input<Commands[Name]['request']>;
/** The same with the defaults. */
export type CommandInput<Name extends CommandName> = z.output<Commands[Name]['request']>;
export type CommandAnswer<Name extends CommandName> = z.output<Commands[Name]['answer']>;

/**
 * What carries out the commands. Each may reject with a CommandFailure that tells the operator why it does not; any
 * other error is a bug. A stream ends when `signal` is aborted; for others that says that nobody waits for the answer.
 */
export type CommandHandlers = {
  readonly [Name in SingleName]: (
    request: CommandInput<Name>,
    caller: Caller,
    signal?: AbortSignal,
  ) => Promise<CommandAnswer<Name>>;
} & {
  readonly [Name in StreamName]: (
    request: CommandInput<Name>,
    caller: Caller,
    signal: AbortSignal,
  ) => AsyncIterable<CommandAnswer<Name>>;
};

const isCommand = (name: string): name is CommandName => Object.hasOwn(commands, name);

/** Throws a RequestError. */
export function checkedName(name: string): CommandName {
  if (isCommand(name)) return name;
  const suggestion = nearest(name, Object.keys(commands));
  const hint = suggestion === null ? '' : `; did you mean "${suggestion}"?`;
  throw new RequestError(`The broker knows no command ${JSON.stringify(name)}${hint}`);
}

/** With defaults for what is left out. Throws a RequestError. */
export function checkedRequest<Name extends CommandName>(name: Name, request: unknown): CommandInput<Name> {
  const { data, error } = commands[name].request.safeParse(request);
  if (error === undefined) return data as CommandInput<Name>;
  const faults = faultsOf(error, request);
  throw new RequestError(faults.map((fault) => `${name}: ${inWords(fault)}`).join('\n'), faults);
}

/** Throws an Error: the broker is of another version than who asks. */
export function checkedAnswer<Name extends CommandName>(name: Name, answer: unknown): CommandAnswer<Name> {
  const { data, error } = commands[name].answer.safeParse(answer);
  if (error === undefined) return data as CommandAnswer<Name>;
  const [fault] = faultsOf(error, answer);
  throw new Error(`The broker answers ${name} as another version of Sluice does (${inWords(fault!)})`);
}

const inWords = ({ at, message }: RequestFault) => (at === '' ? message : `${at}: ${message}`);

/** Whoever has made more mistakes finds the next ones by mending these. */
const faultsMax = 20;

function faultsOf({ issues }: z.ZodError, input: unknown): RequestFault[] {
  const faults = issues.slice(0, faultsMax).flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys')
      return issue.keys
        .slice(0, faultsMax)
        .map((key) => ({ at: [...path, key.slice(0, 100)].join('.'), message: 'there is no such key' }));
    return { at: path.join('.'), message: `${expectation(issue)}, ${finding(issue, input)}` };
  });
  return faults.slice(0, faultsMax);
}
