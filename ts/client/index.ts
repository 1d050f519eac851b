export type { ClientOptions, ReconnectOptions } from './options.ts'
export { connect, type RemoteBus } from './remote-bus.ts'
export type { ConnectionState, ConnectionStatus } from './status.ts'
export { parseUrl, type ServerAddress } from './url.ts'
