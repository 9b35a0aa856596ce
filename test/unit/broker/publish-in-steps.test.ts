/** What a pipeline makes of one message. */
import { expect, test, vi } from 'vitest';
import type { Step } from '../../../src/base/scheduler.ts';
import type { Asker } from '../../../src/broker/late-answers.ts';
import { publish } from '../../../src/broker/publish.ts';
import type { MessageChange } from '../../../src/contracts/hooks.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { World } from '../../support/core-world.ts';

/** Passes a message through a pipeline that makes these of it. */
function passing(changes: readonly MessageChange[]) {
  const steps: { step: Step; done: () => void }[] = [];
  const told: string[] = [];
  const { core, door } = new World();
  const asker: Partial<Asker> = {
    context: {
      core: door,
      hooks: {},
      settings: core.settings,
      cluster: null,
      spans: null,
      scheduler: { checkSoon() {} },
      limitedLog: { error: (_kind: string, _fields: object, text: string) => void told.push(text) },
      advanceClock() {},
      journal: { stageReport: () => undefined },
      pipeline: {
        generation: 1,
        concerns: (topic: string) => topic === 'in',
        onPublish: () => ({ verdict: 'split', messages: changes }),
      },
    } as unknown as Asker['context'],
    identity: null,
    clientId: 'c',
    isClosing: false,
    park: () => void told.push('parked'),
    unpark: () => void told.push('unparked'),
    guard: (run) => run(),
    inItsTime: (run) => run(),
    inSteps: (step, done) => void steps.push({ step, done }),
  };
  const published = vi.spyOn(core.distributor, 'publish');
  publish(
    {
      asker: asker as Asker,
      origin: null,
      passesHooks: true,
      staysHere: false,
      waitsForDisk: false,
      whenFull: 'drop',
      isAbandoned: false,
      ruledCode: () => 0,
      refused: (code) => void told.push(`refused with ${code}`),
      published: () => void told.push(published.mock.calls.map(([message]) => message.payload.toString()).join(' ')),
      work: (step) => {
        while (step());
      },
    },
    Message.of(Topic.of('in'), Buffer.from('x')),
  );
  return { steps, told };
}

const change = (i: number): MessageChange => ({ topic: `out/${i}`, payload: Buffer.from(`${i}`) });

test('a few messages are made at once', () => {
  expect(passing([change(0), change(1)]).told).toEqual(['0 1']);
});

test('very many are made in steps, while their publisher waits', async () => {
  const { steps, told } = passing(Array.from({ length: 1_000 }, (_, i) => change(i)));
  expect(told).toEqual(['parked']);
  let count = 1;
  while (steps[0]!.step()) count++;
  expect(count).toBeGreaterThan(50);
  steps[0]!.done();
  await expect.poll(() => told).toHaveLength(3);
  expect(told).toEqual(['parked', Array.from({ length: 1_000 }, (_, i) => i).join(' '), 'unparked']);
});

test('one among them that cannot be published refuses all', async () => {
  const { steps, told } = passing([...Array.from({ length: 100 }, (_, i) => change(i)), { topic: 'a/#' }]);
  while (steps[0]!.step());
  steps[0]!.done();
  await expect.poll(() => told).toHaveLength(4);
  expect(told.slice(1, 3)).toEqual(['onPublish made an invalid message', 'refused with 131']);
});
