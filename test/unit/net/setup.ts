/**
 * What the tests of listeners set up in each file: certificates, a `Listening` that is empty when a test begins, and
 * sockets that end with the test.
 */
import type { Socket } from 'node:net';
import { afterAll, afterEach, vi } from 'vitest';
import type { ListenerOptions } from '../../../src/net/options.ts';
import { Certificates } from '../../support/certificates.ts';
import { framed, Listening } from './listening.ts';
import { TlsClients } from './tls-clients.ts';

/** Called at the top of a file. Tests put the sockets that they open into `sockets`. */
export function listenerTests() {
  const certificates = new Certificates();
  const listening = new Listening();
  const sockets: Socket[] = [];
  afterEach(async () => {
    vi.useRealTimers();
    for (const socket of sockets.splice(0)) socket.destroy();
    await listening.close();
  });
  afterAll(() => certificates.remove());
  return { certificates, listening, sockets, server: certificates.server('server') };
}

/**
 * The same with an authority whose certificates the clients trust, another one for devices, and listeners that greet.
 */
export function tlsTests() {
  const { certificates, listening, sockets } = listenerTests();
  const authority = certificates.authority('authority');
  const devices = certificates.authority('devices');
  const clients = new TlsClients(authority);
  afterEach(() => clients.close());
  const open = (options: ListenerOptions) =>
    listening.open(options, (stream) => {
      stream.write(framed(stream, Buffer.from('hello')));
      return listening.record(stream);
    });
  const greeter = authority.issue('greeter', { purpose: 'server' });
  return { certificates, listening, sockets, authority, devices, clients, open, server: greeter };
}
