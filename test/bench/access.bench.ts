/** What a question to 1,000 rules costs, of which the last one matches: each iteration asks 1,000 times. */
import { bench, describe } from 'vitest';
import { parse } from 'yaml';
import { rulesWithMatchAtTheEnd } from '../../scripts/bench/brokers.ts';
import { Topic } from '../../src/protocol/topic.ts';
import { aClient, grantedOf, policyOf } from '../support/authorization.ts';

const count = 1_000;
const policy = policyOf({ rules: rulesWithMatchAtTheEnd(count).map((rule) => parse(rule)) });
const client = aClient({ clientId: 'c1', username: 'ada', groups: ['a', 'b'] });
const rights = policy.rightsOf(client);
const other = policy.rightsOf(client);
const topics = Array.from({ length: count }, (_, i) => Topic.of(`site/pair/line-${i}`));

describe('questions to 1,000 rules', () => {
  bench('a publisher that stays with its topic', () => {
    for (let i = 0; i < count; i++) rights.publish(topics[0]!, 0, false);
  });
  bench('one publisher, one topic after the other', () => {
    for (const topic of topics) rights.publish(topic, 0, false);
  });
  bench('two publishers, one topic after the other: each of the 2,000 answers is looked up', () => {
    for (const topic of topics) {
      rights.publish(topic, 0, false);
      other.publish(topic, 0, false);
    }
  });
  bench('topics that nobody has asked about, on delivery', () => {
    for (const { name } of topics) rights.receive(name);
  });
  bench('filters', () => {
    for (let i = 0; i < count; i++) grantedOf(rights, 'site/+/line/#');
  });
  bench('clients that connect and publish once', () => {
    for (let i = 0; i < count; i++) policy.rightsOf(client).publish(topics[0]!, 0, false);
  });
});
