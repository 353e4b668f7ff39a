/** A guest's screen, keyboard and pointer, for as long as somebody looks: also when the guest moves or starts again. */
import RFB from '@novnc/novnc'
import type { Client } from '@stead/api/client.ts'
import { ConsoleConnection, openBrowserSocket } from '@stead/api/console-connection.ts'
import { failure } from '@stead/core/errors.ts'
import type { ConsoleState } from './console-state.ts'
import type { KeyPress } from './special-keys.ts'
import { RfbChannel } from './rfb-channel.ts'

export interface GuestScreenOptions {
  readonly client: Client
  /** Its name or id. */
  readonly guest: string
  readonly place: HTMLElement
  readonly onState: (state: ConsoleState) => void
}

export class GuestScreen {
  readonly #options: GuestScreenOptions
  readonly #connection: ConsoleConnection
  readonly #left = new AbortController()
  #channel: RfbChannel | undefined
  #rfb: RFB | undefined
  /** The last picture of a connection that has ended. */
  #still: HTMLCanvasElement | undefined
  #isFitted = true

  constructor(options: GuestScreenOptions) {
    this.#options = options
    const { client, guest, onState } = options
    this.#connection = new ConsoleConnection({
      ...{ client, guest, kind: 'vnc', openSocket: openBrowserSocket },
      onConnected: ({ host }) => this.#begin(host),
      onBytes: (bytes) => this.#channel?.take(bytes),
      onWaiting: (reason) => {
        this.#keepPicture()
        onState({ is: 'waiting', reason })
      },
    })
    void this.#connection.run(this.#left.signal).then((ended) => {
      if (!ended.ok) onState({ is: 'failed', failure: ended.error })
    })
  }

  /** True: all of it is seen, as large as there is room; false: as large as it is. */
  fit(isFitted: boolean): void {
    this.#isFitted = isFitted
    if (this.#rfb) this.#rfb.scaleViewport = isFitted
  }

  focus(): void {
    this.#rfb?.focus()
  }

  press(keys: readonly KeyPress[]): void {
    const rfb = this.#rfb
    if (!rfb) return
    for (const [keysym, code] of keys) rfb.sendKey(keysym, code, true)
    for (const [keysym, code] of keys.toReversed()) rfb.sendKey(keysym, code, false)
    rfb.focus()
  }

  leave(): void {
    this.#left.abort()
    this.#rfb?.disconnect()
    this.#rfb = undefined
    this.#still?.remove()
  }

  #begin(host: string): void {
    const { place, onState } = this.#options
    const hadFocus = this.#still?.dataset['focus'] === 'true'
    this.#channel = new RfbChannel((bytes) => this.#connection.send(bytes))
    const rfb = new RFB(place, this.#channel, { shared: true })
    this.#rfb = rfb
    rfb.scaleViewport = this.#isFitted
    rfb.background = 'transparent'
    // Without it nobody would see where the pointer is before the guest's own driver draws one.
    rfb.showDotCursor = true
    rfb.addEventListener('connect', () => {
      this.#still?.remove()
      this.#still = undefined
      if (hadFocus) rfb.focus()
      onState({ is: 'connected', host })
    })
    rfb.addEventListener('disconnect', () => {
      // By ourselves otherwise: `#keepPicture`, `leave`.
      if (this.#rfb !== rfb) return
      this.#rfb = undefined
      this.#left.abort()
      onState({ is: 'failed', failure: failure('internal', 'The screen sent what no screen sends') })
    })
  }

  #keepPicture(): void {
    const rfb = this.#rfb
    if (!rfb) return
    this.#rfb = undefined
    const { place } = this.#options
    const shown = place.querySelector('canvas')
    if (shown && shown.width > 0) {
      const still = document.createElement('canvas')
      ;[still.width, still.height] = [shown.width, shown.height]
      still.getContext('2d')?.drawImage(shown, 0, 0)
      still.dataset['still'] = 'true'
      still.dataset['focus'] = String(document.activeElement === shown)
      this.#still?.remove()
      this.#still = still
      place.append(still)
    }
    rfb.disconnect()
  }
}
