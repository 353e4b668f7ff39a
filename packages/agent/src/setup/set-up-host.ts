/**
 * Makes an empty host the first one of a cluster, or one more of a cluster that exists. First a plan with everything
 * that was looked at; then, one after the other, the steps. docs/internals/set-up.md.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import type { InitAnswers, JoinAnswers, SetupAnswers, SetupPlan } from '@stead/api/endpoints/set-up.ts'
import { failure } from '@stead/core/errors.ts'
import type { Bond } from '@stead/core/network/bond-plan.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { AgentConfig } from '../config.ts'
import { factsSchema, joinAnswerSchema, JOIN_PORT, type JoinAnswer } from '../membership/join-protocol.ts'
import { readToken } from '../membership/join-token.ts'
import { createSigningRequest } from '../trust/certificates.ts'
import { trustEachOther } from '../trust/host-trust.ts'
import { writeTrust } from '../trust/trust-files.ts'
import { bondSteps, type BondSteps } from './bond-steps.ts'
import { JoinClient } from './join-client.ts'
import { jointChecks } from './joint-checks.ts'
import { ownChecks } from './own-checks.ts'

/** Where this host keeps its state, and where the compiled helpers are. */
export interface Place {
  readonly stateDir: string
  readonly nativeDir: string
}

export interface SetupStep {
  readonly text: string
  readonly run: () => Promise<Result<void>>
}

/** A plan, and what carries it out. */
export interface Setup {
  readonly plan: SetupPlan
  readonly steps: readonly SetupStep[]
}

const PORTS = { agentPort: 8444, heartbeatPort: 8445, etcdClientPort: 2379, etcdPeerPort: 2380 }
const TCP_PORTS = [PORTS.agentPort, PORTS.etcdClientPort, PORTS.etcdPeerPort, JOIN_PORT]

/** Changes nothing. `later`: what is done once the agent is up. */
export async function prepareSetup(
  answers: SetupAnswers,
  place: Place,
  later: readonly SetupStep[] = [],
): Promise<Result<Setup>> {
  const prepared = await (answers.kind === 'init' ? prepareInit(answers, place) : prepareJoin(answers, place))
  if (!prepared.ok) return prepared
  const { plan } = prepared.value
  const steps = [...prepared.value.steps, ...later]
  return ok({ plan: { ...plan, steps: steps.map(({ text }) => text) }, steps })
}

interface Prepared {
  readonly plan: Omit<SetupPlan, 'steps'>
  readonly steps: readonly SetupStep[]
}

async function prepareInit(answers: InitAnswers, place: Place): Promise<Result<Prepared>> {
  const { host, cluster, addresses, detectionMs } = answers
  const checks = await ownChecks({ ...answers, role: 'compute', tcpPorts: TCP_PORTS, stateDir: place.stateDir })
  const member = { hostId: host, role: 'compute' as const, order: 1, addresses: withoutUndefined(addresses) }
  const bonds = bondSteps(answers.bonds, [])
  const config = (): AgentConfig => ({
    ...configOf(answers, place, bonds),
    ...{ role: 'compute', order: 1, clusterName: cluster, clusterKey: randomBytes(32).toString('hex') },
    ...PORTS,
    ...{ members: [member], etcdMembers: [host] },
    ...{ detectionMs, heartbeatIntervalMs: Math.round(detectionMs / 5), leaseTtlMs: detectionMs * 3 },
  })
  const makeTrust = async () => {
    const { hostId: id, role, addresses: named } = member
    await trustEachOther(cluster, [{ id, role, addresses: named, stateDir: place.stateDir }], Date.now())
    return ok()
  }
  return ok({
    plan: { kind: 'init', cluster, host, role: 'compute', checks: [...checks] },
    steps: [
      ...bonds.steps,
      {
        text: `make the cluster ${cluster}: its authority, and the certificate of ${host}, in ${join(place.stateDir, 'trust')}`,
        run: makeTrust,
      },
      ...poolSteps(answers.pools),
      configStep(place, config),
    ],
  })
}

