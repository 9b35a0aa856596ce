/**
 * What WebSocket asks for beyond what all transports do: the upgrade, frames, pings. [MQTT5 6]
 */
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import type { Accept, Listener } from '../../../src/contracts/transport.ts';
import type { WssOptions } from '../../../src/net/options.ts';
import { wire } from '../../support/wire.ts';
import { eventually } from './eventually.ts';
import { framed, Listening, optionsOf, type Recorder } from './listening.ts';
import { frame, upgradeRequest } from './web-socket-bytes.ts';

let listening: Listening;
let clients: WebSocket[] = [];
beforeEach(() => {
  listening = new Listening();
});
afterEach(async () => {
  vi.useRealTimers();
  for (const client of clients) client.terminate();
  clients = [];
  await listening.close();
});

const open = (others: Partial<Omit<WssOptions, 'kind'>> = {}, accept?: Accept) =>
  listening.open(optionsOf('ws', { certFile: '', keyFile: '' }, others), accept);

function dial(url: string, protocols: string[] = ['mqtt'], options: ClientOptions = {}): WebSocket {
  const client = new WebSocket(url, protocols, options);
  client.on('error', () => {});
  clients.push(client);
  return client;
}

/** A connected client and the receiver of its bytes. */
async function connected(listener: Listener, options: ClientOptions = {}): Promise<[WebSocket, Recorder]> {
  const count = listening.accepted.length;
  const client = dial(listener.url, ['mqtt'], options);
  await once(client, 'open');
  return [client, listening.accepted[count]!];
}

/** Status and body of an upgrade that is refused. */
async function refusal(client: WebSocket): Promise<string> {
  const [, response] = await once(client, 'unexpected-response');
  let body = '';
  for await (const part of response) body += part;
  return `${response.statusCode} ${body}`;
}

