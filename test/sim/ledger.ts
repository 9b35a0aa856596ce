/**
 * Counts anew what the broker holds, and compares it with what its ledger says: all of it, of each category and of each
 * client. Payloads and names are counted by the byte; what stands around them by the constants of the broker.
 */
import { Category, type CategoryName } from '../../src/base/ledger.ts';
import { Connection } from '../../src/broker/connection.ts';
import {
  aroundRetained,
  deliveryBytes,
  filterFootprint,
  messageFootprint,
  nameBytes,
  sessionBytes,
  willBytes,
} from '../../src/core/footprint.ts';
import type { CoreParts } from '../../src/core/parts.ts';
import { slotBytes, stragglerBytes } from '../../src/core/send-window.ts';
import type { Session } from '../../src/core/session.ts';
import type { Message } from '../../src/protocol/message.ts';
import type { Judge } from './judge.ts';

/** Every session from its beginning to its end: those that have ended may still have a backlog to pass on. */
const living = new WeakMap<CoreParts, Set<Session>>();

export function watchSessions(core: CoreParts, judge: Judge): void {
  // Retained messages that nobody can see.
  core.ledger.add(Category.retained, judge.memory.taken);
  const sessions = new Set<Session>();
  living.set(core, sessions);
  const begun = (session: Session) => {
    sessions.add(session);
    const end = session.end.bind(session);
    session.end = () => {
      end();
      sessions.delete(session);
    };
  };
  const add = core.directory.add.bind(core.directory);
  core.directory.add = (session) => {
    add(session);
    begun(session);
  };
  // Some had ended before a restart, and nobody finds them any more.
  const { redistribution } = core.delivering;
  const begin = redistribution.begin.bind(redistribution);
  redistribution.begin = (session, ...about) => {
    if (!sessions.has(session)) begun(session);
    begin(session, ...about);
  };
}

/** The others are gauges of what counts its bytes by itself, and what connections have. */
const counted = ['queues', 'inFlight', 'retained', 'wills', 'sessions', 'subscriptions', 'pipelines'] as const;

class Count {
  readonly bytes = new Map<CategoryName, number>();
  readonly #holders = new Map<Message, number>();
  ofClient = 0;

  add(category: CategoryName, bytes: number): void {
    this.bytes.set(category, (this.bytes.get(category) ?? 0) + bytes);
    this.ofClient += bytes;
  }

  hold(category: CategoryName, message: Message, around: number): void {
    this.add(category, messageFootprint(message) + around);
    const { original } = message;
    this.#holders.set(original, (this.#holders.get(original) ?? 0) + 1);
  }

  get shared(): number {
    let bytes = 0;
    for (const [message, holders] of this.#holders) bytes += (holders - 1) * messageFootprint(message);
    return bytes;
  }
}

export function checkLedger(judge: Judge): void {
  const core = judge.core!;
  const { ledger } = core;
  const count = new Count();
  for (const session of living.get(core)!) {
    count.ofClient = 0;
    countSession(count, session);
    const { channel } = session;
    if (channel instanceof Connection && channel.account === session.account) {
      count.ofClient += channel.heldBytes;
      if (channel.pendingPublish.waiting !== null)
        count.hold('pipelines', channel.pendingPublish.waiting, deliveryBytes);
    }
    const { bytes } = session.account;
    judge.check(bytes === count.ofClient, 'the ledger is what is held', () => {
      return `${session.clientId} is charged ${bytes} bytes, and holds ${count.ofClient}`;
    });
  }
  for (const message of core.retained) count.hold('retained', message, aroundRetained(message));
  let wills = 0;
  for (const { message, clientId } of core.wills) {
    wills++;
    count.hold('wills', message, willBytes + nameBytes(clientId));
  }
  judge.check(wills === core.wills.count, 'the ledger is what is held', () => `${wills} wills of ${core.wills.count}`);
  count.add('retained', judge.memory.taken);
  let connectionBytes = 0;
  // The broker's own: what it has of a lost connection stays until it has handled what came before.
  for (const { heldBytes } of judge.connections) connectionBytes += heldBytes;
  const charged = ledger.bytesOf(Category.packets) + ledger.bytesOf(Category.output);
  judge.check(charged === connectionBytes, 'the ledger is what is held', () => {
    return `connections: ${charged} bytes, and they have ${connectionBytes}`;
  });
  for (const name of counted) {
    const [says, holds] = [ledger.bytesOf(Category[name]), count.bytes.get(name) ?? 0];
    judge.check(says === holds, 'the ledger is what is held', () => `${name}: ${says} bytes, and it is ${holds}`);
  }
  checkTotals(judge, core);
  const { sharedBytes } = ledger;
  judge.check(sharedBytes === count.shared, 'the ledger is what is held', () => {
    return `${sharedBytes} bytes are held in common, and it is ${count.shared}`;
  });
  ledger.assertSound();
}

/** What is counted as it changes is what a look at all sessions finds. */
function checkTotals(judge: Judge, { directory, queued }: CoreParts): void {
  let [connected, messages, bytes] = [0, 0, 0];
  for (const session of directory) if (session.isConnected) connected++;
  for (const { queue } of living.get(judge.core!)!) {
    messages += queue.length;
    bytes += queue.bytes;
  }
  judge.check(connected === directory.connected, 'the totals are what all sessions have', () => {
    return `${directory.connected} sessions count as connected, and it is ${connected}`;
  });
  judge.check(messages === queued.messages && bytes === queued.bytes, 'the totals are what all sessions have', () => {
    return `${queued.messages} messages of ${queued.bytes} bytes count as queued, and it is ${messages} of ${bytes}`;
  });
}

function countSession(count: Count, session: Session): void {
  const { queue, window, will, received, identity } = session;
  const texts = [session.clientId, identity?.username ?? null, session.disconnectReason];
  count.add(
    'sessions',
    texts.reduce((sum, text) => sum + nameBytes(text), sessionBytes),
  );
  for (const filter of session.subscriptions.keys()) {
    count.add('subscriptions', filterFootprint(Buffer.byteLength(filter)));
  }
  for (const { message } of queue) count.hold('queues', message, deliveryBytes);
  for (const packetId of window) {
    const delivery = window.delivery(packetId);
    if (delivery !== null) count.hold('inFlight', delivery.message, deliveryBytes);
    if (window.isStraggler(packetId)) count.add('inFlight', stragglerBytes);
  }
  count.add('inFlight', window.slots * slotBytes + received.footprint);
  if (will !== null) count.hold('wills', will.message, willBytes);
}
