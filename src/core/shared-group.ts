/**
 * A shared subscription: each message goes to one of its members. [MQTT5 4.8.2]
 *
 * Members stand in rings by what was last seen of them, and those of a ring take it in turns. One that is connected and
 * has room comes before one that is connected and busy, and that before one that is away. Those whose queue is full
 * come after those that have room in it, and last of all one that is away and will never see the message, having asked
 * for QoS 0.
 *
 * A member moves to another ring when its client comes or goes (`settle`). A pick looks at the members of a ring only
 * until one fits: who does not fit moves to the ring where it belongs, and comes back when one of the few looks that
 * each pick spends on the busy and the full finds room. So a pick costs the same however many members there are; only
 * rules that keep a topic from most members make it a search.
 */
import type { Limits } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import type { Session } from './session.ts';
import type { Subscription } from './subscription.ts';

/** Each pick looks again at so many of those that were busy, and of those that were full. */
const secondLooks = 16;
/** Who asks about all members is told of so many of each ring. */
const looksPerRing = 64;

/** A member and its place in one of the rings. */
export class Membership {
  readonly group: SharedGroup;
  readonly subscription: Subscription;
  /** Null: its session has ended. */
  ring: Ring | null = null;
  previous: Membership = this;
  next: Membership = this;

  constructor(group: SharedGroup, subscription: Subscription) {
    this.group = group;
    this.subscription = subscription;
  }

  moveTo(ring: Ring | null): void {
    this.ring?.remove(this);
    ring?.append(this);
  }
}

class Ring {
  /** The lowest is the best. */
  readonly rank: number;
  /** Whose turn it is. */
  first: Membership | null = null;
  /** Who is looked at again next; null: the first. */
  again: Membership | null = null;
  size = 0;

  constructor(rank: number) {
    this.rank = rank;
  }

  append(member: Membership): void {
    const { first } = this;
    if (first === null) this.first = member.previous = member.next = member;
    else {
      member.next = first;
      member.previous = first.previous;
      first.previous.next = member;
      first.previous = member;
    }
    member.ring = this;
    this.size++;
  }

  remove(member: Membership): void {
    const next = member.next === member ? null : member.next;
    if (this.first === member) this.first = next;
    if (this.again === member) this.again = next;
    member.previous.next = member.next;
    member.next.previous = member.previous;
    member.ring = null;
    this.size--;
  }

  /** So many members from the one on whose turn it is, or who is looked at again next. */
  leading(most: number, start = this.first): Membership[] {
    const members: Membership[] = [];
    for (let each = start ?? this.first; members.length < Math.min(most, this.size); each = each!.next) {
      members.push(each!);
    }
    return members;
  }
}

export class SharedGroup {
  /** `{share name}/{topic filter}`. */
  readonly name: string;
  readonly filter: string;
  #size = 0;
  /** How many members there are of each class that gets messages otherwise than as published. */
  readonly #classes = new Map<string, number>();
  // Connected, with room to be sent more; connected and busy; away, with room in the queue.
  readonly #free = new Ring(0);
  readonly #busy = new Ring(1);
  readonly #away = new Ring(2);
  // Their queue is full: connected, and away.
  readonly #stuck = new Ring(3);
  readonly #full = new Ring(4);
  /** Away, and asked for QoS 0. */
  readonly #lossy = new Ring(5);

  constructor(name: string, filter: string) {
    this.name = name;
    this.filter = filter;
  }

