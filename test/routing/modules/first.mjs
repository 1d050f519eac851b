/** Chooses the first consumer with room. */
export default function choose({ consumers }) {
  return consumers.find((consumer) => consumer.available > 0)?.id ?? null
}
