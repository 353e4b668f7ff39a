/** The processes of a host die or hang, one by one and together: guests outlive all but those that guard them. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { acknowledgedOn, EventWatch, qemuOf, replaced, resumedAt, signal } from './support/fault-watch.ts'
import { GuardianWatch } from './support/guardian-watch.ts'
import { HttpCrowd } from './support/http-load.ts'
import { LabCluster } from './support/lab-cluster.ts'

const GUEST = 'demo'
const HOSTS = ['h1', 'h2', 'h3'] as const
const FROZEN_MS = 10_000
/** Several lives of a lease, which is 2 s in a lab. */
const CROWDED_MS = 6_000

suite('faults of processes', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let id = ''
  /** The host of the guest's other replica. */
  let remote = ''

  before(async () => {
    lab = await LabCluster.up()
    await lab.createRecorder(GUEST, { host: 'h1' })
    const guest = await lab.guest(GUEST)
    id = guest.id
    remote = guest.volumes[0]?.replicas.find((replica) => replica.host !== 'h1')?.host ?? ''
    await lab.recordsPast(GUEST, 20)
    await lab.untilProtected(GUEST)
  })
  after(() => lab?.down())

  /** The same run, the same process, in writing order; both replicas hold all. */
  async function goesOnUndisturbed(harm: () => Promise<unknown>): Promise<void> {
    const { epoch, host } = await lab.guest(GUEST)
    const pid = qemuOf(lab, GUEST)
    await harm()
    await lab.recordsPast(GUEST, acknowledgedOn(lab, host ?? '', id) + 10)
    await lab.untilProtected(GUEST)
    await lab.assertNothingLost(GUEST)
    assert.equal((await lab.guest(GUEST)).epoch, epoch)
    assert.equal(qemuOf(lab, GUEST), pid)
  }

  /** A new run at a newer epoch that starts with everything the old one was told is safe. */
  async function comesBack(harm: () => Promise<unknown>): Promise<EventWatch> {
    const { epoch, host } = await lab.guest(GUEST)
    const [old] = lab.qemuProcesses(GUEST)
    const watch = await EventWatch.begin(lab)
    const before = acknowledgedOn(lab, host ?? '', id)
    await harm()
    await lab.until(
      'it runs again',
      async () => {
        const now = await lab.guest(GUEST)
        return now.state === 'running' && now.epoch > epoch
      },
      90_000,
    )
    const now = await lab.guest(GUEST)
    // On another host the old console can still be read to its end.
    const told = now.host === host ? before : acknowledgedOn(lab, host ?? '', id)
    assert((await resumedAt(lab, GUEST)) >= told, 'acknowledged records are missing')
    assert.notEqual(qemuOf(lab, GUEST), old?.pid)
    return watch
  }

  async function whole(): Promise<void> {
    await lab.untilProtected(GUEST)
    await lab.recordsPast(GUEST, (await lab.acknowledged(GUEST)) + 5)
    await lab.assertNothingLost(GUEST)
  }

  async function online(host: string): Promise<void> {
    await lab.until(
      `${host} is online`,
      async () => (await lab.hosts()).some((each) => each.name === host && each.state === 'online'),
      90_000,
    )
  }

  test('however much the public ports are asked, nobody is suspected, fenced or moved, and no lease is lost', async (context) => {
    const watch = await EventWatch.begin(lab)
    const leases = await leasesBegun()
    const crowd = await HttpCrowd.begin(lab, HOSTS)
    const guardians = new GuardianWatch(lab, HOSTS)
    await goesOnUndisturbed(() => sleep(CROWDED_MS))
    const figures = guardians.end()
    const answers = await crowd.end()
    context.diagnostic(JSON.stringify({ ...figures, answers }))
    const answered = (kind: string, ...statuses: readonly (number | string)[]) =>
      statuses.some((status) => (answers[kind]?.[status] ?? 0) > 0)
    assert(answered('list', 200) && answered('stream', 200), 'good clients were served')
    assert(answered('sign-in', 401) && answered('oversized', 400) && answered('slow', 'begun'), 'bad clients came')
    await watch.assertNone('host.suspected', 'host.lost', 'host.fenced-itself', 'coordinator.elected')
    await watch.assertNone('grant.committed', 'guest.paused', 'replica.stale', 'daemon.restarted')
    assert(figures.views > 0 && figures.deadlineMsMin > 0)
    assert.deepEqual(await leasesBegun(), leases)
  })

  test('the agent is killed: the guest does not notice, and the next agent takes care of it', async () => {
    await goesOnUndisturbed(async () => {
      const killed = await signal(lab, 'h1', 'agent')
      await replaced(lab, 'h1', 'agent', killed)
      await online('h1')
    })
    const watch = await EventWatch.begin(lab)
    await goesOnUndisturbed(async () => {
      await signal(lab, remote, 'qsd')
      await watch.until('replica.stale', { host: remote })
    })
  })

  test('the agent hangs: the guardian ends it, and the next one takes care of the guest, which does not notice', async () => {
    await goesOnUndisturbed(async () => {
      const hanging = await signal(lab, 'h1', 'agent', 'STOP')
      await lab.until('it is gone', async () => hanging.every((pid) => !existsSync(`/proc/${pid}`)), 60_000)
      await replaced(lab, 'h1', 'agent', hanging)
    })
  })

  test('the agent is killed together with a replica: the next agent finds the guest standing still and frees it', async () => {
    const watch = await EventWatch.begin(lab)
    await goesOnUndisturbed(async () => {
      await Promise.all([signal(lab, 'h1', 'agent'), signal(lab, remote, 'qsd')])
      await watch.until('replica.stale', { host: remote })
    })
  })

  for (const daemon of ['guardian', 'etcd']) {
    test(`the ${daemon} of the guest's host is killed: it is started again, and nothing else happens`, async () => {
      const watch = await EventWatch.begin(lab)
      await goesOnUndisturbed(async () => {
        const killed = await signal(lab, 'h1', daemon)
        await replaced(lab, 'h1', daemon, killed)
        await watch.until('daemon.restarted')
        await online('h1')
      })
      await watch.assertNone('host.lost', 'grant.committed')
    })
  }

  test("the store's leader hangs: the cluster goes on with the others", async () => {
    const leader = await storeLeader()
    await goesOnUndisturbed(async () => {
      await signal(lab, leader, 'etcd', 'STOP')
      const end = performance.now() + FROZEN_MS
      try {
        // Something that only a working store can do.
        await lab.createRecorder('other', { start: false })
        await lab.must('vm', 'delete', 'other')
        await sleep(Math.max(0, end - performance.now()))
      } finally {
        await signal(lab, leader, 'etcd', 'CONT')
      }
    })
  })

  test('the whole store hangs: the guest runs on, and afterwards everything continues', async () => {
    const watch = await EventWatch.begin(lab)
    await goesOnUndisturbed(async () => {
      const before = acknowledgedOn(lab, 'h1', id)
      await Promise.all(HOSTS.map((host) => signal(lab, host, 'etcd', 'STOP')))
      await sleep(FROZEN_MS)
      assert(acknowledgedOn(lab, 'h1', id) > before, 'the guest writes without the store')
      await Promise.all(HOSTS.map((host) => signal(lab, host, 'etcd', 'CONT')))
    })
    await watch.assertNone('host.lost', 'grant.committed', 'replica.stale', 'guest.exited')
    for (const host of HOSTS) await online(host)
  })

  test('a replica is lost while the store hangs: the guest stands still rather than write what no record tells', async () => {
    const watch = await EventWatch.begin(lab)
    await goesOnUndisturbed(async () => {
      await Promise.all(HOSTS.map((host) => signal(lab, host, 'etcd', 'STOP')))
      await signal(lab, remote, 'qsd')
      let still = -1
      await lab.until('it stands still', async () => {
        const before = still
        still = acknowledgedOn(lab, 'h1', id)
        await sleep(1_000)
        return still === before
      })
      await Promise.all(HOSTS.map((host) => signal(lab, host, 'etcd', 'CONT')))
      await watch.until('replica.stale', { host: remote })
    })
  })

  test('QEMU is killed: a new run begins, and only writes in doubt are copied', async () => {
    const watch = await comesBack(() => signal(lab, 'h1', 'qemu'))
    await watch.until('guest.exited')
    const resync = await watch.until('resync.finished')
    assert.equal(resync.details?.['compared'], false, 'both bitmaps tell what is in doubt')
    await whole()
  })

  test('the deadman is killed: guests may not run without it; they end, and run again with it', async () => {
    await comesBack(async () => {
      const killed = await signal(lab, (await lab.guest(GUEST)).host ?? '', 'deadman')
      await replaced(lab, 'h1', 'deadman', killed)
    })
    await whole()
  })

  test('a host is cut off from everything: its guest moves, and the old run ends by itself', async () => {
    const home = (await lab.guest(GUEST)).host ?? ''
    const old = qemuOf(lab, GUEST)
    const seen = observeExports()
    try {
      await comesBack(async () => {
        await lab.must('lab', 'cut', home)
        await lab.until('the old QEMU is gone', () =>
          Promise.resolve(!lab.qemuProcesses(GUEST).some(({ pid }) => pid === old)),
        )
      })
      assert.notEqual((await lab.guest(GUEST)).host, home)
      await lab.must('lab', 'mend', home)
      await online(home)
      await whole()
      await lab.until('the host has told that it fenced itself', async () => {
        const events = await lab.json<readonly ClusterEvent[]>('event', 'list', '--kind', 'host.fenced-itself')
        return events.some((event) => event.subject === `host/${home}`)
      })
    } finally {
      seen.stop()
    }
    assert.deepEqual(seen.shared(), [], 'two QEMU processes had one export open')
  })

  /** Looks at the guest's QEMU processes all the time, and remembers which process named which export. */
  function observeExports(): { stop: () => void; shared: () => string[] } {
    const users = new Map<string, Set<number>>()
    const timer = setInterval(() => {
      for (const { pid, exports } of lab.qemuProcesses(GUEST))
        for (const name of exports) users.set(name, (users.get(name) ?? new Set()).add(pid))
    }, 20)
    return {
      stop: () => clearInterval(timer),
      shared: () => [...users].filter(([, pids]) => pids.size > 1).map(([name]) => name),
    }
  }

  /** By host: the revision at which its lease was taken. It is another one when the lease was lost meanwhile. */
  async function leasesBegun(): Promise<Readonly<Record<string, number>>> {
    const { stdout } = await lab.etcdctl('h1', 'get', '--prefix', '/stead/liveness/', '--write-out=json')
    const { kvs } = JSON.parse(stdout) as { kvs: { key: string; create_revision: number }[] }
    const begun = kvs.map(({ key, create_revision: revision }) => [Buffer.from(key, 'base64').toString(), revision])
    assert.equal(begun.length, HOSTS.length)
    return Object.fromEntries(begun) as Record<string, number>
  }

  /** The host whose store answers that it leads. */
  async function storeLeader(): Promise<string> {
    for (const host of HOSTS) {
      const command = lab.etcdctlCommand(host, 'endpoint', 'status', '--write-out=json')
      const answer = await lab.must('lab', 'exec', host, '--', ...command)
      const [{ Status: status }] = JSON.parse(answer) as [{ Status: { header: { member_id: number }; leader: number } }]
      if (status.leader === status.header.member_id) return host
    }
    throw new Error('no store leads')
  }
})
