/**
 * A host that is of no cluster, in memory: it answers the requests of `stead setup` by the contract, judges what it is
 * given, and goes through its steps in time. The wizard is developed and tested against it.
 */
import type { SetupAnswers, SetupCheck, SetupPlan, SetupView, SetupWorkView } from '@stead/api/endpoints/set-up.ts'
import { SETUP_ENDPOINTS } from '@stead/api/endpoints/set-up.ts'
import { failure } from '@stead/core/errors.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok } from '@stead/core/result.ts'
import { startApiServer, type SetupBackend } from '../http/api-server.ts'
import type { WebFiles } from '../http/web-files.ts'
import { checkOf, refusalOf } from './check.ts'

const GIB = 2 ** 30
const STEP_MS = 300

const port = (name: string, address: string, speedMbits: number | null, up = true): SetupView['ports'][number] => ({
  ...{ name, kind: 'ethernet', up, speedMbits, mtu: 1500, mac: '02:00:00:00:00:01', members: [] },
  addresses: [`${address}/24`],
})

const FACTS: Omit<SetupView, 'work'> = {
  ...{ host: 'h1', cpuCount: 16, memoryBytes: 64 * GIB },
  ports: [
    port('eno1', '192.0.2.1', 1_000),
    port('ens1f0', '10.0.1.1', 25_000),
    port('ens1f1', '10.0.2.1', 100),
    port('eno2', '10.0.3.1', null, false),
  ],
  disks: [
    { name: 'nvme0n1', model: 'Example 960', sizeBytes: 960 * 1e9, rotational: false, usedBy: ['/', '/srv'] },
    { name: 'nvme1n1', model: 'Example 960', sizeBytes: 960 * 1e9, rotational: false, usedBy: [] },
  ],
  fileSystems: [
    { path: '/', device: '/dev/nvme0n1p2', type: 'ext4', sizeBytes: 40 * GIB, freeBytes: 31 * GIB },
    { path: '/srv', device: '/dev/nvme0n1p3', type: 'xfs', sizeBytes: 800 * GIB, freeBytes: 790 * GIB },
  ],
}

export interface SimulatedSetup {
  /** `http://127.0.0.1:PORT/setup` */
  readonly url: string
  /** What was really begun. */
  readonly begun: readonly SetupAnswers[]
}

export interface SimulatedSetupOptions {
  readonly code: string
  readonly web: WebFiles
  readonly log: Log
}

export async function startSimulatedSetup(
  context: { after(end: () => void | Promise<void>): void },
  { code, web, log }: SimulatedSetupOptions,
): Promise<SimulatedSetup> {
  const begun: SetupAnswers[] = []
  let work: SetupWorkView | null = null
  const timers = new Set<NodeJS.Timeout>()
  const backend: SetupBackend = {
    'setup.show': async () => ok({ ...FACTS, work }),
    'setup.check': async ({ body }) =>
      body.kind === 'join' && !body.token.startsWith('stead-join-')
        ? fail(failure('bad_request', 'This is no token', { hint: 'Make one by `stead host invite`' }))
        : ok(planOf(body)),
    'setup.apply': async ({ body }) => {
      if (work?.state === 'running' || work?.state === 'done')
        return fail(failure('conflict', `The set-up of this host is ${work.state} already`))
      const plan = planOf(body.answers)
      const refused = refusalOf(plan.checks, body.despite)
      if (!refused.ok) return refused
      begun.push(body.answers)
      work = stepped(plan, 0)
      for (const index of plan.steps.keys())
        timers.add(setTimeout(() => (work = afterStep(plan, index, body.answers)), STEP_MS * (index + 1)))
      return ok(work)
    },
  }
  const server = await startApiServer({
    ...{ listen: [{ host: '127.0.0.1', port: 0 }], host: FACTS.host, token: code },
    ...{ backend, endpoints: Object.values(SETUP_ENDPOINTS), log, web },
  })
  context.after(async () => {
    for (const timer of timers) clearTimeout(timer)
    await server.close()
  })
  const [address] = server.addresses
  if (!address || !('port' in address)) throw new Error('the server listens on no port')
  return { url: `http://127.0.0.1:${address.port}/setup`, begun }
}

function planOf(answers: SetupAnswers): SetupPlan {
  const isJoin = answers.kind === 'join'
  const cluster = isJoin ? 'demo' : answers.cluster
  return {
    ...{ kind: answers.kind, cluster, host: answers.host, role: 'compute' },
    checks: [...checksOf(answers)],
    steps: [
      isJoin ? `join the cluster ${cluster} (h0) as a host that runs guests` : `make the cluster ${cluster}`,
      ...answers.pools.map(({ name, path }) => `make the pool ${name} in ${path}`),
      'write /var/lib/stead/agent.json; the agent starts by it',
      ...(!isJoin && answers.administrator ? [`make ${answers.administrator} an administrator`] : []),
    ],
  }
}

function* checksOf(answers: SetupAnswers): Generator<SetupCheck> {
  yield checkOf('empty-host', 'empty host').ok('this host is of no cluster')
  yield checkOf('time-service', 'time service').warning('nothing keeps the clock right', 'Install chrony on every host')
  for (const [role, address] of Object.entries(answers.addresses)) {
    const found = FACTS.ports.find(({ addresses }) => addresses.includes(`${address}/24`))
    const link = checkOf(`${role}-link`, `${role} link`)
    if (!found)
      yield checkOf(`${role}-address`, `${role} address`).refused(
        `no port has the address ${address}`,
        'Set it up first',
      )
    else if (role !== 'lan' && (found.speedMbits ?? 0) < 1_000)
      yield link.failed(`${found.name} has ${found.speedMbits ?? 0} Mbit/s`, 'Look at cable and switch')
    else yield link.ok(`${found.name} is up, ${found.speedMbits} Mbit/s`)
    if (answers.kind === 'join')
      yield checkOf(`${role}-latency-h0`, `${role} to h0`).ok('0.21 ms, jitter 0.05 ms, of 10 packets none lost')
  }
  for (const { name } of answers.pools)
    yield answers.kind === 'join'
      ? checkOf(`pool-pairing-${name}`, `pool ${name}`).ok('pairs with h0')
      : checkOf(`pool-room-${name}`, `room in ${name}`).ok('enough is free')
}

function stepped({ steps }: SetupPlan, done: number): SetupWorkView {
  const stateOf = (index: number) => (index < done ? 'done' : index === done ? 'running' : 'waiting')
  return {
    ...{ state: 'running', error: null, outcome: null },
    steps: steps.map((text, index) => ({ text, state: stateOf(index) })),
  }
}

function afterStep(plan: SetupPlan, index: number, answers: SetupAnswers): SetupWorkView {
  const view = stepped(plan, index + 1)
  if (index + 1 < plan.steps.length) return view
  const init = answers.kind === 'init' ? answers : undefined
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
  return {
    ...view,
    state: 'done',
    outcome: {
      web: [`https://${answers.addresses.lan}:8443`],
      fingerprint: 'AB:'.repeat(31) + 'CD',
      administrator: init?.administrator ? { user: init.administrator, password: 'only-once-7Q' } : null,
      invitations: (init?.invite ?? []).map((role) => ({ role, token: `stead-join-${role}`, expiresAt })),
    },
  }
}
