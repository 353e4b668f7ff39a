import assert from 'node:assert/strict'
import { test } from 'node:test'
import { containerCounters, newLimitFailures } from './container-counters.ts'
import { simpleLimits, type ContainerLimits } from './container-limits.ts'
import { clusterOvercommit, containerShare, heldOf, overcommitOf } from './container-overcommit.ts'
import { enforcementOf } from './container-resources.ts'

const GIB = 2 ** 30
const HOST = { host: 'alpha', memoryBytes: 8 * GIB, swapBytes: 2 * GIB, cpus: 4, processesMax: 32_768 }

function containers(count: number, limits: ContainerLimits, held = {}) {
  return Array.from({ length: count }, (_, index) => ({ container: `c${index}`, limits, held }))
}

function rowOf(report: ReturnType<typeof overcommitOf>, measure: string) {
  const found = report.rows.find((row) => row.measure === measure)
  assert.ok(found)
  return found
}

test('memory that was sold once is normal, sold twice it is unsafe, used twice it is dangerous', () => {
  const limits = simpleLimits({ memoryBytes: GIB, swapBytes: 0, processes: 100 })
  const few = overcommitOf(HOST, containers(4, limits, { physpages: 65_536 }))
  assert.equal(few.oversold, false)
  assert.deepEqual(rowOf(few, 'memory-and-swap'), {
    measure: 'memory-and-swap',
    capacity: 10 * GIB,
    used: GIB,
    promised: 4 * GIB,
    allowed: 4 * GIB,
    utilization: 0.1,
    commitment: 0.4,
    reach: 0.4,
    level: 'normal',
  })
  assert.equal(rowOf(overcommitOf(HOST, containers(9, limits)), 'memory-and-swap').level, 'high')
  const many = overcommitOf(HOST, containers(20, limits))
  assert.equal(many.oversold, true)
  assert.equal(rowOf(many, 'memory-and-swap').level, 'unsafe')
  assert.equal(rowOf(many, 'memory-and-swap').commitment, 2)
  const full = overcommitOf(HOST, containers(20, limits, { physpages: 150_000 }))
  assert.equal(rowOf(full, 'memory').level, 'dangerous')
})

test('a guarantee is the promise, where one was given', () => {
  const limits = { ...simpleLimits({ memoryBytes: GIB, swapBytes: GIB }), vmguarpages: { barrier: 32_768 } }
  const report = overcommitOf(HOST, containers(20, limits))
  assert.equal(rowOf(report, 'memory-and-swap').promised, 20 * 128 * 2 ** 20)
  assert.equal(rowOf(report, 'memory-and-swap').reach, 4)
  assert.equal(report.oversold, false)
})

test('without a limit there is no end to what may be taken', () => {
  const report = overcommitOf(HOST, containers(1, {}, { physpages: 1000, numproc: 7 }))
  assert.equal(rowOf(report, 'memory').reach, null)
  assert.equal(rowOf(report, 'processes').allowed, null)
  assert.equal(rowOf(report, 'processes').used, 7)
  assert.deepEqual(report.tooLarge, ['c0'])
})

test('kernel memory counts against the part of the memory that a kernel should hold', () => {
  const limits = simpleLimits({ memoryBytes: 64 << 20 })
  const level = (kmemsize: number) =>
    rowOf(overcommitOf(HOST, containers(1, limits, { kmemsize, tcpsndbuf: 1 })), 'kernel-memory').level
  assert.equal(level(GIB), 'normal')
  assert.equal(level(4 * GIB), 'unsafe')
  assert.equal(level(7 * GIB), 'dangerous')
})

test('CPU units are promised of 1,000 a processor; time that was promised twice is only slower', () => {
  const report = overcommitOf(HOST, containers(8, { cpulimit: { limit: 200 }, cpus: { limit: 1 } }, { cpulimit: 10 }))
  const cpu = rowOf(report, 'cpu')
  assert.deepEqual([cpu.capacity, cpu.used, cpu.promised, cpu.allowed], [4000, 800, 8000, 8000])
  assert.equal(cpu.level, 'high')
  assert.equal(report.oversold, false)
})

test('one container has its part of the host, as vzcalc showed it', () => {
  const limits = simpleLimits({ memoryBytes: 2 * GIB, swapBytes: 0 })
  const rows = containerShare(HOST, { container: 'c', limits, held: { physpages: 131_072 } })
  const memory = rows.find(({ measure }) => measure === 'memory')
  assert.deepEqual([memory?.utilization, memory?.reach], [0.0625, 0.25])
})

test('a cluster may have room while one of its hosts is too small for a container', () => {
  const large = { capacity: { ...HOST, host: 'beta', memoryBytes: 64 * GIB }, containers: [] }
  const limits = simpleLimits({ memoryBytes: 7 * GIB, swapBytes: 0 })
  const small = { capacity: HOST, containers: containers(2, limits) }
  assert.equal(overcommitOf(HOST, small.containers).oversold, true)
  const report = clusterOvercommit([large, small])
  assert.equal(report.oversold, false)
  assert.deepEqual(report.tooLarge, ['c0', 'c1'])
})

test('counters list every resource, with null for what nobody counts', () => {
  const limits = simpleLimits({ processes: 50 })
  const counters = containerCounters(limits, { numproc: { held: 5, maxHeld: 9, failures: 2 } }, (name) =>
    enforcementOf(name, 'v2'),
  )
  const byName = new Map(counters.map((counter) => [counter.resource, counter]))
  assert.deepEqual(byName.get('numproc'), {
    resource: 'numproc',
    held: 5,
    maxHeld: 9,
    barrier: null,
    limit: 50,
    failures: 2,
    enforced: 'limit',
  })
  assert.deepEqual(byName.get('numiptent'), {
    resource: 'numiptent',
    held: null,
    maxHeld: null,
    barrier: null,
    limit: null,
    failures: null,
    enforced: 'counted',
  })
  assert.equal(heldOf(counters).numproc, 5)
})

test('refusals are told once, also when a counter began anew, and a throttled processor is none', () => {
  const at = (failures: number, periods = 0) =>
    containerCounters(
      simpleLimits({ processes: 50 }),
      { numproc: { held: 5, failures }, cpulimit: { held: 1, failures: periods } },
      () => 'limit',
    )
  assert.deepEqual(newLimitFailures({}, at(0, 500)), [])
  assert.deepEqual(newLimitFailures({ numproc: 2 }, at(5)), [{ resource: 'numproc', failures: 3, total: 5, limit: 50 }])
  assert.deepEqual(newLimitFailures({ numproc: 5 }, at(5)), [])
  assert.deepEqual(newLimitFailures({ numproc: 5 }, at(1)), [{ resource: 'numproc', failures: 1, total: 1, limit: 50 }])
})
