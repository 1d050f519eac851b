/** The look of the page, in light and dark. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #fdfdfc; --ink: #1d1f22; --quiet: #5d636b; --line: #d9dce0; --liminal: #b7410e; --peer: #2f6db3; --floor: #7a7f87; --good: #23713a; --bad: #b3261e }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15171a; --ink: #e8eaed; --quiet: #9aa1aa; --line: #33383f; --liminal: #f08a4b; --peer: #6aa9ec; --floor: #9aa1aa; --good: #6fcf8a; --bad: #ff8a80 }
}
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 50rem; margin: 0 auto; padding: 2rem 1rem 4rem }
h1 { font-size: 1.5rem; margin: 0 0 .5rem }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem }
h3 { font-size: .95rem; margin: 1rem 0 .25rem }
p { margin: 0 0 .5rem }
.quiet { color: var(--quiet); font-size: .85rem; font-weight: normal }
svg { width: 100%; height: auto; display: block }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink) }
svg .value { fill: var(--quiet); font-variant-numeric: tabular-nums }
svg line { stroke: var(--ink); stroke-width: 1.5 }
rect.liminal { fill: var(--liminal) }
rect.peer { fill: var(--peer) }
rect.floor { fill: var(--floor) }
.legend { display: flex; gap: .4rem; align-items: center; font-size: .9rem }
.key { width: .8rem; height: .8rem; border-radius: 2px; display: inline-block; margin-left: .8rem }
.key:first-child { margin-left: 0 }
.key.liminal { background: var(--liminal) }
.key.peer { background: var(--peer) }
.key.floor { background: var(--floor) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top }
th:first-child, td:first-child { text-align: left }
table.targets td:first-child { white-space: normal }
table.text td { text-align: left; white-space: normal }
table.text th { text-align: left }
tr.kept td:last-child { color: var(--good) }
tr.not-kept td:last-child { color: var(--bad); font-weight: bold }
.failed { color: var(--bad) }
details { margin: .5rem 0 }
summary { cursor: pointer; color: var(--quiet); font-size: .9rem }
`
