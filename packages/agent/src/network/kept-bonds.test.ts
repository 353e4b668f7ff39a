import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BondState } from '@stead/core/network/bond-plan.ts'
import { failure } from '@stead/core/errors.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { watchBonds } from './kept-bonds.ts'

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => log }

test('what becomes of a bond is told, also over a look that failed', async () => {
  const state = (isUp: boolean): Result<readonly BondState[]> =>
    ok([
      {
        name: 'bond0',
        ports: [
          { name: 'eth0', isUp },
          { name: 'eth1', isUp: true },
        ],
      },
    ])
  const looks = [state(true), state(false), fail(failure('internal', 'no')), state(false), state(true)]
  const told: string[] = []
  const ending = new AbortController()
  await watchBonds(
    {
      ...{ host: 'h1', log, hasBonds: () => true },
      events: { tell: (...drafts) => void told.push(...drafts.map(({ kind, subject }) => `${kind} ${subject}`)) },
      clock: { sleep: async () => void (looks.length === 0 && ending.abort()) },
      look: async () => looks.shift() ?? state(true),
    },
    ending.signal,
  )
  assert.deepEqual(told, ['bond.degraded host/h1', 'bond.restored host/h1'])
})

test('a host without bonds is not looked at', async () => {
  const ending = new AbortController()
  await watchBonds(
    {
      ...{ host: 'h1', log, hasBonds: () => false, events: { tell: () => assert.fail() } },
      clock: { sleep: async () => ending.abort() },
      look: () => assert.fail('there is nothing to look at'),
    },
    ending.signal,
  )
})
