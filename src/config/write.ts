/** A configuration as YAML, for whoever writes one for a user to go on with. */
import { stringify } from 'yaml';
import type { ConfigInput } from './schema.ts';

export const yamlOf = (config: ConfigInput): string => stringify(config, { lineWidth: 120 });
