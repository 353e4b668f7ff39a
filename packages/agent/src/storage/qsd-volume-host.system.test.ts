/** What only real storage daemons can show: death, standstill, adoption. The port's own behaviour is in the contract. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { LegHealth } from '@stead/core/ports/leg-watch.ts'
import type { Result } from '@stead/core/result.ts'
import { signal, waitGone } from '../process/detached.ts'
import { LegProbe } from './leg-probe.ts'
import { connectExport, makeQsdFixture, POOL, SECOND_POOL, type QsdFixture, type QsdSide } from './qsd-fixture.ts'

const BLOCK = 64 * 1024
const SIZE = 8 * 1024 * 1024

function system(
  title: string,
  body: (fixture: QsdFixture, volume: VolumeId) => Promise<void>,
  capacityBytes?: number,
): void {
  test(title, { timeout: 60_000 }, async () => {
    const fixture = await makeQsdFixture(capacityBytes)
    try {
      await body(fixture, randomUUID().replaceAll('-', '') as VolumeId)
    } finally {
      await fixture.close()
    }
  })
}

system('a replica is allocated whole, and stays so when its guest writes zeros', async ({ source, folder }, volume) => {
  await create(source, volume)
  const path = `${folder}/a/${volume}.raw`
  assert.ok((await stat(path)).blocks * 512 >= SIZE)
  const client = value(await connectExport(await serve(source, volume)))
  value(await client.write(0, Buffer.alloc(BLOCK * 4)))
  value(await client.flush())
  await client.close()
  assert.ok((await stat(path)).blocks * 512 >= SIZE)
})

system('one replica that was just made spares another one nothing', async ({ source, folder }, volume) => {
  const [noted, programs] = [`${folder}/synchronized`, `${folder}/programs`]
  await mkdir(programs)
  await writeFile(`${programs}/sync`, `#!/bin/sh\necho "$@" >> ${noted}\nexec /bin/sync "$@"\n`, { mode: 0o755 })
  await writeFile(noted, '')
  const { PATH } = process.env
  process.env['PATH'] = `${programs}:${PATH}`
  try {
    await create(source, volume)
    value(await source.volumes.ensureDaemon(SECOND_POOL))
    await serve(source, volume)
    value(await source.volumes.createReplica({ volume, pool: SECOND_POOL, sizeBytes: SIZE }))
    source.record(volume, { epoch: 2, inSync: true })
    value(await source.volumes.exportToGuest({ volume, pool: POOL, epoch: 2, syncPoint: 'sp', rejoining: false }))
    assert.match(await readFile(noted, 'utf8'), new RegExp(`${folder}/a/${volume}.raw`))
  } finally {
    process.env['PATH'] = PATH
  }
})

system(
  'a monitor that closes is no end of its daemon: what is asked meanwhile waits for the next',
  async ({ source }, volume) => {
    await create(source, volume)
    const daemon = value(source.volumes.daemon(POOL))
    const ends: string[] = []
    source.volumes.onDaemonExit((_, reason) => ends.push(reason))
    const pid = daemon.process?.pid
    value(daemon.monitor()).close()
    const client = value(await connectExport(await serve(source, volume)))
    value(await client.write(0, Buffer.alloc(BLOCK)))
    await client.close()
    assert.deepEqual([daemon.process?.pid, ends], [pid, []])
  },
)

system('exports come and go beside busy ones', async ({ source, target }, volume) => {
  await create(source, volume)
  const client = value(await connectExport(await serve(source, volume)))
  const stop = new AbortController()
  const busy = (async () => {
    for (let at = 0; !stop.signal.aborted; at = (at + BLOCK) % SIZE)
      value(await client.write(at, Buffer.alloc(BLOCK, at / BLOCK + 1)))
  })()
  try {
    for (let round = 0; round < 40; round += 1) {
      const reading = [
        source.volumes.dirtyRanges(volume, POOL, 'sp'),
        source.volumes.digests(volume, POOL, { offset: 0, length: SIZE }),
      ] as const
      for (const result of await Promise.all(reading)) value<readonly unknown[]>(result)
    }
  } finally {
    stop.abort()
    await busy
  }
  await onlyExport(source, volume, `vol-${volume}-e1`)
  await client.close()
  // A copy with everything in flight ends at once when it is stopped, and leaves nothing behind.
  value(await target.volumes.createReplica({ volume, pool: POOL, sizeBytes: SIZE }))
  target.record(volume, { epoch: 1, inSync: false })
  const address = value(await target.volumes.exportAsTarget({ volume, pool: POOL, epoch: 1 }))
  const process_ = value(target.volumes.daemon(POOL)).process
  assert.ok(process_)
  signal(process_, 'SIGSTOP')
  const stopCopy = new AbortController()
  const to = {
    host: target.host,
    pool: POOL,
    address: target.address,
    port: address.port,
    exportName: address.exportName,
  }
  const copying = source.volumes.copy(
    { volume, pool: POOL, epoch: 1, select: 'all', compare: false, target: to },
    () => undefined,
    stopCopy.signal,
  )
  setTimeout(() => stopCopy.abort(new Error('enough')), 100)
  const stopped = await copying
  assert.ok(!stopped.ok)
  signal(process_, 'SIGCONT')
  assert.equal(stopped.error.code, 'conflict')
  await onlyExport(source, volume, `vol-${volume}-e1`)
})

system(
  'the capacity of a pool counts what is promised',
  async ({ source }, volume) => {
    await create(source, volume)
    const second = await source.volumes.createReplica({
      volume: `${volume.slice(1)}x` as VolumeId,
      pool: POOL,
      sizeBytes: SIZE,
    })
    assert.ok(!second.ok)
    assert.equal(second.error.code, 'no_capacity')
    assert.ok(second.error.hint)
  },
  SIZE + SIZE / 2,
)

system('a restarted agent adopts the daemon; guests and bitmaps do not notice', async ({ source }, volume) => {
  await create(source, volume)
  const client = value(await connectExport(await serve(source, volume)))
  value(await client.write(BLOCK, Buffer.alloc(BLOCK, 1)))
  // What an agent that dies while it reads leaves behind.
  const daemon = value(source.volumes.daemon(POOL))
  value(
    await daemon.call('block-export-add', {
      type: 'nbd',
      id: `vol-${volume}-read-0123456789ab`,
      name: 'left',
      'node-name': `v${volume.slice(0, 30)}`,
    }),
  )
  source.volumes.release()
  const heir = source.successor()
  assert.deepEqual(value(await heir.ensureDaemon(POOL)), { adopted: true })
  const info = value(await heir.inspect(volume, POOL))
  assert.deepEqual(info.exports, [`vol-${volume}-e1`])
  assert.deepEqual(info.bitmaps, [{ name: 'sp', dirtyBytes: BLOCK, recording: true }])
  value(await client.write(0, Buffer.alloc(512, 1)))
  const again = value(await heir.exportToGuest({ volume, pool: POOL, epoch: 1, syncPoint: 'sp', rejoining: false }))
  assert.equal(again.bitmapIsNew, false)
  await client.close()
})

system('a killed daemon is noticed, refuses until restarted, and has lost its bitmaps', async ({ source }, volume) => {
  await create(source, volume)
  const client = value(await connectExport(await serve(source, volume)))
  value(await client.write(0, Buffer.alloc(BLOCK, 7)))
  const daemon = value(source.volumes.daemon(POOL))
  const exited = new Promise<string>((resolve) =>
    source.volumes.onDaemonExit((pool, reason) => resolve(`${pool}: ${reason}`)),
  )
  assert.ok(daemon.process)
  signal(daemon.process, 'SIGKILL')
  assert.match(await exited, /^pool: the storage daemon of pool pool .* has ended/)
  assert.equal((await client.write(0, Buffer.alloc(BLOCK))).ok, false)
  const request = { volume, pool: POOL, epoch: 1, syncPoint: 'sp', rejoining: false }
  const dead = await source.volumes.exportToGuest(request)
  assert.ok(!dead.ok)
  assert.equal(dead.error.code, 'storage')
  assert.ok(dead.error.hint)
  assert.deepEqual(value(await source.volumes.inspect(volume, POOL)).exports, [])
  assert.deepEqual(value(await source.volumes.revokeBelow(volume, POOL, 9)), [])
  assert.deepEqual(value(await source.volumes.ensureDaemon(POOL)), { adopted: false })
  const served = value(await source.volumes.exportToGuest(request))
  assert.equal(served.bitmapIsNew, true)
  const second = value(await connectExport(served))
  assert.ok(value(await second.read(0, BLOCK)).equals(Buffer.alloc(BLOCK, 7)))
  await second.close()
})

system('a frozen daemon is unresponsive to the probe, alive when thawed, refused when dead', async ({ source }) => {
  const daemon = value(source.volumes.daemon(POOL))
  const probe = new LegProbe({ intervalMs: 20, limitMs: 200 })
  const endpoint = { kind: 'tcp', address: '127.0.0.1', port: daemon.pool.port } as const
  const heard = { one: recorder(), two: recorder() }
  const off = [probe.watch(endpoint, heard.one.listen), probe.watch(endpoint, heard.two.listen)]
  const process_ = daemon.process
  assert.ok(process_)
  try {
    await heard.one.until('alive')
    signal(process_, 'SIGSTOP')
    await Promise.all([heard.one.until('unresponsive'), heard.two.until('unresponsive')])
    signal(process_, 'SIGCONT')
    await heard.one.until('alive')
    signal(process_, 'SIGKILL')
    assert.ok(await waitGone(process_, 5_000))
    await heard.two.until('refused')
    assert.deepEqual(heard.one.all, ['alive', 'unresponsive', 'alive', 'refused'])
  } finally {
    off.forEach((end) => end())
  }
})

system('a server that answers on a new connection is told to be alive once more', async ({ source }) => {
  const { port } = value(source.volumes.daemon(POOL)).pool
  const open: Socket[] = []
  const between = createServer((from) => {
    const to = connect(port, '127.0.0.1')
    open.push(from, to)
    for (const socket of [from, to]) socket.on('error', () => undefined)
    from.pipe(to).pipe(from)
  })
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
  const probe = new LegProbe({ intervalMs: 20, limitMs: 5_000 })
  const heard = recorder()
  const address = between.address() as AddressInfo
  const off = probe.watch({ kind: 'tcp', address: '127.0.0.1', port: address.port }, heard.listen)
  try {
    await heard.until('alive')
    for (const socket of open.splice(0)) socket.destroy()
    await heard.until('alive', 2)
    assert.deepEqual(heard.all, ['alive', 'alive'])
  } finally {
    off()
    for (const socket of open) socket.destroy()
    between.close()
  }
})

system(
  'a frozen daemon makes failures, not waits without end; it can be killed and replaced',
  async ({ source }, volume) => {
    await create(source, volume)
    await serve(source, volume)
    const daemon = value(source.volumes.daemon(POOL))
    const process_ = daemon.process
    assert.ok(process_)
    source.volumes.release()
    signal(process_, 'SIGSTOP')
    const heir = source.successor()
    const refused = await heir.ensureDaemon(POOL)
    assert.ok(!refused.ok)
    assert.match(refused.error.message, /does not answer/)
    value(await value(heir.daemon(POOL)).kill())
    assert.deepEqual(value(await heir.ensureDaemon(POOL)), { adopted: false })
    assert.equal(
      value(await heir.exportToGuest({ volume, pool: POOL, epoch: 1, syncPoint: 'sp', rejoining: false })).bitmapIsNew,
      true,
    )
  },
)

async function create(side: QsdSide, volume: VolumeId): Promise<void> {
  value(await side.volumes.createReplica({ volume, pool: POOL, sizeBytes: SIZE }))
}

/** Whoever has read has his answer before his export is gone. */
async function onlyExport({ volumes }: QsdSide, volume: VolumeId, name: string): Promise<void> {
  const isAlone = async () => value(await volumes.inspect(volume, POOL)).exports.join() === name
  for (let looks = 0; looks < 500 && !(await isAlone()); looks += 1) await sleep(20)
  assert.deepEqual(value(await volumes.inspect(volume, POOL)).exports, [name])
}

async function serve(side: QsdSide, volume: VolumeId) {
  side.record(volume, { epoch: 1, inSync: true })
  return value(await side.volumes.exportToGuest({ volume, pool: POOL, epoch: 1, syncPoint: 'sp', rejoining: false }))
}

function recorder() {
  const all: LegHealth[] = []
  const waiting = new Set<() => void>()
  return {
    all,
    listen: (health: LegHealth) => {
      all.push(health)
      for (const wake of [...waiting]) wake()
    },
    /** Resolves when the newest news is this, heard so often; the test's own timeout bounds it. */
    until: (wanted: LegHealth, times = 1) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (all.at(-1) !== wanted || all.filter((health) => health === wanted).length < times) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
  }
}

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, `unexpected failure: ${JSON.stringify(result, undefined, 1)}`)
  return result.value
}
