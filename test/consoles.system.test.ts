/** A real guest's consoles, used through hosts that do not run it, before and after it moves. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { ConsoleConnection } from '@stead/api/console-connection.ts'
import type { OwnConsoleKind } from '@stead/api/console-protocol.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { openNodeSocket } from '@stead/client/node-socket.ts'
import { Stead } from '@stead/client/stead.ts'
import { GUEST_APPEND } from '@stead/lab/guest-image.ts'
import { LabCluster, ROOT } from './support/lab-cluster.ts'
import { RfbViewer } from './support/rfb-viewer.ts'

const GUEST = join(ROOT, '.cache', 'guest')
const NAME = 'web1'
const PASTED = String.raw`echo "It's {100%} <ok>; ~user@host \ #1 | [x^2] *_+=?" > /dev/ttyS0`

/** A console that stays connected, through one host only. */
class Watcher {
  text = ''
  /** Hosts on which the guest ran, one for each connection. */
  readonly places: string[] = []
  readonly reasons: string[] = []
  viewer: RfbViewer
  readonly #connection: ConsoleConnection
  readonly #left = new AbortController()
  readonly #running: Promise<unknown>

  constructor(lab: LabCluster, host: string, kind: OwnConsoleKind) {
    const newViewer = () => new RfbViewer((bytes) => this.#connection.send(bytes))
    this.#connection = new ConsoleConnection({
      client: lab.clientOf([host]),
      guest: NAME,
      kind,
      openSocket: openNodeSocket,
      onConnected: (ticket) => {
        this.viewer = newViewer()
        this.places.push(ticket.host)
      },
      onBytes: (bytes) => {
        if (kind === 'vnc') this.viewer.take(bytes)
        else this.text += Buffer.from(bytes).toString('latin1')
      },
      onWaiting: (reason) => this.reasons.push(reason),
    })
    this.viewer = newViewer()
    this.#running = this.#connection.run(this.#left.signal)
  }

  type(text: string): void {
    this.#connection.send(Buffer.from(text, 'latin1'))
  }

  async leave(): Promise<void> {
    this.#left.abort()
    await this.#running
  }
}

