import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GuestId, VolumeId } from '@stead/core/model/ids.ts'
import type { WatchdogAction } from '@stead/core/model/platform.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import { launchArguments } from './launch-arguments.ts'
import { newLaunchRecord } from './launch-record.ts'

const launch: GuestLaunch = {
  guest: '2f0c5c0e-7a55-4f0e-8d6e-1f6d8f6f4b10' as GuestId,
  name: 'web,1',
  epoch: 3,
  memoryBytes: 128 << 20,
  cpus: 2,
  boot: { kind: 'kernel', kernelPath: '/k', initrdPath: '/i', append: 'console=ttyS0 a,b' },
  disks: [
    {
      volume: '0123456789abcdef0123456789abcdef' as VolumeId,
      sizeBytes: 1 << 20,
      width: 2,
      legs: [{ host: 'h1', endpoint: { kind: 'unix', path: '/s' }, exportName: 'vol-1-e3' }],
    },
  ],
  nics: [{ mac: '52:54:00:00:00:01', network: 'lan', tap: 'st2f0c5c0e0' }],
  accelerator: 'tcg',
}
const paths = {
  qmpSocket: '/run/qmp.sock',
  serialSocket: '/run/tty.sock',
  vncSocket: '/run/vnc.sock',
  consoleLog: '/log/console.log',
  agentSocket: '/run/agent,.sock',
  tpmSocket: '/run/tpm.sock',
}
const argumentsOf = (changes: Partial<GuestLaunch> = {}) =>
  launchArguments(newLaunchRecord({ ...launch, ...changes }, 'pc-q35-10.0', 0), paths)
const valuesOf = (args: readonly string[], option: string) => args.filter((_, index) => args[index - 1] === option)

