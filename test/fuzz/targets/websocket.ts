/**
 * The WebSocket listener's own server, `ws` and Node's HTTP parser included, over a socket that is only memory:
 * upgrades of all kinds, frames fragmented, masked and mixed with control frames.
 *
 * Input: whether the upgrade is sent before it (even) or is in it, how it is cut, then the bytes.
 */
import { createHash } from 'node:crypto';
import { Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { Random } from '../../../scripts/crash/random.ts';
import { eventLoop } from '../../../src/base/scheduler.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import { Handshakes } from '../../../src/net/handshakes.ts';
import { ListenerLog } from '../../../src/net/listener-log.ts';
import { createWebSocketServer } from '../../../src/net/websocket.ts';
import { mutateBytes } from '../mutate.ts';
import { bytesOf, must, type Target } from '../target.ts';

const handshakeTimeoutSeconds = 10;
const headBytes = 2;
/** Rounds of the event loop within which everything must be over. */
const roundsMax = 60;

const upgrade = (extra = '', path = '/mqtt') =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  `Sec-WebSocket-Key: ${createHash('md5').update('').digest('base64')}\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n${extra}\r\n`;

/** What arrives is pushed into it; what is written is counted and forgotten. */
export class MemorySocket extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort: number = 50_000;
  bytesRead = 0;
  bytesOut = 0;
  /** Of the last frame, if it closes. */
  closeCode = 0;
  encrypted = false;

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.bytesOut += chunk.length;
    if (chunk[0] === 0x88 && chunk.length >= 4) this.closeCode = chunk.readUInt16BE(2);
    done();
  }

  arrives(bytes: Buffer | null): void {
    if (this.destroyed || this.readableEnded) return;
    this.bytesRead += bytes?.length ?? 0;
    this.push(bytes);
  }
}

/** What the broker's side sees: bytes until the end, and the end once. */
class Receiver implements ByteReceiver {
  readonly share = eventLoop.share();
  bytes = 0;
  ends = 0;

  onBytes(bytes: Buffer, start: number, end: number): void {
    must(this.ends === 0, 'bytes come after the end');
    must(start <= end && end <= bytes.length, 'bytes are announced that are not there');
    this.bytes += end - start;
  }

  onDrain(): void {}

  onClose(): void {
    must(++this.ends === 1, 'the end comes twice');
  }
}

