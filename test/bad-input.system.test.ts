/** What is refused, and what breaks in the middle: a clear error with a hint, and nothing half-made left behind. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'
import { bootSector } from '@stead/agent/qemu/boot-sector.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Problem } from '@stead/api/problem-schema.ts'
import type { OperationView, Placement } from '@stead/api/views.ts'
import { FAILURES, type FailureCode } from '@stead/core/errors.ts'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { LabCluster, ROOT } from './support/lab-cluster.ts'
import { sendRaw } from './support/raw-api.ts'

const HOSTS = ['h1', 'h2', 'h3'] as const
const MIB = 1 << 20
const KERNEL = join(ROOT, '.cache', 'guest', 'kernel', 'vmlinuz')
const INITRD = join(ROOT, '.cache', 'guest', 'initrd.img')
const VM = ['--memory', '64MiB', '--kernel', KERNEL, '--initrd', INITRD]
const SETTLED_MS = 30_000

const run = promisify(execFile)

suite('bad input and work that is cut off', { timeout: 400_000 }, () => {
  let lab: LabCluster
  let folder: string
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'stead-input-'))
    lab = await LabCluster.up({ hosts: 3 })
  })
  after(async () => {
    rmSync(folder, { recursive: true, force: true })
    await lab.down()
  })

  /** Runs a command that is to fail: with this code's exit status, and with a hint, for people as for programs. */
  async function refused(code: FailureCode, pattern: RegExp, ...args: readonly string[]): Promise<void> {
    const text = await lab.run(...args)
    const said = `stead ${args.join(' ')}: ${text.code} ${text.stdout}${text.stderr}`
    assert.equal(text.code, FAILURES[code].exit, said)
    assert.match(text.stderr, /^error: .+\nhint: .+\n$/, said)
    assert.match(text.stderr, pattern)
    const json = await lab.run(...args, '--json')
    const problem = JSON.parse(json.stdout) as Problem
    assert.equal(problem.code, code, json.stdout)
    assert(problem.hint, json.stdout)
    assert.equal(json.code, text.code)
  }

  /** Nothing is under way, and the pools hold exactly the files that the records tell of. */
  async function untilTidy(timeoutMs = SETTLED_MS): Promise<void> {
    await lab.until(
      'files and records agree',
      async () => {
        const guests = await lab.json<{ state: string; volumes: { id: string }[] }[]>('vm', 'list')
        if (guests.some((guest) => ['creating', 'deleting'].includes(guest.state))) return false
        const volumes = await lab.volumes()
        const expected = volumes.flatMap((volume) =>
          volume.replicas.map((replica) => `${replica.host}/${volume.id}.raw`),
        )
        assert.deepEqual(
          volumes.map((volume) => volume.id).toSorted(),
          guests.flatMap((guest) => guest.volumes.map((volume) => volume.id)).toSorted(),
        )
        assert.deepEqual(
          HOSTS.flatMap((host) => filesOf(host).map((file) => `${host}/${file}`)).toSorted(),
          expected.toSorted(),
        )
        assert.equal(await removalsLeft(), '')
        return true
      },
      timeoutMs,
    )
  }

  const poolOf = (host: string) => join(lab.hostFolder(host), 'pools', 'default')
  const filesOf = (host: string) =>
    existsSync(poolOf(host)) ? readdirSync(poolOf(host)).filter((name) => name.includes('.raw')) : []
  const removalsLeft = async () => (await etcdctl('get', '--prefix', '--keys-only', '/stead/removals/')).trim()
  const etcdctl = async (...args: readonly string[]) => {
    for (const host of HOSTS) {
      const answer = await lab.etcdctl(host, ...args)
      if (answer.code === 0) return answer.stdout
    }
    throw new Error(`no host answers etcdctl ${args.join(' ')}`)
  }
  const names = async () => (await lab.json<{ name: string }[]>('vm', 'list')).map((guest) => guest.name)

  const send = (method: string, path: string, body: string | Buffer, type = 'application/json') =>
    sendRaw(join(lab.hostFolder('h1'), 'agent.sock'), { method, path, body, type })

  async function refusedByApi(code: FailureCode, pattern: RegExp, body: unknown): Promise<void> {
    const answer = await send('POST', '/v1/guests', typeof body === 'string' ? body : JSON.stringify(body))
    assert.equal(answer.problem.code, code, JSON.stringify(answer))
    assert.equal(answer.status, FAILURES[code].status)
    assert.match(answer.type, /^application\/problem\+json/)
    assert.match(`${answer.problem.detail} ${answer.problem.hint}`, pattern)
    assert(answer.problem.hint)
  }

  test('a file system that is full makes a create fail, and nothing of it is left on any host', async () => {
    await lab.must('lab', 'exec', 'h2', '--', 'mkdir', '-p', poolOf('h2'))
    await lab.must('lab', 'exec', 'h2', '--', 'mount', '-t', 'tmpfs', '-o', 'size=64m', 'full', poolOf('h2'))
    try {
      await refused(
        'no_capacity',
        /Pool default has room for 67108864 bytes/,
        'vm',
        'create',
        'full',
        ...VM,
        '--disk',
        '128MiB',
        '--replicas',
        '3',
      )
      await lab.until('the guest is gone', async () => !(await names()).includes('full'))
      await untilTidy()
      assert.equal((await lab.must('lab', 'exec', 'h2', '--', 'ls', poolOf('h2'))).trim(), '')
    } finally {
      await lab.must('lab', 'exec', 'h2', '--', 'umount', poolOf('h2'))
    }
    await lab.must('vm', 'create', 'full', ...VM, '--disk', '128MiB', '--replicas', '3')
    await untilTidy()
    await lab.must('vm', 'delete', 'full')
    await untilTidy()
  })

  test('what cannot be is refused before anything is written', async () => {
    const before = await etcdctl('get', '--prefix', '--keys-only', '/stead/guests/')
    await refused('not_found', /no host h9.*h1, h2, h3/s, 'vm', 'create', 'x', ...VM, '--disk', '16MiB', '--host', 'h9')
    await refused('not_found', /no guest x9/, 'vm', 'start', 'x9')
    await refused('not_found', /no host h9/, 'host', 'drain', 'h9')
    await refused('not_found', /no volume/, 'volume', 'show', 'nothing')
    await refused(
      'not_found',
      /no image nowhere/,
      'vm',
      'create',
      'x',
      '--memory',
      '64MiB',
      '--disk',
      '16MiB',
      '--image',
      'nowhere',
    )
    await refused('bad_request', /disk/, 'vm', 'create', 'x', ...VM, '--disk', '0')
    await refused('bad_request', /DNS label/, 'vm', 'create', 'No_Name', ...VM, '--disk', '16MiB')
    await refused(
      'no_capacity',
      /no room.*h1: default has \d+ bytes free/,
      'vm',
      'create',
      'x',
      ...VM,
      '--disk',
      '1TiB',
    )
    await refused(
      'no_capacity',
      /h1: it has \d+ MiB of memory free/,
      'vm',
      'create',
      'x',
      '--memory',
      '1TiB',
      '--kernel',
      KERNEL,
      '--disk',
      '16MiB',
    )
    const noKernel = join(folder, 'no-kernel')
    writeFileSync(noKernel, Buffer.alloc(8192, 'x'))
    await refused(
      'invalid_image',
      /is not a Linux kernel/,
      'vm',
      'create',
      'x',
      '--memory',
      '64MiB',
      '--kernel',
      noKernel,
      '--disk',
      '16MiB',
    )
    await refused(
      'bad_request',
      /cannot be read/,
      'vm',
      'create',
      'x',
      '--memory',
      '64MiB',
      '--kernel',
      join(folder, 'absent'),
      '--disk',
      '16MiB',
    )
    const usage = await lab.run('vm', 'create', 'x', '--memory', '64MiB', '--colour', 'blue')
    assert.equal(usage.code, FAILURES.bad_request.exit)
    assert.match(usage.stderr, /--colour[^]*hint: /)
    assert.equal(await etcdctl('get', '--prefix', '--keys-only', '/stead/guests/'), before)
    await untilTidy()
  })

  test('a corrupt image is not imported', async () => {
    const path = join(folder, 'corrupt.qcow2')
    await run('qemu-img', ['create', '-f', 'qcow2', path, '16M'])
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 0 1M', path])
    const image = readFileSync(path)
    // The table that points at the tables that point at the data; its place is at byte 40 of the header.
    const table = Number(image.readBigUInt64BE(40))
    image.writeBigUInt64BE(0x8000_0000_ffff_0000n, table)
    writeFileSync(path, image)
    await refused('invalid_image', /./, 'image', 'import', 'corrupt', path)
    const short = join(folder, 'short.qcow2')
    writeFileSync(short, image.subarray(0, 64))
    await refused('invalid_image', /./, 'image', 'import', 'short', short)
    assert.deepEqual(await lab.json('image', 'list'), [])
  })

  test('the API refuses what the client would never send', async () => {
    const blob = Buffer.alloc(8192, 'not a kernel')
    const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`
    assert.equal(
      (await send('PUT', `/v1/blobs/${encodeURIComponent(digest)}`, blob, 'application/octet-stream')).status,
      204,
    )
    const body = {
      name: 'raw',
      memoryBytes: 64 * MIB,
      disks: [{ sizeBytes: 16 * MIB }],
      boot: { kind: 'kernel', kernel: digest },
    }
    await refusedByApi('invalid_image', /kernel/, body)
    await refusedByApi('bad_request', /memoryByte: unknown field.*Did you mean `memoryBytes`/, {
      ...body,
      memoryByte: 1,
    })
    await refusedByApi('bad_request', /disks\[0\]\.sizeBytes/, { ...body, disks: [{ sizeBytes: 0 }] })
    await refusedByApi('bad_request', /not JSON/, '{"name": ')
    await refusedByApi('bad_request', /./, '[]')
    const unknown = { ...body, boot: { kind: 'kernel', kernel: `sha256:${'0'.repeat(64)}` } }
    await refusedByApi('not_found', /sha256:0000/, unknown)
    const typed = await send('POST', '/v1/guests', 'name=x', 'application/x-www-form-urlencoded')
    assert.deepEqual([typed.problem.code, typed.problem.hint !== undefined], ['bad_request', true])
    assert.deepEqual(await names(), [])
  })

  test('a dry run says where and why, and creates nothing', async () => {
    const args = ['vm', 'create', 'dry', ...VM, '--disk', '16MiB', '--dry-run']
    const placement = await lab.json<Placement>(...args)
    assert.equal(placement.volumes[0]?.replicas.length, 2)
    assert.deepEqual(placement.warnings, [])
    assert.match(await lab.must(...args, '--explain'), /HOST +CHOSEN +WHY\n(?:.*\n)*h\d +yes +.*memory free/)
    const single = await lab.run(...args, '--replicas', '1')
    assert.match(single.stderr, /^warning: dry is unprotected: only one replica was asked for/m)
    assert.deepEqual(await names(), [])
  })

  test('of two creates of one name at once exactly one wins', async () => {
    const create = () => lab.run('vm', 'create', 'twin', ...VM, '--disk', '16MiB')
    const results = await Promise.all([create(), create()])
    assert.deepEqual(
      results.map((result) => result.code).toSorted((a, b) => a - b),
      [0, FAILURES.name_taken.exit],
      results.map((result) => result.stderr).join(''),
    )
    await refused('name_taken', /twin exists/, 'vm', 'create', 'twin', ...VM, '--disk', '16MiB')
    await untilTidy()
    assert.deepEqual(await names(), ['twin'])
    await lab.must('vm', 'delete', 'twin')
  })

  test('a create whose client is killed is done wholly or not at all', async () => {
    for (const delayMs of [200, 350, 500, 700]) {
      const client = lab.spawn(join(ROOT, 'bin', 'stead'), ['vm', 'create', `gone${delayMs}`, ...VM, '--disk', '32MiB'])
      await sleep(delayMs)
      client.kill('SIGKILL')
      await untilTidy()
    }
    for (const name of await names()) await lab.must('vm', 'delete', name)
    await untilTidy()
  })

  test('a create whose agent is killed is done wholly or undone', async () => {
    const client = lab.clientOf(HOSTS)
    const digest = (path: string) => `sha256:${createHash('sha256').update(readFileSync(path)).digest('hex')}` as never
    const boot = { kind: 'kernel' as const, kernel: digest(KERNEL), initrd: digest(INITRD), append: '' }
    for (const delayMs of [5, 15, 25, 35, 50]) {
      await lab.until(
        'the agent of h1 answers',
        async () => (await lab.clientOf(['h1']).call(ENDPOINTS['cluster.show'])).ok,
      )
      const agent = agentOf('h1')
      const disks = [{ sizeBytes: 32 * MIB, replicas: 3 as const }]
      const creating = client.call(ENDPOINTS['guest.create'], {
        body: { name: `cut${delayMs}`, memoryBytes: 64 * MIB, boot, disks },
      })
      await sleep(delayMs)
      process.kill(agent, 'SIGKILL')
      const answer = await creating
      await untilTidy()
      if (answer.ok) assert((await names()).includes(`cut${delayMs}`), 'what was promised is there')
    }
    for (const name of await names()) await lab.must('vm', 'delete', name)
    await untilTidy()
  })

  test('a guest boots from an image', async () => {
    const path = join(folder, 'tiny.raw')
    writeFileSync(path, Buffer.concat([bootSector('write'), Buffer.alloc(MIB - 512)]))
    await lab.must('image', 'import', 'tiny', path)
    await refused('name_taken', /tiny exists/, 'image', 'import', 'tiny', path)
    await lab.must('vm', 'create', 'tiny', '--memory', '64MiB', '--disk', '8MiB', '--image', 'tiny', '--start')
    await lab.until('it writes', async () => /B\.{5}/.test(await lab.must('vm', 'log', 'tiny')))
    assert(!(await lab.must('vm', 'log', 'tiny')).includes('E'), 'a write failed')
    assert.match(await lab.must('vm', 'show', 'tiny', '--explain'), /Last decision \(start, epoch 1/)
    // It has no operating system that could hear of a shutdown.
    await lab.must('vm', 'stop', 'tiny', '--force')
    assert.equal((await lab.guest('tiny')).state, 'stopped')
    await lab.must('vm', 'delete', 'tiny')
    await untilTidy()
  })

  test('a guest is stopped by its own shutdown, and both replicas are the same to the byte', async () => {
    await lab.createRecorder('demo', { host: 'h1' })
    await lab.recordsPast('demo', 10)
    await lab.must('vm', 'stop', 'demo')
    assert.match(await lab.must('vm', 'log', 'demo'), /reboot: Power down/)
    const stopped = await lab.guest('demo')
    assert.deepEqual([stopped.state, stopped.protection.level], ['stopped', 'protected'])
    const { volumes } = stopped
    const [first, second] =
      volumes[0]?.replicas.map((replica) => join(poolOf(replica.host), `${volumes[0]?.id}.raw`)) ?? []
    await run('cmp', [first ?? '', second ?? ''])
    const told = (await lab.events()).findLast(
      (event) => event.kind === 'guest.stopped' && event.subject === 'guest/demo',
    )
    assert.equal(told?.details?.['clean'], true)
    await lab.must('vm', 'start', 'demo')
    await lab.recordsPast('demo', 20)
    assert.equal((await lab.guest('demo')).epoch, 2)
  })

  test('a drained host gives its guests away in order and takes none until it is undrained', async () => {
    await lab.must('host', 'drain', 'h1')
    const h1 = (await lab.hosts()).find((host) => host.name === 'h1')
    assert.deepEqual([h1?.state, h1?.guests], ['maintenance', []])
    await lab.until('the guest runs elsewhere', async () => (await lab.guest('demo')).state === 'running')
    const moved = await lab.guest('demo')
    assert.notEqual(moved.host, 'h1')
    assert.deepEqual([moved.epoch, moved.protection.level], [3, 'protected'])
    await refused(
      'no_capacity',
      /h1: it is in maintenance/,
      'vm',
      'create',
      'x',
      '--memory',
      '1TiB',
      '--kernel',
      KERNEL,
    )
    await lab.must('host', 'undrain', 'h1')
    assert.equal((await lab.hosts()).find((host) => host.name === 'h1')?.state, 'online')
    await lab.assertNothingLost('demo')
  })

  test('what is followed goes on when the host that answers falls', async () => {
    const since = (await lab.events()).at(-1)?.id ?? ''
    const log = follow(['vm', 'log', 'demo', '--follow'])
    const events = follow(['event', 'list', '--since', since, '--follow', '--json'])
    await lab.until('the log is followed', async () => /ACK \d+/.test(log.text()))
    // The context names h1 first: it is what both talk to.
    await lab.must('lab', 'power-off', 'h1')
    await lab.until('its fall is followed', async () => kindsOf(events.text()).includes('host.lost'))
    const at = await lab.acknowledged('demo')
    await lab.until(
      'the log goes on',
      async () => log.text().includes(`ACK ${at + 20}\r`) || log.text().includes(`ACK ${at + 20}\n`),
    )
    const numbers = [...log.text().matchAll(/^ACK (\d+)\r?$/gm)].map((match) => Number(match[1]))
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => (numbers[0] ?? 0) + index),
      'each line once',
    )
    const listed = (await lab.json<ClusterEvent[]>('event', 'list', '--since', since)).map((event) => event.id)
    const seen = () => parseEvents(events.text()).map((event) => event.id)
    await lab.until('every event was followed', async () => listed.every((id) => seen().includes(id)))
    assert.equal(new Set(seen()).size, seen().length, 'each event once')
    for (const child of [log.child, events.child]) {
      const ended = once(child, 'exit')
      child.kill('SIGINT')
      await ended
    }
  })

  test('a guest is deleted while a host is off: the name is free at once, and the file goes when the host returns', async () => {
    await lab.must('vm', 'create', 'old', ...VM, '--disk', '16MiB')
    const on = (await lab.guest('old')).volumes[0]?.replicas.map((replica) => replica.host) ?? []
    const off = on.find((host) => host !== 'h1') ?? ''
    await lab.must('lab', 'power-on', 'h1')
    await lab.until('h1 is online', async () => (await lab.hosts())[0]?.state === 'online')
    await lab.untilProtected('demo')
    await lab.must('lab', 'power-off', off)
    await lab.until(
      `${off} is lost`,
      async () => (await lab.hosts()).find((host) => host.name === off)?.state === 'lost',
    )
    await lab.must('vm', 'delete', 'old')
    await lab.must('vm', 'create', 'old', ...VM, '--disk', '16MiB', '--replicas', '1')
    assert.notDeepEqual(await removalsLeft(), '')
    await lab.must('lab', 'power-on', off)
    await untilTidy()
    for (const name of ['old', 'demo']) await lab.must('vm', 'delete', name)
    await untilTidy()
    assert.deepEqual(HOSTS.flatMap(filesOf), [])
  })

  test('every operation has come to its end', async () => {
    const open = (await lab.json<OperationView[]>('operation', 'list')).filter(
      (operation) => !['succeeded', 'failed'].includes(operation.state),
    )
    assert.deepEqual(open, [])
  })

  function agentOf(host: string): number {
    const config = join(lab.hostFolder(host), 'agent.json')
    const found = lab.processes().find((pid) => existsSync(`/proc/${pid}`) && isAgent(pid, config))
    assert(found !== undefined, `no agent of ${host} runs`)
    return found
  }

  function follow(args: readonly string[]) {
    const child = lab.spawn(join(ROOT, 'bin', 'stead'), args)
    let text = ''
    child.stdout?.on('data', (part: Buffer) => (text += part.toString('latin1')))
    return { child, text: () => text }
  }
})

function isAgent(pid: number, config: string): boolean {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  // The host's init has the agent's whole command line among its own arguments.
  return words[0]?.endsWith('node') === true && words.includes(config)
}

function parseEvents(text: string): ClusterEvent[] {
  const lines = text.split('\n')
  return lines.slice(0, -1).map((line) => JSON.parse(line) as ClusterEvent)
}

function kindsOf(text: string): string[] {
  return parseEvents(text).map((event) => event.kind)
}
