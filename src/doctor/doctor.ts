/**
 * Looks at everything that a broker needs, before it starts or while it runs, and says what is wrong and what to
 * change. It changes nothing: of the disk, it measures a file of its own that it takes away again.
 */
import { checkCertificates, checkSpans } from '../app.ts';
import { checkAuthentication } from '../authentication.ts';
import { problemsOfBridges } from '../bridging.ts';
import { version } from '../broker/version.ts';
import { assertSafeToListen } from '../config/anonymous.ts';
import { type ReadConfig, readConfig } from '../config/load.ts';
import type { Config, ConfigDraft } from '../config/schema.ts';
import { rulesOf } from '../rules.ts';
import { certificateFindings } from './certificates.ts';
import { directoryFindings } from './directories.ts';
import { type Finding, fault, ok, warning } from './finding.ts';
import { portFindings } from './ports.ts';
import { storedDataFindings } from './stored-data.ts';
import { readSystem, systemFindings } from './system.ts';

export interface DoctorOptions {
  /** Null: the defaults. */
  readonly file: string | null;
  /** Instead of the configured one. */
  readonly directory: string | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export async function examine(options: DoctorOptions): Promise<Finding[]> {
  const found: Finding[] = [ok('versions', `Sluice ${version}`)];
  const [read, ofConfiguration] = await configurationFindings(options);
  found.push(...ofConfiguration);
  const facts = await readSystem();
  const config = read?.config ?? readConfig(null, {}).config;
  found.push(...systemFindings(facts, config));
  // Without a configuration it is not known what else there should be.
  if (read === null) return found;
  const directory = config.store.kind === 'level' ? config.store.directory : './data';
  found.push(...certificateFindings(config, facts.now), ...(await directoryFindings(config)));
  if (config.store.kind === 'level') found.push(...(await storedDataFindings(directory)));
  found.push(...(await bridgeFindings(config, options)), ...(await portFindings(config, directory)));
  return found;
}

/** Of what they read at each attempt to connect: a broker starts without, and the bridge waits. */
async function bridgeFindings(config: Config, { environment }: DoctorOptions): Promise<Finding[]> {
  const remedy = 'Until then the bridge does not connect, and what it has to send waits';
  const problems = await problemsOfBridges(config, environment);
  return problems.map(({ bridge, problem }) => fault('bridge', `${bridge}: ${problem}`, remedy));
}

async function configurationFindings({
  file,
  directory,
  environment,
}: DoctorOptions): Promise<[ReadConfig | null, Finding[]]> {
  const check = 'configuration';
  const name = file ?? 'the defaults (no --config)';
  let read: ReadConfig;
  try {
    read = readConfig(file, environment);
  } catch (error) {
    return [null, [fault(check, (error as Error).message, 'Correct it; sluice config check FILE looks at it alone')]];
  }
  const problems: Finding[] = [];
  const attempt = async (look: () => unknown) => {
    try {
      await look();
    } catch (error) {
      problems.push(fault(check, (error as Error).message, 'Correct it; sluice config check FILE looks at it alone'));
    }
  };
  await attempt(() => assertSafeToListen(read.config));
  await attempt(() => rulesOf(read.config, read.where));
  await attempt(() => checkCertificates(read));
  await attempt(() => checkSpans(read));
  await attempt(async () => {
    for (const line of await checkAuthentication(read, environment)) {
      problems.push(warning(check, line, 'Correct the line, or take it out'));
    }
  });
  const config = withDirectory(read.config, directory);
  return [{ ...read, config }, problems.length > 0 ? problems : [ok(check, `${name} can be used`)]];
}

function withDirectory(config: Config, directory: string | null): Config {
  if (directory === null || config.store.kind === 'memory') return config;
  const changed = structuredClone(config) as ConfigDraft;
  if (changed.store.kind === 'level') changed.store.directory = directory;
  return changed;
}
