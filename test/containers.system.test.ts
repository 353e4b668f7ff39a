/** Containers on three real hosts: what a user does with them, and every fault that must not cost them more than a VM. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { ConsoleConnection } from '@stead/api/console-connection.ts'
import { ShellConnection } from '@stead/api/shell-connection.ts'
import { openNodeSocket } from '@stead/client/node-socket.ts'
import { ok } from '@stead/core/result.ts'
import { controllers } from '@stead/lab/controllers.ts'
import { acknowledgedOn, EventWatch, replaced, resumedAt, signal } from './support/fault-watch.ts'
import { LabCluster, STEAD } from './support/lab-cluster.ts'

const NAME = 'web'
const ADDRESS = '10.66.210.1'
const OTHER_ADDRESS = '10.66.210.2'

suite('containers', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let id = ''

  before(async () => {
    lab = await LabCluster.up()
    await lab.importRecorderTemplate()
    const network = ['--address', `${ADDRESS}/16`, '--nameserver', '10.66.0.53', '--search', 'example.org']
    await lab.createContainer(NAME, ['--host', 'h1', '--mount', '16MiB:/srv', '--hostname', 'www', ...network])
    id = (await lab.guest(NAME)).id
    await whole()
  })
  after(() => lab?.down())

  const exec = (script: string, name = NAME) => lab.run('ct', 'exec', name, '--', 'sh', '-c', script)
  /** What it prints, when it succeeds. */
  const told = async (script: string, name = NAME) => {
    const { code, stdout, stderr } = await exec(script, name)
    assert.equal(code, 0, `${script}: ${stderr}`)
    return stdout.trim()
  }
  const home = async () => (await lab.guest(NAME)).host ?? ''
  const answers = async (address: string) =>
    (await lab.run('lab', 'client', '--', 'ping', '-c', '1', '-W', '1', address)).code === 0
  const online = (host: string) =>
    lab.until(`${host} is online`, async () =>
      (await lab.hosts()).some((each) => each.name === host && each.state === 'online'),
    )

  /** Running, protected, writing; nothing acknowledged is missing, and no write ever failed. */
  async function whole(): Promise<void> {
    await lab.untilProtected(NAME)
    await lab.recordsPast(NAME, (await lab.acknowledged(NAME)) + 5)
    await lab.assertNothingLost(NAME)
    assert.doesNotMatch(await lab.console(NAME), /WERR|FERR/, 'its recorder has seen an error')
  }

  /** The pid of its lxc-start, in the whole lab: there is never more than one. */
  function lxcOf(): number {
    const found = lab.processes().filter((pid) => commandLine(pid).startsWith(`/usr/bin/lxc-start -F -n ${id} `))
    assert.equal(found.length, 1, `${NAME} runs ${found.length} times`)
    return found[0] ?? 0
  }

  /** What a host has of it besides files: processes, mounts, loop devices, control groups, links. */
  async function tracesOn(host: string): Promise<readonly string[]> {
    const [mounts, links] = await Promise.all([
      lab.must('lab', 'exec', host, '--', 'cat', '/proc/self/mountinfo'),
      lab.must('lab', 'exec', host, '--', 'ls', '/sys/class/net'),
    ])
    const place = `${lab.hostFolder(host)}/containers/${id}/`
    const loops = execFileSync('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'], { encoding: 'utf8' })
    const groups = controllers(lab.id, host).flatMap(({ folder }) =>
      readdirSync(folder).filter((each) => each.includes(id)),
    )
    const pids = lab.processes().filter((pid) => commandLine(pid).includes(place))
    return [
      ...[...mounts.split('\n'), ...loops.split('\n')].filter((line) => line.includes(place)),
      ...links.split('\n').filter((link) => link.startsWith(`st${id.slice(0, 8)}`)),
      ...groups,
      ...pids.map((pid) => `process ${pid}`),
    ]
  }

  async function goesOnUndisturbed(harm: () => Promise<unknown>): Promise<void> {
    const { epoch, host } = await lab.guest(NAME)
    const pid = lxcOf()
    await harm()
    await lab.recordsPast(NAME, acknowledgedOn(lab, host ?? '', id) + 10)
    await whole()
    assert.equal((await lab.guest(NAME)).epoch, epoch)
    assert.equal(lxcOf(), pid)
  }

  /** A new run that starts with everything the old one was told is safe. */
  async function comesBack(harm: () => Promise<unknown>): Promise<EventWatch> {
    const { epoch, host } = await lab.guest(NAME)
    const watch = await EventWatch.begin(lab)
    const before = acknowledgedOn(lab, host ?? '', id)
    await harm()
    await lab.until(
      'it runs again',
      async () => {
        const now = await lab.guest(NAME)
        return now.state === 'running' && now.epoch > epoch
      },
      90_000,
    )
    assert((await resumedAt(lab, NAME)) >= before, 'acknowledged records are missing')
    return watch
  }

  test('commands run in it; their output and exit code are their own', async () => {
    const ended = await exec('echo out; echo err >&2; exit 7')
    assert.deepEqual([ended.code, ended.stdout, ended.stderr], [7, 'out\n', 'err\n'])
    assert.equal(await told('hostname'), 'www')
    assert.equal(await told('cat /etc/resolv.conf'), 'search example.org\nnameserver 10.66.0.53')
  })

  test('it answers at its address, and its root is nobody on the host', async () => {
    await lab.until('it answers', () => answers(ADDRESS))
    const [inside, outside, count] = (await told('cat /proc/self/uid_map')).split(/\s+/).map(Number)
    assert.deepEqual([inside, count], [0, 65_536])
    assert((outside ?? 0) >= 1_000_000)
    const [init = 0] = readdirSync(`/proc/${lxcOf()}/task/${lxcOf()}`).includes('children')
      ? readFileSync(`/proc/${lxcOf()}/task/${lxcOf()}/children`, 'utf8').trim().split(' ').map(Number)
      : []
    assert.match(readFileSync(`/proc/${init}/status`, 'utf8'), new RegExp(`^Uid:\\t${outside}\\t`, 'm'))
    assert.equal((await exec('mount -t ext4 /dev/loop0 /mnt')).code === 0, false, 'no disk of the host can be mounted')
  })

  test('its further disk is its root’s own', async () => {
    assert.equal(await told('echo kept > /srv/file; sync /srv/file; stat -c %u:%g /srv /srv/file'), '0:0\n0:0')
  })

  test('its console is used through a host that does not run it', async () => {
    let text = ''
    const left = new AbortController()
    const connection = new ConsoleConnection({
      client: lab.clientOf(['h3']),
      ...{ guest: NAME, kind: 'serial', openSocket: openNodeSocket },
      onConnected: () => undefined,
      onBytes: (bytes) => (text += Buffer.from(bytes).toString('latin1')),
      onWaiting: () => undefined,
    })
    const running = connection.run(left.signal)
    try {
      await lab.until('a shell answers', async () => {
        connection.send(Buffer.from('\necho $((6 * 7))-answer\n'))
        return /42-answer/.test(text)
      })
    } finally {
      left.abort()
      await running
    }
  })

  test('a person enters it through another host: a terminal of its size, until its shell ends', async () => {
    const shell = new EnteredShell(lab, 'h3')
    assert.notEqual(await home(), 'h3')
    await shell.says('stty size; id -u', /31 97\r\n0\r\n/)
    shell.connection.resize({ columns: 120, rows: 40 })
    await lab.until('the new size', async () => {
      await shell.says('stty size', /\d+ \d+\r\n/)
      return shell.text.includes('40 120')
    })
    shell.type('(exit 3)\r')
    shell.type('\x04')
    assert.deepEqual(await shell.ended, ok(3))
  })

  test('`ct enter` is used on a terminal, and with its input piped in', async () => {
    const { env } = lab
    const piped = spawnSync(STEAD, ['ct', 'enter', NAME], { env, input: 'hostname; exit 4\n', timeout: 60_000 })
    assert.match(piped.stdout.toString(), /www/)
    assert.equal(piped.status, 4, piped.stderr.toString())
    const resized = join(lab.hostFolder('h1'), 'resized')
    // The terminal changes its size once the shell has told the first one.
    const later = `until [ -e ${resized} ]; do sleep 0.1; done; stty cols 77 rows 22 </dev/tty`
    const script = `stty cols 91 rows 31; (${later}) & exec ${STEAD} ct enter ${NAME}`
    const child = spawn('script', ['-qec', script, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'inherit'] })
    const exit = once(child, 'exit')
    let shown = ''
    child.stdout.on('data', (bytes: Buffer) => (shown += bytes.toString()))
    const says = (pattern: RegExp) =>
      lab.until(String(pattern), async () => {
        child.stdin.write('stty size\r')
        return pattern.test(shown)
      })
    try {
      await says(/31 91/)
      writeFileSync(resized, '')
      await says(/22 77/)
      child.stdin.write('exit 5\r')
      assert.deepEqual(await exit, [5, null])
    } finally {
      child.kill('SIGHUP')
    }
  })

  test('who entered hears why it ended, when it is not the shell that did', async () => {
    const shell = new EnteredShell(lab, 'h3')
    await shell.says('echo $((6 * 7))-here', /42-here/)
    await lab.must('ct', 'restart', NAME)
    const ended = await shell.ended
    assert(!ended.ok)
    assert.match(ended.error.message, /The shell in web has ended: /)
    assert.match(ended.error.hint ?? '', /stead ct enter web/)
    await whole()
    const absent = await lab.run('ct', 'enter', 'nobody')
    assert.equal(absent.code, 4)
  })

  test("a replica's storage daemon is killed while it writes: it sees no error and goes on", async () => {
    const watch = await EventWatch.begin(lab)
    await goesOnUndisturbed(async () => {
      await signal(lab, await remote(), 'qsd')
      await watch.until('replica.stale')
    })
  })

  test('a storage daemon freezes: it is noticed, replaced, and brought up to date', async () => {
    const watch = await EventWatch.begin(lab)
    let frozen: readonly number[] = []
    await goesOnUndisturbed(async () => {
      const host = await remote()
      frozen = await signal(lab, host, 'qsd', 'STOP')
      await watch.until('replica.stale', { host })
    })
    assert(
      frozen.every((pid) => !lab.processes().includes(pid)),
      'the frozen daemon is gone: it can write nothing late',
    )
  })

  test('the agent is killed: the next one adopts it', async () => {
    await goesOnUndisturbed(async () => {
      const host = await home()
      await replaced(lab, host, 'agent', await signal(lab, host, 'agent'))
      await online(host)
    })
    assert.equal(await told('echo adopted'), 'adopted')
  })

  for (const part of ['front', 'stead-disk', 'lxc']) {
    test(`its ${part} is killed: a new run begins with all that was safe`, async () => {
      const watch = await comesBack(async () => signal(lab, await home(), part))
      const { message } = await watch.until('guest.exited')
      if (part !== 'lxc') assert.match(message, /ended by itself \(SIGKILL\)/)
      await whole()
    })
  }

  test('it shuts itself down: the cluster keeps it running, as a VM', async () => {
    const watch = await comesBack(() => exec('poweroff'))
    await watch.until('guest.exited')
    await whole()
  })

  test('it reboots itself: a new run begins, with a root that is its own', async () => {
    const watch = await comesBack(() => exec('reboot'))
    await watch.until('guest.exited')
    await whole()
    assert.equal(await told('touch /root/own && echo written'), 'written')
  })

  test('its host loses power: it runs elsewhere with its data, and nothing of the old run stays', async () => {
    const old = await home()
    await comesBack(() => lab.must('lab', 'power-off', old))
    assert.notEqual(await home(), old)
    assert.equal(await told('cat /srv/file'), 'kept')
    await lab.until('it answers', () => answers(ADDRESS))
    await lab.must('lab', 'power-on', old)
    await online(old)
    await whole()
    await lab.until('nothing is left', async () => (await tracesOn(old)).length === 0)
  })

  test('its host is cut off: it moves, and the old run ends by itself', async () => {
    const old = await home()
    const pid = lxcOf()
    await comesBack(async () => {
      await lab.must('lab', 'cut', old)
      await lab.until('the old run is gone', async () => !existsSync(`/proc/${pid}`))
    })
    assert.notEqual(await home(), old)
    await lab.must('lab', 'mend', old)
    await online(old)
    await whole()
    lxcOf()
    await lab.until('nothing is left', async () => (await tracesOn(old)).length === 0)
  })

  test('it moves by a restart, and ends in order for it', async () => {
    const old = await home()
    const watch = await comesBack(() => lab.must('ct', 'migrate', NAME))
    assert.notEqual(await home(), old)
    await whole()
    await watch.assertNone('replica.stale')
    assert.deepEqual(await tracesOn(old), [])
  })

  test('a snapshot shows what was, and it is rolled back', async () => {
    await told('echo before > /srv/state; sync /srv/state')
    await lab.must('vm', 'snapshot', 'create', NAME, 's1')
    await told('echo after > /srv/state; sync /srv/state')
    await lab.must('ct', 'stop', NAME)
    await lab.must('vm', 'snapshot', 'rollback', NAME, 's1')
    await lab.must('ct', 'start', NAME)
    assert.equal(await told('cat /srv/state'), 'before')
    await lab.must('vm', 'snapshot', 'delete', NAME, 's1')
    await whole()
  })

  test('its disk becomes larger while it runs; its file system too, or it is said why not', async () => {
    const small = await rootKib()
    await goesOnUndisturbed(async () => {
      const { code, stderr } = await lab.run('ct', 'set', NAME, '--disk', '72MiB')
      assert.equal(code, 0, stderr)
      const { pending } = await lab.guest(NAME)
      if (mayGrowMounted()) assert((await rootKib()) > small + 5_000)
      else {
        assert.match(stderr, /file system of disk0: it takes the new size at the next start: .*CAP_SYS_RESOURCE/)
        assert.deepEqual(
          pending.map(({ what }) => what),
          ['file system of disk0'],
        )
      }
    })
    await goesOnUndisturbed(() => lab.must('ct', 'disk', 'grow', NAME, 'disk0', '--size', '76MiB'))
    const refused = await lab.run('ct', 'disk', 'grow', NAME, 'disk7', '--size', '76MiB')
    assert.match(refused.stderr, /web has no disk disk7\n.*disk0, disk1/)
    await lab.must('ct', 'restart', NAME)
    assert((await rootKib()) > small + 9_000)
    await lab.until('nothing is pending', async () => (await lab.guest(NAME)).pending.length === 0)
    await whole()
  })

  test('stopped in order its replicas are the same; a disk enlarged meanwhile comes with its next start', async () => {
    const small = await rootKib()
    const [root] = (await lab.guest(NAME)).volumes
    await lab.must('volume', 'resize', root?.id ?? '', '--size', '88MiB')
    await lab.must('ct', 'set', NAME, '--address', `${OTHER_ADDRESS}/16`)
    await lab.until('it answers at its new address, at once', () => answers(OTHER_ADDRESS))
    await whole()
    await lab.must('ct', 'stop', NAME)
    await lab.assertReplicasEqual(NAME)
    assert.deepEqual(await tracesOn(await lastHost()), [])
    await lab.must('ct', 'start', NAME)
    await lab.until('it answers', () => answers(OTHER_ADDRESS))
    assert.equal(await answers(ADDRESS), false)
    const larger = await rootKib()
    assert(larger > small + 10_000, `${small} KiB became ${larger}`)
    await lab.must('ct', 'stop', NAME)
    await lab.must('volume', 'resize', root?.id ?? '', '--size', '104MiB')
    await lab.must('ct', 'start', NAME)
    assert((await rootKib()) > larger + 10_000)
    await whole()
  })

  test('one that may nest and one with the host’s own ids start', async () => {
    for (const more of ['--nesting', '--privileged']) {
      await lab.createContainer('more', [more, '--replicas', '1'])
      assert.equal(await told('id -u', 'more'), '0')
      await lab.must('ct', 'stop', 'more')
      await lab.must('ct', 'delete', 'more')
    }
  })

  test('deleted, nothing of it stays on any host', async () => {
    await lab.must('ct', 'stop', NAME)
    await lab.must('ct', 'delete', NAME)
    for (const host of ['h1', 'h2', 'h3']) {
      await lab.until(`${host} has nothing of it`, async () => {
        const folder = `${lab.hostFolder(host)}/containers/${id}`
        return (await tracesOn(host)).length === 0 && !existsSync(folder)
      })
    }
  })

  /** Of the root's file system, as the container sees it. */
  async function rootKib(): Promise<number> {
    return Number((await told('df -k / | tail -1')).split(/\s+/)[1])
  }

  async function remote(): Promise<string> {
    const { host, volumes } = await lab.guest(NAME)
    return volumes[0]?.replicas.find((replica) => replica.host !== host)?.host ?? ''
  }

  async function lastHost(): Promise<string> {
    const events = (await lab.events()).filter(
      ({ kind, subject }) => kind === 'guest.started' && subject === `guest/${NAME}`,
    )
    return String(events.at(-1)?.details?.['host'])
  }
})

