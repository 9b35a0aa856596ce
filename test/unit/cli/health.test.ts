/** `sluice health` of a running broker. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sluice } from '../../support/fake-io.ts';
import { RunningApp } from '../api/running-app.ts';

test('says whether a broker takes clients, by its exit code, over the socket and without a key over HTTP', async () => {
  const running = await RunningApp.start();
  const directory = join(running.directory, 'data');
  try {
    expect(await sluice('health', '--data-dir', directory)).toMatchObject({ code: 0, out: 'ok\n' });
    expect(await sluice('health', '--url', running.url, '--live', '--json')).toMatchObject({
      code: 0,
      out: '{"status":"ok","checks":[{"name":"eventLoop","isOk":true}]}\n',
    });
    await running.app.listeners[0]!.close();
    const { code, err } = await sluice('health', '--data-dir', directory);
    expect({ code, err }).toEqual({ code: 1, err: 'listeners: 1 of 1 listeners are closed; the log says why\n' });
    expect((await sluice('health', '--data-dir', directory, '--started')).code).toBe(0);
  } finally {
    await running.stop();
  }
});

test('says that no broker is running', async () => {
  const { code, err } = await sluice('health', '--data-dir', '/nonexistent/data');
  expect({ code, err }).toMatchObject({ code: 1, err: expect.stringMatching(/^No broker is running on/) });
});

test.each([[['x']], [['--live', '--started']]])('says how it is used: %s', async (argv) => {
  expect(await sluice('health', ...argv)).toMatchObject({ code: 2, err: expect.stringMatching(/^Use: sluice health/) });
});