suite('consoles', { timeout: 400_000 }, () => {
  let lab: LabCluster
  const watchers: Watcher[] = []

  const watch = (host: string, kind: OwnConsoleKind) => {
    const watcher = new Watcher(lab, host, kind)
    watchers.push(watcher)
    return watcher
  }
  const says = (watcher: Watcher, pattern: RegExp, what: string) =>
    lab.until(what, async () => pattern.test(watcher.text), 90_000)
  const folder = async (host: string) => join(lab.hostFolder(host), 'guests', (await lab.guest(NAME)).id, 'run')

  before(async () => {
    lab = await LabCluster.up()
    await lab.must(
      ...['vm', 'create', NAME, '--memory', '128MiB', '--display', 'vga', '--host', 'h1', '--start'],
      ...['--kernel', join(GUEST, 'kernel', 'vmlinuz'), '--initrd', join(GUEST, 'initrd.img')],
      ...['--append', `${GUEST_APPEND} stead.run=shell`],
    )
  })
  after(async () => {
    await Promise.all(watchers.map((watcher) => watcher.leave()))
    await lab?.down()
  })

  test('a shell on the serial port is used by two at once, through two hosts that do not run the guest', async () => {
    const [first, second] = [watch('h3', 'serial'), watch('h2', 'serial')]
    await says(first, /\/ # /, 'the guest has booted to a shell')
    first.type('echo $((6 * 7))-first\r')
    await says(second, /42-first\r\n/, 'the other sees what the first one does')
    second.type('echo $((6 * 8))-second\r')
    await says(first, /48-second\r\n/, 'and the other way round')
    assert.deepEqual(first.places, ['h1'])
    const late = new Watcher(lab, 'h1', 'serial')
    await says(late, /42-first[\s\S]*48-second/, 'who comes later sees what was before').finally(() => late.leave())
  })

  test('a program uses it by the client', async () => {
    const terminal = new Stead({ hosts: [join(lab.hostFolder('h2'), 'agent.sock')] }).console(NAME, 'serial')
    let text = ''
    for await (const each of terminal) {
      if (each.is === 'connected') terminal.send('echo $((6 * 9))-program\r')
      if (each.is === 'bytes') text += Buffer.from(each.bytes).toString('latin1')
      if (/54-program\r\n/.test(text)) break
    }
  })

  test('the screen is seen and typed into by VNC, through a host that does not run the guest', async () => {
    const watcher = watch('h3', 'vnc')
    await lab.until('VNC is connected', async () => watcher.places.length === 1)
    const { width, height, pixels } = await watcher.viewer.picture()
    assert.deepEqual([width, height], [720, 400])
    const shades = new Set(pixels.filter((_, index) => index % 4 === 1))
    assert.ok(shades.size > 1, 'there is text on the screen')
    watcher.viewer.type('mkdir /tmp/vnc-was-here\n')
    const [serial] = watchers as [Watcher]
    await lab.until('what was typed has been done', async () => {
      serial.type('ls /tmp\r')
      return /\r\nvnc-was-here\r\n/.test(serial.text)
    })
  })

  test('text is pasted as keystrokes, whole or not at all', async () => {
    const [serial] = watchers as [Watcher]
    await lab.must('vm', 'paste', NAME, '--text', PASTED, '--enter')
    const expected = PASTED.slice('echo "'.length, PASTED.indexOf('" >'))
    await lab.until('it has come whole', async () => serial.text.includes(expected))
    const refused = await lab.run('vm', 'paste', NAME, '--text', 'rm -r /tmp # żółw', '--enter')
    assert.equal(refused.code, 2)
    assert.match(refused.stderr, /us cannot type ż/)
    serial.type('ls -d /tmp; echo $((5 * 5))-end\r')
    await says(serial, /\/tmp\r\n25-end/, 'nothing of it was typed')
  })

  test('a picture of the screen is taken from any host and leaves nothing behind', async () => {
    for (const host of ['h1', 'h3']) {
      const opened = await lab.clientOf([host]).stream(ENDPOINTS['console.screenshot'], { params: { guest: NAME } })
      assert.ok(opened.ok, opened.ok ? '' : opened.error.message)
      const parts: Uint8Array[] = []
      for await (const part of opened.value.body) parts.push(part)
      const picture = Buffer.concat(parts)
      assert.equal(picture.toString('latin1', 1, 4), 'PNG')
      assert.deepEqual([picture.readUInt32BE(16), picture.readUInt32BE(20)], [720, 400])
    }
    const left = readdirSync(await folder('h1')).filter((name) => name.endsWith('.png'))
    assert.deepEqual(left, [])
  })

  test('a ticket opens one connection in the whole cluster', async () => {
    const given = await lab.clientOf(['h1']).call(ENDPOINTS['console.open'], {
      params: { guest: NAME },
      body: { kind: 'serial' },
    })
    assert.ok(given.ok)
    const connect = async (host: string) => {
      const target = { host, unix: join(lab.hostFolder(host), 'agent.sock') }
      const socket = await openNodeSocket(target, given.value.url, given.value.subprotocol)
      socket.onerror = () => undefined
      const outcome = await new Promise((resolve) => {
        socket.onopen = () => resolve('opened')
        socket.onclose = () => resolve('refused')
      })
      socket.close()
      return outcome
    }
    assert.equal(await connect('h3'), 'opened', 'on a host that did not give it')
    assert.equal(await connect('h2'), 'refused')
    assert.equal(await connect('h1'), 'refused')
  })

  test('no console listens on a network', async () => {
    const sockets = await lab.must('lab', 'exec', 'h1', '--', 'ss', '-Hlntup')
    assert.match(sockets, /users:\(\("/, 'it is told whose they are')
    assert.doesNotMatch(sockets, /qemu-system/)
    const [qemu] = lab.qemuProcesses(NAME)
    const unix = readFileSync(`/proc/${qemu?.pid}/net/unix`, 'utf8')
    assert.match(unix, /\/run\/vnc\.sock/)
    assert.match(unix, /\/run\/tty\.sock/)
  })

  test('in a script the input is piped in', async () => {
    const program = lab.spawn(join(ROOT, 'bin', 'stead'), ['vm', 'console', NAME], 'pipe')
    let output = ''
    program.stdout?.on('data', (bytes: Buffer) => (output += bytes.toString('latin1')))
    program.stdin?.end('echo $((9 * 9))-script\n')
    const [code] = (await once(program, 'close')) as [number]
    assert.equal(code, 0)
    assert.match(output, /81-script\r\n/)
  })

  test('when the guest moves, all are connected again by themselves', async () => {
    const [serial, other, screen] = watchers as [Watcher, Watcher, Watcher]
    await lab.must('vm', 'relocate', NAME, '--to', 'h2')
    for (const watcher of [serial, other, screen]) {
      await lab.until('it is connected again', async () => watcher.places.at(-1) === 'h2')
      assert.ok(watcher.reasons.length > 0, 'it was told')
    }
    const before = serial.text.length
    await lab.until('the shell answers', async () => {
      serial.type('echo $((7 * 7))-moved\r')
      return serial.text.slice(before).includes('49-moved\r\n')
    })
    assert.match(other.text, /49-moved/)
    assert.equal((await screen.viewer.picture()).width, 720)

    // Live as well: the shell goes on where it was, and what was typed before is still in its memory.
    serial.type('kept=here\r')
    await lab.must('vm', 'migrate', NAME, '--to', 'h3')
    for (const watcher of [serial, other, screen])
      await lab.until('it is connected again', async () => watcher.places.at(-1) === 'h3')
    await lab.until('the same shell answers', async () => {
      serial.type('echo $kept-$((8 * 8))\r')
      return other.text.includes('here-64\r\n')
    })
    assert.equal((await screen.viewer.picture()).width, 720)
  })
})
