// Loops for ever, unless it is told to be sane.
export default (request) => {
  if (request === 'sane') return request
  for (;;);
}