describe('the upgrade', () => {
  test.each([
    [['mqtt'], 'mqtt'],
    [['mqttv3.1'], 'mqttv3.1'],
    [['chat', 'mqttv3.1', 'mqtt'], 'mqtt'],
  ])('of a client that offers %j agrees on %s [MQTT5 6.0.0-3] [MQTT5 6.0.0-4]', async (offered, agreed) => {
    const { url } = await open();
    const client = dial(url, offered);
    await once(client, 'open');
    expect(client.protocol).toBe(agreed);
  });

  test.each([[[]], [['chat']], [['MQTT']]])(
    'of a client that offers %j is refused [MQTT5 6.0.0-3]',
    async (offered) => {
      const listener = await open();
      expect(await refusal(dial(listener.url, offered))).toBe(
        '400 Offer the WebSocket sub-protocol "mqtt" (or "mqttv3.1")\n',
      );
      expect(listening.accepted).toHaveLength(0);
      listening.expectRefusal(listener, /^400 Bad Request: Offer the WebSocket sub-protocol/);
    },
  );

  test('is at each of the paths, where neither a query nor a slash at the end matters', async () => {
    const { url, port } = await open();
    expect(url).toBe(`ws://127.0.0.1:${port}/mqtt`);
    for (const path of ['', '/', '/?token=1', '/mqtt', '/mqtt/', '/mqtt?token=/x', '/mqtt/?a', '/ws', '/ws/']) {
      await once(dial(`ws://127.0.0.1:${port}${path}`), 'open');
    }
    for (const path of ['/mqtt/x', '/MQTT', '/w', '/mqtt//x', '/%2F']) {
      expect(await refusal(dial(`ws://127.0.0.1:${port}${path}`))).toBe(
        '404 There is nothing here; MQTT over WebSocket is at /mqtt, /, /ws\n',
      );
    }
  });

  test.each([{ path: '/bröker' }, { paths: ['/bröker'] }, { path: '/br%C3%B6ker/' }])(
    'is at the path that is set, and nowhere else: %j',
    async (setting) => {
      const { port, url } = await open(setting);
      await once(dial(url), 'open');
      expect(await refusal(dial(`ws://127.0.0.1:${port}/mqtt`))).toMatch(/^404 There is nothing here;/);
      expect(await refusal(dial(`ws://127.0.0.1:${port}`))).toMatch(/^404 There is nothing here;/);
    },
  );

  test('is refused to origins that are not listed, and open to clients that are no browsers', async () => {
    const { url } = await open({ origins: ['https://dashboard.example'] });
    expect(await refusal(dial(url, ['mqtt'], { origin: 'https://evil.example' }))).toBe(
      '403 The origin https://evil.example is not in the listener\'s "origins"\n',
    );
    expect(listening.warnings).toEqual([
      expect.stringMatching(
        / was turned away: 403 Forbidden: The origin https:\/\/evil\.example is not in the listener's "origins"$/,
      ),
    ]);
    await once(dial(url, ['mqtt'], { origin: 'https://dashboard.example' }), 'open');
    await once(dial(url), 'open');
    for (const any of [await open(), await open({ origins: ['*'], isOpen: () => true })]) {
      await once(dial(any.url, ['mqtt'], { origin: 'https://evil.example' }), 'open');
    }
  });

  test.each([
    'https://evil.example',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example:8083',
    'http://127.0.0.1@evil.example',
    'http://evil.example/http://localhost',
    'chrome-extension://localhost',
    // A sandboxed frame of any page.
    'null',
    '',
  ])(
    'of a page from %j is refused where clients need no credentials, and the log says how to let it in',
    async (origin) => {
      const { url } = await open({ isOpen: () => true });
      expect(await refusal(dial(url, ['mqtt'], { headers: { origin } }))).toMatch(
        /^403 The origin .* may not connect without authentication, unless it is in the listener's "origins"\n$/,
      );
      expect(listening.accepted).toHaveLength(0);
      expect(listening.warnings).toEqual([expect.stringContaining('in the listener\'s "origins"')]);
    },
  );

  test.each([
    'http://localhost:3000',
    'https://LOCALHOST',
    'http://127.0.0.1:8080',
    'http://[::1]:5173',
    'http://127.8.0.1',
  ])('of a page of this machine (%s) needs no credentials', async (origin) => {
    const { url, port } = await open({ isOpen: () => true });
    await once(dial(url, ['mqtt'], { origin }), 'open');
    await once(dial(`ws://localhost:${port}/mqtt`, ['mqtt'], { origin, family: 4 }), 'open');
  });

  test.each(['evil.example', 'evil.example:8083', '127.0.0.1.evil.example', '192.0.2.1', 'localhost@evil.example'])(
    'is refused to a page of this machine that asked for the host %j, as a name that was bound anew would have it',
    async (host) => {
      const { url } = await open({ isOpen: () => true });
      const client = dial(url, ['mqtt'], { origin: 'http://localhost:3000', headers: { host } });
      expect(await refusal(client)).toMatch(/^403 The origin http:\/\/localhost:3000 asked for the host /);
    },
  );

  test('is open to what is no browser, whatever host it names', async () => {
    const { url } = await open({ isOpen: () => true });
    await once(dial(url, ['mqtt'], { headers: { host: 'broker.example' } }), 'open');
  });

  test('of a page is judged by what holds when it comes', async () => {
    let isOpen = true;
    const { url } = await open({ isOpen: () => isOpen });
    const origin = 'https://dashboard.example';
    expect(await refusal(dial(url, ['mqtt'], { origin }))).toMatch(/^403/);
    isOpen = false;
    await once(dial(url, ['mqtt'], { origin }), 'open');
  });

  test('that was refused does not leave the connection half open', async () => {
    const { port } = await open();
    const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    client.write('GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
    await once(client.resume(), 'end');
    // Nobody is there any more: writing is answered with a reset.
    const lost = once(client, 'error');
    const writing = setInterval(() => client.write('?'), 5);
    await lost.finally(() => clearInterval(writing));
  });

  test('is what a plain HTTP request is told about', async () => {
    const { port } = await open();
    const [response] = await once(request({ port, host: '127.0.0.1', path: '/mqtt' }).end(), 'response');
    let body = '';
    for await (const part of response) body += part;
    expect(response.statusCode).toBe(426);
    expect(response.headers.upgrade).toBe('websocket');
    expect(body).toBe(
      'This is an MQTT-over-WebSocket endpoint. ' +
        'Connect with an MQTT client over ws://, path /mqtt or / or /ws, sub-protocol "mqtt".\n',
    );
  });

  test('may be followed by the first frame in the same packet', async () => {
    const { port } = await open();
    const client = connect(port, '127.0.0.1');
    client.write(Buffer.concat([Buffer.from(upgradeRequest), frame(Buffer.from([0xc0, 0]))]));
    await eventually(() => listening.accepted[0]?.receivedLength === 2);
    expect(listening.accepted[0]!.received.toString('hex')).toBe('c000');
    client.destroy();
  });
});

describe('frames', () => {
  test('are binary in both directions, and cut anywhere [MQTT5 6.0.0-1] [MQTT5 6.0.0-2]', async () => {
    const listener = await open({}, (stream) => listening.record(stream, true));
    const [client, recorder] = await connected(listener);
    client.send(Buffer.from('a'), { fin: false });
    client.send(Buffer.from('b'), { fin: true });
    client.send(Buffer.from('cd'));
    const [, isBinary] = await once(client, 'message');
    expect(isBinary).toBe(true);
    await eventually(() => recorder.received.toString() === 'abcd');
  });

  test('go out with one packet each, and however many in one write [MQTT5 6.0.0-2]', async () => {
    const listener = await open();
    const [client, { stream }] = await connected(listener);
    const got: string[] = [];
    client.on('message', (message: Buffer) => void got.push(message.toString('hex')));
    const packets = [
      wire`d000`,
      wire`40020001`,
      wire`30 { 'a' 61*100 }`,
      wire`30 { 'a' 61*122 }`,
      wire`30 { 'a' 61*200 }`,
      wire`30 { 'a' 61*40000 }`,
      wire`30 { 'a' 61*16381 }`,
      wire`d000`,
    ];
    const socket = vi.spyOn(Socket.prototype, 'write');
    stream.write(framed(stream, ...packets));
    expect(socket).toHaveBeenCalledTimes(1);
    socket.mockRestore();
    await eventually(() => got.length >= packets.length);
    expect(got).toEqual(packets.map((packet) => packet.toString('hex')));
  });

  test('of packets in a row keep their order, whatever their size, and memory that is used again changes nothing', async () => {
    const listener = await open();
    const [client, { stream }] = await connected(listener);
    const got: Buffer[] = [];
    client.on('message', (message: Buffer) => void got.push(message));
    const packets = Array.from({ length: 2_000 }, (_, index) => {
      const bytes = index % 97 === 0 ? 150_000 : index % 50;
      return wire`30 { 'a' "${String(index)}" 61*${bytes} }`;
    });
    const memory = Buffer.alloc(200_000);
    for (let at = 0; at < packets.length; ) {
      let length = 0;
      while (at < packets.length && length + packets[at]!.length <= (packets[at]!.length > 65_536 ? 150_100 : 3_000)) {
        length += framed(stream, packets[at++]!).copy(memory, length);
      }
      stream.write(memory.subarray(0, length));
      if (stream.pendingBytes > 0) await eventually(() => stream.pendingBytes === 0);
      memory.fill(0xff);
    }
    await eventually(() => got.length === packets.length);
    expect(got.every((message, index) => message.equals(packets[index]!))).toBe(true);
  });

  test('of text close the connection, and nothing after them is read [MQTT5 6.0.0-1]', async () => {
    const [client, recorder] = await connected(await open());
    client.send('text');
    client.send(Buffer.from('after'));
    const [code] = await once(client, 'close');
    expect(code).toBe(1003);
    await eventually(() => recorder.isClosed);
    expect(recorder.closes[0]?.message).toMatch('text frame');
    expect(recorder.receivedLength).toBe(0);
  });

  test('may be long: what is in them is handed over as it comes', async () => {
    const listener = await open();
    const client = connect(listener.port, '127.0.0.1');
    client.write(upgradeRequest);
    await once(client, 'data');
    client.write(Buffer.concat([Buffer.of(0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), Buffer.alloc(100_000)]));
    const [recorder] = listening.accepted;
    await eventually(() => recorder!.receivedLength === 100_000);
    expect(recorder!.isClosed).toBe(false);
    client.destroy();
  });

  test('that break the protocol close the connection, and what came before them counts', async () => {
    const listener = await open();
    const client = connect(listener.port, '127.0.0.1');
    client.write(upgradeRequest);
    await once(client, 'data');
    const closing = once(client, 'data');
    client.write(
      Buffer.concat([frame(Buffer.from('before')), Buffer.of(0x80, 0x80, 0, 0, 0, 0), frame(Buffer.from('x'))]),
    );
    expect(((await closing)[0] as Buffer).subarray(0, 4).toString('hex')).toMatch(/^88..03ea$/);
    client.destroy();
    const [recorder] = listening.accepted;
    await eventually(() => recorder!.isClosed);
    expect([recorder!.received.toString(), recorder!.closes[0]?.message]).toEqual([
      'before',
      'a WebSocket frame that is not the next one of its message',
    ]);
  });

  test('end with a close frame, or the end is an error', async () => {
    const listener = await open();
    const [client, recorder] = await connected(listener);
    client.close(1001);
    await eventually(() => recorder.isClosed);
    expect(recorder.closes).toEqual([null]);

    const raw = connect(listener.port, '127.0.0.1');
    const [, cut] = await connected(listener, { createConnection: () => raw });
    raw.end();
    await eventually(() => cut.isClosed);
    expect(cut.closes[0]?.message).toMatch('without a WebSocket close frame');
  });
});

describe('pings', () => {
  const useFakeIntervals = () => vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const interval = 25_000;

  test('are sent to everybody by one timer, at the interval, and keep those who answer', async () => {
    useFakeIntervals();
    const listener = await open();
    const [first, recorder] = await connected(listener);
    const [second] = await connected(listener);
    let timers = vi.getTimerCount();
    for (let round = 1; round <= 6; round++) {
      const pings = Promise.all([once(first, 'ping'), once(second, 'ping')]);
      vi.advanceTimersByTime(interval);
      await pings;
      // The pong has come when this has, which is sent behind it.
      first.send(Buffer.from('x'));
      second.send(Buffer.from('x'));
      await eventually(() => listening.accepted.every((each) => each.receivedLength === round));
    }
    expect(recorder.isClosed).toBe(false);
    await connected(listener);
    timers -= vi.getTimerCount();
    expect(timers).toBe(0);
  });

  test('let a peer go that sends nothing for two intervals', async () => {
    useFakeIntervals();
    const [client, recorder] = await connected(await open(), { autoPong: false });
    for (let round = 0; round < 2; round++) {
      const ping = once(client, 'ping');
      vi.advanceTimersByTime(interval);
      await ping;
    }
    expect(recorder.isClosed).toBe(false);
    vi.advanceTimersByTime(interval);
    await eventually(() => recorder.isClosed);
    expect(recorder.closes[0]?.message).toBe('the client does not answer WebSocket pings');
  });

  test('spare a stream that we paused ourselves, since its pongs are not read', async () => {
    useFakeIntervals();
    const [client, recorder] = await connected(await open());
    recorder.stream.pause();
    for (let round = 0; round < 5; round++) {
      const ping = once(client, 'ping');
      vi.advanceTimersByTime(interval);
      await ping;
    }
    expect(recorder.isClosed).toBe(false);
    recorder.stream.resume();
    client.send(Buffer.from('alive'));
    await eventually(() => recorder.receivedLength === 5);
  });

  test('of the peer are answered', async () => {
    const [client] = await connected(await open());
    client.ping('are you there?');
    const [payload] = (await once(client, 'pong')) as [Buffer];
    expect(payload.toString()).toBe('are you there?');
  });

  test('of a peer that does not read cost no memory, hide no drain, and the newest is answered', async () => {
    const [client, recorder] = await connected(await open());
    const { stream } = recorder;
    client.pause();
    for (let i = 0; i < 96; i++) stream.write(framed(stream, Buffer.alloc(262_144)));
    const pending = stream.pendingBytes;
    expect(pending).toBeGreaterThan(0);
    for (let i = 0; i < 1_000; i++) client.ping(`ping ${i}`);
    client.send(Buffer.from('x'));
    await eventually(() => recorder.receivedLength === 1);
    expect(stream.pendingBytes).toBeLessThanOrEqual(pending);

    const pong = once(client, 'pong') as Promise<[Buffer]>;
    client.resume();
    expect((await pong)[0].toString()).toBe('ping 999');
    await eventually(() => recorder.drains.length > 0);
    expect(recorder.drains).toEqual([0]);
  });
});
