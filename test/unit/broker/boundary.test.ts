/** What a peer, a hook, a listener or a bug of ours does wrong costs whoever is to blame, and nobody else. */
import { describe, expect, test } from 'vitest';
import { testBroker } from '../../support/broker.ts';

describe('what a stranger sends', () => {
  const broker = testBroker();

  test.each([65_530, 65_535])(
    'an Authentication Method of %i bytes is refused, and everybody else is served [MQTT5 4.12.0-1]',
    async (length) => {
      const other = await broker.connect({ version: 5 });
      const stranger = await broker.open(5);

      stranger.sendConnect({ properties: { authenticationMethod: 'm'.repeat(length) } });

      const connack = await stranger.next('connack');
      expect(connack.reasonCode).toBe(0x8c);
      expect(connack.properties?.reasonString).toMatch(/^Authentication method "m+…/);
      expect(await stranger.closed()).toEqual([]);
      await other.nothingElse();
    },
  );

  test('what is echoed of it is printable', async () => {
    const stranger = await broker.open(5);
    stranger.sendConnect({ properties: { authenticationMethod: '\u001b[2J\u202e' } });
    const reason = String((await stranger.next('connack')).properties?.reasonString);
    expect(reason).toBe('Authentication method "\\u001b[2J\\u202e" is not offered here');
  });
});
