/** What noVNC takes for a WebSocket: one connection of a console that may have several, one after the other. */
export class RfbChannel {
  binaryType = 'arraybuffer'
  readonly protocol = ''
  readyState: number = WebSocket.OPEN
  onopen: (() => void) | null = null
  onmessage: ((event: { readonly data: ArrayBuffer }) => void) | null = null
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null
  onerror: ((event: unknown) => void) | null = null
  readonly #send: (bytes: Uint8Array) => void

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send
  }

  send(bytes: Uint8Array): void {
    if (this.readyState === WebSocket.OPEN) this.#send(bytes)
  }

  take(bytes: Uint8Array): void {
    this.onmessage?.({ data: new Uint8Array(bytes).buffer })
  }

  /** By noVNC, which waits to be told that it has been done. */
  close(): void {
    if (this.readyState !== WebSocket.OPEN) return
    this.readyState = WebSocket.CLOSED
    queueMicrotask(() => this.onclose?.({ code: 1000, reason: '' }))
  }
}
