import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fail, ok, type Result } from '../result.ts'
import type { ContainerLimits } from './container-limits.ts'
import {
  changedLimits,
  effectiveLimits,
  limitsProblem,
  lowestPacketRate,
  nicLimitsOf,
  packetsPerSecondOf,
  parseLimit,
  simpleLimits,
  withLimit,
} from './container-limits.ts'
import type { Nic } from './guest.ts'
import { CONTAINER_PRESETS, presetParts } from './container-presets.ts'
import { CONTAINER_RESOURCE_NAMES, containerResource, enforcementOf } from './container-resources.ts'

function valueOf<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : result.error.message)
  return result.value
}

function checked(limits: ContainerLimits): Result<void> {
  const problem = limitsProblem(limits, {})
  return problem ? fail(problem) : ok()
}

function refusal(result: Result<unknown>): string {
  assert.ok(!result.ok, 'it was accepted')
  assert.equal(result.error.code, 'bad_request')
  assert.ok(result.error.hint)
  return `${result.error.message} | ${result.error.hint}`
}

test('a number alone is in the unit of the resource, a suffix is bytes of 1024', () => {
  const cases = {
    'physpages=65536': { limit: 65_536 },
    'physpages=256M': { limit: 65_536 },
    'physpages=256MiB': { limit: 65_536 },
    'physpages=65536P': { limit: 65_536 },
    'physpages=1K': { limit: 1 },
    'kmemsize=1.5m:2M': { barrier: 1_572_864, limit: 2_097_152 },
    'diskspace=1G': { limit: 1_048_576 },
    'diskspace=1048576:1153024': { barrier: 1_048_576, limit: 1_153_024 },
    'iolimit=2MB': { limit: 2_097_152 },
    'netrate=100M': { limit: 100_000 },
    'netrate=512': { limit: 512 },
    'cpulimit=50%': { limit: 50 },
    'NUMPROC=240:240': { barrier: 240, limit: 240 },
  }
  for (const [text, bound] of Object.entries(cases)) {
    const { resource, ...parsed } = valueOf(parseLimit(text))
    assert.deepEqual(parsed, bound, text)
    assert.equal(resource, text.split('=')[0]?.toLowerCase())
  }
})

test('one value is what the resource knows: both bounds, the limit alone, or the guarantee', () => {
  assert.deepEqual(valueOf(parseLimit('numfile=1024')), { resource: 'numfile', barrier: 1024, limit: 1024 })
  assert.deepEqual(valueOf(parseLimit('numproc=50')), { resource: 'numproc', limit: 50 })
  assert.deepEqual(valueOf(parseLimit('vmguarpages=64M')), { resource: 'vmguarpages', barrier: 16_384 })
})

test('unlimited is a word, or the largest long of OpenVZ’s files', () => {
  for (const text of ['unlimited', 'UNLIMITED', '9223372036854775807', '2147483647'])
    assert.deepEqual(valueOf(parseLimit(`physpages=0:${text}`)), { resource: 'physpages', barrier: 0 }, text)
  // As a number of bytes it is an amount.
  assert.deepEqual(valueOf(parseLimit('kmemsize=2147483647')), { resource: 'kmemsize', limit: 2_147_483_647 })
  const limits = withLimit(CONTAINER_PRESETS['vps.basic'], valueOf(parseLimit('numproc=unlimited')))
  assert.deepEqual(limits.numproc, {})
})

