/**
 * Real frames through a real bridge, in a network namespace of its own. Two guests' ports and an uplink, each with a
 * program at its other end that sends what it is told and notes what it hears.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GuestId } from '@stead/core/model/ids.ts'
import { LinuxNetworkHost, tapName } from './linux-network-host.ts'

const FRAME_PORT = join(import.meta.dirname, '../../../../.native/bin/frame-port')
const guestOf = (letter: string) => `${letter.repeat(8)}-7a55-4f0e-8d6e-1f6d8f6f4b10` as GuestId
const [one, two, three] = [guestOf('1'), guestOf('2'), guestOf('3')]
const MAC = {
  one: '52:54:00:00:00:01',
  two: '52:54:00:00:00:02',
  three: '52:54:00:00:00:03',
  outside: '52:54:00:00:00:0f',
}
const ALL = 'ff:ff:ff:ff:ff:ff'
const bound = { mac: MAC.one, addresses: ['10.0.0.1/24', '2001:db8::1/64'] }

const bytes = (...values: number[]) => Buffer.from(values)
const mac = (text: string) => Buffer.from(text.replaceAll(':', ''), 'hex')
const ip4 = (text: string) => bytes(...text.split('.').map(Number))
const word = (value: number) => bytes(value >> 8, value & 255)
/** Only addresses of the form `PREFIX::SUFFIX`, or `::`. */
const ip6 = (text: string) => {
  const [head, tail] = text
    .split('::')
    .map((part) => Buffer.concat(part === '' ? [] : part.split(':').map((w) => word(Number.parseInt(w, 16)))))
  return Buffer.concat([head!, Buffer.alloc(16 - head!.length - tail!.length), tail!])
}
const ethernet = (to: string, from: string, type: number, payload: Buffer) =>
  Buffer.concat([mac(to), mac(from), word(type), payload]).toString('hex')
const arpMessage = (hardware: string, address: string, sought = '10.0.0.2') =>
  Buffer.concat([bytes(0, 1, 8, 0, 6, 4, 0, 1), mac(hardware), ip4(address), Buffer.alloc(6), ip4(sought)])
const arp = (from: string, hardware: string, address: string) =>
  ethernet(ALL, from, 0x0806, arpMessage(hardware, address))
const udp = (from: number, to: number) =>
  Buffer.concat([word(from), word(to), word(12), bytes(0, 0), bytes(1, 2, 3, 4)])
/** With its checksum: a bridge that hands packets to iptables drops wrong ones by itself. */
const inet4 = (from: string, to: string, protocol: number, payload: Buffer) => {
  const start = [bytes(0x45, 0), word(20 + payload.length), bytes(0, 0, 0, 0, 64, protocol)]
  const header = Buffer.concat([...start, bytes(0, 0), ip4(from), ip4(to)])
  let sum = 0
  for (let at = 0; at < 20; at += 2) sum += header.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  header.writeUInt16BE(~sum & 0xffff, 10)
  return Buffer.concat([header, payload])
}
const inet6 = (from: string, to: string, protocol: number, payload: Buffer) =>
  Buffer.concat([bytes(0x60, 0, 0, 0), word(payload.length), bytes(protocol, 255), ip6(from), ip6(to), payload])
const sends4 = (source: string, address: string, to = ALL) =>
  ethernet(to, source, 0x0800, inet4(address, '10.0.0.2', 17, udp(4000, 4001)))
const sends6 = (source: string, address: string, protocol = 17, payload = udp(4000, 4001)) =>
  ethernet(ALL, source, 0x86dd, inet6(address, '2001:db8::2', protocol, payload))
const advertises = (target: string) =>
  Buffer.concat([bytes(136, 0, 0, 0, 0x20, 0, 0, 0), ip6(target), bytes(2, 1), mac(MAC.one)])
const ROUTER = Buffer.concat([bytes(134, 0, 0, 0, 64, 0, 0, 255), Buffer.alloc(8)])
const LINK_LOCAL = 'fe80::5054:ff:fe00:1'
const rarp = (hardware: string) =>
  ethernet(
    ALL,
    hardware,
    0x8035,
    Buffer.concat([bytes(0, 1, 8, 0, 6, 4, 0, 3), mac(hardware), ip4('0.0.0.0'), mac(hardware), ip4('0.0.0.0')]),
  )

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 10_000; !(await condition()); await sleep(10))
    assert.ok(performance.now() < deadline, 'not in time')
}

