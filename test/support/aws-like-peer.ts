/**
 * A broker with the limits of AWS IoT Core on port 443, as its documentation has them: a client certificate and the
 * protocol `x-amzn-mqtt-ca` (ALPN), QoS 1 at most, 128 kB in a message, nothing retained. Whoever goes beyond them is
 * disconnected, as there.
 */
import { readFileSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import type { ProtocolVersion } from '../../src/protocol/traits.ts';
import type { CertificateFiles, TestAuthority } from './certificates.ts';
import { StandInPeer } from './stand-in-peer.ts';
import { type Received, WireClient } from './wire-client.ts';

const messageBytesMax = 128 * 1024;
/** With what is around a message. */
const packetBytesMax = 149_504;

export interface AwsLikeOptions {
  readonly server: CertificateFiles;
  /** Vouches for the certificates of clients. */
  readonly devices: TestAuthority;
  readonly version: ProtocolVersion;
}

export class AwsLikePeer {
  readonly #peer: StandInPeer;
  readonly #version: ProtocolVersion;
  readonly received: Received[] = [];
  /** What a connection was ended for. */
  readonly violations: string[] = [];
  /** Of each connection: who it is for, and what it speaks. */
  readonly greetings: { readonly serverName: string | false | null; readonly protocol: string | false | null }[] = [];
  #link: WireClient | null = null;

  private constructor(peer: StandInPeer, version: ProtocolVersion) {
    this.#peer = peer;
    this.#version = version;
    this.#serve();
  }

  static async start({ server, devices, version }: AwsLikeOptions): Promise<AwsLikePeer> {
    const peer = await StandInPeer.startTls({
      ...{ cert: readFileSync(server.certFile), key: readFileSync(server.keyFile), ca: readFileSync(devices.certFile) },
      ...{ requestCert: true, rejectUnauthorized: true, ALPNProtocols: ['x-amzn-mqtt-ca'] },
    });
    return new AwsLikePeer(peer, version);
  }

  get port(): number {
    return this.#peer.port;
  }

  async #serve(): Promise<void> {
    for (;;) {
      const socket = (await this.#peer.connection()) as TLSSocket & { servername?: string | false };
      this.greetings.push({ serverName: socket.servername ?? null, protocol: socket.alpnProtocol });
      const link = WireClient.over(socket, this.#version);
      this.#link = link;
      this.#answer(link).catch(() => {});
    }
  }

  async #answer(link: WireClient): Promise<void> {
    for (;;) {
      const packet = await link.next();
      const violation = this.#violationOf(packet);
      if (violation !== null) {
        this.violations.push(violation);
        return link.vanish();
      }
      this.#answerTo(link, packet);
    }
  }

  #violationOf({ cmd, qos = 0, payload, retain }: Received): string | null {
    if (cmd !== 'publish') return null;
    if (qos > 1) return 'QoS 2';
    if (retain === true) return 'retained';
    return payload!.length > messageBytesMax ? 'too large' : null;
  }

  #answerTo(link: WireClient, packet: Received): void {
    const { cmd, messageId } = packet;
    const properties = {
      maximumQoS: 1,
      retainAvailable: false,
      maximumPacketSize: packetBytesMax,
      receiveMaximum: 100,
    };
    if (cmd === 'connect')
      link.send({ cmd: 'connack', reasonCode: 0, returnCode: 0, sessionPresent: false, properties });
    if (cmd === 'subscribe') link.send({ cmd: 'suback', messageId, granted: [1], reasonCode: 0, properties: {} });
    if (cmd === 'pingreq') link.send({ cmd: 'pingresp' });
    if (cmd !== 'publish') return;
    this.received.push(packet);
    if (packet.qos === 1) link.send({ cmd: 'puback', messageId, reasonCode: 0 });
  }

  /** To the bridge that is connected. */
  publish(topic: string, payload: string): void {
    this.#link!.send({ cmd: 'publish', topic, payload, qos: 1, messageId: 1, retain: false, dup: false });
  }

  stop(): Promise<void> {
    return this.#peer.stop();
  }
}
