/** The configuration cannot be used. Its message has a line per problem, each with its place. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
