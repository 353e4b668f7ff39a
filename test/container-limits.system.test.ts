/** Limits and counters of real containers: against the kernel's own files, against those who break them, and changed live. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'
import type { ContainerCounterView, GuestUseView, OvercommitView } from '@stead/api/endpoints/counters.ts'
import type { ContainerResourceName } from '@stead/core/model/container-resources.ts'
import { LabCluster } from './support/lab-cluster.ts'

const MIB = 2 ** 20
const PAGE = 4096

suite('limits and counters of containers', { timeout: 300_000 }, () => {
  let lab: LabCluster

  before(async () => {
    lab = await LabCluster.up({ hosts: 3 })
    await lab.must('template', 'build', 'busybox')
    for (const name of ['hog', 'web'])
      await lab.must(
        ...['ct', 'create', name, '--template', 'busybox', '--memory', '32MiB', '--disk', '64MiB'],
        ...['--processes', '40', '--host', 'h1', '--start'],
      )
  })
  after(() => lab?.down())

  const counters = async (name: string) => {
    const rows = await lab.json<ContainerCounterView[]>('ct', 'counters', name)
    return (resource: ContainerResourceName) => {
      const row = rows.find((each) => each.resource === resource)
      assert.ok(row, resource)
      return row
    }
  }

  /**
   * What a file of the container's control group says on its host: of v1 by its controller, else of v2. After a reboot LXC
   * gives it a group with a number where the kernel still holds the one before, in which then nothing runs.
   */
  const kernel = async (name: string, controller: string, v1: string, v2: string) => {
    const { id, host } = await lab.guest(name)
    const groups = [`stead-${id}`, `stead-${id}-[0-9]`]
    const script = [
      `for f in ${groups.map((group) => `/sys/fs/cgroup/${controller}/${group}/${v1}`).join(' ')}`,
      `$(find /sys/fs/cgroup ${groups.map((group) => `-path "*/${group}/${v2}"`).join(' -o ')})`,
    ].join(' ')
    const isUsed = '[ -e $f ] && [ -n "$(find ${f%/*} -name cgroup.procs -exec cat {} +)" ]'
    const read = `${script}; do ${isUsed} && exec cat $f; done; exit 1`
    return (await lab.must('lab', 'exec', host ?? '', '--', 'sh', '-c', read)).trim()
  }
  const memoryMax = (name: string) => kernel(name, 'memory', 'memory.limit_in_bytes', 'memory.max')
  const processesMax = (name: string) => kernel(name, 'pids', 'pids.max', 'pids.max')

  const refusals = async (name: string) =>
    (await lab.events()).filter(({ kind, subject }) => kind === 'guest.limit-reached' && subject === `guest/${name}`)

  test('the table shows what the kernel has, by the names and in the units of OpenVZ', async () => {
    const of = await counters('web')
    const { held, maxHeld: _maxHeld, ...physpages } = of('physpages')
    assert.deepEqual(physpages, {
      ...{ resource: 'physpages', barrier: null, limit: (32 * MIB) / PAGE, failures: 0, enforced: 'limit' },
    })
    assert.equal(await memoryMax('web'), String(32 * MIB))
    assert.equal(of('numproc').limit, 40)
    assert.equal(await processesMax('web'), '40')
    assert.equal(of('numproc').held, Number(await kernel('web', 'pids', 'pids.current', 'pids.current')))
    const usedPages = Number(await kernel('web', 'memory', 'memory.usage_in_bytes', 'memory.current')) / PAGE
    assert.ok(Math.abs((held ?? 0) - usedPages) < 512, `${held} pages are shown, the kernel has ${usedPages}`)
    assert.equal(of('cpus').limit, 1)
    assert.equal(of('kmemsize').enforced, 'counted')
    const files = (await lab.must('ct', 'exec', 'web', '--', 'df', '-Pk', '/')).trim().split('\n').at(-1)!.split(/ +/)
    assert.deepEqual([of('diskspace').limit, of('diskspace').held], [Number(files[1]), Number(files[2])])
  })

  test('who takes more memory than it may is killed in its container, and that is counted and told', async () => {
    const { host, epoch } = await lab.guest('hog')
    await lab.run('ct', 'exec', 'hog', '--', 'sh', '-c', 'tail -c 100m /dev/zero | wc -c')
    const of = await counters('hog')
    assert.ok((of('physpages').failures ?? 0) >= 1)
    assert.ok((of('oomguarpages').failures ?? 0) >= 1)
    assert.ok((of('physpages').maxHeld ?? 0) <= (32 * MIB) / PAGE)
    const told = (await refusals('hog')).find(({ details }) => details?.['resource'] === 'physpages')
    assert.deepEqual([told?.details?.['limit'], told?.details?.['failures']], [8192, of('physpages').failures])
    assert.deepEqual([(await lab.guest('hog')).state, (await lab.guest('hog')).host], ['running', host])
    assert.equal((await lab.guest('hog')).epoch, epoch)
    assert.equal((await counters('web'))('physpages').failures, 0)
  })

  test('a fork bomb fills its own container only, and is one event a minute however often it was refused', async () => {
    const bomb = 'b() { b | b & }; b; sleep 3'
    await lab.run('ct', 'exec', 'hog', '--', 'sh', '-c', bomb)
    const of = await counters('hog')
    assert.ok((of('numproc').failures ?? 0) >= 1)
    assert.ok((of('numproc').maxHeld ?? 0) <= 40)
    assert.match(await lab.must('ct', 'exec', 'web', '--', 'echo', 'alive'), /alive/)
    await counters('hog')
    const told = (await refusals('hog')).filter(({ details }) => details?.['resource'] === 'numproc')
    assert.equal(told.length, 1)
    assert.match(told[0]?.message ?? '', /^hog was refused .* by numproc \(processes and threads\), limit 40$/)
    assert.match(await lab.must('ct', 'list'), /REFUSED[^]*numproc \d+/)
  })

  const isV2 = !existsSync('/sys/fs/cgroup/pids') && 'the files of v2 have tests of their own'
  test(
    'each refusal that it shows is one that the kernel has counted, and the other way round',
    { skip: isV2 },
    async () => {
      const { id, host } = await lab.guest('hog')
      /** The sum over the container's groups of one hierarchy: a number alone, or the one after the key. */
      const counted = async (controller: string, file: string, key: string) => {
        const script = `find /sys/fs/cgroup/${controller}/stead-${id} -name ${file} -exec sed -n 's/^${key}//p' {} +`
        const found = (await lab.must('lab', 'exec', host ?? '', '--', 'sh', '-c', script)).trim().split('\n')
        assert.ok(
          found.every((line) => /^\d+$/.test(line)),
          `${file} says ${found.join()}`,
        )
        return found.reduce((sum, line) => sum + Number(line), 0)
      }
      const places = {
        numproc: ['pids', 'pids.events', 'max '],
        physpages: ['memory', 'memory.oom_control', 'oom_kill '],
        oomguarpages: ['memory', 'memory.oom_control', 'oom_kill '],
        swappages: ['memory', 'memory.memsw.failcnt', ''],
        cpulimit: ['cpu', 'cpu.stat', 'nr_throttled '],
      } as const
      const ofKernel = async () => {
        const counts = new Map<string, number>()
        for (const [name, [controller, file, key]] of Object.entries(places))
          counts.set(name, await counted(controller, file, key))
        return counts
      }
      // They only grow, and may while they are read.
      const before = await ofKernel()
      const of = await counters('hog')
      const after = await ofKernel()
      for (const name of Object.keys(places) as (keyof typeof places)[]) {
        const [shown, least, most] = [of(name).failures ?? -1, before.get(name)!, after.get(name)!]
        assert.ok(least <= shown && shown <= most, `${name}: ${shown} shown, the kernel had ${least} and then ${most}`)
      }
      assert.ok(before.get('numproc')! > 0 && before.get('physpages')! > 0, 'something was refused at all')
    },
  )

  test('limits change at once in the running container, and are the same after the agent', async () => {
    const before = await counters('hog')
    await lab.must('lab', 'kill', 'h1', 'agent')
    await lab.must(
      'ct',
      'set',
      'web',
      '--memory',
      '48MiB',
      '--processes',
      '60',
      '--cpus',
      '2',
      '--limit',
      'cpuunits=500',
    )
    await lab.until('the kernel has the new limits', async () => (await memoryMax('web')) === String(48 * MIB))
    await lab.until('and that of processes', async () => (await processesMax('web')) === '60')
    const of = await counters('web')
    assert.deepEqual([of('physpages').limit, of('numproc').limit, of('cpus').limit], [12_288, 60, 2])
    assert.equal(of('cpuunits').limit, 500)
    // What was counted and told before is neither lost nor told again by the agent that follows.
    const again = await counters('hog')
    assert.equal(again('physpages').failures, before('physpages').failures)
    assert.equal((await refusals('hog')).filter(({ details }) => details?.['resource'] === 'physpages').length, 1)
  })

  test('network and disk are held to their limits', async () => {
    await lab.must('ct', 'set', 'web', '--limit', 'netrate=8M', '--limit', 'iolimit=2M')
    // Asked each time: the run that follows a reboot may be on another host.
    const shaped = async () => {
      const { id, host } = await lab.guest('web')
      const device = `st${id.slice(0, 8)}0`
      const shown = await lab.must('lab', 'exec', host ?? '', '--', 'tc', 'class', 'show', 'dev', device)
      return /rate 8Mbit/.test(shown)
    }
    await lab.until('the card is limited', shaped)
    const copy = `dd if=/dev/zero of=/f bs=1M count=8 oflag=direct 2>/dev/null; cut -d ' ' -f 1 /proc/uptime`
    const times = await lab.must('ct', 'exec', 'web', '--', 'sh', '-c', `cut -d ' ' -f 1 /proc/uptime; ${copy}`)
    const [from = 0, to = 0] = times.trim().split('\n').map(Number)
    assert.ok(to - from >= 3, `8 MiB at 2 MiB/s took ${to - from} s`)
    // A container that reboots has a new run, with another pair of cards and another /dev.
    await lab.run('ct', 'exec', 'web', '--', 'sh', '-c', 'touch /dev/before; reboot')
    await lab.until(
      'it has rebooted',
      async () => (await lab.run('ct', 'exec', 'web', '--', 'test', '-e', '/dev/before')).code === 1,
    )
    await lab.until('it has its limits again', async () => (await processesMax('web')) === '60' && (await shaped()))
  })

  test('a limit below what is used is refused with the reason, and comes true once there is room', async () => {
    const fill = 'mount -t tmpfs none /mnt && dd if=/dev/zero of=/mnt/f bs=1M count=30 2>/dev/null'
    await lab.must('ct', 'exec', 'web', '--', 'sh', '-c', fill)
    await lab.must('ct', 'set', 'web', '--memory', '20MiB')
    await lab.until('it is told why', async () =>
      (await lab.guest('web')).pending.some(({ what, why }) => what === 'memory' && /uses more than/.test(why)),
    )
    assert.equal((await counters('web'))('physpages').limit, 12_288)
    await lab.must('ct', 'exec', 'web', '--', 'rm', '/mnt/f')
    await lab.until('the limit holds', async () => (await memoryMax('web')) === String(20 * MIB))
    const refused = await lab.run('ct', 'set', 'web', '--limit', 'numproc=2')
    assert.match(refused.stderr, /numproc is 2; below 8 a container does not work/)
  })

  test('what all use is one list, and what hosts have promised another', async () => {
    const uses = await lab.json<GuestUseView[]>('top', '--once')
    assert.deepEqual(uses.map(({ guest }) => guest).toSorted(), ['hog', 'web'])
    const web = uses.find(({ guest }) => guest === 'web')
    assert.deepEqual([web?.memoryLimitBytes, web?.processesMax, web?.host], [20 * MIB, 60, 'h1'])
    const { hosts } = await lab.json<{ hosts: OvercommitView[] }>('host', 'overcommit', 'h1')
    const promised = hosts[0]?.rows.find(({ measure }) => measure === 'processes')
    assert.deepEqual([promised?.promised, promised?.level], [100, 'normal'])
  })

  test('the limits are the same after a stop and a start, and after a failover', async () => {
    await lab.must('ct', 'stop', 'web', '--force')
    await lab.must('ct', 'start', 'web')
    assert.deepEqual([await memoryMax('web'), await processesMax('web')], [String(20 * MIB), '60'])
    assert.equal((await counters('web'))('cpuunits').limit, 500)
    const { host } = await lab.guest('web')
    await lab.must('lab', 'power-off', host ?? '')
    await lab.until('it runs elsewhere', async () => {
      const guest = await lab.guest('web')
      return guest.state === 'running' && guest.host !== host
    })
    assert.deepEqual([await memoryMax('web'), await processesMax('web')], [String(20 * MIB), '60'])
    assert.equal((await counters('web'))('numproc').limit, 60)
  })
})
