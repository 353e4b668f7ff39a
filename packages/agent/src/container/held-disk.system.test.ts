/**
 * The disk of a container on real replicas. In namespaces of its own, so that no mount, loop device or process is left even
 * when the test is killed.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, statfsSync } from 'node:fs'
import { open, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { must } from '@stead/sim/contract/guest-host-contract.ts'
import { runProgram } from '../process/run-program.ts'
import { ContainerDisk, DISK_BYTES, until } from './container-disk-fixture.ts'

const OWN = 'STEAD_TEST_HAS_OWN_NAMESPACES'
const isRoot = process.getuid?.() === 0

if (process.env[OWN] === undefined) {
  it('has namespaces of its own', { skip: isRoot ? false : 'needs root' }, async () => {
    const { NODE_TEST_CONTEXT: _context, ...env } = process.env
    const enter = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private']
    const args = [...enter, process.execPath, '--test-reporter=spec', fileURLToPath(import.meta.url)]
    const child = spawn('unshare', args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...env, [OWN]: '1' } })
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })
} else {
  describe('the disk of a container', { timeout: 300_000 }, () => {
    let ct: ContainerDisk

    beforeEach(async () => {
      ct = await ContainerDisk.make()
    })
    afterEach(() => ct.close())

    it('keeps what was written, and leaves nothing behind when it ends', async () => {
      await ct.start({ make: {} })
      const [pid, diskPid] = [ct.front.process.pid, ct.disk.process.pid]
      const before = must(await ct.disk.status())
      await writeFile(join(ct.mountFolder, 'greeting'), 'hello', { flush: true })
      const after = must(await ct.disk.status())
      assert.ok(after.flushes > before.flushes && after.writtenBytes > before.writtenBytes)
      assert.deepEqual(await ct.end(), { clean: true })
      assertNothingLeft(ct)
      for (const each of [pid, diskPid]) assert.ok(!isRunning(each))
      assert.deepEqual(readFileSync(ct.servers.image('a', ct.volume)), readFileSync(ct.servers.image('b', ct.volume)))

      await ct.start()
      assert.equal(await readFile(join(ct.mountFolder, 'greeting'), 'utf8'), 'hello')
      assert.deepEqual(await ct.end(), { clean: true })
    })

    it('runs its front unprivileged and sandboxed', async () => {
      await ct.startFront(['a', 'b'])
      const status = readFileSync(`/proc/${ct.front.process.pid}/status`, 'utf8')
      const line = (name: string) => new RegExp(`^${name}:[\\t ]*(.*)$`, 'm').exec(status)?.[1]
      assert.equal(line('Seccomp'), '2')
      assert.equal(line('NoNewPrivs'), '1')
      assert.equal(line('CapEff'), '0000000000000000')
    })

    it('holds a write that a replica loses, and does it on the survivor', async () => {
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      await writer.goesOn()
      await ct.servers.kill('b')
      const event = await ct.held()
      assert.match(event.reason, /^A (write|flush) of /)
      assert.deepEqual(ct.front.failingHosts, ['b'])
      await writer.standsStill()

      must(await ct.disk.hold(5_000))
      must(await ct.front.legs.drop(ct.volume, 'b'))
      ct.front.forgetFailures()
      must(await ct.disk.go())
      await writer.goesOn()
      await writer.stop()
      const { acknowledged } = writer
      assert.deepEqual(await ct.end(), { clean: true })

      await ct.start({}, ['a'])
      assert.equal(await ct.missing('records', acknowledged), 0)
    })

    it('is freed of a replica that hangs, and takes it back', async () => {
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      await writer.goesOn()
      ct.servers.signal('b', 'SIGSTOP')
      await until(() => (ct.disk.state ? true : undefined), 'a state')
      await writer.standsStill()
      const early = await ct.disk.hold(200)
      assert.ok(!early.ok, 'it is not quiet while the leg hangs')
      const refused = await ct.front.legs.drop(ct.volume, 'b')
      assert.equal(refused.ok ? '' : refused.error.code, 'conflict')

      must(await ct.front.legs.yank(ct.volume, 'b'))
      must(await ct.disk.hold(5_000))
      must(await ct.front.legs.drop(ct.volume, 'b'))
      ct.front.forgetFailures()
      must(await ct.disk.go())
      await writer.goesOn()

      ct.servers.signal('b', 'SIGCONT')
      must(await ct.front.legs.prepare(ct.volume, ct.servers.leg('b', ct.volume)))
      must(await ct.disk.hold(5_000))
      must(await ct.front.legs.drainAndFlush(ct.volume))
      const [from, to] = [ct.servers.image('a', ct.volume), ct.servers.image('b', ct.volume)]
      must(await runProgram('dd', [`if=${from}`, `of=${to}`, 'bs=1M', 'conv=notrunc'], 20_000))
      must(await ct.front.legs.attach(ct.volume, 'b'))
      must(await ct.disk.go())
      await writer.goesOn()
      await writer.stop()
      assert.deepEqual(await ct.end(), { clean: true })
      assert.deepEqual(readFileSync(from), readFileSync(to))
    })

    it('can be held and let go under load without a byte being lost or moved', async () => {
      await ct.start({ make: {} })
      const content = randomBytes(24 << 20)
      const writing = writeThrough(join(ct.mountFolder, 'load'), content)
      const writer = ct.writer('records')
      let isDone = false
      void writing.finally(() => (isDone = true))
      let held = 0
      while (!isDone || held < 20) {
        must(await ct.disk.hold(10_000))
        const quiet = must(await ct.disk.status())
        assert.deepEqual([quiet.quiet, quiet.inFlight], [true, 0])
        held++
        must(await ct.disk.go())
      }
      await writing
      await writer.goesOn()
      await writer.stop()
      assert.deepEqual(await ct.end(), { clean: true })
      assert.deepEqual(readFileSync(ct.servers.image('a', ct.volume)), readFileSync(ct.servers.image('b', ct.volume)))
      await ct.start()
      assert.equal(digest(await readFile(join(ct.mountFolder, 'load'))), digest(content))
      assert.equal(await ct.missing('records', writer.acknowledged), 0)
    })

    it('keeps to its limits whatever the way to it, and nobody who holds or ends it waits for them', async () => {
      await ct.start({ make: {} })
      const path = join(ct.mountFolder, 'load')
      const mib = 1 << 20
      const reading = () => runProgram('dd', [`if=${path}`, 'of=/dev/null', 'bs=64k', 'iflag=direct'], 20_000)
      await writeThrough(path, randomBytes(3 * mib))

      must(await ct.disk.limit({ bytesPerSecond: mib }))
      // What is saved up passes at once, the last request is not waited for.
      const before = performance.now()
      await writeThrough(path, randomBytes(3 * mib))
      const written = performance.now()
      assert.ok(written - before > 1_500, `${written - before} ms`)
      must(await reading())
      assert.ok(performance.now() - written > 1_500, `${performance.now() - written} ms`)

      must(await ct.disk.limit({ operationsPerSecond: 20 }))
      const counted = performance.now()
      must(await reading())
      assert.ok(performance.now() - counted > 1_500, `${performance.now() - counted} ms`)

      must(await ct.disk.limit({ bytesPerSecond: 64 << 10 }))
      const content = randomBytes(8 * mib)
      const writing = writeFile(path, content, { flush: true })
      await until(() => ((ct.disk.state?.held ?? 0) > 0 ? true : (void ct.disk.status(), undefined)), 'what waits')
      must(await ct.disk.hold(5_000))
      must(await ct.disk.go())
      must(await ct.disk.limit({}))
      await writing
      must(await ct.disk.limit({ bytesPerSecond: 64 << 10 }))
      await writeFile(path, content)
      assert.deepEqual(await ct.end(), { clean: true })
      await ct.start()
      assert.equal(digest(await readFile(path)), digest(content))
    })

    it('is adopted by an agent that comes back, which hears what is held', async () => {
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      await writer.goesOn()
      const pids = [ct.front.process.pid, ct.disk.process.pid]
      await ct.restartAgent()
      assert.deepEqual([ct.front.process.pid, ct.disk.process.pid], pids)
      await writer.goesOn()

      await ct.servers.kill('b')
      await ct.held()
      ct.events.length = 0
      await ct.restartAgent()
      await ct.held()
      await writer.standsStill()
      must(await ct.disk.hold(5_000))
      must(await ct.front.legs.drop(ct.volume, 'b'))
      must(await ct.disk.go())
      await writer.goesOn()
    })

    it('does not care whether those who control it vanish', async () => {
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      for (let i = 0; i < 40; i++) {
        const client = connect(join(ct.diskFolder, 'disk.sock'))
        client.on('error', () => undefined)
        client.write('status x\nnonsense\nhold half')
        await once(client, 'data')
        client.destroy()
      }
      await writer.goesOn()
      assert.equal(must(await ct.disk.status()).mode, 'running')
    })

    it('holds everything when the front dies, and nothing hangs when it is killed under load', async () => {
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      await writer.goesOn()
      process.kill(ct.front.process.pid, 'SIGKILL')
      assert.equal((await ct.held()).disconnected, true)
      await until(() => ct.ends[0], 'news of the end of the front')
      await writer.standsStill()
      const refused = await ct.disk.go()
      assert.equal(refused.ok ? '' : refused.error.code, 'conflict')

      await ct.kill()
      await writer.stop()
      assertNothingLeft(ct)

      await ct.start()
      assert.equal(await ct.missing('records', writer.acknowledged), 0, 'an unclean end costs nothing acknowledged')
      assert.deepEqual(await ct.end(), { clean: true })
    })

    it('goes on with a front that was started anew', async () => {
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      await writer.goesOn()
      must(await ct.front.kill())
      await ct.held()
      await ct.startFront(['a', 'b'])
      must(await ct.disk.hold(1_000))
      must(await ct.disk.reconnect())
      must(await ct.disk.go())
      await writer.goesOn()
    })

    it('tells that stead-disk is gone, and clears up what it leaves', async () => {
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      await writer.goesOn()
      process.kill(ct.disk.process.pid, 'SIGKILL')
      await until(() => ct.events.find(({ kind }) => kind === 'gone'), 'news of its end')
      await writer.stop()
      must(await ct.disk.kill())
      assertNothingLeft(ct)
    })

    it('is told to end, and fails what waits', async () => {
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      await writer.goesOn()
      must(await ct.disk.hold(5_000))
      await writer.standsStill()
      process.kill(ct.disk.process.pid, 'SIGTERM')
      await writer.fails()
      await until(() => ct.events.find(({ kind }) => kind === 'gone'), 'news of its end')
      await writer.stop()
      must(await ct.disk.kill())
      assertNothingLeft(ct)
    })

    it('leaves what an agent can clear up when all processes die at once', async () => {
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      await writer.goesOn()
      for (const { pid } of [ct.disk.process, ct.front.process]) process.kill(pid, 'SIGKILL')
      await writer.stop()
      for (const { pid } of [ct.disk.process, ct.front.process])
        await until(() => (isRunning(pid) ? undefined : true), 'its end')
      await ct.findsNothing()
      assertNothingLeft(ct)
      await ct.start()
      assert.equal(await ct.missing('records', writer.acknowledged), 0)
    })

    it('is free at its end also where another mount namespace was made meanwhile', async () => {
      await ct.start({ make: {} })
      const other = spawn('unshare', ['--mount', '--propagation', 'slave', 'sleep', '1000'], { stdio: 'ignore' })
      try {
        await until(() => (commandOf(other.pid) === 'sleep' ? true : undefined), 'the other namespace')
        assert.deepEqual(await ct.end(), { clean: true })
        assertNothingLeft(ct)
      } finally {
        other.kill('SIGKILL')
      }
    })

    it('grows with its volume, and so does the file system at the next start', async () => {
      const grown = DISK_BYTES + (64 << 20)
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      await writer.goesOn()
      const before = capacity(ct.mountFolder)
      must(await ct.disk.hold(5_000))
      must(await ct.front.holdDisk(ct.volume))
      await ct.servers.serveLarger(ct.volume, grown)
      const legs = (['a', 'b'] as const).map((host) => ct.servers.leg(host, ct.volume))
      must(await ct.front.growDisk({ volume: ct.volume, sizeBytes: grown, width: 2, legs }))
      must(await ct.disk.takeNewSize())
      must(await ct.disk.go())
      await writer.goesOn()
      await writer.stop()
      assert.equal(ct.disk.state?.sizeBytes, grown)
      assert.deepEqual(await ct.end(), { clean: true })

      await ct.start({}, ['a', 'b'], grown)
      assert.ok(capacity(ct.mountFolder) > before + (48 << 20))
      assert.equal(await ct.missing('records', writer.acknowledged), 0)
    })

    it('stands still for a snapshot', async () => {
      await ct.start({ make: {} })
      const writer = ct.writer('records')
      await writer.goesOn()
      must(await ct.disk.freeze())
      const flushed = must(await ct.disk.status()).writes
      await writer.standsStill()
      assert.equal(must(await ct.disk.status()).writes, flushed)
      must(await ct.disk.thaw())
      must(await ct.disk.thaw())
      await writer.goesOn()
    })

    it('does not start on a file system that is damaged', async () => {
      await ct.start({ make: {} })
      assert.deepEqual(await ct.end(), { clean: true })
      for (const name of ['a', 'b'] as const) {
        const file = await open(ct.servers.image(name, ct.volume), 'r+')
        await file.write(randomBytes(1 << 20), 0, 1 << 20, 0)
        await file.close()
      }
      await assert.rejects(ct.start(), /damaged/)
      assertNothingLeft(ct)
    })
  })
}

function assertNothingLeft(ct: ContainerDisk): void {
  assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(`${ct.folder}/`), 'a mount is left')
  for (const name of readdirSync('/sys/block').filter((each) => each.startsWith('loop'))) {
    const backing = `/sys/block/${name}/loop/backing_file`
    assert.ok(!existsSync(backing) || !readFileSync(backing, 'utf8').includes(ct.folder), `${name} is left`)
  }
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Piece by piece, so that it takes a while and much is written back meanwhile. */
async function writeThrough(path: string, content: Buffer): Promise<void> {
  const file = await open(path, 'w')
  for (let at = 0; at < content.length; at += 256 << 10) {
    await file.write(content, at, Math.min(256 << 10, content.length - at), at)
    if (at % (2 << 20) === 0) await file.sync()
  }
  await file.sync()
  await file.close()
}

function commandOf(pid: number | undefined): string {
  return pid === undefined ? '' : readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
}

function capacity(folder: string): number {
  const { blocks, bsize } = statfsSync(folder)
  return blocks * bsize
}

function digest(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
