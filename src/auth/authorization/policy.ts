/**
 * The access policy that follows the configured rules: answers the broker, and says why when somebody asks.
 */
import type { AccessDecision, AccessRequest, ExplainingPolicy, Rights } from '../../contracts/access.ts';
import type { ClientIdentity } from '../../contracts/hooks.ts';
import type { QoS } from '../../protocol/packets.ts';
import { ReasonCode } from '../../protocol/reason-codes.ts';
import { isBrokersOwn, isClosedToClients, type ParsedFilter, parseFilter, type Topic } from '../../protocol/topic.ts';
import { ClientRules } from './client-rules.ts';
import { type ConcernedTopics, saySame, topicsWithOtherReaders } from './readers.ts';
import type { Rule } from './rule.ts';
import { RuleSet } from './rule-set.ts';

/** Kinds of messages: three QoS, retained or not. */
const kinds = 6;

export class RulePolicy implements ExplainingPolicy {
  #rules = new RuleSet([], { hasAclFile: false, default: 'deny' });
  readonly #allowedDollarPrefixes: readonly string[];
  /** Rises with each change of the rules. */
  generation = 0;

  /** The setting of that name, for explanations: the broker asks no rules about other topics that begin with `$`. */
  constructor(allowedDollarPrefixes: readonly string[] = []) {
    this.#allowedDollarPrefixes = allowedDollarPrefixes;
  }

  get rules(): RuleSet {
    return this.#rules;
  }

  /** Returns which topics may have other readers from now on. */
  replace(rules: RuleSet): ConcernedTopics {
    const before = this.#rules;
    this.#rules = rules;
    // Answers that are remembered hold under rules that say the same.
    if (saySame(before, rules)) return [];
    this.generation++;
    return topicsWithOtherReaders(before, rules);
  }

  rightsOf(client: ClientIdentity): Rights {
    return new ClientRights(this, client);
  }

  explain(client: ClientIdentity, request: AccessRequest): AccessDecision {
    const set = this.#rules;
    const rules = new ClientRules(set, client);
    const told = (rule: Rule | null, code: number): AccessDecision => {
      return { isAllowed: code < 0x80, code, rule: rule?.name ?? nothingMatches(set) };
    };
    const refused = (code: number, why: string): AccessDecision => ({ isAllowed: false, code, rule: why });
    if (request.action === 'subscribe') {
      const parsed = parseFilter(request.filter);
      if (parsed === null) return refused(ReasonCode.TopicFilterInvalid, 'it is no valid topic filter');
      const rule = rules.subscribe(parsed);
      return told(rule, granted(set, rule, request.qos));
    }
    const { action, topic } = request;
    if (topic === '') return refused(ReasonCode.TopicNameInvalid, 'a topic name is not empty');
    if (/[+#]/.test(topic)) return refused(ReasonCode.TopicNameInvalid, 'a topic name holds no wildcards');
    if (action === 'publish' && isClosedToClients(topic, this.#allowedDollarPrefixes)) {
      return refused(ReasonCode.NotAuthorized, isBrokersOwn(topic) ? ofBroker : ofServer);
    }
    const rule = action === 'publish' ? rules.publish(topic, request.qos, request.retain) : rules.receive(topic);
    return told(rule, isAllowed(set, rule) ? 0 : ReasonCode.NotAuthorized);
  }
}

const ofBroker = "$SYS and $share topics are the broker's own to publish";
const ofServer =
  'clients do not publish to topics that begin with $, unless allowedDollarPrefixes names their first level';

function isAllowed(set: RuleSet, rule: Rule | null): boolean {
  return rule?.isAllow ?? (set.isOpen || set.default === 'allow');
}

function granted(set: RuleSet, rule: Rule | null, qos: QoS): number {
  return isAllowed(set, rule) ? Math.min(qos, rule?.maxQoS ?? 2) : ReasonCode.NotAuthorized;
}

function nothingMatches(set: RuleSet): string {
  if (set.isOpen) return 'there are no rules, so everything is allowed';
  return `no rule matches, so authorization.default decides: ${set.default}`;
}

/**
 * Of one session. Remembered are the last answers of each kind, here and on the topic: a publisher that stays with its
 * topic, and a topic that has one publisher, are not looked up again. Neither grows, whatever topics a client invents.
 */
class ClientRights implements Rights {
  readonly #policy: RulePolicy;
  readonly #client: ClientIdentity;
  #rules: ClientRules | null = null;
  // The last publication: its topic, its kind with the generation of the rules, and the answer.
  #topic: Topic | null = null;
  #question = -1;
  #code = 0;
  // The last delivery.
  #received = '';
  #receivedGeneration = -1;
  #mayReceive = false;

  constructor(policy: RulePolicy, client: ClientIdentity) {
    this.#policy = policy;
    this.#client = client;
  }

  publish(topic: Topic, qos: QoS, retain: boolean): number {
    const question = this.#policy.generation * kinds + qos * 2 + (retain ? 1 : 0);
    if (topic === this.#topic && question === this.#question) return this.#code;
    this.#topic = topic;
    this.#question = question;
    if (topic.rights === this && topic.rightsQuestion === question) return (this.#code = topic.rightsCode);
    topic.rights = this;
    topic.rightsQuestion = question;
    topic.rightsCode = this.#mayPublish(topic.name, qos, retain) ? 0 : ReasonCode.NotAuthorized;
    return (this.#code = topic.rightsCode);
  }

  will(topic: Topic, qos: QoS, retain: boolean): number {
    const code = this.publish(topic, qos, retain);
    const { rules } = this.#policy;
    if (code === 0 || !rules.hasAclFile) return code;
    // Mosquitto lets the client in, and does not publish its will.
    const rule = this.#current().publish(topic.name, qos, retain);
    return rule === null || rule.isMosquitto ? 0 : code;
  }

  subscribe(filter: ParsedFilter, qos: QoS): number {
    const { rules } = this.#policy;
    return rules.isOpen ? qos : granted(rules, this.#current().subscribe(filter), qos);
  }

  receive(topicName: string): boolean {
    const { rules, generation } = this.#policy;
    if (generation === this.#receivedGeneration && topicName === this.#received) return this.#mayReceive;
    this.#received = topicName;
    this.#receivedGeneration = generation;
    this.#mayReceive = rules.isOpen || isAllowed(rules, this.#current().receive(topicName));
    return this.#mayReceive;
  }

  #mayPublish(topicName: string, qos: QoS, retain: boolean): boolean {
    const { rules } = this.#policy;
    return rules.isOpen || isAllowed(rules, this.#current().publish(topicName, qos, retain));
  }

  /** Made anew when others have taken the place of the rules. */
  #current(): ClientRules {
    const { rules } = this.#policy;
    if (this.#rules?.set !== rules) this.#rules = new ClientRules(rules, this.#client);
    return this.#rules;
  }
}
