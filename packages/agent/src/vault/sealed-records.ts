/** Where secrets lie in the store: whole values, and fields of records that everybody has a copy of. */
import { realmSchema } from '@stead/api/realm-records.ts'
import { secretFields } from '@stead/api/secrets.ts'
import { wantedCertificateSchema } from '@stead/api/certificate-records.ts'
import { webhookSchema } from '@stead/api/webhook-records.ts'
import { KEYS, SECRET_KEYS } from '@stead/core/model/keys.ts'
import { ok, type Result } from '@stead/core/result.ts'

/** Values that are a secret as a whole. */
export const WHOLE_SECRETS: readonly string[] = [
  SECRET_KEYS.password(''),
  SECRET_KEYS.secondFactors(''),
  SECRET_KEYS.deviceKey,
  SECRET_KEYS.certificate(''),
  // By itself it opens with a host's own key, which lies on the same disk.
  SECRET_KEYS.nextAuthority,
]

/** By the folder of the records: what their schemas mark as secret. */
const SEALED_FIELDS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  [KEYS.realm('')]: secretFields(realmSchema),
  [KEYS.wantedCertificate]: secretFields(wantedCertificateSchema),
  [KEYS.webhook('')]: secretFields(webhookSchema),
}

/** All of them, to be looked through. */
export const SEALED_PREFIXES: readonly string[] = [...WHOLE_SECRETS, ...Object.keys(SEALED_FIELDS)]

export function holdsSecrets(key: string): boolean {
  return SEALED_PREFIXES.some((prefix) => key.startsWith(prefix))
}

/**
 * The value of a record with each secret replaced by what `change` makes of it, given the place that it is in. The very
 * same text when nothing was changed.
 */
export function withSecrets(
  key: string,
  value: string,
  change: (secret: string, place: string) => Result<string>,
): Result<string> {
  if (WHOLE_SECRETS.some((prefix) => key.startsWith(prefix))) return change(value, key)
  const [, paths = []] = Object.entries(SEALED_FIELDS).find(([prefix]) => key.startsWith(prefix)) ?? []
  let record: unknown
  try {
    record = JSON.parse(value)
  } catch {
    // No record: whoever reads it says so.
    return ok(value)
  }
  let isChanged = false
  for (const path of paths) {
    const parent = path.slice(0, -1).reduce<unknown>((at, name) => fieldOf(at, name), record)
    const [name = ''] = path.slice(-1)
    const secret = fieldOf(parent, name)
    if (typeof secret !== 'string') continue
    const changed = change(secret, `${key}#${path.join('.')}`)
    if (!changed.ok) return changed
    if (changed.value === secret) continue
    Object.assign(parent as object, { [name]: changed.value })
    isChanged = true
  }
  return ok(isChanged ? JSON.stringify(record) : value)
}

function fieldOf(parent: unknown, name: string): unknown {
  return typeof parent === 'object' && parent !== null && Object.hasOwn(parent, name)
    ? (parent as Readonly<Record<string, unknown>>)[name]
    : undefined
}
