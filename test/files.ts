/** The files of the suite. What packs and installs the package is not among them: `npm run test:package`. */
export const SUITE = ['test/*.test.ts', 'test/!(package)/**/*.test.ts', 'bench/peers/test/**/*.test.ts']

/** Files that get a process of their own each: they start, kill or measure processes, load modules anew, or count timers or bytes, to which others may add. */
export const ALONE = [
  'test/{bench,conformance,e2e,faults}/**/*.test.ts',
  'test/bus/{cursor-crash,durable-conversation-kills,local-bus,logged-deliveries,requests,streams,waiting}.test.ts',
  'test/channel/claim-desk.test.ts',
  'test/client/{close,publish,reconnection,structures,worker}.test.ts',
  'test/codec/{agreement,decoder,loader,vectors}.test.ts',
  'test/conversation/{conversation,lifecycle}.test.ts',
  'test/durability/{claim-agreement,claim-memory,embedded-store,store-*}.test.ts',
  'test/pressure/{congestion,outbox}.test.ts',
  'test/process/{mailbox,supervisor-children,supervisor-restarts,thread}.test.ts',
  'test/routing/dispatch.test.ts',
  'test/server/{keepalive,pressure,session-process}.test.ts',
  'test/{coarse-clock,errors,last-text}.test.ts',
]

/** What takes longest, in this order. It is started first: a run must not end with one worker on a long file and the others without any. */
export const LONG = [
  'test/faults/durable-kills.test.ts',
  'test/durability/store-process.test.ts',
  'test/bench/durable-benchmark.test.ts',
  'test/e2e/pub-sub.test.ts',
  'test/durability/embedded-store.test.ts',
  'test/faults/durable-restart.test.ts',
  'test/faults/durable-damage.test.ts',
  'test/bench/instructions.test.ts',
  'test/e2e/bench.test.ts',
  'test/bench/dedup-benchmark.test.ts',
  'test/bench/codec-benchmark.test.ts',
  'test/bench/crash-benchmark.test.ts',
  'test/durability/store-damage.test.ts',
  'test/e2e/serve.test.ts',
  'test/codec/vectors.test.ts',
]
