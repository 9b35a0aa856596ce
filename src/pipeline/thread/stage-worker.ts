/**
 * The stage thread: makes the same stages as the broker, of the same settings and files, and runs them on what it is
 * sent, one item after the other. It remembers nothing of a message.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { compileStage } from '../compile.ts';
import { failureReason } from '../errors.ts';
import { KnownFormats } from '../formats/formats.ts';
import { SchemaFiles } from '../formats/schema-files.ts';
import { Item, type ItemTools } from '../item.ts';
import { threadLimitsOf } from '../loop-limits.ts';
import { type PackedItem, pack, transferable } from '../packed.ts';
import type { Stage, StageContext } from '../stages/stage.ts';
import { type FromWorker, preparing, type WorkerMarks } from './batch-worker.ts';
import type { StageAnswer, StageBatch, StageDefinition, StageJob } from './stage-thread.ts';

/** Answers are sent at least this often. */
const answerMs = 5;

interface MadeStage {
  readonly stage: Stage;
  readonly tools: ItemTools;
}

const marks = new Int32Array((workerData as WorkerMarks).marks);
const port = parentPort!;
const stages = new Map<number, Promise<MadeStage>>();

async function make({ settings, limits, files }: StageDefinition): Promise<MadeStage> {
  const schemaFiles = new SchemaFiles(files);
  const formats = new KnownFormats(limits, schemaFiles);
  const tools = { formats, limits: threadLimitsOf(limits), configured: limits };
  if (settings === 'write') return { tools, stage: { run: (item) => item.bytes !== null } };
  if (settings === 'read') return { tools, stage: { look: (item) => pack(item.value), run: () => true } };
  const stage = await compileStage(settings, { ...tools, files: schemaFiles, path: [], loop: null });
  return { stage, tools };
}

async function answer({ key, isLook, item: packed, context: given }: StageJob): Promise<StageAnswer> {
  let item: Item | null = null;
  try {
    const { stage, tools } = await stages.get(key)!;
    item = Item.unpacked(packed, tools);
    const context: StageContext = { ...given, client: null, subscriberClass: null };
    if (isLook) return { looked: stage.look!(item, context) };
    const known = item.copy();
    const outcome = await stage.run(item, context);
    if (typeof outcome === 'boolean') return { outcome, item: toAnswer(item, known) };
    return { items: outcome.map((each) => toAnswer(each, known)) };
  } catch (error) {
    const failure = failureReason(error);
    if (item === null || !item.isGathered) return { failure };
    return { failure, item: toAnswer(item, null) };
  }
}

function toAnswer(item: Item, known: Item | null): PackedItem {
  item.writeIfGathered();
  return item.toPacked(known);
}

function transfersOf(answers: readonly StageAnswer[]): ArrayBuffer[] {
  return answers.flatMap((each) => {
    if ('items' in each) return each.items.flatMap(transferable);
    return 'item' in each && each.item !== undefined ? transferable(each.item) : [];
  });
}

function post(answers: readonly StageAnswer[]): void {
  port.postMessage({ answers } satisfies FromWorker, transfersOf(answers));
}

port.on('message', async ({ definitions, forgotten, jobs }: StageBatch) => {
  Atomics.store(marks, 1, preparing);
  for (const definition of definitions) {
    const made = make(definition);
    stages.set(definition.key, made);
    // Each job is told of an error.
    await made.catch(() => {});
  }
  for (const key of forgotten) stages.delete(key);
  let answers: StageAnswer[] = [];
  let sentAt = performance.now();
  for (const [index, job] of jobs.entries()) {
    Atomics.store(marks, 1, index);
    Atomics.add(marks, 0, 1);
    answers.push(await answer(job));
    if (performance.now() - sentAt < answerMs) continue;
    post(answers);
    answers = [];
    sentAt = performance.now();
  }
  if (answers.length > 0) post(answers);
});
port.postMessage({ ready: true } satisfies FromWorker);
