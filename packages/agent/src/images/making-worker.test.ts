/** The work on imports as records, with the real store's rules; how an image is made is the importer's own test. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { recordDecoder } from '@stead/api/records.ts'
import { failure } from '@stead/core/errors.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { ClusterMirror } from '@stead/core/host/cluster-mirror.ts'
import { EventWriter } from '@stead/core/host/event-writer.ts'
import { putImport } from '@stead/core/host/import-records.ts'
import { LostMakings } from '@stead/core/host/lost-makings.ts'
import type { ClusterState } from '@stead/core/model/cluster.ts'
import { MAKING_BEGUN_MAX } from '@stead/core/model/file-making.ts'
import type { ImageImport } from '@stead/core/model/image-import.ts'
import type { BlobId, HostId, OperationId } from '@stead/core/model/ids.ts'
import { KEYS, PREFIX } from '@stead/core/model/keys.ts'
import type { Operation } from '@stead/core/model/operation.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { MemoryStoreServer } from '@stead/sim/memory-store.ts'
import { realClock as clock } from '../real-clock.ts'
import { ImageCopies, type ForgetOrder } from './image-copies.ts'
import type { ImageImporter, ImportedImage } from './image-import.ts'
import type { MakingTask } from './making-task.ts'
import { importMaking } from './import-making.ts'
import { MakingWorker } from './making-worker.ts'

const WAIT_MS_MAX = 10_000
const UPLOAD = `sha256:${'a'.repeat(64)}` as BlobId
const MADE = `sha256:${'b'.repeat(64)}` as BlobId
const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

type Make = (task: MakingTask) => Promise<Result<ImportedImage>>

const soundly: Make = async ({ tell, made }) => {
  tell({ step: 'converting', doneBytes: 1, totalBytes: 4 })
  await made(MADE)
  return ok({ kind: 'disk', disks: [{ blob: MADE, format: 'qcow2', virtualSizeBytes: 4 }] })
}
const untilAborted: Make = async (task) => {
  await soundly(task)
  if (!task.signal.aborted)
    await new Promise<void>((resolve) => task.signal.addEventListener('abort', () => resolve(), { once: true }))
  return fail(failure('invalid_image', 'killed'))
}

/** A cluster with one import that h1 is to do, and what its hosts were asked. */
class Cluster {
  readonly server = new MemoryStoreServer(clock)
  readonly store = this.server.client()
  readonly mirror = new ClusterMirror(recordDecoder, silent)
  readonly removed: BlobId[] = []
  readonly asked: string[] = []
  readonly fetches: Record<string, Result<unknown>> = {}
  readonly #stopping = new AbortController()

