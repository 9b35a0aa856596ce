/**
 * The command `sluice`. Each command is a file beside this one.
 */
import { nearest } from '../base/nearest.ts';
import { version } from '../broker/version.ts';
import { exitCodeOf } from './exit-code.ts';
import type { Command, Io } from './io.ts';
import { CommandError } from './usage.ts';

/** Loaded when asked for: the broker does not wait for a client library, nor a client for a database. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('./start.ts')).start,
  init: async () => (await import('./init.ts')).init,
  import: async () => (await import('./import.ts')).importConfig,
  pub: async () => (await import('./pub.ts')).pub,
  sub: async () => (await import('./sub.ts')).sub,
  config: async () => (await import('./config.ts')).config,
  db: async () => (await import('./db.ts')).db,
  pipeline: async () => (await import('./pipeline.ts')).pipeline,
  passwd: async () => (await import('./passwd.ts')).passwd,
  doctor: async () => (await import('./doctor.ts')).doctor,
  cluster: async () => (await import('./cluster.ts')).cluster,
  health: async () => (await import('./health.ts')).health,
  cert: async () => (await import('./cert.ts')).cert,
};

const help = `Sluice ${version}, an MQTT broker

  sluice start [options]         run the broker
  sluice init                    write a configuration, by a few questions
  sluice import mosquitto FILE   make a configuration out of a mosquitto.conf
  sluice pub -t TOPIC -m TEXT    publish a message
  sluice sub -t FILTER           print messages as they come
  sluice config check FILE       tell what is wrong with a configuration
  sluice config example          print a configuration with everything in it
  sluice config schema           print the JSON Schema of configurations, for editors
  sluice config show             what is in force in a running broker
  sluice db check|stats|…        look into the data of a stopped broker
  sluice pipeline test …         try a message on the pipelines of a configuration
  sluice passwd FILE USER        add a user to a password file, or change the password
  sluice cert                    make certificates for development
  sluice doctor                  look at all that a broker needs, and say what to change
  sluice cluster check           look at nats-servers that are to carry a cluster
  sluice health                  whether a running broker takes clients, by the exit code

To a running broker, on its machine or at a --url:

`;
const helpEnd = '\nsluice COMMAND --help tells the options of a command.\n';

/** Resolves with the exit code of any command. */
export const run = (argv: readonly string[], io: Io): Promise<number> => exitCodeOf(command, argv, io);

/** Runs the command that the first word names. */
export async function command([name, ...argv]: readonly string[], io: Io): Promise<void> {
  if (name === '--version' || name === '-V') return void io.stdout.write(`${version}\n`);
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') return printHelp(io);
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load !== undefined) return (await load())(argv, io);
  const { brokerCommand, brokerWords } = await import('./broker-command.ts');
  const toBroker = brokerCommand(name);
  if (toBroker !== null) return toBroker(argv, io);
  const what = name.startsWith('-') ? 'option' : 'command';
  const suggestion = nearest(
    name,
    what === 'option' ? ['--help', '--version'] : [...Object.keys(commands), ...brokerWords],
  );
  const hint = suggestion === null ? '' : `did you mean ${suggestion}? Or `;
  throw new CommandError(`There is no ${what} ${name}; ${hint}see sluice --help`, 2);
}

async function printHelp({ stdout }: Io): Promise<void> {
  const { brokerHelp } = await import('./broker-command.ts');
  stdout.write(help + brokerHelp(Object.keys(commands)) + helpEnd);
}
