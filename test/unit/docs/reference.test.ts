/** The pages of reference say what the code says: settings, commands, $SYS topics. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { categories } from '../../../src/base/ledger.ts';
import { limitNames } from '../../../src/broker/counters.ts';
import type { Io } from '../../../src/cli/io.ts';
import { run } from '../../../src/cli/run.ts';
import { dropReasons } from '../../../src/core/sink.ts';
import { createBroker } from '../../../src/index.ts';
import { ReasonCode } from '../../../src/protocol/reason-codes.ts';
import { blocksOf, manual, root, textOf } from './pages.ts';

const commands = blocksOf('docs/reference/commands.md').filter(({ language }) => language === 'text');

async function printedBy(...argv: string[]): Promise<string> {
  let printed = '';
  const stdout = { write: (chunk: string) => (printed += chunk) };
  const code = await run(argv, { stdout, stderr: stdout, environment: {} } as unknown as Io);
  return code === 0 ? printed : '';
}

test.each(commands.map(({ text }) => [/^sluice (\w+)/.exec(text)![1]!, text]))(
  'the page of commands has the help of sluice %s',
  async (command, text) => {
    expect(text).toBe(await printedBy(command, '--help'));
  },
);

test('every command that is not one to a running broker has its help on the page', async () => {
  const printed = await printedBy('--help');
  const [own] = printed.split('To a running broker');
  const names = new Set([...own!.matchAll(/^ {2}sluice (\w+)/gm)].map(([, name]) => name));
  expect(new Set(commands.map(({ text }) => /^sluice (\w+)/.exec(text)![1]))).toEqual(names);
});

test('every reason code that the source uses is on the page', () => {
  const page = textOf('docs/reference/reason-codes.md');
  const source = join(root, 'src');
  const used = new Set<keyof typeof ReasonCode>();
  for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file === join('protocol', 'reason-codes.ts')) continue;
    for (const [, name] of readFileSync(join(source, file), 'utf8').matchAll(/\bReasonCode\.(\w+)/g)) {
      used.add(name as keyof typeof ReasonCode);
    }
  }
  expect(used.size).toBeGreaterThan(25);
  const hex = (code: number) => `0x${code.toString(16).toUpperCase().padStart(2, '0')}`;
  expect([...used].filter((name) => !page.includes(hex(ReasonCode[name])))).toEqual([]);
});

test('commands in examples exist, and so do their options', async () => {
  const examples = manual
    .flatMap(blocksOf)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ page, text }) => [...text.matchAll(/^npx sluice ([\w-]+)(.*)$/gm)].map((match) => ({ page, match })));
  expect(examples.length).toBeGreaterThan(20);
  const helpOf = new Map<string, string>();
  for (const { match } of examples) helpOf.set(match[1]!, await printedBy(match[1]!, '--help'));
  const wrong = examples.flatMap(({ page, match: [, command, rest] }) => {
    const help = helpOf.get(command!);
    if (help === undefined || help === '') return [`${page}: sluice ${command}`];
    const options = [...rest!.replace(/ #.*/, '').matchAll(/(?<= )(--[a-z-]+|-\w)(?= |$)/g)].map(([option]) => option);
    return options.filter((each) => !help.includes(`${each} `)).map((each) => `${page}: sluice ${command} ${each}`);
  });
  expect(wrong).toEqual([]);
});

test('commands in examples are written in one way', () => {
  const blocks = manual.flatMap(blocksOf).filter(({ language }) => language === 'sh');
  const bare = blocks.filter(({ text }) => /^\s*sluice /m.test(text)).map(({ page, text }) => `${page}: ${text}`);
  expect(bare).toEqual([]);
});

test('every $SYS topic is on the page', async () => {
  const page = textOf('docs/reference/sys-topics.md');
  const broker = await createBroker({
    config: {
      listeners: [{ kind: 'tcp', port: 0 }],
      store: { kind: 'memory' },
      log: { level: 'silent' },
      sysIntervalSeconds: 1,
    },
  });
  const topics = new Set<string>();
  let uptimes = 0;
  // Behind what was retained before, in whatever order, a whole publication has come between two values of this one.
  await new Promise<void>((resolve) => {
    broker.subscribe('$SYS/broker/#', ({ topic }) => {
      topics.add(topic.slice('$SYS/broker/'.length));
      if (topic === '$SYS/broker/uptime' && ++uptimes === 3) resolve();
    });
  });
  await broker.close();
  const described = (name: string) => {
    const [, reason] = /^publish\/messages\/dropped\/(\w+)$/.exec(name) ?? [];
    const [, limit] = /^limits\/(\w+)\/reached$/.exec(name) ?? [];
    if (/^alarms\/(?!count)/.test(name)) return page.includes('`alarms/NAME`');
    const [, load] = /^(load\/.+)\/\d+min$/.exec(name) ?? [];
    if (load !== undefined) return page.includes(`\`${load}\``) || page.includes(`\`${load}/1min\``);
    return page.includes(`\`${reason ?? limit ?? name}\``);
  };
  expect(topics.size).toBeGreaterThan(dropReasons.length + limitNames.length + categories.length);
  const [published] = page.split('## Pipelines');
  const names = [...published!.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell]) =>
    cell!.replaceAll('`', '').split(', '),
  );
  const known = new Set([...topics, ...dropReasons, 'reason']);
  expect(names.filter((name) => !known.has(name))).toEqual([]);
  expect([...topics].filter((name) => !described(name))).toEqual([]);
});
