/** The broker as a whole. */
import * as z from 'zod';
import { brokerStatus } from '../status.ts';
import { text } from '../values.ts';
import { type CommandDeclarations, nothing } from './declaration.ts';

export const brokerCommands = {
  status: {
    what: 'tells what the broker is at, on one page',
    area: 'broker',
    role: 'viewer',
    route: 'GET /broker',
    request: nothing,
    answer: brokerStatus,
  },
  'config show': {
    what: 'gives the configuration in force, without secrets, and what of it has changed in its file',
    area: 'broker',
    role: 'operator',
    route: 'GET /broker/config',
    request: nothing,
    answer: z.strictObject({
      file: z.string().nullable().describe('where it comes from; null: no file, or a program gave it'),
      config: z.record(z.string(), z.unknown()).describe('all settings, with `***` for what is secret'),
      deviations: z
        .array(
          z.strictObject({
            path: z.string().describe('setting, as `limits.queueMessages`'),
            default: z.unknown().optional().describe('its value by default; absent: none'),
          }),
        )
        .readonly()
        .describe('settings whose values in force are not those by default'),
      origins: z
        .array(
          z.strictObject({
            path: z.string().describe('setting, as `limits.queueMessages`, or what it is a part of'),
            from: z
              .enum(['file', 'environment', 'option', 'machine'])
              .describe('`machine`: it is less than was asked for, since the machine has no more'),
            where: z.string().nullable().describe('`file:line:column`, or the variable'),
          }),
        )
        .readonly()
        .describe(
          'where settings come from; the first that fits counts. Others are as by default, or a program gave them',
        ),
      changes: z
        .array(
          z.strictObject({
            path: z.string().describe('setting, as `limits.queueMessages`'),
            from: z.unknown().optional().describe('its value in force; absent: none'),
            to: z.unknown().optional().describe('its value in the file; absent: none'),
            takesEffect: z.enum(['reload', 'restart']).describe('what applies it'),
          }),
        )
        .readonly()
        .nullable()
        .describe('settings whose values in the file are others now; null: there is no file to read again'),
      problem: z.string().nullable().describe('why the file cannot be used as it is now; null: it can'),
    }),
  },
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
    cli: { arguments: ['directory'] },
    request: z.strictObject({ directory: text.describe('an empty directory, or one that is not there') }),
    answer: z.strictObject({ records: z.int().describe('records that were copied') }),
  },
} as const satisfies CommandDeclarations;
