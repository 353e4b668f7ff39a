/** Entry of a worker: the dictionaries are 25 MB, which go with it, and a long password takes a quarter of a second. */
import { parentPort, workerData } from 'node:worker_threads'
import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'

export interface PasswordQuestion {
  readonly password: string
  /** What somebody would try first of this user: his names, the cluster's. */
  readonly words: readonly string[]
}

export interface PasswordGuess {
  /** How many guesses it takes, as a power of ten. */
  readonly guessesLog10: number
  /** What makes it easy, in the library's words; null where nothing does. */
  readonly warning: string | null
}

const { password, words } = workerData as PasswordQuestion
const estimator = new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })
const { guessesLog10, feedback } = estimator.check(password, [...words])
parentPort?.postMessage({ guessesLog10, warning: feedback.warning } satisfies PasswordGuess)