export default function websocket(): Target {
  let accepted: { stream: ByteStream; receiver: Receiver } | null = null;
  let failure: Error | null = null;
  const listenerLog = new ListenerLog(silentLog, null);
  const server = createWebSocketServer(
    {
      kind: 'ws',
      host: '127.0.0.1',
      port: 0,
      paths: ['/mqtt'],
      origins: ['https://good.example'],
      isOpen: () => false,
      pingIntervalSeconds: 25,
      handshakeTimeoutSeconds,
      trustedProxies: ['127.0.0.1'],
    },
    null,
    {
      accept: (stream) => {
        const receiver = new Receiver();
        accepted = { stream, receiver };
        return receiver;
      },
      handshakes: new Handshakes(handshakeTimeoutSeconds, 1, listenerLog),
      listenerLog,
    },
  );
  // What an event handler throws would end the process.
  const onUncaught = (error: Error) => {
    failure = error;
  };
  process.on('uncaughtException', onUncaught);

  return {
    name: 'websocket',
    seeds: [
      ...frameSeeds().map((bytes) => Buffer.concat([Buffer.of(0, 0), bytes])),
      ...bytesOf(
        upgrade(),
        upgrade('Origin: https://good.example\r\n'),
        upgrade('Origin: https://bad.example\r\nX-Forwarded-For: 192.0.2.1, [::1]:5\r\n'),
        upgrade('Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n'),
        upgrade('', '/other?x'),
        'GET / HTTP/1.0\r\n\r\n',
      ).map((bytes) => Buffer.concat([Buffer.of(1, 0), bytes])),
    ],
    tokens: [
      ...bytesOf(
        '\r\n',
        '\r\n\r\n',
        'Upgrade: websocket\r\n',
        'Sec-WebSocket-Protocol: ',
        'Transfer-Encoding: chunked\r\n',
      ),
      ...[0x82, 0x02, 0x00, 0x80, 0x81, 0x88, 0x89, 0x8a, 0xc2].map((first) => Buffer.of(first, 0x80, 0, 0, 0, 0)),
      Buffer.of(0xff, 0, 0, 0, 0, 0, 1, 0, 0),
    ],
    bytesMax: 200_000,
    mutate: mutateFrames,
    async run(input) {
      accepted = null;
      failure = null;
      const socket = new MemorySocket();
      server.emit('connection', socket);
      if (((input[0] ?? 0) & 1) === 0) socket.arrives(Buffer.from(upgrade()));
      const bytes = input.subarray(headBytes);
      const size = input[1] === 0 ? bytes.length : Math.max(input[1] ?? 1, Math.ceil(bytes.length / 20));
      for (let at = 0; at < bytes.length; at += size) {
        socket.arrives(Buffer.from(bytes.subarray(at, at + size)));
        if (input[1] !== 0) await setImmediate();
      }
      await setImmediate();
      socket.arrives(null);
      let rounds = 0;
      for (; !isOver(socket, accepted) && rounds < roundsMax; rounds++) {
        await setImmediate();
        if (rounds === roundsMax / 2) socket.destroy();
      }
      must(failure === null, `an event handler threw ${(failure as Error | null)?.stack}`);
      must(isOver(socket, accepted), 'the connection does not end');
      const { receiver } = (accepted as { receiver: Receiver } | null) ?? { receiver: null };
      must((receiver?.bytes ?? 0) <= bytes.length, 'more bytes are handed over than came');
      // Answers: a refusal, a pong for each ping, a close.
      must(socket.bytesOut <= 2_000 + bytes.length * 2, `${socket.bytesOut} bytes are the answer to ${bytes.length}`);
      const size2 = (n: number) => Math.floor(Math.log2(n + 1));
      return `${receiver === null ? 'refused' : `${size2(receiver.bytes)}`} ${size2(socket.bytesOut)} ${socket.closeCode}`;
    },
    close() {
      process.off('uncaughtException', onUncaught);
      server.close();
    },
  };
}

const isOver = (socket: MemorySocket, accepted: { receiver: Receiver } | null) =>
  socket.destroyed && (accepted === null || accepted.receiver.ends === 1);

function frame(first: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const size = length < 126 ? Buffer.of(0x80 | length) : Buffer.of(0x80 | 126, length >> 8, length & 255);
  const mask = [1, 2, 3, 4];
  return Buffer.concat([Buffer.of(first), size, Buffer.from(mask), payload.map((byte, i) => byte ^ mask[i & 3]!)]);
}

function frameSeeds(): Buffer[] {
  const [some, empty, large] = [Buffer.from('bytes'), Buffer.alloc(0), Buffer.alloc(300, 7)];
  const close = frame(0x88, Buffer.of(3, 0xe8));
  return [
    [frame(0x82, some)],
    [frame(0x82, empty), frame(0x82, large), close],
    [frame(0x02, some), frame(0x00, some), frame(0x89, some), frame(0x80, some)],
    [frame(0x89, empty), frame(0x8a, some), frame(0x89, some)],
    [frame(0x81, some)],
    [close, frame(0x82, some)],
    [frame(0x88, empty)],
  ].map((frames) => Buffer.concat(frames));
}

/** Changes inside a frame that leave its length right. */
function mutateFrames(input: Uint8Array, random: Random, other: () => Uint8Array): Uint8Array {
  const head = Buffer.of(random.isLucky(0.8) ? 0 : 1, random.isLucky(0.5) ? 0 : random.between(1, 255));
  const options = { tokens: [], bytesMax: 60_000 };
  const payload = mutateBytes(other().subarray(headBytes), random, other, options);
  const first = random.isLucky(0.8)
    ? random.pick([0x82, 0x02, 0x00, 0x80, 0x81, 0x88, 0x89, 0x8a])
    : random.between(0, 255);
  const added = frame(first, payload.subarray(0, random.isLucky(0.7) ? 20 : payload.length));
  const rest = Buffer.from(input.subarray(headBytes));
  return Buffer.concat(random.isLucky(0.5) ? [head, rest, added] : [head, added, rest]);
}
