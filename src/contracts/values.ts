/** Kinds of values that settings in several places have. */
import { z } from 'zod';
import { isNetwork } from '../base/addresses.ts';
import { parseFilter } from '../protocol/topic.ts';

export const whole = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) => z.int().min(minimum).max(maximum);
/** The same with a unit, as its name says: `timeoutMs`, `banSeconds`, `queueBytes`. */
const wholeOf = (unit: string) => (minimum: number, maximum?: number) => whole(minimum, maximum).meta({ unit });
export const seconds = wholeOf('seconds');
export const milliseconds = wholeOf('milliseconds');
export const bytes = wholeOf('bytes');
export const text = z.string().min(1);
export const qos = z.literal([0, 1, 2]);

export const networkText = 'an address, or a network such as 10.0.0.0/8';
export const network = z.string().refine(isNetwork, networkText);

export const topicFilter = z
  .string()
  .refine((filter) => parseFilter(filter)?.shareName === null, 'a topic filter, such as factory/+/temperature');
