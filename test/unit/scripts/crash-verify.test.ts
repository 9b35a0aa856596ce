/** The judge of the crash test finds what it is there to find. */
import { describe, expect, test } from 'vitest';
import { Ledger, type QoS, type SessionRecord } from '../../../scripts/crash/ledger.ts';
import { outstanding, verify } from '../../../scripts/crash/verify.ts';

let ledger = new Ledger();

function aSession(qos: QoS = 2, group: string | null = null, filter = 'a/#'): SessionRecord {
  const session = ledger.session(`session-${ledger.sessions.length}`, qos, group);
  ledger.change(session, 'subscribe', filter).acknowledgedAt = ledger.tick();
  return session;
}

function send(qos: QoS, isAcknowledged = true): string {
  const sent = ledger.send({ publisher: 'p', topic: 'a/b', qos, retain: false, isEmpty: false, size: 10 });
  if (isAcknowledged) sent.acknowledgedAt = ledger.tick();
  return `${sent.number} `;
}

const kinds = () => verify(ledger).violations.map(({ kind }) => kind);

function check(title: string, expected: string[], happen: () => void): void {
  test(title, () => {
    ledger = new Ledger();
    happen();
    expect(kinds()).toEqual(expected);
  });
}

describe('loss', () => {
  check('an acknowledged message that did not arrive is lost', ['lost'], () => {
    aSession();
    send(1);
  });
  check('one that was not acknowledged may be', [], () => {
    aSession();
    send(1, false);
  });
  check('one that was sent before the SUBACK, too', [], () => {
    send(1);
    aSession();
  });
  check('one that was sent while UNSUBSCRIBE was under way, too', [], () => {
    ledger.change(aSession(), 'unsubscribe', 'a/#');
    send(1);
  });
  check('of a group, one member is enough', ['lost'], () => {
    const [first] = [aSession(1, '$share/g/a/#', '$share/g/a/#'), aSession(1, '$share/g/a/#', '$share/g/a/#')];
    ledger.arrived(first, send(1), 1, false);
    send(1);
  });
});

describe('repetition', () => {
  check('QoS 2 must not arrive again, marked or not', ['duplicated'], () => {
    const session = aSession(2);
    const message = send(2);
    for (const dup of [false, true]) ledger.arrived(session, message, 2, dup);
  });
  for (const [title, connections, expected] of [
    ['by another connection, it may have been with another member meanwhile', [1, 2], []],
    ['by the same one it must not', [1, 1], ['duplicated']],
  ] as const) {
    check(`QoS 1 that arrives again at a member of a group: ${title}`, [...expected], () => {
      const member = aSession(1, '$share/g/a/#', '$share/g/a/#');
      const message = send(1);
      for (const connection of connections) {
        member.connections = connection;
        ledger.arrived(member, message, 1, false);
      }
    });
  }
  check('QoS 1 must not arrive again without DUP', ['duplicated'], () => {
    const session = aSession(1);
    const message = send(1);
    for (const _ of [1, 2]) ledger.arrived(session, message, 1, false);
  });
  check('QoS 1 may arrive again with DUP', [], () => {
    const session = aSession(1);
    const message = send(1);
    for (const dup of [false, true]) ledger.arrived(session, message, 1, dup);
  });
  check('what arrives with another QoS was not asked for', ['unwanted'], () =>
    ledger.arrived(aSession(1), send(2), 2, false),
  );
});

describe('order', () => {
  check('an earlier message after a later one is out of order', ['out of order'], () => {
    const session = aSession(1);
    const [first, second] = [send(1), send(1)];
    for (const message of [second, first]) ledger.arrived(session, message, 1, false);
  });
  check('what is merely sent again is not', [], () => {
    const session = aSession(1);
    const [first, second] = [send(1), send(1)];
    for (const message of [first, second]) ledger.arrived(session, message, 1, false);
    ledger.arrived(session, first, 1, true);
  });
});

describe('order when a publisher sends all again that was not acknowledged', () => {
  /** Two messages; the session subscribes before or between them, and gets the second one first. */
  function secondFirst(subscribes: 'before' | 'between', resent: readonly boolean[]): void {
    const session = subscribes === 'before' ? aSession(1) : null;
    const first = send(1, false);
    const late = session ?? aSession(1);
    const second = send(1, false);
    for (const [index, wasResent] of resent.entries()) ledger.messages[index]!.wasResent = wasResent;
    ledger.arrived(late, second, 1, false);
    ledger.arrived(late, first, 1, false);
    ledger.arrived(late, second, 1, true);
  }
  check('who subscribed between two messages may get the later one first', [], () =>
    secondFirst('between', [true, true]),
  );
  check('who was subscribed before must not', ['out of order'], () => secondFirst('before', [true, true]));
  check('nor may the later one have been acknowledged before', ['out of order'], () =>
    secondFirst('between', [true, false]),
  );
});

