/** `sluice pub` and `sluice sub` against the broker, in this process. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { createBroker } from '../../../src/index.ts';
import { testBroker } from '../../support/broker.ts';
import { FakeIo, sluice } from '../../support/fake-io.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-pub-sub-'));
afterAll(() => rmSync(directory, { recursive: true }));
const socket = join(directory, 'mqtt.sock');

const broker = testBroker(
  {
    listeners: [
      { kind: 'tcp', port: 0 },
      { kind: 'ws', port: 0 },
      { kind: 'unix', socket },
    ],
    refusedFilters: ['secret', 'hidden'],
  },
  {
    authenticate: ({ client }) =>
      client.username === 'nobody' ? { outcome: 'refuse', reasonCode: 0x87 } : { outcome: 'accept' },
    authorizePublish: (_, topic) => (topic.name === 'forbidden' ? 0x87 : 0),
  },
);
const port = () => String(broker.port);

/** What a test began and must not leave behind. */
const running: { io: FakeIo; code: Promise<number> }[] = [];
afterEach(async () => {
  for (const { io, code } of running.splice(0)) {
    io.signal();
    await code;
  }
});

function begin(...argv: string[]): { io: FakeIo; code: Promise<number> } {
  const io = new FakeIo();
  const begun = { io, code: run(argv, io) };
  running.push(begun);
  return begun;
}

/** `sluice sub`, once all its subscriptions are made. */
async function subscribing(...argv: string[]): Promise<{ io: FakeIo; code: Promise<number> }> {
  let left = argv.filter((word) => word === '-t').length;
  const { events } = broker.sluice;
  const subscribed = new Promise<void>((resolve) => {
    const listener = () => {
      if (--left > 0) return;
      events.off('subscribed', listener);
      resolve();
    };
    events.on('subscribed', listener);
  });
  const begun = begin('sub', '-p', port(), ...argv);
  await subscribed;
  return begun;
}

const pub = (...argv: string[]) => sluice('pub', '-p', port(), ...argv);
const done = { code: 0, out: '', err: '' };

test('-W ends a subscriber that got too little, as mosquitto_sub does', async () => {
  const { io, code } = await subscribing('-t', 'silence', '-C', '1', '-W', '1');
  expect(await code).toBe(27);
  expect(io.stderr.text).toBe('Ended after 1 s (-W)\n');
  expect(await (await subscribing('-t', 'silence', '-W', '1')).code).toBe(27);
});

test('-W does not keep a subscriber that has got all', async () => {
  const { code } = await subscribing('-t', 'soon', '-C', '1', '-W', '1000');
  await pub('-t', 'soon', '-m', 'x');
  expect(await code).toBe(0);
});

describe('a message gets through', () => {
  for (const version of ['31', 'mqttv311', '5']) {
    for (const qos of ['0', '1', '2']) {
      test(`version ${version}, QoS ${qos}`, async () => {
        const topic = `through/${version}/${qos}`;
        const { io, code } = await subscribing('-V', version, '-q', qos, '-t', `${topic}/#`, '-C', '1', '-v');

        expect(await pub('-V', version, '-q', qos, '-t', `${topic}/x`, '-m', 'hello')).toEqual(done);
        expect(await code).toBe(0);
        expect(io.stdout.text).toBe(`${topic}/x hello\n`);
      });
    }
  }

  test('over WebSocket', async () => {
    const { url } = broker.sluice.listeners[1]!;
    expect(await sluice('pub', '--url', url, '-t', 'web', '-m', 'socket', '-r', '-q', '1')).toEqual(done);

    expect(await sluice('sub', '--url', url, '-t', 'web', '-C', '1')).toEqual({ ...done, out: 'socket\n' });
  });

  test('over a Unix-domain socket', async () => {
    expect(await sluice('pub', '--unix', socket, '-t', 'unix', '-m', 'socket', '-r', '-q', '1')).toEqual(done);

    const url = `unix://${socket}`;
    expect(await sluice('sub', '--url', url, '-t', 'unix', '-C', '1')).toEqual({ ...done, out: 'socket\n' });
  });

  test('from a file, byte for byte', async () => {
    const bytes = Buffer.from([0, 0xff, 0x0a, 0x80, 0]);
    writeFileSync(join(directory, 'payload'), bytes);
    await pub('-t', 'bytes', '-r', '-q', '1', '-f', join(directory, 'payload'));

    const { io, code } = begin('sub', '-p', port(), '-t', 'bytes', '-C', '1');
    await code;
    expect(io.stdout.bytes).toEqual(Buffer.concat([bytes, Buffer.from('\n')]));
  });

  test('a line each from standard input, over the bounds of chunks, to every topic', async () => {
    const { io: subscriber, code } = await subscribing('-t', 'lines/#', '-C', '6', '-v');
    const publisher = begin('pub', '-p', port(), '-t', 'lines/a', '-t', 'lines/b', '-l', '-q', '1');
    publisher.io.stdin.write('one\ntw');
    publisher.io.stdin.end('o\nthree');

    expect([await publisher.code, await code]).toEqual([0, 0]);
    expect(subscriber.stdout.text.trimEnd().split('\n')).toEqual(
      ['one', 'two', 'three'].flatMap((line) => [`lines/a ${line}`, `lines/b ${line}`]),
    );
  });

  test('all of standard input, and then nothing, which removes the retained message', async () => {
    const publisher = begin('pub', '-p', port(), '-t', 'whole', '-s', '-r', '-q', '1');
    publisher.io.stdin.end('a\nb\n');
    expect(await publisher.code).toBe(0);
    expect((await sluice('sub', '-p', port(), '-t', 'whole', '-C', '1')).out).toBe('a\nb\n\n');

    expect(await pub('-t', 'whole', '-n', '-r', '-q', '1')).toEqual(done);
    const { io } = await subscribing('-t', 'whole', '-t', 'marker');
    await pub('-t', 'marker', '-m', 'x');
    await io.stdout.until(/x/);
    expect(io.stdout.text).toBe('x\n');
  });
});

