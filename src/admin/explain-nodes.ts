/** One explanation out of those of several nodes: of the one that would publish, and those of the receivers. */
import {
  conclusionOf,
  type ExplainFinding,
  type ExplainReceivers,
  type ExplainStep,
  type Explanation,
  explainedDropsMost,
  explainedReceiversMost,
  explainSteps,
  receiversText,
} from '../contracts/explain.ts';
import type { MissingNode } from '../contracts/node-commands.ts';

export type NodeExplanation = Explanation & { readonly node: string };

export const ofOneNode = ({ node, findings, ...explanation }: NodeExplanation): Explanation => ({
  ...explanation,
  findings: findings.map((finding) => ({ ...finding, node })),
  unanswered: [],
});

/** From there on it is about the receiver. */
const isOfReceiver = ({ step }: ExplainFinding) => placeOf(step) > placeOf('room');
const placeOf = (step: ExplainStep) => explainSteps.indexOf(step);

/** The receiver is at another node than the publisher: `received` was asked there. */
export function joinReceiver(published: NodeExplanation, received: NodeExplanation): Explanation {
  const { findings: before } = ofOneNode(published);
  const { findings: behind } = ofOneNode(received);
  const concerns = (finding: ExplainFinding) =>
    isOfReceiver(finding) || (finding.step === 'broker' && finding.verdict === 'stops');
  const findings = [...before.filter((finding) => !isOfReceiver(finding)), ...behind.filter(concerns)];
  return {
    ...conclusionOf(findings),
    findings,
    drops: newest([published, received]),
    receivers: null,
    unanswered: [],
  };
}

/** Receivers at all nodes, of whom each node tells its own. */
export function joinReceivers(
  published: NodeExplanation,
  others: readonly NodeExplanation[],
  unanswered: readonly MissingNode[],
): Explanation {
  const all = [published, ...others];
  const drops = newest(all);
  // It gets no further than its publisher.
  if (published.receivers === null) return { ...ofOneNode(published), drops, unanswered };
  const receivers = sumOf(all.flatMap(({ receivers }) => receivers ?? []));
  const before = ofOneNode(published).findings.filter((finding) => !isOfReceiver(finding));
  const silent = unanswered.map(
    ({ node, why }): ExplainFinding => ({
      ...{ step: 'cluster', verdict: 'depends', remedy: null, node },
      text: `node ${node} may have subscribers, and cannot be asked: ${why}`,
    }),
  );
  const hasSome = receivers.sessions + receivers.sharedGroups > 0;
  const findings = [
    ...before,
    // Who subscribed there matters only where nobody else did.
    ...(hasSome ? [] : silent),
    ...(hasSome ? [subscribed(receivers)] : all.flatMap((each) => nobodyAt(each, unanswered.length > 0))),
  ];
  return { ...conclusionOf(findings), findings, drops, receivers, unanswered };
}

const subscribed = (receivers: ExplainReceivers): ExplainFinding => ({
  ...{ step: 'subscription', verdict: 'passes', text: receiversText(receivers), remedy: null },
});

const nobodyAt = (explanation: NodeExplanation, mayBeElsewhere: boolean): readonly ExplainFinding[] =>
  ofOneNode(explanation)
    .findings.filter(({ step }) => step === 'subscription')
    .map((finding) => (mayBeElsewhere ? { ...finding, verdict: 'depends' } : finding));

function sumOf(all: readonly ExplainReceivers[]): ExplainReceivers {
  const total = (count: (each: ExplainReceivers) => number) => all.reduce((sum, each) => sum + count(each), 0);
  // One may have members at several nodes.
  const groups = [...new Set(all.flatMap((each) => each.groups))];
  return {
    sessions: total(({ sessions }) => sessions),
    sharedGroups: Math.max(groups.length, ...all.map(({ sharedGroups }) => sharedGroups)),
    clientIds: all.flatMap(({ clientIds }) => clientIds).slice(0, explainedReceiversMost),
    groups: groups.slice(0, explainedReceiversMost),
  };
}

function newest(all: readonly NodeExplanation[]): Explanation['drops'] {
  if (all.every(({ drops }) => drops === null)) return null;
  const drops = all.flatMap((each) => each.drops ?? []);
  return drops.sort((one, other) => other.lastTime - one.lastTime).slice(0, explainedDropsMost);
}
