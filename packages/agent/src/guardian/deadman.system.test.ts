/** The real deadman and the real starter of guests: processes, namespaces and signals of the kernel. */
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, afterEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, killDetached, readPidFile, startDetached, type DetachedProcess } from '../process/detached.ts'
import { NotedEnd } from '../process/noted-end.ts'
import { DeadmanClient } from './deadman-client.ts'
import { GuardianFence } from './guardian-fence.ts'
import { lineLog } from './line-log.ts'
import { realClock } from '../real-clock.ts'

const REPOSITORY = join(import.meta.dirname, '../../../..')
const BIN = join(REPOSITORY, '.native/bin')
const RUN_GUEST = join(BIN, 'stead-run-guest')
const NOBODY = 65_534
const quiet = lineLog(() => {})

async function until(what: string, holds: () => boolean, boundMs = 15_000): Promise<void> {
  const deadline = performance.now() + boundMs
  while (!holds()) {
    assert.ok(performance.now() < deadline, `${what}: not in ${boundMs} ms`)
    await sleep(5)
  }
}

describe('deadman and guests', () => {
  let folder: string
  let deadman: ChildProcess
  let init: DetachedProcess
  let client: DeadmanClient | undefined
  let strays: DetachedProcess[]

  before(() => {
    const built = spawnSync(join(REPOSITORY, 'native/build.sh'), { encoding: 'utf8' })
    assert.equal(built.status, 0, built.stderr)
  })

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'stead-deadman-'))
    strays = []
    deadman = spawn(
      join(BIN, 'stead-deadman'),
      ['--socket', path('d.sock'), '--pidfile', path('d.pid'), '--timeout', '60000'],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    )
    await until('pid file', () => existsSync(path('d.pid')))
    const [parent, pid, startTime] = readFileSync(path('d.pid'), 'utf8').trim().split(' ')
    assert.equal(Number(parent), deadman.pid)
    init = { pid: Number(pid), startTime: startTime! }
    assert.ok(isAlive(init))
  })

  afterEach(async () => {
    client?.close()
    client = undefined
    const gone = deadman.exitCode === null && deadman.signalCode === null ? once(deadman, 'exit') : undefined
    deadman.kill('SIGKILL')
    await gone
    for (const stray of strays) await killDetached(stray, path('none'))
    await until('init gone', () => !isAlive(init))
    rmSync(folder, { recursive: true, force: true })
  })

  after(() => {
    client?.close()
  })

  function path(name: string): string {
    return join(folder, name)
  }

  async function startGuest(name: string, command: string[], more: object = {}): Promise<DetachedProcess> {
    const started = await startDetached(RUN_GUEST, {
      command: command[0]!,
      args: command.slice(1),
      pidFile: path(`${name}.pid`),
      stdoutPath: path(`${name}.out`),
      stderrPath: path(`${name}.err`),
      namespacePid: init.pid,
      ...more,
    })
    assert.ok(started.ok, started.ok ? '' : started.error.message)
    strays.push(started.value)
    return started.value
  }

  async function connected(): Promise<DeadmanClient> {
    client = new DeadmanClient(path('d.sock'), realClock, quiet)
    // The client says nothing of its connection; a renewal that arrives is seen by its effect below.
    await sleep(50)
    return client
  }

  test('every guest dies at the deadline, even with every process stopped', async () => {
    const guests = [
      await startGuest('sleep', ['sleep', '600']),
      await startGuest('shell', ['sh', '-c', 'sleep 600 & while :; do sleep 1; done']),
      await startGuest('signals-ignored', ['sh', '-c', "trap '' TERM INT HUP; while :; do sleep 1; done"]),
    ]
    const renewer = await connected()
    renewer.renew(realClock.monotonicMs() + 600)
    await sleep(200)
    for (const guest of guests) process.kill(guest.pid, 'SIGSTOP')
    process.kill(deadman.pid!, 'SIGSTOP')
    const armedAt = performance.now()
    await until('guests and init dead', () => [...guests, init].every((each) => !isAlive(each)))
    console.log(`    all dead ${Math.round(performance.now() - armedAt)} ms after everything was stopped, 400 ms armed`)
  })

  test('without a renewal nothing is armed; with renewals the guests live on; disarm is obeyed', async () => {
    const guest = await startGuest('sleep', ['sleep', '600'])
    await sleep(300)
    assert.ok(isAlive(guest))
    const renewer = await connected()
    for (let i = 0; i < 15; i++) {
      renewer.renew(realClock.monotonicMs() + 2000)
      await sleep(200)
    }
    assert.ok(isAlive(guest), 'renewed for 3 s with 2 s each')
    const raw = connect(path('d.sock'))
    raw.end('nonsense\ndisarm\n')
    await once(raw, 'close')
    await sleep(2500)
    assert.ok(isAlive(guest), 'disarmed')
  })

  test('a renewal that waited unread buys no more time than when it was sent', async () => {
    const guest = await startGuest('sleep', ['sleep', '600'])
    const renewer = await connected()
    renewer.renew(realClock.monotonicMs() + 30_000)
    await sleep(100)
    process.kill(deadman.pid!, 'SIGSTOP')
    renewer.renew(realClock.monotonicMs() + 1500)
    await sleep(1000)
    const resumedAt = performance.now()
    process.kill(deadman.pid!, 'SIGCONT')
    await until('guest dead', () => !isAlive(guest))
    // Counted from its arrival it would have been 1500 ms; the bound leaves room for a busy machine.
    assert.ok(performance.now() - resumedAt < 1400)
  })

  test('a guest outlives its starter and dies with the deadman or its init', async () => {
    const guest = await startGuest('sleep', ['sleep', '600'])
    assert.deepEqual(readPidFile(path('sleep.pid')), guest)
    const exit = once(deadman, 'exit')
    process.kill(init.pid, 'SIGKILL')
    await exit
    assert.equal(deadman.exitCode, 3)
    await until('guest dead', () => !isAlive(guest))
  })

  test('how a guest ended is known afterwards, also when many others have ended since', async () => {
    const polite = await startGuest('polite', ['sh', '-c', "trap 'exit 7' TERM; while :; do sleep 0.1; done"])
    const killed = await startGuest('killed', ['sleep', '600'])
    const lives = await startGuest('lives', ['sleep', '600'])
    const ends = [polite, killed, lives].map(({ pid }) => new NotedEnd(pid, init.pid))
    process.kill(polite.pid, 'SIGTERM')
    process.kill(killed.pid, 'SIGKILL')
    await until('both are dead', () => !isAlive(polite) && !isAlive(killed))
    assert.deepEqual(await Promise.all(ends.map((end) => end.told())), ['exit status 7', 'SIGKILL', undefined])

    // Orphans are the init's as well: more than it keeps.
    const crowd = await startGuest('crowd', ['sh', '-c', 'for i in $(seq 400); do (true &); done; exec sleep 600'])
    await until('the crowd has gone', () => readFileSync(`/proc/${crowd.pid}/comm`, 'utf8') === 'sleep\n')
    const last = new NotedEnd(crowd.pid, init.pid)
    process.kill(crowd.pid, 'SIGSEGV')
    await until('dead', () => !isAlive(crowd))
    assert.equal(await last.told(), 'SIGSEGV')
  })

  test('the fence finds the namespace only while it lives', async () => {
    const options = {
      controlSocket: path('none.sock'),
      deadmanPidFile: path('d.pid'),
      onLost: () => undefined,
      clock: realClock,
      log: quiet,
    }
    const fence = new GuardianFence(options)
    try {
      assert.equal(await fence.guestNamespacePid(), init.pid)
      assert.equal(fence.view(), undefined)
      process.kill(deadman.pid!, 'SIGKILL')
      await until('init gone', () => !isAlive(init))
      assert.equal(await fence.guestNamespacePid(), undefined)
    } finally {
      fence.close()
    }
  })

  test('privileges are dropped, logs written, descriptors closed, standard signals back', async () => {
    const script =
      'id -u; id -g; id -G; ls /proc/self/fd | wc -l; grep -E "^(SigBlk|SigIgn|NoNewPrivs)" /proc/self/status; pwd; echo complaint >&2; exec sleep 600'
    const user = { uid: NOBODY, gid: NOBODY }
    const guest = await startGuest('user', ['sh', '-c', script], { user })
    await until('output', () => readFileSync(path('user.err'), 'utf8').includes('complaint'))
    const lines = readFileSync(path('user.out'), 'utf8').split('\n')
    assert.deepEqual(lines.slice(0, 3), [String(NOBODY), String(NOBODY), String(NOBODY)])
    // 0, 1, 2 and the one with which ls reads the folder.
    assert.equal(lines[3]?.trim(), '4')
    assert.match(lines.slice(4, 7).join('\n'), /SigBlk:\s*0+\nSigIgn:\s*0+\nNoNewPrivs:\s*1/)
    const status = readFileSync(`/proc/${guest.pid}/status`, 'utf8')
    assert.match(status, new RegExp(`Uid:\\s+${NOBODY}\\s`))
    // Seen from outside and from inside: it really lives in the deadman's namespace, whose init is its parent.
    assert.match(status, /NSpid:\s+\d+\s+\d+/)
    assert.match(status, new RegExp(`PPid:\\s+${init.pid}\\n`))
  })

  test('a command that cannot be executed leaves a reason and no pid file', () => {
    for (const [command, reason] of [
      ['/nowhere/qemu', /\/nowhere\/qemu: No such file/],
      [folder, /Permission denied/],
    ] as const) {
      const args = [
        '--ns-pid',
        String(init.pid),
        '--stdout',
        path('o'),
        '--stderr',
        path('e'),
        '--pidfile',
        path('p.pid'),
      ]
      const run = spawnSync(RUN_GUEST, [...args, '--', command], { encoding: 'utf8' })
      assert.equal(run.status, 1)
      assert.match(run.stderr, reason)
      assert.equal(existsSync(path('p.pid')), false)
    }
    const logs = ['--stdout', path('missing/o'), '--stderr', path('e'), '--pidfile', path('p.pid')]
    const run = spawnSync(RUN_GUEST, ['--ns-pid', '0', ...logs, '--', 'true'], { encoding: 'utf8' })
    assert.equal(run.status, 1)
    assert.match(run.stderr, /missing\/o: No such file/)
    assert.equal(spawnSync(RUN_GUEST, ['--ns-pid', 'x']).status, 2)
  })

  test('a namespace that is gone is an error, not a guest elsewhere', async () => {
    process.kill(deadman.pid!, 'SIGKILL')
    await until('init gone', () => !isAlive(init))
    const args = [
      '--ns-pid',
      String(init.pid),
      '--stdout',
      path('o'),
      '--stderr',
      path('e'),
      '--pidfile',
      path('p.pid'),
    ]
    const run = spawnSync(RUN_GUEST, [...args, '--', 'true'], { encoding: 'utf8' })
    assert.equal(run.status, 1)
    assert.equal(existsSync(path('p.pid')), false)
  })
})
