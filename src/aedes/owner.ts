/** What the parts of a client need of the broker that they belong to. `C` is the client. */
import type { BrokerStream } from './broker-stream.ts';
import type { AedesPublishPacket, ConnectPacket, PublishPacket, Subscription } from './packets.ts';

export interface Handlers<C> {
  preConnect(client: C, packet: ConnectPacket, done: (error: Error | null, success?: boolean) => void): void;
  authenticate(
    client: C,
    username: string | undefined,
    password: Buffer | undefined,
    done: (error: Error | null, success?: boolean | null) => void,
  ): void;
  /** `client`: null: of a will whose client is not known any more. */
  authorizePublish(client: C | null, packet: PublishPacket, done: (error?: Error | null) => void): void;
  authorizeSubscribe(
    client: C,
    subscription: Subscription,
    done: (error: Error | null, subscription?: Subscription | null) => void,
  ): void;
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler may end without an answer, as Aedes has it.
  authorizeForward(client: C, packet: AedesPublishPacket): AedesPublishPacket | null | undefined | void;
  published(packet: PublishPacket, client: C | null, done: (error?: Error | null) => void): void;
}

export interface Owner<C> extends Handlers<C> {
  readonly opts: {
    readonly drainTimeout: number;
    readonly connectTimeout: number;
    readonly queueLimit: number;
    readonly keepaliveLimit: number;
    readonly maxClientsIdLength: number;
  };
  readonly packetBytesMax: number;
  readonly maxTopicLevels: number;
  readonly maxInflightInbound: number;
  readonly isAnybodyToldOfPublished: boolean;
  emit(name: string, ...details: unknown[]): boolean;
  /** Its CONNECT may go to the broker. */
  connect(stream: BrokerStream, client: C): void;
  /** Resolves once the broker has all that the last client of this identifier has sent. */
  whenGone(clientId: string): Promise<void>;
  /** The broker has let it in. */
  register(client: C): void;
  /** It has gone. */
  unregister(client: C): void;
  /** What `authorizeForward` makes of a packet; null: the client does not get it. */
  forwarded(client: C, packet: PublishPacket): AedesPublishPacket | null;
  /** The broker has taken a message. Resolves with what `published` has called back with. */
  tellPublished(packet: PublishPacket, client: C | null): Promise<Error | null>;
  subscribed(subscriptions: Subscription[], client: C): void;
  unsubscribed(topics: string[], client: C): void;
  /** What its session has. */
  subscriptionsOf(clientId: string): Promise<Subscription[]>;
  emptyQueue(clientId: string): Promise<void>;
}
