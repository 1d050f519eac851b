/** A report for people. */
export function printReport({ machine, directory, publishing, catchingUp, recovery, skipped }) {
  console.log(`${machine}, files in ${directory}`)
  for (const [inFlight, systems] of Object.entries(publishing ?? {})) {
    console.log(`\nacknowledged durable publishes, 128 B, ${inFlight} in flight`)
    for (const [system, { perSecond, p50Us, p99Us, cpuUs, serverCpuUs }] of Object.entries(systems)) {
      const cpu = `CPU ${cpuUs} us${serverCpuUs > 0 ? `, server ${serverCpuUs} us` : ''}`
      console.log(`  ${system.padEnd(16)} ${String(perSecond).padStart(8)}/s  p50 ${p50Us} us  p99 ${p99Us} us  ${cpu}`)
    }
  }
  if (catchingUp !== undefined) console.log('\ncatching up after a restart')
  for (const [system, { messages, perSecond }] of Object.entries(catchingUp ?? {}))
    console.log(`  ${system.padEnd(16)} ${String(perSecond).padStart(8)}/s  of ${messages}`)
  if (recovery !== undefined) console.log('\nrecovery after kill -9')
  for (const [
    name,
    { messages, conversations, readyMs, publishedMs, askedAgainMs, serverListeningMs },
  ] of Object.entries(recovery ?? {})) {
    console.log(`  ${name}: ${messages} messages, ${conversations} conversations`)
    console.log(
      `    bus ready ${readyMs} ms, first publish acknowledged ${publishedMs} ms, all requests asked again ${askedAgainMs} ms`,
    )
    console.log(`    server listening ${serverListeningMs} ms after the start of its process`)
  }
  for (const { system, reason } of skipped) console.log(`\nleft out: ${system}: ${reason}`)
}
