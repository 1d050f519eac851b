await new Promise((resolve) => setTimeout(resolve, 30))

/** Answers with whether it may go on. */
export default (request, { signal }) => ({ request, aborted: signal.aborted })
