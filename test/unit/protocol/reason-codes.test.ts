import { expect, test } from 'vitest';
import { connackCode, inConnack, ReasonCode } from '../../../src/protocol/reason-codes.ts';

test.each([
  ['it has a code for that', ReasonCode.NotAuthorized, ReasonCode.NotAuthorized],
  ['the server stops', ReasonCode.ServerShuttingDown, ReasonCode.ServerUnavailable],
  ['another connection has taken the session over before', ReasonCode.SessionTakenOver, ReasonCode.ServerBusy],
  ['nothing says it better', ReasonCode.KeepAliveTimeout, ReasonCode.UnspecifiedError],
])('CONNACK says as well as it can why a connection ends: %s [MQTT5 3.2.2.2]', (_why, code, said) => {
  expect(connackCode(code)).toBe(said);
  expect(inConnack.has(connackCode(code))).toBe(true);
});
