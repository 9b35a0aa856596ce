import { expect, test } from 'vitest';
import type { AuditEvent } from '../../../src/contracts/audit.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { ListenerLog } from '../../../src/net/listener-log.ts';

test('a flood of refused clients is a line in the log, each is in the audit log, and none hides a bug', () => {
  const lines: string[] = [];
  const events: AuditEvent[] = [];
  const log = { ...silentLog, warn: (_fields: object, message: string) => void lines.push(message) };
  const listenerLog = new ListenerLog(log, { wants: () => true, record: (event) => void events.push(event) });
  listenerLog.listener = 'mqtts://x';
  for (let i = 0; i < 100; i++) listenerLog.refuse(`192.0.2.1:${i}`, 'it does not speak TLS');
  let isDestroyed = false;
  const socket = { destroy: () => void (isDestroyed = true) };
  const bug = () => {
    throw new Error('a bug');
  };
  expect(listenerLog.contain(socket as never, bug)).toBe(null);
  expect(isDestroyed).toBe(true);
  listenerLog.fail('too many open files');
  expect(lines).toEqual([
    'a client at 192.0.2.1:0 was turned away: it does not speak TLS',
    expect.stringMatching(/^a bug in Sluice kept a connection out: Error: a bug/),
    'too many open files',
  ]);
  expect(events).toHaveLength(100);
  expect(events[99]).toEqual({
    event: 'handshakeRefused',
    from: '192.0.2.1:99',
    listener: 'mqtts://x',
    reason: 'it does not speak TLS',
  });
});
