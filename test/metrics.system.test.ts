/** What hosts measure, on a real cluster: a guest that writes, and a host that is gone. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { MetricsView } from '@stead/api/endpoints/metrics.ts'
import { LabCluster } from './support/lab-cluster.ts'

const NAME = 'writer'

suite('metrics', { timeout: 300_000 }, () => {
  let lab: LabCluster
  let [home, other] = ['', '']
  before(async () => {
    lab = await LabCluster.up({ hosts: 3 })
    await lab.createRecorder(NAME, { host: 'h1' })
    await lab.untilProtected(NAME)
    const { volumes } = await lab.guest(NAME)
    home = 'h1'
    other = volumes[0]?.replicas.find(({ host }) => host !== home)?.host ?? ''
  })
  after(() => lab.down())

  const metrics = async (host: string): Promise<MetricsView | undefined> => {
    const answer = await lab.clientOf([host]).call(ENDPOINTS['guest.metrics'], { params: { guest: NAME }, query: {} })
    return answer.ok ? answer.value : undefined
  }
  const last = ({ series }: MetricsView, metric: string) => series[metric]?.findLast((figure) => figure !== null) ?? 0

  test('what a guest asks of its disk and of its host is told by any host', async () => {
    await lab.until(
      'its writes were measured',
      async () => {
        const view = await metrics('h3')
        return view !== undefined && last(view, 'writesPerSecond') > 0
      },
      60_000,
    )
    const view = (await metrics('h2'))!
    assert.deepEqual([view.hosts, view.silent], [[home], []])
    assert.ok(last(view, 'cpuCores') > 0)
    assert.ok(last(view, 'memoryBytes') > 2 ** 24)
    assert.ok(last(view, 'writeLatencyMs') > 0)
  })

  test('it is named as a cause of the load of both pools that it writes to, and of no other', async () => {
    const answer = await lab.clientOf(['h3']).call(ENDPOINTS['storage.load'], {})
    assert.ok(answer.ok)
    const causedOn = answer.value.items.filter(({ causes }) => causes.some(({ guest }) => guest === NAME))
    assert.deepEqual(causedOn.map(({ host }) => host).toSorted(), [home, other].toSorted())
    assert.ok(answer.value.items.every(({ nowRatio }) => nowRatio !== null))
    const table = await lab.must('host', 'storage-load')
    assert.match(table, new RegExp(`^${home} +default .*${NAME} \\d`, 'm'))
  })

  test('a host that is down is named, and what it measured is there again with it', async () => {
    const before = (await metrics(other))!
    const known = before.series['cpuCores']!.filter((figure) => figure !== null).length
    await lab.must('lab', 'power-off', home)
    await lab.until('the guest runs elsewhere', async () => {
      const guest = await lab.guest(NAME)
      return guest.state === 'running' && guest.host !== home
    })
    await lab.until('it is missed', async () => (await metrics(other))?.silent.includes(home) === true)
    await lab.must('lab', 'power-on', home)
    await lab.until(
      'its part is back, and the other one begun',
      async () => {
        const view = await metrics(home)
        const measured = view?.series['cpuCores']?.filter((figure) => figure !== null).length ?? 0
        return view?.hosts.length === 2 && view.hosts.includes(home) && measured > known
      },
      90_000,
    )
  })
})
