/** `units`: one unit to another. */
import { convert as convertUnits } from 'convert';
import type { StageSettings } from '../../contracts/pipeline-settings.ts';
import { PipelineError, StageFailure } from '../errors.ts';
import { getAt, withAt } from '../paths.ts';
import { valueStage } from './fields.ts';
import type { Stage } from './stage.ts';
import type { StageTools } from './stage-tools.ts';

type Convert = (quantity: number, unit: string) => { to(unit: string): number };

export function unitsStage(units: NonNullable<StageSettings['units']>, { path }: StageTools): Stage {
  const convert = convertUnits as unknown as Convert;
  const conversions = Object.entries(units).map(([field, { from, to, decimals }]) => {
    try {
      convert(1, from).to(to);
    } catch (cause) {
      throw new PipelineError([...path, field], (cause as Error).message, { cause });
    }
    // 12 digits: what a conversion adds in the last place is noise.
    const round = (number: number) => {
      return decimals === undefined ? Number(number.toPrecision(12)) : Number(number.toFixed(decimals));
    };
    return [field, (quantity: number) => round(convert(quantity, from).to(to))] as const;
  });
  return valueStage((value) => {
    let converted = value;
    for (const [field, convertOne] of conversions) {
      const quantity = getAt(converted, field);
      if (quantity === undefined || quantity === null) continue;
      if (typeof quantity !== 'number' && typeof quantity !== 'bigint') {
        throw new StageFailure(`${field} is ${typeof quantity}, not a number`);
      }
      converted = withAt(converted, field, convertOne(Number(quantity)));
    }
    return converted;
  });
}
