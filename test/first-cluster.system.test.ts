/** From three hosts that are of no cluster to one cluster, as docs/operating/first-cluster.md tells it, and back to two. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { createInterface } from 'node:readline'
import { loadConfig } from '@stead/agent/config.ts'
import { trustFiles } from '@stead/agent/trust/trust-files.ts'
import type { SetupOutcome, SetupPlan, SetupView } from '@stead/api/endpoints/set-up.ts'
import type { ClusterView } from '@stead/api/cluster-view.ts'
import { LabCluster, STEAD, type CommandResult } from './support/lab-cluster.ts'

const NUMBERS: Readonly<Record<string, number>> = { h1: 1, h2: 2, witness: 3 }
/** At which the cluster answers, whichever host does. */
const SHARED = '10.66.0.200'
const NETWORKS = { lan: '10.66.0', san: '10.77.0', ran: '10.88.0' }

suite('the first cluster', { timeout: 600_000 }, () => {
  let lab: LabCluster
  before(async () => (lab = await LabCluster.empty({ hosts: 2, witness: true })))
  after(() => lab.down())

  /** Runs a command of the set-up on an empty host. */
  function setUp(host: string, command: readonly string[], ...more: readonly string[]): Promise<CommandResult> {
    const addresses = Object.entries(NETWORKS).flatMap(([role, net]) => [`--${role}`, `${net}.${NUMBERS[host]}`])
    const folder = lab.hostFolder(host)
    const pool = command[0] === 'witness' ? [] : ['--pool', `default=20GiB:${folder}/pools/default`]
    const own = ['--host', host, '--state', folder, '--guest-user', '64990:64990', '--cpus', '2', '--memory', '8GiB']
    return lab.run('lab', 'exec', host, '--', STEAD, ...command, ...addresses, ...pool, ...own, ...more)
  }

  /** The browser of somebody on the LAN, at the page that `stead setup` of an empty host has printed. */
  async function atDoorOf(host: string) {
    const address = `${NETWORKS.lan}.${NUMBERS[host]}`
    const command = [STEAD, 'setup', '--json', '--state', lab.hostFolder(host), '--address', address]
    const serving = lab.spawn(STEAD, ['lab', 'exec', host, '--', ...command])
    const [line] = await once(createInterface(serving.stdout!), 'line')
    const { code } = JSON.parse(line) as { code: string }
    return async <Answer>(method: string, path: string, body?: unknown): Promise<Answer> => {
      const heads = ['-H', `authorization: Bearer ${code}`, '-H', 'content-type: application/json']
      const sent = body === undefined ? [] : ['-d', JSON.stringify(body)]
      const asked = ['curl', '-sk', '--max-time', '60', '-X', method, ...heads, ...sent]
      return JSON.parse(await lab.must('lab', 'client', '--', ...asked, `https://${address}:8447${path}`)) as Answer
    }
  }

  const secrets = async () => (await lab.json<ClusterView>('cluster', 'show')).secrets
  const sharedAt = async () => (await lab.json<ClusterView>('cluster', 'show')).address?.holder
  /** Asked by somebody on the LAN, who knows where the address was before. */
  const untilShared = () =>
    lab.until('the cluster answers at its address', async () => {
      const curl = ['curl', '-sk', '--max-time', '5', '-o', '/dev/null', '-w', '%{http_code}']
      return (await lab.run('lab', 'client', '--', ...curl, `https://${SHARED}:8443/v1/auth/whoami`)).stdout === '401'
    })

  const planOf = (result: CommandResult) => JSON.parse(result.stdout) as SetupPlan & { readonly done: boolean }
  const online = async () => (await lab.hosts()).filter((host) => host.state === 'online').map((host) => host.name)

  test('the plan of the first host tells what was looked at, and changes nothing', async () => {
    const asked = await setUp('h1', ['init', 'demo'], '--check', '--json')
    assert.equal(asked.code, 0, asked.stderr)
    const plan = planOf(asked)
    assert.deepEqual([plan.kind, plan.cluster, plan.host, plan.done], ['init', 'demo', 'h1', false])
    assert.ok(plan.checks.some(({ id, state }) => id === 'port-2379' && state === 'ok'))
    const again = planOf(await setUp('h1', ['init', 'demo'], '--what-if', '--json'))
    assert.deepEqual(
      again.checks.filter(({ state }) => state === 'failed'),
      [],
    )
  })

  test('an address that the host does not have refuses the set-up', async () => {
    const refused = await setUp('h1', ['init', 'demo'], '--lan', '10.66.0.99')
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /Nothing was changed.*10\.66\.0\.99/)
  })

  test('the first host is a cluster by itself', async () => {
    const made = await setUp('h1', [
      'init',
      'demo',
      '--detection',
      '1000',
      '--cluster-address',
      SHARED,
      '--administrator',
      'ada',
      '--json',
    ])
    assert.equal(made.code, 0, made.stderr)
    const { outcome } = JSON.parse(made.stdout) as { readonly outcome: SetupOutcome }
    assert.equal(outcome.administrator?.user, 'ada')
    assert.ok(outcome.administrator.password.length > 12)
    assert.match(outcome.fingerprint ?? '', /^([0-9A-F]{2}:){31}/)
    assert.match(await lab.must('permission', 'list'), /ada.*Administrator/)
    assert.equal(outcome.web[0], `https://${SHARED}:8443`)
    await untilShared()
    await lab.until('h1 is online', async () => (await online()).join() === 'h1')
    const again = await setUp('h1', ['init', 'other'])
    assert.match(again.stderr, /set up already/)
  })

  test('a second host joins by a browser and a token, which works once', async () => {
    const token = (await lab.must('host', 'invite')).trim()
    const ask = await atDoorOf('h2')
    const facts = await ask<SetupView>('GET', '/v1/setup')
    for (const net of Object.values(NETWORKS))
      assert.ok(
        facts.ports.some(({ addresses }) => addresses.some((address) => address.startsWith(`${net}.2/`))),
        net,
      )
    const folder = lab.hostFolder('h2')
    const addresses = Object.fromEntries(Object.entries(NETWORKS).map(([role, net]) => [role, `${net}.2`]))
    const answers = {
      ...{ kind: 'join', token, host: 'h2', addresses, guestUser: { uid: 64_990, gid: 64_990 } },
      pools: [{ name: 'default', path: `${folder}/pools/default`, capacityBytes: 20 * 2 ** 30 }],
      ...{ cpuCount: 2, memoryBytes: 8 * 2 ** 30 },
    }
    let checks: SetupPlan['checks'] = []
    await lab.until('the door of the cluster is open', async () => {
      checks = (await ask<Partial<SetupPlan>>('POST', '/v1/setup/checks', answers)).checks ?? []
      return checks.length > 0
    })
    for (const id of ['clock', 'san-latency-h1', 'san-mtu-h1', 'pool-pairing-default', 'ran-link'])
      assert.ok(
        checks.some((check) => check.id === id && check.state !== 'failed'),
        id,
      )
    // How much this machine sends while other tests run is not what is tested.
    assert.ok(checks.some(({ id }) => id === 'ran-bandwidth'))
    await ask('POST', '/v1/setup/apply', { answers, despite: ['ran-bandwidth'] })
    let work: SetupView['work'] = null
    await lab.until(
      'it is done',
      async () => {
        work = (await ask<SetupView>('GET', '/v1/setup')).work
        assert.notEqual(work?.state, 'failed', work?.error?.message)
        return work?.state === 'done'
      },
      120_000,
    )
    assert.deepEqual((work as SetupView['work'])?.outcome?.web, ['https://10.66.0.2:8443'])
    await lab.until('h2 is online', async () => (await online()).join() === 'h1,h2')
    const again = await setUp('witness', ['witness', token])
    assert.notEqual(again.code, 0)
  })

  test('a token that names another authority is not believed', async () => {
    const token = (await lab.must('host', 'invite', '--role', 'witness')).trim()
    const [, content = ''] = /^stead-join-(.*)$/.exec(token) ?? []
    const forged = { ...JSON.parse(Buffer.from(content, 'base64url').toString()), fingerprint: '0'.repeat(64) }
    const text = `stead-join-${Buffer.from(JSON.stringify(forged)).toString('base64url')}`
    await lab.until('the door is open', async () =>
      /another cluster/.test((await setUp('witness', ['witness', text])).stderr),
    )
  })

  test('a witness joins: a voter without the key of the authority', async () => {
    const token = (await lab.must('host', 'invite', '--role', 'witness')).trim()
    await lab.until('it has joined', async () => (await setUp('witness', ['witness', token])).code === 0)
    await lab.until('all are online', async () => (await online()).join() === 'h1,h2,witness')
    assert.equal(
      (await lab.run('lab', 'exec', 'witness', '--', 'test', '-e', trustFiles(lab.hostFolder('witness')).authorityKey))
        .code,
      1,
    )
    await lab.until('the secrets have a key that no disk has', async () => (await secrets()).state === 'sealed')
    assert.deepEqual((await secrets()).holders, ['h1', 'h2', 'witness'])
    await lab.until('all three vote', async () => {
      const listed = JSON.parse((await lab.etcdctl('h1', 'member', 'list', '-w', 'json')).stdout) as {
        readonly members: readonly { readonly isLearner?: boolean }[]
      }
      return listed.members.length === 3 && listed.members.every(({ isLearner }) => isLearner !== true)
    })
  })

  test('what was made so is a cluster: a guest, and the address at which users come, survive their host', async () => {
    await untilShared()
    const holder = await sharedAt()
    assert.ok(holder === 'h1' || holder === 'h2', `${holder}`)
    await lab.createRecorder('demo', { host: holder })
    const before = await lab.recordsPast('demo', 5)
    await lab.must('lab', 'power-off', holder)
    await lab.recordsPast('demo', before + 5)
    const heir = holder === 'h1' ? 'h2' : 'h1'
    assert.equal((await lab.guest('demo')).host, heir)
    await untilShared()
    assert.equal(await sharedAt(), heir)
    await lab.must('lab', 'power-on', holder)
    await lab.untilProtected('demo')
  })

  test('a host that holds replicas is not removed', async () => {
    await lab.must('vm', 'stop', 'demo')
    const refused = await lab.run('host', 'remove', 'h2')
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /replicas of/)
  })

  test('a removed host is refused at every door at once', async () => {
    await lab.must('vm', 'delete', 'demo')
    await lab.until('its replicas are gone', async () => (await lab.run('host', 'remove', 'h2')).code === 0)
    const { certificate, key, authorities } = trustFiles(lab.hostFolder('h2'))
    for (const port of [2379, 2380, 8444]) {
      const curl = [
        'curl',
        '-s',
        '--http1.1',
        '--max-time',
        '5',
        '--cert',
        certificate,
        '--key',
        key,
        '--cacert',
        authorities,
      ]
      await lab.until(`port ${port} is closed to it`, async () => {
        const knocked = await lab.run('lab', 'exec', 'h2', '--', ...curl, `https://10.77.0.1:${port}/version`)
        return knocked.code !== 0
      })
    }
    await lab.until('two are left', async () => (await online()).join() === 'h1,witness')
    await lab.until('the secrets have another key', async () => (await secrets()).holders.join() === 'h1')
    assert.equal((await secrets()).state, 'key-beside', 'two cannot share one')
  })

  test('the hosts that are left take another key for their heartbeats', async () => {
    const keyOf = (host: string) => {
      const { clusterKey, formerClusterKey } = loadConfig(join(lab.hostFolder(host), 'agent.json'))
      return [clusterKey, formerClusterKey]
    }
    const known = async () => (await lab.json<ClusterView>('cluster', 'show')).heartbeatKey
    await lab.until('the former key counts no more', async () => {
      const { generation, knownBy } = await known()
      return generation === 1 && knownBy.length === 0
    })
    await lab.until('each host has done with it', async () =>
      ['h1', 'witness'].every((host) => keyOf(host)[1] === undefined),
    )
    assert.deepEqual(keyOf('h1'), keyOf('witness'))
    assert.notEqual(keyOf('h1')[0], keyOf('h2')[0])
    assert.notEqual((await known()).changedAt, null)
    assert.ok((await lab.events()).some(({ kind }) => kind === 'cluster.key-changed'))
  })
})