class EnteredShell {
  text = ''
  readonly connection: ShellConnection
  readonly ended: ReturnType<ShellConnection['run']>
  readonly #lab: LabCluster

  constructor(lab: LabCluster, host: string) {
    this.#lab = lab
    this.connection = new ShellConnection({
      client: lab.clientOf([host]),
      ...{ guest: NAME, openSocket: openNodeSocket, size: { columns: 97, rows: 31 } },
      onConnected: () => undefined,
      onBytes: (bytes) => (this.text += Buffer.from(bytes).toString('latin1')),
    })
    this.ended = this.connection.run(AbortSignal.timeout(120_000))
  }

  type(text: string): boolean {
    return this.connection.send(Buffer.from(text))
  }

  /** Types it, once, when the shell shows its prompt. */
  async says(command: string, pattern: RegExp): Promise<void> {
    await this.#lab.until('a prompt', async () => /[#$] $/.test(this.text.replaceAll('\u001b[6n', '')))
    this.text = ''
    this.type(`${command}\r`)
    await this.#lab.until(String(pattern), async () => pattern.test(this.text))
  }
}

/** Whether the kernel lets a process of this machine enlarge a mounted ext4: it asks for CAP_SYS_RESOURCE, number 24. */
function mayGrowMounted(): boolean {
  const [, effective = '0'] = /^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return (BigInt(`0x${effective}`) & (1n << 24n)) !== 0n
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}
