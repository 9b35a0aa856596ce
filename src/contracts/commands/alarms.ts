/** What calls for an operator. */
import * as z from 'zod';
import { alarm } from '../alarms.ts';
import { type CommandDeclarations, nothing } from './declaration.ts';

export const alarmCommands = {
  'alarms list': {
    what: 'tells what calls for an operator, and what to do',
    area: 'broker',
    role: 'viewer',
    route: 'GET /alarms',
    request: nothing,
    answer: z.strictObject({
      active: z.array(alarm).readonly().describe('alarms that last, the oldest first'),
      past: z.array(alarm).max(100).readonly().describe('the last ones that have ended, the last one first'),
    }),
  },
} as const satisfies CommandDeclarations;
