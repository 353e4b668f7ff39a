/**
 * Keeps the table that holds guests to their own addresses as it should be: one transaction a change, the whole table
 * anew where something else has changed it. Rules and reasons: `bridge-filter.ts`.
 */
import type { NicIdentity, NicPace } from '@stead/core/ports/network-host.ts'
import { SerialQueue } from '@stead/core/host/serial-queue.ts'
import { ok, type Result } from '@stead/core/result.ts'
import {
  TABLE,
  changeText,
  elementsOf,
  readDropped,
  readListing,
  tableText,
  type Element,
  type ListedTable,
} from './bridge-filter.ts'

export interface IsolationHost {
  /** Runs `nft`. */
  nft(args: readonly string[], input?: string): Promise<Result<string>>
  /** The guests' ports that the host has now. */
  ports(): Promise<Result<readonly string[]>>
}

const NOTHING: readonly Element[] = []

export class GuestIsolation {
  readonly #host: IsolationHost
  readonly #queue = new SerialQueue()
  readonly #wanted = new Map<string, readonly Element[]>()
  /** What the kernel has; undefined before the table was first made. */
  #present: Map<string, readonly Element[]> | undefined
  readonly #changed = new Set<string>()
  /** The rules as the kernel lists them. */
  #rules: string | undefined

  constructor(host: IsolationHost) {
    this.#host = host
  }

  /** From now on the port sends as this card and as nobody else. */
  async set(port: string, identity: NicIdentity & NicPace): Promise<Result<void>> {
    const elements = elementsOf(port, identity)
    if (!elements.ok) return elements
    this.#wanted.set(port, elements.value)
    return this.#apply([port])
  }

  /** The ports are gone. */
  remove(ports: readonly string[]): Promise<Result<void>> {
    for (const port of ports) this.#wanted.delete(port)
    return this.#apply(ports)
  }

  /** The hardware address that the port may use, once it was told. */
  macOf(port: string): string | undefined {
    for (const one of this.#wanted.get(port) ?? NOTHING) {
      const [, mac] = /^sources \{ "[^"]*" \. (\S+) \}$/.exec(one) ?? []
      if (mac !== undefined) return mac
    }
    return undefined
  }

  portsOf(prefix: string): readonly string[] {
    return [...this.#wanted.keys()].filter((port) => port.startsWith(prefix))
  }

  /** How many packets of each port were above its limit, since the table or the limit was made. */
  async dropped(): Promise<Result<ReadonlyMap<string, number>>> {
    if (!this.#present) return ok(new Map())
    const listed = await this.#host.nft(['list', 'set', ...TABLE.split(' '), 'paced'])
    return listed.ok ? ok(readDropped(listed.value)) : listed
  }

  /** Compares the kernel's table with what it should be. True: it was not, and was made anew. */
  verify(): Promise<Result<boolean>> {
    return this.#queue.run(async () => {
      // An agent that has looked after no guest yet knows of no table that should be there.
      if (!this.#present) return ok(false)
      const listed = await this.#list()
      if (!listed.ok) return listed
      if (listed.value?.rules === this.#rules && listed.value && isSame(listed.value.elements, this.#present))
        return ok(false)
      const loaded = await this.#load()
      return loaded.ok ? ok(true) : loaded
    })
  }

  /** Changes that come while one is under way go together in the next. */
  #apply(ports: readonly string[]): Promise<Result<void>> {
    for (const port of ports) this.#changed.add(port)
    return this.#queue.run(() => this.#flush())
  }

  async #flush(): Promise<Result<void>> {
    const adopted = this.#present ? ok() : await this.#adopt()
    if (!adopted.ok) return adopted
    const gone: Element[] = []
    const come: Element[] = []
    // As they are now: what is wanted may change again while the kernel takes this.
    const taken = [...this.#changed].map((port) => ({ port, after: this.#wanted.get(port) }))
    this.#changed.clear()
    for (const { port, after = NOTHING } of taken) {
      const before = this.#present?.get(port) ?? NOTHING
      gone.push(...before.filter((one) => !after.includes(one)))
      come.push(...after.filter((one) => !before.includes(one)))
    }
    if (gone.length + come.length > 0) {
      const changed = await this.#host.nft(['-f', '-'], changeText(gone, come))
      // The likeliest reason is that somebody has flushed the rule set.
      if (!changed.ok) return this.#load()
    }
    for (const { port, after } of taken)
      if (after) this.#present?.set(port, after)
      else this.#present?.delete(port)
    return ok()
  }

  /**
   * The table of an earlier life of the agent, renewed in one transaction: its guests lose nothing, and the rules are
   * this version's. A guest's port about which nothing is known may send nothing until somebody says what it is.
   */
  async #adopt(): Promise<Result<void>> {
    const [listed, ports] = [await this.#list(), await this.#host.ports()]
    if (!listed.ok) return listed
    if (!ports.ok) return ports
    for (const port of ports.value) {
      if (this.#wanted.has(port) || this.#changed.has(port)) continue
      this.#wanted.set(port, listed.value?.elements.get(port) ?? [`ports { "${port}" }`])
    }
    return this.#load()
  }

  async #load(): Promise<Result<void>> {
    const wanted = new Map(this.#wanted)
    this.#changed.clear()
    // If this fails, the next change begins with what the kernel really has.
    this.#present = undefined
    const loaded = await this.#host.nft(['-f', '-'], tableText([...wanted.values()].flat()))
    if (!loaded.ok) return loaded
    const listed = await this.#list()
    if (!listed.ok) return listed
    this.#rules = listed.value?.rules
    this.#present = wanted
    return ok()
  }

  async #list(): Promise<Result<ListedTable | undefined>> {
    const listed = await this.#host.nft(['-j', 'list', 'table', ...TABLE.split(' ')])
    if (listed.ok) return ok(readListing(listed.value))
    return /No such file or directory/.test(listed.error.message) ? ok(undefined) : listed
  }
}

function isSame(a: ReadonlyMap<string, readonly Element[]>, b: ReadonlyMap<string, readonly Element[]>): boolean {
  if (a.size !== b.size) return false
  for (const [port, elements] of a) {
    const others = new Set(b.get(port))
    if (others.size !== elements.length || elements.some((one) => !others.has(one))) return false
  }
  return true
}
