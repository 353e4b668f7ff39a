/** Templates, clones and exports of disks from the request to the last record, with the real store's rules; only what reads a disk is made up. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { operationOutcome } from '@stead/core/ha/operations.ts'
import { EventWriter } from '@stead/core/host/event-writer.ts'
import { LostMakings } from '@stead/core/host/lost-makings.ts'
import { failure } from '@stead/core/errors.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import type { BlobId, GuestId, HostId, OperationId } from '@stead/core/model/ids.ts'
import { KEYS } from '@stead/core/model/keys.ts'
import { guestByName } from '@stead/core/model/records.ts'
import type { ImageDisk } from '@stead/core/model/volume.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { TestBackend } from '../backend/backend-fixture.ts'
import { realClock as clock } from '../real-clock.ts'
import { copyMaking, type CaptureOrder } from './copy-making.ts'
import { MakingWorker } from './making-worker.ts'
import type { MakingTask } from './making-task.ts'

const WAIT_MS_MAX = 10_000
const FILE = `sha256:${'c'.repeat(64)}` as BlobId
const DISK: ImageDisk = { blob: FILE, format: 'qcow2', virtualSizeBytes: 4 }

type Capture = (host: HostId, order: CaptureOrder, task: MakingTask) => Promise<Result<ImageDisk>>

const soundly: Capture = async (_host, _order, { tell, made }) => {
  tell({ step: 'copying', doneBytes: 1, totalBytes: 4 })
  await made(FILE)
  return ok(DISK)
}
const untilAborted: Capture = async (...all) => {
  await soundly(...all)
  const [, , { signal }] = all
  if (!signal.aborted)
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  return fail(failure('storage', 'killed'))
}

/** `web` does not run and has its disk on h1 and h2; `busy` runs. */
class Cluster {
  readonly backend: TestBackend
  readonly removed: BlobId[] = []
  readonly asked: string[] = []

  static async with(context: TestContext): Promise<Cluster> {
    const fixture = new ClusterFixture(3)
    fixture.guestWithDisk('web', ['h1', 'h2'], { desired: 'stopped', ha: 'stopped' })
    fixture.guestWithDisk('busy', ['h1', 'h2'])
    return new Cluster(await TestBackend.start(context, fixture))
  }

  private constructor(backend: TestBackend) {
    this.backend = backend
  }

  /** An agent's life. */
  agent(context: TestContext, captureDisk: Capture, self = 'h1' as HostId) {
    const { store, mirror, log } = this.backend
    const copies = {
      takeBack: async () => undefined,
      send: async () => {
        this.asked.push('send')
        return 'it is on h1, h2, h3'
      },
    }
    const blobs = {
      ensure: async () => ok('/file'),
      sizeBytes: async () => 7,
      remove: async (blob: BlobId) => void this.removed.push(blob),
    }
    const shared = { ...{ self, store, mirror, clock, log }, blobs, copies }
    const worker = new MakingWorker(shared, copyMaking({ ...shared, captureDisk, isUp: () => true }))
    const stop = new AbortController()
    const running = worker.run(stop.signal)
    const end = async () => {
      stop.abort()
      await running
    }
    context.after(end)
    return { end }
  }

  get state(): ClusterState {
    return this.backend.mirror.state
  }

  async until(predicate: (state: ClusterState) => boolean): Promise<void> {
    assert.ok(await this.backend.mirror.until(predicate, clock.sleep(WAIT_MS_MAX)), 'it did not come about')
  }

  guest(name: string) {
    return guestByName(this.state, name)?.value
  }
  diskOf(name: string) {
    return this.state.volumes.get(this.guest(name)!.volumes[0]!)!.value
  }
  outcome(operation: { readonly id: string }) {
    return operationOutcome(this.state.operations.get(operation.id as OperationId)!.value, this.state)
  }
}

const web = { params: { guest: 'web' } }
const isOver = ({ copies }: ClusterState) => copies.size === 0
const hasFile = ({ copies }: ClusterState) => [...copies.values()].some(({ value }) => value.files.includes(FILE))

