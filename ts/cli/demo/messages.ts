/** What the demo's processes tell each other; the work itself goes over the bus. */
export type ServerUp = { readonly type: 'listening'; readonly url: string }

export type DurableServerDown = { readonly type: 'start'; readonly port: number; readonly dataDir: string }

export type PublisherDown = { readonly type: 'start'; readonly url: string } | { readonly type: 'stop' }
export type PublisherUp = { readonly type: 'ready' } | { readonly type: 'stopped'; readonly published: number }

export type WorkerDown = { readonly type: 'start'; readonly url: string; readonly name: string }
export type WorkerUp = { readonly type: 'ready' } | { readonly type: 'working'; readonly on: string }

export const ORDERS = 'orders'
export const QUOTE = 'quote'
export const PAYMENTS = 'payments'

/** What the publisher publishes. The last one says so. */
export interface Order {
  readonly id: number
  readonly last: boolean
}

/** What the workers are asked. With `think` the first one that gets it reports that it has started, and thinks until it is killed. */
export interface QuoteRequest {
  readonly item: string
  readonly think: boolean
}

export interface Quote {
  readonly item: string
  readonly cents: number
  readonly by: string
}

export interface Payment {
  readonly id: number
}
