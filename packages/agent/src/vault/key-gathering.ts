/** Puts the present key together, of this host's share and another's, or of two others'. */
import { failure } from '@stead/core/errors.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import { SHARES_NEEDED, type Vault as VaultRecord } from '@stead/core/model/vault.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { checkOf } from './key-ring.ts'
import { lineThrough, type KeyLine, type Share } from './key-shares.ts'
import { heldSchema, type Held } from './held-shares.ts'
import { SHARE_CALL } from './vault-calls.ts'
import type { VaultContext } from './vault-context.ts'

/** All others are asked at once: whoever answers first is as good as any. */
export async function gatherKey(context: VaultContext, record: VaultRecord): Promise<Result<void>> {
  const { self, held, vault } = context
  const own = held.find(record.keyId)
  const found: { host: HostId; held: Held }[] = own ? [{ host: self, held: own }] : []
  const line = lineOf(record, found) ?? (await askOthers(context, record, found))
  if (!line) {
    const text = `${found.length} of ${SHARES_NEEDED} shares of key ${record.generation} are here`
    return fail(failure('secrets_locked', text, { hint: `Others are on ${record.holders.join(', ')}` }))
  }
  vault.take(record, line)
  return ok()
}

async function askOthers(
  { self, ask }: VaultContext,
  record: VaultRecord,
  found: { host: HostId; held: Held }[],
): Promise<KeyLine | undefined> {
  const others = record.holders.filter((host) => host !== self)
  return new Promise((resolve) => {
    const asked = others.map(async (host) => {
      const answer = await ask(host, SHARE_CALL, { keyId: record.keyId })
      const read = answer.ok ? heldSchema.safeParse(answer.value) : undefined
      if (!read?.success) return
      found.push({ host, held: read.data })
      const line = lineOf(record, found)
      if (line) resolve(line)
    })
    void Promise.allSettled(asked).then(() => resolve(undefined))
  })
}

/** One that is wrong, whoever gave it, spoils nothing as long as two are right. */
function lineOf(record: VaultRecord, found: readonly { host: HostId; held: Held }[]): KeyLine | undefined {
  const isRight = ({ key }: KeyLine) => checkOf(key) === record.check
  for (const { held } of found)
    if (held.kind === 'key') {
      const line = { key: Buffer.from(held.value, 'hex'), slope: Buffer.alloc(0) }
      if (isRight(line)) return line
    }
  const shares = found
    .filter(({ held }) => held.kind === 'share')
    .map(({ host, held }): Share => ({ host, value: Buffer.from(held.value, 'hex') }))
  for (const [index, one] of shares.entries())
    for (const other of shares.slice(index + 1)) {
      const line = lineThrough(one, other)
      if (isRight(line)) return line
    }
  return undefined
}
