import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { VolumeId } from '@stead/core/model/ids.ts'
import type { Leg } from '@stead/core/ports/guest-host.ts'
import {
  attachedDisk,
  childrenOf,
  diskBlockdevs,
  legBlockdev,
  newDiskRecord,
  newFillerName,
  spareFillers,
  type QemuBlockGraph,
} from './block-graph.ts'

const leg = (host: string): Leg => ({
  host,
  endpoint: { kind: 'tcp', address: '10.0.0.1', port: 10809 },
  exportName: 'vol-1-e1',
})
const disk = (width: number, ...hosts: string[]) =>
  newDiskRecord({ volume: 'v' as VolumeId, sizeBytes: 4096, width, legs: hosts.map(leg) }, 0)
const quorumOf = (record: ReturnType<typeof disk>) =>
  diskBlockdevs(record).find((blockdev) => blockdev['driver'] === 'quorum')

/** A graph as QEMU reports it: parent, name of the edge, child. */
function graph(...edges: readonly (readonly [string, string, string])[]): QemuBlockGraph {
  const names = [...new Set([...edges.flatMap(([parent, , child]) => [parent, child]), 'd0-filler0'])]
  return {
    nodes: names.map((name, id) => ({ id, type: 'block-driver', name })),
    edges: edges.map(([parent, name, child]) => ({ parent: names.indexOf(parent), child: names.indexOf(child), name })),
  }
}

describe('the graph of a disk', () => {
  it('needs every child for a write', () => {
    assert.deepEqual(quorumOf(disk(2, 'a', 'b'))?.['children'], ['d0-leg0', 'd0-leg1'])
    assert.equal(quorumOf(disk(2, 'a', 'b'))?.['vote-threshold'], 2)
    assert.equal(quorumOf(disk(3, 'a', 'b', 'c'))?.['vote-threshold'], 3)
  })

  it('holds a missing leg open by a filler, after the real ones, so that reads find data first', () => {
    assert.deepEqual(quorumOf(disk(3, 'a'))?.['children'], ['d0-leg0', 'd0-filler0', 'd0-filler1'])
  })

  it('keeps a spare filler ready for each leg that may be lost', () => {
    const names = diskBlockdevs(disk(3, 'a', 'b', 'c')).map((blockdev) => blockdev['node-name'])
    assert.deepEqual(names, ['d0-leg0', 'd0-leg1', 'd0-leg2', 'd0-filler0', 'd0-filler1', 'd0-quorum', 'd0-top'])
  })

  it('puts the only leg of an unmirrored disk right under the top', () => {
    const blockdevs = diskBlockdevs(disk(1, 'a'))
    assert.deepEqual(blockdevs.at(-1), { driver: 'raw', 'node-name': 'd0-top', file: 'd0-leg0' })
    assert.equal(blockdevs.length, 2)
  })

  it('never reconnects silently and never opens without a bound', () => {
    assert.equal(legBlockdev('n', leg('a'))['reconnect-delay'], 0)
    assert.ok(Number(legBlockdev('n', leg('a'))['open-timeout']) > 0)
  })

  it('is spoken in TLS with the key that it was given, and with none in clear', () => {
    const key = { identity: 'h1/vol-v-e1', secret: '00'.repeat(32) }
    const endpoint = { kind: 'tcp', address: '10.0.0.1', port: 11809, key } as const
    assert.equal(legBlockdev('n', { ...leg('a'), endpoint })['tls-creds'], 'key-n')
    assert.equal(legBlockdev('n', leg('a'))['tls-creds'], undefined)
  })

  it('refuses more legs than the disk has places', () => {
    assert.throws(() => disk(1, 'a', 'b'))
  })
})

describe('the graph that QEMU reports', () => {
  const rejoined = graph(
    ['d0-top', 'file', 'd0-quorum'],
    ['d0-quorum', 'children.10', 'd0-leg0'],
    ['d0-quorum', 'children.9', 'd0-leg1'],
  )

  it('orders children by their number, which is the order of reading', () => {
    assert.deepEqual(
      childrenOf(rejoined, disk(2, 'a', 'b')).map((child) => child.node),
      ['d0-leg1', 'd0-leg0'],
    )
    assert.deepEqual(
      attachedDisk(rejoined, disk(2, 'a', 'b')).legs.map((each) => each.host),
      ['b', 'a'],
    )
  })

  it('tells spare fillers from used ones, per disk', () => {
    assert.deepEqual(spareFillers(rejoined, disk(2, 'a', 'b')), ['d0-filler0'])
    const degraded = graph(['d0-quorum', 'children.0', 'd0-leg0'], ['d0-quorum', 'children.1', 'd0-filler0'])
    assert.deepEqual(spareFillers(degraded, disk(2, 'a', 'b')), [])
    assert.equal(newFillerName(degraded, disk(2, 'a', 'b')), 'd0-filler1')
    assert.deepEqual(
      attachedDisk(degraded, disk(2, 'a', 'b')).legs.map((each) => each.host),
      ['a'],
    )
  })
})
