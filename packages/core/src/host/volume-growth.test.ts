import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure, type Failure } from '../errors.ts'
import { ClusterFixture } from '../ha/cluster-fixture.ts'
import type { Volume } from '../model/volume.ts'
import type { Transaction } from '../ports/store.ts'
import { fail, ok } from '../result.ts'
import type { HostContext } from './host-context.ts'
import { makeRoom } from './volume-growth.ts'

const GIB = 2 ** 30

/** A wish for 2 GiB; `refusal`: what h2 answers. Returns the record as it was written, and what each host was asked for. */
async function wish(refusal?: Failure) {
  const cluster = new ClusterFixture()
  const { volume } = cluster.guestWithDisk('web', ['h1', 'h2'])
  const known = cluster.state.volumes.get(volume.id)
  assert(known)
  const wanted: Volume = { ...known.value, growTo: 2 * GIB }
  const asked: string[] = []
  let written: Volume | undefined
  const context = {
    mirror: {
      state: { ...cluster.state, volumes: new Map([[volume.id, { ...known, value: wanted }]]) },
    },
    volumesOn: (host: string) => ({
      reserveReplica: async ({ sizeBytes }: { readonly sizeBytes: number }) => {
        asked.push(`${host} ${sizeBytes / GIB}`)
        return refusal && host === 'h2' && sizeBytes > GIB ? fail(refusal) : ok()
      },
    }),
    store: {
      transact: async ({ writes }: Transaction) => {
        const [write] = writes
        if (write?.kind === 'put') written = JSON.parse(write.value) as Volume
        return ok({ committed: true, revision: 1n })
      },
    },
    clock: { wallMs: () => 0 },
    log: { warn: () => undefined },
  } as unknown as HostContext
  const isSettled = await makeRoom(context, wanted, ({ code }) => code === 'host_unreachable')
  return { isSettled, written, asked }
}

test('with room everywhere the record gets the size', async () => {
  const { isSettled, written, asked } = await wish()
  assert(isSettled)
  assert.deepEqual([written?.sizeBytes, written?.growTo], [2 * GIB, undefined])
  assert.deepEqual(asked, ['h1 2', 'h2 2'])
})

test('without room somewhere the wish goes, and the others give theirs back', async () => {
  const { isSettled, written, asked } = await wish(failure('no_capacity', 'full'))
  assert(isSettled)
  assert.deepEqual([written?.sizeBytes, written?.growTo], [GIB, undefined])
  assert.deepEqual(asked, ['h1 2', 'h2 2', 'h1 1', 'h2 1'])
})

test('a host that does not answer is asked again', async () => {
  const { isSettled, written } = await wish(failure('host_unreachable', 'silent'))
  assert(!isSettled)
  assert.equal(written, undefined)
})
