/** What `explain` finds on the way of a message, and what it comes to. */
import type { ExplainFinding, ExplainStep, Explanation } from '../contracts/explain.ts';

export class Findings {
  readonly all: ExplainFinding[] = [];

  passes(step: ExplainStep, text: string): void {
    this.all.push({ step, verdict: 'passes', text, remedy: null });
  }

  /** The message gets no further. */
  stops(step: ExplainStep, text: string, remedy: string | null = null): void {
    this.all.push({ step, verdict: 'stops', text, remedy });
  }

  depends(step: ExplainStep, text: string, remedy: string | null = null): void {
    this.all.push({ step, verdict: 'depends', text, remedy });
  }

  get isStopped(): boolean {
    return this.all.some(({ verdict }) => verdict === 'stops');
  }

  /** The first thing that stops it counts, else the first that it depends on. */
  get conclusion(): Pick<Explanation, 'arrives' | 'conclusion' | 'step' | 'remedy'> {
    const stop = this.all.find(({ verdict }) => verdict === 'stops');
    const first = stop ?? this.all.find(({ verdict }) => verdict === 'depends');
    if (first === undefined) return { arrives: 'yes', conclusion: 'it would arrive', step: null, remedy: null };
    const { step, text, remedy } = first;
    return { arrives: stop === undefined ? 'depends' : 'no', conclusion: text, step, remedy };
  }
}
