/** The gate before a real storage daemon: who gets through, and what can be read on the way. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ExportKey } from '@stead/core/ports/volume-host.ts'
import { must } from '@stead/sim/contract/guest-host-contract.ts'
import { freePort } from '../free-port-fixture.ts'
import { NbdClient } from '../nbd/nbd-client.ts'
import { killDetached, readPidFile } from '../process/detached.ts'
import { BareStorageDaemon } from '../qemu/storage-daemon-fixture.ts'
import { realClock as clock } from '../real-clock.ts'
import { silentLog as log } from '../store/etcd-testbed.ts'
import { LegProbe } from './leg-probe.ts'
import { StorageGate } from './storage-gate.ts'

const BOUND_MS = 20_000
const DISK_BYTES = 16 << 20
const nativeDir = fileURLToPath(new URL('../../../../.native/bin', import.meta.url))

describe('the gate before the storage daemons', { concurrency: false }, () => {
  let folder = ''
  let daemon: BareStorageDaemon
  let [daemonPort, port] = [0, 0]
  const agents: AbortController[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stead-gate-'))
    for (const name of ['v1', 'v2', 'probe']) {
      await writeFile(join(folder, name), '')
      await truncate(join(folder, name), DISK_BYTES)
    }
    ;[daemonPort, port] = [await freePort(), await freePort()]
    await startDaemon()
  })

  after(async () => {
    for (const agent of agents) agent.abort()
    const gate = readPidFile(pidFile())
    if (gate) must(await killDetached(gate, pidFile()))
    await daemon.kill()
    await rm(folder, { recursive: true, force: true })
  })

  const pidFile = () => join(folder, 'storage-gate', 'pid')

  async function startDaemon() {
    daemon = await BareStorageDaemon.start(folder, 'qsd', `addr.type=inet,addr.host=127.0.0.1,addr.port=${daemonPort}`)
    for (const name of ['v1', 'v2', 'probe']) {
      await daemon.execute('blockdev-add', { driver: 'file', 'node-name': name, filename: join(folder, name) })
      const writable = name !== 'probe'
      await daemon.execute('block-export-add', { type: 'nbd', id: name, 'node-name': name, name, writable })
    }
  }

  /** What an agent of this host does, whose cluster has these hosts. The one before it ends. */
  function startAgent(...hosts: string[]): StorageGate {
    agents.at(-1)?.abort()
    const agent = new AbortController()
    agents.push(agent)
    const members = hosts.map((hostId, order) => ({ hostId, role: 'compute' as const, order, addresses: {} }))
    const gate = new StorageGate({
      config: { hostId: 'a', stateDir: folder, members, nativeDir },
      ...{ bootId: 'boot 1', helper: join(nativeDir, 'stead-run-guest'), clock, log, onRestart: () => undefined },
      ...{ doorways: [{ daemonPort, port }], address: '127.0.0.1' },
    })
    void gate.keep(agent.signal)
    return gate
  }

  const open = (key: ExportKey | undefined, exportName = 'v1', at = port) =>
    NbdClient.connect({
      endpoint: { kind: 'tcp', address: '127.0.0.1', port: at, ...(key ? { key } : {}) },
      ...{ exportName, timeoutMs: BOUND_MS },
    })

  async function opened(key: ExportKey, exportName?: string): Promise<NbdClient> {
    const deadline = performance.now() + BOUND_MS
    for (;;) {
      const client = await open(key, exportName)
      if (client.ok) return client.value
      assert.ok(performance.now() < deadline, client.error.message)
      await sleep(20)
    }
  }

  async function refused(key: ExportKey | undefined, exportName?: string): Promise<string> {
    const client = await open(key, exportName)
    assert.ok(!client.ok, 'it got through')
    return client.error.message
  }

  it('lets a member of the cluster read and write what it has the key for', async () => {
    const client = await opened(startAgent('a', 'b').keyFor('b', 'v1'))
    const blocks = Array.from({ length: 12 }, () => randomBytes(1 << 20))
    const written = await Promise.all(blocks.map((block, index) => client.write(index << 20, block)))
    for (const each of [...written, await client.flush()]) must(each)
    const read = await Promise.all(blocks.map((_, index) => client.read(index << 20, 1 << 20)))
    for (const [index, each] of read.entries()) assert.ok(must(each).equals(blocks[index]!), `block ${index}`)
    await client.disconnect()
  })

  it('knows nobody without a key, with a wrong one, or of another cluster', async () => {
    const key = startAgent('a', 'b').keyFor('b', 'v1')
    await opened(key)
    assert.match(await refused(undefined), /TLS/i)
    assert.match(await refused({ ...key, secret: randomBytes(32).toString('hex') }), /alert|reset|closed|ended/i)
    await refused({ identity: 'c/v1', secret: key.secret })
    await refused(startAgent('a', 'b', 'c').keyFor('d', 'v1'))
    await refused({ identity: 'b', secret: key.secret })
    await refused({ identity: 'b/v2', secret: key.secret }, 'v2')
  })

  it('opens nothing but what the key is for, and what tells whether the daemon lives', async () => {
    const key = startAgent('a', 'b').keyFor('b', 'v1')
    await (await opened(key)).disconnect()
    assert.match(await refused(key, 'v2'), /v2/)
    await (await opened(key, 'probe')).disconnect()
    const asked = await new LegProbe().ask({ kind: 'tcp', address: '127.0.0.1', port, key }, BOUND_MS)
    assert.equal(asked, 'alive')
  })

  it('lets nobody read on the way what is written, as he could in clear', async () => {
    const key = startAgent('a', 'b').keyFor('b', 'v1')
    await (await opened(key)).disconnect()
    const secret = Buffer.from('the salary of the managing director')
    const heardOver = async (target: number, withKey?: ExportKey) => {
      const wire = await tappedWire(target)
      const client = must(await open(withKey, 'v1', wire.port))
      must(await client.write(0, Buffer.concat([secret, Buffer.alloc(4096 - secret.length)])))
      assert.ok(must(await client.read(0, 4096)).includes(secret))
      await client.disconnect()
      wire.close()
      return Buffer.concat(wire.heard).includes(secret)
    }
    assert.equal(await heardOver(daemonPort), true)
    assert.equal(await heardOver(port, key), false)
  })

  it('ends a client whose export or daemon ends, at once', async () => {
    const gate = startAgent('a', 'b')
    const client = await opened(gate.keyFor('b', 'v2'), 'v2')
    const ended = new Promise((resolve) => client.onClose(resolve))
    await daemon.execute('block-export-del', { id: 'v2', mode: 'hard' })
    await ended
    const other = await opened(gate.keyFor('b', 'v1'))
    const otherEnded = new Promise((resolve) => other.onClose(resolve))
    await daemon.kill()
    await otherEnded
    await refused(gate.keyFor('b', 'v1'))
    await startDaemon()
    await (await opened(gate.keyFor('b', 'v1'))).disconnect()
  })

  it('says nothing before a daemon that is frozen, as that would', async () => {
    const key = startAgent('a', 'b').keyFor('b', 'v1')
    await (await opened(key)).disconnect()
    daemon.process.kill('SIGSTOP')
    try {
      const asked = await new LegProbe().ask({ kind: 'tcp', address: '127.0.0.1', port, key }, 300)
      assert.equal(asked, 'unresponsive')
    } finally {
      daemon.process.kill('SIGCONT')
    }
  })

  it('refuses a host that was removed, though it still has its key, and no other one', async () => {
    const gate = startAgent('a', 'b', 'c')
    const [keyOfB, keyOfC] = [gate.keyFor('b', 'v1'), gate.keyFor('c', 'v1')]
    const client = await opened(keyOfB)
    await (await opened(keyOfC)).disconnect()
    const before = readPidFile(pidFile())?.pid
    startAgent('a', 'b')
    await refused(keyOfC)
    // Neither what is open nor the keys of the others suffer by it.
    must(await client.read(0, 512))
    await (await opened(keyOfB)).disconnect()
    assert.equal(readPidFile(pidFile())?.pid, before)
  })

  it('is started again after its end, and knows the keys that were given before', async () => {
    const key = startAgent('a', 'b').keyFor('b', 'v1')
    const client = await opened(key)
    const ended = new Promise((resolve) => client.onClose(resolve))
    const gate = readPidFile(pidFile())
    assert.ok(gate)
    process.kill(gate.pid, 'SIGKILL')
    await ended
    await (await opened(key)).disconnect()
  })
})

/** A cable on which somebody listens: passes everything on, and keeps it. */
async function tappedWire(target: number) {
  const heard: Buffer[] = []
  const sockets: Socket[] = []
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    sockets.push(near, far)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (bytes) => heard.push(bytes as Buffer) && to.write(bytes))
      from.on('close', () => to.destroy())
      from.on('error', () => to.destroy())
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return { heard, close, port: (server.address() as AddressInfo).port }
}
