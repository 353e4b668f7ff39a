/** The contract on the machine that runs the test: a busy process stands for a guest's QEMU. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '@stead/core/errors.ts'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok } from '@stead/core/result.ts'
import { hostMetersContract, type HostMetersHarness } from '@stead/sim/contract/host-meters-contract.ts'
import { HostCounters } from '../counters/host-counters.ts'
import { realClock } from '../real-clock.ts'
import { LinuxHostMeters } from './linux-host-meters.ts'
import { PoolReadings } from './pool-readings.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }
const nothing = fail(failure('not_found', 'no container runs here'))

hostMetersContract('on Linux', async (): Promise<HostMetersHarness> => {
  const folder = await mkdtemp(join(tmpdir(), 'stead-meters-'))
  const children = new Map<GuestId, ChildProcess>()
  const counters = new HostCounters({
    containers: { running: [], runOf: () => nothing },
    vms: {
      get pids() {
        return new Map([...children].map(([guest, { pid }]) => [guest, pid!]))
      },
    },
    nameOf: () => undefined,
    packetLimitOf: () => undefined,
    droppedPackets: async () => ok(new Map()),
    tell: () => {},
    clock: realClock,
    log: silent,
  })
  const stop = async (guest: GuestId) => {
    const child = children.get(guest)
    children.delete(guest)
    if (!child) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return {
    meters: new LinuxHostMeters({
      pools: [{ name: 'default', path: folder }],
      addresses: ['127.0.0.1'],
      usage: () => counters.usage(),
      diskReadings: async () => fail(failure('hypervisor', 'it is no QEMU')),
      clock: realClock,
    }),
    start: async (guest) => void children.set(guest, spawn(process.execPath, ['-e', 'for (;;) ;'])),
    stop,
    pass: () => sleep(2_000),
    close: async () => {
      for (const guest of children.keys()) await stop(guest)
      await rm(folder, { recursive: true })
    },
  }
})

test('a pool whose folder is gone is left out, and the others are told', async () => {
  const pools = new PoolReadings([
    { name: 'gone', path: '/nonexistent/pool' },
    { name: 'here', path: tmpdir() },
  ])
  assert.deepEqual([...(await pools.read()).keys()], ['here'])
  assert.deepEqual([...(await pools.read()).keys()], ['here'])
})
