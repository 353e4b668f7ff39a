/**
 * The table of contents of an OVA: a tar (POSIX ustar or GNU) of plain files in one folder. Nothing is unpacked: each
 * member is used where it lies. What does not belong into an OVA (paths, links, devices) makes all of it refused, since
 * it was put there to harm whoever unpacks it.
 */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { checksumHolds, nameField, numberField, TAR_BLOCK } from './tar-header.ts'

export interface TarMember {
  readonly name: string
  readonly offset: number
  readonly sizeBytes: number
}

const MEMBERS_MAX = 256
const LONG_NAME_MAX = 4096
const PLAIN_FILE = new Set(['0', '\0', '7'])

export async function tarMembers(
  read: (offset: number, length: number) => Promise<Buffer>,
  fileBytes: number,
): Promise<Result<readonly TarMember[]>> {
  const members: TarMember[] = []
  let longName: string | undefined
  for (let at = 0; at + TAR_BLOCK <= fileBytes;) {
    const header = await read(at, TAR_BLOCK)
    // Two blocks of zeros end the archive; one is enough here.
    if (header.every((byte) => byte === 0)) return ok(members)
    if (!checksumHolds(header)) return refuse('the archive is damaged')
    const sizeBytes = numberField(header, 124, 12)
    const [offset, end] = [at + TAR_BLOCK, at + TAR_BLOCK + sizeBytes]
    if (!Number.isSafeInteger(sizeBytes) || end > fileBytes) return refuse('the archive is cut off')
    const type = String.fromCharCode(header[156] ?? 0)
    const name = longName ?? nameField(header)
    longName = undefined
    if (type === 'L' || type === 'x') {
      if (sizeBytes > LONG_NAME_MAX) return refuse('a name in it is too long')
      const text = (await read(offset, sizeBytes)).toString('utf8')
      longName = type === 'L' ? text.replace(/\0[^]*$/, '') : /^\d+ path=(.*)$/m.exec(text)?.[1]
    } else if (type !== 'g') {
      const wrong = objectionTo(name, type)
      if (wrong !== undefined) return refuse(wrong)
      if (members.some((member) => member.name === name)) return refuse(`it holds ${name} twice`)
      if (members.length >= MEMBERS_MAX) return refuse(`it holds more than ${MEMBERS_MAX} files`)
      members.push({ name, offset, sizeBytes })
    }
    at = offset + Math.ceil(sizeBytes / TAR_BLOCK) * TAR_BLOCK
  }
  return members.length > 0 ? ok(members) : refuse('it is empty')
}

function objectionTo(name: string, type: string): string | undefined {
  if (!PLAIN_FILE.has(type)) return `${JSON.stringify(name)} in it is not a plain file`
  if (name === '' || name.includes('/') || name.includes('\\') || name === '..' || name.includes('\0'))
    return `it holds a path (${JSON.stringify(name)}) where a file name is due`
  return undefined
}

function refuse(why: string): Result<never> {
  return fail(failure('invalid_image', `The OVA is refused: ${why}`))
}
