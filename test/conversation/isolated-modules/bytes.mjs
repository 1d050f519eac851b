/** Answers bytes with bytes: how much memory came along with them, or what it is asked for. */
export default function answer(request) {
  switch (Buffer.from(request).toString()) {
    case 'memory':
      return Uint8Array.of(request.buffer.byteLength === request.byteLength ? 1 : 0)
    case 'pooled':
      return Buffer.from('from a pool')
    case 'text':
      return 'no bytes'
    default:
      return request
  }
}
