import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { HostId, OperationId } from '../model/ids.ts'
import type { Operation } from '../model/operation.ts'
import { ClusterFixture } from './cluster-fixture.ts'
import { failuresMax } from '../model/guest.ts'
import { decide } from './coordinator.ts'
import type { Action } from './plan.ts'
import { objectionTo } from './safety.ts'

function actionsOf(cluster: ClusterFixture, self = 'h1'): Action[] {
  return decide(cluster.input(self)).actions.map((planned) => planned.action)
}

function grantsOf(cluster: ClusterFixture, self = 'h1') {
  return actionsOf(cluster, self).flatMap((action) => (action.kind === 'grant' ? [action] : []))
}

suite('starting guests', () => {
  test('a new guest is granted where its disk is', () => {
    const cluster = new ClusterFixture()
    cluster.guestWithDisk('web', ['h2', 'h3'])
    const [grant] = grantsOf(cluster)
    assert.equal(grant?.grant.host, 'h2')
    assert.equal(grant?.grant.epoch, 1)
    assert.deepEqual(
      grant?.volumes[0]?.replicas.map((replica) => replica.state),
      ['in-sync', 'in-sync'],
    )
  })

  test('the host that was asked for comes before the one with the disk', () => {
    const cluster = new ClusterFixture()
    cluster.guestWithDisk('web', ['h2', 'h3'], { preferredHost: 'h1' as HostId })
    assert.equal(grantsOf(cluster)[0]?.grant.host, 'h1')
  })

  test('nothing is granted while its disks are being made', () => {
    const cluster = new ClusterFixture()
    const { volume } = cluster.guestWithDisk('web', ['h2', 'h3'])
    cluster.state.volumes.set(volume.id, { value: { ...volume, ready: false }, revision: 99n })
    assert.deepEqual(actionsOf(cluster), [])
  })

  test('two guests of one plan share the memory that is there', () => {
    const cluster = new ClusterFixture(2)
    cluster.guest('one', { memoryBytes: 6 * 2 ** 30 })
    cluster.guest('two', { memoryBytes: 6 * 2 ** 30 })
    assert.deepEqual(
      grantsOf(cluster)
        .map((action) => action.grant.host)
        .toSorted(),
      ['h1', 'h2'],
    )
  })

  test('a guest that no host can hold waits, and the reasons name every host', () => {
    const cluster = new ClusterFixture(2, { witness: true })
    cluster.guest('big', { memoryBytes: 100 * 2 ** 30 })
    const [action] = actionsOf(cluster)
    assert(action?.kind === 'explain')
    assert.equal(action.decision.action, 'wait')
    assert.deepEqual(action.decision.candidates.map((candidate) => candidate.host).toSorted(), ['h1', 'h2', 'witness'])
    assert(action.decision.candidates.every((candidate) => candidate.rejectedBecause !== ''))
  })

  test('a stopped guest and one that failed too often are left alone', () => {
    const cluster = new ClusterFixture()
    cluster.guest('off', { desired: 'stopped', ha: 'stopped' })
    const broken = cluster.guest('broken')
    cluster.grant(broken, 'h1', { state: 'released' })
    cluster.observe(broken, { failures: failuresMax(broken), phase: 'stopped' })
    assert.deepEqual(actionsOf(cluster), [])
  })

  test('after two failures on a host another one is tried', () => {
    const cluster = new ClusterFixture()
    const { guest } = cluster.guestWithDisk('web', ['h1', 'h2'])
    cluster.grant(guest, 'h1', { state: 'released', epoch: 4 })
    cluster.observe(guest, { failures: 1, phase: 'stopped' })
    assert.equal(grantsOf(cluster)[0]?.grant.host, 'h1')
    cluster.observe(guest, { failures: 2, phase: 'stopped' })
    assert.equal(grantsOf(cluster)[0]?.grant.host, 'h2')
  })
})

