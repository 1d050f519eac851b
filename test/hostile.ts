/** Things that can be thrown and that resist being looked at. Each call makes a new one. */
export const HOSTILE: Record<string, () => unknown> = {
  'an error whose message is a getter that throws': () =>
    Object.defineProperty(new Error('asked'), 'message', { get: refuse }),
  'an error whose name is a getter that throws': () =>
    Object.defineProperty(new Error('named'), 'name', { get: refuse }),
  'an error whose stack is a getter that throws': () =>
    Object.defineProperty(new Error('seen'), 'stack', { get: refuse }),
  'an error whose code is a getter that throws': () =>
    Object.defineProperty(new Error('coded'), 'code', { get: refuse }),
  'an error whose message is a Symbol': () => Object.assign(new Error('text'), { message: Symbol('message') }),
  'an error whose message is an object without a prototype': () =>
    Object.assign(new Error('text'), { message: Object.create(null) }),
  'a revoked Proxy': () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  },
  'a Proxy that does not tell its prototype': () => new Proxy(new Error('hidden'), { getPrototypeOf: refuse }),
  'a Proxy that answers nothing': () =>
    new Proxy(() => {}, { get: refuse, has: refuse, getPrototypeOf: refuse, getOwnPropertyDescriptor: refuse }),
  'a forged error of the package': () => ({ [Symbol.for('liminal-bus.error')]: true, message: Symbol('forged') }),
  'a Symbol': () => Symbol('thrown'),
  nothing: () => undefined,
}

function refuse(): never {
  throw new Error('It does not want to be looked at.')
}
