/**
 * What is done in one run: a list of steps, drawn from the seed before anything runs, so that a step can be left out
 * and the rest stays what it is. A step that makes no sense at its time is passed over.
 */
import type { Random } from '../../scripts/crash/random.ts';
import type { AckHabit, ConnectRequest } from './client.ts';
import type { DiskState } from './disk.ts';
import type { QoS } from './model.ts';
import { drawRules, type SimulatedRule } from './rules.ts';

export interface SubscriptionStep {
  readonly topic: string;
  readonly qos: QoS;
  readonly nl: boolean;
  readonly rap: boolean;
  readonly rh: 0 | 1 | 2;
}

export type Action =
  | { readonly kind: 'connect'; readonly client: number; readonly request: ConnectRequest }
  | {
      readonly kind: 'disconnect';
      readonly client: number;
      readonly withWill: boolean;
      readonly expirySeconds: number | null;
    }
  | { readonly kind: 'vanish'; readonly client: number; readonly how: 'reset' | 'silent' }
  | {
      readonly kind: 'subscribe';
      readonly client: number;
      readonly filters: readonly SubscriptionStep[];
      readonly id: number;
    }
  | { readonly kind: 'unsubscribe'; readonly client: number; readonly filter: string }
  | {
      readonly kind: 'publish';
      readonly client: number;
      readonly topic: string;
      readonly qos: QoS;
      readonly retain: boolean;
      readonly expirySeconds: number;
      readonly bytes: number;
      readonly usesAlias: boolean;
      readonly times: number;
    }
  | { readonly kind: 'clear'; readonly client: number; readonly topic: string; readonly qos: QoS }
  | { readonly kind: 'answer'; readonly client: number }
  | { readonly kind: 'reading'; readonly client: number; readonly isReading: boolean }
  | { readonly kind: 'restart'; readonly how: 'clean' | 'kill' | 'power cut'; readonly downMs: number }
  | { readonly kind: 'disk'; readonly state: DiskState }
  | { readonly kind: 'rules'; readonly rules: readonly SimulatedRule[] }
  /** Others than these clients take this part of all memory. */
  | { readonly kind: 'memory'; readonly part: number };

export type Step = Action & {
  /** How long after the step before. */
  readonly afterMs: number;
};

export const topics = ['a', 'a/b', 'a/b/c', 'x', 'x/y'];
/** With the number in front of it. */
export const largestPayload = 100_000;
const filters = ['a', 'a/b', '#', 'a/#', '+/b', 'x', 'x/+', '+', 'a/+/c'];
/** No two of them match the same topic. */
const sharedFilters = ['$share/g/a/#', '$share/g/x', '$share/h/x/+'];

/** They all do. */
const groupsOfOne = ['$share/g/a/#', '$share/h/a/#', '$share/i/a/#', '$share/j/a/#'];

const diskStates: readonly DiskState[] = ['takes', 'takes', 'refuses', 'hangs'];

/** How the clients of a run are: alike enough to have much in common, and not too much. */
interface Cast {
  readonly clients: number;
  readonly clean: number;
  readonly wills: number;
  readonly shared: number;
  readonly retained: number;
  readonly expiring: number;
  readonly crashes: number;
  readonly troubles: number;
  readonly never: number;
  /** Changes of the rules. */
  readonly rules: number;
  /** Large payloads, and clients that do not read them. */
  readonly large: number;
  readonly stalls: number;
}

export interface Plan {
  readonly clients: number;
  readonly steps: readonly Step[];
  readonly hasRules: boolean;
  /** At times, others leave these clients little memory or none. */
  readonly isMemoryShort: boolean;
  /** What is retained is replaced while somebody subscribes to it. */
  readonly isReplacing: boolean;
  /** Members of several shared subscriptions leave while a message is on its way to all of these. */
  readonly isLeaving: boolean;
  /** A client that does not read is sent many large messages of QoS 2. */
  readonly isFlooding: boolean;
}

