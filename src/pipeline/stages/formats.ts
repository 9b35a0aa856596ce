/** `decode`, `encode`, `convert`. */
import type { FormatSettings, StageSettings } from '../../contracts/pipeline-settings.ts';
import type { ByteCodec, Format } from '../formats/format.ts';
import type { Item } from '../item.ts';
import type { Stage } from './stage.ts';
import type { StageTools } from './stage-tools.ts';

function decode(item: Item, from: Format | ByteCodec): void {
  if (from.kind === 'format') return item.decode(from);
  item.bytes = from.decode(item.bytes);
  if (item.contentType === from.contentType) item.contentType = undefined;
  item.payloadFormatIndicator = undefined;
}

function encode(item: Item, to: Format | ByteCodec): void {
  if (to.kind === 'format') return item.encode(to);
  item.bytes = to.encode(item.bytes);
  if (to.contentType !== null) item.contentType = to.contentType;
  item.payloadFormatIndicator = to.isText ? true : undefined;
}

/**
 * A few bytes of brotli make the package take memory for as much as they may refer to, which takes as long as to fill
 * it.
 */
const isNeverShort = ({ name }: Format | ByteCodec) => name === 'brotli';

export function decodeStage(settings: FormatSettings, { formats, path }: StageTools): Stage {
  const from = formats.of(settings, path);
  return {
    ...(isNeverShort(from) && { isShort: () => false }),
    run(item) {
      decode(item, from);
      return true;
    },
  };
}

export function encodeStage(settings: FormatSettings, { formats, path }: StageTools): Stage {
  const to = formats.of(settings, path);
  return {
    run(item) {
      encode(item, to);
      return true;
    },
  };
}

export function convertStage(settings: NonNullable<StageSettings['convert']>, { formats, path }: StageTools): Stage {
  const from = settings.from === undefined ? null : formats.of(settings.from, [...path, 'from']);
  const to = formats.of(settings.to, [...path, 'to']);
  return {
    ...(from !== null && isNeverShort(from) && { isShort: () => false }),
    run(item) {
      if (from !== null) decode(item, from);
      encode(item, to);
      return true;
    },
  };
}
