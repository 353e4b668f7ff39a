/**
 * One question to several servers that are all able to answer it: the next is asked when the one before failed, or has
 * said nothing for `patienceMs`; the ones after it follow more quickly. Only for what may be executed twice without harm.
 *
 * When etcd's leader dies, a member with a read in flight to it answers nothing until its own patience ends, while the
 * others serve again already: measured, 400 ms of a failover were one such read.
 */
/** Once the best server was silent, the next may well be dead too. */
const HASTE = 4

export function firstOf<Answer, Failed>(
  attempts: readonly (() => Promise<Answer | Failed>)[],
  patienceMs: number,
  isFinal: (outcome: Answer | Failed) => boolean,
): Promise<Answer | Failed> {
  return new Promise((resolve, reject) => {
    let started = 0
    let ended = 0
    let settled = false
    let timer: NodeJS.Timeout | undefined
    const startNext = () => {
      clearTimeout(timer)
      const attempt = attempts[started]
      if (attempt === undefined || settled) return
      started += 1
      const mine = started
      timer = setTimeout(startNext, mine === 1 ? patienceMs : patienceMs / HASTE)
      attempt().then((outcome) => {
        ended += 1
        if (isFinal(outcome) || ended === attempts.length) {
          settled = true
          clearTimeout(timer)
          resolve(outcome)
        } else if (mine === started) startNext()
      }, reject)
    }
    startNext()
  })
}
