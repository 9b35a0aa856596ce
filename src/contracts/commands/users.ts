/** Users of the password files that the configuration names. */
import * as z from 'zod';
import { type CommandDeclarations, pageOf, pageWith } from './declaration.ts';

/** No colon, no control character, no # in front, no space around it. */
const userName =
  /^[^:#\s\u0000-\u001f\u007f-\u009f]([^:\u0000-\u001f\u007f-\u009f]*[^:\s\u0000-\u001f\u007f-\u009f])?$/;
const username = z
  .string()
  .regex(userName, 'a user name: no colon, no control character, no # in front and no space around it')
  .max(16_000)
  .describe('user name');
const file = z
  .string()
  .min(1)
  .nullable()
  .default(null)
  .describe('the password file, as the configuration has it; null: the only one');

const user = z.strictObject({
  username: z.string().describe('user name'),
  file: z.string().describe('the password file'),
});

export const userCommands = {
  'users list': {
    what: 'lists users of a password file of the configuration',
    area: 'access',
    role: 'operator',
    route: 'GET /users',
    cli: { lists: 'users' },
    request: pageWith({ file }),
    answer: pageOf(user, 'users, in the order of the file'),
  },
  'users put': {
    what: 'adds a user to a password file of the configuration, or changes the password',
    area: 'access',
    role: 'admin',
    route: 'PUT /users/{username}',
    request: z.strictObject({
      username,
      password: z.string().min(1).max(1_024).describe('the password, of which only a hash is kept'),
      file,
    }),
    answer: user.extend({ isNew: z.boolean().describe('whether there was no such user') }),
  },
  'users delete': {
    what: 'takes a user out of a password file of the configuration',
    area: 'access',
    role: 'admin',
    route: 'DELETE /users/{username}',
    request: z.strictObject({ username, file }),
    answer: user,
  },
} as const satisfies CommandDeclarations;
