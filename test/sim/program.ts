/**
 * The program that a broker is embedded in, as bad as programs are: its event listeners throw, and its hooks answer
 * what is no answer.
 */
import type { Random } from '../../scripts/crash/random.ts';
import type { BrokerEventMap, BrokerEvents } from '../../src/broker/events.ts';
import type { Hooks } from '../../src/contracts/hooks.ts';
import type { Life, World } from './world.ts';

/** What the hooks have no valid answer for. */
const senselessTopic = 'x/y';
const senselessFilter = 'x/+';

export const hasAnswerTo = (topic: string): boolean => topic !== senselessTopic;
export const hasAnswerToFilter = (filter: string): boolean => filter !== senselessFilter;

/** What its listeners throw. */
export class RudeError extends Error {}

/** A bug of ours that costs one connection, and nobody else anything. */
export class PlantedError extends Error {}

const eventNames = [
  'connected',
  'disconnected',
  'subscribed',
  'unsubscribed',
  'sessionEnded',
] as const satisfies readonly (keyof BrokerEventMap)[];

export function listenRudely(events: BrokerEvents, random: Random): void {
  for (const name of eventNames) {
    events.on(name, () => {
      if (random.isLucky(0.5)) throw new RudeError(`a listener of ${name} throws`);
      return Promise.reject(new RudeError(`a listener of ${name} rejects`)) as never;
    });
  }
}

/** At once or later, as hooks may. */
export function senselessHooks(world: World, random: Random, life: Life): Hooks {
  const answer = (valid: number, isSenseless: boolean): number | Promise<number> => {
    const given = isSenseless ? senseless(random) : valid;
    if (random.isLucky(0.7)) return given;
    const thenable = {
      // biome-ignore lint/suspicious/noThenProperty: a program may give a thenable that is no Promise
      then: (resolve: (value: number) => void) => world.after(random.between(0, 50), () => resolve(given), life),
    };
    return thenable as Promise<number>;
  };
  return {
    authorizePublish: (_client, topic) => answer(0, topic.name === senselessTopic),
    authorizeSubscribe: (_client, filter, qos) => answer(qos, filter === senselessFilter),
  };
}

function senseless(random: Random): number {
  const answers: readonly unknown[] = [
    undefined,
    null,
    false,
    true,
    Number.NaN,
    'no',
    '',
    3,
    127,
    256,
    -1,
    0.5,
    {},
    [],
  ];
  return random.pick(answers) as number;
}
