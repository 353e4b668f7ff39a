import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuestView } from '@stead/api/views.ts'
import { changedCopyFrom, copyFrom, copyLines, type CopyOptions } from './ct-root.ts'

const SET: GuestView['rootCopy'] = { to: 'h2', everyMs: 300_000, onLoss: 'start-from-copy' }
const asked = (options: CopyOptions & { readonly copy?: boolean }, before: GuestView['rootCopy']) =>
  changedCopyFrom({ copy: true, ...options }, async () => before)

test('of a copy only what is said changes; at first it is made every quarter of an hour, and nothing starts from it', async () => {
  assert.equal(asked({}, SET), undefined)
  assert.deepEqual(await asked({ copyTo: 'h3' }, null), { to: 'h3', everyMs: 900_000, onLoss: 'wait' })
  assert.deepEqual(await asked({ copyEvery: '1h' }, SET), { ...SET, everyMs: 3_600_000 })
  assert.deepEqual(await asked({ onLoss: 'wait' }, { ...SET, to: null }), { everyMs: 300_000, onLoss: 'wait' })
  assert.equal(await asked({ copy: false }, SET), null)
  assert.equal(copyFrom({}), undefined)
  assert.deepEqual(copyFrom({ onLoss: 'start-from-copy' }), { everyMs: 900_000, onLoss: 'start-from-copy' })
})

test('what is no policy is refused before anything is asked', () => {
  const never = () => Promise.reject(new Error('asked'))
  for (const options of [{ onLoss: 'start' }, { copyEvery: 'often' }])
    assert.throws(() => changedCopyFrom(options, never))
})

test('a copy is shown with its age and what is wrong with it', () => {
  const at = '2026-11-23T12:00:00.000Z'
  const view = (copy: Partial<GuestView['volumes'][number]['copies'][number]>) =>
    ({
      rootCopy: SET,
      volumes: [{ name: 'disk0', copies: [{ host: 'h2', pool: 'fast', at, late: false, trouble: '', ...copy }] }],
    }) as unknown as GuestView
  const now = Date.parse(at) + 7 * 60_000
  assert.equal(
    copyLines(view({}), now),
    `disk0 is copied to h2/fast, every 5 min: 7 min old (${at}); when its host is lost: start-from-copy\n`,
  )
  assert.match(copyLines(view({ at: null }), now), /not made yet/)
  assert.match(copyLines(view({ late: true, trouble: 'the pool is full' }), now), /; LATE: the pool is full;/)
  assert.equal(copyLines({ rootCopy: null, volumes: [{ copies: [] }] } as unknown as GuestView, now), '')
})
