// Imported first: from then on the clock of this thread is off by LIMINAL_CLOCK_SHIFT_MS.
const shift = Number(process.env.LIMINAL_CLOCK_SHIFT_MS)
if (!Number.isFinite(shift)) throw new Error('LIMINAL_CLOCK_SHIFT_MS must be a number of milliseconds.')

const RealDate = Date
globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + shift)
    else super(...given)
  }

  static now() {
    return RealDate.now() + shift
  }
}
