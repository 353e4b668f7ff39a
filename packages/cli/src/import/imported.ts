/** What every import gives: a cluster file, and what of the source has no place in it. */
import { checkClusterFile } from '@stead/api/cluster-file.ts'
import { failure } from '@stead/core/errors.ts'
import type { ClusterFile } from '@stead/core/model/cluster-file.ts'
import type { GuestId, HostId } from '@stead/core/model/ids.ts'
import type { RuleId } from '@stead/core/model/rule.ts'
import { contradictionsIn } from '@stead/core/planning/contradictions.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

export interface LeftOut {
  /** `meta attribute failure-timeout`. */
  readonly what: string
  /** `line 12, web1`; of several alike the first, and how many more. */
  readonly where: string
  /** What becomes of it, or what is assumed instead. */
  readonly why: string
}

export interface Imported {
  readonly file: ClusterFile
  readonly leftOut: readonly LeftOut[]
}

/** One entry for all that is left out for the same reason: ten thousand monitors are one remark. */
export class LeftOutList {
  readonly #places = new Map<string, { what: string; why: string; first: string; count: number }>()

  add(what: string, where: string, why: string): void {
    const key = `${what}\n${why}`
    const known = this.#places.get(key)
    if (known === undefined) this.#places.set(key, { what, why, first: where, count: 1 })
    else known.count += 1
  }

  entries(): LeftOut[] {
    return [...this.#places.values()].map(({ what, why, first, count }) => ({
      what,
      where: count === 1 ? first : `${first} and ${count - 1} more`,
      why,
    }))
  }
}

/** More circles than this are no slip, and each must be looked for anew. */
const CIRCLES_MAX = 20

/**
 * The import as `parseClusterFile` takes it. Other products take rules that can't all be kept and decide by themselves
 * which one wins; here the later of them are left out, with the proof. Fails with `bad_request` when the source holds
 * more than a cluster file may, or sizes that can't be.
 */
export function finishImport(file: ClusterFile, leftOut: LeftOutList): Result<Imported> {
  const guests = file.guests.map((guest) => ({ id: guest.name as GuestId, name: guest.name }))
  const hosts = file.hosts.map((host) => ({ id: host.name as HostId, faultDomains: host.faultDomains ?? {} }))
  const places = new Map(file.rules.map(({ id }, index) => [id, index]))
  let { rules } = file
  for (let round = 0; ; round++) {
    const found = contradictionsIn(rules, guests, hosts)
    if (found.length === 0) break
    // Only circles are found one by one; all others are told at once, and dropping a rule makes no new ones.
    if (round > CIRCLES_MAX) return fail(failure('bad_request', `The rules contradict each other: ${found[0]?.proof}`))
    const dropped = new Set<RuleId>()
    for (const { rules: named, proof } of found) {
      // Already solved by dropping another one of them.
      if (named.some((id) => dropped.has(id))) continue
      const last = named.toSorted((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0)).at(-1)
      if (last === undefined) continue
      dropped.add(last)
      leftOut.add(`rule ${last}`, last, `it contradicts others: ${proof}`)
    }
    rules = rules.filter(({ id }) => !dropped.has(id))
  }
  const checked = checkClusterFile({ ...file, rules })
  return checked.ok ? ok({ file: checked.value, leftOut: leftOut.entries() }) : checked
}

/** Names of one kind in a cluster file: what has no place in a name becomes a dash, and no two are alike. */
export class NameBook {
  readonly #names = new Map<string, string>()
  readonly #taken = new Set<string>()

  /** Always the same for the same text. */
  of(text: string): string {
    const known = this.#names.get(text)
    if (known !== undefined) return known
    const name = this.unused(text)
    this.#names.set(text, name)
    return name
  }

  /** Another one with each call: `order`, `order-2`, `order-3`. */
  unused(text: string): string {
    const clean = text.replaceAll(/[^\p{L}\p{N}._:@-]/gu, '-').slice(0, 240)
    const wanted = /^[\p{L}\p{N}]/u.test(clean) ? clean : `x${clean}`
    let name = wanted
    for (let number = 2; this.#taken.has(name); number++) name = `${wanted}-${number}`
    this.#taken.add(name)
    return name
  }
}
