/**
 * Stored records: every reader of `store/level/records.ts`, over bytes whose checksum is right. LevelDB hands back what
 * was written, but a start must survive what an older or a broken version wrote.
 *
 * Input: the reader, then the value without its checksum.
 */

import { isDeepStrictEqual } from 'node:util';
import { crc32 } from 'node:zlib';
import type { QuarantinedMessage } from '../../../src/contracts/pipeline.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { ByteWriter, CorruptValue } from '../../../src/store/level/bytes.ts';
import * as records from '../../../src/store/level/records.ts';
import { bytesOf, must, type Target, wordsOf } from '../target.ts';

const out = new ByteWriter();

interface Kind {
  readonly read: (value: Buffer) => unknown;
  /** Absent where what is read is not what is written. */
  readonly write?: (value: never) => Buffer;
  readonly seeds: readonly Buffer[];
}

const seedOf = (value: Buffer) => Buffer.from(value.subarray(4));
const message = Message.of(Topic.of('a/b'), Buffer.from('payload'), { qos: 2, properties: Buffer.of(1, 1) });
const identity = {
  clientId: 'c',
  username: 'u',
  protocolVersion: 5,
  transport: 'tcp',
  remoteAddress: '127.0.0.1:5',
  listener: 'mqtt://x:1',
  groups: ['g'],
  attributes: { a: 'b' },
} as const;
const session = {
  sid: 1,
  clientId: 'c',
  protocolVersion: 5,
  expirySeconds: 60,
  disconnectedAt: null,
  progress: null,
} as const;
const progress = { sentUpTo: 2 ** 40, nextPacketId: 300 };
const subscription = { topicFilter: 'a/+', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 1 } as const;
const delivery = { message, qos: 1, retain: false, subscriptionIds: [1, 300], group: { name: 'g/a' } } as const;
const quarantined: QuarantinedMessage = {
  pipeline: 'p',
  stage: 's',
  reason: 'r',
  at: 1,
  clientId: 'c',
  message: {
    topic: 't',
    payload: Buffer.from('x'),
    qos: 1,
    retain: false,
    contentType: 'c',
    responseTopic: undefined,
    correlationData: Buffer.of(1),
    payloadFormatIndicator: true,
    messageExpiryInterval: 5,
    userProperties: [['a', 'b']],
  },
} as unknown as QuarantinedMessage;

const kinds: readonly Kind[] = [
  {
    read: (value) => records.readContent(value, 1),
    write: (read: Message) => records.writeContent(out, read),
    seeds: [records.writeContent(out, message)].map(seedOf),
  },
  {
    read: (value) => {
      const stored = records.readMessage(value, 1);
      return stored.contentNumber === null ? { ...stored, content: stored.content() } : stored;
    },
    seeds: [null, { number: 300 }].map((content) => {
      const recipients = [null, { number: 300, length: 2 }].map((idList) => ({ sid: 3, delivery, idList }));
      return seedOf(records.writeMessage(out, { message, recipients, content } as never));
    }),
  },
  {
    read: (value) => records.readSession(value, 1),
    write: (read: ReturnType<typeof records.readSession>) => records.writeSession(out, read),
    seeds: [
      seedOf(records.writeSession(out, { ...session, will: null, identity: null })),
      seedOf(records.writeSession(out, { ...session, will: { message, delaySeconds: 5 }, identity, progress })),
    ],
  },
  {
    read: (value) => records.readSubscription(value, 'a/+'),
    write: (read: ReturnType<typeof records.readSubscription>) => records.writeSubscription(out, read),
    seeds: [
      seedOf(
        records.writeSubscription(out, { ...subscription, identifier: 9, subscriberClass: 'json', owesRetained: true }),
      ),
    ],
  },
  {
    read: (value) => records.readWill(value, 1),
    write: (read: ReturnType<typeof records.readWill>) => records.writeWill(out, read),
    seeds: [null, 5].map((dueAt) => {
      const pending = { number: 1, clientId: 'c', protocolVersion: 5, identity, dueAt } as const;
      return seedOf(records.writeWill(out, { ...pending, will: { message, delaySeconds: 5 } }));
    }),
  },
  {
    read: (value) => records.readFloor(value),
    write: (read: records.Floor) => records.writeFloor(out, read),
    seeds: [seedOf(records.writeFloor(out, { floor: 2 ** 40, done: [2 ** 40 + 3] }))],
  },
  {
    read: (value) => records.readSending(value, 7),
    write: (read: ReturnType<typeof records.readSending>) => records.writeSending(out, read),
    seeds: [seedOf(records.writeSending(out, { packetId: 7, messageId: 5, isReceived: true }))],
  },
  {
    read: (value) => records.readQuarantined(value, 1),
    seeds: [seedOf(records.writeQuarantined(out, quarantined))],
  },
  {
    read: (value) => records.readCommit(value),
    seeds: [seedOf(records.writeCommit(out, { lastMessageId: 300, lastSessionId: 4 }))],
  },
  {
    read: (value) => records.readIdList(value),
    write: (read: readonly number[]) => records.writeIdList(out, read),
    seeds: [seedOf(records.writeIdList(out, [1, 300]))],
  },
  { read: (value) => records.readFormat(value), seeds: [seedOf(records.writeFormat(out))] },
];

export default function stored(): Target {
  return {
    name: 'records',
    seeds: kinds.flatMap(({ seeds }, index) => seeds.map((seed) => Buffer.concat([Buffer.of(index), seed]))),
    tokens: [...bytesOf('{}', '[]', 'null', '"x"', '{"groups":1}'), Buffer.alloc(8, 0xff), Buffer.of(0xff, 0xff, 3)],
    bytesMax: 100_000,
    run(input) {
      const kind = kinds[(input[0] ?? 0) % kinds.length]!;
      const value = Buffer.concat([Buffer.alloc(4), input.subarray(1)]);
      value.writeUInt32BE(crc32(value.subarray(4)));
      let read: unknown;
      try {
        read = kind.read(value);
      } catch (error) {
        if (error instanceof CorruptValue) return wordsOf(error);
        throw error;
      }
      if (kind.write === undefined) return `read ${kinds.indexOf(kind)}`;
      const written = Buffer.from(kind.write(read as never));
      // Compared as bytes: two equal messages need not be equal objects.
      const again = kind.write(kind.read(written) as never);
      must(isDeepStrictEqual(written, Buffer.from(again)), 'what is read is not what was written');
      return `read ${kinds.indexOf(kind)}`;
    },
  };
}
