/** Nobody is told that a session is gone that would be there again after a crash. */
import { expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import { UnstoredEnds } from '../../../src/core/unstored-ends.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { Rounds } from '../../support/rounds.ts';
import { wire } from '../../support/wire.ts';

/** Sessions are staged, and durable when the test says so. */
class HeldStore extends MemoryStore {
  override staged = 0 as number as 0;
  override durableChanges = 0 as number as 0;
  #done: (() => void)[] = [];

  constructor() {
    super();
    Object.defineProperty(this, 'isDurable', { get: () => this.durableChanges === this.staged });
  }

  #stage(): void {
    (this.staged as number)++;
    this.onUrgent();
  }

  override putSession(): void {
    this.#stage();
  }

  override removeSession(): boolean {
    this.#stage();
    return false;
  }

  override commit(done: () => void): void {
    const upTo = this.staged;
    this.#done.push(() => {
      this.durableChanges = upTo;
      done();
    });
  }

  write(): void {
    for (const done of this.#done.splice(0)) done();
  }
}

function connectedTo(broker: Broker, hex: ReturnType<typeof wire>): { sent: number; leave(): void } {
  const client = { sent: 0, leave: () => receiver.onClose(null) };
  const stream: ByteStream = {
    ...{ kind: 'tcp', remoteAddress: '127.0.0.1:50000', certificate: null, pendingBytes: 0 },
    write: ({ length }) => (client.sent += length),
    ...{ pause() {}, resume() {} },
    end: () => receiver.onClose(null),
    destroy: () => receiver.onClose(null),
  };
  const receiver: ByteReceiver = broker.accept(stream, 'mqtt://127.0.0.1:1883')!;
  const bytes = Buffer.from(hex);
  receiver.onBytes(bytes, 0, bytes.length);
  return client;
}

test('CONNACK of a client whose last session has ended waits until the store has that [MQTT5 3.1.2-4]', async () => {
  const rounds = new Rounds();
  const store = new HeldStore() as unknown as MemoryStore & { write(): void };
  const settings = { ...defaultSettings, sysIntervalSeconds: 0 };
  const timers = { after: () => {}, every: () => () => {} };
  const broker = new Broker({ scheduler: rounds.scheduler, settings, store, log: silentLog, timers });
  const kept = wire`10 { 'MQTT' 04 00 0000 'c' }`;
  const clean = wire`10 { 'MQTT' 04 02 0000 'c' }`;
  const finish = () => {
    rounds.rest();
    store.write();
    rounds.rest();
  };
  const first = connectedTo(broker, kept);
  finish();
  expect(first.sent).toBe(4);
  first.leave();
  finish();

  // Gone before its CONNACK, which waits for the end of the session that was kept.
  const second = connectedTo(broker, clean);
  rounds.rest();
  second.leave();
  const third = connectedTo(broker, clean);
  const stranger = connectedTo(broker, wire`10 { 'MQTT' 04 02 0000 'd' }`);
  rounds.rest();
  expect([second.sent, third.sent, stranger.sent]).toEqual([0, 0, 4]);
  finish();
  finish();
  expect(third.sent).toBe(4);
});

test('what the store has is forgotten, however many sessions end', () => {
  const store = { staged: 0, durableChanges: 0 };
  const ends = new UnstoredEnds(store);
  for (const clientId of ['a', 'b', 'a']) {
    store.staged++;
    ends.add(clientId);
  }
  store.durableChanges = 2;
  expect([ends.has('a'), ends.has('b')]).toEqual([true, false]);
  store.durableChanges = 3;
  expect(ends.has('a')).toBe(false);
});
