/** The keys of the certificate of the web, in the store alone, where they are sealed: docs/internals/secrets.md. */
import { failure } from '@stead/core/errors.ts'
import type { WantedCertificate } from '@stead/core/model/web-certificate.ts'
import { KEYS, SECRET_KEYS } from '@stead/core/model/keys.ts'
import type { Store, Write } from '@stead/core/ports/store.ts'
import { recordDecoder } from '@stead/api/records.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { z } from 'zod'
import type { ServerCertificate } from '../http/api-server.ts'
import { newKey } from './acme-signature.ts'

/** `of`: of which authority the account is, for which order the key. */
const keySchema = z.object({ of: z.string(), keyPem: z.string() })
const pairSchema = z.object({ certificate: z.string(), key: z.string() })

type Keeping = Pick<Store, 'get' | 'transact'>

/** This host's copy of the records has its secrets sealed. */
export async function openedWish(store: Pick<Store, 'get'>) {
  const kept = await store.get(KEYS.wantedCertificate)
  if (!kept.ok) return kept
  if (!kept.value) return fail(failure('not_found', 'No authority is asked for a certificate', { hint: ORDER_HINT }))
  const wanted: Result<WantedCertificate> = recordDecoder.wantedCertificate(JSON.parse(kept.value.value))
  return wanted.ok ? ok({ wanted: wanted.value, revision: kept.value.modRevision }) : wanted
}

export const ORDER_HINT = '`stead certificate order NAME` asks one'

/** The same one each time; two hosts that make one at a time go on with the first. */
export function accountKey(
  store: Keeping,
  { directoryUrl, externalAccount }: Pick<WantedCertificate, 'directoryUrl' | 'externalAccount'>,
): Promise<Result<string>> {
  const of = [directoryUrl, ...(externalAccount ? [externalAccount.keyId] : [])].join(' ')
  return keyFor(store, SECRET_KEYS.certificate('account'), of)
}

/** Kept before the authority hears of it: else a certificate could come to which nobody has the key. */
export function orderKey(store: Keeping, orderUrl: string): Promise<Result<string>> {
  return keyFor(store, SECRET_KEYS.certificate('next'), orderUrl)
}

async function keyFor(store: Keeping, at: string, of: string): Promise<Result<string>> {
  for (;;) {
    const kept = await store.get(at)
    if (!kept.ok) return kept
    const known = kept.value ? keySchema.parse(JSON.parse(kept.value.value)) : undefined
    if (known?.of === of) return ok(known.keyPem)
    const keyPem = newKey()
    const outcome = await store.transact({
      compares: [{ key: at, modRevision: kept.value?.modRevision ?? 0n }],
      writes: [{ kind: 'put', key: at, value: JSON.stringify({ of, keyPem }) }],
    })
    if (!outcome.ok) return outcome
    if (outcome.value.committed) return ok(keyPem)
  }
}

/** Undefined: none was given yet. */
export async function currentPair(store: Pick<Store, 'get'>): Promise<Result<ServerCertificate | undefined>> {
  const kept = await store.get(SECRET_KEYS.certificate('current'))
  if (!kept.ok || !kept.value) return kept.ok ? ok(undefined) : kept
  return ok(pairSchema.parse(JSON.parse(kept.value.value)))
}

/** In place of the one that there is. */
export function becomesCurrent(pair: ServerCertificate): Write[] {
  return [
    { kind: 'put', key: SECRET_KEYS.certificate('current'), value: JSON.stringify(pair) },
    { kind: 'delete', key: SECRET_KEYS.certificate('next') },
  ]
}

export function allForgotten(): Write[] {
  return [
    { kind: 'delete-prefix', prefix: SECRET_KEYS.certificate('') },
    { kind: 'delete', key: KEYS.wantedCertificate },
    { kind: 'delete', key: KEYS.certificateProgress },
  ]
}
