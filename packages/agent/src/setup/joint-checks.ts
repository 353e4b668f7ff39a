/** What can be said of a host that is to join, with the hosts of the cluster: nothing is changed by it. */
import { readFileSync } from 'node:fs'
import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import type { SetupAnswers, SetupCheck } from '@stead/api/endpoints/set-up.ts'
import { LEVEL_FLAGS } from '@stead/core/model/processor.ts'
import { NETWORK_ROLES, type NetworkRole } from '@stead/core/model/host.ts'
import { LATENCY_MS_MAX } from '@stead/core/model/network-limits.ts'
import { ping } from '../network/ping.ts'
import { runProgram } from '../process/run-program.ts'
import type { JoinFacts } from '../membership/join-protocol.ts'
import { checkOf, gib } from './check.ts'
import type { JoinClient } from './join-client.ts'
import { ownLevel } from './own-checks.ts'

const CLOCK_MS_MAX = 1_000
const JITTER_MS_MAX = 2
/** What is left of 1 Gbit/s by the heads of Ethernet, IP, TCP and TLS is 0.93. */
const RAN_BITS_WARN = 0.9e9
const RAN_BITS_FAIL = 0.3e9
const PING_MS = 10_000

type Own = Pick<SetupAnswers, 'addresses' | 'pools'>

export async function jointChecks(
  client: JoinClient,
  facts: JoinFacts,
  own: Own,
  asked: { readonly startedMs: number; readonly endedMs: number },
): Promise<readonly SetupCheck[]> {
  const checks: SetupCheck[] = [clockCheck(facts.wallMs, asked), await namesCheck(facts)]
  for (const role of NETWORK_ROLES) {
    const mine = own.addresses[role]
    if (mine === undefined) continue
    for (const { hostId, addresses } of facts.members) {
      const theirs = addresses[role]
      if (theirs !== undefined) checks.push(...(await networkChecks(role, hostId, mine, theirs)))
    }
  }
  if (facts.role === 'witness') return checks
  const first = facts.members.find(({ addresses }) => Object.values(addresses).includes(client.address))
  const ran = first?.addresses.ran
  if (ran !== undefined && own.addresses.ran !== undefined) checks.push(await bandwidthCheck(client, ran))
  return [...checks, ...pairingChecks(facts, own.pools), baselineCheck(facts)]
}

function clockCheck(
  theirMs: number,
  { startedMs, endedMs }: { readonly startedMs: number; readonly endedMs: number },
): SetupCheck {
  const check = checkOf('clock', 'clock')
  const difference = Math.round(theirMs - (startedMs + endedMs) / 2)
  const uncertain = Math.ceil((endedMs - startedMs) / 2)
  const text = `differs by ${difference} ms (to within ${uncertain} ms)`
  return Math.abs(difference) - uncertain > CLOCK_MS_MAX
    ? check.failed(text, 'Set the time first: install chrony here and there')
    : check.ok(text)
}

async function namesCheck({ members }: JoinFacts): Promise<SetupCheck> {
  const check = checkOf('names-of-others', 'names of the other hosts')
  const unknown: string[] = []
  for (const { hostId, addresses } of members) {
    const found = await lookup(hostId, { all: true, family: 4 }).catch(() => [])
    if (!found.some(({ address }) => Object.values(addresses).includes(address))) unknown.push(hostId)
  }
  return unknown.length === 0
    ? check.ok('each is found at an address that it has')
    : check.warning(
        `not found by name: ${unknown.join(', ')}`,
        'Put all hosts into /etc/hosts of each, or into the DNS',
      )
}

