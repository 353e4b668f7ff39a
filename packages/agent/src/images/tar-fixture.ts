/** For tests: archives as tar would never write them, member by member. */
export interface Member {
  readonly name: string
  /** tar's letter; a plain file when absent. */
  readonly type?: string
  readonly content?: string | Buffer
  readonly target?: string
  readonly uid?: number
  readonly gid?: number
  readonly mode?: number
  readonly device?: readonly [number, number]
  /** Said in the header in place of the content's length. */
  readonly said?: number
  /** Fields of a pax header before it. */
  readonly pax?: Readonly<Record<string, string>>
}

export function tarOf(members: readonly Member[]): Buffer {
  return Buffer.concat([...members.flatMap(member), Buffer.alloc(1024)])
}

export const folder = (name: string, more: Partial<Member> = {}): Member => ({ name, type: '5', mode: 0o755, ...more })

function member(wanted: Member): Buffer[] {
  const { name, type = '0', target = '', uid = 0, gid = 0, mode = 0o644, device = [0, 0], pax } = wanted
  const content = Buffer.from(wanted.content ?? '')
  const header = Buffer.alloc(512)
  header.write(name, 0, 100)
  const octal = (value: number, at: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, length)
  octal(mode, 100, 8)
  octal(uid, 108, 8)
  octal(gid, 116, 8)
  octal(wanted.said ?? content.length, 124, 12)
  octal(0, 136, 12)
  header.write(type, 156)
  header.write(target, 157, 100)
  header.write('ustar\x0000', 257, 'latin1')
  octal(device[0], 329, 8)
  octal(device[1], 337, 8)
  header.fill(0x20, 148, 156)
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    8,
  )
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512)
  const before = pax ? member({ name: 'pax', type: 'x', content: paxText(pax) }) : []
  return [...before, header, content, padding]
}

function paxText(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([key, value]) => {
      const rest = ` ${key}=${value}\n`
      let length = Buffer.byteLength(rest)
      while (`${length}${rest}`.length !== length) length = Buffer.byteLength(`${length}${rest}`)
      return `${length}${rest}`
    })
    .join('')
}