export function drawPlan(random: Random): Plan {
  // Members of shared subscriptions that come and go, with much under way and many restarts.
  const isSharing = random.isLucky(0.15);
  const isLarge = random.isLucky(0.15);
  const cast: Cast = {
    clients: random.between(2, 5),
    clean: random.pick([0.05, 0.3]),
    wills: random.pick([0, 0.5]),
    shared: isSharing ? 0.7 : random.pick([0, 0, 0.5]),
    retained: random.pick([0, 0.1, 0.5]),
    expiring: random.pick([0, 0.2, 0.5]),
    crashes: isSharing ? 0.08 : random.pick([0, 0.02, 0.05]),
    troubles: random.pick([0, 0.03]),
    never: isSharing ? 0.6 : random.pick([0, 0.4]),
    rules: random.pick([0, 0, 0, 0.08]),
    large: isLarge ? 0.3 : 0.005,
    stalls: isLarge ? 0.15 : 0,
  };
  const steps: Step[] = [];
  for (let client = 0; client < cast.clients; client++) {
    steps.push({ afterMs: random.between(0, 20), ...connect(random, cast, client) });
    steps.push({ afterMs: random.between(50, 150), ...subscribe(random, cast, client) });
  }
  const count = random.between(15, 90);
  for (let i = 0; i < count; i++) {
    steps.push({ afterMs: pause(random, cast), ...draw(random, cast) });
  }
  // Drawn last, so that the rest of a seed's run stays what it was.
  const isMemoryShort = random.isLucky(0.1);
  if (isMemoryShort) shortenMemory(random, cast, steps);
  const isReplacing = random.isLucky(0.1);
  if (isReplacing) replaceRetained(random, cast, steps);
  if (isMemoryShort) holdMuch(random, cast, steps);
  const isLeaving = random.isLucky(0.1);
  if (isLeaving) leaveGroups(random, cast, steps);
  const isFlooding = random.isLucky(0.03);
  if (isFlooding) floodSlowReader(random, cast, steps);
  const hasRules = cast.rules > 0;
  return { clients: cast.clients, steps, hasRules, isMemoryShort, isReplacing, isLeaving, isFlooding };
}

/** Parts of all memory that others take: up to the levels at which clients are refused more, and are disconnected. */
const takenParts = [0, 0.72, 0.85, 0.895, 0.93, 0.96, 1.01];

function shortenMemory(random: Random, cast: Cast, steps: Step[]): void {
  for (let left = random.between(2, 10); left > 0; left--) {
    const at = random.between(2 * cast.clients, steps.length);
    // Then somebody holds much, or wants to.
    const burst = publish(random, { ...cast, large: 0.4 }, random.between(0, cast.clients - 1));
    steps.splice(
      at,
      0,
      { afterMs: pause(random, cast), kind: 'memory', part: random.pick(takenParts) },
      { afterMs: random.between(0, 200), ...burst },
    );
  }
}

/** A client does not answer the large messages that it is sent, and then others take nearly all memory. */
function holdMuch(random: Random, cast: Cast, steps: Step[]): void {
  const holder = random.between(0, cast.clients - 1);
  const publisher = (holder + 1) % cast.clients;
  const { request } = connect(random, cast, holder);
  const neverAnswers = { ...request, habit: 'never', receiveMaximum: 65_535, packetBytesMax: 1_000_000 } as const;
  const everything = { topic: '#', qos: 1, nl: false, rap: false, rh: 0 } as const;
  const burst = { ...publish(random, cast, publisher), qos: 1, bytes: largestPayload - 10, times: 12 } as const;
  steps.splice(
    random.between(2 * cast.clients, steps.length),
    0,
    { afterMs: pause(random, cast), kind: 'memory', part: 0 },
    { afterMs: 0, kind: 'connect', client: holder, request: neverAnswers },
    { afterMs: 300, kind: 'subscribe', client: holder, filters: [everything], id: 0 },
    { afterMs: 300, ...burst },
    { afterMs: 500, kind: 'memory', part: random.pick([0.96, 1.01]) },
    { afterMs: random.between(1_500, 3_000), kind: 'memory', part: random.pick(takenParts) },
  );
}

function pause(random: Random, cast: Cast): number {
  const chance = random.fraction();
  if (chance < 0.35) return 0;
  if (chance < 0.7) return random.between(0, 20);
  if (chance < 0.93) return random.between(20, 400);
  return random.between(400, cast.expiring > 0 ? 9_000 : 2_500);
}

