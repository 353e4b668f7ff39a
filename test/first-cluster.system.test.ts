/** From three hosts that are of no cluster to one cluster, as docs/operating/first-cluster.md tells it, and back to two. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, suite, test } from 'node:test'
import { loadConfig } from '@stead/agent/config.ts'
import { trustFiles } from '@stead/agent/trust/trust-files.ts'
import type { ClusterView } from '@stead/api/cluster-view.ts'
import type { SetupOutcome, SetupPlan } from '@stead/api/endpoints/set-up.ts'
import { TestBrowser } from './support/browser.ts'
import { LabCluster, STEAD, type CommandResult } from './support/lab-cluster.ts'
import { openLanProxy, type LanProxy } from './support/lan-proxy.ts'
import { SetupWizard } from './support/setup-wizard.ts'

const NUMBERS: Readonly<Record<string, number>> = { h1: 1, h2: 2, h3: 3, witness: 4 }
const STEP_MS_MAX = 90_000
const ON_THE_LAN = /^https:\/\/10\.66\./
/** At which the cluster answers, whichever host does. */
const SHARED = '10.66.0.200'
const NETWORKS = { lan: '10.66.0', san: '10.77.0', ran: '10.88.0' }

const PASSWORD = 'correct horse battery'

/** By network role. */
function addressesOf(host: string): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(NETWORKS).map(([role, net]) => [role, `${net}.${NUMBERS[host]}`]))
}

