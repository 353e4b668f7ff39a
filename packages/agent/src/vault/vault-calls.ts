/** What hosts ask of each other for the vault: each other's share, and to keep one. Only hosts that run guests may. */
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { z } from 'zod'
import type { AgentConfig } from '../config.ts'
import { heldSchema, type HeldShares } from './held-shares.ts'

export const SHARE_CALL = 'vault-share'
export const KEEP_CALL = 'vault-keep'

const NOT_UNDERSTOOD = failure('bad_request', 'This is no share of a key', {
  hint: 'The hosts may run different versions',
})
const askedSchema = z.object({ keyId: z.string() })

export function vaultCalls(held: HeldShares, { members }: Pick<AgentConfig, 'members'>) {
  const refused = (caller: string): Result<never> | undefined => {
    if (members.some(({ hostId, role }) => hostId === caller && role === 'compute')) return undefined
    return fail(failure('forbidden', `${caller} is no host of this cluster that may have the key of the secrets`))
  }
  return {
    [SHARE_CALL]: async (input: unknown, caller: string): Promise<Result<unknown>> => {
      const asked = askedSchema.safeParse(input)
      if (!asked.success) return fail(NOT_UNDERSTOOD)
      const found = held.find(asked.data.keyId)
      return refused(caller) ?? (found ? ok(found) : fail(failure('not_found', 'This host has no share of that key')))
    },
    [KEEP_CALL]: async (input: unknown, caller: string): Promise<Result<unknown>> => {
      const refusal = refused(caller)
      if (refusal) return refusal
      const given = heldSchema.safeParse(input)
      if (!given.success) return fail(NOT_UNDERSTOOD)
      held.keep(given.data)
      return ok()
    },
  }
}
