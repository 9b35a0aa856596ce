/**
 * A connection that carries bytes: TCP, TLS, or WebSocket. What it hands over is valid during the call only.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';

export interface Transport {
  write(bytes: Buffer): void;
  /** Bytes written that the system has not taken yet. */
  readonly waiting: number;
  /** Reads nothing more until `resume`. */
  pause(): void;
  resume(): void;
  close(): void;
}

export interface TransportEvents {
  onOpen(): void;
  onBytes(bytes: Buffer): void;
  onClose(error: Error | null): void;
}

/** Shared by all connections of this process: one is read at a time. */
const readBuffer = Buffer.allocUnsafeSlow(262_144);

/** `localAddress`: where the connection comes from, on a machine that has several addresses. */
export function openTransport(url: URL, events: TransportEvents, localAddress?: string): Transport {
  const from = localAddress === undefined ? {} : { localAddress };
  if (url.protocol.startsWith('ws')) return openWebSocket(url, events, from);
  const port = Number(url.port);
  const host = url.hostname;
  const onread = {
    buffer: readBuffer,
    callback: (bytes: number) => {
      events.onBytes(readBuffer.subarray(0, bytes));
      return true;
    },
  };
  if (url.protocol === 'mqtts:') {
    const socket = connectTls({ port, host, rejectUnauthorized: false, ...from } as ConnectionOptions);
    socket.on('secureConnect', () => events.onOpen()).on('data', (bytes) => events.onBytes(bytes));
    return listenTo(socket, events);
  }
  const socket = connectTcp({ port, host, onread, ...from });
  socket.on('connect', () => events.onOpen());
  return listenTo(socket, events);
}

function listenTo(socket: Socket, events: TransportEvents): Transport {
  let failure: Error | null = null;
  socket.setNoDelay(true);
  socket.on('error', (error) => {
    failure = error;
  });
  socket.on('close', () => events.onClose(failure));
  return {
    write: (bytes) => void socket.write(bytes),
    get waiting() {
      return socket.writableLength;
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => void socket.destroy(),
  };
}

function openWebSocket(url: URL, events: TransportEvents, from: { localAddress?: string }): Transport {
  const socket = new WebSocket(url, 'mqtt', { perMessageDeflate: false, rejectUnauthorized: false, ...from });
  socket.binaryType = 'nodebuffer';
  let failure: Error | null = null;
  // Frames that came in one go are handed over in one go, or the client would write once for each of them.
  let frames: Buffer[] = [];
  const handOver = () => {
    const whole = frames.length === 1 ? frames[0]! : Buffer.concat(frames);
    frames = [];
    events.onBytes(whole);
  };
  socket.on('open', () => events.onOpen());
  socket.on('message', (bytes) => {
    if (frames.push(bytes as Buffer) === 1) process.nextTick(handOver);
  });
  socket.on('error', (error) => {
    failure = error;
  });
  socket.on('close', () => events.onClose(failure));
  // `ws` masks in place, and its mask must not reach bytes that are sent again.
  return {
    write: (bytes) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(Buffer.from(bytes));
    },
    get waiting() {
      return socket.bufferedAmount;
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.terminate(),
  };
}
