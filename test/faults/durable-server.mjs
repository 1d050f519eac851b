// A server with a data directory, from the built package: it starts fast enough to be killed several times a second. Prints one line of JSON, `{ port }` or `{ failed }`, and closes when its input ends.
import { createServer } from '../../dist/index.js'

try {
  const server = await createServer({
    port: 0,
    createChannels: false,
    echoFallback: true,
    ...JSON.parse(process.argv[2]),
  })
  console.log(JSON.stringify({ port: server.address.port }))
  process.stdin.resume().once('end', () => server.close({ graceMs: 0 }))
} catch (error) {
  const { code, message, retryable } = error
  console.log(JSON.stringify({ failed: { code, message, retryable } }))
  process.exitCode = 1
}
