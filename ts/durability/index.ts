export { type ClaimIndex, type ClaimIndexOptions, createClaimIndex, scopeOf } from './claim-index.ts'
export { CLAIM_HASH_BYTES, CLAIM_WORDS, ClaimRows, ClaimStatus } from './claim-rows.ts'
export { DataDirectory, type DataDirectoryOptions } from './data-directory.ts'
export { EmbeddedStore } from './embedded/embedded-store.ts'
export type { EmbeddedStoreOptions } from './embedded/store-options.ts'
export { eventBatch, eventsOf, startOfEvent } from './event-batch.ts'
export type {
  EventBatch,
  EventPage,
  EventStore,
  KeyPage,
  ReadLimits,
  StoredBatch,
  StoredEvent,
  StoreKey,
  StoreKind,
  StoreStats,
  StoreWrite,
  StreamState,
} from './event-store.ts'
export { MemoryStore, type MemoryStoreOptions } from './memory-store.ts'
export {
  type MessageHead,
  type MessageStamp,
  messageRecordLength,
  readMessageColumns,
  readMessageHead,
  rowsFor,
  writeMessageRecord,
} from './message-record.ts'
export { MAX_APPEND_BYTES, MAX_VALUE_BYTES } from './store-changes.ts'
export { decodeStoreKey, describeStoreKey, encodeKeyPrefix, encodeStoreKey, MAX_KEY_BYTES } from './store-key.ts'
export { type Stores, type SyncPolicy, storesOf } from './stores.ts'
