/** Commands about listeners and certificates, to a whole broker. */
import { afterEach, expect, test } from 'vitest';
import { Certificates } from '../../support/certificates.ts';
import { unique, WireClient } from '../../support/wire-client.ts';
import { RunningApp } from './running-app.ts';

let running: RunningApp;
const certificates = new Certificates();
afterEach(() => running.stop());

test('listeners are listed with what came through them', async () => {
  running = await RunningApp.start({ limits: { connections: 1 } });
  await WireClient.connect(running.port, { version: 5, clientId: unique('a') });
  await expect(WireClient.connect(running.port, { version: 5, clientId: unique('b') })).rejects.toThrow();
  const { json } = await running.ask('GET', '/listeners');
  const url = `mqtt://127.0.0.1:${running.port}`;
  expect(json.listeners).toEqual([
    {
      ...{ number: 0, protocol: 'mqtt', url, kind: 'tcp', hasTls: false, isListening: true },
      ...{ connections: 1, accepted: 1, refused: 1 },
    },
    {
      ...{ number: 1, protocol: 'http', url: running.url, kind: 'http', hasTls: false, isListening: true },
      ...{ connections: null, accepted: null, refused: null },
    },
  ]);
});

test('one is stopped and started again at its address, and its connections stay unless they are to end', async () => {
  running = await RunningApp.start({
    listeners: [
      { kind: 'tcp', port: 0 },
      { kind: 'ws', port: 0 },
    ],
  });
  const { port } = running;
  const client = await WireClient.connect(port, { version: 5, clientId: unique('a') });
  expect(await running.ask('POST', '/listeners/0/stop')).toMatchObject({ status: 200, json: { count: 0 } });
  await expect(WireClient.connect(port, { version: 5, clientId: unique('b') })).rejects.toThrow();
  await client.nothingElse();
  expect((await running.ask('GET', '//readyz')).status).toBe(503);

  const started = await running.ask('POST', '/listeners/0/start');
  expect(started).toMatchObject({ status: 200, json: { isListening: true, connections: 1, kind: 'tcp' } });
  const other = await WireClient.connect(port, { version: 5, clientId: unique('b') });
  expect((await running.ask('GET', '//readyz')).status).toBe(200);
  expect((await running.ask('POST', '/listeners/0/start')).status).toBe(200);

  const stopped = await running.ask('POST', '/listeners/0/stop', { disconnect: true });
  expect(stopped.json).toEqual({ count: 2 });
  for (const each of [client, other]) {
    expect(await each.closed()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x98 }]);
  }
});

test('one that is not there, or cannot start since its port is taken, is refused in words', async () => {
  running = await RunningApp.start();
  expect(await running.ask('POST', '/listeners/7/stop')).toMatchObject({
    status: 404,
    json: { detail: 'There is no listener 7; of MQTT there are 1, numbered from 0' },
  });
  const { port } = running;
  await running.ask('POST', '/listeners/0/stop');
  const other = await RunningApp.start({ listeners: [{ kind: 'tcp', port }] });
  try {
    const refused = await running.ask('POST', '/listeners/0/start');
    expect(refused).toMatchObject({ status: 409, json: { detail: expect.stringContaining('the port is taken') } });
  } finally {
    await other.stop();
  }
});

test('certificates in use are listed, and read again at once', async () => {
  const files = certificates.server('first');
  running = await RunningApp.start({
    listeners: [
      { kind: 'tcp', port: 0 },
      { kind: 'tls', port: 0, tls: { ...files } },
    ],
    admin: { listeners: [{ port: 0, tls: certificates.server('api') }] },
  });
  const list = async () => (await running.ask('GET', '/certificates')).json.certificates;
  const [own, ofApi] = await list();
  expect(own).toMatchObject({
    listener: running.app.listeners[1]!.url,
    kind: 'certificate',
    setting: 'tls.certFile',
    file: files.certFile,
    subject: expect.stringContaining('CN=first'),
    issuer: expect.stringContaining('CN=authority of first'),
    subjectAltNames: ['DNS:localhost', 'IP Address:127.0.0.1'],
    daysLeft: 7,
  });
  expect(ofApi.listener).toBe(running.url);
  expect((await running.ask('POST', '/certificates/renew')).json).toEqual({ count: 2 });
  certificates.file('first.crt', 'nonsense');
  const refused = await running.ask('POST', '/certificates/renew');
  expect(refused).toMatchObject({ status: 409, json: { detail: expect.stringContaining('it is not a certificate') } });
  certificates.remove();
});
