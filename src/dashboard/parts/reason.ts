/** Why something was dropped or refused, in words. */
import { texts } from '../texts.ts';

export type ReasonName = keyof typeof texts.reasons;

/** A newer broker may have reasons that this page does not know. */
export const reasonText = (name: string): string =>
  Object.hasOwn(texts.reasons, name) ? texts.reasons[name as ReasonName] : name;
