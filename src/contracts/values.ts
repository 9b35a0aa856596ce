/** Kinds of values that settings in several places have. */
import * as z from 'zod';
import { isNetwork } from '../base/addresses.ts';
import { parseFilter } from '../protocol/topic.ts';

export const whole = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) => z.int().min(minimum).max(maximum);
/** The same with a unit, as its name says: `timeoutMs`, `banSeconds`, `queueBytes`. */
const wholeOf = (unit: string) => (minimum: number, maximum?: number) => whole(minimum, maximum).meta({ unit });
export const seconds = wholeOf('seconds');
export const milliseconds = wholeOf('milliseconds');
export const bytes = wholeOf('bytes');
export const text = z.string().min(1);
/** Nobody is shown it: see `config/masked.ts`. */
export const secret = <Schema extends z.ZodType>(schema: Schema) => schema.meta({ isSecret: true });
export const qos = z.literal([0, 1, 2]);

export const networkText = 'an address, or a network such as 10.0.0.0/8';
export const network = z.string().refine(isNetwork, networkText);
/** The same in forms that the description of the API can have. Others than `isNetwork` allows are among them. */
export const networkRequest = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], networkText);

/** Longest text of a packet: its length has two bytes there. */
const textCharactersMax = 65_535;
/** The standard's form; how long and deep it may be is up to the broker. [MQTT5 4.7] */
export const topicName = z
  .string()
  .max(textCharactersMax)
  .regex(/^[^+#\u0000]+$/, 'a topic name: not empty, without wildcards');
const filterForm = /^(?!\$share\/)(?!$)(?:#|(?:[^+#/\u0000]*|\+)(?:\/(?:[^+#/\u0000]*|\+))*(?:\/#)?)$/;
/** Of topics, so none of a shared subscription. */
export const topicFilter = z
  .string()
  .max(textCharactersMax)
  .regex(filterForm, 'a topic filter, such as factory/+/temperature')
  .refine((filter) => parseFilter(filter)?.shareName === null, 'a topic filter, such as factory/+/temperature');
/** As a client subscribes, `$share/{share name}/…` included. */
export const subscriptionFilter = z
  .string()
  .max(textCharactersMax)
  .regex(
    /^(?!\$share\/(?:[^/]*$|\/|[^/]*[+#]|[^/]+\/$))(?!$)(?:#|(?:[^+#/\u0000]*|\+)(?:\/(?:[^+#/\u0000]*|\+))*(?:\/#)?)$/,
    'a topic filter, such as factory/+/temperature or $share/group/factory/#',
  );