test('a guest becomes a template once its disks are files, which three hosts have', async (context) => {
  const cluster = await Cluster.with(context)
  const { operation } = await cluster.backend.must('guest.template', web)
  assert.deepEqual([operation.state, cluster.guest('web')?.template], ['running', undefined])
  cluster.agent(context, soundly)
  await cluster.until(isOver)
  assert.deepEqual(cluster.guest('web')?.template, { disks: [DISK] })
  const { state, message } = cluster.outcome(operation)
  assert.deepEqual([state, message, cluster.asked], ['succeeded', 'it is on h1, h2, h3', ['send']])
})

test('a clone has its place at once, and its disks when the others are copied', async (context) => {
  const cluster = await Cluster.with(context)
  const body = { name: 'second', linked: true }
  const { operation } = await cluster.backend.must('guest.clone', { ...web, body })
  assert.deepEqual([cluster.diskOf('second').awaitsContent, cluster.diskOf('second').ready], [true, false])
  assert.match(cluster.outcome(operation).message, /the other's disks: waiting for its turn/)
  cluster.agent(context, soundly)
  await cluster.until(isOver)
  const { awaitsContent, content, sizeBytes } = cluster.diskOf('second')
  assert.deepEqual([awaitsContent, content], [undefined, { blob: FILE, format: 'qcow2', linked: true }])
  assert.deepEqual([sizeBytes, cluster.removed], [cluster.diskOf('web').sizeBytes, []])
  assert.deepEqual(
    [cluster.outcome(operation).state, cluster.outcome(operation).message],
    ['running', 'making its disks'],
  )
})

test('a disk becomes a file whose digest the operation tells', async (context) => {
  const cluster = await Cluster.with(context)
  const volume = cluster.diskOf('web').id
  const { operation } = await cluster.backend.must('volume.capture', { params: { volume } })
  cluster.agent(context, soundly)
  await cluster.until(isOver)
  assert.deepEqual(cluster.outcome(operation).made, { blob: FILE, sizeBytes: 7 })
  assert.deepEqual(cluster.removed, [])
})

test('of a disk that another host has it is asked, and its file is fetched', async (context) => {
  const cluster = await Cluster.with(context)
  const hosts: HostId[] = []
  await cluster.backend.must('guest.template', web)
  const seen = cluster.state.copies.values().next().value!
  await cluster.backend.put(KEYS.diskCopy(seen.value.name), { ...seen.value, host: 'h3' })
  cluster.agent(
    context,
    async (host) => {
      hosts.push(host)
      return ok(DISK)
    },
    'h3' as HostId,
  )
  await cluster.until(isOver)
  assert.deepEqual([hosts, cluster.guest('web')?.template?.disks], [['h1'], [DISK]])
})

test('a guest that runs, one that is being copied, and what is no guest are refused', async (context) => {
  const cluster = await Cluster.with(context)
  const { backend } = cluster
  for (const id of ['guest.template', 'guest.clone'] as const) {
    const refused = await backend.refused(id, { params: { guest: 'busy' }, body: { name: 'other' } })
    assert.deepEqual([refused.code, /must be stopped/.test(refused.message)], ['conflict', true])
    assert.equal((await backend.refused(id, { params: { guest: 'none' }, body: { name: 'x' } })).code, 'not_found')
  }
  await backend.must('guest.template', web)
  assert.match((await backend.refused('guest.template', web)).message, /copied already/)
  assert.equal((await backend.refused('volume.capture', { params: { volume: 'none' } })).code, 'not_found')
})

test('a clone that is called off is deleted, and its file taken away', async (context) => {
  const cluster = await Cluster.with(context)
  const { operation } = await cluster.backend.must('guest.clone', { ...web, body: { name: 'second' } })
  const agent = cluster.agent(context, untilAborted)
  await cluster.until(hasFile)
  await cluster.backend.must('guest.cancel-copy', { params: { guest: 'second' } })
  await cluster.until(isOver)
  await agent.end()
  assert.equal(cluster.guest('second')?.deleting, true)
  assert.deepEqual([cluster.outcome(operation).state, cluster.removed], ['failed', [FILE]])
  assert.equal((await cluster.backend.refused('guest.cancel-copy', web)).code, 'not_found')
})

test('a clone that is deleted meanwhile ends the copy', async (context) => {
  const cluster = await Cluster.with(context)
  await cluster.backend.must('guest.clone', { ...web, body: { name: 'second' } })
  cluster.agent(context, untilAborted)
  await cluster.until(hasFile)
  await cluster.backend.must('guest.delete', { params: { guest: 'second' } })
  await cluster.until(isOver)
  assert.equal(cluster.guest('web')?.deleting, false)
})

test('a guest that is started while its disks are copied becomes no template', async (context) => {
  const cluster = await Cluster.with(context)
  const { operation } = await cluster.backend.must('guest.template', web)
  cluster.agent(context, untilAborted)
  await cluster.until(hasFile)
  await cluster.backend.must('guest.start', { ...web, body: {} })
  await cluster.until(isOver)
  assert.equal(cluster.guest('web')?.template, undefined)
  assert.match(cluster.outcome(operation).failure?.message ?? '', /must be stopped/)
})

test('one that ran and stopped again between two looks becomes no template either', async (context) => {
  const cluster = await Cluster.with(context)
  const { operation } = await cluster.backend.must('guest.template', web)
  const id = cluster.guest('web')!.id
  cluster.agent(context, async (...all) => {
    const grant = { ...{ guest: id, host: 'h2', epoch: 1, state: 'released', clean: true }, grantedAt: 0, reason: '' }
    await cluster.backend.put(KEYS.grant(id as GuestId), grant)
    return soundly(...all)
  })
  await cluster.until(isOver)
  assert.equal(cluster.guest('web')?.template, undefined)
  assert.match(cluster.outcome(operation).failure?.message ?? '', /has run while/)
})

test('what cannot be read undoes the clone and says why', async (context) => {
  const cluster = await Cluster.with(context)
  const { operation } = await cluster.backend.must('guest.clone', { ...web, body: { name: 'second' } })
  cluster.agent(context, async () => fail(failure('no_capacity', 'There is no room', { hint: 'Make some' })))
  await cluster.until(isOver)
  assert.equal(cluster.guest('second')?.deleting, true)
  assert.deepEqual(cluster.outcome(operation).failure, {
    ...{ code: 'no_capacity', message: 'There is no room', hint: 'Make some' },
  })
})

test('an agent that ends leaves the record, and the next one begins again', async (context) => {
  const cluster = await Cluster.with(context)
  const { operation } = await cluster.backend.must('guest.template', web)
  const first = cluster.agent(context, untilAborted)
  await cluster.until(hasFile)
  await first.end()
  assert.equal(cluster.outcome(operation).state, 'running')
  cluster.agent(context, soundly)
  await cluster.until(isOver)
  assert.equal(cluster.outcome(operation).state, 'succeeded')
})

test('the copy of a host that is lost goes on on another that has the disks; without one it ends', async (context) => {
  const cluster = await Cluster.with(context)
  const { backend, state } = cluster
  const { operation } = await backend.must('guest.template', web)
  const events = new EventWriter({ ...backend, clock, host: 'h3' as HostId, bootId: 'boot' })
  const stop = new AbortController()
  const keeping = new LostMakings({ ...backend, events, clock }, () => true).run(stop.signal)
  const lose = (host: string) => {
    const status = state.statuses.get(host as HostId)!.value
    return backend.put(KEYS.status(host as HostId), { ...status, state: 'lost', reason: 'silent' })
  }
  await lose('h1')
  await cluster.until(({ copies }) => [...copies.values()].every(({ value }) => value.host === 'h2'))
  assert.equal(cluster.outcome(operation).state, 'running')
  await lose('h2')
  await cluster.until(isOver)
  stop.abort()
  await keeping
  assert.equal(cluster.outcome(operation).failure?.code, 'host_unreachable')
})
