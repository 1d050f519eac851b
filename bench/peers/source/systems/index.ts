import { existsSync } from 'node:fs'
import { findPackages, startNodeServer } from './node.ts'
import { findProgram, findRabbitMq, startMosquitto, startNats, startRabbitMq, startRedis } from './programs.ts'
import type { Found, Serving, System } from './system.ts'

const NOTHING_STORED = 'keeps nothing on disk'
const NO_DISK_PROMISE = 'writes its store from time to time: no acknowledgement means that a message is on disk'

const defaults = { environment: {}, acknowledged: false, durability: null, omissions: {} } as const

const liminal = {
  ...defaults,
  kind: 'liminal',
  client: 'liminal',
  find: findLiminal,
} as const

/** What only liminal has: the others have no idempotency keys, or other ones. */
const LIMINAL_ALONE = ['W8'] as const
const LIMINAL_DURABILITY =
  "the default, sync: 'each': committed with an fsync before its acknowledgements, everything that came meanwhile in the next commit"

const floor = {
  ...defaults,
  kind: 'floor',
  find: (): Found => ({ version: `Node ${process.version}` }),
  start: (serving: Serving) => startNodeServer('raw', serving),
} as const

const EPHEMERAL = ['W1', 'W2', 'W3', 'W4', 'W4-single', 'W6', 'W7'] as const

