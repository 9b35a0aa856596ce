/** `script`: a user's JavaScript or TypeScript file, sandboxed in a worker. */
import type { StageSettings } from '../../contracts/pipeline-settings.ts';
import { PipelineError } from '../errors.ts';
import { fromFile } from '../formats/formats.ts';
import type { Stage } from '../stages/stage.ts';
import type { StageTools } from '../stages/stage-tools.ts';
import { ScriptHost } from './host.ts';

type Settings = NonNullable<StageSettings['script']>;

interface Amaro {
  readonly default: {
    transformSync(source: string, options: { readonly mode: 'strip-only' }): { readonly code: string };
  };
}

export async function scriptStage(settings: Settings, { path, files, loop }: StageTools): Promise<Stage> {
  const text = fromFile([...path, 'file'], () => files.read(settings.file));
  const source = settings.file.endsWith('.ts') ? await withoutTypes(text) : text;
  const { limits, warn } = loop!;
  const host = new ScriptHost({ settings: { ...settings, source }, limits, files, warn });
  try {
    await host.start();
  } catch (cause) {
    host.close();
    throw new PipelineError([...path, 'file'], `${settings.file}: ${(cause as Error).message}`, { cause });
  }
  return {
    run: (item, context) => host.run(item, context),
    close: () => host.close(),
  };
}

async function withoutTypes(text: string): Promise<string> {
  const name: string = 'amaro'; // it has no types itself
  const { default: amaro } = (await import(name)) as Amaro;
  return amaro.transformSync(text, { mode: 'strip-only' }).code;
}