function draw(random: Random, cast: Cast): Action {
  const client = random.between(0, cast.clients - 1);
  if (random.isLucky(cast.rules)) return { kind: 'rules', rules: drawRules(random, cast.clients) };
  if (random.isLucky(cast.crashes)) return restart(random);
  if (random.isLucky(cast.troubles)) return { kind: 'disk', state: random.pick(diskStates) };
  if (random.isLucky(cast.stalls)) return { kind: 'reading', client, isReading: false };
  const chance = random.fraction();
  if (chance < 0.5) return publish(random, cast, client);
  if (chance < 0.55) return { kind: 'clear', client, topic: random.pick(topics), qos: random.between(0, 2) as QoS };
  if (chance < 0.63) return subscribe(random, cast, client);
  if (chance < 0.68) {
    const isShared = random.isLucky(cast.shared);
    return { kind: 'unsubscribe', client, filter: random.pick(isShared ? sharedFilters : filters) };
  }
  if (chance < 0.84) return connect(random, cast, client);
  if (chance < 0.88) {
    const expirySeconds = random.isLucky(0.3) ? random.pick([0, 1, 5]) : null;
    return { kind: 'disconnect', client, withWill: random.isLucky(0.3), expirySeconds };
  }
  if (chance < 0.93) return { kind: 'vanish', client, how: random.isLucky(0.7) ? 'reset' : 'silent' };
  if (chance < 0.95) return { kind: 'reading', client, isReading: random.isLucky(0.4) };
  return { kind: 'answer', client };
}

function connect(random: Random, cast: Cast, client: number): Extract<Action, { kind: 'connect' }> {
  const version = random.pick([3, 4, 4, 5, 5, 5] as const);
  const habits: AckHabit[] = ['at once', 'at once', 'late', 'any order'];
  const clean = random.isLucky(cast.clean);
  const isShort = random.isLucky(cast.expiring);
  const expirySeconds = isShort ? random.between(1, 8) : random.pick([1_000, 100, 0xffffffff]);
  const request: ConnectRequest = {
    version,
    clean,
    expirySeconds: version === 5 && random.isLucky(0.12) ? 0 : expirySeconds,
    keepAliveSeconds: random.pick([0, 0, 2, 5]),
    receiveMaximum: random.pick([65_535, 1, 2, 3]),
    packetBytesMax: random.isLucky(0.1) ? 120 : 1_000_000,
    topicAliasMaximum: random.pick([0, 1, 10]),
    will: !random.isLucky(cast.wills)
      ? null
      : {
          topic: random.pick(topics),
          qos: random.between(0, 2) as QoS,
          retain: random.isLucky(cast.retained),
          delaySeconds: version === 5 ? random.pick([0, 1, 3]) : 0,
          expirySeconds: random.isLucky(cast.expiring) ? 3 : 0,
        },
    habit: random.isLucky(cast.never) ? 'never' : random.pick(habits),
  };
  return { kind: 'connect', client, request };
}

function subscribe(random: Random, cast: Cast, client: number): Action {
  const drawn = Array.from({ length: random.pick([1, 1, 2, 3]) }, () => {
    const isShared = random.isLucky(cast.shared);
    return {
      topic: random.pick(isShared ? sharedFilters : filters),
      qos: random.pick([0, 1, 1, 2, 2] as const),
      nl: !isShared && random.isLucky(0.2),
      rap: random.isLucky(0.3),
      rh: random.pick([0, 0, 1, 2] as const),
    };
  });
  const chosen = drawn.filter(({ topic }, index) => drawn.findIndex((each) => each.topic === topic) === index);
  return { kind: 'subscribe', client, filters: chosen, id: random.pick([0, 0, 1, 2, 200]) };
}

function publish(random: Random, cast: Cast, client: number): Extract<Action, { kind: 'publish' }> {
  return {
    kind: 'publish',
    client,
    topic: random.pick(topics),
    qos: random.pick([0, 1, 1, 2, 2] as const),
    retain: random.isLucky(cast.retained),
    expirySeconds: random.isLucky(cast.expiring) ? random.between(0, 6) : -1,
    // The large ones have a chunk of memory for themselves.
    bytes: random.isLucky(cast.large) ? largestPayload - 10 : random.pick([0, 0, 20, 20, 300, 5_000]),
    usesAlias: random.isLucky(0.3),
    times: random.pick([1, 1, 1, 3, 12]),
  };
}

function restart(random: Random): Action {
  const how = random.pick(['clean', 'kill', 'power cut'] as const);
  return { kind: 'restart', how, downMs: random.pick([0, 10, 500, 3_000]) };
}

/**
 * Somebody subscribes, again and again, while what is retained is replaced: by messages that are large enough for their
 * content to have records of its own, and that go to all others as well.
 */