test('pub and sub connect once, and do not try TLS at a broker that they have spoken with', async () => {
  let connections = 0;
  const forward = createServer((socket) => {
    connections++;
    const onward = connect(broker.port, '127.0.0.1');
    socket.on('error', () => onward.destroy()).pipe(onward);
    onward.on('error', () => socket.destroy()).pipe(socket);
  });
  forward.listen(0, '127.0.0.1');
  await once(forward, 'listening');
  const at = String((forward.address() as AddressInfo).port);
  const { code } = await subscribing('-p', at, '-t', 'once', '-C', '1');
  expect(await sluice('pub', '-p', at, '-t', 'once', '-m', 'x')).toEqual(done);
  expect(await code).toBe(0);
  // Comes after any other that was opened before.
  const last = connect(Number(at), '127.0.0.1');
  await once(forward, 'connection');
  expect(connections).toBe(3);
  last.destroy();
  forward.close();
});

describe('sub', () => {
  test('a signal ends it with 0', async () => {
    const { io, code } = await subscribing('-t', 'a');
    io.signal();
    expect(await code).toBe(0);
    expect(io.stderr.text).toBe('');
  });

  test('a reader that leaves ends it with 0, without a word', async () => {
    const { io, code } = await subscribing('-t', 'reader');
    io.stdout.close();
    await pub('-t', 'reader', '-m', 'x');
    expect(await code).toBe(0);
    expect(io.stderr.text).toBe('');
  });

  for (const version of ['311', '5']) {
    test(`messages beyond the count stay in a session that is kept (${version})`, async () => {
      const kept = ['-V', version, '-t', `kept/${version}`, '-q', '1', '-i', `kept${version}`, '-c'];
      const first = await subscribing(...kept);
      first.io.signal();
      await first.code;
      for (const text of ['1', '2', '3']) await pub('-t', `kept/${version}`, '-q', '1', '-m', text);

      expect((await sluice('sub', '-p', port(), ...kept, '-C', '1')).out).toBe('1\n');
      expect((await sluice('sub', '-p', port(), ...kept, '-C', '2')).out).toBe('2\n3\n');
    });

    test(`one refused filter of two is told, and the other one works (${version})`, async () => {
      const { io } = begin('sub', '-p', port(), '-V', version, '-t', 'secret', '-t', 'open');
      await io.stderr.until(/The broker refused secret\n/);
      await pub('-t', 'open', '-m', 'x');
      await io.stdout.until(/x/);
    });

    test(`only refused filters end it with 1 (${version})`, async () => {
      expect(await sluice('sub', '-p', port(), '-V', version, '-t', 'secret', '-t', 'hidden')).toEqual({
        code: 1,
        out: '',
        err: 'The broker refused secret\nThe broker refused hidden\nNothing was subscribed\n',
      });
    });
  }

  test('another client with its identifier ends it with 1 instead of a fight for the session (5)', async () => {
    const { io, code } = await subscribing('-V', '5', '-t', 'a', '-i', 'twin');
    await pub('-V', '5', '-i', 'twin', '-t', 'a', '-m', 'x');

    expect(await code).toBe(1);
    expect(io.stderr.text).toContain('Another client connected with the same identifier; give -i another one\n');
  });

  test('it says that the connection is lost, and subscribes again when the broker is back', async () => {
    const config = (at: number) => ({
      config: {
        listeners: [{ kind: 'tcp' as const, port: at }],
        store: { kind: 'memory' as const },
        log: { level: 'silent' as const },
      },
    });
    const first = await createBroker(config(0));
    const at = first.listeners[0]!.port;
    const subscribed = once(first.events, 'subscribed');
    const { io } = begin('sub', '-p', String(at), '-t', 'back');
    await subscribed;
    await first.close();
    await io.stderr.until(/^Lost the connection to mqtt:\/\/127\.0\.0\.1:\d+; trying again\n/);

    const second = await createBroker(config(at));
    try {
      const again = once(second.events, 'subscribed');
      await io.stderr.until(/Connected to mqtt:\/\/127\.0\.0\.1:\d+ again\n$/);
      await again;
      await second.publish('back', 'here');
      await io.stdout.until(/^here\n$/);
    } finally {
      await second.close();
    }
  });
});

