/**
 * Real guardians on loopback addresses (127.77.HOST.NETWORK), as processes where they are frozen, with a real
 * deadman. Their etcd does not exist: what keeps guests alive here is the peers' contact alone.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { hostVerdicts, type HostVerdict } from '@stead/core/ha/detection.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { HeartbeatView } from '@stead/core/ports/fence.ts'
import { MemoryStoreServer } from '@stead/sim/memory-store.ts'
import { freePort } from '../free-port-fixture.ts'
import { isAlive, killDetached, startDetached, type DetachedProcess } from '../process/detached.ts'
import type { GuardianConfig, GuardianPeer } from './guardian-config.ts'
import { GuardianFence } from './guardian-fence.ts'
import { Guardian } from './guardian.ts'
import { lineLog } from './line-log.ts'
import { realClock } from '../real-clock.ts'

const REPOSITORY = join(import.meta.dirname, '../../../..')
const BIN = join(REPOSITORY, '.native/bin')
const NAMES = ['h1', 'h2', 'h3'] as HostId[]
const DETECTION_MS = 1000
const LEASE_TTL_MS = 2500
const quiet = lineLog(() => {})

async function until(what: string, holds: () => boolean, boundMs = 20_000): Promise<void> {
  const deadline = performance.now() + boundMs
  while (!holds()) {
    assert.ok(performance.now() < deadline, `${what}: not in ${boundMs} ms`)
    await sleep(10)
  }
}

describe('guardians', () => {
  let folder: string
  let port: number
  let children: Map<HostId, ChildProcess>
  let fences: Map<HostId, GuardianFence>
  let deadmen: ChildProcess[]
  let strays: DetachedProcess[]

  before(() => {
    const built = spawnSync(join(REPOSITORY, 'native/build.sh'), { encoding: 'utf8' })
    assert.equal(built.status, 0, built.stderr)
  })

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'stead-guardian-'))
    port = await freePort()
    children = new Map()
    fences = new Map()
    deadmen = []
    strays = []
  })

  afterEach(async () => {
    for (const fence of fences.values()) fence.close()
    for (const child of [...children.values(), ...deadmen]) await end(child)
    for (const stray of strays) await killDetached(stray, join(folder, 'none'))
    rmSync(folder, { recursive: true, force: true })
  })

  async function end(child: ChildProcess): Promise<void> {
    const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
    child.kill('SIGKILL')
    await gone
  }

  function config(id: HostId, bootId = `boot-${id}`): GuardianConfig {
    const peers = NAMES.map((name, index): GuardianPeer => {
      const addresses = Object.fromEntries(
        ['lan', 'san', 'ran'].map((role, at) => [role, `127.77.${index + 1}.${at + 1}`]),
      )
      return { id: name, addresses, port }
    })
    return {
      hostId: id,
      bootId,
      keys: { generation: 0, key: '5a'.repeat(32) },
      addresses: peers.find((peer) => peer.id === id)!.addresses,
      port,
      peers: peers.filter((peer) => peer.id !== id),
      heartbeatIntervalMs: 100,
      detectionMs: DETECTION_MS,
      leaseTtlMs: LEASE_TTL_MS,
      leaseKey: `/stead/liveness/${id}`,
      stateDir: folder,
      // Nothing listens there.
      etcdEndpoints: ['127.77.9.9:9'],
      deadmanSocket: join(folder, `${id}.deadman.sock`),
      controlSocket: join(folder, `${id}.guardian.sock`),
      marginMs: 300,
    }
  }

  function startProcess(id: HostId, bootId?: string): ChildProcess {
    const file = join(folder, `${id}.json`)
    writeFileSync(file, JSON.stringify(config(id, bootId)))
    const log = openSync(join(folder, `${id}.log`), 'a')
    const child = spawn(process.execPath, [join(import.meta.dirname, 'guardian-main.ts'), file], {
      stdio: ['ignore', log, log],
    })
    children.set(id, child)
    if (!fences.has(id)) {
      const deadmanPidFile = join(folder, `${id}.deadman.pid`)
      fences.set(
        id,
        new GuardianFence({
          controlSocket: config(id).controlSocket,
          deadmanPidFile,
          onLost: () => undefined,
          clock: realClock,
          log: quiet,
        }),
      )
    }
    return child
  }

  function verdict(observer: HostId, target: HostId): HostVerdict | undefined {
    const view = fences.get(observer)?.view()
    return view && hostVerdicts({ self: observer, view, members: NAMES, detectionMs: DETECTION_MS }).get(target)
  }

  async function startDeadmanWithGuest(id: HostId): Promise<DetachedProcess> {
    const pidFile = join(folder, `${id}.deadman.pid`)
    const args = ['--socket', config(id).deadmanSocket, '--pidfile', pidFile, '--timeout', String(LEASE_TTL_MS)]
    deadmen.push(spawn(join(BIN, 'stead-deadman'), args, { stdio: ['ignore', 'ignore', 'inherit'] }))
    await until('deadman', () => existsSync(pidFile))
    const namespacePid = Number(readFileSync(pidFile, 'utf8').split(' ')[1])
    const guest = await startDetached(join(BIN, 'stead-run-guest'), {
      command: 'sleep',
      args: ['600'],
      pidFile: join(folder, `${id}.guest.pid`),
      stdoutPath: join(folder, 'guest.out'),
      stderrPath: join(folder, 'guest.err'),
      namespacePid,
    })
    assert.ok(guest.ok)
    strays.push(guest.value)
    return guest.value
  }

  async function startAll(): Promise<void> {
    for (const id of NAMES) startProcess(id)
    await until('all hear all on all networks, both ways', () =>
      NAMES.every((id) => {
        const view = fences.get(id)?.view()
        return (
          view &&
          !view.isolated &&
          NAMES.every((other) => other === id || Object.keys(view.peers[other]?.ageMs ?? {}).length === 3)
        )
      }),
    )
  }

  test('a guardian runs in real time where the kernel lets it, and may only be nice elsewhere', async () => {
    const allowed = spawnSync('chrt', ['--rr', '1', 'true']).status === 0
    const child = startProcess('h1' as HostId)
    await until('it has tried', () => /real time/.test(readFileSync(join(folder, 'h1.log'), 'utf8')))
    const { stdout } = spawnSync('chrt', ['--pid', String(child.pid)], { encoding: 'utf8' })
    assert.match(stdout, allowed ? /SCHED_RR/ : /SCHED_OTHER/)
  })

  test('a killed guardian is suspected by both others; its successor and a new boot are heard again', async () => {
    await startAll()
    const killedAt = performance.now()
    await end(children.get(NAMES[0]!)!)
    await until(
      'suspected',
      () => verdict(NAMES[1]!, NAMES[0]!) === 'suspected' && verdict(NAMES[2]!, NAMES[0]!) === 'suspected',
    )
    console.log(`    suspected by both ${Math.round(performance.now() - killedAt)} ms after the kill`)
    assert.equal(verdict(NAMES[1]!, NAMES[2]!), 'heard')
    startProcess(NAMES[0]!, 'boot-after')
    await until('heard again', () => NAMES.slice(1).every((id) => verdict(id, NAMES[0]!) === 'heard'))
    assert.equal(fences.get(NAMES[1]!)?.view()?.peers[NAMES[0]!]?.bootId, 'boot-after')
    await end(children.get(NAMES[0]!)!)
    startProcess(NAMES[0]!, 'boot-after')
    await until(
      'the same boot continues',
      () => (fences.get(NAMES[0]!)?.view()?.startedMs ?? 1e9) < 5000 && verdict(NAMES[0]!, NAMES[1]!) === 'heard',
    )
  })

  test('a frozen guardian: its guests die, others suspect it, and thawed it suspects nobody', async () => {
    const guest = await startDeadmanWithGuest(NAMES[0]!)
    await startAll()
    await until('deadline known', () => fences.get(NAMES[0]!)?.view()?.deadlineInMs !== undefined)
    const seen: HeartbeatView[] = []
    await sleep(LEASE_TTL_MS + 500)
    assert.ok(isAlive(guest), 'peers alone keep the guests alive: there is no store at all')

    const frozen = children.get(NAMES[0]!)!
    frozen.kill('SIGSTOP')
    const frozenAt = performance.now()
    await until('suspected', () => NAMES.slice(1).every((id) => verdict(id, NAMES[0]!) === 'suspected'))
    await until('guest dead', () => !isAlive(guest))
    console.log(`    guest dead ${Math.round(performance.now() - frozenAt)} ms after the freeze (TTL ${LEASE_TTL_MS})`)

    fences.get(NAMES[0]!)!.subscribe((view) => seen.push(view))
    frozen.kill('SIGCONT')
    await until('views after the thaw', () => seen.length >= 6)
    for (const view of seen) {
      const verdicts = hostVerdicts({ self: NAMES[0]!, view, members: NAMES, detectionMs: DETECTION_MS })
      assert.deepEqual([...verdicts.values()], ['heard', 'heard'])
    }
    assert.ok(seen.some((view) => view.stalled))
    await until('heard by the others', () => NAMES.slice(1).every((id) => verdict(id, NAMES[0]!) === 'heard'))
  })

  test('an isolated host without a store stops its guests although its guardian runs', async () => {
    const guest = await startDeadmanWithGuest(NAMES[0]!)
    await startAll()
    await end(children.get(NAMES[1]!)!)
    await sleep(LEASE_TTL_MS)
    assert.ok(isAlive(guest), 'one peer is enough')
    await end(children.get(NAMES[2]!)!)
    const isolatedAt = performance.now()
    await until('guest dead', () => !isAlive(guest))
    console.log(
      `    guest dead ${Math.round(performance.now() - isolatedAt)} ms after the last peer (TTL ${LEASE_TTL_MS})`,
    )
    await until('isolated', () => fences.get(NAMES[0]!)?.view()?.isolated === true)
    assert.equal(verdict(NAMES[0]!, NAMES[1]!), 'silent-here')
  })

  test('SIGTERM ends the guardian in order and leaves the deadman armed', async () => {
    const guest = await startDeadmanWithGuest(NAMES[0]!)
    await startAll()
    const child = children.get(NAMES[0]!)!
    const exit = once(child, 'exit')
    child.kill('SIGTERM')
    assert.deepEqual(await exit, [0, null])
    assert.ok(isAlive(guest))
    await until('guest dead', () => !isAlive(guest))
  })

  test('in one process: lease kept in the store, peers updated over the control socket, bad updates refused', async () => {
    const store = new MemoryStoreServer(realClock).client()
    const renewals: number[] = []
    const deadman = { renew: (moment: number) => void renewals.push(moment), close: () => {} }
    const id = NAMES[0]!
    const guardian = await Guardian.start(
      { ...config(id), peers: [] },
      { store, clock: realClock, log: quiet, deadman },
    )
    const warnings: string[] = []
    const fence = new GuardianFence({
      controlSocket: config(id).controlSocket,
      deadmanPidFile: join(folder, 'none'),
      onLost: () => undefined,
      clock: realClock,
      log: lineLog((line) => warnings.push(line)),
    })
    fences.set(id, fence)
    try {
      await until('first view', () => fence.view() !== undefined)
      assert.equal(fence.view()?.isolated, false, 'alone is not isolated')
      await until('renewals', () => renewals.length > 2)
      let found = await store.get(config(id).leaseKey)
      const deadline = performance.now() + 5000
      while (found.ok && !found.value && performance.now() < deadline) {
        await sleep(20)
        found = await store.get(config(id).leaseKey)
      }
      assert.ok(found.ok && found.value?.value === `{"bootId":"boot-${id}"}`)
      fence.update({ peers: config(id).peers, detectionMs: 2000 })
      await until('peers', () => Object.keys(fence.view()?.peers ?? {}).length === 2)
      await until(
        'isolated by rule, alive by lease',
        () => fence.view()?.isolated === true && (fence.view()?.deadlineInMs ?? -1) > 0,
      )
      assert.equal(fence.view()?.keyGeneration, 0)
      fence.update({ keys: { generation: 1, key: '6b'.repeat(32), former: '5a'.repeat(32) } })
      await until('another key', () => fence.view()?.keyGeneration === 1)
      for (const wrong of [{ detectionMs: -1 }, { keys: { generation: 2, key: 'short' } }]) {
        warnings.length = 0
        fence.update(wrong)
        await until('refusal', () => warnings.some((line) => line.includes('refused')))
      }
      assert.equal(fence.view()?.keyGeneration, 1)
    } finally {
      await guardian.close()
      await store.close()
    }
  })
})
