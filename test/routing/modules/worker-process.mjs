/** A consumer's process: answers every message, except those that it is told to keep. */
process.on('message', ({ number, message, attempt }) => {
  if (message === 'keep' && attempt === 1) process.send({ number, is: 'kept' })
  else process.send({ number, is: 'done', value: `${message} by ${process.pid}` })
})