  static async with(context: TestContext, begun = 0): Promise<Cluster> {
    const cluster = new Cluster()
    const { hosts, statuses } = new ClusterFixture(4).state
    const put = (key: string, value: unknown) => ({ kind: 'put' as const, key, value: JSON.stringify(value) })
    const record: ImageImport = {
      ...{ name: 'debian', id: 'i1', host: 'h1' as HostId, source: UPLOAD, target: { kind: 'disk', format: 'raw' } },
      ...{ begun, progress: { step: 'waiting' }, files: [], createdAt: 0 },
    }
    const operation: Operation = {
      ...{ id: 'o1' as OperationId, kind: 'image.import', subject: 'image/debian' },
      ...{ state: 'running', progress: 0, message: 'accepted', startedAt: 0 },
    }
    await cluster.store.transact({
      compares: [],
      writes: [
        ...[...hosts].map(([id, { value }]) => put(KEYS.host(id), value)),
        ...[...statuses].map(([id, { value }]) => put(KEYS.status(id), value)),
        putImport(record),
        put(KEYS.operation(operation.id), operation),
      ],
    })
    const following = cluster.mirror.follow(cluster.store, cluster.#stopping.signal)
    context.after(async () => {
      cluster.#stopping.abort()
      await following
      cluster.server.close()
    })
    await cluster.until((state) => state.imports.size === 1)
    return cluster
  }

  /** An agent's life on h1. */
  agent(context: TestContext, make: Make) {
    const { store, mirror } = this
    const stop = new AbortController()
    const self = 'h1' as HostId
    const events = new EventWriter({ store, clock, host: self, bootId: 'boot', log: silent })
    const copies = new ImageCopies({
      ...{ self, log: silent, state: () => mirror.state },
      online: () => ['h2', 'h3', 'h4'] as HostId[],
      fetchOn: async (host) => {
        this.asked.push(`fetch ${host}`)
        return this.fetches[host] ?? ok()
      },
      forgetOn: async (host, { blobs }: ForgetOrder) => {
        this.asked.push(`forget ${host} ${blobs.join()}`)
        return ok()
      },
    })
    const blobs = {
      find: () => '/upload',
      ensure: async () => ok('/upload'),
      sizeBytes: async () => 4,
      receivedBytes: async () => 4,
      remove: async (blob: BlobId) => void this.removed.push(blob),
    }
    const importer: Pick<ImageImporter, 'import' | 'importRoot'> = {
      import: (_request, task) => make(task!),
      importRoot: async () => fail(failure('internal', 'no')),
    }
    const shared = { ...{ self, store, mirror, clock, events, log: silent }, blobs, copies }
    const worker = new MakingWorker(shared, importMaking({ ...shared, importer }))
    const running = worker.run(stop.signal)
    const end = async () => {
      stop.abort()
      await running
    }
    context.after(end)
    return { end }
  }

  async until(predicate: (state: ClusterState) => boolean): Promise<void> {
    assert.ok(await this.mirror.until(predicate, clock.sleep(WAIT_MS_MAX)), 'it did not come about')
  }

  get operation(): Operation {
    return this.mirror.state.operations.get('o1' as OperationId)!.value
  }
  get record(): ImageImport | undefined {
    return this.mirror.state.imports.get('debian')?.value
  }

  async events(): Promise<string[]> {
    const found = await this.store.range(`${PREFIX}events/`)
    return found.ok ? found.value.entries.map(({ value }) => (JSON.parse(value) as { kind: string }).kind) : []
  }
}

const isOver = (state: ClusterState) => state.imports.size === 0

test('the image, the end of the operation and of the record come at once, with copies on two more hosts', async (context) => {
  const cluster = await Cluster.with(context)
  cluster.agent(context, soundly)
  await cluster.until(isOver)
  const image = cluster.mirror.state.images.get('debian')?.value
  assert.deepEqual([image?.kind, image?.blob, image?.virtualSizeBytes], ['disk', MADE, 4])
  assert.deepEqual([cluster.operation.state, cluster.operation.message], ['succeeded', 'it is on h1, h2, h3'])
  assert.deepEqual([cluster.asked, cluster.removed], [['fetch h2', 'fetch h3'], []])
  assert.deepEqual(await cluster.events(), ['image.imported'])
})

test('a host that cannot take a copy is stood in for by another', async (context) => {
  const cluster = await Cluster.with(context)
  cluster.fetches['h2'] = fail(failure('no_capacity', 'its disk is full'))
  cluster.agent(context, soundly)
  await cluster.until(isOver)
  assert.equal(cluster.operation.message, 'it is on h1, h3, h4')
})

test('a file that was made is named by the record before it is kept, and taken away when it is called off', async (context) => {
  const cluster = await Cluster.with(context)
  const agent = cluster.agent(context, untilAborted)
  await cluster.until(({ imports }) => imports.get('debian')?.value.files.includes(MADE) ?? false)
  await cluster.store.transact({ compares: [], writes: [{ kind: 'delete', key: KEYS.imageImport('debian') }] })
  await cluster.until(isOver)
  await agent.end()
  assert.deepEqual(cluster.removed, [MADE])
  assert.deepEqual(
    cluster.asked,
    ['h2', 'h3', 'h4'].map((host) => `forget ${host} ${MADE}`),
  )
  assert.equal(cluster.mirror.state.images.size, 0)
})

test('what another image names is not taken away with an import that was called off', async (context) => {
  const cluster = await Cluster.with(context)
  const agent = cluster.agent(context, untilAborted)
  await cluster.until(({ imports }) => imports.get('debian')?.value.files.includes(MADE) ?? false)
  const same = { name: 'same', blob: MADE, format: 'qcow2', virtualSizeBytes: 4, createdAt: 0 }
  await cluster.store.transact({
    compares: [],
    writes: [
      { kind: 'put', key: KEYS.image('same'), value: JSON.stringify(same) },
      { kind: 'delete', key: KEYS.imageImport('debian') },
    ],
  })
  await cluster.until(isOver)
  await agent.end()
  assert.deepEqual([cluster.removed, cluster.asked], [[], []])
})

test('the reason for which it failed is the last word, with its hint, and nothing is left', async (context) => {
  const cluster = await Cluster.with(context)
  cluster.agent(context, async (task) => {
    await soundly(task)
    return fail(failure('no_capacity', 'There is no room', { hint: 'Make some' }))
  })
  await cluster.until(isOver)
  const { state, failure: why } = cluster.operation
  assert.deepEqual([state, why], ['failed', { code: 'no_capacity', message: 'There is no room', hint: 'Make some' }])
  await cluster.until(() => cluster.removed.length > 0)
  assert.deepEqual([cluster.removed, await cluster.events()], [[MADE], ['image.import-failed']])
})

test('a disk that is full where nobody expected it is told as such', async (context) => {
  const cluster = await Cluster.with(context)
  cluster.agent(context, async () => Promise.reject(Object.assign(new Error('write'), { code: 'ENOSPC' })))
  await cluster.until(isOver)
  assert.equal(cluster.operation.failure?.code, 'no_capacity')
})

test('an agent that ends leaves the record, and the next one begins again', async (context) => {
  const cluster = await Cluster.with(context)
  const first = cluster.agent(context, untilAborted)
  await cluster.until(({ imports }) => imports.get('debian')?.value.files.includes(MADE) ?? false)
  await first.end()
  assert.deepEqual([cluster.record?.begun, cluster.operation.state], [1, 'running'])
  let begun: ImageImport | undefined
  cluster.agent(context, (task) => {
    begun = cluster.record
    return soundly(task)
  })
  await cluster.until(isOver)
  assert.deepEqual([begun?.begun, begun?.files, cluster.operation.state], [2, [], 'succeeded'])
})

test('an upload that has ended too many agents is given up', async (context) => {
  const cluster = await Cluster.with(context, MAKING_BEGUN_MAX)
  cluster.agent(context, async () => assert.fail('it was begun once more'))
  await cluster.until(isOver)
  assert.match(cluster.operation.failure?.message ?? '', /ended 5 times/)
})

test('an answer of the store that is lost does no harm: the image is there once', async (context) => {
  const cluster = await Cluster.with(context)
  const agent = cluster.agent(context, async (task) => {
    const made = await soundly(task)
    cluster.server.loseNextAnswer()
    return made
  })
  await cluster.until(isOver)
  await agent.end()
  assert.equal(cluster.operation.state, 'succeeded')
  assert.deepEqual([cluster.removed, await cluster.events()], [[], ['image.imported']])
})

test('the import of a host that is lost ends with that as its reason, whoever coordinates', async (context) => {
  const cluster = await Cluster.with(context)
  const { store, mirror } = cluster
  const events = new EventWriter({ store, clock, host: 'h2' as HostId, bootId: 'boot', log: silent })
  const stop = new AbortController()
  let coordinating = false
  const keeping = new LostMakings({ store, mirror, events, clock, log: silent }, () => coordinating).run(stop.signal)
  const lost = { state: 'lost', bootId: 'boot-h1-1', since: 0, reason: 'silent' }
  const write = { kind: 'put', key: KEYS.status('h1' as HostId), value: JSON.stringify(lost) } as const
  await store.transact({ compares: [], writes: [write] })
  await cluster.until(({ statuses }) => statuses.get('h1' as HostId)?.value.state === 'lost')
  assert.equal(cluster.record?.id, 'i1')
  coordinating = true
  await cluster.until(isOver)
  stop.abort()
  await keeping
  assert.deepEqual([cluster.operation.state, cluster.operation.failure?.code], ['failed', 'host_unreachable'])
  assert.match(cluster.operation.message, /h1, which was importing it, is lost/)
})
