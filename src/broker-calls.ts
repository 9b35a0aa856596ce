/** Commands as methods of the broker of a program: `clients list` is `broker.clients.list`. */
import type { Commands } from './admin/commands.ts';
import { type CommandAnswer, type CommandRequest, commands, type SingleName } from './contracts/commands.ts';

type WordOf<Name> = Name extends `${infer Word} ${string}` ? Word : never;
type VerbOf<Name, Word extends string> = Name extends `${Word} ${infer Verb}` ? Verb : never;

type Method<Name extends SingleName> = (
  ...request: Record<never, never> extends CommandRequest<Name> ? [CommandRequest<Name>?] : [CommandRequest<Name>]
) => Promise<CommandAnswer<Name>>;

/** By the first word of the command, then by the second one. */
export type BrokerCalls = {
  readonly [Word in WordOf<SingleName>]: {
    readonly [Verb in VerbOf<SingleName, Word>]: Method<Extract<SingleName, `${Word} ${Verb}`>>;
  };
};

/** Each rejects as `Commands.run` does. */
export function brokerCalls(running: Commands): BrokerCalls {
  const calls: Record<string, Record<string, (request?: object) => Promise<unknown>>> = {};
  for (const name of Object.keys(commands) as SingleName[]) {
    const [word = '', verb] = name.split(' ');
    if (verb === undefined) continue;
    calls[word] = { ...calls[word], [verb]: (request = {}) => running.run(name, request as never) };
  }
  return calls as unknown as BrokerCalls;
}
