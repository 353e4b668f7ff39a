/** A small VNC client of the tests' own: the handshake of RFB 3.8 (RFC 6143), whole pictures, and keys. */

interface Picture {
  readonly width: number
  readonly height: number
  /** Four bytes a pixel, row by row. */
  readonly pixels: Buffer
}

const VERSION = 'RFB 003.008\n'

export class RfbViewer {
  readonly #send: (bytes: Uint8Array) => unknown
  #unread: Buffer = Buffer.alloc(0)
  #wake: () => void = () => undefined

  constructor(send: (bytes: Uint8Array) => unknown) {
    this.#send = send
  }

  take(bytes: Uint8Array): void {
    this.#unread = Buffer.concat([this.#unread, bytes])
    this.#wake()
  }

  /** Through the handshake to a picture of the whole screen. */
  async picture(): Promise<Picture> {
    const version = (await this.#read(VERSION.length)).toString()
    if (version !== VERSION) throw new Error(`the server speaks ${version}`)
    this.#send(Buffer.from(VERSION))
    const types = await this.#read((await this.#read(1)).readUInt8())
    if (!types.includes(1)) throw new Error(`the server wants a password: ${[...types].join()}`)
    this.#send(Buffer.of(1))
    if ((await this.#read(4)).readUInt32BE() !== 0) throw new Error('the server refuses')
    this.#send(Buffer.of(1))
    const init = await this.#read(24)
    const [width, height, bitsPerPixel] = [init.readUInt16BE(0), init.readUInt16BE(2), init.readUInt8(4)]
    if (bitsPerPixel !== 32) throw new Error(`${bitsPerPixel} bits a pixel`)
    await this.#read(init.readUInt32BE(20))
    // Raw pictures only; then all of the screen.
    this.#send(Buffer.of(2, 0, 0, 1, 0, 0, 0, 0))
    const request = Buffer.alloc(10)
    request.writeUInt8(3)
    request.writeUInt16BE(width, 6)
    request.writeUInt16BE(height, 8)
    this.#send(request)
    return this.#update(width, height)
  }

  /** Presses and lets go one key after the other: characters that need no shift, and line ends. */
  type(text: string): void {
    for (const character of text) {
      const key = character === '\n' ? 0xff0d : (character.codePointAt(0) ?? 0)
      for (const down of [1, 0]) {
        const event = Buffer.of(4, down, 0, 0, 0, 0, 0, 0)
        event.writeUInt32BE(key, 4)
        this.#send(event)
      }
    }
  }

  async #update(width: number, height: number): Promise<Picture> {
    const pixels = Buffer.alloc(width * height * 4)
    let drawn = 0
    while (drawn < width * height) {
      const head = await this.#read(4)
      if (head.readUInt8() !== 0) throw new Error(`a message of type ${head.readUInt8()}`)
      for (let left = head.readUInt16BE(2); left > 0; left--) {
        const place = await this.#read(12)
        const [x, y, w, h] = [0, 2, 4, 6].map((at) => place.readUInt16BE(at)) as [number, number, number, number]
        if (place.readInt32BE(8) !== 0) throw new Error(`an encoding that was not asked for: ${place.readInt32BE(8)}`)
        const part = await this.#read(w * h * 4)
        for (let row = 0; row < h; row++) part.copy(pixels, ((y + row) * width + x) * 4, row * w * 4, (row + 1) * w * 4)
        drawn += w * h
      }
    }
    return { width, height, pixels }
  }

  async #read(length: number): Promise<Buffer> {
    const deadline = performance.now() + 30_000
    while (this.#unread.length < length) {
      if (performance.now() > deadline) throw new Error(`${length} bytes did not come`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    const read = this.#unread.subarray(0, length)
    this.#unread = this.#unread.subarray(length)
    return read
  }
}