async function prepareJoin(given: JoinAnswers, place: Place): Promise<Result<Prepared>> {
  const token = readToken(given.token)
  if (!token.ok) return token
  const client = await JoinClient.find(token.value)
  if (!client.ok) return client
  const startedMs = Date.now()
  const told = await client.value.ask('/facts', {})
  if (!told.ok) return told
  const endedMs = Date.now()
  const facts = factsSchema.parse(told.value)
  const { role } = facts
  const answers = role === 'witness' ? { ...given, pools: [] } : given
  const checks = [
    ...(await ownChecks({ ...answers, role, tcpPorts: TCP_PORTS, stateDir: place.stateDir })),
    ...(await jointChecks(client.value, facts, answers, { startedMs, endedMs })),
  ]
  let joined: JoinAnswer | undefined
  const bonds = bondSteps(answers.bonds, token.value.addresses)
  const others = facts.members.map(({ hostId }) => hostId).join(', ')
  return ok({
    plan: { kind: 'join', cluster: facts.clusterName, host: answers.host, role, checks },
    steps: [
      ...bonds.steps,
      {
        text: `join the cluster ${facts.clusterName} (${others}) as ${role === 'witness' ? 'its witness, which runs no guests' : 'a host that runs guests'}; the key of ${answers.host} stays in ${join(place.stateDir, 'trust')}`,
        run: async () => {
          const answered = await joinBy(client.value, answers, place)
          if (!answered.ok) return answered
          joined = answered.value
          return ok()
        },
      },
      ...poolSteps(answers.pools),
      configStep(place, () => joinedConfig(joined as JoinAnswer, answers, place, bonds)),
    ],
  })
}

async function joinBy(client: JoinClient, answers: JoinAnswers, { stateDir }: Place): Promise<Result<JoinAnswer>> {
  const { host: hostId, addresses } = answers
  const { keyPem, requestPem } = await createSigningRequest(hostId)
  const answered = await client.ask('/join', { hostId, addresses, requestPem })
  if (!answered.ok) return answered
  const joined = joinAnswerSchema.parse(answered.value)
  writeTrust(stateDir, {
    authoritiesPem: joined.authoritiesPem,
    own: { keyPem, certificatePem: joined.certificatePem },
    revokedPem: joined.revokedPem,
    ...(joined.authorityKeyPem === undefined ? {} : { authorityKeyPem: joined.authorityKeyPem }),
  })
  return ok(joined)
}

function joinedConfig(joined: JoinAnswer, answers: JoinAnswers, place: Place, bonds: BondSteps): AgentConfig {
  const { clusterName, clusterKey, clusterKeyGeneration, formerClusterKey } = joined
  const { members, etcdMembers, self } = joined
  return {
    ...configOf(answers, place, bonds),
    joined: true,
    ...{ role: self.role, order: self.order, clusterName, clusterKey, clusterKeyGeneration },
    ...(formerClusterKey === undefined ? {} : { formerClusterKey }),
    ...{ members, etcdMembers },
    ...joined.ports,
    ...joined.times,
  }
}

function configOf(answers: SetupAnswers, { stateDir, nativeDir }: Place, { made }: BondSteps) {
  const { host, addresses, pools, guestUser } = answers
  const capacity = {
    cpuCount: answers.cpuCount ?? cpus().length,
    memoryBytes: answers.memoryBytes ?? totalmem(),
  }
  return {
    ...{ hostId: host, addresses: withoutUndefined(addresses), pools, capacity, stateDir, nativeDir },
    ...(guestUser ? { guestUser } : {}),
    ...(made.length > 0 ? { bonds: made.map(keptBond) } : {}),
  }
}

/** As the file has it. */
function keptBond({ ports, addresses, routes, ...bond }: Bond): NonNullable<AgentConfig['bonds']>[number] {
  return { ...bond, ports: [...ports], addresses: [...addresses], routes: [...routes] }
}

function withoutUndefined(addresses: SetupAnswers['addresses']): AgentConfig['addresses'] {
  return Object.fromEntries(Object.entries(addresses).filter(([, address]) => address !== undefined))
}

function poolSteps(pools: SetupAnswers['pools']): SetupStep[] {
  return pools.map(({ name, path }) => ({
    text: `make the pool ${name} in ${path}`,
    run: async () => written(() => mkdirSync(path, { recursive: true, mode: 0o700 })),
  }))
}

/** From here on the agent takes this host for one of the cluster. */
function configStep({ stateDir }: Place, config: () => AgentConfig): SetupStep {
  const file = join(stateDir, 'agent.json')
  return {
    text: `write ${file}; the agent starts by it`,
    run: async () =>
      written(() => {
        writeFileSync(`${file}.new`, `${JSON.stringify(config(), null, 2)}\n`, { mode: 0o600 })
        renameSync(`${file}.new`, file)
      }),
  }
}

function written(write: () => void): Result<void> {
  try {
    write()
    return ok()
  } catch (cause) {
    return fail(failure('internal', `It cannot be written: ${(cause as Error).message}`, { cause }))
  }
}
