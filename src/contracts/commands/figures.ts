/** Figures over time. */
import * as z from 'zod';
import { figureName, figuresEvent, figureView, spans } from '../figures.ts';
import { type CommandDeclarations, nothing } from './declaration.ts';

/** Of one answer: a day of so many series takes a few milliseconds. */
const namesMax = 24;

export const figureCommands = {
  'figures list': {
    what: 'tells what each figure is that is kept over time, and when it calls for somebody',
    area: 'broker',
    role: 'viewer',
    route: 'GET /figures',
    cli: { lists: 'figures' },
    request: nothing,
    answer: z.strictObject({ items: z.array(figureView).readonly().describe('figures') }),
  },
  'figures history': {
    what: 'gives figures of the last minutes, hour or day, since the start of the broker',
    area: 'broker',
    role: 'viewer',
    route: 'GET /figures/history',
    request: z.strictObject({
      name: z
        .array(figureName)
        .min(1)
        .max(namesMax)
        .describe(`names, as \`figures list\` has them, ${namesMax} at most`),
      span: z
        .enum(Object.keys(spans) as (keyof typeof spans)[])
        .default('hour')
        .describe('five minutes with a point every 2 s, an hour with one every 10 s, or a day with one every minute'),
    }),
    answer: z.strictObject({
      stepSeconds: z.number().describe('between two points'),
      times: z
        .array(z.number())
        .readonly()
        .describe('the end of each point, the oldest first, in milliseconds since the epoch'),
      figures: z
        .record(z.string(), z.array(z.number().nullable()).readonly())
        .describe('by name: a value for each time; null: it was not known'),
    }),
  },
  'figures stream': {
    what: 'gives all figures as they are, every two seconds',
    area: 'broker',
    role: 'viewer',
    route: 'GET /figures/stream',
    isStream: true,
    sharesEvents: true,
    request: nothing,
    answer: figuresEvent,
  },
} as const satisfies CommandDeclarations;