function replaceRetained(random: Random, cast: Cast, steps: Step[]): void {
  for (let left = random.between(2, 6); left > 0; left--) {
    const [subscriber, publisher] = [random.between(0, cast.clients - 1), random.between(0, cast.clients - 1)];
    const everything = (client: number): Step => {
      const filter = { topic: '#', qos: random.pick([1, 2] as const), nl: false, rap: false, rh: 0 } as const;
      return { afterMs: 0, kind: 'subscribe', client, filters: [filter], id: 0 };
    };
    // All to one topic, or to any.
    const ofOne = random.isLucky(0.5) ? random.pick(topics) : null;
    const added: Step[] = [{ afterMs: pause(random, cast), kind: 'unsubscribe', client: subscriber, filter: '#' }];
    if (random.isLucky(0.7)) for (let each = 0; each < cast.clients; each++) added.push(everything(each));
    for (let count = 0; count < 8; count++) {
      const topic = ofOne ?? random.pick(topics);
      const message = { topic, qos: random.pick([1, 2] as const), retain: true, expirySeconds: -1, bytes: 5_000 };
      const afterMs = count === 0 ? random.between(100, 200) : random.pick([0, 0, 1]);
      added.push({ ...message, afterMs, kind: 'publish', client: publisher, usesAlias: false, times: 1 });
      if (count === 3 || (count > 0 && random.isLucky(0.3))) added.push(everything(subscriber));
    }
    steps.splice(random.between(2 * cast.clients, steps.length), 0, ...added);
  }
}

/**
 * Members of shared subscriptions do not answer, and are lost, when others have not got the same message yet: what they
 * had goes to the other members before all of it is given.
 */
function leaveGroups(random: Random, cast: Cast, steps: Step[]): void {
  const all = Array.from({ length: cast.clients }, (_, client) => client);
  const filters = groupsOfOne.map((topic) => ({ topic, qos: 1, nl: false, rap: false, rh: 0 }) as const);
  const enter = (client: number): Step => {
    const { request } = connect(random, cast, client);
    const answersNothing = { ...request, clean: false, receiveMaximum: 65_535, habit: 'never' } as const;
    return { afterMs: 0, kind: 'connect', client, request: answersNothing };
  };
  for (let left = random.between(1, 3); left > 0; left--) {
    const added = all.map(enter);
    for (const client of all)
      added.push({ afterMs: client === 0 ? 300 : 0, kind: 'subscribe', client, filters, id: 0 });
    for (let count = 0; count < 4; count++) {
      const publisher = random.between(0, cast.clients - 1);
      const message = publish(random, cast, publisher);
      const member = (publisher + random.between(1, cast.clients - 1)) % cast.clients;
      const topic = random.pick(['a', 'a/b', 'a/b/c']);
      added.push(
        { ...message, afterMs: 200, topic, qos: random.pick([1, 2] as const), expirySeconds: -1, times: 1 },
        { afterMs: random.between(0, 8), kind: 'vanish', client: member, how: 'reset' },
        { ...enter(member), afterMs: random.between(0, 200) },
      );
    }
    steps.splice(random.between(2 * cast.clients, steps.length), 0, ...added);
  }
}

/** Many large messages of QoS 2 wait for one commit, and then for a client that reads nothing. */
function floodSlowReader(random: Random, cast: Cast, steps: Step[]): void {
  const reader = random.between(0, cast.clients - 1);
  const publisher = (reader + 1) % cast.clients;
  const { request } = connect(random, cast, reader);
  const takesAll = { ...request, clean: false, receiveMaximum: 65_535, packetBytesMax: 1_000_000 } as const;
  const everything = { topic: '#', qos: 2, nl: false, rap: false, rh: 2 } as const;
  const burst = { ...publish(random, cast, publisher), qos: 2, bytes: largestPayload - 10, times: 12 } as const;
  steps.splice(
    random.between(2 * cast.clients, steps.length),
    0,
    { afterMs: pause(random, cast), kind: 'connect', client: reader, request: takesAll },
    { afterMs: 300, kind: 'subscribe', client: reader, filters: [everything], id: 0 },
    { afterMs: 300, kind: 'reading', client: reader, isReading: false },
    { afterMs: random.between(0, 50), ...burst },
    { afterMs: random.between(500, 1_500), kind: 'reading', client: reader, isReading: true },
  );
}

/** A step as a person reads it. */
export function stepText(step: Step): string {
  const { afterMs, kind, ...rest } = step;
  const values = Object.entries(rest).map(
    ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`,
  );
  return `+${afterMs} ms  ${kind} ${values.join(' ')}`;
}
