/** What calls for an operator: raised while it lasts, and then among the past ones for a while. */
import * as z from 'zod';

export const alarmSeverities = ['warning', 'critical'] as const;
export type AlarmSeverity = (typeof alarmSeverities)[number];

export const alarm = z.strictObject({
  name: z.string().describe('which kind it is, as `disk-refusing`'),
  about: z.string().nullable().describe('what in particular, as a file; null: there is one only'),
  severity: z
    .enum(alarmSeverities)
    .describe('`critical`: clients or messages suffer now; `warning`: they will, or a few do'),
  since: z.number().describe('when it was raised, in milliseconds since the epoch'),
  clearedAt: z.number().nullable().describe('when it ended, in milliseconds since the epoch; null: it lasts'),
  text: z.string().describe('what is wrong, with figures; of a past one, the last that was found'),
  remedy: z.string().describe('what to do'),
});
export type Alarm = z.output<typeof alarm>;

/** What is wrong at this moment. */
export interface AlarmFinding {
  /** Of several of the kind, which one. No client can make more of them. Default: null, there is one only. */
  readonly about?: string | null;
  /** Default: that of the declaration. */
  readonly severity?: AlarmSeverity;
  readonly text: string;
}

/** One kind of alarm. A new one is an entry in `src/alarms.ts`. */
export interface AlarmDeclaration {
  readonly name: string;
  readonly severity: AlarmSeverity;
  /** In one line: when it is raised. */
  readonly what: string;
  readonly remedy: string;
  /** It is raised after it lasted so long. Default: 0, at once. */
  readonly lastsSeconds?: number;
  /** It is cleared after it was away so long. Default: 0, at once. */
  readonly awaySeconds?: number;
  /** Asked once a second, so everything must be at hand. Nothing wrong: nothing. */
  readonly look: (now: number) => Iterable<AlarmFinding>;
}
