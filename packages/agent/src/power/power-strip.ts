/** The power strip that a lab's hosts hang on, as their agents reach it: docs/internals/power.md. */
import { request } from 'node:http'
import { FAILURES, failure, type FailureCode } from '@stead/core/errors.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { PowerSwitch } from '@stead/core/ports/power-switch.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** A host is wired and its first process started before the answer to `on`, a second at most when nothing else runs. */
const ANSWER_MS_MAX = 20_000

export class PowerStrip implements PowerSwitch {
  readonly #socket: string

  /** `socket`: path of the strip's unix socket. */
  constructor(socket: string) {
    this.#socket = socket
  }

  cut(host: HostId): Promise<Result<void>> {
    return this.#order(host, 'off')
  }

  restore(host: HostId): Promise<Result<void>> {
    return this.#order(host, 'on')
  }

  #order(host: HostId, state: 'off' | 'on'): Promise<Result<void>> {
    const path = `/outlets/${encodeURIComponent(host)}/${state}`
    return new Promise((resolve) => {
      const silent = (cause?: unknown) =>
        resolve(fail(failure('host_unreachable', 'The power strip of the lab does not answer', { hint: HINT, cause })))
      const asked = request({ socketPath: this.#socket, method: 'POST', path, agent: false }, (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (part: string) => (text += part))
        answer.on('error', silent)
        answer.on('end', () => resolve(answer.statusCode === 204 ? ok() : fail(complaintIn(text))))
      })
      asked.setTimeout(ANSWER_MS_MAX, () => asked.destroy(new Error(`no answer within ${ANSWER_MS_MAX} ms`)))
      asked.on('error', silent)
      asked.end()
    })
  }
}

const HINT = 'On the machine of the lab: `stead lab status`, and forwarder.log in its folder'

function complaintIn(text: string) {
  try {
    const { code, message, hint } = JSON.parse(text) as { code: string; message: string; hint?: string }
    if (code in FAILURES) return failure(code as FailureCode, message, hint === undefined ? {} : { hint })
  } catch (cause) {
    return failure('internal', 'The power strip of the lab said something that is no answer', { cause })
  }
  return failure('internal', `The power strip of the lab said: ${text}`)
}
