/** The schema of configurations for editors, which complete keys and show what they mean. */
import * as z from 'zod';
import { schema } from './schema.ts';

/** JSON Schema, draft 2020-12. A number with a unit has it as `unit`. */
export function jsonSchema(): object {
  return z.toJSONSchema(schema, {
    io: 'input',
    override({ jsonSchema: node }) {
      const { description, beyond, isDefaultVarying } = node;
      if (isDefaultVarying === true) delete node.default;
      delete node.isDefaultVarying;
      delete node.beyond;
      delete node.isSecret;
      if (description === undefined) return;
      node.description = withoutLinks(beyond ? `${description}. Beyond it: ${beyond}` : description);
    },
  });
}

/** Descriptions are Markdown of the pages of reference; editors know nothing of these. */
const withoutLinks = (text: string) => text.replace(/\[([^\]]+)\]\([^)]+\)/g, '$1');
