/**
 * Makes an empty host the first one of a cluster, or one more of a cluster that exists. First a plan with everything
 * that was looked at; nothing is changed when anything of it failed, or when only the plan was asked for.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import { factsSchema, joinAnswerSchema, JOIN_PORT, type JoinAnswer } from '../membership/join-protocol.ts'
import { readToken } from '../membership/join-token.ts'
import { createSigningRequest } from '../trust/certificates.ts'
import { trustEachOther } from '../trust/host-trust.ts'
import { writeTrust } from '../trust/trust-files.ts'
import { JoinClient } from './join-client.ts'
import { jointChecks, ownChecks, type Addresses, type Check } from './setup-checks.ts'

/** What a person, or a wizard, is asked about the host itself. */
export interface HostAnswers {
  readonly hostId: string
  readonly addresses: Addresses
  readonly pools: AgentConfig['pools']
  readonly capacity: AgentConfig['capacity']
  readonly stateDir: string
  readonly nativeDir: string
  readonly guestUser?: { readonly uid: number; readonly gid: number }
}

export interface InitAnswers extends HostAnswers {
  readonly clusterName: string
  readonly detectionMs: number
}

export interface SetupPlan {
  readonly kind: 'init' | 'join'
  readonly cluster: string
  readonly host: string
  readonly role: AgentConfig['role']
  readonly checks: readonly Check[]
  /** What will be done, in words. */
  readonly steps: readonly string[]
}

/** A plan, and what carries it out. */
export interface Setup {
  readonly plan: SetupPlan
  readonly carryOut: () => Promise<Result<void>>
}

const PORTS = { agentPort: 8444, heartbeatPort: 8445, etcdClientPort: 2379, etcdPeerPort: 2380 }
const TCP_PORTS = [PORTS.agentPort, PORTS.etcdClientPort, PORTS.etcdPeerPort, JOIN_PORT]

export function refusalOf({ checks }: SetupPlan): Result<void> {
  const failed = checks.filter(({ state }) => state === 'failed')
  if (failed.length === 0) return ok()
  const texts = failed.map(({ name, text }) => `${name}: ${text}`)
  return fail(
    failure('conflict', `Nothing was changed, since ${texts.join('; ')}`, { hint: 'Mend it, then try again' }),
  )
}

export async function setUpFirst(answers: InitAnswers): Promise<Result<Setup>> {
  const { hostId, clusterName, addresses, stateDir, detectionMs } = answers
  const plan: SetupPlan = {
    ...{ kind: 'init', cluster: clusterName, host: hostId, role: 'compute' },
    checks: await ownChecks({ ...answers, ports: TCP_PORTS }),
    steps: [
      `make the cluster ${clusterName} with ${hostId} as its first host`,
      `make its authority and the certificate of ${hostId} in ${join(stateDir, 'trust')}`,
      ...answers.pools.map(({ name, path }) => `make the pool ${name} in ${path}`),
      `write ${join(stateDir, 'agent.json')}; the agent starts by it`,
    ],
  }
  const secret = () => randomBytes(32).toString('hex')
  const member = { hostId, role: 'compute' as const, order: 1, addresses }
  const carryOut = async () => {
    await trustEachOther(clusterName, [{ id: hostId, role: 'compute', addresses, stateDir }], Date.now())
    return writeConfig({
      ...configOf(answers),
      ...{ role: 'compute', order: 1, clusterName, clusterKey: secret(), apiToken: secret() },
      ...PORTS,
      ...{ members: [member], etcdMembers: [hostId] },
      ...{ detectionMs, heartbeatIntervalMs: Math.round(detectionMs / 5), leaseTtlMs: detectionMs * 3 },
    })
  }
  return ok({ plan, carryOut })
}

export async function setUpMember(answers: HostAnswers, tokenText: string): Promise<Result<Setup>> {
  const token = readToken(tokenText)
  if (!token.ok) return token
  const client = await JoinClient.find(token.value)
  if (!client.ok) return client
  const startedMs = Date.now()
  const told = await client.value.ask('/facts', {})
  if (!told.ok) return told
  const facts = factsSchema.parse(told.value)
  const isWitness = facts.role === 'witness'
  const pools = isWitness ? [] : answers.pools
  const own = { ...answers, pools }
  const plan: SetupPlan = {
    ...{ kind: 'join', cluster: facts.clusterName, host: answers.hostId, role: facts.role },
    checks: [
      ...(await ownChecks({ ...own, ports: TCP_PORTS })),
      ...(await jointChecks(client.value, facts, own, { startedMs, endedMs: Date.now() })),
    ],
    steps: [
      `join the cluster ${facts.clusterName} (${facts.members.map(({ hostId }) => hostId).join(', ')}) as ${isWitness ? 'its witness, which runs no guests' : 'a host that runs guests'}`,
      `keep the key and certificate of ${answers.hostId} in ${join(answers.stateDir, 'trust')}`,
      ...pools.map(({ name, path }) => `make the pool ${name} in ${path}`),
      `write ${join(answers.stateDir, 'agent.json')}; the agent starts by it`,
    ],
  }
  return ok({ plan, carryOut: () => joinBy(client.value, own) })
}

async function joinBy(client: JoinClient, answers: HostAnswers): Promise<Result<void>> {
  const { hostId, addresses, stateDir } = answers
  const { keyPem, requestPem } = await createSigningRequest(hostId)
  const answered = await client.ask('/join', { hostId, addresses, requestPem })
  if (!answered.ok) return answered
  const joined: JoinAnswer = joinAnswerSchema.parse(answered.value)
  writeTrust(stateDir, {
    authoritiesPem: joined.authoritiesPem,
    own: { keyPem, certificatePem: joined.certificatePem },
    revokedPem: joined.revokedPem,
    ...(joined.authorityKeyPem === undefined ? {} : { authorityKeyPem: joined.authorityKeyPem }),
  })
  const { clusterName, clusterKey, apiToken, members, etcdMembers, self } = joined
  return writeConfig({
    ...configOf(answers),
    joined: true,
    ...{ role: self.role, order: self.order, clusterName, clusterKey, apiToken, members, etcdMembers },
    ...joined.ports,
    ...joined.times,
  })
}

function configOf({ hostId, addresses, pools, capacity, stateDir, nativeDir, guestUser }: HostAnswers) {
  return { hostId, addresses, pools, capacity, stateDir, nativeDir, ...(guestUser ? { guestUser } : {}) }
}

/** Last of all: from here on the agent takes this host for one of the cluster. */
function writeConfig(config: AgentConfig): Result<void> {
  const file = join(config.stateDir, 'agent.json')
  try {
    for (const { path } of config.pools) mkdirSync(path, { recursive: true, mode: 0o700 })
    writeFileSync(`${file}.new`, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
    renameSync(`${file}.new`, file)
    return ok()
  } catch (cause) {
    return fail(failure('internal', `The configuration cannot be written: ${(cause as Error).message}`, { cause }))
  }
}
