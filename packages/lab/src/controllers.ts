/**
 * The cgroup v1 hierarchies of this machine, where it still has them: containers of a lab host are limited there, so each host has a
 * folder of its own in each, mounted in the host as if it were the whole. A machine on cgroup2 alone has none.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import { cgroupFolder, subgroups } from './control-group.ts'

export interface Controller {
  /** As mount(8) takes them: `memory`, `cpu,cpuacct`, `none,name=systemd`. */
  readonly options: string
  readonly folder: string
}

/** The folder in each hierarchy of a lab or of a member; made or not. */
export function controllers(lab: string, member?: string): readonly Controller[] {
  return hierarchies().map(({ options, place }) => ({ options, folder: cgroupFolder(place, lab, member) }))
}

export function freezerOf(groups: readonly Controller[]): string | undefined {
  return groups.find(({ options }) => options.split(',').includes('freezer'))?.folder
}

export function createControllers(lab: string, member: string): Result<readonly Controller[]> {
  try {
    for (const { options, place } of hierarchies()) {
      for (const folder of [cgroupFolder(place, lab), cgroupFolder(place, lab, member)]) {
        mkdirSync(folder, { recursive: true })
        if (options.split(',').includes('cpuset')) fillCpuset(folder)
      }
      if (options.split(',').includes('cpu')) allowRealTime(cgroupFolder(place, lab), member)
    }
    return ok(controllers(lab, member))
  } catch (cause) {
    return fail(
      failure('conflict', `cannot make the control groups of ${member}`, {
        hint: 'The lab must be run by root.',
        cause,
      }),
    )
  }
}

/** A new cpuset is empty, and no process may enter it. */
function fillCpuset(folder: string): void {
  for (const key of ['cpuset.cpus', 'cpuset.mems']) {
    if (readFileSync(join(folder, key), 'utf8').trim() !== '') continue
    writeFileSync(join(folder, key), readFileSync(join(folder, '..', key), 'utf8'))
  }
}

const REAL_TIME_PERIOD_US = 100_000
/** Of each period, for a host's guardian. It needs a tenth of that. */
const REAL_TIME_US = 10_000

/**
 * Where control groups have real time by quota, a new one has none. A short period: who has used up his share waits for
 * the next one. Many labs may ask for more than there is; their guardians go without.
 */
function allowRealTime(lab: string, member: string): void {
  const share = (folder: string, runtimeUs: number) => {
    writeFileSync(join(folder, 'cpu.rt_period_us'), String(REAL_TIME_PERIOD_US))
    writeFileSync(join(folder, 'cpu.rt_runtime_us'), String(runtimeUs))
  }
  try {
    share(lab, REAL_TIME_US * subgroups(lab).length)
    share(join(lab, member), REAL_TIME_US)
  } catch {
    // No such quota, or nothing left of it.
  }
}

function hierarchies(): readonly { readonly options: string; readonly place: string }[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [before, after] = line.split(' - ')
      const [kind, , options = ''] = after?.split(' ') ?? []
      const place = before?.split(' ')[4]
      if (kind !== 'cgroup' || place === undefined) return []
      const named = options.split(',').find((option) => option.startsWith('name='))
      const wanted = options.split(',').filter((option) => /^[a-z_]+$/.test(option) && !NO_CONTROLLERS.has(option))
      return [{ options: named === undefined ? wanted.join(',') : `none,${named}`, place }]
    })
}

const NO_CONTROLLERS = new Set(['rw', 'ro', 'xattr', 'clone_children', 'noprefix'])
