#!/usr/bin/env node
/**
 * The command `sluice`. Each command is a file beside this one.
 */
import { nearest } from '../base/nearest.ts';
import { version } from '../broker/version.ts';
import { ConfigError } from '../config/error.ts';
import { StoreError } from '../contracts/session-store.ts';
import { config } from './config.ts';
import { backup, db } from './db.ts';
import { pub } from './pub.ts';
import { start } from './start.ts';
import { sub } from './sub.ts';
import { CommandError } from './usage.ts';

type Command = (argv: readonly string[]) => Promise<void>;
const commands: Readonly<Record<string, Command>> = { start, pub, sub, config, db, backup };

const help = `Sluice ${version}, an MQTT broker

  sluice start [options]         run the broker
  sluice pub -t TOPIC -m TEXT    publish a message
  sluice sub -t FILTER           print messages as they come
  sluice config check FILE       tell what is wrong with a configuration
  sluice config example          print a configuration with everything in it
  sluice db check|stats|…        look into the data of a stopped broker
  sluice backup DIR              copy the data of a running broker

sluice COMMAND --help tells the options of a command.
`;

async function main([name, ...argv]: readonly string[]): Promise<void> {
  if (name === '--version' || name === '-V') return void process.stdout.write(`${version}\n`);
  if (name === undefined || name === '--help' || name === '-h' || name === 'help')
    return void process.stdout.write(help);
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command !== undefined) return command(argv);
  const suggestion = nearest(name, Object.keys(commands));
  const hint = suggestion === null ? '' : `did you mean "${suggestion}"? `;
  throw new CommandError(`There is no command "${name}"; ${hint}See sluice --help`, 2);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const isExpected = error instanceof CommandError || error instanceof ConfigError || error instanceof StoreError;
  const text = isExpected ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`${text}\n`);
  process.exitCode = error instanceof CommandError ? error.exitCode : 1;
});