test('what cannot be meant is refused, with what to write instead', () => {
  assert.match(refusal(parseLimit('numpro=5')), /no resource “numpro” \| Did you mean numproc\?/)
  assert.match(refusal(parseLimit('memory=5')), /no resource “memory” \| `stead/)
  assert.match(refusal(parseLimit('constructor=5')), /no resource/)
  assert.match(refusal(parseLimit('numproc')), /no value/)
  assert.match(refusal(parseLimit('numproc=1:2:3')), /more than a barrier and a limit/)
  assert.match(refusal(parseLimit('numproc=lots')), /“lots” is no amount \| For example numproc=100/)
  assert.match(refusal(parseLimit('numproc=-1')), /no amount/)
  assert.match(refusal(parseLimit('numproc=5M')), /given in count, “5M” is not/)
  assert.match(refusal(parseLimit('kmemsize=5P')), /given in bytes/)
})

test('limits below what an init needs, and those that contradict each other, are refused', () => {
  const refused = (text: string) => refusal(checked(Object.fromEntries([entryOf(valueOf(parseLimit(text)))])))
  assert.match(refused('numproc=3'), /numproc is 3; below 8 a container does not work \| Give at least 8/)
  assert.match(refused('physpages=1M'), /256 pages \(1 MiB\); below 1024 pages \(4 MiB\)/)
  assert.match(refused('numfile=10:1000'), /below 64/)
  assert.match(refused('ioprio=8'), /highest value is 7/)
  assert.match(refused('numfile=2000:1000'), /barrier of numfile \(2000\) is above its limit \(1000\)/)
  assert.match(refused('swappages=64M'), /swappages has a limit and physpages has none/)
  assert.match(refusal(checked({ cpus: { limit: 1.5 } })), /no whole number/)
  assert.match(refusal(checked(Object.fromEntries([['numpro', { limit: 5 }]]))), /Did you mean numproc/)
  assert.match(
    refusal(checked({ physpages: { limit: 16_384 }, vmguarpages: { barrier: 20_000 } })),
    /promises 20000 pages, physpages and swappages allow 16384/,
  )
})

test('OpenVZ’s own lines are accepted, with barriers that nobody uses', () => {
  for (const line of [
    'PHYSPAGES=0:9223372036854775807',
    'NUMFLOCK=188:206',
    'OOMGUARPAGES=26112:9223372036854775807',
  ]) {
    const limit = valueOf(parseLimit(line))
    assert.ok(checked(Object.fromEntries([entryOf(limit)])).ok, line)
  }
})

test('the ordinary options are limits; memory without swap has none', () => {
  assert.deepEqual(simpleLimits({ memoryBytes: 64 << 20, processes: 50, cpus: 2 }), {
    physpages: { limit: 16_384 },
    swappages: { limit: 0 },
    numproc: { limit: 50 },
    cpus: { limit: 2 },
  })
  assert.deepEqual(simpleLimits({ memoryBytes: 64 << 20, swapBytes: 32 << 20 }).swappages, { limit: 8192 })
  assert.deepEqual(simpleLimits({}), {})
})

test('the guest’s memory is a limit, so that swap may be one too; what is named goes before it', () => {
  const size = { memoryBytes: 64 << 20 }
  assert.equal(limitsProblem({ swappages: { limit: 8192 } }, size), undefined)
  assert.match(limitsProblem({ vmguarpages: { barrier: 20_000 } }, size)?.message ?? '', /allow 16384/)
  assert.deepEqual(effectiveLimits({ swappages: { limit: 5 } }, size), {
    iolimit: { limit: 64 << 20 },
    numproc: { limit: 256 },
    packetrate: { limit: 50_000 },
    physpages: { limit: 16_384 },
    swappages: { limit: 5 },
  })
})

test('processes, disks and packets have a limit unless something else is said, and only lifting it lifts it', () => {
  const processes = (memoryMib: number) => effectiveLimits({}, { memoryBytes: memoryMib << 20 }).numproc?.limit
  assert.deepEqual([8, 32, 512, 1562, 2040].map(processes), [64, 128, 2048, 6248, 8160])
  const others = { iolimit: { limit: 64 << 20 }, packetrate: { limit: 50_000 } }
  assert.deepEqual(effectiveLimits({}, {}), { numproc: { limit: 8192 }, ...others })
  assert.deepEqual(effectiveLimits({ numproc: { limit: 20_000 } }, {}), { numproc: { limit: 20_000 }, ...others })
  const some = { numproc: { limit: 50 }, numfile: { limit: 512 }, iolimit: { limit: 4096 } }
  const lifted = changedLimits(some, { numproc: {}, numfile: {}, iolimit: {}, packetrate: {} })
  assert.deepEqual(lifted, { numproc: {}, iolimit: {}, packetrate: {} })
  assert.deepEqual(effectiveLimits(lifted, {}), lifted)
  assert.deepEqual(effectiveLimits(CONTAINER_PRESETS.unlimited, {}), lifted)
})

test('a rate of the network is that of each card', () => {
  assert.deepEqual(nicLimitsOf({ netrate: { limit: 8000 } }), {
    receiveBytesPerSecond: 1_000_000,
    sendBytesPerSecond: 1_000_000,
  })
  assert.equal(nicLimitsOf({}), undefined)
})

test('how many packets a card may send is said of a container as a whole and of each card, of a machine of its cards only', () => {
  const size = { memoryBytes: 64 << 20, cpus: 1 }
  const container = { template: 'busybox', system: { haltSignal: 'SIGUSR1' }, idBase: 1_000_000 }
  const card: Nic = { mac: '52:54:00:00:00:01', network: 'lan' }
  const slow = { ...card, limits: { sendPacketsPerSecond: 500 } }
  const of = (limits: ContainerLimits) => packetsPerSecondOf({ ...size, container: { ...container, limits } }, card)
  assert.deepEqual([of({}), of({ packetrate: { limit: 100 } }), of({ packetrate: {} })], [50_000, 100, undefined])
  assert.deepEqual([packetsPerSecondOf(size, card), packetsPerSecondOf(size, slow)], [undefined, 500])
  assert.equal(packetsPerSecondOf({ ...size, container }, slow), 500)
  const slowest = (...nics: readonly Nic[]) => lowestPacketRate({ ...size, nics })
  assert.deepEqual([slowest(), slowest(card), slowest(card, slow)], [undefined, undefined, 500])
})

test('every preset is valid', () => {
  for (const [name, limits] of Object.entries(CONTAINER_PRESETS)) {
    assert.equal(limitsProblem(limits, {}), undefined, name)
  }
  assert.equal(presetParts('toString'), undefined)
})

test('what says that it refuses says by what, and what only counts has no such word', () => {
  assert.equal(enforcementOf('numproc', 'v2'), 'limit')
  assert.equal(enforcementOf('numflock', 'v1'), 'counted')
  assert.equal(enforcementOf('tcpsndbuf', 'v1'), 'limit')
  assert.equal(enforcementOf('tcpsndbuf', 'v2'), 'counted')
  for (const name of CONTAINER_RESOURCE_NAMES) {
    const { by, barrier, limit, meaning } = containerResource(name)
    const refuses = by.v1 !== undefined || by.v2 !== undefined
    assert.equal(barrier !== undefined || limit !== undefined, refuses, name)
    assert.ok(meaning.length <= 120, `${name} is explained on one line`)
  }
})

test('the administrator’s table tells of every resource, of its unit and of what enforces it', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../../docs/operating/container-limits.md'), 'utf8')
  const rows = text.split('\n').filter((line) => /^\| `\w+` \| [\w/]+ \|/.test(line))
  assert.deepEqual(
    rows.map((row) => row.split(' | ').slice(0, 3).join(' ').slice(2)),
    CONTAINER_RESOURCE_NAMES.map((name) => {
      const { unit, by, each, counted } = containerResource(name)
      const nothing = counted === undefined ? 'nothing' : 'counted only'
      const words = by.v1 === by.v2 ? (by.v1 ?? nothing) : `${by.v1 ?? '–'}; v2: ${by.v2 ?? 'counted only'}`
      return `\`${name}\` ${unit} ${words}${each === undefined ? '' : `, each ${each}`}`
    }),
  )
})

function entryOf({ resource, ...bound }: { resource: string; barrier?: number; limit?: number }) {
  return [resource, bound] as const
}
