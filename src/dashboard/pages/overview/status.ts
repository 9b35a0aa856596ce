import type { AnswerOf } from '../../api/client.ts';

export type Status = AnswerOf<'status'>;
