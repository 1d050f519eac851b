/** A report for people: one line for each measured thing. */
export function printTable({ node, platform, kills, sections }) {
  console.log(`Node ${node}, ${platform}, ${kills} kills each`)
  for (const [name, section] of Object.entries(sections)) {
    console.log(`\n${name}`)
    print(section, '  ')
  }
}

function print(section, indent) {
  for (const [name, value] of Object.entries(section)) {
    if (typeof value !== 'object' || value === null) console.log(`${indent}${name.padEnd(28)} ${value}`)
    else if ('p99' in value) {
      const { p50, p99, max } = value
      console.log(`${indent}${name.padEnd(28)} p50 ${p50}  p99 ${p99}  max ${max}`)
    } else {
      console.log(`${indent}${name}`)
      print(value, `${indent}  `)
    }
  }
}
