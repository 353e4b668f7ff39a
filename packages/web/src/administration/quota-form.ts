/** A quota as people fill it in: sizes in GiB, and nothing where there is no limit. */
import type { ProjectView } from '@stead/api/endpoints/projects.ts'

export const LIMITS = ['guests', 'cpus', 'memoryBytes', 'diskBytes', 'snapshots', 'backups', 'addresses'] as const
export type Limit = (typeof LIMITS)[number]
export type QuotaForm = Readonly<Record<Limit, number | ''>>

const GIB = 2 ** 30
const unitOf = (limit: Limit) => (limit.endsWith('Bytes') ? GIB : 1)

export function quotaFormOf(quota: ProjectView['quota']): QuotaForm {
  return byLimit((limit) => {
    const most = quota[limit]
    return most === undefined ? '' : most / unitOf(limit)
  })
}

/** As the API takes it: null for no limit. */
export function limitsOf(form: QuotaForm): Readonly<Record<Limit, number | null>> {
  return byLimit((limit) => {
    const most = form[limit]
    return most === '' ? null : Math.round(most * unitOf(limit))
  })
}

function byLimit<Value>(make: (limit: Limit) => Value): Record<Limit, Value> {
  return Object.fromEntries(LIMITS.map((limit) => [limit, make(limit)])) as Record<Limit, Value>
}