describe('wills', () => {
  const aWill = (expectation: 'arrives' | 'never', endedAt = 0) =>
    ledger.wills.push({ clientId: 'm', qos: 2, delaySeconds: 1, fate: 'stays', expectation, endedAt, wasCut: false });
  const watcher = () => ledger.session('watcher', 2, null);

  test('one that is still to come is waited for', () => {
    ledger = new Ledger();
    watcher();
    aWill('arrives');
    expect([outstanding(ledger), kinds()]).toEqual([1, ['will']]);
  });
  check('one that was called off must not come', ['will'], () => {
    aWill('never');
    ledger.arrived(watcher(), 'will of m', 2, false);
  });
  check('one of a client that the broker left must not come before the time for its return is over', ['will'], () => {
    aWill('arrives', Date.now() - 1_000);
    ledger.wills[0] = { ...ledger.wills[0]!, wasCut: true };
    ledger.starts.push(Date.now());
    ledger.arrived(watcher(), 'will of m', 2, false);
  });
  check('one must pass the pipeline if its topic does', ['will'], () => {
    aWill('arrives');
    ledger.wills[0] = { ...ledger.wills[0]!, clientId: 'm-piped' };
    ledger.arrived(watcher(), 'will of m-piped', 2, false);
  });
  check('one must not come before its delay', ['will'], () => {
    aWill('arrives', Date.now());
    ledger.arrived(watcher(), 'will of m', 2, false);
  });
});

describe('flags', () => {
  /** One message that comes with DUP as the first thing after the session was away. */
  function comesWithDup(isSentWhileAway: boolean): void {
    const session = aSession(1);
    const before = isSentWhileAway ? null : send(1);
    session.awaySince = ledger.tick();
    ledger.arrived(session, before ?? send(1), 1, true);
  }
  check('what came while the session was away must not come with DUP', ['dup'], () => comesWithDup(true));
  check('what came before may', [], () => comesWithDup(false));
});

describe('what is retained', () => {
  function archive(): string {
    const fields = { publisher: 'p', topic: 'archive/1', retain: true, isEmpty: false, size: 10 } as const;
    const sent = ledger.send({ ...fields, qos: 1 });
    sent.acknowledgedAt = ledger.tick();
    return `${sent.number} `;
  }
  check('is owed to who subscribes later', ['lost'], () => {
    archive();
    aSession(1, null, 'archive/#');
  });
  for (const [title, lives, expected] of [
    ['may come again after a restart', 2, []],
    ['must not come again without one', 1, ['duplicated']],
  ] as const) {
    check(title, [...expected], () => {
      const message = archive();
      const session = aSession(1, null, 'archive/#');
      ledger.starts.push(...Array.from({ length: lives }, () => 0));
      ledger.arrived(session, message, 1, false);
      ledger.arrived(session, message, 1, false);
    });
  }
});

test('what nobody sent, or to nobody who subscribed, is unwanted', () => {
  ledger = new Ledger();
  const session = aSession(1, null, 'elsewhere');
  ledger.arrived(session, send(1), 1, false);
  ledger.arrived(session, '99 ', 1, false);
  expect(kinds()).toEqual(['unwanted', 'unwanted']);
});

describe('over a bridge', () => {
  const arrivals = (mayRepeat: Ledger['mayRepeat'], qos: QoS, lives: readonly number[]) => {
    ledger.mayRepeat = mayRepeat;
    const session = aSession(qos);
    const message = send(qos);
    for (const life of lives) {
      session.life = life;
      ledger.arrived(session, message, qos, false);
    }
  };
  check('QoS 1 may come again in the next life of its broker', [], () => arrivals('in the next life', 1, [1, 2]));
  check('but not in the same one', ['duplicated'], () => arrivals('in the next life', 1, [2, 2]));
  check('from another broker at any time', [], () => arrivals('always', 1, [1, 1]));
  check('QoS 2 never', ['duplicated', 'duplicated'], () => arrivals('always', 2, [1, 1, 2]));
  check('what was sent before a session on its way was deleted may be lost', ['lost'], () => {
    const session = aSession(1);
    send(1);
    session.promisedFrom = ledger.tick();
    send(1);
  });
});
