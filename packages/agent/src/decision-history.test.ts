import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { replay } from '@stead/core/foresight/decision-record.ts'
import { ClusterFixture } from '@stead/core/ha/cluster-fixture.ts'
import { decide } from '@stead/core/ha/coordinator.ts'
import { DecisionHistory } from './decision-history.ts'
import { lineLog } from './guardian/line-log.ts'

test('a decision is kept with its input and can be made again after a restart', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'stead-decisions-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'decisions.sqlite')
  const log = lineLog(() => {})
  const cluster = new ClusterFixture()
  cluster.guestWithDisk('web', ['h2', 'h3'])
  const input = cluster.input()
  const first = new DecisionHistory(path, log)
  first.keep('h1.a.1', input, decide(input))
  for (let tries = 0; first.list(1).length === 0 && tries < 500; tries++) await delay(10)
  first.close()

  const second = new DecisionHistory(path, log)
  context.after(() => second.close())
  const [summary] = second.list(10)
  assert.deepEqual(summary?.choices, [{ subject: 'guest/web', choice: 'start on h2' }])
  const record = await second.find('h1.a.1')
  assert(record)
  assert.deepEqual(replay(record).differences, [])
  assert.equal(await second.find('h1.a.2'), undefined)
})