suite('loss of a host', () => {
  test('its guest goes to the host with the other replica, at the next epoch, and the lost replica is stale', () => {
    const cluster = new ClusterFixture()
    const { guest } = cluster.guestWithDisk('web', ['h3', 'h2'])
    cluster.grant(guest, 'h3', { epoch: 7 })
    cluster.silence('h3')
    const actions = actionsOf(cluster)
    assert(
      actions.some((action) => action.kind === 'host-status' && action.host === 'h3' && action.status.state === 'lost'),
    )
    const [action] = grantsOf(cluster)
    assert.equal(action?.grant.host, 'h2')
    assert.equal(action?.grant.epoch, 8)
    const [lost, survivor] = action?.volumes[0]?.replicas ?? []
    assert.equal(lost?.state, 'stale')
    assert.equal(lost?.stale?.cause, 'unknown', 'its bitmap died with it, so everything must be compared')
    assert.equal(survivor?.state, 'in-sync')
    assert.equal(action?.decision.action, 'recover')
  })

  test('when both replicas are up after a crash of the compute host, one leads and the other follows it', () => {
    const cluster = new ClusterFixture()
    const { guest } = cluster.guestWithDisk('web', ['h1', 'h2'])
    cluster.grant(guest, 'h3')
    cluster.silence('h3')
    const [action] = grantsOf(cluster)
    const replicas = action?.volumes[0]?.replicas ?? []
    assert.equal(replicas.filter((replica) => replica.state === 'in-sync').length, 1)
    assert.equal(replicas.find((replica) => replica.state === 'stale')?.stale?.cause, 'run-lost')
    assert.equal(replicas.find((replica) => replica.state === 'in-sync')?.host, action?.grant.host)
  })

  test('a guest whose only current copy is on the lost host waits and says for which host', () => {
    const cluster = new ClusterFixture()
    const stale = { sinceEpoch: 2, since: 5_000, reason: 'cut', cause: 'leg-lost' } as const
    const { guest } = cluster.guestWithDisk('web', [
      'h3',
      { host: 'h2' as HostId, pool: 'default', state: 'stale', stale },
    ])
    cluster.grant(guest, 'h3', { epoch: 2 })
    cluster.lose('h3')
    assert.deepEqual(grantsOf(cluster), [])
    const action = actionsOf(cluster).find((candidate) => candidate.kind === 'explain')
    assert.match(action?.decision.outcome ?? '', /only current copy .* h3/)
    assert.match(action?.decision.outcome ?? '', /h2 has a copy that stopped at epoch 2/)
  })

  test('--accept-data-loss takes the stale copy, once, and the newer one becomes the stale one', () => {
    const cluster = new ClusterFixture()
    const stale = { sinceEpoch: 2, since: 5_000, reason: 'cut', cause: 'leg-lost' } as const
    const accepted = { acceptDataLoss: { host: 'h2' as HostId, atEpoch: 2 } }
    const { guest } = cluster.guestWithDisk(
      'web',
      ['h3', { host: 'h2' as HostId, pool: 'default', state: 'stale', stale }],
      accepted,
    )
    cluster.grant(guest, 'h3', { epoch: 2 })
    cluster.lose('h3')
    const [action] = grantsOf(cluster)
    assert.equal(action?.acceptedLoss, 'h2')
    assert.deepEqual(
      action?.volumes[0]?.replicas.map((replica) => [replica.host, replica.state, replica.stale?.cause]),
      [
        ['h3', 'stale', 'unknown'],
        ['h2', 'in-sync', undefined],
      ],
    )
    cluster.grant(guest, 'h3', { epoch: 3 })
    assert.deepEqual(grantsOf(cluster), [], 'the word was given for epoch 2 only')
  })

  test('a host counts as up in the boot in which it is heard, and its guests wait for it that long', () => {
    const cluster = new ClusterFixture()
    const { guest } = cluster.guestWithDisk('web', ['h2', 'h3'])
    cluster.grant(guest, 'h3', { state: 'released' })
    // All hosts have booted anew; of h3 nothing was heard yet, but its agent has registered.
    const h3 = cluster.state.hosts.get('h3' as HostId)
    assert(h3)
    cluster.state.hosts.set('h3' as HostId, { ...h3, value: { ...h3.value, bootId: 'boot-h3-2' } })
    cluster.bootIds.set('h3' as HostId, '')
    assert.deepEqual(grantsIn(cluster), [])
    // It stays silent, and is recorded lost.
    cluster.lose('h3')
    assert.deepEqual(grantsIn(cluster), ['web runs on h2'])
  })

  test('the data of a host that has not been heard in its new boot is not there yet', () => {
    const cluster = new ClusterFixture()
    cluster.guestWithDisk('web', ['h3'])
    cluster.bootIds.set('h3' as HostId, '')
    assert.deepEqual(grantsIn(cluster), [])
  })

  test('an ignored guest that has crashed is left alone; one that was never tried is started', () => {
    const cluster = new ClusterFixture()
    const crashed = cluster.guest('crashed', { ha: 'ignored' })
    cluster.grant(crashed, 'h2', { state: 'released' })
    cluster.observe(crashed, { phase: 'failed', failures: 1 })
    cluster.guest('fresh', { ha: 'ignored' })
    const granted = decide(cluster.input()).actions.flatMap(({ action }) =>
      action.kind === 'grant' ? action.guest.name : [],
    )
    assert.deepEqual(granted, ['fresh'])
  })

  test('an ignored guest on a lost host is left alone; a stopping one is released', () => {
    const cluster = new ClusterFixture()
    const ignored = cluster.guest('ignored', { ha: 'ignored' })
    cluster.grant(ignored, 'h3')
    const stopping = cluster.guest('stopping', { ha: 'stopped', desired: 'stopped' })
    cluster.grant(stopping, 'h3')
    cluster.lose('h3')
    const kinds = actionsOf(cluster).map((action) => [
      action.kind,
      'guest' in action && typeof action.guest === 'object' ? action.guest.name : '',
    ])
    assert.deepEqual(kinds, [['release-lost', 'stopping']])
  })

  test('what a stopping guest had on the lost host is no source for its next run', () => {
    const cluster = new ClusterFixture()
    const { guest, volume } = cluster.guestWithDisk('web', ['h3', 'h2'], { desired: 'stopped' })
    cluster.grant(guest, 'h3')
    cluster.lose('h3')
    const [action] = actionsOf(cluster)
    assert(action?.kind === 'release-lost')
    assert.deepEqual(
      action.volumes.map(({ id, replicas }) => [id, replicas.map(({ state }) => state)]),
      [[volume.id, ['stale', 'in-sync']]],
    )
    // Its disks had not flushed all that the guest was told is written; without another copy there is no choice.
    const single = new ClusterFixture()
    const only = single.guestWithDisk('web', ['h3'], { desired: 'stopped' })
    single.grant(only.guest, 'h3')
    single.lose('h3')
    const [released] = actionsOf(single)
    assert(released?.kind === 'release-lost')
    assert.deepEqual(released.volumes, [])
  })

  test('a host that only this coordinator does not hear is not lost, and gets no guests', () => {
    const cluster = new ClusterFixture()
    cluster.guestWithDisk('web', ['h2', 'h3'])
    cluster.verdicts.set('h2' as HostId, 'silent-here')
    assert.equal(grantsOf(cluster)[0]?.grant.host, 'h3')
    assert(!actionsOf(cluster).some((action) => action.kind === 'host-status'))
  })

  test('a host that is heard again is online; a host never heard is not', () => {
    const cluster = new ClusterFixture()
    cluster.lose('h2')
    cluster.lose('h3')
    cluster.verdicts.set('h2' as HostId, 'heard')
    cluster.bootIds.set('h2' as HostId, 'boot-h2-2')
    cluster.verdicts.set('h3' as HostId, 'heard')
    cluster.bootIds.set('h3' as HostId, '')
    assert.deepEqual(
      actionsOf(cluster).map((action) => action.kind === 'host-status' && [action.host, action.status.state]),
      [['h2', 'online']],
    )
  })

  test('the witness takes no guest', () => {
    const cluster = new ClusterFixture(2, { witness: true })
    const { guest } = cluster.guestWithDisk('web', ['h1', 'h2'])
    cluster.grant(guest, 'h1')
    cluster.silence('h1')
    assert.equal(grantsOf(cluster, 'witness')[0]?.grant.host, 'h2')
  })
})