suite('the first cluster', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let proxy: LanProxy
  /** Told by the wizard of the first host, for the ones that come next. */
  let invitations: Readonly<Record<'second host' | 'witness', string>>
  before(async () => {
    lab = await LabCluster.empty({ hosts: 3, witness: true })
    proxy = await openLanProxy(lab)
  })
  after(async () => {
    proxy?.close()
    await lab?.down()
  })

  /** Runs a command of the set-up on an empty host. */
  function setUp(host: string, command: readonly string[], ...more: readonly string[]): Promise<CommandResult> {
    const addresses = Object.entries(addressesOf(host)).flatMap(([role, address]) => [`--${role}`, address])
    const folder = lab.hostFolder(host)
    const pool = command[0] === 'witness' ? [] : ['--pool', `default=20GiB:${folder}/pools/default`]
    const own = ['--host', host, '--state', folder, '--guest-user', '64990:64990', '--cpus', '2', '--memory', '8GiB']
    return lab.run('lab', 'exec', host, '--', STEAD, ...command, ...addresses, ...pool, ...own, ...more)
  }

  /** Somebody on the LAN with a browser, at the page that `stead setup` of an empty host has printed. */
  async function atDoorOf(host: string, work: (wizard: SetupWizard) => Promise<void>): Promise<void> {
    const command = [STEAD, 'setup', '--json', '--state', lab.hostFolder(host)]
    const serving = lab.spawn(STEAD, ['lab', 'exec', host, '--', ...command])
    const [line] = await once(createInterface(serving.stdout!), 'line')
    const { pages } = JSON.parse(line) as { readonly pages: readonly string[] }
    const lan = pages.find((page) => page.includes(`//${NETWORKS.lan}.${NUMBERS[host]}:`)) ?? ''
    const browser = await TestBrowser.open(new URL(lan).origin, { proxy: proxy.url, elsewhere: ON_THE_LAN })
    browser.page.setDefaultTimeout(STEP_MS_MAX)
    try {
      await browser.page.goto(lan)
      await work(new SetupWizard(browser))
    } finally {
      await browser.close()
    }
  }

  const secrets = async () => (await lab.json<ClusterView>('cluster', 'show')).secrets
  /** Answers of its first steps, as somebody gives them who knows the lab's networks. */
  async function answer(wizard: SetupWizard, host: string): Promise<void> {
    await wizard.networks(addressesOf(host))
    await wizard.fill('Whom guests run as (UID:GID)', '64990:64990')
    await wizard.check('networks')
    await wizard.next()
    await wizard.fill('Folder', join(lab.hostFolder(host), 'pools', 'default'))
    await wizard.fill('Size (GiB)', '20')
    await wizard.check('disks')
    await wizard.next()
  }

  /** What there is of a host, by name: as long as nobody has confirmed it stays as it was. */
  const contentOf = (host: string) => readdirSync(lab.hostFolder(host), { recursive: true }).toSorted()

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

  test('the wizard makes a host the first of a mirrored pair, and changes nothing before its summary is confirmed', async () => {
    await atDoorOf('h1', async (wizard) => {
      const before = contentOf('h1')
      await wizard.see('What is this host to be?')
      await wizard.page.getByLabel('The first of a mirrored pair with a witness').check()
      await wizard.next()
      await answer(wizard, 'h1')
      await wizard.fill('Name of the new cluster', 'demo')
      await wizard.fill('Address of the cluster', SHARED)
      await wizard.fill('First administrator', 'ada')
      await wizard.next()
      await wizard.summary('h1 will be the first host of the new cluster demo.')
      await wizard.check('summary')
      assert.deepEqual(contentOf('h1'), before)
      await wizard.begin()
      invitations = {
        'second host': await wizard.secret('Token of the second host'),
        witness: await wizard.secret('Token of the witness'),
      }
      const oneTime = await wizard.secret('One-time password of ada')
      await wizard.check('outcome')

      // The page that it leads to is the cluster's own.
      await untilShared()
      await wizard.page.getByRole('link', { name: `Open https://${SHARED}:8443` }).click()
      await wizard.signIn('ada', oneTime, PASSWORD)
      await wizard.page.goto(`https://${SHARED}:8443/hosts/h1`)
      await wizard.page.getByRole('main').getByText('online').first().waitFor()
    })
    assert.match(await lab.must('permission', 'list'), /ada.*Administrator/)
    const again = await setUp('h1', ['init', 'other'])
    assert.match(again.stderr, /set up already/)
  })

  test('the second host joins by the wizard and the token that the first one told, which works once', async () => {
    await atDoorOf('h2', async (wizard) => {
      const before = contentOf('h2')
      await wizard.page.getByLabel('One more of a cluster').check()
      await wizard.fill('Token', invitations['second host'])
      await wizard.next()
      await answer(wizard, 'h2')
      await wizard.summary('h2 will be one more host of the cluster demo.')
      const checks = await wizard.checks()
      for (const id of ['clock', 'san-latency-h1', 'san-mtu-h1', 'pool-pairing-default', 'ran-link', 'ran-bandwidth'])
        assert.ok(checks.has(id), id)
      await wizard.check('summary of a host that joins')
      assert.deepEqual(contentOf('h2'), before)
      // How much this machine sends while other tests run is not what is tested.
      await wizard.begin(['ran-bandwidth'])
      await wizard.see('Open https://10.66.0.2:8443')
    })
    await lab.until('h2 is online', async () => (await online()).join() === 'h1,h2')
    const again = await setUp('witness', ['witness', invitations['second host']])
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

  test('the witness joins by the wizard, and is seen to come by whoever waits for it: a voter without the key of the authority', async () => {
    await atDoorOf('witness', async (wizard) => {
      // In another tab, at the pages of the cluster that there is.
      const cluster = await wizard.page.context().newPage()
      cluster.setDefaultTimeout(STEP_MS_MAX)
      await cluster.goto('https://10.66.0.1:8443/hosts')
      await cluster.getByLabel('User', { exact: true }).fill('ada')
      await cluster.getByLabel('Password', { exact: true }).fill(PASSWORD)
      await cluster.getByRole('button', { name: 'Sign in', exact: true }).click()
      await cluster.getByRole('button', { name: 'Add a host' }).click()
      const asked = cluster.getByRole('dialog')
      await asked.getByRole('combobox', { name: 'What it is to be' }).click()
      await cluster.getByRole('option', { name: 'Witness' }).click()
      await asked.getByRole('button', { name: 'Make a token' }).click()
      await asked.getByText(/^stead witness stead-join-/).waitFor()
      await asked.getByText('Waiting for it to join').waitFor()

      await wizard.page.getByLabel('One more of a cluster').check()
      await wizard.fill('Token', invitations.witness)
      await wizard.see('the witness of the cluster demo: it votes')
      await wizard.next()
      await wizard.networks(addressesOf('witness'))
      await wizard.check('networks of a witness')
      await wizard.next()
      await wizard.summary('witness will be the witness of the cluster demo.')
      await wizard.begin()
      await asked.getByText('witness has joined.').waitFor()
    })
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

  test('a host is a cluster by itself by one command as well', async () => {
    const made = await setUp('h3', ['init', 'alone', '--detection', '1000', '--administrator', 'bob', '--json'])
    assert.equal(made.code, 0, made.stderr)
    const { outcome } = JSON.parse(made.stdout) as { readonly outcome: SetupOutcome }
    assert.equal(outcome.administrator?.user, 'bob')
    assert.ok(outcome.administrator.password.length > 12)
    assert.match(outcome.fingerprint ?? '', /^([0-9A-F]{2}:){31}/)
    assert.deepEqual(outcome.web, ['https://10.66.0.3:8443'])
  })
})
