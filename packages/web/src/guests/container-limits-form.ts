/** The limits of a container as a form holds them: a ready set, the two that most people know, and any other as text. */
import { parseLimit, simpleLimits, type ContainerLimits } from '@stead/core/model/container-limits.ts'
import { presetParts } from '@stead/core/model/container-presets.ts'
import { ok, type Result } from '@stead/core/result.ts'

export interface LimitsForm {
  /** '': none. */
  readonly preset: string
  readonly processes: number | ''
  readonly swapGib: number | ''
  /** As the command line takes them, one a line: `numfile=1024:2048`. */
  readonly others: string
}

export function emptyLimits(): LimitsForm {
  return { preset: '', processes: '', swapGib: '', others: '' }
}

export function limitsOf({ preset, processes, swapGib, others }: LimitsForm): Result<ContainerLimits> {
  let limits: ContainerLimits = {
    ...(preset === '' ? {} : presetParts(preset)?.limits),
    ...simpleLimits({
      ...(processes === '' ? {} : { processes }),
      ...(swapGib === '' ? {} : { swapBytes: Math.round(swapGib * 2 ** 30) }),
    }),
  }
  for (const line of others.split('\n').filter((text) => text.trim() !== '')) {
    const parsed = parseLimit(line.trim())
    if (!parsed.ok) return parsed
    const { resource, ...bounds } = parsed.value
    limits = { ...limits, [resource]: bounds }
  }
  return ok(limits)
}