suite('drain', () => {
  const recalled = (cluster: ClusterFixture) =>
    actionsOf(cluster).flatMap((action) => (action.kind === 'recall' ? [action.guest.name] : []))

  test('small hosts move two guests at a time, and only those that another host can take', () => {
    const cluster = new ClusterFixture(2)
    for (const name of ['a', 'b', 'c']) cluster.grant(cluster.guest(name), 'h1')
    cluster.grant(cluster.guest('huge', { memoryBytes: 9 * 2 ** 30 }), 'h1')
    cluster.maintain('h1')
    assert.deepEqual(recalled(cluster), ['a', 'b'])
  })

  test('hosts with more processors move more, the important ones first; one that is under way has its place', () => {
    const cluster = new ClusterFixture(3)
    for (const [id, host] of cluster.state.hosts)
      cluster.state.hosts.set(id, { ...host, value: { ...host.value, cpuCount: 16 } })
    for (const name of ['a', 'b', 'c', 'd']) cluster.grant(cluster.guest(name), 'h1')
    cluster.grant(cluster.guest('first', { priority: 9 }), 'h1')
    cluster.grant(cluster.guest('leaving'), 'h1', { state: 'recalled' })
    cluster.maintain('h1')
    assert.deepEqual(recalled(cluster), ['first', 'a', 'b'])
  })
})

