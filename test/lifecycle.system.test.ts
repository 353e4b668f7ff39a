/** Readiness by TCP, HTTP and console, the restart when a probe fails, order by readiness, protection and schedules, on a real lab. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { join } from 'node:path'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { GUEST_APPEND } from '@stead/lab/guest-image.ts'
import { LabCluster, ROOT } from './support/lab-cluster.ts'

const GUEST = join(ROOT, '.cache', 'guest')
const ADDRESS = { web: '10.66.1.201', db: '10.66.1.202' } as const

/** Serves HTTP on port 80 until it is told by `/cgi-bin/stop` to serve no more. */
const WEB = [
  'mkdir -p /www/cgi-bin',
  'echo "status: all good" > /www/index.html',
  "printf '#!/bin/sh\\necho\\nkillall httpd\\n' > /www/cgi-bin/stop",
  'chmod 755 /www/cgi-bin/stop',
  'httpd -h /www -p 80 && echo "web is up after 1 try"',
].join('\n')

suite('the life of a guest', { timeout: 600_000 }, () => {
  let lab: LabCluster
  before(async () => (lab = await LabCluster.up({ hosts: 2, witness: true })))
  after(() => lab.down())

  async function create(name: keyof typeof ADDRESS, run: string): Promise<void> {
    const command = `cmd:${Buffer.from(run).toString('base64')}`
    await lab.must(
      ...['vm', 'create', name, '--memory', '128MiB', '--disk', '16MiB', '--ha', 'stopped'],
      ...['--kernel', join(GUEST, 'kernel', 'vmlinuz'), '--initrd', join(GUEST, 'initrd.img')],
      ...['--append', `${GUEST_APPEND} stead.ip=${ADDRESS[name]}/16 stead.run=${command}`],
    )
  }

  const isReady = (name: string, ready = true) =>
    lab.until(`${name} is ${ready ? '' : 'not '}ready`, async () => {
      const { readiness } = await lab.guest(name)
      return readiness?.ready === ready
    })

  test('a guest is ready when its console says so, and not while it boots', async () => {
    await create('db', 'sleep 3; echo "db accepts connections"; nc -ll -p 5432 -e cat')
    await lab.must('vm', 'probe', 'set', 'db', '--console-pattern', '^db accepts \\w+$', '--period', '1s')
    await lab.must('vm', 'start', 'db')
    const { readiness } = await lab.guest('db')
    assert.equal(readiness?.ready, false)
    assert.match(await lab.must('vm', 'list'), /READY/)
    await isReady('db')
    assert.match(await lab.must('vm', 'show', 'db'), /readiness: +ready since/)
  })

  test('ready by TCP, asked by its own host over the LAN', async () => {
    await lab.must('vm', 'probe', 'set', 'db', '--tcp', '5432', '--address', ADDRESS.db, '--period', '1s')
    await isReady('db')
    await lab.must('vm', 'probe', 'set', 'db', '--tcp', '5433', '--address', ADDRESS.db, '--period', '1s')
    await lab.until('the reason is told', async () => {
      const { readiness } = await lab.guest('db')
      return readiness?.ready === false && /:5433 refuses connections/.test(readiness.reason)
    })
  })

  test('a later guest of an order waits until the earlier one is ready', async () => {
    await create('web', WEB)
    await lab.must('rule', 'create', 'order', 'boot', '--guests', 'db,web', '--until', 'ready')
    await lab.must('vm', 'start', 'web', '--no-wait')
    await lab.until('web waits for db', async () => {
      const { state, reason } = await lab.guest('web')
      return state === 'waiting' && /db \(rule boot\), which runs but is not ready yet/.test(reason)
    })
    await lab.must('vm', 'probe', 'set', 'db', '--tcp', '5432', '--address', ADDRESS.db, '--period', '1s')
    await lab.until('web runs', async () => (await lab.guest('web')).state === 'running')
  })

  test('ready by HTTP; when the service dies the guest is restarted, and says why', async () => {
    await lab.must(
      ...['vm', 'probe', 'set', 'web', '--http', '80', '--address', ADDRESS.web, '--path', '/index.html'],
      ...['--body', 'all good', '--period', '1s', '--failures', '2', '--restart'],
    )
    await isReady('web')
    const { epoch, host } = await lab.guest('web')
    const asked = await lab.run('lab', 'client', '--', 'wget', '-q', '-O', '-', `http://${ADDRESS.web}/cgi-bin/stop`)
    await lab.until(`web has another epoch (${asked.stderr})`, async () => (await lab.guest('web')).epoch > epoch)
    await isReady('web')
    assert.equal((await lab.guest('web')).host, host, 'the first try after a failure is on the same host')
    const events = (await lab.events()).filter(({ subject }) => subject === 'guest/web')
    const since = events.findIndex(({ kind }) => kind === 'guest.unready')
    const told = events.slice(since).map(({ kind }) => kind)
    assert.deepEqual(
      ['guest.unready', 'guest.failed', 'grant.committed', 'guest.started', 'guest.ready'].filter(
        (kind) => !told.includes(kind as never),
      ),
      [],
    )
    const failed = events.find(({ kind }, index) => kind === 'guest.failed' && index > since)
    assert.match(failed?.message ?? '', /to be restarted: its probe failed: .*:80 refuses connections/)
  })

  test('readiness is remembered by an agent that is restarted', async () => {
    const { host, readiness } = await lab.guest('web')
    const itsHost = lab.clientOf([host ?? ''])
    await lab.must('lab', 'kill', host ?? '', 'agent')
    await lab.until('the next agent answers, and web is ready as before', async () => {
      const now = await itsHost.call(ENDPOINTS['guest.show'], { params: { guest: 'web' } })
      return now.ok && now.value.readiness?.ready === true
    })
    assert.equal((await lab.guest('web')).readiness?.since, readiness?.since)
  })

  test('what is protected is not stopped and not deleted, and says how it could be', async () => {
    await lab.must('vm', 'set', 'web', '--protect', 'delete,stop', '--tag', 'shop,prod', '--notes', '# Shop')
    for (const [args, hint] of [
      [['vm', 'stop', 'web'], /--protect delete/],
      [['vm', 'delete', 'web'], /--protect stop/],
      [['vm', 'stop', 'web', '--what-if'], /--protect delete/],
    ] as const) {
      const { code, stderr } = await lab.run(...args)
      assert.equal(code, 5, `${args.join(' ')}: ${stderr}`)
      assert.match(stderr, /web is protected from being (stopped|deleted)/)
      assert.match(stderr, hint)
    }
    assert.equal((await lab.guest('web')).state, 'running')
    const found = await lab.json<{ name: string }[]>('vm', 'list', '--tag', 'shop')
    assert.deepEqual(
      found.map(({ name }) => name),
      ['web'],
    )
    await lab.must('vm', 'set', 'web', '--protect', 'nothing')
  })

  test('the calendar restarts a guest, on the same host', async () => {
    const { epoch, host } = await lab.guest('db')
    await lab.must('vm', 'schedule', 'add', 'db', 'often', '--action', 'restart', '--at', '* * * * *')
    await lab.until('db has another epoch', async () => (await lab.guest('db')).epoch > epoch, 100_000)
    await lab.must('vm', 'schedule', 'remove', 'db', 'often')
    await lab.until('db runs', async () => (await lab.guest('db')).state === 'running')
    assert.equal((await lab.guest('db')).host, host)
    const told = (await lab.events()).find(({ kind }) => kind === 'schedule.run')
    assert.equal(told?.message, 'db: schedule often asks for a restart')
  })
})