/** What no guest may send, whether its addresses are known or not. */
const FORBIDDEN: Readonly<Record<string, string>> = {
  'a frame from another MAC': sends4(MAC.two, '10.0.0.1'),
  'an ARP message about another MAC': arp(MAC.one, MAC.two, '10.0.0.1'),
  'an ARP message of odd lengths': ethernet(
    ALL,
    MAC.one,
    0x0806,
    bytes(0, 1, 8, 0, 8, 4, 0, 1, ...Array<number>(24).fill(0)),
  ),
  'a router advertisement': sends6(MAC.one, LINK_LOCAL, 58, ROUTER),
  'a router advertisement behind another header': sends6(
    MAC.one,
    LINK_LOCAL,
    0,
    Buffer.concat([bytes(58, 0, 1, 4, 0, 0, 0, 0), ROUTER]),
  ),
  'a router advertisement in pieces': sends6(
    MAC.one,
    LINK_LOCAL,
    44,
    Buffer.concat([bytes(60, 0, 0, 1, 0, 0, 0, 7), bytes(58, 0, 1, 4, 0, 0, 0, 0)]),
  ),
  'a router advertisement with a VLAN tag': ethernet(
    ALL,
    MAC.one,
    0x8100,
    Buffer.concat([word(0), word(0x86dd), inet6(LINK_LOCAL, 'ff02::1', 58, ROUTER)]),
  ),
  'a router advertisement in a SNAP frame': ethernet(
    ALL,
    MAC.one,
    64,
    Buffer.concat([bytes(0xaa, 0xaa, 3, 0, 0, 0), word(0x86dd), inet6(LINK_LOCAL, 'ff02::1', 58, ROUTER)]),
  ),
  'a redirect': sends6(MAC.one, LINK_LOCAL, 58, bytes(137, 0, 0, 0, ...Array<number>(36).fill(0))),
  'an answer of a DHCP server': ethernet(ALL, MAC.one, 0x0800, inet4('10.0.0.1', '255.255.255.255', 17, udp(67, 68))),
  'an answer of a DHCPv6 server': sends6(MAC.one, LINK_LOCAL, 17, udp(547, 546)),
  'a query for multicast listeners': ethernet(
    ALL,
    MAC.one,
    0x0800,
    inet4('10.0.0.1', '224.0.0.1', 2, bytes(0x11, 0, 0, 0, 0, 0, 0, 0)),
  ),
  'a frame to a bridge': ethernet('01:80:c2:00:00:0e', MAC.one, 0x88cc, bytes(2, 7, 4, 1, 1, 1, 1, 1, 1)),
}
/** What no guest whose addresses are known may send. */
const FOREIGN: Readonly<Record<string, string>> = {
  'from another IPv4 address': sends4(MAC.one, '10.0.0.2'),
  'an ARP message about another address': arp(MAC.one, MAC.one, '10.0.0.2'),
  'from another IPv6 address': sends6(MAC.one, '2001:db8::2'),
  "from another guest's link-local address": sends6(MAC.one, 'fe80::5054:ff:fe00:2'),
  'a neighbour advertisement about another address': sends6(MAC.one, '2001:db8::1', 58, advertises('2001:db8::2')),
  'from no address, but no question': sends6(MAC.one, '::'),
  'from no address, but not to a DHCP server': sends4(MAC.one, '0.0.0.0'),
}
const HONEST: Readonly<Record<string, string>> = {
  'its own IPv4 address': sends4(MAC.one, '10.0.0.1'),
  'an ARP message about itself': arp(MAC.one, MAC.one, '10.0.0.1'),
  'an ARP probe': arp(MAC.one, MAC.one, '0.0.0.0'),
  'its own IPv6 address': sends6(MAC.one, '2001:db8::1'),
  'its link-local address': sends6(MAC.one, LINK_LOCAL),
  'a neighbour advertisement about itself': sends6(MAC.one, '2001:db8::1', 58, advertises('2001:db8::1')),
  'whether its address is free': sends6(MAC.one, '::', 58, bytes(135, 0, 0, 0, ...Array<number>(20).fill(0))),
  'a question to DHCP servers': ethernet(ALL, MAC.one, 0x0800, inet4('0.0.0.0', '255.255.255.255', 17, udp(68, 67))),
  'that it is here': rarp(MAC.one),
}

class FramePort {
  readonly heard: string[] = []
  readonly process: ChildProcessWithoutNullStreams
  /** It hears from now on. */
  readonly ready: Promise<unknown>

