/** What a client finds after the broker was killed at a moment of the test's choice. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { KillableBroker, type KillableOptions } from '../../support/killable-broker.ts';
import type { ConnectOptions, WireClient } from '../../support/wire-client.ts';

let broker: KillableBroker;
afterEach(() => broker.remove());

async function start(options: KillableOptions = {}): Promise<void> {
  broker = await KillableBroker.start(options);
}

function connect(clientId: string, options: ConnectOptions = {}): Promise<WireClient> {
  const properties = { sessionExpiryInterval: 1_000 };
  return broker.connect({ version: 5, clientId, clean: false, properties, ...options });
}

describe('session expiry', () => {
  test('counts from the moment at which the connection was lost, also if the broker is killed right after [MQTT5 3.1.2-23]', async () => {
    let now = 1_800_000_000_000;
    // Nothing but the turn itself may be what writes it down.
    await start({ clock: { now: () => now }, hasTicks: false });
    const subscriber = await connect('subscriber', { properties: { sessionExpiryInterval: 2 } });
    const isGone = new Promise<void>((resolve) => void broker.broker.events.on('disconnected', () => resolve()));
    await subscriber.vanish();
    await isGone;
    await vi.waitFor(() => expect(broker.store.isDurable).toBe(true), 10_000);
    await broker.kill();
    now += 3_000;
    await broker.startAgain();
    const again = await connect('subscriber');
    expect(again.connack?.sessionPresent).toBe(false);
  });
});
