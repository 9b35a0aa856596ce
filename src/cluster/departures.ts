/** Members that have left their shared subscriptions, as this node has written, while the log does not say so yet. */
import { TopicTree } from '../protocol/topic-tree.ts';
import { filterOf } from './group-table.ts';

export class Departures {
  /** By client and group: how many frames on their way say so. */
  readonly #left = new Map<string, Map<string, number>>();
  /** How many clients are leaving each group. */
  readonly #leaving = new Map<string, number>();
  readonly #byFilter = new TopicTree<string>();
  readonly #search = this.#byFilter.search();

  /** A frame that says so is on its way. */
  add(clientId: string, group: string): void {
    const groups = this.#left.get(clientId) ?? new Map<string, number>();
    this.#left.set(clientId, groups);
    const count = groups.get(group) ?? 0;
    groups.set(group, count + 1);
    if (count > 0) return;
    const clients = this.#leaving.get(group) ?? 0;
    this.#leaving.set(group, clients + 1);
    if (clients === 0) this.#byFilter.add(filterOf(group), group);
  }

  /** Such a frame has been read. */
  read(clientId: string, group: string): void {
    const groups = this.#left.get(clientId);
    const count = groups?.get(group);
    if (groups === undefined || count === undefined) return;
    if (count > 1) {
      groups.set(group, count - 1);
      return;
    }
    groups.delete(group);
    if (groups.size === 0) this.#left.delete(clientId);
    const clients = this.#leaving.get(group)! - 1;
    if (clients > 0) {
      this.#leaving.set(group, clients);
      return;
    }
    this.#leaving.delete(group);
    this.#byFilter.remove(filterOf(group), group);
  }

  has(clientId: string, group: string): boolean {
    return this.#left.get(clientId)?.has(group) === true;
  }

  /** Whether it is leaving any group. */
  hasAny(clientId: string): boolean {
    return this.#left.has(clientId);
  }

  /** Groups that somebody is leaving and that get messages of this topic. */
  groupsFor(topicName: string): string[] {
    if (this.#leaving.size === 0) return [];
    const found: string[] = [];
    this.#search.begin(topicName);
    this.#search.step(Number.POSITIVE_INFINITY, found);
    return found;
  }
}
