/** What a stage of a pipeline can be. Apart from their settings, so that the stage thread need not load the schema. */
export const stageKinds = [
  'decode',
  'encode',
  'convert',
  'validate',
  'map',
  'filter',
  'set',
  'rename',
  'pick',
  'omit',
  'units',
  'topic',
  'throttle',
  'deadband',
  'on-change',
  'aggregate',
  'dedupe',
  'batch',
  'script',
  'plugin',
] as const;

/** Those that can give a message another topic, QoS or retain. */
export const redirectingKinds = ['topic', 'set', 'script', 'plugin'] as const;

/** Those that may decide by what came before. */
export const rememberingKinds = [
  'throttle',
  'deadband',
  'on-change',
  'aggregate',
  'dedupe',
  'batch',
  'script',
  'plugin',
] as const;
