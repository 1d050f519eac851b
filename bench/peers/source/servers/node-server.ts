import { GCProfiler, getHeapStatistics } from 'node:v8'
import type { HeapReport } from '../process/messages.ts'
import { parent } from '../process/parent.ts'
import type { StartServer } from './server.ts'

// The server process of every system whose server runs in Node.

let heap: { readonly profiler: GCProfiler; readonly used: number } | null = null

parent.listen((message) => {
  switch (message.type) {
    case 'serve':
      serve(message.server, message.workload, message.directory).catch(parent.fail)
      break
    case 'watch-heap':
      heap = { profiler: new GCProfiler(), used: getHeapStatistics().used_heap_size }
      heap.profiler.start()
      break
    case 'report-heap':
      parent.tell({ type: 'heap', report: reportHeap() })
  }
})

async function serve(server: string, workload: string, directory: string): Promise<void> {
  const module: { readonly start: StartServer } = await import(`./${server}.js`)
  parent.tell({ type: 'listening', ...(await module.start({ workload, directory, fail: parent.fail })) })
}

/** What was allocated: what each collection found beyond what the one before it left. */
function reportHeap(): HeapReport {
  if (heap === null) throw new Error('the heap is not being watched')
  const { statistics } = heap.profiler.stop()
  let { used } = heap
  let allocatedBytes = 0
  for (const { beforeGC, afterGC } of statistics) {
    allocatedBytes += Math.max(0, beforeGC.heapStatistics.usedHeapSize - used)
    used = afterGC.heapStatistics.usedHeapSize
  }
  allocatedBytes += Math.max(0, getHeapStatistics().used_heap_size - used)
  heap = null
  return {
    allocatedBytes,
    collections: statistics.length,
    collectionMilliseconds: statistics.reduce((sum, { cost }) => sum + cost, 0) / 1_000,
  }
}
