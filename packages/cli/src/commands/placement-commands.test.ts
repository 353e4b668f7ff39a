import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '@stead/core/errors.ts'
import { operation, refusal, terminalWith } from '../terminal-fixture.ts'

const SET = { rules: [{ name: 'r', text: 'as it is' }], warnings: ['b runs on h1'] }

for (const [argv, body] of [
  [['together', 'r', '--guests', 'a,b'], { kind: 'together', strict: true }],
  [['together', 'r', '--guests', 'a, b', '--preferred'], { kind: 'together', strict: false }],
  [['apart', 'r', '--guests', 'a,b', '--across', 'rack'], { kind: 'apart', across: 'rack', strict: true }],
  [
    ['hosts', 'r', '--guests', 'a,b', '--hosts', 'h1:2,h2', '--strict'],
    {
      kind: 'hosts',
      hosts: [
        { host: 'h1', priority: 2 },
        { host: 'h2', priority: 0 },
      ],
      strict: true,
    },
  ],
  [['ban', 'r', '--guests', 'a,b', '--hosts', 'h1,h2'], { kind: 'ban', hosts: ['h1', 'h2'] }],
  [
    ['order', 'r', '--guests', 'a,b', '--ready-after', '10s', '--optional'],
    { kind: 'order', readyAfterMs: 10_000, mode: 'optional', until: 'running' },
  ],
  [['group', 'r', '--guests', 'a,b', '--until', 'ready'], { kind: 'group', readyAfterMs: 0, until: 'ready' }],
] as const) {
  test(`rule create ${argv.join(' ')} sends what was said, and shows what was set with its warnings`, async (context) => {
    const { run } = await terminalWith(context, { 'POST /v1/rules': SET })
    const seen = await run('rule', 'create', ...argv)
    assert.deepEqual(JSON.parse(seen.sent[0]?.body ?? ''), {
      name: 'r',
      guests: ['a', 'b'],
      acceptBreach: false,
      ...body,
    })
    assert.equal(seen.stdout, 'rule r set: as it is\n')
    assert.equal(seen.stderr, 'warning: b runs on h1\n')
  })
}

test('rule set has the rule demand what was said, by its name in the address', async (context) => {
  const answer = { name: 'r', text: 'as it is', warnings: ['b runs on h1'] }
  const { run } = await terminalWith(context, { 'PUT /v1/rules/r': answer })
  const seen = await run('rule', 'set', 'ban', 'r', '--guests', 'a', '--hosts', 'h1')
  assert.deepEqual(JSON.parse(seen.sent[0]?.body ?? ''), {
    ...{ kind: 'ban', guests: ['a'], hosts: ['h1'], acceptBreach: false },
  })
  assert.equal(seen.stdout, 'rule r changed: as it is\n')
  assert.equal(seen.stderr, 'warning: b runs on h1\n')
  const { run: again } = await terminalWith(context, {})
  assert.equal((await again('rule', 'set', 'group', 'r', '--guests', 'a,b')).exitCode, 2)
})

for (const argv of [
  ['hosts', 'r', '--guests', 'a', '--hosts', 'h1:x'],
  ['hosts', 'r', '--guests', 'a', '--hosts', ':1'],
  ['order', 'r', '--guests', 'a,b', '--ready-after', 'soon'],
  ['apart', 'r'],
]) {
  test(`rule create ${argv.join(' ')} is refused before anything is sent`, async (context) => {
    const { run } = await terminalWith(context, {})
    const seen = await run('rule', 'create', ...argv)
    assert.equal(seen.exitCode, 2)
    assert.equal(seen.sent.length, 0)
  })
}

test('a refusal by the policy of admission has its own code and says how to go on', async (context) => {
  const breach = "The cluster's policy refuses this: if h2 died now, g7 (16 GiB) would have no place"
  const { run } = await terminalWith(context, { 'POST /v1/guests/g8/start': refusal(failure('admission', breach)) })
  const seen = await run('vm', 'start', 'g8')
  assert.equal(seen.exitCode, 6)
  assert.match(seen.stderr, /g7 \(16 GiB\) would have no place\nhint: .*--accept-breach/)
})

test('the policy is set by what is said, and by nothing else', async (context) => {
  const policy = {
    cpuOvercommit: 4,
    memoryReserveBytes: 0,
    admission: { hostFailures: 1, onBreach: 'refuse' },
    balancing: { mode: 'off', scoreMax: 0.3, scoreGoal: 0.15, holdMs: 600_000, movesPerHourMax: 6 },
    shutdown: 'freeze',
    armed: false,
    whatIfRequired: false,
    revision: '1',
    warnings: [],
  }
  const { run } = await terminalWith(context, { 'PATCH /v1/policy': policy })
  await run('policy', 'set', '--cpu-overcommit', '4', '--admission', 'refuse', '--what-if-required', 'false')
  await run('policy', 'set', '--balancing-hold', '5m', '--shutdown', 'freeze')
  const seen = await run('ha', 'disarm')
  assert.deepEqual(
    seen.sent.map(({ body }) => JSON.parse(body)),
    [
      { cpuOvercommit: 4, admission: { onBreach: 'refuse' }, whatIfRequired: false },
      { balancing: { holdMs: 300_000 }, shutdown: 'freeze' },
      { armed: false },
    ],
  )
  assert.match(seen.stdout, /^ha: +disarmed: nothing is recovered or moved by itself\n/)
  assert.equal((await run('policy', 'set')).exitCode, 2)
  assert.equal((await run('policy', 'set', '--balancing', 'sometimes')).exitCode, 2)
})

