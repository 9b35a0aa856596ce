/** What a configuration may say of traces. */
import * as z from 'zod';
import type { DeepReadonly } from '../base/freeze.ts';
import { seconds, secret, text, whole } from './values.ts';

const otlp = z.strictObject({
  url: z
    .string()
    .refine((url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol), 'an http or https URL')
    .describe('where the collector takes traces by OTLP over HTTP, as `http://localhost:4318/v1/traces`'),
  headers: secret(z.record(text, z.string()))
    .optional()
    .describe('sent with each request, a key of the collector for example'),
  serviceName: text.default('sluice').describe('`service.name` of the spans'),
  ratio: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe('share of the messages that came without `traceparent` with which a trace begins'),
  queueSpans: whole(512, 1_000_000)
    .default(8_192)
    .describe('spans that wait for the collector. Beyond, they are dropped and counted'),
  timeoutSeconds: seconds(1, 60).default(10).describe('how long the collector may take for a request'),
});

export const telemetry = z.strictObject({
  messages: z
    .boolean()
    .default(true)
    .describe('whether messages get spans, where a collector is configured or the program has set up OpenTelemetry'),
  otlp: otlp.optional().describe('the collector; without it, only a program that embeds the broker can have spans'),
});

export type TelemetrySettings = DeepReadonly<z.output<typeof telemetry>>;
export type OtlpSettings = NonNullable<TelemetrySettings['otlp']>;
