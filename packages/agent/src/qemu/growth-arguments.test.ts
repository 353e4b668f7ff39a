import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GuestId } from '@stead/core/model/ids.ts'
import type { GuestLaunch } from '@stead/core/ports/guest-host.ts'
import {
  addedBytes,
  cpuArguments,
  cpusAmong,
  cpusOfNode,
  memoryDeviceArguments,
  memorySize,
  roomBytes,
} from './growth-arguments.ts'
import { memoryUseFrom } from './guest-growth.ts'
import { memoryArguments } from './platform-arguments.ts'

const MEBIBYTE = 2 ** 20
const launch: GuestLaunch = {
  ...{ guest: 'g' as GuestId, name: 'web', epoch: 1, disks: [], nics: [], accelerator: 'tcg', boot: { kind: 'disk' } },
  memoryBytes: 256 * MEBIBYTE,
  cpus: 2,
}

describe('growth arguments', () => {
  it('gives a guest without maxima what it always got', () => {
    assert.deepEqual(cpuArguments(launch, 'max'), ['-smp', '2'])
    assert.equal(memorySize(launch), 'size=262144k')
    assert.deepEqual(memoryDeviceArguments(launch), [])
  })

  it('names each processor but the first, so that each can be plugged and asked back, here and after a move', () => {
    assert.deepEqual(cpuArguments({ ...launch, cpusMax: 4 }, 'qemu64,-svm,enforce'), [
      ...['-smp', 'cpus=1,maxcpus=4,sockets=1,cores=4,threads=1'],
      ...['-device', 'qemu64-x86_64-cpu,id=cpu1,socket-id=0,core-id=1,thread-id=0'],
    ])
    assert.equal(cpusAmong(['disk0', 'cpu1', 'cpu2', 'type', 'cpu']), 3)
  })

  it('makes room in whole blocks of memory and always has a balloon', () => {
    const more = { ...launch, memoryMaxBytes: 600 * MEBIBYTE, memoryAddedBytes: 64 * MEBIBYTE }
    assert.equal(roomBytes(more), 384 * MEBIBYTE)
    assert.equal(memorySize(more), `size=262144k,maxmem=${640 * 1024}k`)
    const devices = memoryDeviceArguments(more)
    assert.ok(devices.includes(`memory-backend-ram,id=growth,size=${384 * MEBIBYTE},reserve=off`))
    const objects = devices.filter((_, position) => devices[position - 1] === '-object')
    assert.match(objects[0] ?? '', /^memory-backend-ram,id=pc.ram,size=262144k$/, 'the first place is its own')
    assert.ok(devices.includes('memory-backend=pc.ram'))
    assert.match(devices.join(' '), /virtio-mem-pci,id=memory,bus=pcie.0,addr=0x7,.*requested-size=67108864/)
    assert.match(devices.join(' '), /virtio-balloon-pci,id=balloon,bus=pcie.0,addr=0x6/)
    const balloonOnly = memoryDeviceArguments({ ...launch, memoryMaxBytes: launch.memoryBytes })
    assert.deepEqual(
      balloonOnly.filter((text) => text.startsWith('virtio')).map((text) => text.split(',')[0]),
      ['virtio-balloon-pci'],
    )
  })

  it('adds whole steps and never more than is wanted or than there is room for', () => {
    const more = { ...launch, memoryMaxBytes: 384 * MEBIBYTE }
    assert.equal(addedBytes(more, 256 * MEBIBYTE), 0)
    assert.equal(addedBytes(more, 261 * MEBIBYTE), 4 * MEBIBYTE)
    assert.equal(addedBytes(more, 9_000 * MEBIBYTE), 128 * MEBIBYTE)
  })

  it('divides processors among memory nodes by what never changes', () => {
    assert.equal(cpusOfNode(5, 2, 0), ',cpus=0,cpus=2,cpus=4')
    const nodes = (cpus: number) =>
      memoryArguments({ ...launch, cpus, cpusMax: 4, platform: { memory: { nodes: 2, hostNodes: [] } } })
    assert.deepEqual(nodes(1), nodes(4))
    assert.ok(nodes(1).includes('node,nodeid=1,memdev=mem1,cpus=1,cpus=3'))
  })

  it('reads what a balloon tells, and that it tells nothing', () => {
    const untold = 2 ** 64 - 1
    const stats = { 'stat-total-memory': 400, 'stat-free-memory': 100, 'stat-available-memory': untold }
    assert.deepEqual(memoryUseFrom({ 'last-update': 1, stats }), {
      totalBytes: 400,
      freeBytes: 100,
      availableBytes: 100,
    })
    assert.equal(memoryUseFrom({ 'last-update': 0, stats }), undefined)
    assert.equal(memoryUseFrom({ 'last-update': 1, stats: { 'stat-total-memory': untold } }), undefined)
  })
})