test('settings of a guest are sent as they were said', async (context) => {
  const { run } = await terminalWith(context, {})
  assert.equal((await run('vm', 'set', 'web')).exitCode, 2)
  const seen = await run(
    'vm',
    'set',
    'web',
    '--priority',
    '-5',
    '--max-restart',
    '0',
    '--no-failback',
    '--memory',
    '1GiB',
  )
  assert.deepEqual(JSON.parse(seen.sent[0]?.body ?? ''), {
    priority: -5,
    maxRestart: 0,
    failback: false,
    memoryBytes: 2 ** 30,
    acceptBreach: false,
  })
})

test('a host is shut down for a reboot or for good, or not after all', async (context) => {
  const answer = { operation: operation('succeeded'), warnings: [] }
  const { run } = await terminalWith(context, {
    'POST /v1/hosts/h1/shutdown': answer,
    'POST /v1/hosts/h1/cancel-shutdown': answer,
  })
  await run('host', 'shutdown', 'h1', '--reboot')
  await run('host', 'shutdown', 'h1')
  const seen = await run('host', 'shutdown', 'h1', '--cancel')
  assert.deepEqual(
    seen.sent.slice(0, 2).map(({ body }) => JSON.parse(body).how),
    ['reboot', 'power-off'],
  )
  assert.deepEqual(seen.stdout.split('\n').slice(0, 3), [
    'host h1 runs no guest; it may be rebooted',
    'host h1 runs no guest; it may be switched off',
    'the shutdown of host h1 is called off',
  ])
})

test('fault domains are given as kind and name, and taken away by an empty name', async (context) => {
  const { run } = await terminalWith(context, {})
  const seen = await run('host', 'set', 'h1', '--fault-domain', 'rack=r1', '--fault-domain', 'feed=')
  assert.deepEqual(JSON.parse(seen.sent[0]?.body ?? ''), { faultDomains: { rack: 'r1', feed: null } })
  assert.equal((await run('host', 'set', 'h1', '--fault-domain', 'rack')).exitCode, 2)
})

test('where a guest can move to is a table with the reasons', async (context) => {
  const targets = [
    {
      host: 'h2',
      possible: true,
      live: true,
      liveReason: '',
      current: false,
      reason: '',
      merits: ['its disks are local'],
    },
    {
      host: 'h3',
      possible: false,
      live: false,
      liveReason: '',
      current: false,
      reason: 'rule x keeps it off',
      merits: [],
    },
  ]
  const { run } = await terminalWith(context, { 'GET /v1/guests/web/move-targets': { guest: 'web', targets } })
  const { stdout } = await run('vm', 'move-targets', 'web')
  assert.match(stdout, /h2 +yes +yes +its disks are local\nh3 +no +no +rule x keeps it off\n/)
})

const CHECK = {
  ok: true,
  admission: { hostFailures: 1, checked: 3, possible: 3, note: '', breaches: [] },
  violations: [],
  contradictions: [],
  balance: { mode: 'recommend', score: 0.01, scoreAfter: 0.01, moves: [] },
}

test('a check that finds nothing ends with 0, one that finds something with 11', async (context) => {
  const { run } = await terminalWith(context, { 'GET /v1/cluster/check': CHECK })
  const well = await run('cluster', 'check')
  assert.equal(well.exitCode, 0)
  assert.match(well.stdout, /every guest would have a place after the loss of any one host/)
  const breach = { lost: ['h2'], text: 'if h2 died now, g7 would have no place', unplaced: [] }
  const violation = { guest: 'a', host: 'h1', rules: ['x'], why: 'rule x keeps a apart from b, which is there' }
  const bad = { ...CHECK, ok: false, admission: { ...CHECK.admission, breaches: [breach] }, violations: [violation] }
  const { run: again } = await terminalWith(context, { 'GET /v1/cluster/check': bad })
  const seen = await again('cluster', 'check')
  assert.equal(seen.exitCode, 11)
  assert.match(seen.stdout, / {2}if h2 died now, g7 would have no place\n/)
  assert.match(seen.stdout, / {2}a on h1: rule x keeps a apart from b, which is there\n/)
})

test('an explanation ends with the smallest change that would alter it', async (context) => {
  const { run } = await terminalWith(context, {
    'GET /v1/guests/web/explanation': {
      name: 'web',
      id: '1',
      state: 'waiting',
      reason: 'no host can take it now',
      decision: null,
      smallestChange: 'if h2 were back, it could run there',
      otherChanges: ['if rule x were not strict, it could run on h3'],
    },
  })
  const { stdout } = await run('explain', 'vm', 'web')
  assert.match(stdout, /alter it:\n {2}if h2 were back, it could run there\n {2}or if rule x were not strict/)
})