/** Everything that is compared. */
export const SYSTEMS: readonly System[] = [
  {
    ...liminal,
    name: 'liminal',
    title: 'liminal',
    environment: { LIMINAL_CODEC: 'native' },
    workloads: [...EPHEMERAL, 'W5', ...LIMINAL_ALONE],
    setting:
      'native codec; send and a handler, W8 send with a key; defaults, but for 4,096 connections instead of 1,024',
    durability: LIMINAL_DURABILITY,
    start: (serving) => startNodeServer('liminal', serving, { LIMINAL_CODEC: 'native' }),
  },
  {
    ...liminal,
    name: 'liminal-typescript',
    title: 'liminal, TypeScript codec',
    environment: { LIMINAL_CODEC: 'typescript' },
    workloads: [...EPHEMERAL, 'W5', ...LIMINAL_ALONE],
    setting: 'as above with the TypeScript codec in all three processes',
    durability: LIMINAL_DURABILITY,
    start: (serving) => startNodeServer('liminal', serving, { LIMINAL_CODEC: 'typescript' }),
  },
  {
    ...liminal,
    name: 'liminal-acknowledged',
    title: 'liminal, publish and iterator',
    environment: { LIMINAL_CODEC: 'native' },
    workloads: ['W1', 'W2', 'W6'],
    acknowledged: true,
    setting: 'native codec; acknowledged publish and the async iterator',
    start: (serving) => startNodeServer('liminal', serving, { LIMINAL_CODEC: 'native' }),
  },
  {
    ...floor,
    name: 'raw',
    title: 'raw floor',
    client: 'raw',
    workloads: [...EPHEMERAL, 'W5'],
    setting:
      'a Node TCP server that hands bytes on; clients prefix a length, write once a turn, scan lengths and hand each message out as a view of its own',
    durability: 'fdatasync before each batch of acknowledgements, everything that came meanwhile in the next batch',
  },
  {
    ...floor,
    name: 'raw-bytes',
    title: 'raw floor, no views',
    client: 'raw-bytes',
    workloads: ['W1', 'W2', 'W6'],
    setting: 'as above, but the subscriber reads into the same memory again and again and makes nothing of a message',
  },
  {
    ...defaults,
    name: 'nats',
    title: 'NATS',
    kind: 'broker',
    client: 'nats',
    workloads: EPHEMERAL,
    setting:
      'publish and a callback; W3 is publish with a flush behind each, since core NATS acknowledges nothing else',
    omissions: { W5: 'stores nothing; see JetStream' },
    find: () => findProgram('nats-server', ['--version'], '@nats-io/transport-node'),
    start: ({ directory }) => startNats(directory),
  },
  {
    ...defaults,
    name: 'jetstream',
    title: 'NATS JetStream',
    kind: 'broker',
    client: 'jetstream',
    workloads: ['W3', 'W5'],
    setting: 'W3 a stream in memory, W5 a stream in files; subscribers are those of NATS',
    durability: 'written to files, not synced: sync_interval is 2 minutes and this version has no other choice',
    find: () => findProgram('nats-server', ['--version'], '@nats-io/transport-node', '@nats-io/jetstream'),
    start: ({ directory }) => startNats(directory),
  },
  {
    ...defaults,
    name: 'redis',
    title: 'Redis pub/sub',
    kind: 'broker',
    client: 'redis',
    workloads: EPHEMERAL,
    setting: 'PUBLISH in pipelines, W3 one command each; W4 over two channels; client-output-buffer-limit pubsub off',
    omissions: { W5: 'stores nothing; see Redis streams' },
    find: () => findProgram('redis-server', ['--version'], 'ioredis'),
    start: ({ directory }) => startRedis(directory, false),
  },
  {
    ...defaults,
    name: 'redis-streams',
    title: 'Redis streams',
    kind: 'broker',
    client: 'redis-streams',
    workloads: ['W3', 'W5'],
    setting: 'XADD, and XREAD of 1,000 entries at a time',
    durability: 'appendfsync always: synced before the replies of each turn of its event loop',
    find: () => findProgram('redis-server', ['--version'], 'ioredis'),
    start: ({ directory, workload }) => startRedis(directory, workload === 'W5'),
  },
  {
    ...defaults,
    name: 'mosquitto',
    title: 'Mosquitto',
    kind: 'broker',
    client: 'mqtt',
    workloads: EPHEMERAL,
    setting: 'MQTT 3.1.1, QoS 0, W3 QoS 1 from the publisher; W4 over two topics; set_tcp_nodelay in W3 and W4',
    omissions: { W5: NO_DISK_PROMISE },
    find: () => findProgram('mosquitto', ['-h'], 'mqtt'),
    start: ({ directory, workload }) => startMosquitto(directory, workload === 'W3' || workload.startsWith('W4')),
  },
  {
    ...defaults,
    name: 'aedes',
    title: 'aedes',
    kind: 'broker',
    client: 'mqtt',
    workloads: EPHEMERAL,
    setting: 'as Mosquitto, in a Node process, defaults',
    omissions: { W5: NOTHING_STORED },
    find: () => findPackages('aedes', 'mqtt'),
    start: (serving) => startNodeServer('aedes', serving),
  },
  {
    ...defaults,
    name: 'rabbitmq',
    title: 'RabbitMQ',
    kind: 'broker',
    client: 'rabbitmq',
    workloads: [...EPHEMERAL, 'W5'],
    setting:
      'fan-out exchange, a queue for each subscriber, no consumer acknowledgements; W3 publisher confirms; W4 direct replies',
    durability: 'durable queue, persistent messages, publisher confirms: confirmed once synced',
    find: findRabbitMq,
    start: ({ directory }) => startRabbitMq(directory),
  },
  {
    ...defaults,
    name: 'ws',
    title: 'ws',
    kind: 'library',
    client: 'ws',
    workloads: EPHEMERAL,
    setting:
      'a WebSocket server of ours that fans out, no compression, bufferutil; W3 answers each message with 4 bytes',
    omissions: { W5: NOTHING_STORED },
    find: () => findPackages('ws', 'bufferutil'),
    start: (serving) => startNodeServer('ws', serving),
  },
  {
    ...defaults,
    name: 'zeromq',
    title: 'ZeroMQ',
    kind: 'library',
    client: 'zeromq',
    workloads: EPHEMERAL,
    setting:
      "through zeromq's own proxy in a process of its own, no high-water marks; W3 acknowledged by a loop of ours",
    omissions: { W5: NOTHING_STORED },
    find: () => findPackages('zeromq'),
    start: (serving) => startNodeServer('zeromq', serving),
  },
]

/** @throws Error that lists the systems if there is none of that name. */
export function systemNamed(name: string): System {
  const found = SYSTEMS.find((system) => system.name === name)
  if (found === undefined)
    throw new Error(`There is no system ${name}; there are ${SYSTEMS.map((system) => system.name).join(', ')}.`)
  return found
}

function findLiminal(): Found {
  const built = existsSync(new URL('../../../../dist/index.js', import.meta.url))
  return built ? { version: 'this checkout' } : { missing: 'dist/ is not built; run npm run build' }
}