  get size(): number {
    return this.#size;
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  add(subscription: Subscription): void {
    const { session, subscriberClass } = subscription;
    const member = new Membership(this, subscription);
    (session.memberships ??= new Map()).set(subscription, member);
    this.settle(member);
    this.#size++;
    if (subscriberClass !== null) this.#classes.set(subscriberClass, (this.#classes.get(subscriberClass) ?? 0) + 1);
  }

  remove(subscription: Subscription): void {
    const { session, subscriberClass } = subscription;
    const member = session.memberships?.get(subscription);
    if (member === undefined) return;
    session.memberships!.delete(subscription);
    member.moveTo(null);
    this.#size--;
    if (subscriberClass === null) return;
    const others = this.#classes.get(subscriberClass)! - 1;
    if (others > 0) this.#classes.set(subscriberClass, others);
    else this.#classes.delete(subscriberClass);
  }

  /** Where a member belongs whose client has just come or gone, until a closer look at its queue. */
  settle(member: Membership): void {
    const { session, qos } = member.subscription;
    if (session.isEnded) member.moveTo(null);
    else member.moveTo(session.isReady ? this.#free : qos > 0 ? this.#away : this.#lossy);
  }

  /** Whether this is true of a member; true as well if there are too many to ask. */
  maySome(predicate: (member: Subscription) => boolean): boolean {
    return [this.#away, this.#full, this.#free, this.#busy, this.#stuck, this.#lossy].some((ring) => {
      return ring.size > looksPerRing || ring.leading(ring.size).some(({ subscription }) => predicate(subscription));
    });
  }

  /** All of them, as they are now. */
  get members(): Subscription[] {
    const rings = [this.#free, this.#busy, this.#away, this.#stuck, this.#full, this.#lossy];
    return rings.flatMap((ring) => ring.leading(ring.size)).map(({ subscription }) => subscription);
  }

  /** Of its members, without those that get messages as published. */
  get subscriberClasses(): Iterable<string> {
    return this.#classes.keys();
  }

  /**
   * Whose turn it is, for this message at this QoS; null if there is nobody. Passed over are `except`, and those who
   * may not have it; with `isForGood` also those whose session ends with their connection.
   */
  pick(except: Session | null, message: Message, qos: number, limits: Limits, isForGood = false): Subscription | null {
    const member = this.#next(except, message, qos, limits, isForGood);
    if (member === null) return null;
    // Its turn is over.
    member.ring!.first = member.next;
    return member.subscription;
  }

  /** Whether anyone but `except` is connected, and can take over this message without losing another one. */
  hasConnectedWithRoom(except: Session, message: Message, qos: number, limits: Limits): boolean {
    const ring = this.#next(except, message, qos, limits, false)?.ring;
    return ring === this.#free || ring === this.#busy;
  }

  /**
   * Members that may have the message: all of a small group, and of a large one those among whom `pick` would find one.
   */
  eligible({ topic }: Message): Subscription[] {
    const inTurn = [this.#free, this.#busy, this.#away, this.#lossy].map((ring) => ring.leading(looksPerRing));
    const withoutRoom = [this.#stuck, this.#full].map((ring) => ring.leading(secondLooks, ring.again));
    const members = [...inTurn, ...withoutRoom].flat().map(({ subscription }) => subscription);
    return members.filter(({ session }) => !session.isEnded && mayReceive(session, topic.name));
  }

  #next(except: Session | null, message: Message, qos: number, limits: Limits, isForGood: boolean): Membership | null {
    this.#lookAgain(this.#busy, message, qos, limits);
    this.#lookAgain(this.#stuck, message, qos, limits);
    this.#lookAgain(this.#full, message, qos, limits);
    const connected =
      this.#find(this.#free, except, message, qos, limits, isForGood) ??
      this.#find(this.#busy, except, message, qos, limits, isForGood);
    if (connected !== null) return connected;
    // Without QoS, nobody's queue matters.
    const [third, fourth] = qos > 0 ? [this.#away, this.#stuck] : [this.#stuck, this.#away];
    return (
      this.#find(third, except, message, qos, limits, isForGood) ??
      this.#find(fourth, except, message, qos, limits, isForGood) ??
      this.#find(this.#full, except, message, qos, limits, isForGood) ??
      this.#find(this.#lossy, except, message, qos, limits, isForGood)
    );
  }

  /** The next of a ring who may have the message. Those who do not belong there for this message leave the ring. */
  #find(
    ring: Ring,
    except: Session | null,
    message: Message,
    qos: number,
    limits: Limits,
    isForGood: boolean,
  ): Membership | null {
    let next = ring.first;
    for (let left = ring.size; left > 0; left--) {
      const member: Membership = next!;
      next = member.next;
      const { session } = member.subscription;
      const place = session.isEnded ? null : this.#placeOf(member.subscription, message, qos, limits);
      if (place !== ring) member.moveTo(place);
      if (place === null || place.rank > ring.rank || session === except) continue;
      if (isForGood && !session.outlivesConnection) continue;
      if (mayReceive(session, message.topic.name)) return member;
    }
    return null;
  }

  #lookAgain(ring: Ring, message: Message, qos: number, limits: Limits): void {
    for (let left = Math.min(ring.size, secondLooks); left > 0; left--) {
      const member: Membership = (ring.again ?? ring.first)!;
      ring.again = member.next;
      const { session } = member.subscription;
      const place = session.isEnded ? null : this.#placeOf(member.subscription, message, qos, limits);
      if (place !== ring) member.moveTo(place);
    }
  }

  /** The ring where a member belongs, for this message. */
  #placeOf(member: Subscription, message: Message, qos: number, limits: Limits): Ring {
    const { session } = member;
    const isKept = qos > 0 && member.qos > 0;
    if (!session.isReady) {
      if (member.qos === 0) return this.#lossy;
      return !isKept || session.queue.hasRoomFor(message.size, limits) ? this.#away : this.#full;
    }
    if (!session.isCongested && !(isKept && session.mustQueue)) return this.#free;
    return !isKept || session.queue.hasRoomFor(message.size, limits) ? this.#busy : this.#stuck;
  }
}

const mayReceive = ({ rights }: Session, topicName: string) => rights?.receive(topicName) !== false;

/** By which it is a member; null: it is none. */
export function membershipIn({ name }: SharedGroup, session: Session): Subscription | null {
  return session.subscriptionCount === 0 ? null : (session.subscriptions.get(`$share/${name}`) ?? null);
}
