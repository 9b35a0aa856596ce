/** The broker as a whole. */
import { z } from 'zod';
import { text } from '../values.ts';
import { type CommandDeclarations, nothing } from './declaration.ts';

export const brokerCommands = {
  reload: {
    what: 'reads the configuration again and applies what can change',
    area: 'broker',
    role: 'operator',
    route: 'POST /broker/reload',
    request: nothing,
    answer: z.strictObject({ summary: z.string().describe('what was applied, in words') }),
  },
  backup: {
    what: 'copies the data, as it is at one moment',
    area: 'broker',
    role: 'admin',
    route: 'POST /broker/backup',
    request: z.strictObject({ directory: text.describe('an empty directory, or one that is not there') }),
    answer: z.strictObject({ records: z.int().describe('records that were copied') }),
  },
} as const satisfies CommandDeclarations;
