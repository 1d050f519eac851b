// Does not survive the first attempt of anything.
export default (request, { attempt }) => {
  if (attempt === 1) process.exit(1)
  return request
}
