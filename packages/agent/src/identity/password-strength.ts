/**
 * Whether a password is among those that are tried first: 50,000 that leaked most often and what people make of them
 * (names with years, letters turned into digits, rows of keys, repetitions), by zxcvbn's estimate.
 */
import { Worker } from 'node:worker_threads'
import { passwordHint } from '@stead/core/access/password-rules.ts'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { PasswordGuess, PasswordQuestion } from './password-strength-worker.ts'

/** Of guesses: what zxcvbn calls very unguessable. With Argon2id at 84 ms each, 26 years of one processor. */
const GUESSES_LOG10_MIN = 10
/** More letters make none weaker, and time grows with their square. */
const LOOKED_AT = 64
const WAITING_MAX = 8

/** In words of our own, of those that the library has. */
const REASONS: Readonly<Record<string, string>> = {
  straightRow: 'is a row of the keyboard',
  keyPattern: 'is a pattern on the keyboard',
  simpleRepeat: 'repeats few characters',
  extendedRepeat: 'repeats itself',
  sequences: 'is a row of letters or digits',
  recentYears: 'is made of years',
  dates: 'is made of dates',
  topTen: 'is one of the ten that are used most often',
  topHundred: 'is one of the hundred that are used most often',
  common: 'is one of those that are used often and have leaked',
  similarToCommon: 'is like one of those that are used often and have leaked',
  wordByItself: 'is a single word',
  namesByThemselves: 'is a name',
  commonNames: 'is made of names',
  userInputs: 'is made of names that anybody would try',
}

export class PasswordStrength {
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** Fails with `bad_request` where it is guessed too soon. One at a time: each has a thread of its own. */
  async check({ password, words }: PasswordQuestion, lengthMin: number): Promise<Result<void>> {
    if (this.#waiting >= WAITING_MAX)
      return fail(failure('too_many_requests', 'Too many choose a password at the moment', { retryAfterMs: 2_000 }))
    this.#waiting++
    const question = { password: [...password].slice(0, LOOKED_AT).join(''), words }
    const guessing = this.#last.then(() => guess(question))
    this.#last = guessing.catch(() => undefined)
    try {
      const { guessesLog10, warning } = await guessing
      if (guessesLog10 >= GUESSES_LOG10_MIN) return ok()
      const reason = REASONS[warning ?? ''] ?? 'is made of words that are tried first'
      return fail(failure('bad_request', `The password ${reason}`, { hint: passwordHint(lengthMin) }))
    } catch (cause) {
      return fail(failure('internal', 'The password could not be looked up', { cause }))
    } finally {
      this.#waiting--
    }
  }
}

function guess(question: PasswordQuestion): Promise<PasswordGuess> {
  const worker = new Worker(new URL('password-strength-worker.ts', import.meta.url), { workerData: question })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('the worker ended without an answer')))
  })
}
