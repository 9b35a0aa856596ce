/**
 * Authentication and authorisation: what is computed for somebody before anything is known of them, and for each topic.
 */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../project-root.ts';
import type { Attacker } from '../attacker.ts';
import * as p from '../packets.ts';
import type { Row } from '../row.ts';

function passwordFile(folder: string, letters: string): string {
  const file = join(folder, 'passwords');
  const args = [join(projectRoot(), 'dist/program/main.js'), 'passwd', ...letters.split(' '), file, 'ada'];
  execFileSync(process.execPath, args, { input: 'right\n' });
  return file;
}

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Messages to ever new topics, each of which is a question to the rules. */
async function ask(attacker: Attacker, clientId: string, topicOf: (i: number) => string): Promise<void> {
  const client = await attacker.connect({ clientId });
  const count = attacker.size(2_000, 100_000);
  await client.writeAll(count, (i) => p.publish(topicOf(i), 'x'));
  await attacker.untilServed(client);
}

export const access: readonly Row[] = [
  {
    name: '100 tokens with wrong RSA-4096 signatures',
    isInShortForm: true,
    needs(folder) {
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 4_096 });
      const keyFile = join(folder, 'key.public.pem');
      writeFileSync(keyFile, publicKey.export({ type: 'spki', format: 'pem' }));
      return { allowAnonymous: true, authentication: [{ kind: 'jwt', keyFile }] };
    },
    async run(attacker) {
      const claims = base64url({ sub: 'ada', exp: Math.floor(Date.now() / 1_000) + 3_600 });
      const token = () =>
        `${base64url({ alg: 'RS256', typ: 'JWT' })}.${claims}.${randomBytes(512).toString('base64url')}`;
      await attacker.each(attacker.size(20, 100), 100, (i) => {
        return attacker.tryConnect({ clientId: `guesser-${i}`, username: 'ada', password: token() });
      });
    },
  },
  {
    name: '10,000 wrong passwords over 500 connections at a time',
    isInShortForm: true,
    needs: (folder) => ({
      allowAnonymous: true,
      authentication: [{ kind: 'password-file', file: passwordFile(folder, '-c') }],
    }),
    async run(attacker) {
      await attacker.each(attacker.size(50, 10_000), 500, (i) => {
        return attacker.tryConnect({ clientId: 'guesser', username: `user${i % 50}`, password: `guess ${i}` });
      });
    },
  },
  {
    name: 'SCRAM exchanges that are begun by 500 connections at a time, of users that do not exist',
    needs: (folder) => ({
      allowAnonymous: true,
      authentication: [{ kind: 'scram-sha-256', file: passwordFile(folder, '--scram -c') }],
    }),
    async run(attacker) {
      const { authenticationMethod, authenticationData } = p.property;
      await attacker.each(attacker.size(200, 5_000), 500, async (i) => {
        const first = Buffer.from(`n,,n=user${i},r=${randomBytes(18).toString('base64')}`);
        const properties = [authenticationMethod('SCRAM-SHA-256'), authenticationData(first)];
        const client = await attacker.tryConnect({ clientId: `scram-${i}`, properties, waits: false });
        if (client === null) return;
        const last = Buffer.from(`c=biws,r=wrong,p=${randomBytes(32).toString('base64')}`);
        await client.write(p.auth(0x18, 'SCRAM-SHA-256', last));
        await client.until(() => client.isClosed, 10);
      });
    },
  },
  {
    name: 'SCRAM with user names of 60 kB that are 1 MB once they are normalised',
    needs: (folder) => ({
      allowAnonymous: true,
      authentication: [{ kind: 'scram-sha-256', file: passwordFile(folder, '--scram -c') }],
    }),
    async run(attacker) {
      const { authenticationMethod, authenticationData } = p.property;
      const first = Buffer.from(`n,,n=${'\ufdfa'.repeat(20_000)},r=${'r'.repeat(24)}`);
      const properties = [authenticationMethod('SCRAM-SHA-256'), authenticationData(first)];
      await attacker.each(attacker.size(10, 300), 50, async (i) => {
        const client = await attacker.tryConnect({ clientId: `scram-${i}`, properties, waits: false });
        await client?.until(() => client.isClosed, 0.2);
      });
    },
  },
  {
    name: 'user names of 60 kB against rules with several asterisks',
    needs() {
      const rules = [
        { deny: 'all', for: { username: '*-*-*-*-x' } },
        { deny: 'all', for: { clientId: '*-*-*-*-x' } },
        { allow: 'all' },
      ];
      return { authorization: { rules } };
    },
    async run(attacker) {
      await attacker.each(attacker.size(5, 50), 10, async (i) => {
        const client = await attacker.tryConnect({ clientId: `long-${i}`, username: '-'.repeat(60_000) });
        await client?.write(p.publish('asked/a', 'x', { qos: 1, id: 1 }));
        await client?.until(() => client.acknowledged + client.refusals.size > 0, 10);
      });
    },
  },
  {
    name: 'client identifier a/b against 300 patterns of an ACL file',
    needs(folder) {
      const aclFile = join(folder, 'acl');
      const patterns = Array.from({ length: 300 }, (_, i) => `pattern readwrite dev${i}/%c/#`);
      writeFileSync(aclFile, `topic readwrite healthy/#\n\n${patterns.join('\n')}\n`);
      return { authorization: { aclFile } };
    },
    run: (attacker) => ask(attacker, 'a/b', (i) => `dev${i % 300}/a/b/${i}`),
  },
  {
    name: 'client identifier a/b against 300 rules with its name',
    needs() {
      const own = Array.from({ length: 300 }, (_, i) => ({ allow: 'all', topics: [`dev${i}/\${clientId}/#`] }));
      return { authorization: { rules: [{ allow: 'all', topics: ['healthy/#'] }, ...own] } };
    },
    run: (attacker) => ask(attacker, 'a/b', (i) => `dev${i % 300}/a/b/${i}`),
  },
  {
    name: 'new topics of 128 levels against 1,000 rules of wildcards',
    needs() {
      const others = Array.from({ length: 1_000 }, (_, i) => {
        const levels = [...i.toString(2).padStart(10, '0')].map((bit) => (bit === '1' ? '+' : 'x'));
        return { deny: 'publish', topics: [`${levels.join('/')}/never${i}/#`] };
      });
      return { authorization: { rules: [...others, { allow: 'all' }] } };
    },
    run: (attacker) => ask(attacker, 'asking', (i) => `${'x/'.repeat(120)}${i}`),
  },
];
