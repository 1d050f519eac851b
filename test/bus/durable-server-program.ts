/** A server with a data directory in a process of its own, to be killed: prints its port. */
import { createServer } from '../../ts/server/index.ts'

const [dataDir, port] = process.argv.slice(2)
const server = await createServer({ dataDir, port: Number(port), host: '127.0.0.1' })
process.stdout.write(`${server.address.port}\n`)
process.stdin.resume().once('end', () => void server.close({ graceMs: 0 }))
