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

const TABLE = 'inet stead_storage'
/** A reload of the host's own rules flushes it. */
const LOOK_MS = 10_000
const NFT_TIMEOUT_MS = 5_000

interface StorageDoor {
  readonly firstPort: number
  readonly ports: number
  /** Of all hosts of the cluster, on all networks. */
  readonly addresses: readonly string[]
}

/** Of the first pool; those of further ones follow. */
export const NBD_PORT_FIRST = 10_809

/** Answers once it is shut, so that the daemons begin behind it; then looks after it until the signal is aborted. */
export async function keepStorageDoor(
  { pools, members }: Pick<AgentConfig, 'pools' | 'members'>,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  if (pools.length === 0) return
  const addresses = members.flatMap(({ addresses: { lan, san, ran } }) =>
    [lan, san, ran].filter((one) => one !== undefined),
  )
  const door = { firstPort: NBD_PORT_FIRST, ports: pools.length, addresses }
  let kept = await shutDoor(door)
  if (!kept.ok) log.error('anybody on the networks can connect to the storage daemons', { cause: kept.error })
  void (async () => {
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal)
      const now = await listed()
      if (signal.aborted || (kept.ok && now.ok && now.value === kept.value)) continue
      kept = await shutDoor(door)
      if (kept.ok) log.warn('the filter before the storage daemons had been changed, and was made anew')
      else log.error('anybody on the networks can connect to the storage daemons', { cause: kept.error })
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
function rulesOf({ firstPort, ports, addresses }: StorageDoor): string {
  const from = (family: 'ip' | 'ip6', some: readonly string[]) =>
    some.length === 0 ? [] : [`${family} saddr { ${[...new Set(some)].toSorted().join(', ')} } accept`]
  const rules = [
    `tcp dport != ${firstPort}-${firstPort + ports - 1} accept`,
    'meta l4proto != tcp accept',
    'iifname "lo" accept',
    ...from(
      'ip',
      addresses.filter((address) => isIPv4(address)),
    ),
    ...from(
      'ip6',
      addresses.filter((address) => !isIPv4(address)),
    ),
    'drop',
  ]
  return [
    `add table ${TABLE}`,
    `delete table ${TABLE}`,
    `table ${TABLE} {`,
    ...['chain input {', 'type filter hook input priority -10; policy accept;', ...rules, '}', '}'],
  ].join('\n')
}
