import type { Commit } from './answers.ts'
import { BatchClaims } from './batch-claims.ts'
import { LogBatch } from './log-batch.ts'

/** What is collected for a commit of a log, of one schema. */
export class Collected implements Commit {
  outcome: Commit['outcome'] = null
  readonly batch: LogBatch
  readonly claims: BatchClaims
  readonly schemaId: Uint8Array

  /** @param before The batch before this one. */
  constructor(owner: number, schemaId: Uint8Array, before: BatchSize | null) {
    this.batch = new LogBatch(before)
    this.claims = new BatchClaims(owner)
    this.schemaId = schemaId
  }
}

/** Bytes and messages of a batch. */
export interface BatchSize {
  readonly length: number
  readonly count: number
}