describe('what fails is told in one line, with exit code 1', () => {
  /** A server that is no broker, and the port it has. */
  async function withServer(onConnection: (socket: Socket) => void, use: (port: string) => Promise<void>) {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}));
      onConnection(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      await use(String((server.address() as AddressInfo).port));
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  }

  for (const command of [
    ['sub', '-t', 'a'],
    ['pub', '-t', 'a', '-m', 'x'],
  ]) {
    test(`${command[0]}: nothing listens`, async () => {
      let free = '';
      await withServer(
        () => {},
        async (at) => void (free = at),
      );

      expect(await sluice(...command, '-p', free)).toEqual({
        code: 1,
        out: '',
        err: `Cannot connect to mqtt://127.0.0.1:${free}: nothing listens there; is the broker running? (sluice start)\n`,
      });
    });

    test(`${command[0]}: the server hangs up`, async () => {
      await withServer(
        (socket) => socket.end(),
        async (at) => {
          const { code, err } = await sluice(...command, '-p', at);
          expect(code).toBe(1);
          expect(err).toMatch(/^Cannot connect to mqtt:\/\/127\.0\.0\.1:\d+: what is there hung up; .*\n$/);
        },
      );
    });

    test.each(['311', '5'])(`${command[0]}: the broker refuses the user (%s)`, async (version) => {
      const { code, err } = await sluice(...command, '-p', port(), '-V', version, '-u', 'nobody', '-P', 'x');
      expect(code).toBe(1);
      expect(err).toMatch(/: Connection refused: Not authorized; give the right -u NAME and -P WORD\n$/);
    });
  }

  test.each([
    ['nowhere', [], 'there is no such socket; is the broker running, and does it have a listener of kind unix there?'],
    ['mqtt.sock', ['-h', 'localhost'], '--unix says where to connect already: leave out -h, -p and --url'],
    ['mqtt.sock', ['--insecure'], 'There is no TLS over a Unix-domain socket: leave out --cafile, --insecure'],
  ])('a socket %s with %j', async (name, more, why) => {
    const { err } = await sluice('pub', '--unix', join(directory, name), '-t', 'a', '-m', 'x', ...more);
    expect(err).toContain(why);
  });

  test('the password in a URL is not shown', async () => {
    const { err } = await sluice('pub', '--url', `mqtt://nobody:secret@127.0.0.1:${port()}`, '-t', 'a', '-m', 'x');
    expect(err).toMatch(/^Cannot connect to mqtt:\/\/127\.0\.0\.1:\d+: Connection refused/);
  });

  test('a file that cannot be read', async () => {
    const file = join(directory, 'none');
    const { code, err } = await pub('-t', 'a', '-f', file);
    expect({ code, lines: err.split('\n').length }).toEqual({ code: 1, lines: 2 });
    expect(err).toContain(`Cannot read -f ${file}: there is no such file`);
  });

  test('a message that the broker does not take (5)', async () => {
    const { code, err } = await pub('-V', '5', '-q', '1', '-t', 'forbidden', '-m', 'x');
    expect({ code, err }).toEqual({
      code: 1,
      err: 'The broker did not take the message: Publish error: Not authorized\n',
    });
  });

  test('a broker that goes away before it acknowledges', async () => {
    // CONNACK to the first packet, nothing to the second.
    const connack = Buffer.from([0x20, 2, 0, 0]);
    await withServer(
      (socket) => socket.once('data', () => socket.write(connack) && socket.once('data', () => socket.destroy())),
      async (at) => {
        expect(await sluice('pub', '-p', at, '-q', '1', '-t', 'a', '-m', 'x')).toEqual({
          code: 1,
          out: '',
          err: 'Not published: the broker closed the connection\n',
        });
      },
    );
  });

  test('a broker that goes away while pub waits for a line', async () => {
    const connack = Buffer.from([0x20, 2, 0, 0]);
    await withServer(
      (socket) => socket.once('data', () => socket.write(connack) && socket.once('data', () => socket.destroy())),
      async (at) => {
        const { io, code } = begin('pub', '-p', at, '-t', 'a', '-l');
        io.stdin.write('one\n');
        expect(await code).toBe(1);
        expect(io.stdin.destroyed).toBe(true);
      },
    );
  });
});
