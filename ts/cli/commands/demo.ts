import type { Command } from 'commander'
import type { CommandContext } from '../context.ts'
import { tellStory } from '../demo/story.ts'
import { withExamples, withOutput } from '../options.ts'
import type { Style } from '../output.ts'

const STYLE_OF: Readonly<Record<string, Style>> = {
  server: 'dim',
  publisher: 'yellow',
  subscriber: 'yellow',
  'worker 1': 'cyan',
  'worker 2': 'green',
  we: 'bold',
}

/** `liminal demo`: what the bus does when a worker dies, with real processes. */
export function addDemo(program: Command, { output, signal }: CommandContext): void {
  const command = program
    .command('demo')
    .description('see what happens when a worker is killed in the middle of a conversation')
    .action(async () => {
      const startedAt = performance.now()
      await tellStory((who, what) => {
        const milliseconds = Math.round(performance.now() - startedAt)
        if (output.json) output.printJson({ milliseconds, who, what })
        else
          output.print(
            `${String(milliseconds).padStart(6)} ms  ${output.style(STYLE_OF[who] ?? 'bold', who.padEnd(10))}  ${what}`,
          )
      }, signal)
    })
  withExamples(withOutput(command), [['liminal demo', 'ends by itself, within seconds']])
}
