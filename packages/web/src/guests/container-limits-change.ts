/** The limits of a container as text, one a line, and what a changed text asks for. */
import { parseLimit, type ContainerLimits } from '@stead/core/model/container-limits.ts'
import { ok, type Result } from '@stead/core/result.ts'

/** `numfile=1024:2048`; a bound that is absent is written as `unlimited`. */
export function limitsText(limits: ContainerLimits): string {
  return Object.entries(limits)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, { barrier, limit }]) => {
      const one = (value: number | undefined) => value ?? 'unlimited'
      return barrier === undefined || barrier === limit
        ? `${name}=${one(limit ?? barrier)}`
        : `${name}=${one(barrier)}:${one(limit)}`
    })
    .join('\n')
}

/** Those that are named anew, and an empty one for each that is named no more. */
export function limitsChange(before: ContainerLimits, text: string): Result<ContainerLimits> {
  const next: Record<string, ContainerLimits[keyof ContainerLimits]> = {}
  for (const line of text.split('\n').map((one) => one.trim())) {
    if (line === '') continue
    const parsed = parseLimit(line)
    if (!parsed.ok) return parsed
    const { resource, ...bounds } = parsed.value
    next[resource] = bounds
  }
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
  const lifted = Object.keys(before).filter((name) => !Object.hasOwn(next, name))
  const known = reread(before)
  return ok({
    ...Object.fromEntries(Object.entries(next).filter(([name, bounds]) => !same(bounds, known[name]))),
    ...Object.fromEntries(lifted.map((name) => [name, {}])),
  })
}

/** As they read when they are written and read again: a barrier alone may stand for both bounds. */
function reread(limits: ContainerLimits): Record<string, unknown> {
  const read: Record<string, unknown> = {}
  for (const line of limitsText(limits).split('\n').filter(Boolean)) {
    const parsed = parseLimit(line)
    if (!parsed.ok) continue
    const { resource, ...bounds } = parsed.value
    read[resource] = bounds
  }
  return read
}
