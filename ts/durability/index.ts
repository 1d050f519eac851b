export type {
  EventBatch,
  EventPage,
  EventStore,
  KeyPage,
  ReadLimits,
  StoreKey,
  StoreKind,
  StoreStats,
  StoreWrite,
  StoredBatch,
  StoredEvent,
  StreamState,
} from './event-store.ts'
