/** What administrators demand of places, order and shutdowns, obeyed by a real cluster. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Problem } from '@stead/api/problem-schema.ts'
import type { ClusterCheck, MoveTargets } from '@stead/api/views.ts'
import { FAILURES } from '@stead/core/errors.ts'
import { LabCluster } from './support/lab-cluster.ts'

/** Guests without a disk of any size to speak of: they are about places, not about data. */
const SMALL = { disk: '16MiB', intervalMs: 500, start: false } as const

suite('rules, policy and shutdown', { timeout: 300_000 }, () => {
  let lab: LabCluster
  before(async () => (lab = await LabCluster.up({ hosts: 3 })))
  after(() => lab.down())

  const hostOf = async (name: string) => (await lab.guest(name)).host
  const runsOn = async (name: string, host: string) => {
    const guest = await lab.guest(name)
    return guest.state === 'running' && guest.host === host
  }

  test('of guests created at once, on all hosts, no more are admitted than the loss of a host leaves room for', async () => {
    // Of the 8 GiB of each host 256 MiB are left for guests: two of these, so four when a host is gone.
    await lab.must('policy', 'set', '--memory-reserve', '7936MiB', '--admission', 'refuse')
    const hosts = ['h1', 'h2', 'h3']
    const names = Array.from({ length: 10 }, (_, index) => `many${index}`)
    const answers = await Promise.all(
      names.map((name, index) =>
        lab.clientOf([hosts[index % hosts.length] ?? '']).call(ENDPOINTS['guest.create'], {
          body: { name, memoryBytes: 128 << 20, boot: { kind: 'disk' }, disks: [{ sizeBytes: 16 << 20 }], start: true },
        }),
      ),
    )
    const refused = answers.flatMap((answer) => (answer.ok ? [] : [answer.error]))
    for (const { code, message } of refused) assert.equal(code, 'admission', message)
    const admitted = names.filter((_, index) => answers[index]?.ok)
    assert.equal(admitted.length, 4)
    await lab.until('those that were admitted run', async () => {
      const guests = await Promise.all(admitted.map((name) => lab.guest(name)))
      return guests.every(({ state }) => state === 'running')
    })
    const { admission } = await lab.json<ClusterCheck>('cluster', 'check')
    assert.deepEqual([admission.checked, admission.breaches], [3, []])
    for (const name of admitted) {
      await lab.must('vm', 'stop', name, '--force')
      await lab.must('vm', 'delete', name)
    }
    await lab.must('policy', 'set', '--memory-reserve', '0', '--admission', 'warn')
  })

  test('a guest that fits nowhere gets room: another moves live, and nobody is interrupted', async () => {
    // Of each host 512 MiB are left for guests.
    await lab.must('policy', 'set', '--memory-reserve', '7680MiB')
    await lab.createRecorder('big', { ...SMALL, memory: '320MiB' })
    const others = { small: ['128MiB', 'h1'], mid1: ['192MiB', 'h1'], mid2: ['256MiB', 'h2'], mid3: ['256MiB', 'h3'] }
    for (const [name, [memory = '', host = '']] of Object.entries(others))
      await lab.createRecorder(name, { ...SMALL, memory, host, start: true })
    const epochs = new Map<string, number>()
    for (const [name, [, host = '']] of Object.entries(others)) {
      await lab.until(`${name} runs on ${host}`, () => runsOn(name, host))
      // A replica lost to a busy machine would make another one the cheapest to move.
      await lab.untilProtected(name)
      epochs.set(name, (await lab.guest(name)).epoch)
    }
    await lab.must('vm', 'start', 'big', '--no-wait')
    await lab.until('big runs on h1', () => runsOn('big', 'h1'))
    assert.match(await lab.must('explain', 'vm', 'big'), /small was moved from h1 to h[23] to make room for it/)
    for (const [name, epoch] of epochs) assert.equal((await lab.guest(name)).epoch, epoch + (name === 'small' ? 1 : 0))
    const moves = (await lab.events()).filter(({ kind }) => kind === 'guest.migrated')
    assert.deepEqual(
      moves.map(({ subject }) => subject),
      ['guest/small'],
    )
    for (const name of ['big', ...epochs.keys()]) {
      await lab.must('vm', 'stop', name, '--force')
      await lab.must('vm', 'delete', name)
    }
    await lab.must('policy', 'set', '--memory-reserve', '0')
  })

  test('guests are apart and together from their first start on', async () => {
    for (const name of ['web1', 'web2', 'db']) await lab.createRecorder(name, SMALL)
    await lab.must('rule', 'create', 'apart', 'web-apart', '--guests', 'web1,web2')
    await lab.must('rule', 'create', 'hosts', 'home', '--guests', 'web1,web2', '--hosts', 'h1:2,h2:1')
    await lab.must('rule', 'create', 'group', 'shop', '--guests', 'db,web1', '--ready-after', '1s')
    // web1 waits for db. Each alone would be on h1: web2 must leave it to web1, which does not run there yet.
    await lab.must('vm', 'start', 'web1', '--no-wait')
    assert.match((await lab.run('vm', 'start', 'web1')).stderr, /it starts after db \(rule shop-order\)/)
    await lab.must('vm', 'start', 'db', '--no-wait')
    await lab.must('vm', 'start', 'web2', '--no-wait')
    await lab.until('all run', async () => {
      const guests = await Promise.all(['web1', 'web2', 'db'].map((name) => lab.guest(name)))
      return guests.every(({ state }) => state === 'running')
    })
    assert.equal(await hostOf('web1'), await hostOf('db'))
    assert.notEqual(await hostOf('web1'), await hostOf('web2'))
    const events = await lab.events()
    const startOf = (name: string) =>
      events.find(({ kind, subject }) => kind === 'guest.started' && subject === `guest/${name}`)?.monotonicMs ?? 0
    assert(startOf('web1') - startOf('db') >= 1_000, 'web1 was started before db was ready')
  })

  test('a rule that contradicts the others is refused with the proof', async () => {
    const args = ['rule', 'create', 'apart', 'split', '--guests', 'db,web1']
    const refused = await lab.run(...args)
    assert.equal(refused.code, FAILURES.conflict.exit)
    assert.match(refused.stderr, /db and web1 must be together \(rule shop\) and apart \(rule split\)\nhint: /)
    const problem = JSON.parse((await lab.run(...args, '--json')).stdout) as Problem
    assert.equal(problem.code, 'conflict')
    assert.doesNotMatch(await lab.must('rule', 'list'), /split/)
  })

  test('a guest moves where it is asked to, unless a rule forbids it', async () => {
    const [here, other] = [await hostOf('web2'), await hostOf('web1')]
    const free = ['h1', 'h2', 'h3'].find((host) => host !== here && host !== other) ?? ''
    const { targets } = await lab.json<MoveTargets>('vm', 'move-targets', 'web2')
    assert.deepEqual(
      targets.filter(({ possible }) => possible).map(({ host }) => host),
      [free],
    )
    const refused = await lab.run('vm', 'relocate', 'web2', '--to', other ?? '')
    assert.equal(refused.code, FAILURES.conflict.exit)
    assert.match(refused.stderr, /rule web-apart keeps web2 apart from web1, which is there/)
    assert.match(await lab.must('vm', 'relocate', 'web2', '--to', free), new RegExp(`runs on ${free}`))
    assert(await runsOn('web2', free))
    const check = await lab.json<ClusterCheck>('cluster', 'check')
    assert.deepEqual([check.ok, check.violations], [true, []])
  })

  test('a guest of a host that reboots waits for it, and returns', async () => {
    const host = (await hostOf('web2')) ?? ''
    const epoch = (await lab.guest('web2')).epoch
    await lab.must('host', 'shutdown', host, '--reboot')
    await lab.must('lab', 'power-off', host)
    await lab.until(`${host} is lost`, async () =>
      (await lab.hosts()).some((one) => one.name === host && one.state === 'lost'),
    )
    const waiting = await lab.guest('web2')
    assert.deepEqual([waiting.state, waiting.host], ['waiting', null])
    assert.match(waiting.reason, new RegExp(`waits for ${host}, which is being rebooted`))
    assert.match(await lab.must('explain', 'vm', 'web2'), new RegExp(`if ${host} had booted again`))
    await lab.must('lab', 'power-on', host)
    await lab.until('web2 is back where it was', () => runsOn('web2', host))
    assert.equal((await lab.guest('web2')).epoch, epoch + 1)
    assert.equal((await lab.hosts()).find(({ name }) => name === host)?.shutdown, null)
  })

  test('while HA is disarmed a lost host’s guest is left alone, until it is armed again', async () => {
    const host = (await hostOf('web2')) ?? ''
    await lab.must('ha', 'disarm')
    await lab.must('lab', 'power-off', host)
    await lab.until('web2 waits', async () => (await lab.guest('web2')).state === 'waiting')
    assert.match((await lab.guest('web2')).reason, /HA is disarmed/)
    await lab.must('ha', 'arm')
    await lab.until('web2 runs elsewhere', async () => {
      const guest = await lab.guest('web2')
      return guest.state === 'running' && guest.host !== host
    })
    assert.notEqual(await hostOf('web2'), await hostOf('web1'))
  })
})
