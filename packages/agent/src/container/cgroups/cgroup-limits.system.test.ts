/** Limits that the kernel really enforces, and counters as it really counts, on this machine's own control groups. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ContainerLimits } from '@stead/core/model/container-limits.ts'
import { kill, removed, until, v1Group } from './cgroup-fixture.ts'
import { cgroupSettings } from './cgroup-settings.ts'
import { CgroupV2 } from './cgroup-v2.ts'
import { enforcement, startLines } from './cgroup-limits.ts'
import { setProcessLimits } from './process-limits.ts'

const NO_V1 = 'needs root and v1 controllers'
const MIB = 1 << 20

test('v1: a memory hog meets its limit at the byte, is killed, and that is counted', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { cgroup, folders, run } = group
  assert.ok(cgroup.set(cgroupSettings({ physpages: { limit: 8192 }, swappages: { limit: 0 } })).ok)
  const hog = run('exec tail /dev/zero')
  const [, signal] = (await once(hog, 'exit')) as [number | null, string | null]
  assert.equal(signal, 'SIGKILL')
  const counters = cgroup.counters()
  assert.equal(counters.physpages?.maxHeld, 8192)
  assert.ok((counters.physpages?.failures ?? 0) >= 1)
  assert.ok((counters.oomguarpages?.failures ?? 0) >= 1)
  assert.equal(readFileSync(`${folders.memory}/memory.memsw.limit_in_bytes`, 'utf8').trim(), String(32 * MIB))
})

test('v1: limits of memory go up and down while it runs, and off again', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { cgroup, folders, run } = group
  run(`exec perl -e '$x = "y" x ${24 * MIB}; sleep 60'`)
  await until(() => (cgroup.counters().physpages?.held ?? 0) > 5000, 'the memory is used')
  const limit = () => readFileSync(`${folders.memory}/memory.limit_in_bytes`, 'utf8').trim()
  const set = (pages: number | undefined, swap = 0) =>
    cgroup.set(cgroupSettings(pages === undefined ? {} : { physpages: { limit: pages }, swappages: { limit: swap } }))
  for (const pages of [16_384, 32_768, 12_288]) {
    const done = set(pages)
    assert.ok(done.ok, `to ${pages} pages: ${done.ok ? '' : done.error.message}`)
    assert.equal(limit(), String(pages * 4096))
  }
  const refused = set(2048)
  assert.ok(!refused.ok)
  assert.equal(refused.error.code, 'conflict')
  assert.match(refused.error.message, /physpages.*cannot give them back/)
  assert.ok(set(undefined).ok)
  assert.ok(Number(limit()) > 2 ** 60)
})

test('v1: a fork bomb ends at its number of processes, and each refused fork is counted', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { cgroup, run } = group
  assert.ok(cgroup.set(cgroupSettings({ numproc: { limit: 20 } })).ok)
  run(`exec perl -e 'for (1..200) { my $p = fork; if (defined $p && !$p) { sleep 60; exit } } sleep 60'`)
  await until(() => (cgroup.counters().numproc?.failures ?? 0) === 181, 'every fork was tried')
  assert.equal(cgroup.counters().numproc?.held, 20)
  assert.equal(cgroup.counters().numproc?.maxHeld, 20)
  assert.equal(cgroup.processes().length, 20)
})

test('v1: forks that are refused in an inner group are counted too', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { cgroup, folders } = group
  assert.ok(cgroup.set(cgroupSettings({ numproc: { limit: 8 } })).ok)
  const inner = join(folders.pids ?? '', 'inner')
  mkdirSync(inner)
  const bomb = `for (1..20) { my $p = fork; if (defined $p && !$p) { sleep 60; exit } } sleep 60`
  const child = spawn('sh', ['-c', `echo $$ > ${inner}/cgroup.procs && exec perl -e '${bomb}'`], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  await until(() => {
    assert.ok(cgroup.processes().length <= 8)
    return cgroup.counters().numproc?.failures === 13
  }, 'the refusals are found')
  await kill(cgroup)
  await ended
  await until(() => removed(inner), 'the inner group goes')
})

test('v1: processor time is held to its limit, and the waiting is counted', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { cgroup, run } = group
  assert.ok(cgroup.set(cgroupSettings({ cpulimit: { limit: 20 }, cpus: { limit: 1 } })).ok)
  const before = performance.now()
  run(`exec perl -e '1 while 1'`)
  await until(() => (cgroup.counters().cpulimit?.failures ?? 0) >= 10, 'it is throttled')
  const elapsedUs = (performance.now() - before) * 1000
  // A period that has begun may be used up whole.
  assert.ok(cgroup.usage().cpuMicroseconds <= 0.2 * elapsedUs + 40_000)
})

test('v1: reading from the disk takes the time that its limit says', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { cgroup, scratch, run } = group
  const image = join(scratch, 'image')
  writeFileSync(image, '')
  truncateSync(image, 8 * MIB)
  const loop = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim()
  t.after(() => execFileSync('losetup', ['--detach', loop]))
  const device = readFileSync(`/sys/block/${loop.slice('/dev/'.length)}/dev`, 'utf8').trim()
  const read = async () => {
    const before = performance.now()
    await once(run(`exec dd if=${loop} of=/dev/null bs=64k count=32 iflag=direct`), 'exit')
    return performance.now() - before
  }
  assert.ok(cgroup.set(cgroupSettings({ iolimit: { limit: MIB } }, { device })).ok)
  const slowMs = await read()
  // 2 MiB at 1 MiB/s; the first slice is free.
  assert.ok(slowMs > 1000, `${slowMs} ms`)
  const usage = cgroup.usage()
  assert.equal(usage.readBytes, 2 * MIB)
  assert.ok(usage.reads >= 32)
  assert.ok(cgroup.set(cgroupSettings({}, { device })).ok)
  assert.ok((await read()) < slowMs)
})

test('v1: shares, pinning, priority and TCP memory are set, and set back', (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { cgroup, folders } = group
  const limits: ContainerLimits = {
    cpuunits: { limit: 500 },
    ioprio: { limit: 6 },
    vmguarpages: { barrier: 1024 },
    tcpsndbuf: { barrier: 1, limit: 1_048_576 },
    tcprcvbuf: { limit: 1_048_576 },
  }
  const text = (controller: 'cpu' | 'cpuset' | 'blkio' | 'memory', name: string) =>
    readFileSync(join(folders[controller] ?? '', name), 'utf8').trim()
  const all = text('cpuset', 'cpuset.cpus')
  assert.ok(cgroup.set(cgroupSettings(limits, { pinnedTo: '0' })).ok)
  assert.equal(text('cpu', 'cpu.shares'), '512')
  assert.equal(text('cpuset', 'cpuset.cpus'), '0')
  assert.equal(text('memory', 'memory.soft_limit_in_bytes'), '4194304')
  assert.equal(text('memory', 'memory.kmem.tcp.limit_in_bytes'), '2097152')
  if (enforcement(cgroup, 'ioprio') === 'limit') assert.match(text('blkio', 'blkio.bfq.weight'), /400$/)
  assert.ok(cgroup.set(cgroupSettings({})).ok)
  assert.equal(text('cpu', 'cpu.shares'), '1024')
  assert.equal(text('cpuset', 'cpuset.cpus'), all)
})

test('v1: LXC is told only what this kernel has a controller for', (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const limits: ContainerLimits = {
    physpages: { limit: 16_384 },
    swappages: { limit: 0 },
    numproc: { limit: 50 },
    ioprio: { limit: 7 },
    lockedpages: { barrier: 16, limit: 32 },
  }
  assert.deepEqual(startLines(group.mounts, limits), [
    'lxc.cgroup.memory.limit_in_bytes = 67108864',
    'lxc.cgroup.pids.max = 50',
    'lxc.prlimit.memlock = 65536:131072',
  ])
  assert.deepEqual(startLines({ family: 'v1', folders: {} }, { numproc: { limit: 50 } }), [])
})

test('limits of processes are changed while they run, those of children too', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { cgroup, run } = group
  run(`perl -e 'fork; sleep 60' & exec sleep 60`)
  await until(() => cgroup.processes().length === 3, 'they run')
  const limitsOf = (pid: number) => readFileSync(`/proc/${pid}/limits`, 'utf8')
  const limits: ContainerLimits = { numfile: { barrier: 100, limit: 200 }, privvmpages: { limit: 65_536 } }
  const done = await setProcessLimits(() => cgroup.processes(), limits)
  assert.ok(done.ok, done.ok ? '' : String(done.error.cause))
  for (const pid of cgroup.processes()) {
    assert.match(limitsOf(pid), /^Max open files +100 +200 /m)
    assert.match(limitsOf(pid), /^Max data size +268435456 +268435456 /m)
  }
  // Upwards only with CAP_SYS_RESOURCE (24), and without it the answer is a failure, not a limit that is not there.
  const status = readFileSync('/proc/self/status', 'utf8')
  const capabilities = BigInt(`0x${/^CapEff:\s+(\w+)/m.exec(status)?.[1]}`)
  const raised = await setProcessLimits(() => cgroup.processes(), {}, limits)
  assert.equal(raised.ok, ((capabilities >> 24n) & 1n) === 1n)
  if (!raised.ok) assert.equal(raised.error.code, 'hypervisor')
})

test('v2, the real tree, which has no controllers here: processes of inner groups and processor time are found', async (t) => {
  const place = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((line) => line.includes(' - cgroup2 '))
    ?.split(' ')[4]
  if (place === undefined || process.getuid?.() !== 0) return t.skip('needs root and a cgroup2 tree')
  const folder = join(place, `stead-v2-test-${process.pid}`)
  const inner = join(folder, 'inner')
  mkdirSync(inner, { recursive: true })
  const child = spawn('sh', ['-c', `echo $$ > ${inner}/cgroup.procs && exec perl -e '1 while 1'`], { stdio: 'ignore' })
  t.after(async () => {
    child.kill('SIGKILL')
    for (const path of [inner, folder]) await until(() => removed(path), `${path} goes`)
  })
  const cgroup = new CgroupV2({ family: 'v2', folders: { memory: folder } })
  await until(() => cgroup.processes().includes(child.pid ?? 0), 'the process is seen')
  await until(() => cgroup.usage().cpuMicroseconds > 10_000, 'its time is counted')
  // What there is no controller for is not limited, and no failure either.
  assert.ok(cgroup.set(cgroupSettings({ numproc: { limit: 50 } })).ok)
  assert.equal(enforcement(cgroup, 'numproc'), 'counted')
})
