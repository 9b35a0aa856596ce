/** What lists show of quarantined messages, in pages whose texts are bounded together. */
import type { QuarantineEntry, QuarantineSummary } from '../contracts/pipeline.ts';

/** A page ends with the message whose texts reach so many characters: those of one message may be of 64 KiB each. */
const pageCharacters = 500_000;

export function summaryOf({ message, ...about }: QuarantineEntry): QuarantineSummary {
  const { topic, qos, retain, contentType, payload } = message;
  return { ...about, topic, qos, retain, contentType, bytes: payload.length };
}

function charactersOf({ topic, contentType = '', clientId, username, reason }: QuarantineSummary): number {
  return topic.length + contentType.length + (clientId ?? '').length + (username ?? '').length + reason.length;
}

/** The first ones, at most `limit`. */
export function pageOf(summaries: Iterable<QuarantineSummary>, limit: number): QuarantineSummary[] {
  const page: QuarantineSummary[] = [];
  let characters = 0;
  for (const summary of summaries) {
    if (page.length === limit || characters >= pageCharacters) break;
    page.push(summary);
    characters += charactersOf(summary);
  }
  return page;
}