describe('the command line of QEMU', () => {
  it('always sandboxes, and keeps a guest that shuts down', () => {
    assert.deepEqual(valuesOf(argumentsOf(), '-sandbox'), [
      'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    ])
    assert.deepEqual(valuesOf(argumentsOf(), '-action'), ['shutdown=pause'])
  })

  it('stops the guest on every disk error', () => {
    const device = valuesOf(argumentsOf(), '-device').find((value) => value.startsWith('virtio-blk-pci'))
    assert.match(device ?? '', /werror=stop,rerror=stop/)
    assert.doesNotMatch(device ?? '', /bootindex/, 'a kernel boot needs no boot disk')
  })

  it('boots a kernel or the first disk', () => {
    const kernel = argumentsOf()
    assert.deepEqual(
      [valuesOf(kernel, '-kernel'), valuesOf(kernel, '-initrd'), valuesOf(kernel, '-append')],
      [['/k'], ['/i'], ['console=ttyS0 a,b']],
    )
    const disk = argumentsOf({ boot: { kind: 'disk' } })
    assert.deepEqual(valuesOf(disk, '-kernel'), [])
    assert.ok(valuesOf(disk, '-device').some((value) => value.endsWith('bootindex=1')))
  })

  it('gives the guest a channel for its agent', () => {
    assert.ok(valuesOf(argumentsOf(), '-chardev').includes('socket,id=agent,path=/run/agent,,.sock,server=on,wait=off'))
    const port = valuesOf(argumentsOf(), '-device').find((device) => device.startsWith('virtserialport'))
    assert.match(port ?? '', /chardev=agent,name=org\.qemu\.guest_agent\.0$/)
  })

  it('puts the firmware into flash, with its variables on a mirrored volume that is no disk', () => {
    const variables = { ...launch.disks[0]!, volume: 'f'.repeat(32) as VolumeId, role: 'firmware' as const }
    const disks = [...launch.disks, variables]
    const uefi = argumentsOf({ disks, platform: { firmware: { codePath: '/code', secureBoot: false } } })
    const machine = valuesOf(uefi, '-machine')[0] ?? ''
    assert.match(machine, /,pflash0=firmware-code,pflash1=d100-top$/)
    assert.equal(valuesOf(uefi, '-device').filter((device) => device.startsWith('virtio-blk')).length, 1)
    assert.ok(valuesOf(uefi, '-blockdev').some((text) => text.includes('"filename":"/code"')))
    const secure = argumentsOf({ disks, platform: { firmware: { codePath: '/code', secureBoot: true } } })
    assert.match(valuesOf(secure, '-machine')[0] ?? '', /,smm=on$/)
    assert.ok(valuesOf(secure, '-global').includes('driver=cfi.pflash01,property=secure,value=on'))
    assert.doesNotMatch(valuesOf(argumentsOf(), '-machine')[0] ?? '', /pflash|smm/)
  })

  it('divides memory and processors into nodes, on huge pages and bound to nodes of the host where asked', () => {
    const memory = { nodes: 2, hostNodes: [0, 1], pageBytes: 2 ** 21 }
    const args = argumentsOf({ cpus: 3, memoryBytes: 130 << 20, platform: { memory } })
    const backends = valuesOf(args, '-object').filter((text) => text.includes('memory-backend'))
    const [first, second] = backends.map((text) => JSON.parse(text) as Record<string, unknown>)
    assert.deepEqual([first?.['size'], second?.['size']], [64 << 20, 66 << 20], 'whole pages, all of the memory')
    assert.deepEqual([first?.['host-nodes'], second?.['host-nodes']], [[0], [1]])
    assert.deepEqual([first?.['hugetlb'], first?.['hugetlbsize']], [true, 2 ** 21])
    assert.deepEqual(valuesOf(args, '-numa'), [
      'node,nodeid=0,memdev=mem0,cpus=0-0',
      'node,nodeid=1,memdev=mem1,cpus=1-2',
    ])
    assert.deepEqual(valuesOf(argumentsOf(), '-numa'), [])
  })

  it('passes devices of the host through, each on a port of its own', () => {
    const device = { class: 'gpu/a', kind: 'vgpu' as const, path: 'bus/pci/devices/0000:3b:00.4' }
    const devices = valuesOf(argumentsOf({ platform: { devices: [device] } }), '-device')
    assert.ok(devices.includes('vfio-pci,id=device0,bus=device-port0,sysfsdev=/sys/bus/pci/devices/0000:3b:00.4'))
    assert.ok(devices.includes('pcie-root-port,id=device-port0,bus=pcie.0,addr=0x10,chassis=101'))
  })

  it('has a TPM only when asked, whose state is no disk either', () => {
    const args = argumentsOf({ platform: { tpm: true } })
    assert.ok(valuesOf(args, '-chardev').includes('socket,id=tpm,path=/run/tpm.sock'))
    assert.deepEqual(valuesOf(args, '-tpmdev'), ['emulator,id=tpm0,chardev=tpm'])
    assert.deepEqual(valuesOf(argumentsOf(), '-tpmdev'), [])
  })

  it('has a watchdog only when asked, and never lets QEMU end by it without a flush', () => {
    const actions = (watchdog: WatchdogAction) => valuesOf(argumentsOf({ platform: { watchdog } }), '-action')
    assert.deepEqual(actions('reset'), ['shutdown=pause', 'watchdog=reset'])
    assert.deepEqual(actions('poweroff'), ['shutdown=pause', 'watchdog=pause'])
    assert.deepEqual(valuesOf(argumentsOf(), '-action'), ['shutdown=pause'])
  })

  it('passes names with commas through the option parser', () => {
    assert.deepEqual(valuesOf(argumentsOf(), '-name'), ['guest=web,,1,debug-threads=on'])
  })

  it('shows the console on sockets in the folder and on no port, and keeps its log', () => {
    const serial = 'socket,id=console,path=/run/tty.sock,server=on,wait=off,logfile=/log/console.log,logappend=on'
    assert.ok(valuesOf(argumentsOf(), '-chardev').includes(serial))
    assert.deepEqual(valuesOf(argumentsOf(), '-vnc'), [], 'no screen unless it is asked for')
    const vga = argumentsOf({ display: 'vga' })
    assert.deepEqual(valuesOf(vga, '-vnc'), ['unix:/run/vnc.sock,share=force-shared'])
    assert.ok(valuesOf(vga, '-device').includes('VGA,id=video,bus=pcie.0,addr=0x1,vgamem_mb=16'))
    assert.ok(valuesOf(vga, '-device').some((device) => device.startsWith('virtio-tablet-pci')))
  })

  it('uses the host processor under KVM only', () => {
    assert.deepEqual(valuesOf(argumentsOf(), '-cpu'), ['max'])
    assert.deepEqual(valuesOf(argumentsOf({ accelerator: 'kvm' }), '-cpu'), ['host'])
    assert.deepEqual(valuesOf(argumentsOf({ accelerator: 'kvm' }), '-accel'), ['kvm'])
  })

  it('opens the prepared tap and runs no script', () => {
    assert.deepEqual(valuesOf(argumentsOf(), '-netdev'), ['tap,id=net0,ifname=st2f0c5c0e0,script=no,downscript=no'])
    assert.deepEqual(valuesOf(argumentsOf({ nics: [] }), '-netdev'), [])
  })

  it('makes the machine that the record names', () => {
    assert.match(valuesOf(argumentsOf(), '-machine')[0] ?? '', /^pc-q35-10\.0,/)
  })

  it('gives every device a place of its own, which depends on nothing but its number', () => {
    const disks = [0, 3].map((slot) => ({ ...launch.disks[0]!, volume: `${slot}` as VolumeId, slot }))
    const nics = [1, 3].map((slot) => ({ ...launch.nics[0]!, slot }))
    const devices = valuesOf(argumentsOf({ disks, nics }), '-device')
    const placeOf = (id: string) =>
      /,bus=([^,]*)(,addr=([^,]*))?/.exec(devices.find((device) => device.includes(`id=${id},`)) ?? '')
    const busOf = (id: string) => placeOf(id)?.[1]
    assert.deepEqual(['disk0', 'disk3', 'nic1', 'nic3'].map(busOf), ['port0', 'port3', 'port13', 'port15'])
    for (const device of devices) assert.match(device, /,bus=/, 'nothing is left to QEMU')
    const places = devices.map((device) => /,bus=.*?(,addr=[^,]*|,|$)/.exec(device)?.[0])
    assert.equal(new Set(places).size, places.length, places.join(' '))
  })
})
