/** In a network namespace of its own: the machine's own network is never touched. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GuestId } from '@stead/core/model/ids.ts'
import { LinuxNetworkHost, tapName } from './linux-network-host.ts'
import { detourOf } from './tap-limits.ts'

const guest = '2f0c5c0e-7a55-4f0e-8d6e-1f6d8f6f4b10' as GuestId
const other = '3f0c5c0e-7a55-4f0e-8d6e-1f6d8f6f4b10' as GuestId
const nic = { mac: '52:54:00:00:00:01', network: 'lan' } as const
const mayMakeNamespaces = process.getuid?.() === 0

describe('LinuxNetworkHost', { skip: mayMakeNamespaces ? false : 'needs root' }, () => {
  let holder: ChildProcess
  let ip: readonly [string, ...string[]]
  let host: LinuxNetworkHost
  const run = (...args: string[]) => execFileSync(ip[0], [...ip.slice(1), ...args]).toString()
  const linkOf = (name: string) => {
    const links = JSON.parse(run('-json', '-details', 'link', 'show')) as readonly {
      ifname: string
      mtu: number
      master?: string
      flags: string[]
      linkinfo?: { info_data?: { user?: string } }
    }[]
    return links.find((link) => link.ifname === name)
  }

  beforeEach(async () => {
    // The namespace lives as long as this process.
    holder = spawn('unshare', ['--net', 'sleep', '120'], { stdio: 'ignore' })
    const own = readlinkSync('/proc/self/ns/net')
    const deadline = performance.now() + 5_000
    while (readlinkSync(`/proc/${holder.pid}/ns/net`) === own) {
      assert.ok(performance.now() < deadline, 'no namespace')
      await sleep(5)
    }
    ip = ['nsenter', `--net=/proc/${holder.pid}/ns/net`, 'ip']
    run('link', 'add', 'lanbr0', 'type', 'bridge')
    run('link', 'set', 'lanbr0', 'mtu', '1450', 'up')
    host = new LinuxNetworkHost({ ip, user: { uid: 64_055, gid: 64_055 } })
  })
  afterEach(async () => {
    const gone = once(holder, 'exit')
    holder.kill('SIGKILL')
    await gone
  })

  it('makes a tap on the bridge for the user, once', async () => {
    for (let time = 0; time < 2; time++)
      assert.deepEqual(await host.ensureTap(guest, 0, nic), { ok: true, value: 'st2f0c5c0e0' })
    const link = linkOf('st2f0c5c0e0')
    assert.equal(link?.master, 'lanbr0')
    assert.equal(link?.mtu, 1450)
    assert.ok(link?.flags.includes('UP'))
    assert.equal(String(link?.linkinfo?.info_data?.user), '64055')
  })

  it('completes a tap that an earlier attempt left half-made', async () => {
    run('tuntap', 'add', 'dev', 'st2f0c5c0e0', 'mode', 'tap')
    assert.ok((await host.ensureTap(guest, 0, nic)).ok)
    assert.equal(linkOf('st2f0c5c0e0')?.master, 'lanbr0')
  })

  it("removes a guest's taps and no other's", async () => {
    for (const index of [0, 1]) assert.ok((await host.ensureTap(guest, index, nic)).ok)
    assert.ok((await host.ensureTap(other, 0, nic)).ok)
    for (let time = 0; time < 2; time++) assert.ok((await host.removeTaps(guest)).ok)
    assert.equal(linkOf(tapName(guest, 0)), undefined)
    assert.equal(linkOf(tapName(guest, 1)), undefined)
    assert.ok(linkOf(tapName(other, 0)))
  })

  it('limits what a tap lets through either way, changes it and lifts it', async () => {
    const tc = (...args: string[]) => execFileSync(ip[0], [...ip.slice(1, -1), 'tc', ...args]).toString()
    const ratesOf = (device: string) => /rate (\S+)/.exec(tc('class', 'show', 'dev', device))?.[1]
    assert.ok((await host.ensureTap(guest, 1, nic)).ok)
    const tap = tapName(guest, 1)
    const detour = detourOf(tap)
    for (const [megabits, times] of [
      [8, 2],
      [16, 1],
    ] as const)
      for (let time = 0; time < times; time++) {
        const bytesPerSecond = (megabits * 1e6) / 8
        const limits = { receiveBytesPerSecond: bytesPerSecond, sendBytesPerSecond: bytesPerSecond / 2 }
        const limited = await host.limitTap(guest, 1, limits)
        assert.ok(limited.ok, JSON.stringify(limited))
        assert.deepEqual([ratesOf(tap), ratesOf(detour)], [`${megabits}Mbit`, `${megabits / 2}Mbit`])
      }
    assert.equal(tc('filter', 'show', 'dev', tap, 'ingress').match(/mirred/g)?.length, 1)
    assert.ok((await host.limitTap(guest, 1, { receiveBytesPerSecond: 1e6 })).ok)
    assert.deepEqual([ratesOf(tap), linkOf(detour)], ['8Mbit', undefined])
    for (let time = 0; time < 2; time++) assert.ok((await host.limitTap(guest, 1, {})).ok)
    assert.equal(ratesOf(tap), undefined)
    assert.ok((await host.limitTap(guest, 1, { sendBytesPerSecond: 1e6 })).ok)
    assert.ok((await host.removeTap(guest, 1)).ok)
    assert.deepEqual([linkOf(tap), linkOf(detour)], [undefined, undefined])
    assert.ok((await host.removeTap(guest, 1)).ok)
  })

  it('says when the bridge is missing, and leaves no tap behind', async () => {
    run('link', 'del', 'lanbr0')
    const made = await host.ensureTap(guest, 0, nic)
    assert.ok(!made.ok)
    assert.match(made.error.message, /lanbr0/)
    assert.equal(linkOf(tapName(guest, 0)), undefined)
  })
})
