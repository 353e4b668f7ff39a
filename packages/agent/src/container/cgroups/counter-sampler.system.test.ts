/** Counters of real processes in real control groups, over several looks and over an agent's restart. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ContainerCounter } from '@stead/core/model/container-counters.ts'
import type { ContainerLimits } from '@stead/core/model/container-limits.ts'
import type { ContainerResourceName } from '@stead/core/model/container-resources.ts'
import { until, v1Group, type TestGroup } from './cgroup-fixture.ts'
import { cgroupSettings } from './cgroup-settings.ts'
import { CounterSampler, type ContainerSample, type SampledContainer } from './counter-sampler.ts'

const NO_V1 = 'needs root and v1 controllers'

function sampled(group: TestGroup, init: number, limits: ContainerLimits = {}): SampledContainer {
  return { id: 'web', cgroup: group.cgroup, init, limits, stateFile: join(group.scratch, 'counters.json') }
}

function look(sampler: CounterSampler): ContainerSample {
  const sample = sampler.sampleNow('web')
  assert.ok(sample)
  return sample
}

function of(sample: { readonly counters: readonly ContainerCounter[] }, name: ContainerResourceName): ContainerCounter {
  const found = sample.counters.find(({ resource }) => resource === name)
  assert.ok(found)
  return found
}

async function all(sampler: CounterSampler): Promise<ContainerSample[]> {
  const samples: ContainerSample[] = []
  for await (const [, sample] of sampler.sampleAll()) samples.push(sample)
  return samples
}

test('files, locks, terminals, signals, sockets and locked memory of its processes are counted', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { run, scratch, cgroup } = group
  // Sockets are those of its network namespace; 149 is mlock(2), 34 a signal that queues.
  const locked = `my $x = "y" x 65536; syscall(149, $x, length $x) == 0 or die;`
  const signals = `sigprocmask(SIG_BLOCK, POSIX::SigSet->new(34)); kill 34, $$ for 1..5;`
  const sockets = `socket(my $s, PF_INET, SOCK_STREAM, 0); listen $s, 5; socket(my $u, PF_UNIX, SOCK_DGRAM, 0);`
  const files = `my @f = map { open my $f, "<", "/dev/null"; $f } 1..40;`
  const { pid } = run(
    `exec unshare --net perl -MPOSIX -MSocket -e '${locked} ${signals} ${sockets} ${files} open F, ">", "ready"; sleep 60'`,
  )
  // More than one page of /proc/locks.
  const locks = `my @l = map { open my $f, ">", "lock$_"; flock $f, 2; $f } 1..150;`
  run(`exec perl -e '${locks} open F, ">", "locked"; sleep 60'`)
  run(`exec script -qfc 'sleep 60' /dev/null`)
  await until(() => existsSync(join(scratch, 'ready')), 'it is ready')
  await until(() => existsSync(join(scratch, 'locked')), 'the locks are held')
  const sampler = new CounterSampler(() => 0)
  sampler.add(sampled(group, pid))
  await until(() => of(look(sampler), 'numpty').held === 1, 'the terminal is seen')
  const sample = look(sampler)
  assert.equal(of(sample, 'numtcpsock').held, 1)
  assert.equal(of(sample, 'numothersock').held, 1)
  assert.equal(of(sample, 'numflock').held, 150)
  assert.ok((of(sample, 'numsiginfo').held ?? 0) >= 5)
  assert.ok((of(sample, 'numfile').held ?? 0) >= 40)
  await until(() => (of(look(sampler), 'lockedpages').held ?? 0) >= 16, 'locked pages are seen')
  const allocated = cgroup.processes().reduce((sum, each) => {
    const status = readFileSync(`/proc/${each}/status`, 'utf8')
    return sum + Number(/VmData:\s+(\d+)/.exec(status)?.[1]) + Number(/VmStk:\s+(\d+)/.exec(status)?.[1])
  }, 0)
  assert.equal(of(look(sampler), 'privvmpages').held, allocated / 4)
})

test('an agent that comes back keeps maxima, tells no refusal twice, and tells what happened meanwhile', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { run, scratch, cgroup } = group
  const limits = { numproc: { limit: 12 } }
  assert.ok(cgroup.set(cgroupSettings(limits)).ok)
  const bomb = `for (1..20) { my $p = fork; if (defined $p && !$p) { sleep 1 until -e "go"; exit } }`
  const init = run(`exec sleep 60`).pid
  const first = new CounterSampler(() => 0)
  first.add(sampled(group, init, limits))
  assert.deepEqual(look(first).failures, [])
  const refused = () => cgroup.counters().numproc?.failures ?? 0
  run(`perl -e '${bomb} wait for 1..20'`)
  await until(() => refused() >= 10, 'forks are refused')
  const before = refused()
  const told = look(first)
  assert.deepEqual(told.failures, [{ resource: 'numproc', failures: before, total: before, limit: 12 }])
  assert.deepEqual(look(first).failures, [])
  const files = of(told, 'numfile').maxHeld ?? 0
  first.remove('web')

  writeFileSync(join(scratch, 'go'), '')
  await until(() => cgroup.processes().length === 1, 'the others have ended')
  run(`exec perl -e 'for (1..20) { my $p = fork; if (defined $p && !$p) { sleep 60; exit } } sleep 60'`)
  await until(() => refused() >= before + 10, 'more is refused')
  const second = new CounterSampler(() => 0)
  second.add(sampled(group, init, limits))
  const again = look(second)
  const [failure] = again.failures
  assert.equal(failure?.total, refused())
  assert.equal(failure?.failures, refused() - before)
  assert.equal(of(again, 'numproc').failures, refused())
  assert.ok((of(again, 'numfile').maxHeld ?? 0) >= files)

  // Another run of the guest begins at nothing.
  const third = new CounterSampler(() => 0)
  third.add(sampled(group, run('exec sleep 60').pid, limits))
  assert.equal(look(third).failures[0]?.failures, refused())
})

test('rates are those between two looks, and processes are looked at more seldom', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { run, cgroup, scratch } = group
  let now = 0
  const sampler = new CounterSampler(() => now)
  const { pid } = run(`exec perl -e '1 while 1'`)
  sampler.add({ ...sampled(group, pid), root: scratch })
  const [first] = await all(sampler)
  assert.ok(first)
  assert.equal(first.rates, undefined)
  assert.equal(of(first, 'cpulimit').held, null)
  assert.ok((of(first, 'diskspace').held ?? 0) > 0)
  assert.ok((of(first, 'diskinodes').held ?? 0) > 0)
  const files = of(first, 'numfile').held ?? 0
  const used = cgroup.usage().cpuMicroseconds
  await until(() => cgroup.usage().cpuMicroseconds > used + 200_000, 'it computes')
  run('exec sleep 60')
  await until(() => cgroup.processes().length === 2, 'there is another')
  now += 10_000
  const [second] = await all(sampler)
  assert.ok(second?.rates)
  assert.ok(second.rates.cpuPercent >= 2)
  assert.equal(of(second, 'cpulimit').held, Math.round(second.rates.cpuPercent))
  assert.equal(of(second, 'numproc').held, 2)
  assert.equal(of(second, 'numfile').held, files)
  assert.ok((of(look(sampler), 'numfile').held ?? 0) > files)
  assert.deepEqual(sampler.lastOf('web')?.rates, second.rates)
})

test('of a container whose processes sleep little is read, until one runs', async (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { run, cgroup } = group
  let now = 0
  let full = 0
  const sampler = new CounterSampler(() => now)
  // In a network of its own: what the machine sends is none of its.
  const { pid } = run('exec unshare --net sleep 60')
  await until(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n', 'it sleeps')
  const counting = {
    ...{ family: cgroup.family, lacks: cgroup.lacks },
    set: () => assert.fail(),
    usage: () => cgroup.usage(),
    processes: () => cgroup.processes(),
    counters: () => {
      full += 1
      return cgroup.counters()
    },
  }
  sampler.add({ ...sampled(group, pid), cgroup: counting })
  const first = look(sampler)
  full = 0
  for (let looks = 0; looks < 3; looks++) {
    now += 10_000
    const [sample] = await all(sampler)
    assert.equal(sample && of(sample, 'numproc').held, of(first, 'numproc').held)
  }
  // Once, should the kernel take back memory meanwhile.
  assert.ok(full <= 1)
  run('exec sleep 60')
  await until(() => cgroup.processes().length === 2, 'there is another')
  now += 10_000
  full = 0
  const [sample] = await all(sampler)
  assert.equal(sample && of(sample, 'numproc').held, 2)
  assert.ok(full >= 1)
})

test('a container that has just ended, a state file that is none, and one unknown harm nothing', (t) => {
  const group = v1Group(t)
  if (!group) return t.skip(NO_V1)
  const { scratch } = group
  writeFileSync(join(scratch, 'counters.json'), '{"run":')
  const sampler = new CounterSampler(() => 0)
  sampler.add({ ...sampled(group, 4_194_305), root: join(scratch, 'gone') })
  const sample = look(sampler)
  assert.equal(of(sample, 'numproc').held, 0)
  assert.equal(of(sample, 'numtcpsock').held, 0)
  assert.equal(of(sample, 'diskspace').held, null)
  assert.equal(sampler.sampleNow('other'), undefined)
  mkdirSync(join(scratch, 'counters.json.new'))
  sampler.remove('web')
  assert.equal(sampler.lastOf('web'), undefined)
})
