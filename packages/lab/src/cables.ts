/**
 * Cables and switches: one end of a host's cable pulled at the switch, or two hosts that no longer hear each other
 * though both hear everyone else.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { NETWORK_ROLES } from '@stead/core/model/host.ts'
import type { NetworkRole } from '@stead/core/model/host.ts'
import { ok } from '@stead/core/result.ts'
import type { Result } from '@stead/core/result.ts'
import { isGone } from './control-group.ts'
import { runCommand } from './run-command.ts'
import { namespaceFile, namespaceName, switchName, switchPort } from './topology.ts'
import type { LabPlaces } from './topology.ts'
import { writeWhole } from './write-whole.ts'

/** A cut cable stays cut while its host is off, when no port exists that could remember it. */
type CutCables = Record<string, readonly NetworkRole[]>

const TABLE = 'bridge stead_cuts'

export async function cutCable(places: LabPlaces, host: string, roles: readonly NetworkRole[]): Promise<Result<void>> {
  const cut = cutCables(places)
  writeCuts(places, {
    ...cut,
    [host]: NETWORK_ROLES.filter((role) => roles.includes(role) || cut[host]?.includes(role)),
  })
  return setPorts(places.lab, host, roles, 'down')
}

/** Plugs the host's cables in again, and lets it hear the hosts it was cut from. */
export async function mendCables(
  places: LabPlaces,
  host: string,
  roles: readonly NetworkRole[],
): Promise<Result<void>> {
  const cut = cutCables(places)
  writeCuts(places, { ...cut, [host]: (cut[host] ?? []).filter((role) => !roles.includes(role)) })
  for (const role of roles) {
    const pairs = (await cutPairsOn(places.lab, role)).filter((pair) => pair.includes(host))
    if (pairs.length === 0) continue
    const removed = await nft(places.lab, role, `delete element ${TABLE} pairs { ${elements(pairs)} }`)
    if (!removed.ok) return removed
  }
  return setPorts(places.lab, host, roles, 'up')
}

/** After a power-on: the cables that were cut before are still cut. */
export async function applyCuts(places: LabPlaces, host: string): Promise<Result<void>> {
  return setPorts(places.lab, host, cutCables(places)[host] ?? [], 'down')
}

/** All links of a host, at once and without noting it: the first step of pulling the plug. */
export async function dropLinks(lab: string, host: string): Promise<Result<void>> {
  return setPorts(lab, host, NETWORK_ROLES, 'down')
}

export async function cutBetween(places: LabPlaces, first: string, second: string): Promise<Result<void>> {
  const done = await Promise.all(
    NETWORK_ROLES.map((role) =>
      nft(
        places.lab,
        role,
        `table ${TABLE} {
           set pairs { type ifname . ifname; }
           chain forward { type filter hook forward priority 0; policy accept; }
         }
         flush chain ${TABLE} forward
         add rule ${TABLE} forward iifname . oifname @pairs drop
         add element ${TABLE} pairs { ${elements([[first, second]])} }`,
      ),
    ),
  )
  return done.find((result) => !result.ok) ?? ok()
}

export function cutCables(places: LabPlaces): CutCables {
  try {
    return JSON.parse(readFileSync(cutsFile(places), 'utf8')) as CutCables
  } catch (cause) {
    if (isGone(cause)) return {}
    throw cause
  }
}

/** Pairs of hosts that do not hear each other, on any network. */
export async function cutPairs(lab: string): Promise<readonly (readonly [string, string])[]> {
  const all = await Promise.all(NETWORK_ROLES.map((role) => cutPairsOn(lab, role)))
  return [...new Map(all.flat().map((pair) => [pair.join(' '), pair])).values()]
}

async function cutPairsOn(lab: string, role: NetworkRole): Promise<readonly (readonly [string, string])[]> {
  const listed = await runCommand('nsenter', [`--net=${namespaceFile(lab, switchName(role))}`, 'nft', 'list', 'tables'])
  if (!listed.ok || !listed.value.includes(TABLE)) return []
  const shown = await runCommand('nsenter', [
    `--net=${namespaceFile(lab, switchName(role))}`,
    ...['nft', 'list', 'set', ...TABLE.split(' '), 'pairs'],
  ])
  if (!shown.ok) return []
  const ports = [...shown.value.matchAll(/"p-([a-z0-9]+)" \. "p-([a-z0-9]+)"/g)]
  const pairs = ports.map(([, from = '', to = '']) => [from, to].toSorted() as [string, string])
  return [...new Map(pairs.map((pair) => [pair.join(' '), pair])).values()]
}

function elements(pairs: readonly (readonly [string, string])[]): string {
  const both = pairs.flatMap(([first, second]) => [
    [first, second],
    [second, first],
  ])
  return both.map(([from = '', to = '']) => `"${switchPort(from)}" . "${switchPort(to)}"`).join(', ')
}

async function nft(lab: string, role: NetworkRole, script: string): Promise<Result<void>> {
  const file = namespaceFile(lab, switchName(role))
  const done = await runCommand('nsenter', [`--net=${file}`, 'nft', '-f', '-'], { input: `${script}\n` })
  return done.ok ? ok() : done
}

async function setPorts(
  lab: string,
  host: string,
  roles: readonly NetworkRole[],
  to: 'up' | 'down',
): Promise<Result<void>> {
  const done = await Promise.all(
    roles.map(async (role) => {
      const result = await runCommand('ip', [
        '-n',
        namespaceName(lab, switchName(role)),
        'link',
        'set',
        switchPort(host),
        to,
      ])
      // A host that is off has no port; the note in the file is applied when it is powered on.
      return result.ok || result.error.message.includes('Cannot find device') ? ok() : result
    }),
  )
  return done.find((result) => !result.ok) ?? ok()
}

const cutsFile = (places: LabPlaces): string => join(places.folder, 'cables.json')

function writeCuts(places: LabPlaces, cuts: CutCables): void {
  writeWhole(cutsFile(places), JSON.stringify(cuts))
}
