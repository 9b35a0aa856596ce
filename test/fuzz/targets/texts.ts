/**
 * What operators and proxies write: configuration, password files, PROXY headers.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseUsers } from '../../../src/auth/authentication/password-file.ts';
import { parseHash } from '../../../src/auth/authentication/password-hash.ts';
import { AddressSet } from '../../../src/base/addresses.ts';
import { ConfigError } from '../../../src/config/error.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { clientOf } from '../../../src/net/forwarded-for.ts';
import { ProxyHeader, ProxyHeaderError } from '../../../src/net/proxy-header.ts';
import { bytesOf, must, type Target, wordsOf } from '../target.ts';

const examples = ['sluice.yaml', 'edge-gateway.yaml', 'public-tls.yaml', 'factory.yaml'];

/** Each block of the examples by itself, because a long file costs time and tells no more. */
export function configuration(): Target {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'));
  const file = join(folder, 'config.yaml');
  const text = examples
    .map((name) => readFileSync(join(import.meta.dirname, '../../../config', name), 'utf8'))
    .join('\n');
  const blocks = text.split(/\n(?=[a-z])/i).map((block) => block.replace(/^\s*#.*$/gm, '').trim());
  return {
    name: 'config',
    seeds: bytesOf(...blocks.filter((block) => block !== '')),
    tokens: bytesOf(
      ': ',
      '- ',
      '\n',
      '  ',
      '{',
      '}',
      '[',
      ']',
      '&a ',
      '*a',
      '<<: *a',
      '!!binary ',
      '? ',
      '|\n',
      "'",
      '"',
      '~',
      '1e9',
      '0x10',
    ).concat(bytesOf(...new Set(text.match(/[a-zA-Z]+(?=:)/g)))),
    bytesMax: 4_096,
    // Read once, at a start, and written by who may stop the broker anyway.
    millisecondsMax: 1_000,
    run(input) {
      writeFileSync(file, input);
      try {
        loadConfig(file, {});
        return 'taken';
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        must(error.message.length < 100_000 + 1_000 * input.length, 'the explanation is endless');
        return error.message
          .split('\n')[0]!
          .replaceAll(file, '')
          .replace(/\d+|found .*|.*"|'.*/g, '…')
          .slice(0, 80);
      }
    },
    close: () => rmSync(folder, { recursive: true }),
  };
}

export function passwords(): Target {
  const hash = Buffer.alloc(64, 7).toString('base64');
  const lines = [
    `a:$6$c2FsdA==$${hash}`,
    `b:$7$101$c2FsdA==$${hash}`,
    'c:$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g',
    'd:$scrypt$ln=15,r=8,p=1$c2FsdA$aGFzaGhhc2hoYXNoaGFzaA',
  ];
  return {
    name: 'passwords',
    seeds: bytesOf(...lines, lines.join('\n'), '# a comment\n\n', 'a:b:c\r\n'),
    tokens: bytesOf(
      '$',
      ':',
      '\n',
      '=',
      ',',
      '#',
      '$6$',
      '$7$',
      '$argon2id$',
      '$scrypt$',
      'm=',
      'ln=',
      'v=16$',
      '99999999999',
    ),
    bytesMax: 65_536,
    run(input) {
      const problems: string[] = [];
      const { byName, hashes } = parseUsers(input.toString(), (line, what) => {
        must(line >= 1, 'lines are counted from 1');
        problems.push(what);
      });
      must(hashes.length === byName.size, 'every user has one hash');
      const outcome = problems.map((each) => each.replace(/\d+/g, 'N'));
      try {
        outcome.push(parseHash(input.toString('latin1')).kind);
      } catch (error) {
        must(error instanceof Error && error.constructor === Error, 'what is no hash is told in words');
        outcome.push(wordsOf(error));
      }
      return [...new Set(outcome)].slice(0, 3).join();
    },
  };
}

/** Input: how it is cut, then the bytes. The first line is read as X-Forwarded-For as well. */
export function proxy(): Target {
  const v2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
  const headers = [
    ...bytesOf(
      'PROXY TCP4 192.0.2.7 192.0.2.1 50000 1883\r\n',
      'PROXY TCP6 2001:db8::7 ::1 5 1883\r\nx',
      'PROXY UNKNOWN\r\n',
      '192.0.2.7:50000, [2001:db8::7]:1, 127.0.0.1\n',
    ),
    Buffer.concat([v2, Buffer.of(0x21, 0x11, 0, 12, 192, 0, 2, 7, 192, 0, 2, 1, 1, 0, 7, 91)]),
    Buffer.concat([v2, Buffer.of(0x21, 0x21, 0, 36), Buffer.alloc(36, 1)]),
    Buffer.concat([v2, Buffer.of(0x21, 0x11, 0, 20), Buffer.alloc(20, 1), Buffer.from('rest')]),
    Buffer.concat([v2, Buffer.of(0x20, 0, 0, 0)]),
  ];
  const trusted = new AddressSet(['127.0.0.0/8', '::1', '192.0.2.1']);
  return {
    name: 'proxy',
    seeds: headers.map((header) => Buffer.concat([Buffer.of(0), header])),
    tokens: [
      ...bytesOf('PROXY ', 'TCP4 ', 'TCP6 ', 'UNKNOWN', '\r\n', ' ', '::ffff:1.2.3.4', '%', '255.255.255.255', '['),
      v2,
    ],
    bytesMax: 10_000,
    run(input) {
      const bytes = input.subarray(1);
      const whole = readHeader(bytes, bytes.length);
      const inPieces = readHeader(bytes, 1 + ((input[0] ?? 0) % 20));
      must(whole === inPieces, `in one piece: ${whole}; in pieces: ${inPieces}`);
      const line = bytes.toString('latin1').split('\n')[0]!;
      const client = clientOf('127.0.0.1:5', line, trusted);
      must(/:\d{1,5}$/.test(client), `${client} is no address with a port`);
      const isStranger = !trusted.has(client.slice(0, client.lastIndexOf(':')));
      const behind = clientOf('127.0.0.1:5', `10.9.8.7, ${line}`, trusted);
      must(!isStranger || behind === client, `${client} is no trusted proxy, and what it wrote is believed: ${behind}`);
      return whole.replace(/[0-9a-f]+/g, 'N').slice(0, 60);
    },
  };
}

function readHeader(bytes: Buffer, size: number): string {
  const header = new ProxyHeader();
  try {
    let at = 0;
    while (at < bytes.length && !header.isComplete) {
      const end = Math.min(bytes.length, at + size);
      const taken = header.take(bytes, at, end);
      must(taken === end || header.isComplete, 'it leaves bytes of an unfinished header');
      at = taken;
    }
    return `${header.isComplete} ${at} ${JSON.stringify(header.peer)}`;
  } catch (error) {
    if (error instanceof ProxyHeaderError) return wordsOf(error);
    throw error;
  }
}
