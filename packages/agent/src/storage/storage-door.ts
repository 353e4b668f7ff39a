/**
 * Who may connect to this host's storage daemons: its own programs, and the other hosts. The daemons ask nobody who he is
 * and list what they serve, and they listen on every network, also on the one on which guests are. docs/internals/trust.md.
 */
import { isIPv4 } from 'node:net'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import { runProgram } from '../process/run-program.ts'
import type { StorageDoorway } from './storage-gate.ts'

const TABLE = 'inet stead_storage'
/** A reload of the host's own rules flushes it. */
const LOOK_MS = 10_000
/** Of the first pool's storage daemon; those of further ones follow. */
export const NBD_PORT_FIRST = 10_809
/** Of the first pool's gate. */
export const GATE_PORT_FIRST = 11_809
const NFT_TIMEOUT_MS = 5_000

interface StorageDoor {
  readonly pools: number
  /** Of all hosts of the cluster, on all networks: they may come to the gate. */
  readonly members: readonly string[]
  /** Of those that know of no gate yet: they may come to the daemons, in clear. */
  readonly inClear: readonly string[]
}

/** One for each pool. */
export function doorwaysTo(pools: readonly unknown[]): readonly StorageDoorway[] {
  return pools.map((_, index) => ({ daemonPort: NBD_PORT_FIRST + index, port: GATE_PORT_FIRST + index }))
}

/** Answers once it is shut, so that the daemons begin behind it; then looks after it until the signal is aborted. */
export async function keepStorageDoor(
  { pools, members }: Pick<AgentConfig, 'pools' | 'members'>,
  /** Whether a host is of a version that opens its replicas in clear only. */
  isOfOld: (host: string) => boolean,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  if (pools.length === 0) return
  const addressesOf = (some: typeof members) =>
    some.flatMap(({ addresses: { lan, san, ran } }) => [lan, san, ran].filter((one) => one !== undefined))
  const doorNow = (): StorageDoor => ({
    pools: pools.length,
    members: addressesOf(members),
    inClear: addressesOf(members.filter(({ hostId }) => isOfOld(hostId))),
  })
  let door = doorNow()
  let kept = await shutDoor(door)
  if (!kept.ok) log.error('anybody on the networks can connect to the storage daemons', { cause: kept.error })
  void (async () => {
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal)
      const now = await listed()
      const before = JSON.stringify(door)
      door = doorNow()
      const isOther = JSON.stringify(door) !== before
      if (signal.aborted || (!isOther && kept.ok && now.ok && now.value === kept.value)) continue
      kept = await shutDoor(door)
      if (kept.ok && !isOther) log.warn('the filter before the storage daemons had been changed, and was made anew')
      if (!kept.ok) log.error('anybody on the networks can connect to the storage daemons', { cause: kept.error })
    }
  })()
}

/** In one transaction. The value is what the kernel has made of it. */
export async function shutDoor(door: StorageDoor): Promise<Result<string>> {
  const made = await runProgram('nft', [rulesOf(door)], NFT_TIMEOUT_MS)
  return made.ok ? listed() : made
}

async function listed(): Promise<Result<string>> {
  // Without a table it fails, and the text is another one.
  const found = await runProgram('nft', ['list', 'table', ...TABLE.split(' ')], NFT_TIMEOUT_MS, { accepted: [0, 1] })
  return found.ok ? ok(found.value.output) : found
}

/**
 * Dropped, and not refused: whoever has another host's address for a moment learns nothing of the ports. Addresses of
 * hosts cannot be borrowed for a connection, since its answers go to the host that has them.
 */
function rulesOf({ pools, members, inClear }: StorageDoor): string {
  const [clear, gate] = [NBD_PORT_FIRST, GATE_PORT_FIRST].map((first) => `${first}-${first + pools - 1}`)
  const rules = [
    'meta l4proto != tcp accept',
    `tcp dport != { ${clear}, ${gate} } accept`,
    'iifname "lo" accept',
    ...accepting(`tcp dport ${gate}`, members),
    ...accepting(`tcp dport ${clear}`, inClear),
    // What an earlier version's guest has open goes on until it is opened anew.
    ...accepting(`tcp dport ${clear} tcp flags & (syn | ack) != syn`, members),
    'drop',
  ]
  return [
    `add table ${TABLE}`,
    `delete table ${TABLE}`,
    `table ${TABLE} {`,
    ...['chain input {', 'type filter hook input priority -10; policy accept;', ...rules, '}', '}'],
  ].join('\n')
}

function accepting(what: string, addresses: readonly string[]): string[] {
  const all = [...new Set(addresses)].toSorted()
  return (['ip', 'ip6'] as const).flatMap((family) => {
    const some = all.filter((address) => isIPv4(address) === (family === 'ip'))
    return some.length === 0 ? [] : [`${what} ${family} saddr { ${some.join(', ')} } accept`]
  })
}
