/** What is shown for client identifiers that no client has. */
import { expect, test } from 'vitest';
import { bridgeText, clientText } from '../../../src/contracts/client-name.ts';

test.each([
  ['\0bridge/up', 'bridge up'],
  ['\0bridge/up/3.9.', 'bridge up, priority 9'],
  ['\0bridge/up/12.0.for-the-cloud', 'bridge up, priority 0, pipeline for-the-cloud'],
])('the session %j of a bridge is shown as %s', (clientId, text) => {
  expect(bridgeText(clientId)).toBe(text);
  expect(clientText(clientId)).toBe(`the ${text}`);
});

test.each(['bridge/up', '\0program/up', 'up'])('%j is no session of a bridge', (clientId) => {
  expect(bridgeText(clientId)).toBeNull();
  expect(clientText(clientId)).toBe(JSON.stringify(clientId));
});
