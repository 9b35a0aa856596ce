/**
 * Who clients say they are, and what files say they may do: messages of SCRAM, and Mosquitto's ACL files with the
 * decisions that follow from them.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Scram, scramMethod } from '../../../src/auth/authentication/scram.ts';
import { makeScram } from '../../../src/auth/authentication/scram-credentials.ts';
import { parseAclFile } from '../../../src/auth/authorization/acl-file.ts';
import { ClientRules } from '../../../src/auth/authorization/client-rules.ts';
import { AuthorizationError } from '../../../src/auth/authorization/errors.ts';
import { RuleSet } from '../../../src/auth/authorization/rule-set.ts';
import type { AuthenticationRequest, ClientIdentity } from '../../../src/contracts/hooks.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { parseFilter } from '../../../src/protocol/topic.ts';
import { bytesOf, must, type Target } from '../target.ts';

const client: ClientIdentity = {
  clientId: 'c/1',
  username: 'ann',
  protocolVersion: 5,
  transport: 'tcp',
  remoteAddress: '127.0.0.1:50000',
  listener: 'mqtt://127.0.0.1:1883',
  groups: ['g'],
  attributes: {},
};

export function acl(): Target {
  const file = [
    'topic read $SYS/#',
    'user ann',
    'topic deny a/secret/#',
    'topic readwrite a/+/c',
    'pattern write %u/%c/#',
    'pattern read x/%u',
    '# a comment',
  ];
  const clients: readonly ClientIdentity[] = [client, { ...client, username: null }, { ...client, clientId: '+' }];
  return {
    name: 'acl',
    seeds: bytesOf(
      file.join('\n'),
      ...file,
      'user ann\ntopic a b/c',
      'topic deny x\n\n\n',
      'user \ttabs \r\ntopic #\r\n',
    ),
    tokens: bytesOf(
      'user ',
      'topic ',
      'pattern ',
      'read ',
      'write ',
      'deny ',
      'readwrite ',
      '%u',
      '%c',
      '+',
      '#',
      '/',
      '$share/g/',
      '\n',
      '    ',
    ),
    bytesMax: 65_536,
    run(input) {
      let rules: RuleSet;
      try {
        rules = new RuleSet(parseAclFile(input.toString(), 'acl'), { hasAclFile: true, default: 'deny' });
      } catch (error) {
        if (!(error instanceof AuthorizationError)) throw error;
        return error.message
          .split('\n')[0]!
          .replace(/\d+|".*|'.*|;.*/g, '…')
          .slice(0, 60);
      }
      const decisions = clients.flatMap((each) => {
        const own = new ClientRules(rules, each);
        const names = ['a/secret/b', 'ann/c/1/x', '$SYS/x', '/'].map((name) => [
          own.publish(name, 1, false),
          own.receive(name),
        ]);
        const subscription = own.subscribe(parseFilter('$share/g/a/#')!);
        must(subscription?.isAllow === true, 'a subscription is refused, with an ACL file');
        return names.flat();
      });
      return decisions.map((rule) => (rule === null ? '-' : rule.isAllow ? 'y' : 'n')).join('');
    },
  };
}

/** Input: both messages of a client, with a line feed between them. */
export async function scram(): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'));
  const file = join(folder, 'users');
  writeFileSync(file, `ann:${await makeScram(Buffer.from('secret'))}\n`);
  const context = { log: silentLog } as Parameters<typeof Scram.open>[1];
  const mechanism = await Scram.open({ kind: 'scram-sha-256', file }, context, () => 'SERVER');
  const final = (nonce: string) => `c=biws,r=${nonce},p=${Buffer.alloc(32, 1).toString('base64')}`;
  return {
    name: 'scram',
    seeds: bytesOf(
      `n,,n=ann,r=CLIENT\n${final('CLIENTSERVER')}`,
      `y,a=ann,n=ann,r=CLIENT,ext=1\n${final('CLIENTSERVER')}`,
      `n,,n=bob=2C=3D,r=x\n${final('xSERVER')}`,
      'p=tls-unique,,n=ann,r=x\n',
    ),
    tokens: bytesOf(
      'n,,',
      'y,,',
      'n=',
      'r=',
      'c=',
      'p=',
      'a=',
      '=2C',
      '=3D',
      ',',
      '\n',
      'SERVER',
      '\u00ad',
      '\u200b',
      '\u0627\u0661',
    ),
    bytesMax: 20_000,
    run(input) {
      const end = input.indexOf(0x0a);
      const messages = end === -1 ? [input] : [input.subarray(0, end), input.subarray(end + 1)];
      const common = { client: { ...client, username: null }, password: null, certificate: null, method: scramMethod };
      const request: AuthenticationRequest = { ...common, data: null, isReAuthentication: false, state: undefined };
      const outcomes = messages.map((data) => {
        const answer = mechanism.authenticate({
          ...request,
          data,
          get state() {
            return request.state;
          },
          set state(value) {
            request.state = value;
          },
        });
        must(answer !== null && answer.outcome !== 'accept', 'somebody gets in without the password');
        return answer.outcome;
      });
      return outcomes.join();
    },
    close() {
      mechanism.close();
      rmSync(folder, { recursive: true });
    },
  };
}
