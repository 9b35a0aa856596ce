/**
 * How large a value may be that a JSON Schema is tried on where nothing interrupts it: every keyword looks at each part
 * of the value a few times, but for those that are told apart here.
 */
import { loopBytes } from '../loop-limits.ts';
import { regexCharactersMax } from '../regex-bound.ts';

/** Each element is compared with each. */
const uniqueBytesMax = 256;
/** Alternatives that a part of a value may be tried on, all in all, where it is as large as `loopBytes`. */
const alternativesMax = 32;

const combining = [
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'if',
  'then',
  'else',
  'contains',
  'dependentSchemas',
  'dependencies',
];
const referring = ['$ref', '$dynamicRef', '$recursiveRef'];

interface Found {
  bytesMax: number;
  alternatives: number;
  hasReferences: boolean;
  hasPatternProperties: boolean;
}

/** 0: of no value at all. */
export function schemaBytesMax(schema: unknown): number {
  const found: Found = { bytesMax: loopBytes, alternatives: 0, hasReferences: false, hasPatternProperties: false };
  look(schema, found);
  // A schema that holds itself as alternatives doubles its work with each level of the value.
  if (found.hasReferences && (found.alternatives > 0 || found.hasPatternProperties)) return 0;
  const byAlternatives = Math.floor((loopBytes * alternativesMax) / Math.max(alternativesMax, found.alternatives));
  return Math.min(found.bytesMax, byAlternatives);
}

/** Whatever has the name of a keyword counts as one, also where it is the name of a field. */
function look(schema: unknown, found: Found): void {
  if (typeof schema !== 'object' || schema === null) return;
  if (Array.isArray(schema)) {
    for (const each of schema) look(each, found);
    return;
  }
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === 'uniqueItems' && value === true) found.bytesMax = Math.min(found.bytesMax, uniqueBytesMax);
    else if (keyword === 'pattern' && typeof value === 'string') useOn(value, found);
    else if (keyword === 'patternProperties' && typeof value === 'object' && value !== null) {
      found.hasPatternProperties = true;
      found.alternatives += Object.keys(value).length;
      for (const pattern of Object.keys(value)) useOn(pattern, found);
    } else if (keyword === 'enum' && Array.isArray(value)) found.alternatives += comparisonsOf(value);
    else if (combining.includes(keyword)) found.alternatives += Array.isArray(value) ? value.length : 1;
    else if (referring.includes(keyword)) found.hasReferences = true;
    look(value, found);
  }
}

/** Texts and numbers are compared in no time. */
const comparisonsOf = (values: readonly unknown[]): number =>
  values.some((value) => typeof value === 'object') ? values.length : values.length >> 4;

function useOn(pattern: string, found: Found): void {
  found.bytesMax = Math.min(found.bytesMax, regexCharactersMax(pattern));
}
