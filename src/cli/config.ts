/** `sluice config`: checks a configuration, or prints one. */
import { readFileSync } from 'node:fs';
import { checkCertificates, checkSpans } from '../app.ts';
import { checkAuthentication } from '../authentication.ts';
import { assertSafeToListen } from '../config/anonymous.ts';
import { jsonSchema } from '../config/json-schema.ts';
import { readConfig } from '../config/load.ts';
import { silentLog } from '../contracts/log.ts';
import { failedTests, openDecoding, testBench } from '../pipelines.ts';
import { openHttpRules, rulesOf } from '../rules.ts';
import type { Io } from './io.ts';
import { CommandError, readOptions } from './usage.ts';

const help = `sluice config check FILE     tell what is wrong with a configuration; exit code 1 if something is
sluice config example       print a configuration with every setting and its default
sluice config schema        print the JSON Schema of configurations, for editors
sluice config show          what is in force in a running broker, and what a reload would change; see
                            sluice config show --help
`;

const exampleFile = new URL('../../config/sluice.yaml', import.meta.url);

export async function config(argv: readonly string[], io: Io): Promise<void> {
  if (argv[0] === 'show') return (await import('./broker-command.ts')).brokerCommand('config')!(argv, io);
  const { values, positionals } = readOptions('config', argv, { help: { type: 'boolean' } });
  if (values.help) return void io.stdout.write(help);
  const [action, file, ...rest] = positionals;
  if (action === 'example' && file === undefined) return void io.stdout.write(readFileSync(exampleFile));
  if (action === 'schema' && file === undefined) {
    return void io.stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
  }
  if (action !== 'check' || file === undefined || rest.length > 0) {
    throw new CommandError('Use: sluice config check FILE, example, schema, or show; see sluice config --help', 2);
  }
  const read = readConfig(file, {});
  assertSafeToListen(read.config);
  rulesOf(read.config, read.where); // whether the ACL file is there and can be used
  await checkCertificates(read);
  await checkSpans(read);
  const problems = await checkAuthentication(read, io.environment); // whether its files and secrets are there
  (await openHttpRules(read.config, { where: read.where, environment: io.environment }, silentLog))?.close();
  for (const problem of problems) io.stdout.write(`${problem}\n`);
  for (const [index, listener] of read.config.listeners.entries()) {
    if (!('path' in listener) || listener.path === undefined) continue;
    const where = read.where(['listeners', index, 'path']);
    io.stdout.write(`${where}: the only path then; several are in its place as paths: [${listener.path}, …]\n`);
  }
  await (await testBench(read)).close(); // whether its pipelines can be built
  (await openDecoding(read.config, silentLog, read.where)).close(); // and its schemas read
  const failed = await failedTests(read);
  const { length } = read.config.tests;
  if (failed.length > 0) throw new CommandError(`${failed.join('\n')}\n${failed.length} of ${length} tests failed`);
  const passed = length === 1 ? 'test passes' : `${length} tests pass`;
  io.stdout.write(length === 0 ? `${file} is valid\n` : `${file} is valid, and its ${passed}\n`);
}
