/** Rules cannot be used. The message has a line per problem, each with its place. */
export class AuthorizationError extends Error {
  override readonly name = 'AuthorizationError';
}
