/**
 * Control groups of v2, on a folder with the files that Documentation/admin-guide/cgroup-v2.rst names, in its form: a
 * hybrid host, whose controllers are of v1, has no others. What every cgroup2 tree can is tried on the real one in
 * `cgroup-limits.system.test.ts`.
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { ContainerLimits } from '@stead/core/model/container-limits.ts'
import { cgroupSettings } from './cgroup-settings.ts'
import { cgroupMounts, type CgroupMounts } from './cgroup-tree.ts'
import { CgroupV2 } from './cgroup-v2.ts'
import { containerCgroup, enforcement, startLines } from './cgroup-limits.ts'

const FILES: Readonly<Record<string, string>> = {
  'cgroup.procs': '101\n102\n',
  'cpu.stat':
    'usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\nnr_periods 90\nnr_throttled 12\nthrottled_usec 7\n',
  'cpu.weight': '100\n',
  'cpu.max': 'max 100000\n',
  'cpuset.cpus': '\n',
  'io.max': '',
  'io.stat':
    '7:0 rbytes=1048576 wbytes=4096 rios=16 wios=1 dbytes=0 dios=0\n254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n',
  'memory.current': '20971520\n',
  'memory.peak': '33554432\n',
  'memory.low': '0\n',
  'memory.high': 'max\n',
  'memory.max': 'max\n',
  'memory.events': 'low 0\nhigh 0\nmax 812\noom 2\noom_kill 1\noom_group_kill 0\n',
  'memory.stat':
    'anon 8388608\nfile 8388608\nkernel 3145728\nkernel_stack 65536\npagetables 131072\npercpu 0\nsock 8192\nshmem 40960\n' +
    'inactive_anon 0\nactive_anon 8388608\ninactive_file 4194304\nactive_file 4194304\nunevictable 12288\n' +
    'slab_reclaimable 2097152\nslab_unreclaimable 524288\nslab 2621440\n',
  'memory.swap.current': '4096\n',
  'memory.swap.max': 'max\n',
  'memory.swap.events': 'high 0\nmax 3\nfail 3\n',
  'pids.current': '9\n',
  'pids.max': 'max\n',
  'pids.events': 'max 4\n',
}

const MOUNTINFO = (place: string) => `41 31 0:38 / ${place} rw,relatime - cgroup2 cgroup2 rw`

interface Fixture {
  readonly folder: string
  readonly cgroup: CgroupV2
  readonly root: string
  readonly read: (name: string) => string
}

function fixture(t: TestContext, files = FILES): Fixture {
  const root = mkdtempSync(join(tmpdir(), 'stead-cgroup-v2-'))
  t.after(() => rmSync(root, { recursive: true }))
  writeFileSync(join(root, 'cgroup.controllers'), 'cpuset cpu io memory pids\n')
  const folder = join(root, 'stead', 'web')
  mkdirSync(folder, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  writeFileSync(join(folder, 'cgroup.controllers'), 'cpuset cpu io memory pids\n')
  const cgroup = containerCgroup([{ controllers: '', folder }])
  assert.ok(cgroup instanceof CgroupV2)
  return { folder, root, cgroup, read: (name) => readFileSync(join(folder, name), 'utf8') }
}

const LIMITS: ContainerLimits = {
  physpages: { barrier: 12_288, limit: 16_384 },
  swappages: { limit: 0 },
  vmguarpages: { barrier: 4096 },
  numproc: { limit: 50 },
  cpuunits: { limit: 2000 },
  cpulimit: { limit: 150 },
  cpus: { limit: 1 },
  iolimit: { limit: 1_048_576 },
  numfile: { barrier: 512, limit: 1024 },
  numpty: { limit: 4 },
}

test('v2, files of a host: each limit is written in its file, and taken away again', (t) => {
  const { cgroup, read } = fixture(t)
  assert.ok(cgroup.set(cgroupSettings(LIMITS, { device: '7:0', pinnedTo: '0-1' })).ok)
  const written = {
    'memory.max': '67108864',
    'memory.high': '50331648',
    'memory.low': '16777216',
    'memory.swap.max': '0',
    'pids.max': '50',
    'cpu.weight': '200',
    'cpu.max': '100000 100000',
    'cpuset.cpus': '0-1',
    'io.max': '7:0 rbps=1048576 wbps=1048576 riops=max wiops=max',
  }
  for (const [name, value] of Object.entries(written)) assert.equal(read(name), value, name)
  assert.ok(cgroup.set(cgroupSettings({}, { device: '7:0' })).ok)
  for (const name of ['memory.max', 'memory.high', 'memory.swap.max', 'pids.max']) assert.equal(read(name), 'max', name)
  assert.equal(read('cpu.max'), 'max 100000')
  assert.equal(read('cpuset.cpus').trim(), '')
  assert.equal(read('io.max'), '7:0 rbps=max wbps=max riops=max wiops=max')
})

test('v2, files of a host: memory that cannot be given back is not taken by killing', (t) => {
  const { cgroup, read } = fixture(t)
  // 20 MiB in use, of which 8 MiB are page cache and 2 MiB names.
  const refused = cgroup.set(cgroupSettings({ physpages: { limit: 2048 }, numproc: { limit: 9 } }))
  assert.ok(!refused.ok)
  assert.equal(refused.error.code, 'conflict')
  assert.match(refused.error.message, /uses 10485760 bytes, more than 8388608/)
  assert.equal(read('memory.max').trim(), 'max')
  assert.ok(cgroup.set(cgroupSettings({ physpages: { limit: 2560 } })).ok)
})

test('v2, files of a host: counters are what the kernel counted', (t) => {
  const { cgroup } = fixture(t)
  assert.deepEqual(cgroup.counters(), {
    kmemsize: { held: 3_145_728 },
    lockedpages: { held: 3 },
    shmpages: { held: 10 },
    numproc: { held: 9, maxHeld: undefined, failures: 4 },
    physpages: { held: 5120, maxHeld: 8192, failures: 2 },
    oomguarpages: { held: 5121, failures: 1 },
    swappages: { held: 1, maxHeld: undefined, failures: 3 },
    tcpsndbuf: { held: 8192 },
    dcachesize: { held: 2_097_152 },
    cpulimit: { failures: 12 },
  })
  assert.deepEqual(cgroup.usage(), {
    cpuMicroseconds: 5_000_000,
    memoryBytes: 20_971_520,
    readBytes: 1_052_672,
    writtenBytes: 4096,
    reads: 17,
    writes: 1,
  })
  assert.deepEqual(cgroup.processes(), [101, 102])
})

test('v2, files of a host: before Linux 5.18 the parts of kernel memory are added up', (t) => {
  const { cgroup } = fixture(t, { ...FILES, 'memory.stat': 'kernel_stack 1\npagetables 2\npercpu 4\nslab 8\n' })
  assert.equal(cgroup.counters().kmemsize?.held, 15)
})

test('v2, files of a host: a limit for which the kernel has no file is counted only', (t) => {
  const { cgroup } = fixture(t)
  assert.equal(enforcement(cgroup, 'ioprio'), 'counted')
  assert.equal(enforcement(cgroup, 'numproc'), 'limit')
  assert.equal(enforcement(cgroup, 'tcpsndbuf'), 'counted')
  assert.ok(cgroup.set(cgroupSettings({ ioprio: { limit: 7 } })).ok)
})

test('the family is that of the memory controller, wherever it is mounted', (t) => {
  const { root } = fixture(t)
  const unified = cgroupMounts(MOUNTINFO(root))
  assert.ok(unified.ok)
  assert.deepEqual(unified.value, {
    family: 'v2',
    folders: { memory: root, pids: root, cpu: root, cpuset: root, io: root },
  })
  const memory = '35 31 0:32 / /my\\040groups/memory rw - cgroup cgroup rw,memory'
  const cpu = '36 31 0:33 / /cpu rw - cgroup cgroup rw,cpu,cpuacct'
  const hybrid = cgroupMounts([MOUNTINFO(root), memory, cpu].join('\n'))
  assert.ok(hybrid.ok)
  assert.deepEqual(hybrid.value, {
    family: 'v1',
    folders: { memory: '/my groups/memory', cpu: '/cpu', cpuacct: '/cpu' },
  })
  writeFileSync(join(root, 'cgroup.controllers'), 'hugetlb\n')
  const none = cgroupMounts(MOUNTINFO(root))
  assert.ok(!none.ok)
  assert.match(none.error.message, /no control groups that limit memory/)
})

test('v2: what LXC is told to start with', () => {
  const mounts: CgroupMounts = { family: 'v2', folders: { memory: '/c', pids: '/c', cpu: '/c', cpuset: '/c' } }
  assert.deepEqual(startLines(mounts, LIMITS, { device: '7:0' }), [
    'lxc.cgroup2.memory.low = 16777216',
    'lxc.cgroup2.memory.high = 50331648',
    'lxc.cgroup2.memory.max = 67108864',
    'lxc.cgroup2.pids.max = 50',
    'lxc.cgroup2.cpu.weight = 200',
    'lxc.cgroup2.cpu.max = 100000 100000',
    'lxc.prlimit.nofile = 512:1024',
  ])
  assert.deepEqual(startLines(mounts, {}), [])
})
