/** The 512 bytes before each member of a tar (POSIX ustar, GNU), and the records of a pax header. */

export const TAR_BLOCK = 512

/** Text of a field up to its first NUL. Bytes as they are (latin1): names need not be UTF-8. */
export function textField(header: Buffer, start: number, length: number): string {
  return header.toString('latin1', start, start + length).replace(/\0[^]*$/, '')
}

export function nameField(header: Buffer): string {
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? textField(header, 345, 155) : ''
  return prefix === '' ? textField(header, 0, 100) : `${prefix}/${textField(header, 0, 100)}`
}

/** Octal digits, or a binary number marked by its first bit where those are too few; NaN when it is neither. */
export function numberField(header: Buffer, start: number, length: number): number {
  const first = header[start] ?? 0
  if (first & 0x80) {
    let value = BigInt(first & 0x7f)
    for (let at = start + 1; at < start + length; at++) value = value * 256n + BigInt(header[at] ?? 0)
    // The first bit but one is the sign.
    return first & 0x40 || value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.NaN : Number(value)
  }
  const digits = header.toString('latin1', start, start + length).replaceAll(/[\0 ]/g, '')
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || '0', 8) : Number.NaN
}

/** The sum of the header's bytes, its own field counted as blanks. */
export function checksumHolds(header: Buffer): boolean {
  const said = Number.parseInt(header.toString('latin1', 148, 156).replaceAll(/[\0 ]/g, ''), 8)
  let sum = 0
  for (let index = 0; index < TAR_BLOCK; index++) sum += index >= 148 && index < 156 ? 0x20 : (header[index] ?? 0)
  return sum === said
}

/** `LENGTH KEY=VALUE\n` one after the other, lengths in bytes; undefined when that is not what it is. */
export function paxRecords(content: Buffer): Map<string, string> | undefined {
  const records = new Map<string, string>()
  for (let at = 0; at < content.length;) {
    const blank = content.indexOf(0x20, at)
    const length = Number(content.toString('latin1', at, blank))
    if (blank === -1 || !Number.isSafeInteger(length) || length <= blank - at || at + length > content.length)
      return undefined
    const text = content.toString('latin1', blank + 1, at + length - 1)
    const equals = text.indexOf('=')
    if (equals === -1) return undefined
    records.set(text.slice(0, equals), text.slice(equals + 1))
    at += length
  }
  return records
}
