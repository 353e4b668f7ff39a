/** Containers by the real LXC, kernel and helpers, with a busybox root on ext4. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Result } from '@stead/core/result.ts'
import { onBareHost } from './bare-host-fixture.ts'
import { processesIn } from './container-cgroup.ts'
import { adoptContainer, endFolderLeftovers, type LxcContainer } from './lxc-container.ts'
import type { ContainerExit } from './lxc-outcome.ts'
import { ID_BASE, LxcFixture, PROGRAMS, until } from './lxc-fixture.ts'
import type { LxcSpec } from './lxc-spec.ts'
import { startContainer } from './lxc-start.ts'

/** Whoever halts or reboots waits for all file systems of the machine, those of other tests too. */
const ENDS_MS_MAX = 60_000
const LIMITS = { timeoutMs: ENDS_MS_MAX, outputBytesMax: 100_000 }

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : `${result.error.message} (${result.error.hint})`)
  return result.value
}

async function output(container: LxcContainer, script: string): Promise<string> {
  const { code, stdout, stderr } = value(await container.exec(['/bin/sh', '-c', script], LIMITS))
  assert.equal(code, 0, stderr.toString())
  return stdout.toString()
}

await onBareHost(import.meta.filename, () => {
  describe('an LXC container', () => {
    let host: LxcFixture
    const running: LxcContainer[] = []

    before(async () => {
      host = new LxcFixture()
      await host.ready()
    })

    after(async () => {
      for (const container of running) value(await container.kill())
      for (const container of running) container.close()
      await host.close()
    })

    async function start(more: Partial<LxcSpec> = {}): Promise<{ container: LxcContainer; spec: LxcSpec }> {
      const spec = host.spec(more)
      const begun = performance.now()
      const container = value(await startContainer(PROGRAMS, spec))
      console.log(`    started in ${Math.round(performance.now() - begun)} ms`)
      running.push(container)
      return { container, spec }
    }

    test('is nobody on the host, has its own ids inside, and reaches its neighbours', async () => {
      const { container, spec } = await start()
      const init = container.initPid()!
      const status = readFileSync(`/proc/${init}/status`, 'utf8')
      assert.match(status, new RegExp(`^Uid:\t${ID_BASE}\t${ID_BASE}\t${ID_BASE}\t${ID_BASE}$`, 'm'))
      assert.match(status, /^Seccomp:\t2$/m)
      for (const kind of ['net', 'pid', 'mnt', 'ipc', 'uts', 'user', 'cgroup']) {
        const link = (pid: number | 'self') => execFileSync('readlink', [`/proc/${pid}/ns/${kind}`]).toString()
        assert.notEqual(link(init), link('self'), kind)
      }
      assert.equal(await output(container, 'id -u; hostname; touch /root/made'), `0\n${spec.name}\n`)
      assert.equal(lstatSync(join(spec.rootPath, 'root/made')).uid, 0, 'ordinary ids on the disk')
      assert.equal(
        readFileSync(join(spec.rootPath, 'etc/resolv.conf'), 'utf8'),
        'search example.org\nnameserver 10.7.0.53\n',
      )
      execFileSync('ping', ['-c1', '-W5', '10.7.0.11'])
      await output(container, 'ping -c1 -W5 10.7.0.1')
      const addresses = value(await container.addresses())
      assert.deepEqual(addresses.map(({ address }) => address).sort(), ['10.7.0.11/24', 'fd00:7::11/64'])
      assert.deepEqual(new Set(addresses.map(({ mac }) => mac)), new Set(['02:00:00:00:00:01']))
      assert.equal(readFileSync('/sys/class/net/st000000010/mtu', 'utf8').trim(), '1450')
      assert.match(await output(container, 'ip route'), /default via 10\.7\.0\.1/)
      assert.ok(container.uptimeMs()! < 60_000)
      assert.ok(container.processes().some(({ pid, command }) => pid === 1 && command === 'init'))
    })

    test('may not make device nodes, raise its limits, load modules or see the host', async () => {
      const { container, spec } = await start()
      const attempts = [
        'mknod /tmp/sda b 8 0 && dd if=/tmp/sda of=/dev/null count=1',
        'echo 1000 > /sys/fs/cgroup/pids/pids.max',
        'echo b > /proc/sysrq-trigger',
        'echo 1 > /proc/sys/kernel/panic',
        'mount -t ext4 /dev/loop0 /tmp',
        `cat ${spec.folder}/lxc.pid`,
      ]
      for (const attempt of attempts) {
        const { code } = value(await container.exec(['/bin/sh', '-c', attempt], LIMITS))
        assert.notEqual(code, 0, attempt)
      }
      assert.equal(
        readFileSync(
          join(container.cgroups().find(({ controllers }) => controllers === 'pids')!.folder, 'pids.max'),
          'utf8',
        ).trim(),
        '60',
      )
      // A fork bomb stops at its limit and its neighbour does not notice.
      const bombed = await container.exec(['/bin/sh', '-c', 'bomb() { bomb | bomb & }; bomb; sleep 1'], {
        timeoutMs: 3_000,
        outputBytesMax: 10_000,
      })
      assert.ok(bombed.ok || bombed.error.code === 'timeout')
      const pids = container.cgroups().find(({ controllers }) => controllers === 'pids')!
      assert.ok(processesIn(pids.folder).length <= 60)
      const begun = performance.now()
      value(await container.kill())
      console.log(`    killed in ${Math.round(performance.now() - begun)} ms`)
      assert.deepEqual(container.cgroups(), [])
      assert.ok(!existsSync('/sys/class/net/st000000020'))
    })

    test('exec gives exit code, output within limits, and ends what takes too long', async () => {
      const { container } = await start()
      const result = value(
        await container.exec(['/bin/sh', '-c', 'cat; echo bad >&2; exit 7'], LIMITS, Buffer.from('typed')),
      )
      assert.equal(result.code, 7)
      assert.equal(result.stdout.toString(), 'typed')
      assert.equal(result.stderr.toString(), 'bad\n')
      const flood = value(
        await container.exec(['/bin/sh', '-c', 'yes | dd bs=1000 count=500 2>/dev/null'], {
          ...LIMITS,
          outputBytesMax: 5_000,
        }),
      )
      assert.equal(flood.stdout.length, 5_000)
      assert.ok(flood.truncated)
      const late = await container.exec(['/bin/sh', '-c', 'sleep 601 & sleep 602'], { ...LIMITS, timeoutMs: 300 })
      assert.equal(late.ok ? '' : late.error.code, 'timeout')
      await until(
        'the killed are gone',
        () => !container.processes().some(({ command }) => command.includes('sleep 602')),
      )
      assert.equal(value(await container.exec(['/bin/nothing'], LIMITS)).code, 127)
      const times: number[] = []
      for (let i = 0; i < 8; i++) {
        const begun = performance.now()
        await container.exec(['/bin/true'], LIMITS)
        times.push(performance.now() - begun)
      }
      console.log(`    exec took ${times.map(Math.round).join(', ')} ms`)
    })

    test('a person enters on a terminal, and leaves by hanging up', async () => {
      const { container } = await start()
      const terminal = value(
        container.enter({ columns: 90, rows: 33 }, ['/bin/sh', '-c', 'while read line; do eval "$line"; done']),
      )
      let shown = ''
      terminal.stream.on('data', (bytes: Buffer) => (shown += bytes.toString()))
      // At once: what is typed before lxc-attach has its terminal waits for that.
      terminal.stream.write('stty size\n')
      await until('the size', () => shown.includes('33 90\r\n'))
      assert.doesNotMatch(shown.replace('stty size', ''), /\r\r/)
      terminal.resize(100, 40)
      await until('the new size', async () => {
        terminal.stream.write('stty size\n')
        await sleep(50)
        return /40 100/.test(shown)
      })
      terminal.stream.write('exit 5\n')
      assert.equal(await terminal.ended, 5)
      const talkative = value(container.enter({ columns: 80, rows: 24 }, ['/bin/sh', '-c', 'sleep 602 & exec cat']))
      talkative.stream.resume()
      await until('cat', () => container.processes().some(({ command }) => command.includes('sleep 602')))
      talkative.stream.write('\n\x04')
      assert.equal(await talkative.ended, 0, 'what it left in the background does not hold it')
      const deaf = value(container.enter({ columns: 80, rows: 24 }, ['/bin/sh', '-c', 'stty raw; exec sleep 604']))
      await until('deaf', () => container.processes().some(({ command }) => command.includes('sleep 604')))
      deaf.stream.write(Buffer.alloc(1 << 20, 'x'))
      deaf.stream.destroy()
      await deaf.ended
      await until('hung up', () => !container.processes().some(({ command }) => command.includes('sleep 604')))
      const second = value(container.enter({ columns: 80, rows: 24 }, ['/bin/sh', '-c', 'sleep 603']))
      await until('second', () => container.processes().some(({ command }) => command.includes('sleep 603')))
      second.stream.destroy()
      await second.ended
      await until('hung up', () => !container.processes().some(({ command }) => command.includes('sleep 603')))
    })

    test('its console is logged and answers on a socket', async () => {
      const { container } = await start()
      await until('the log', () => readFileSync(container.consoleLog, 'utf8').includes('up and running'))
      const socket = connect(container.consoleSocket)
      let shown = ''
      socket.on('data', (bytes: Buffer) => (shown += bytes.toString()))
      socket.write('hello there\n')
      await until('the echo of cat', () => (shown.match(/hello there/g)?.length ?? 0) >= 1)
      await until('logged too', () => readFileSync(container.consoleLog, 'utf8').includes('hello there'))
      assert.doesNotMatch(readFileSync(container.consoleLog, 'utf8'), /\r\r/, 'lines end once')
      socket.destroy()
    })

    test('halts when told, and says how it ended', async () => {
      const { container } = await start()
      const exit = new Promise<ContainerExit>((resolve) => container.onExit(resolve))
      await until('init is up', () => readFileSync(container.consoleLog, 'utf8').includes('up and running'))
      value(container.requestShutdown())
      assert.ok(await container.waitExit(ENDS_MS_MAX))
      assert.deepEqual(await exit, { how: 'halted', code: 0 })
      assert.ok(readFileSync(container.consoleLog, 'utf8').includes('going down'))
      assert.deepEqual(container.cgroups(), [])
    })

    test('a reboot from inside goes on as the same run', async () => {
      const { container } = await start()
      const first = container.initPid()
      let reboots = 0
      container.onReboot(() => (reboots += 1))
      const exit = new Promise<ContainerExit>((resolve) => container.onExit(resolve))
      await until('init is up', () => readFileSync(container.consoleLog, 'utf8').includes('up and running'))
      // Its own exit code may be that of the signal with which init ends all processes.
      value(await container.exec(['/bin/sh', '-c', 'reboot'], LIMITS))
      await until(
        'another init',
        () => reboots === 1 && container.initPid() !== undefined && container.initPid() !== first,
      )
      assert.equal(await output(container, 'hostname'), 'box-7\n')
      value(container.requestShutdown())
      assert.equal((await exit).how, 'halted')
    })

    test('an init that ends with an error is a crash', async () => {
      const spec = host.spec({ init: ['/sbin/fails'] })
      writeFileSync(join(spec.rootPath, 'sbin/fails'), '#!/bin/sh\nsleep 1\nexit 3\n', { mode: 0o755 })
      const container = value(await startContainer(PROGRAMS, spec))
      running.push(container)
      const exit = await new Promise<ContainerExit>((resolve) => container.onExit(resolve))
      assert.equal(exit.how, 'crashed')
    })

    test('frozen it does nothing, thawed it goes on, and frozen it can be killed', async () => {
      const { container } = await start()
      await output(container, '(while :; do echo x >> /tmp/ticks; sleep 0.01; done) >/dev/null 2>&1 &')
      const ticks = join(host.folder, 'guests/c9/rootfs/tmp/ticks')
      await until('ticking', () => existsSync(ticks))
      value(await container.freeze())
      const size = lstatSync(ticks).size
      await sleep(200)
      assert.equal(lstatSync(ticks).size, size)
      value(await container.thaw())
      await until('ticking again', () => lstatSync(ticks).size > size)
      value(await container.freeze())
      const pids = container.processes().map(({ hostPid }) => hostPid)
      assert.ok(pids.length >= 3)
      value(await container.kill())
      for (const pid of pids) assert.ok(!existsSync(`/proc/${pid}`), String(pid))
    })

    test('no link that the container made leads a write of the host out of its root', async () => {
      const target = join(host.folder, 'host-file')
      writeFileSync(target, 'of the host')
      const spec = host.spec()
      symlinkSync(target, join(spec.rootPath, 'etc/resolv.conf'))
      symlinkSync(target, join(spec.rootPath, 'etc/hostname'))
      const container = value(await startContainer(PROGRAMS, spec))
      running.push(container)
      assert.equal(readFileSync(target, 'utf8'), 'of the host')
      assert.ok(lstatSync(join(spec.rootPath, 'etc/resolv.conf')).isFile())
      value(await container.kill())
      const outside = join(host.folder, 'outside')
      mkdirSync(outside)
      renameSync(join(spec.rootPath, 'etc'), join(spec.rootPath, 'etc.real'))
      symlinkSync(outside, join(spec.rootPath, 'etc'))
      const refused = await startContainer(PROGRAMS, spec)
      assert.match(refused.ok ? '' : refused.error.message, /Cannot write \/etc\/hostname/)
      assert.ok(!existsSync(join(outside, 'hostname')))
    })

    test('a later agent adopts it, and it holds no other guest’s mount', async () => {
      const { container: other, spec: otherSpec } = await start()
      const { container, spec } = await start()
      container.close()
      const adopted = adoptContainer(PROGRAMS, spec.folder)!
      assert.equal(adopted.initPid(), container.initPid())
      assert.equal(await output(adopted, 'hostname'), `${spec.name}\n`)
      const exit = new Promise<ContainerExit>((resolve) => adopted.onExit(resolve))
      value(await adopted.kill())
      await exit
      assert.equal(adoptContainer(PROGRAMS, spec.folder), undefined)
      const mounts = readFileSync(`/proc/${other.keeperPid}/mounts`, 'utf8')
      assert.ok(mounts.includes(otherSpec.rootPath))
      assert.ok(!mounts.includes(spec.rootPath))
      const again = value(await startContainer(PROGRAMS, spec))
      assert.ok(!readFileSync(`/proc/${again.keeperPid}/mounts`, 'utf8').includes(otherSpec.rootPath))
      value(await again.kill())
      again.close()
      execFileSync('umount', [spec.rootPath])
    })

    test('LXC’s reason is told when it cannot start, and nothing is left', async () => {
      const spec = host.spec({ init: ['/sbin/absent'] })
      const refused = await startContainer(PROGRAMS, spec)
      assert.match(refused.ok ? '' : refused.error.message, /No such file or directory/)
      assert.equal(adoptContainer(PROGRAMS, spec.folder), undefined)
      const unbridged = host.spec()
      const without = await startContainer(PROGRAMS, {
        ...unbridged,
        nics: [{ ...unbridged.nics[0]!, bridge: 'absent' }],
      })
      assert.match(without.ok ? '' : without.error.message, /bridge/)
    })

    test('an application begins as its image says: words, environment, folder, user', async () => {
      const process = { environment: ['GREETING=good  day', 'HOME=/srv'], folder: '/tmp', uid: 1000, gid: 50 }
      const says = 'echo to its console; sleep 600; true'
      const spec = host.spec({ init: ['/bin/sh', '-c', says, 'two words'], process })
      const container = value(await startContainer(PROGRAMS, spec))
      running.push(container)
      const of = `/proc/${container.initPid()}`
      const words = (file: string) => readFileSync(`${of}/${file}`, 'utf8').split('\0')
      assert.deepEqual(words('cmdline'), ['/bin/sh', '-c', says, 'two words', ''])
      for (const each of process.environment) assert.ok(words('environ').includes(each), each)
      assert.equal(readlinkSync(`${of}/cwd`), '/tmp')
      const { uid, gid } = lstatSync(of)
      assert.deepEqual([uid - ID_BASE, gid - ID_BASE], [1000, 50])
      assert.equal(await output(container, 'echo entered'), 'entered\n')
      await until('it is heard', () => readFileSync(container.consoleLog, 'utf8').includes('to its console'))
    })

    test('has pseudo-terminals of its own, as many as it may', async () => {
      const { container } = await start()
      const said = async (script: string) => {
        const { stdout } = value(await container.exec(['/bin/sh', '-c', script], LIMITS))
        return stdout.toString().trim().split('\n')
      }
      const found = await said('ls /dev/pts; readlink /dev/ptmx; exec 7<>/dev/ptmx; ls /dev/pts')
      assert.deepEqual(found, ['ptmx', 'pts/ptmx', '0', 'ptmx'])
      const all = '7<>/dev/ptmx 6<>/dev/ptmx 5<>/dev/ptmx 4<>/dev/ptmx 3<>/dev/ptmx'
      assert.deepEqual(await said(`exec ${all}; echo five; (: 8<>/dev/ptmx) 2>/dev/null || echo no more`), [
        'five',
        'no more',
      ])
      value(await container.kill())
    })

    test('it dies with the guests’ namespace, and what it left does not hinder the next start', async () => {
      const { container, spec } = await start()
      const init = container.initPid()!
      const exit = new Promise<ContainerExit>((resolve) => container.onExit(resolve))
      host.deadman.kill('SIGKILL')
      await until('all dead', () => !existsSync(`/proc/${init}`) && !container.running)
      assert.equal((await exit).how, 'crashed')
      value(await endFolderLeftovers(spec.folder))
      assert.deepEqual(container.cgroups(), [])
      const again = value(await startContainer(PROGRAMS, { ...spec, namespacePid: 0 }))
      value(await again.kill())
      again.close()
    })
  })
})
