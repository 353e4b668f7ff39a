/** What is looked at before a host is set up: nothing is changed by it. */
import { existsSync, readFileSync, statfsSync } from 'node:fs'
import { lookup } from 'node:dns/promises'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { dirname } from 'node:path'
import { LEVEL_FLAGS, levelOf } from '@stead/core/model/processor.ts'
import { NETWORK_ROLES, type NetworkRole } from '@stead/core/model/host.ts'
import { runProgram } from '../process/run-program.ts'
import type { JoinFacts } from '../membership/join-protocol.ts'
import type { JoinClient } from './join-client.ts'

/** `failed` refuses the set-up, `warning` does not. */
export interface Check {
  readonly name: string
  readonly state: 'ok' | 'warning' | 'failed'
  readonly text: string
}

export type Addresses = Readonly<Partial<Record<NetworkRole, string>>>

const CLOCK_MS_MAX = 1_000
const LATENCY_MS_MAX = 5
const JITTER_MS_MAX = 2
const RAN_BITS_MIN = 1e9
const PING_MS = 10_000
const GIB = 1024 ** 3

/** What can be said without another host. */
export async function ownChecks(own: {
  readonly hostId: string
  readonly addresses: Addresses
  readonly ports: readonly number[]
  readonly pools: readonly { readonly path: string; readonly capacityBytes: number }[]
  readonly stateDir: string
}): Promise<readonly Check[]> {
  return [
    notSetUp(own.stateDir),
    ...addressChecks(own.addresses),
    ...(await Promise.all(own.ports.map((port) => portCheck(port)))),
    await nameCheck(own.hostId),
    ...own.pools.map(roomCheck),
    processorCheck(),
  ]
}

/** What can be said with a host of the cluster that is to be joined. */
export async function jointChecks(
  client: JoinClient,
  facts: JoinFacts,
  own: {
    readonly addresses: Addresses
    readonly pools: readonly { readonly name: string; readonly capacityBytes: number }[]
  },
  asked: { readonly startedMs: number; readonly endedMs: number },
): Promise<readonly Check[]> {
  const checks: Check[] = [clockCheck(facts.wallMs, asked)]
  for (const role of NETWORK_ROLES) {
    const mine = own.addresses[role]
    for (const { hostId, addresses } of facts.members) {
      const theirs = addresses[role]
      if (mine === undefined || theirs === undefined) continue
      checks.push(...(await networkChecks(role, hostId, mine, theirs)))
    }
  }
  const first = facts.members.find(({ addresses }) => Object.values(addresses).includes(client.address))
  const ran = facts.role === 'compute' ? first?.addresses.ran : undefined
  if (ran !== undefined && own.addresses.ran !== undefined) checks.push(await bandwidthCheck(client, ran))
  if (facts.role === 'compute') checks.push(...pairingChecks(facts, own.pools), baselineCheck(facts))
  return checks
}

function notSetUp(stateDir: string): Check {
  const name = 'empty host'
  return existsSync(`${stateDir}/agent.json`)
    ? { name, state: 'failed', text: `this host is set up already: there is ${stateDir}/agent.json` }
    : { name, state: 'ok', text: 'this host is of no cluster' }
}

function addressChecks(addresses: Addresses): Check[] {
  const here = new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address)))
  return Object.entries(addresses).map(([role, address]) => {
    const name = `${role} address`
    return here.has(address)
      ? { name, state: 'ok', text: `${address} is of this host` }
      : { name, state: 'failed', text: `no port or bond of this host has the address ${address}` }
  })
}

function portCheck(port: number): Promise<Check> {
  const name = `port ${port}`
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve({ name, state: 'failed', text: `cannot be used: ${error.message}` }))
    server.listen(port, '0.0.0.0', () => server.close(() => resolve({ name, state: 'ok', text: 'is free' })))
  })
}

async function nameCheck(hostId: string): Promise<Check> {
  const name = 'name resolution'
  try {
    const { address } = await lookup(hostId)
    return { name, state: 'ok', text: `${hostId} is ${address}` }
  } catch (error) {
    const text = `${hostId} is not found by name (${(error as Error).message}): hosts call each other by address, people will not`
    return { name, state: 'warning', text }
  }
}

function roomCheck({ path, capacityBytes }: { readonly path: string; readonly capacityBytes: number }): Check {
  const name = `room in ${path}`
  let folder = path
  while (!existsSync(folder)) folder = dirname(folder)
  const { bavail, bsize } = statfsSync(folder)
  const text = `${gib(bavail * bsize)} free, ${gib(capacityBytes)} promised`
  return { name, state: bavail * bsize < capacityBytes ? 'warning' : 'ok', text }
}

function ownLevel(): number {
  const flags = /^flags\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? ''
  return levelOf(new Set(flags.split(' ')))
}

function processorCheck(): Check {
  const name = 'processor'
  const level = ownLevel()
  const hasKvm = existsSync('/dev/kvm')
  const text = `x86-64-v${level}, ${hasKvm ? 'with /dev/kvm' : 'without /dev/kvm: guests would be emulated, and slow'}`
  return { name, state: hasKvm ? 'ok' : 'warning', text }
}