  constructor(command: readonly string[]) {
    this.process = spawn(command[0]!, command.slice(1))
    const lines = createInterface(this.process.stdout)
    this.ready = once(lines, 'line', { signal: AbortSignal.timeout(5_000) })
    this.ready.catch(() => undefined)
    lines.on('line', (line) => this.heard.push(line))
  }
  async send(frame: string): Promise<void> {
    await this.ready
    this.process.stdin.write(`${frame}\n`)
  }
  async hears(frame: string): Promise<void> {
    for (const deadline = performance.now() + 5_000; !this.heard.includes(frame); await sleep(2))
      assert.ok(performance.now() < deadline, `not heard: ${frame}`)
  }
  async close(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const gone = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await gone
  }
}

describe('isolation of guests', { skip: process.getuid?.() === 0 ? false : 'needs root' }, () => {
  let holder: ChildProcess
  let enter: readonly string[]
  let host: LinuxNetworkHost
  let ports: FramePort[]
  let markers: number
  const run = (...command: string[]) =>
    execFileSync(enter[0]!, [...enter.slice(1), ...command], { stdio: 'pipe' }).toString()
  const newAgent = () => new LinuxNetworkHost({ ip: [enter[0]!, ...enter.slice(1), 'ip'] })
  const rules = () => run('nft', 'list', 'ruleset')
  /** A veth whose other end is `END`. */
  const wire = (name: string, end: string) => {
    run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', end)
    run('ip', 'link', 'set', name, 'master', 'lanbr0', 'up')
    run('ip', 'link', 'set', end, 'up')
    const port = new FramePort([...enter, FRAME_PORT, end])
    ports.push(port)
    return port
  }
  /** Sends the frame, and after it one that is let through: what was to arrive has arrived by then. */
  const passes = async (from: FramePort, to: FramePort, frame: string, source = MAC.one) => {
    await to.ready
    const count = to.heard.length
    await from.send(frame)
    const marker = rarp(source) + String(++markers).padStart(4, '0')
    await from.send(marker)
    await to.hears(marker)
    // Who hears it is given a VLAN's tag beside the frame.
    return to.heard.slice(count).includes(frame.replace(/^(.{24})8100.{4}/, '$1'))
  }
  const placeOf = (address: string) =>
    (
      JSON.parse(run('bridge', '-json', 'fdb', 'show', 'br', 'lanbr0')) as {
        mac: string
        ifname: string
        state: string
      }[]
    )
      .filter((entry) => entry.mac === address)
      .map(({ ifname, state }) => `${ifname} ${state || 'learned'}`)

  beforeEach(async () => {
    ports = []
    markers = 0
    holder = spawn('unshare', ['--net', 'sleep', '60'], { stdio: 'ignore' })
    const own = readlinkSync('/proc/self/ns/net')
    for (const deadline = performance.now() + 5_000; readlinkSync(`/proc/${holder.pid}/ns/net`) === own; await sleep(5))
      assert.ok(performance.now() < deadline, 'no namespace')
    enter = ['nsenter', `--net=/proc/${holder.pid}/ns/net`]
    // The ends of the wires say nothing but what they are told.
    run('sh', '-c', 'for kind in all default; do echo 1 > /proc/sys/net/ipv6/conf/$kind/disable_ipv6; done')
    run('ip', 'link', 'add', 'lanbr0', 'type', 'bridge')
    run('ip', 'link', 'set', 'lanbr0', 'up')
    host = newAgent()
  })
  afterEach(async () => {
    for (const port of ports) await port.close()
    const gone = once(holder, 'exit')
    holder.kill('SIGKILL')
    await gone
  })
  const isolate = async (
    guest: GuestId,
    identity: { mac: string; addresses?: readonly string[]; packetsPerSecond?: number },
    by = host,
  ) => {
    const done = await by.isolate(guest, 0, identity)
    assert.ok(done.ok, JSON.stringify(done))
  }

  it('lets a guest send as itself only', async () => {
    const [guest, outside] = [wire(tapName(one, 0), 'one'), wire('uplink0', 'outside')]
    // An uplink of a name that resembles a guest's is none, and not filtered.
    const other = wire('storage0', 'other')
    // Nothing but the filter keeps them back; a bridge passes on no frames to bridges.
    for (const [what, frame] of Object.entries({ ...FORBIDDEN, ...FOREIGN }))
      if (!frame.startsWith('0180c2')) assert.equal(await passes(guest, outside, frame), true, what)
    await isolate(one, bound)
    for (const [what, frame] of Object.entries({ ...FORBIDDEN, ...FOREIGN }))
      assert.equal(await passes(guest, outside, frame), false, what)
    for (const [what, frame] of Object.entries(HONEST)) assert.equal(await passes(guest, outside, frame), true, what)
    assert.equal(await passes(other, outside, FORBIDDEN['a router advertisement']!, MAC.outside), true)
  })

  it('holds a guest whose addresses are not known to its MAC', async () => {
    const [guest, outside] = [wire(tapName(one, 0), 'one'), wire('uplink0', 'outside')]
    await isolate(one, { mac: MAC.one.toUpperCase() })
    for (const [what, frame] of Object.entries(FORBIDDEN))
      assert.equal(await passes(guest, outside, frame), false, what)
    for (const [what, frame] of Object.entries({ ...HONEST, ...FOREIGN }))
      assert.equal(await passes(guest, outside, frame), true, what)
    // Addresses that become known later.
    await isolate(one, bound)
    assert.equal(await passes(guest, outside, FOREIGN['from another IPv4 address']!), false)
    await isolate(one, { mac: MAC.one, addresses: ['10.0.0.2'] })
    assert.equal(await passes(guest, outside, FOREIGN['from another IPv4 address']!), true)
    assert.equal(await passes(guest, outside, HONEST['its own IPv4 address']!), false)
    for (const address of ['10.0.0.300', '::ffff:10.0.0.1', 'fe80::1%eth0', 'x']) {
      const refused = await host.isolate(one, 0, { mac: MAC.one, addresses: [address] })
      assert.ok(!refused.ok && refused.error.code === 'bad_request', address)
    }
  })

  it('lets no guest hear what is meant for others', async () => {
    const [first, second, third] = [one, two, three].map((guest, index) => wire(tapName(guest, 0), `end${index}`))
    const outside = wire('uplink0', 'outside')
    await isolate(one, { mac: MAC.one })
    await isolate(two, { mac: MAC.two })
    await isolate(three, { mac: MAC.three })
    const between = sends4(MAC.one, '10.0.0.1', MAC.two)
    const toNobodyKnown = sends4(MAC.one, '10.0.0.1', '52:54:00:00:00:77')
    // The second guest has never said a word.
    assert.equal(await passes(first!, second!, between), true)
    assert.equal(await passes(first!, outside, toNobodyKnown), true)
    assert.deepEqual(
      third!.heard.filter((frame) => [between, toNobodyKnown].includes(frame)),
      [],
    )
    // It can not have the bridge believe that it is somebody else, by whatever frame.
    for (const [to, type] of [
      [ALL, 0x0800],
      ['01:80:c2:00:00:0e', 0x88cc],
      ['01:80:c2:00:00:00', 0x26],
    ] as const)
      await passes(third!, outside, ethernet(to, MAC.two, type, Buffer.alloc(60)), MAC.three)
    assert.deepEqual(placeOf(MAC.two), [`${tapName(two, 0)} static`])
  })

  it('follows a guest that moves, when it speaks', async () => {
    const [neighbour, outside] = [wire(tapName(two, 0), 'two'), wire('uplink0', 'outside')]
    await isolate(two, { mac: MAC.two })
    await passes(outside, neighbour, rarp(MAC.one))
    // A tap waits here; the guest itself still runs on another host.
    const nic = { mac: MAC.one, network: 'lan' } as const
    assert.ok((await host.ensureTap(one, 0, nic, { arriving: true })).ok)
    assert.deepEqual(placeOf(MAC.one), ['uplink0 learned'])
    run('ip', 'link', 'del', tapName(one, 0))
    const arrived = wire(tapName(one, 0), 'one')
    run('bridge', 'link', 'set', 'dev', tapName(one, 0), 'flood', 'off')
    assert.equal(await passes(arrived, outside, rarp(MAC.one)), true)
    assert.deepEqual(placeOf(MAC.one), [`${tapName(one, 0)} learned`])
    await isolate(one, nic)
    assert.deepEqual(placeOf(MAC.one), [`${tapName(one, 0)} static`])
    // It goes on to yet another host, and what is left of it here is removed.
    await passes(outside, neighbour, rarp(MAC.one))
    assert.match(placeOf(MAC.one).join(), /^uplink0 /)
    assert.ok((await host.removeTaps(one)).ok)
    assert.deepEqual(placeOf(MAC.one), [])
    assert.doesNotMatch(rules(), /11111111/)
    assert.match(rules(), /22222222/)
  })

  it('starts with a static place for a guest that starts here', async () => {
    assert.ok((await host.ensureTap(one, 0, { mac: MAC.one, network: 'lan' })).ok)
    assert.deepEqual(placeOf(MAC.one), [`${tapName(one, 0)} static`])
    assert.match(run('bridge', '-details', 'link', 'show', 'dev', tapName(one, 0)), /learning off flood off/)
    assert.ok((await host.removeTap(one, 0)).ok)
    assert.doesNotMatch(rules(), /11111111/)
  })

  it('goes on after a restart of the agent, and mends what was changed meanwhile', async () => {
    const [guest, outside] = [wire(tapName(one, 0), 'one'), wire('uplink0', 'outside')]
    wire(tapName(three, 0), 'three')
    await isolate(one, bound)
    await isolate(two, { mac: MAC.two })
    run('nft', 'add', 'element', 'bridge', 'stead', 'sources', `{ "${tapName(one, 0)}" . ${MAC.two} }`)
    run('nft', 'flush', 'chain', 'bridge', 'stead', 'inet4')
    const next = newAgent()
    assert.deepEqual(await next.verifyIsolation(), { ok: true, value: false }, 'it has looked after nobody yet')
    await isolate(guestOf('4'), { mac: '52:54:00:00:00:04' }, next)
    // The rules are whole again; what the first guest is, is not yet said; the second is gone; the third says nothing.
    assert.equal(await passes(guest, outside, FOREIGN['from another IPv4 address']!), false)
    assert.doesNotMatch(rules(), /22222222/)
    assert.equal(rules().match(/33333333/g)?.length, 1)
    await isolate(one, bound, next)
    assert.equal(await passes(guest, outside, FORBIDDEN['a frame from another MAC']!), false)
    assert.deepEqual(await next.verifyIsolation(), { ok: true, value: false })
    for (const change of ['flush ruleset', 'flush chain bridge stead guest', 'flush set bridge stead bound']) {
      run('nft', ...change.split(' '))
      assert.equal(await passes(guest, outside, FOREIGN['from another IPv4 address']!), true, change)
      assert.deepEqual(await next.verifyIsolation(), { ok: true, value: true }, change)
      assert.equal(await passes(guest, outside, FOREIGN['from another IPv4 address']!), false, change)
    }
    // Without anybody looking: the next change finds it.
    run('nft', 'flush', 'ruleset')
    await isolate(two, { mac: MAC.two }, next)
    assert.equal(await passes(guest, outside, FOREIGN['from another IPv4 address']!), false)
  })

  it('drops and counts what is more than a card may send, by itself, and at another rate at once', async () => {
    const [guest, outside] = [wire(tapName(one, 0), 'one'), wire('uplink', 'outside')]
    const refused = async () => {
      const dropped = await host.droppedPackets()
      return dropped.ok ? [dropped.value.get(tapName(one, 0)), dropped.value.get(tapName(two, 0))] : dropped
    }
    await isolate(one, { ...bound, packetsPerSecond: 10 })
    await isolate(two, { mac: MAC.two, packetsPerSecond: 10 })
    assert.deepEqual(await refused(), [0, 0])
    await outside.ready
    for (let sent = 0; sent < 200; sent++) await guest.send(HONEST['that it is here']!)
    await until(async () => Number(((await refused()) as number[])[0]) > 100)
    assert.equal(((await refused()) as number[])[1], 0)
    assert.ok(outside.heard.length > 0 && outside.heard.length < 100, `${outside.heard.length} were heard`)
    assert.deepEqual(await host.verifyIsolation(), { ok: true, value: false })
    await isolate(one, bound)
    assert.deepEqual(await refused(), [undefined, 0])
    for (let sent = 0; sent < 50; sent++) assert.equal(await passes(guest, outside, HONEST['an ARP probe']!), true)
    // What an agent before this one has limited is so under the next, until that says what it is to be.
    await isolate(one, { ...bound, packetsPerSecond: 20 })
    const next = newAgent()
    await isolate(three, { mac: MAC.three }, next)
    assert.match(rules(), /"st111111110" limit rate over 20\/second/)
    assert.deepEqual(await next.verifyIsolation(), { ok: true, value: false })
  })

  it("takes a container's end of a veth as it takes a tap", async () => {
    const guest = wire(tapName(one, 0), 'one')
    await isolate(one, bound)
    assert.ok((await host.limitTap(one, 0, { receiveBytesPerSecond: 1e6, sendBytesPerSecond: 1e6 })).ok)
    await guest.close()
    ports = []
    assert.ok((await host.removeTaps(one)).ok)
    assert.doesNotMatch(run('ip', 'link', 'show'), /11111111/)
    assert.doesNotMatch(rules(), /11111111/)
    assert.ok((await host.removeTaps(one)).ok)
  })
})
