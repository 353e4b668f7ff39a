/** How an application's image wants its process begun, as the kernel and LXC take it: numbers instead of names. */
import { failure } from '@stead/core/errors.ts'
import type { ContainerProcess } from '@stead/core/model/container.ts'
import type { RootFacts } from '@stead/core/model/container-template.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { textInside } from './root-facts.ts'

const ACCOUNTS_BYTES_MAX = 1 << 20
const ID_MAX = 65_535

interface Account {
  readonly name: string
  readonly id: number
  readonly fields: readonly string[]
}

/** Names are looked up in the root's own files. Fails with `invalid_image` for those that are not there. */
export async function processOf(
  root: string,
  { environment, folder, user = '' }: NonNullable<RootFacts['process']>,
): Promise<Result<ContainerProcess>> {
  const [users, groups] = await Promise.all(['/etc/passwd', '/etc/group'].map((path) => accountsIn(root, path)))
  const [named = '', groupPart = ''] = user.split(':')
  const userPart = named === '' ? '0' : named
  const known = find(users, userPart)
  const uid = known?.id ?? idIn(userPart)
  if (uid === undefined) return fail(noSuch('user', userPart))
  const gid = groupPart === '' ? Number(known?.fields[3] ?? 0) : (find(groups, groupPart)?.id ?? idIn(groupPart))
  if (gid === undefined) return fail(noSuch('group', groupPart))
  // A line break cannot be told to LXC.
  const kept = environment.filter((each) => /^[A-Za-z_][A-Za-z0-9_]*=[^\n\r\0]*$/.test(each))
  const home = known?.fields[5]
  const hasHome = kept.some((each) => each.startsWith('HOME='))
  return ok({
    environment: hasHome || !home?.startsWith('/') ? kept : [...kept, `HOME=${home}`],
    ...(folder?.startsWith('/') ? { folder } : {}),
    ...(uid === 0 && gid === 0 ? {} : { uid, gid }),
  })
}

async function accountsIn(root: string, path: string): Promise<readonly Account[]> {
  const text = (await textInside(root, path, ACCOUNTS_BYTES_MAX)) ?? ''
  return text.split('\n').flatMap((line) => {
    const fields = line.split(':')
    const id = idIn(fields[2] ?? '')
    return id === undefined ? [] : [{ name: fields[0] ?? '', id, fields }]
  })
}

function find(accounts: readonly Account[] | undefined, nameOrId: string): Account | undefined {
  return accounts?.find(({ name, id }) => name === nameOrId || String(id) === nameOrId)
}

function idIn(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= ID_MAX ? Number(text) : undefined
}

function noSuch(what: string, name: string) {
  return failure('invalid_image', `The archive is refused: its process is of the ${what} ${name}, which is not in it`, {
    hint: 'Make the image again with that account, or with its number, at most 65,535.',
  })
}