/** Latency, jitter and loss of ten packets, and whether the largest that the port can send arrive whole. */
async function networkChecks(role: NetworkRole, host: string, from: string, to: string): Promise<SetupCheck[]> {
  const check = checkOf(`${role}-latency-${host}`, `${role} to ${host}`)
  const pinged = await ping(from, to)
  const { lostShare, latencyMs = 0, jitterMs = 0 } = pinged.ok ? pinged.value : { lostShare: 1 }
  if (lostShare === 1)
    return [
      check.failed(
        `${to} does not answer${pinged.ok ? '' : `: ${pinged.error.message}`}`,
        `Does the ${role} connect the two hosts?`,
      ),
    ]
  const text = `latency ${latencyMs} ms, jitter ${jitterMs} ms, ${Math.round(lostShare * 100)} % lost`
  const isSlow = latencyMs > LATENCY_MS_MAX[role] || jitterMs > JITTER_MS_MAX || lostShare > 0
  return [
    isSlow ? check.warning(text, 'Each write to a mirrored disk waits that long and longer') : check.ok(text),
    await mtuCheck(role, host, from, to),
  ]
}

async function mtuCheck(role: NetworkRole, host: string, from: string, to: string): Promise<SetupCheck> {
  const check = checkOf(`${role}-mtu-${host}`, `${role} to ${host}, MTU`)
  const mtu = mtuOf(from)
  // 20 bytes of IP and 8 of ICMP go along.
  const args = ['-I', from, '-n', '-q', '-c', '2', '-i', '0.1', '-W', '2', '-M', 'do', '-s', String(mtu - 28), to]
  const whole = await runProgram('ping', args, PING_MS)
  return whole.ok
    ? check.ok(`packets of ${mtu} bytes arrive whole`)
    : check.failed(
        `packets of ${mtu} bytes, which this port sends, do not arrive`,
        'Give the ports of both hosts and the switch between them the same MTU',
      )
}

function mtuOf(address: string): number {
  const isOwn = (list: readonly { readonly address: string }[] | undefined) =>
    list?.some((each) => each.address === address) === true
  const port = Object.entries(networkInterfaces()).find(([, list]) => isOwn(list))?.[0]
  return port === undefined ? 1500 : Number(readFileSync(`/sys/class/net/${port}/mtu`, 'utf8'))
}

async function bandwidthCheck(client: JoinClient, address: string): Promise<SetupCheck> {
  const check = checkOf('ran-bandwidth', 'ran bandwidth')
  const measured = await client.bandwidth(address)
  if (!measured.ok) return check.failed(measured.error.message, 'Is TCP port 8446 open between the hosts on the RAN?')
  const text = `${(measured.value / 1e9).toFixed(2)} Gbit/s, encrypted`
  const hint = 'At least 1 Gbit/s is wanted between replicas: look at cables, ports and switch'
  if (measured.value < RAN_BITS_FAIL) return check.failed(text, hint)
  return measured.value < RAN_BITS_WARN ? check.warning(text, hint) : check.ok(text)
}

/** A mirrored volume fits only where both sides have room: pools of one name should be of one size. */
function pairingChecks(facts: JoinFacts, own: Own['pools']): SetupCheck[] {
  return own.map(({ name: pool, capacityBytes }) => {
    const check = checkOf(`pool-pairing-${pool}`, `pool ${pool}`)
    const others = facts.pools.filter((other) => other.name === pool)
    if (others.length === 0)
      return check.warning('no other host has a pool of this name', 'Replicas of one volume lie in pools of one name')
    const unlike = others.filter((other) => Math.abs(other.capacityBytes - capacityBytes) > capacityBytes / 10)
    if (unlike.length === 0) return check.ok(`pairs with ${others.map(({ host }) => host).join(', ')}`)
    const theirs = unlike.map((other) => `${other.host} has ${gib(other.capacityBytes)}`).join(', ')
    return check.warning(
      `has ${gib(capacityBytes)}, ${theirs}`,
      'What exceeds the smaller one cannot be mirrored between them',
    )
  })
}

function baselineCheck({ processors }: JoinFacts): SetupCheck {
  const check = checkOf('processor-baseline', 'processor baseline')
  const others = processors.map(({ level }) => level)
  const lowest = Math.min(...others)
  const level = ownLevel()
  if (others.length === 0 || level >= lowest) return check.ok(`x86-64-v${level} is what the others offer, or more`)
  const missing = LEVEL_FLAGS[lowest as 2 | 3 | 4].join(', ')
  return check.warning(
    `x86-64-v${level}: the others offer v${lowest} (${missing})`,
    'Guests that were started with more cannot come here live; new starts get what all hosts can',
  )
}
