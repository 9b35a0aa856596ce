/** The dashboard of one node of a cluster: what it shows and does of clients of another one. */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { NatsServers, natsServerVersion, withoutNats } from '../support/nats-server.ts';
import { dashboard, describeInBrowser, eventually, saysDone } from './browser.ts';

describeInBrowser('the dashboard of a node', () => {
  describe.skipIf(natsServerVersion === null)(`beside another node${withoutNats}`, () => {
    let servers: NatsServers;
    beforeAll(async () => {
      servers = await NatsServers.start();
    });
    afterAll(() => servers?.stop());
    const node = (name: string) =>
      dashboard(() => ({
        cluster: { name: 'shown', node: name, servers: [...servers.urls], replicas: 1, logBytes: 64_000_000 },
        store: { kind: 'memory' },
      }));
    const [one, two] = [node('one'), node('two')];

    test('lists clients of both with their nodes, and disconnects one of the other', async () => {
      await one.connect('pump-1', ['x']);
      const other = await two.connect('pump-2', ['x']);
      const page = await one.open('#/clients');
      const rows = page.locator('tbody tr');
      const nodes = async () => (await rows.allTextContents()).map((text) => /(one|two)-\w+$/.exec(text)?.[1]).sort();

      await page.getByRole('columnheader', { name: 'Node' }).waitFor();
      await eventually(nodes).toEqual(['one', 'two']);
      await page.getByText('1 connected, 0 away, at this node').waitFor();
      await page.getByRole('link', { name: 'pump-2' }).click();
      await page.getByText(/^two-\w+$/).waitFor();
      await page.getByRole('button', { name: 'Disconnect' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
      await saysDone(page, /disconnected/i);

      await eventually(() => other.connected).toBe(false);
    });

    test('says of which node the figures are, and which others there are', async () => {
      const page = await two.open('#/');
      await page.getByText(/^Of this node, two-\w+\. Others of its cluster: one-\w+\.\s*$/).waitFor();
    });
  });
});
