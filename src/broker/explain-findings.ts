/** What `explain` finds on the way of a message, and what it comes to. */
import { conclusionOf, type ExplainFinding, type ExplainStep } from '../contracts/explain.ts';

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

  get conclusion(): ReturnType<typeof conclusionOf> {
    return conclusionOf(this.all);
  }
}