suite('deletion', () => {
  test('waits for the end of the run, then leaves a removal for each replica', () => {
    const cluster = new ClusterFixture()
    const { guest } = cluster.guestWithDisk('web', ['h1', 'h2'], { deleting: true, desired: 'stopped' })
    cluster.grant(guest, 'h1')
    assert.deepEqual(actionsOf(cluster), [])
    cluster.grant(guest, 'h1', { state: 'released' })
    const [action] = actionsOf(cluster)
    assert(action?.kind === 'erase')
    assert.equal(action.volumes.length, 1)
  })
})

suite('safety', () => {
  test('every action of every plan above passes; wrong ones do not', () => {
    const cluster = new ClusterFixture()
    const { guest, volume } = cluster.guestWithDisk('web', ['h1', 'h2'])
    cluster.grant(guest, 'h1', { epoch: 3 })
    const decision = {
      guest: 'web',
      action: 'start',
      outcome: '',
      epoch: 4,
      decidedAt: 0,
      coordinator: 'h1',
      facts: [],
      candidates: [],
    } as const
    const next = {
      guest: guest.id,
      epoch: 4,
      host: 'h2' as HostId,
      state: 'held',
      clean: false,
      grantedAt: 0,
      reason: '',
    } as const
    const action = { kind: 'grant', guest, grant: next, volumes: [volume], decision } as const
    assert.match(objectionTo(action, cluster.state) ?? '', /h1 holds the guest/)
    cluster.lose('h1')
    assert.match(objectionTo(action, cluster.state) ?? '', /may differ/)
    const single = {
      ...volume,
      replicas: volume.replicas.map((replica) =>
        replica.host === 'h1' ? { ...replica, state: 'stale' as const } : replica,
      ),
    }
    assert.equal(objectionTo({ ...action, volumes: [single] }, cluster.state), undefined)
    assert.match(
      objectionTo({ ...action, volumes: [single], grant: { ...next, epoch: 6 } }, cluster.state) ?? '',
      /epochs grow by one/,
    )
    const none = { ...volume, replicas: volume.replicas.map((replica) => ({ ...replica, state: 'stale' as const })) }
    assert.match(objectionTo({ ...action, volumes: [none] }, cluster.state) ?? '', /no current replica/)
  })
})

function grantsIn(cluster: ClusterFixture): string[] {
  return decide(cluster.input()).actions.flatMap(({ action }) =>
    action.kind === 'grant' ? `${action.guest.name} runs on ${action.grant.host}` : [],
  )
}

test('an operation ends no earlier than it began, though another host with another clock has begun it', () => {
  const ended = [999_000, 1_000_500].map((startedAt) => {
    const cluster = new ClusterFixture()
    const operation: Operation = {
      ...{ id: 'o' as OperationId, kind: 'host.undrain', subject: 'host/h1', state: 'running' },
      ...{ progress: 0, message: '', startedAt },
    }
    cluster.state.operations.set(operation.id, { value: operation, revision: 1n })
    const [finished] = actionsOf(cluster).flatMap((action) => (action.kind === 'finish-operation' ? [action] : []))
    return finished?.operation.finishedAt
  })
  assert.deepEqual(ended, [1_000_000, 1_000_500])
})
