/** All members but one are lost for ever: the last one goes on, others come, and who comes back does no harm. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { loadConfig } from '@stead/agent/config.ts'
import { readCertificate } from '@stead/agent/trust/certificate-reading.ts'
import { readAuthorities } from '@stead/agent/trust/trust-files.ts'
import type { ClusterView } from '@stead/api/cluster-view.ts'
import { LabCluster, STEAD, type CommandResult } from './support/lab-cluster.ts'

suite('the last host that is left', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let written = 0
  before(async () => {
    lab = await LabCluster.up({ hosts: 3 })
  })
  after(() => lab?.down())

  /** On the host itself. */
  const recover = (...args: readonly string[]): Promise<CommandResult> =>
    lab.run('lab', 'exec', 'h1', '--', STEAD, 'cluster', 'recover', ...args)
  const configOf = (host: string) => join(lab.hostFolder(host), 'agent.json')
  const secrets = async () => (await lab.json<ClusterView>('cluster', 'show')).secrets
  const authorityOf = (host: string) =>
    readAuthorities(lab.hostFolder(host)).map((pem) => readCertificate(pem).fingerprint)
  const names = async () => (await lab.hosts()).filter(({ state }) => state === 'online').map(({ name }) => name)

  /** Nothing of it is left but the machine. */
  async function wipeAndJoin(host: string, number: number): Promise<void> {
    await lab.must('lab', 'power-off', host)
    const folder = lab.hostFolder(host)
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true })
    await lab.must('lab', 'power-on', host)
    const token = (await lab.must('host', 'invite')).trim()
    const networks = { lan: '10.66.0', san: '10.77.0', ran: '10.88.0' }
    const own = Object.entries(networks).flatMap(([role, net]) => [`--${role}`, `${net}.${number}`])
    const sizes = ['--guest-user', '64990:64990', '--cpus', '2', '--memory', '8GiB', '--despite', 'ran-bandwidth']
    const place = ['--pool', `default=20GiB:${folder}/pools/default`, '--host', host, '--state', folder]
    await lab.until(`${host} joins`, async () => {
      const joined = await lab.run('lab', 'exec', host, '--', STEAD, 'join', token, ...own, ...place, ...sizes)
      if (joined.code !== 0) throw new Error(joined.stderr)
      return true
    })
    await lab.until(`${host} is online`, async () => (await names()).includes(host))
  }

  test('it is refused while another member lives, and unless each of them is named', async () => {
    await lab.createRecorder('mirrored', { host: 'h1' })
    await lab.createIdle('elsewhere', { host: 'h2', replicas: 1 })
    await lab.until('the secrets have a key that no disk has', async () => (await secrets()).state === 'sealed')
    assert.match((await recover('--lost', 'h2,h3')).stderr, /h2, h3 is alive/)
    written = await lab.recordsPast('mirrored', 10)
    await lab.must('lab', 'power-off', 'h3')
    await lab.until('its loss is noticed', async () =>
      (await lab.hosts()).some(({ name, state }) => name === 'h3' && state === 'lost'),
    )
    assert.match((await recover('--lost', 'h2,h3')).stderr, /h2 is alive/)
    await lab.must('lab', 'power-off', 'h2')
    assert.match((await recover('--lost', 'h3')).stderr, /Nothing is said of h2/)
    assert.match((await recover('--lost', 'h2,h9')).stderr, /h9 is none of the other members/)
  })

  test('it tells what would be left, and changes nothing', async () => {
    await lab.until('h2 is heard no more', async () => (await recover('--lost', 'h2,h3', '--check')).code === 0)
    const told = (await recover('--lost', 'h2,h3', '--check')).stdout
    assert.match(told, /h1 could go on alone, without h2, h3/)
    assert.match(told, /^mirrored +current /m)
    assert.match(told, /^elsewhere +none +disk0 was on h2 only/m)
    assert.deepEqual(loadConfig(configOf('h1')).members.length, 3)
    assert.equal((await lab.run('vm', 'stop', 'mirrored')).code, 8, 'the store has no majority yet')
  })

  test('it goes on alone: its guest has every record, the secrets open, and what is lost is said', async () => {
    const done = await recover('--lost', 'h2,h3')
    assert.equal(done.code, 0, done.stderr)
    assert.match(done.stdout, /this host has their key/)
    await lab.until('h1 is the only member', async () => (await names()).join() === 'h1')
    written = await lab.recordsPast('mirrored', written + 5)
    await lab.assertNothingLost('mirrored')
    await lab.until('the secrets have another key', async () => (await secrets()).state === 'key-beside')
    assert.deepEqual((await secrets()).holders, ['h1'])
    await lab.until('nobody starts the other guest', async () => {
      const { state, reason } = await lab.guest('elsewhere')
      return state === 'waiting' && /only current copy of its data is on h2/.test(reason)
    })
    assert.ok((await lab.events()).some(({ kind }) => kind === 'cluster.recovered'))
  })

  test('the lost two are switched on together: they are told, end what they began, and are of no cluster', async () => {
    await lab.must('lab', 'power-on', 'h2')
    await lab.must('lab', 'power-on', 'h3')
    for (const host of ['h2', 'h3'])
      await lab.until(`${host} has been told`, async () => existsSync(`${configOf(host)}.left-behind`))
    await lab.until('one run of the guest is left', async () => lab.qemuProcesses('mirrored').length === 1)
    await lab.until('nobody runs the other guest', async () => lab.qemuProcesses('elsewhere').length === 0)
    written = await lab.recordsPast('mirrored', written + 5)
    await lab.assertNothingLost('mirrored')
    await lab.until('both are known to have heard it', async () => {
      const told = (await lab.events()).filter(({ kind }) => kind === 'host.left-behind')
      return (
        told
          .map(({ subject }) => subject)
          .toSorted()
          .join() === 'host/h2,host/h3'
      )
    })
    assert.deepEqual(await names(), ['h1'])
  })

  test('an empty host joins, and the mirror is made whole', async () => {
    await wipeAndJoin('h2', 2)
    const [volume] = (await lab.guest('mirrored')).volumes
    await lab.must('volume', 'move', volume?.id ?? '', '--to', 'h2')
    await lab.untilProtected('mirrored')
    written = await lab.recordsPast('mirrored', written + 5)
    await lab.assertNothingLost('mirrored')
  })

  test('begun anew without the others, the last host has no key of the secrets: it says so, and goes on without them', async () => {
    await wipeAndJoin('h3', 3)
    await lab.until('the secrets have a key that no disk has', async () => (await secrets()).state === 'sealed')
    const former = authorityOf('h1')
    for (const host of ['h2', 'h3', 'h1']) await lab.must('lab', 'power-off', host)
    await lab.must('lab', 'power-on', 'h1')
    await lab.until('its records are not read yet', async () =>
      /has not read its records/.test((await recover('--lost', 'h2,h3', '--check')).stdout),
    )
    const locked = await recover('--lost', 'h2,h3')
    assert.match(locked.stderr, /one share of two.*--give-up-secrets/s)
    const done = await recover('--lost', 'h2,h3', '--give-up-secrets')
    assert.equal(done.code, 0, done.stderr)
    assert.match(done.stdout, /Secrets: given up/)
    await lab.until('h1 is the only member', async () => (await names()).join() === 'h1')
    assert.notDeepEqual(authorityOf('h1'), former)
    await lab.recordsPast('mirrored', written + 5)
    await lab.assertNothingLost('mirrored')
    await lab.until('what comes is sealed', async () => (await secrets()).state === 'key-beside')
    await lab.must('host', 'invite')
  })
})
