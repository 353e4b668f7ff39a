/** Containers that move with their processes, by a real CRIU between two hosts, and what becomes of moves that fail. */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { debianArchive } from './support/debian-template.ts'
import { EventWatch, acknowledgedOn, replaced, resumedAt, signal } from './support/fault-watch.ts'
import { LabCluster, STEAD } from './support/lab-cluster.ts'
import { workingCriu } from '@stead/agent/container/live-move/working-criu-fixture.ts'

const NAME = 'web'
const ADDRESS = '10.66.210.21'
const PORT = 5_000
const SYSTEMD = 'deb'
const SYSTEMD_MS_MAX = 60_000
const found = workingCriu()

if ('missing' in found) test('containers move live', { skip: `no CRIU works here: ${found.missing}` })
else suite('containers that move live', { timeout: 400_000 }, () => movesLive(found.path))

function movesLive(criu: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'stead-criu-'))
  const [slowDump, noRestore, slowRestore] = ['slow-dump', 'no-restore', 'slow-restore'].map((name) =>
    join(folder, name),
  ) as [string, string, string]
  let lab: LabCluster
  let id = ''

  before(async () => {
    chmodSync(folder, 0o711)
    const wrapper = join(folder, 'criu')
    writeFileSync(
      wrapper,
      `#!/bin/sh
[ "$1" = restore ] && [ -e ${noRestore} ] && exit 1
[ "$1" = restore ] && [ -e ${slowRestore} ] && echo > ${slowRestore}.done && sleep 3
[ "$1" = dump ] && [ -e ${slowDump} ] || exec ${criu} "$@"
${criu} "$@" && echo > ${slowDump}.done && sleep 5
`,
      { mode: 0o755 },
    )
    lab = await LabCluster.up({ hosts: 2, witness: true, criu: wrapper })
    await lab.importRecorderTemplate()
    await lab.createContainer(NAME, ['--host', 'h1', '--address', `${ADDRESS}/16`])
    id = (await lab.guest(NAME)).id
    await lab.untilProtected(NAME)
    await lab.recordsPast(NAME, 5)
    await untilLive('h2')
  })
  after(async () => {
    await lab?.down()
    rmSync(folder, { recursive: true })
  })

  const home = async () => (await lab.guest(NAME)).host ?? ''
  const other = async () => ((await home()) === 'h1' ? 'h2' : 'h1')
  const told = async (script: string) => {
    const { code, stdout, stderr } = await lab.run('ct', 'exec', NAME, '--', 'sh', '-c', script)
    assert.equal(code, 0, `${script}: ${stderr}`)
    return stdout.trim()
  }

  async function untilLive(host: string, name = NAME): Promise<void> {
    await lab.until(`${name} can go to ${host} live`, async () => {
      const { targets } = await lab.json<MoveTargets>('vm', 'move-targets', name)
      return targets.some((target) => target.host === host && target.live)
    })
  }

  /** Writing, protected, without ever having seen an error or a second beginning. */
  async function whole(): Promise<void> {
    await lab.untilProtected(NAME)
    await lab.recordsPast(NAME, acknowledgedOn(lab, await home(), id) + 5)
    await lab.assertNothingLost(NAME)
    assert.doesNotMatch(await lab.console(NAME), /WERR|FERR/, 'its recorder has seen an error')
  }

  /** What a host has of it besides files. */
  async function tracesOn(host: string): Promise<readonly string[]> {
    const [mounts, links] = await Promise.all([
      lab.must('lab', 'exec', host, '--', 'cat', '/proc/self/mountinfo'),
      lab.must('lab', 'exec', host, '--', 'ls', '/sys/class/net'),
    ])
    const place = `${lab.hostFolder(host)}/containers/${id}/`
    const pids = lab.processes().filter((pid) => commandLine(pid).includes(place))
    const cards = links.split('\n').filter((link) => link.startsWith(`st${id.slice(0, 8)}`))
    return [...mounts.split('\n').filter((line) => line.includes(place)), ...cards, ...pids.map(String)]
  }

  test('with its processes, its console, its address and its connections, there and back', async () => {
    // Numbers, one after the other: a connection that lost or repeated any would show it.
    const count = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done'
    await told(`setsid sh -c '(${count}) | nc -l -p ${PORT}' >/dev/null 2>&1 </dev/null & sleep 0.3`)
    // What systemd has as well: groups below its own, an empty file system for credentials, mounts of one service's own; and
    // a pseudo-terminal.
    await told(`
      mkdir -p /groups /run/credentials/service
      mount -t cgroup -o pids none /groups || mount -t cgroup2 none /groups
      mkdir /groups/service
      mount -t ramfs -o ro none /run/credentials/service
      setsid unshare --mount sh -c 'echo $$ >/groups/service/cgroup.procs; exec sleep 10000' >/dev/null 2>&1 </dev/null &
      setsid sh -c 'exec 7<>/dev/ptmx; exec sleep 10001' >/dev/null 2>&1 </dev/null & sleep 0.3`)
    const { epoch } = await lab.guest(NAME)
    const heard = listen(lab)
    await lab.until('it talks', async () => heard.numbers().length > 5)
    for (const step of [1, 2]) {
      const [from, to] = [await home(), await other()]
      const watch = await EventWatch.begin(lab)
      assert.match(await lab.must('ct', 'migrate', NAME, '--to', to), /moved: runs on h\d/)
      const { message } = await watch.until('guest.migrated', { to })
      assert.match(message, /moved live from h\d to h\d in \d+ ms, standing still for \d+ ms/)
      await watch.assertNone('guest.migration-failed', 'guest.started', 'guest.exited', 'replica.stale')
      assert.equal((await lab.guest(NAME)).epoch, (epoch ?? 0) + step)
      const last = heard.numbers().length
      await lab.until('it goes on talking', async () => heard.numbers().length > last + 5)
      await whole()
      assert.equal(lines(await lab.console(NAME), 'RESUME').length, 1, 'it has begun anew')
      await lab.until(`nothing is left on ${from}`, async () => (await tracesOn(from)).length === 0)
      assert.equal(await told('hostname'), NAME)
      assert.equal(await told('ls /dev/pts; wc -l </groups/service/cgroup.procs'), '0\nptmx\n1')
      await told('mkdir /groups/service/more && rmdir /groups/service/more')
      await untilLive(from)
    }
    heard.end()
    assert.deepEqual(
      heard.numbers(),
      heard.numbers().map((_, index) => index + 1),
    )
  })

  test('a command that runs in it from outside is the reason why not, and it is not disturbed', async () => {
    const { epoch, host } = await lab.guest(NAME)
    const sleeps = async () => lab.processes().some((pid) => commandLine(pid) === 'sleep 8')
    const command = lab.spawn(STEAD, ['ct', 'exec', NAME, '--', 'sleep', '8'])
    try {
      await lab.until('it runs', sleeps)
      const { code, stderr } = await lab.run('ct', 'migrate', NAME)
      assert.notEqual(code, 0)
      assert.match(stderr, /goes on on h\d.*a command that was begun from outside .* runs in it/s)
    } finally {
      command.kill()
    }
    await lab.until('it has ended', async () => !(await sleeps()))
    await whole()
    assert.deepEqual({ epoch, host }, await now())
  })

  test('so are namespaces of its own that CRIU cannot take along; those that it must not have are refused', async () => {
    await told('! unshare --uts true && ! unshare --ipc true')
    const { epoch, host } = await lab.guest(NAME)
    await told(`setsid unshare --net sleep 10002 >/dev/null 2>&1 </dev/null & sleep 0.3`)
    const networked = await lab.run('ct', 'migrate', NAME)
    assert.match(networked.stderr, /goes on on h\d.*sleep has a network of its own \(`PrivateNetwork=`\)/s)
    await told(ended('10002'))
    await told(`setsid unshare --mount sleep 10003 >/dev/null 2>&1 </dev/null & sleep 0.3`)
    const mounted = await lab.run('ct', 'migrate', NAME)
    assert.match(mounted.stderr, /2 of its services have mounts of their own/)
    await told(ended('10003'))
    await whole()
    assert.deepEqual({ epoch, host }, await now())
  })

  test('the agent is killed while it is stopped: the next one lets it go on', async () => {
    const before = await now()
    writeFileSync(slowDump, '')
    const moving = lab.run('ct', 'migrate', NAME)
    await lab.until('its processes are stopped', async () => existsSync(`${slowDump}.done`))
    rmSync(slowDump)
    await replaced(lab, before.host ?? '', 'agent', await signal(lab, before.host ?? '', 'agent'))
    await moving
    await whole()
    assert.deepEqual(await now(), before)
    assert.equal(lines(await lab.console(NAME), 'RESUME').length, 1, 'it has begun anew')
  })

  test('the agent is killed while it is being restored: the next one has it come, and keeps no image of its memory', async () => {
    await untilLive(await other())
    const [{ epoch }, to] = [await now(), await other()]
    writeFileSync(slowRestore, '')
    const moving = lab.run('ct', 'migrate', NAME)
    await lab.until('it is being restored', async () => existsSync(`${slowRestore}.done`))
    rmSync(slowRestore)
    await replaced(lab, to, 'agent', await signal(lab, to, 'agent'))
    await moving
    await lab.until('it runs there', async () => {
      const guest = await lab.guest(NAME)
      return guest.state === 'running' && guest.host === to && (guest.epoch ?? 0) > (epoch ?? 0)
    })
    await whole()
    for (const host of ['h1', 'h2']) {
      const mounts = await lab.must('lab', 'exec', host, '--', 'cat', '/proc/self/mountinfo')
      assert.doesNotMatch(mounts, /\/live /, `images of its memory on ${host}`)
    }
  })

  test('a reboot from inside it, after a move, is a new run of the same container', async () => {
    const { epoch } = await now()
    const before = acknowledgedOn(lab, await home(), id)
    await lab.run('ct', 'exec', NAME, '--', 'reboot')
    await lab.until('it has begun anew', async () => {
      const guest = await lab.guest(NAME)
      return guest.state === 'running' && (guest.epoch ?? 0) > (epoch ?? 0)
    })
    const found = async () =>
      Number(
        lines(await lab.console(NAME), 'RESUME ')
          .at(-1)
          ?.slice('RESUME '.length),
      )
    await lab.until('it has all that was acknowledged', async () => (await found()) >= before)
    await whole()
  })

  test('it cannot be restored where it was let go to: it begins anew from its root, with all that was safe', async () => {
    await untilLive(await other())
    const { epoch, host } = await now()
    const before = acknowledgedOn(lab, host ?? '', id)
    writeFileSync(noRestore, '')
    await lab.run('ct', 'migrate', NAME)
    rmSync(noRestore)
    await lab.until('it runs again', async () => {
      const guest = await lab.guest(NAME)
      return guest.state === 'running' && (guest.epoch ?? 0) > (epoch ?? 0) + 1
    })
    assert((await resumedAt(lab, NAME)) >= before, 'acknowledged records are missing')
    await whole()
  })

  test('so does one with systemd, there and back, and its init goes on with its services', async (context) => {
    const archive = await debianArchive()
    if ('missing' in archive) return context.skip(`there is no Debian to begin one from: ${archive.missing}`)
    await lab.must('template', 'import', archive.path, 'debian', '--version', '1')
    const size = ['--memory', '256MiB', '--disk', '512MiB', '--address', '10.66.210.22/16']
    await lab.must('ct', 'create', SYSTEMD, '--template', 'debian', ...size, '--host', 'h1', '--start')
    const answers = async (command: string) => {
      const { stdout } = await lab.run('ct', 'exec', SYSTEMD, '--', 'sh', '-c', command)
      return stdout.trim()
    }
    const state = () => answers('systemctl is-system-running; systemctl --failed --plain --no-legend')
    await lab.until('it has come up', async () => (await state()) === 'running', SYSTEMD_MS_MAX)
    const begun = () => answers('systemctl show --property=UserspaceTimestampMonotonic')
    const before = await begun()
    for (const to of ['h2', 'h1']) {
      await untilLive(to, SYSTEMD)
      const watch = await EventWatch.begin(lab)
      await lab.must('ct', 'migrate', SYSTEMD, '--to', to)
      const { message } = await watch.until('guest.migrated', { to })
      context.diagnostic(message)
      await lab.until('it answers', async () => (await state()) === 'running')
      assert.equal(await begun(), before, 'it has begun anew')
      const restarted = 'systemctl restart systemd-journald && systemctl is-active systemd-journald systemd-logind dbus'
      assert.equal(await answers(restarted), 'active\nactive\nactive')
    }
  })

  async function now() {
    const { epoch, host } = await lab.guest(NAME)
    return { epoch, host }
  }
}

interface MoveTargets {
  readonly targets: readonly { readonly host: string; readonly live: boolean }[]
}

/** A connection to the container from the lab's LAN, and the numbers that came over it. */
function listen(lab: LabCluster): { numbers(): readonly number[]; end(): void } {
  const script = `require('node:net').connect(${PORT}, '${ADDRESS}').on('error', () => process.exit(1)).pipe(process.stdout)`
  const client = lab.spawn(STEAD, ['lab', 'client', '--', process.execPath, '-e', script])
  let text = ''
  client.stdout?.on('data', (bytes: Buffer) => (text += bytes.toString()))
  return { numbers: () => lines(text, '').slice(0, -1).map(Number), end: () => client.kill() }
}

/** Ends the `sleep` of so many seconds. */
function ended(seconds: string): string {
  return `for each in /proc/[0-9]*; do [ "$(tr '\\0' ' ' <$each/cmdline)" != 'sleep ${seconds} ' ] || kill \${each#/proc/}; done`
}

function lines(text: string, beginning: string): readonly string[] {
  return text.split('\n').filter((line) => line.startsWith(beginning))
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}
