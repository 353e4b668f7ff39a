/** A guest of the tour: what it says of the records that it appends. */
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { FailureError } from '@stead/core/errors.ts'
import type { Result } from '@stead/core/result.ts'

/** Waits until the condition holds; what it waited for in vain is in the error. */
export type WaitUntil = (what: string, condition: () => Promise<boolean>) => Promise<void>

export class TourGuest {
  readonly name: string
  readonly #client: Client
  readonly #until: WaitUntil

  constructor(name: string, client: Client, until: WaitUntil) {
    this.name = name
    this.#client = client
    this.#until = until
  }

  async view(): Promise<GuestView> {
    return must(await this.#client.call(ENDPOINTS['guest.show'], { params: { guest: this.name } }))
  }

  async untilProtected(): Promise<GuestView> {
    let guest: GuestView | undefined
    await this.#until(`${this.name} runs, protected`, async () => {
      guest = await this.view()
      return guest.state === 'running' && guest.protection.level === 'protected'
    })
    if (!guest) throw new Error(`${this.name} does not exist`)
    return guest
  }

  /** Waits until the console of the present boot tells of a record beyond this one. */
  async recordsPast(record: number, word: 'ACK|RESUME' | 'RESUME' = 'ACK|RESUME'): Promise<number> {
    const pattern = new RegExp(`^(?:${word}) (\\d+)\\r?$`, 'gm')
    let seen = 0
    await this.#until(`${this.name} writes past record ${record}`, async () => {
      const log = await this.#client.stream(ENDPOINTS['guest.log'], { params: { guest: this.name } })
      if (!log.ok) return false
      let text = ''
      for await (const bytes of log.value.body) text += Buffer.from(bytes).toString('latin1')
      const numbers = [...text.matchAll(pattern)].map((match) => Number(match[1]))
      seen = word === 'RESUME' ? (numbers[0] ?? 0) : Math.max(0, ...numbers)
      return seen >= record
    })
    return seen
  }
}

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new FailureError(result.error)
  return result.value
}
