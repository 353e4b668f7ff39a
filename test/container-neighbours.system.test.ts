/**
 * One container misbehaves in every way it can, and is refused; its neighbour on the same host is not, loses nothing and
 * goes on working. How fast it goes on meanwhile is measured by `./dev bench container`.
 */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { ContainerCounterView } from '@stead/api/endpoints/counters.ts'
import type { ContainerResourceName } from '@stead/core/model/container-resources.ts'
import { LabCluster } from './support/lab-cluster.ts'

const HOG = 'hog'
const WEB = 'web'
const WEB_ADDRESS = '10.66.220.1'
const HOST = 'h1'
const MIB = 2 ** 20

suite('neighbours of a container that misbehaves', { timeout: 300_000 }, () => {
  let lab: LabCluster
  let epoch = 0

  before(async () => {
    lab = await LabCluster.up()
    await lab.must('template', 'build', 'busybox')
    await lab.importRecorderTemplate()
    await lab.createContainer(WEB, ['--host', HOST, '--address', `${WEB_ADDRESS}/16`])
    const size = ['--memory', '32MiB', '--disk', '64MiB', '--address', '10.66.220.2/16']
    await lab.must('ct', 'create', HOG, '--template', 'busybox', ...size, '--host', HOST, '--start')
    await lab.untilProtected(WEB)
    epoch = (await lab.guest(WEB)).epoch
  })
  after(() => lab?.down())

  const hog = (script: string) => lab.run('ct', 'exec', HOG, '--', 'sh', '-c', script)
  const counters = async (name: string) => {
    const rows = await lab.json<ContainerCounterView[]>('ct', 'counters', name)
    return new Map(rows.map((row) => [row.resource as ContainerResourceName, row]))
  }
  const failures = async (name: string, resource: ContainerResourceName) =>
    (await counters(name)).get(resource)?.failures ?? 0

  /** While it goes on, the neighbour works; afterwards it is as it was, but for what it has done itself. */
  async function besideIt(harm: () => Promise<unknown>): Promise<void> {
    const record = await lab.acknowledged(WEB)
    let over = false
    const harming = harm().finally(() => (over = true))
    try {
      const answers = { while: 0, pings: 0 }
      do {
        assert.match(await lab.must('ct', 'exec', WEB, '--', 'echo', 'alive'), /alive/)
        answers.while += 1
        const ping = await lab.run('lab', 'client', '--', 'ping', '-c', '1', '-W', '5', WEB_ADDRESS)
        answers.pings += ping.code === 0 ? 1 : 0
      } while (!over)
      assert.ok(answers.pings >= answers.while - 1, `${answers.pings} of ${answers.while} pings came back`)
    } finally {
      await harming
    }
    await lab.recordsPast(WEB, record + 10)
    const refused = [...(await counters(WEB)).values()].filter(
      // Time of the processor that it wanted and could not have is no refusal of its neighbour's making.
      ({ resource, failures: count }) => (count ?? 0) > 0 && resource !== 'cpulimit' && resource !== 'cpus',
    )
    assert.deepEqual(refused, [])
    const web = await lab.guest(WEB)
    assert.deepEqual([web.state, web.host, web.epoch, web.protection.level], ['running', HOST, epoch, 'protected'])
    assert.doesNotMatch(await lab.console(WEB), /WERR|FERR/)
    assert.equal((await lab.guest(HOG)).state, 'running')
  }

  test('a fork bomb of one that was given no limit is refused by the limit that every container has', async () => {
    const limit = (await counters(HOG)).get('numproc')?.limit
    assert.equal(limit, 128)
    await besideIt(() => hog('b() { b | b & }; b; sleep 5'))
    const numproc = (await counters(HOG)).get('numproc')
    assert.ok((numproc?.maxHeld ?? 0) <= limit)
    assert.ok((numproc?.failures ?? 0) > 0, `${numproc?.maxHeld} processes at most, and none was refused`)
  })

  test('a memory hog is killed in its own container, and takes none of the host’s swap', async () => {
    await besideIt(() => hog('for i in 1 2 3; do tail -c 200m /dev/zero | wc -c; done'))
    assert.ok((await failures(HOG, 'physpages')) > 0)
    const of = await counters(HOG)
    assert.ok((of.get('physpages')?.maxHeld ?? 0) <= (32 * MIB) / 4096)
    assert.equal(of.get('swappages')?.held, 0)
  })

  test('a disk filler fills its own disk, and the neighbour’s has the room it had', async () => {
    const room = async (name: string) => {
      const shown = await lab.must('ct', 'exec', name, '--', 'df', '-Pk', '/')
      return Number(shown.trim().split('\n').at(-1)?.split(/ +/)[3])
    }
    const before = await room(WEB)
    let said = ''
    await besideIt(async () => {
      said = (
        await hog(
          'for i in 1 2 3; do dd if=/dev/zero of=/fill bs=64k; sync -f /; rm /fill; done; dd if=/dev/zero of=/fill bs=64k',
        )
      ).stderr
    })
    assert.match(said, /No space left/)
    // A block or two that no file could take whole.
    assert.ok((await room(HOG)) <= 256)
    assert.ok((await room(WEB)) >= before - 64, 'the neighbour’s room')
    await hog('rm /fill')
    assert.match((await hog('echo again > /file && cat /file')).stdout, /again/)
  })

  test('a packet flooder sends what its limit lets through, and the rest is dropped at its own card', async () => {
    assert.equal((await counters(HOG)).get('packetrate')?.limit, 50_000)
    await lab.must('ct', 'set', HOG, '--limit', 'netrate=8M')
    const { id } = await lab.guest(HOG)
    const sent = async () => {
      // What it sends goes through a device of its own, where its limit is.
      const shown = await lab.must(
        'lab',
        'exec',
        HOST,
        '--',
        'tc',
        '-s',
        'class',
        'show',
        'dev',
        `sb${id.slice(0, 8)}0`,
      )
      const [, bytes, dropped] = /Sent (\d+) bytes .*?dropped (\d+)/s.exec(shown) ?? []
      return { bytes: Number(bytes), dropped: Number(dropped) }
    }
    await lab.until('its card is limited', async () => (await sent()).bytes >= 0)
    const before = { ...(await sent()), atMs: performance.now() }
    /**
     * A datagram for each line. Nothing may go on afterwards: a `logger` that nobody listens to opens a socket for each
     * line, faster than the kernel frees them, until its group has no memory left and init is killed for it.
     */
    const flood = async (line: string) => {
      const listen = `rm -f /dev/log; syslogd -n -R ${WEB_ADDRESS}:514 & until [ -S /dev/log ]; do usleep 10000; done`
      await hog(`${listen}; yes ${line} | timeout 4 logger; kill $!; wait`)
      assert.doesNotMatch(await lab.must('ct', 'exec', HOG, '--', 'ps'), /syslogd|logger|yes/)
    }
    await besideIt(() => flood('x'.repeat(900)))
    const after = { ...(await sent()), atMs: performance.now() }
    assert.ok(after.dropped > before.dropped, 'something was dropped')
    const most = ((after.atMs - before.atMs) / 1000) * 1e6 + MIB
    assert.ok(after.bytes - before.bytes <= most, `${after.bytes - before.bytes} bytes, at most ${most}`)
    // Small packets have a limit of their own, which is told.
    await lab.must('ct', 'set', HOG, '--limit', 'packetrate=200', '--limit', 'netrate=unlimited')
    await besideIt(() => flood('x'))
    const packets = (await counters(HOG)).get('packetrate')
    assert.deepEqual([packets?.limit, packets?.enforced], [200, 'limit'])
    assert.ok((packets?.failures ?? 0) > 0, 'packets were dropped and counted')
    await lab.until('it is an event', async () =>
      (await lab.events()).some(({ kind, message }) => kind === 'guest.limit-reached' && /packetrate/.test(message)),
    )
  })
})
