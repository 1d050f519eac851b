/** A price that is more in memory than on the wire. */
class Price {
  #cents = 1999

  toJSON() {
    return this.#cents / 100
  }
}

const answers = {
  price: () => ({
    price: new Price(),
    at: new Date(0),
    url: new URL('http://127.0.0.1/a'),
    format: () => 'x',
    nothing: undefined,
  }),
  nothing: () => undefined,
  buffer: () => Buffer.from('ab'),
  function: () => () => {},
  bigint: () => 1n,
  throw: () => {
    throw new RangeError('out of range')
  },
  'throw text': () => {
    throw 'only text'
  },
  'throw object': () => {
    throw { a: 1 }
  },
  'throw nothing printable': () => {
    throw Object.create(null)
  },
  reject: () => Promise.reject(new Error('rejected')),
  'bare prototype': () => ({ __proto__: null, a: 1 }),
  parts: async function* () {
    yield 1
    yield undefined
    yield new Price()
    return { done: true }
  },
  'parts without end': async function* () {
    yield* ['a', 'b']
  },
  'parts that throw': async function* () {
    yield 1
    throw new Error('no more')
  },
  'bad part': async function* () {
    yield 1
    yield 2n
  },
}

/** Answers with what goes by the name that it is asked for, or with the request. */
export default function answer(request) {
  return typeof request === 'string' && request in answers ? answers[request]() : request
}
