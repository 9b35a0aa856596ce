/**
 * Whether an expression of JSONata may run where nothing interrupts it but JSONata's own steps: each of its steps must
 * take a time that grows with the value only. What compares each with each (`$distinct`), makes much of little
 * (`[1..n]`, `$pad`), or matches regular expressions, may not; nor may functions of the expression's own.
 */
const types = new Set([
  'path',
  'name',
  'string',
  'number',
  'value',
  'binary',
  'unary',
  'condition',
  'block',
  'bind',
  'wildcard',
]);
const operators = new Set([
  '+',
  '-',
  '*',
  '/',
  '%',
  '=',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
  'and',
  'or',
  'in',
  '&',
  '{',
  '[',
  '-',
]);
const functions = new Set(
  `abs average boolean ceil count exists floor length lowercase max min not now number power round sqrt string substring
   substringAfter substringBefore sum trim type uppercase`.split(/\s+/),
);
const given = 'topic levels clientId username qos retain contentType userProperties timestamp'.split(' ');
/** What it may be made of beside its parts. */
const plainKeys = new Set(
  `type value position lhs rhs steps stages predicate expr expression expressions condition then else arguments procedure consarray keepArray
   keepSingletonArray`.split(/\s+/),
);

type Node = Readonly<Record<string, unknown>>;

export function isShortExpression(ast: unknown): boolean {
  const variables = new Set(['', '$', ...given]);
  return isShort(ast, variables);
}

function isShort(node: unknown, variables: Set<string>): boolean {
  if (typeof node !== 'object' || node === null) return true;
  if (Array.isArray(node)) return node.every((each) => isShort(each, variables));
  const { type, value, procedure, ...rest } = node as Node;
  if (Object.entries(rest).some(([key, each]) => each !== undefined && !plainKeys.has(key))) return false;
  const partsAreShort = () => Object.values(rest).every((each) => isShort(each, variables));
  switch (type) {
    case 'function': {
      const { type: kind, value: name } = (procedure ?? {}) as Node;
      return kind === 'variable' && functions.has(String(name)) && partsAreShort();
    }
    case 'variable':
      return variables.has(String(value)) && partsAreShort();
    case 'bind': {
      const { lhs, rhs } = rest as { lhs?: Node; rhs?: unknown };
      if (lhs?.type !== 'variable' || !isShort(rhs, variables)) return false;
      variables.add(String(lhs.value));
      return true;
    }
    case 'binary':
    case 'unary':
      return operators.has(String(value)) && partsAreShort();
    case 'filter':
    case undefined:
      return partsAreShort();
    default:
      return types.has(String(type)) && partsAreShort();
  }
}
