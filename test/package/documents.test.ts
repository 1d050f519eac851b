import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decode } from '../../ts/codec/index.ts'
import { Capability, FrameType, ReasonCode } from '../../ts/protocol/index.ts'
import { root } from './packages.ts'

const protocol = readFileSync(join(root, 'docs', 'protocol.md'), 'utf8')

/** The rows of all tables whose first cell is a hexadecimal number: that number, and the name in the second cell. */
function table(from: string, to: string): Record<string, number> {
  const section = protocol.slice(protocol.indexOf(from), protocol.indexOf(to))
  const rows = [...section.matchAll(/^\| (0x[0-9A-F_]+) \| (\w+) \|/gm)]
  return Object.fromEntries(rows.map(([, code, name]) => [name, Number(String(code).replaceAll('_', ''))]))
}

describe('docs/protocol.md', () => {
  it('lists every frame type', () => {
    expect(table('## 3. Frames', '## 4. ')).toEqual(FrameType)
  })

  it('lists every reason code', () => {
    expect(table('## 11. Reason codes', '## 12. ')).toEqual(ReasonCode)
  })

  it('lists every capability, with a section for each', () => {
    expect(table('## 12. Extensions', '### ')).toEqual(Capability)
    for (const name of Object.keys(Capability)) expect(protocol).toMatch(new RegExp(`^### ${name} `, 'm'))
  })

  it('shows a session whose bytes decode to the frames that it tells of', () => {
    const blocks = [...protocol.matchAll(/```hex\n([^`]+)```/g)].map(([, text]) => bytesOf(String(text)))
    expect(blocks.map((bytes) => [...frames(bytes)].map((frame) => frame.type))).toEqual([
      ['Connect', 'Subscribe', 'Publish'],
      ['ConnectAck', 'SubscribeAck', 'Deliver', 'PublishAck'],
    ])
  })

  it('has no link to a section or file that is not there', () => {
    const anchors = new Set([...protocol.matchAll(/^#+ (.+)$/gm)].map(([, title]) => anchorOf(String(title))))
    const links = [...protocol.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => String(anchor))
    expect(links.filter((anchor) => !anchors.has(anchor))).toEqual([])
    expect(links.length).toBeGreaterThan(0)
  })
})

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'))
}

function* frames(bytes: Uint8Array) {
  for (let offset = 0; offset < bytes.length; ) {
    const { frame, length } = decode(bytes, offset)
    yield frame
    offset += length
  }
}

/** The anchor that a heading gets where Markdown is shown. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}