function baselineCheck({ processors }: JoinFacts): Check {
  const name = 'processor baseline'
  const others = processors.map(({ level }) => level)
  const lowest = Math.min(...others)
  const level = ownLevel()
  if (others.length === 0 || level >= lowest)
    return { name, state: 'ok', text: `x86-64-v${level} is what the others offer, or more` }
  const missing = LEVEL_FLAGS[lowest as 2 | 3 | 4].join(', ')
  const text = `x86-64-v${level}: the others offer v${lowest} (${missing}); guests that use it do not move here live`
  return { name, state: 'warning', text }
}

function clockCheck(
  theirMs: number,
  { startedMs, endedMs }: { readonly startedMs: number; readonly endedMs: number },
): Check {
  const name = 'clock'
  const difference = Math.round(theirMs - (startedMs + endedMs) / 2)
  const uncertain = Math.ceil((endedMs - startedMs) / 2)
  const text = `differs by ${difference} ms (to within ${uncertain} ms)`
  return Math.abs(difference) - uncertain > CLOCK_MS_MAX
    ? { name, state: 'failed', text: `${text}: set the time first (chrony)` }
    : { name, state: 'ok', text }
}

/** Latency and jitter of ten packets, and whether the largest that the port can send arrive whole. */
async function networkChecks(role: NetworkRole, host: string, from: string, to: string): Promise<Check[]> {
  const name = `${role} to ${host}`
  const pinged = await runProgram('ping', ['-I', from, '-n', '-q', '-c', '10', '-i', '0.05', '-W', '2', to], PING_MS)
  if (!pinged.ok) return [{ name, state: 'failed', text: `${to} does not answer: ${pinged.error.message}` }]
  const numbers = /= ([\d.]+)\/([\d.]+)\/([\d.]+)\/([\d.]+) ms/.exec(pinged.value.output)
  const [latency, jitter] = [Number(numbers?.[2] ?? 0), Number(numbers?.[4] ?? 0)]
  const isSlow = latency > LATENCY_MS_MAX || jitter > JITTER_MS_MAX
  const text = `latency ${latency} ms, jitter ${jitter} ms`
  const checks: Check[] = [
    { name, state: isSlow ? 'warning' : 'ok', text: isSlow ? `${text}: mirrored writes wait for it` : text },
  ]
  const mtu = mtuOf(from)
  // 20 bytes of IP and 8 of ICMP go along.
  const whole = await runProgram(
    'ping',
    ['-I', from, '-n', '-q', '-c', '2', '-i', '0.1', '-W', '2', '-M', 'do', '-s', String(mtu - 28), to],
    PING_MS,
  )
  checks.push(
    whole.ok
      ? { name: `${name}, MTU`, state: 'ok', text: `packets of ${mtu} bytes arrive whole` }
      : {
          name: `${name}, MTU`,
          state: 'failed',
          text: `packets of ${mtu} bytes, which this port sends, do not arrive`,
        },
  )
  return checks
}

function mtuOf(address: string): number {
  const port = Object.entries(networkInterfaces()).find(([, list]) =>
    list?.some((each) => each.address === address),
  )?.[0]
  return port === undefined ? 1500 : Number(readFileSync(`/sys/class/net/${port}/mtu`, 'utf8'))
}

async function bandwidthCheck(client: JoinClient, address: string): Promise<Check> {
  const name = 'ran bandwidth'
  const measured = await client.bandwidth(address)
  if (!measured.ok) return { name, state: 'failed', text: measured.error.message }
  const text = `${(measured.value / 1e9).toFixed(2)} Gbit/s, encrypted`
  return measured.value < RAN_BITS_MIN
    ? { name, state: 'warning', text: `${text}: at least 1 Gbit/s is wanted between replicas` }
    : { name, state: 'ok', text }
}

/** A mirrored volume fits only where both sides have room: pools of one name should be of one size. */
function pairingChecks(
  facts: JoinFacts,
  own: readonly { readonly name: string; readonly capacityBytes: number }[],
): Check[] {
  return own.map(({ name: pool, capacityBytes }) => {
    const name = `pool ${pool}`
    const others = facts.pools.filter((other) => other.name === pool)
    if (others.length === 0) return { name, state: 'warning', text: 'no other host has a pool of this name' }
    const unlike = others.filter((other) => Math.abs(other.capacityBytes - capacityBytes) > capacityBytes / 10)
    return unlike.length === 0
      ? { name, state: 'ok', text: `pairs with ${others.map(({ host }) => host).join(', ')}` }
      : {
          ...{ name, state: 'warning' as const },
          text: `has ${gib(capacityBytes)}, ${unlike.map((other) => `${other.host} has ${gib(other.capacityBytes)}`).join(', ')}: what exceeds the smaller one cannot be mirrored between them`,
        }
  })
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`
}
