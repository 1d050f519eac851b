import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, Program, versionOf } from '../process/program.ts'
import { findPackages } from './node.ts'
import type { Found, RunningServer } from './system.ts'

/** A server program and the package of its client: both must be there. */
export function findProgram(command: string, parameters: readonly string[], ...packages: readonly string[]): Found {
  const version = versionOf(command, parameters)
  if (version === null) return { missing: `${command} is not installed; run bench/peers/install-peers.sh` }
  const found = findPackages(...packages)
  return 'missing' in found ? found : { version: `${version}; ${found.version}` }
}

export async function startNats(directory: string): Promise<RunningServer> {
  const port = await freePort()
  const parameters = ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', directory]
  return running(await Program.start('nats-server', parameters, /Server is ready/), port, directory)
}

/** @param fsync whether an append-only file is synced before each reply; otherwise nothing is kept on disk. */
export async function startRedis(directory: string, fsync: boolean): Promise<RunningServer> {
  const port = await freePort()
  const persistence = fsync ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']
  const program = await Program.start(
    'redis-server',
    [
      ...['--bind', '127.0.0.1', '--port', String(port), '--dir', directory, '--save', ''],
      // Its default drops a subscriber that is 32 MB behind; the window is the limit here.
      ...['--client-output-buffer-limit', 'pubsub 0 0 0'],
      ...persistence,
    ],
    /Ready to accept connections/,
  )
  return running(program, port, directory)
}

/** @param noDelay whether it sends every packet at once: slower where there are many, faster where somebody waits for one. Its default is not to. */
export async function startMosquitto(directory: string, noDelay: boolean): Promise<RunningServer> {
  const port = await freePort()
  const file = join(directory, 'mosquitto.conf')
  const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', `set_tcp_nodelay ${noDelay}`]
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''))
  return running(await Program.start('mosquitto', ['-c', file], /mosquitto version .* running/), port, directory)
}

/** RabbitMQ names its node at a daemon of Erlang's, so that one is started for it too. */
export async function startRabbitMq(directory: string): Promise<RunningServer> {
  const [port, distributionPort, daemonPort] = [await freePort(), await freePort(), await freePort()]
  const daemonEnvironment = { ERL_EPMD_PORT: String(daemonPort), ERL_EPMD_ADDRESS: '127.0.0.1' }
  const daemon = await Program.start('epmd', ['-d'], /epmd running|entering the main select loop/, daemonEnvironment)
  const data = join(directory, 'rabbitmq')
  mkdirSync(data)
  writeFileSync(join(directory, 'enabled_plugins'), '[].\n')
  writeFileSync(join(directory, 'rabbitmq.conf'), `listeners.tcp.1 = 127.0.0.1:${port}\nloopback_users = none\n`)
  try {
    const program = await Program.start(RABBITMQ, [], /Starting broker\.\.\. completed|completed with \d+ plugins/, {
      ...daemonEnvironment,
      HOME: directory,
      RABBITMQ_NODENAME: `bench-${port}@localhost`,
      RABBITMQ_CONF_ENV_FILE: join(directory, 'none'),
      RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'enabled_plugins'),
      RABBITMQ_MNESIA_BASE: data,
      RABBITMQ_LOG_BASE: directory,
      RABBITMQ_LOGS: '-',
      RABBITMQ_DIST_PORT: String(distributionPort),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    })
    const server = running(program, port, directory)
    return { ...server, end: () => server.end().finally(() => daemon.end()) }
  } catch (error) {
    await daemon.end()
    throw error
  }
}

/** Debian's folder, with the script itself: the one in PATH changes to another user first. */
const RABBITMQ_FOLDER = '/usr/lib/rabbitmq'
const RABBITMQ = `${RABBITMQ_FOLDER}/bin/rabbitmq-server`

export function findRabbitMq(): Found {
  if (!existsSync(RABBITMQ)) return { missing: 'rabbitmq-server is not installed; run bench/peers/install-peers.sh' }
  const found = findPackages('amqplib')
  const versions = readdirSync(`${RABBITMQ_FOLDER}/lib`).map((name) =>
    name.replace('rabbitmq_server-', 'rabbitmq-server '),
  )
  return 'missing' in found ? found : { version: `${versions.join(', ')}; ${found.version}` }
}

function running(program: Program, port: number, directory: string): RunningServer {
  return {
    pid: program.pid,
    endpoint: { port, receivePort: port, directory },
    about: '',
    node: null,
    end: () => program.end(),
  }
}
